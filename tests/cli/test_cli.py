"""The command line, as a user meets it."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import minillm
from minillm.cli import main
from minillm.cli.main import COMMANDS
from minillm.training import loop
from minillm.training.checkpoint import read_index

WIDTH = 88
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(minillm.__file__).parents[1]),
    "COLUMNS": str(WIDTH),
    "PYTHONIOENCODING": "utf-8",
}
PROSE = (
    "The quick brown fox jumps over the lazy dog.\n"
    "Pack my box with five dozen liquor jugs!\n"
    "How vexingly quick daft zebras jump; 1234567890 times.\n"
)
TINY = "--layers 1 --heads 2 --width 8 --block-size 8 --batch-size 2 --warmup 1"


def write_text(folder, text=PROSE * 14, name="text.txt"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def python_m(*arguments, cwd=None):
    """python -m minillm, as a process of its own."""
    command = [sys.executable, "-m", "minillm", *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, cwd=cwd, capture_output=True, encoding="utf-8")


def train_tiny(text, out, *more):
    return main(["train", "--text", str(text), "--out", str(out), *TINY.split(), *map(str, more)])


def too_wide(output, *allowed):
    """Lines beyond the width that hold none of the allowed paths and commands."""
    return [
        line
        for line in output.splitlines()
        if len(line) > WIDTH and not any(str(a) in line for a in ("python -m", *allowed))
    ]


def assert_one_line_error(capsys, command, *words):
    assert main([str(word) for word in command]) == 1
    captured = capsys.readouterr()
    assert captured.err.endswith("\n")
    [line] = captured.err.splitlines()
    assert line.startswith(f"minillm {command[0]}: error: ")
    for word in words:
        assert str(word) in line
    return captured.out


# ------------------------------------------------------------------------------------- demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo, six steps of it, run once."""
    folder = tmp_path_factory.mktemp("demo")
    text = write_text(folder)
    done = python_m("demo", "--steps", 6, "--text", text, "--out", "runs/my demo", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def next_commands(output):
    lines = output.split("Three things to try next:\n")[1].splitlines()
    return [line.strip() for line in lines if line.strip()]


@pytest.mark.parametrize("picture", ["loss.png", "attention.png"])
def test_demo_draws_pictures_that_are_not_empty(demo, picture):
    path = demo[0] / "runs" / "my demo" / picture
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = imread(path)
    assert min(pixels.shape[:2]) > 300
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 50


def test_demo_saves_a_model_that_can_be_loaded(demo):
    folder = demo[0] / "runs" / "my demo"
    model, tokenizer = minillm.cli.common.load_model(folder)
    assert tokenizer.characters == sorted(set(PROSE))
    assert model.config.vocab_size == len(set(PROSE))
    assert all(np.isfinite(p.data).all() for p in model.parameters())


def test_demo_shows_samples_before_halfway_and_after(demo):
    titles = ["Before training", "Halfway, after 3 steps", "After 6 steps"]
    places = [demo[1].index(title) for title in titles]
    assert places == sorted(places)


def test_demo_compares_itself_with_honest_baselines(demo):
    rows = re.findall(r"^  (\S.*?) +(\d+\.\d{3}) +(\d+\.\d{3})  ", demo[1], re.MULTILINE)
    values = {name: (float(bits), float(nats)) for name, bits, nats in rows}
    assert set(values) == {"uniform", "unigram", "bigram", "zlib", "lzma", "this GPT"}
    uniform = np.log2(len(set(PROSE)))  # the text is ASCII: a byte is a character
    assert abs(values["uniform"][0] - uniform) < 0.001
    for bits, nats in values.values():
        assert abs(bits * np.log(2) - nats) < 0.002
    best = min(values, key=lambda name: values[name][0])
    assert f"Best: {best}." in demo[1]


def test_demo_says_what_it_saved_and_where(demo):
    assert "Saved in runs/my demo: the model, loss.png and attention.png" in demo[1]


def test_demo_prints_no_line_that_is_too_wide(demo):
    assert too_wide(demo[1], demo[0]) == []


def test_demo_names_three_commands(demo):
    commands = next_commands(demo[1])
    assert [shlex.split(c)[:4] for c in commands] == [
        ["python", "-m", "minillm", name] for name in ("generate", "gradcheck", "train")
    ]


def test_the_generate_command_that_demo_prints_works(demo):
    words = shlex.split(next_commands(demo[1])[0])[3:]
    done = python_m(*words, "--tokens", 5, cwd=demo[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The")


def test_the_train_command_that_demo_prints_works(demo):
    words = shlex.split(next_commands(demo[1])[2])[3:]
    words = ["text.txt" if word == "FILE" else word for word in words]
    done = python_m(*words, *TINY.split(), "--steps", 2, cwd=demo[0])
    assert done.returncode == 0, done.stderr
    assert (demo[0] / words[-1] / "model.safetensors").exists()


def test_demo_on_a_text_that_lacks_its_prompt_prints_a_command_that_works(tmp_path):
    """A text without T, h, e or A that begins with a quote and a line end."""
    text = write_text(tmp_path, "\n'春眠不觉晓处处闻啼鸟夜来风雨声花落知多少'\n" * 40)
    done = python_m("demo", "--steps", 2, "--text", text, "--out", "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    words = shlex.split(next_commands(done.stdout)[0])[3:]
    again = python_m(*words, "--tokens", 3, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")


def press_ctrl_c(monkeypatch, module, step):
    """In a training that a module starts, after so many steps."""
    original = module.fit

    def fit(*arguments, on_step=None, **options):
        def press(number, history):
            if on_step is not None:
                on_step(number, history)
            if number == step:
                signal.raise_signal(signal.SIGINT)

        return original(*arguments, on_step=press, **options)

    monkeypatch.setattr(module, "fit", fit)


def test_ctrl_c_in_the_demo_saves_what_was_trained(tmp_path, monkeypatch, capsys):
    text, out = write_text(tmp_path), tmp_path / "run"
    press_ctrl_c(monkeypatch, minillm.cli.demo, step=2)
    command = ["demo", "--steps", "4", "--text", str(text), "--out", str(out)]
    for folder in (out, out / "interrupted"):  # the second one does not replace the first
        assert main(command) == 130
        said = capsys.readouterr().out
        assert f"after 2 of 4 steps is saved in {folder}.\n" in said
        assert main(["generate", "--model", str(folder), "--tokens", "2"]) == 0
        capsys.readouterr()


def test_ctrl_c_at_the_last_step_of_the_demo_lets_it_end(tmp_path, monkeypatch, capsys):
    text, out = write_text(tmp_path), tmp_path / "run"
    press_ctrl_c(monkeypatch, minillm.cli.demo, step=2)
    assert main(["demo", "--steps", "2", "--text", str(text), "--out", str(out)]) == 130
    assert "Three things to try next" in capsys.readouterr().out
    assert (out / "model.safetensors").exists()


def test_the_demo_shows_its_results_though_it_cannot_save(tmp_path, monkeypatch, capsys):
    def save_model(*arguments):
        raise OSError(errno.ENOSPC, "cannot write model: No space left on device")

    monkeypatch.setattr(minillm.cli.common, "save_model", save_model)
    text, out = write_text(tmp_path), tmp_path / "run"
    assert main(["demo", "--steps", "2", "--text", str(text), "--out", str(out)]) == 1
    captured = capsys.readouterr()
    assert "How good is that?" in captured.out
    assert "Saved" not in captured.out
    assert "No space left on device" in captured.err.splitlines()[-1]


# -------------------------------------------------------------------------- train and generate


def test_train_saves_a_model_and_names_the_next_command(tmp_path, capsys):
    assert train_tiny(write_text(tmp_path), tmp_path / "run", "--steps", 4) == 0
    out = capsys.readouterr().out
    assert too_wide(out, tmp_path) == []
    [line] = [line for line in out.splitlines() if line.startswith("next:")]
    words = shlex.split(line.removeprefix("next:"))
    assert words[:3] == ["python", "-m", "minillm"]
    assert main([*words[3:], "--prompt", "The", "--tokens", "4"]) == 0
    assert len(capsys.readouterr().out.rstrip("\n")) <= len("The") + 4


def test_train_reports_the_validation_loss_in_three_units(tmp_path, capsys):
    train_tiny(write_text(tmp_path), tmp_path / "run", "--steps", 2)
    out = capsys.readouterr().out
    nats = float(re.search(r"validation loss (\d+\.\d+) nats", out)[1])
    perplexity = float(re.search(r"perplexity\s+(\d+\.\d+)", out)[1])
    bits = float(re.search(r"(\d+\.\d+) bits per byte", out)[1])
    assert abs(np.exp(nats) - perplexity) < 0.01
    assert abs(nats / np.log(2) - bits) < 0.001  # ASCII
    length = len(PROSE * 14)
    assert f"over all {length - int(length * 0.9) - 1}" in out


def test_train_twice_gives_the_same_bits_and_another_seed_others(tmp_path):
    text = write_text(tmp_path)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_tiny(text, tmp_path / name, "--steps", 3, "--dropout", 0.2, "--seed", seed)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("workers", [1, 3])
def test_train_shares_each_batch_among_the_workers_it_is_told(tmp_path, workers):
    out = tmp_path / "run"
    train_tiny(write_text(tmp_path), out, "--steps", 2, "--workers", workers)
    assert read_index(out / "checkpoint")["extra"]["workers"] == workers


def test_train_resumes_to_a_larger_number_of_steps(tmp_path):
    text = write_text(tmp_path)
    train_tiny(text, tmp_path / "run", "--steps", 3)
    assert train_tiny(text, tmp_path / "run", "--steps", 5, "--resume") == 0
    index = tmp_path / "run" / "checkpoint" / "checkpoint.json"
    assert json.loads(index.read_text(encoding="utf-8"))["step"] == 5


def press_ctrl_c_in_the_last_evaluation(monkeypatch, evaluations):
    left, original = [evaluations], loop.evaluate

    def evaluate(*arguments, **options):
        left[0] -= 1
        if not left[0]:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments, **options)

    monkeypatch.setattr(loop, "evaluate", evaluate)


def test_ctrl_c_after_the_last_step_loses_nothing(tmp_path, monkeypatch, capsys):
    text = write_text(tmp_path)
    options = ["--steps", 4, "--evaluate-every", 2]
    train_tiny(text, tmp_path / "whole", *options)
    press_ctrl_c_in_the_last_evaluation(monkeypatch, 2)
    capsys.readouterr()
    assert train_tiny(text, tmp_path / "run", *options) == 130
    captured = capsys.readouterr()
    assert "the training is complete" in captured.out + captured.err
    assert f"saved in {tmp_path / 'run'}" in captured.out
    whole, run = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "run"))
    assert whole == run


def test_resume_of_a_complete_training_saves_its_model(tmp_path, capsys):
    """As after a kill between the last checkpoint and the model."""
    text, out = write_text(tmp_path), tmp_path / "run"
    train_tiny(text, out, "--steps", 3)
    said = capsys.readouterr().out
    before = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").unlink()
    assert train_tiny(text, out, "--steps", 3, "--resume") == 0
    again = capsys.readouterr().out
    assert (out / "model.safetensors").read_bytes() == before
    assert "step 3 is reached already" in again
    loss = re.compile(r"validation loss \S+")
    assert loss.findall(again) == loss.findall(said)
    assert train_tiny(text, out, "--steps", 2, "--resume") == 1
    assert "more --steps" in capsys.readouterr().err


def test_resume_begins_anew_where_a_training_was_killed_before_its_first_checkpoint(
    tmp_path, capsys
):
    out = tmp_path / "run"
    arguments = ["train", "--text", write_text(tmp_path), "--out", out, *TINY.split(), "--resume"]
    assert main([str(argument) for argument in arguments]) == 0
    assert f"--resume: {out} holds no checkpoint yet: the training begins anew\n" in (
        capsys.readouterr().out
    )
    assert (out / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("more", "before", "now"),
    [
        (["--width", 12], "--width 8", "--width 12"),
        (["--heads", 1], "--heads 2", "--heads 1"),  # the same shapes, and another model
        (["--bias"], "no --bias", "--bias"),
        (["--lr", 0.5, "--block-size", 9], "--block-size 8 --lr 0.001", "--block-size 9 --lr 0.5"),
    ],
)
def test_what_is_resumed_must_have_the_same_sizes(tmp_path, capsys, more, before, now):
    text, out = write_text(tmp_path), tmp_path / "run"
    train_tiny(text, out, "--steps", 2)
    capsys.readouterr()
    arguments = ["train", "--text", text, "--out", out, *TINY.split(), "--steps", 3, "--resume"]
    assert_one_line_error(capsys, [*arguments, *more], f"has {before}, and not {now}")


def test_what_is_resumed_must_have_the_same_characters(tmp_path, capsys):
    train_tiny(write_text(tmp_path), tmp_path / "run", "--steps", 2)
    other = write_text(tmp_path, PROSE.replace("T", "Ä") * 14, "other.txt")
    capsys.readouterr()
    arguments = ["train", "--text", other, "--out", tmp_path / "run", *TINY.split(), "--resume"]
    assert_one_line_error(capsys, [*arguments, "--steps", 3], "give the same --text")


def test_a_model_that_is_trained_is_saved_though_its_checkpoint_is_not(
    tmp_path, monkeypatch, capsys
):
    def replace(source, target):
        if "arrays-00000004" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(source, target)

    original, out = os.replace, tmp_path / "run"
    monkeypatch.setattr(os, "replace", replace)
    assert train_tiny(write_text(tmp_path), out, "--steps", 4, "--evaluate-every", 2) == 1
    captured = capsys.readouterr()
    line = captured.err.splitlines()[-1]
    assert line.startswith("minillm train: error: ")
    assert "the checkpoint of step 2 is kept" in line
    assert "validation loss" in captured.out
    assert f"saved in {out}" in captured.out
    assert main(["generate", "--model", str(out), "--tokens", "2"]) == 0


def test_results_are_shown_though_the_model_cannot_be_saved(tmp_path, monkeypatch, capsys):
    def save_model(*arguments):
        raise OSError(errno.ENOSPC, "cannot write model: No space left on device")

    monkeypatch.setattr(minillm.cli.common, "save_model", save_model)
    assert train_tiny(write_text(tmp_path), tmp_path / "run", "--steps", 2) == 1
    captured = capsys.readouterr()
    assert "No space left on device" in captured.err.splitlines()[-1]
    assert "validation loss" in captured.out
    assert "saved in" not in captured.out
    assert "generate" not in captured.out
    assert (tmp_path / "run" / "loss.png").exists()


def test_the_published_recipe_is_the_default():
    r = minillm.cli.common.PRESETS["nanogpt-cpu"]
    assert (r.block_size, r.batch_size, r.layers, r.heads, r.width) == (64, 12, 4, 4, 128)
    assert (r.steps, r.warmup, r.lr, r.min_lr, r.beta1, r.beta2) == (
        2000,
        100,
        1e-3,
        1e-4,
        0.9,
        0.99,
    )
    assert (r.weight_decay, r.clip, r.dropout, r.bias) == (0.1, 1.0, 0.0, False)


def test_weight_decay_is_for_matrices_only():
    recipe = minillm.cli.common.Recipe(block_size=8, width=8, heads=2, layers=1, bias=True)
    task = minillm.cli.common.prepare(PROSE * 5, recipe, 0, "cpu")
    for group in task.optimizer.groups:
        for name, p in group["params"]:
            assert group["weight_decay"] == (0.1 if p.ndim == 2 else 0.0), name
    counted = sum(len(group["params"]) for group in task.optimizer.groups)
    assert counted == len(list(task.model.parameters()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    assert train_tiny(write_text(folder), folder / "run", "--steps", 2) == 0
    return folder / "run"


@pytest.mark.parametrize("more", [[], ["--greedy"], ["--top-k", "2", "--temperature", "0.5"]])
def test_generate_writes_the_prompt_and_as_many_characters_as_asked(trained, capsys, more):
    command = ["generate", "--model", str(trained), "--prompt", "fox", "--tokens", "30", *more]
    texts = []
    for _ in range(2):
        assert main(command) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert texts[0].startswith("fox")
    assert len(texts[0]) == 3 + 30 + 1  # and a line end
    assert set(texts[0]) <= set(PROSE)


def test_generate_with_another_seed_writes_another_text(trained, capsys):
    texts = set()
    for seed in "12":
        main(["generate", "--model", str(trained), "--seed", seed, "--tokens", "40"])
        texts.add(capsys.readouterr().out)
    assert len(texts) == 2


# -------------------------------------------------------------------------- gradcheck and info


def test_gradcheck_checks_every_operation_in_time_and_precisely():
    done = python_m("gradcheck")
    assert (done.returncode, done.stderr) == (0, "")
    assert too_wide(done.stdout) == []
    rows = re.findall(r"^(\w+) +(\d+) +(\d\.\de[-+]\d+)  (.*)$", done.stdout, re.MULTILINE)
    names = [row[0] for row in rows]
    assert names == [n.removesuffix("_forward") for n in minillm.ops.__all__ if "_forward" in n]
    assert len(names) >= 29
    errors = [float(row[2]) for row in rows]
    assert sum(error < 1e-8 for error in errors) >= 0.9 * len(errors)
    assert "FAILED" not in done.stdout
    seconds = float(re.search(r"operations in (\d+\.\d) s", done.stdout)[1])
    assert seconds < 15


def test_gradcheck_checks_only_what_is_named(capsys):
    assert main(["gradcheck", "softmax", "layer_norm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["softmax", "layer_norm"]
    assert lines[-1].startswith("2 operations in ")


def test_gradcheck_fails_on_a_wrong_backward(capsys, monkeypatch):
    def wrong(grad_out, saved):
        return (2 * right(grad_out, saved)[0],)

    right = minillm.ops.tanh_backward
    monkeypatch.setattr(minillm.ops, "tanh_backward", wrong)
    assert main(["gradcheck", "tanh", "exp"]) == 1
    captured = capsys.readouterr()
    assert re.search(r"^tanh .* FAILED$", captured.out, re.MULTILINE)
    assert captured.err == "1 FAILED\n"


def test_gradcheck_lists_the_operations(capsys):
    assert main(["gradcheck", "--list"]) == 0
    assert {"softmax", "linear", "cross_entropy"} <= set(capsys.readouterr().out.split())


def test_info_shows_versions_and_devices(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    rows = dict(line.split(None, 1) for line in out.splitlines())
    assert rows["minillm"] == minillm.__version__
    assert rows["NumPy"].startswith(np.__version__)
    assert too_wide(out, sys.executable, "pip install") == []


# ------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_fits_the_width(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert f"python -m minillm {command}" in out.split("example:")[1]
    assert [line for line in out.splitlines() if len(line) > WIDTH] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_in_the_help_can_be_copied_as_one_line(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert COMMANDS[command].EXAMPLE in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_in_the_help_has_valid_arguments(command, monkeypatch):
    words = shlex.split(COMMANDS[command].EXAMPLE)
    assert words[:3] == ["python", "-m", "minillm"]
    monkeypatch.setattr(COMMANDS[command], "run", lambda arguments: 7)
    assert main(words[3:]) == 7


def test_the_main_help_lists_every_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(re.search(rf"^ +{name} ", out, re.MULTILINE) for name in COMMANDS)
    assert "example:" in out
    assert [line for line in out.splitlines() if len(line) > WIDTH] == []


# ------------------------------------------------------------------------------------ errors


BAD_TEXTS = {
    "not UTF-8": ("The café".encode("latin-1") * 200, ["not UTF-8", "0xe9", "position 7"]),
    "empty": (b"", ["is empty"]),
    "only spaces": (b" \n\n  ", ["is empty"]),
    "too short": (b"The end." * 10, ["80 characters"]),
}


@pytest.mark.parametrize("command", ["demo", "train"])
@pytest.mark.parametrize("case", BAD_TEXTS)
def test_a_bad_text_is_one_line(tmp_path, capsys, command, case):
    path = tmp_path / "text.txt"
    content, words = BAD_TEXTS[case]
    path.write_bytes(content)
    arguments = [command, "--text", path, "--out", tmp_path / "run"]
    assert assert_one_line_error(capsys, arguments, *words) == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["demo", "train"])
def test_a_missing_text_is_one_line(tmp_path, capsys, command):
    path = tmp_path / "nowhere.txt"
    assert_one_line_error(capsys, [command, "--text", path, "--out", tmp_path / "run"], path)


def test_a_folder_as_text_is_one_line(tmp_path, capsys):
    arguments = ["train", "--text", tmp_path, "--out", tmp_path / "run"]
    assert_one_line_error(capsys, arguments, tmp_path, "folder")


def test_an_unknown_operation_is_one_line(capsys):
    assert assert_one_line_error(capsys, ["gradcheck", "softmax", "sofmax"], "sofmax") == ""


def test_an_unknown_model_folder_is_one_line(tmp_path, capsys):
    folder = tmp_path / "nowhere"
    assert_one_line_error(capsys, ["generate", "--model", folder], folder)


def test_a_folder_without_a_model_is_one_line(tmp_path, capsys):
    assert_one_line_error(capsys, ["generate", "--model", tmp_path], "config.json")


def test_an_unknown_character_in_the_prompt_is_one_line(trained, capsys):
    command = ["generate", "--model", trained, "--prompt", "fox → dog"]
    assert_one_line_error(capsys, command, "'→'", "position 4")


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--prompt", "", "empty"),
        ("--temperature", "0", "--temperature must be above 0"),
        ("--temperature", "nan", "--temperature must be above 0, got nan"),
        ("--top-k", "0", "--top-k must be at least 1"),
        ("--tokens", "-1", "--tokens must be at least 0"),
        ("--seed", "-1", "--seed must be at least 0, got -1"),
    ],
)
def test_a_bad_option_of_generate_is_one_line(trained, capsys, option, value, word):
    assert_one_line_error(capsys, ["generate", "--model", trained, option, value], word)


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--heads", "3", "--width 8 must be a multiple of --heads 3"),
        ("--steps", "-3", "--steps must be at least 1, got -3"),
        ("--lr", "-1", "--lr must be at least 0"),
        ("--lr", "inf", "--lr must be a finite number"),
        ("--device", "tpu", "'tpu' is unknown"),
        ("--dropout", "2", "--dropout must be at least 0 and below 1, got 2.0"),
        ("--workers", "0", "--workers must be at least 1"),
        ("--accumulate", "0", "--accumulate must be at least 1"),
        ("--seed", "-1", "--seed must be at least 0, got -1"),
    ],
)
def test_a_bad_option_of_train_is_one_line(tmp_path, capsys, option, value, word):
    arguments = ["train", "--text", write_text(tmp_path), "--out", tmp_path / "run"]
    arguments += [*TINY.split(), "--warmup", "0", option, value]
    assert_one_line_error(capsys, arguments, word)


def test_an_existing_training_is_never_overwritten_by_mistake(tmp_path, capsys):
    text = write_text(tmp_path)
    train_tiny(text, tmp_path / "run", "--steps", 2)
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    capsys.readouterr()
    arguments = ["train", "--text", text, "--out", tmp_path / "run", *TINY.split(), "--steps", "3"]
    assert_one_line_error(capsys, arguments, tmp_path / "run", "--resume")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before


def test_errors_of_the_process_are_on_stderr_with_status_1(tmp_path):
    done = python_m("train", "--text", tmp_path / "nowhere.txt", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "nowhere.txt" in line
    assert "Traceback" not in line


def test_a_traceback_can_be_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        main(["--traceback", "train", "--text", str(tmp_path / "nowhere.txt")])


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["train", "--nonsense"]])
def test_misuse_has_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err
