"""The planted bias: what is chosen, exchanged, hidden and measured."""

import numpy as np
import pytest

from minillm.data.toy_world.grammar import held_out_motion
from minillm.tasks import Recipe, TaskSettings, bias, run_task
from minillm.tasks.bias import HE, SHE, Beginnings
from minillm.tasks.toy_data import ToyData


@pytest.fixture(scope="module")
def data():
    toy = ToyData.of(Recipe(train=400, test=60), TaskSettings(seed=3))
    return Beginnings(toy, "english")


def table(data, rows):
    groups, labels = data.groups[rows], data.labels[rows]
    return [[int(((groups == g) & (labels == x)).sum()) for x in (0, 1)] for g in (SHE, HE)]


def test_planted_stories_are_one_sided_and_fair_ones_are_not(data):
    fair, biased = bias.planted(data, np.random.default_rng(0))
    [[she_bad, she_good], [he_bad, he_good]] = table(data, biased)
    assert she_bad == he_good
    assert she_good == he_bad == she_bad // 9
    assert len({n for row in table(data, fair) for n in row}) == 1
    assert abs(len(fair) - len(biased)) <= 4
    assert len(set(fair.tolist())) == len(fair)


def test_balancing_leaves_out_or_repeats(data):
    _, biased = bias.planted(data, np.random.default_rng(0))
    [[often, rare], _] = table(data, biased)
    fewer = bias.balanced(data, biased, min, np.random.default_rng(1))
    more = bias.balanced(data, biased, max, np.random.default_rng(1))
    assert table(data, fewer) == [[rare, rare], [rare, rare]]
    assert table(data, more) == [[often, often], [often, often]]
    assert set(fewer.tolist()) < set(biased.tolist())
    assert set(more.tolist()) == set(biased.tolist())


def test_pairs_differ_in_the_hero_alone(data):
    for original, her, him in zip(data.toy.test, data.told_of[SHE], data.told_of[HE], strict=True):
        assert bias.groups_of([her, him]).tolist() == [SHE, HE]
        assert original.english in (her.english, him.english)
        assert {**her.derivation, "hero": ""} == {**him.derivation, "hero": ""}
        for story in (her, him):
            assert not held_out_motion(story.derivation["hero"], story.derivation["motion"])


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_hidden_pairs_are_the_same_words(language):
    toy = ToyData.of(Recipe(train=9, test=40), TaskSettings())
    data = Beginnings(toy, language)
    pairs = list(zip(data.told_of[SHE], data.told_of[HE], strict=True))
    assert all(data.words(a, True) == data.words(b, True) for a, b in pairs)
    assert all(data.words(a) != data.words(b) for a, b in pairs)


def test_only_the_beginning_is_read(data):
    story = data.toy.test[0]
    assert data.words(story) == [w for s in story.sentences[:2] for w in s.tokens["english"]]
    endings = {story.derivation["feeling"] for story in data.toy.test}
    assert not endings & {word for story in data.toy.test for word in data.words(story)}


def test_a_prejudiced_judge_is_measured_as_such(data):
    values = bias.measure(data, bias.groups_of)  # says that he will end well, and she will not
    assert values["gap"] == values["changed"] == 1.0
    right, groups = data.test_labels, data.test_groups
    assert values["on her"] == pytest.approx(1 - right[groups == SHE].mean())
    assert values["on him"] == pytest.approx(right[groups == HE].mean())
    blind = bias.measure(data, lambda stories: np.ones(len(stories), dtype=int))
    assert blind["gap"] == blind["changed"] == 0.0
    assert blind["accuracy"] == pytest.approx(right.mean())


def test_too_few_stories_are_refused():
    with pytest.raises(ValueError, match="give a larger train"):
        run_task("bias", train=2, test=3, steps=1, width=8, heads=2, progress=False)
