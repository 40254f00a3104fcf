"""Dropout: switching off a random part of the numbers while training.

Formula (Srivastava et al. 2014, JMLR 15, section 4, in the "inverted" form of section 10): with
independent m_i = 1 with probability 1 - p and else 0,

    out_i = x_i * m_i / (1 - p)        in training;        out = x        otherwise

E[out_i] = x_i (1 - p) / (1 - p) = x_i, so the next layer sees the same mean in both modes.

Backward.  Given the mask, out is linear in x with the factor m_i / (1 - p):

    grad_x_i = grad_out_i * m_i / (1 - p)                                                 (1)

The mask is drawn on the host and carried to the device: the same seed drops the same numbers
everywhere.
Check: tests/ops/test_dropout.py    Notebook: notebooks/12_block.ipynb
"""

import math

from .. import kernels
from ..arguments import is_number
from ..backend import array_module, default_generator
from .checks import require_floating


def dropout_forward(x, *, p, training=True, rng=None):
    """Each entry is set to 0 with probability p, the others are scaled up by 1 / (1 - p).

    Shapes   x: any -> the same
    Dtype    floating, kept
    Saves    scale = m / (1 - p), of the shape of x; None where nothing is dropped
    Raises   ValueError if p is not within 0 … 1; TypeError if x is not floating or rng is not a
             numpy.random.Generator

    >>> import numpy as np
    >>> dropout_forward(np.ones(4), p=0.5, rng=np.random.default_rng(0))[0]
    array([2., 2., 2., 0.])
    """
    xp = array_module(x)
    require_floating("dropout", x=x)
    if not (is_number(p) and 0.0 <= p <= 1.0):
        raise ValueError(f"dropout: p = {p!r} must be a probability, within 0 … 1")
    rng = default_generator(rng)
    if not training or p == 0:
        return x, (None,)
    draws = rng.random(math.prod(x.shape), dtype="float32").reshape(x.shape)
    keep = draws >= p  # on the host
    if kernels.usable(x):
        factor = 1 / (1 - p) if p < 1 else 0.0
        out, scale = kernels.activations.DROPOUT(x, xp.asarray(keep), factor)
        return out, (scale,)
    scale = xp.asarray(keep.astype(x.dtype))
    if p < 1:
        scale *= 1 / (1 - p)
    return x * scale, (scale,)


def dropout_backward(grad_out, saved):
    """Gradient w.r.t. x, by (1), with the mask of the forward pass."""
    (scale,) = saved
    return (grad_out if scale is None else grad_out * scale,)
