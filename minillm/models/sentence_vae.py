"""A sentence VAE: every sentence is a point in a space where one can walk from one to another.

Formula (Kingma & Welling 2014, arXiv:1312.6114, eq. 3; for sentences Bowman et al. 2016,
arXiv:1511.06349, section 3).  An encoder reads the words w_1 … w_T and names a normal distribution;
a draw z from it is all that the decoder knows of the sentence, beside the words it has written:

    h        = mean over t of GRU(embedding[w_1 … w_T])_t      a short way from every word to z
    mu, log_variance = h @ weight + bias, twice
    z        = mu + exp(log_variance / 2) * eps                ops/gaussian.py, (1)
    p(w_t | w_<t, z) = softmax(GRU([embedding[w_{t-1}] | z], starting at tanh(z @ weight + bias)))

    loss     = - sum over t of log p(w_t | w_<t, z)  +  beta * KL(N(mu, sigma^2) || N(0, I))      (1)
               reconstruction                           kl, ops/gaussian.py, (2)

With beta = 1 the mean of (1) is an upper bound of -log p(sentence), in nats per sentence.

Posterior collapse.  A decoder that predicts well from its own words gets the whole of (1) down
without z: kl = 0, and every z says the same.  Two remedies of Bowman et al., section 3.1: beta grows
from 0 while training (`kl_weight`), so that z is of use before it costs anything; and some of the
words that the decoder reads are replaced by <unk> (`word_dropout`), so that it must ask z.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .. import functional as F
from ..arguments import require_whole
from ..autograd import Tensor, no_grad, unwrap
from ..backend import beside, default_generator, host_number, to_numpy
from ..nn import GRU, Embedding, Linear, Module, evaluating
from ..nn.arguments import require_sizes
from ..optim import Adam, clip_grad_norm_, schedule
from ..tokenizers.progress import progress_bar
from .inputs import as_ids, key_mask
from .pretrained import PretrainedMixin
from .sequences import config_of, require_fields

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
PAD, BOS, EOS, UNK = range(4)
IGNORED = -100  # a target that is no word


@dataclass
class SentenceVAEConfig:
    """The shape of a sentence VAE, and the words it knows.

    words            the vocabulary; ids 0 … 3 are <pad>, <bos>, <eos> and <unk>, words follow
    word_dropout     share of the decoder's words that are hidden from it while training
    max_length       the longest sentence that `decode` writes

    >>> SentenceVAEConfig(words=["a", "cat"]).vocab_size
    6
    """

    words: list[str] = field(default_factory=list)
    embedding_dim: int = 64
    hidden_size: int = 128  # H, the state of encoder and decoder
    latent_size: int = 32  # the length of z
    word_dropout: float = 0.3
    max_length: int = 40
    model_type: str = "sentence_vae"

    def __post_init__(self) -> None:
        sizes = ("embedding_dim", "hidden_size", "latent_size", "max_length")
        require_fields(self, sizes, ("word_dropout",))
        self.words = list(self.words)
        if not self.words:
            raise ValueError("SentenceVAEConfig: words is empty: give the words of the sentences")
        taken = set(SPECIAL)
        for word in self.words:
            if not isinstance(word, str) or word in taken or word.split() != [word]:
                raise ValueError(
                    f"SentenceVAEConfig: words must be different strings without spaces, none of "
                    f"{' '.join(SPECIAL)}; found {word!r}"
                )
            taken.add(word)

    @property
    def vocab_size(self) -> int:
        """V, the words and the four special tokens."""
        return len(SPECIAL) + len(self.words)

    def to_dict(self) -> dict[str, Any]:
        """All fields, for config.json."""
        return asdict(self)


@dataclass
class SentenceVAEOutput:
    """What a call of SentenceVAE returns.

    loss                reconstruction + beta * kl
    reconstruction, kl  the two parts, in nats per sentence, means over the batch
    logits              (B, T + 1, V) for each word and the end
    mu, log_variance    (B, latent_size) what the encoder says

    >>> model = SentenceVAE(words=["a", "cat"], hidden_size=4)
    >>> output = model(*model.ids_of(["a cat", "a"]))
    >>> output.logits.shape, output.kl.shape
    ((2, 3, 6), ())
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor
    logits: Tensor
    mu: Tensor
    log_variance: Tensor


def kl_weight(step: int, warmup_steps: int, beta: float = 1.0) -> float:
    """The beta of a step: from 0 up to `beta` along a straight line, then it stays.

    >>> [kl_weight(step, warmup_steps=4) for step in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    if step < 0 or warmup_steps < 0:
        raise ValueError(
            f"kl_weight: step and warmup_steps must not be negative, got {step}, {warmup_steps}"
        )
    return beta * min(step / warmup_steps, 1.0) if warmup_steps else beta


class SentenceVAE(PretrainedMixin, Module):
    """Sentences as points: encode, decode, draw new ones, walk from one to another.

    SentenceVAE(config), or fields of SentenceVAEConfig by name.

    Parameters   embedding (V, C), encoder and decoder as in nn.GRU, mean and log_variance (H, Z),
                 start (Z, H), output (H, V)

    >>> sentences = ["the cat sleeps .", "the dog sleeps .", "the cat eats .", "the dog eats ."]
    >>> words = sorted({word for sentence in sentences for word in sentence.split()})
    >>> model = SentenceVAE(
    ...     words=words, hidden_size=24, latent_size=8, rng=np.random.default_rng(0)
    ... )
    >>> losses = model.fit(sentences, steps=200, learning_rate=0.02, beta=0.1, kl_warmup=100)
    >>> model.reconstruct(sentences[1:3])
    ['the dog sleeps .', 'the cat eats .']
    """

    config: Any
    config_class = SentenceVAEConfig
    stored_transposed = ()  # files hold the arrays as they are here

    def __init__(
        self,
        config: SentenceVAEConfig | None = None,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
        **options: Any,
    ) -> None:
        config = config_of("SentenceVAE", SentenceVAEConfig, config, options)
        rng = default_generator(rng)
        C, H, Z, V = (
            config.embedding_dim, config.hidden_size, config.latent_size, config.vocab_size,
        )  # fmt: skip
        self.config = config
        self.embedding = Embedding(V, C, dtype=dtype, rng=rng)
        self.encoder = GRU(C, H, dtype=dtype, rng=rng)
        self.mean = Linear(H, Z, dtype=dtype, rng=rng)
        self.log_variance = Linear(H, Z, dtype=dtype, rng=rng)
        self.start = Linear(Z, H, dtype=dtype, rng=rng)
        self.decoder = GRU(C + Z, H, dtype=dtype, rng=rng)
        self.output = Linear(H, V, dtype=dtype, rng=rng)
        self._numbers = {word: i for i, word in enumerate([*SPECIAL, *config.words])}

    # ---------------------------------------------------------------------- words and ids

    def ids_of(self, sentences: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
        """(ids, mask) of sentences, each a string with spaces between words or a list of words.

        Raises   ValueError for a sentence without words, or one single string
        Shapes   -> ids (B, T), mask (B, T) 1 for words, 0 for padding
        """
        if isinstance(sentences, str):
            raise ValueError(f"SentenceVAE: sentences must be a list: write [{sentences[:20]!r}]")
        rows = [s.split() if isinstance(s, str) else list(s) for s in sentences]
        if not rows or not all(rows):
            raise ValueError("SentenceVAE: sentences must not be empty, and each needs words")
        ids = np.full((len(rows), max(map(len, rows))), PAD)
        for row, words in zip(ids, rows, strict=True):
            row[: len(words)] = [self._numbers.get(word, UNK) for word in words]
        return ids, (ids != PAD).astype(np.int64)

    def text_of(self, ids: Iterable[int]) -> str:
        """The words of one row up to its end, with spaces between them."""
        vocabulary = [*SPECIAL, *self.config.words]
        kept = []
        for number in ids:
            if number in (EOS, PAD):
                break
            kept.append(vocabulary[int(number)])
        return " ".join(kept)

    # ------------------------------------------------------------------------ the two ways

    def encode(self, input_ids: Any, attention_mask: Any = None) -> tuple[Tensor, Tensor]:
        """What the encoder says of sentences.

        Shapes   input_ids, attention_mask (B, T), padding behind -> mu, log_variance (B, Z)
        """
        ids, lengths = self._checked(input_ids, attention_mask)
        states, _ = self.encoder(self.embedding(ids), lengths=lengths)  # (B, T, H), 0 at padding
        count = beside(lengths[:, None].astype(states.dtype), states.data)
        h = states.sum(axis=1) / count  # (B, H)
        return self.mean(h), self.log_variance(h)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        *,
        beta: float = 1.0,
        rng: np.random.Generator | None = None,
    ) -> SentenceVAEOutput:
        """The loss (1) of sentences, with one draw of z for each.

        input_ids        (B, T) integers, without <bos> and <eos>
        attention_mask   (B, T) 1 for words, 0 for padding, which stands behind them
        beta             the weight of the second term
        rng              draws z, and in training the words that are hidden from the decoder
        """
        ids, lengths = self._checked(input_ids, attention_mask)
        rng = default_generator(rng)
        mu, log_variance = self.encode(ids, attention_mask)
        z = F.gaussian_sample(mu, log_variance, rng=rng)
        given, targets = self._shifted(to_numpy(ids), lengths, rng)
        logits = self._teacher_forced(z, given)
        B = len(ids)
        flat = logits.reshape(-1, self.config.vocab_size)
        total = F.cross_entropy(flat, targets.reshape(-1), ignore_index=IGNORED, reduction="sum")
        reconstruction = total / B
        kl = F.gaussian_kl(mu, log_variance).mean()
        loss = reconstruction + kl * beta
        return SentenceVAEOutput(loss, reconstruction, kl, logits, mu, log_variance)

    def _checked(self, input_ids: Any, attention_mask: Any) -> tuple[Any, np.ndarray]:
        """(ids, how many words each row has); padding must stand behind the words."""
        ids = as_ids("SentenceVAE", "input_ids", input_ids)
        if attention_mask is None:
            return ids, np.full(len(ids), ids.shape[1])
        mask = to_numpy(unwrap(attention_mask))
        key_mask("SentenceVAE", mask, ids, like=mask)  # raises unless it fits
        lengths = mask.astype(bool).sum(axis=1)
        front = np.arange(ids.shape[1]) < lengths[:, None]
        if (lengths == 0).any() or (front != mask.astype(bool)).any():
            raise ValueError(
                "SentenceVAE: each row of attention_mask must begin with at least one 1, and its 0s "
                "must stand behind: pad at the end"
            )
        return ids, lengths

    def _shifted(
        self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(what the decoder reads, what it is to write), (B, T + 1) each."""
        B, T = ids.shape
        place = np.arange(T + 1)
        given = np.concatenate([np.full((B, 1), BOS), ids], axis=1)
        targets = np.concatenate([ids, np.full((B, 1), PAD)], axis=1)
        targets[place == lengths[:, None]] = EOS
        targets[place > lengths[:, None]] = IGNORED
        if self.training and self.config.word_dropout:
            hidden = rng.random((B, T)) < self.config.word_dropout
            given[:, 1:][hidden] = UNK
        return given, targets

    def _teacher_forced(self, z: Tensor, given: np.ndarray) -> Tensor:
        """Logits for the word after each of the given ones: (B, T + 1, V)."""
        x = self._decoder_inputs(z, given)
        h, _ = self.decoder(x, self._first_state(z))
        return self.output(h)

    def _decoder_inputs(self, z: Tensor, given: np.ndarray) -> Tensor:
        """[embedding of each word | z], (B, T, C + Z)."""
        B, T = given.shape
        same = np.repeat(np.arange(B)[:, None], T, axis=1)  # z of the row at every place
        words = self.embedding(beside(given, z.data))
        return F.concatenate(words, F.embedding(same, z), axis=-1)

    def _first_state(self, z: Tensor) -> Tensor:
        """The state that the decoder begins with, (1, B, H)."""
        h = F.tanh(self.start(z))
        return h.reshape(1, *h.shape)

    # ---------------------------------------------------------------------------- writing

    def decode(self, z: Any) -> list[str]:
        """The sentence of each point: the likeliest next word, one after the other.

        Shapes   z (B, Z) -> B sentences
        """
        z = Tensor(beside(unwrap(z), self.embedding.weight.data))
        if z.ndim != 2 or z.shape[1] != self.config.latent_size:
            raise ValueError(f"SentenceVAE: z {z.shape} must be (B, {self.config.latent_size})")
        with no_grad(), evaluating(self):
            state, last = self._first_state(z), np.full((len(z.data), 1), BOS)
            written = []
            for _ in range(self.config.max_length):
                h, state = self.decoder(self._decoder_inputs(z, last), state)
                scores = to_numpy(self.output(h).data)  # (B, 1, V)
                scores[..., [PAD, BOS, UNK]] = -np.inf
                last = scores.argmax(axis=-1)
                written.append(last)
                if (np.concatenate(written, axis=1) == EOS).any(axis=1).all():
                    break
        return [self.text_of(row) for row in np.concatenate(written, axis=1)]

    def means(self, sentences: Iterable[Any]) -> np.ndarray:
        """The point of each sentence, mu: (B, Z), on the host."""
        with no_grad(), evaluating(self):
            return self.encode(*self.ids_of(sentences))[0].numpy()

    def reconstruct(self, sentences: Iterable[Any]) -> list[str]:
        """What is left of sentences after the way through their points."""
        return self.decode(self.means(sentences))

    def interpolate(self, a: Any, b: Any, steps: int = 7) -> list[str]:
        """The sentences on the straight line from the point of a to the point of b, both included.

        >>> model = SentenceVAE(words=["a", "cat"], hidden_size=4, max_length=3)
        >>> len(model.interpolate("a cat", "cat", steps=5))
        5
        """
        require_whole("SentenceVAE", "steps", steps, least=2)
        start, end = self.means([a, b])
        share = np.linspace(0, 1, steps, dtype=start.dtype)[:, None]
        return self.decode((1 - share) * start + share * end)

    def sample(self, n: int, *, rng: np.random.Generator | None = None) -> list[str]:
        """Sentences of n points drawn from N(0, I).

        >>> model = SentenceVAE(words=["a", "cat"], hidden_size=4, max_length=3)
        >>> len(model.sample(2, rng=np.random.default_rng(0)))
        2
        """
        require_whole("SentenceVAE", "n", n)
        drawn = default_generator(rng).standard_normal((n, self.config.latent_size))
        return self.decode(drawn.astype(self.embedding.weight.dtype))

    # --------------------------------------------------------------------------- learning

    def fit(
        self,
        sentences: Sequence[Any],
        *,
        steps: int = 2000,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        beta: float = 1.0,
        kl_warmup: int = 1000,
        seed: int = 0,
        progress: bool = False,
    ) -> list[dict[str, float]]:
        """Learn from sentences: Adam, beta from 0 to `beta` within kl_warmup steps.

        Returns one entry per step: reconstruction and kl, in nats per sentence, and the beta used.
        The rate falls along a straight line to a tenth.
        """
        require_sizes("SentenceVAE", steps=steps, batch_size=batch_size)
        ids, mask = self.ids_of(sentences)
        optimizer, rng = Adam(self.parameters(), lr=learning_rate), np.random.default_rng(seed)
        plan = schedule.linear(optimizer, 0, steps, min_lr=learning_rate / 10)
        losses, order = [], np.zeros(0, dtype=np.int64)
        self.train()
        with progress_bar(steps, "sentence VAE", progress) as bar:
            for step in range(steps):
                if len(order) < min(batch_size, len(ids)):
                    order = rng.permutation(len(ids))
                rows, order = order[:batch_size], order[batch_size:]
                T = int(mask[rows].sum(axis=1).max())
                weight = kl_weight(step, kl_warmup, beta)
                output = self(ids[rows, :T], mask[rows, :T], beta=weight, rng=rng)
                output.loss.backward()
                clip_grad_norm_(self.parameters(), 5.0)
                optimizer.step()
                plan.step()
                optimizer.zero_grad()
                parts = {"reconstruction": output.reconstruction, "kl": output.kl}
                losses.append({name: host_number(x.data) for name, x in parts.items()})
                losses[-1]["beta"] = weight
                bar.update()
        self.eval()
        return losses
