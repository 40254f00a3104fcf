"""From two gradients that differ to a sentence about why.

Each test looks for the signature of one classic mistake, the most specific first.
"""

import math
from typing import Any

import numpy as np

from .report import Finding


def diagnose(name: str, analytic: list[Any], numeric: np.ndarray, tolerance: float) -> Finding:
    """Say what is wrong with one gradient.

    analytic   what backward returned, for each of K cotangents
    numeric    (K, *shape) the truth
    """
    shape = numeric.shape[1:]
    if any(grad is None for grad in analytic):
        return Finding(
            name, "zero_gradient", f"backward returned None for {name}, but the loss depends on it"
        )
    found = np.asarray(analytic[0])
    if any(np.shape(grad) != found.shape for grad in analytic):
        message = f"the shape of the gradient of {name} differs from call to call"
        return Finding(name, "wrong_shape", message)
    if found.shape != shape:
        return _wrong_shape(name, analytic, numeric, tolerance)
    if found.dtype != numeric.dtype:
        return Finding(
            name,
            "wrong_dtype",
            f"the gradient of {name} is {found.dtype}, but {name} is {numeric.dtype}",
        )
    stacked = np.stack([np.asarray(grad) for grad in analytic])
    place = worst_entry(stacked, numeric)
    details: dict[str, Any] = {
        "worst_index": place[1:],
        "analytic": float(stacked[place]),
        "numeric": float(numeric[place]),
        "relative_error": float(relative_errors(stacked, numeric)[place]),
    }
    if not np.isfinite(stacked).all():
        count = int((~np.isfinite(stacked)).sum())
        return Finding(
            name,
            "not_finite",
            f"{count} entries of the gradient of {name} are NaN or Inf",
            **details,
        )
    kind, message, factor = _signature(name, stacked, numeric, tolerance)
    return Finding(name, kind, message, factor=factor, **details)


def relative_errors(analytic: np.ndarray, numeric: np.ndarray) -> np.ndarray:
    """|analytic - numeric| relative to the larger of the two.

    Entries a thousand times smaller than the largest of the array are measured against that
    thousandth: their own digits are lost in the rounding of the finite difference.
    """
    known = np.isfinite(numeric)
    largest = np.abs(numeric[known]).max(initial=0.0)
    scale = np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), max(1e-3 * largest, 1e-9))
    with np.errstate(invalid="ignore"):  # Inf / Inf of an infinite gradient: counted as infinite
        errors = np.abs(analytic - numeric) / scale
    errors[~known] = 0.0
    return np.where(np.isnan(errors) & known, np.inf, errors)


def worst_entry(analytic: np.ndarray, numeric: np.ndarray) -> tuple[int, ...]:
    """The index of the largest relative error."""
    errors = relative_errors(analytic, numeric)
    return tuple(int(i) for i in np.unravel_index(np.argmax(errors), errors.shape))


def _close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return a.shape == b.shape and bool((relative_errors(a, b) <= max(tolerance, 1e-6)).all())


def _wrong_shape(name: str, analytic: list[Any], numeric: np.ndarray, tolerance: float) -> Finding:
    """A gradient of another shape: perhaps one sum or one transpose away from the right one."""
    shape = numeric.shape[1:]
    found = np.stack([np.asarray(grad, dtype=np.float64) for grad in analytic])
    start = f"the gradient of {name} has shape {found.shape[1:]}, but {name} has {shape}"
    missing = found.ndim - numeric.ndim
    if missing >= 0:
        repeated = [
            axis
            for axis in range(missing, found.ndim - 1)
            if shape[axis - missing] == 1 != found.shape[axis + 1]
        ]
        axes = (*range(missing), *repeated)
        summed = found.sum(axis=tuple(a + 1 for a in axes)).reshape(len(found), -1)
        if axes and summed.size == numeric.size:
            if _close(summed.reshape(numeric.shape), numeric, tolerance):
                return Finding(
                    name,
                    "missing_broadcast_sum",
                    f"{start}: {name} was broadcast, so its gradient must be summed over axis "
                    f"{axes if len(axes) > 1 else axes[0]}; that sum is the right answer",
                )
    if found.shape[1:] == shape[::-1] and len(shape) > 1:
        flipped = found.transpose(0, *range(found.ndim - 1, 0, -1))
        if _close(flipped, numeric, tolerance):
            return Finding(name, "transposed", f"{start}: its transpose is the right answer")
    return Finding(name, "wrong_shape", start)


def _signature(
    name: str, analytic: np.ndarray, numeric: np.ndarray, tolerance: float
) -> tuple[str, str, float | None]:
    """(kind, message, factor) for a gradient of the right shape with wrong numbers."""
    known = np.isfinite(numeric)
    a, n = analytic[known], numeric[known]
    if not a.any():
        return (
            "zero_gradient",
            f"the gradient of {name} is zero everywhere, but should not be",
            None,
        )
    factor = float(a @ n) / float(n @ n) if n.any() else math.inf
    if (
        math.isfinite(factor)
        and abs(factor - 1) > 1e-4
        and _close(analytic, np.where(known, factor * numeric, np.nan), 1e-5)
    ):
        if abs(factor + 1) < 1e-5:
            return "sign_flipped", f"the gradient of {name} has the wrong sign everywhere", -1.0
        return (
            "scaled",
            f"the gradient of {name} is {factor:.6g} times what it should be, everywhere"
            + _explain_factor(factor, numeric.shape[1:]),
            factor,
        )
    if analytic.ndim > 2 and analytic.shape[-1] == analytic.shape[-2]:
        if _close(analytic.swapaxes(-1, -2), numeric, tolerance):
            return "transposed", f"the transpose of the gradient of {name} is right", None
    wrong = (relative_errors(analytic, numeric) > tolerance).any(axis=0)
    if wrong.mean() <= 0.5:
        places = [list(map(int, place)) for place in np.argwhere(wrong)[:4]]
        more = f" and {int(wrong.sum()) - 4} more" if wrong.sum() > 4 else ""
        return (
            "wrong_entries",
            f"{int(wrong.sum())} of {wrong.size} entries of the gradient of {name} are wrong, "
            f"the others right: {', '.join(map(str, places))}{more}",
            None,
        )
    return "unknown", f"the gradient of {name} is wrong, with no simple pattern", None


def _explain_factor(factor: float, shape: tuple[int, ...]) -> str:
    """': that is sqrt(7)' if the factor is a simple power of a size, else nothing."""
    for size in sorted({n for n in shape if n > 1}):
        for power, words in ((1, f"{size}"), (-1, f"1/{size}"), (0.5, f"sqrt({size})"),
                             (-0.5, f"1/sqrt({size})")):  # fmt: skip
            if abs(factor / size**power - 1) < 1e-5:
                return f": that is {words}, and {size} is the size of an axis"
    return ""
