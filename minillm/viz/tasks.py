"""Pictures of what the tasks found: bars, curves, and confusions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .figures import BLUE, GREEN, GREY, RED, YELLOW, _fonts, _line, _use_fonts, new_figure

COLOURS = (BLUE, RED, GREEN, YELLOW, "#AA3377", "#66CCEE", GREY)
STYLES = ("-", "--", "-.", ":")


def plot_bars(
    values: Mapping[str, "float | Sequence[float]"],
    title: str,
    unit: str,
    *,
    groups: Sequence[str] = ("",),
    lines: Mapping[str, float] | None = None,
) -> Any:
    """Horizontal bars: one for each name, or one for each name and group.

    values   name -> its value, or one value for each group
    unit     what the values are: the label of the axis
    lines    name -> a value to draw as a vertical line, such as chance

    >>> plot_bars({"LSTM": 0.9, "BERT": 0.95}, "Sentiment", "accuracy").axes[0].get_xlabel()
    'accuracy'
    """
    table = np.array([np.atleast_1d(np.asarray(v, dtype=float)) for v in values.values()])
    if table.ndim != 2 or table.shape[1] != len(groups) or not len(table):
        raise ValueError(
            f"plot_bars: values must hold one number for each of the {len(groups)} groups, got "
            f"{dict(values)}"
        )
    figure, fonts = new_figure(7.2, 1.2 + 0.32 * table.size), _fonts()
    axes = figure.add_subplot()
    height, places = 0.8 / len(groups), np.arange(len(table))
    for i, group in enumerate(groups):
        at = places + (i - (len(groups) - 1) / 2) * height
        bars = axes.barh(
            at, table[:, i], height, color=COLOURS[i % 7], label=_line(group, fonts) or None
        )
        axes.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)
    for name, value in (lines or {}).items():
        axes.axvline(value, color=GREY, linestyle=":", linewidth=1)
        axes.annotate(
            _line(f"{name} {value:.3g}", fonts), (value, 1), xycoords=("data", "axes fraction"),
            ha="center", va="bottom", fontsize=8, color=GREY,
        )  # fmt: skip
    axes.set_yticks(places, [_line(name, fonts) for name in values])
    axes.invert_yaxis()
    axes.set_xlim(right=max(float(table.max()) * 1.1, *(lines or {"": 0.0}).values()))
    axes.set_xlabel(_line(unit, fonts))
    axes.set_title(_line(title, fonts), pad=18 if lines else None)
    if len(groups) > 1:
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(1, 0))
    axes.spines[["top", "right"]].set_visible(False)
    _use_fonts(figure, fonts)
    return figure


def plot_curves(
    curves: Mapping[str, Sequence[Any]],
    title: str,
    x_label: str,
    y_label: str,
    *,
    lines: Mapping[str, float] | None = None,
    log_x: bool = False,
    markers: bool = False,
    axes: Any = None,
) -> Any:
    """One line for each name, in its own colour and dash.

    curves   name -> (x, y), or (x, y, half the height of a band around it)
    lines    name -> a value to draw as a horizontal line, such as the floor
    axes     of matplotlib, to draw into one panel of several; a new figure by default

    >>> figure = plot_curves({"GPT": ([1, 2], [3.0, 2.0])}, "Loss", "step", "nats")
    >>> figure.axes[0].get_legend().get_texts()[0].get_text()
    'GPT'
    """
    axes = new_figure(7.2, 4.2).add_subplot() if axes is None else axes
    fonts = _fonts()
    for i, (name, points) in enumerate(curves.items()):
        x, y, *band = (np.asarray(part, dtype=float) for part in points)
        look = {"color": COLOURS[i % 7], "linestyle": STYLES[i % 4]}
        axes.plot(
            x, y, label=_line(name, fonts), marker="o" if markers else None, markersize=4, **look
        )
        if band:
            low, high = y - band[0], y + band[0]
            axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
    for name, value in (lines or {}).items():
        axes.axhline(value, color=GREY, linestyle=":", linewidth=1)
        axes.annotate(
            _line(f"{name} {value:.3g}", fonts), (1, value), xycoords=("axes fraction", "data"),
            ha="right", va="bottom", fontsize=8, color=GREY,
        )  # fmt: skip
    if log_x:
        axes.set_xscale("log")
    words = {"title": title, "xlabel": x_label, "ylabel": y_label}
    axes.set(**{place: _line(text, fonts) for place, text in words.items()})
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _use_fonts(axes, fonts)
    return axes.figure


def plot_confusion(counts: Any, labels: Sequence[str], title: str) -> Any:
    """What was said for what is right: one row for each true label.

    Shapes   counts (labels, labels)

    >>> plot_confusion([[3, 1], [0, 4]], ["no", "yes"], "Spam").axes[0].get_ylabel()
    'right'
    """
    counts = np.asarray(counts)
    if counts.shape != (len(labels), len(labels)):
        raise ValueError(
            f"plot_confusion: counts {counts.shape} must be square, with a row for each of the "
            f"{len(labels)} labels"
        )
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.2 + 0.5 * len(labels)
    figure = new_figure(size + 1.2, size)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="cividis", vmin=0, vmax=1)
    for i, j in np.ndindex(counts.shape):
        colour = "black" if share[i, j] > 0.6 else "white"
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour, fontsize=8)
    fonts = _fonts()
    names = [_line(label, fonts) for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(title=_line(title, fonts), xlabel="said", ylabel="right")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the row")
    _use_fonts(figure, fonts)
    return figure


def plot_words(places: Any, words: Sequence[str], kinds: Sequence[str], title: str) -> Any:
    """Words in the plane, coloured and marked by what kind they are of.

    A word that would be written over another one keeps its mark only.

    Shapes   places (N, 2); words, kinds: N strings

    >>> plot_words([[0, 0], [1, 1]], ["cat", "狗"], ["animal", "animal"], "Words").axes[
    ...     0
    ... ].get_title()
    'Words'
    """
    places = np.asarray(places, dtype=float)
    if places.shape != (len(words), 2) or len(kinds) != len(words):
        raise ValueError(
            f"plot_words: places {places.shape} must be (N, 2) for {len(words)} words and "
            f"{len(kinds)} kinds"
        )
    figure = new_figure(8.4, 6.0)
    axes = figure.add_subplot()
    fonts, free = _fonts(), _apart(places)
    for i, kind in enumerate(dict.fromkeys(kinds)):
        chosen = [n for n, other in enumerate(kinds) if other == kind]
        axes.scatter(
            *places[chosen].T, s=14, color=COLOURS[i % 7], marker="os^Dv*P"[i % 7],
            label=_line(kind, fonts),
        )  # fmt: skip
        for n in filter(free.__contains__, chosen):
            axes.annotate(
                _line(words[n], fonts), places[n], fontsize=7, color=COLOURS[i % 7],
                xytext=(2, 2), textcoords="offset points",
            )  # fmt: skip
    axes.set(xlabel="first principal component", ylabel="second principal component")
    axes.set_title(_line(title, fonts))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    axes.spines[["top", "right"]].set_visible(False)
    _use_fonts(figure, fonts)
    return figure


def _apart(places: np.ndarray) -> list[int]:
    """Points with room for a word: each taken one keeps others out of a box of its size."""
    width, height = np.maximum(np.ptp(places, axis=0), 1e-12) * (0.07, 0.022)
    taken: list[int] = []
    for n, place in enumerate(places):
        away = np.abs(places[taken] - place) / (width, height)
        if (away.max(axis=1) > 1).all():
            taken.append(n)
    return taken
