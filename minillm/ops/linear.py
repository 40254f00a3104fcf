"""Linear layer: an affine map of the last axis.

Formula, with the weight stored as (in, out) so that code and formula read alike:

    out = x @ weight + bias          out_j = sum_i x_i weight_ij + bias_j, for each of N rows

Backward.  This is matmul (result 1 and 2 of matmul.py) with one weight for all rows; the bias is
broadcast over the rows, so its gradient is their sum:

    grad_x      = grad_out @ weight^T              (N, in)                                (1)
    grad_weight = x^T @ grad_out                   (in, out): the sum over rows           (2)
    grad_bias   = sum over rows of grad_out        (out,)                                 (3)

(Goodfellow, Bengio & Courville 2016, Deep Learning, algorithm 6.4.)  All leading axes are flattened
to N rows first: one GEMM is faster than a stack of small ones, and in (2) it adds up the rows too.
Check: tests/ops/test_linear.py    Notebook: notebooks/02_gradients.ipynb
"""

from ..backend import array_module
from .checks import keeps, require_floating
from .rows import as_rows


def linear_forward(x, weight, bias=None):
    """x @ weight + bias for every row of x.

    Shapes   x (..., I); weight (I, O); bias (O,) or None -> out (..., O)
    Dtype    all floating and equal
    Saves    x (..., I) unless the weight is frozen, weight (I, O)
    Raises   ValueError that names the shapes if they do not fit; TypeError if dtypes differ

    >>> import numpy as np
    >>> linear_forward(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([0.5]))[0]
    array([[11.5]])
    """
    array_module(x, weight, bias)
    require_floating("linear", x=x, weight=weight, bias=bias, optional=("bias",))
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[0]:
        raise ValueError(
            f"linear: x {x.shape} and weight {weight.shape} do not fit: "
            f"weight must be (in, out) with in = {x.shape[-1] if x.ndim else 'the width of x'}"
        )
    O = weight.shape[1]
    if bias is not None and bias.shape != (O,):
        raise ValueError(f"linear: weight {weight.shape} needs a bias of ({O},), got {bias.shape}")
    out = as_rows(x) @ weight  # (N, O)
    if bias is not None:
        out += bias
    return out.reshape(*x.shape[:-1], O), (x, weight, bias is not None)


def _kept(saved, needs):
    """x is read for the gradient of the weight alone."""
    x, weight, has_bias = saved
    return x if needs[1] else None, weight, has_bias


@keeps(_kept)
def linear_backward(grad_out, saved, *, needs=None):
    """Gradients w.r.t. (x, weight, bias); those that are not needed are not computed."""
    x, weight, has_bias = saved
    need_x, need_weight, need_bias = needs or (True, True, has_bias)
    rows = as_rows(grad_out)  # (N, O)
    grad_x = grad_weight = grad_bias = None
    # forward:  out = x @ weight + bias
    if need_x:
        grad_x = (rows @ weight.T).reshape(*grad_out.shape[:-1], weight.shape[0])  # (1)
    if need_weight:
        grad_weight = as_rows(x).T @ rows  # (2)
    if need_bias and has_bias:
        grad_bias = rows.sum(axis=0)  # (3)
    return grad_x, grad_weight, grad_bias
