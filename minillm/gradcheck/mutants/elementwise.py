"""Wrong backwards of the functions of one number, activations among them."""

import numpy as np

from ... import ops
from .changes import each
from .registry import seen_altered as altered
from .registry import seen_wrong as wrong

"""Wrong backward passes that a gradient check must reject: the classic mistakes of each operation.

A check that has never failed proves nothing.  `tests/gradcheck/test_mutants.py` runs all of these
and fails if one of them passes.  Two ways to write one:

    @wrong("sqrt", "scaled", "the 2 of 2 sqrt(x) is forgotten")
    def _(grad_out, saved): ...                 a whole backward

    altered("add", "sign_flipped", "b is subtracted", lambda grads, g, saved: ...)
                                                the right gradients, changed

`kind` says what a perfect diagnosis would call it (kinds.py).  Where the right forward does not
save what the mistake needs, `forward=` gives one that does; its output must be right.
"""


altered("exp", "wrong_operand", "the factor exp(x) is forgotten", lambda grads, g, saved: (g,))


altered("exp", "ignores_upstream", "grad_out is forgotten", lambda grads, g, saved: (saved[0],))


altered(
    "exp", "wrong_operand", "exp is applied twice", lambda grads, g, saved: (g * np.exp(saved[0]),)
)


altered("log", "wrong_operand", "x multiplies instead of dividing", lambda gr, g, s: (g * s[0],))


altered("log", "wrong_operand", "x divides twice", lambda grads, g, saved: (g / saved[0] ** 2,))


altered("log", "ignores_upstream", "grad_out is forgotten", lambda grads, g, s: (1 / s[0],))


altered("sqrt", "scaled", "the 2 of 2 sqrt(x) is forgotten", lambda gr, g, s: (g / s[0],))


altered(
    "sqrt",
    "wrong_operand",
    "x divides instead of its root",
    lambda grads, g, saved: (g / (2 * saved[0] ** 2),),
)


altered(
    "sqrt",
    "wrong_operand",
    "the root multiplies instead of dividing",
    lambda grads, g, saved: (g * saved[0] / 2,),
)


altered(
    "tanh",
    "wrong_operand",
    "the square of 1 - out^2 is forgotten",
    lambda grads, g, saved: (g * (1 - saved[0]),),
)


altered(
    "tanh",
    "wrong_operand",
    "1 - tanh(out)^2: the derivative at the output, not the input",
    lambda grads, g, saved: (g * (1 - np.tanh(saved[0]) ** 2),),
)


altered("tanh", "sign_flipped", "out^2 - 1", each(np.negative))


altered(
    "erf",
    "scaled",
    "the factor 2/sqrt(pi) is forgotten",
    lambda grads, g, saved: (grads[0] * np.sqrt(np.pi) / 2,),
)


altered(
    "erf",
    "wrong_operand",
    "the density of the normal distribution, exp(-x^2/2), is used",
    lambda grads, g, saved: (2 / np.sqrt(np.pi) * g * np.exp(-(saved[0] ** 2) / 2),),
)


altered(
    "erf",
    "wrong_operand",
    "the square of the exponent is forgotten",
    lambda grads, g, saved: (2 / np.sqrt(np.pi) * g * np.exp(-saved[0]),),
)


def gelu_saving_x(x, *, approximate="none"):
    """gelu, saving (x, approximate)."""
    out, _ = ops.gelu_forward(x, approximate=approximate)
    return out, (x, approximate)


def normal_cdf(x):
    """The probability that a standard normal number is below x."""
    return (1 + ops.erf_forward(x / np.sqrt(2))[0]) / 2


@wrong("gelu", "dropped_branch", "x phi(x) of the product rule is forgotten", gelu_saving_x)
def _(grad_out, saved):
    return (grad_out * normal_cdf(saved[0]),)


@wrong("gelu", "wrong_operand", "the slope of the tanh form is used for the exact form, "
       "and the other way round", gelu_saving_x)  # fmt: skip
def _(grad_out, saved):
    x, approximate = saved
    other = "tanh" if approximate == "none" else "none"
    return ops.gelu_backward(grad_out, ops.gelu_forward(x, approximate=other)[1])


@wrong("gelu", "wrong_operand", "the slope of x sigmoid(1.702 x), a third approximation",
       gelu_saving_x)  # fmt: skip
def _(grad_out, saved):
    s = 1 / (1 + np.exp(-1.702 * saved[0]))
    return (grad_out * (s + 1.702 * saved[0] * s * (1 - s)),)


altered(
    "relu",
    "ignores_upstream",
    "grad_out is forgotten",
    lambda grads, g, saved: (saved[0].astype(float),),
)


altered(
    "relu",
    "wrong_entries",
    "the gradient passes where x is negative",
    lambda grads, g, saved: (g * ~saved[0],),
)


altered("relu", "wrong_entries", "the gradient passes everywhere", lambda grads, g, saved: (g,))


altered(
    "sigmoid",
    "wrong_operand",
    "the square of s is forgotten: s instead of s (1 - s)",
    lambda grads, g, saved: (g * saved[0],),
)


altered(
    "sigmoid",
    "wrong_operand",
    "1 - s^2, the slope of tanh",
    lambda grads, g, saved: (g * (1 - saved[0] ** 2),),
)


altered(
    "sigmoid",
    "wrong_operand",
    "the slope is taken at the output instead of the input",
    lambda grads, g, saved: (
        g * ops.sigmoid_forward(saved[0])[0] * (1 - ops.sigmoid_forward(saved[0])[0]),
    ),
)


altered(
    "silu",
    "dropped_branch",
    "x s (1 - s) of the product rule is forgotten",
    lambda grads, g, saved: (g * saved[1],),
)


altered(
    "silu",
    "dropped_branch",
    "s of the product rule is forgotten",
    lambda grads, g, saved: (g * saved[0] * saved[1] * (1 - saved[1]),),
)


altered(
    "silu",
    "wrong_operand",
    "s (1 - s), the slope of sigmoid alone",
    lambda grads, g, saved: (g * saved[1] * (1 - saved[1]),),
)
