"""What a gradient check found: findings, and a row of numbers for each input.

Text, HTML and JSON are made of them in report_text.py, report_html.py and report_json.py, the
picture in minillm/viz/gradients.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .kinds import FORWARD_KINDS, KINDS
from .language import later, say

HEADER = tuple(map(later, (  # the names of the columns: say() translates them where they are shown
    "input", "shape", "entries", "worst error", "at", "backward", "numerical", "ratio", "cosine",
    "verdict",
)))  # fmt: skip
VERDICTS = (  # below which relative error which words, and what is said besides
    (1e-8, later("agrees to rounding"), ""),
    (1e-6, later("agrees"), ""),
    (1e-4, later("doubtful"), later(": acceptable only next to a kink")),
    (1e-2, later("probably wrong"), ""),
    (math.inf, later("wrong"), ""),
)


@dataclass
class Finding:
    """One thing that is wrong with the gradient of one input.

    input            name of the input ("grad_out" or "saved" if one of those was overwritten)
    kind             one of kinds.KINDS, or of kinds.FORWARD_KINDS
    message          the finding as a sentence, with numbers
    worst_index      where the relative error is largest
    analytic, numeric, relative_error    what backward says there, what is true, and their distance
    factor           analytic / numeric, if that is the same number wherever they differ
    certainty        0 if the numbers leave no doubt, 1 if a simpler story fits, 2 for a last resort

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
    certainty: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS and self.kind not in FORWARD_KINDS:
            raise ValueError(
                f"Finding.kind must be one of {', '.join([*KINDS, *FORWARD_KINDS])}; "
                f"got {self.kind!r}"
            )


@dataclass
class InputCheck:
    """The comparison for one input: a row of the report's table.

    checked          entries that were compared
    relative_error, worst_index, analytic, numeric    the worst entry, as in Finding
    note             why nothing was compared, where nothing was
    errors           relative error of every entry
    analytic_values, numeric_values    both gradients, for the first cotangent; NaN in the numerical
                     one where it was not computed
    skipped          (index, reason) of entries that have no derivative to compare with
    noise            how far rounding alone may put the numerical gradient off, an absolute number
    probe            probe(h): the relative error of the worst entry by the plain central difference
                     with step h, h being relative to the size of the entry
    stored           the four properties below, where a report was read from JSON without arrays

    >>> row = InputCheck("x", (3,), analytic_values=[2.0, 4.0, 6.0], numeric_values=[1.0, 2.0, 3.0])
    >>> round(row.ratio, 9), round(row.cosine, 9)
    (2.0, 1.0)
    """

    name: str
    shape: tuple[int, ...]
    checked: int = 0
    relative_error: float = 0.0
    worst_index: tuple[int, ...] = ()
    analytic: float = float("nan")
    numeric: float = float("nan")
    note: str = ""
    errors: Any = field(default=None, repr=False, compare=False)
    analytic_values: Any = field(default=None, repr=False, compare=False)
    numeric_values: Any = field(default=None, repr=False, compare=False)
    skipped: list[tuple[tuple[int, ...], str]] = field(default_factory=list)
    noise: float = 0.0
    probe: Callable[[float], float] | None = field(default=None, repr=False, compare=False)
    stored: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> int:
        """How many entries the input has."""
        return math.prod(self.shape)

    @property
    def verdict(self) -> str:
        """The size of the worst error in a few words, or why nothing was compared."""
        if not self.checked:
            return self.note or say("not compared")
        return error_in_words(self.relative_error, briefly=True)

    def compared_values(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Both gradients at the entries that were compared; None without arrays of one shape."""
        if self.analytic_values is None or self.numeric_values is None:
            return None
        analytic, numeric = np.asarray(self.analytic_values), np.asarray(self.numeric_values)
        if analytic.shape != numeric.shape or analytic.dtype.kind not in "biuf":
            return None
        known = np.isfinite(numeric)
        for index, _ in self.skipped:
            known[index] = False
        return analytic[known].astype(np.float64), numeric[known].astype(np.float64)

    @property
    def analytic_norm(self) -> float:
        """Length of the gradient that backward gives, over the compared entries."""
        return self._overall("analytic_norm", lambda a, n: _norm(a))

    @property
    def numeric_norm(self) -> float:
        """Length of the numerical gradient, over the compared entries."""
        return self._overall("numeric_norm", lambda a, n: _norm(n))

    @property
    def cosine(self) -> float:
        """Of the angle between both gradients: 1 if only the length is wrong, -1 if the sign is."""
        return self._overall("cosine", lambda a, n: float(_unit(a) @ _unit(n)))

    @property
    def ratio(self) -> float:
        """The factor c for which c times the numerical gradient fits backward's best: <a,n>/<n,n>."""

        def fit(a: np.ndarray, n: np.ndarray) -> float:
            return (
                float(_unit(a) @ _unit(n)) * (_norm(a) / _norm(n)) if _norm(a) else 0.0 / _norm(n)
            )

        return self._overall("ratio", fit)

    def _overall(self, name: str, formula: Callable[[np.ndarray, np.ndarray], float]) -> float:
        values = self.compared_values()
        if values is None:
            return self.stored.get(name, math.nan)
        try:
            return formula(*values)
        except ZeroDivisionError:  # a gradient that is zero has no direction
            return math.nan


def _norm(values: np.ndarray) -> float:
    """The Euclidean norm, without the overflow and underflow of squares."""
    largest = float(np.abs(values).max(initial=0.0))
    if not math.isfinite(largest) or not largest:
        return largest
    scaled = values / largest
    return largest * math.sqrt(float(scaled @ scaled))


def _unit(values: np.ndarray) -> np.ndarray:
    norm = _norm(values)
    if not math.isfinite(norm):
        return np.full(values.shape, math.nan)
    if not norm:
        raise ZeroDivisionError
    return values / norm


def error_in_words(error: float, *, briefly: bool = False) -> str:
    """The size of a relative error as a judgement; the steps follow the CS231n course notes.

    briefly   leave out what is said besides, for a table

    >>> error_in_words(3e-11), error_in_words(0.5)
    ('agrees to rounding', 'wrong')
    """
    if not np.isfinite(error):
        return say("not comparable")
    words, besides = next((words, more) for limit, words, more in VERDICTS if error < limit)
    return say(words) + (say(besides) if besides and not briefly else "")


@dataclass
class GradientReport:
    """The result of a gradient check.  True in an `if` or `assert` exactly when it passed.

    name        of the operation, function or model
    inputs      a row for each input that gets a gradient
    findings    what is wrong, the most likely cause first
    notes       what a reader should know besides
    tolerance   the largest relative error that passes
    data        arguments that are declared to get no gradient, such as targets
    source      where the derivation stands: a file of the library, or a notebook
    seconds     how long the check took
    where       in a model: the operation that is wrong, and the module that called it

    >>> report = GradientReport("softmax")
    >>> report.passed, bool(report)
    (True, True)
    >>> GradientReport.from_dict(report.to_dict()) == report
    True
    """

    name: str
    inputs: list[InputCheck] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tolerance: float = 1e-6
    data: tuple[str, ...] = ()
    source: str = ""
    seconds: float = 0.0
    where: str = ""

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

    @property
    def failed_inputs(self) -> list[InputCheck]:
        """The rows that a finding names, or whose error is larger than the tolerance."""
        named = {finding.input for finding in self.findings}
        return [
            row
            for row in self.inputs
            if row.name in named or not row.relative_error <= self.tolerance
        ]

    def __bool__(self) -> bool:
        return self.passed

    def heading(self) -> str:
        """The verdict without its reason.

        >>> row = InputCheck("x", (3,), checked=3, relative_error=2e-11)
        >>> GradientReport("exp", [row]).heading()
        'exp: passed. 3 entries of 1 input, worst relative error 2.0e-11 (agrees to rounding)'
        """
        if self.findings:
            first = self.findings[0]
            return say(
                "{name}: FAILED at {input} ({kind})",
                name=self.name, input=first.input, kind=first.kind,
            )  # fmt: skip
        entries = sum(row.checked for row in self.inputs)
        if not entries:
            return say("{name}: passed, but there was no entry to compare", name=self.name)
        return say(
            "{name}: passed. {entries} of {inputs}, worst relative error {error:.1e} ({words})",
            name=self.name, entries=_count(entries, ENTRIES),
            inputs=_count(len(self.inputs), INPUTS), error=self.relative_error,
            words=error_in_words(self.relative_error),
        )  # fmt: skip

    def summary(self) -> str:
        """The verdict in one line, with the first finding's sentence."""
        return self.heading() + (say(": ") + self.findings[0].message if self.findings else "")

    def rows(self) -> list[tuple[str, ...]]:
        """The table: a header, then one row for each input; what is not known is empty."""
        return [tuple(map(say, HEADER)), *(self._cells(row) for row in self.inputs)]

    def _cells(self, row: InputCheck) -> tuple[str, ...]:
        entries = str(row.checked)
        if row.checked != row.size:
            entries = say("{checked} of {size}", checked=row.checked, size=row.size)
        if not row.checked:
            return (row.name, str(row.shape), entries, *[""] * 6, row.verdict)
        ratio, cosine = (
            "" if math.isnan(number) else f"{number:.4g}" for number in (row.ratio, row.cosine)
        )
        return (
            row.name, str(row.shape), entries, f"{row.relative_error:.1e}",
            str(list(row.worst_index)), f"{row.analytic:.6g}", f"{row.numeric:.6g}", ratio, cosine,
            row.verdict,
        )  # fmt: skip

    def all_notes(self) -> list[str]:
        """The notes, and for each input and reason which entries were skipped."""
        notes = list(self.notes)
        for row in self.inputs:
            places: dict[str, list[str]] = {}
            for index, reason in row.skipped:
                places.setdefault(reason, []).append(str(list(map(int, index))))
            for reason, indices in places.items():
                more = say(" and {count} more", count=len(indices) - 4) if len(indices) > 4 else ""
                notes.append(say(
                    "{name}: {count} of {entries} skipped, at {places}: {reason}", name=row.name,
                    count=len(indices), entries=_count(row.size, ENTRIES),
                    places=", ".join(indices[:4]) + more, reason=reason,
                ))  # fmt: skip
        return list(dict.fromkeys(notes))

    def __str__(self) -> str:
        from .report_text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from .report_html import as_html

        return as_html(self)

    def plot(self) -> Any:
        """Pictures of what is wrong: a Figure with a row for each input, the failing ones first.

        The relative error of every entry, the error against the step size of the finite difference,
        and how many entries have which ratio of backward's value to the numerical one.
        """
        from ..viz import plot_gradient_errors

        return plot_gradient_errors(self)

    def to_dict(self) -> dict[str, Any]:
        """The report in plain Python types, without its arrays; report_json.py has the format."""
        from .report_json import as_dict

        return as_dict(self)

    def to_json(self, indent: int | None = None) -> str:
        """The report as strict JSON, which has no NaN: see report_json.py."""
        from .report_json import as_json

        return as_json(self, indent)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "GradientReport":
        """What to_dict gave, as a report again; it lacks the arrays, so it draws no picture.

        Raises   ValueError if data is something else, or of a later version of the format
        """
        from .report_json import from_dict

        return from_dict(data)


ENTRIES = later("{number} entry"), later("{number} entries")
INPUTS = later("{number} input"), later("{number} inputs")


def _count(number: int, forms: tuple[str, str]) -> str:
    return say(forms[number != 1], number=number)
