"""Size budgets: what a reader is asked to take in at once."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

import minillm

ROOT = Path(minillm.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LONGER = {  # functions that read better whole
    "training/loop.py:fit": 60,  # the training loop, in full view
}
SKIP = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENDMARKER}  # fmt: skip


def code_lines(path):
    """Numbers of the lines that hold code: no docstrings, comments or blanks."""
    source = path.read_text(encoding="utf-8")
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            text = node.body[0]
            docstrings |= set(range(text.lineno, text.end_lineno + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SKIP:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines - docstrings


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_fit_on_a_screen(path):
    lines = code_lines(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            # the body alone: a signature that documents twenty options is not code to follow
            size = len(lines & set(range(node.body[0].lineno, node.end_lineno + 1)))
            limit = LONGER.get(f"{path.relative_to(ROOT).as_posix()}:{node.name}", 40)
            assert size <= limit, f"{node.name} in {path.name} has {size} code lines"


@pytest.mark.parametrize("path", sorted((ROOT / "ops").glob("[a-z]*.py")), ids=lambda p: p.name)
def test_an_operation_file_is_one_idea(path):
    assert len(code_lines(path)) <= 150


def test_the_engine_stays_small():
    assert len(code_lines(ROOT / "autograd.py")) <= 150
    assert len(code_lines(ROOT / "graph.py")) <= 125
