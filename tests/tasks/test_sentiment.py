"""Sentiment: the shared classifiers, and the splits and notes of the review sentences."""

import numpy as np
import pytest

from minillm.data import LabelledTexts, LengthBatches
from minillm.tasks import Recipe, TaskSettings, WordVocabulary, classifiers, run_task, sentiment
from minillm.tasks.classifiers import (
    NeuralClassifier,
    Texts,
    WordDropout,
    binary_scores,
    many_scores,
    words_of,
)

TINY = {"steps": 2, "width": 8, "heads": 2, "batch_size": 8, "progress": False}
SHORT = Recipe(steps=40, batch_size=16, lr=1e-2, layers=1, width=16, heads=2)
GOOD, BAD = ["good", "fine", "great"], ["bad", "awful", "poor"]


def some_texts(seed=0, count=120):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    words = [["it", "was", str(rng.choice((BAD, GOOD)[label]))] for label in labels.tolist()]
    return Texts(words, labels, [" ".join(w) for w in words])


@pytest.fixture
def reviews(monkeypatch):
    texts = some_texts()
    shown = [f"{text} number {'abcdefghij'[i % 10]}" for i, text in enumerate(texts.shown)]
    data = LabelledTexts(shown, texts.labels)
    monkeypatch.setattr(sentiment, "load_labelled_sentences", lambda: data)
    monkeypatch.setattr(sentiment, "has_minilm", lambda: False)
    return Texts.of(*data)


@pytest.mark.parametrize("kind", ["lstm", "bert"])
def test_both_classifiers_learn_what_a_word_means(kind):
    words = WordVocabulary([*GOOD, *BAD, "it", "was"])
    model = NeuralClassifier(kind, words, 2, SHORT, np.random.default_rng(0))
    settings = TaskSettings(progress=False)
    model.train(some_texts(), settings, np.random.default_rng(1), kind)
    said = model.predict([["it", "was", word] for word in [*GOOD, *BAD]])
    assert said.tolist() == [1, 1, 1, 0, 0, 0]


def test_bert_reads_a_start_sign_and_no_text_is_too_long():
    words = WordVocabulary(["a"])
    model = NeuralClassifier("bert", words, 3, SHORT, np.random.default_rng(0))
    assert model.ids([["a", "x"]]) == [[1, 6, 3]]
    assert model.scores([["a"] * 5000]).shape == (1, 3)


def test_validation_keeps_the_best_weights():
    texts = some_texts()
    wrong = Texts(texts.words, 1 - texts.labels, texts.shown)  # the more is learned, the worse
    words = WordVocabulary([*GOOD, *BAD, "it", "was"])
    model = NeuralClassifier("lstm", words, 2, SHORT, np.random.default_rng(0))
    trained = model.train(
        texts, TaskSettings(progress=False), np.random.default_rng(1), "x", validation=wrong,
        evaluate_every=5,
    )  # fmt: skip
    assert trained.history.best_step < trained.history.stopped_at <= 40


def test_word_dropout_hides_words_but_no_padding():
    ids = [list(range(6, 6 + n)) for n in (40, 30, 20, 10)]
    plain = LengthBatches({"input_ids": ids, "labels": [0, 1, 0, 1]}, 4, shuffle=False)
    hiding = WordDropout(plain, 0.3, seed=0)
    seen = [hiding.batch(i) for i in range(50)]
    before = plain.batch(0)
    for batch in seen:
        changed = batch["input_ids"] != before["input_ids"]
        assert (batch["input_ids"][changed] == 3).all()
        assert (batch["attention_mask"][changed] == 1).all()
        assert (batch["labels"] == before["labels"]).all()
    share = np.mean([(b["input_ids"] == 3).sum() / 100 for b in seen])
    assert abs(share - 0.3) < 0.03
    assert (hiding.batch(7)["input_ids"] == seen[7]["input_ids"]).all()
    assert (seen[7]["input_ids"] != seen[8]["input_ids"]).any()


def test_words_of_any_text():
    assert words_of("It's £3.50, ok") == ["it's", "£", "0", ".", "00", ",", "ok"]
    assert words_of("我很高兴 yes") == ["我", "很", "高", "兴", "yes"]
    assert words_of("___") == ["."]
    assert len(words_of("word " * 1000)) == classifiers.LONGEST


def test_scores_by_hand():
    said, right = np.array([1, 1, 1, 0, 0]), np.array([1, 0, 1, 1, 0])
    scores = binary_scores(said, right)
    assert list(scores) == ["accuracy", "precision", "recall", "f1"]
    np.testing.assert_allclose(list(scores.values()), [3 / 5, 2 / 3, 2 / 3, 2 / 3])
    said, right = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    assert many_scores(said, right) == pytest.approx({
        "accuracy": 3 / 4,
        "macro f1": (2 / 3 + 2 / 3 + 1) / 3,
    })


def test_texts_must_be_equally_many():
    with pytest.raises(ValueError, match="1 texts, 2 labels and 1 texts to show"):
        Texts([["a"]], np.array([0, 1]), ["a"])


def test_no_test_sentence_is_trained_on(reviews):
    settings = TaskSettings()
    seen = []
    for number in range(5):
        train, test = sentiment.split_rows(reviews, settings, number)
        assert not {reviews.shown[i] for i in train} & {reviews.shown[i] for i in test}
        assert len(train) + len(test) == len(reviews)
        assert 0.15 < len(test) / len(reviews) < 0.35
        seen.append(tuple(sorted(test.tolist())))
    assert len(set(seen)) == 5


def test_labels_of_test_sentences_decide_nothing(reviews):
    settings = TaskSettings(**TINY)
    train, test = sentiment.split_rows(reviews, settings, 0)
    recipe = settings.recipe(sentiment.UCI)
    one, _ = sentiment.train_uci(reviews[train], recipe, settings, 0)
    flipped = np.array(reviews.labels)
    flipped[test] = 1 - flipped[test]
    changed = Texts(reviews.words, flipped, reviews.shown)
    two, _ = sentiment.train_uci(changed[train], recipe, settings, 0)
    words = [reviews.words[i] for i in test]
    np.testing.assert_array_equal(one.scores(words), two.scores(words))


@pytest.mark.filterwarnings("ignore:.*the result is set to 0")
def test_reviews_fill_the_table_and_tell_what_is_missing(reviews):
    result = run_task("sentiment", data="uci", **TINY)
    names = [row.name for row in result.rows]
    assert names[0] == "LSTM"
    assert {"naive Bayes", "chance (majority)"} < set(names)
    assert all(row.values["lowest"] <= row.values["accuracy"] for row in result.rows)
    assert "python -m minillm weights minilm" in str(result)
    assert result.figures["naive Bayes, accuracy"] > 0.95
    assert result.draw().axes[0].get_xlabel() == "accuracy"


def test_without_scikit_learn_the_row_is_left_out(monkeypatch):
    monkeypatch.setattr(classifiers, "has_sklearn", lambda: False)
    assert "TF-IDF + regression" not in classifiers.classical_rivals(some_texts(), 2)
    assert "python -m pip install" in classifiers.missing_notes()[0]
