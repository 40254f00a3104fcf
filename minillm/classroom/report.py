"""The report on one file: what a student sees."""

import textwrap

from .hints import hints, require_level
from .results import STATUSES, FunctionResult, SubmissionResult
from .tables import WIDTH

SHARES = {0.0: "wrong", 0.5: "half", 1.0: "right"}
SHOWN_OUTPUT = 20  # lines of what the file printed


def file_report(result: SubmissionResult, level: int) -> str:
    """All functions of one file, as far as the hint level allows.

    >>> print(file_report(SubmissionResult("anna", "time limit", "it did not end within 5 s"), 3))
    anna: time limit: it did not end within 5 s
    anna: 0 functions, 0 right, 0 of 0 points
    """
    require_level(level)
    lines = []
    if result.status != "ok":
        detail = result.detail or STATUSES.get(result.status, "")
        lines += _wrap(f"{result.student}: {result.status}: {detail}")
    for function in result.functions:
        lines += _function_lines(function, level)
    for note in result.notes:
        lines += _wrap(f"note: {note}")
    if result.output.strip():
        printed = result.output.rstrip().splitlines()
        lines += ["the file printed:", *(f"  | {line}" for line in printed[:SHOWN_OUTPUT])]
        if len(printed) > SHOWN_OUTPUT:
            lines.append(f"  | … and {len(printed) - SHOWN_OUTPUT} lines more")
    right = sum(function.passed for function in result.functions)
    count = len(result.functions)
    functions = "1 function" if count == 1 else f"{count} functions"
    lines.append(
        f"{result.student}: {functions}, {right} right, "
        f"{result.points:g} of {result.max_points:g} points"
    )
    if not result.functions and result.status == "ok":
        lines += _wrap(
            "there is no pair: a function name_forward(x, ...) that returns (out, saved), and "
            "name_backward(grad_out, saved) that returns a tuple of gradients"
        )
    return "\n".join(lines)


def _function_lines(function: FunctionResult, level: int) -> list[str]:
    if level == 0:
        return [f"{function.name}: {'pass' if function.passed else 'fail'}"]
    parts = ", ".join(
        f"{name} {SHARES.get(share, share)}" for name, share in function.parts.items()
    )
    points = f"{function.points:g} of {function.max_points:g}"
    head = f"{function.name}: {function.verdict}, {points}" + (f" ({parts})" if parts else "")
    lines = _wrap(head)
    if function.detail:
        lines += _wrap(f"  {function.detail}")
    report = function.report if level >= 3 else ""
    known = "".join(report.split())
    remarks = [r for r in function.remarks if "".join(r.message.split()) not in known]
    for text in hints(remarks, level):
        lines += _wrap(f"  - {text}")
    lines += report.splitlines()  # as wide as the terminal already
    for note in function.notes:
        lines += _wrap(f"  note: {note}")
    return lines


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False)
