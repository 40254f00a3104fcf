"""Long short-term memory.

Formula (Hochreiter & Schmidhuber 1997, Neural Computation 9; with the forget gate of Gers,
Schmidhuber & Cummins 2000, eq. 1-7), for t = 1 ... T, the columns of the weights in four blocks
i | f | g | o of H each:

    a_t = x_t @ weight_x + h_{t-1} @ weight_h + bias                      (B, 4H)
    i, f, o = sigmoid(a)     which share of the new enters, of the old stays, of the cell is shown
    g       = tanh(a)        the new
    c_t = f * c_{t-1} + i * g           h_t = o * tanh(c_t)

Backward (backpropagation through time).  h_t is an output and an input of step t + 1, c_t too.  With
n_t and m_t the gradients that step t + 1 sends back to h_t and c_t:

    p_t = grad_h_t + n_t                                        all that reaches h_t
    q_t = m_t + p_t * o * (1 - tanh(c_t)^2)                     all that reaches c_t      (1)
    grad_i = q * g     grad_f = q * c_{t-1}     grad_g = q * i     grad_o = p * tanh(c_t)

and through the nonlinearities, sigmoid' = s (1 - s) and tanh' = 1 - tanh^2,

    grad_a = [q * k_i | q * k_f | q * k_g | p * k_o]                                      (2)
    k_i = g i (1-i)    k_f = c_{t-1} f (1-f)    k_g = i (1 - g^2)    k_o = tanh(c_t) o (1-o)
    n_{t-1} = grad_a @ weight_h^T          m_{t-1} = q * f                                (3)

The k of all steps depend on forward alone, so they are computed before the loop.  The gradient of the
cell is only multiplied by f on its way back, never by a matrix: that is why an LSTM remembers.

One tanh serves all four gates: sigmoid(a) = (1 + tanh(a/2)) / 2 (activations.py), so the columns of
i, f and o are halved in the weights beforehand, and shifted afterwards.
Check: tests/ops/test_lstm.py
"""

from ..backend import array_module
from .recurrence import (
    check_recurrent,
    inputs_times_weight,
    masked_output,
    time_first_gradient,
    valid_steps,
    weight_gradients,
)


def lstm_forward(x, h0, c0, weight_x, weight_h, bias=None, *, lengths=None):
    """Read a sequence step by step, with a memory cell that gates protect.

    Shapes   x (B, T, C); h0, c0 (B, H); weight_x (C, 4H); weight_h (H, 4H); bias (4H,) or None;
             lengths (B,) or None -> h (B, T, H), h_last (B, H), c_last (B, H)
    Dtype    all floating and equal; lengths integer
    Saves    x (T, B, C), h and c (T+1, B, H), gates (T, B, 4H), the weights, valid (T, B, 1)
    Raises   ValueError that names the shapes if they do not fit, or for lengths outside 0 … T;
             TypeError if dtypes differ

    Beyond the length of a row its output is 0 and its state stays.

    >>> import numpy as np
    >>> x, zero = np.zeros((1, 2, 3)), np.zeros((1, 1))
    >>> h, h_last, c_last = lstm_forward(x, zero, zero + 1, np.ones((3, 4)), np.ones((1, 4)))[0]
    >>> c_last.shape, h.shape
    ((1, 1), (1, 2, 1))
    """
    states = {"h0": h0, "c0": c0}
    check_recurrent("lstm", x, states, weight_x, weight_h, {"bias": bias}, 4)
    xp = array_module(x)
    valid = valid_steps("lstm", lengths, x)
    x = xp.ascontiguousarray(x.swapaxes(0, 1))  # (T, B, C)
    (T, B, _), H = x.shape, weight_h.shape[0]
    h, c = (xp.empty((T + 1, B, H), dtype=x.dtype) for _ in range(2))
    h[0], c[0] = h0, c0
    scale = xp.ones(4 * H, dtype=x.dtype)  # 1/2 for i, f and o, 1 for g
    scale[: 2 * H] = scale[3 * H :] = 0.5
    shift = 1 - scale
    halved_h = weight_h * scale
    gates = inputs_times_weight(x, weight_x * scale, None if bias is None else bias * scale)
    for t in range(T):
        gate = gates[t]  # (B, 4H)
        gate += h[t] @ halved_h
        xp.tanh(gate, out=gate)
        gate *= scale
        gate += shift
        i, f, g, o = (gate[:, k * H : (k + 1) * H] for k in range(4))
        xp.multiply(f, c[t], out=c[t + 1])
        c[t + 1] += i * g
        xp.tanh(c[t + 1], out=h[t + 1])
        h[t + 1] *= o
        if valid is not None:
            xp.copyto(h[t + 1], h[t], where=~valid[t])
            xp.copyto(c[t + 1], c[t], where=~valid[t])
    saved = (x, h, c, gates, weight_x, weight_h, bias is not None, valid)
    return (masked_output(h[1:], valid), h[T].copy(), c[T].copy()), saved


def lstm_backward(grad_out, saved):
    """Gradients w.r.t. (x, h0, c0, weight_x, weight_h, bias), by (1), (2) and (3)."""
    grad_h, grad_h_last, grad_c_last = grad_out  # (B, T, H), (B, H), (B, H)
    x, h, c, gates, weight_x, weight_h, has_bias, valid = saved
    xp = array_module(x)
    T, B, H = len(x), x.shape[1], h.shape[-1]
    grad_h = time_first_gradient(grad_h, valid)  # (T, B, H)
    factors, to_cell, forget = _factors(c, gates, valid)
    grad_a = xp.empty((T, B, 4, H), dtype=x.dtype)  # before the nonlinearities
    n, q = grad_h_last, grad_c_last.copy()  # (B, H)  what step t+1 sends back to h_t and c_t
    for t in reversed(range(T)):
        # forward:  h_t = o * tanh(c_t)                                        by (1)
        p = grad_h[t] + n
        q += p * to_cell[t]
        # forward:  c_t = f * c_{t-1} + i * g, and the gates                   by (2)
        xp.multiply(factors[t, :, :3], q[:, None], out=grad_a[t, :, :3])
        xp.multiply(factors[t, :, 3], p, out=grad_a[t, :, 3])
        # forward:  a_t = x_t @ weight_x + h_{t-1} @ weight_h + bias           by (3)
        back = grad_a[t].reshape(B, 4 * H) @ weight_h.T
        n = back if valid is None else back + n * ~valid[t]
        q *= forget[t]
    grad_x, grad_weight_x, grad_weight_h, grad_bias = weight_gradients(
        x, h[:-1], grad_a.reshape(T, B, 4 * H), weight_x, has_bias
    )
    return grad_x, n, q, grad_weight_x, grad_weight_h, grad_bias


def _factors(c, gates, valid):
    """What (1), (2) and (3) multiply with, for all steps: k (T, B, 4, H), d h/d c and f (T, B, H).

    Where a row has ended, nothing enters (k and d h/d c are 0) and all of the cell stays (f is 1).
    """
    xp = array_module(c)
    T, B, H = len(gates), gates.shape[1], c.shape[-1]
    i, f, g, o = (gates[:, :, k * H : (k + 1) * H] for k in range(4))
    tanh_c = xp.tanh(c[1:])
    k = xp.empty((T, B, 4, H), dtype=c.dtype)
    k[:, :, 0] = g * i * (1 - i)
    k[:, :, 1] = c[:-1] * f * (1 - f)
    k[:, :, 2] = i * (1 - g * g)
    k[:, :, 3] = tanh_c * o * (1 - o)
    to_cell = o * (1 - tanh_c * tanh_c)
    if valid is None:
        return k, to_cell, f
    k *= valid[:, :, :, None]
    to_cell *= valid
    return k, to_cell, xp.where(valid, f, xp.ones((), dtype=f.dtype))
