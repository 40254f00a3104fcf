"""The gated recurrent unit.

Formula (Cho et al. 2014, arXiv:1406.1078, eq. 5-8, with the reset gate applied after the product, as
in cuDNN and PyTorch), for t = 1 ... T, the columns of the weights in three blocks r | z | n of H each:

    u = x_t @ weight_x + bias_x        v = h_{t-1} @ weight_h + bias_h          (B, 3H) each
    r = sigmoid(u_r + v_r)             z = sigmoid(u_z + v_z)
    n = tanh(u_n + r * v_n)            h_t = (1 - z) * n + z * h_{t-1}

Backward (backpropagation through time).  With p = grad_h_t + (what step t + 1 sends back to h_t):

    grad_n  = p * (1 - z) * (1 - n^2)                  at the argument of tanh            (1)
    grad_z  = p * (h_{t-1} - n) * z (1 - z)            at the argument of sigmoid         (2)
    grad_r  = grad_n * v_n * r (1 - r)                 at the argument of sigmoid         (3)
    grad_u  = [grad_r | grad_z | grad_n]         grad_v = [grad_r | grad_z | grad_n * r]  (4)
    back to h_{t-1}:   p * z + grad_v @ weight_h^T                                        (5)

All factors but p depend on forward alone and are computed before the loop.
Check: tests/ops/test_recurrent.py    Notebook: notebooks/09_recurrent.ipynb
"""

from ..backend import array_module
from .activations import gate_of
from .recurrence import (
    check_recurrent,
    inputs_times_weight,
    masked_output,
    time_first_gradient,
    valid_steps,
)
from .rows import as_rows


def gru_forward(x, h0, weight_x, weight_h, bias_x=None, bias_h=None, *, lengths=None):
    """Read a sequence step by step, mixing old and new memory by a gate.

    Shapes   x (B, T, C); h0 (B, H); weight_x (C, 3H); weight_h (H, 3H); bias_x, bias_h (3H,) or
             None; lengths (B,) or None -> h (B, T, H), h_last (B, H)
    Dtype    all floating and equal; lengths integer
    Saves    x (T, B, C), h (T+1, B, H), r, z, n and v_n (T, B, H), the weights, valid (T, B, 1)
    Raises   ValueError that names the shapes if they do not fit, or for lengths outside 0 … T;
             TypeError if dtypes differ

    Beyond the length of a row its output is 0 and its state stays.

    >>> import numpy as np
    >>> x, h0 = np.zeros((1, 2, 3)), np.ones((1, 1))
    >>> h, h_last = gru_forward(x, h0, np.zeros((3, 3)), np.zeros((1, 3)))[0]
    >>> h.tolist()  # all gates half open, nothing new: half is left after each step
    [[[0.5], [0.25]]]
    """
    biases = {"bias_x": bias_x, "bias_h": bias_h}
    check_recurrent("gru", x, {"h0": h0}, weight_x, weight_h, biases, 3)
    xp = array_module(x)
    valid = valid_steps("gru", lengths, x)
    x = xp.ascontiguousarray(x.swapaxes(0, 1))  # (T, B, C)
    (T, B, _), H = x.shape, weight_h.shape[0]
    h = xp.empty((T + 1, B, H), dtype=x.dtype)
    r, z, n, v_n = (xp.empty((T, B, H), dtype=x.dtype) for _ in range(4))
    h[0] = h0
    u = inputs_times_weight(x, weight_x, bias_x)  # (T, B, 3H)  for all steps at once
    for t in range(T):
        v = h[t] @ weight_h  # (B, 3H)
        if bias_h is not None:
            v += bias_h
        both = gate_of(u[t, :, : 2 * H] + v[:, : 2 * H])  # (B, 2H)
        r[t], z[t], v_n[t] = both[:, :H], both[:, H:], v[:, 2 * H :]
        xp.tanh(u[t, :, 2 * H :] + r[t] * v_n[t], out=n[t])
        xp.subtract(h[t], n[t], out=h[t + 1])  # h_t = n + z * (h_{t-1} - n)
        h[t + 1] *= z[t]
        h[t + 1] += n[t]
        if valid is not None:
            xp.copyto(h[t + 1], h[t], where=~valid[t])
    saved = (
        x,
        h,
        (r, z, n, v_n),
        weight_x,
        weight_h,
        (bias_x is not None, bias_h is not None),
        valid,
    )
    return (masked_output(h[1:], valid), h[T].copy()), saved


def gru_backward(grad_out, saved):
    """Gradients w.r.t. (x, h0, weight_x, weight_h, bias_x, bias_h), by (1) to (5)."""
    grad_h, grad_h_last = grad_out  # (B, T, H), (B, H)
    x, h, (r, z, n, v_n), weight_x, weight_h, (has_bias_x, has_bias_h), valid = saved
    xp = array_module(x)
    T, B, H = len(x), x.shape[1], h.shape[-1]
    grad_h = time_first_gradient(grad_h, valid)  # (T, B, H)
    to_n = (1 - z) * (1 - n * n)  # (T, B, H) each
    to_z = (h[:-1] - n) * z * (1 - z)
    to_r = v_n * r * (1 - r)
    keep = z
    if valid is not None:
        to_n *= valid
        to_z *= valid
        keep = xp.where(valid, z, xp.ones((), dtype=z.dtype))
    grad_u, grad_v = (xp.empty((T, B, 3, H), dtype=x.dtype) for _ in range(2))
    p = grad_h_last
    for t in reversed(range(T)):
        p = p + grad_h[t]
        # forward:  h_t = (1 - z) * n + z * h_{t-1}, and the gates
        xp.multiply(p, to_n[t], out=grad_u[t, :, 2])  # (1)
        xp.multiply(p, to_z[t], out=grad_u[t, :, 1])  # (2)
        xp.multiply(grad_u[t, :, 2], to_r[t], out=grad_u[t, :, 0])  # (3)
        grad_v[t, :, :2] = grad_u[t, :, :2]  # (4)
        xp.multiply(grad_u[t, :, 2], r[t], out=grad_v[t, :, 2])
        # forward:  v = h_{t-1} @ weight_h + bias_h
        p = p * keep[t] + grad_v[t].reshape(B, 3 * H) @ weight_h.T  # (5)
    rows_u, rows_v = grad_u.reshape(T * B, 3 * H), grad_v.reshape(T * B, 3 * H)
    grad_x = (rows_u @ weight_x.T).reshape(x.shape).swapaxes(0, 1)  # (B, T, C)
    return (
        grad_x, p, as_rows(x).T @ rows_u, as_rows(h[:-1]).T @ rows_v,
        rows_u.sum(axis=0) if has_bias_x else None, rows_v.sum(axis=0) if has_bias_h else None,
    )  # fmt: skip
