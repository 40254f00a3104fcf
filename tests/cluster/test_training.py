"""Training by several ranks gives what one process gives, and survives what can happen to a job."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from minillm.cluster import Ranks
from minillm.models import GPT2LMHeadModel
from minillm.training.checkpoint import read_index

from .jobs import JOBS_WARN, train
from .launching import JOBS, SECONDS, arrays_of, command, environment, launch

pytestmark = pytest.mark.filterwarnings(JOBS_WARN)


def by_ranks(ranks, folder, **options):
    """(the parameters that each rank ended with, the record of each)."""
    folder.mkdir(exist_ok=True)
    found = arrays_of(ranks, "training", folder, json.dumps(options))
    texts = [(folder / f"{rank}.json").read_text(encoding="utf-8") for rank in range(ranks)]
    return found, [json.loads(text) for text in texts]


def alone(folder=None, **options):
    """(the parameters, the history) of the same training in this process."""
    model, history = train(Ranks(), folder, workers=1, **options)
    return model.state_dict(), history


def largest_difference(one, two):
    """Over all parameters."""
    assert set(one) == set(two)
    return max(float(np.abs(np.asarray(one[n]) - two[n]).max()) for n in one)


# ------------------------------------------------------------------------- the same result


@pytest.mark.parametrize(
    ("ranks", "options", "tolerance"),
    [
        (2, {}, 1e-6),
        (4, {}, 1e-6),
        (4, {"dtype": "float64"}, 1e-13),
        (2, {"optimizer": "SGD"}, 1e-6),
        (3, {"accumulate": 2}, 1e-6),
        (4, {"shuffle": False}, 1e-6),
        (2, {"seeds": True}, 1e-6),  # each rank has another seed: the first one's counts
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_ranks_give_the_parameters_of_one_process_after_50_steps(
    ranks, options, tolerance, tmp_path
):
    # batches of 7, 7, 7 and 2 rows, so that some ranks have fewer rows than others, or none
    expected, history = alone(**options)
    found, records = by_ranks(ranks, tmp_path, **options)
    assert largest_difference(found[0], expected) < tolerance
    for one in found[1:]:
        assert all(one[name].tobytes() == found[0][name].tobytes() for name in expected)
    assert (expected["unused"] == 1).all()
    assert np.abs(expected["zeros"] - 0.1).max() > 0.001  # it did learn
    assert all(record == records[0] for record in records)
    np.testing.assert_allclose(records[0]["losses"], history.losses, rtol=0, atol=2e-6)
    for name in ("val_loss", "val_agree"):
        np.testing.assert_allclose(records[0][name], history.history[name], rtol=0, atol=2e-6)


def test_ranks_draw_the_dropout_masks_of_as_many_threads(tmp_path):
    found, _ = by_ranks(2, tmp_path, dropout=0.2)
    threads = train(Ranks(), None, dropout=0.2, workers=2)[0].state_dict()
    without = alone()[0]
    assert largest_difference(found[0], threads) < 1e-6
    assert largest_difference(found[0], without) > 1e-3


def test_device_arrays_train_to_the_same_bits(tmp_path):
    on_device, _ = by_ranks(2, tmp_path / "device", device="strict", steps=6)
    on_host, _ = by_ranks(2, tmp_path / "host", steps=6)
    for name, array in on_host[1].items():
        assert on_device[1][name].tobytes() == array.tobytes(), name


# ---------------------------------------------------------------- stopping, and going on


def test_a_checkpoint_of_two_ranks_is_continued_by_any_number(tmp_path):
    expected, _ = alone()
    for ranks in (1, 4):
        folder = tmp_path / str(ranks)
        by_ranks(2, folder, steps=23, checkpoint=True)
        assert read_index(folder / "checkpoint")["step"] == 23
        found, records = by_ranks(ranks, folder, checkpoint=True)
        assert largest_difference(found[-1], expected) < 1e-6
        assert len(records[0]["losses"]) == 50


@pytest.mark.parametrize(
    ("accident", "said"),
    [("fail", "ArithmeticError: step 7 on purpose"), ("die", ""), ("die first", "")],
)
def test_a_rank_that_ends_early_ends_the_job_and_leaves_a_checkpoint(accident, said, tmp_path):
    options = {"checkpoint": True, "on_step": accident}
    started = time.monotonic()
    done = launch(2, "training", tmp_path, json.dumps(options))
    assert time.monotonic() - started < 30
    assert done.returncode != 0
    assert said in done.stderr
    assert ("Traceback" in done.stderr) is bool(said)
    assert read_index(tmp_path / "checkpoint")["step"] == 5
    found, _ = by_ranks(2, tmp_path, checkpoint=True)  # nothing is locked, broken or in the way
    assert largest_difference(found[0], alone()[0]) < 1e-6


@pytest.mark.skipif(sys.platform == "win32", reason="a Ctrl-C cannot be sent to a job there")
@pytest.mark.parametrize("whole_group", [True, False], ids=["from the keyboard", "to mpiexec"])
def test_ctrl_c_saves_and_ends_after_the_step(whole_group, tmp_path):
    options = {"checkpoint": True, "on_step": "wait", "evaluate_every": 40}
    words = command(2, JOBS, "training", tmp_path, json.dumps(options))
    job = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        start_new_session=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: (tmp_path / "waiting.1").exists())
        (os.killpg if whole_group else os.kill)(job.pid, signal.SIGINT)
        output, _ = job.communicate(timeout=30)
    finally:
        job.kill()
    record = json.loads((tmp_path / "1.json").read_text(encoding="utf-8"))
    stopped = read_index(tmp_path / "checkpoint")["step"]
    assert record["interrupted"] is True
    assert 7 <= stopped == len(record["losses"]) < 40
    assert output.count("To go on, run the same with resume") == 1
    found, _ = by_ranks(1, tmp_path, checkpoint=True)
    assert largest_difference(found[0], alone()[0]) < 1e-6


def wait_until(condition):
    """Until it is true, or the test has waited too long."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


# ------------------------------------------------------------------------- the command line

TINY = (
    "--layers 1 --heads 2 --width 8 --block-size 8 --batch-size 3 --steps 6 --warmup 2 "
    "--evaluate-every 3"
)


def train_command(ranks, text, out, *more):
    """python -m minillm train, by so many ranks."""
    words = ["-m", "minillm", "train", "--text", text, "--out", out, *TINY.split(), *more]
    return subprocess.run(
        command(ranks, *words), capture_output=True, text=True, timeout=SECONDS, env=environment()
    )


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat, and the dog sat on the log. " * 20, encoding="utf-8")
    return path


def test_train_by_ranks_saves_the_model_of_one_process(text, tmp_path):
    outputs = {}
    for ranks in (1, 2):
        done = train_command(ranks, text, tmp_path / str(ranks))
        assert done.returncode == 0, done.stderr
        outputs[ranks] = done.stdout
    one, two = (load_file(tmp_path / str(ranks) / "model.safetensors") for ranks in (1, 2))
    assert largest_difference(one, two) < 1e-6
    assert GPT2LMHeadModel.from_pretrained(tmp_path / "2").num_parameters() > 0
    lines = outputs[2].splitlines()
    assert len(lines) == len(outputs[1].splitlines())  # nobody but the first rank prints
    assert "seed 1337; 2 processes" in outputs[2]
    assert (tmp_path / "2" / "loss.png").exists()


def test_train_goes_on_with_another_number_of_ranks(text, tmp_path):
    assert train_command(2, text, tmp_path / "run", "--steps", "3").returncode == 0
    again = train_command(2, text, tmp_path / "run")
    assert again.returncode != 0
    assert again.stderr.count("already holds a training") == 1
    assert "Traceback" not in again.stderr
    done = train_command(3, text, tmp_path / "run", "--resume")
    assert done.returncode == 0, done.stderr
    assert read_index(tmp_path / "run" / "checkpoint")["step"] == 6


def test_a_mistake_of_the_user_is_one_line_for_the_whole_job(tmp_path):
    done = train_command(3, tmp_path / "missing.txt", tmp_path / "run")
    assert done.returncode == 1
    complaints = [line for line in done.stderr.splitlines() if "minillm train: error:" in line]
    assert len(complaints) == 1
    assert "missing.txt" in complaints[0]
    assert "Traceback" not in done.stderr
