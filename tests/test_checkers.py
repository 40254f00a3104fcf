"""The stand-ins for other checkers: right backwards pass, and each has its known blind spot."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minillm import ops
from minillm.gradcheck.cases import cases
from minillm.gradcheck.mutants import held_out, mutants
from tests.benchmarks import checker_methods, checker_tables
from tests.benchmarks.checker_methods import METHODS, check, named_kind

STAND_INS = [name for name in METHODS if name != "minillm"]
SUMS = ["dezero", "needle", "minitorch"]
OTHERS = [name for name in STAND_INS if name not in SUMS]
X = np.random.default_rng(5).standard_normal((3, 5))


def verdict(name, operation, backward, inputs=(X,), seed=0, **options):
    method = getattr(checker_methods, METHODS[name].function)
    return check(method, getattr(ops, f"{operation}_forward"), backward, inputs, options, seed)


def right(operation):
    return getattr(ops, f"{operation}_backward")


def changed(operation, change):
    return lambda g, saved: tuple(
        None if x is None else change(x) for x in right(operation)(g, saved)
    )


@pytest.mark.parametrize("name", STAND_INS)
@pytest.mark.parametrize("operation", ["softmax", "embedding", "multiply", "lstm", "dropout"])
def test_right_backwards_are_accepted(name, operation):
    for case in cases(operation):
        found = verdict(name, operation, case.backward, case.inputs, **case.options)
        assert found.accepted, found.message
        assert found.seconds > 0


@pytest.mark.parametrize("change", [np.zeros_like, np.negative, lambda x: 8 * x])
@pytest.mark.parametrize("name", STAND_INS)
def test_a_sum_cannot_see_a_dead_flipped_or_scaled_softmax(name, change):
    assert verdict(name, "softmax", changed("softmax", change)).accepted == (name in SUMS)


@pytest.mark.parametrize("name", STAND_INS)
def test_a_sum_cannot_see_a_forgotten_grad_out(name):
    def local_derivative(grad_out, out):
        return right("exp")(np.ones_like(grad_out), out)

    assert verdict(name, "exp", local_derivative).accepted == (name in SUMS)


@pytest.mark.parametrize("name", STAND_INS)
def test_a_wrong_scale_elsewhere_is_seen_by_all(name):
    found = verdict(name, "exp", changed("exp", lambda x: 2 * x))
    assert not found.accepted
    assert found.message


def test_one_entry_misses_what_the_others_see():
    def one_wrong(grad):
        return grad + np.where(np.arange(grad.size).reshape(grad.shape) == 7, 1.0, 0.0)

    backward = changed("exp", one_wrong)
    drawn = [verdict("minitorch", "exp", backward, seed=seed).accepted for seed in range(60)]
    assert any(drawn)
    assert not all(drawn)
    assert not any(verdict(name, "exp", backward).accepted for name in STAND_INS[:-1])


@pytest.mark.parametrize("name", STAND_INS)
def test_pytorch_alone_repairs_a_missing_sum(name):
    def not_summed(grad_out, saved):
        return grad_out, grad_out

    found = verdict(name, "add", not_summed, (X, X[0]))
    assert found.accepted == name.startswith("torch")


@pytest.mark.parametrize("name", OTHERS)
def test_an_overwritten_saved_array_shows_if_backward_runs_twice(name):
    def spoil(grad_out, saved):
        grads = right("exp")(grad_out, saved)
        saved[0][...] *= 1.5
        return grads

    found = verdict(name, "exp", spoil)
    assert found.accepted == (not name.startswith("torch"))
    assert named_kind(found.message) == ("mutated_input" if name.startswith("torch") else None)


def test_a_gradient_that_needs_no_grad_out_is_named_by_pytorch():
    def added(grad_out, saved):
        return (right("exp")(grad_out, saved)[0] + 1e-7,)

    found = verdict("torch", "exp", added)
    assert named_kind(found.message) == "ignores_upstream"


@pytest.mark.parametrize("name", STAND_INS)
def test_an_exception_rejects(name):
    def broken(grad_out, saved):
        raise ValueError("no idea")

    found = verdict(name, "exp", broken)
    assert not found.accepted
    assert found.message == "ValueError: no idea"


@pytest.mark.parametrize("name", STAND_INS)
def test_too_few_gradients_reject(name):
    assert not verdict(name, "add", lambda g, saved: (g,), (X, X)).accepted


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("scaled: the gradient of x is twice too large", "scaled"),
        ("Backward is not reentrant, i.e., running backward", "mutated_input"),
        ("an invalid gradient at index 0 - got [3]", "wrong_shape"),
        ("analytic: nan numeric: 0.3", "not_finite"),
        ("Jacobian mismatch, numerical: 0.1 analytical: 0.2 (information)", None),
        ("", None),
    ],
)
def test_kinds_are_read_from_messages(message, kind):
    assert named_kind(message) == kind


@pytest.mark.parametrize("mode", ["torch_full", "torch_fast"])
def test_the_stand_in_agrees_with_pytorch(mode):
    pytest.importorskip("torch")
    from tests.benchmarks import checker_peers

    for mutant in mutants("softmax") + mutants("add"):
        if not held_out(mutant):
            case = cases(mutant.operation)[-2]
            arguments = (mutant.forward or case.forward, mutant.backward, case.inputs, case.options)
            itself = check(getattr(checker_peers, mode), *arguments)
            stand_in = check(getattr(checker_methods, mode), *arguments)
            assert itself.accepted == stand_in.accepted, mutant.story


def test_tables_count_what_the_lines_say():
    lines = [
        {"right": True, "seed": 0, "accepted": True, "seconds": 0.002},
        {"right": True, "seed": 0, "accepted": True, "seconds": 0.003},
        {"right": True, "seed": 0, "accepted": False, "seconds": 0.004},
    ]
    for number, (kind, accepted, named) in enumerate([
        ("scaled", False, True),
        ("scaled", True, False),
        ("wrong_dtype", False, False),
    ]):
        lines.append(
            {"right": False, "seed": 0, "number": number, "kind": kind, "accepted": accepted,
             "named": named, "seconds": 0.1, "message": ""}
        )  # fmt: skip
    runs = {"torch": ("itself, 9", lines)}
    row = checker_tables.method_table(METHODS, runs).splitlines()[-1]
    cells = [cell.strip() for cell in row.split("|")[4:-1]]
    assert " ".join(cells) in " ".join(checker_tables.terminal_table(METHODS, runs).split())
    assert cells == ["66.7 %", "50.0 %", "33.3 %", "1 of 3", "3", "0.3 s"]
    rows = checker_tables.kind_table(["scaled", "transposed", "wrong_dtype"], runs).splitlines()
    assert rows[2:] == ["| `scaled` | 2 | **50** |", "| `wrong_dtype` | 1 | 100 |"]


def run_command(*arguments):
    script = Path(checker_methods.__file__).with_name("checkers.py")
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True
    )


def test_the_command_measures_and_keeps_the_raw_results(tmp_path):
    raw = tmp_path / "raw.json"
    options = ["--operations", "exp", "--seeds", 1, "--json", raw]
    result = run_command("minillm", "dezero", *options)
    assert result.returncode == 0, result.stderr
    count = len(mutants("exp"))
    table = result.stdout.splitlines()
    assert table[1].split()[:4] == ["minillm", "check_gradients", "100.0", "%"]
    assert table[2].startswith("  itself, ")
    assert table[4] == "  method re-implemented here"
    assert max(map(len, table[:5])) <= 88
    results = json.loads(raw.read_text(encoding="utf-8"))
    assert list(results) == ["minillm", "dezero"]
    wrong = [line for line in results["minillm"]["lines"] if not line["right"]]
    assert len(wrong) == count
    assert not any(line["accepted"] for line in wrong)
    assert any(line["accepted"] for line in results["dezero"]["lines"] if not line["right"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["dezero", "--write"], "--write needs all methods"),
        (["gradchek"], "no method gradchek: choose from minillm, torch"),
        (["--operations", "expp"], "no operation expp: choose from"),
    ],
)
def test_the_command_says_what_it_cannot_do(arguments, complaint):
    result = run_command(*arguments)
    assert result.returncode == 2
    assert complaint in result.stderr
