"""A gradient of the wrong shape: often one sum or one transpose away from the right one."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..language import say
from .evidence import same


def wrong_shape(
    name: str, analytic: list[Any], numeric: np.ndarray, outputs: tuple[Any, ...]
) -> tuple[str, str]:
    """(kind, message) for a gradient whose shape is not that of its input.

    analytic   one array for each cotangent, all of one shape; numeric (K, *shape) the truth
    """
    found = np.stack([np.asarray(grad, dtype=np.float64) for grad in analytic])
    shape, got = numeric.shape[1:], found.shape[1:]
    start = say(
        "the gradient of {name} has shape {got}, but {name} has {shape}",
        name=name, got=got, shape=shape,
    )  # fmt: skip
    known = np.isfinite(numeric)
    truth = np.where(known, numeric, 0.0)
    if found.size == numeric.size and same(
        np.where(known, found.reshape(numeric.shape), 0.0), truth
    ):
        return "wrong_shape", start + say(
            ": the numbers are right, only the shape is not: reshape it"
        )
    for axes, summed in _sums(found, shape):
        if axes and same(np.where(known, summed, 0.0), truth):
            return "missing_broadcast_sum", start + say(
                ": several places share {name}, so its gradient is the sum over all of them. Sum what "
                "you have over {axes} (and keep the shape {shape}): that is the right answer",
                name=name, axes=axes_in_words(axes), shape=shape,
            )  # fmt: skip
    for axis, summed in _group_sums(found, shape):
        if same(np.where(known, summed, 0.0), truth):
            return "missing_broadcast_sum", start + say(
                ": {count} indices of axis {axis} share one of {name}; add up the gradients of each "
                "group: that is the right answer",
                count=got[axis] // shape[axis], axis=axis, name=name,
            )  # fmt: skip
    if len(got) == len(shape):
        for order in itertools.permutations(range(len(shape))):
            turned = found.transpose(0, *(a + 1 for a in order))
            if turned.shape == numeric.shape and same(np.where(known, turned, 0.0), truth):
                return "transposed", start + say(": its transpose is the right answer")
    wrong = _other_sums(found, truth, outputs)
    if wrong:
        return "wrong_axis", start + wrong
    if len(got) > len(shape):
        start += say(": where it was broadcast, its gradient must be summed over the added axes")
    return "wrong_shape", start


def axes_in_words(axes: tuple[int, ...]) -> str:
    """'axis 1', or 'axes (0, 2)'."""
    return say("axis {axis}", axis=axes[0]) if len(axes) == 1 else say("axes {axes}", axes=axes)


def _sums(
    found: np.ndarray, shape: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """All sums of `found` over some of its axes that have the entries of `shape` in order."""
    axes = range(found.ndim - 1)
    for count in range(1, found.ndim):
        for chosen in itertools.combinations(axes, count):
            summed = found.sum(axis=tuple(a + 1 for a in chosen))
            if summed[0].size == int(np.prod(shape)):
                yield chosen, summed.reshape(len(found), *shape)


def _group_sums(found: np.ndarray, shape: tuple[int, ...]) -> Iterator[tuple[int, np.ndarray]]:
    """Sums over groups of neighbours, or of every n-th index, along one axis that is too long."""
    got = found.shape[1:]
    longer = [a for a, (m, n) in enumerate(zip(got, shape, strict=False)) if m != n]
    if len(got) == len(shape) and len(longer) == 1 and got[longer[0]] % shape[longer[0]] == 0:
        a, n = longer[0], shape[longer[0]]
        k = got[a] // n
        for groups, axis in (((n, k), a + 2), ((k, n), a + 1)):
            yield a, found.reshape(len(found), *got[:a], *groups, *got[a + 1 :]).sum(axis=axis)


def _other_sums(found: np.ndarray, truth: np.ndarray, outputs: tuple[Any, ...]) -> str:
    """Words if a shared input was summed over other axes: then the totals of both are the same."""
    got, shape = found.shape[1:], truth.shape[1:]
    shared = any(
        len(shape) < np.ndim(out) and set(shape) <= {1, *np.shape(out)} >= set(got)
        for out in outputs
    )
    totals = [array.reshape(len(array), -1).sum(axis=1) for array in (found, truth)]
    if shared and same(*totals):
        return say(
            ": all entries together have the right sum, so it was summed over the wrong axes; keep the "
            "axes of the input and sum over the others"
        )
    return ""
