"""One sentence for whatever is wrong, in the words that were typed, and before anything is computed."""

import argparse
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minillm
from minillm.classroom import write_assignment
from minillm.cli import common, main, options
from minillm.cli.main import COMMANDS
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.tokenizers import CharTokenizer

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(minillm.__file__).parents[1])}
TEXT = "pack my box with five dozen liquor jugs; 1234567890 times\n" * 30
# a command line for each command that has --out, which would do something without more
WITH_FOLDER = {
    "demo": ["--steps", "1"],
    "train": ["--steps", "1"],
    "task": ["semantic-roles"],
    "finetune": ["--data", "{text}", "--model", "{model}"],
    "tokenize": ["a text"],
    "assignment": ["--seed", "anna"],
}


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def gpt(tmp_path_factory):
    """The folder of a tiny GPT, as demo saves them."""
    folder = tmp_path_factory.mktemp("gpt")
    tokenizer = CharTokenizer.train(["abcdefgh "])
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=8, n_embd=8, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config, rng=np.random.default_rng(0))
    common.save_model(model, tokenizer, folder)
    return folder


def error(capsys, *command):
    """The one sentence that a command fails with, before it printed anything."""
    assert main(list(map(str, command))) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert line.startswith(f"minillm {command[0]}: error: ")
    return line.removeprefix(f"minillm {command[0]}: error: ")


# --------------------------------------------------------------------------- where things land


def test_all_commands_with_a_folder_are_tested_here(capsys, monkeypatch):
    parsers = {}

    def run(arguments):
        parsers[arguments.command] = arguments
        return 0

    for name, module in COMMANDS.items():
        monkeypatch.setattr(module, "run", run)
        assert main([name, *{"embed": ["a", "b"]}.get(name, [])]) == 0
    actions = {n: {x.dest: x for x in a.parser._actions} for n, a in parsers.items()}
    found = {n for n, a in actions.items() if "out" in a and a["out"].metavar == "FOLDER"}
    assert found == set(WITH_FOLDER)


@pytest.mark.parametrize("command", WITH_FOLDER)
def test_a_folder_that_cannot_be_one_is_found_first(tmp_path, capsys, monkeypatch, text, command):
    words = [word.format(text=text, model=tmp_path) for word in WITH_FOLDER[command]]
    file = tmp_path / "afile"
    file.write_text("kept", encoding="utf-8")
    for out in (file, file / "below"):
        line = error(capsys, command, *words, "--out", out)
        assert line.startswith(f"--out {out}: {file} is a file, where a folder is needed")
    assert error(capsys, command, *words, "--out", "").startswith("--out is empty: name a folder")
    assert file.read_text(encoding="utf-8") == "kept"
    monkeypatch.setattr(options.os, "access", lambda path, mode: False)
    line = error(capsys, command, *words, "--out", tmp_path / "new")
    assert f"nothing can be written in {tmp_path}" in line


def test_files_that_cannot_be_written_are_found_first(tmp_path, capsys, gpt, text):
    (tmp_path / "afile").touch()
    cases = [
        ("doctor", "--device", "cpu", "--out", tmp_path),
        ("doctor", "--device", "cpu", "--out", ""),
        ("train", "--text", text, "--picture", tmp_path),
        ("train", "--text", text, "--picture", tmp_path / "afile" / "x.png"),
        ("generate", "--model", gpt, "--attention", ""),
        ("gradcheck", tmp_path, "--csv", ""),
    ]
    for command in cases:
        line = error(capsys, *command)
        assert line.startswith(f"{command[-2]} ")
        assert any(
            word in line for word in ("give the name of a file", "is a file, where a folder")
        )


@pytest.mark.parametrize("name", ["picture", "picture.doc", "picture.png.txt"])
def test_a_picture_that_cannot_be_drawn_is_found_first(tmp_path, capsys, gpt, text, name):
    for command in (
        ["train", "--text", text, "--picture"],
        ["generate", "--model", gpt, "--attention"],
    ):
        line = error(capsys, *command, tmp_path / name)
        assert line.startswith(f"{command[-1]} {tmp_path / name}: the end of the name must say")
        assert {".png,", ".pdf,", ".svg,"} <= set(line.split())


def test_without_matplotlib_the_name_of_a_picture_is_not_looked_at(monkeypatch, tmp_path):
    monkeypatch.setattr(options, "picture_kinds", list)
    options.check_file("--picture", str(tmp_path / "picture"), picture=True)


# ------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["demo", "--steps", "-3"], "--steps must be at least 1, got -3"),
        (["demo", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["train", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["train", "--evaluate-every", "0"], "--evaluate-every must be at least 1, got 0"),
        (["train", "--lr", "nan"], "--lr must be at least 0, got nan"),
        (["train", "--warmup", "9", "--steps", "3"], "--warmup 9 must be at most --steps 3"),
        (["train", "--clip", "0"], "--clip must be above 0, got 0.0"),
        (["train", "--beta2", "1"], "--beta2 must be at least 0 and below 1, got 1.0"),
        (["task", "sentiment", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["task", "sentiment", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["finetune", "--data", "x", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["gradcheck", "exp", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["gradcheck", "--mutants", "--checks", "0"], "--checks must be at least 1, got 0"),
        (["chat", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["chat", "--top-p", "0"], "--top-p must be above 0 and at most 1, got 0.0"),
        (["info", "--config", "gpt2", "--length", "0"], "--length must be at least 1, got 0"),
    ],
)  # fmt: skip
def test_numbers_without_meaning_are_found_first(capsys, command, message):
    assert error(capsys, *command) == message


@pytest.mark.parametrize(
    "command",
    [["train", "--text"], ["demo", "--text"], ["finetune", "--data"], ["finetune", "--validation"],
     ["tokenize", "a", "--train"], ["tokenize", "a", "--tokenizer"], ["generate", "--model"],
     ["chat", "--model"], ["embed", "a", "b", "--model"], ["info", "--config"], ["task", "--data"]],
    ids=" ".join,
)  # fmt: skip
def test_empty_names_are_not_the_folder_one_is_in(capsys, command):
    assert error(capsys, *command, "") == f"{command[-1]} is empty: give a name, or leave it out"


def test_an_empty_name_is_no_submission(capsys):
    assert error(capsys, "gradcheck", "").startswith("a name is empty")


# ----------------------------------------------------------- arguments that the library refuses


def test_what_the_library_says_is_said_about_the_options_that_were_typed(capsys, tmp_path):
    line = error(capsys, "tokenize", "a text", "--vocab-size", "3")
    assert "--vocab-size" in line
    assert "vocab_size" not in line
    assert main(["task", "semantic-roles", "--width", "9", "--out", str(tmp_path / "x")]) == 1
    assert "error: --width 9 must be a multiple of" in capsys.readouterr().err


# ------------------------------------------------------------------------ errors of the system


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "change the rights"),
        (errno.EISDIR, "the name of a file"),
        (errno.ENOSPC, "room"),
    ],
)
def test_errors_of_the_system_are_a_sentence(capsys, monkeypatch, number, advice):
    def fail(arguments):
        raise OSError(number, os.strerror(number), "runs/x")

    monkeypatch.setattr(COMMANDS["info"], "run", fail)
    line = error(capsys, "info")
    assert line.startswith(f"runs/x: {os.strerror(number)}: ")
    assert advice in line
    assert "Errno" not in line


def test_too_little_memory_is_a_sentence_that_says_what_to_lower(capsys, monkeypatch, text):
    def too_much(*arguments):
        return np.zeros(10**15)

    monkeypatch.setattr(common, "build_model", too_much)
    line = error(capsys, "train", "--text", text, "--out", text.parent / "run")
    assert line.startswith("there is not enough memory (unable to allocate ")
    assert line.endswith(": lower --batch-size, --block-size, --width, --layers")
    monkeypatch.setattr(COMMANDS["embed"], "run", too_much)
    assert error(capsys, "embed", "a").endswith(": give it less, or end other programs")


@pytest.mark.parametrize("module", ["tqdm", "regex"])
def test_ctrl_c_while_modules_are_loading_is_quiet(tmp_path, module):
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "minillm", "info"], capture_output=True, text=True, check=False,
        env={**ENVIRONMENT, "PYTHONPATH": path},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# ------------------------------------------------------------------ options that change nothing


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["generate", "--greedy", "--top-k", "3"], "--top-k has no effect with --greedy"),
        (["generate", "--greedy", "--temperature", "1", "--top-p", "1"],
         "--temperature, --top-p have no effect with --greedy"),
        (["generate", "--num-beams", "2", "--greedy"], "--greedy has no effect with --num-beams"),
        (["generate", "--num-beams", "2", "--top-p", "0.5"], "--top-p has no effect with --num-beams"),
        (["generate", "--length-penalty", "0"], "--length-penalty has no effect without --num-beams"),
        (["generate", "--early-stopping", "yes"], "--early-stopping has no effect without --num-beams"),
        (["generate", "--attention-layer", "0"], "--attention-layer has no effect without --attention"),
        (["generate", "--greedy", "--num-return-sequences", "3"],
         "--num-return-sequences 3 would write the same text 3 times with --greedy"),
        (["generate", "--num-beams", "2", "--num-return-sequences", "3"],
         "--num-beams 2 finds 2 texts, --num-return-sequences asks for 3"),
        (["chat", "--greedy", "--top-p", "0.5"], "--top-p has no effect with --greedy"),
        (["finetune", "--predict", "a", "--epochs", "2"], "--epochs has no effect without --data"),
        (["finetune", "--data", "x", "--method", "lora", "--freeze", "layers.0"],
         "--freeze has no effect without --method full"),
        (["finetune", "--data", "x", "--lora-r", "2"], "--lora-r has no effect without --method lora"),
        (["finetune", "--data", "x", "--method", "lora", "--adapter-size", "2"],
         "--adapter-size has no effect without --method adapters"),
        (["tokenize", "a", "--tokenizer", "x", "--kind", "bert"],
         "--kind has no effect with --tokenizer"),
        (["tokenize", "--out", "x", "--explain"], "--explain has no effect without a TEXT"),
        (["task", "--steps", "3"], "--steps has no effect without NAME"),
        (["task", "word-vectors", "--heads", "2"], "--heads has no effect on word-vectors"),
        (["task", "sentiment", "--data", "uci", "--language", "chinese"],
         "--language has no effect with --data uci"),
        (["gradcheck", "softmax", "--list"], "--list shows all operations: leave out softmax"),
        (["gradcheck", "--seed", "3", "--list"], "--list shows all operations: leave out --seed"),
        (["info", "--length", "3"], "--length needs --config"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_an_option_that_would_change_nothing_is_refused(
    tmp_path, monkeypatch, capsys, command, message
):
    monkeypatch.chdir(tmp_path)
    assert error(capsys, *command).startswith(message)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------- models of other kinds


def with_config(folder, content):
    folder.mkdir()
    (folder / "config.json").write_text(content, encoding="utf-8")
    return folder


def test_a_model_of_another_kind_is_refused_with_the_command_that_reads_it(
    tmp_path, monkeypatch, capsys, gpt
):
    monkeypatch.chdir(tmp_path)
    llama = with_config(tmp_path / "llama", '{"model_type": "llama"}')
    foreign = with_config(tmp_path / "gpt2", '{"model_type": "gpt2"}')  # with another tokenizer
    strange = with_config(tmp_path / "strange", '{"model_type": "mamba"}')
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    (tmp_path / "empty.txt").touch()
    cases = [
        (["generate"], "there is no model in runs/demo yet: make one with python -m minillm demo"),
        (
            ["generate", "--model", llama],
            "of type 'llama'.*; python -m minillm chat reads this one",
        ),
        (["generate", "--model", foreign], "has no char_tokenizer.json.*GPT2Tokenizer"),
        (["generate", "--model", strange], "of type 'mamba'.*textgenrnn$"),
        (["generate", "--model", "x.gguf"], "is a .gguf file.*; python -m minillm chat reads this"),
        (["generate", "--model", "empty.txt"], "empty.txt is a file: generate takes the folder"),
        (
            ["chat", "--prompt", "a", "--model", "empty.txt"],
            "empty.txt is a file: chat takes a .gguf file, or the",
        ),
        (
            ["chat", "--prompt", "a", "--model", gpt],
            "of type 'gpt2': chat takes .*minillm generate reads this one",
        ),
        (
            ["chat", "--prompt", "a", "--model", foreign],
            "of type 'gpt2': chat takes .* the folder of a Llama$",
        ),
        (
            ["embed", "a", "b", "--model", llama],
            "of type 'llama': embed takes the folder of a BERT",
        ),
        (["finetune", "--predict", "a", "--model", "empty.txt"], "is a file: finetune takes"),
    ]
    for command, pattern in cases:
        assert re.search(pattern, error(capsys, *command)), command


def test_texts_without_words_are_not_compared(capsys):
    assert error(capsys, "embed", "a cat", " ").startswith("TEXT 2 is empty: ")


# ---------------------------------------------------------------------- a system set to ASCII

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def in_ascii(*arguments, cwd):
    environment = {k: v for k, v in ENVIRONMENT.items() if k != "PYTHONIOENCODING"} | ASCII
    return subprocess.run(
        [sys.executable, "-m", "minillm", *arguments], capture_output=True, check=False,
        env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="arguments are no bytes there")
def test_texts_are_utf8_where_the_system_is_set_to_ascii(tmp_path, text):
    typed = "é世界"
    text.write_text(TEXT + typed, encoding="utf-8")
    done = in_ascii(
        "tokenize", typed.encode(), "--train", text, "--vocab-size", "260", cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("ascii").splitlines()[-1].startswith("3 characters, 8 bytes, ")
    done = in_ascii("assignment", "--seed", "Çelik 42".encode(), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    [path] = tmp_path.glob("*.ipynb")
    written = path.read_bytes()
    assert write_assignment("Çelik 42", tmp_path / "here").read_bytes() == written
    done = in_ascii("tokenize", b"\xff\xfe", cwd=tmp_path)
    assert done.returncode == 2
    assert b"argument TEXT: " in done.stderr.splitlines()[-1]
    assert b"is no text in UTF-8" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "command",
    [["tokenize", "{}"], ["embed", "a", "{}"], ["generate", "--prompt", "{}"],
     ["chat", "--prompt", "{}"], ["chat", "--system", "{}"], ["finetune", "--predict", "{}"],
     ["assignment", "--seed", "{}"]],
    ids=" ".join,
)  # fmt: skip
def test_every_text_of_a_command_is_read_as_utf8(monkeypatch, command):
    seen = []
    monkeypatch.setattr(
        COMMANDS[command[0]], "run", lambda arguments: seen.append(vars(arguments)) or 0
    )
    assert main([word.format("caf\udcc3\udca9") for word in command]) == 0
    texts = str({k: v for k, v in seen[0].items() if k != "parser"})
    assert "café" in texts
    assert "udcc3" not in texts


def test_a_file_keeps_the_name_that_the_system_has_for_it(monkeypatch):
    seen = []
    monkeypatch.setattr(COMMANDS["train"], "run", lambda arguments: seen.append(arguments) or 0)
    assert main(["train", "--text", "caf\udcc3\udca9.txt"]) == 0
    assert seen[0].text == "caf\udcc3\udca9.txt"


def test_what_is_no_text_is_named():
    assert options.text("caf\udcc3\udca9") == "café"
    with pytest.raises(argparse.ArgumentTypeError, match=r"caf\\udcff is no text in UTF-8"):
        options.text("caf\udcff")
