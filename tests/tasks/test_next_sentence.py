"""Next sentence: which pairs are drawn, from where, and what the rule beside the model does."""

import numpy as np
import pytest

from minillm import no_grad
from minillm.data import StoryPair, ToyWorld
from minillm.tasks import Recipe, TaskSettings, WordVocabulary
from minillm.tasks.next_sentence import (
    LossLog,
    PairReader,
    SharedWord,
    all_pairs,
    draw_pair,
    encode_batch,
)
from minillm.tasks.toy_data import ToyData
from minillm.training import History

LANGUAGES = ("english", "chinese")
SIZES = {"train": 30, "test": 8, "layers": 1, "width": 8, "heads": 2, "batch_size": 5}


@pytest.fixture(scope="module")
def stories():
    return ToyWorld().stories(60, seed=8)


def sentences(stories, language):
    return {tuple(s.tokens[language]) for story in stories for s in story.sentences}


@pytest.mark.parametrize("language", LANGUAGES)
def test_pairs_follow_or_come_from_someone_else(stories, language):
    neighbours = {
        (tuple(a.tokens[language]), tuple(b.tokens[language]))
        for story in stories
        for a, b in zip(story.sentences, story.sentences[1:], strict=False)
    }
    pairs = all_pairs(stories, np.random.default_rng(0), language)
    assert len(pairs) == sum(len(story.sentences) - 1 for story in stories)
    assert 0.35 < np.mean([pair.is_next for pair in pairs]) < 0.65
    for pair in pairs:
        both = (tuple(pair.first), tuple(pair.second))
        assert (both in neighbours) is pair.is_next


def test_a_stranger_shares_neither_hero_nor_thing_and_keeps_the_place(stories):
    rng, seen = np.random.default_rng(1), 0
    at = {tuple(s.tokens["english"]): (story, i) for story in stories
          for i, s in enumerate(story.sentences)}  # fmt: skip
    for _ in range(200):
        pair = draw_pair(stories, 3, 1, rng, "english")
        story, place = at[tuple(pair.second)]
        if pair.is_next:
            assert (story, place) == (stories[3], 2)
            continue
        seen += 1
        assert place == min(2, len(story.sentences) - 1)
        assert story.derivation["hero"] != stories[3].derivation["hero"]
        assert story.derivation["object"] != stories[3].derivation["object"]
    assert seen > 50


def test_stories_about_one_hero_have_no_stranger(stories):
    seed = next(n for n in range(9) if np.random.default_rng(n).random() >= 0.5)  # a stranger
    with pytest.raises(ValueError, match="1 stories hold no second sentence about another hero"):
        draw_pair(stories[:1], 0, 0, np.random.default_rng(seed), "english")


def test_training_never_reads_a_test_story():
    recipe = Recipe().replaced(**SIZES)
    data = ToyData.of(recipe, TaskSettings(seed=2))
    reader = PairReader(data, recipe, "english")
    texts = {story.english for story in data.train}
    assert not texts & {story.english for story in data.test + data.compositional}
    own = sentences(data.train, "english")
    drawn = [pair for i in range(20) for pair in reader.fresh.pairs(i, 5)]
    assert all(tuple(pair.first) in own and tuple(pair.second) in own for pair in drawn)
    assert len({(tuple(p.first), tuple(p.second)) for p in drawn}) > 60  # fresh ones each time


def test_a_batch_is_what_the_model_reads():
    words = WordVocabulary(["a", "b", "c"])
    pairs = [StoryPair(["a"], ["b", "c"], True), StoryPair(["c"], ["a"], False)]
    batch = encode_batch(pairs, words)
    assert batch["input_ids"].tolist() == [[1, 6, 4, 7, 8, 4], [1, 8, 4, 6, 4, 0]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0]]
    assert batch["attention_mask"].tolist() == [[1] * 6, [1] * 5 + [0]]
    assert batch["next_sentence_label"].tolist() == [0, 1]  # BERT's 0: it follows


def test_batches_repeat_and_the_model_never_sees_the_answer():
    recipe = Recipe().replaced(**SIZES)
    data = ToyData.of(recipe, TaskSettings(seed=2))
    readers = [PairReader(data, recipe, "english") for _ in range(2)]
    border = round(0.4 * recipe.steps)
    read = {"input_ids", "token_type_ids", "attention_mask", "next_sentence_label"}
    for number, names in ((border - 1, read), (border, read | {"labels"})):
        first, second = (reader.batches.batch(number) for reader in readers)
        assert set(first) == names
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])


def test_at_the_start_a_word_looks_for_its_own_like_in_the_other_sentence():
    recipe = Recipe().replaced(**{**SIZES, "width": 64, "heads": 2})
    data = ToyData.of(recipe, TaskSettings(seed=2))
    model, words = (reader := PairReader(data, recipe, "english")).model.eval(), reader.words
    one = words.encode(["Leo", "found", "a", "robot", "."])
    other = words.encode(["the", "robot", "was", "lost", "."])
    ids = np.array([[1, *one, 4, *other, 4]])
    types = np.array([[0] * 7 + [1] * 6])
    with no_grad():
        looks = model(ids, token_type_ids=types, output_attentions=True).attentions[0]
    looks = np.asarray(looks)[0].mean(axis=0)  # (T, T), the mean over the heads of the first layer
    robot, there = 4, 8
    assert ids[0, robot] == ids[0, there]
    others = [k for k in range(13) if k not in (robot, there)]
    assert looks[robot, there] > 2 * looks[robot, others].max()


def test_said_follows_is_the_larger_logit_of_bert_s_label_0():
    recipe = Recipe().replaced(**SIZES)
    data = ToyData.of(recipe, TaskSettings(seed=2))
    reader = PairReader(data, recipe, "english")
    pairs = all_pairs(data.test, data.rng(4), "english")
    for bias, answer in (([9.0, 0.0], True), ([0.0, 9.0], False)):
        reader.model.cls.seq_relationship.bias.data[...] = bias
        assert set(reader.follows(pairs)) == {answer}
    log = LossLog(reader, pairs, data, every=2)
    for step in range(1, 6):
        log(step, History())
    assert log.steps == [2, 4]
    wrong = np.mean([pair.is_next for pair in pairs])  # each costs 9 nats, the others nearly none
    assert log.last.next_sentence == pytest.approx(9 * wrong, abs=0.6)
    assert log.last.chance_masked_words == pytest.approx(np.log(len(reader.words)))


def test_the_rule_leaves_out_as_many_frequent_words_as_helps():
    """ "the" stands everywhere: with it the rule is right in half of the cases, without it always."""
    pairs = [
        StoryPair(["the", f"w{i}"], ["the", f"w{i if i % 2 else i + 100}"], bool(i % 2))
        for i in range(20)
    ]
    rule = SharedWord(pairs)
    assert rule.common == 1
    assert rule.follows(pairs) == [pair.is_next for pair in pairs]
