"""The gradient check of a pure pair: is this backward the derivative of this forward?

An analytic gradient is compared with the numerical one (numeric.py) in float64, for several random
cotangents; a GradientReport says how it went.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..ops.checks import is_floating
from .comparison import compare_all, finite_outputs, report_mutation
from .inputs import argument_names, cotangents, equal, fresh, same_randomness, to_float64, unflatten
from .numeric import flatten
from .report import Finding, GradientReport
from .settings import GradientSettings


def check_gradients(
    forward: Callable,
    backward: Callable,
    *inputs: Any,
    settings: GradientSettings | None = None,
    **options: Any,
) -> GradientReport:
    """Hold a hand-written backward against the numerical gradient of its forward.

    forward    forward(*inputs, **options) -> (out, saved); out may be a tuple of outputs
    backward   backward(grad_out, saved) -> a tuple with one gradient for each input
    inputs     arrays are checked in float64, every entry; integers, None and numbers are passed on
    options    go to forward untouched; every random generator among them is copied before each
               call, so that a dropout mask stays the same

    A wrong backward always gives a report, never an exception.

    >>> import numpy as np
    >>> from minillm import ops
    >>> x = np.random.default_rng(0).standard_normal((3, 5))
    >>> report = check_gradients(ops.softmax_forward, ops.softmax_backward, x)
    >>> report.passed
    True
    """
    settings = settings or GradientSettings()
    name = getattr(forward, "__name__", "forward").removesuffix("_forward")
    report = GradientReport(name, tolerance=settings.tolerance)
    report.data = getattr(forward, "no_gradient", ())
    arrays = [to_float64(x) for x in inputs]
    names = argument_names(forward, len(inputs))

    def call() -> tuple[Any, Any]:
        with same_randomness():
            return forward(*arrays, **fresh(options))

    before = copy.deepcopy(arrays)
    out, saved = call()
    for argument, old, new in zip(names, before, arrays, strict=True):
        if not equal(old, new):
            report_mutation(report, argument, "forward")
    arrays[:] = copy.deepcopy(before)
    outs = out if isinstance(out, tuple) else (out,)
    if not finite_outputs(report, outs):
        return report
    weights = cotangents(outs, settings)
    gradients = []  # for each cotangent what backward returned
    for weight in weights:
        grad_out: Any = unflatten(weight, outs)
        _, saved = call()
        grad_out = grad_out if isinstance(out, tuple) else grad_out[0]
        grads = call_backward(report, backward, grad_out, saved, names)
        for argument, old, new in zip(names, before, arrays, strict=True):
            if not equal(old, new):
                report_mutation(report, argument, "backward")
        arrays[:] = copy.deepcopy(before)
        if grads is None:
            return report
        gradients.append(grads)

    def outputs() -> np.ndarray:
        out, _ = call()
        return flatten(out if isinstance(out, tuple) else (out,))

    compare_all(report, settings, outputs, weights, names, arrays, gradients)
    for i, (argument, array) in enumerate(zip(names, arrays, strict=True)):
        if not is_floating(array) and any(grads[i] is not None for grads in gradients):
            report.notes.append(f"{argument} is not floating: its gradient should be None")
    return report


def call_backward(
    report: GradientReport, backward: Callable, grad_out: Any, saved: Any, names: list[str]
) -> tuple | None:
    """backward(grad_out, saved), with everything that can go wrong turned into findings."""
    grad_before, saved_before = copy.deepcopy(grad_out), copy.deepcopy(saved)
    try:
        with np.errstate(all="ignore"):
            grads = backward(grad_out, saved)
    except Exception as error:  # the checked code is a student's: whatever it raises is a finding
        message = f"backward raised {type(error).__name__}: {error}"
        report.findings.append(Finding("backward", "unknown", message))
        return None
    if not equal(grad_before, grad_out):
        report_mutation(report, "grad_out", "backward")
    if not equal(saved_before, saved):
        report_mutation(report, "saved", "backward")
    if not isinstance(grads, tuple) or len(grads) != len(names):
        found = f"{len(grads)} gradients" if isinstance(grads, tuple) else type(grads).__name__
        report.findings.append(
            Finding(
                "backward",
                "wrong_shape",
                f"backward must return a tuple of {len(names)} gradients, one for each of "
                f"({', '.join(names)}), got {found}",
            )
        )
        return None
    try:
        return tuple(None if grad is None else as_numbers(grad) for grad in grads)
    except (ValueError, TypeError) as error:
        message = f"backward returned something that is not an array of numbers: {error}"
        report.findings.append(Finding("backward", "wrong_dtype", message))
        return None


def as_numbers(grad: Any) -> np.ndarray:
    """A returned gradient as a NumPy array; TypeError if it does not hold numbers."""
    array = to_numpy(grad)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{type(grad).__name__} of {array.dtype}")
    return array
