"""Pictures of arrays, with matplotlib: each function returns a Figure."""

from .estimators import plot_estimators
from .figures import missing_glyphs_line, picture_kinds, plot_attention, plot_history
from .gradients import plot_gradient_errors
from .style import book_style
from .tasks import plot_bars, plot_confusion, plot_curves, plot_words

__all__ = [
    "book_style",
    "missing_glyphs_line",
    "picture_kinds",
    "plot_attention",
    "plot_bars",
    "plot_confusion",
    "plot_curves",
    "plot_estimators",
    "plot_gradient_errors",
    "plot_history",
    "plot_words",
]
