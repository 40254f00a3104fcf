"""The grades of a class: as text, CSV, JSON and HTML, each telling what the hint level allows."""

import csv
import dataclasses
import html
import io
import json
import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import Any

from ..gradcheck.cases import operation_names
from .hints import LEVELS, hints, require_level
from .results import FunctionResult, SubmissionResult

WIDTH = 88
MOST_OFTEN = 10  # rows of the list of common mistakes


@dataclass
class ClassTable:
    """All results of a class, with one column for each function.

    columns   the functions that count; without an assignment every other function is ignored
    level     of the hints

    >>> ClassTable([SubmissionResult("anna")], ["softmax"], 3).total(SubmissionResult("anna"))
    (0.0, 1.0)
    """

    results: list[SubmissionResult]
    columns: list[str]
    level: int = 3

    def __post_init__(self) -> None:
        require_level(self.level)

    def total(self, result: SubmissionResult) -> tuple[float, float]:
        """(points, most possible): of all functions of an assignment, else of the columns."""
        if result.seed:
            return round(result.points, 4), result.max_points
        functions = [result.function(name) for name in self.columns]
        return round(sum((f.points for f in functions if f), 0.0), 4), float(len(self.columns))

    def cell(self, result: SubmissionResult, name: str) -> str:
        """The points of one function; pass or fail at level 0; – if it was not asked for."""
        function = result.function(name)
        if function is None and result.seed:
            return "–"
        if self.level == 0:
            return "pass" if function and function.passed else "fail"
        return f"{function.points:.2f}" if function else "0.00"

    def remarks(self, result: SubmissionResult) -> list[str]:
        """What the hint level allows to say about all its functions, one sentence each."""
        functions = [f for f in result.functions if result.seed or f.name in self.columns]
        return [f"{f.name}: {text}" for f in functions for text in function_hints(f, self.level)]


def function_hints(function: FunctionResult, level: int) -> list[str]:
    """The verdict's sentence and the findings of one function, as far as the level allows.

    >>> function_hints(FunctionResult("softmax", "missing", "softmax_backward is missing"), 1)
    ['softmax_backward is missing']
    """
    detail = [function.detail] if function.detail and level >= 1 else []
    return detail + hints(function.remarks, level)


def choose_columns(results: list[SubmissionResult], asked: list[str]) -> list[str]:
    """The functions that count: those asked for, else those that half of the submissions have.

    So a student who hands in a function that nobody else has changes nobody's total.  Assignments
    count by themselves: all their functions are columns.

    Raises   ValueError for a name asked for that no submission has, unless it is an operation of
             the library, which nobody may have written yet; or if all are assignments

    >>> choose_columns([], ["softmax"])
    ['softmax']
    """
    if asked:
        _require_known(results, asked)
        return list(dict.fromkeys(asked))
    files = [result for result in results if not result.seed and result.functions]
    seen = Counter(function.name for result in files for function in result.functions)
    names = [name for name, count in seen.items() if 2 * count >= len(files)]
    assigned = [f.name for result in results if result.seed for f in result.functions]
    return sorted(dict.fromkeys([*names, *assigned]))


def _require_known(results: list[SubmissionResult], asked: list[str]) -> None:
    """Refuse a name that is a slip of the pen: everybody would get no points for it."""
    found = sorted({function.name for result in results for function in result.functions})
    wrong = [name for name in asked if name not in found and name not in operation_names()]
    if found and wrong:
        raise ValueError(
            f"--functions: no submission has the function {wrong[0]!r}, and the library has no such "
            f"operation; the submissions have {', '.join(found)}"
        )
    if results and all(result.seed for result in results):
        raise ValueError(
            "--functions is not for assignments, of which everything counts: leave it out"
        )


def only(result: SubmissionResult, asked: list[str]) -> SubmissionResult:
    """The same submission with the functions asked for alone; one that it lacks is "missing".

    >>> only(SubmissionResult("anna"), ["softmax"]).functions[0].verdict
    'missing'
    """
    functions = [
        result.function(name)
        or FunctionResult(name, "missing", f"there is no {name}_forward and {name}_backward")
        for name in asked
    ]
    return dataclasses.replace(result, functions=functions)


# -------------------------------------------------------------------------------------------- text


def to_text(table: ClassTable) -> str:
    """The table for a terminal, the statuses that need a word, and the most common mistakes."""
    rows = _grid(table, table.columns)
    legend = []
    if _width(rows) > WIDTH:
        letters = [chr(ord("a") + i) for i in range(min(len(table.columns), 26))]
        rows = _grid(table, table.columns[:26], letters)
        legend = [
            f"  {letter} = {name}" for letter, name in zip(letters, table.columns, strict=False)
        ]
    if _width(rows) > WIDTH:
        rows = _grid(table, [])
        legend = ["  the functions are in --csv, --html and --json: too many for this width"]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        name, status, *numbers = row
        cells = [name.ljust(widths[0]), status.ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(numbers, widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines += legend
    odd = [result for result in table.results if result.status != "ok"]
    for result in odd:
        lines += _wrap(f"{result.student}: {result.status}: {result.detail}")
    if others := _not_counted(table):
        lines += _wrap(f"not counted: {others}; --functions says which functions count")
    common = _common_mistakes(table)
    return "\n".join([*lines, "", "Most often:", *common] if common else lines)


def _grid(table: ClassTable, columns: list[str], heads: list[str] | None = None) -> list[list[str]]:
    rows = [["student", "status", *(heads or columns), "total"]]
    for result in table.results:
        points, most = table.total(result)
        cells = [table.cell(result, name) for name in columns]
        rows.append([_clip(result.student, 24), result.status, *cells, f"{points:.2f} / {most:g}"])
    return rows


def _width(rows: list[list[str]]) -> int:
    return sum(max(len(row[i]) for row in rows) + 2 for i in range(len(rows[0]))) - 2


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False)


def _not_counted(table: ClassTable) -> str:
    """Functions that some submissions have, but that are no column."""
    counts = Counter(f.name for result in table.results for f in result.functions)
    return ", ".join(f"{n} (in {counts[n]})" for n in sorted(counts) if n not in table.columns)


def _common_mistakes(table: ClassTable) -> list[str]:
    """How many students share a mistake, told as the level allows: the first of each function."""
    counts: Counter[tuple[str, ...]] = Counter()
    for result in table.results:
        keys = set()
        for function in result.functions:
            for remark in function.remarks[:1] if function.name in table.columns else ():
                where = (function.name, remark.input)
                keys.add((*where, remark.kind) if table.level >= 2 else where)
        counts.update(keys)
    if table.level == 0:
        return []
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_OFTEN]
    return [f"  {count:3} x  {'  '.join(key)}" for key, count in rows]


# ------------------------------------------------------------------------------------- CSV and JSON


def to_csv(table: ClassTable) -> str:
    """One row for each student; opens in any spreadsheet."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    head = ["student", "status", *table.columns, "total", "maximum", "percent", "seed", "detail"]
    writer.writerow([*head, "remarks", "notes"])
    for result in table.results:
        points, most = table.total(result)
        percent = f"{100 * points / most:.1f}" if most else ""
        row = [result.student, result.status, *(table.cell(result, name) for name in table.columns)]
        row += [f"{points:g}", f"{most:g}", percent, result.seed, result.detail]
        row += ["\n".join(table.remarks(result)), "\n".join(result.notes)]
        writer.writerow([_harmless(cell) for cell in row])
    return file.getvalue()


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: names and messages come from students."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def to_json(table: ClassTable) -> str:
    """Everything, for other programs."""
    submissions = []
    for result in table.results:
        points, most = table.total(result)
        submissions.append({
            "student": result.student,
            "status": result.status,
            "detail": result.detail,
            "total": points,
            "maximum": most,
            "seed": result.seed,
            "seconds": result.seconds,
            "notes": result.notes,
            "functions": [_function_json(f, table.level) for f in result.functions],
        })
    data = {"hints": table.level, "functions": table.columns, "submissions": submissions}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _function_json(function: FunctionResult, level: int) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": function.name,
        "passed": function.passed,
        "points": function.points,
        "maximum": function.max_points,
    }
    if level >= 1:
        data["verdict"], data["parts"] = function.verdict, function.parts
        data["hints"], data["notes"] = function_hints(function, level), function.notes
    if level >= 3:
        data["report"] = function.report
    return data


# -------------------------------------------------------------------------------------------- HTML

STYLE = """
body { font-family: sans-serif; margin: 2em; } table { border-collapse: collapse; }
th, td { border: 1px solid #bbb; padding: 0.3em 0.6em; text-align: left; vertical-align: top; }
.right { background: #d5ecd8; } .partly { background: #f7ecc6; } .wrong { background: #f3d3d9; }
pre { font-size: 85%; } .odd { font-weight: bold; }
"""


def to_html(table: ClassTable) -> str:
    """One page without scripts: the table, then what may be said about each student."""
    head = "".join(
        f"<th>{html.escape(name)}</th>" for name in ("student", "status", *table.columns)
    )
    rows = "\n".join(_html_row(table, result) for result in table.results)
    remarks = "\n".join(_html_remarks(table, result) for result in table.results)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Gradient checks</title>
<style>{STYLE}</style></head><body>
<h1>Gradient checks of {len(table.results)} submissions</h1>
<p>Told: {html.escape(LEVELS[table.level])}.</p>
<table><thead><tr>{head}<th>total</th></tr></thead><tbody>
{rows}
</tbody></table>
{remarks}
</body></html>
"""


def _html_row(table: ClassTable, result: SubmissionResult) -> str:
    cells = [f'<td><a href="#{html.escape(result.student)}">{html.escape(result.student)}</a></td>']
    odd = "" if result.status == "ok" else ' class="odd"'
    cells.append(f"<td{odd}>{html.escape(result.status)}</td>")
    for name in table.columns:
        function = result.function(name)
        share = function.points / function.max_points if function and function.max_points else 0.0
        colour = "right" if function and function.passed else "partly" if share > 0 else "wrong"
        if table.level == 0 and colour == "partly":
            colour = "wrong"
        text = table.cell(result, name)
        cells.append(f"<td>{text}</td>" if text == "–" else f'<td class="{colour}">{text}</td>')
    points, most = table.total(result)
    return f"<tr>{''.join(cells)}<td>{points:.2f} / {most:g}</td></tr>"


def _html_remarks(table: ClassTable, result: SubmissionResult) -> str:
    sentences = table.remarks(result)
    notes = [f"note: {note}" for note in result.notes]
    if result.status != "ok":
        notes.insert(0, f"{result.status}: {result.detail}")
    items = "".join(f"<li>{html.escape(text)}</li>" for text in [*notes, *sentences])
    reports = ""
    if table.level >= 3:
        reports = "".join(
            f"<pre>{html.escape(f.report)}</pre>" for f in result.functions if f.report
        )
    if not items and not reports:
        return ""
    name = html.escape(result.student)
    return f'<h2 id="{name}">{name}</h2><ul>{items}</ul>{reports}'
