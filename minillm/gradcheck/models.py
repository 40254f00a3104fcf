"""The gradient check of a whole model: is it right, and if not, which operation is wrong?

Three questions, from cheap to dear:

1.  Does the model stand still?  Two runs with the same parameters must agree, and nothing may
    overwrite a parameter or an input.  Else no derivative means anything.
2.  Is the gradient right?  All parameters move together along a random direction (five runs decide
    about every number at once), then single entries of each parameter are looked at.
3.  If not: where?  localise.py checks every call of an operation alone.  If all of them agree, a
    value left the graph: calls.py finds where it came back.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..debugging import debug
from .calls import LostValue, Recording, differs, first_difference, lost_value
from .comparison import finite_outputs, vacuous
from .inputs import cotangents, estimate_note
from .language import language, later, say
from .localise import along, findings_of, suspects, typical_size
from .numeric import Slopes, numerical_slopes
from .report import Finding, GradientReport, InputCheck
from .settings import GradientSettings, settings_of
from .subject import Subject

WORK = 3e8  # numbers read by all runs for single entries together: a larger model gets fewer
MANY = 3  # directions through all parameters of a model that is too large for entries of each
FEW = 3  # entries of each parameter that are looked at when the model has failed already
SHOWN = 4  # names in a list before "and 7 more"
OVERWROTE = {  # by what is overwritten: Subject.fingerprints
    "parameter": later("{who} overwrote the parameter {name}: every run then sees other numbers; work "
                       "on a copy"),
    "input": later("{who} overwrote the input {name}: every run then sees other numbers; work on a "
                   "copy"),
    "argument": later("{who} overwrote the argument {name}: every run then sees other numbers; work on "
                      "a copy"),
}  # fmt: skip


def check_model(
    model: Any, *inputs: Any, settings: GradientSettings | None = None, **options: Any
) -> GradientReport:
    """Hold the gradients of all parameters of a model against numerical ones, and find the culprit.

    model      anything with named_parameters(), called as model(*inputs, **options); its output is
               Tensors, or has `.loss` (used if it is not None), `.logits` or
               `.last_hidden_state`
    settings   max_entries entries of each parameter are looked at: those with the largest gradients,
               and random ones; None for all.  Models of millions of parameters get fewer, because
               one direction through all of them already sees a mistake anywhere

    If a gradient is wrong, every call of an operation is checked by itself, with the inputs that it
    got from the model, from the loss backwards.  The first finding names the operation, the module
    that called it, and what is wrong with its backward; `report.where` is the place alone.  A wrong
    gradient without a wrong operation comes from a value that left the graph (`.detach()`, `.data`,
    `no_grad`, NumPy), or from an array that was overwritten: the finding says which.

    The parameters are float64 during the check and get their values, dtype and gradients back.
    Those whose entries are all equal, such as the ones and zeros of a new layer norm, are moved a
    little meanwhile: a forgotten factor of 1 could not be seen.

    Here is a model whose middle layer uses a tanh with a mistake: the square is forgotten.

    >>> import numpy as np
    >>> from minillm import differentiable
    >>> from minillm.nn import Linear, Module, Sequential
    >>> def tanh_forward(x):
    ...     out = np.tanh(x)
    ...     return out, (out,)
    >>> def tanh_backward(grad_out, saved):
    ...     return (grad_out * (1 - saved[0]),)
    >>> tanh = differentiable(tanh_forward, tanh_backward)
    >>> class Tanh(Module):
    ...     def forward(self, x):
    ...         return tanh(x)
    >>> rng = np.random.default_rng(0)
    >>> model = Sequential(Linear(3, 4, rng=rng), Tanh(), Linear(4, 2, rng=rng))
    >>> report = check_model(model, rng.standard_normal((5, 3)))
    >>> report.passed, report.where
    (False, 'tanh in Sequential.1, call 2 of 3')
    >>> report.findings[0].message.partition(": ")[0]
    "operation 'tanh' called by Sequential.1 (call 2 of 3)"

    Raises   TypeError if model has no named_parameters() or returns no Tensor; ValueError if there
             is nothing to check; and what the model itself raises
    """
    language()  # a wrong MINILLM_LANG should be told before the work, not after it
    settings = settings_of("check_model", settings)
    subject = Subject(model, inputs, options)
    report = GradientReport(subject.name, tolerance=settings.tolerance)
    with subject.in_float64():
        recording = stand_still(report, subject)
        if recording is not None:
            check = ParameterCheck(report, subject, recording, settings)
            if not check.passes():
                explain(check)
            report.notes += remarks(recording, subject)
    return report


def remarks(recording: Recording, subject: Subject) -> list[str]:
    """What was done with the model besides."""
    notes = [say("the model called {count} operations", count=len(recording.calls))]
    found = [estimate_note(call.op.forward, call.options) for call in recording.calls]
    notes += dict.fromkeys(filter(None, found))
    notes += [
        say("{name}: padding_idx takes the gradient of row {rows}, which is left out",
            name=subject.leaves[i][0], rows=rows)
        for i, rows in subject.frozen.items()
    ]  # fmt: skip
    if subject.nudged:
        notes.append(say(
            "{count} parameters hold one number everywhere and were moved a little for the check "
            "({names}): a 1 or a 0 hides mistakes",
            count=len(subject.nudged), names=several(subject.nudged),
        ))  # fmt: skip
    return notes


# ------------------------------------------------------------------------ 1. does it stand still?


def stand_still(report: GradientReport, subject: Subject) -> Recording | None:
    """A recording of the model, or None and a finding if its derivative means nothing."""
    before = subject.fingerprints()
    subject.record()  # finds the random generators that have to be put back
    one, two = subject.record(), subject.record()
    if not one.outs:
        raise TypeError(
            f"check_model: {subject.name} returned no Tensor: a model must return Tensors, or "
            "something with .loss or .logits"
        )
    if overwritten(report, before, subject.fingerprints(), "forward"):
        return None
    if any(differs(a.data, b.data) for a, b in zip(one.outs, two.outs, strict=False)):
        message = say(
            "two runs of the model with the same parameters and inputs give different outputs, so its "
            "gradient cannot be checked: {difference}. Either it keeps something from run to run, or "
            "it draws random numbers from a generator that cannot be put back: make it a "
            "numpy.random.Generator that is an attribute of the module, or call model.eval()",
            difference=first_difference(one, two),
        )
        report.findings.append(Finding("forward", "unknown", message))
        return None
    return two if finite_outputs(report, [out.data for out in two.outs]) else None


def overwritten(
    report: GradientReport, before: dict[str, int], after: dict[str, int], who: str
) -> bool:
    """True, and a finding for each, if parameters or inputs are not what they were."""
    changed = [name for name, print_ in before.items() if after.get(name) != print_]
    for name in changed:
        what, _, own_name = name.partition(" ")
        message = say(OVERWROTE[what], who=who, name=own_name)
        report.findings.append(Finding(own_name, "mutated_input", message))
    return bool(changed)


# ------------------------------------------------------------------------- 2. is the gradient right?


class ParameterCheck:
    """The gradients of all parameters of one model, and which of them are wrong."""

    def __init__(
        self, report: GradientReport, subject: Subject, recording: Recording,
        settings: GradientSettings,
    ) -> None:  # fmt: skip
        self.report, self.subject, self.recording = report, subject, recording
        self.settings = settings
        self.rng = np.random.default_rng(settings.seed)
        self.weights = cotangents([out.data for out in recording.outs], settings)
        self.gradients: list[list[Any]] = []  # for each cotangent, an array for each leaf
        self.wrong: list[Finding] = []  # one for each wrong parameter
        self.floor = 0.0  # gradients below it are rounding: in truth they may be 0
        self.leaves = len(subject.leaves)
        numbers = sum(leaf.size for _, leaf in subject.leaves) + self.weights.shape[1]
        self.affordable = max(int(WORK / (5 * numbers)), 1)  # entries of all parameters together

    def passes(self) -> bool:
        """Fill the report's table; False if anything is wrong."""
        subject, before = self.subject, self.subject.fingerprints()
        try:
            self.gradients = [subject.gradients(weight) for weight in self.weights]
        except Exception as error:  # the backward is a student's: whatever it raises is a finding
            message = say(
                "the backward pass of the model raised {type}: {error}",
                type=type(error).__name__, error=error,
            )  # fmt: skip
            self.wrong.append(Finding("backward", "unknown", message))
            return False
        if overwritten(self.report, before, subject.fingerprints(), "backward"):
            return False
        arrays = [*(out.data for out in self.recording.outs), *itertools.chain(*self.gradients)]
        sizes = [np.abs(array).max(initial=0.0) for array in arrays]
        self.floor = 1e-9 * max(size for size in [1e-9, *sizes] if np.isfinite(size))
        large = self.affordable < self.leaves
        right = all(self.agrees_along(range(self.leaves)) for _ in range(MANY if large else 1))
        if large:
            self.report.notes.append(say(
                "a large model: all parameters together were checked along {directions} random "
                "directions, and single entries of {count} of them",
                directions=MANY, count=self.affordable,
            ))  # fmt: skip
        for i, (name, _) in enumerate(subject.leaves):
            finding = self.look_at(i, right)
            if finding is None and not (right or large or self.agrees_along([i])):
                finding = wrong_parameter(name, self.analytic(i))
            if finding is not None:
                self.wrong.append(finding)
        return right and not self.wrong

    def agrees_along(self, which: Sequence[int]) -> bool:
        """True if the gradients of these leaves agree along a random direction, or none is smooth."""
        arrays = [self.subject.leaves[i][1].data for i in which]
        gradients = [[grads[i] for i in which] for grads in self.gradients]
        frozen = {at: rows for at, i in enumerate(which) if (rows := self.subject.frozen.get(i))}
        slope = along(
            self.subject.outputs, arrays, gradients, self.weights, self.settings, self.rng, frozen
        )
        return slope is None or slope.agrees

    def analytic(self, i: int) -> np.ndarray:
        """(K, *shape): the gradients of one leaf by backward."""
        return np.stack([grads[i] for grads in self.gradients])

    def look_at(self, i: int, right: bool) -> Finding | None:
        """The row of one leaf in the report's table; a finding if an entry is wrong."""
        (name, leaf), settings = self.subject.leaves[i], self.settings
        entries, analytic = self.entries(i, right), self.analytic(i)
        for step in (settings.step, settings.step / 10):
            slopes = numerical_slopes(self.subject.outputs, leaf.data, self.weights, step, entries)
            errors = entry_errors(analytic, slopes, settings.tolerance, self.floor)
            # a wrong entry although the direction is right: perhaps only too strong a bend for the
            # step, as where small numbers go into a layer norm
            if not right or errors.max(initial=0.0) <= settings.tolerance:
                break
        return add_row(self.report, name, analytic, slopes, errors)

    def entries(self, i: int, right: bool) -> list[int]:
        """Which entries of one parameter to look at: half by size of the gradient, half at random."""
        leaf, wanted = self.subject.leaves[i][1], self.settings.max_entries
        numbers = np.arange(leaf.size).reshape(leaf.shape)
        free = np.delete(numbers, self.subject.frozen.get(i, []), axis=0) if leaf.ndim else numbers
        free = free.ravel()
        if wanted is None:
            return free.tolist()
        share = (i + 1) * self.affordable // self.leaves - i * self.affordable // self.leaves
        count = min(wanted if right else min(wanted, FEW), share, free.size)
        sizes = np.abs(self.gradients[0][i]).ravel()[free]
        first = free[np.argsort(-sizes, kind="stable")[: (count + 1) // 2]]
        others = np.setdiff1d(free, first)
        drawn = self.rng.choice(others, size=count - len(first), replace=False)
        return sorted([*first.tolist(), *drawn.tolist()])


def entry_errors(
    analytic: np.ndarray, slopes: Slopes, tolerance: float, floor: float
) -> np.ndarray:
    """(K, *shape): the relative error of every entry, -1 where no numerical gradient is known.

    Entries a thousand times smaller than the largest are measured against that thousandth, and none
    against less than `floor`; what rounding alone explains is no error, however small the gradient.
    """
    numeric = slopes.gradients
    known = np.isfinite(numeric)
    largest = np.abs(numeric[known]).max(initial=0.0)
    with np.errstate(invalid="ignore"):  # Inf - Inf in a gradient that is not finite
        distance = np.abs(analytic - numeric)
        scale = np.maximum(
            np.maximum(np.abs(analytic), np.abs(numeric)), max(1e-3 * largest, floor)
        )
        errors = distance / scale
    errors = np.where(np.isnan(errors), np.inf, errors)
    errors = np.where(distance <= slopes.noise, np.minimum(errors, 0.1 * tolerance), errors)
    return np.where(known, errors, -1.0)


def add_row(
    report: GradientReport, name: str, analytic: np.ndarray, slopes: Slopes, errors: np.ndarray
) -> Finding | None:
    """The row of one parameter in the report's table; a finding if its gradient is wrong."""
    numeric = slopes.gradients
    row = InputCheck(
        name, numeric.shape[1:], checked=int(np.isfinite(numeric[0]).sum()), skipped=slopes.skipped,
        noise=float(np.max(slopes.noise, initial=0.0)), analytic_values=analytic[0],
        numeric_values=numeric[0],
    )  # fmt: skip
    report.inputs.append(row)
    if slopes.skipped:
        (index, reason), count = slopes.skipped[0], len(slopes.skipped)
        report.notes.append(say(
            "{name}: {count} entries skipped, the first at {place}: {reason}",
            name=name, count=count, place=list(index), reason=reason,
        ))  # fmt: skip
    if not row.checked:
        row.note = say("not compared") if slopes.skipped else say("along directions only")
        return None
    row.errors = np.maximum(errors, 0.0).max(axis=0)
    place = tuple(int(n) for n in np.unravel_index(np.argmax(errors), errors.shape))
    row.worst_index, row.relative_error = place[1:], float(errors[place])
    row.analytic, row.numeric = float(analytic[place]), float(numeric[place])
    if not np.nan_to_num(numeric).any() and not analytic.any():
        report.notes.append(vacuous(name))
    if row.relative_error <= report.tolerance:
        return None
    return wrong_parameter(name, analytic, numeric, row)


def wrong_parameter(
    name: str, analytic: np.ndarray, numeric: Any = None, row: InputCheck | None = None
) -> Finding:
    """What can be said about the wrong gradient of one parameter alone."""
    details: dict[str, Any] = {}
    if row is not None:
        fields = ("worst_index", "analytic", "numeric", "relative_error")
        details = {field: getattr(row, field) for field in fields}
    kind, message = "unknown", say("the gradient of the parameter {name} is wrong", name=name)
    if not np.isfinite(analytic).all():
        kind = "not_finite"
        message = say("the gradient of the parameter {name} holds NaN or Inf", name=name)
    elif not analytic.any():
        kind, message = (
            "zero_gradient",
            say(
                "the gradient of the parameter {name} is zero, although the output depends on it",
                name=name,
            ),
        )
    elif numeric is not None:
        known = np.isfinite(numeric) & (numeric != 0)
        ratios = analytic[known] / numeric[known]
        if ratios.size > 1 and np.ptp(ratios) <= 1e-5 * abs(ratios[0]):
            details["factor"] = factor = float(ratios[0])
            kind = "sign_flipped" if abs(factor + 1) < 1e-5 else "scaled"
            message = say(
                "the gradient of the parameter {name} is {factor:.6g} times what it should be",
                name=name, factor=factor,
            )  # fmt: skip
    return Finding(name, kind, message, **details)


# ------------------------------------------------------------------------------------- 3. where?


def explain(check: ParameterCheck) -> None:
    """Put the causes of wrong gradients before what they cause."""
    report, causes = check.report, []
    found = suspects(check.recording, check.settings)
    for suspect in found:
        findings, source = findings_of(suspect, check.recording, check.settings)
        causes += findings
        report.source = report.source or source
        if suspect.calls > 1:
            report.notes.append(say(
                "{failing} of the {calls} calls of {name!r} disagree",
                failing=suspect.failing, calls=suspect.calls, name=suspect.call.op.name,
            ))  # fmt: skip
    lost = lost_after_moving(check)
    if lost is not None:
        causes.append(finding_of_lost(lost, check))
    if not causes:
        causes += edited_in_place(check)
    if found:
        report.where = check.recording.where(found[0].call)
    elif lost is not None and lost.call is not None:
        report.where = check.recording.where(lost.call)
    report.findings[:0] = causes
    if causes:
        note_consequences(check)
        return
    whole = say("the gradient of all parameters together is wrong along a random direction")
    report.findings += check.wrong or [Finding("parameters", "unknown", whole)]
    report.notes.append(
        say("every operation agrees with its own forward, and no value was seen to leave the graph")
    )


def lost_after_moving(check: ParameterCheck) -> LostValue | None:
    """Move all parameters a little, and see what changes although it has no history."""
    kept = [leaf.data for _, leaf in check.subject.leaves]
    for _, leaf in check.subject.leaves:
        size = 1e-3 * typical_size(leaf.data)
        leaf.data = leaf.data + size * check.rng.standard_normal(leaf.shape)
    try:
        after = check.subject.record()
    finally:
        for (_, leaf), data in zip(check.subject.leaves, kept, strict=True):
            leaf.data = data
    return lost_value(check.recording, after, check.subject.leaves)


def finding_of_lost(lost: LostValue, check: ParameterCheck) -> Finding:
    """A value that changes with the parameters and has no history, in a sentence."""
    if lost.call is None:
        what = say("output {number} of the model", number=lost.name)
    else:
        call = check.recording.describe(lost.call)
        what = say("the input {name} of {call}", name=lost.name, call=call)
    zero = check.wrong and all(f.kind == "zero_gradient" for f in check.wrong)
    return Finding(
        lost.name if lost.call else "output",
        "zero_gradient" if zero else "dropped_branch",
        say("{what} changes with the parameters but is not connected to them: {origin}",
            what=what, origin=lost.origin),
    )  # fmt: skip


def edited_in_place(check: ParameterCheck) -> list[Finding]:
    """An array that was overwritten between forward and backward, or a NaN: as debug() sees them."""
    try:
        with debug():
            check.subject.gradients(check.weights[0])
    except FloatingPointError as error:
        return [Finding("backward", "not_finite", str(error))]
    except RuntimeError as error:
        if "changed in place" in str(error):
            return [Finding("saved", "mutated_input", str(error))]
    return []


def note_consequences(check: ParameterCheck) -> None:
    """Which parameters are wrong because of the findings, in two notes instead of a finding each."""
    wrong = [f for f in check.wrong if f.input != "backward"]
    zero = [f.input for f in wrong if f.kind == "zero_gradient"]
    if wrong:
        check.report.notes.append(say(
            "wrong because of this: the gradients of {count} of {all} parameters ({names})",
            count=len(wrong), all=check.leaves, names=several([f.input for f in wrong]),
        ))  # fmt: skip
    if zero:
        check.report.notes.append(say("no gradient arrives at {names}", names=several(zero)))
    check.report.notes += [f.message for f in check.wrong if f.input == "backward"]


def several(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = say(" and {count} more", count=len(names) - SHOWN) if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
