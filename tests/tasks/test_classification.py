"""Classification: plots as classes, and texts from files."""

import numpy as np
import pytest

from minillm.cli import main
from minillm.data import LabelledTexts, ToyWorld
from minillm.data.toy_world.grammar import ALL_PLOTS
from minillm.tasks import classification, run_task

TINY = {"steps": 40, "width": 16, "heads": 2, "batch_size": 8, "lr": 0.02, "progress": False}
WORDS = {"sports": ["goal", "ball", "match"], "weather": ["rain", "wind", "snow"],
         "food": ["soup", "bread", "rice"]}  # fmt: skip


def write(path, classes=("sports", "weather", "food"), count=30):
    rng = np.random.default_rng(0)
    lines = [
        f"{' '.join(rng.choice(WORDS[name], 3))} {'abcdefghijklmnopqrstuvwxyz'[i % 26]}\t{name}"
        for i in range(count)
        for name in classes
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_every_plot_has_a_name_of_its_own():
    names = [classification.plot_name(plot) for plot in ALL_PLOTS]
    assert len(set(names)) == len(ALL_PLOTS)
    assert classification.plot_name("WF+") == "wish find :)"


def test_stories_of_unknown_plots_are_left_out():
    stories = ToyWorld(compositional=True).stories(60, seed=0)
    texts = classification.story_texts(stories, "english", ["G+", "GL-"])
    kept = [s for s in stories if s.derivation["plot"] in ("G+", "GL-")]
    assert 0 < len(texts) == len(kept) < 60
    assert texts.labels.tolist() == [("G+", "GL-").index(s.derivation["plot"]) for s in kept]
    assert texts.words == [s.english_tokens for s in kept]


def test_a_file_of_three_classes(tmp_path):
    result = run_task("classification", data=str(write(tmp_path / "own.tsv")), **TINY)
    assert result.columns[:2] == ["accuracy", "macro f1"]
    assert result.figures["LSTM, macro f1"] > 0.8
    assert result.figures["naive Bayes, accuracy"] == 1.0
    chance = result.figures["chance (majority), accuracy"]
    assert chance == pytest.approx(1 / 3, abs=0.1)
    assert {e.expected for e in result.examples} <= set(WORDS)


def test_two_classes_have_precision_and_recall_of_the_second(tmp_path):
    data = str(write(tmp_path / "own.tsv", ("sports", "weather")))
    result = run_task("classification", data=data, **TINY)
    assert result.columns[:4] == ["accuracy", "precision", "recall", "f1"]
    assert "those of 'weather'" in str(result)
    assert result.figures["chance (majority), f1"] == 0.0


def test_messages_are_split_with_equal_texts_together(monkeypatch, tmp_path):
    texts = [f"win cash {'abcde'[i % 5]}" for i in range(30)] + [
        f"hi {c}" for c in "abcdefghij" * 6
    ]
    labels = np.array([1] * 30 + [0] * 60)
    monkeypatch.setattr(classification, "load_sms_spam", lambda: LabelledTexts(texts, labels))
    seen = {}

    def train_real(train, classes, settings):
        seen["train"] = train
        return original(train, classes, settings)

    original = classification.train_real
    monkeypatch.setattr(classification, "train_real", train_real)
    result = run_task("classification", data="sms", **TINY)
    shown = set(seen["train"].shown)
    assert shown < set(texts)
    assert not shown & {e.given for e in result.examples}
    assert {e.expected for e in result.examples} <= {"ham", "spam"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("fine\tgood\nno tab\n", r"own\.tsv, line 2: there is no tab"),
        (
            "fine\tgood\nbad\tbad\nawful\tbad\n",
            r"own\.tsv: the class 'good' has 1 example, in line 1",
        ),
    ],
)
def test_bad_files_are_refused_by_name_and_line(tmp_path, capsys, content, message):
    path = tmp_path / "own.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        run_task("classification", data=str(path), **TINY)
    assert main(["task", "classification", "--data", str(path), "--out", str(tmp_path)]) == 1
    assert "own.tsv" in capsys.readouterr().err


def test_the_placeholder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.tsv"):
        run_task("classification", data=str(tmp_path / "none.tsv"), **TINY)
