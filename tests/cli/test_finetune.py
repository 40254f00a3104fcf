"""python -m minillm finetune: learns, shows, saves, predicts, and says what is wrong in one line."""

import errno
import json
import signal

import numpy as np
import pytest

from minillm.cli import finetune, main, weights
from minillm.data import LabelledFile
from minillm.finetuning import classify
from minillm.models import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    GPT2LMHeadModel,
)
from minillm.models.gpt2 import GPT2Config
from minillm.terminal import COLUMNS, columns_of
from minillm.tokenizers import BertTokenizer

WORDS = {"good": ("fine", "great", "lovely"), "bad": ("poor", "awful", "dull")}
THINGS = ("film", "food", "day", "book", "song")
ROWS = [(f"a {w} {t}", name) for name, ws in WORDS.items() for w in ws for t in THINGS]
FAST = ("--lr", "0.02", "--epochs", "30", "--batch-size", "8", "--patience", "30")
SIZES = {
    "vocab_size": 90, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 14, "max_position_embeddings": 12, "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A BERT without a head, and a tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    BertModel(BertConfig(**SIZES), rng=np.random.default_rng(1)).save_pretrained(folder)
    BertTokenizer.train([text for text, _ in ROWS], vocab_size=90).save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "reviews.tsv", ROWS)


def write(path, rows):
    path.write_text("".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8")
    return path


def call(*arguments):
    return main(["finetune", *map(str, arguments)])


def error(capsys, *arguments):
    """The one line that a call fails with."""
    assert call(*arguments) == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if "step/s" not in x]
    [line] = lines
    assert line.startswith("minillm finetune: error: ")
    return line.removeprefix("minillm finetune: error: ")


def test_it_learns_shows_saves_and_predicts(base, data, tmp_path, capsys):
    out = tmp_path / "my model"
    options = ("--model", base, "--data", data, "--task", "sentiment", "--out", out, *FAST)
    assert call(*options, "--predict", "a fine song", "a dull song") == 0
    text = capsys.readouterr().out
    assert "24 texts to learn from, 6 for validation; classes bad, good" in text
    table = {line.split("  ")[0]: line.split()[-2:] for line in text.splitlines()}
    assert table["chance (majority)"] == ["0.500", "0.000"]
    assert table["after"] == ["1.000", "1.000"]
    assert "before" in table
    assert [line.split()[0] for line in text.splitlines()[-2:]] == ["good", "bad"]
    assert all(columns_of(x) <= COLUMNS for x in text.splitlines() if str(tmp_path) not in x)
    assert {"config.json", "model.safetensors", "picture.png", "vocab.txt"} <= {
        p.name for p in out.iterdir()
    }
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["validation"]["after"] == {"accuracy": 1.0, "f1": 1.0}
    assert result["settings"]["method"] == "full"
    loaded = BertForSequenceClassification.from_pretrained(out)
    assert loaded.config.id2label == {0: "bad", 1: "good"}
    said = text.splitlines()[-2:]
    assert call("--model", out, "--predict", "a fine song", "a dull song") == 0
    assert capsys.readouterr().out.splitlines() == said


def test_the_same_seed_gives_the_same_weights(base, data, tmp_path, capsys):
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        # a file for validation: the split is not what makes the difference
        options = ("--method", "lora", "--lora-r", 2, "--seed", seed, "--out", tmp_path / name,
                   "--validation", data)  # fmt: skip
        assert call("--model", base, "--data", data, "--epochs", 1, *options) == 0
    one, two, three = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "three")
    )
    assert one == two
    assert one != three
    assert (tmp_path / "one" / "adapter" / "adapter_model.safetensors").exists()


def test_scores_of_two_and_of_more_classes():
    two = LabelledFile(["t"] * 4, np.array([0, 0, 1, 1]), ["a", "b"])
    # class 1: one right, none said wrongly, one missed: F1 = 2 / (2 + 0 + 1)
    assert finetune.scores(np.array([0, 0, 0, 1]), two) == {
        "accuracy": 0.75,
        "f1": pytest.approx(2 / 3),
    }
    three = LabelledFile(["t"] * 4, np.array([0, 1, 2, 2]), ["a", "b", "c"])
    # a: 2 / (2 + 1), b: 0, c: 2 / (2 + 1 + 1); the mean of these
    found = finetune.scores(np.array([0, 0, 1, 2]), three)
    assert found == {"accuracy": 0.5, "f1": pytest.approx((2 / 3 + 0 + 2 / 3) / 3)}


def test_what_lies_beyond_the_longest_is_not_read(base, data, tmp_path, capsys):
    options = ("--model", base, "--data", data, "--out", tmp_path / "out", "--epochs", 1)
    texts = ("a fine film", "a dull song")
    assert call(*options, "--predict", *texts) == 0
    whole = [line.split()[1] for line in capsys.readouterr().out.splitlines()[-2:]]
    assert call(*options, "--max-length", 3, "--predict", *texts) == 0  # [CLS] a [SEP]
    cut = [line.split()[1] for line in capsys.readouterr().out.splitlines()[-2:]]
    assert whole[0] != whole[1]
    assert cut[0] == cut[1]


def test_three_classes_and_a_validation_file(base, tmp_path, capsys):
    rows = [*ROWS, *((f"a {t} of {w}", "none") for t in THINGS for w in ("wood", "paper"))]
    data = write(tmp_path / "three.tsv", rows)
    held = write(tmp_path / "held.tsv", rows[::4])
    options = ("--epochs", 1, "--freeze", "embeddings,layers.0", "--out", tmp_path / "out")
    assert call("--model", base, "--data", data, "--validation", held, *options) == 0
    text = capsys.readouterr().out
    assert "40 texts to learn from, 10 for validation; classes bad, good, none" in text
    assert "f1: the mean over the classes" in " ".join(text.split())
    assert "100.00 %" not in text  # what is frozen is not trainable


def test_more_data_for_a_model_that_has_a_head(base, data, tmp_path, capsys):
    out, again = tmp_path / "out", tmp_path / "again"
    assert call("--model", base, "--data", data, "--out", out, *FAST) == 0
    assert call("--model", out, "--data", data, "--out", again, "--epochs", 1) == 0
    text = capsys.readouterr().out
    before = [line.split()[1] for line in text.splitlines() if line.startswith("before")]
    assert before[1] == "1.000"  # it goes on from what it knew
    third = write(tmp_path / "third.tsv", [*ROWS, ("a pen", "none"), ("a cup", "none")])
    message = error(capsys, "--model", out, "--data", third, "--out", again)
    assert "tells 2 classes apart (bad, good), the labels are 3 (bad, good, none)" in message
    unknown = write(tmp_path / "unknown.tsv", [*ROWS[:15], ("a poor cup", "sad"), *ROWS[15:16]])
    message = error(capsys, "--model", out, "--data", unknown)
    assert "tells 2 classes apart (bad, good), the labels are 3 (bad, good, sad)" in message
    other = write(tmp_path / "other.tsv", [*ROWS[:15], ("a poor cup", "sad"), ("a pen", "sad")])
    message = error(capsys, "--model", out, "--data", other)
    assert f"{other}, line 16: the label 'sad' is none of bad, good" in message
    options = ("--new-head", "--epochs", 1, "--out", again)
    assert call("--model", out, "--data", third, *options) == 0


def test_bad_files_name_the_line(base, data, tmp_path, capsys):
    bad = tmp_path / "bad.tsv"
    bad.write_text("a fine day\tgood\nno tab here\n", encoding="utf-8")
    assert f"{bad}, line 2: there is no tab" in error(capsys, "--model", base, "--data", bad)
    held = write(tmp_path / "held.tsv", [("fine", "good"), ("dull", "bad"), ("so so", "mixed")])
    message = error(capsys, "--model", base, "--data", data, "--validation", held)
    assert f"{held}, line 3: the label 'mixed' is none of bad, good" in message
    only = write(tmp_path / "only.tsv", [("fine", "good")])
    message = error(capsys, "--model", base, "--data", data, "--validation", only)
    assert "the class 'bad' has 0 examples" in message
    few = write(tmp_path / "few.tsv", [*ROWS, ("a cup", "none")])
    message = error(capsys, "--model", base, "--data", few)
    assert f"{few}: the class 'none' has 1 example, in line 31; each class needs" in message
    twice = write(tmp_path / "twice.tsv", [*ROWS, ("a cup", "none"), ("a cup", "none")])
    message = error(capsys, "--model", base, "--data", twice)
    assert "the class 'none' is missing from the test part" in message
    message = error(capsys, "--model", base, "--data", few, "--task", "sentiment")
    assert "sentiment has two classes, found 3: bad, good, none" in message


def test_bad_options_and_folders_are_named(base, data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ("--model", base, "--data", data)
    assert "there is nothing to do" in error(capsys)
    assert "--predict: a text is empty" in error(capsys, "--model", base, "--predict", " ")
    assert "has no head for classes" in error(capsys, "--model", base, "--predict", "a day")
    assert "python -m minillm weights minilm" in error(capsys, "--data", data)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "there is no file" in error(capsys, "--model", empty, "--data", data)
    sizes = {"vocab_size": 9, "n_positions": 4, "n_embd": 4, "n_layer": 1, "n_head": 2}
    GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(tmp_path / "gpt")
    assert "'gpt2': finetune takes the folder of a BERT" in error(
        capsys, "--model", tmp_path / "gpt", "--data", data
    )
    assert "--batch-size must be at least 1" in error(capsys, *given, "--batch-size", 0)
    assert "within 0 … 1, got 2" in error(capsys, *given, "--validation", 2)
    assert "there is no file" in error(capsys, *given, "--validation", "nowhere.tsv")
    assert "names layers 1 to 7" in error(capsys, *given, "--freeze", "layers.1-7")
    assert "'lairs' names no part of the model" in error(capsys, *given, "--freeze", "lairs")
    assert "--layerwise-decay must be above 0 and at most 1" in error(
        capsys, *given, "--layerwise-decay", 2
    )
    with pytest.raises(SystemExit) as stop:
        call(*given, "--method", "magic")
    assert stop.value.code == 2
    assert "choose from" in capsys.readouterr().err


def test_a_part_that_the_pretraining_did_not_have_is_named(base, data, tmp_path, capsys):
    folder = tmp_path / "masked words"
    BertForMaskedLM(BertConfig(**SIZES)).save_pretrained(folder)
    BertTokenizer.from_pretrained(base).save_pretrained(folder)
    options = ("--epochs", 1, "--out", tmp_path / "out")
    assert call("--model", folder, "--data", data, *options) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "drawn anew and must be trained: pooler.dense.weight, pooler.dense.bias" in text


def test_minilm_is_the_default_where_its_weights_are(base, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(weights, "find", lambda name, command: base)
    assert call("--data", data, "--epochs", 1, "--out", tmp_path / "out") == 0
    assert str(base) in capsys.readouterr().out


def test_without_matplotlib_everything_but_the_picture(base, data, tmp_path, capsys, monkeypatch):
    def missing(*size):
        raise RuntimeError("pictures need matplotlib")

    monkeypatch.setattr(finetune, "new_figure", missing)
    assert call("--model", base, "--data", data, "--epochs", 1, "--out", tmp_path / "out") == 0
    assert "no picture: pictures need matplotlib" in capsys.readouterr().out
    assert not (tmp_path / "out" / "picture.png").exists()
    assert (tmp_path / "out" / "model.safetensors").exists()


def press_ctrl_c(monkeypatch, step):
    """In the training, after so many steps."""

    def fit(*arguments, **options):
        def press(number, history):
            if number == step:
                signal.raise_signal(signal.SIGINT)

        return original(*arguments, **{**options, "on_step": press})

    original = classify.fit
    monkeypatch.setattr(classify, "fit", fit)


@pytest.mark.parametrize("method", ["full", "lora", "adapters"])
def test_ctrl_c_saves_what_was_trained(base, data, tmp_path, capsys, monkeypatch, method):
    press_ctrl_c(monkeypatch, 2)
    out = tmp_path / "out"
    options = ["--method", method, "--epochs", 1, "--batch-size", 8]
    options += ["--adapter-size", 4] if method == "adapters" else []
    for folder in (out, out / "interrupted"):  # the second one does not replace the first
        given = ("--model", base, "--data", data, "--out", out, *options)
        assert call(*given, "--predict", "a day") == 130
        captured = capsys.readouterr()
        assert f"after 2 of at most 3 steps is saved in {folder}" in captured.out
        assert captured.err.endswith("interrupted\n")
        assert call("--model", folder, "--predict", "a fine day") == 0
        capsys.readouterr()


def test_ctrl_c_at_the_last_step_lets_it_end(base, data, tmp_path, capsys, monkeypatch):
    press_ctrl_c(monkeypatch, 3)
    options = ("--epochs", 1, "--batch-size", 8, "--out", tmp_path / "out")
    assert call("--model", base, "--data", data, *options) == 130
    assert "after" in [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert (tmp_path / "out" / "result.json").exists()


def test_a_full_disk_does_not_hide_the_results(base, data, tmp_path, capsys, monkeypatch):
    def save(self, folder):
        raise OSError(errno.ENOSPC, "cannot write model: No space left on device")

    monkeypatch.setattr(classify.TextClassifier, "save_pretrained", save)
    assert call("--model", base, "--data", data, "--epochs", 1, "--out", tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "after" in [line.split(" ")[0] for line in captured.out.splitlines()]
    assert "No space left on device" in captured.err.splitlines()[-1]
