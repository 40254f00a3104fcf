"""Learning rate schedules: constant, linear and cosine, each with a linear warm-up.

Formula at step s = 0, 1, ... with warm-up W, total T, base rate r and final rate r_min:

    s < W:        r (s + 1) / (W + 1)                     never 0, and r is reached at s = W
    constant:     r
    linear:       r_min + (r - r_min) (1 - u)             u = (s - W) / (T - W), at most 1
    cosine:       r_min + (r - r_min) (1 + cos(pi u)) / 2     (Loshchilov & Hutter 2017,
                                                               arXiv:1608.03983, eq. 5)

Call `schedule.step()` after each `optimizer.step()`.
"""

import math
from collections.abc import Callable
from typing import Any

from ..arguments import require_number, require_whole
from .optimizer import Optimizer, require_entries


class Schedule:
    """Sets the learning rate of every group of an optimiser, step by step.

    >>> import numpy as np
    >>> from minillm.nn import Parameter
    >>> from minillm.optim import SGD
    >>> optimizer = SGD([Parameter(np.zeros(1))], lr=0.4)
    >>> schedule = linear(optimizer, warmup_steps=1, total_steps=3)
    >>> for _ in range(4):
    ...     print(round(schedule.lr, 3))
    ...     schedule.step()
    0.2
    0.4
    0.2
    0.0
    """

    def __init__(
        self,
        optimizer: Optimizer,
        shape: Callable[[float], float],
        warmup_steps: int,
        total_steps: int | None,
        min_lr: float,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"schedule: optimizer must be an Optimizer, got {type(optimizer).__name__}"
            )
        require_whole("schedule", "warmup_steps", warmup_steps, least=0)
        if total_steps is not None:
            require_whole("schedule", "total_steps", total_steps, least=0)
        require_number("schedule", "min_lr", min_lr, least=0)
        if total_steps is not None and total_steps < warmup_steps:
            raise ValueError(
                f"schedule: warmup_steps {warmup_steps} must be within 0 … total_steps {total_steps}"
            )
        self.optimizer, self.shape = optimizer, shape
        self.warmup_steps, self.total_steps, self.min_lr = warmup_steps, total_steps, min_lr
        self.base = [group["lr"] for group in optimizer.groups]
        self.steps = 0
        self._apply()

    @property
    def lr(self) -> float:
        """The rate of the first group, for the step that comes next."""
        return self.optimizer.groups[0]["lr"]

    def step(self) -> None:
        """Move on by one step."""
        self.steps += 1
        self._apply()

    def _apply(self) -> None:
        for group, base in zip(self.optimizer.groups, self.base, strict=True):
            group["lr"] = self.rate(self.steps, base)

    def rate(self, s: int, base: float) -> float:
        """The formula: the rate at step s for a group with this base rate."""
        if s < self.warmup_steps:
            return base * (s + 1) / (self.warmup_steps + 1)
        if self.total_steps is None:
            return base
        span = self.total_steps - self.warmup_steps
        u = min((s - self.warmup_steps) / span, 1.0) if span else 1.0
        low = min(self.min_lr, base)
        return low + (base - low) * self.shape(u)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on later."""
        return {"steps": self.steps, "base": self.base}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state_dict."""
        require_entries("Schedule", state, "steps", "base")
        self.steps, self.base = state["steps"], list(state["base"])
        self._apply()


def constant(
    optimizer: Optimizer,
    warmup_steps: int = 0,
    total_steps: int | None = None,
    min_lr: float = 0.0,
) -> Schedule:
    """The base rate after the warm-up, up to total_steps (for ever by default), then min_lr."""
    return Schedule(optimizer, lambda u: float(u < 1), warmup_steps, total_steps, min_lr)


def linear(
    optimizer: Optimizer, warmup_steps: int = 0, total_steps: int = 1000, min_lr: float = 0.0
) -> Schedule:
    """Down to min_lr in a straight line."""
    return Schedule(optimizer, lambda u: 1 - u, warmup_steps, total_steps, min_lr)


def cosine(
    optimizer: Optimizer, warmup_steps: int = 0, total_steps: int = 1000, min_lr: float = 0.0
) -> Schedule:
    """Down to min_lr along half a cosine: slow, fast, slow."""
    return Schedule(
        optimizer, lambda u: (1 + math.cos(math.pi * u)) / 2, warmup_steps, total_steps, min_lr
    )
