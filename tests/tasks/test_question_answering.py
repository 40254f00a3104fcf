"""Question answering: where answers stand, which span is the best, and what counts as right."""

import itertools

import numpy as np
import pytest

from minillm.data import StoryQuestion, ToyWorld
from minillm.tasks import Recipe, TaskSettings, WordVocabulary
from minillm.tasks.question_answering import (
    POSITIONS,
    Case,
    Reader,
    UsualPlaces,
    best_span,
    by_kind,
    cases_of,
    encode,
    examples,
    scores,
    text_of,
)
from minillm.tasks.toy_data import ToyData

LANGUAGES = ("english", "chinese")
SIZES = {"train": 12, "test": 4, "layers": 1, "width": 8, "heads": 2, "batch_size": 7}


@pytest.fixture(scope="module")
def stories():
    return ToyWorld().stories(30, seed=8)


def test_best_span_against_trying_all():
    rng = np.random.default_rng(0)
    for _ in range(50):
        start, end = rng.normal(size=(2, 7))
        spans = [(a, b) for a, b in itertools.product(range(7), repeat=2) if a <= b]
        a, b = max(spans, key=lambda span: start[span[0]] + end[span[1]])
        assert best_span(start, end) == (a, b + 1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_spans_are_the_right_answers(stories, language):
    cases = cases_of(stories, language)
    right = [(case.question.start, case.question.end) for case in cases]
    for case, span in zip(cases, right, strict=True):
        assert text_of(case.story, span, language) == case.question.answer
    assert scores(cases, right, language) == {"exact match": 1.0, "f1": 1.0}
    kinds = by_kind({"test": cases}, {"test": right}, language)
    assert set(kinds) == {case.question.kind for case in cases}
    assert set(map(tuple, kinds.values())) == {(1.0,)}
    assert all(example.correct for example in examples(cases, right, language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_training_positions_point_at_the_answer_and_no_test_story_is_trained_on(language):
    recipe = Recipe().replaced(**SIZES)
    data = ToyData.of(recipe, TaskSettings(seed=2))
    cases = cases_of(data.train, language)
    reader = Reader(cases, data, recipe, language)
    columns = reader.batches.columns
    for i, case in enumerate(cases):
        ids = columns["input_ids"][i].tolist()
        a, b = int(columns["start_positions"][i]), int(columns["end_positions"][i])
        assert ids[a : b + 1] == reader.words.encode(case.question.answer_tokens)
        assert set(columns["token_type_ids"][i][a : b + 1].tolist()) == {1}
    tests = data.test + data.compositional
    assert not {s.english for s in tests} & {case.story.english for case in cases}


def test_the_answer_stays_within_the_story(stories):
    """A head that always points at the question or at [SEP] must not be followed there."""
    recipe = Recipe().replaced(**SIZES)
    reader = Reader(cases_of(stories, "english"), ToyData.of(recipe, TaskSettings()), recipe,
                    "english")  # fmt: skip
    cases = cases_of(stories[:4], "english")
    rng = np.random.default_rng(0)
    for p in reader.model.parameters():
        p.data[...] = rng.normal(size=p.shape)
    for case, (start, end) in zip(cases, reader.answer(cases), strict=True):
        assert 0 <= start < end <= len(case.story.tokens["english"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_input_fits(language):
    words = WordVocabulary(ToyWorld().vocabulary(language))
    parts = ToyWorld().splits(1, 150, 150, seed=3)
    cases = cases_of(parts.test + parts.compositional, language)
    longest = max(len(encode(case, words, language)[0]) for case in cases)
    assert 60 < longest < POSITIONS
    ids, types = encode(cases[0], words, language)
    first = len(cases[0].question.tokens) + 2
    assert types == [0] * first + [1] * (len(ids) - first)
    assert (ids[0], ids[first - 1], ids[-1]) == (1, 4, 4)


def test_kinds_are_counted_by_themselves_and_only_where_both_sets_have_them(stories):
    cases = {"a": cases_of(stories, "english"), "b": cases_of(stories[:1], "english")}
    right = {name: [(c.question.start, c.question.end) for c in of] for name, of in cases.items()}
    right["a"] = [
        (0, 1) if case.question.kind == "feeling" else span
        for case, span in zip(cases["a"], right["a"], strict=True)
    ]
    kinds = by_kind(cases, right, "english")
    assert set(kinds) == {case.question.kind for case in cases["b"]}
    assert kinds.pop("feeling") == [0.0, 1.0]
    assert set(map(tuple, kinds.values())) == {(1.0, 1.0)}


def test_usual_places_are_counted_by_kind(stories):
    def case(kind, start, end):
        return Case(stories[0], StoryQuestion(kind, "", [], "", [], start, end, 0, 0))

    places = UsualPlaces([case("who", 4, 5), case("who", 4, 5), case("who", 3, 5),
                          case("when", 0, 3), case("what", 9, 990)])  # fmt: skip
    words = len(stories[0].tokens["english"])
    asked = [case("who", 0, 1), case("when", 0, 1), case("why", 0, 1), case("what", 0, 1)]
    assert places.answer(asked, "english") == [(4, 5), (0, 3), (4, 5), (9, words)]
    guesses = [places.guess(asked[:2], "english", np.random.default_rng(i)) for i in range(99)]
    assert {b - a for (a, b), _ in guesses} == {1}
    assert {b - a for _, (a, b) in guesses} == {3}
    assert min(a for _, (a, _) in guesses) == 0
    assert max(b for _, (_, b) in guesses) == words
