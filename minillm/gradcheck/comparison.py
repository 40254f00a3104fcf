"""An analytic gradient beside the numerical one: a row of the report, and a finding if they differ."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.checks import is_floating
from .diagnosis import diagnose, relative_errors
from .numeric import numerical_gradient, rounding_noise
from .report import Finding, GradientReport, InputCheck
from .settings import GradientSettings


def compare_all(
    report: GradientReport,
    settings: GradientSettings,
    outputs: Callable[[], np.ndarray],
    weights: np.ndarray,
    names: list[str],
    arrays: list[Any],
    gradients: list[Any],
) -> None:
    """Compare the gradient of every floating input, one after the other."""
    for i, (name, array) in enumerate(zip(names, arrays, strict=True)):
        if name in report.data:
            report.notes.append(f"{name} is data: it gets no gradient")
        elif is_floating(array):
            numeric, skipped = numerical_gradient(outputs, array, weights, settings.step)
            noise = rounding_noise(outputs, array, weights, settings.step)
            compare(report, name, [grads[i] for grads in gradients], numeric, skipped, noise)


def compare(
    report: GradientReport,
    name: str,
    analytic: list[Any],
    numeric: np.ndarray,
    skipped: list,
    noise: float,
) -> None:
    """Add the row of one input to the report, and a finding if its gradient is wrong."""
    row = InputCheck(name, numeric.shape[1:])
    report.inputs.append(row)
    if skipped:
        report.notes.append(
            f"{name}: {len(skipped)} entries skipped, the function is not finite around them, "
            f"the first at {list(skipped[0])}"
        )
    if skipped and len(skipped) == row.size:
        row.note = "not compared"
        message = f"no entry of {name} could be compared: the function is not finite around them"
        report.findings.append(Finding(name, "not_finite", message))
        return
    comparable = all(
        grad is not None and grad.shape == row.shape and grad.dtype == numeric.dtype
        for grad in analytic
    )
    if not comparable:
        row.note = "wrong shape or dtype"
        report.findings.append(diagnose(name, analytic, numeric, report.tolerance))
        return
    stacked = np.stack(analytic)
    errors = relative_errors(stacked, numeric)
    # a difference that rounding alone explains is no error, however small the gradient is
    explained = np.abs(stacked - numeric) <= noise
    errors = np.where(explained, np.minimum(errors, report.tolerance), errors)
    compared = np.where(np.isfinite(numeric), errors, -1.0)
    row.checked = int(np.isfinite(numeric[0]).sum())
    if not row.checked:
        row.note = "no entries"
        return
    row.errors = errors.max(axis=0)
    place = tuple(int(i) for i in np.unravel_index(np.argmax(compared), errors.shape))
    row.worst_index, row.relative_error = place[1:], float(errors[place])
    row.analytic, row.numeric = float(stacked[place]), float(numeric[place])
    if not np.nan_to_num(numeric).any() and not stacked.any():
        report.notes.append(
            f"{name}: every gradient is zero, so this input was not really tested (vacuous check)"
        )
    if row.relative_error > report.tolerance:
        report.findings.append(diagnose(name, analytic, numeric, report.tolerance))


def finite_outputs(report: GradientReport, outs: Any) -> bool:
    """True if there is something to differentiate; a finding if forward gives NaN or Inf."""
    for number, out in enumerate(outs):
        bad = ~np.isfinite(np.asarray(out, dtype=np.float64))
        if bad.any():
            place = [int(i) for i in np.argwhere(bad)[0]]
            message = (
                f"forward gives NaN or Inf for these inputs (output {number} at {place}): there is "
                "no gradient to check; choose inputs inside the domain of the function"
            )
            report.findings.append(Finding("forward", "not_finite", message))
            return False
    return True


def report_mutation(report: GradientReport, what: str, who: str) -> None:
    """One finding for each overwritten array, however often it was seen."""
    if not any(f.input == what and f.kind == "mutated_input" for f in report.findings):
        report.findings.append(
            Finding(
                what,
                "mutated_input",
                f"{who} overwrote {what}, which others still need: work on a copy, or on a buffer "
                "that was allocated in the same function",
            )
        )
