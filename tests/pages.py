"""The code on a page of Markdown: finding its blocks, running them, comparing what they print.

A page is one program: its ```python blocks run in order, in one namespace, in an empty folder.  Where a
```text block follows a block directly, it is what the block prints.  A block that cannot run stands
below a comment that says why: <!-- not run: the reason -->.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import minillm

FENCE = re.compile(
    r"(?:<!--\s*not run:(?P<reason>(?:(?!-->).)*)-->\s*)?"
    r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```[ \t]*$"
    r"(?=(?:\n\s*^```text\n(?P<expected>.*?)^```)?)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its code, and what the page says about it."""

    language: str
    code: str
    line: int  # of the fence, counted from 1
    expected: str | None  # the ```text block that follows directly
    reason: str | None  # why it is not run, "" if no reason is given; None if it runs


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found = []
    for match in FENCE.finditer(text):
        reason = match["reason"]
        line = text.count("\n", 0, match.start("language")) + 1
        found.append(
            Block(
                match["language"].strip(),
                match["code"],
                line,
                match["expected"],
                None if reason is None else reason.strip(),
            )
        )
    return found


def python_blocks(text: str) -> list[Block]:
    """The blocks that a reader would run."""
    return [b for b in blocks(text) if b.language == "python" and b.reason is None]


def run_page(path: Path, capsys) -> None:
    """Run the blocks of a page and compare what they print with what the page shows.

    The library's generator starts at a place that no page knows, so that a page which prints random
    numbers must set its seed itself.  Tracebacks and messages name the page and the line.
    """
    text = path.read_text(encoding="utf-8")
    minillm.manual_seed(20_11_2026)
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in python_blocks(text):
        source = "\n" * block.line + block.code
        capsys.readouterr()
        exec(compile(source, str(path), "exec"), namespace)
        if block.expected is not None:
            printed = capsys.readouterr().out
            assert printed.strip() == block.expected.strip(), f"{path.name}, line {block.line}"
