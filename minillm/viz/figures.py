"""Loss curves and attention maps, and what all pictures share.

matplotlib is imported when the first picture is asked for, so that everything else works without it.
Colours are those of Paul Tol's bright scheme, which readers with any colour vision can tell apart.
"""

import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np

BLUE, RED, GREEN, YELLOW, GREY = "#4477AA", "#EE6677", "#228833", "#CCBB44", "#777777"
CJK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Noto Serif CJK SC", "Noto Serif CJK JP", "Droid Sans Fallback",
    "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei", "SimSun", "Arial Unicode MS",
)  # fmt: skip
INSTALL = "for Chinese install the font Noto Sans CJK (Debian, Ubuntu: fonts-noto-cjk)"
# how the files of such fonts begin on Linux, where they are installed by hand
CJK_FILES = ("NotoSansCJK", "NotoSerifCJK", "SourceHanSans", "wqy-", "DroidSansFallback")


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
        import matplotlib.pyplot as plt

        plt.draw_if_interactive()  # loads the backend, which tells notebooks how to show a Figure
    return Figure(figsize=(width, height), layout="constrained")


def picture_kinds() -> list[str]:
    """What the name of a picture may end with; nothing where matplotlib is missing.

    >>> {"png", "pdf", "svg"} <= set(picture_kinds())
    True
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        return []
    return sorted(FigureCanvasBase.get_supported_filetypes())


def plot_history(
    history: Any, *, baselines: dict[str, float] | None = None, title: str = "Loss while training"
) -> Any:
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
    fonts = _fonts()
    end = losses[-max(len(losses) // 5, 1) :].mean() if len(losses) else 0.0
    for name, value in (baselines or {}).items():
        axes.axhline(value, color=GREY, linestyle=":", linewidth=1)
        side = "top" if end >= value else "bottom"  # the side of the line where no curve ends
        axes.annotate(
            _line(f"{name} {value:.2f}", fonts), (1, value), xycoords=("axes fraction", "data"),
            ha="right", va=side, fontsize=8, color=GREY, fontfamily=fonts,
        )  # fmt: skip
    if baselines:
        axes.margins(y=0.09)  # room for a name below the lowest line
    axes.set_title(_line(title, fonts), fontfamily=fonts)
    axes.set(xlabel="step", ylabel="loss (nats per token)")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_attention(
    probabilities: Any,
    tokens: list[str],
    *,
    title: str = "Attention",
    names: list[str] | None = None,
    columns: int = 4,
) -> Any:
    """One heat map for each head: row t shows where query t looks.

    names     what stands above each map: "head 0", "head 1" … if not given
    columns   so many maps side by side at most

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
    names = [f"head {head}" for head in range(len(p))] if names is None else names
    if len(names) != len(p) or columns < 1:
        raise ValueError(
            f"plot_attention: names must be {len(p)}, one for each map, and columns at least 1; got "
            f"{len(names)} and {columns}"
        )
    columns = min(len(p), columns)
    rows = -(-len(p) // columns)
    side = max(3.2, 0.12 * len(tokens))  # inches, so that the labels of long texts do not touch
    figure = new_figure(1 + (side + 0.2) * columns, 1.1 + side * rows)
    fonts = _fonts()
    labels = [_drawable(token, fonts) for token in tokens]
    upright = 90 if max(map(len, labels)) > 2 else 0  # words and code points would touch
    for head, weights in enumerate(p):
        axes = figure.add_subplot(rows, columns, head + 1)
        image = axes.imshow(weights, cmap="cividis", vmin=0, vmax=1)
        axes.set_title(_line(names[head], fonts), fontsize=10, fontfamily=fonts)
        axes.set_xticks(range(len(tokens)), labels, fontsize=7, fontfamily=fonts, rotation=upright)
        axes.set_yticks(range(len(tokens)), labels, fontsize=7, fontfamily=fonts)
        axes.set_xlabel("key: what is looked at", fontsize=8)
        if head % columns == 0:
            axes.set_ylabel("query: who is looking", fontsize=8)
    figure.colorbar(image, ax=figure.axes, shrink=0.8, label="probability")
    figure.suptitle(_line(title, fonts), fontfamily=fonts)
    return figure


def missing_glyphs_line(text: str) -> str | None:
    """What to do where no installed font can draw a text; None if all of it can be drawn.

    Pictures show code points instead of such characters, and no warning.

    >>> print(missing_glyphs_line("The pond"))
    None
    """
    fonts = _fonts()
    missing = sorted(c for c in set(text) if c.isprintable() and not _has_glyph(c, tuple(fonts)))
    if not missing:
        return None
    found = "".join(missing[:8]) + ("…" if len(missing) > 8 else "")
    line = f"no installed font has the characters {found}: the picture shows code points instead"
    if any("\u2e80" <= c <= "\u9fff" for c in missing):
        line += f"; {INSTALL}"
    return line


def _fonts() -> list[str]:
    """The font that matplotlib brings along, then those with Chinese characters."""
    return ["DejaVu Sans", *_cjk_fonts()]


def _cjk_fonts() -> list[str]:
    """Installed fonts that have Chinese characters."""
    from matplotlib import font_manager

    def known() -> list[str]:
        installed = {font.name for font in font_manager.fontManager.ttflist}
        return [name for name in CJK_FONTS if name in installed]

    if not known():
        _look_for_new_fonts()
    return known()


@functools.cache
def _look_for_new_fonts() -> None:
    """Tell matplotlib of fonts that were installed after it had last made its list."""
    from matplotlib import font_manager

    for path in font_manager.findSystemFonts():
        if Path(path).name.startswith(CJK_FILES):
            font_manager.fontManager.addfont(path)


@functools.lru_cache(maxsize=4096)
def _has_glyph(character: str, fonts: tuple[str, ...]) -> bool:
    """Can one of these fonts draw it?"""
    from matplotlib import font_manager

    paths = [font_manager.findfont(name) for name in fonts]
    return any(font_manager.get_font(path).get_char_index(ord(character)) for path in paths)


def _drawable(text: str, fonts: list[str]) -> str:
    """The text with white space made visible and glyphs that no font has as code points."""
    shown = {" ": "␣", "\n": "↵", "\t": "⇥"}
    parts = []
    for c in text:
        known = c.isprintable() and _has_glyph(c, tuple(fonts))
        parts.append(shown.get(c) or (c if known else f"U+{ord(c):04X}"))
    return "".join(parts).replace("$", r"\$")


def _line(text: str, fonts: list[str]) -> str:
    """The same for a title or a name, whose words are told apart by spaces as usual."""
    return " ".join(_drawable(word, fonts) for word in text.split())


def _use_fonts(artist: Any, fonts: list[str]) -> None:
    """Let all words of a figure, or of its axes, be written in these fonts."""
    from matplotlib.text import Text

    for text in artist.findobj(Text):
        text.set_fontfamily(fonts)
