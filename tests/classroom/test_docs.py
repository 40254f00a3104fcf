"""docs/for-instructors.md is true: its commands run, and print what it shows."""

import inspect
import json
import re
import shlex
from pathlib import Path

import pytest

from minillm.classroom import Limits
from minillm.classroom.results import STATUSES
from minillm.classroom.sandbox import PATIENCE
from minillm.cli import main

from . import students as s
from .solutions import SOLUTIONS, answer

TEXT = (Path(__file__).parents[2] / "docs" / "for-instructors.md").read_text(encoding="utf-8")
RUNS = re.findall(r"```console\n\$ python -m minillm ([^\n]*)\n(.*?)```", TEXT, re.DOTALL)
FILES = re.findall(r"`(submissions/\w+\.py)`:\n\n```python\n(.*?)```", TEXT, re.DOTALL)
SECONDS = re.compile(r"\b\d+\.\d s$", re.MULTILINE)  # the only thing that differs between runs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The class of the text: the file that it shows, and the three that it describes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "submissions").mkdir()
    for name, source in FILES:
        (tmp_path / name).write_text(source, encoding="utf-8")
    head = "import numpy as np\n\n"
    softmax = inspect.getsource(s.softmax_forward)
    embedding = (
        FILES[0][1]
        .split("\n\n\n", 3)[3]
        .replace("grad[ids] = grad_out", "np.add.at(grad, ids, grad_out)")
    )
    numeric = inspect.getsource(s.tanh_numeric).replace("tanh_numeric", "softmax_backward")
    others = {
        "anna": softmax + inspect.getsource(s.softmax_backward) + embedding,
        "carla": softmax.replace("return p, p", "return p, x")
        + numeric.replace("tanh_forward", "softmax_forward"),
        "dora": "import minillm.gradcheck\nminillm.gradcheck.check_gradients = print",
        "emil": "while True:\n    x = 1",
    }
    for name, source in others.items():
        (tmp_path / "submissions" / f"{name}.py").write_text(head + source, encoding="utf-8")
    return tmp_path


def fill_in(path):
    """The two answers that the text describes."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    answer(notebook, "leaning_loss")
    wrong = SOLUTIONS["shifted_mixing"].replace("grad_kernel[k] +=", "grad_kernel[k] =")
    answer(notebook, "shifted_mixing", wrong)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_the_commands_of_the_text_print_what_it_shows(folder, capsys):
    assert len(RUNS) == 6
    for command, shown in RUNS:
        main(shlex.split(command))
        found = capsys.readouterr().out
        assert SECONDS.sub("… s", found) == SECONDS.sub("… s", shown), command
        if command.startswith("assignment --seed"):
            fill_in(folder / "assignments" / "assignment-anna.ipynb")


def test_the_limits_of_the_text_are_the_limits():
    limits = Limits()
    assert f"`--timeout`, {limits.timeout:g} s" in TEXT
    assert f"`--memory`, {limits.memory} MB" in TEXT
    assert (
        f"more than {limits.output // 1024} kB; ended at {PATIENCE * limits.output // 2**20} MB"
        in TEXT
    )
    assert all(f"`{status}`" in TEXT for status in set(STATUSES) - {"ok"})
