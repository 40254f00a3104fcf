"""A gradient report for the terminal: no line longer than 88 columns, no colour needed."""

import itertools
import textwrap

from ..terminal import columns_of, pad
from .language import language, later, say
from .report import HEADER, GradientReport, InputCheck, error_in_words

WIDTH = 88
LONGEST_NAME = 18  # of an input that still shares a line with its numbers
MOST_ROWS = 20  # of the table; a model has hundreds of parameters
FEW_ROWS = 4  # if the guilty operation is known, its victims matter less
LEGEND = later("backward: the value returned at that entry; numerical: what it should be.")
OVERALL = later("{columns}: backward against numerical over all entries, 1 where they agree.")
NO_START = "，。：；、）」？！"  # signs that a line of Chinese does not begin with


def as_text(report: GradientReport) -> str:
    """The verdict, its reason, the table, and whatever else there is to say."""
    lines = wrap(report.heading())
    for finding in report.findings[:1]:
        lines += [*wrap(finding.message, "  "), ""]
    if report.inputs:
        lines += table(report)
    if len(report.findings) > 1:
        lines += ["", say("also wrong:")]
        said = {report.findings[0].message}
        for finding in report.findings[1:]:
            message = say("as above") if finding.message in said else finding.message
            item = say(
                "- {input} ({kind}): {message}",
                input=finding.input, kind=finding.kind, message=message,
            )  # fmt: skip
            lines += wrap(item, "", "  ")
            said.add(finding.message)
    for note in report.all_notes():
        lines += wrap(say("note: {note}", note=note), "", "  ")
    if report.source:
        lines += wrap(say("derivation: {source}", source=report.source), "", "  ")
    return "\n".join(lines).rstrip()


def table(report: GradientReport) -> list[str]:
    """The rows that matter as aligned columns, or as sentences where columns would be too wide."""
    shown = rows_to_show(report)
    header, *cells = report.rows()
    cells = [tuple(map(printable, cells[i])) for i in shown]
    failed = report.failed_inputs
    wrong = [row for row in failed if row.checked and not row.relative_error <= report.tolerance]
    lines, legend = [line for row in cells for line in in_words(row)], []
    for hidden, short in layouts([report.inputs[i] for i in shown], cells, wrong):
        keep = [i for i, title in enumerate(HEADER) if title not in hidden]
        if short:
            full, brief = say("agrees to rounding"), say("agrees")
            cells = [(*row[:-1], row[-1].replace(full, brief)) for row in cells]
        columns = aligned([tuple(row[i] for i in keep) for row in (header, *cells)])
        if max(map(columns_of, columns)) <= WIDTH:
            lines = columns
            if wrong:
                legend = [say(LEGEND)]
                overall = [say(title) for title in ("ratio", "cosine") if title not in hidden]
                legend += [say(OVERALL, columns=say(" and ").join(overall))] if overall else []
            break
    if len(shown) < len(report.inputs):
        rest = [row for i, row in enumerate(report.inputs) if i not in shown]
        lines += wrap(the_rest(rest, failed), "  ")
    return lines + [line for sentence in legend for line in wrap(sentence, "  ")]


def layouts(
    rows: list[InputCheck], cells: list[tuple[str, ...]], wrong: list[InputCheck]
) -> list[tuple[set[str], bool]]:
    """Which columns to hide, and whether to shorten the verdict: the fullest table first."""
    hidden = {title for title, *column in zip(HEADER, *cells, strict=True) if not any(column)}
    if not any(f"{row.ratio:.4g}" not in ("1", "nan") for row in wrong):
        hidden.add("ratio")
    if not any(abs(row.cosine) < 0.9999 for row in wrong):  # 1 or -1 says no more than the ratio
        hidden.add("cosine")
    complete = {"entries"} if all(row.checked == row.size for row in rows) else set()
    steps: list[set[str]] = [set(), complete, {"cosine"}, {"ratio"}]
    result = [(set(hidden), False)]
    for step in steps:
        hidden |= step
        result.append((set(hidden), True))
    return result


def rows_to_show(report: GradientReport) -> list[int]:
    """Which inputs: the failing ones, then others as long as there is room, in their order."""
    failed = {id(row) for row in report.failed_inputs}
    order = sorted(range(len(report.inputs)), key=lambda i: id(report.inputs[i]) not in failed)
    return sorted(order[: FEW_ROWS if report.where else MOST_ROWS])


def the_rest(rows: list[InputCheck], failed: list[InputCheck]) -> str:
    """One line for the rows that are not shown."""
    worst = max(row.relative_error for row in rows)
    wrong = sum(any(row is bad for bad in failed) for row in rows)
    verdict = say("{count} of them wrong", count=wrong)
    if not wrong:
        words = error_in_words(worst)
        verdict = say("worst error {error:.1e}, {words}", error=worst, words=words)
    return say("... and {count} more inputs: {verdict}", count=len(rows), verdict=verdict)


def aligned(table: list[tuple[str, ...]]) -> list[str]:
    """Columns of equal width; a long name gets a line of its own."""
    lines: list[tuple[str, ...]] = []
    for name, *cells in table:
        too_long = columns_of(name) > LONGEST_NAME
        lines += [(name,), ("", *cells)] if too_long else [(name, *cells)]
    full = [line for line in lines if len(line) > 1]
    widths = [max(map(columns_of, column)) for column in zip(*full, strict=True)]
    return [
        ("  " + "  ".join(pad(cell, w) for cell, w in zip(line, widths, strict=False))).rstrip()
        for line in lines
    ]


def in_words(cells: tuple[str, ...]) -> list[str]:
    """A row that fits no table: 'x (2, 3): 6 entries, worst error 1e-3 at [0, 1], ...'."""
    name, shape, entries, error, at, backward, numerical, _, _, verdict = cells
    text = say(
        "{name} {shape}: {verdict}; entries compared: {entries}",
        name=name, shape=shape, verdict=verdict, entries=entries,
    )  # fmt: skip
    if error:
        text += say(
            "; worst error {error} at {at}, backward {backward}, numerical {numerical}",
            error=error, at=at, backward=backward, numerical=numerical,
        )  # fmt: skip
    return wrap(text, "  ", "      ")


def wrap(text: str, first: str = "", rest: str | None = None) -> list[str]:
    """The text in lines of at most 88 columns; `first` and `rest` are put before them."""
    rest = first if rest is None else rest
    if language() == "zh":
        return wrap_chinese(printable(text), first, rest)
    lines = textwrap.wrap(
        printable(text), WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
    return lines or [first.rstrip()]


def wrap_chinese(text: str, first: str, rest: str) -> list[str]:
    """The same where characters take two columns: a line ends at a space or beside such a character.

    >>> wrap_chinese("x 的梯度是应有值的 2 倍。" * 4, "", "  ")[1]
    '  有值的 2 倍。'
    """
    lines, line = [], first
    for piece in pieces(text):
        if columns_of(line + piece.rstrip()) > WIDTH and line.strip():
            lines.append(line.rstrip())
            line, piece = rest, piece.lstrip()
        while columns_of(line + piece.rstrip()) > WIDTH:  # one word that is longer than a line
            room = max(WIDTH - columns_of(line), 1)
            lines.append(line + piece[:room])
            line, piece = rest, piece[room:]
        line += piece
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def pieces(text: str) -> list[str]:
    """Parts of a Chinese text between which a line may end."""
    found = [""]
    for before, c in itertools.pairwise(" " + text):
        wide = columns_of(c) == 2
        opened = before in "（「"
        ends = before.isspace() or wide or columns_of(before) == 2
        if ends and not opened and c not in NO_START and not c.isspace():
            found.append("")
        found[-1] += c
    return found


def printable(text: str) -> str:
    r"""The text with control characters, which could move a terminal's cursor, written as escapes.

    >>> printable("line\nline \x1b[2J")
    'line line \\x1b[2J'
    """
    return "".join(
        c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode()
        for c in text
    )
