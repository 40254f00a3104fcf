"""More wrong backwards of the functions of one number, activations among them."""

import numpy as np

from ... import ops
from .changes import each, overwriting
from .elementwise import gelu_saving_x, normal_cdf
from .registry import altered, wrong

SINGLE = each(lambda x: x.astype(np.float32))

# ------------------------------------------------------------------- exp, log, sqrt, tanh, erf

altered(
    "exp",
    "wrong_operand",
    "exp is treated like a power: x e^(x-1)",
    lambda grads, g, saved: (g * np.log(saved[0]) * saved[0] / np.e,),
)
altered("exp", "sign_flipped", "the slope of exp(-x)", each(np.negative))
altered("exp", "scaled", "the factor log(2) of 2^x", each(lambda x: x * np.log(2)))
wrong("exp", "mutated_input", "grad_out *= out: the product is formed in grad_out itself")(
    overwriting("exp", lambda g, saved: np.multiply(g, saved[0], out=g))
)

altered(
    "log",
    "scaled",
    "the slope of the logarithm of base 10: 1 / (x log(10))",
    each(lambda x: x / np.log(10)),
)
altered(
    "log",
    "wrong_operand",
    "log(x) stands where 1/x belongs",
    lambda grads, g, saved: (g * np.log(saved[0]),),
)
altered("log", "sign_flipped", "the slope of log(1/x)", each(np.negative))
wrong("log", "mutated_input", "the reciprocal of x is formed in x itself")(
    overwriting("log", lambda g, saved: np.divide(1, saved[0], out=saved[0]))
)

altered(
    "sqrt",
    "wrong_operand",
    "the slope is taken at the output: 1 / (2 sqrt(out))",
    lambda grads, g, saved: (g / (2 * np.sqrt(saved[0])),),
)
altered(
    "sqrt", "sign_flipped", "the exponent -1/2 becomes the factor instead of 1/2", each(np.negative)
)
altered("sqrt", "wrong_dtype", "the quotient is taken in float32", SINGLE)
altered(
    "sqrt",
    "ignores_upstream",
    "grad_out is forgotten",
    lambda grads, g, saved: (1 / (2 * saved[0]),),
)
wrong("sqrt", "wrong_shape", "the array itself is returned, not a tuple that holds it")(
    lambda grad_out, saved: grad_out / (2 * saved[0])
)

altered(
    "tanh",
    "wrong_operand",
    "1 + out^2, the slope of the tangent",
    lambda grads, g, saved: (g * (1 + saved[0] ** 2),),
)
altered(
    "tanh",
    "wrong_operand",
    "out (1 - out), the slope of the sigmoid",
    lambda grads, g, saved: (g * saved[0] * (1 - saved[0]),),
)
altered(
    "tanh",
    "not_finite",
    "out^2 is computed as exp(2 log(out))",
    lambda grads, g, saved: (g * (1 - np.exp(2 * np.log(saved[0]))),),
)
altered("tanh", "scaled", "the slope of tanh(x/2)", each(lambda x: x / 2))

altered(
    "erf",
    "scaled",
    "the constant of the normal density, 1/sqrt(2 pi)",
    each(lambda x: x / np.sqrt(8)),
)
altered(
    "erf",
    "wrong_operand",
    "the slope is taken at the output instead of the input",
    lambda grads, g, saved: (
        2 / np.sqrt(np.pi) * g * np.exp(-(ops.erf_forward(saved[0])[0] ** 2)),
    ),
)
altered(
    "erf",
    "wrong_operand",
    "the minus in the exponent is forgotten: exp(x^2)",
    lambda grads, g, saved: (2 / np.sqrt(np.pi) * g * np.exp(saved[0] ** 2),),
)
altered(
    "erf",
    "ignores_upstream",
    "grad_out is forgotten",
    lambda grads, g, saved: (2 / np.sqrt(np.pi) * np.exp(-(saved[0] ** 2)),),
)
wrong("erf", "mutated_input", "x *= x: the square is formed in x itself")(
    overwriting("erf", lambda g, saved: np.multiply(saved[0], saved[0], out=saved[0]))
)

# --------------------------------------------------------------------------------------- gelu


def _gelu_saving_all(x, *, approximate="none"):
    """gelu, saving (x, slope, out)."""
    out, (slope,) = ops.gelu_forward(x, approximate=approximate)
    return out, (x, slope, out)


@wrong("gelu", "dropped_branch", "Phi(x) of the product rule is forgotten", _gelu_saving_all)
def _(grad_out, saved):
    x, slope, out = saved
    return (grad_out * (slope - out / x),)


@wrong("gelu", "wrong_operand", "the 1/2 in the exponent of phi is forgotten", gelu_saving_x)
def _(grad_out, saved):
    x, _approximate = saved
    return (grad_out * (normal_cdf(x) + x * np.exp(-x * x) / np.sqrt(2 * np.pi)),)


@wrong("gelu", "wrong_operand", "x of x phi(x) is forgotten", _gelu_saving_all)
def _(grad_out, saved):
    x, slope, out = saved
    cdf = out / x
    return (grad_out * (cdf + (slope - cdf) / x),)


wrong("gelu", "mutated_input", "slope *= grad_out: the saved slope is used as a buffer")(
    overwriting("gelu", lambda g, saved: np.multiply(g, saved[0], out=saved[0]))
)
altered(
    "gelu",
    "wrong_shape",
    "a second gradient is returned for the option",
    lambda grads, g, saved: (*grads, None),
)

# ------------------------------------------------------------------------- relu, sigmoid, silu

altered(
    "relu",
    "zero_gradient",
    "relu is taken for a step, which is flat everywhere",
    each(np.zeros_like),
)
altered(
    "relu",
    "wrong_dtype",
    "grad_out and the mask are joined by a logical and",
    lambda grads, g, saved: (np.logical_and(g, saved[0]),),
)
altered(
    "relu", "not_finite", "grad_out is divided by the mask", lambda grads, g, saved: (g / saved[0],)
)
altered(
    "relu",
    "ignores_upstream",
    "relu is applied to grad_out as well",
    lambda grads, g, saved: (np.maximum(g, 0) * saved[0],),
)
altered(
    "relu",
    "wrong_entries",
    "the slope 0.01 of a leaky relu where x is negative",
    lambda grads, g, saved: (g * np.where(saved[0], 1, 0.01),),
)
wrong("relu", "mutated_input", "grad_out is set to 0 where x is negative")(
    overwriting("relu", lambda g, saved: np.multiply(g, saved[0], out=g))
)

altered(
    "sigmoid",
    "wrong_operand",
    "the factor s is forgotten: 1 - s",
    lambda grads, g, saved: (g * (1 - saved[0]),),
)
altered("sigmoid", "sign_flipped", "s (s - 1)", each(np.negative))
altered(
    "sigmoid", "scaled", "2 s (1 - s): the 1/2 of tanh(x/2) is forgotten", each(lambda x: 2 * x)
)
wrong("sigmoid", "mutated_input", "s *= 1 - s: the saved output is used as a buffer")(
    overwriting("sigmoid", lambda g, saved: np.multiply(saved[0], 1 - saved[0], out=saved[0]))
)

altered(
    "silu",
    "wrong_operand",
    "s stands where 1 - s belongs: s (1 + x s)",
    lambda grads, g, saved: (g * saved[1] * (1 + saved[0] * saved[1]),),
)
altered(
    "silu",
    "dropped_branch",
    "x s (1 - s) is subtracted instead of added",
    lambda grads, g, saved: (g * saved[1] * (1 - saved[0] * (1 - saved[1])),),
)
altered(
    "silu",
    "wrong_operand",
    "the x of x s (1 - s) is forgotten",
    lambda grads, g, saved: (g * saved[1] * (2 - saved[1]),),
)
altered(
    "silu",
    "wrong_shape",
    "a second gradient is returned, for the gate",
    lambda grads, g, saved: (g * saved[1], g * saved[0]),
)
altered(
    "silu",
    "ignores_upstream",
    "grad_out is forgotten",
    lambda grads, g, saved: (saved[1] * (1 + saved[0] * (1 - saved[1])),),
)
