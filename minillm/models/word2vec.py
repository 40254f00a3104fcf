"""Word2Vec: skip-gram and CBOW, trained with negative sampling.

Formula (Mikolov et al. 2013, Distributed Representations of Words and Phrases, arXiv:1310.4546,
equation 4).  Every word has two vectors: v when it stands in the middle, u when it is looked for.  For
a word with vector v, a word u_0 that was really seen beside it, and K words u_1 ... u_K drawn from the
noise, the loss of the pair is (the paper maximises its negative)

    loss = -log sigmoid(u_0 . v) - sum over k >= 1 of log sigmoid(-u_k . v)               (1)

With the score s_k = u_k . v, the sign e_0 = -1 and e_k = +1 for k >= 1, and since
-log sigmoid(-x) = log(1 + exp(x)):

    loss = sum over k >= 0 of log(1 + exp(e_k s_k))                                       (2)

which is binary classification, seen or noise, by K + 1 logistic regressions that share v.

Backward.  d log(1 + exp(x)) / dx = sigmoid(x), so with g the gradient that reaches the loss

    grad_s_k = g e_k sigmoid(e_k s_k)          = g (sigmoid(s_k) - [k = 0])               (3)
    grad_v   = sum over k of grad_s_k u_k      v is used in K + 1 scores                  (4)
    grad_u_k = grad_s_k v                                                                 (5)

**Skip-gram** takes the word in the middle as v, and each word around it once as u_0.
**CBOW** (arXiv:1301.3781) takes the mean of the words around it, v = (1/n) sum over j of v_j, and the
word in the middle as u_0.  Each of the n words gets 1/n of the gradient of the mean:

    grad_v_j = grad_v / n                                                                 (6)

The original program leaves out this 1/n, which makes CBOW worse (Irsoy, Benton & Stratos 2021,
arXiv:2012.15332).

Noise: a word with the count c is drawn in proportion to c^(3/4).  Windows: for every word in the
middle, b is drawn uniformly from 1 ... window, and b words on each side are its context; near words
count more often.  Subsampling (equation 5): an occurrence of a word with the frequency f is kept with
probability sqrt(t / f), at most 1.  The learning rate falls linearly to 1/10000 of its start.
Check: tests/models/test_word2vec.py
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import array_module, scatter_add
from ..ops.activations import sigmoid_of
from ..ops.checks import gets_no_gradient, require_floating
from ..tokenizers.progress import progress_bar
from .word_vectors import Corpus, WordVectors, read_corpus, require_finite, require_settings

CHUNK = 10_000  # words in the middle whose examples are in memory, and shuffled, at a time
SMALLEST_RATE = 1e-4  # of the learning rate at the start
# A step adds the gradients of a batch.  A word that is in it m times takes m steps at once, all from
# the same place, and beyond some m they overshoot: no word is expected more often than this.
MOST_IN_A_BATCH = 16

# --------------------------------------------------------------------------- the operations


def sgns_forward(v, u):
    """The loss of skip-gram with negative sampling, for N pairs.

    Shapes   v (N, C); u (N, 1 + K, C), first the word that was seen, then K of noise -> loss (N,)
    Dtype    both floating and equal
    Units    nats; (1 + K) ln 2 where all scores are 0
    Saves    v, u, and the signed scores (N, 1 + K)
    Raises   ValueError if the shapes do not belong together

    >>> v, u = np.zeros((1, 3)), np.zeros((1, 6, 3))
    >>> float(sgns_forward(v, u)[0][0] / np.log(2))
    6.0
    """
    xp = array_module(v, u)
    require_floating("sgns", v=v, u=u)
    if v.ndim != 2 or u.ndim != 3 or u.shape[0] != v.shape[0] or u.shape[2] != v.shape[1]:
        raise ValueError(f"sgns: v must be (N, C) and u (N, 1 + K, C), got {v.shape} and {u.shape}")
    signed = (u @ v[:, :, None])[:, :, 0]  # (N, 1 + K)
    signed[:, 0] *= -1
    # log(1 + exp(x)) with an exponent that is never positive
    loss = xp.clip(signed, 0.0, None) + xp.log1p(xp.exp(-xp.absolute(signed)))
    return loss.sum(axis=1), (v, u, signed)


def sgns_backward(grad_out, saved):
    """Gradients w.r.t. (v, u), by (3), (4) and (5)."""
    v, u, signed = saved
    # forward:  loss = log(1 + exp(e s)) summed over k
    grad_s = sigmoid_of(signed)
    grad_s *= grad_out[:, None]
    grad_s[:, 0] *= -1  # (3)
    # forward:  s_k = u_k . v
    grad_v = (grad_s[:, None, :] @ u)[:, 0, :]  # (4)
    grad_u = grad_s[:, :, None] * v[:, None, :]  # (5)
    return grad_v, grad_u


@gets_no_gradient("visible")
def context_mean_forward(v, *, visible):
    """The mean of the vectors around a word, for N words.

    Shapes   v (N, W, C); visible (N, W) boolean, False where there is no word -> out (N, C)
    Saves    visible, and how many are visible (N, 1); a row without any has the mean 0

    >>> v = np.array([[[1.0], [3.0], [50.0]]])
    >>> context_mean_forward(v, visible=np.array([[True, True, False]]))[0]
    array([[2.]])
    """
    weight = visible.astype(v.dtype)  # (N, W)
    weight /= weight.sum(axis=1, keepdims=True).clip(1)
    return (weight[:, None, :] @ v)[:, 0, :], weight


def context_mean_backward(grad_out, saved):
    """Gradient w.r.t. v, by (6)."""
    return (saved[:, :, None] * grad_out[:, None, :],)


# -------------------------------------------------------------------------------- the model


@dataclass(frozen=True)
class Word2VecConfig:
    """Settings of Word2Vec.

    dim             length C of a vector
    window          largest distance of a context word
    negatives       words of noise per pair, K
    cbow            True for CBOW, False for skip-gram
    subsample       the t of equation 5: frequent words are dropped now and then; None to keep all
    noise_power     of the counts, for the noise
    learning_rate   at the start; None for 0.05 with skip-gram and 0.1 with CBOW, whose gradient is
                    divided among the words around
    epochs          passes over the sentences
    min_count       words that occur less often have no vector
    batch_size      examples whose gradients are added before a step, at most: fewer for few words
    seed            of all that is drawn: equal seeds give equal vectors

    >>> Word2VecConfig(dim=50, cbow=True).window
    5
    """

    dim: int = 100
    window: int = 5
    negatives: int = 5
    cbow: bool = False
    subsample: float | None = 1e-3
    noise_power: float = 0.75
    learning_rate: float | None = None
    epochs: int = 5
    min_count: int = 1
    batch_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        rate = self.rate if self.learning_rate is None else self.learning_rate
        subsample = 1.0 if self.subsample is None else self.subsample
        require_settings(
            "Word2VecConfig", dim=(self.dim, 1, "integer"), window=(self.window, 1, "integer"),
            negatives=(self.negatives, 1, "integer"), epochs=(self.epochs, 1, "integer"),
            min_count=(self.min_count, 1, "integer"), batch_size=(self.batch_size, 1, "integer"),
            subsample=(subsample, 0.0, "number"), learning_rate=(rate, 0.0, "number"),
            noise_power=(self.noise_power, 0.0, "number"),
        )  # fmt: skip

    @property
    def rate(self) -> float:
        """The learning rate at the start."""
        return self.learning_rate or (0.1 if self.cbow else 0.05)


class Word2Vec(WordVectors):
    """Word vectors by skip-gram with negative sampling, or by CBOW.

    vectors   the v of the formula, (V, C) float32: what neighbours and analogies use
    outputs   the u of the formula, (V, C)
    losses    mean loss of an example in each epoch, in nats; it begins near (1 + negatives) ln 2

    >>> sentences = ["the cat drinks milk", "the dog drinks milk", "a king wears gold"] * 50
    >>> model = Word2Vec(Word2VecConfig(dim=8, epochs=20, subsample=None)).fit(sentences)
    >>> model.most_similar("cat", n=1)[0][0]
    'dog'
    """

    def __init__(self, config: Word2VecConfig | None = None) -> None:
        self.config = config or Word2VecConfig()
        self.losses: list[float] = []
        self.outputs = np.zeros((0, self.config.dim), dtype=np.float32)
        self._set([], self.outputs, None)

    def fit(self, sentences: Iterable[Any], progress: bool = True) -> "Word2Vec":
        """Learn the vectors, from the beginning.

        sentences   each a list of words, or a string that is cut at white space; read once
        progress    a bar, where somebody can see it
        Raises      TypeError for one string instead of sentences; ValueError if there is too little
        """
        config, rng = self.config, np.random.default_rng(self.config.seed)
        corpus = read_corpus("Word2Vec", sentences, config.min_count)
        _require_pairs(corpus)
        V, C = len(corpus.words), config.dim
        start = ((rng.random((V, C)) - 0.5) / C).astype(np.float32)
        self._set(corpus.words, start, corpus.counts)
        self.outputs, self.losses = np.zeros((V, C), dtype=np.float32), []
        noise = np.cumsum(corpus.counts**config.noise_power)
        words, size = len(corpus.ids), self._safe_batch_size(corpus)
        silent = np.errstate(over="ignore", invalid="ignore")  # require_finite says it better
        with silent, progress_bar(config.epochs * words, "Word2Vec", progress) as bar:
            for epoch in range(config.epochs):
                loss, count = 0.0, 0
                for position, context, middle in self._batches(corpus, size, rng):
                    done = (epoch + position) / config.epochs
                    rate = config.rate * max(1 - done, SMALLEST_RATE)
                    drawn = rng.random((len(middle), config.negatives)) * noise[-1]
                    negatives = np.searchsorted(noise, drawn, side="right")
                    loss += float(self.step(context, middle, negatives, rate).sum())
                    count += len(middle)
                    bar.update(int((epoch + position) * words) - bar.n)
                self.losses.append(loss / max(count, 1))
                require_finite("Word2Vec", self.losses[-1], config.rate)
        return self

    def step(
        self, context: np.ndarray, middle: np.ndarray, negatives: np.ndarray, rate: float
    ) -> np.ndarray:
        """One step of gradient descent on the sum of the losses of some examples; gives the losses.

        Shapes   skip-gram: context (N,), one word around for each in the middle; CBOW: context (N, W),
                 all of them, -1 for none; middle (N,); negatives (N, K) -> (N,)
        """
        if self.config.cbow:
            visible = context >= 0
            around = self.vectors[context]  # (N, W, C), the rows of -1 unseen
            v, mean = context_mean_forward(around, visible=visible)
            v_ids, seen = context[visible], middle
        else:
            v, v_ids, seen = self.vectors[middle], middle, context
        u_ids = np.concatenate([seen[:, None], negatives], axis=1)  # (N, 1 + K)
        loss, saved = sgns_forward(v, self.outputs[u_ids])
        # every gradient already carries the factor -rate: what comes out is what is to be added
        grad_v, grad_u = sgns_backward(np.full(len(v), -rate, dtype=v.dtype), saved)
        if self.config.cbow:
            grad_v = context_mean_backward(grad_v, mean)[0][visible]  # in the order of v_ids
        scatter_add(self.vectors, v_ids, grad_v)
        scatter_add(self.outputs, u_ids.reshape(-1), grad_u.reshape(-1, v.shape[1]))
        return loss

    def _safe_batch_size(self, corpus: Corpus) -> int:
        """batch_size, or less for few words or one that is very frequent: see MOST_IN_A_BATCH."""
        config, seen = self.config, corpus.counts / corpus.counts.sum()
        if config.subsample is not None:
            seen = np.minimum(seen, np.sqrt(config.subsample * seen))
            seen /= seen.sum()
        noise = corpus.counts**config.noise_power
        often = (seen + config.negatives * noise / noise.sum()).max()  # per example
        return max(1, min(config.batch_size, int(MOST_IN_A_BATCH / often)))

    def _batches(
        self, corpus: Corpus, size: int, rng: np.random.Generator
    ) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """One pass: (part of it that is done, contexts, middles) of each batch, as step wants them."""
        ids, numbers = subsampled(corpus, self.config.subsample, rng)
        for first in range(0, len(ids), CHUNK):
            middles = np.arange(first, min(first + CHUNK, len(ids)))
            around = windows(ids, numbers, middles, self.config.window, rng)  # (n, 2 window)
            if self.config.cbow:
                rows = np.flatnonzero((around >= 0).any(axis=1))
                context, middle = around[rows], ids[middles[rows]]
            else:
                rows, columns = np.nonzero(around >= 0)
                context, middle = around[rows, columns], ids[middles[rows]]
            order = rng.permutation(len(middle))
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                position = (first + len(middles) * start / len(order)) / len(ids)
                yield position, context[batch], middle[batch]


def _require_pairs(corpus: Corpus) -> None:
    if not (corpus.sentences[1:] == corpus.sentences[:-1]).any():
        raise ValueError(
            "Word2Vec: no sentence has two words: a sentence is a list of words, or a string that is "
            "cut at white space (for Chinese give lists of words or of characters)"
        )


def subsampled(
    corpus: Corpus, threshold: float | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and numbers of sentences of the occurrences that are kept, by equation 5 of the paper."""
    if threshold is None:
        return corpus.ids, corpus.sentences
    frequency = corpus.counts / corpus.counts.sum()
    kept = rng.random(len(corpus.ids)) < np.sqrt(threshold / frequency)[corpus.ids]
    return corpus.ids[kept], corpus.sentences[kept]


def windows(
    ids: np.ndarray,
    numbers: np.ndarray,
    middles: np.ndarray,
    window: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The words around each position of `middles`, in windows of random size; -1 where there is none.

    Shapes   ids, numbers (N,): words and their sentences; middles (n,) -> (n, 2 window)
    """
    reach = rng.integers(1, window + 1, len(middles))  # the b of the formula
    offsets = [o for o in range(-window, window + 1) if o]
    around = np.full((len(middles), len(offsets)), -1, dtype=np.int64)
    for column, offset in enumerate(offsets):
        place = np.clip(middles + offset, 0, len(ids) - 1)
        inside = (place == middles + offset) & (abs(offset) <= reach)
        inside &= numbers[place] == numbers[middles]  # not across the end of a sentence
        around[inside, column] = ids[place[inside]]
    return around
