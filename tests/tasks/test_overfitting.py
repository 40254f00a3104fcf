"""The study of overfitting: what each remedy changes, and that it changes nothing else."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from minillm.models import BertConfig, BertModel
from minillm.nn import Dropout
from minillm.tasks import Recipe, TaskSettings, overfitting, run_task
from minillm.tasks.overfitting import MORE, NOTHING, Reviews, remedies, remedies_of_fine_tuning
from minillm.tokenizers import BertTokenizer


def test_each_remedy_changes_what_its_name_says():
    base = Recipe(layers=4, width=48, heads=2, train=7, weight_decay=0.0)
    before = dataclasses.asdict(base).items()
    changed = {
        name: {field for field, value in before if getattr(recipe, field) != value}
        for name, recipe in remedies(base).items()
    }
    assert changed == {
        NOTHING: set(), "weight decay": {"weight_decay"}, "dropout": {"dropout"},
        "early stopping": set(), "smaller model": {"layers", "width"}, "more data": {"train"},
    }  # fmt: skip
    assert remedies(base)["more data"].train == MORE * base.train
    assert remedies(base)["smaller model"].width % base.heads == 0


def test_stories_learned_by_heart_get_a_gap_and_early_stopping_goes_back():
    settings = TaskSettings(
        steps=60, train=4, test=6, width=32, heads=2, batch_size=4, lr=0.01, progress=False
    )
    figures = run_task("overfitting", settings).figures
    gap = {name: figures[f"{name}, gap"] for name in remedies(Recipe())}
    assert gap[NOTHING] > 1
    assert gap["more data"] < gap[NOTHING]
    assert figures["early stopping, test"] < figures[f"{NOTHING}, test"]
    # the rate of a row is worked out from its own two losses
    for name in gap:
        assert gap[name] == pytest.approx(figures[f"{name}, test"] - figures[f"{name}, train"])


@pytest.fixture
def small_minilm(tmp_path, monkeypatch):
    """A tiny BERT where MiniLM would lie, and reviews that one word decides."""
    rng = np.random.default_rng(0)
    texts = [f"{'good' if i % 2 else 'bad'} thing {i}" for i in range(120)]
    tokenizer = BertTokenizer.train(texts, vocab_size=60, progress=False)
    config = BertConfig(len(tokenizer), 8, 1, 2, 12, max_position_embeddings=20)
    BertModel(config, rng=rng).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    published = {"minilm": SimpleNamespace(location=lambda: tmp_path)}
    monkeypatch.setattr(overfitting, "PUBLISHED", published)
    data = SimpleNamespace(texts=texts, labels=[i % 2 for i in range(120)])
    monkeypatch.setattr(overfitting, "load_labelled_sentences", lambda: data)
    return tmp_path


FEW = {"steps": 4, "train": 4, "test": 10, "batch_size": 4, "progress": False}


def test_fine_tuning_has_the_same_remedies(small_minilm):
    result = run_task("overfitting", data="uci", **FEW)
    assert [row.name for row in result.rows[:-1]] == list(remedies_of_fine_tuning(Recipe()))
    assert all(0 <= row.values["accuracy"] <= 1 for row in result.rows)
    assert result.figures == run_task("overfitting", data="uci", **FEW).figures
    result.draw()


def test_reviews_start_alike_without_dropout_unless_it_is_the_remedy(small_minilm):
    settings = TaskSettings(**FEW)
    reviews = Reviews(settings.recipe(Recipe()), settings)
    assert not set(map(tuple, reviews.train[0])) & set(map(tuple, reviews.test[0]))
    assert len(reviews.train[0]) == MORE * 4
    assert len(reviews.test[0]) == 10
    for p in (0.0, 0.3):
        found = [m.p for m in reviews.model(p).modules() if isinstance(m, Dropout)]
        assert found
        assert set(found) == {p}
    lora = remedies_of_fine_tuning(settings.recipe(Recipe()))["less learns: LoRA"]
    _, row = reviews.fine_tune("less learns: LoRA", lora, settings)
    assert set(row) == {"train", "test", "accuracy"}


def test_missing_weights_are_named(small_minilm, monkeypatch):
    nowhere = {"minilm": SimpleNamespace(location=lambda: small_minilm / "nowhere")}
    monkeypatch.setattr(overfitting, "PUBLISHED", nowhere)
    with pytest.raises(RuntimeError, match="python -m minillm weights minilm"):
        run_task("overfitting", data="uci", **FEW)
