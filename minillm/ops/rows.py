"""Sums, means and maxima over the last axis, for operations where their speed matters.

NumPy reduces a short last axis slowly: for scores of shape (8, 12, 64, 64), `s.max(axis=-1)` takes
three times as long as the exponential of all of them.  Two identities are faster (in microseconds):

    sum_c x_c = x @ (1, ..., 1)^T                          a product, which BLAS does (152 -> 27)
    max(x_1, ..., x_n) = max of max(x_i, x_(i + n/2))      halving, whole arrays at a time, until a
                                                           transposed copy is cheap (470 -> 195)

All results keep the axis, with one entry.
"""

import math

from ..backend import array_module

SHORT = 32  # rows that are turned round at once
LONG = 256  # from here on NumPy's own maximum is as fast


def as_rows(x):
    """All leading axes flattened into one.

    Shapes   x (..., C) -> (N, C), also where N or C is 0, which reshape(-1, C) cannot work out
    """
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def row_sum(x):
    """Shapes   x (..., C) -> (..., 1)."""
    xp = array_module(x)
    return x @ xp.ones((x.shape[-1], 1), dtype=x.dtype)


def row_mean(x):
    """Shapes   x (..., C) -> (..., 1)."""
    mean = row_sum(x)
    mean /= x.shape[-1]  # not times 1 / C, which is rounded: equal numbers have themselves as mean
    return mean


def row_max(x):
    """Shapes   x (..., C) with C >= 1 -> (..., 1).  NaN if there is one."""
    xp = array_module(x)
    if x.shape[-1] >= LONG:
        return x.max(axis=-1, keepdims=True)
    rows = as_rows(x)
    while rows.shape[1] > SHORT:
        half = rows.shape[1] // 2
        larger = xp.maximum(rows[:, :half], rows[:, half : 2 * half])
        if rows.shape[1] % 2:
            larger[:, :1] = xp.maximum(larger[:, :1], rows[:, -1:])
        rows = larger
    columns = xp.ascontiguousarray(rows.T)  # (C, N), of which NumPy compares whole rows
    return columns.max(axis=0).reshape(*x.shape[:-1], 1)
