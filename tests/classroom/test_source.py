"""Files and notebooks of students: what runs, what is skipped, what is said about errors."""

import json

import pytest

from minillm.classroom.source import find_pairs, load, without_magics


def notebook(folder, *cells, metadata=None):
    cells = [
        cell if isinstance(cell, dict) else {"cell_type": "code", "metadata": {}, "source": cell}
        for cell in cells
    ]
    path = folder / "a.ipynb"
    text = json.dumps({"cells": cells, "metadata": metadata or {}, "nbformat": 4})
    path.write_text(text, encoding="utf-8")
    return path


def test_pairs_are_found_in_the_order_of_definition(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        "from minillm.ops import softmax_forward, softmax_backward\n"
        "def b_forward(x): ...\ndef a_backward(g, s): ...\ndef b_backward(g, s): ...\n"
        "def _private_forward(x): ...\nc_forward = 3\ndef forward(x): ...\n",
        encoding="utf-8",
    )
    pairs = find_pairs(load(path).namespace)
    assert list(pairs) == ["b", "a"]
    assert [half is None for half in pairs["b"]] == [False, False]
    assert [half is None for half in pairs["a"]] == [True, False]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"x = (1,\n\ny = 2", "syntax error", "line 1"),
        (b"x = '\xe9'", "syntax error", "utf-8"),
        (b"x = 1\x00", "syntax error", "null"),
        (b"import sys\n\nsys.exit()", "exited", "line 3: SystemExit"),
        (b"def f():\n    return 1 / 0\n\nf()", "import error", "line 2: ZeroDivisionError"),
        (b"raise MemoryError", "memory limit", "line 1"),
        (b"class E(BaseException): pass\nraise E('no')", "import error", "line 2: E: no"),
    ],
)
def test_errors_have_a_status_and_a_line(tmp_path, content, status, words):
    path = tmp_path / "a.py"
    path.write_bytes(content)
    [(found, sentence)] = load(path).problems
    assert found == status
    assert words in sentence


def test_what_stands_before_an_error_is_kept(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("def a_forward(x): ...\nraise ValueError\ndef b_forward(x): ...")
    assert list(find_pairs(load(path).namespace)) == ["a"]


def test_cells_run_in_order_and_one_that_raises_stops_no_other(tmp_path):
    path = notebook(
        tmp_path,
        {"cell_type": "markdown", "metadata": {}, "source": "# Title"},
        ["x = 1\n", "display(x)"],
        "y = x + 1\n1 / 0",
        "def broken(:",
        "%matplotlib inline\n!pip install everything\nz = y + 1",
        "%%bash\nrm -rf everything",
        {"cell_type": "code", "metadata": {"tags": ["self-check"]}, "source": "z = 0"},
    )
    loaded = load(path)
    assert loaded.namespace["z"] == 3
    assert loaded.problems == [
        ("import error", "in cell 3 of a.ipynb, line 2: ZeroDivisionError: division by zero"),
        ("syntax error", "in cell 4 of a.ipynb, line 1: invalid syntax"),
    ]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cells": [1]}', '{"cells": [{}]}'])
def test_what_is_no_notebook_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "a.ipynb"
    path.write_text(content, encoding="utf-8")
    [(status, sentence)] = load(path).problems
    assert (status, sentence.split(":")[0]) == ("syntax error", "it is no Jupyter notebook")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("%%time\nx = 1", "pass\nx = 1"),
        ("%%latex\nx", ""),
        ("if x:\n    %time f()\ny", "if x:\n    pass\ny"),
        ("np.sum?\n?np", "pass\npass"),
        ("x = 7 % 3  # what?", "x = 7 % 3  # what?"),
    ],
)
def test_magics_are_left_out_and_lines_keep_their_numbers(source, code):
    assert without_magics(source) == code
