"""docs/notation.md has every letter that docstrings use for a size, and the glossary's words."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import minillm

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "notation.md").read_text(encoding="utf-8")
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
SHAPE = re.compile(
    r"\((?:(?:[A-Z]|\d|\.\.\.)(?:, (?:[A-Z]|\d|\.\.\.))*),?\)"
)  # (B, T, C) and the like


def section(title):
    """The cells of each row of the table below a heading."""
    text = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


SIZES = {letter for row in section("Sizes") for letter in re.findall(r"`([A-Z])`", row[0])}
MODULES = [
    name
    for package in ("ops", "nn")
    for _, name, _ in pkgutil.iter_modules(
        [str(Path(minillm.__file__).parent / package)], f"minillm.{package}."
    )
]


def shapes_of(module):
    """Every shape in the fields Shapes, Saves and Parameters of a module's docstrings."""
    for value in vars(importlib.import_module(module)).values():
        if getattr(value, "__module__", None) != module:
            continue
        members = vars(value).values() if inspect.isclass(value) else ()
        for thing in (value, *members):
            doc = getattr(thing, "__doc__", None) or ""
            for field in re.findall(r"(?:Shapes|Saves|Parameters) .*(?:\n {12,}.*)*", doc):
                yield from SHAPE.findall(field)


@pytest.mark.parametrize("module", MODULES)
def test_every_size_in_docstrings_is_in_the_table(module):
    for shape in shapes_of(module):
        unknown = set(re.findall(r"[A-Z]", shape)) - SIZES
        assert not unknown, f"{module}: {shape}: {unknown} is not in docs/notation.md"


def test_there_are_shapes_to_look_at():
    assert len({shape for module in MODULES for shape in shapes_of(module)}) > 30


def test_no_letter_stands_twice_in_the_table_of_sizes():
    letters = re.findall(r"`([A-Z])`", "".join(row[0] for row in section("Sizes")))
    assert len(letters) == len(set(letters)) >= 19


CHINESE = {cell for line in GLOSSARY.splitlines() if line.startswith("| ")
           for cell in re.split(r" / ", line.split("|")[2].strip())}  # fmt: skip
COLUMNS = [
    ("Sizes", 2), ("Arrays that have the same name everywhere", 3), ("Gradients", 2),
    ("Letters of formulas", 4),
]  # fmt: skip


@pytest.mark.parametrize(("title", "column"), COLUMNS)
def test_chinese_words_are_those_of_the_glossary(title, column):
    rows = section(title)
    assert rows
    for row in rows:
        for word in filter(None, row[column].split(", ")):
            assert word in CHINESE, f"{title}, {row[0]}: {word} is not in the glossary"
