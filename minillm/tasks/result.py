"""What a task found out, and how it is shown: a table, worked examples, a picture, a file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import write_json
from ..terminal import columns_of, wrap


@dataclass(frozen=True)
class Row:
    """One line of the table: who was measured, and one value for each column that applies.

    >>> Row("chance", {"accuracy": 0.5}).values["accuracy"]
    0.5
    """

    name: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Example:
    """One case worked out: what was asked, what is right, what the model said.

    >>> Example("a fine day", "positive", "negative").correct
    False
    """

    given: str
    expected: str
    said: str

    @property
    def correct(self) -> bool:
        """Whether the model said what is right."""
        return self.expected == self.said


@dataclass
class TaskResult:
    """The outcome of one task.

    name       of the task
    title      what was done, in one line
    columns    names of the columns, in order, after that of the rows
    rows       models, and what they are compared with; chance among them
    figures    the task's own numbers by name, for result.json and for comparison between seeds
    examples   worked cases; `choose_examples` picks them
    notes      what one must know to read the table, a sentence each
    draw       draws the picture when it is called; a matplotlib figure
    settings   what the run was asked for, for result.json

    >>> result = TaskResult(
    ...     "coin", "heads or tails", ["accuracy"], [Row("chance", {"accuracy": 0.5})]
    ... )
    >>> print(result)
    coin: heads or tails
    <BLANKLINE>
            accuracy
    chance     0.500
    """

    name: str
    title: str
    columns: list[str]
    rows: list[Row]
    figures: dict[str, float] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    draw: Callable[[], Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{self.name}: {self.title}", "", format_table(self.columns, self.rows)]
        if self.notes:
            parts += ["", *(line for note in self.notes for line in wrap(note))]
        for example in self.examples:
            parts += ["", *_example_lines(example)]
        return "\n".join(parts)

    def save(self, folder: "str | Path") -> list[Path]:
        """Write result.json, and picture.png where there is one; returns the files."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / "result.json"]
        content = {
            "task": self.name,
            "title": self.title,
            "settings": self.settings,
            "figures": self.figures,
            "rows": [{"name": row.name, **row.values} for row in self.rows],
            "examples": [vars(e) | {"correct": e.correct} for e in self.examples],
            "notes": self.notes,
        }
        write_json(files[0], content)
        if self.draw is not None:
            files.append(folder / "picture.png")
            self.draw().savefig(files[1], dpi=120)
        return files


def choose_examples(cases: "list[Example]", count: int = 3) -> list[Example]:
    """Some cases to show: successes from the front, and at least one failure if there is any.

    Where a model makes no mistake, all of them are successes; where it makes nothing else, failures.

    >>> cases = [Example("1 + 1", "2", "2"), Example("2 + 2", "4", "4"), Example("3 + 3", "6", "7")]
    >>> [case.correct for case in choose_examples(cases, count=2)]
    [True, False]
    """
    right = [case for case in cases if case.correct]
    wrong = [case for case in cases if not case.correct]
    failures = wrong[: max(1, count - len(right))]
    return right[: count - len(failures)] + failures


def format_table(columns: list[str], rows: list[Row]) -> str:
    """Rows as aligned text: numbers on the right, empty where a row has no value.

    >>> print(format_table(["F1", "steps"], [Row("GPT", {"F1": 0.98765, "steps": 1200})]))
            F1  steps
    GPT  0.988  1,200
    """
    cells = [["", *columns]]
    cells += [[row.name, *(_shown(row.values.get(c)) for c in columns)] for row in rows]
    widths = [max(columns_of(line[i]) for line in cells) for i in range(len(columns) + 1)]
    lines = []
    for line in cells:
        first = line[0] + " " * (widths[0] - columns_of(line[0]))
        rest = (" " * (w - columns_of(c)) + c for c, w in zip(line[1:], widths[1:], strict=True))
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _example_lines(example: Example) -> list[str]:
    mark = "right" if example.correct else "wrong"
    lines = [f"example ({mark})"]
    for label, text in (
        ("given", example.given), ("expected", example.expected), ("said", example.said),
    ):  # fmt: skip
        indented = list(wrap(text, indent=11)) or [""]
        lines.append(f"  {label:9}{indented[0].strip()}")
        lines += indented[1:]
    return lines
