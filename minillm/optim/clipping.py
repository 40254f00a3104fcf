"""Gradient clipping by global norm.

Formula (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, algorithm 1), with all gradients seen as
one long vector g:

    norm = ||g||        if norm > max_norm:  g <- g * max_norm / (norm + 1e-6)

The direction stays; only a step that would be too long is shortened.
"""

import math
from collections.abc import Iterable
from typing import Any

from ..arguments import is_number
from ..autograd import Tensor
from ..backend import array_module, host_numbers


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0) -> float:
    """Scale all gradients in place so that their common norm is at most max_norm.

    parameters   Tensors, (name, Tensor) pairs, one Tensor, or a model; those without a gradient are
                 skipped
    Returns      the norm before clipping; if it is NaN or Inf the gradients are left alone

    >>> import numpy as np
    >>> from minillm.nn import Parameter
    >>> p = Parameter(np.zeros(2))
    >>> p.grad = np.array([3.0, 4.0])
    >>> clip_grad_norm_([p], max_norm=1.0)
    5.0
    >>> p.grad.round(3)
    array([0.6, 0.8])
    """
    return clip_and_read(parameters, max_norm, [], norm_type)[0]


def clip_and_read(
    parameters: Any, max_norm: float, numbers: list[Any], norm_type: float = 2.0
) -> tuple[float, list[float]]:
    """(the norm before clipping, the numbers as Python floats), for which a device is asked once.

    numbers   0-d arrays that are wanted on the host as well, such as the losses of the step
    Raises    ValueError if max_norm or norm_type is not above 0

    >>> import numpy as np
    >>> from minillm.nn import Parameter
    >>> p = Parameter(np.zeros(2))
    >>> p.grad = np.array([3.0, 4.0])
    >>> clip_and_read([p], 1.0, [np.float32(0.5)])
    (5.0, [0.5])
    """
    if not (is_number(max_norm) and is_number(norm_type) and max_norm > 0 and norm_type > 0):
        raise ValueError(
            f"clip_grad_norm_: max_norm {max_norm!r} and norm_type {norm_type!r} must be numbers > 0"
        )
    parameters = getattr(parameters, "parameters", lambda: parameters)()  # a model: its own
    entries: Iterable[Any] = [parameters] if isinstance(parameters, Tensor) else parameters
    grads = [(p[1] if isinstance(p, tuple) else p).grad for p in entries]
    grads = [g for g in grads if g is not None and g.size]
    power, *read = host_numbers([_power_of_norm(grads, norm_type), *numbers])
    root = {2.0: math.sqrt, math.inf: float}.get(norm_type, lambda x: x ** (1 / norm_type))
    if math.isinf(power) and norm_type != math.inf:  # squares of float32 reach only to 1e38
        (power,) = host_numbers([_power_of_norm([g.astype("float64") for g in grads], norm_type)])
    norm = root(power)
    if math.isfinite(norm) and norm > max_norm:
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return norm, read


def _power_of_norm(grads: list[Any], norm_type: float) -> Any:
    """The norm of all entries together, to the power norm_type unless that is inf; on their device."""
    if not grads:
        return 0.0
    xp = array_module(*grads)
    if norm_type == math.inf:
        return xp.stack([xp.absolute(g).max() for g in grads]).max()
    if norm_type == 2.0:
        return sum(xp.vdot(g, g) for g in grads)
    return sum((xp.absolute(g) ** norm_type).sum() for g in grads)
