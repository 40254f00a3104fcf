"""gradcheck for students and assignment, as an instructor and a student meet them."""

import csv
import inspect
import json
import os
import time

import pytest

from minillm.classroom import SubmissionResult, find_submissions, grade_all
from minillm.classroom.submissions import is_submission
from minillm.cli import main

from . import students as s
from .solutions import SOLUTIONS, answer

HEAD = "import numpy as np\n\n"
SOFTMAX = HEAD + inspect.getsource(s.softmax_forward) + "\n" + inspect.getsource(s.softmax_backward)
WRONG = SOFTMAX.replace("(grad_out - (grad_out * p).sum(axis=-1, keepdims=True))", "grad_out")
LAYER_NORM = inspect.getsource(s.layer_norm_forward) + inspect.getsource(s.layer_norm_backward)


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    paths = [str(argument) for argument in arguments if "/" in str(argument)]
    lines = [line for line in captured.out.splitlines() if not any(p in line for p in paths)]
    assert max(map(len, lines), default=0) <= 88
    return status, captured.out, captured.err


def assert_one_line_error(capsys, *arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    [line] = err.splitlines()
    assert line.startswith(f"minillm {arguments[0]}: error: ")
    return line


@pytest.fixture
def folder(tmp_path):
    """A class of four."""
    write(tmp_path, "anna.py", SOFTMAX + LAYER_NORM)
    write(tmp_path, "ben.py", WRONG + LAYER_NORM)
    write(tmp_path, "carla/work.py", SOFTMAX + LAYER_NORM)
    write(tmp_path, "dora.py", "while True: print(end='')")
    write(tmp_path, "README.txt", "not a submission")
    write(tmp_path, ".hidden.py", SOFTMAX)
    return tmp_path


# ------------------------------------------------------------------------------------ one file


def test_a_right_file_passes(tmp_path, capsys):
    status, out, err = run(capsys, "gradcheck", write(tmp_path, "anna.py", SOFTMAX))
    assert (status, err) == (0, "")
    assert "softmax: right, 1 of 1 (forward right, x right)" in out
    assert out.endswith("anna: 1 function, 1 right, 1 of 1 points\n")


def test_a_wrong_file_fails_and_says_why(tmp_path, capsys):
    status, out, _ = run(capsys, "gradcheck", write(tmp_path, "ben.py", WRONG + "print('hello')"))
    assert status == 1
    assert "softmax: wrong, 0.5 of 1 (forward right, x wrong)" in out
    assert "the gradient of x" in out
    assert "  | hello" in out


@pytest.mark.parametrize("level", [0, 1, 2])
def test_hints_are_what_was_asked_for(tmp_path, capsys, level):
    path = write(tmp_path, "ben.py", WRONG)
    status, out, _ = run(capsys, "gradcheck", path, "--hints", level)
    assert status == 1
    assert ("fail" in out) == (level == 0)
    assert ("- x" in out) == (level >= 1)
    assert "the gradient of x" not in out


def test_several_files_give_several_reports(tmp_path, capsys):
    paths = [write(tmp_path, "ben.py", WRONG), write(tmp_path, "anna.py", SOFTMAX)]
    status, out, _ = run(capsys, "gradcheck", *paths, "--json", tmp_path / "all.json")
    assert status == 1
    assert out.index("ben: 1 function") < out.index("anna: 1 function")
    data = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert [one["student"] for one in data["submissions"]] == ["ben", "anna"]


def test_a_file_named_like_an_operation_is_no_operation(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "softmax.py", SOFTMAX)
    (tmp_path / "add").mkdir()
    assert [is_submission(n) for n in ("softmax.py", "softmax", "add", "./add")] == [1, 0, 0, 1]
    assert "softmax: 1 function, 1 right" in run(capsys, "gradcheck", "softmax.py")[1]
    assert "1 operations in" in run(capsys, "gradcheck", "add")[1]


# ------------------------------------------------------------------------------------- a class


def test_a_folder_gives_a_table_and_files(folder, capsys):
    targets = [f"{folder}/grades.{kind}" for kind in ("csv", "html", "json")]
    options = [word for target in targets for word in (f"--{target.rsplit('.')[-1]}", target)]
    status, out, err = run(capsys, "gradcheck", folder, "--timeout", 2, *options)
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()[:5]]
    assert rows[0] == ["student", "status", "layer_norm", "softmax", "total"]
    assert rows[1] == ["anna", "ok", "1.00", "1.00", "2.00", "/", "2"]
    assert rows[2] == ["ben", "ok", "1.00", "0.50", "1.50", "/", "2"]
    assert rows[3][0] == "carla"
    assert rows[4] == ["dora", "time", "limit", "0.00", "0.00", "0.00", "/", "2"]
    assert "dora: time limit: it did not end within 2 s before its functions were defined" in out
    assert "    1 x  softmax  x  " in out
    with open(targets[0], encoding="utf-8", newline="") as file:
        totals = {row["student"]: row["total"] for row in csv.DictReader(file)}
    assert totals == {"anna": "2", "ben": "1.5", "carla": "2", "dora": "0"}


def test_functions_that_count_can_be_named(folder, capsys):
    (folder / "dora.py").unlink()
    _, out, _ = run(capsys, "gradcheck", folder, "--functions", "softmax,lstm", "--jobs", 1)
    assert out.splitlines()[1].split() == ["anna", "ok", "1.00", "0.00", "1.00", "/", "2"]
    assert "not counted: layer_norm (in 3)" in out


@pytest.mark.parametrize("of", ["folder", "file"])
def test_a_function_that_nobody_has_is_a_slip_of_the_pen(tmp_path, capsys, of):
    file = write(tmp_path, "anna.py", SOFTMAX + LAYER_NORM)
    target = file if of == "file" else tmp_path
    line = assert_one_line_error(capsys, "gradcheck", target, "--functions", "softmax,sofmax")
    assert "--functions: no submission has the function 'sofmax'" in line
    assert "the submissions have layer_norm, softmax" in line
    line = assert_one_line_error(capsys, "gradcheck", target, "--functions", " ,")
    assert "--functions is ' ,'" in line


def test_functions_that_count_can_be_named_for_a_file(tmp_path, capsys):
    file = write(tmp_path, "anna.py", WRONG + LAYER_NORM)
    status, out, _ = run(capsys, "gradcheck", file, "--functions", "layer_norm")
    assert status == 0
    assert out.endswith("anna: 1 function, 1 right, 1 of 1 points\n")
    assert "softmax" not in out
    status, out, _ = run(capsys, "gradcheck", file, "--functions", "layer_norm,gelu")
    assert status == 1
    assert "gelu: missing, 0 of 1" in out
    assert out.endswith("anna: 2 functions, 1 right, 1 of 2 points\n")


def test_everything_counts_in_an_assignment(tmp_path, capsys):
    run(capsys, "assignment", "--seed", "anna", "--families", 1, "--out", tmp_path)
    [path] = tmp_path.glob("*.ipynb")
    line = assert_one_line_error(capsys, "gradcheck", path, "--functions", "softmax")
    assert "--functions is not for assignments" in line


def test_a_subfolder_needs_one_submission(tmp_path):
    write(tmp_path, "none/notes.txt", "")
    write(tmp_path, "one/work.py", SOFTMAX)
    write(tmp_path, "one/helper.py", "x = 1")
    write(tmp_path, "two/a.py", SOFTMAX)
    write(tmp_path, "two/b.py", SOFTMAX)
    none, one, two = grade_all(find_submissions([str(tmp_path)]))
    assert (one.status, one.points) == ("ok", 1.0)
    assert (none.status, none.detail) == ("no submission", "one file with pairs is expected: none")
    assert (two.status, two.detail.split(": ")[1]) == ("no submission", "a.py, b.py")


def test_equal_names_get_their_suffix_or_their_folder(tmp_path):
    for name in ("x/anna.py", "y/anna.py", "y/anna.ipynb"):
        write(tmp_path, name, SOFTMAX)
    paths = [str(tmp_path / name) for name in ("x/anna.py", "y/anna.py", "y/anna.ipynb")]
    found = [submission.student for submission in find_submissions(paths)]
    assert found == [paths[0], paths[1], "anna.ipynb"]


def test_results_arrive_as_they_are_done_and_are_returned_in_order(tmp_path):
    slow = write(tmp_path, "a.py", "import time\ntime.sleep(1.5)")
    fast = write(tmp_path, "b.py", SOFTMAX)
    seen: list[SubmissionResult] = []
    results = grade_all(find_submissions([slow, fast]), on_result=seen.append)
    assert [result.student for result in results] == ["a", "b"]
    assert [result.student for result in seen] == ["b", "a"]


def test_an_interruption_ends_what_is_running(tmp_path):
    def interrupt(result):
        raise KeyboardInterrupt

    loops = [write(tmp_path, f"{i}.py", "while True: print(end='')") for i in range(3)]
    fast = write(tmp_path, "fast.py", SOFTMAX)
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        grade_all(find_submissions([fast, *loops]), jobs=2, on_result=interrupt)
    assert time.perf_counter() - started < 10  # each loop alone would run for 20 s


# ---------------------------------------------------------------------------------- assignments


def test_assignments_are_written_and_graded(tmp_path, capsys):
    status, out, _ = run(
        capsys, "assignment", "--seed", "anna", "ben", "--out", tmp_path / "out", "--families", 3
    )
    assert status == 0
    assert "assignment-anna.ipynb: 36 points" in out.replace("\n", " ")
    path = tmp_path / "out" / "assignment-anna.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    answer(notebook, "deviation_norm")
    term = " - SMOOTHING * grad_x.mean(axis=-1, keepdims=True)"
    assert term in SOLUTIONS["leaning_loss"]
    answer(notebook, "leaning_loss", SOLUTIONS["leaning_loss"].replace(term, ""))
    path.write_text(json.dumps(notebook), encoding="utf-8")
    target = tmp_path / "grades.csv"
    status, out, _ = run(capsys, "gradcheck", tmp_path / "out", "--csv", target)
    assert status == 0
    with open(target, encoding="utf-8", newline="") as file:
        anna, ben = csv.DictReader(file)
    assert (anna["seed"], anna["total"], anna["maximum"]) == ("anna", "18.6667", "36")
    assert (anna["deviation_norm"], anna["leaning_loss"]) == ("12.00", "6.67")
    assert (ben["seed"], ben["total"]) == ("ben", "0")


def test_families_are_listed(capsys):
    _, out, _ = run(capsys, "assignment", "--list")
    assert set(SOLUTIONS) <= set(out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--seed is missing"),
        (["--seed", " "], "the seed is empty"),
        (["--seed", "a", "--families", "11"], "within 1 … 10, got 11"),
        (["--seed", "ben", "a", " "], "the seed is empty"),
        (["--seed", "ben", "a", "ben"], "the seed 'ben' is given twice"),
        (["--seed", "ben", "anna"], "assignment-anna.ipynb exists and may hold answers"),
        (["--list", "--seed", "a"], "--seed has no effect with --list"),
        (["--list", "--families", "3"], "--families has no effect with --list"),
    ],
)
def test_a_bad_assignment_is_one_line_and_writes_nothing(
    tmp_path, monkeypatch, capsys, arguments, words
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "assignment-anna.ipynb", "answers")
    assert words in assert_one_line_error(capsys, "assignment", *arguments)
    assert [path.read_text("utf-8") for path in tmp_path.iterdir()] == ["answers"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_assignments_are_written_all_or_none(tmp_path, monkeypatch, capsys, error):
    def replace(source, target):
        if "carla" in str(target):
            raise error
        return original(source, target)

    original = os.replace
    monkeypatch.setattr(os, "replace", replace)
    assert main(["assignment", "--seed", "anna", "ben", "carla", "--out", str(tmp_path)]) in (
        1,
        130,
    )
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(os, "replace", original)
    assert main(["assignment", "--seed", "anna", "ben", "carla", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 3


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.py"], "nowhere.py: there is no such file"),
        (["nowhere/"], "there is no such file or folder"),
        (["{file}", "softmax"], "softmax is the name of an operation"),
        (["{file}", "--timeout", "0"], "--timeout must be above 0"),
        (["{file}", "--memory", "5"], "--memory must be at least 512 MB"),
        (["{file}", "--jobs", "0"], "--jobs must be at least 1"),
        (["{file}", "--seed", "3"], "--seed is for operations"),
        (["{file}", "--list"], "--list is for operations"),
        (["{file}", "--csv", "{folder}"], "is a folder: give the name of a file"),
        (["{file}", "--csv", "{folder}/no/x.csv"], "does not exist: make it first"),
        (["{folder}/empty"], "holds no submissions"),
        (["{folder}/notes.txt"], "neither a .py file nor an .ipynb notebook"),
        (["softmax", "--csv", "x.csv"], "--csv is for files of students"),
        (["--hints", "2"], "--hints is for files of students"),
        (["--checks", "7"], "--checks belongs to --mutants"),
        (["--held-out"], "--held-out belongs to --mutants"),
        (["--mutants", "softmax"], "leave out softmax"),
        (["--mutants", "--csv", "x.csv"], "leave out --csv"),
        (["--mutants", "--list"], "leave out --list"),
    ],
)
def test_options_that_make_no_sense_are_one_line(tmp_path, capsys, arguments, words):
    (tmp_path / "empty").mkdir()
    write(tmp_path, "notes.txt", "")
    file = write(tmp_path, "anna.py", SOFTMAX)
    arguments = [a.format(file=file, folder=tmp_path) for a in arguments]
    assert words in assert_one_line_error(capsys, "gradcheck", *arguments)


def test_mutants_are_run_with_their_options(capsys, monkeypatch):
    import sys
    import types

    seen = []
    module = types.ModuleType("minillm.cli.mutant_report")
    module.run_mutants = lambda arguments: seen.append(arguments) or 0
    monkeypatch.setitem(sys.modules, "minillm.cli.mutant_report", module)
    assert main(["gradcheck", "--mutants"]) == 0
    assert main(["gradcheck", "--mutants", "--checks", "7", "--held-out", "--seed", "3"]) == 0
    assert [(a.checks, a.held_out, a.seed) for a in seen] == [(1000, False, 0), (7, True, 3)]
