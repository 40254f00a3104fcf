"""Masked words: one word at a time, beside the grammar's own posterior."""

import math

import numpy as np
import pytest

from minillm.data import LengthBatches, ToyWorld
from minillm.tasks import Recipe, TaskSettings, WordVocabulary, run_task
from minillm.tasks.masked_batches import MaskedBatches
from minillm.tasks.masked_words import Cases, FillIn, NeighbourCounts
from minillm.tasks.toy_data import ToyData
from minillm.tasks.words import MASK, SPECIAL

SIZES = {"train": 20, "test": 2, "layers": 1, "width": 8, "heads": 2, "batch_size": 5}


@pytest.fixture(scope="module")
def model():
    settings = TaskSettings(seed=3, progress=False)
    recipe = Recipe().replaced(**SIZES)
    return FillIn(ToyData.of(recipe, settings), recipe, "english")


def test_hiding_takes_fifteen_in_a_hundred_and_repeats():
    words = WordVocabulary([f"w{i}" for i in range(500)])
    ids = np.random.default_rng(0).integers(6, 506, size=(200, 40))
    plain = LengthBatches({"input_ids": ids}, batch_size=200, shuffle=False)
    batches = MaskedBatches(plain, words, np.random.default_rng(1))
    batch, same = batches.batch(0), batches.batch(0)
    for name, array in batch.items():
        np.testing.assert_array_equal(array, same[name])
    asked = batch["labels"] != -100
    np.testing.assert_array_equal(asked.sum(axis=1), 6)  # 15 % of 40
    original = plain.batch(0)["input_ids"]
    np.testing.assert_array_equal(batch["labels"][asked], original[asked])
    np.testing.assert_array_equal(batch["input_ids"][~asked], original[~asked])
    hidden = batch["input_ids"][asked]
    shares = [(hidden == MASK).mean(), (hidden == original[asked]).mean()]
    np.testing.assert_allclose(shares, [0.8, 0.1], atol=0.03)
    assert hidden[hidden != MASK].min() >= len(SPECIAL)
    assert not np.array_equal(batches.batch(1)["labels"], batch["labels"])


def test_the_hidden_word_does_not_show(model):
    """Whatever stands at a place, what the model says about that place is the same."""
    words = ToyWorld().stories(1, seed=4)[0].tokens["english"]
    place = words.index("to")
    other = [*words[:place], "robot", *words[place + 1 :]]
    mine, theirs = model.log_probabilities(words), model.log_probabilities(other)
    assert mine.shape == (len(words), len(model.words))
    np.testing.assert_array_equal(mine[place], theirs[place])
    assert not np.allclose(mine[place + 1], theirs[place + 1])  # the neighbour sees it
    np.testing.assert_allclose(np.exp(mine).sum(axis=1), 1, rtol=1e-5)


def test_each_row_is_what_the_model_says_with_one_mask(model):
    words = ToyWorld().stories(1, seed=5)[0].tokens["english"][:9]
    said = model.log_probabilities(words)
    for place in (0, 4, 8):
        ids = np.array([model.words.encode(words)])
        ids[0, place] = MASK
        logits = model.model(ids).logits.numpy()[0, place].astype(np.float64)
        expected = logits - np.log(np.exp(logits).sum())
        np.testing.assert_allclose(said[place], expected, atol=1e-5)


def test_best_possible_is_the_world_s_own_figure(model):
    world, stories = ToyWorld(), ToyWorld().stories(2, seed=6)
    cases = Cases(stories, model, world, "english")
    assert cases.best() == pytest.approx(world.best_masked_accuracy(stories, "english"), abs=1e-12)
    posterior = [
        world.masked_posterior(s.tokens["english"], i, "english")
        for s in stories
        for i in range(len(s.tokens["english"]))
    ]
    entropies = [-math.fsum(p * math.log(p) for p in d.values()) for d in posterior]
    assert cases.entropy() == pytest.approx(np.mean(entropies), abs=1e-12)
    assert 0 < cases.entropy() < 1
    by_role = cases.accuracy_by_role()
    counts = {role: sum((r or "no role") == role for r in cases.roles) for role in by_role}
    assert sum(counts.values()) == len(cases.truth)
    whole = sum(counts[role] * best for role, (_, best) in by_role.items()) / len(cases.truth)
    assert whole == pytest.approx(cases.best(), abs=1e-12)


def test_neighbours_fill_in_what_stood_between_them():
    counts = NeighbourCounts([["a", "b", "c"], ["a", "b", "c"], ["a", "d", "c"], ["a", "x"]])
    assert counts.fill(["a", "d", "c"]) == ["a", "b", "c"]
    assert counts.fill(["a", "?", "q"]) == ["a", "a", "a"]  # new neighbours: the usual word


def test_no_test_story_is_trained_on_and_chance_is_ln_v(model):
    result = run_task("masked-words", steps=1, progress=False, **SIZES)
    size = len(WordVocabulary(ToyWorld().vocabulary("english")))
    assert result.figures["chance, nats"] == pytest.approx(math.log(size))
    assert result.figures["chance, accuracy"] == pytest.approx(1 / size)
    assert result.figures["best possible, of best"] == 1.0
    data = ToyData.of(Recipe().replaced(**SIZES), TaskSettings(seed=3))
    texts = {tuple(model.words.encode(s.tokens["english"])) for s in data.train}
    assert {tuple(row.tolist()) for row in model.batches.batches.columns["input_ids"]} == texts
    tests = data.test + data.compositional
    assert not texts & {tuple(model.words.encode(s.tokens["english"])) for s in tests}
