"""Our docstrings as reStructuredText: fields become a list, indented lines keep their layout.

The source is written for people who read it in an editor: formulas in plain text, indented; results
numbered at the end of their line, "(1)"; fields in columns, "Shapes   x (..., C) -> the same".  Both
the annotated source and the API reference render it through `to_rest`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

FIELD = re.compile(r"(?P<term>[\w`*.,() -]*?[\w`*)])(?: {3,}|(?<=Returns) {2,})(?P<value>\S.*)")
ITEM = re.compile(r"(?P<mark>- |\d+\. {1,2})(?P<text>\S.*)")
RESULT = re.compile(r"(?P<formula>.*\S) {2,}\((?P<number>\d+)\)")
CITED = r"\(\d+\)(?:(?:, | and |, and | or )\(\d+\))*"
INLINE = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|arXiv:(?P<arxiv>\d{4}\.\d{4,5})"
    rf"|(?P<cited>{CITED})(?: of (?P<of>\w+)\.py)?"
    r"|\b(?P<chapter>notebooks/\w+)\.ipynb\b"
    r"|(?<![\w/.])(?P<file>(?:[\w-]+/)*\w+\.py)\b"
)


@dataclass
class Names:
    """What a text may refer to: each function turns a name into a label, or None if unknown.

    results   (number, other file or None) -> the label of a numbered result
    files     name of a file -> the label of its page
    """

    results: Callable[[str, str | None], str | None] = lambda number, other: None
    files: Callable[[str], str | None] = lambda name: None


@dataclass
class Block:
    """A piece of a docstring: paragraph, formulas, doctest, fields or items."""

    kind: str
    lines: list[str] = field(default_factory=list)
    entries: list[tuple[str, list[str]]] = field(default_factory=list)


def blocks(text: str) -> Iterator[Block]:
    """Split a docstring, already without its own indentation."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif line.startswith(">>>"):
            end = _until(lines, at, lambda later: not later.strip())
            yield Block("doctest", lines[at:end])
            at = end
        elif line[0] == " ":
            end = _until(lines, at, lambda later: bool(later.strip()) and later[0] != " ")
            yield Block("formulas", _without_margin(lines[at:end]))
            at = end
        elif FIELD.fullmatch(line) or ITEM.fullmatch(line):
            block, at = _entries(lines, at)
            yield block
        else:
            end = _until(lines, at + 1, _ends_paragraph)
            yield Block("paragraph", lines[at:end])
            at = end


def _until(lines: list[str], at: int, stops: Callable[[str], bool]) -> int:
    while at < len(lines) and not stops(lines[at]):
        at += 1
    return at


def _ends_paragraph(line: str) -> bool:
    if not line.strip() or line.startswith((" ", ">>>")):
        return True
    return bool(FIELD.fullmatch(line)) or line.startswith("- ")


def _without_margin(lines: list[str]) -> list[str]:
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[margin:].rstrip() for line in lines).rstrip().split("\n")


def _entries(lines: list[str], at: int) -> tuple[Block, int]:
    """Fields or items that follow each other; lines that belong to one are indented."""
    pattern = FIELD if FIELD.fullmatch(lines[at]) else ITEM
    block = Block("fields" if pattern is FIELD else "items")
    while at < len(lines) and (match := pattern.fullmatch(lines[at])):
        first, second = match.groups()
        end = _until(lines, at + 1, lambda later: not later.startswith("  "))
        block.entries.append((first.strip(), [second, *(s.strip() for s in lines[at + 1 : end])]))
        at = end
    return block, at


def to_rest(text: str, names: Names, *, anchors: bool = False) -> list[str]:
    """A docstring, without its own indentation, as lines of reStructuredText.

    anchors   give the numbered results ids: on the page of the file that derives them
    """
    out: list[str] = []
    for block in blocks(text):
        if block.kind == "paragraph":
            out += [paragraph(" ".join(block.lines), names)]
        elif block.kind == "doctest":
            out += block.lines
        elif block.kind == "formulas":
            option = ["   :anchors:"] if anchors else []
            out += [".. plain-math::", *option, "", *("   " + line for line in block.lines)]
        elif block.kind == "fields":
            out += [".. rst-class:: fields", ""]
            for term, value in block.entries:
                out += [f"\\ **{_escape(term)}**", "   " + paragraph(" ".join(value), names)]
        else:
            for mark, value in block.entries:
                bullet = "- " if mark == "-" else f"{mark} "
                out += [bullet + paragraph(" ".join(value), names)]
        out += [""]
    return out


def paragraph(text: str, names: Names) -> str:
    """One paragraph of prose, on one line, with its code, citations and results marked up."""
    out, at = ["\\ "], 0
    for match in INLINE.finditer(text):
        marked = _marked(match, names)
        if marked is not None:
            out += [_escape(text[at : match.start()]), "\\ ", marked, "\\ "]
            at = match.end()
    return "".join([*out, _escape(text[at:])])


def _marked(match: re.Match[str], names: Names) -> str | None:
    if code := match["code"]:
        return f"``{code.strip()}``"
    if number := match["arxiv"]:
        return f"`arXiv:{number} <https://arxiv.org/abs/{number}>`__"
    if chapter := match["chapter"]:
        return f":doc:`{_escape(chapter)}.ipynb </{chapter}>`"
    if name := match["file"]:
        label = names.files(name)
        return f":ref:`{_escape(name)} <{label}>`" if label else f"``{name}``"
    return _cited(match, names)


def _cited(match: re.Match[str], names: Names) -> str | None:
    """Links for "(1), (2)" and "(1) of softmax.py"; None if there is no such result."""
    pieces = re.split(r"(\(\d+\))", match["cited"])
    for i, piece in enumerate(pieces):
        if piece.startswith("("):
            label = names.results(piece[1:-1], match["of"])
            if label is None:
                return None
            pieces[i] = f":ref:`{piece} <{label}>`"
    if match["of"]:
        label = names.files(match["of"] + ".py")
        pieces.append(f" of :ref:`{_escape(match['of'])}.py <{label}>`")
    return "\\ ".join(filter(None, pieces))


def _escape(text: str) -> str:
    """Text in which nothing means anything to reStructuredText."""
    text = re.sub(r"([\\*_|`])", r"\\\1", text)
    return re.sub(r"::$", r":\\:", text)


def numbered_results(text: str) -> list[str]:
    """The numbers of the results that a docstring derives."""
    found = []
    for block in blocks(text):
        if block.kind == "formulas":
            found += [match["number"] for line in block.lines if (match := RESULT.fullmatch(line))]
    return list(dict.fromkeys(found))
