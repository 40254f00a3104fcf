"""A character model of Chinese poems: the same commands as for English, and their pictures."""

import re
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from minillm.cli import common, main
from minillm.viz import figures

from .test_cli import PROSE, TINY, assert_one_line_error, write_text

POEMS = "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。\n床前明月光，疑是地上霜。\n"


def train(folder, *more, text=POEMS * 10, name="唐诗.txt"):
    path = write_text(folder, text, name)
    command = ["train", "--text", path, "--out", folder / "run", "--steps", 3, *TINY.split(), *more]
    assert main([str(word) for word in command]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("poems"))


def is_picture(path):
    pixels = imread(path)
    return min(pixels.shape[:2]) > 150 and len(np.unique(pixels.reshape(-1, 4), axis=0)) > 50


def generate(model, *more):
    return main(["generate", "--model", str(model), "--tokens", "6", *map(str, more)])


def test_it_trains_and_writes_characters_of_the_text(trained, capsys):
    assert common.load_model(trained)[1].characters == sorted(set(POEMS))
    assert generate(trained, "--prompt", "春眠") == 0
    out = capsys.readouterr().out
    assert out.startswith("春眠")
    assert len(out) == 2 + 6 + 1
    assert set(out) <= set(POEMS)


def test_the_loss_is_told_in_bits_per_character_and_per_byte(tmp_path, capsys):
    train(tmp_path)
    out = capsys.readouterr().out
    nats, characters, of_bytes = (
        float(re.search(rf"(\d+\.\d+) {unit}", out)[1])
        for unit in ("nats per character", "bits per character", "bits per byte")
    )
    assert characters == pytest.approx(nats / np.log(2), abs=1e-3)
    text = POEMS * 10
    rest = text[int(len(text) * 0.9) + 1 :]
    assert of_bytes == pytest.approx(characters * len(rest) / len(rest.encode("utf-8")), abs=1e-3)


@pytest.mark.parametrize("text", [POEMS * 10, PROSE * 14], ids=["Chinese", "English"])
def test_the_losses_are_drawn_beside_the_model_or_where_asked(text, tmp_path, capsys):
    out = train(tmp_path, text=text)
    assert f"picture of the losses: {out / 'loss.png'}" in capsys.readouterr().out
    assert is_picture(out / "loss.png")


def test_the_picture_of_the_losses_goes_where_asked(tmp_path):
    out = train(tmp_path, "--picture", tmp_path / "pictures" / "a.png")
    assert is_picture(tmp_path / "pictures" / "a.png")
    assert not (out / "loss.png").exists()


def test_the_title_names_the_text(tmp_path, monkeypatch):
    titles = []
    real = figures.plot_history

    def record(*arguments, title, **options):
        titles.append(title)
        return real(*arguments, title=title, **options)

    monkeypatch.setattr("minillm.viz.plot_history", record)
    train(tmp_path)
    assert titles == ["Loss while training on 唐诗.txt"]


def test_without_matplotlib_the_model_is_saved_and_a_line_says_what_is_missing(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = train(tmp_path)
    assert (out / "model.safetensors").exists()
    assert not (out / "loss.png").exists()
    assert "no picture of the losses: pictures need matplotlib" in capsys.readouterr().err


# ---------------------------------------------------------------------------------- attention


def test_attention_over_a_chinese_line_is_drawn(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures, "CJK_FONTS", ())
    path = tmp_path / "new" / "attention.png"
    assert generate(trained, "--prompt", "床前明月光", "--attention", path) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("床前明月光")  # what is written stands alone in the output
    missing, where = captured.err.splitlines()
    assert "fonts-noto-cjk" in missing
    assert where == f"the attention over the prompt is in {path}"
    assert is_picture(path)


def test_attention_over_an_english_line_is_drawn_and_needs_no_font(tmp_path, capsys):
    model = train(tmp_path, text=PROSE * 14)
    capsys.readouterr()
    assert generate(model, "--prompt", "quick fox", "--attention", tmp_path / "a.png") == 0
    assert capsys.readouterr().err == f"the attention over the prompt is in {tmp_path / 'a.png'}\n"
    assert is_picture(tmp_path / "a.png")


def maps_of(monkeypatch, model, *more):
    """What the command asks plot_attention for."""
    asked = {}
    real = figures.plot_attention

    def record(probabilities, tokens, **options):
        asked.update(probabilities=probabilities, tokens=tokens, **options)
        return real(probabilities, tokens, **options)

    monkeypatch.setattr("minillm.viz.plot_attention", record)
    assert generate(model, *more) == 0
    return asked


def test_every_layer_and_head_has_its_map(tmp_path, monkeypatch):
    model = train(tmp_path, "--layers", 3)
    path = tmp_path / "a.png"
    asked = maps_of(monkeypatch, model, "--prompt", "床前明月光，疑是地上霜。", "--attention", path)
    assert asked["tokens"] == list("光，疑是地上霜。")  # what the model sees: 8 positions
    assert asked["names"] == [f"layer {n}, head {h}" for n in range(3) for h in range(2)]
    assert asked["columns"] == 2
    whole = asked["probabilities"]
    np.testing.assert_allclose(whole.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_array_equal(np.triu(whole, 1), 0)
    one = maps_of(
        monkeypatch, model, "--prompt", "疑是地上霜。", "--attention", path, "--attention-layer", 2
    )
    assert one["names"] == ["layer 2, head 0", "layer 2, head 1"]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--prompt", "春"], "at least two characters"),
        (["--prompt", "春眠", "--attention-layer", "1"], "within 0 … 0, got 1"),
        (["--prompt", "春眠", "--attention-layer", "-1"], "within 0 … 0, got -1"),
    ],
)
def test_attention_that_cannot_be_drawn_is_one_line(trained, tmp_path, capsys, more, word):
    path = tmp_path / "a.png"
    command = ["generate", "--model", str(trained), "--attention", str(path), *more]
    assert main(command) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert word in line
    assert not path.exists()


# ------------------------------------------------------------------------------------- files


def test_a_mark_at_the_beginning_and_windows_line_ends_change_nothing(tmp_path):
    plain = train(tmp_path)
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / "text.txt"
    path.write_bytes(b"\xef\xbb\xbf" + (POEMS * 10).replace("\n", "\r\n").encode("utf-8"))
    out = tmp_path / "b" / "run"
    command = ["train", "--text", path, "--out", out, "--steps", 3, *TINY.split()]
    assert main([str(word) for word in command]) == 0
    assert common.load_model(out)[1].characters == sorted(set(POEMS))
    for name in ("model.safetensors", "char_tokenizer.json"):
        assert (out / name).read_bytes() == (plain / name).read_bytes()


@pytest.mark.parametrize("encoding", ["gb18030", "big5hkscs", "utf-16"])
def test_another_encoding_is_one_line_that_names_the_file(tmp_path, capsys, encoding):
    path = tmp_path / "poems.txt"
    path.write_bytes(("春風" * 500).encode(encoding))
    command = ["train", "--text", path, "--out", tmp_path / "run"]
    assert_one_line_error(capsys, command, "not UTF-8", "convert the file to UTF-8")
    assert not (tmp_path / "run").exists()


def test_a_text_too_short_is_one_line(tmp_path, capsys):
    path = write_text(tmp_path, POEMS)
    arguments = ["train", "--text", path, "--out", tmp_path / "run"]
    assert_one_line_error(capsys, arguments, f"{len(POEMS)} characters", "at least 650")
