"""Which operation is it?  Every recorded call of a model, checked on its own.

A wrong backward spoils the gradients of everything before it, so a model with one mistake fails in
dozens of parameters.  But each call can be asked alone: with the inputs that it really got, a random
cotangent v and a random direction u for each input,

    <backward(v), u>  =  d/dt <v, forward(x + t u)>  at t = 0                             (1)

Five runs of one operation decide each (1), so that all calls together cost about as much as a few
runs of the model.  The first call that fails, counted from the loss, is handed to `check_gradients`
with its own inputs; if those are large, they are cut down first (`cut_down`).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..backend import is_array
from ..graph import Output
from ..ops.checks import is_floating
from .calls import Call, Recording
from .check import check_gradients
from .inputs import equal, fresh, same_randomness, to_float64, unflatten
from .language import say
from .numeric import flatten, numerical_slopes
from .report import Finding, GradientReport
from .settings import GradientSettings

SMALL = 1000  # floating input numbers up to which a call is diagnosed as it is
MEDIUM = 30_000  # ... and up to which as it is, if it cannot be cut down: a sample of its entries
DIVISORS = (2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256)
TRIES = 3  # directions, if a kink lies on the way


@dataclass
class Slope:
    """One comparison along a direction: by backward, numerically, and whether they agree."""

    analytic: np.ndarray
    numeric: np.ndarray
    error: float
    agrees: bool


def along(
    function: Callable[[], np.ndarray],
    arrays: list[np.ndarray],
    gradients: list[list[Any]],
    weights: np.ndarray,
    settings: GradientSettings,
    rng: np.random.Generator,
    frozen: dict[int, list[int]] | None = None,
) -> Slope | None:
    """(1) along a random direction that moves all entries of all `arrays` at once.

    function    evaluates all outputs as one vector (M,), reading the arrays
    gradients   for each of the K cotangents what backward says, an array for each of `arrays`
    weights     (K, M)
    frozen      position in `arrays` -> rows that stay where they are
    Returns     None if the function has a kink in every direction that was tried
    """
    kept = [array.copy() for array in arrays]
    time = np.zeros(1)
    for _ in range(TRIES):
        directions = [typical_size(a) * rng.standard_normal(a.shape) for a in arrays]
        for i, rows in (frozen or {}).items():
            directions[i][rows] = 0.0

        def moved(directions: list[np.ndarray] = directions) -> np.ndarray:
            for array, start, u in zip(arrays, kept, directions, strict=True):
                array[...] = start + time[0] * u
            return function()

        slopes = numerical_slopes(moved, time, weights, settings.step)
        for array, start in zip(arrays, kept, strict=True):
            array[...] = start
        if not slopes.skipped:
            return _compare(slopes, gradients, directions, settings.tolerance)
    return None


def _compare(
    slopes: Any, gradients: list[list[Any]], directions: list[np.ndarray], tolerance: float
) -> Slope:
    numeric = slopes.gradients[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):  # NaN in a gradient: it does not agree
        terms = [
            np.concatenate([(g * u).ravel() for g, u in zip(grads, directions, strict=True)])
            for grads in gradients
        ]
        analytic = np.array([t.sum() for t in terms])
        # the size that a sum of so many random terms has: it may be 0 by chance, this is not
        usual = np.array([np.sqrt((t * t).sum()) for t in terms])
        scale = np.maximum(usual, np.abs(numeric))
        error = np.abs(analytic - numeric)
        # a smaller step, which is taken near kinks, is a hundred times more sensitive to rounding
        agrees = error <= tolerance * scale + 100 * np.max(slopes.noise)
        relative = np.where(scale > 0, error / np.where(scale > 0, scale, 1.0), 0.0)
    return Slope(analytic, numeric, float(relative.max()), bool(agrees.all()))


def typical_size(array: np.ndarray) -> float:
    """The scale on which a function of this array may bend: its entries, at least 0.1."""
    return max(float(np.sqrt(np.mean(array * array))), 0.1) if array.size else 1.0


# ------------------------------------------------------------------------------- one call alone


class BrokenRule(Exception):
    """A backward that is wrong before its numbers are looked at."""


class Replay:
    """A recorded call that can be run again, on float64 copies of its inputs."""

    def __init__(self, call: Call, edges: set[Any]) -> None:
        self.call, self.op = call, call.op
        self.arrays = [to_float64(x) for x in call.inputs]
        self.needs = tuple(edge is not None for edge in call.node.edges)
        used = {
            node.number for node in edges if isinstance(node, Output) and call.node in node.edges
        }
        self.used = [self.op.outputs == 1 or i in used for i in range(len(call.outputs))]

    def forward(self) -> tuple[tuple[Any, ...], Any]:
        """(outputs, saved), with the same random numbers every time."""
        with same_randomness():
            out, saved = self.op.forward(*self.arrays, **fresh(self.call.options))
        return out if isinstance(out, tuple) else (out,), saved

    def gradients(self, grad_out: tuple[Any, ...]) -> list[Any]:
        """What backward says, for the inputs that need a gradient.

        Raises   BrokenRule if its form is wrong already, or if it answers differently when it is
                 told which gradients are needed; and whatever backward raises
        """
        given = grad_out[0] if self.op.outputs == 1 else grad_out
        _, saved = self.forward()
        before = copy.deepcopy((given, saved, self.arrays))
        grads = self.op.backward(given, saved)
        if not equal(before, (given, saved, self.arrays)):
            raise BrokenRule(say("backward overwrote an array that others still need"))
        if not isinstance(grads, tuple) or len(grads) != len(self.arrays):
            raise BrokenRule(say("backward must return a tuple with one gradient for each input"))
        if self.op.takes_needs and not all(self.needs):
            self._same_if_told(grads, given)
        chosen = [g for g, need in zip(grads, self.needs, strict=True) if need]
        for grad, x in zip(chosen, self.moving(), strict=True):
            if not is_array(grad) or grad.shape != x.shape or grad.dtype != x.dtype:
                raise BrokenRule(say("a gradient must have the shape and dtype of its input"))
        return chosen

    def moving(self) -> list[np.ndarray]:
        """The inputs that need a gradient."""
        return [x for x, need in zip(self.arrays, self.needs, strict=True) if need]

    def _same_if_told(self, grads: tuple, given: Any) -> None:
        told = self.op.backward(given, self.forward()[1], needs=self.needs)
        for i, need in enumerate(self.needs):
            if need and not (
                is_array(told[i])
                and told[i].shape == np.shape(grads[i])
                and np.allclose(told[i], grads[i], rtol=1e-9, atol=1e-12, equal_nan=True)
            ):
                raise BrokenRule(
                    say(
                        "the gradient of {name} is another one when backward is called with "
                        "needs={needs}, as the engine does here, than without needs",
                        name=self.op.argument(i), needs=self.needs,
                    )
                )  # fmt: skip


def check_call(call: Call, edges: set[Any], settings: GradientSettings) -> str:
    """What is wrong with the backward of one call, in a sentence; "" if it agrees with forward."""
    replay, rng = Replay(call, edges), np.random.default_rng(settings.seed + call.number)
    outs, _ = replay.forward()
    size = sum(np.size(out) for out in outs)
    weight = rng.standard_normal(size)
    parts = unflatten(weight, outs)
    for part, used in zip(parts, replay.used, strict=True):
        part *= used  # an output that nobody uses has gradient 0
    weight = flatten(parts)[None]
    try:
        with np.errstate(all="ignore"):
            grads = replay.gradients(parts)
    except BrokenRule as error:
        return str(error)
    except Exception as error:  # the checked code is a student's: whatever it raises is an answer
        return say("backward raised {type}: {error}", type=type(error).__name__, error=error)
    names = [replay.op.argument(i) for i, need in enumerate(replay.needs) if need]

    def outputs() -> np.ndarray:
        return flatten(replay.forward()[0])

    for name, array, grad in zip(names, replay.moving(), grads, strict=True):
        slope = along(outputs, [array], [[grad]], weight, settings, rng)
        if slope is None:  # kinks everywhere: only entry by entry can tell
            report, _ = diagnosis(call, settings)
            return report.findings[0].message if report else ""
        if not slope.agrees:
            return say(
                "along a random direction of {name}, backward gives the slope {analytic:.6g} and the "
                "numerical one is {numeric:.6g}",
                name=name, analytic=slope.analytic[0], numeric=slope.numeric[0],
            )  # fmt: skip
    return ""


# -------------------------------------------------------------------------- all calls of a model


@dataclass
class Suspect:
    """An operation whose backward is wrong: its first failing call from the loss, and how many."""

    call: Call
    seen: str  # what the check of this call saw
    calls: int = 0  # how often the operation was called on the way to the loss
    failing: int = 0


def suspects(recording: Recording, settings: GradientSettings) -> list[Suspect]:
    """The operations that disagree with their forward, in the order in which backward meets them."""
    edges = recording.edges()
    found: dict[tuple, Suspect] = {}
    counts: dict[tuple, int] = {}
    for call in recording.from_the_end():
        key = call.op.forward, call.op.backward
        counts[key] = counts.get(key, 0) + 1
        seen = check_call(call, edges, settings)
        if seen:
            found.setdefault(key, Suspect(call, seen)).failing += 1
    for key, suspect in found.items():
        suspect.calls = counts[key]
    return list(found.values())


def findings_of(
    suspect: Suspect, recording: Recording, settings: GradientSettings
) -> tuple[list[Finding], str]:
    """The diagnosis of one operation, and where its derivation stands.

    Each sentence begins with where the call was made.
    """
    where = recording.describe(suspect.call)
    report, cut = diagnosis(suspect.call, settings)
    op, edges = suspect.call.op, suspect.call.node.edges
    needed = [op.argument(i) for i, edge in enumerate(edges) if edge is not None]
    if report is None:
        seen = say("{where}: {message}", where=where, message=suspect.seen)
        return [Finding(needed[0], "unknown", seen)], ""
    found = sorted(report.findings, key=lambda f: f.input in op.arrays and f.input not in needed)
    told = [say("{where}: {message}", where=where, message=f.message) for f in found]
    findings = [replace(f, message=text + cut) for f, text in zip(found, told, strict=True)]
    return findings, report.source


# ------------------------------------------------------------------- the diagnosis of a large call


def diagnosis(call: Call, settings: GradientSettings) -> tuple[GradientReport | None, str]:
    """What `check_gradients` finds, on the call's own inputs or on small ones cut from them.

    Returns   (report, the sizes of the cut inputs in words or ""); None if no mistake was seen
    """
    op, whole = call.op, _numbers(call.inputs)
    for divisor in (1, *DIVISORS):
        inputs, options = cut_down(call, divisor)
        if _numbers(inputs) > SMALL or (divisor > 1 and not _accepted(op, inputs, options)):
            continue
        report = check_gradients(op.forward, op.backward, *inputs, settings=settings, **options)
        if any(f.input != "forward" for f in report.findings):
            return report, "" if divisor == 1 else _sizes(op, inputs)
        if divisor == 1:  # the mistake shows only as the model calls it
            return None, ""
    if SMALL < whole <= MEDIUM:
        report = check_gradients(
            op.forward, op.backward, *call.inputs, settings=settings, **call.options
        )
        return (None if report.passed else report), ""
    return None, ""


def _accepted(op: Any, inputs: list[Any], options: dict[str, Any]) -> bool:
    """True if forward takes what was cut: sizes that belong together may have been torn."""
    try:
        with np.errstate(all="ignore"), same_randomness():
            op.forward(*map(to_float64, inputs), **fresh(options))
    except Exception:  # the operation may be a student's, which raises whatever it raises
        return False
    return True


def cut_down(call: Call, divisor: int) -> tuple[list[Any], dict[str, Any]]:
    """The inputs and options of a call with every axis cut to about 1/divisor of its length.

    Equal lengths stay equal, and those that are multiples of the divisor keep their ratios (4H to
    H).  Ids are wrapped into what is left.  The result may make no sense to the operation, such as
    a reshape: then its forward refuses it.
    """
    if divisor == 1:
        return list(call.inputs), call.options
    floats = [x for x in call.inputs if is_floating(x)]
    lengths = {n for x in [*call.inputs, *call.options.values()] for n in np.shape(_array(x))}
    short = {n: n if n <= 2 else max(n // divisor, 2) for n in lengths}

    def cut(x: Any) -> Any:
        if not is_array(x):
            return x
        part = x[tuple(slice(short[n]) for n in x.shape)].copy()
        if x.dtype.kind in "iu" and x.size:
            larger = [short[n] for f in floats for n in f.shape if n > x.max()]
            part = np.where(part < 0, part, part % min(larger, default=2))
        return part

    return [cut(x) for x in call.inputs], {name: cut(x) for name, x in call.options.items()}


def _array(x: Any) -> Any:
    return x if is_array(x) else 0.0


def _numbers(inputs: list[Any]) -> int:
    return sum(np.size(x) for x in inputs if is_floating(x))


def _sizes(op: Any, inputs: list[Any]) -> str:
    shapes = [f"{op.argument(i)} {x.shape}" for i, x in enumerate(inputs) if is_array(x)]
    return say(" (seen on its inputs cut down to {shapes})", shapes=", ".join(shapes))
