"""The gradient check of a function of Tensors: the engine's backward against the numerical one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import is_array, to_numpy
from ..ops.checks import is_floating
from .comparison import compare_all, finite_outputs
from .diagnosis import Call, one_story
from .inputs import (
    argument_names,
    cotangents,
    require_an_input,
    same_randomness,
    to_float64,
    unflatten,
)
from .language import language
from .numeric import flatten
from .report import GradientReport
from .settings import GradientSettings, settings_of


def check_function(
    fn: Callable, *tensors: Any, settings: GradientSettings | None = None
) -> GradientReport:
    """Hold the engine's gradients of a function of Tensors against numerical ones.

    fn        fn(*tensors) -> a Tensor or a tuple of Tensors
    tensors   Tensors or arrays; floating ones are checked, in float64, every entry
    Raises    ValueError if no tensor is floating: there is nothing to compare; TypeError if fn returns
              something else; and what fn itself raises

    >>> from minillm import Tensor
    >>> check_function(lambda x: (x * x).sum(), Tensor([1.0, 2.0, 3.0])).passed
    True
    """
    language()  # a wrong MINILLM_LANG should be told before the work, not after it
    settings = settings_of("check_function", settings)
    report = GradientReport(getattr(fn, "__name__", "function"), tolerance=settings.tolerance)
    arrays, names = [to_float64(x) for x in tensors], argument_names(fn, len(tensors))
    require_an_input("check_function", report.name, dict(zip(names, arrays, strict=True)))

    def run(wrapped: list[Any]) -> tuple[Tensor, ...]:
        with same_randomness():
            out = fn(*wrapped)
        outs = out if isinstance(out, tuple) else (out,)
        for one in outs:
            if not isinstance(one, Tensor):
                raise TypeError(
                    f"check_function: {report.name} must return a Tensor or a tuple of Tensors, got "
                    f"{type(one).__name__}"
                )
        return outs

    def outputs() -> np.ndarray:
        with no_grad():
            outs = run([Tensor(x) if is_array(x) else x for x in arrays])
        return flatten(out.data for out in outs)

    def pull_back(weight: np.ndarray) -> tuple:
        leaves = [Tensor(x, is_floating(x)) if is_array(x) else x for x in arrays]
        backward_through(run(leaves), weight)
        return tuple([leaf_gradient(leaf) for leaf in leaves])

    outs = [out.data for out in run([Tensor(x) if is_array(x) else x for x in arrays])]
    if not finite_outputs(report, outs):
        return report
    weights = cotangents(outs, settings)
    call = Call(names, arrays, tuple(outs), weights, pull_back)
    compare_all(report, settings, call, outputs, [pull_back(weight) for weight in weights])
    one_story(report.findings)
    report.findings.sort(key=lambda finding: finding.certainty)
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
