"""More wrong backwards of add, subtract, multiply, divide, negative and power."""

import numpy as np

from ... import ops
from ...ops.broadcasting import gradient_shape, unbroadcast
from .changes import each, first_use, overwriting, total_everywhere
from .registry import altered, wrong

SINGLE = each(lambda x: x.astype(np.float32))


def _shapes(saved):
    return gradient_shape(saved[0]), gradient_shape(saved[1])


# ------------------------------------------------------------------------------ add, subtract

altered(
    "add",
    "missing_broadcast_sum",
    "of all the places that share a broadcast value only the first one counts",
    lambda grads, g, saved: tuple(first_use(g, shape) for shape in saved),
)
altered(
    "add",
    "wrong_axis",
    "a broadcast operand gets the sum over all axes, its own too",
    lambda grads, g, saved: tuple(total_everywhere(g, shape) for shape in saved),
)
altered(
    "add",
    "zero_gradient",
    "an operand that was broadcast gets None",
    lambda grads, g, saved: tuple(
        None if shape != g.shape else x for x, shape in zip(grads, saved, strict=True)
    ),
)
altered("add", "wrong_dtype", "the gradients are kept in float32 to save memory", SINGLE)


@wrong("add", "wrong_shape", "summed axes stay with size 1, those in front too")
def _(grad_out, saved):
    def summed(shape):
        if shape is None:
            return None
        full = (1,) * (grad_out.ndim - len(shape)) + shape
        axes = tuple(i for i, n in enumerate(full) if n != grad_out.shape[i])
        return grad_out.sum(axis=axes, keepdims=True)

    return tuple(summed(shape) for shape in saved)


altered(
    "subtract",
    "zero_gradient",
    "b is taken for a constant: zeros",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else np.zeros_like(grads[1])),
)
altered(
    "subtract",
    "missing_broadcast_sum",
    "of all the places that share a broadcast value only the first one counts",
    lambda grads, g, saved: (first_use(g, saved[0]), first_use(-g, saved[1])),
)
altered(
    "subtract",
    "scaled",
    "each of the two operands gets half of the gradient",
    each(lambda x: x / 2),
)
altered(
    "subtract",
    "ignores_upstream",
    "grad_out is clipped to -0.5 … 0.5",
    lambda grads, g, saved: ops.subtract_backward(np.clip(g, -0.5, 0.5), saved),
)
wrong("subtract", "mutated_input", "the minus of b is written into grad_out")(
    overwriting("subtract", lambda g, saved: np.negative(g, out=g))
)


@wrong("subtract", "wrong_shape", "only the gradient of a is returned")
def _(grad_out, saved):
    return (unbroadcast(grad_out, saved[0]),)


# --------------------------------------------------------------------------- multiply, divide

altered(
    "multiply",
    "wrong_operand",
    "the product itself stands where the other factor belongs",
    lambda grads, g, saved: tuple(
        unbroadcast(g * (saved[0] * saved[1]), shape) for shape in _shapes(saved)
    ),
)
altered(
    "multiply",
    "wrong_axis",
    "a broadcast factor gets the sum over all axes, its own too",
    lambda grads, g, saved: (
        total_everywhere(g * saved[1], _shapes(saved)[0]),
        total_everywhere(g * saved[0], _shapes(saved)[1]),
    ),
)
altered(
    "multiply",
    "ignores_upstream",
    "grad_out is multiplied in twice: its square",
    lambda grads, g, saved: ops.multiply_backward(g * g, saved),
)
altered(
    "multiply",
    "sign_flipped",
    "b gets a minus, as in a quotient",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else -grads[1]),
)


@wrong("multiply", "mutated_input", "grad_out *= b: the product is formed in grad_out itself")
def _(grad_out, saved):
    a, b = saved
    b_shape = gradient_shape(b)
    grad_b = None if b_shape is None else unbroadcast(grad_out * a, b_shape)
    grad_out *= b
    return unbroadcast(grad_out, a.shape), grad_b


altered(
    "divide", "zero_gradient", "the divisor gets None", lambda grads, g, saved: (grads[0], None)
)
altered(
    "divide",
    "missing_broadcast_sum",
    "the gradient of a broadcast operand is not summed",
    lambda grads, g, saved: (
        None if grads[0] is None else g / saved[1],
        -g * saved[0] / saved[1] ** 2,
    ),
)
altered(
    "divide",
    "wrong_operand",
    "the numerator is forgotten in grad_b: -g / b^2",
    lambda grads, g, saved: (grads[0], unbroadcast(-g / (saved[1] * saved[1]), saved[1].shape)),
)
altered(
    "divide",
    "wrong_operand",
    "numerator and denominator are exchanged in grad_b: -g b / a^2",
    lambda grads, g, saved: (
        grads[0],
        unbroadcast(-g * saved[1] / (saved[0] * saved[0]), saved[1].shape),
    ),
)
altered(
    "divide",
    "scaled",
    "grad_b has a factor 2, as if b were squared",
    lambda grads, g, saved: (grads[0], 2 * grads[1]),
)
wrong("divide", "mutated_input", "grad_out /= b: the quotient is formed in grad_out itself")(
    overwriting("divide", lambda g, saved: np.divide(g, saved[1], out=g))
)

# ---------------------------------------------------------------------------- negative, power

altered(
    "negative",
    "scaled",
    "-grad_out is divided by the number of entries, as for a mean",
    each(lambda x: x / x.size),
)
altered(
    "negative", "transposed", "the gradient comes back with its axes reversed", each(lambda x: x.T)
)
altered(
    "negative",
    "wrong_dtype",
    "the gradient is rounded to integers",
    each(lambda x: np.rint(x).astype(np.int64)),
)
altered(
    "negative",
    "ignores_upstream",
    "minus the size of grad_out, so that it is never positive",
    each(lambda x: -np.abs(x)),
)
wrong("negative", "mutated_input", "the signs are turned in grad_out itself")(
    lambda grad_out, saved: (np.negative(grad_out, out=grad_out),)
)
wrong("negative", "wrong_shape", "the array itself is returned, not a tuple that holds it")(
    lambda grad_out, saved: -grad_out
)

altered(
    "power",
    "zero_gradient",
    "an exponent that is an array gets None",
    lambda grads, g, saved: (grads[0], None),
)
altered(
    "power",
    "scaled",
    "the logarithm of base 10 is taken in grad_b",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else grads[1] / np.log(10)),
)
altered(
    "power",
    "sign_flipped",
    "log(1/a) stands in grad_b",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else -grads[1]),
)
altered(
    "power",
    "wrong_operand",
    "the exponent is raised by one instead of lowered",
    lambda grads, g, saved: (
        None
        if grads[0] is None
        else unbroadcast(g * saved[1] * saved[0] ** (saved[1] + 1), saved[0].shape),
        grads[1],
    ),
)
altered(
    "power",
    "missing_broadcast_sum",
    "the gradient of a broadcast base is not summed",
    lambda grads, g, saved: (
        None if grads[0] is None else g * saved[1] * saved[0] ** (saved[1] - 1),
        grads[1],
    ),
)
wrong("power", "mutated_input", "out *= log(a): the saved output is used as a buffer")(
    overwriting("power", lambda g, saved: np.multiply(saved[2], np.log(saved[0]), out=saved[2]))
)
