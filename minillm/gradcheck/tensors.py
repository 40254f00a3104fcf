"""The gradient check of a function of Tensors: the engine's backward against the numerical one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import is_array, to_numpy
from ..ops.checks import is_floating
from .comparison import compare_all, finite_outputs
from .inputs import argument_names, cotangents, same_randomness, to_float64, unflatten
from .numeric import flatten
from .report import GradientReport
from .settings import GradientSettings


def check_function(
    fn: Callable, *tensors: Any, settings: GradientSettings | None = None
) -> GradientReport:
    """Hold the engine's gradients of a function of Tensors against numerical ones.

    fn        fn(*tensors) -> a Tensor or a tuple of Tensors
    tensors   Tensors or arrays; floating ones are checked, in float64, every entry

    >>> from minillm import Tensor
    >>> check_function(lambda x: (x * x).sum(), Tensor([1.0, 2.0, 3.0])).passed
    True
    """
    settings = settings or GradientSettings()
    report = GradientReport(getattr(fn, "__name__", "function"), tolerance=settings.tolerance)
    arrays = [to_float64(x.data if isinstance(x, Tensor) else x) for x in tensors]
    names = argument_names(fn, len(arrays))

    def call(wrapped: list[Any]) -> tuple[Tensor, ...]:
        with same_randomness():
            out = fn(*wrapped)
        return out if isinstance(out, tuple) else (out,)

    def outputs() -> np.ndarray:
        with no_grad():
            outs = call([Tensor(x) if is_array(x) else x for x in arrays])
        return flatten(out.data for out in outs)

    outs = call([Tensor(x) if is_array(x) else x for x in arrays])
    if not finite_outputs(report, [out.data for out in outs]):
        return report
    weights = cotangents([out.data for out in outs], settings)
    gradients = []
    for weight in weights:
        leaves = [Tensor(x, is_floating(x)) if is_array(x) else x for x in arrays]
        backward_through(call(leaves), weight)
        gradients.append([leaf_gradient(leaf) for leaf in leaves])
    compare_all(report, settings, outputs, weights, names, arrays, gradients)
    return report


def backward_through(outs: tuple[Tensor, ...], weight: np.ndarray) -> None:
    """Differentiate <weight, outs>."""
    total: Any = None
    for out, part in zip(outs, unflatten(weight, [o.data for o in outs]), strict=True):
        if out.requires_grad:
            term = (out * part).sum()
            total = term if total is None else total + term
    if total is not None:
        total.backward()


def leaf_gradient(leaf: Any) -> Any:
    """The gradient of a leaf; zeros if nothing depends on it."""
    if not isinstance(leaf, Tensor) or not leaf.requires_grad:
        return None
    return np.zeros_like(leaf.data) if leaf.grad is None else to_numpy(leaf.grad)
