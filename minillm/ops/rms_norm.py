"""RMS normalization: layer normalization without the mean.

Formula (Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4), per row of C features:

    r = 1 / sqrt(mean(x^2) + eps)       x_hat = x * r       out = gamma * x_hat

(the paper has no eps; every implementation adds it inside the root.)

Backward.  Write g = grad_out * gamma for the gradient that reaches x_hat.  Moving one x_j moves
mean(x^2) by 2 x_j / C, and r by -r^3 x_j / C, so

    d x_hat_i / d x_j = r [i = j] - x_i r^3 x_j / C = r ([i = j] - x_hat_i x_hat_j / C)

    grad_x = r * (g - x_hat * mean(g * x_hat))                                            (1)
    grad_gamma = sum over rows of grad_out * x_hat                                        (2)

The last term of (1) removes the part of g that would only rescale the row.  Compare (1) of
layer_norm.py: the term mean(g) is gone, because a shift of the row is no longer ignored.
Check: tests/ops/test_rms_norm.py    Notebook: notebooks/12_block.ipynb
"""

from .. import kernels
from ..backend import array_module
from .checks import require_floating
from .rows import row_mean


def rms_norm_forward(x, gamma, *, eps=1e-5):
    """Bring the last axis of x to a mean square of 1, then scale it.

    Shapes   x (..., C); gamma (C,) -> out (..., C)
    Dtype    both floating and equal
    Units    x any; out in units of gamma; eps in units of x squared
    Saves    x_hat (..., C), r (..., 1), gamma (C,)
    Raises   ValueError if gamma is not of shape (C,) or C is 0; TypeError if dtypes differ

    >>> import numpy as np
    >>> rms_norm_forward(np.array([[3.0, 4.0]]), np.ones(2), eps=0.0)[0].round(4)
    array([[0.8485, 1.1314]])
    """
    xp = array_module(x, gamma)
    require_floating("rms_norm", x=x, gamma=gamma)
    C = x.shape[-1] if x.ndim else 0
    if C == 0 or gamma.shape != (C,):
        raise ValueError(
            f"rms_norm: x {x.shape} needs a last axis with entries, and gamma of shape ({C},), "
            f"got {gamma.shape}"
        )
    if kernels.usable(x):
        out, x_hat, r = kernels.rows.rms_norm(x, gamma, eps)
        return out, (x_hat, r, gamma)
    r = 1 / xp.sqrt(row_mean(x * x) + float(eps))  # (..., 1)
    x_hat = x * r  # (..., C)
    return x_hat * gamma, (x_hat, r, gamma)


def rms_norm_backward(grad_out, saved, *, needs=None):
    """Gradients w.r.t. (x, gamma), by (1) and (2); one that is not needed is not computed."""
    x_hat, r, gamma = saved
    need_x, need_gamma = needs or (True, True)
    grad_x = grad_gamma = None
    # forward:  out = gamma * x_hat
    if need_gamma:
        grad_gamma = (grad_out * x_hat).sum(axis=tuple(range(grad_out.ndim - 1)))  # (C,)
    # forward:  x_hat = x / sqrt(mean(x^2) + eps)
    if need_x and kernels.usable(grad_out):
        grad_x = kernels.rows.rms_norm_backward(grad_out, x_hat, r, gamma)
    elif need_x:
        grad_x = grad_out * gamma  # (..., C)  g in (1)
        grad_x -= x_hat * row_mean(grad_x * x_hat)
        grad_x *= r
    return grad_x, grad_gamma
