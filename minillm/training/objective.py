"""One batch: what it holds, what the model makes of it, and how many targets its mean loss counts.

A batch is a tuple (x, y), or a dict of arguments for the model.  `fit` and `evaluate` know batches
only through the functions here.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor, unwrap
from ..backend import array_module, host_numbers, is_array, to_numpy

TERMS = 2  # as many means as the loss of a model is the sum of: BERT's pre-training has two
IGNORED = -100  # the label that says: no target here


def forward_batch(model: Any, batch: Any, loss: Callable | None) -> tuple[Any, Tensor]:
    """(output, loss) of one batch, which is carried to the device of the model first."""
    xp = array_module(*itertools.islice((p.data for p in model.parameters()), 1))
    if isinstance(batch, dict):
        output = model(**{name: _on_device(xp, value) for name, value in batch.items()})
    elif not isinstance(batch, (tuple, list)) or len(batch) != 2:
        found = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise ValueError(
            f"fit: a batch must be a tuple (x, y) or a dict, got {found}; whole arrays are passed "
            "as a tuple, fit(model, optimizer, (x, y))"
        )
    elif loss is None:
        output = model(_on_device(xp, batch[0]), labels=_on_device(xp, batch[1]))
    else:
        output = model(_on_device(xp, batch[0]))
    value = getattr(output, "loss", None)
    if not isinstance(batch, dict) and loss is not None:
        value = loss(logits_of(output), _on_device(xp, batch[1]))
    if value is not None and not isinstance(value, Tensor):
        raise TypeError(
            f"fit: the loss must be a Tensor, which can be differentiated, got {type(value).__name__}"
        )
    if value is None:
        raise ValueError("fit: the model gave no .loss: pass loss=, or batches that hold labels")
    if options_of(loss).get("reduction", "mean") != "mean":
        raise ValueError(
            "fit: the loss must be the mean over its targets, so that batches of any size go together, "
            f"got reduction={options_of(loss)['reduction']!r}: leave reduction out"
        )
    if value.size != 1:
        raise ValueError(
            f"fit: the loss must be one number, got shape {value.shape}: take its mean"
        )
    return output, value


def _on_device(xp: Any, value: Any) -> Any:
    """A host array on the device, unless it holds integers; Tensors and everything else as they are.

    Integers are ids, labels and lengths.  The operation that reads them checks them, which on the host
    costs no waiting, and carries them over.
    """
    if xp is np or not isinstance(value, np.ndarray) or value.dtype.kind in "iu":
        return value
    return xp.asarray(value)


def logits_of(output: Any) -> Tensor:
    """The logits of a model's output, or the output itself."""
    return getattr(output, "logits", output)


def target_of(batch: Any) -> Any:
    """The labels of a batch; None for a dict without labels."""
    return batch.get("labels") if isinstance(batch, dict) else batch[1]


def count_targets(output: Any, batch: Any, loss: Callable | None) -> float:
    """How many targets the mean loss of this batch is a mean over; of weighted classes, their weights.

    What functools.partial has given the loss counts: its ignore_index, and the weight of each class.
    """
    counted = getattr(output, "num_targets", None)
    if counted is not None:  # a model that shifts its labels knows better
        return counted
    target = target_of(batch)
    if target is None:
        return next((len(value) for value in batch.values() if _has_rows(value)), 1)
    target = to_numpy(unwrap(target))
    if target.dtype.kind not in "iu":
        return target.size
    options = {} if isinstance(batch, dict) else options_of(loss)
    kept = target[target != options.get("ignore_index", IGNORED)]
    weight = options.get("weight")
    return kept.size if weight is None else float(to_numpy(unwrap(weight))[kept].sum())


def terms_of(
    output: Any, mean: Tensor, batch: Any, loss: Callable | None
) -> list[tuple[Tensor, float]]:
    """The means that the loss is the sum of, each with the number of its targets; mostly one."""
    own_loss = loss is None or isinstance(batch, dict)
    terms = getattr(output, "terms", ()) if own_loss else ()
    return list(terms) or [(mean, count_targets(output, batch, loss))]


class LossSum:
    """The loss over several batches or parts: each of its means over all targets it has there.

    sums, targets   of each mean, of which there are at most TERMS

    >>> found = LossSum()
    >>> found.add([(Tensor(2.0), 3)])
    >>> found.add([(Tensor(4.0), 1)])
    >>> found.value
    2.5
    """

    def __init__(self) -> None:
        self.sums, self.targets = np.zeros(TERMS), np.zeros(TERMS)

    def add(self, terms: list[tuple[Tensor, float]]) -> None:
        """Add those of one batch; the device is asked once."""
        means, counts = zip(*terms, strict=True)
        self.sums[: len(means)] += np.multiply(host_numbers([m.data for m in means]), counts)
        self.targets[: len(means)] += counts

    def over(self, ranks: Any) -> "LossSum":
        """That of all processes together."""
        self.sums, self.targets = np.split(ranks.sum([*self.sums, *self.targets]), 2)
        return self

    @property
    def counts(self) -> np.ndarray:
        """The targets to divide by: a mean over nothing is 0."""
        return np.where(self.targets, self.targets, 1)

    @property
    def value(self) -> float:
        """The sum of the means."""
        return float((self.sums / self.counts).sum())


def options_of(loss: Any) -> dict[str, Any]:
    """The options that functools.partial has given a loss.

    >>> options_of(functools.partial(max, key=len))
    {'key': <built-in function len>}
    """
    options: dict[str, Any] = {}
    while isinstance(loss, functools.partial):
        options = {**loss.keywords, **options}
        loss = loss.func
    return options


def count_tokens(batch: Any) -> int:
    """Positions in a batch, or rows where there are no positions."""
    first = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return int(np.prod(np.shape(first)[:2]))


# ------------------------------------------------------------------------- parts of a batch


def split_batch(batch: Any, parts: int, loss: Callable | None = None) -> list[Any]:
    """The rows of a batch in this many runs of neighbours; None where nothing is left to learn from.

    Every array must have one row for each example; what is not an array goes to every part.

    Raises   ValueError that names an array with another number of rows

    >>> [y.tolist() for x, y in split_batch((np.zeros((5, 2)), np.arange(5)), 2)]
    [[0, 1], [2, 3, 4]]
    """
    keys = list(batch) if isinstance(batch, dict) else list(range(len(batch)))
    sizes = {key: len(batch[key]) for key in keys if _has_rows(batch[key])}
    if len(set(sizes.values())) != 1:
        found = ", ".join(f"{key}: {size}" for key, size in sizes.items()) or "no arrays"
        raise ValueError(
            "fit: a batch can be shared out only if all its arrays have one row for each example; "
            f"rows found here: {found}. Use workers=1"
        )
    rows = next(iter(sizes.values()))
    cuts = [part * rows // parts for part in range(parts + 1)]
    ignored = options_of(loss).get("ignore_index", IGNORED)
    return [_rows(batch, keys, slice(*cut), ignored) for cut in itertools.pairwise(cuts)]


def _rows(batch: Any, keys: list, rows: slice, ignored: int) -> Any:
    """These rows of every array of a batch; None if no target is among them."""
    values = [batch[key][rows] if _has_rows(batch[key]) else batch[key] for key in keys]
    part = dict(zip(keys, values, strict=True)) if isinstance(batch, dict) else type(batch)(values)
    if rows.start == rows.stop or all(_is_ignored(target, ignored) for target in _targets(part)):
        return None
    return part


def _targets(part: Any) -> list[Any]:
    """Everything in a batch that is learned; a model may take several kinds of labels."""
    if not isinstance(part, dict):
        return [part[1]]
    return [value for name, value in part.items() if "label" in name] or [None]


def _is_ignored(target: Any, ignored: int) -> bool:
    if not isinstance(target, np.ndarray) or target.dtype.kind not in "iu":
        return False
    return not (target != ignored).any()


def _has_rows(value: Any) -> bool:
    return (isinstance(value, Tensor) or is_array(value)) and value.ndim > 0
