"""Reductions: sum, mean, max.

Formula over the reduced axes, n entries in all:

    sum:  out = sum_i x_i         mean:  out = (1/n) sum_i x_i         max:  out = max_i x_i

Backward.  Moving one x_i by d moves the sum by d and the mean by d/n:

    sum:   grad_x_i = grad_out                                                            (1)
    mean:  grad_x_i = grad_out / n                                                        (2)

The maximum follows only the entries that attain it.  Where k entries tie it has no derivative,
but any convex combination of theirs is a subgradient (Boyd & Vandenberghe, Subgradients 2022,
section 3.4); the symmetric one is chosen:

    max:   grad_x_i = grad_out / k  where x_i = out,  else 0                              (3)

Check: tests/ops/test_reductions.py    Notebook: notebooks/01_arrays.ipynb
"""

from ..backend import array_module
from .checks import normalize_axes, require_floating


def _count(shape, axes):
    """The number n of entries that are reduced to one."""
    n = 1
    for axis in axes:
        n *= shape[axis]
    return n


def _spread(grad_out, axes, keepdims, shape):
    """grad_out repeated along the reduced axes: (1).  A read-only view, nothing is copied."""
    xp = array_module(grad_out)
    if not keepdims:
        grad_out = xp.expand_dims(xp.asarray(grad_out), axes)
    return xp.broadcast_to(grad_out, shape)


def sum_forward(x, *, axis=None, keepdims=False):
    """Sum over the given axes (all by default).

    Shapes   x: any -> without the summed axes, or with 1 in their place if keepdims
    Dtype    floating, kept
    Saves    nothing but the shape and the axes
    Raises   ValueError if an axis does not exist; TypeError if x is not floating

    >>> import numpy as np
    >>> sum_forward(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)[0]
    array([4., 6.])
    """
    require_floating("sum", x=x)
    axes = normalize_axes("sum", axis, x.ndim)
    return x.sum(axis=axes, keepdims=keepdims), (x.shape, axes, keepdims)


def sum_backward(grad_out, saved):
    """Gradient w.r.t. x, by (1)."""
    shape, axes, keepdims = saved
    return (_spread(grad_out, axes, keepdims, shape),)


def mean_forward(x, *, axis=None, keepdims=False):
    """Arithmetic mean over the given axes (all by default).

    Shapes   x: any -> without the averaged axes, or with 1 in their place if keepdims
    Dtype    floating, kept
    Saves    nothing but the shape and the axes
    Raises   ValueError if an axis does not exist or there is nothing to average; TypeError if x
             is not floating

    >>> import numpy as np
    >>> mean_forward(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=1)[0]
    array([1.5, 3.5])
    """
    require_floating("mean", x=x)
    axes = normalize_axes("mean", axis, x.ndim)
    if _count(x.shape, axes) == 0:
        raise ValueError(f"mean: x {x.shape} has no entries along axis {axis}: nothing to average")
    return x.mean(axis=axes, keepdims=keepdims), (x.shape, axes, keepdims)


def mean_backward(grad_out, saved):
    """Gradient w.r.t. x, by (2)."""
    shape, axes, keepdims = saved
    # forward:  out = sum(x) / n
    return (_spread(grad_out / _count(shape, axes), axes, keepdims, shape),)


def max_forward(x, *, axis=None, keepdims=False):
    """Largest entry over the given axes (all by default).

    Shapes   x: any -> without the reduced axes, or with 1 in their place if keepdims
    Dtype    floating, kept
    Saves    x, out
    Raises   ValueError if an axis does not exist or is empty; TypeError if x is not floating

    >>> import numpy as np
    >>> max_forward(np.array([[1.0, 2.0], [4.0, 3.0]]), axis=-1)[0]
    array([2., 4.])
    """
    require_floating("max", x=x)
    axes = normalize_axes("max", axis, x.ndim)
    if _count(x.shape, axes) == 0:
        raise ValueError(f"max: x {x.shape} has no entries along axis {axis}: there is no largest")
    out = x.max(axis=axes, keepdims=keepdims)
    return out, (x, out, axes, keepdims)


def max_backward(grad_out, saved):
    """Gradient w.r.t. x, by (3): entries that tie for the maximum share it equally."""
    x, out, axes, keepdims = saved
    largest = x == _spread(out, axes, keepdims, x.shape)
    ties = largest.sum(axis=axes, keepdims=True)  # k, with 1 on the reduced axes
    # forward:  out = max(x)
    grad_x = _spread(grad_out, axes, keepdims, x.shape) * largest
    grad_x /= ties.astype(x.dtype)
    return (grad_x,)
