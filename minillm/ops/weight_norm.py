"""Weight normalization: the length of a weight vector and its direction as parameters of their own.

Formula (Salimans & Kingma 2016, arXiv:1602.07868, eq. 2), for every vector v along `axis`:

    u = v / ||v||          w = g * u                                                      (1)

Every w can be written so, and every g * u is some w: the functions that a network can compute stay
the same, only the way to them changes.

Backward (eq. 3 of the paper).  w moves with g along u.  Moving v_j moves ||v|| by u_j, so

    d u_i / d v_j = ([i = j] - u_i u_j) / ||v||

    grad_g = sum over the axis of grad_out * u                                            (2)
    grad_v = g / ||v|| * (grad_out - u * grad_g)                                          (3)

The bracket takes away the part of the gradient along u, so grad_v is at right angles to v: a step
against it makes v longer, ||v - r grad_v||^2 = ||v||^2 + r^2 ||grad_v||^2, and by the factor 1 / ||v||
of (3) later steps turn it less (section 2.1 of the paper).

For the norm, v is divided by its largest entry first, so that no square overflows or vanishes.  A v
of zeros has no direction: there u = 0 and w = 0, and (3) is used with ||v|| = 1.
Check: tests/ops/test_weight_norm.py    Notebook: notebooks/23_estimators.ipynb
"""

from ..backend import array_module
from .checks import normalize_axes, require_floating


def weight_norm_forward(v, g, *, axis=0):
    """Vectors of the direction of v and the length |g|.

    Shapes   v (I, O), g (1, O) for axis=0 -> w (I, O); in general any v, and g of the same shape but
             for a size of 1 along the axis or axes of the norm
    Dtype    both floating and equal
    Units    those of g; v any
    Saves    u, norm, g, axis
    Raises   ValueError if the axis does not exist or is empty, or g has another shape; TypeError if
             dtypes differ

    axis   of the norm, one or several; None for all.  0 for a weight (in, out): a norm per output

    >>> import numpy as np
    >>> weight_norm_forward(np.array([[3.0, 0.0], [4.0, 2.0]]), np.array([[10.0, 1.0]]))[0]
    array([[6., 0.],
           [8., 1.]])
    """
    xp = array_module(v, g)
    require_floating("weight_norm", v=v, g=g)
    axis = normalize_axes("weight_norm", axis, v.ndim)
    wanted = tuple(1 if i in axis else n for i, n in enumerate(v.shape))
    if g.shape != wanted:
        raise ValueError(
            f"weight_norm: g {g.shape} must be {wanted}: the shape of v {v.shape} with size 1 along "
            f"the axes {axis} of the norm"
        )
    if any(v.shape[i] == 0 for i in axis):
        raise ValueError(f"weight_norm: v {v.shape} has no entries along the axes {axis}")
    largest = xp.absolute(v).max(axis=axis, keepdims=True)  # (1, O)
    largest += largest == 0  # 1 for a vector of zeros
    u = v / largest  # (I, O)
    root = xp.clip(xp.sqrt((u * u).sum(axis=axis, keepdims=True)), 1.0, None)  # (1, O)
    u /= root
    return g * u, (u, largest * root, g, axis)


def weight_norm_backward(grad_out, saved):
    """Gradients w.r.t. (v, g), by (3) and (2)."""
    u, norm, g, axis = saved
    # forward:  w = g * u
    grad_g = (grad_out * u).sum(axis=axis, keepdims=True)  # (1, O)
    # forward:  u = v / ||v||
    grad_v = grad_out - u * grad_g  # (I, O)
    grad_v *= g / norm
    return grad_v, grad_g
