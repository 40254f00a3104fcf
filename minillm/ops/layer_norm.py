"""Layer normalization.

Formula (Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 3-4), per row of C features:

    mu = mean(x)     var = mean((x - mu)^2)     x_hat = (x - mu) / sqrt(var + eps)
    out = gamma * x_hat + beta

eps keeps the root away from 0 for a constant row; it stands inside the root.

Backward.  Write g = grad_out * gamma for the gradient that reaches x_hat, rstd for
1 / sqrt(var + eps).  Moving one x_j moves mu by 1/C and var by 2 (x_j - mu) / C, so

    d x_hat_i / d x_j = rstd * ([i = j] - 1/C - x_hat_i * x_hat_j / C)

grad_x_j = sum_i g_i d x_hat_i / d x_j, in whole rows:

    grad_x = rstd * (g - mean(g) - x_hat * mean(g * x_hat))                               (1)

mean(g) removes the part of g that would only shift the row, the last term the part that would
only rescale it: layer norm ignores both, so no gradient may flow there.  gamma and beta are
shared by all rows, which add up:

    grad_gamma = sum over rows of grad_out * x_hat     grad_beta = sum over rows of grad_out   (2)

Check: tests/ops/test_layer_norm.py    Notebook: notebooks/12_block.ipynb
"""

from .. import kernels
from ..backend import array_module
from .checks import require_floating
from .rows import row_mean


def layer_norm_forward(x, gamma, beta=None, *, eps=1e-5):
    """Bring the last axis of x to mean 0 and variance 1, then scale and shift it.

    Shapes   x (..., C); gamma (C,); beta (C,) or None -> out (..., C)
    Dtype    all floating and equal
    Units    x any; out in units of gamma (x_hat has none); eps in units of x squared
    Saves    x_hat (..., C), rstd (..., 1), gamma (C,)
    Raises   ValueError if gamma or beta is not of shape (C,); TypeError if dtypes differ

    >>> import numpy as np
    >>> layer_norm_forward(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2))[0].round(3)
    array([[-1.,  1.]])
    """
    xp = array_module(x, gamma, beta)
    require_floating("layer_norm", x=x, gamma=gamma, beta=beta, optional=("beta",))
    C = x.shape[-1] if x.ndim else 0
    if C == 0:
        raise ValueError(f"layer_norm: x {x.shape} needs a last axis with entries to normalize")
    if gamma.shape != (C,) or (beta is not None and beta.shape != (C,)):
        found = gamma.shape if beta is None else f"{gamma.shape} and {beta.shape}"
        raise ValueError(
            f"layer_norm: x {x.shape} needs gamma and beta of shape ({C},), got {found}"
        )
    if kernels.usable(x):
        out, x_hat, rstd = kernels.rows.layer_norm(x, gamma, beta, eps)
        return out, (x_hat, rstd, gamma, beta is not None)
    x_hat = x - row_mean(x)  # (..., C)  a new buffer, reused below
    var = row_mean(x_hat * x_hat)  # (..., 1)  two passes: never negative
    rstd = 1 / xp.sqrt(var + float(eps))  # (..., 1)
    x_hat *= rstd
    out = x_hat * gamma  # (..., C)
    if beta is not None:
        out += beta
    return out, (x_hat, rstd, gamma, beta is not None)


def layer_norm_backward(grad_out, saved, *, needs=None):
    """Gradients w.r.t. (x, gamma, beta); those that are not needed are not computed."""
    x_hat, rstd, gamma, has_beta = saved
    need_x, need_gamma, need_beta = needs or (True, True, has_beta)
    rows = tuple(range(grad_out.ndim - 1))  # every axis but the features
    grad_x = grad_gamma = grad_beta = None
    # forward:  out = gamma * x_hat + beta                          by (2)
    if need_gamma:
        grad_gamma = (grad_out * x_hat).sum(axis=rows)  # (C,)
    if need_beta and has_beta:
        grad_beta = grad_out.sum(axis=rows)  # (C,)
    # forward:  x_hat = (x - mu) * rstd                             by (1)
    if need_x and kernels.usable(grad_out):
        grad_x = kernels.rows.layer_norm_backward(grad_out, x_hat, rstd, gamma)
    elif need_x:
        grad_x = grad_out * gamma  # (..., C)  g in (1)
        rescale = row_mean(grad_x * x_hat)  # (..., 1)
        grad_x -= row_mean(grad_x)
        grad_x -= x_hat * rescale
        grad_x *= rstd
    return grad_x, grad_gamma, grad_beta
