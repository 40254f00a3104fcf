"""Accuracy, precision, recall and F1 of labels, the confusion matrix, and a table of all of them.

With tp the number of items that have a label and were given it (true positives), fp those that were
given it wrongly, and fn those that should have been given it (van Rijsbergen 1979, Information
Retrieval, chapter 7):

    precision = tp / (tp + fp)      of what was said, how much is right
    recall    = tp / (tp + fn)      of what should be said, how much was
    F1        = 2 tp / (2 tp + fp + fn)      their harmonic mean

Definitions, averages and results are scikit-learn's, the order of the arguments is that of our losses:
first what the model says, then what is right.  Where a number would be 0 / 0, it is 0, with a warning.
Check: tests/training/test_metrics.py
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...terminal import COLUMNS, columns_of, pad, shorten
from .zero import warn_of_zero

AVERAGES = ("binary", "micro", "macro", "weighted", None)


def accuracy(
    predictions: Any, targets: Any, *, threshold: float | None = None, ignore_index: int = -100
) -> float:
    """The share of predictions that are right.

    Shapes         targets (...) labels; predictions (...) labels, or (..., V) logits
    threshold      for predictions (...) that are floating: more than this is label 1; 0 for logits,
                   0.5 for probabilities
    ignore_index   targets with this value do not count
    Raises         ValueError if the shapes do not belong together

    Fits `fit(metrics={"accuracy": accuracy})`.

    >>> accuracy([1, 0, 1, 1], [1, 0, 0, 1])
    0.75
    >>> accuracy(np.array([[0.1, 2.0], [1.0, -1.0]]), np.array([1, 1]))  # logits
    0.5
    """
    said, right = _labels("accuracy", predictions, targets, threshold, ignore_index)
    if not len(right):
        warn_of_zero("accuracy: there are no predictions")
        return 0.0
    return float((said == right).mean())


def precision(predictions: Any, targets: Any, **options: Any) -> Any:
    """Of what was said, how much is right: tp / (tp + fp).

    options   as those of f1

    >>> precision([1, 1, 1, 0], [1, 0, 1, 1])
    0.6666666666666666
    """
    return _averaged("precision", predictions, targets, **options)


def recall(predictions: Any, targets: Any, **options: Any) -> Any:
    """Of what should be said, how much was: tp / (tp + fn).

    options   as those of f1

    >>> recall([1, 0, 0, 0], [1, 0, 1, 1])
    0.3333333333333333
    """
    return _averaged("recall", predictions, targets, **options)


def f1(predictions: Any, targets: Any, **options: Any) -> Any:
    """The harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn).

    average        "binary": of the label pos_label (1), where there are two labels;
                   "micro": of all labels counted together; "macro": the mean over the labels;
                   "weighted": the mean, each label counting as often as it should occur;
                   None: an array, one number for each label
    labels         which labels count, in this order; by default all that occur, sorted
    pos_label, threshold, ignore_index    as above and as for accuracy
    Raises         ValueError for "binary" with more than two labels, or labels that do not occur

    >>> f1([1, 1, 0, 0], [1, 0, 1, 0])
    0.5
    >>> f1(["a", "b", "c"], ["a", "c", "c"], average="macro", labels=["a", "c"])
    0.8333333333333333
    """
    return _averaged("f1", predictions, targets, **options)


def confusion_matrix(
    predictions: Any,
    targets: Any,
    *,
    labels: Sequence[Any] | None = None,
    threshold: float | None = None,
    ignore_index: int = -100,
) -> np.ndarray:
    """How often each label (row) was given each label (column), (L, L).

    labels   rows and columns; items with another label are left out; by default all, sorted

    >>> confusion_matrix([0, 1, 1, 1], [0, 0, 1, 1])
    array([[1, 1],
           [0, 2]])
    """
    said, right = _labels("confusion_matrix", predictions, targets, threshold, ignore_index)
    names = _names("confusion_matrix", said, right, labels)
    position = {name: i for i, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)), dtype=np.int64)
    for a, b in zip(right.tolist(), said.tolist(), strict=True):
        if a in position and b in position:
            matrix[position[a], position[b]] += 1
    return matrix


def classification_report(
    predictions: Any,
    targets: Any,
    *,
    names: Sequence[str] | None = None,
    threshold: float | None = None,
    ignore_index: int = -100,
) -> str:
    """A table: precision, recall, F1 and number of each label, their means, and the accuracy.

    names    what to call the labels 0, 1, 2 ...; by default the labels themselves; long ones are cut

    >>> print(classification_report([1, 1, 0, 1], [1, 0, 0, 1], names=["bad", "good"]))
                   precision     recall         F1      items
    bad                1.000      0.500      0.667          2
    good               0.667      1.000      0.800          2
    macro average      0.833      0.750      0.733          4
    accuracy                                 0.750          4
    """
    said, right = _labels("classification_report", predictions, targets, threshold, ignore_index)
    labels = None if names is None else list(range(len(names)))
    found = _names("classification_report", said, right, labels)
    if names is not None and not set(right.tolist()) | set(said.tolist()) <= set(found):
        extra = sorted((set(right.tolist()) | set(said.tolist())) - set(found))[0]
        raise ValueError(
            f"classification_report: the label {extra!r} has no name among the {len(found)} given"
        )
    tp, given, real = _counts(said, right, found)
    kinds = ("precision", "recall", "f1")
    columns = [_divide(kind, *_fraction(kind, tp, given, real), found) for kind in kinds]
    titles = [str(name) for name in (names if names is not None else found)]
    rows = [(title, [f"{c[i]:.3f}" for c in columns], real[i]) for i, title in enumerate(titles)]
    means = [f"{column.mean() if len(column) else 0.0:.3f}" for column in columns]
    right_share = f"{(said == right).mean() if len(right) else 0.0:.3f}"
    rows.append(("macro average", means, real.sum()))
    rows.append(("accuracy", ["", "", right_share], len(right)))
    room = min(max(columns_of(title) for title, _, _ in rows), COLUMNS - 44)
    lines = [" " * room + f" {'precision':>10} {'recall':>10} {'F1':>10} {'items':>10}"]
    for title, cells, count in rows:
        numbers = "".join(f" {c:>10}" for c in [*cells, str(count)])
        lines.append(pad(shorten(title, room), room) + numbers)
    return "\n".join(lines)


# ------------------------------------------------------------------------------ the pieces


def _labels(
    name: str, predictions: Any, targets: Any, threshold: float | None, ignore_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both as labels in one axis, without what is ignored."""
    said, right = np.asarray(predictions), np.asarray(targets)
    if said.dtype.kind == "f" and said.ndim == right.ndim + 1:
        said = said.argmax(axis=-1) if said.shape[-1] > 1 else said[..., 0]
    if said.shape != right.shape:
        raise ValueError(
            f"{name}: targets {right.shape} need predictions of that shape (labels), or with one axis "
            f"more (logits); got {said.shape}"
        )
    if said.dtype.kind == "f" and said.size:
        if threshold is None:
            raise ValueError(
                f"{name}: predictions {said.shape} are floating: say from where on they mean yes, "
                "threshold=0 for logits or threshold=0.5 for probabilities"
            )
        said = (said > threshold).astype(np.int64)
    said, right = said.reshape(-1), right.reshape(-1)
    if right.dtype.kind in "iuf":
        counted = right != ignore_index
        said, right = said[counted], right[counted]
    if (said.dtype.kind == "U") != (right.dtype.kind == "U") and said.size:
        raise ValueError(
            f"{name}: predictions are {said.dtype} and targets {right.dtype}: both must be numbers or "
            "both strings"
        )
    return said, right


def _names(name: str, said: np.ndarray, right: np.ndarray, labels: Sequence[Any] | None) -> list:
    """The labels that count."""
    present = np.unique(np.concatenate([said, right])).tolist() if len(right) else []
    if labels is None:
        return present
    chosen = np.asarray(labels).tolist()
    if len(set(chosen)) != len(chosen) or not chosen:
        raise ValueError(f"{name}: labels must be given, each once, got {chosen}")
    return chosen


def _counts(said: np.ndarray, right: np.ndarray, names: list) -> tuple[np.ndarray, ...]:
    """For each label: how often it was rightly given, was given, and should have been."""
    hits = said[said == right].tolist()
    tables = [np.unique(np.asarray(a), return_counts=True) for a in (hits, said, right)]
    lookups = [dict(zip(keys.tolist(), n.tolist(), strict=True)) for keys, n in tables]
    return tuple(np.array([t.get(x, 0) for x in names], dtype=np.int64) for t in lookups)


def _fraction(kind: str, tp: Any, given: Any, real: Any) -> tuple[Any, Any]:
    """Numerator and denominator."""
    if kind == "precision":
        return tp, given
    if kind == "recall":
        return tp, real
    return 2 * tp, given + real  # 2 tp + fp + fn


def _divide(kind: str, above: np.ndarray, below: np.ndarray, names: list) -> np.ndarray:
    """above / below, and 0 with a warning where below is 0."""
    if not below.all():
        why = {
            "precision": "was never predicted",
            "recall": "is not among the targets",
            "f1": "is neither predicted nor among the targets",
        }[kind]
        empty = [str(name) for name, n in zip(names, below, strict=True) if n == 0]
        more = f" (and {len(empty) - 1} more)" if len(empty) > 1 else ""
        warn_of_zero(f"{kind}: the label {empty[0]}{more} {why}")
    return above / np.where(below > 0, below, 1)


def _averaged(
    kind: str,
    predictions: Any,
    targets: Any,
    *,
    average: str | None = "binary",
    labels: Sequence[Any] | None = None,
    pos_label: Any = 1,
    threshold: float | None = None,
    ignore_index: int = -100,
) -> Any:
    if average not in AVERAGES:
        raise ValueError(f"{kind}: average must be one of {AVERAGES}, got {average!r}")
    said, right = _labels(kind, predictions, targets, threshold, ignore_index)
    names = _names(kind, said, right, labels)
    if average == "binary":
        names = _binary(kind, names, pos_label)
    if not len(right):
        warn_of_zero(f"{kind}: there are no predictions")
        return np.zeros(len(names)) if average is None else 0.0
    tp, given, real = _counts(said, right, names)
    if average == "micro":
        sums = [np.array([n.sum()]) for n in (tp, given, real)]
        return float(_divide(kind, *_fraction(kind, *sums), ["of any kind"])[0])
    scores = _divide(kind, *_fraction(kind, tp, given, real), names)
    if average is None:
        return scores
    if average == "weighted":
        if not real.sum():
            warn_of_zero(f"{kind}: none of the labels is among the targets")
            return 0.0
        return float((scores * real).sum() / real.sum())
    return float(scores.mean())


def _binary(kind: str, present: list, pos_label: Any) -> list:
    """The one label that counts, where there are at most two."""
    if len(present) > 2:
        raise ValueError(
            f"{kind}: there are {len(present)} labels, average='binary' is for two: choose 'macro', "
            "'micro', 'weighted' or None"
        )
    if len(present) == 2 and pos_label not in present:
        raise ValueError(f"{kind}: pos_label {pos_label!r} is not one of the labels {present}")
    return [pos_label]
