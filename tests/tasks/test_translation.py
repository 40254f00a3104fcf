"""Sentence pairs: what may be trained on, what may be read, and how translations are counted."""

import pytest

from minillm.data import ToyWorld, Translation
from minillm.tasks import Recipe, TaskSettings, run_task, translation
from minillm.tasks.toy_data import LANGUAGES, ToyData
from minillm.tasks.translation import (
    Translator,
    asked,
    measure,
    tatoeba_sentences,
    toy_sentences,
)

SMALL = {"steps": 2, "layers": 1, "width": 8, "heads": 2, "batch_size": 8, "progress": False}


@pytest.fixture(scope="module")
def toy():
    return toy_sentences(ToyData.of(Recipe(train=150, test=20), TaskSettings()))


@pytest.fixture
def tatoeba(monkeypatch):
    """Short pairs in place of the file: two of them share the English, two the Chinese."""
    numbers = "一二三四五六七八九十"
    pairs = [
        Translation(f"Take {i} or {j}.", f"拿{numbers[i]}或{numbers[j]}。", "")
        for i in range(6)
        for j in range(10)
    ]
    pairs += [
        Translation("Take 1 or 2.", "一或者二。", ""),
        Translation("Pick 1 or 2.", "一或者二。", ""),
        Translation("Go!", "走開！", ""),
    ]
    monkeypatch.setattr(translation, "load_tatoeba", lambda **options: pairs)
    return pairs


def sentences(pairs):
    return {(x, tuple(pair[x])) for pair in pairs for x in LANGUAGES}


@pytest.mark.parametrize("compositional", [False, True])
def test_a_translation_is_a_function_of_its_sentence(compositional):
    meanings = {}
    for story in ToyWorld(compositional=compositional).stories(700, seed=3):
        for sentence in story.sentences:
            for source in LANGUAGES:
                target = sentence.tokens[translation.OTHER[source]]
                key = source, tuple(sentence.tokens[source])
                assert meanings.setdefault(key, target) == target


def test_no_test_sentence_is_trained_on_in_either_language(toy):
    known = sentences(toy.train)
    assert len(toy.train) > 400
    for pairs in toy.tests.values():
        assert pairs
        assert not known & sentences(pairs)


def test_tatoeba_is_held_out_by_sentence_and_simplified(tatoeba):
    text = tatoeba_sentences(Recipe(train=100, test=15), seed=1)
    assert len(text.tests["test"]) == 15
    assert not sentences(text.train) & sentences(text.tests["test"])
    assert not any("開" in pair["chinese"] for pair in text.train + text.tests["test"])
    assert len(tatoeba_sentences(Recipe(train=7, test=15), seed=1).train) == 7


def test_one_sentence_is_never_on_both_sides(tatoeba):
    """Translations of one sentence stay together; what shares the Chinese is left out."""
    lost = set()
    for seed in range(12):
        text = tatoeba_sentences(Recipe(train=100, test=20), seed=seed)
        tests = text.tests["test"]
        twice = ["take", "1", "or", "2", "."]
        assert sum(pair["english"] == twice for pair in tests) in (0, 2)
        assert not sentences(text.train) & sentences(tests)
        lost.add(len(tatoeba) - 1 - len(text.train) - len(tests))
    assert lost == {0, 1}


def test_tatoeba_leaves_something_to_train_on(tatoeba):
    with pytest.raises(ValueError, match="leave at least half of the 62 pairs to train on, got 40"):
        tatoeba_sentences(Recipe(test=40), seed=0)


def test_tatoeba_runs_with_unknown_words(tatoeba):
    pytest.importorskip("sacrebleu")
    result = run_task("translation", data="tatoeba", train=30, test=12, **SMALL)
    assert len(result.rows) == 6
    assert "comp. bleu" not in result.columns


def test_the_right_translation_is_not_read(toy):
    translator = Translator(toy, list(LANGUAGES), Recipe(width=8, heads=2, layers=1), seed=0)
    pairs = toy.tests["test"][:8]
    without = [{"english": pair["english"], "chinese": ["？"]} for pair in pairs]
    assert translator.translate(pairs, "english") == translator.translate(without, "english")


def test_the_source_names_the_language_that_is_wanted():
    pair = {"english": ["hello"], "chinese": ["你", "好"]}
    assert asked(pair, "chinese") == ["[english]", "你", "好"]
    assert asked(pair, "english") == ["[chinese]", "hello"]


def test_one_direction_only_learns_that_one(toy):
    recipe = Recipe(width=8, heads=2, layers=1, batch_size=4)
    one = Translator(toy, ["chinese"], recipe, seed=0)
    assert len(one.batches.lengths) == len(toy.train)
    english, chinese = (one.writer.words.ids[translation.marker(x)] for x in LANGUAGES)
    first = {int(one.batches.batch(i)["input_ids"][0, 0]) for i in range(5)}
    assert first == {english}
    both = Translator(toy, list(LANGUAGES), recipe, seed=0)
    first = {int(i) for n in range(9) for i in both.batches.batch(n)["input_ids"][:, 0]}
    assert first == {english, chinese}


def test_measures_on_running_text(toy):
    pytest.importorskip("sacrebleu")
    right = {kind: [pair["chinese"] for pair in pairs] for kind, pairs in toy.tests.items()}
    perfect = measure(toy, right, "chinese")
    assert perfect == {
        "bleu": pytest.approx(100), "exact": 1.0,
        "comp. bleu": pytest.approx(100), "comp. exact": 1.0,
    }  # fmt: skip
    half = {k: [t if i % 2 else [] for i, t in enumerate(texts)] for k, texts in right.items()}
    found = measure(toy, half, "chinese")
    assert found["exact"] == pytest.approx(0.5, abs=0.02)
    assert found["bleu"] < 60


def test_directions_can_be_asked_for():
    pytest.importorskip("sacrebleu")
    result = run_task("translation", train=20, test=3, language="chinese", **SMALL)
    assert [row.name for row in result.rows] == [
        "Transformer, zh → en", "word for word, zh → en", "chance, zh → en"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="language 'latin' is not known here"):
        run_task("translation", language="latin", **SMALL)
