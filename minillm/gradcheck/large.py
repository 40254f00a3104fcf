"""Large inputs: directions first, then the entries that matter.

One numerical slope along a random direction u tests all n entries at once, for the price of one:

    <grad_x, u> = d/dt <w, f(x + t u)>  at t = 0                                          (1)

If (1) fails, halving the range of entries that u touches finds wrong ones in log2(n) steps.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .diagnosis import Call
from .language import say
from .numeric import EPS, directional_slope
from .report import GradientReport
from .settings import GradientSettings

LEAF = 32  # entries of the last range: all of them are looked at


def entries_that_matter(
    report: GradientReport,
    settings: GradientSettings,
    call: Call,
    index: int,
    analytic: list[Any],
    outputs: Callable[[], np.ndarray],
) -> list[int]:
    """Flat indices of the entries of a large input to compare one by one.

    The entries with the largest gradients, random ones, and, if a direction disagrees, some that
    are responsible for it.
    """
    x, rng = call.inputs[index], np.random.default_rng(settings.seed + 2)
    count = min(settings.large, x.size) // 16
    chosen = set(rng.choice(x.size, size=count, replace=False).tolist())
    report.notes.append(
        say(
            "{name} has {size} entries: random directions were checked in all of them, and the entries "
            "that matter one by one", name=call.names[index], size=x.size,
        )
    )  # fmt: skip
    if all(grad is not None and grad.shape == x.shape for grad in analytic):
        gradient = np.asarray(analytic[0], dtype=np.float64).reshape(-1)
        chosen |= set(np.argsort(-np.abs(gradient))[:count].tolist())
        weights = call.cotangents[:1]
        chosen |= set(_responsible(x, gradient, weights, outputs, settings, rng))
    return sorted(chosen)


def _responsible(
    x: np.ndarray, gradient: np.ndarray, weights: np.ndarray, outputs: Callable,
    settings: GradientSettings, rng: np.random.Generator,
) -> list[int]:  # fmt: skip
    """Entries that make (1) fail: the leaf that halving ends in; none if (1) holds."""
    size = float((np.abs(weights) @ np.abs(outputs())).max(initial=0.0))
    noise = 7.5 * EPS * size / settings.step

    def disagrees(start: int, stop: int) -> bool:
        direction = np.zeros(x.size)
        direction[start:stop] = rng.standard_normal(stop - start)
        true = float(
            directional_slope(outputs, x, direction.reshape(x.shape), weights, settings.step)[0]
        )
        found = float(gradient @ direction)
        scale = max(abs(true), abs(found), float(np.linalg.norm(gradient[start:stop])))
        return not abs(true - found) <= settings.tolerance * scale + noise

    if not any(disagrees(0, x.size) for _ in range(3)):
        return []
    start, stop = 0, x.size
    while stop - start > LEAF:
        middle = (start + stop) // 2
        start, stop = (start, middle) if disagrees(start, middle) else (middle, stop)
    return list(range(start, stop))
