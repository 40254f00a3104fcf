"""Word vectors: neighbours and analogies on vectors whose answers are known beforehand."""

import numpy as np
import pytest

from minillm.data import ToyWorld
from minillm.models import WordVectors
from minillm.tasks import word_vectors as task

WORDS = [f"a{i}" for i in range(6)] + [f"b{i}" for i in range(6)]
CATEGORIES = {word: word[0] for word in WORDS}


def test_neighbours_of_two_clean_groups_and_of_one_that_is_misplaced():
    rows = np.zeros((12, 3))
    rows[:6, 0], rows[6:, 1] = 1, 1
    rows[:, 2] = np.arange(12) / 100
    assert task.neighbours(WordVectors(WORDS, rows), CATEGORIES) == {"nearest": 1, "nearest 5": 1}
    rows[5, :2] = 0, 1  # a5 stands among the b
    scores = task.neighbours(WordVectors(WORDS, rows), CATEGORIES)
    assert scores["nearest"] == 11 / 12  # b0 has a5 and b1 beside it, and b1 a little nearer
    assert scores["nearest 5"] < 1


def test_too_few_words_of_one_category_are_refused():
    vectors = WordVectors(WORDS[:5], np.eye(5))
    with pytest.raises(ValueError, match="no six of one category"):
        task.neighbours(vectors, CATEGORIES)


def test_analogies_count_pairs_with_different_pronouns():
    she, he = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])
    rows = {"she": she, "he": he, "Mia": she + [1, 0, 0], "Leo": he + [1, 0, 0]}
    vectors = WordVectors(list(rows), np.array(list(rows.values())))
    pronouns = {"Mia": "she", "Leo": "he"}
    assert task.analogies(vectors, pronouns) == 1
    assert task.analogies(vectors, {"Mia": "she", "Leo": "she"}) == 0  # no pair to ask


def test_ppmi_of_a_table_counted_by_hand():
    first, second = np.array([0, 1, 1, 2]), np.array([1, 0, 2, 1])
    counts = np.array([2.0, 2.0, 1.0, 1.0])
    vectors = task.ppmi_vectors(first, second, counts, 3)
    # X_01 = 2, X_12 = 1, N = 6, X_0 = 2, X_1 = 3, X_2 = 1: all pairs are log 2
    expected = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) * np.log(2)
    left, values, _ = np.linalg.svd(expected)
    np.testing.assert_allclose(vectors @ vectors.T, left * values @ left.T, atol=1e-6)


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_categories_and_pronouns_come_from_the_grammar(language):
    world = ToyWorld()
    categories, pronouns = world.word_categories(language), world.pronouns(language)
    assert set(categories) <= set(world.vocabulary(language))
    assert len(set(categories.values())) > 20
    assert all(categories[name] == "hero" for name in pronouns)
    assert len(set(pronouns.values())) == 2
    story = world.stories(1, seed=18)[0]
    spoken = {story.derivation["hero"], story.derivation["object"]}
    if language == "english":
        assert {categories[word] for word in spoken} == {"hero", "object"}
