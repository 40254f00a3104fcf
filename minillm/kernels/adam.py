"""Adam, AdamW and AMSGrad in one pass: each parameter, its gradient and its moments are read once.

    g <- g + w p   (Adam)    or    p <- p (1 - lr w)   (AdamW)
    m <- beta1 m + (1 - beta1) g            v <- beta2 v + (1 - beta2) g^2
    p <- p - step m / (sqrt(v) root + eps)      step = lr / (1 - beta1^t)   root = 1 / sqrt(1 - beta2^t)

These are the lines of optim/adam.py, with the divisors of m_hat and v_hat taken out of the loop.
AMSGrad divides by the largest v so far instead of v.
"""

import math
from collections.abc import Mapping
from typing import Any

from .kernel import Elementwise

INPUTS = "T g, T sign, T decay, T keep, T beta1, T rest1, T beta2, T rest2, T root, T eps, T step"
MOMENTS = """
    T grad = sign * g;
    if (decay != T(0)) grad += decay * p;
    p *= keep;
    m = beta1 * m + rest1 * grad;
    v = beta2 * v + rest2 * grad * grad;
    """
ADAM = Elementwise(
    "adam", INPUTS, "T p, T m, T v", MOMENTS + "p -= step * m / (sqrt(v) * root + eps);"
)
AMSGRAD = Elementwise(
    "amsgrad",
    INPUTS,
    "T p, T m, T v, T v_max",
    MOMENTS
    + """if (!(v <= v_max)) v_max = v;  // also where v is NaN
    p -= step * m / (sqrt(v_max) * root + eps);""",
)


def adam_step(
    group: Mapping[str, Any], decoupled: bool, state: Mapping[str, Any], p: Any, grad: Any
) -> None:
    """One step in place, with the options of Adam's group; decoupled makes it AdamW.

    Shapes   p, grad, state["m"], state["v"] and, for AMSGrad, state["v_max"]: all the same
    """
    lr, decay, t = group["lr"], group["weight_decay"], state["t"]
    beta1, beta2 = group["betas"]
    numbers = (
        -1.0 if group["maximize"] else 1.0,
        0.0 if decoupled else decay,
        1 - lr * decay if decoupled else 1.0,
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        1 / math.sqrt(1 - beta2**t),
        group["eps"],
        lr / (1 - beta1**t),
    )
    if group["amsgrad"]:
        AMSGRAD(grad, *numbers, p, state["m"], state["v"], state["v_max"])
    else:
        ADAM(grad, *numbers, p, state["m"], state["v"])
