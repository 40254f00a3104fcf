"""Numerical derivatives: the independent truth that a backward pass is held against.

Formula.  For a function f with several outputs and a random cotangent w, the loss is L = <w, f(x)>.
The slope of f along one entry x_i is estimated by the central difference of fourth order (Abramowitz
& Stegun 1964, 25.3.6 to the next order; Fornberg 1988, Math. Comp. 51, table 1):

    df/dx_i ~ (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / (12 h)                        (1)

Its error has two parts: h^4 |f'''''| / 30 from the formula, and about 1.5 eps |f| / h from rounding
(eps = 2e-16 in float64).  With h = 1e-3 both are near 1e-13 for functions of moderate size, a
thousand times better than the usual (f(x+h) - f(x-h)) / 2h with its best step.

Why w is random.  With w = 1, the loss sum(f) hides what f keeps constant: every row of a softmax
sums to 1, so its gradient would be 0 and a backward that returns zeros would pass.

Kinks.  Where f has a corner (relu at 0, a tie of max), (1) mixes two slopes and means nothing.  The
same five values tell: with a corner of size J (the jump of the slope) inside the stencil, at least
one of the differences

    d3 = f(x+2h) - 2 f(x+h) + 2 f(x-h) - f(x-2h)        = 2 h^3 f''' + ...  if f is smooth    (2)
    d4 = f(x+2h) - 4 f(x+h) + 6 f(x) - 4 f(x-h) + f(x-2h) = h^4 f'''' + ... if f is smooth    (3)

is of the size J h.  So |d| / h is far below the slope where f is smooth, and stays near J at a
corner however small h is.  (The five-point test of Chainer's gradient_check is a relative of it.)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .language import say

STENCIL = ((1, 8.0), (-1, -8.0), (2, -1.0), (-2, 1.0))  # offsets in h and weights, over 12 h: (1)
EPS = float(np.finfo(np.float64).eps)
ROUGH = 1e-4  # |d3| / h or |d4| / h above this part of the slope: perhaps a corner
SMALLER = 1e-2  # the second look is taken with a step of this part of the first
STAYS = 3e-3  # where f is smooth, |d| / h falls to SMALLER^2 = 1e-4; at a corner it stays


@dataclass
class Slopes:
    """The numerical derivatives of all outputs along the entries of one array.

    gradients   (K, *shape): for each cotangent; NaN where not asked for or not known
    jacobian    (M, n) for all outputs and entries, or None if it would be too large
    skipped     (index, reason) of each entry that has no derivative, or no finite one
    noise       (*shape): how far `gradients` may be off by rounding alone, 1.5 eps |L| / h, where |L|
                counts the outputs that depend on the entry, and a factor of 5 the rounding inside f
    """

    gradients: np.ndarray
    jacobian: np.ndarray | None = None
    skipped: list[tuple[tuple[int, ...], str]] = field(default_factory=list)
    noise: Any = 0.0


def flatten(outputs: Iterable[Any]) -> np.ndarray:
    """All floating outputs as one vector."""
    return np.concatenate([np.asarray(out, dtype=np.float64).reshape(-1) for out in outputs])


def numerical_slopes(
    function: Callable[[], np.ndarray],
    array: np.ndarray,
    cotangents: np.ndarray,
    step: float,
    entries: Iterable[int] | None = None,
    *,
    keep_jacobian: int = 0,
) -> Slopes:
    """(1) for the entries of one array, which is moved in place and put back.

    function        evaluates all outputs as one vector (M,), reading `array`
    cotangents      (K, M), one row for each loss
    step            h, relative to the size of the entries
    entries         flat indices to do; all by default
    keep_jacobian   largest number of derivatives for which the Jacobian is kept
    """
    if not array.flags.c_contiguous:
        raise ValueError("numerical_slopes needs a C-contiguous array to move in place")
    flat, typical = array.reshape(-1), _typical(array)
    base = function()
    gradients = np.full((len(cotangents), array.size), np.nan)
    small = base.size * array.size <= keep_jacobian
    jacobian = np.full((base.size, array.size), np.nan) if small else None
    slopes, noise = Slopes(gradients, jacobian), np.zeros(array.size)
    weight = np.abs(cotangents) * np.abs(base)
    floor = 1e-3 * float(np.abs(base).max(initial=0.0)) / typical
    for i in range(array.size) if entries is None else entries:
        slope, reason = _slope(function, flat, i, base, step, typical, floor)
        if slope is None:
            slopes.skipped.append((_index(i, array.shape), reason))
            continue
        gradients[:, i] = cotangents @ slope
        size = float((weight @ (slope != 0)).max())
        noise[i] = 7.5 * EPS * size / (step * max(typical, abs(flat[i])))
        if jacobian is not None:
            jacobian[:, i] = slope
    slopes.gradients = gradients.reshape(len(cotangents), *array.shape)
    slopes.noise = noise.reshape(array.shape)
    return slopes


def _slope(
    function: Callable, flat: np.ndarray, i: int, base: np.ndarray, step: float, typical: float,
    floor: float,
) -> tuple[np.ndarray | None, str]:  # fmt: skip
    """(slope, "") of all outputs along entry i, or (None, why there is none)."""
    size = max(typical, abs(flat[i]))
    slope, rough = stencil(function, flat, i, base, step * size)
    if not np.isfinite(slope).all():  # the edge of the domain may lie inside the stencil
        near = 1e-4 * step * max(abs(flat[i]), 1e-6)
        slope, _ = stencil(function, flat, i, base, near)
        if not np.isfinite(slope).all():
            return None, say("the function is not finite around it")
        return slope, ""
    scale = max(float(np.abs(slope).max(initial=0.0)), floor)
    noise = 30 * EPS * float(np.abs(base).max(initial=0.0))
    if rough <= ROUGH * scale + noise / (step * size):
        return slope, ""
    h = SMALLER * step * size
    closer, rough_closer = stencil(function, flat, i, base, h)
    if rough_closer > STAYS * rough and rough_closer > noise / h:
        return None, say("the function has a kink or a jump there")
    # a corner inside the wide stencil only, or a strongly bent function: then both agree
    return (slope if np.abs(slope - closer).max() <= 1e-9 * scale else closer), ""


def stencil(
    function: Callable, flat: np.ndarray, i: int, base: np.ndarray, h: float
) -> tuple[np.ndarray, float]:
    """(1) along entry i, and the larger of |(2)| / h and |(3)| / h over all outputs."""
    here = flat[i]
    with np.errstate(all="ignore"):
        near: list[np.ndarray] = []
        far: list[np.ndarray] = []
        for offset, values in ((1, near), (-1, near), (2, far), (-2, far)):
            flat[i] = here + offset * h
            values.append(function())
        flat[i] = here
        inner, outer = near[0] - near[1], far[0] - far[1]
        slope = (8.0 * inner - outer) / (12 * h)
        d3 = outer - 2.0 * inner
        d4 = far[0] + far[1] - 4.0 * (near[0] + near[1]) + 6.0 * base
        rough = np.maximum(np.abs(d3), np.abs(d4)).max(initial=0.0) / h
    return slope, float(rough)


def central_difference(
    function: Callable[[], np.ndarray], array: np.ndarray, i: int, cotangent: np.ndarray, h: float
) -> float:
    """The textbook formula (L(x+h) - L(x-h)) / 2h along flat entry i, for the U-curve of its error."""
    flat, values = array.reshape(-1), []
    here = flat[i]
    width = h * max(_typical(array), abs(here))
    with np.errstate(all="ignore"):
        for x in (here + width, here - width):
            flat[i] = x
            values.append(float(cotangent @ function()))
    flat[i] = here
    return (values[0] - values[1]) / (2 * width)


def directional_slope(
    function: Callable[[], np.ndarray],
    array: np.ndarray,
    direction: np.ndarray,
    cotangents: np.ndarray,
    step: float,
) -> np.ndarray:
    """(K,): (1) along a direction in the space of all entries at once."""
    here, values = array.copy(), 0.0
    h = step * _typical(array)
    with np.errstate(all="ignore"):
        for offset, weight in STENCIL:
            array[...] = here + (offset * h) * direction
            values = values + weight * (cotangents @ function())
    array[...] = here
    return np.asarray(values) / (12 * h)


def _typical(array: np.ndarray) -> float:
    """The scale on which the function may bend: the size of the entries, at least 0.1."""
    return max(float(np.sqrt(np.mean(array * array))), 0.1) if array.size else 1.0


def _index(i: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(n) for n in np.unravel_index(i, shape))
