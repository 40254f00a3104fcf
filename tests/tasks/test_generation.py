"""What counts as a story that was written: correct, new, varied."""

import math

import numpy as np
import pytest

from minillm.data import ToyWorld
from minillm.tasks import Recipe, TaskSettings
from minillm.tasks.generation import distinct, ending, judge, spoken, write
from minillm.tasks.language_models import POSITIONS, StoryText, build_model
from minillm.tasks.toy_data import ToyData
from minillm.tasks.words import BOS, EOS, PAD

RECIPE = Recipe(width=8, heads=2, layers=1, train=30, test=5)


@pytest.fixture(scope="module")
def data():
    return ToyData.of(RECIPE, TaskSettings())


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_judging_texts_whose_quality_is_known(data, language):
    known = {story.text[language] for story in data.train}
    fresh, copied = data.test[0], data.train[0]
    broken = [*fresh.tokens[language][:-1], "robot"]
    never = ToyWorld(compositional=True).stories(1)[0]  # no story of the ordinary world
    texts = [fresh.tokens[language], copied.tokens[language], broken, never.tokens[language]]
    found = judge(texts, data, known, language)
    assert found["stories"] == 0.5
    assert found["correct"] == 0.75
    assert found["new"] == 0.5
    mean = -(fresh.log_probability + copied.log_probability) / 2
    assert found["-log p"] == pytest.approx(mean)
    assert set(judge([broken], data, known, language)) == {"correct", "stories", "distinct-2"}


def test_the_world_writes_with_the_log_probability_of_its_entropy(data):
    texts = [story.english_tokens for story in data.world.stories(600)]
    found = judge(texts, data, set(), "english")
    assert found["stories"] == found["new"] == 1.0
    assert found["-log p"] == pytest.approx(data.world.entropy, rel=0.02)


def test_distinct_counts_pairs_within_a_text():
    assert distinct([["a", "b"], ["a", "b"]], 2) == 0.5  # no pair over the border
    assert distinct([["a"], []], 2) == 0.0


def test_a_special_token_is_not_swept_under_the_carpet(data):
    text = StoryText(data, "english")
    ids = text.encode(data.test)[0][1:]
    assert spoken([*ids, 9, 9], text) == data.test[0].english_tokens
    words = spoken([ids[0], PAD, *ids[1:]], text)
    assert words[1] == "[PAD]"
    assert data.world.log_probability(words) == -math.inf


def test_writing_keeps_the_start_and_stops_before_the_end(data):
    text = StoryText(data, "english")
    model = build_model("GPT", RECIPE, len(text.words), POSITIONS, np.random.default_rng(0))
    start = [BOS, *text.words.encode(data.test[0].english_tokens[:4])]
    texts = write(model, text, [start] * 3, 1.0, np.random.default_rng(0))
    assert len(texts) == 3
    for words in texts:
        assert words[:4] == data.test[0].english_tokens[:4]
        assert text.words.words[EOS] not in words
        assert len(words) < POSITIONS
    assert texts[0] != texts[1]
    assert ending(["one", "day", ".", "there", "."], ["one", "day", "."], "english") == "There."
