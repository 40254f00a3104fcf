"""What the site is made of, without building it: links turned, docstrings and sources as pages."""

import json

import pytest
from catalogue import ORDER, PACKAGES, Catalogue
from docstrings import Names, numbered_results, to_rest
from staging import Formula, Staging

from .. import test_documentation, test_layers
from .conftest import ROOT


@pytest.fixture
def small(tmp_path):
    """A repository with a page, a chapter and three files."""
    for name, text in {
        "README.md": "# minillm\n",
        "CONTRIBUTING.md": "# Contributing\n",
        "Makefile": "",
        "docs/index.md": "# Book\n",
        "docs/notation.md": "# Notation\n",
        "docs/picture.png": "not really",
        "minillm/__init__.py": '"""All of it."""\n',
        "minillm/ops/__init__.py": '"""The mathematics."""\n',
        "minillm/ops/softmax.py": '"""Softmax."""\n',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    cells = [
        ("markdown", "# 05 Softmax\n\n[other](../docs/notation.md) [exercise](#exercise-1)", {}),
        ("code", "print('which Python')", {"tags": ["first-cell"]}),
        ("markdown", '<a id="formula-softmax"></a>\n$$\np_i = e^{x_i}\n$$', {}),
        ("code", "def f(): ...", {"minillm": {"library": "minillm.ops.softmax:softmax_forward"}}),
        ("markdown", '<a id="exercise-1"></a>\n## Exercise', {}),
    ]
    notebook = {
        "cells": [{"cell_type": k, "source": s, "metadata": m} for k, s, m in cells],
        "metadata": {},
    }
    (tmp_path / "notebooks").mkdir()
    chapter = tmp_path / "notebooks" / "05_softmax.ipynb"
    chapter.write_text(json.dumps(notebook), encoding="utf-8")
    return Staging(tmp_path, tmp_path / "build")


@pytest.mark.parametrize(
    ("written", "turned"),
    [
        ("[s](../minillm/ops/softmax.py)", "[s](source/minillm/ops/softmax.py)"),
        ("[`s`](../minillm/ops/softmax.py#L12)", "[`s`](source/minillm/ops/softmax.py)"),
        ("[ops](../minillm/ops/)", "[ops](source/minillm/ops/index.py)"),
        ("[how](../CONTRIBUTING.md#speed)", "[how](contributing.md#speed)"),
        ("[ch](../notebooks/05_softmax.ipynb)", "[ch](notebooks/05_softmax.ipynb)"),
        ("[ch](../notebooks/source/05_softmax.py)", "[ch](notebooks/05_softmax.ipynb)"),
        ("[f](../notebooks/05_softmax.ipynb#formula-softmax)", "[f](#formula-softmax)"),
        ("[later](../notebooks/11_attention.ipynb)", "later"),
        ("[later](glossary.md)", "later"),
        ("[make](../Makefile)", "make"),
        ("[typo](../minillm/ops/sofmax.py)", "[typo](../minillm/ops/sofmax.py)"),
        ("[away](https://example.org/a.md)", "[away](https://example.org/a.md)"),
        ("![p](picture.png)", "![p](images/docs/picture.png)"),
        ("`[code](../Makefile)`", "`[code](../Makefile)`"),
        ("```\n[code](../Makefile)\n```", "```\n[code](../Makefile)\n```"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(small, written, turned):
    assert small.turn_links(written, "docs/notation.md", "notation.md") == turned


def test_a_chapter_on_the_site(small):
    small.run()
    text = (small.target / "notebooks" / "05_softmax.ipynb").read_text(encoding="utf-8")
    sources = [cell["source"] for cell in json.loads(text)["cells"]]
    assert "[other](../notation.md)" in sources[0]
    assert '<a href="#exercise-1">exercise</a>' in sources[0]
    assert sources[1].startswith("(formula-softmax)=\n\n$$")
    assert "[minillm/ops/softmax.py](../source/minillm/ops/softmax.py)" in sources[2]
    assert not any("which Python" in source for source in sources)
    assert small.formulas() == [Formula("formula-softmax", "p_i = e^{x_i}", "05 Softmax")]


def test_the_contents_have_what_exists_and_stale_pages_go(small):
    (small.target / "source").mkdir(parents=True)
    (small.target / "source" / "gone.py").write_text("")
    small.run()
    small.clean()
    index = (small.target / "index.md").read_text(encoding="utf-8")
    assert index.startswith("# Book")
    assert "notebooks/05_softmax\n" in index
    assert "\nnotation\n" in index
    assert "glossary" not in index
    assert not (small.target / "source" / "gone.py").exists()
    assert (small.target / "source" / "minillm" / "ops" / "index.py").exists()


def test_a_docstring_in_our_format():
    names = Names(lambda number, other: f"result-{number}" if number == "1" else None)
    lines = to_rest(
        "Gradients of x_hat, by (1) and `f*`.  See (7).\n\n    y = a * b       (1)\n\n"
        "Shapes   x (..., C)\n         -> y\nSaves    x\n\n- one\n- two\n\n>>> 1 + 1\n2",
        names,
        anchors=True,
    )
    text = "\n".join(lines)
    assert "x\\_hat, by \\ :ref:`(1) <result-1>`\\  and \\ ``f*``\\ .  See (7)." in text
    assert ".. plain-math::\n   :anchors:\n\n   y = a * b       (1)" in text
    assert "\\ **Shapes**\n   \\ x (..., C) -> y\n\\ **Saves**\n   \\ x" in text
    assert "- \\ one\n- \\ two" in text
    assert ">>> 1 + 1\n2" in text


def test_a_chapter_in_a_docstring_is_a_link():
    [line] = to_rest("Notebook: notebooks/12_block.ipynb", Names())[:1]
    assert ":doc:`notebooks/12\\_block.ipynb </notebooks/12_block>`" in line


def test_results_are_numbered_in_formulas_only():
    assert numbered_results("By (3).\n\n    y = a   (1)\n    z = f(2)\n    z = b      (2)") == [
        "1",
        "2",
    ]


def test_the_lists_of_packages_and_layers_are_those_of_the_tests():
    assert PACKAGES == test_documentation.PACKAGES
    assert ORDER == test_layers.LAYERS


@pytest.mark.parametrize(
    ("formula", "file", "function"),
    [
        ("formula-layer-norm", "layer_norm.py", "layer_norm_forward"),
        ("formula-layer-norm-backward", "layer_norm.py", "layer_norm_backward"),
        ("formula-softmax-jacobian", "softmax.py", "softmax_forward"),
        ("formula-log-softmax", "softmax.py", "log_softmax_forward"),
        ("formula-attention", "attention.py", ""),
    ],
)
def test_formulas_belong_to_the_operation_whose_name_they_begin_with(formula, file, function):
    assert Catalogue(ROOT).place_of(formula) == (f"minillm/ops/{file}", function)


def test_a_file_as_a_page():
    pytest.importorskip("sphinx", reason="pip install -e '.[docs]'")
    from annotated import Page

    catalogue = Catalogue(ROOT, [Formula("formula-softmax", r"p = \frac{a}{b}", "05 Softmax")])
    file = "minillm/ops/softmax.py"
    source = (
        '"""Softmax.\n\n    p = e^x    (1)\n"""\n\nimport math\n\n\n'
        "def softmax_forward(x):\n"
        '    """One row.  By (1)."""\n'
        "    y = [\n        1,\n        # inside brackets\n    ]\n"
        "    # forward:  p = softmax(x)      by (1)\n"
        "    if x:\n        return y\n"
    )
    page = Page(file, source, catalogue)
    text = page.rest()
    assert page.sections == ["softmax_forward"]
    assert "One row.  By \\ :ref:`(1) <result-minillm/ops/softmax.py-1>`" in text
    assert "# inside brackets" in text  # stays with its code
    assert "forward: \\ ``p = softmax(x)``" in text
    assert ":margin: 4" in text  # what follows the comment keeps its place
    assert "p = \\frac{a}{b}" in text
    assert '"""' not in text  # all prose has left the code
    assert ":py:obj:`minillm.ops.softmax_forward <minillm.ops.softmax_forward>`" in text
