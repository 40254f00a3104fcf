"""What the recurrent models, the Transformer language model and the encoder-decoder share."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from .. import functional as F
from ..arguments import is_number, require_whole
from ..autograd import Tensor
from ..backend import beside
from ..nn import PositionalEncoding
from .inputs import as_ids


def config_of(model: str, kind: type, config: Any, options: dict[str, Any]) -> Any:
    """The config itself, or one built from its fields given by name.

    Raises   TypeError that lists the fields, for a name that is none of them or another kind of config

    >>> from minillm.models import LSTMClassifierConfig
    >>> config_of("LSTMClassifier", LSTMClassifierConfig, None, {"num_labels": 3}).num_labels
    3
    """
    known = [field.name for field in fields(kind)]
    for name in options:
        if name not in known:
            raise TypeError(
                f"{model}: there is no argument {name!r}; it takes {', '.join(known)}, dtype and rng"
            )
    if config is None:
        return kind(**options)
    if not isinstance(config, kind):
        raise TypeError(
            f"{model}: config must be a {kind.__name__}, got {type(config).__name__}: write "
            f"{model}({kind.__name__}(…)), or name its fields: {model}({known[0]}=…)"
        )
    if options:
        raise TypeError(
            f"{model}: {', '.join(options)} given beside a config: set the fields in the config"
        )
    return config


def require_fields(config: Any, sizes: tuple[str, ...], shares: tuple[str, ...]) -> None:
    """Sizes are integers of at least 1, shares are numbers within 0 … 1."""
    owner = type(config).__name__
    for name in sizes:
        require_whole(owner, name, getattr(config, name))
    for name in shares:
        value = getattr(config, name)
        if not is_number(value) or not 0 <= value <= 1:
            raise ValueError(f"{owner}: {name} must be a number within 0 … 1, got {value!r}")


def require_tokens(config: Any, size: int, *names: str) -> None:
    """Ids of special tokens are None or lie within the vocabulary."""
    for name in names:
        value = getattr(config, name)
        if value is not None and (not isinstance(value, int) or not 0 <= value < size):
            raise ValueError(
                f"{type(config).__name__}: {name} must be an id within 0 … {size - 1}, got {value!r}"
            )


def require_room(model: str, name: str, ids: Any, positions: int, cached: int = 0) -> None:
    """A sequence must not be longer than the positions of the model."""
    if cached + ids.shape[1] > positions:
        after = f" after {cached} tokens in the cache" if cached else ""
        raise ValueError(
            f"{model}: {name} {ids.shape}{after} are longer than the {positions} positions of the "
            "model: cut them, or build it with a larger max_position_embeddings"
        )


def require_logits_to_keep(model: str, logits_to_keep: int, labels: Any) -> None:
    """0 for all logits, or a number of last positions where there is no loss to compute."""
    if logits_to_keep < 0 or (logits_to_keep and labels is not None):
        raise ValueError(
            f"{model}: logits_to_keep must be 0 for all or a number of last positions, and 0 with "
            f"labels, because the loss needs all logits; got {logits_to_keep}"
        )


def next_token_loss(model: str, logits: Tensor, ids: Any, labels: Any) -> tuple[Tensor, int]:
    """(the mean cross-entropy of the tokens that follow, how many they are).

    Position t predicts label t + 1; -100 is ignored.

    Shapes   logits (B, T, V); ids, labels (B, T) -> ()
    """
    targets = as_ids(model, "labels", labels)
    if targets.shape != ids.shape or ids.shape[1] < 2:
        raise ValueError(
            f"{model}: labels {targets.shape} must have the shape of input_ids {ids.shape} "
            "and at least 2 tokens, because each token predicts the next"
        )
    loss = F.cross_entropy(logits[:, :-1], targets[:, 1:])
    return loss, int((targets[:, 1:] != -100).sum())


class RowPositions(PositionalEncoding):
    """Sinusoidal positions that may differ from row to row: padding on the left does not count.

    Shapes   x (B, T, C) -> the same

    >>> x = np.zeros((1, 2, 4))
    >>> RowPositions(4, dropout=0.0).at(x, np.array([[0, 0]])).data[0]
    array([[0., 1., 0., 1.],
           [0., 1., 0., 1.]])
    """

    def at(self, x: Any, positions: Any) -> Tensor:
        """Shapes   x (B, T, C), positions (B, T) integers -> (B, T, C)."""
        table = self._sines(int(positions.max()) + 1, x.data if isinstance(x, Tensor) else x)
        return self.dropout(F.embedding(positions, table) + x)


class StepCache:
    """What a model carries from one step of writing to the next, with the interface of KVCache.

    batch     rows
    axis      which axis of its arrays counts the rows
    state     nested tuples and lists of Tensors, as the layers return them; None before the first step
    length    tokens read so far

    Values are kept, their history is not: gradients end at the border between two steps.

    >>> cache = StepCache(batch=2)
    >>> cache.update((Tensor([[1.0], [2.0]]),), tokens=3)
    >>> cache.reorder([1, 1, 0])
    >>> cache.length, cache.state[0].shape
    (3, (3, 1))
    """

    def __init__(self, batch: int, axis: int = 0) -> None:
        if batch < 1:
            raise ValueError(f"StepCache: batch must be at least 1, got {batch}")
        self.batch, self.axis, self.length = batch, axis, 0
        self.state: Any = None

    def require_rows(self, model: str, ids: Any) -> None:
        """The rows of a step must be those that the cache was made for."""
        if len(ids) != self.batch:
            raise ValueError(
                f"{model}: input_ids {ids.shape} have {len(ids)} rows, but the cache was made for "
                f"{self.batch}: make one with new_cache({len(ids)})"
            )

    def update(self, state: Any, tokens: int) -> None:
        """Keep the state after so many further tokens."""
        self.state = each_part(state, Tensor.detach)
        self.length += tokens

    def reorder(self, rows: Any, *, start: int = 0) -> None:
        """Row i becomes a copy of what row rows[i] was; rows may repeat, so the batch may change.

        start    as for KVCache; nothing here is kept by position, so rows are always taken whole
        """
        rows = np.asarray(rows)
        self.state = each_part(self.state, lambda part: take_rows(part, rows, self.axis))
        self.batch = len(rows)


def each_part(state: Any, change: Callable[[Any], Any]) -> Any:
    """The same nested tuples and lists, with every Tensor in them changed; None stays None."""
    if isinstance(state, (tuple, list)):
        return type(state)(each_part(part, change) for part in state)
    return None if state is None else change(state)


def take_rows(part: Any, rows: np.ndarray, axis: int = 0) -> Any:
    """Some rows of a Tensor (without history) or of an array."""
    array = part.data if isinstance(part, Tensor) else part
    index = (slice(None),) * axis + (beside(rows, array),)
    return Tensor(array[index]) if isinstance(part, Tensor) else array[index]
