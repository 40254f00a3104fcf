"""Numerical gradients: the independent truth that a backward pass is held against.

Formula.  For a function f with several outputs and a random cotangent w, the loss is L = <w, f(x)>.
Its slope along one entry x_i is estimated by the central difference of fourth order (Abramowitz &
Stegun 1964, 25.3.6 to the next order; Fornberg 1988, Math. Comp. 51, table 1):

    dL/dx_i ~ (8 (L(x+h) - L(x-h)) - (L(x+2h) - L(x-2h))) / (12 h)                        (1)

Its error has two parts: h^4 |L'''''| / 30 from the formula, and about 1.5 eps |L| / h from rounding
(eps = 2e-16 in float64).  With h = 1e-3 both are near 1e-13 for functions of moderate size, a
thousand times better than the usual (L(x+h) - L(x-h)) / 2h with its best step.

Why w is random.  With w = 1, the loss sum(f) hides what f keeps constant: every row of a softmax
sums to 1, so its gradient would be 0 and a backward that returns zeros would pass.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

STENCIL = ((1, 8.0), (-1, -8.0), (2, -1.0), (-2, 1.0))  # offsets in h and weights, over 12 h: (1)


def flatten(outputs: Iterable[Any]) -> np.ndarray:
    """All floating outputs as one vector."""
    return np.concatenate([np.asarray(out, dtype=np.float64).reshape(-1) for out in outputs])


def numerical_gradient(
    function: Callable[[], np.ndarray],
    array: np.ndarray,
    cotangents: np.ndarray,
    step: float,
    entries: Iterable[int] | None = None,
) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """(1) for the entries of one array, which is moved in place and put back.

    function     evaluates all outputs as one vector (M,), reading `array`
    cotangents   (K, M), one row for each loss
    entries      flat indices to do; all by default

    Returns the gradients (K, *array.shape), NaN where not asked for, and the indices of entries
    where no finite estimate exists (the edge of the function's domain), which are skipped.
    """
    flat = array.reshape(-1)
    if not array.flags.c_contiguous:
        raise ValueError("numerical_gradient needs a C-contiguous array to move in place")
    typical = _typical(array)
    result = np.full((len(cotangents), array.size), np.nan)
    skipped = []
    for i in range(array.size) if entries is None else entries:
        here = flat[i]
        for h in (step * max(typical, abs(here)), 1e-4 * step * max(abs(here), 1e-6)):
            slope = np.zeros(cotangents.shape[1])
            with np.errstate(all="ignore"):
                for offset, weight in STENCIL:
                    flat[i] = here + offset * h
                    slope += weight * function()
            flat[i] = here
            if np.isfinite(slope).all():
                result[:, i] = cotangents @ slope / (12 * h)
                break
        else:
            skipped.append(tuple(int(n) for n in np.unravel_index(i, array.shape)))
    return result.reshape(len(cotangents), *array.shape), skipped


def rounding_noise(
    function: Callable[[], np.ndarray], array: np.ndarray, cotangents: np.ndarray, step: float
) -> float:
    """How far an estimate of numerical_gradient may be off by rounding alone: 1.5 eps |L| / h.

    |L| counts the size of all terms of the sum, and a factor of 5 covers the rounding inside f.
    """
    size = float((np.abs(cotangents) @ np.abs(function())).max(initial=0.0))
    return 7.5 * float(np.finfo(np.float64).eps) * size / (step * _typical(array))


def _typical(array: np.ndarray) -> float:
    """The scale on which the function may bend: the size of the entries, at least 0.1."""
    return max(float(np.sqrt(np.mean(array * array))), 0.1) if array.size else 1.0
