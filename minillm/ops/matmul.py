"""Matrix multiplication, of stacks of matrices too.

Formula, for each matrix of the stack:

    out[i, j] = sum_k a[i, k] * b[k, j]            a (M, K), b (K, N) -> out (M, N)

Backward.  a[i, k] enters every out[i, j] with the factor b[k, j], so

    grad_a[i, k] = sum_j grad_out[i, j] * b[k, j]        grad_a = grad_out @ b^T         (1)
    grad_b[k, j] = sum_i a[i, k] * grad_out[i, j]        grad_b = a^T @ grad_out         (2)

(Petersen & Pedersen, The Matrix Cookbook 2012, eq. 70-71, in index form.)  The shapes leave no
other choice: (M, N) @ (N, K) is the only product of grad_out and b with the shape of a.  Leading
axes broadcast, so their gradient is summed back, by (1) of broadcasting.py.  As in NumPy, a
vector on the left is a row and a vector on the right a column, and that axis is dropped from out.
Check: tests/ops/test_matmul.py    Notebook: notebooks/01_arrays.ipynb
"""

from ..backend import array_module
from .broadcasting import unbroadcast
from .checks import require_floating, shape_of
from .rows import as_rows


def matmul_forward(a, b):
    """Matrix product of the last two axes; leading axes are a stack and broadcast.

    Shapes   a (..., M, K) or (K,); b (..., K, N) or (K,) -> out (..., M, N), without the axis of a
             vector
    Dtype    both floating and equal
    Saves    a, b
    Raises   ValueError if K differs, an operand is 0-d, or the stacks do not broadcast

    >>> import numpy as np
    >>> matmul_forward(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))[0]
    array([[11.]])
    """
    array_module(a, b)
    if type(a) in (int, float) or type(b) in (int, float):
        raise _without_axes(a, b)
    require_floating("matmul", a=a, b=b)
    if a.ndim == 0 or b.ndim == 0:
        raise _without_axes(a, b)
    inner_b = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner_b:
        raise ValueError(
            f"matmul: a {a.shape} and b {b.shape} do not fit: the last axis of a has "
            f"{a.shape[-1]} entries, axis {'0' if b.ndim == 1 else '-2'} of b has {inner_b}"
        )
    for m, n in zip(a.shape[-3::-1], b.shape[-3::-1], strict=False):
        if m != n and m != 1 and n != 1:
            raise ValueError(f"matmul: the stacks of a {a.shape} and b {b.shape} do not broadcast")
    return a @ b, (a, b)


def _without_axes(a, b):
    """The error for a number or an array without axes."""
    return ValueError(
        f"matmul: a {shape_of(a)} and b {shape_of(b)} must have at least one axis; use *"
    )


def matmul_backward(grad_out, saved, *, needs=None):
    """Gradients w.r.t. (a, b), by (1) and (2); one that is not needed is not computed."""
    a, b = saved
    need_a, need_b = needs or (True, True)
    # vectors take part as a row (1, K) and a column (K, 1)
    if a.ndim == 1:
        grad_out = grad_out[..., None, :] if b.ndim > 1 else grad_out[None]
    if b.ndim == 1:
        grad_out = grad_out[..., None]
    rows = a[None] if a.ndim == 1 else a  # (..., M, K)
    columns = b[:, None] if b.ndim == 1 else b  # (..., K, N)
    grad_a = grad_b = None
    # forward:  out = a @ b
    if need_a:
        grad_a = unbroadcast(grad_out @ columns.swapaxes(-1, -2), rows.shape).reshape(a.shape)
    if need_b:
        if b.ndim == 2 and a.ndim > 2:  # one matrix for the whole stack: one GEMM over all rows
            grad_b = as_rows(a).T @ as_rows(grad_out)
        else:
            grad_b = unbroadcast(rows.swapaxes(-1, -2) @ grad_out, columns.shape).reshape(b.shape)
    return grad_a, grad_b
