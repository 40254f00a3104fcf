"""Positional encoding: telling a model where each vector stands.

Attention treats its input as a set.  Adding to each vector one that depends only on its position t
makes order visible.  The fixed table (Vaswani et al. 2017, arXiv:1706.03762, section 3.5):

    table[t, 2i]     = sin(t / 10000^(2i/C))
    table[t, 2i + 1] = cos(t / 10000^(2i/C))                                              (1)

Each pair of columns is a hand of a clock with its own speed, from one turn in 2 pi positions to one
in 10000 * 2 pi.  Moving on by k turns each hand by a fixed angle, a linear map that does not depend
on t, which is why such a table lets a model attend by relative position.  A learned table has the
same shape, and then gets a gradient.

Formula and backward.  The first T rows are added to every sequence of the batch:

    out[b, t] = x[b, t] + table[t]
    grad_x = grad_out        grad_table[t] = sum over b of grad_out[b, t], 0 for t >= T   (2)

Check: tests/ops/test_positional_encoding.py    Notebook: notebooks/10_positions.ipynb
"""

import numpy as np

from ..backend import array_module
from .checks import require_floating


def sinusoidal_table(length, width, *, dtype=np.float32):
    """The fixed table (1), on the host.  An odd width ends with a sine.

    Shapes   -> (length, width)
    Dtype    computed in float64, then rounded once to dtype
    Units    positions are counted in tokens, angles in radians
    Raises   ValueError if length or width is negative

    >>> sinusoidal_table(2, 4).shape
    (2, 4)
    """
    if length < 0 or width < 0:
        raise ValueError(f"sinusoidal_table: length {length} and width {width} must be >= 0")
    even = np.arange(0, width, 2)  # the columns 2i
    angle = np.arange(length)[:, None] / 10000.0 ** (even / max(width, 1))  # (length, width/2)
    table = np.empty((length, width))
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle[:, : width // 2])
    return table.astype(dtype)


def positional_encoding_forward(x, table):
    """x plus the first T rows of the table.

    Shapes   x (..., T, C); table (P, C) with P >= T -> out (..., T, C)
    Dtype    both floating and equal
    Saves    nothing but the shapes of x and table
    Raises   ValueError if the sequence is longer than the table or the widths differ

    >>> import numpy as np
    >>> positional_encoding_forward(np.zeros((1, 2, 3)), np.ones((5, 3)))[0]
    array([[[1., 1., 1.],
            [1., 1., 1.]]])
    """
    array_module(x, table)
    require_floating("positional_encoding", x=x, table=table)
    if x.ndim < 2 or table.ndim != 2 or x.shape[-1] != table.shape[-1]:
        raise ValueError(
            f"positional_encoding: x {x.shape} must be (..., T, C) and table {table.shape} (P, C)"
        )
    T = x.shape[-2]
    if T > len(table):
        raise ValueError(
            f"positional_encoding: x {x.shape} has {T} positions but the table only {len(table)}: "
            "shorten the sequence or build a longer table"
        )
    return x + table[:T], (x.shape, table.shape)


def positional_encoding_backward(grad_out, saved):
    """Gradients w.r.t. (x, table), by (2)."""
    x_shape, table_shape = saved
    xp = array_module(grad_out)
    T = x_shape[-2]
    # forward:  out = x + table[:T]
    grad_table = xp.zeros(table_shape, dtype=grad_out.dtype)
    grad_table[:T] = grad_out.sum(axis=tuple(range(grad_out.ndim - 2)))
    return grad_out, grad_table
