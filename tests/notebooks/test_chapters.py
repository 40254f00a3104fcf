"""Notebooks and their scripts cannot drift, and every chapter runs."""

import ast
import importlib
import inspect
import json
import re

import nbformat
import pytest

from .book import CHAPTERS, NAMES, NOTEBOOKS, build, chapters, maps

# /folder/… or C:\\folder after a quote, a space or a bracket: not the "/" of a division or an address
ABSOLUTE_PATH = re.compile(r"(?<=[\s\"'(])(?:/[a-z]+/\w+|[A-Z]:\\\\\w+)[^\s\"')]*")
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=NAMES)


def notebook_of(chapter):
    return nbformat.read(build.committed(chapter)[0], as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_book_has_chapters():
    assert len(CHAPTERS) >= 1
    names = {path.stem for path in NOTEBOOKS.glob("*.ipynb")}
    assert names == set(NAMES), "notebooks without a script, or the other way round"


@pytest.mark.parametrize("page", maps.PLACES, ids=lambda page: page.name)
def test_tables_of_chapters_and_exercises_are_up_to_date(page):
    expected = maps.page_with_map(page, CHAPTERS)
    assert page.read_text(encoding="utf-8") == expected, "run: make notebooks"


@each_chapter
def test_the_notebook_has_the_cells_of_the_script(chapter):
    path, answers = build.committed(chapter)
    hint = "run: make notebooks"
    assert build.is_current(path, chapters.chapter_notebook(chapter, checks=False)), hint
    assert build.is_current(answers, chapters.solutions_notebook(chapter)), hint


@each_chapter
def test_the_notebook_was_executed_from_top_to_bottom(chapter):
    for path in build.committed(chapter):
        cells = code_cells(nbformat.read(path, as_version=4))
        left_out = [c for c in cells if "skip-execution" in c.metadata.get("tags", [])]
        counts = [c.execution_count for c in cells if c not in left_out]
        assert counts == list(range(1, len(counts) + 1))
        assert all(c.execution_count is None and not c.outputs for c in left_out)
        for output in (output for cell in cells for output in cell.outputs):
            assert output.output_type != "error"
            assert output.get("name") != "stderr"


@each_chapter
def test_cells_of_the_library_are_the_library(chapter):
    for cell in code_cells(notebook_of(chapter)):
        if spec := cell.metadata.get("minillm", {}).get("library"):
            module, _, names = spec.partition(":")
            ours = importlib.import_module(module)
            shown = {n.name: n for n in ast.parse(cell.source).body if hasattr(n, "name")}
            for name in names.split(","):
                thing = getattr(ours, name.strip())
                if inspect.isfunction(thing) or inspect.isclass(thing):
                    source = ast.parse(inspect.getsource(inspect.unwrap(thing))).body[0]
                    assert ast.dump(shown[name.strip()]) == ast.dump(source)


@each_chapter
def test_the_chapter_is_complete(chapter):
    text = "\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")
    assert re.match(r"# \S+ · \S", text), "the title is '# NUMBER · Topic'"
    for part in ("**You need:**", "**Time:**", "\n## References\n"):
        assert part in text, f"{part} is missing"
    assert text.count("\n## ") >= 3
    for cell in chapter.cells:
        keys = set(cell.metadata) - {"alt", "library", "tags", "exercise", "self_check", "wrong",
                                     "picture", "minutes", "teaches", "catches"}  # fmt: skip
        assert not keys, f"unknown keys {keys} at {cell.source[:60]!r}"


@each_chapter
def test_the_notebook_travels(chapter):
    """No paths of one machine, no magics, no widgets that stall, no data that everybody lacks."""
    for path in build.committed(chapter):
        text = path.read_text(encoding="utf-8")
        assert len(text) < 1_500_000
        assert not ABSOLUTE_PATH.findall(text), f"{path.name} holds a path of one machine"
        for word in ("interact(", "Output("):
            assert word not in text, f"{path.name} contains {word!r}"
        for cell in json.loads(text)["cells"]:
            if cell["cell_type"] == "code":
                assert not re.search(r"^\s*[%!]", "".join(cell["source"]), re.MULTILINE)


@each_chapter
def test_links_between_chapters_lead_somewhere(chapter):
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)", cell.source):
                assert (NOTEBOOKS / target).resolve().exists(), f"{target} does not exist"


@each_chapter
def test_the_chapter_runs_and_its_sentences_hold(chapter):
    build.execute(chapters.chapter_notebook(chapter, checks=True, fast=True), timeout=120)


def test_pictures_of_the_readme_are_those_of_the_book():
    pictures = {}
    for chapter in CHAPTERS:
        pictures |= build.named_pictures(notebook_of(chapter))
    shown = {path.stem: path.read_bytes() for path in build.IMAGES.glob("*.png")}
    pages = [path.read_text(encoding="utf-8") for path in build.IMAGES.parent.glob("*.md")]
    measured = set(re.findall(r"\(images/([\w-]+)\.png\)", "".join(pages)))  # drawn elsewhere
    assert set(shown) == set(pictures) | measured
    assert {name: shown[name] for name in pictures} == pictures, "run: make notebooks"
    for page in ("README.md", "README.zh-CN.md"):
        text = (NOTEBOOKS.parent / page).read_text(encoding="utf-8")
        assert set(re.findall(r"\(docs/images/(\w+)\.png\)", text)) == set(pictures)


OPERATIONS = sorted((NOTEBOOKS.parent / "minillm" / "ops").glob("*.py"))


@pytest.mark.parametrize("path", OPERATIONS, ids=lambda path: path.stem)
def test_an_operation_names_the_chapter_that_explains_it(path):
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"^def ([a-z]\w*)_forward\(", text, re.MULTILINE)
    if not names:
        return  # what operations share
    [chapter] = re.findall(r"\bNotebook: notebooks/(\w+)\.ipynb", text)
    page = (NOTEBOOKS / "source" / f"{chapter}.py").read_text(encoding="utf-8")
    assert any(re.search(rf"\b{name}\b|\b{name}_forward\b", page) for name in names), names


def names_of(source, context):
    """All names that a cell stores, defines or imports; or all that it reads."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, context):
            found.add(node.id)
        elif context is ast.Store and isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif context is ast.Store and isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif context is ast.Store and isinstance(node, ast.arg):
            found.add(node.arg)
    return found


@each_chapter
def test_the_page_needs_nothing_that_only_a_check_defines(chapter):
    """The checks run when the page is built; readers do not have them."""
    checks = [cell.source for cell in chapter.cells if chapters.has_tag(cell, "check")]
    page = [c.source for c in code_cells(chapters.chapter_notebook(chapter, checks=False))]
    hidden = set().union(*(names_of(source, ast.Store) for source in checks))
    hidden -= set().union(*(names_of(source, ast.Store) for source in page))
    assert not hidden & set().union(*(names_of(source, ast.Load) for source in page))
