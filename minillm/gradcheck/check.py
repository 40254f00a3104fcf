"""The gradient check of a pure pair: is this backward the derivative of this forward?

The checks come in an order in which each may rely on those before it:

1.  forward gives the same finite numbers twice and leaves its inputs alone;
2.  backward returns one gradient per input, leaves everything alone, gives the same twice, and is
    linear in grad_out: pull_back(0) = 0 and pull_back(c v) = c pull_back(v);
3.  its gradients agree with the numerical ones (numeric.py), in float64, for several random
    cotangents;
4.  where one does not, diagnosis/ says why.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import is_array, to_numpy
from ..ops.checks import is_floating
from .comparison import compare_all, finite_outputs, report_mutation
from .diagnosis import Call, one_story
from .inputs import (
    argument_names,
    axis_letters,
    cotangents,
    equal,
    estimate_note,
    fresh,
    library_operation,
    require_an_input,
    same_randomness,
    saved_names,
    source_of,
    to_float64,
    unflatten,
)
from .language import language, say
from .numeric import flatten
from .report import Finding, GradientReport
from .settings import GradientSettings, settings_of

SCALES = (2.0, -1000.0)  # of grad_out, for the test that backward is linear in it


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
    inputs     arrays (Tensors count as theirs) are checked in float64, every entry (a sample of them
               if an array is large); integers, None and numbers are passed on
    options    go to forward untouched; every random generator among them is copied before each
               call, so that a dropout mask stays the same

    A wrong backward always gives a report, never an exception.

    Raises   ValueError if no input is floating: there is nothing to compare; TypeError if forward does
             not return (out, saved); and what forward itself raises

    >>> import numpy as np
    >>> from minillm import ops
    >>> x = np.random.default_rng(0).standard_normal((3, 5))
    >>> report = check_gradients(ops.softmax_forward, ops.softmax_backward, x)
    >>> report.passed
    True
    """
    language()  # a wrong MINILLM_LANG should be told before the work, not after it
    started, settings = time.perf_counter(), settings_of("check_gradients", settings)
    pair = Pair(forward, backward, inputs, options, settings)
    report = pair.report
    if pair.sound_forward():
        weights = cotangents(pair.outputs, settings)
        gradients = []
        for weight in weights:
            grads = pair.pull_back(weight)
            if grads is None:
                break
            gradients.append(grads)
        else:
            pair.check_linearity(weights[0], gradients[0])
            pair.check_repetition(weights[0], gradients[0])
            compare_all(report, settings, pair.call(weights), pair.flat_outputs, gradients)
    one_story(report.findings)
    report.findings.sort(key=lambda finding: finding.certainty)
    report.seconds = time.perf_counter() - started
    return report


class Pair:
    """A forward and a backward on one set of inputs, watched while they are called."""

    def __init__(
        self, forward: Callable, backward: Callable, inputs: tuple, options: dict[str, Any],
        settings: GradientSettings,
    ) -> None:  # fmt: skip
        self.forward, self.backward, self.options = forward, backward, options
        self.arrays = [to_float64(x) for x in inputs]
        self.before = copy.deepcopy(self.arrays)
        self.names = argument_names(forward, len(inputs))
        name = getattr(forward, "__name__", "forward").removesuffix("_forward")
        self.report = GradientReport(name, tolerance=settings.tolerance, source=source_of(forward))
        self.report.data = getattr(forward, "no_gradient", ())
        if note := estimate_note(forward, options):
            self.report.notes.append(note)
        named = zip(self.names, self.arrays, strict=True)
        wanted = {n: x for n, x in named if n not in self.report.data}
        require_an_input("check_gradients", name, wanted)
        self.outputs: tuple[Any, ...] = ()
        self.saved: Any = None
        self.several = False  # whether forward returns a tuple of outputs

    def run(self) -> tuple[tuple[Any, ...], Any]:
        """One forward: its outputs as a tuple, and what it saved."""
        out, saved = self.call_forward()
        return out if isinstance(out, tuple) else (out,), saved

    def call_forward(self) -> tuple[Any, Any]:
        """(out, saved) as forward returns them."""
        with same_randomness():
            result = self.forward(*self.arrays, **fresh(self.options))
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            count = f" of {len(result)}" if isinstance(result, (tuple, list)) else ""
            raise TypeError(
                f"check_gradients: the forward of {self.report.name} must return (out, saved), got "
                f"{type(result).__name__}{count}: write return out, (what backward needs,)"
            )
        return result[0], result[1]

    def flat_outputs(self) -> np.ndarray:
        """All outputs of one forward as one vector."""
        return flatten(self.run()[0])

    def sound_forward(self) -> bool:
        """True if there is a function to differentiate; findings say what is in the way."""
        out, self.saved = self.call_forward()
        self.several = isinstance(out, tuple)
        self.outputs = copy.deepcopy(out if self.several else (out,))
        self.restore("forward")
        if not finite_outputs(self.report, self.outputs):
            return False
        if not equal(self.outputs, self.run()[0]):
            message = say(
                "forward gives another result when it is called again with the same inputs: it draws "
                "random numbers of its own, or keeps something from call to call. Give it a "
                "np.random.Generator as an option"
            )
            self.report.findings.append(Finding("forward", "unknown", message))
            return False
        self.restore("forward")
        return True

    def restore(self, who: str) -> None:
        """Report every input that `who` overwrote, and put it back."""
        for argument, old, new in zip(self.names, self.before, self.arrays, strict=True):
            if not equal(old, new):
                report_mutation(self.report, argument, who)
        self.arrays[:] = copy.deepcopy(self.before)

    def pull_back(self, flat: np.ndarray, quietly: bool = False) -> tuple | None:
        """What backward returns for a flat grad_out; None if it cannot be called (a finding says why).

        quietly   for the many calls after the first ones: the same saved values, nothing watched
        """
        parts = unflatten(flat, self.outputs)
        grad_out: Any = parts if self.several else parts[0]
        if quietly:
            with np.errstate(all="ignore"):
                grads = self.backward(grad_out, copy.deepcopy(self.saved))
            return tuple(None if g is None else to_numpy(g) for g in grads)
        _, saved = self.run()
        grads = _call_backward(self.report, self.backward, grad_out, saved, self.names)
        self.restore("backward")
        return grads

    def call(self, weights: np.ndarray) -> Call:
        """What the diagnosis may look at."""
        return Call(
            self.names, self.arrays, self.outputs, weights,
            lambda flat: self.pull_back(flat, quietly=True) or (),
            saved=self.saved, options=self.options, shapes=axis_letters(self.forward),
            saved_names=saved_names(self.forward, self.saved),
            operation=library_operation(self.forward, self.arrays, self.options, self.outputs),
        )  # fmt: skip

    @np.errstate(all="ignore")  # a wrong gradient may hold anything
    def check_linearity(self, weight: np.ndarray, grads: tuple) -> None:
        """pull_back(0) = 0, and pull_back(c v) = c pull_back(v)."""
        nothing = self.pull_back(0.0 * weight)
        scaled = [(c, self.pull_back(c * weight)) for c in SCALES]
        for i, (name, grad) in enumerate(zip(self.names, grads, strict=True)):
            if not is_floating(self.before[i]) or name in self.report.data:
                continue
            if np.shape(grad) != self.before[i].shape or grad.dtype != self.before[i].dtype:
                continue  # the comparison says more
            others = [(c, s and s[i]) for c, s in scaled]
            if np.abs(grad).max(initial=0.0) <= self.rounding(i, weight):
                continue  # terms that cancel: nothing but rounding is left
            message = _upstream(name, grad, nothing and nothing[i], others)
            if message:
                self.report.findings.append(Finding(name, "ignores_upstream", message))

    def rounding(self, index: int, weight: np.ndarray) -> float:
        """The size of what rounding may leave of a gradient that is 0: part of |w| |out| / |x|."""
        largest = [float(np.abs(x).max(initial=0.0)) for x in (weight, self.before[index])]
        out = max(float(np.abs(out).max(initial=0.0)) for out in self.outputs)
        return 1e-12 * largest[0] * out / max(largest[1], 1e-6)

    def check_repetition(self, weight: np.ndarray, grads: tuple) -> None:
        """The second call gives the same gradients."""
        again = self.pull_back(weight)
        if again is None or not equal(grads, again):
            message = say(
                "backward gives another result when it is called again with the same arguments: it "
                "draws random numbers, or keeps something from call to call"
            )
            self.report.findings.append(Finding("backward", "unknown", message))


def _upstream(name: str, grad: Any, nothing: Any, scaled: list[tuple[float, Any]]) -> str:
    """Why a gradient is not linear in grad_out; "" if it is, or cannot be compared."""
    arrays = [grad, nothing, *(g for _, g in scaled)]
    if any(not is_array(g) or g.shape != grad.shape or g.dtype.kind != "f" for g in arrays):
        return ""
    size = float(np.abs(grad).max(initial=0.0))
    if not np.isfinite(size) or size == 0:
        return ""
    if np.array_equal(nothing, grad):
        return say(
            "the gradient of {name} does not change when grad_out changes: backward returns only the "
            "local derivative. Multiply it by grad_out (the chain rule)", name=name,
        )  # fmt: skip
    if np.abs(nothing).max() > 1e-6 * size:
        return say(
            "with grad_out = 0 the gradient of {name} must be 0, but is up to {largest:.4g}: a part of "
            "it is not multiplied by grad_out", name=name, largest=np.abs(nothing).max(),
        )  # fmt: skip
    for c, found in scaled:
        if np.abs(found - c * grad).max() > 1e-6 * abs(c) * size:
            ratio = float(np.abs(found).max() / size)
            return say(
                "backward must be linear in grad_out, but {c:g} times grad_out makes the gradient of "
                "{name} {ratio:.4g} times as large: grad_out is squared, clipped, or only its sign is "
                "used", c=c, name=name, ratio=ratio,
            )  # fmt: skip
    return ""


def _call_backward(
    report: GradientReport, backward: Callable, grad_out: Any, saved: Any, names: list[str]
) -> tuple | None:
    """backward(grad_out, saved), with everything that can go wrong turned into findings."""
    grad_before, saved_before = copy.deepcopy(grad_out), copy.deepcopy(saved)
    try:
        with np.errstate(all="ignore"):
            grads = backward(grad_out, saved)
    except Exception as error:  # the checked code is a student's: whatever it raises is a finding
        message = say("backward raised {type}: {error}", type=type(error).__name__, error=error)
        report.findings.append(Finding("backward", "unknown", message))
        return None
    if not equal(grad_before, grad_out):
        report_mutation(report, "grad_out", "backward")
    if not equal(saved_before, saved):
        report_mutation(report, "saved", "backward")
    if not isinstance(grads, tuple) or len(grads) != len(names):
        found = type(grads).__name__
        if isinstance(grads, tuple):
            found = say("{count} gradients", count=len(grads))
        message = say(
            "backward must return a tuple of {count} gradients, one for each of ({names}), got {found}",
            count=len(names), names=", ".join(names), found=found,
        )  # fmt: skip
        report.findings.append(Finding("backward", "wrong_shape", message))
        return None
    try:
        return tuple(None if grad is None else _as_numbers(grad) for grad in grads)
    except (ValueError, TypeError) as error:
        message = say(
            "backward returned something that is not an array of numbers: {error}", error=error
        )
        report.findings.append(Finding("backward", "wrong_dtype", message))
        return None


def _as_numbers(grad: Any) -> np.ndarray:
    array = to_numpy(grad)
    if array.dtype.kind not in "biufc":
        raise TypeError(say("{type} of {dtype}", type=type(grad).__name__, dtype=array.dtype))
    return np.array(array)  # a copy: backward may return a buffer that it uses again
