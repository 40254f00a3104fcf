"""Pictures of arrays, with matplotlib: each function returns a Figure."""

from .figures import plot_attention, plot_history
from .gradients import plot_gradient_errors

__all__ = ["plot_attention", "plot_gradient_errors", "plot_history"]
