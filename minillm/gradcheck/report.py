"""What a gradient check says: findings, a table, a sentence; as text, HTML, picture."""

import html
import math
import textwrap
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .kinds import FORWARD_KINDS, KINDS

LONGEST_NAME = 18  # of an input that still shares a line with its numbers


@dataclass
class Finding:
    """One thing that is wrong with the gradient of one input.

    input            name of the input ("grad_out" or "saved" if one of those was overwritten)
    kind             one of kinds.KINDS, or of kinds.FORWARD_KINDS
    message          the finding as a sentence, with numbers
    worst_index      where the relative error is largest
    analytic, numeric, relative_error    what backward says there, what is true, and their distance
    factor           analytic / numeric, if that is the same number everywhere

    >>> Finding("x", "sign_flipped", "the gradient of x has the wrong sign everywhere").kind
    'sign_flipped'
    """

    input: str
    kind: str
    message: str
    worst_index: tuple[int, ...] = ()
    analytic: float = float("nan")
    numeric: float = float("nan")
    relative_error: float = float("inf")
    factor: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS and self.kind not in FORWARD_KINDS:
            raise ValueError(f"Finding.kind must be one of {', '.join(KINDS)}; got {self.kind!r}")


@dataclass
class InputCheck:
    """The comparison for one input: a row of the report's table."""

    name: str
    shape: tuple[int, ...]
    checked: int = 0  # entries that were compared
    relative_error: float = 0.0  # the worst one
    worst_index: tuple[int, ...] = ()
    analytic: float = float("nan")
    numeric: float = float("nan")
    note: str = ""
    errors: Any = None  # relative error of every entry, for the picture

    @property
    def size(self) -> int:
        """How many entries the input has."""
        return math.prod(self.shape)


def error_in_words(error: float) -> str:
    """The size of a relative error as a judgement; the steps follow the CS231n course notes."""
    if not np.isfinite(error):
        return "not comparable"
    for limit, words in (
        (1e-8, "agrees to rounding"),
        (1e-6, "agrees"),
        (1e-4, "doubtful: acceptable only next to a kink"),
        (1e-2, "probably wrong"),
    ):
        if error < limit:
            return words
    return "wrong"


@dataclass
class GradientReport:
    """The result of a gradient check.  True in an `if` or `assert` exactly when it passed.

    >>> report = GradientReport("softmax")
    >>> report.passed, bool(report)
    (True, True)
    """

    name: str
    inputs: list[InputCheck] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tolerance: float = 1e-6
    data: tuple[str, ...] = ()  # arguments that are declared to get no gradient, such as targets

    @property
    def passed(self) -> bool:
        """True if there is no finding."""
        return not self.findings

    @property
    def relative_error(self) -> float:
        """The worst relative error of all entries of all inputs; infinity for a wrong shape."""
        rows = [row.relative_error for row in self.inputs]
        return max(
            [*rows, *(f.relative_error for f in self.findings if f.worst_index)], default=0.0
        )

    def __bool__(self) -> bool:
        return self.passed

    def summary(self) -> str:
        """The verdict in one line."""
        entries = sum(row.checked for row in self.inputs)
        if self.passed:
            return (
                f"{self.name}: passed. {entries} entries of {len(self.inputs)} inputs, "
                f"worst relative error {self.relative_error:.1e} "
                f"({error_in_words(self.relative_error)})"
            )
        first = self.findings[0]
        return f"{self.name}: FAILED at {first.input} ({first.kind}). {first.message}"

    def rows(self) -> list[tuple[str, ...]]:
        """The table: a header, then one row for each input."""
        table: list[tuple[str, ...]] = [
            ("input", "shape", "entries", "worst error", "at", "backward", "numerical")
        ]
        for row in self.inputs:
            if row.checked:
                numbers = (
                    f"{row.relative_error:.1e}",
                    str(list(row.worst_index)),
                    f"{row.analytic:.6g}",
                    f"{row.numeric:.6g}",
                )
            else:
                numbers = (row.note or "not compared", "", "", "")
            table.append((row.name, str(row.shape), str(row.checked), *numbers))
        return table

    def __str__(self) -> str:
        lines = _wrap(self.summary())
        table = []
        for name, *cells in self.rows():
            if len(name) > LONGEST_NAME:  # a line of its own, so that the table stays narrow
                table += [(name,), ("", *cells)]
            else:
                table.append((name, *cells))
        full = [row for row in table if len(row) > 1]
        widths = [max(len(row[i]) for row in full) for i in range(len(full[0]))]
        for row in table:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            lines.append(("  " + "  ".join(cells)).rstrip())
        for finding in self.findings:
            lines += _wrap(f"- {finding.input}: {finding.kind}: {finding.message}", "    ")
        for note in self.notes:
            lines += _wrap(f"note: {note}", "    ")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = "#117733" if self.passed else "#882255"
        header, *rows = self.rows()
        cell = lambda tag, text: f"<{tag} style='text-align:left'>{html.escape(text)}</{tag}>"  # noqa: E731
        body = "".join(f"<tr>{''.join(cell('td', c) for c in row)}</tr>" for row in rows)
        items = [
            f"<b>{html.escape(f.input)}</b> <code>{f.kind}</code> {html.escape(f.message)}"
            for f in self.findings
        ]
        items += [f"<i>note:</i> {html.escape(note)}" for note in self.notes]
        extra = f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>" if items else ""
        return (
            f"<div><p style='color:{colour}'><b>{html.escape(self.summary())}</b></p>"
            f"<table><tr>{''.join(cell('th', c) for c in header)}</tr>{body}</table>{extra}</div>"
        )

    def plot(self) -> Any:
        """A heat map of the relative error of every entry, one panel for each input."""
        from ..viz import plot_gradient_errors

        return plot_gradient_errors(self)


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 88, subsequent_indent=indent, break_long_words=False) or [text]
