"""The plain recurrent network.

Formula (Elman 1990, Cognitive Science 14; Goodfellow et al. 2016, Deep Learning, eq. 10.8-10.9), for
t = 1 ... T:

    a_t = x_t @ weight_x + h_{t-1} @ weight_h + bias          h_t = tanh(a_t)

Backward (backpropagation through time, Werbos 1990, Proc. IEEE 78).  h_t is used twice: it is the
output of step t, and an input of step t + 1.  With grad_h_t from above and n_t from step t + 1
(n_T = grad_h_last):

    grad_a_t = (grad_h_t + n_t) * (1 - h_t^2)                  tanh' = 1 - tanh^2         (1)
    n_{t-1}  = grad_a_t @ weight_h^T,     grad_h0 = n_0                                   (2)

and the weights by (1) of recurrence.py.
Check: tests/ops/test_recurrent.py    Notebook: notebooks/09_recurrent.ipynb
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


def rnn_forward(x, h0, weight_x, weight_h, bias=None, *, lengths=None):
    """Read a sequence step by step, keeping one vector of memory.

    Shapes   x (B, T, C); h0 (B, H); weight_x (C, H); weight_h (H, H); bias (H,) or None;
             lengths (B,) or None -> h (B, T, H), h_last (B, H)
    Dtype    all floating and equal; lengths integer
    Saves    x (T, B, C), h (T+1, B, H), the weights, valid (T, B, 1)
    Raises   ValueError that names the shapes if they do not fit, or for lengths outside 0 … T;
             TypeError if dtypes differ

    Beyond the length of a row its output is 0 and its state stays.

    >>> import numpy as np
    >>> x, h0 = np.zeros((1, 3, 2)), np.ones((1, 1))
    >>> h, h_last = rnn_forward(x, h0, np.ones((2, 1)), np.ones((1, 1)))[0]
    >>> h.round(3).tolist()  # tanh(1), tanh(tanh(1)), ...
    [[[0.762], [0.642], [0.566]]]
    """
    check_recurrent("rnn", x, {"h0": h0}, weight_x, weight_h, {"bias": bias}, 1)
    xp = array_module(x)
    valid = valid_steps("rnn", lengths, x)
    x = xp.ascontiguousarray(x.swapaxes(0, 1))  # (T, B, C)
    T, B, _ = x.shape
    h = xp.empty((T + 1, B, weight_h.shape[0]), dtype=x.dtype)
    h[0] = h0
    a = inputs_times_weight(x, weight_x, bias)  # (T, B, H)  for all steps at once
    for t in range(T):
        a[t] += h[t] @ weight_h
        xp.tanh(a[t], out=h[t + 1])
        if valid is not None:
            xp.copyto(h[t + 1], h[t], where=~valid[t])
    saved = (x, h, weight_x, weight_h, bias is not None, valid)
    return (masked_output(h[1:], valid), h[T].copy()), saved


def rnn_backward(grad_out, saved):
    """Gradients w.r.t. (x, h0, weight_x, weight_h, bias), by (1) and (2)."""
    grad_h, grad_h_last = grad_out  # (B, T, H), (B, H)
    x, h, weight_x, weight_h, has_bias, valid = saved
    xp = array_module(x)
    grad_h = time_first_gradient(grad_h, valid)  # (T, B, H)
    slope = 1 - h[1:] * h[1:]  # (T, B, H)
    if valid is not None:
        slope *= valid
    grad_a = xp.empty_like(slope)  # (T, B, H)
    n = grad_h_last  # (B, H)  what step t+1 sends back
    for t in reversed(range(len(x))):
        # forward:  h_t = tanh(a_t)
        xp.multiply(grad_h[t] + n, slope[t], out=grad_a[t])
        # forward:  a_t = x_t @ weight_x + h_{t-1} @ weight_h + bias
        back = grad_a[t] @ weight_h.T
        n = back if valid is None else back + n * ~valid[t]
    grad_x, grad_weight_x, grad_weight_h, grad_bias = weight_gradients(
        x, h[:-1], grad_a, weight_x, has_bias
    )
    return grad_x, n, grad_weight_x, grad_weight_h, grad_bias
