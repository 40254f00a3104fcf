"""Summaries: who writes them, and ROUGE against numbers worked out by hand."""

import numpy as np
import pytest

from minillm.tasks import Recipe, TaskSettings, run_task
from minillm.tasks.seq2seq import SequenceWriter
from minillm.tasks.summarisation import POSITIONS, measure, models
from minillm.tasks.toy_data import LANGUAGES, ToyData


@pytest.fixture(scope="module")
def data():
    return ToyData.of(Recipe(train=60, test=20), TaskSettings())


@pytest.fixture(params=LANGUAGES)
def language(request):
    return request.param


def test_baselines_say_the_first_sentence_and_another_summary(data, language):
    recipe = Recipe(width=8, heads=2, layers=1)
    writer = SequenceWriter(data.vocabulary(language), recipe, POSITIONS, np.random.default_rng(0))
    systems = models(writer, data, language)
    first = systems["first sentence"](data.test)
    assert all(s.tokens[language][: len(f)] == f for s, f in zip(data.test, first, strict=True))
    assert all(words[-1] in (".", "。") for words in first)
    known = [story.summary_tokens[language] for story in data.train]
    assert all(words in known for words in systems["chance"](data.test))


def test_the_model_reads_the_story_alone(data, language):
    """A story that will not say its summary can be summarised all the same."""

    class Silent:
        def __init__(self, story):
            self.tokens = story.tokens

    recipe = Recipe(width=8, heads=2, layers=1)
    writer = SequenceWriter(data.vocabulary(language), recipe, POSITIONS, np.random.default_rng(0))
    said = models(writer, data, language)["Transformer"](list(map(Silent, data.test)))
    assert len(said) == len(data.test)


def test_rouge_by_hand(data):
    pytest.importorskip("rouge_score")
    # of the reference without its last three words: n - 3 of n, in order
    right = [story.summary_tokens["english"] for story in data.test]
    said = [words[:-3] + words[-1:] for words in right]
    found = measure(data, {"test": said, "compositional": said}, "english")
    sizes = [len(words) - 1 for words in right]  # the full stop is no word for rouge-score
    f1 = np.mean([2 * (n - 2) / (2 * n - 2) for n in sizes])
    assert found["R-1"] == pytest.approx(f1)
    assert found["R-L"] == pytest.approx(f1)
    assert found["R-2"] == pytest.approx(np.mean([2 * (n - 3) / (2 * n - 4) for n in sizes]))
    assert found["exact"] == 0
    assert found["comp. R-L"] < f1  # those are summaries of other stories


def test_chinese_is_counted_by_characters():
    pytest.importorskip("rouge_score")
    sizes = {"steps": 2, "train": 20, "test": 4, "width": 8, "heads": 2, "progress": False}
    result = run_task("summarisation", language="chinese", **sizes)
    assert "characters" in result.notes[0]
    assert next(row for row in result.rows if row.name == "chance").values["R-1"] > 0
