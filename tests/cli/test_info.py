"""python -m minillm info --config: the table, the measurement, and bad input."""

import json
import re
import sys

import pytest

from minillm.cli import main, model_info
from minillm.models import GPT2Config, GPT2LMHeadModel, LSTMClassifierConfig, Seq2SeqConfig

from .test_cli import assert_one_line_error, too_wide

TINY = GPT2Config(vocab_size=101, n_positions=32, n_embd=48, n_layer=2, n_head=3)


def write_config(folder, values, name="config.json"):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def rows_of(out):
    """The numbers in the table of parts: name -> the cells after it."""
    lines = out.split("\n\n")[1].splitlines()[1:]
    return {line[:24].strip(): line[24:].split() for line in lines}


@pytest.mark.parametrize("name", model_info.PRESETS)
def test_every_preset_has_a_table_that_fits(name, capsys):
    assert main(["info", "--config", name]) == 0
    out = capsys.readouterr().out
    assert too_wide(out) == []
    rows = rows_of(out)
    total = int(rows.pop("total")[0].replace(",", ""))
    assert sum(int(cells[0].replace(",", "")) for cells in rows.values()) == total
    shares = [re.findall(r"([\d.]+) %", " ".join(cells)) for cells in rows.values()]
    for column in zip(*shares, strict=True):
        assert sum(map(float, column)) == pytest.approx(100, abs=1)


PUBLISHED = {
    "gpt2": 124_439_808, "bert-base": 110_106_428, "minilm": 22_713_216,
    "smollm2-135m": 134_515_008, "llama-7b": 6_738_415_616,
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_are_the_published_models(name, capsys):
    """Parameters as Transformers counts them."""
    assert main(["info", "--config", name]) == 0
    assert rows_of(capsys.readouterr().out)["total"][0] == f"{PUBLISHED[name]:,}"


def test_nanogpt_by_hand(capsys):
    """One layer's query, key and value: 128 x 384 weights; 2 N weights FLOP for N = 12 x 64."""
    assert main(["info", "--config", "nanogpt-cpu"]) == 0
    out = capsys.readouterr().out
    assert "12 sequences of 64 tokens" in out
    cells = rows_of(out)["q, k, v"]
    assert cells[0] == f"{4 * 128 * 384:,}"
    assert cells[3:5] == ["302", "M"]
    assert 2 * 12 * 64 * 4 * 128 * 384 == pytest.approx(302e6, rel=2e-3)
    # q and the probabilities of 4 heads in 4 layers, 4 bytes each
    assert rows_of(out)["attention scores"][-2:] == ["4.72", "MB"]
    assert 4 * 4 * (12 * 4 * 64 * (64 + 32)) == pytest.approx(4.72e6, rel=2e-3)
    # keys and values of 4 layers, 128 wide, 4 bytes each
    assert "4.1 kB for each token" in out


def test_batch_size_and_length_change_the_cost(capsys):
    assert main(["info", "--config", "nanogpt-cpu", "--batch-size", "1", "--length", "32"]) == 0
    out = capsys.readouterr().out
    assert "1 sequence of 32 tokens" in out
    assert 2 * 32 * 4 * 128 * 384 == pytest.approx(12.6e6, rel=2e-3)
    assert rows_of(out)["q, k, v"][3:5] == ["12.6", "M"]


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_saved_model_is_read(tmp_path, capsys, as_folder):
    model = GPT2LMHeadModel(TINY)
    model.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" if as_folder else tmp_path / "model" / "config.json"
    assert main(["info", "--config", str(path)]) == 0
    out = capsys.readouterr().out
    assert rows_of(out)["total"][0] == f"{model.num_parameters():,}"
    assert "8 sequences of 32 tokens" in out  # no more than its positions


def test_entries_of_other_libraries_are_left_out(tmp_path, capsys):
    path = write_config(tmp_path, {**LSTMClassifierConfig().to_dict(), "torch_dtype": "float32"})
    assert main(["info", "--config", str(path)]) == 0
    assert rows_of(capsys.readouterr().out)["total"][0] == "141,777"


# not quite tiny: beside their arrays, Python's own objects should not count
CASES = {
    "gpt2": GPT2Config(vocab_size=1009, n_positions=32, n_embd=96, n_layer=3, n_head=3),
    "seq2seq": Seq2SeqConfig(1009, None, 96, 3, 2, 2, 192),
    "lstm": LSTMClassifierConfig(1009, 96, 96),
}


@pytest.mark.parametrize("case", CASES)
def test_measuring_confirms_the_formulas(tmp_path, capsys, case):
    path = write_config(tmp_path, CASES[case].to_dict())
    command = ["info", "--config", path, "--batch-size", 4, "--length", 24, "--measure"]
    assert main([str(word) for word in command]) == 0
    out = capsys.readouterr().out
    assert too_wide(out, path) == []
    ratios = dict(
        re.findall(r"^(\S.*?)  +\S.*?([\d.]+)$", out.split("measured / formula")[1], re.M)
    )
    for exact in ("FLOP, forward", "FLOP, training step", "kept for backward"):
        assert ratios[exact] == "1.000"
    assert 0.9 < float(ratios["memory at the peak"]) < 1.18
    assert len(re.findall(r"[\d.]+ ms +[\d.]+ GFLOP/s", out)) == 2


# --------------------------------------------------------------------------------- bad input


def test_an_unknown_name_lists_the_known_ones(capsys):
    words = ["'gpt5'", *model_info.PRESETS]
    assert assert_one_line_error(capsys, ["info", "--config", "gpt5"], *words) == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"n_embd": 8}, ["no entry model_type", "gpt2", "lstm_classifier"]),
        ({"model_type": "t5"}, ["'t5'", "gpt2", "llama"]),
        ({"model_type": ["gpt2"]}, ["['gpt2']"]),
        ([1, 2], ["no entry model_type"]),
        ("{", ["not a JSON file"]),
        ({"model_type": "gpt2", "n_embd": 7, "n_head": 2}, ["n_embd 7", "multiple", "n_head 2"]),
    ],
)
def test_a_file_that_describes_no_model_is_one_line(tmp_path, capsys, content, words):
    path = write_config(tmp_path, content)
    assert assert_one_line_error(capsys, ["info", "--config", path], path, *words) == ""


def test_a_folder_without_a_config_is_one_line(tmp_path, capsys):
    assert_one_line_error(capsys, ["info", "--config", tmp_path], tmp_path, "config.json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--length", 65], ["length 65", "64 positions"]),
        (["--length", 1], ["at least 2", "got 1"]),
        (["--length", 0], ["length", "at least 1"]),
        (["--batch-size", -3], ["--batch-size must be at least 1", "-3"]),
    ],
)
def test_sizes_that_do_not_fit_are_one_line(capsys, options, words):
    command = ["info", "--config", "nanogpt-cpu", *options]
    assert assert_one_line_error(capsys, command, *words) == ""


def test_a_model_that_does_not_fit_is_refused_before_anything_is_built(capsys, monkeypatch):
    monkeypatch.setattr(model_info, "build_model", None)  # calling it would be a TypeError
    monkeypatch.setattr(model_info, "free_memory", lambda: (10**9, True))
    command = ["info", "--config", "gpt2", "--measure"]
    out = assert_one_line_error(capsys, command, "GB", "this machine has 1 GB", "--batch-size")
    assert out == ""
    monkeypatch.setattr(model_info, "free_memory", lambda: (10**9, False))
    assert_one_line_error(capsys, command, "does not say")


@pytest.mark.parametrize("option", [["--measure"], ["--length", 3], ["--batch-size", 3]])
def test_options_of_a_config_need_one(capsys, option):
    assert_one_line_error(capsys, ["info", *option], option[0], "--config")


def test_free_memory_is_known_on_linux_and_macos():
    free, known = model_info.free_memory()
    assert free > 10**8
    assert known == (sys.platform != "win32")
