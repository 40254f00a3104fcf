"""The dictionary of IBM model 1 against the formula written out, one pair of words at a time."""

import numpy as np
import pytest

from minillm.tasks.word_for_word import EMPTY, WordForWord

SOURCES = [["the", "cat"], ["the", "dog"], ["a", "cat", "a"], ["dog"]]
TARGETS = [["le", "chat"], ["le", "chien"], ["un", "chat"], ["chien", "chien", "!"]]


def literal_model_1(sources, targets, rounds):
    """Brown et al. 1993, section 4.1: the counts (1) and the dictionary (2), by loops."""
    target_words = {f for target in targets for f in target}
    pairs = [([EMPTY, *source], target) for source, target in zip(sources, targets, strict=True)]
    t = {(f, e): 1 / len(target_words) for f in target_words for s, _ in pairs for e in s}
    for _ in range(rounds):
        counts = dict.fromkeys(t, 0.0)
        for source, target in pairs:
            for f in target:
                for e in source:
                    counts[f, e] += t[f, e] / sum(t[f, k] for k in source)
        totals = {e: sum(counts[f, e] for f in target_words) for _, e in t}
        t = {(f, e): counts[f, e] / totals[e] for f, e in t}
    return t


@pytest.mark.parametrize("rounds", [1, 2, 7])
def test_dictionary_is_that_of_the_formula(rounds):
    model = WordForWord(SOURCES, TARGETS, rounds)
    expected = literal_model_1(SOURCES, TARGETS, rounds)
    source, target = model.source_words.words, model.target_words.words
    found = {(target[f], source[e]): t for e, f, t in zip(model.e, model.f, model.t, strict=True)}
    for key, value in expected.items():
        assert found.get(key, 0.0) == pytest.approx(value, rel=1e-12), key


def test_the_likelihood_climbs_with_every_round():
    assert (np.diff(WordForWord(SOURCES, TARGETS, 10).log_likelihoods) > 0).all()


def test_each_word_gets_its_most_probable_translation():
    expected = literal_model_1(SOURCES, TARGETS, 20)
    model = WordForWord(SOURCES, TARGETS, 20)
    for word in ("cat", "dog"):
        best = max((p, f) for (f, e), p in expected.items() if e == word)[1]
        assert model.translate([word]) == [best]
    assert model.translate(["dog", "whale", "cat"]) == ["chien", "chat"]


@pytest.mark.parametrize(("sources", "targets"), [([], []), (SOURCES, TARGETS[:2])])
def test_pairs_are_needed(sources, targets):
    with pytest.raises(ValueError, match="one target for each source, at least one"):
        WordForWord(sources, targets)
