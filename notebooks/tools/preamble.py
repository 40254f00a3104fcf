# Runs before a chapter when it is built or tested, and is not part of it: looks at every picture.
import warnings

from matplotlib.backend_bases import FigureCanvasBase

warnings.filterwarnings("error", message="Glyph")
_plain_print_figure = FigureCanvasBase.print_figure


def _checked_print_figure(canvas, *args, **options):
    """A picture needs a title, and labels on its axes, before anybody sees it."""
    shown = [axes for axes in canvas.figure.axes if axes.axison]
    titles = [canvas.figure.get_suptitle(), *(axes.get_title() for axes in canvas.figure.axes)]
    problems = [] if any(titles) else ["has no title"]
    if shown and not any(axes.get_xlabel() for axes in shown):
        problems.append("has no label on its x axis")
    if shown and not any(axes.get_ylabel() for axes in shown):
        problems.append("has no label on its y axis")
    if canvas.figure.dpi > 150:
        problems.append(f"has {canvas.figure.dpi} dots per inch, more than 150")
    if problems:
        raise AssertionError("this picture " + ", ".join(problems))
    return _plain_print_figure(canvas, *args, **options)


FigureCanvasBase.print_figure = _checked_print_figure
