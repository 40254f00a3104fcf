"""Broadcasting and its backward, un-broadcasting.

Formula.  NumPy lines shapes up at the right and repeats an axis of size 1 (or a missing one):

    a (5, 1)  with  b (7,)   ->   a_big[i, j] = a[i, 0]    b_big[i, j] = b[j]      (5, 7)

Backward.  a[i, 0] is used once for each j, and a gradient is the sum over all uses:

    grad_a[i, 0] = sum_j grad_a_big[i, j]        grad_b[j] = sum_i grad_b_big[i, j]      (1)

so: sum over every axis that was repeated, keep axes of size 1, drop axes that were missing.
Check: tests/ops/test_arithmetic.py    Notebook: notebooks/01_arrays.ipynb
"""

from typing import Any

from .checks import FLOATING


def unbroadcast(grad: Any, shape: tuple[int, ...] | None) -> Any:
    """Sum a gradient back to the shape of the operand that was broadcast, by (1).

    Shapes   grad: any shape that `shape` broadcasts to -> `shape`; shape None (no gradient) -> None
    """
    if shape is None or grad.shape == shape:
        return None if shape is None else grad
    missing = grad.ndim - len(shape)  # axes that broadcasting put in front
    repeated = [missing + i for i, n in enumerate(shape) if n == 1 and grad.shape[missing + i] != 1]
    return grad.sum(axis=(*range(missing), *repeated)).reshape(shape)


def gradient_shape(x: Any) -> tuple[int, ...] | None:
    """The shape of the gradient x gets: its own if it is a floating array, else None (no gradient)."""
    if type(x) is float:  # a Python number, the usual constant
        return None
    dtype = getattr(x, "dtype", None)  # is_floating, written out: every addition asks this twice
    return x.shape if dtype is not None and dtype.kind == FLOATING else None
