"""An analytic gradient beside the numerical one: a row of the report, and a finding if they differ."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.checks import is_floating
from .diagnosis import Call, diagnose, relative_errors
from .diagnosis.evidence import LARGEST
from .language import say
from .large import entries_that_matter
from .numeric import Slopes, central_difference, numerical_slopes
from .report import Finding, GradientReport, InputCheck
from .settings import GradientSettings


def compare_all(
    report: GradientReport,
    settings: GradientSettings,
    call: Call,
    outputs: Callable[[], np.ndarray],
    gradients: list[Any],
) -> None:
    """Compare the gradient of every floating input, one after the other.

    outputs     evaluates forward on call.inputs, as one vector
    gradients   for each cotangent, one gradient for each argument
    """
    for i, (name, array) in enumerate(zip(call.names, call.inputs, strict=True)):
        analytic = [grads[i] for grads in gradients]
        if name in report.data:
            report.notes.append(say("{name} is data: it gets no gradient", name=name))
        elif not is_floating(array):
            if any(grad is not None for grad in analytic):
                report.notes.append(
                    say("{name} is not floating: its gradient should be None", name=name)
                )
        else:
            entries = None
            if array.size > settings.large:
                entries = entries_that_matter(report, settings, call, i, analytic, outputs)
            slopes = numerical_slopes(
                outputs, array, call.cotangents, settings.step, entries, keep_jacobian=LARGEST
            )
            compare(report, call, i, analytic, slopes)
            wrong = any(finding.input == name for finding in report.findings)
            (call.failed if wrong else call.agreed).append(name)
            _keep_probe(report.inputs[-1], outputs, array, analytic, call.cotangents)


@np.errstate(all="ignore")  # a wrong gradient may hold anything
def compare(
    report: GradientReport, call: Call, index: int, analytic: list[Any], slopes: Slopes
) -> None:
    """Add the row of one input to the report, and a finding if its gradient is wrong."""
    name, numeric = call.names[index], slopes.gradients
    row = InputCheck(name, numeric.shape[1:], skipped=slopes.skipped)
    report.inputs.append(row)
    if slopes.skipped and len(slopes.skipped) == row.size:
        row.note = say("not compared")
        reason = slopes.skipped[0][1]
        message = say("no entry of {name} could be compared: {reason}", name=name, reason=reason)
        report.findings.append(Finding(name, "not_finite", message))
        return
    jacobian = slopes.jacobian
    comparable = all(
        grad is not None and grad.shape == row.shape and grad.dtype == numeric.dtype
        for grad in analytic
    )
    if not comparable:
        row.note = say("wrong shape or dtype")
        _add(report, diagnose(call, index, analytic, numeric, jacobian, report.tolerance))
        return
    _fill_row(row, np.stack(analytic), slopes, report.tolerance)
    if not row.checked:
        row.note = say("no entries")
        return
    if not np.nan_to_num(numeric).any() and not np.stack(analytic).any():
        report.notes.append(vacuous(name))
    if row.relative_error > report.tolerance:
        _add(report, diagnose(call, index, analytic, numeric, jacobian, report.tolerance))


def vacuous(name: str) -> str:
    """The note on an input whose gradients are all zero, by both ways of computing them."""
    return say(
        "{name}: every gradient is zero, so this input was not really tested (vacuous check)",
        name=name,
    )


def _add(report: GradientReport, finding: Finding) -> None:
    """One finding for each input: what is known of it already says more."""
    if not any(old.input == finding.input for old in report.findings):
        report.findings.append(finding)


def _fill_row(row: InputCheck, analytic: np.ndarray, slopes: Slopes, tolerance: float) -> None:
    """The numbers of one input: its errors, and the worst entry."""
    numeric = slopes.gradients
    errors = relative_errors(analytic, numeric)
    # a difference that rounding alone explains is no error, however small the gradient is
    explained = np.abs(analytic - numeric) <= slopes.noise
    errors = np.where(explained, np.minimum(errors, tolerance), errors)
    row.checked = int(np.isfinite(numeric[0]).sum())
    row.noise = float(np.max(slopes.noise, initial=0.0))
    row.analytic_values, row.numeric_values = analytic[0], numeric[0]
    if row.checked:
        compared = np.where(np.isfinite(numeric), errors, -1.0)
        row.errors = errors.max(axis=0)
        place = tuple(int(i) for i in np.unravel_index(np.argmax(compared), errors.shape))
        row.worst_index, row.relative_error = place[1:], float(errors[place])
        row.analytic, row.numeric = float(analytic[place]), float(numeric[place])


def _keep_probe(
    row: InputCheck, outputs: Callable[[], np.ndarray], array: np.ndarray, analytic: list[Any],
    cotangents: np.ndarray,
) -> None:  # fmt: skip
    """Let the report draw the error of the worst entry against the step size."""
    if not row.checked or not np.isfinite(row.analytic):
        return
    flat = int(np.ravel_multi_index(row.worst_index, row.shape)) if row.shape else 0
    values = [float(np.reshape(grad, -1)[flat]) for grad in analytic]
    cotangent = cotangents[values.index(row.analytic)]  # the direction in which it is worst

    def probe(h: float) -> float:
        numeric = central_difference(outputs, array, flat, cotangent, h)
        return abs(row.analytic - numeric) / max(abs(row.analytic), abs(numeric), 1e-300)

    row.probe = probe


def finite_outputs(report: GradientReport, outs: Any) -> bool:
    """True if there is something to differentiate; a finding if forward gives NaN or Inf."""
    for number, out in enumerate(outs):
        bad = ~np.isfinite(np.asarray(out, dtype=np.float64))
        if bad.any():
            place = [int(i) for i in np.argwhere(bad)[0]]
            message = say(
                "forward gives NaN or Inf for these inputs (output {number} at {place}): there is no "
                "gradient to check; choose inputs inside the domain of the function",
                number=number, place=place,
            )  # fmt: skip
            report.findings.append(Finding("forward", "not_finite", message))
            return False
    return True


def report_mutation(report: GradientReport, what: str, who: str) -> None:
    """One finding for each overwritten array, however often it was seen."""
    if not any(f.input == what and f.kind == "mutated_input" for f in report.findings):
        message = say(
            "{who} overwrote {what}, which others still need: work on a copy, or on a buffer that was "
            "allocated in the same function", who=who, what=what,
        )  # fmt: skip
        report.findings.append(Finding(what, "mutated_input", message))
