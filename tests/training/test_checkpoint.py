"""Checkpoints: nothing is lost by a kill, Ctrl-C, a full disk, a broken file or a NaN."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

import minillm
import minillm.files
import minillm.functional as F
from minillm import nn
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.optim import SGD, Adam, AdamW, schedule
from minillm.training import (
    CheckpointError,
    EarlyStopping,
    History,
    NonFiniteLossError,
    NotSavedError,
    fit,
    load_checkpoint,
    save_checkpoint,
)

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(minillm.__file__).parents[1])}

TRAINING = textwrap.dedent(
    """
    import json, sys, time
    import numpy as np
    import minillm
    import minillm.functional as F
    from minillm.backend import default_generator
    from minillm.data import TextBatches, TextWindows
    from minillm.models import GPT2Config, GPT2LMHeadModel
    from minillm.optim import AdamW, schedule
    from minillm.training import fit

    folder, result, mode, pause = sys.argv[1:]
    minillm.manual_seed(3)
    config = GPT2Config(vocab_size=11, n_positions=5, n_embd=8, n_layer=2, n_head=2,
                        resid_pdrop=0.2, embd_pdrop=0.3, attn_pdrop=0.1)
    model = GPT2LMHeadModel(config)
    optimizer = AdamW(model.named_parameters(), lr=0.02, weight_decay=0.1)
    ids = np.random.default_rng(7).integers(0, 11, 200)

    def on_step(step, history):
        print(step, flush=True)
        time.sleep(float(pause))

    history = fit(
        model, optimizer, TextBatches(ids, 5, 3, seed=4), TextWindows(ids[:40], 5), steps=14,
        loss=F.cross_entropy, schedule=schedule.cosine(optimizer, 3, 14, 0.001), accumulate=2,
        clip=1.0, evaluate_every=3, checkpoint=folder, resume=mode == "resume",
        on_step=on_step, progress=False,
    )
    arrays = {name: p.data for name, p in model.named_parameters()}
    for name, state in optimizer.state.items():
        arrays |= {f"{name}.{key}": np.asarray(value) for key, value in state.items()}
    np.savez(
        result, losses=np.array(history.losses), lr=optimizer.lr, steps=optimizer.steps,
        history=json.dumps(history.history), rng=json.dumps(default_generator().bit_generator.state),
        **arrays,
    )
    """
)


def run_training(script, folder, result, mode="fresh", pause=0):
    command = [sys.executable, script, folder, result, mode, str(pause)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)


def assert_same_results(first, second):
    with np.load(first) as a, np.load(second) as b:
        assert sorted(a) == sorted(b)
        assert len(a.files) > 60  # parameters, m, v and t of each, and the history
        for name in a:
            assert a[name].dtype == b[name].dtype
            assert a[name].tobytes() == b[name].tobytes(), name


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_killed_and_resumed_gives_the_same_bits_as_uninterrupted(tmp_path):
    script = tmp_path / "training.py"
    script.write_text(TRAINING, encoding="utf-8")
    whole = run_training(script, tmp_path / "a", tmp_path / "a.npz")
    killed = run_training(script, tmp_path / "b", tmp_path / "b.npz", pause=0.05)
    for line in killed.stdout:
        if int(line) == 8:
            killed.kill()
            break
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "b.npz").exists()
    index = json.loads((tmp_path / "b" / "checkpoint.json").read_text(encoding="utf-8"))
    assert index["step"] in {6, 9}
    resumed = run_training(script, tmp_path / "b", tmp_path / "b.npz", "resume")
    steps = resumed.communicate()[0].split()
    whole.communicate()
    assert steps[0] == str(index["step"] + 1)
    assert whole.returncode == resumed.returncode == 0
    assert_same_results(tmp_path / "a.npz", tmp_path / "b.npz")


# ------------------------------------------------------------------------------------ Ctrl-C


def train_command(text, out, *more):
    recipe = "--steps 500 --warmup 2 --layers 1 --heads 2 --width 8 --block-size 6 --batch-size 2"
    options = [*recipe.split(), "--dropout", "0.2", "--evaluate-every", "10"]
    return [sys.executable, "-m", "minillm", "train", "--text", text, "--out", out, *options, *more]


def wait_for(path, process):
    for _ in range(2000):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
def test_ctrl_c_saves_says_where_and_resumes_to_the_same_bits(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("pack my box with five dozen liquor jugs\n" * 20, encoding="utf-8")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(train_command(text, tmp_path / "b"), env=ENVIRONMENT, **pipes)
    wait_for(tmp_path / "b" / "checkpoint" / "checkpoint.json", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in out + err
    index = tmp_path / "b" / "checkpoint" / "checkpoint.json"
    step = json.loads(index.read_text(encoding="utf-8"))["step"]
    assert 10 <= step < 500
    assert f"Stopped after step {step}, saved in {tmp_path / 'b' / 'checkpoint'}" in out + err
    assert not (tmp_path / "b" / "model.safetensors").exists()
    for command in (
        train_command(text, tmp_path / "b", "--resume"),
        train_command(text, tmp_path / "a"),
    ):
        subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    a, b = (load_file(tmp_path / run / "model.safetensors") for run in "ab")
    assert list(a) == list(b)
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)
    histories = [
        json.loads((tmp_path / run / "checkpoint/checkpoint.json").read_text("utf-8"))["history"]
        for run in "ab"
    ]
    assert histories[0] == histories[1]


# --------------------------------------------------------------------------------- a full disk


def small_gpt(seed=5, **changes):
    sizes = {"vocab_size": 11, "n_positions": 6, "n_embd": 8, "n_layer": 1, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**{**sizes, **changes}), rng=np.random.default_rng(seed))


def bits(model):
    return {name: p.data.tobytes() for name, p in model.named_parameters()}


def saved(folder, step=4, model=None, optimizer_class=AdamW):
    """A checkpoint after one optimiser step; returns the bits of its parameters."""
    model = model or small_gpt(seed=1)
    optimizer = optimizer_class(model.named_parameters(), lr=0.1)
    for p in model.parameters():
        p.grad = np.ones_like(p.data)
    optimizer.step()
    save_checkpoint(folder, model, optimizer, step=step, history=History(), extra={"by": "me"})
    return bits(model)


def assert_holds(folder, step, expected):
    """The checkpoint is whole, and nothing half-written lies beside it."""
    model = small_gpt(seed=77)
    optimizer = AdamW(model.named_parameters())
    state = load_checkpoint(folder, model, optimizer)
    assert state == {"step": step, "extra": {"by": "me"}}
    assert bits(model) == expected
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 2, names
    assert names[0].startswith("arrays-")
    assert names[1] == "checkpoint.json"


FULL_DISK = textwrap.dedent(
    """
    import resource, sys
    import numpy as np
    from minillm.models import GPT2Config, GPT2LMHeadModel
    from minillm.training import save_checkpoint

    config = GPT2Config(vocab_size=11, n_positions=6, n_embd=8, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config, rng=np.random.default_rng(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        save_checkpoint(sys.argv[1], model, step=9)
    except OSError as error:
        print(error)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes on Windows")
@pytest.mark.parametrize("limit", [100, 1500])
def test_a_disk_that_is_really_full_leaves_the_old_checkpoint(tmp_path, limit):
    expected = saved(tmp_path / "run")
    command = [sys.executable, "-c", FULL_DISK, tmp_path / "run", str(limit)]
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    assert "cannot write" in done.stdout
    assert str(tmp_path / "run") in done.stdout
    assert_holds(tmp_path / "run", 4, expected)


def fail_when(function, condition):
    def failing(*arguments):
        if condition(*map(str, arguments)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return function(*arguments)

    return failing


@pytest.mark.parametrize("file", ["arrays", "checkpoint.json"])
@pytest.mark.parametrize("step", [4, 9])  # 4: the step of the old checkpoint, saved again
def test_a_failing_rename_leaves_the_old_checkpoint(tmp_path, monkeypatch, file, step):
    expected = saved(tmp_path)
    with monkeypatch.context() as patch:
        bad = fail_when(os.replace, lambda source, target: file in Path(target).name)
        patch.setattr(os, "replace", bad)
        with pytest.raises(OSError, match="No space left on device") as caught:
            saved(tmp_path, step, small_gpt(seed=2))
    assert caught.value.errno == errno.ENOSPC
    assert str(tmp_path) in str(caught.value)
    assert_holds(tmp_path, 4, expected)


def write_half(*arguments, **options):
    Path(arguments[-1]).write_bytes(b"half of it")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_half_in_rust(*arguments, **options):
    Path(arguments[-1]).write_bytes(b"half of it")
    raise SafetensorError("Error while serializing: IoError(StorageFull)")


@pytest.mark.parametrize("failing", [write_half, write_half_in_rust])
def test_a_half_written_array_file_is_removed_again(tmp_path, monkeypatch, failing):
    expected = saved(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("minillm.files.save_file", failing)
        with pytest.raises(OSError, match="cannot write"):
            saved(tmp_path, 9)
    assert_holds(tmp_path, 4, expected)


def test_saving_the_same_step_again_and_again_keeps_the_newest(tmp_path):
    for seed in (1, 2, 3):
        expected = saved(tmp_path, model=small_gpt(seed=seed))
        assert_holds(tmp_path, 4, expected)


def test_a_folder_that_is_a_file_is_explained(tmp_path):
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    with pytest.raises(OSError, match="cannot write"):
        save_checkpoint(tmp_path / "run", small_gpt(), step=1)


class Line(nn.Module):
    """weight * x, one weight."""

    def __init__(self):
        self.weight = nn.Parameter(np.ones(1, dtype=np.float32))

    def forward(self, x):
        return self.weight * x


def mean_output(output, target):
    return output.mean()


def ones(n):
    return [(np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.float32))] * n


def fit_line(batches=None, model=None, **options):
    model = model or Line()
    optimizer = SGD(model.named_parameters(), lr=options.pop("lr", 0.25))
    options = {"loss": mean_output, "progress": False, "steps": 4, "evaluate_every": 1, **options}
    history = fit(model, optimizer, batches or ones(4), **options)
    return model, history


def test_a_failed_save_in_mid_training_is_a_warning_and_training_goes_on(tmp_path, monkeypatch):
    bad = fail_when(os.replace, lambda source, target: "arrays-00000002" in target)
    monkeypatch.setattr(os, "replace", bad)
    with pytest.warns(UserWarning, match=r"step 2: .*No space left.*goes on"):
        model, history = fit_line(checkpoint=tmp_path)
    assert len(history.losses) == 4
    assert model.weight.data[0] == 0  # 1 - 4 steps of 0.25
    assert load_checkpoint(tmp_path, Line())["step"] == 4


def test_a_failed_save_at_the_end_is_an_error_and_the_last_one_survives(tmp_path, monkeypatch):
    bad = fail_when(os.replace, lambda source, target: "arrays-00000004" in target)
    monkeypatch.setattr(os, "replace", bad)
    with pytest.raises(OSError, match="No space left"):
        fit_line(checkpoint=tmp_path)
    model = Line()
    assert load_checkpoint(tmp_path, model)["step"] == 3
    assert model.weight.data[0] == 0.25


@pytest.mark.parametrize("stopping", [None, EarlyStopping(patience=9)])
def test_what_was_trained_outlives_a_failed_save_at_the_end(tmp_path, monkeypatch, stopping):
    bad = fail_when(os.replace, lambda source, target: "arrays-00000004" in target)
    model = Line()
    options = {"checkpoint": tmp_path, "validation": ones(1)}
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", bad)
        with pytest.raises(NotSavedError) as caught:
            fit_line(model=model, early_stopping=stopping, **options)
    assert caught.value.errno == errno.ENOSPC
    assert "checkpoint of step 3 is kept" in str(caught.value)
    assert model.weight.data[0] == 0
    assert not model.training
    # the losses of w x for w = 1, 0.75, …, and each evaluation after its step
    assert caught.value.history.losses == [1, 0.75, 0.5, 0.25]
    assert caught.value.history.history["val_loss"] == [0.75, 0.5, 0.25, 0]
    fit_line(resume=True, **options)  # the folder is free


# ------------------------------------------------------------------- Ctrl-C at the last step


class CtrlCAtTheEnd:
    """Data for validation; whoever evaluates on it in the last step presses Ctrl-C."""

    def __init__(self, steps):
        self.left = steps

    def __iter__(self):
        self.left -= 1
        if not self.left:
            signal.raise_signal(signal.SIGINT)
        return iter(ones(1))


def test_ctrl_c_during_the_last_evaluation_finds_the_training_complete(tmp_path, capfd):
    stopping = EarlyStopping(patience=9, mode="max")  # the best is the first
    model, history = fit_line(
        checkpoint=tmp_path, validation=CtrlCAtTheEnd(4), early_stopping=stopping, progress=True
    )
    assert history.interrupted
    assert history.history["val_loss"] == [0.75, 0.5, 0.25, 0]
    assert model.weight.data[0] == 0.75
    assert load_checkpoint(tmp_path, Line())["step"] == 4
    captured = capfd.readouterr()
    assert "the training is complete" in captured.out + captured.err
    assert "resume" not in captured.out + captured.err


# ------------------------------------------------------------------- two processes, one folder


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_second_training_into_the_same_folder_is_refused_until_the_first_is_gone(tmp_path):
    script = tmp_path / "training.py"
    script.write_text(TRAINING, encoding="utf-8")
    first = run_training(script, tmp_path / "a", tmp_path / "a.npz", pause=0.2)
    assert first.stdout.readline().strip() == "1"
    with pytest.raises(OSError, match=rf"in use by another training \(process {first.pid}\)"):
        fit_line(checkpoint=tmp_path / "a")
    first.kill()
    first.wait()
    first.stdout.close()
    fit_line(checkpoint=tmp_path / "a")
    assert load_checkpoint(tmp_path / "a", Line())["step"] == 4


def test_a_folder_is_free_again_when_its_training_has_failed(tmp_path):
    with pytest.raises(NonFiniteLossError):
        fit_line(checkpoint=tmp_path, loss=lambda output, target: output.mean() * math.nan)
    fit_line(checkpoint=tmp_path)


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch):
    def no_locks(handle):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(minillm.files, "_lock", no_locks)
    with pytest.warns(UserWarning, match="No locks available"):
        fit_line(checkpoint=tmp_path)


# --------------------------------------------------------------------- broken and foreign files


def arrays_of(folder):
    [path] = folder.glob("arrays-*.safetensors")
    return path


def edit_index(folder, change):
    path = folder / "checkpoint.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    change(index)
    path.write_text(json.dumps(index), encoding="utf-8")


def truncate(folder):
    path = arrays_of(folder)
    path.write_bytes(path.read_bytes()[:-40])


def write_index(content):
    return lambda folder: (folder / "checkpoint.json").write_bytes(content)


DAMAGES = {
    "arrays cut off": truncate,
    "arrays empty": lambda folder: arrays_of(folder).write_bytes(b""),
    "arrays garbage": lambda folder: arrays_of(folder).write_bytes(b"\x80\x04garbage" * 20),
    "arrays gone": lambda folder: arrays_of(folder).unlink(),
    "index gone": lambda folder: (folder / "checkpoint.json").unlink(),
    "index empty": write_index(b""),
    "index cut off": write_index(b'{"format": "minillm-checkpoint-1", "step": 4'),
    "index not UTF-8": write_index(b'{"format": "\xff"}'),
    "index a list": write_index(b"[1, 2]"),
    "index another JSON": write_index(b'{"model_type": "gpt2"}'),
    "index another format": write_index(b'{"format": "minillm-checkpoint-99", "step": 4}'),
    "index without the rest": write_index(b'{"format": "minillm-checkpoint-1"}'),
    "index without a step": lambda folder: edit_index(folder, lambda i: i.pop("step")),
    "index without generators": lambda folder: edit_index(folder, lambda i: i.pop("generators")),
    "index without optimizer steps": lambda folder: edit_index(
        folder, lambda i: i["optimizer"].pop("steps")
    ),
    "history is a list": lambda folder: edit_index(folder, lambda i: i.update(history=[1])),
}


def assert_refused(folder, model, optimizer):
    """One clear message that names the file or its folder; the model is what it was."""
    before = bits(model)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder, model, optimizer, history=History())
    assert str(folder) in str(caught.value)
    assert bits(model) == before
    return str(caught.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_and_the_model_stays(tmp_path, damage):
    saved(tmp_path)
    DAMAGES[damage](tmp_path)
    model = small_gpt(seed=77)
    message = assert_refused(tmp_path, model, AdamW(model.named_parameters()))
    assert "\n" not in message


@pytest.mark.parametrize("damage", ["arrays cut off", "index empty", "index another JSON"])
def test_resume_never_starts_anew_over_a_damaged_checkpoint(tmp_path, damage):
    fit_line(checkpoint=tmp_path)
    DAMAGES[damage](tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CheckpointError, match="checkpoint"):
        fit_line(checkpoint=tmp_path, resume=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_checkpoint_of_another_shape_is_refused_by_name(tmp_path):
    saved(tmp_path, model=small_gpt(n_embd=4))
    model = small_gpt()
    message = assert_refused(tmp_path, model, AdamW(model.named_parameters()))
    assert "transformer.h.0.attn.c_attn.bias" in message
    assert "(12,)" in message  # 3 C for C = 4, in the file
    assert "(24,)" in message  # and for C = 8, here


def test_a_checkpoint_of_another_depth_is_refused(tmp_path):
    saved(tmp_path, model=small_gpt(n_layer=2))
    model = small_gpt()
    message = assert_refused(tmp_path, model, AdamW(model.named_parameters()))
    assert "transformer.h.1." in message


def test_weights_of_another_shape_are_refused_without_an_optimizer_too(tmp_path):
    saved(tmp_path, model=small_gpt(n_embd=4))
    assert "(11, 4)" in assert_refused(tmp_path, small_gpt(), None)


@pytest.mark.parametrize("other", [SGD, Adam])
def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path, other):
    saved(tmp_path)
    model = small_gpt(seed=77)
    message = assert_refused(tmp_path, model, other(model.named_parameters(), lr=0.1))
    assert "AdamW" in message
    assert other.__name__ in message


def test_a_checkpoint_without_an_optimizer_is_refused_for_training(tmp_path):
    save_checkpoint(tmp_path, small_gpt(seed=1), step=4)
    model = small_gpt(seed=77)
    assert "optimiser" in assert_refused(tmp_path, model, AdamW(model.named_parameters()))


def test_a_refused_checkpoint_leaves_the_optimizer_alone_as_well(tmp_path):
    saved(tmp_path)
    arrays = load_file(arrays_of(tmp_path))
    arrays["model.transformer.ln_f.bias"] = np.zeros(3, dtype=np.float32)
    save_file(arrays, arrays_of(tmp_path))
    model = small_gpt(seed=77)
    optimizer = AdamW(model.named_parameters(), lr=0.5)
    assert "transformer.ln_f.bias" in assert_refused(tmp_path, model, optimizer)
    assert (optimizer.steps, optimizer.lr, optimizer.state) == (0, 0.5, {})


def test_other_random_generators_are_refused_and_the_model_stays(tmp_path):
    def build(rng, fill):
        model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.3, rng=rng))
        for p in model.parameters():
            p.data[...] = fill
        return model

    save_checkpoint(tmp_path, build(np.random.default_rng(0), 1.0), step=4)
    model = build(None, 2.0)
    assert_refused(tmp_path, model, None)


def test_generators_of_modules_go_on_where_they_were(tmp_path):
    first = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.3, rng=np.random.default_rng(1)))
    x = np.ones((50, 2), dtype=np.float32)
    first(x)
    save_checkpoint(tmp_path, first, step=1)
    after = first(x).numpy()
    second = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.3, rng=np.random.default_rng(2)))
    load_checkpoint(tmp_path, second)
    assert second(x).numpy().tobytes() == after.tobytes()


def test_checkpoints_hold_no_pickle(tmp_path):
    saved(tmp_path)
    json.loads((tmp_path / "checkpoint.json").read_text(encoding="utf-8"))
    arrays = load_file(arrays_of(tmp_path))
    assert {name.partition(".")[0] for name in arrays} == {"model", "optimizer", "history"}


def test_the_losses_of_all_steps_are_numbers_and_not_text(tmp_path):
    sizes = []
    for steps in (1, 1000):
        history = History()
        history.losses = [1 / 3] * steps
        save_checkpoint(tmp_path, nn.Linear(2, 3), history=history)
        sizes.append((tmp_path / "checkpoint.json").stat().st_size)
    assert abs(sizes[1] - sizes[0]) < 20  # the name of the second file is longer
    load_checkpoint(tmp_path, nn.Linear(2, 3), history=(again := History()))
    assert again.losses == [1 / 3] * 1000


def test_losses_in_the_index_as_older_versions_wrote_them_are_read(tmp_path):
    history = History()
    history.losses = [1 / 3]
    save_checkpoint(tmp_path, nn.Linear(2, 3), history=history)
    arrays = load_file(arrays_of(tmp_path))
    del arrays["history.losses"]
    save_file(arrays, arrays_of(tmp_path))
    with pytest.raises(CheckpointError, match="losses"):
        load_checkpoint(tmp_path, nn.Linear(2, 3), history=History())
    path = tmp_path / "checkpoint.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    index["history"]["losses"] = [2 / 3]
    path.write_text(json.dumps(index), encoding="utf-8")
    load_checkpoint(tmp_path, nn.Linear(2, 3), history=(again := History()))
    assert again.losses == [2 / 3]


# --------------------------------------------------------------- the same bits within one process


class StopError(Exception):
    """Ends a training from outside."""


def stop_at(number):
    def on_step(step, history):
        if step == number:
            raise StopError

    return on_step


@pytest.mark.parametrize("shuffle", [False, True])
def test_arrays_resumed_in_the_same_process_give_the_same_bits(tmp_path, rng, shuffle):
    x = rng.standard_normal((10, 3)).astype(np.float32)
    y = rng.standard_normal((10, 2)).astype(np.float32)

    def train(**options):
        model = nn.Linear(3, 2, rng=np.random.default_rng(1))
        optimizer = SGD(model.named_parameters(), lr=0.1, momentum=0.5)

        def loss(out, target):
            return ((out - target) * (out - target)).mean()

        options = {"steps": 9, "loss": loss, "batch_size": 3, "shuffle": shuffle, **options}
        fit(model, optimizer, (x, y), progress=False, evaluate_every=2, **options)
        return model.weight.numpy().tobytes()

    minillm.manual_seed(3)
    whole = train()
    minillm.manual_seed(3)
    with pytest.raises(StopError):
        train(checkpoint=tmp_path, on_step=stop_at(5))
    assert train(checkpoint=tmp_path, resume=True) == whole


def test_resume_without_a_checkpoint_starts_at_the_beginning(tmp_path):
    model, history = fit_line(checkpoint=tmp_path / "new", resume=True)
    assert len(history.losses) == 4
    assert model.weight.data[0] == 0


def test_resume_of_a_finished_training_changes_nothing(tmp_path):
    fit_line(checkpoint=tmp_path)
    model, history = fit_line(checkpoint=tmp_path, resume=True)
    assert model.weight.data[0] == 0
    assert len(history.losses) == 4


# ------------------------------------------------------------------------------------ NaN and Inf


class Logarithm(Line):
    def forward(self, x):
        return F.log(self.weight * x)


class Root(Line):
    def forward(self, x):
        return F.sqrt(self.weight + x)


def batch_of(number):
    return np.array([number], dtype=np.float32), np.zeros(1, dtype=np.float32)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_in_the_loss_names_step_and_operation_and_spoils_nothing(tmp_path):
    model = Logarithm()
    batches = [batch_of(2.0), batch_of(3.0), batch_of(-1.0), batch_of(1.0)]
    with pytest.raises(NonFiniteLossError) as caught:
        fit_line(batches, model, checkpoint=tmp_path, lr=0.125)
    message = str(caught.value)
    assert "step 3" in message
    assert "the loss is not finite" in message
    assert "log" in message.split("not finite")[1]
    assert f"step 2 is kept in {tmp_path}" in message
    # d log(w x) / d w = 1 / w:  w = 1 - 0.125 = 0.875, then 0.875 - 0.125 / 0.875
    np.testing.assert_allclose(model.weight.data, 0.875 - 0.125 / 0.875, rtol=1e-6)
    kept = Logarithm()
    assert load_checkpoint(tmp_path, kept)["step"] == 2
    assert kept.weight.data.tobytes() == model.weight.data.tobytes()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_inf_in_the_gradient_names_step_and_operation_and_spoils_nothing(tmp_path):
    model = Root()
    batches = [batch_of(3.0), batch_of(-1.0), batch_of(3.0)]  # sqrt'(0) = Inf, sqrt(0) is finite
    with pytest.raises(NonFiniteLossError) as caught:
        fit_line(batches, model, checkpoint=tmp_path, lr=0.0)
    message = str(caught.value)
    assert "step 2" in message
    assert "the gradient is not finite" in message
    assert "sqrt" in message
    assert "backward" in message
    assert model.weight.data[0] == 1
    assert load_checkpoint(tmp_path, Root())["step"] == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_without_a_checkpoint_says_that_none_was_saved():
    with pytest.raises(NonFiniteLossError, match=r"(?s)step 1: .*no checkpoint was saved"):
        fit_line([batch_of(-1.0)], Logarithm())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("bad_first", [True, False])
def test_nan_in_any_accumulated_batch_names_the_operation(bad_first):
    batches = [batch_of(-1.0), batch_of(2.0)][:: 1 if bad_first else -1]
    with pytest.raises(NonFiniteLossError) as caught:
        fit_line(batches, Logarithm(), accumulate=2)
    assert "log" in str(caught.value).split("not finite")[1]


def test_a_nan_in_the_input_is_not_blamed_on_an_operation():
    with pytest.raises(NonFiniteLossError, match="a parameter or input holds them"):
        fit_line([batch_of(np.nan)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_parameters_that_overflow_never_replace_the_last_good_checkpoint(tmp_path):
    model = Line()
    optimizer = SGD(model.named_parameters(), lr=0.25)

    def on_step(step, history):
        if step == 2:
            optimizer.groups[0]["lr"] = 1e39  # the third step ends in -Inf

    options = {"steps": 5, "evaluate_every": 1, "progress": False, "on_step": on_step}
    with pytest.raises(NonFiniteLossError):
        fit(model, optimizer, ones(5), loss=mean_output, checkpoint=tmp_path, **options)
    kept = Line()
    load_checkpoint(tmp_path, kept)
    assert np.isfinite(kept.weight.data).all()


def test_after_a_failed_load_the_optimizer_still_trains_the_model(tmp_path):
    saved = nn.Linear(2, 3)
    save_checkpoint(tmp_path, saved)
    model = nn.Linear(2, 3)
    optimizer = AdamW(model.named_parameters(), lr=0.1)
    rates = schedule.linear(optimizer, 1, 10)
    with pytest.raises(CheckpointError, match="does not fit"):  # saved without an optimiser
        load_checkpoint(tmp_path, model, optimizer, schedule=rates)
    assert [p for _, p in optimizer.groups[0]["params"]] == list(model.parameters())
    assert rates.optimizer is optimizer
