"""Wrong backwards of add, subtract, multiply, divide, negative and power."""

from typing import Any

import numpy as np

from ... import ops
from ...ops.broadcasting import gradient_shape, unbroadcast
from .changes import each
from .registry import seen_altered as altered
from .registry import seen_wrong as wrong


def _mean_instead_of_sum(grad: Any, shape: tuple | None) -> Any:
    if shape is None or grad.shape == shape:
        return None if shape is None else grad
    summed = unbroadcast(grad, shape)
    return summed * (summed.size / grad.size)


altered(
    "add",
    "missing_broadcast_sum",
    "the gradient of a broadcast operand is not summed",
    lambda grads, g, saved: (g, None if saved[1] is None else g),
)


altered(
    "add",
    "scaled",
    "the gradient of a broadcast operand is averaged instead of summed",
    lambda grads, g, saved: tuple(_mean_instead_of_sum(g, shape) for shape in saved),
)


altered(
    "add",
    "sign_flipped",
    "b is treated as if it were subtracted",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else -grads[1]),
)


altered(
    "subtract",
    "sign_flipped",
    "the minus of b is forgotten",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else -grads[1]),
)


altered(
    "subtract",
    "missing_broadcast_sum",
    "the gradient of a broadcast operand is not summed",
    lambda grads, g, saved: (g, None if saved[1] is None else -g),
)


altered(
    "subtract",
    "sign_flipped",
    "both operands get a minus",
    lambda grads, g, saved: (-grads[0], grads[1]),
)


@wrong("multiply", "wrong_operand", "each operand gets itself as a factor instead of the other one")
def _(grad_out, saved):
    a, b = saved
    sa, sb = gradient_shape(a), gradient_shape(b)
    return unbroadcast(grad_out * a, sa), None if sb is None else unbroadcast(grad_out * b, sb)


@wrong(
    "multiply", "ignores_upstream", "grad_out is forgotten: only the local derivative is returned"
)
def _(grad_out, saved):
    a, b = saved
    ones, sb = np.ones_like(grad_out), gradient_shape(b)
    return unbroadcast(ones * b, a.shape), None if sb is None else unbroadcast(ones * a, sb)


@wrong("multiply", "missing_broadcast_sum", "the gradient of a broadcast operand is not summed")
def _(grad_out, saved):
    a, b = saved
    return grad_out * b, None if gradient_shape(b) is None else grad_out * a


altered(
    "divide",
    "sign_flipped",
    "the minus of grad_b is forgotten",
    lambda grads, g, saved: (grads[0], -grads[1]),
)


@wrong("divide", "wrong_operand", "grad_b divides by b once instead of by b squared")
def _(grad_out, saved):
    a, b = saved
    return unbroadcast(grad_out / b, gradient_shape(a)), unbroadcast(-grad_out * (a / b), b.shape)


@wrong("divide", "wrong_operand", "grad_a multiplies by b instead of dividing")
def _(grad_out, saved):
    a, b = saved
    return unbroadcast(grad_out * b, gradient_shape(a)), ops.divide_backward(grad_out, saved)[1]


altered("negative", "sign_flipped", "the minus is forgotten", each(np.negative))


altered("negative", "zero_gradient", "the gradient is zero", each(np.zeros_like))


altered(
    "negative",
    "ignores_upstream",
    "only the local derivative -1 is returned",
    each(lambda x: -np.ones_like(x)),
)


@wrong("power", "wrong_operand", "the factor b of b a^(b-1) is forgotten")
def _(grad_out, saved):
    a, b, _out = saved
    right = ops.power_backward(grad_out, saved)
    return None if right[0] is None else unbroadcast(grad_out * a ** (b - 1), a.shape), right[1]


@wrong("power", "wrong_operand", "the exponent is not lowered by one")
def _(grad_out, saved):
    a, b, out = saved
    right = ops.power_backward(grad_out, saved)
    return None if right[0] is None else unbroadcast(grad_out * b * out, a.shape), right[1]


@wrong("power", "wrong_operand", "the log(a) of grad_b is forgotten")
def _(grad_out, saved):
    _a, b, out = saved
    right = ops.power_backward(grad_out, saved)
    return right[0], None if right[1] is None else unbroadcast(grad_out * out, b.shape)
