"""What rnn, gru and lstm share: shapes, lengths, and the order of time.

From outside, sequences are (B, T, ...), batch first.  Inside, time comes first, so that what one step
needs is one contiguous block.  A loop over time holds only what is truly sequential: x_t @ weight_x is
one product for all steps before the loop, and the gradients of the weights are one product each after
the backward loop, because a weight used at every step collects the sum over all steps and rows:

    a_t = x_t @ weight_x + h_{t-1} @ weight_h + bias
    grad_weight_x = sum_t x_t^T grad_a_t        grad_weight_h = sum_t h_{t-1}^T grad_a_t
    grad_bias     = sum_t sum over rows of grad_a_t                                       (1)

Lengths.  Where row b has ended (t >= lengths[b]) the state is copied on, h_t = h_{t-1}, and the output
is 0.  Backward: nothing reaches grad_a there, and the gradient of the state passes through unchanged.
"""

from ..backend import array_module, beside, from_python, is_array
from .checks import require_floating
from .rows import as_rows


def check_recurrent(operation, x, states, weight_x, weight_h, biases, gates):
    """Raise a ValueError that names the shapes unless all of them fit together.

    states, biases   by name; gates: how many blocks of H columns the weights have
    """
    array_module(x, weight_x, weight_h, *states.values(), *biases.values())
    weights = {"weight_x": weight_x, "weight_h": weight_h}
    require_floating(operation, x=x, **states, **weights, **biases, optional=biases)
    H = weight_h.shape[0] if weight_h.ndim == 2 else 0
    if x.ndim != 3 or H == 0 or weight_h.shape != (H, gates * H):
        raise ValueError(
            f"{operation}: x {x.shape} must be (B, T, C) and weight_h {weight_h.shape} "
            f"(H, {gates if gates > 1 else ''}H)"
        )
    B, _, C = x.shape
    wanted = {"weight_x": (weight_x, (C, gates * H))}
    wanted |= {name: (state, (B, H)) for name, state in states.items()}
    wanted |= {name: (bias, (gates * H,)) for name, bias in biases.items() if bias is not None}
    for name, (array, shape) in wanted.items():
        if array.shape != shape:
            raise ValueError(
                f"{operation}: {name} must be {shape} for x {x.shape} and weight_h "
                f"{weight_h.shape}, got {array.shape}"
            )


def valid_steps(operation, lengths, x):
    """Which steps are real: boolean (T, B, 1), or None if all are.

    Lengths on the host are checked there, without waiting for the device of x.

    Raises   ValueError or TypeError unless lengths are (B,) integers within 0 … T
    """
    if lengths is None:
        return None
    xp = array_module(x)
    B, T, _ = x.shape
    lengths = lengths if is_array(lengths) else from_python(lengths)
    if lengths.dtype.kind not in "iu":
        raise TypeError(f"{operation}: lengths must be integers, got {lengths.dtype}")
    if lengths.shape != (B,) or ((lengths < 0) | (lengths > T)).any():
        raise ValueError(
            f"{operation}: lengths must be ({B},) numbers within 0 … {T}, got shape "
            f"{lengths.shape} with values {lengths.tolist()}"
        )
    return (xp.arange(T)[:, None] < beside(lengths, x))[:, :, None]


def inputs_times_weight(x, weight_x, bias):
    """x_t @ weight_x + bias for all steps by one product.

    Shapes   x (T, B, C), weight_x (C, M), bias (M,) or None -> (T, B, M)
    """
    a = as_rows(x) @ weight_x
    if bias is not None:
        a += bias
    return a.reshape(*x.shape[:2], weight_x.shape[1])


def masked_output(h, valid):
    """The states h_1 … h_T (T, B, H) as output (B, T, H): 0 where a row has ended."""
    out = h if valid is None else h * valid
    return out.swapaxes(0, 1)


def time_first_gradient(grad_h, valid):
    """The gradient of the output (B, T, H), time first, without what reached ended rows."""
    grad_h = grad_h.swapaxes(0, 1)
    return grad_h if valid is None else grad_h * valid


def weight_gradients(x, h_before, grad_a, weight_x, has_bias):
    """Result (1), and the gradient of x.

    Shapes   x (T, B, C); h_before (T, B, H); grad_a (T, B, M)
             -> grad_x (B, T, C), grad_weight_x (C, M), grad_weight_h (H, M), grad_bias (M,) or None
    """
    rows = as_rows(grad_a)
    grad_x = (rows @ weight_x.T).reshape(x.shape).swapaxes(0, 1)
    grad_bias = rows.sum(axis=0) if has_bias else None
    return grad_x, as_rows(x).T @ rows, as_rows(h_before).T @ rows, grad_bias
