"""Recurrent models: a classifier of texts, and a language model, on an LSTM, a GRU or a plain RNN.

    x_t     = embedding[token_t]
    h_t     = cell(x_t, h_{t-1})            ops/lstm.py, ops/gru.py, ops/rnn.py; one or more layers

    classifier        logits = h_T @ weight + bias             what was read, at the last real token
    language model    logits_t = h_t @ weight + bias           for token t + 1, at every position

The classifier with its default sizes is the network of Keras tutorials: Embedding(1000, 50),
LSTM(128), Dense(1, sigmoid), with the sigmoid inside the loss, where it cannot overflow.

Dropout acts where values go up, never along time (Zaremba et al. 2014, arXiv:1409.2329, section 3.1):
after the embedding, between layers, before the output.

Padding is never read.  Real tokens are moved to the front of each row, `lengths` tells the layers
where each row ends, and outputs are moved back; so padding may stand on either side.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import Tensor, no_grad, unwrap
from ..backend import beside, default_generator, to_numpy
from ..generation import GenerationMixin
from ..nn import GRU, LSTM, RNN, Dropout, Embedding, Linear, Module, Parameter, evaluating
from ..nn.arguments import require_known
from ..ops.checks import require_ids
from .inputs import as_ids, key_mask
from .output import ModelOutput
from .pretrained import PretrainedMixin
from .sequences import (
    StepCache,
    config_of,
    next_token_loss,
    require_fields,
    require_logits_to_keep,
    require_tokens,
)

CELLS: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


@dataclass
class RecurrentConfig:
    """What the shape of both models has in common."""

    vocab_size: int = 1000  # V
    embedding_dim: int = 50  # the width of a token
    hidden_size: int = 128  # H, the width of the state
    num_layers: int = 1
    bidirectional: bool = False  # read from right to left as well
    dropout: float = 0.0
    cell: str = "lstm"  # "lstm", "gru" or "rnn"
    initializer_range: float = 0.1  # embeddings are uniform within -0.1 … 0.1

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "embedding_dim", "hidden_size", "num_layers")
        require_fields(self, sizes, ("dropout",))
        require_known(self, cell=tuple(CELLS))
        if not isinstance(self.bidirectional, bool):
            raise ValueError(
                f"{type(self).__name__}: bidirectional must be True or False, got "
                f"{self.bidirectional!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """All fields, for config.json."""
        return asdict(self)


@dataclass
class LSTMClassifierConfig(RecurrentConfig):
    """The shape of a recurrent classifier.

    >>> LSTMClassifierConfig(num_labels=3, cell="gru").hidden_size
    128
    """

    num_labels: int = 1  # 1: yes or no, by a sigmoid; more: one of them, by a softmax
    model_type: str = "lstm_classifier"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fields(self, ("num_labels",), ())


@dataclass
class LSTMLanguageModelConfig(RecurrentConfig):
    """The shape of a recurrent language model.

    >>> LSTMLanguageModelConfig(embedding_dim=128, tie_word_embeddings=True).vocab_size
    1000
    """

    tie_word_embeddings: bool = False  # the output matrix is the embedding, transposed
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    model_type: str = "lstm_language_model"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_tokens(self, self.vocab_size, "bos_token_id", "eos_token_id", "pad_token_id")
        if self.bidirectional:
            raise ValueError(
                "LSTMLanguageModelConfig: bidirectional must be False: reading from right to left "
                "would show each position the token that it is to predict"
            )
        if self.tie_word_embeddings and self.embedding_dim != self.hidden_size:
            raise ValueError(
                f"LSTMLanguageModelConfig: tie_word_embeddings needs embedding_dim "
                f"{self.embedding_dim} equal to hidden_size {self.hidden_size}, because one matrix "
                "serves both"
            )


class RecurrentModel(PretrainedMixin, Module):
    """Embedding and stack, which both models begin with."""

    config: Any
    stored_transposed = ()  # files hold the arrays as they are here

    def build(self, config: RecurrentConfig, dtype: Any, rng: np.random.Generator) -> None:
        """Set the common layers."""
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.embedding_dim, dtype=dtype, rng=rng)
        self.dropout = Dropout(config.dropout)
        self.stack = CELLS[config.cell](
            config.embedding_dim, config.hidden_size, config.num_layers,
            bidirectional=config.bidirectional, dropout=config.dropout, dtype=dtype, rng=rng,
        )  # fmt: skip
        bound = config.initializer_range
        drawn = rng.uniform(-bound, bound, self.embedding.weight.shape)
        self.embedding.weight.data[...] = drawn
        if config.cell == "lstm":
            H = config.hidden_size
            for name, p in self.stack.named_parameters():
                if name.endswith("bias"):
                    p.data[H : 2 * H] = 1  # the forget gate: remember from the first step

    def read(
        self, ids: Any, attention_mask: Any, state: Any = None, cached: int = 0
    ) -> tuple[Tensor, Any]:
        """The outputs at every position, 0 at padding, and the final state of every layer.

        Shapes   ids (B, T); attention_mask (B, cached + T) -> (B, T, H · directions), state
        """
        name = type(self).__name__
        lengths = back = None
        if attention_mask is not None:
            ids, lengths, back = _without_padding(name, ids, attention_mask, cached)
        x = self.dropout(self.embedding(ids))  # (B, T, C)
        x, state = self.stack(x, state, lengths=lengths)
        if back is not None:
            B, T, width = x.shape
            x = F.embedding(back, x.reshape(B * T, width))  # rows looked up by number
        return x, state


def _without_padding(
    name: str, ids: Any, attention_mask: Any, cached: int
) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """(ids with real tokens in front, how many there are, where each output went).

    The last is None where padding stands behind the tokens already, else (B, T) numbers of rows of
    the flat batch.
    """
    mask = to_numpy(unwrap(attention_mask))
    key_mask(name, mask, ids, like=mask, cached=cached)  # raises unless it fits
    mask = mask.astype(bool)[:, cached:]
    lengths = mask.sum(axis=1)
    empty = np.flatnonzero(lengths == 0)
    if empty.size:
        raise ValueError(
            f"{name}: row {empty[0]} of attention_mask shows no tokens: leave empty sentences out, "
            "or give them one token"
        )
    order = np.argsort(~mask, axis=1, kind="stable")  # (B, T)  real tokens first
    if (order == np.arange(ids.shape[1])).all():
        return ids, lengths, None
    back = np.argsort(order, axis=1) + ids.shape[1] * np.arange(len(ids))[:, None]
    return np.take_along_axis(to_numpy(ids), order, axis=1), lengths, back


class LSTMClassifier(RecurrentModel):
    """Reads a text token by token, and names its class by what it remembers at the end.

    LSTMClassifier(), LSTMClassifier(config) or LSTMClassifier(num_labels=3, bidirectional=True):
    fields of LSTMClassifierConfig by name.  With two directions, the last states of both stand side
    by side.

    Parameters   embedding (V, C), stack as in nn.LSTM with forget-gate biases of 1, output
                 (H · directions, num_labels)

    >>> import numpy as np
    >>> model = LSTMClassifier(vocab_size=11, embedding_dim=4, hidden_size=5)
    >>> ids, mask = np.array([[1, 2, 3], [4, 5, 0]]), np.array([[1, 1, 1], [1, 1, 0]])
    >>> output = model(ids, labels=[1, 0], attention_mask=mask)
    >>> output.logits.shape, output.loss.shape, model.probabilities(ids, mask).shape
    ((2, 1), (), (2, 1))
    """

    config_class = LSTMClassifierConfig

    def __init__(
        self,
        config: LSTMClassifierConfig | None = None,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
        **options: Any,
    ) -> None:
        config = config_of("LSTMClassifier", LSTMClassifierConfig, config, options)
        rng = default_generator(rng)
        self.build(config, dtype, rng)
        width = config.hidden_size * self.stack.directions
        self.output = Linear(width, config.num_labels, dtype=dtype, rng=rng)

    def forward(
        self, input_ids: Any, labels: Any = None, attention_mask: Any = None
    ) -> ModelOutput:
        """Logits (B, num_labels), and the loss if labels are given.

        input_ids        (B, T) integers
        attention_mask   (B, T) 1 for tokens, 0 for padding on either side, which is not read
        labels           with num_labels = 1 numbers within 0 … 1, (B,) or (B, 1): binary
                         cross-entropy of the sigmoid; else integers (B,): cross-entropy of the softmax;
                         or floats (B, num_labels) for several labels at once: binary cross-entropy

        Raises   ValueError for a text without tokens, or labels that do not fit
        """
        ids = as_ids("LSTMClassifier", "input_ids", input_ids)
        _, state = self.read(ids, attention_mask)
        h = state[0] if isinstance(state, tuple) else state  # (layers · directions, B, H)
        last = h[-1]  # (B, H)
        if self.config.bidirectional:
            last = F.concatenate(h[-2], last, axis=-1)  # (B, 2H)
        logits = self.output(self.dropout(last))
        if labels is None:
            return ModelOutput(logits=logits)
        return ModelOutput(self.loss(logits, labels), logits, num_targets=len(ids))

    def loss(self, logits: Tensor, labels: Any) -> Tensor:
        """The mean loss of logits (B, num_labels)."""
        labels = Tensor(labels).data
        B, classes = logits.shape
        several = classes > 1 and labels.dtype.kind == "f"
        wanted = (B, classes) if several else (B,)
        if labels.shape != wanted and (several or labels.shape != (B, 1)):
            raise ValueError(
                f"LSTMClassifier: labels {labels.shape} must be {wanted}, for {B} texts and "
                f"num_labels = {classes}"
            )
        if classes > 1 and not several:
            labels = labels.reshape(-1)
            require_ids("LSTMClassifier", "labels", labels, classes)
            return F.cross_entropy(logits, labels)
        if ((labels < 0) | (labels > 1)).any():
            hint = "" if several else ": for more than two classes, build with num_labels"
            raise ValueError(
                f"LSTMClassifier: labels must be within 0 … 1, found {labels.min()} … "
                f"{labels.max()}{hint}"
            )
        targets = beside(labels.reshape(logits.shape).astype(logits.dtype), logits.data)
        return F.binary_cross_entropy_with_logits(logits, targets)

    def probabilities(self, input_ids: Any, attention_mask: Any = None) -> np.ndarray:
        """What the model believes, on the host, without dropout.

        Shapes   -> (B, 1) the probability of a yes with num_labels = 1, else (B, num_labels), rows
                 that sum to 1
        """
        with no_grad(), evaluating(self):
            logits = self(input_ids, attention_mask=attention_mask).logits
            p = F.sigmoid(logits) if logits.shape[1] == 1 else F.softmax(logits)
        return p.numpy()


class LSTMLanguageModel(GenerationMixin, RecurrentModel):
    """Predicts each next token from what it remembers of those before.

    LSTMLanguageModel(), LSTMLanguageModel(config) or fields of LSTMLanguageModelConfig by name.
    A step of writing reads one token: the state is all that is carried on, whatever the length.

    Parameters   embedding (V, C), stack as in nn.LSTM with forget-gate biases of 1, output (H, V) with
                 its bias; only output_bias (V,) where the output matrix is the embedding

    >>> import numpy as np
    >>> sizes = {"vocab_size": 11, "embedding_dim": 4, "hidden_size": 5, "num_layers": 2}
    >>> model = LSTMLanguageModel(**sizes, rng=np.random.default_rng(0))
    >>> ids = np.array([[1, 2, 3]])
    >>> model(ids, labels=ids).logits.shape, model.generate(ids, max_new_tokens=4).shape
    ((1, 3, 11), (1, 7))
    """

    config_class = LSTMLanguageModelConfig

    def __init__(
        self,
        config: LSTMLanguageModelConfig | None = None,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
        **options: Any,
    ) -> None:
        config = config_of("LSTMLanguageModel", LSTMLanguageModelConfig, config, options)
        rng = default_generator(rng)
        self.build(config, dtype, rng)
        self.output = self.output_bias = None
        if config.tie_word_embeddings:
            self.output_bias = Parameter(np.zeros(config.vocab_size, dtype=dtype))
        else:
            self.output = Linear(config.hidden_size, config.vocab_size, dtype=dtype, rng=rng)

    def new_cache(self, batch: int, capacity: int = 0) -> StepCache:
        """An empty state for `batch` sequences; it needs no room for their tokens.

        >>> LSTMLanguageModel().new_cache(2).length
        0
        """
        return StepCache(batch, axis=1)

    def forward(
        self,
        input_ids: Any,
        labels: Any = None,
        attention_mask: Any = None,
        *,
        cache: StepCache | None = None,
        logits_to_keep: int = 0,
    ) -> ModelOutput:
        """Logits for the next token at each position, and the loss if labels are given.

        input_ids        (B, T) integers
        labels           (B, T) integers, usually input_ids itself: they are shifted here, so that
                         position t predicts label t + 1; -100 is ignored
        attention_mask   (B, T) 1 for tokens, 0 for padding on either side, which is not read
        cache            from new_cache: input_ids are then only the tokens that follow those it has
                         seen, while attention_mask covers both.  Gradients do not flow into it, so
                         that a long text can be learned piece by piece
        logits_to_keep   compute the logits of so many last positions only; 0 for all
        """
        name = "LSTMLanguageModel"
        ids = as_ids(name, "input_ids", input_ids)
        require_logits_to_keep(name, logits_to_keep, labels)
        if cache is None:
            x, _ = self.read(ids, attention_mask)
        else:
            cache.require_rows(name, ids)
            x, state = self.read(ids, attention_mask, cache.state, cache.length)
            cache.update(state, ids.shape[1])
        logits = self.next_token_logits(x[:, -logits_to_keep:] if logits_to_keep else x)
        loss = num_targets = None
        if labels is not None:
            loss, num_targets = next_token_loss(name, logits, ids, labels)
        return ModelOutput(loss, logits, num_targets=num_targets)

    def next_token_logits(self, x: Tensor) -> Tensor:
        """Shapes   x (B, T, H) -> (B, T, V)."""
        x = self.dropout(x)
        if self.output is None:
            return F.linear(x, self.embedding.weight.T, self.output_bias)
        return self.output(x)
