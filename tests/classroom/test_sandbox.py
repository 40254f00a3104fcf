"""Whatever a submission does to its process, it is named, and it does it to itself."""

import contextlib
import glob
import os
import sys
import time
from pathlib import Path

import pytest

from minillm.classroom import Limits, Submission, grade_all, grade_submission
from minillm.classroom.integrity import canaries_sing, changes, snapshot
from minillm.gradcheck import GradientReport, check_gradients

from .misbehaving import CASES, POSIX_ONLY, RIGHT, in_backward

LIMITS = Limits(timeout=3.0)
if os.name == "nt":
    CASES = {name: case for name, case in CASES.items() if name not in POSIX_ONLY}
HONEST = range(0, len(CASES), 3)  # after these


def write(folder, name, source):
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    return Submission(name, path)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """All misbehaving submissions, with honest ones among them, graded together."""
    folder = tmp_path_factory.mktemp("submissions")
    submissions = []
    for i, (name, (source, *_)) in enumerate(CASES.items()):
        submissions.append(write(folder, name, source))
        if i in HONEST:
            submissions.append(write(folder, f"honest_{i}", RIGHT))
    return {result.student: result for result in grade_all(submissions, LIMITS)}


@pytest.mark.parametrize("name", CASES)
def test_misbehaviour_is_named(graded, name):
    _, status, words, points = CASES[name]
    result = graded[name]
    assert result.status == status, result.detail
    assert words in result.detail
    tanh = result.function("tanh")
    assert (tanh.points if tanh else 0) == points
    names = [function.name for function in result.functions]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("i", HONEST)
def test_nobody_else_is_touched(graded, i):
    result = graded[f"honest_{i}"]
    assert (result.status, result.points, result.output) == ("ok", 1.0, "")


def test_the_order_is_that_of_the_submissions(graded):
    misbehaving = [name for name in graded if not name.startswith("honest")]
    assert misbehaving == list(CASES)
    assert len(graded) == len(CASES) + len(HONEST)


def test_what_is_printed_is_cut_at_the_limit(graded):
    assert len(graded["prints_megabytes"].output) == LIMITS.output


def test_children_do_not_survive(tmp_path):
    mark = f"mark-{os.getpid()}-{time.time_ns()}"
    source = f"{RIGHT}\nimport subprocess, sys\nsubprocess.Popen([sys.executable, '-c', "
    source += f"'import time; time.sleep(600)', '{mark}'])"
    assert grade_submission(write(tmp_path, "a", source), LIMITS).points == 1
    if sys.platform == "linux":
        commands = list(contents("/proc/[0-9]*/cmdline"))
        assert len(commands) > 1
        assert not any(mark.encode() in command for command in commands)


def contents(pattern):
    """Of the files of all processes; one that has just ended has none."""
    for name in glob.glob(pattern):
        with contextlib.suppress(OSError):
            yield Path(name).read_bytes()


def test_a_function_that_ends_the_process_leaves_the_others_their_points(tmp_path):
    source = in_backward("import os; os._exit(0)") + RIGHT.replace("tanh_", "sub_")
    result = grade_submission(write(tmp_path, "a", source), LIMITS)
    assert [f.name for f in result.functions] == ["tanh", "exp", "sub"]
    assert [f.verdict for f in result.functions] == ["right", "exited", "right"]


def test_functions_that_were_not_reached_count_nothing(tmp_path):
    killer = in_backward("import os; os._exit(0)")
    source = killer + "".join(killer.replace("exp_", f"f{i}_") for i in range(3))
    result = grade_submission(write(tmp_path, "a", source), LIMITS)
    verdicts = {f.name: f.verdict for f in result.functions}
    assert verdicts == {
        "tanh": "right", "exp": "exited", "f0": "exited", "f1": "exited", "f2": "not checked",
    }  # fmt: skip
    assert result.function("f2").detail == "f2 was not reached"


def test_the_environment_holds_no_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADER_PASSWORD", "hunter2")
    source = (
        RIGHT + "\nimport os, sys\nprint(sorted(os.environ), os.getcwd(), repr(sys.stdin.read()))"
    )
    result = grade_submission(write(tmp_path, "a", source), LIMITS)
    assert "PYTHONPATH" in result.output
    assert "GRADER_PASSWORD" not in result.output
    assert str(tmp_path) not in result.output.split("]")[1]
    assert result.output.rstrip().endswith("''")


def test_a_submission_in_a_folder_of_its_own_finds_its_companions(tmp_path):
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n", encoding="utf-8")
    source = "import helper\ndef twice_forward(x): return helper.double(x), None\n"
    source += "def twice_backward(g, saved): return (helper.double(g),)\n"
    path = write(tmp_path, "main", source).path
    alone = grade_submission(Submission("a", path), LIMITS)
    assert alone.status == "import error"
    result = grade_submission(Submission("a", path, (tmp_path / "helper.py",)), LIMITS)
    assert (result.status, result.points) == ("ok", 1.0)


def test_a_main_part_does_not_run(tmp_path):
    source = RIGHT + "\nif __name__ == '__main__':\n    raise SystemExit('ran')"
    assert grade_submission(write(tmp_path, "a", source), LIMITS).status == "ok"


@pytest.mark.parametrize("limits", [{"timeout": 0}, {"memory": 10}])
def test_limits_that_nothing_can_meet_are_refused(limits):
    with pytest.raises(ValueError, match="must be"):
        Limits(**limits)


# ----------------------------------------------------------------------------------- integrity


def test_an_untouched_checker_is_intact():
    before = snapshot()
    assert len(before) > 1000
    assert changes(before) == []
    assert canaries_sing(check_gradients)


@pytest.mark.parametrize(
    "check",
    [
        lambda *a: GradientReport("all pass"),
        lambda forward, backward, x: check_gradients(forward, lambda g, s: (g, g), x),
    ],
)
def test_canaries_notice_a_checker_that_says_always_the_same(check):
    assert not canaries_sing(check)


@pytest.mark.parametrize("name", ["__defaults__", "__kwdefaults__", "__code__"])
def test_a_changed_function_is_noticed(monkeypatch, name):
    before = snapshot()
    value = {"__defaults__": (3,), "__kwdefaults__": {"settings": 3}, "__code__": write.__code__}
    monkeypatch.setattr(check_gradients, name, value[name])
    assert "minillm.gradcheck.check_gradients" in changes(before)
    monkeypatch.undo()
    assert changes(before) == []
