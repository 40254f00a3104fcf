"""Linear layer with a low-rank update (LoRA): a frozen weight, and two thin matrices that learn.

Formula (Hu et al. 2021, arXiv:2106.09685, section 4.1, eq. 3: h = W0 x + B A x, scaled by alpha / r),
here for rows, with weight (I, O), lora_A (I, R) and lora_B (R, O), R much smaller than I and O:

    down = dropout(x) @ lora_A                                     (N, R)
    out  = x @ weight + bias + scale * down @ lora_B               (N, O)

which is the linear layer of the weight W = weight + scale * lora_A @ lora_B (where nothing is
dropped): the same function with other parameters, R (I + O) of them in place of I O.

Backward.  out is the sum of two chains of products; each product M = P @ Q sends grad_P = grad_M @ Q^T
and grad_Q = P^T @ grad_M (results 1 and 2 of matmul.py).  With m the factors of dropout (dropout.py):

    grad_down   = scale * grad_out @ lora_B^T                      (N, R)                    (1)
    grad_lora_B = scale * down^T @ grad_out                        (R, O)                    (2)
    grad_lora_A = (m * x)^T @ grad_down                            (I, R)                    (3)
    grad_x      = grad_out @ weight^T + m * (grad_down @ lora_A^T) (N, I): both ways to x    (4)
    grad_weight = x^T @ grad_out                                   (I, O)                    (5)
    grad_bias   = sum over rows of grad_out                        (O,)                      (6)

(5) alone has the size of the weight, and costs N I O multiplications, as many as the first term of (4).
While the weight is frozen it is never formed; (1) to (3) and the second term of (4) cost 2 N R (I + O).
Check: tests/ops/test_lora_linear.py    Notebook: notebooks/22_lora.ipynb
"""

from ..backend import array_module
from .checks import keeps, require_floating
from .dropout import dropout_forward
from .linear import linear_forward
from .rows import as_rows


def lora_linear_forward(x, weight, lora_A, lora_B, bias=None, *, scale, dropout_p=0.0, rng=None):
    """x @ weight + bias + scale * dropout(x) @ lora_A @ lora_B for every row of x.

    Shapes   x (..., I); weight (I, O); lora_A (I, R); lora_B (R, O); bias (O,) or None -> (..., O)
    Dtype    all floating and equal
    Saves    x (..., I) unless the weight is frozen, dropout(x) (N, I), which is x where nothing is
             dropped, its factors or None, down (N, R), the matrices, scale
    Raises   ValueError that names the shapes if they do not fit; TypeError if dtypes differ

    scale is alpha / r.  dropout_p > 0 drops that share of the entries of x on the way to lora_A, by
    dropout.py; leave it 0 when not training.

    >>> import numpy as np
    >>> x, weight = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])
    >>> lora_linear_forward(x, weight, np.array([[1.0], [1.0]]), np.array([[5.0]]), scale=0.1)[0]
    array([[12.5]])
    """
    array_module(x, weight, lora_A, lora_B, bias)
    factors = {"lora_A": lora_A, "lora_B": lora_B}
    require_floating("lora_linear", x=x, weight=weight, **factors, bias=bias, optional=("bias",))
    _require_shapes(weight, lora_A, lora_B)
    scale = float(scale)  # not a scalar of NumPy, which would decide about the dtype
    out, _ = linear_forward(x, weight, bias)  # (..., O)
    dropped, (m,) = dropout_forward(as_rows(x), p=dropout_p, rng=rng)  # (N, I)
    down = dropped @ lora_A  # (N, R)
    update = down @ (scale * lora_B)  # (N, O)
    as_rows(out)[...] += update
    return out, (x, dropped, m, down, weight, lora_A, lora_B, bias is not None, scale)


def _kept(saved, needs):
    """x is read for the gradient of the weight alone, dropout(x) for that of lora_A."""
    x, dropped, *others = saved
    return x if needs[1] else None, dropped if needs[2] else None, *others


@keeps(_kept)
def lora_linear_backward(grad_out, saved, *, needs=None):
    """Gradients w.r.t. (x, weight, lora_A, lora_B, bias); those not needed are not computed."""
    x, dropped, m, down, weight, lora_A, lora_B, has_bias, scale = saved
    need_x, need_weight, need_A, need_B, need_bias = needs or (True,) * 5
    g = as_rows(grad_out)  # (N, O)
    grad_x = grad_weight = grad_A = grad_B = grad_bias = None
    # forward:  update = down @ (scale * lora_B)
    if need_x or need_A:
        grad_down = g @ (scale * lora_B).T  # (1)
    if need_B:
        grad_B = down.T @ g  # (2)
        grad_B *= scale
    # forward:  down = dropped @ lora_A
    if need_A:
        grad_A = dropped.T @ grad_down  # (3)
    # forward:  out = x @ weight + bias + update
    if need_x:
        grad_x = grad_down @ lora_A.T  # the way through the update
        if m is not None:
            grad_x *= m
        grad_x += g @ weight.T  # (4)
        grad_x = grad_x.reshape(*grad_out.shape[:-1], weight.shape[0])  # (..., I)
    if need_weight:
        grad_weight = as_rows(x).T @ g  # (5)
    if need_bias and has_bias:
        grad_bias = g.sum(axis=0)  # (6)
    return grad_x, grad_weight, grad_A, grad_B, grad_bias


def _require_shapes(weight, lora_A, lora_B):
    """weight (I, O), lora_A (I, R) and lora_B (R, O) belong together; x and bias are linear's."""
    if weight.ndim == lora_A.ndim == lora_B.ndim == 2:
        outer = (lora_A.shape[0], lora_B.shape[1])
        if outer == weight.shape and lora_A.shape[1] == lora_B.shape[0]:
            return
    raise ValueError(
        f"lora_linear: weight {weight.shape}, lora_A {lora_A.shape} and lora_B {lora_B.shape} do not "
        "fit: they must be (in, out), (in, r) and (r, out)"
    )
