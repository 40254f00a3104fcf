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
i, f and o are halved in the weights beforehand, and their tanh is halved and shifted afterwards.

Inside, arrays are laid out as (T, features, B).  Each gate of a step is then one contiguous block, and
a product with the batch as its last axis is one that BLAS divides among the cores: for B = 32, H = 128
on two cores a step's product takes 24 microseconds instead of 42.  x_t stands above h_{t-1} in one
block, so that one product with weight_x above weight_h does for both.
Check: tests/ops/test_recurrent.py    Notebook: notebooks/09_recurrent.ipynb
"""

from ..backend import array_module
from .recurrence import check_recurrent, valid_steps
from .rows import row_sum


def lstm_forward(x, h0, c0, weight_x, weight_h, bias=None, *, lengths=None):
    """Read a sequence step by step, with a memory cell that gates protect.

    Shapes   x (B, T, C); h0, c0 (B, H); weight_x (C, 4H); weight_h (H, 4H); bias (4H,) or None;
             lengths (B,) or None -> h (B, T, H), h_last (B, H), c_last (B, H)
    Dtype    all floating and equal; lengths integer
    Saves    read (T+1, C+H, B): x_t above h_{t-1}; c (T+1, H, B), gates (T, 4H, B), the weights,
             ended (T, 1, B)
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
    ended = None if valid is None else ~valid.swapaxes(1, 2)  # (T, 1, B)
    (B, T, C), H = x.shape, weight_h.shape[0]
    read = xp.zeros((T + 1, C + H, B), dtype=x.dtype)  # what step t reads: x_t above h_{t-1}
    read[:T, :C] = x.transpose(1, 2, 0)
    h, c = read[:, C:], xp.empty((T + 1, H, B), dtype=x.dtype)  # (T+1, H, B) each
    h[0], c[0] = h0.T, c0.T
    half = xp.ones((4 * H, 1), dtype=x.dtype)  # 1/2 for i, f and o, 1 for g
    half[: 2 * H] = half[3 * H :] = 0.5
    scale = xp.repeat(half, B, axis=1)  # (4H, B)
    shift = 1 - scale
    # each row in one piece: with the transposed order a step's product takes a tenth longer
    weights = xp.ascontiguousarray(xp.concatenate([weight_x, weight_h]).T)  # (4H, C+H)
    weights *= half
    start = None if bias is None else scale * bias[:, None]  # (4H, B)
    gates = xp.empty((T, 4 * H, B), dtype=x.dtype)
    new = xp.empty((H, B), dtype=x.dtype)
    for t in range(T):
        gate = xp.matmul(weights, read[t], out=gates[t])  # (4H, B)
        if start is not None:
            gate += start
        xp.tanh(gate, out=gate)
        gate *= scale
        gate += shift
        i, f, g, o = gate.reshape(4, H, B)
        c_t, h_t = c[t + 1], h[t + 1]
        xp.multiply(f, c[t], out=c_t)
        c_t += xp.multiply(i, g, out=new)
        xp.tanh(c_t, out=h_t)
        h_t *= o
        if ended is not None:
            xp.copyto(h_t, h[t], where=ended[t])
            xp.copyto(c_t, c[t], where=ended[t])
    out = h[1:] if ended is None else h[1:] * ~ended
    saved = (read, c, gates, weight_x, weight_h, bias is not None, ended)
    return (out.transpose(2, 0, 1), h[T].T.copy(), c[T].T.copy()), saved


def lstm_backward(grad_out, saved):
    """Gradients w.r.t. (x, h0, c0, weight_x, weight_h, bias), by (1), (2) and (3)."""
    read, c, gates, weight_x, weight_h, has_bias, ended = saved
    xp = array_module(read)
    (T, _, B), (C, H) = gates.shape, (len(weight_x), len(weight_h))
    grad_h = xp.ascontiguousarray(grad_out[0].transpose(1, 2, 0))  # (T, H, B)
    if ended is not None:
        grad_h = grad_h * ~ended
    k, to_cell, forget = _factors(c, gates, ended)
    grad_a = k  # before the nonlinearities: each step multiplies its k by what arrives
    rows = grad_a.reshape(T, 4 * H, B)  # the same numbers
    arrives = xp.empty((4, H, B), dtype=c.dtype)  # at i, f, g and o: q, q, q and p
    q, p = arrives[2], arrives[3]
    q[...], p[...] = grad_out[2].T, grad_out[1].T  # p begins as n, what step t+1 sends back
    from_h = xp.empty((H, B), dtype=c.dtype)
    for t in reversed(range(T)):
        # forward:  h_t = o * tanh(c_t)                                        by (1)
        p += grad_h[t]
        q += xp.multiply(p, to_cell[t], out=from_h)
        # forward:  c_t = f * c_{t-1} + i * g, and the gates                   by (2)
        arrives[:2] = q
        grad_a[t] *= arrives
        # forward:  a_t = x_t @ weight_x + h_{t-1} @ weight_h + bias           by (3)
        if ended is None:
            xp.matmul(weight_h, rows[t], out=p)
        else:
            p *= ended[t]
            p += weight_h @ rows[t]
        q *= forget[t]
    # weights are used at every step: one product over all T * B columns, (1) of recurrence.py
    columns = rows.transpose(1, 0, 2).reshape(4 * H, T * B)
    steps = read[:T].transpose(1, 0, 2).reshape(C + H, T * B)
    grad_weights = steps @ columns.T  # (C+H, 4H)  of weight_x above weight_h
    grad_bias = row_sum(columns)[:, 0] if has_bias else None
    grad_x = (columns.T @ weight_x.T).reshape(T, B, C).swapaxes(0, 1)  # (B, T, C)
    return grad_x, p.T, q.T, grad_weights[:C], grad_weights[C:], grad_bias


def _factors(c, gates, ended):
    """What (1), (2) and (3) multiply with: k (T, 4, H, B), d h/d c and f (T, H, B), for all steps.

    Where a row has ended, nothing enters (k and d h/d c are 0) and all of the cell stays (f is 1).
    """
    xp = array_module(c)
    T, H, B = len(gates), c.shape[1], c.shape[2]
    i, f, g, o = (gates[:, j * H : (j + 1) * H] for j in range(4))  # (T, H, B) each
    tanh_c = xp.tanh(c[1:])
    k = 1 - gates  # (T, 4H, B)
    k *= gates  # s (1 - s) for i, f and o
    k = k.reshape(T, 4, H, B)
    k[:, 0] *= g
    k[:, 1] *= c[:-1]
    xp.multiply(g, g, out=k[:, 2])
    xp.subtract(1, k[:, 2], out=k[:, 2])  # 1 - g^2
    k[:, 2] *= i
    k[:, 3] *= tanh_c
    to_cell = xp.multiply(tanh_c, tanh_c, out=tanh_c)  # the same buffer from here on
    xp.subtract(1, to_cell, out=to_cell)  # 1 - tanh(c)^2
    to_cell *= o
    if ended is None:
        return k, to_cell, f
    k *= ~ended[:, None]
    to_cell *= ~ended
    return k, to_cell, xp.where(ended, xp.ones((), dtype=f.dtype), f)
