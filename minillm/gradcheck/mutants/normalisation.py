"""Wrong backwards of layer_norm and rms_norm."""

import numpy as np

from ... import ops
from .changes import row_mean
from .registry import seen_altered as altered
from .registry import seen_wrong as wrong


def _layer_norm_grad_x(formula):
    """A layer norm backward with another formula for grad_x."""

    def backward(grad_out, saved):
        x_hat, rstd, gamma, _ = saved
        grads = ops.layer_norm_backward(grad_out, saved)
        return formula(grad_out * gamma, x_hat, rstd), *grads[1:]

    return backward


wrong("layer_norm", "missing_mean_term", "mean(g) of (1) is forgotten")(
    _layer_norm_grad_x(lambda g, x_hat, rstd: rstd * (g - x_hat * row_mean(g * x_hat)))
)


wrong("layer_norm", "missing_mean_term", "x_hat mean(g x_hat) of (1) is forgotten")(
    _layer_norm_grad_x(lambda g, x_hat, rstd: rstd * (g - row_mean(g)))
)


wrong("layer_norm", "missing_mean_term", "the mean and variance are treated as constants")(
    _layer_norm_grad_x(lambda g, x_hat, rstd: rstd * g)
)


wrong("layer_norm", "wrong_operand", "1 / sqrt(var + eps) is forgotten")(
    _layer_norm_grad_x(lambda g, x_hat, rstd: g - row_mean(g) - x_hat * row_mean(g * x_hat))
)


@wrong("layer_norm", "wrong_operand", "gamma is forgotten on the way to x")
def _(grad_out, saved):
    x_hat, rstd, gamma, has_beta = saved
    grads = ops.layer_norm_backward(grad_out, saved)
    without = ops.layer_norm_backward(grad_out, (x_hat, rstd, np.ones_like(gamma), has_beta))
    return without[0], *grads[1:]


altered(
    "layer_norm",
    "wrong_operand",
    "grad_gamma is not multiplied by x_hat",
    lambda grads, g, saved: (grads[0], g.sum(axis=(0, 1)), grads[2]),
)


altered(
    "rms_norm",
    "missing_mean_term",
    "x_hat mean(g x_hat) of (1) is forgotten",
    lambda grads, g, saved: (saved[1] * g * saved[2], grads[1]),
)


altered(
    "rms_norm",
    "missing_mean_term",
    "mean(g) is subtracted, as in layer norm",
    lambda grads, g, saved: (grads[0] - saved[1] * row_mean(g * saved[2]), grads[1]),
)


altered(
    "rms_norm",
    "wrong_operand",
    "r is forgotten",
    lambda grads, g, saved: (grads[0] / saved[1], grads[1]),
)


altered(
    "rms_norm",
    "wrong_operand",
    "grad_gamma is not multiplied by x_hat",
    lambda grads, g, saved: (grads[0], g.sum(axis=(0, 1))),
)
