"""doctor: a healthy device passes, a wrong one is found, and the report can be pasted."""

import numpy as np
import pytest

from minillm import ops
from minillm.cli import doctor, main
from minillm.gradcheck.cases import cases
from minillm.gradcheck.parity import LARGEST, difference
from tests.device import strict  # noqa: F401  registers the device


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(doctor, "STEPS", 3)
    monkeypatch.setattr(doctor, "SIZES", {})


@pytest.mark.parametrize("device", ["cpu", "strict"])
def test_a_healthy_device_passes(device, tmp_path, capsys):
    report = tmp_path / "report.txt"
    assert main(["doctor", "--device", device, "--out", str(report)]) == 0
    out = capsys.readouterr().out
    assert out.count("[ok]") == 5
    assert "FAILED" not in out
    assert report.read_text(encoding="utf-8") == out
    assert "GFLOP/s" in out
    assert max(map(len, out.splitlines())) <= 88


def test_one_training_serves_all_examinations(monkeypatch):
    places, train = [], doctor.train_here
    monkeypatch.setattr(
        doctor, "train_here", lambda place: places.append(str(place)) or train(place)
    )
    assert main(["doctor", "--device", "strict"]) == 0
    assert places == ["strict", "cpu"]


def test_a_wrong_backward_pass_is_found(monkeypatch, capsys):
    monkeypatch.setattr(ops, "tanh_backward", lambda grad_out, saved: (grad_out,))
    assert main(["doctor", "--device", "cpu"]) == 1
    out = capsys.readouterr().out
    assert "[FAILED] gradient checks" in out
    assert "wrong: tanh" in out
    assert "open an issue" in out


def test_an_operation_that_differs_on_the_device_is_found(monkeypatch, capsys):
    right = ops.exp_forward

    def wrong_on_the_device(x):
        out, saved = right(x)
        return (out if isinstance(x, np.ndarray) else out * 1.01), saved

    monkeypatch.setattr(ops, "exp_forward", wrong_on_the_device)
    passed, finding = doctor.compare_operations(doctor.Device("strict"))
    assert not passed
    assert finding.endswith(": exp")


def test_differences_are_counted_in_units_of_rounding(monkeypatch):
    right, [case, *_] = ops.exp_forward, cases("exp")
    calls = []

    def off_by_units(x):
        out, saved = right(x)
        calls.append(out)
        if len(calls) == 2:  # the second call is that of the device
            out = out + np.float32(8) * np.finfo(np.float32).eps * (1 + out)
        return out, saved

    monkeypatch.setattr(ops, "exp_forward", off_by_units)
    assert 4 < difference(case, doctor.Device("cpu")) < 12 < LARGEST


def test_another_dtype_is_infinitely_wrong(monkeypatch):
    right, [case, *_] = ops.exp_forward, cases("exp")
    calls = []

    def upcast(x):
        out, saved = right(x)
        calls.append(out)
        return (out.astype(np.float64) if len(calls) == 2 else out), saved

    monkeypatch.setattr(ops, "exp_forward", upcast)
    assert difference(case, doctor.Device("cpu")) == float("inf")


def test_training_that_goes_another_way_is_found(monkeypatch):
    losses = {"here": [4.0, 3.0], "cpu": [4.0, 3.1]}
    monkeypatch.setattr(doctor, "train_here", lambda place: (None, None, losses[str(place)]))
    passed, finding = doctor.compare_training("here")
    assert not passed
    assert "at most 1e-01 from the CPU" in finding
