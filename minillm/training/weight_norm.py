"""Weight normalization, shown: the same functions, another way to them.

A net with weights w and a net with weights g v / ||v|| can compute exactly the same functions
(Salimans & Kingma 2016, arXiv:1602.07868, section 2).  Gradient descent on w and on (g, v) from one
starting point goes different ways nevertheless.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import Tensor, no_grad
from ..backend import host_number
from ..nn import Linear, Module, Sequential, WeightNorm, remove_weight_norm, weight_norm
from ..optim import SGD
from ..viz import plot_curves


class _Tanh(Module):
    def forward(self, x: Any) -> Any:
        """Shapes   any -> the same."""
        return F.tanh(x)


@dataclass(frozen=True)
class WeightNormCurves:
    """Two trainings of one net from the same start.

    plain, normalised      the loss before each step
    start_difference       largest difference of the outputs before the first step: rounding
    end_difference         largest difference of the normalised net's outputs when its weights are made
                           plain ones again at the end: rounding, too

    >>> curves = WeightNormCurves([1.0, 0.5], [1.0, 0.3], 0.0, 0.0)
    >>> curves.plot().axes[0].get_title()
    'Two ways to the same functions'
    """

    plain: list[float]
    normalised: list[float]
    start_difference: float
    end_difference: float

    def plot(self) -> Any:
        """The loss of both over the steps."""
        steps = range(len(self.plain))
        curves = {"weights": (steps, self.plain), "length and direction": (steps, self.normalised)}
        return plot_curves(curves, "Two ways to the same functions", "step", "mean squared error")


def compare_weight_norm(
    *, steps: int = 200, learning_rate: float = 2.0, seed: int = 0
) -> WeightNormCurves:
    """Train a small net by plain gradient descent, with its weights as they are and as g v / ||v||.

    The net has two layers and learns four smooth functions of five numbers.  Both copies start with
    the same weights and see the same data.  At a small rate they stay close.  At 2, which is large for
    this net, the plain one rolls back and forth; in the other every step makes v longer, and so the
    next turn smaller, until the rate suits it.

    Raises   ValueError if a training diverges

    >>> curves = compare_weight_norm(steps=50)
    >>> curves.start_difference < 1e-6, curves.end_difference < 1e-6
    (True, True)
    >>> curves.plain[-1] != curves.normalised[-1]
    True
    """
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(
            f"compare_weight_norm: steps must be an integer of at least 1, got {steps!r}"
        )
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((64, 5)).astype(np.float32)
    target = np.sin(x @ rng.standard_normal((5, 4)).astype(np.float32))
    plain, other = _net(seed), _net(seed)
    layers = [weight_norm(part) if isinstance(part, Linear) else part for part in other]
    normalised = Sequential(*layers)
    start = _difference(plain, normalised, x)
    losses = [_train(net, x, target, steps, learning_rate) for net in (plain, normalised)]
    with no_grad():
        trained = normalised(x).data
        parts = [remove_weight_norm(p) if isinstance(p, WeightNorm) else p for p in layers]
        end = float(np.abs(Sequential(*parts)(x).data - trained).max())
    return WeightNormCurves(losses[0], losses[1], start, end)


def _net(seed: int) -> Sequential:
    """The net at the start: equal seeds give equal weights."""
    rng = np.random.default_rng([seed, 1])
    return Sequential(Linear(5, 16, rng=rng), _Tanh(), Linear(16, 4, rng=rng))


def _difference(a: Module, b: Module, x: np.ndarray) -> float:
    """The largest difference of two modules' outputs."""
    with no_grad():
        return float(np.abs(a(x).data - b(x).data).max())


def _train(net: Module, x: Any, target: Any, steps: int, learning_rate: float) -> list[float]:
    """The loss before each step of gradient descent."""
    optimizer, losses = SGD(net.parameters(), lr=learning_rate), []
    for _ in range(steps):
        loss: Tensor = F.mean_squared_error(net(x), target)
        losses.append(host_number(loss.data))
        if not losses[-1] <= 1e3 * losses[0]:
            raise ValueError(
                f"compare_weight_norm: at learning_rate = {learning_rate} the loss rose from "
                f"{losses[0]:.3g} to {losses[-1]:.3g}: choose a smaller one"
            )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses
