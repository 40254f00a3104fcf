"""Text on a terminal: how wide it is, and how it is cut, filled up and broken into lines."""

import unicodedata
from collections.abc import Iterator

COLUMNS = 88  # that every line fits


def columns_of(text: str) -> int:
    """How many columns of a terminal a visible text takes: two for a Chinese character.

    >>> columns_of("ab"), columns_of("世界")
    (2, 4)
    """
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def pad(text: str, width: int) -> str:
    """The text, filled up with spaces to a number of columns."""
    return text + " " * (width - columns_of(text))


def shorten(text: str, width: int) -> str:
    """The text, with … at its end if it takes more columns than that.

    >>> shorten("abcdef", 4), shorten("世界", 3)
    ('abc…', '世…')
    """
    if columns_of(text) <= width:
        return text
    while columns_of(text) >= width:
        text = text[:-1]
    return text + "…"


def wrap(text: str, indent: int = 0) -> Iterator[str]:
    """The text in lines that fit, broken at spaces, or within a Chinese text anywhere.

    indent   spaces before each line

    >>> [len(line) for line in wrap("word " * 30)]
    [84, 64]
    >>> [len(line) for line in wrap("世界" * 30)]
    [44, 16]
    """
    line = ""
    for piece in _pieces(text):
        if line and columns_of(line + piece.rstrip()) > COLUMNS - indent:
            yield " " * indent + line.rstrip()
            line = ""
        line += piece if line else piece.lstrip()
    if line.strip():
        yield " " * indent + line.rstrip()


def _pieces(text: str) -> Iterator[str]:
    """Parts between which a line may end; a longer part is cut."""
    piece = ""
    for c in text:
        piece += c
        if c.isspace() or columns_of(c) == 2 or len(piece) == COLUMNS // 2:
            yield piece
            piece = ""
    yield piece
