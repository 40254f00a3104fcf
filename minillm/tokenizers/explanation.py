"""Showing how a tokenizer cuts a text: tables for a terminal, and for a notebook."""

import html
import textwrap
import unicodedata
from dataclasses import dataclass

from ..terminal import COLUMNS, columns_of, pad, shorten

ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}


def visible(text: str, *, quotes: bool = False) -> str:
    r"""A text with everything invisible written as an escape; a space stays one unless it is alone.

    >>> print(visible("a\tb" + chr(0) + chr(0x200B)), visible("  "), visible(" x", quotes=True))
    a\tb\x00\u200b \x20\x20 " x"
    """
    parts = []
    blank = not quotes and not text.strip(" ")
    for c in text:
        category = unicodedata.category(c)
        if c in ESCAPES:
            parts.append(ESCAPES[c])
        elif (c == " " and not blank) or (category[0] not in "CZM"):
            parts.append(c)
        else:
            parts.append(_escape(ord(c)))
    return f'"{"".join(parts)}"' if quotes else "".join(parts)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(frozen=True)
class Section:
    """One word: a heading, the steps as rows of strings, and the tokens it ends in."""

    heading: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    tokens: list[tuple[int, str]]

    def lines(self) -> list[str]:
        """The section as lines of at most 88 columns; the last column goes on in further lines."""
        out = _wrapped(self.heading, "")
        if self.rows:
            first = self.rows[0]
            widths = [
                max(columns_of(row[i]) for row in [self.columns, *self.rows])
                for i in range(len(first) - 1)
            ]
            widths = [min(width, 24) for width in widths]
            for row in [self.columns, *self.rows]:
                cells = [shorten(cell, w) for cell, w in zip(row, widths, strict=False)]
                if self.columns[0] == "rank":  # numbers stand to the right
                    cells[0] = " " * (widths[0] - columns_of(cells[0])) + cells[0]
                head = "  ".join(pad(cell, w) for cell, w in zip(cells, widths, strict=True))
                out += _wrapped(row[-1], f"  {head}  ")
        tokens = ", ".join(f"{number} {visible(token)}" for number, token in self.tokens)
        return out + _wrapped(tokens, "  ids: ")


class Explanation:
    """How a text becomes tokens: `print` it, or let a notebook show it as tables."""

    def __init__(self, title: str, sections: list[Section]) -> None:
        self.title = title
        self.sections = sections

    def __str__(self) -> str:
        blocks = ["\n".join(section.lines()) for section in self.sections]
        return "\n\n".join([self.title, *blocks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"<p>{html.escape(self.title)}</p>"]
        for section in self.sections:
            parts.append(f"<p><b>{html.escape(section.heading)}</b></p>")
            if section.rows:
                rows = [f"<tr>{_cells(section.columns, 'th')}</tr>"]
                rows += [f"<tr>{_cells(row, 'td')}</tr>" for row in section.rows]
                parts.append(f"<table>{''.join(rows)}</table>")
            tokens = ", ".join(f"{number} {visible(token)}" for number, token in section.tokens)
            parts.append(f"<p>ids: <code>{html.escape(tokens)}</code></p>")
        return "".join(parts)


def _cells(row: tuple[str, ...], tag: str) -> str:
    return "".join(
        f'<{tag} style="text-align: left"><code>{html.escape(cell)}</code></{tag}>' for cell in row
    )


def _wrapped(text: str, head: str) -> list[str]:
    """A text after its head, broken into lines that all begin in the same column."""
    room = COLUMNS - columns_of(head)
    wide = columns_of(text) > len(text)
    parts = textwrap.wrap(
        text, room // 2 if wide else room, drop_whitespace=True, break_on_hyphens=False
    ) or [""]
    indent = " " * columns_of(head)
    return [((head if i == 0 else indent) + part).rstrip() for i, part in enumerate(parts)]
