"""The tools that build the book: what they make of a script, and what they refuse."""

import ast
import re
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from .book import build, chapters

SCRIPT = """# %% [markdown]
# # 99 · A chapter

# %% tags=["setup"]
import numpy as np

# %%
steps = 600  # fast: 6
print(steps)

# %% tags=["check"]
assert steps in (600, 6)

# %% library="minillm.ops.linear:linear_forward"

# %% [markdown] exercise="double" minutes=1 teaches="a" catches="b"
# ### Exercise

# %% exercise="double"
def double(x):
    # BEGIN SOLUTION
    return x + x
    # END SOLUTION


# %% self_check="double"
assert double(2) == 4, "double(2) should be 4"

# %% wrong="double"
def double(x):
    return x
"""


@pytest.fixture
def chapter(tmp_path):
    path = tmp_path / "99_a_chapter.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return chapters.read_chapter(path)


def sources(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_readers_get_the_long_run_and_no_checks(chapter):
    text = "\n".join(sources(chapters.chapter_notebook(chapter, checks=False)))
    assert "steps = 600\n" in text
    assert "fast" not in text
    assert "assert steps" not in text


def test_tests_get_the_short_run_and_the_checks(chapter):
    text = "\n".join(sources(chapters.chapter_notebook(chapter, checks=True, fast=True)))
    assert "steps = 6\n" in text
    assert "assert steps" in text


def test_readers_get_the_stub_and_the_answer_is_elsewhere(chapter):
    text = "\n".join(sources(chapters.chapter_notebook(chapter, checks=False)))
    assert "return x + x" not in text
    assert "return x\n" not in text
    assert chapters.STUB in text
    answers = "\n".join(sources(chapters.solutions_notebook(chapter)))
    assert "return x + x" in answers
    assert chapters.STUB not in answers


def test_an_exercise_without_a_check_is_refused(tmp_path):
    path = tmp_path / "99_a_chapter.py"
    path.write_text(SCRIPT.replace('self_check="double"', ""), encoding="utf-8")
    with pytest.raises(ValueError, match="the exercise 'double' has no self_check"):
        chapters.read_chapter(path)


def test_a_cell_of_the_library_runs_by_itself():
    source = chapters.library_source("minillm.ops.softmax:softmax_forward,softmax_backward")
    namespace = {}
    exec(source, namespace)
    assert source.startswith("# minillm/ops/softmax.py")
    names = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    assert names == ["softmax_forward", "softmax_backward"]
    import numpy as np

    assert namespace["softmax_forward"](np.zeros(4))[0].tolist() == [0.25] * 4


def test_a_name_that_the_library_lacks_is_refused():
    with pytest.raises(ValueError, match=r"softmax\.py does not define sofmax_forward"):
        chapters.library_source("minillm.ops.softmax:sofmax_forward")


def executed(*sources, tags=(), **metadata):
    cells = [new_code_cell(source, metadata=metadata) for source in sources]
    notebook = new_notebook(cells=cells)
    build.execute(notebook, timeout=60)
    return notebook


def test_a_false_sentence_stops_the_build():
    with pytest.raises(build.CellExecutionError, match="AssertionError"):
        executed("assert 1 + 1 == 3")


def test_a_warning_stops_the_build():
    with pytest.raises(ValueError, match="writes to stderr"):
        executed("import warnings\nwarnings.warn('take care')")


def test_a_progress_bar_comes_and_goes():
    notebook = executed(
        "from tqdm import tqdm\nimport sys\nfor _ in tqdm(range(3)): pass\nprint(sys.executable)"
    )
    [output] = notebook.cells[0].outputs
    assert output.text == ".venv/bin/python\n"


def test_lines_that_arrive_in_pieces_stay_lines():
    pieces = [("stdout", "1.715"), ("stdout", "\n"), ("stdout", "2000"), ("stderr", "50%|#  |"),
              ("stdout", "  "), ("stderr", "\n"), ("stdout", "1.676\n")]  # fmt: skip
    cell = new_code_cell(
        "train()", outputs=[new_output("stream", name=n, text=t) for n, t in pieces]
    )
    build.tidy(new_notebook(cells=[cell]))
    assert [output.text for output in cell.outputs] == ["1.715\n2000  1.676\n"]


def test_a_cell_that_prints_nothing_but_white_space_has_no_output():
    cell = new_code_cell("print()", outputs=[new_output("stream", name="stdout", text="\n")])
    build.tidy(new_notebook(cells=[cell]))
    assert cell.outputs == []


PLOT = "import matplotlib.pyplot as plt\nfig, axes = plt.subplots()\naxes.plot([1, 2])\n"
LABELS = "axes.set(title='A line', xlabel='step', ylabel='loss (nats)')\n"


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ("", "has no title"),
        ("axes.set(title='A line', ylabel='loss')\n", "no label on its x axis"),
        ("axes.set(title='A line', xlabel='step')\n", "no label on its y axis"),
        (LABELS + "fig.set_dpi(200)\n", "more than 150"),
    ],
)
def test_a_picture_that_explains_nothing_stops_the_build(labels, problem):
    with pytest.raises(ValueError, match=problem):
        executed(PLOT + labels + "plt.show()", mystnb={"image": {"alt": "a line"}})


def test_a_picture_without_words_for_those_who_do_not_see_it_stops_the_build():
    with pytest.raises(ValueError, match="say alt="):
        executed(PLOT + LABELS + "plt.show()")


def test_a_good_picture_passes():
    notebook = executed(PLOT + LABELS + "plt.show()", mystnb={"image": {"alt": "a line"}})
    assert "image/png" in notebook.cells[0].outputs[0].data


def test_a_huge_picture_is_refused():
    data = {"image/png": "A" * 500_000}
    cell = new_code_cell("draw()", outputs=[new_output("display_data", data=data)])
    with pytest.raises(ValueError, match="375000 bytes"):
        build.tidy(new_notebook(cells=[cell]))


def test_a_notebook_counts_as_current_only_with_the_same_cells(chapter, tmp_path):
    path = tmp_path / "99_a_chapter.ipynb"
    notebook = chapters.chapter_notebook(chapter, checks=False)
    assert not build.is_current(path, notebook)
    nbformat.write(notebook, path)
    assert build.is_current(path, notebook)
    notebook.cells[2].source += "  # another comment"
    assert not build.is_current(path, notebook)


def run_first_cell(monkeypatch, source=chapters.FIRST_CELL, *, found=True):
    """Execute the first cell where minillm is installed, or not; the commands that it ran."""
    commands = []
    installed = [found]

    def install(command, check):
        commands.append(command)
        installed[0] = True

    monkeypatch.setattr("importlib.util.find_spec", lambda name: installed[0] or None)
    monkeypatch.setattr("subprocess.run", install)
    exec(source, {})
    return commands


def test_the_first_cell_says_what_is_at_work(monkeypatch, capsys):
    assert run_first_cell(monkeypatch) == []
    assert re.match(r"minillm [\d.]+, Python 3\.\d+\.\d+, NumPy 2", capsys.readouterr().out)


def test_the_first_cell_in_a_wrong_kernel_says_which_to_choose(monkeypatch):
    with pytest.raises(ModuleNotFoundError, match="wrong kernel: choose minillm"):
        run_first_cell(monkeypatch, found=False)


def test_the_first_cell_installs_on_colab_only_and_only_where_told(monkeypatch):
    address = "https://example.org/minillm.git"
    source = chapters.FIRST_CELL.replace('REPOSITORY = ""', f'REPOSITORY = "{address}"')
    with pytest.raises(ModuleNotFoundError):
        run_first_cell(monkeypatch, source, found=False)
    monkeypatch.setitem(sys.modules, "google.colab", object())
    [command] = run_first_cell(monkeypatch, source, found=False)
    assert command[1:] == ["-m", "pip", "install", "-q", f"git+{address}"]
    with pytest.raises(ModuleNotFoundError):
        run_first_cell(monkeypatch, found=False)
