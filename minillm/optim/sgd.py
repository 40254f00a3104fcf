"""Stochastic gradient descent, with momentum.

Algorithm (Robbins & Monro 1951; momentum: Polyak 1964, in the form of Sutskever et al. 2013,
section 2, with the learning rate outside the buffer as in PyTorch).  For each parameter p with
gradient g, learning rate lr, weight decay w, momentum mu and dampening d:

    g <- g + w p
    b <- mu b + (1 - d) g          (b = g at the first step)
    p <- p - lr b                  Nesterov: p <- p - lr (g + mu b)
"""

from collections.abc import Iterable
from typing import Any

from ..arguments import require_number
from ..autograd import Tensor
from .optimizer import Optimizer


class SGD(Optimizer):
    """Gradient descent: p <- p - lr * gradient, optionally with momentum.

    >>> import numpy as np
    >>> from minillm.nn import Parameter
    >>> p = Parameter(np.array([1.0]))
    >>> p.grad = np.array([0.5])
    >>> SGD([p], lr=0.1).step()
    >>> p.data
    array([0.95])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check(self, group: dict[str, Any]) -> None:
        """Raise a ValueError if an option of the group has no meaning."""
        super().check(group)
        self._require_at_least_0(group, "momentum")
        require_number(type(self).__name__, "dampening", group["dampening"])
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs a momentum above 0 and no dampening")

    def update(self, group: dict[str, Any], p: Tensor, grad: Any, state: dict[str, Any]) -> None:
        """Change one parameter by the three lines of the algorithm."""
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"]:
            grad = grad + group["weight_decay"] * p.data
        mu = group["momentum"]
        if mu:
            if "momentum" not in state:
                state["momentum"] = grad.copy()
            else:
                state["momentum"] *= mu
                state["momentum"] += (1 - group["dampening"]) * grad
            grad = grad + mu * state["momentum"] if group["nesterov"] else state["momentum"]
        p.data -= group["lr"] * grad
