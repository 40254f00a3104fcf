"""Three pictures of a gradient check: where it is wrong, at which step size, and by which factor.

Functions here take a report's rows as they are (minillm/gradcheck/report.py) and import matplotlib
only when something is drawn.
"""

import math
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..terminal import columns_of
from .figures import (
    BLUE,
    GREY,
    INSTALL,
    RED,
    _cjk_fonts,
    _drawable,
    missing_glyphs_line,
    new_figure,
)

MOST_INPUTS = 4  # rows of a figure
MOST_CELLS = 200  # of a heat map along each axis; more become blocks
STEPS = 10.0 ** np.arange(-1, -12.25, -0.5)  # 1e-1 to 1e-12
EPSILON = float(np.finfo(np.float64).eps)
BARS = 40  # of the histogram, besides the two for what lies outside


# ------------------------------------------------------------------------- any shape as a table
@dataclass
class ErrorTable:
    """The relative errors of one input as a table: the last axis to the right, all others down.

    errors   (R, C), NaN where nothing was compared; each is the largest of a block of entries
    block    (entries down, entries to the right) of a block
    shape    of the input
    """

    errors: np.ndarray
    block: tuple[int, int]
    shape: tuple[int, ...]


def as_table(row: Any, most_rows: int = MOST_CELLS, most_columns: int = MOST_CELLS) -> ErrorTable:
    """The errors of an InputCheck as a table of limited size.

    >>> from types import SimpleNamespace
    >>> errors = np.arange(24.0).reshape(2, 3, 4)
    >>> row = SimpleNamespace(errors=errors, numeric_values=None, skipped=[])
    >>> as_table(row, most_rows=3).errors
    array([[ 4.,  5.,  6.,  7.],
           [12., 13., 14., 15.],
           [20., 21., 22., 23.]])
    """
    errors = np.array(row.errors, dtype=np.float64)
    shape = errors.shape
    if row.numeric_values is not None:
        errors[~np.isfinite(np.asarray(row.numeric_values))] = np.nan
    for index, _ in row.skipped:
        errors[index] = np.nan
    flat = errors.reshape(math.prod(shape[:-1]), shape[-1]) if shape else errors.reshape(1, 1)
    down, right = (
        max(1, -(-size // most))
        for size, most in zip(flat.shape, (most_rows, most_columns), strict=True)
    )
    return ErrorTable(_block_maximum(flat, down, right), (down, right), shape)


def _block_maximum(flat: np.ndarray, down: int, right: int) -> np.ndarray:
    """The largest number of each block that is not NaN; NaN where all are."""
    pad = [(0, -flat.shape[0] % down), (0, -flat.shape[1] % right)]
    full = np.pad(np.where(np.isnan(flat), -np.inf, flat), pad, constant_values=-np.inf)
    blocks = full.reshape(full.shape[0] // down, down, full.shape[1] // right, right)
    largest = blocks.max(axis=(1, 3), initial=-np.inf)
    return np.where(largest == -np.inf, np.nan, largest)


def label_of(table: ErrorTable, i: int, j: int) -> str:
    """The index of the entry, or the first and the last of the block, in row i and column j.

    >>> label_of(ErrorTable(np.zeros((6, 4)), (1, 1), (2, 3, 4)), 4, 2)
    '[1, 1, 2]'
    >>> label_of(ErrorTable(np.zeros((3, 4)), (2, 1), (2, 3, 4)), 2, 0)
    '[1, 1, 0] to [1, 2, 0]'
    """
    if not table.shape:
        return "[]"
    corners = []
    rows = math.prod(table.shape[:-1])
    for last in (0, 1):
        row = min((i + last) * table.block[0], rows + (not last)) - last
        column = min((j + last) * table.block[1], table.shape[-1] + (not last)) - last
        corners.append([*_unravel(row, table.shape[:-1]), column])
    return " to ".join(map(str, corners if corners[0] != corners[1] else corners[:1]))


def _unravel(number: int, shape: tuple[int, ...]) -> list[int]:
    return [int(n) for n in np.unravel_index(number, shape)] if shape else []


# ----------------------------------------------------------------------------------- the figure
def plot_gradient_errors(report: Any) -> Any:
    """Where a gradient is wrong, at which step size, and by which factor.

    One row for each input of a GradientReport, at most four, the wrong ones first.  Left: the
    relative error of every entry.  Middle: the error of the worst entry against the step of the
    finite difference, which for a right gradient falls until rounding takes over.  Right: how many
    entries have which ratio of backward's value to the numerical one.  What a report does not hold
    is left out.

    >>> from minillm import ops
    >>> from minillm.gradcheck import check_gradients
    >>> report = check_gradients(ops.exp_forward, ops.exp_backward, np.ones((2, 3)))
    >>> plot_gradient_errors(report).get_suptitle()
    'exp: passed'
    """
    failed = {id(row) for row in report.failed_inputs}
    rows = sorted(report.inputs, key=lambda row: id(row) not in failed)[:MOST_INPUTS]
    panels = [_draw_errors]
    if any(row.probe is not None for row in rows):
        panels.append(_draw_steps)
    if any(_ratios(row, report.tolerance) is not None for row in rows):
        panels.append(_draw_ratios)
    figure = new_figure(5.2 * len(panels), 0.9 + 3.5 * max(len(rows), 1))
    fonts = ["DejaVu Sans", *_cjk_fonts()]
    figure.suptitle(
        _title(report, len(rows), 40 * len(panels), fonts), fontsize=11, fontfamily=fonts
    )
    if not rows:
        _say(figure.add_subplot(), "no input was compared", fonts)
        return figure
    axes = figure.subplots(len(rows), len(panels), squeeze=False)
    for i, row in enumerate(rows):
        for j, panel in enumerate(panels):
            panel(axes[i, j], row, report, fonts)
    return figure


def _title(report: Any, shown: int, width: int, fonts: list[str]) -> str:
    """The verdict, and below it the first finding's sentence."""
    findings = report.findings[:1]
    title = f"{report.name}: passed" if report.passed else report.heading()
    sentences = [finding.message for finding in findings]
    if any(columns_of(s) > 1.1 * len(s) and missing_glyphs_line(s) for s in sentences):
        # a Chinese sentence in code points could not be read: its kind, and what to install
        title = f"{report.name}: {findings[0].input} ({findings[0].kind})"
        sentences = [f"no installed font can draw the sentence: {INSTALL}"]
    if shown < len(report.inputs):
        title += f" ({shown} of {len(report.inputs)} inputs shown)"
    lines = [title]
    for sentence in sentences:  # a Chinese character is as wide as two others
        lines += textwrap.wrap(sentence, width * len(sentence) // columns_of(sentence))
    return "\n".join(_text(line, fonts) for line in lines)


def _text(text: str, fonts: list[str]) -> str:
    """The text without glyphs that no font has, and without formulas."""
    return " ".join(_drawable(word, fonts) for word in text.split())


def _say(axes: Any, message: str, fonts: list[str]) -> None:
    """Words in place of a picture."""
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, _text(message, fonts), ha="center", va="center", wrap=True, fontsize=9,
        fontfamily=fonts, transform=axes.transAxes,
    )  # fmt: skip


# --------------------------------------------------------------------------- the error of entries
def _draw_errors(axes: Any, row: Any, report: Any, fonts: list[str]) -> None:
    """A heat map: dark agrees, bright is wrong, hatched was not compared."""
    from matplotlib.colors import LogNorm

    name = f"{row.name} {row.shape}"
    if row.errors is None or not np.size(row.errors) or not row.checked:
        _say(axes, f"{name}: {row.verdict}", fonts)
        return
    axes.set_title(
        _text(f"{name}: worst {row.relative_error:.0e}, {row.verdict}", fonts), fontsize=10,
        fontfamily=fonts,
    )  # fmt: skip
    table = as_table(row)
    axes.patch.set(facecolor="#DDDDDD", edgecolor="#999999", hatch="////")
    image = axes.imshow(
        np.ma.masked_invalid(np.clip(table.errors, 1e-12, 1)), cmap="cividis",
        norm=LogNorm(1e-12, 1), aspect="auto", interpolation="nearest",
    )  # fmt: skip
    _label_axes(axes, table)
    if len(row.worst_index) == len(table.shape):
        _mark_worst(axes, table, row.worst_index)
    bar = axes.figure.colorbar(image, ax=axes, extend="both", ticks=[1e-12, 1e-9, 1e-6, 1e-3, 1])
    bar.set_label("relative error of the gradient (red: the tolerance)", fontsize=8)
    bar.ax.axhline(report.tolerance, color=RED, linewidth=2)
    bar.ax.tick_params(labelsize=8)


def _label_axes(axes: Any, table: ErrorTable) -> None:
    """Ticks that show indices of the input, also where several axes share the vertical one."""
    shape, (down, right) = table.shape, table.block
    for which, size, step in (
        ("y", table.errors.shape[0], down),
        ("x", table.errors.shape[1], right),
    ):
        ticks = np.arange(0, size, -(-size // 8))
        if which == "x":
            names = [str(t * step) for t in ticks]
        else:
            names = [", ".join(map(str, _unravel(t * step, shape[:-1]))) for t in ticks]
        axes.set(**{f"{which}ticks": ticks, f"{which}ticklabels": names})
    axes.tick_params(labelsize=8)
    if len(shape) > 1:
        above = ", ".join(map(str, range(len(shape) - 1)))
        axes.set_ylabel(f"axis {above}" if len(shape) == 2 else f"axes {above}", fontsize=8)
    else:
        axes.set_yticks([])
    below = f"axis {len(shape) - 1}" if shape else "a single number"
    if table.block != (1, 1):
        below += f"   (a cell: the worst of {down} x {right} entries)"
    if np.isnan(table.errors).any():
        below += "   (hatched: not compared)"
    axes.set_xlabel(below, fontsize=8)


def _mark_worst(axes: Any, table: ErrorTable, index: tuple[int, ...]) -> None:
    """A frame around the worst entry, and its index beside it, towards the middle."""
    shape = table.shape
    i = int(np.ravel_multi_index(index[:-1], shape[:-1])) if len(shape) > 1 else 0
    i, j = i // table.block[0], (index[-1] // table.block[1] if shape else 0)
    rows, columns = table.errors.shape
    axes.plot([j], [i], "s", markersize=13, markerfacecolor="none", markeredgecolor=RED,
              markeredgewidth=2.2)  # fmt: skip
    sideways, upwards = (28 if j < columns / 2 else -28), (22 if i >= rows / 2 else -22)
    axes.annotate(
        str(list(index)), (j, i), (sideways, upwards), textcoords="offset points", fontsize=8,
        ha="left" if sideways > 0 else "right", va="center",
        bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": RED},
        arrowprops={"arrowstyle": "-", "color": RED},
    )  # fmt: skip


# ------------------------------------------------------------------------ the error and the step
def _draw_steps(axes: Any, row: Any, report: Any, fonts: list[str]) -> None:
    """The error of the plain central difference at the worst entry, for steps of all sizes."""
    if row.probe is None:
        _say(axes, f"{row.name}: not measured at other step sizes", fonts)
        return
    errors = np.array([_probe(row.probe, float(h)) for h in STEPS])
    known = np.isfinite(errors)
    if not known.any():
        _say(axes, f"{row.name}: no step size gives a finite number", fonts)
        return
    steps, errors = STEPS[known], np.maximum(errors[known], 1e-17)
    axes.loglog(steps, errors, "o-", color=BLUE, markersize=4, zorder=3)
    axes.set(xlim=(4e-13, 0.25), ylim=(min(1e-13, errors.min() / 3), max(10.0, errors.max() * 3)))
    _reference_lines(axes, steps, errors, _lowest(errors) <= report.tolerance)
    axes.axhline(report.tolerance, color=RED, linestyle="--", linewidth=1)
    axes.text(3e-6, report.tolerance * 1.4, f"tolerance {report.tolerance:.0e}", color=RED, fontsize=8,
              ha="center", va="bottom")  # fmt: skip
    place = f" at {list(row.worst_index)}" if row.worst_index else ""
    right = row.relative_error <= report.tolerance
    axes.set_title(_verdict_of_steps(errors, report.tolerance, right), fontsize=10)
    axes.set_xlabel("step h, relative to the entry", fontsize=8)
    axes.set_ylabel(
        _text(f"relative error of {row.name}{place}", fonts), fontsize=8, fontfamily=fonts
    )
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _probe(probe: Any, h: float) -> float:
    """probe(h), NaN where the function refuses the moved input, as at the edge of its domain."""
    try:
        with np.errstate(all="ignore"):
            return float(probe(h))
    except Exception:  # forward is a reader's own: whatever it raises, this step has no number
        return math.nan


def _reference_lines(axes: Any, steps: np.ndarray, errors: np.ndarray, falls: bool) -> None:
    """How a right gradient's error would fall and rise: h^2 from the formula, eps / h from rounding."""
    lines = [("formula: h²", 1.0, 2), ("rounding: eps / h", EPSILON, -1)]
    h = np.array([1e-12, 1e-1])
    for (name, constant, power), end in zip(lines, (slice(0, 3), slice(-8, None)), strict=True):
        if falls:  # through the measured points, if these follow the law at all
            x, y = np.log(steps[end]), np.log(errors[end])
            slope = np.polyfit(x, y, 1)[0] if len(x) > 1 else 0.0
            if abs(slope - power) > 0.7:
                continue
            constant = float(np.exp(np.median(y - power * x)))
        axes.plot(
            h, constant * h**power, ":", color=GREY, linewidth=1.2, scalex=False, scaley=False
        )
        height = 1e-10 if power > 0 else 1e-4
        x = float(np.clip((height / constant) ** (1 / power), 3e-12, 2e-3))
        axes.annotate(
            name, (x, constant * x**power), (8, -6 if power > 0 else 4), fontsize=8, color=GREY,
            textcoords="offset points", va="top" if power > 0 else "bottom", annotation_clip=True,
        )  # fmt: skip


def _verdict_of_steps(errors: np.ndarray, tolerance: float, right: bool) -> str:
    r"""What the curve says; errors from the largest step down, right if the check passed.

    >>> _verdict_of_steps(np.array([1.0, 1.0, 1.0]), 1e-6, right=False)
    'flat: no step size makes it agree,\nso the formula is wrong'
    >>> _verdict_of_steps(np.array([1e-2, 1e-8, 1e-7, 1e-3]), 1e-6, right=True)
    'falls to 1e-08: agrees'
    """
    lowest = _lowest(errors)
    if lowest <= tolerance:  # the check looks at several directions, the curve at the first
        return f"falls to {errors.min():.0e}: agrees" + (
            "" if right else "\nin the first direction"
        )
    if right:  # the formula of the check is of higher order
        return f"falls to {errors.min():.0e}, as low\nas this simple formula can get"
    if lowest > 0.1 * errors[0]:
        return "flat: no step size makes it agree,\nso the formula is wrong"
    return f"stops falling at {lowest:.0e}, above the tolerance:\nthe formula is wrong by that much"


def _lowest(errors: np.ndarray) -> float:
    """The smallest error that two neighbouring steps reach: one alone may do so by accident."""
    return float(np.maximum(errors[1:], errors[:-1]).min(initial=errors[0]))


# ------------------------------------------------------------------------------------- the ratios
@dataclass
class Ratios:
    """backward / numerical of all compared entries that are large enough to divide by.

    slack   how far each may be off by what the check tolerates, and by rounding
    small   number of entries left out because both gradients are nearly zero there
    """

    values: np.ndarray
    slack: np.ndarray
    small: int


def _ratios(row: Any, tolerance: float) -> Ratios | None:
    """The ratios of one input, infinite where only the numerical gradient is zero; None without."""
    values = row.compared_values()
    if values is None or not values[0].size:
        return None
    analytic, numeric = values
    largest = float(np.abs(numeric).max())
    small = max(100 * row.noise, 1e-9 * largest, 1e-300)
    tiny = np.abs(numeric) <= small
    both = tiny & (np.abs(analytic) <= small)
    with np.errstate(all="ignore"):
        ratios = np.where(tiny, np.copysign(np.inf, analytic), analytic / numeric)
    ratios[np.isnan(analytic)] = np.nan
    # entries far below the largest are measured against a thousandth of it, here as in the check
    size = np.maximum(np.abs(numeric), small)
    slack = tolerance * np.maximum(1, 1e-3 * largest / size) + row.noise / size
    return Ratios(ratios[~both], slack[~both], int(both.sum()))


def _draw_ratios(axes: Any, row: Any, report: Any, fonts: list[str]) -> None:
    """A histogram; what lies outside is collected in a bar at either end."""
    found = _ratios(row, report.tolerance)
    if found is None or not found.values.size:
        why = "no values to divide" if found is None else "all values are too small to divide"
        _say(axes, f"{row.name}: {why}", fonts)
        return
    ratios = found.values
    finite = ratios[np.isfinite(ratios)]
    factor = next((f.factor for f in report.findings if f.input == row.name and f.factor), None)
    low, high = _range_of(finite, factor)
    width = (high - low) / BARS
    # a bar is centred on a whole number of widths from 1, so that ratios of 1 do not straddle two
    edges = 1 + width * (
        np.arange(np.floor((low - 1) / width), np.ceil((high - 1) / width) + 1) - 0.5
    )
    inside = finite[(finite >= edges[0]) & (finite <= edges[-1])]
    counts = np.histogram(inside, edges)[0]
    axes.bar(edges[:-1] + width / 2, counts, width, color=BLUE, zorder=2)
    below, above = int((ratios < edges[0]).sum()), int((ratios > edges[-1]).sum())
    ends = [(edges[0] - 1.5 * width, below, "below"), (edges[-1] + 1.5 * width, above, "above")]
    for x, count, _ in ends:
        axes.bar(x, count, 1.6 * width, color=RED, zorder=2)
    bars = [(c, e + width / 2, str(c)) for c, e in zip(counts, edges[:-1], strict=True) if c]
    bars = bars if len(bars) <= 8 else [max(bars)]
    bars += [(count, x, f"{count} {word}") for x, count, word in ends if count]
    for count, x, label in bars:
        axes.annotate(label, (x, count), (0, 2), textcoords="offset points", ha="center", fontsize=8,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    _mark_ratios(axes, factor)
    axes.set_xlim(edges[0] - 4.5 * width, edges[-1] + 4.5 * width)
    axes.set_ylim(0, 1.35 * max([*counts, below, above, 1]))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_title(_verdict_of_ratios(ratios, found.slack), fontsize=10)
    left_out = f"   ({found.small} too small to divide by)" if found.small else ""
    axes.set_xlabel(f"backward / numerical{left_out}", fontsize=8)
    axes.set_ylabel(_text(f"entries of {row.name}", fonts), fontsize=8, fontfamily=fonts)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _range_of(finite: np.ndarray, factor: float | None) -> tuple[float, float]:
    """From where to where: 0 to 2, the factor, and nine tenths of the ratios."""
    marks = [0.0, 2.0]
    if factor is not None and math.isfinite(factor):
        marks.append(factor + math.copysign(0.1 * max(abs(factor), 1.0), factor))
    if finite.size:
        marks += np.percentile(finite, [5, 95]).tolist()
    return min(marks), max(marks)


def _mark_ratios(axes: Any, factor: float | None) -> None:
    """Lines at 1, where all should be, and at the factor, if there is one."""
    lines = [(1.0, "1: right", GREY)]
    if factor is not None and math.isfinite(factor):
        lines.append((factor, f"factor {factor:.4g}", RED))
    for x, label, colour in lines:
        axes.axvline(x, color=colour, linestyle="--", linewidth=1.2, zorder=1)
        axes.annotate(
            label, (x, 1), (3 if x <= 1 else -3, -3), xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize=8, color=colour, va="top",
            ha="left" if x <= 1 else "right",
        )  # fmt: skip


def _verdict_of_ratios(ratios: np.ndarray, slack: np.ndarray) -> str:
    """What a reader should see in the histogram.

    >>> _verdict_of_ratios(np.array([-1.0, -1.0]), np.array([1e-6, 1e-6]))
    'all 2 ratios are -1: the sign is wrong'
    >>> _verdict_of_ratios(np.array([1.0, 1.0, 3.0]), np.full(3, 1e-6))
    '2 of 3 ratios are 1: the others are wrong'
    """
    count = f"all {len(ratios)} ratios are" if len(ratios) > 1 else "the only ratio is"
    nan = int(np.isnan(ratios).sum())
    if nan:
        return f"{nan} of {len(ratios)} ratios {'is' if nan == 1 else 'are'} NaN"
    middle = float(np.median(ratios))
    with np.errstate(invalid="ignore"):  # infinite ratios are close to nothing
        same = np.abs(ratios - middle) <= 2 * slack * max(abs(middle), 1.0)
    right = np.abs(ratios - 1) <= slack
    if right.all():
        return f"{count} 1: agrees"
    if same.all() and abs(middle + 1) <= 1e-3:
        return f"{count} -1: the sign is wrong"
    if not ratios.any():
        return f"{count} 0: there is no gradient"
    if same.all():
        return f"{count} {middle:.4g}: a constant factor"
    if right.any():
        return f"{int(right.sum())} of {len(ratios)} ratios are 1: the others are wrong"
    return f"ratios from {ratios.min():.4g} to {ratios.max():.4g}: not a constant factor"
