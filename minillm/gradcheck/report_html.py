"""A gradient report for a notebook: a table, the worst entries in place, nothing to click.

Text and background are those of the page, so that light and dark themes both work; what is coloured
is a border, or a red that is laid over the background, and each colour repeats what words say.
"""

import math
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from ..viz.gradients import as_table, label_of
from .kinds import FORWARD_KINDS, KINDS
from .language import later, say
from .report import HEADER, Finding, GradientReport, InputCheck, error_in_words
from .report_text import printable, rows_to_show, the_rest

RIGHT, WRONG, LINE = "#009988", "#CC3311", "rgba(128,128,128,.5)"  # Paul Tol's vibrant scheme
MOST_MAPS, MAP_ROWS, MAP_COLUMNS, CELL = 3, 20, 24, 11
PADDED = "text-align:left;white-space:nowrap;padding:.15em .7em"
MEANING = {
    "input": later("an argument of forward that gets a gradient"),
    "shape": later("of the input"),
    "entries": later("how many entries were compared"),
    "worst error": later("the largest |backward - numerical| / max(|backward|, |numerical|)"),
    "at": later("the index of the entry with the largest error"),
    "backward": later("what backward returned for that entry"),
    "numerical": later("what moving that entry a little gives: the right value"),
    "ratio": later(
        "the factor that turns the numerical gradient into backward's best, over all entries"
    ),
    "cosine": later("of the angle between both gradients: 1 = same direction, -1 = opposite"),
    "verdict": later("the worst error in words"),
}


def as_html(report: GradientReport) -> str:
    """The report as one <div> with inline styles only."""
    colour = RIGHT if report.passed else WRONG
    verdict = say("passed") if report.passed else say("FAILED")
    parts = [
        f"<p style='margin:0 0 .4em'><b style='border:2px solid {colour};border-radius:4px;"
        f"padding:0 .4em'>{verdict}</b> {_heading(report)}</p>",
        *[_sentence(finding, "p") for finding in report.findings[:1]],
        _table(report),
        _maps(report),
        _list([_sentence(finding, "li") for finding in report.findings[1:]], say("also wrong:")),
        _list([f"<li>{_text(note)}</li>" for note in report.all_notes()], say("notes:")),
        _source(report.source),
    ]
    return f"<div style='border-left:4px solid {colour};padding-left:.8em'>{''.join(parts)}</div>"


def _text(text: str) -> str:
    return escape(printable(text), quote=True)


def _heading(report: GradientReport) -> str:
    if report.findings:
        return say(
            "<b>{name}</b>: the gradient check failed at <b>{input}</b>",
            name=_text(report.name), input=_text(report.findings[0].input),
        )  # fmt: skip
    passed = say("{name}: passed", name=report.name)
    rest = report.heading().removeprefix(passed)
    return f"<b>{_text(report.name)}</b>{_text(rest.replace(say('.'), say(':'), 1))}"


def _sentence(finding: Finding, tag: str) -> str:
    """The finding's message after its kind, whose definition shows when the mouse rests on it."""
    meaning = say({**KINDS, **FORWARD_KINDS}[finding.kind])
    label = (
        f"<code title='{_text(meaning)}' style='border:1px solid {LINE};border-radius:4px;"
        f"padding:0 .3em;font-size:85%;cursor:help;color:inherit;background:none'>{finding.kind}"
        "</code>"
    )
    return (
        f"<{tag}>{label} <b>{_text(finding.input)}</b>{say(': ')}{_text(finding.message)}</{tag}>"
    )


def _table(report: GradientReport) -> str:
    """The rows that matter; those of wrong inputs have a coloured edge and bold numbers."""
    if not report.inputs:
        return ""
    header, *cells = report.rows()
    shown = rows_to_show(report)
    keep = [i for i in range(len(header)) if any(cells[row][i] for row in shown)]
    failed = {id(row) for row in report.failed_inputs}
    head = "".join(
        f"<th scope='col' title='{_text(say(MEANING[HEADER[i]]))}' style='{PADDED}'>"
        f"{_text(header[i])}</th>"
        for i in keep
    )
    body = []
    for number in shown:
        wrong = id(report.inputs[number]) in failed
        edge = f"border-left:4px solid {WRONG if wrong else RIGHT};"
        values = [_text(cells[number][i]) for i in keep]
        if wrong:
            values = [f"<b>{value}</b>" for value in values]
        body.append(
            f"<tr><td style='{edge}{PADDED}'>{values[0]}</td>"
            + "".join(f"<td style='{PADDED}'>{value}</td>" for value in values[1:])
            + "</tr>"
        )
    rest = [row for i, row in enumerate(report.inputs) if i not in shown]
    after = f"<p>{_text(the_rest(rest, report.failed_inputs))}</p>" if rest else ""
    return (
        "<table style='color:inherit;font-size:inherit;background:none;border-collapse:collapse;"
        "margin:.4em 0'>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{after}"
    )


def _maps(report: GradientReport) -> str:
    """A small map of the errors of each wrong input: where it is wrong often says why."""
    rows = [
        row
        for row in report.failed_inputs
        if row.errors is not None and np.size(row.errors) > 1 and len(np.shape(row.errors)) > 0
    ]
    return "".join(_map(row, report.tolerance) for row in rows[:MOST_MAPS])


def _map(row: InputCheck, tolerance: float) -> str:
    """The errors as squares: empty = agrees, the redder the wronger, crossed = not compared."""
    table = as_table(row, MAP_ROWS, MAP_COLUMNS)
    squares = []
    for i, line in enumerate(table.errors):
        for j, error in enumerate(line):
            place = label_of(table, i, j).replace(" to ", say(" to ")) + say(": ")
            if np.isnan(error):
                place += say("not compared")
            else:
                words = error_in_words(float(error))
                place += say("{error:.1e}, {words}", error=error, words=words)
            squares.append(_square(i, j, float(error), tolerance, place))
    height, width = (CELL * n + 2 for n in table.errors.shape)
    caption = say("empty = agrees, red = wrong")
    if np.isnan(table.errors).any():
        caption += say(", dotted = not compared")
    if table.block != (1, 1):
        down, right = table.block
        caption += say(
            "; a square is the worst of {down} x {right} entries", down=down, right=right
        )
    errors = say("errors of {name} {shape}", name=row.name, shape=row.shape)
    return (
        "<figure style='display:inline-block;margin:.2em 1.2em .2em 0;vertical-align:top'>"
        f"<svg role='img' aria-label='{_text(errors)}' width='{width}' "
        f"height='{height}' viewBox='-1 -1 {width} {height}' fill='none' "
        f"stroke='{LINE}'>{''.join(squares)}</svg>"
        f"<figcaption style='font-size:85%'>{_text(errors)}{say(': ')}{caption}</figcaption></figure>"
    )


def _square(i: int, j: int, error: float, tolerance: float, title: str) -> str:
    style = ""
    if np.isnan(error):
        style = " stroke-dasharray='2 2'"
    elif not error <= tolerance:
        # from just above the tolerance to 1, in the logarithm
        depth = 1 - math.log10(min(error, 1.0)) / min(math.log10(tolerance), -1.0)
        style = f" fill='{WRONG}' fill-opacity='{0.25 + 0.75 * max(depth, 0.0):.2f}'"
    return (
        f"<rect x='{CELL * j}' y='{CELL * i}' width='{CELL - 1}' height='{CELL - 1}'{style}>"
        f"<title>{_text(title)}</title></rect>"
    )


def _list(items: list[str], title: str) -> str:
    if not items:
        return ""
    return f"<p style='margin:.4em 0 0'>{title}</p><ul style='margin:0'>{''.join(items)}</ul>"


def _source(source: str) -> str:
    """Where the derivation stands; a link if that is a notebook beside this one."""
    if not source:
        return ""
    where = f"<code style='color:inherit;background:none'>{_text(source)}</code>"
    path = Path(source)
    if path.suffix == ".ipynb" and not path.is_absolute() and path.is_file():
        where = f"<a href='{quote(path.as_posix())}'>{_text(source)}</a>"
    return f"<p style='margin:.4em 0 0'>{say('derivation: {source}', source=where)}</p>"
