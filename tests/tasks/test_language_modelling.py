"""Losses of language models: whole stories, the right tokens, the right units."""

import math

import numpy as np
import pytest

from minillm.data import ToyWorld
from minillm.tasks import Recipe, TaskSettings, run_task
from minillm.tasks.language_modelling import columns_of
from minillm.tasks.language_models import (
    POSITIONS,
    StoryText,
    build_model,
    per_token,
    token_nats,
    truth_per_token,
)
from minillm.tasks.toy_data import ToyData
from minillm.training import compressor_bits_per_byte, evaluate

RECIPE = Recipe(width=8, heads=2, layers=1, train=30, test=9)
NAMES = ("RNN", "LSTM", "GPT", "Llama", "Transformer")
SMALL = {"steps": 2, "width": 8, "heads": 2, "layers": 1, "batch_size": 4, "progress": False}


@pytest.fixture(scope="module")
def data():
    return ToyData.of(RECIPE, TaskSettings())


@pytest.mark.parametrize("name", NAMES)
def test_token_nats_are_those_of_one_story_at_a_time(name, data):
    text = StoryText(data, "english")
    model = build_model(name, RECIPE, len(text.words), POSITIONS, np.random.default_rng(1)).eval()
    rows = text.encode(data.test)
    for ids, nats in zip(rows, token_nats(model, rows, batch_size=4), strict=True):
        logits = model([ids]).logits.numpy()[0, :-1].astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        assert nats == pytest.approx(-log_p[np.arange(len(nats)), ids[1:]], abs=1e-4)


def test_the_mean_is_that_of_evaluate_over_all_tokens(data):
    text = StoryText(data, "chinese")
    model = build_model("GPT", RECIPE, len(text.words), POSITIONS, np.random.default_rng(1))
    loss = evaluate(model, text.batches(data.test, 4))["loss"]
    assert per_token(token_nats(model, text.encode(data.test))) == pytest.approx(loss, abs=1e-5)


def test_no_later_word_is_visible(data):
    text = StoryText(data, "english")
    first, second = text.encode(data.test)[0], text.encode(data.test)[0]
    second[20:] = second[20:][::-1]
    for name in NAMES:
        model = build_model(name, RECIPE, len(text.words), POSITIONS, np.random.default_rng(1))
        a, b = token_nats(model, [first])[0], token_nats(model, [second])[0]
        assert a[:19] == pytest.approx(b[:19], abs=1e-6)
        assert np.abs(a[19:] - b[19:]).max() > 1e-3


def test_the_longest_story_fits_and_starts_and_ends(data):
    text = StoryText(data, "chinese")
    longest = max(
        len(story.tokens["chinese"])
        for compositional in (False, True)
        for story in ToyWorld(compositional=compositional).stories(300)
    )
    assert longest + 2 < POSITIONS
    ids = text.encode(data.test)[0]
    assert (ids[0], ids[-1]) == (1, 2)
    assert text.words.decode(ids) == data.test[0].chinese_tokens


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_truth_is_close_to_the_floor_on_many_stories(language):
    world = ToyWorld()
    assert truth_per_token(world.stories(3000), language) == pytest.approx(
        world.floor(language), rel=0.01
    )


def test_units_of_the_columns():
    values = columns_of([math.log(2), 3.0], [0.5, 1.0])
    assert values["bits"] == pytest.approx(1)
    assert values["excess"] == pytest.approx(math.log(2) - 0.5)
    assert values["comp. excess"] == 2.0


@pytest.mark.filterwarnings("ignore:.*glyph")
def test_a_text_file_is_read_character_by_character(tmp_path):
    poem = "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n"
    file = tmp_path / "poem.txt"
    file.write_text(poem * 80, encoding="utf-8")
    result = run_task("language-modelling", data=str(file), **SMALL)
    rows = {row.name: row.values for row in result.rows}
    test_text = (poem * 80)[int(len(poem) * 80 * 0.9) :]
    assert rows["zlib"]["bits/byte"] == pytest.approx(compressor_bits_per_byte(test_text)["zlib"])
    # one character of 3 bytes (the line end has 1) out of so many different ones
    size, characters = len(test_text[1:].encode()), len(test_text) - 1
    chance = math.log2(len(set(poem))) * characters / size
    assert rows["chance"]["bits/byte"] == pytest.approx(chance)
    assert rows["chance"]["nats/char"] == pytest.approx(math.log(len(set(poem))))
    assert rows["trigram"]["bits/byte"] < 0.3
    assert len(result.examples) == 3
    assert result.save(tmp_path / "out")[1].stat().st_size > 1000


def test_files_that_cannot_be_used_are_refused(tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("too short", encoding="utf-8")
    with pytest.raises(ValueError, match=r"has 9 characters, at least \d+ are needed"):
        run_task("language-modelling", data=str(short), **SMALL)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        run_task("language-modelling", data=str(tmp_path / "none.txt"), **SMALL)
    with pytest.raises(ValueError, match="language 'chinese' is for the toy world"):
        run_task("language-modelling", data=str(short), language="chinese", **SMALL)
