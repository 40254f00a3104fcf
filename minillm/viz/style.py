"""How the pictures of the book look, whoever draws them."""

from .figures import BLUE, GREEN, GREY, RED, YELLOW, _fonts

PURPLE = "#AA3377"


def book_style() -> None:
    """Colours that everybody can tell apart, no frames, and a font with Chinese if there is one.

    Sets matplotlib's defaults for what follows; `matplotlib.rcdefaults()` takes it back.

    >>> import matplotlib
    >>> with matplotlib.rc_context():
    ...     book_style()
    ...     matplotlib.rcParams["image.cmap"]
    'cividis'
    """
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update({
        "axes.prop_cycle": cycler("color", [BLUE, RED, GREEN, YELLOW, PURPLE, GREY]),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "figure.figsize": (7.2, 3.6),
        "font.family": _fonts(),  # families, not "sans-serif": only then glyphs fall back
        "image.cmap": "cividis",
        "legend.frameon": False,
    })
