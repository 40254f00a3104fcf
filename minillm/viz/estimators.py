"""How the noise of gradient estimators falls with the number of draws."""

from typing import Any

import numpy as np

from .figures import BLUE, GREY, RED, YELLOW, _fonts, _line, _use_fonts, new_figure

STYLES = (  # colour, marker and line differ, so that the lines can be told apart without colour
    {"color": RED, "marker": "o", "linestyle": "-"},
    {"color": BLUE, "marker": "^", "linestyle": "-"},
    {"color": YELLOW, "marker": "s", "linestyle": "--"},
)


def plot_estimators(comparison: Any) -> Any:
    """Variance over number of draws, both axes logarithmic, with the slope -1 of a mean as a guide.

    comparison   what `minillm.training.compare_estimators` returned: .sizes and .variances

    >>> from types import SimpleNamespace
    >>> comparison = SimpleNamespace(sizes=(1, 10), variances={"score function": [30.0, 3.0]})
    >>> plot_estimators(comparison).axes[0].get_xlabel()
    'draws that an estimate is the mean of'
    """
    if not comparison.variances or len(comparison.variances) > len(STYLES):
        raise ValueError(
            f"plot_estimators: comparison must have 1 to {len(STYLES)} estimators, got "
            f"{len(comparison.variances)}"
        )
    figure, fonts = new_figure(6.4, 4.4), _fonts()
    axes = figure.add_subplot()
    sizes = np.asarray(comparison.sizes, dtype=float)
    for style, (name, measured) in zip(STYLES, comparison.variances.items(), strict=False):
        variances = np.asarray(measured, dtype=float)
        axes.loglog(sizes, variances, label=_line(name, fonts), markersize=5, **style)
        single = np.exp(np.log(variances * sizes).mean())  # of one draw, as all sizes have it
        axes.loglog(sizes, single / sizes, color=GREY, linestyle=":", linewidth=1, zorder=0)
    axes.plot([], [], color=GREY, linestyle=":", linewidth=1, label="slope -1")
    axes.set(
        title="Noise of gradient estimators",
        xlabel="draws that an estimate is the mean of",
        ylabel="variance of the estimate",
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _use_fonts(figure, fonts)
    return figure
