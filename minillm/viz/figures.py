"""Loss curves and attention maps, and what all pictures share.

matplotlib is imported when the first picture is asked for, so that everything else works without it.
Colours are those of Paul Tol's bright scheme, which readers with any colour vision can tell apart.
"""

import sys
from typing import Any

import numpy as np

BLUE, RED, GREEN, YELLOW, GREY = "#4477AA", "#EE6677", "#228833", "#CCBB44", "#777777"
CJK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei",
    "Arial Unicode MS",
)  # fmt: skip


def new_figure(width: float, height: float) -> Any:
    """An empty figure that no window manager knows of; Jupyter shows it when it is returned.

    Raises   RuntimeError with the line to install if matplotlib is missing
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RuntimeError(
            "pictures need matplotlib: python -m pip install 'minillm[plot]'"
        ) from None
    if "ipykernel" in sys.modules:
        import matplotlib.pyplot  # noqa: F401  registers how notebooks show a Figure
    return Figure(figsize=(width, height), layout="constrained")


def plot_history(history: Any, *, baselines: dict[str, float] | None = None) -> Any:
    """Training loss of every step, smoothed too, and validation loss, over steps.

    history     what `fit` returned
    baselines   losses to draw as horizontal lines, by name

    >>> from types import SimpleNamespace
    >>> history = SimpleNamespace(losses=[2.0, 1.0], history={"step": [2], "val_loss": [1.5]})
    >>> plot_history(history).axes[0].get_ylabel()
    'loss (nats per token)'
    """
    figure = new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    losses = np.asarray(history.losses)
    steps = np.arange(1, len(losses) + 1)
    axes.plot(steps, losses, color=BLUE, alpha=0.25, linewidth=0.8, label="training, each step")
    window = max(len(losses) // 50, 1)
    if window > 1:
        smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
        axes.plot(steps[window - 1 :], smooth, color=BLUE, label=f"training, mean of {window}")
    if history.history.get("val_loss"):
        axes.plot(
            history.history["step"], history.history["val_loss"], "o-", color=RED, markersize=4,
            label="validation",
        )  # fmt: skip
    for name, value in (baselines or {}).items():
        axes.axhline(value, color=GREY, linestyle=":", linewidth=1)
        axes.annotate(
            f"{name} {value:.2f}", (1, value), xycoords=("axes fraction", "data"), ha="right",
            va="bottom", fontsize=8, color=GREY,
        )  # fmt: skip
    axes.set(title="Loss while training", xlabel="step", ylabel="loss (nats per token)")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_attention(probabilities: Any, tokens: list[str], *, title: str = "Attention") -> Any:
    """One heat map for each head: row t shows where query t looks.

    Shapes   probabilities (H, T, T); tokens: T strings

    >>> figure = plot_attention(np.full((2, 3, 3), 1 / 3), ["a", "b", "c"])
    >>> figure.axes[0].get_title()
    'head 0'
    """
    p = np.asarray(probabilities)
    if p.ndim != 3 or len(p) == 0 or p.shape[1:] != (len(tokens), len(tokens)):
        raise ValueError(
            f"plot_attention: probabilities {p.shape} must be (heads, T, T) for {len(tokens)} tokens"
        )
    columns = min(len(p), 4)
    rows = -(-len(p) // columns)
    figure = new_figure(1 + 3.4 * columns, 1.1 + 3.2 * rows)
    fonts = ["DejaVu Sans", *_cjk_fonts()]
    labels = [_drawable(token, fonts) for token in tokens]
    for head, weights in enumerate(p):
        axes = figure.add_subplot(rows, columns, head + 1)
        image = axes.imshow(weights, cmap="cividis", vmin=0, vmax=1)
        axes.set_title(f"head {head}", fontsize=10)
        axes.set_xticks(range(len(tokens)), labels, fontsize=7, fontfamily=fonts)
        axes.set_yticks(range(len(tokens)), labels, fontsize=7, fontfamily=fonts)
        axes.set_xlabel("key: what is looked at", fontsize=8)
        if head % columns == 0:
            axes.set_ylabel("query: who is looking", fontsize=8)
    figure.colorbar(image, ax=figure.axes, shrink=0.8, label="probability")
    words = [_drawable(word, fonts) for word in title.split()]
    figure.suptitle(" ".join(words), fontfamily=fonts)
    return figure


def _cjk_fonts() -> list[str]:
    """Installed fonts that have Chinese characters."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in CJK_FONTS if name in installed]


def _drawable(text: str, fonts: list[str]) -> str:
    """The text with white space made visible and glyphs that no font has as code points."""
    from matplotlib import font_manager

    maps = [font_manager.get_font(font_manager.findfont(name)).get_charmap() for name in fonts]
    shown = {" ": "␣", "\n": "↵", "\t": "⇥"}
    parts = []
    for c in text:
        known = c.isprintable() and any(ord(c) in table for table in maps)
        parts.append(shown.get(c) or (c if known else f"U+{ord(c):04X}"))
    return "".join(parts).replace("$", r"\$")
