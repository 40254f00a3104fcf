"""More wrong backwards of layer_norm and rms_norm."""

import numpy as np

from ... import ops
from .changes import overwriting, row_mean
from .registry import altered, wrong


def _layer_norm(kind, story, formula):
    """A layer norm backward with another grad_x: formula(g, x_hat, rstd)."""
    altered(
        "layer_norm",
        kind,
        story,
        lambda grads, g, saved: (formula(g * saved[2], *saved[:2]), *grads[1:]),
    )


def _batch_mean(x):
    """The mean over all axes but the last."""
    return x.mean(axis=tuple(range(x.ndim - 1)), keepdims=True)


_layer_norm(
    "missing_mean_term",
    "mean(g) is added instead of subtracted",
    lambda g, x_hat, rstd: rstd * (g + row_mean(g) - x_hat * row_mean(g * x_hat)),
)
_layer_norm(
    "missing_mean_term",
    "x_hat mean(g x_hat) is added instead of subtracted",
    lambda g, x_hat, rstd: rstd * (g - row_mean(g) + x_hat * row_mean(g * x_hat)),
)
_layer_norm(
    "missing_mean_term",
    "mean(g) is subtracted twice",
    lambda g, x_hat, rstd: rstd * (g - 2 * row_mean(g) - x_hat * row_mean(g * x_hat)),
)
_layer_norm(
    "wrong_axis",
    "the means run over the batch, as in batch norm",
    lambda g, x_hat, rstd: rstd * (g - _batch_mean(g) - x_hat * _batch_mean(g * x_hat)),
)
_layer_norm(
    "wrong_operand",
    "divided by the variance instead of the standard deviation",
    lambda g, x_hat, rstd: rstd * rstd * (g - row_mean(g) - x_hat * row_mean(g * x_hat)),
)
_layer_norm(
    "wrong_operand",
    "x_hat is forgotten in front of mean(g x_hat)",
    lambda g, x_hat, rstd: rstd * (g - row_mean(g) - row_mean(g * x_hat)),
)
altered(
    "layer_norm",
    "missing_broadcast_sum",
    "grad_gamma is not summed over the rows",
    lambda grads, g, saved: (grads[0], g * saved[0], grads[2]),
)
altered(
    "layer_norm",
    "missing_broadcast_sum",
    "grad_beta is that of the first row alone",
    lambda grads, g, saved: (*grads[:2], None if grads[2] is None else g[0, 0]),
)
altered(
    "layer_norm",
    "scaled",
    "grad_gamma is averaged over the rows",
    lambda grads, g, saved: (grads[0], grads[1] * g.shape[-1] / g.size, grads[2]),
)
altered("layer_norm", "zero_gradient", "beta gets None", lambda grads, g, saved: (*grads[:2], None))
altered(
    "layer_norm",
    "wrong_shape",
    "grad_gamma and grad_beta keep axes of size 1",
    lambda grads, g, saved: (
        grads[0],
        grads[1][None, None],
        None if grads[2] is None else grads[2][None, None],
    ),
)
wrong("layer_norm", "mutated_input", "x_hat is turned into x_hat mean(g x_hat) in place")(
    overwriting(
        "layer_norm",
        lambda g, saved: np.multiply(saved[0], row_mean(g * saved[2] * saved[0]), out=saved[0]),
    )
)


def _rms_norm(kind, story, formula):
    """A rms norm backward with another grad_x: formula(g, x_hat, r)."""
    altered(
        "rms_norm",
        kind,
        story,
        lambda grads, g, saved: (formula(g * saved[2], *saved[:2]), grads[1]),
    )


_rms_norm(
    "missing_mean_term",
    "x_hat mean(g x_hat) is added instead of subtracted",
    lambda g, x_hat, r: r * (g + x_hat * row_mean(g * x_hat)),
)
_rms_norm(
    "missing_mean_term",
    "the 2 of the square is counted: 2 x_hat mean(g x_hat)",
    lambda g, x_hat, r: r * (g - 2 * x_hat * row_mean(g * x_hat)),
)
_rms_norm(
    "wrong_axis",
    "the mean runs over the whole array",
    lambda g, x_hat, r: r * (g - x_hat * (g * x_hat).mean()),
)
_rms_norm(
    "wrong_operand",
    "mean(g) stands where mean(g x_hat) belongs",
    lambda g, x_hat, r: r * (g - x_hat * row_mean(g)),
)
altered(
    "rms_norm",
    "wrong_operand",
    "gamma is forgotten on the way to x",
    lambda grads, g, saved: (
        ops.rms_norm_backward(g, (*saved[:2], np.ones_like(saved[2])))[0],
        grads[1],
    ),
)
altered(
    "rms_norm",
    "missing_broadcast_sum",
    "grad_gamma is that of the first row alone",
    lambda grads, g, saved: (grads[0], (g * saved[0])[0, 0]),
)
altered(
    "rms_norm",
    "wrong_dtype",
    "grad_gamma is summed in float32",
    lambda grads, g, saved: (grads[0], grads[1].astype(np.float32)),
)
altered(
    "rms_norm",
    "sign_flipped",
    "the minus of (1/sqrt)' is put in front of everything",
    lambda grads, g, saved: (-grads[0], grads[1]),
)
