"""Conversations: what is learned, what the model may see, and how answers are counted."""

import dataclasses

import numpy as np
import pytest

from minillm.data import ToyWorld
from minillm.tasks import Recipe, TaskSettings, WordVocabulary
from minillm.tasks.dialogue import (
    POSITIONS,
    AnswersByKind,
    Conversation,
    Talker,
    by_kind,
    measure,
)
from minillm.tasks.toy_data import LANGUAGES, ToyData
from minillm.tasks.words import BOS, EOS, SEP


def conversations(language="english", count=6):
    rng = np.random.default_rng(0)
    return [Conversation(s, language, rng) for s in ToyWorld().stories(count, seed=4)]


@pytest.fixture(params=LANGUAGES)
def language(request):
    return request.param


@pytest.fixture
def talker(language):
    words = WordVocabulary(ToyWorld().vocabulary(language))
    talker = Talker(words, Recipe(width=12, heads=2, layers=1), np.random.default_rng(1))
    for parameter in talker.model.parameters():
        parameter.data *= 8  # the choices of an untrained model then depend on what it reads
    return talker


def test_only_answers_and_their_ends_are_learned(talker, language):
    for talk in conversations(language):
        ids, labels = talk.sequence(talker.words)
        assert ids[: len(talk.opening(talker.words))] == [
            BOS, *talker.words.encode(talk.story.tokens[language]), SEP
        ]  # fmt: skip
        learned = [label for label in labels if label != -100]
        expected = [[*talker.words.encode(q.answer_tokens), EOS] for q in talk.questions]
        assert learned == [token for answer in expected for token in answer]
        assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))
        # what a label says stands after the question: no question is a label
        asked = sum(len(q.tokens) for q in talk.questions)
        assert labels.count(-100) == len(talk.opening(talker.words)) + asked


def test_every_question_is_asked_once_and_the_orders_differ(language):
    talks = conversations(language, 30)
    assert all(
        sorted(q.text for q in t.questions) == sorted(q.text for q in t.story.questions[language])
        for t in talks
    )
    assert len({t.questions[0].kind for t in talks}) > 2


def test_answers_in_a_batch_are_those_one_by_one(talker, language):
    words = talker.words
    prompts = [
        [*talk.opening(words), *words.encode(talk.questions[0].tokens)]
        for talk in conversations(language)
    ]
    assert len({len(prompt) for prompt in prompts}) > 1
    said = talker.answer(prompts, batch_size=4)
    assert said == [talker.answer([prompt])[0] for prompt in prompts]
    assert len({tuple(answer) for answer in said}) > 1


def test_the_right_answers_are_not_read(talker, language):
    talks = conversations(language)
    said = talker.talk(talks)
    for talk in talks:
        talk.questions = [
            dataclasses.replace(q, answer="?", answer_tokens=["?"]) for q in talk.questions
        ]
    assert talker.talk(talks) == said


def test_the_model_reads_its_own_earlier_answers(talker, language, monkeypatch):
    talk = conversations(language, 1)[0]
    own, asked = talker.words.words[9], []

    def answer(prompts):
        asked.extend(map(list, prompts))  # they grow later
        return [[own] for _ in prompts]

    monkeypatch.setattr(talker, "answer", answer)
    assert talker.talk([talk]) == [[[own]] * len(talk.questions)]
    first, second = asked[0], asked[1]
    assert second == [*first, 9, EOS, *talker.words.encode(talk.questions[1].tokens)]


def test_no_test_story_is_learned():
    data = ToyData.of(Recipe(train=300, test=50), TaskSettings(seed=2))
    learned = {story.english for story in data.train}
    assert not learned & {story.english for story in data.test + data.compositional}


def test_positions_hold_the_longest_conversation(talker, language):
    world = ToyWorld(compositional=True)
    rng = np.random.default_rng(0)
    talks = [Conversation(s, language, rng) for s in world.stories(300, seed=0)]
    assert max(len(t.sequence(talker.words)[0]) for t in talks) + 12 < POSITIONS


def test_answers_by_heart():
    talks = conversations(count=40)
    kinds = [(q.kind, " ".join(q.answer_tokens)) for t in talks for q in t.questions]
    memory = AnswersByKind(talks)
    usual = memory.usual(talks[:1])[0]
    for question, answer in zip(talks[0].questions, usual, strict=True):
        same = [text for kind, text in kinds if kind == question.kind]
        assert same.count(" ".join(answer)) == max(map(same.count, same))
    guessed = memory.guess(talks, np.random.default_rng(0))
    assert all(
        (q.kind, " ".join(a)) in kinds
        for talk, row in zip(talks, guessed, strict=True)
        for q, a in zip(talk.questions, row, strict=True)
    )
    assert memory.usual([Conversation(talks[0].story, "english", np.random.default_rng(5))])
    never = [dataclasses.replace(talks[0].questions[0], kind="colour")]
    talks[0].questions = never
    assert memory.usual(talks[:1]) == [[[]]]
    assert memory.guess(talks[:1], np.random.default_rng(0)) == [[[]]]


def test_measures_by_hand():
    talk = conversations(count=1)[0]
    one, two = talk.questions[:2]
    talk.questions = [
        dataclasses.replace(one, kind="who", answer_tokens=["a", "kind", "pilot"]),
        dataclasses.replace(two, kind="where", answer_tokens=["the", "school"]),
    ]
    said = [[["the", "kind", "doctor"], ["school"]]]  # articles do not count, as in SQuAD
    found = measure({"test": [talk]}, {"test": said})
    assert found == {"match": 0.5, "f1": pytest.approx((0.5 + 1.0) / 2)}
    assert by_kind([talk], [said]) == {"who": [0.0], "where": [1.0]}
