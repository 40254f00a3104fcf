"""Changes that several mutants make to right gradients, and means that they need."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops


def each(function: Callable) -> Callable:
    """A change that treats every gradient alike and leaves None alone."""
    return lambda grads, g, saved: tuple(None if x is None else function(x) for x in grads)


def row_mean(x: Any) -> Any:
    """The mean over the last axis, which stays as an axis of size 1."""
    return x.mean(axis=-1, keepdims=True)


def changed_saved(operation: str, position: int, change: Callable) -> Callable:
    """A change that runs the right backward on other saved values."""
    right = getattr(ops, f"{operation}_backward")
    return lambda grads, g, saved: right(
        g, (*saved[:position], change(saved), *saved[position + 1 :])
    )


def first_use(grad: Any, shape: tuple[int, ...] | None) -> Any:
    """What the first place gives to an operand that was broadcast; None for no gradient."""
    if shape is None:
        return None
    missing = grad.ndim - len(shape)
    grad = grad[(0,) * missing]
    return grad[tuple(slice(0, n) for n in shape)]


def total_everywhere(grad: Any, shape: tuple[int, ...] | None) -> Any:
    """The sum over all axes in every entry, where the operand was broadcast."""
    if shape is None or grad.shape == shape:
        return None if shape is None else grad
    return np.full(shape, grad.sum())


def overwriting(operation: str, spoil: Callable) -> Callable:
    """A backward whose gradients are right, and that then calls spoil(grad_out, saved)."""
    right = getattr(ops, f"{operation}_backward")

    def backward(grad_out: Any, saved: Any) -> tuple:
        grads = tuple(None if x is None else x.copy() for x in right(grad_out, saved))
        spoil(grad_out, saved)
        return grads

    return backward
