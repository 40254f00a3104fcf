"""Softmax and its logarithm.

Formula (Bridle 1990, Neurocomputing, eq. 11), along one axis:

    p_i = exp(x_i) / sum_j exp(x_j)          log p_i = x_i - log sum_j exp(x_j)

Adding a constant to all x_j changes nothing, so the largest is subtracted first: every exponent is
then <= 0 and the sum >= 1, so nothing overflows and nothing is divided by zero.  Entries of -inf get
probability 0; a row of nothing else has no distribution and gives NaN.

Backward.  x_i enters p_i and, through the sum, every other p_j:

    d p_j / d x_i = p_j * ([i = j] - p_i)
    grad_x_i = sum_j g_j p_j ([i = j] - p_i) = p_i * (g_i - sum_j g_j p_j)                (1)

The bracket subtracts the p-weighted mean of g: softmax ignores a shift of all x, so the gradients
of a row sum to zero.  For the logarithm, d log p_j / d x_i = [i = j] - p_i, hence

    grad_x_i = g_i - p_i * sum_j g_j                                                      (2)

Check: tests/ops/test_softmax.py    Notebook: notebooks/05_softmax_cross_entropy.ipynb
"""

from .. import kernels
from ..backend import array_module
from .checks import normalize_axes, require_floating


def _existing(operation, x, axis):
    """The axis as a number from 0; it must exist and have entries."""
    require_floating(operation, x=x)
    (axis,) = normalize_axes(operation, (axis,), x.ndim)
    if x.shape[axis] == 0:
        raise ValueError(f"{operation}: axis {axis} of x {x.shape} has no entries")
    return axis


def softmax_forward(x, *, axis=-1):
    """Positive numbers that sum to 1 along the axis, in the proportions of exp(x).

    Shapes   x: any with at least one axis -> the same
    Dtype    floating, kept
    Units    x in nats (differences are log odds), out are probabilities
    Saves    out
    Raises   ValueError if the axis does not exist or is empty; TypeError if x is not floating

    >>> import numpy as np
    >>> softmax_forward(np.log(np.array([1.0, 3.0])))[0]
    array([0.25, 0.75])
    """
    xp, axis = array_module(x), _existing("softmax", x, axis)
    if kernels.usable(x):
        p = kernels.rows.softmax(x, axis)
        return p, (p, axis)
    p = x - x.max(axis=axis, keepdims=True)
    xp.exp(p, out=p)
    p /= p.sum(axis=axis, keepdims=True)
    return p, (p, axis)


def softmax_backward(grad_out, saved):
    """Gradient w.r.t. x, by (1)."""
    p, axis = saved
    if kernels.usable(p):
        return (kernels.rows.softmax_backward(grad_out, p, axis),)
    # forward:  p = exp(x) / sum(exp(x))
    grad_x = grad_out * p
    grad_x -= p * grad_x.sum(axis=axis, keepdims=True)
    return (grad_x,)


def log_softmax_forward(x, *, axis=-1):
    """The logarithm of softmax, exact where softmax itself would round to 0.

    Shapes   x: any with at least one axis -> the same
    Dtype    floating, kept
    Units    x and out in nats
    Saves    out
    Raises   ValueError if the axis does not exist or is empty; TypeError if x is not floating

    >>> import numpy as np
    >>> log_softmax_forward(np.array([0.0, 0.0]))[0].round(4)
    array([-0.6931, -0.6931])
    """
    xp, axis = array_module(x), _existing("log_softmax", x, axis)
    if kernels.usable(x):
        out = kernels.rows.log_softmax(x, axis)
        return out, (out, axis)
    out = x - x.max(axis=axis, keepdims=True)
    out -= xp.log(xp.exp(out).sum(axis=axis, keepdims=True))
    return out, (out, axis)


def log_softmax_backward(grad_out, saved):
    """Gradient w.r.t. x, by (2)."""
    log_p, axis = saved
    if kernels.usable(log_p):
        return (kernels.rows.log_softmax_backward(grad_out, log_p, axis),)
    xp = array_module(log_p)
    # forward:  out = x - log(sum(exp(x)))
    grad_x = xp.exp(log_p)
    grad_x *= -grad_out.sum(axis=axis, keepdims=True)
    grad_x += grad_out
    return (grad_x,)
