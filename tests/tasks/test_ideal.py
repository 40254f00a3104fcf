"""The ideal reader against worlds so small that all their stories can be counted."""

import math

import numpy as np
import pytest

from minillm.data import ToyWorld
from minillm.tasks.ideal import next_words, prefix_log_probability, story_nats

LANGUAGES = ("english", "chinese")
CHOICES = {
    "": 1, "hero": 2, "plot": 6, "object": 2, "time": 2, "company": 2, "mishap": 2, "weather": 3,
}  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["ordinary", "compositional"])
def small(request):
    choices = CHOICES | ({"novelty": 2, "motion": 8, "look": 8} if request.param else {"motion": 2})
    world = ToyWorld(compositional=request.param, choices=choices)
    return world, list(world.derivations())


@pytest.mark.parametrize("language", LANGUAGES)
def test_beginnings_have_the_probability_of_all_stories_that_begin_so(small, language):
    world, stories = small
    texts = [(story.tokens[language], math.exp(story.log_probability)) for story in stories]
    for number in np.random.default_rng(0).integers(len(stories), size=6):
        words = texts[number][0]
        for n in range(len(words) + 1):
            counted = sum(p for other, p in texts if other[:n] == words[:n])
            found = prefix_log_probability(world, words[:n], language)
            assert found == pytest.approx(math.log(counted), abs=1e-9), words[:n]


@pytest.mark.parametrize("language", LANGUAGES)
def test_next_words_are_counted_too(small, language):
    world, stories = small
    words = stories[0].tokens[language][:5]
    counted = {}
    for story in stories:
        if story.tokens[language][:5] == words:
            word = story.tokens[language][5]
            counted[word] = counted.get(word, 0) + math.exp(story.log_probability)
    total = sum(counted.values())
    found = next_words(world, words, language)
    assert found == pytest.approx({word: p / total for word, p in counted.items()})
    assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_nats_of_a_story_sum_to_its_probability(language):
    world = ToyWorld()
    for story in world.stories(3, seed=5):
        nats = story_nats(world, story, language)
        assert len(nats) == len(story.tokens[language]) + 1
        assert min(nats) >= 0
        assert sum(nats) == pytest.approx(-story.log_probability)


def test_what_begins_no_story_has_no_probability():
    world = ToyWorld()
    assert prefix_log_probability(world, ["robot"], "english") == -math.inf
    assert next_words(world, ["robot"], "english") == {}
    story = world.stories(1, seed=5)[0].english_tokens
    assert prefix_log_probability(world, [*story, "the"], "english") == -math.inf
