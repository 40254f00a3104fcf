"""A gradient report as JSON, for graders and for reports that cross a process boundary.

    {"format": "minillm-gradient-report", "version": 1,
     "name": "softmax", "passed": false, "summary": "softmax: FAILED at x (scaled): ...",
     "relative_error": 0.5, "verdict": "wrong", "tolerance": 1e-06, "seconds": 0.01,
     "source": "minillm/ops/softmax.py", "where": "", "data": [], "notes": [],
     "inputs":   [{"name", "shape", "size", "checked", "relative_error", "verdict", "worst_index",
                   "analytic", "numeric", "analytic_norm", "numeric_norm", "ratio", "cosine",
                   "noise", "note", "skipped": [{"index", "reason"}]}, ...],
     "findings": [{"input", "kind", "message", "worst_index", "analytic", "numeric",
                   "relative_error", "verdict", "factor", "certainty"}, ...]}

Numbers.  JSON has no NaN and no infinity: they are the strings "nan", "inf" and "-inf", which
float() reads; null stands only for a `factor` that does not exist.  "nan" is what was not measured,
an infinite relative error what cannot be compared at all, such as another shape.

`passed`, `summary`, `verdict` and `size` follow from the rest; they are written for readers of the
file and not read back.  The arrays and the probe of an input are left out.
"""

import json
import math
from typing import Any

from .report import Finding, GradientReport, InputCheck, error_in_words

FORMAT, VERSION = "minillm-gradient-report", 1
OVERALL = ("analytic_norm", "numeric_norm", "ratio", "cosine")


def as_dict(report: GradientReport) -> dict[str, Any]:
    """The report in dicts, lists, strings, numbers and booleans of Python only."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": str(report.name),
        "passed": report.passed,
        "summary": report.summary(),
        "relative_error": plain(report.relative_error),
        "verdict": error_in_words(report.relative_error),
        "tolerance": plain(report.tolerance),
        "seconds": plain(report.seconds),
        "source": str(report.source),
        "where": str(report.where),
        "data": [str(name) for name in report.data],
        "notes": [str(note) for note in report.notes],
        "inputs": [input_as_dict(row) for row in report.inputs],
        "findings": [finding_as_dict(finding) for finding in report.findings],
    }


def input_as_dict(row: InputCheck) -> dict[str, Any]:
    """One row of the table."""
    return {
        "name": str(row.name),
        "shape": whole(row.shape),
        "size": row.size,
        "checked": int(row.checked),
        "relative_error": plain(row.relative_error),
        "verdict": error_in_words(row.relative_error) if row.checked else "",
        "worst_index": whole(row.worst_index),
        "analytic": plain(row.analytic),
        "numeric": plain(row.numeric),
        **{name: plain(getattr(row, name)) for name in OVERALL},
        "noise": plain(row.noise),
        "note": str(row.note),
        "skipped": [{"index": whole(i), "reason": str(reason)} for i, reason in row.skipped],
    }


def finding_as_dict(finding: Finding) -> dict[str, Any]:
    """One finding."""
    return {
        "input": str(finding.input),
        "kind": finding.kind,
        "message": str(finding.message),
        "worst_index": whole(finding.worst_index),
        "analytic": plain(finding.analytic),
        "numeric": plain(finding.numeric),
        "relative_error": plain(finding.relative_error),
        "verdict": error_in_words(finding.relative_error),
        "factor": None if finding.factor is None else plain(finding.factor),
        "certainty": int(finding.certainty),
    }


def as_json(report: GradientReport, indent: int | None = None) -> str:
    """as_dict as text."""
    return json.dumps(as_dict(report), indent=indent, allow_nan=False)


def from_dict(data: dict[str, Any]) -> GradientReport:
    """The report that as_dict was given, without its arrays."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise ValueError(
            f"GradientReport.from_dict: data must be what to_dict gave, with format {FORMAT!r}, "
            f"got {found!r}"
        )
    if data.get("version") != VERSION:
        raise ValueError(
            f"GradientReport.from_dict: this minillm reads version {VERSION} of the format, got "
            f"version {data.get('version')!r}; read it with the minillm that wrote it"
        )
    try:
        return GradientReport(
            name=data["name"],
            inputs=[input_from_dict(row) for row in data["inputs"]],
            findings=[finding_from_dict(finding) for finding in data["findings"]],
            notes=list(data["notes"]),
            tolerance=float(data["tolerance"]),
            data=tuple(data["data"]),
            source=data["source"],
            seconds=float(data["seconds"]),
            where=data["where"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"GradientReport.from_dict: the data is incomplete or damaged ({error!r}); "
            "write it again with to_dict or to_json"
        ) from None


def input_from_dict(row: dict[str, Any]) -> InputCheck:
    """One row of the table; the numbers about whole arrays are stored beside it."""
    return InputCheck(
        name=row["name"],
        shape=tuple(row["shape"]),
        checked=row["checked"],
        relative_error=float(row["relative_error"]),
        worst_index=tuple(row["worst_index"]),
        analytic=float(row["analytic"]),
        numeric=float(row["numeric"]),
        note=row["note"],
        skipped=[(tuple(place["index"]), place["reason"]) for place in row["skipped"]],
        noise=float(row["noise"]),
        stored={name: float(row[name]) for name in OVERALL},
    )


def finding_from_dict(finding: dict[str, Any]) -> Finding:
    """One finding."""
    factor = finding["factor"]
    return Finding(
        input=finding["input"],
        kind=finding["kind"],
        message=finding["message"],
        worst_index=tuple(finding["worst_index"]),
        analytic=float(finding["analytic"]),
        numeric=float(finding["numeric"]),
        relative_error=float(finding["relative_error"]),
        factor=None if factor is None else float(factor),
        certainty=finding["certainty"],
    )


def plain(number: Any) -> float | str:
    """A Python float, or the string "nan", "inf" or "-inf".

    >>> plain(0.5), plain(math.nan), plain(-math.inf)
    (0.5, 'nan', '-inf')
    """
    value = float(number)
    return value if math.isfinite(value) else str(value)


def whole(numbers: Any) -> list[int]:
    """Sizes or an index as Python ints."""
    return [int(number) for number in numbers]
