"""The toy world: one derivation for each story, exact figures, and labels that fit the words."""

import itertools
import math
import re

import numpy as np
import pytest

from minillm.data import ToyWorld
from minillm.data.toy_world.grammar import ALL_PLOTS, SLOTS, held_out_look, held_out_motion
from minillm.data.toy_world.lexicon import LANGUAGES, SPELLINGS
from minillm.data.toy_world.parser import derivations_of
from minillm.data.toy_world.templates import ROLES, TEMPLATES
from minillm.data.toy_world.text import join, split

ORDINARY, NEW = ToyWorld(), ToyWorld(compositional=True)
BOTH = pytest.mark.parametrize("world", [ORDINARY, NEW], ids=["ordinary", "compositional"])
EACH = pytest.mark.parametrize("language", LANGUAGES)
# Worlds small enough to count, which together vary every slot.
SMALL = [
    {"": 1, "plot": 99, "hero": 3, "motion": 2, "place": 22, "get": 4, "company": 2, "user": 2},
    {"": 1, "plot": 99, "object": 30, "look": 2, "mishap": 8, "rescue": 2, "try": 2},
    {"": 1, "plot": 99, "place": 2, "time": 2, "weather": 2, "day": 2, "size": 2, "close": 2,
     "degree": 2, "feeling": 2, "novelty": 3},
    {"": 1, "plot": 99, "company": 2, "user": 2, "companion": 2, "manner": 2, "use": 4, "give": 2,
     "thank": 2, "thief": 2, "trait": 2, "helper": 2, "duration": 4, "obstacle": 5, "after": 4},
]  # fmt: skip


@pytest.fixture(scope="module")
def stories():
    return {world: world.stories(3000, seed=11) for world in (ORDINARY, NEW)}


# --- unambiguous ---------------------------------------------------------------------------------


@BOTH
@EACH
def test_the_parser_finds_the_one_derivation_of_every_story(world, language, stories):
    for story in stories[world]:
        # not only among the probable: nothing else at all reads like this story
        assert derivations_of(story.tokens[language], language) == [story.derivation]
        assert world.parses(story.tokens[language], language) == [story.derivation]


@BOTH
@pytest.mark.parametrize("choices", SMALL)
def test_different_derivations_are_different_texts_in_every_small_world(world, choices):
    small = ToyWorld(compositional=world.compositional, choices=choices)
    stories = list(small.derivations())
    assert len(stories) > 500
    assert len({story.english for story in stories}) == len(stories)
    assert len({story.chinese for story in stories}) == len(stories)


@BOTH
@pytest.mark.parametrize("choices", SMALL)
def test_exact_figures_agree_with_counting_to_the_end(world, choices):
    small = ToyWorld(compositional=world.compositional, choices=choices)
    p = np.exp([story.log_probability for story in small.derivations()])
    lengths = {
        language: np.array([len(story.tokens[language]) + 1 for story in small.derivations()])
        for language in LANGUAGES
    }
    assert p.sum() == pytest.approx(1, abs=1e-10)
    assert small.entropy == pytest.approx(-(p * np.log(p)).sum(), rel=1e-10)
    for language in LANGUAGES:
        assert small.expected_tokens[language] == pytest.approx(p @ lengths[language], rel=1e-10)


def test_the_small_worlds_vary_every_slot():
    assert {s.name for s in SLOTS} - {"daypart"} <= {n for choices in SMALL for n in choices}


@EACH
def test_no_plain_form_begins_another_of_its_slot(language):
    for (slot, spoken, form), spellings in SPELLINGS.items():
        if spoken == language and not form:
            for one, other in itertools.permutations(spellings.values(), 2):
                assert one != other[: len(one)], (slot, one, other)


@EACH
def test_every_slot_of_a_story_is_spoken_in_its_plain_form(language):
    structural = {"plot", "company", "user", "time"}
    spoken = {
        piece.slot for t in TEMPLATES for piece in t.patterns[language] if piece.form == ""
    } | structural
    assert {slot.name for slot in SLOTS} <= spoken


def test_an_ending_is_happy_or_sad_but_never_both():
    assert len({plot[:-1] for plot in ALL_PLOTS}) == len(ALL_PLOTS)


# --- probabilities -------------------------------------------------------------------------------


@BOTH
def test_entropy_and_length_agree_with_sampling(world, stories):
    surprise = np.array([-story.log_probability for story in stories[world]])
    error = surprise.std() / math.sqrt(len(surprise))
    assert abs(surprise.mean() - world.entropy) < 4 * error
    for language in LANGUAGES:
        lengths = np.array([len(story.tokens[language]) + 1 for story in stories[world]])
        error = lengths.std() / math.sqrt(len(lengths))
        assert abs(lengths.mean() - world.expected_tokens[language]) < 4 * error
        assert world.floor(language) == world.entropy / world.expected_tokens[language]


@BOTH
@EACH
def test_log_probability_from_the_words_is_that_of_the_draw(world, language, stories):
    for story in stories[world][:300]:
        found = world.log_probability(story.tokens[language], language)
        assert found == pytest.approx(story.log_probability, rel=1e-12)


def test_log_probability_of_one_story_by_hand():
    # every slot but the plot and the hero has one option, so what is left is
    # P(3 sentences) * P(ends well) = 0.3 / 2, and the first of two equally likely heroes
    world = ToyWorld(choices={"": 1, "plot": 99, "hero": 2})
    text = next(s for s in world.derivations() if s.derivation["plot"] == "G+").english
    assert world.log_probability(text) == pytest.approx(math.log(0.3 / 2 / 2))
    assert world.log_probability(text.replace("Mia", "Nora")) == -math.inf
    assert world.log_probability("Nothing like it.") == -math.inf


@EACH
def test_only_whole_stories_and_whole_derivations_have_a_probability(language):
    story = ORDINARY.stories(1, seed=2)[0]
    tokens = story.tokens[language]
    assert ORDINARY.parses(tokens, language) == [story.derivation]
    assert ORDINARY.parses([*tokens, tokens[-1]], language) == []
    assert ORDINARY.parses(tokens[:-1], language) == []
    assert ORDINARY.grammar.log_probability(story.derivation) > -math.inf
    more = {**story.derivation, "weapon": "none"}
    assert ORDINARY.grammar.log_probability(more) == -math.inf


def test_samples_follow_the_marginals(stories):
    marginals = ORDINARY.grammar.marginals()
    n = len(stories[ORDINARY])
    for (slot, value), p in marginals.items():
        count = sum(story.derivation.get(slot) == value for story in stories[ORDINARY])
        assert abs(count / n - p) < 5 * math.sqrt(p * (1 - p) / n) + 1e-9, (slot, value)


@EACH
def test_masked_posterior_is_that_of_trying_every_word(language):
    vocabulary = ORDINARY.vocabulary(language)
    for story in ORDINARY.stories(3, seed=5):
        tokens = story.tokens[language]
        for position in range(len(tokens)):
            weights = {}
            for word in vocabulary:
                tried = [*tokens[:position], word, *tokens[position + 1 :]]
                log_p = ORDINARY.log_probability(tried, language)
                if log_p > -math.inf:
                    weights[word] = math.exp(log_p)
            total = sum(weights.values())
            posterior = ORDINARY.masked_posterior(tokens, position, language)
            assert posterior == pytest.approx({w: p / total for w, p in weights.items()})
            assert posterior[tokens[position]] > 0


def test_best_masked_accuracy_by_hand():
    # only the part of the day is open: morning with weight 2, afternoon and evening with 1 each
    world = ToyWorld(choices={"": 1, "daypart": 3})
    stories = list(world.derivations())
    n = len(stories[0].english_tokens)
    assert len(stories) == 3
    position = stories[0].english_tokens.index("morning")
    posterior = world.masked_posterior(stories[1].english_tokens, position, "english")
    assert posterior == pytest.approx({"morning": 0.5, "afternoon": 0.25, "evening": 0.25})
    assert world.best_masked_accuracy(stories, "english") == pytest.approx((n - 1 + 0.5) / n)


def test_best_masked_accuracy_is_between_chance_and_certainty_and_is_reached():
    stories = ORDINARY.stories(40, seed=6)
    best = ORDINARY.best_masked_accuracy(stories, "english")
    right = total = 0
    for story in stories:
        for position, token in enumerate(story.english_tokens):
            posterior = ORDINARY.masked_posterior(story.english_tokens, position, "english")
            right += max(posterior, key=posterior.__getitem__) == token
            total += 1
    assert 0.5 < best < 1
    assert abs(right / total - best) < 4 * math.sqrt(best * (1 - best) / total)


# --- text, labels --------------------------------------------------------------------------------


@EACH
def test_the_vocabulary_has_the_promised_size_and_covers_everything(language, stories):
    words = set(ORDINARY.vocabulary(language))
    assert 300 <= len(words) <= 600
    for story in stories[ORDINARY][:500] + stories[NEW][:500]:
        asked = [token for question in story.questions[language] for token in question.tokens]
        assert words >= {*story.tokens[language], *story.summary_tokens[language], *asked}


@BOTH
@EACH
def test_text_and_words_are_the_same_thing(world, language, stories):
    for story in stories[world]:
        text, starts = join(story.tokens[language], language)
        assert split(text, language) == story.tokens[language]
        for token, start in zip(story.tokens[language], starts, strict=True):
            assert text[start:].lower().startswith(token.lower())
        assert text == getattr(story, language)


def test_chinese_has_no_spaces_and_english_is_typeset(stories):
    for story in stories[ORDINARY][:500]:
        assert re.fullmatch(r"[\u4e00-\u9fff，。]+", story.chinese)
        assert re.fullmatch(r"([A-Z][A-Za-z ,]+\. ?)+", story.english)
        assert " ," not in story.english
        assert (
            re.search(r"\ba ([aeio]|hour|honest)|\ban (?![aeio]|hour|honest)", story.english)
            is None
        )


@BOTH
def test_stories_are_coherent(world, stories):
    for story in stories[world]:
        d = story.derivation
        other = "her" if SPELLINGS["hero", "english", "she"][d["hero"]] == ("he",) else "his"
        assert other not in story.english_tokens
        assert d["hero"] in story.sentences[0].tokens["english"]
        assert d["hero"] in story.sentences[1].tokens["english"]
        for sentence in story.sentences[1:]:
            assert d["object"] in sentence.tokens["english"]
        assert len(story.sentences) in ((3, 4, 5) if story.novelty != "length" else (6,))
        assert (story.sentiment == "positive") is d["plot"].endswith("+")


@BOTH
def test_the_translation_of_a_sentence_is_a_function_in_both_directions(world, stories):
    there, back = {}, {}
    for sentence in [s for story in stories[world] for s in story.sentences]:
        assert there.setdefault(sentence.english, sentence.chinese) == sentence.chinese
        assert back.setdefault(sentence.chinese, sentence.english) == sentence.english


@EACH
def test_roles_are_bio_labels_of_every_word(language, stories):
    for story in stories[ORDINARY][:1000]:
        labels = story.roles[language]
        assert len(labels) == len(story.tokens[language])
        before = "O"
        for label in labels:
            assert label == "O" or label[2:] in ROLES
            assert not label.startswith("I-") or before[2:] == label[2:]
            before = label
        joined = [label for sentence in story.sentences for label in sentence.roles[language]]
        assert joined == labels
        assert labels.count("B-agent") == len(story.sentences)


def spans(sentence, language):
    found = {}
    for token, label in zip(sentence.tokens[language], sentence.roles[language], strict=True):
        if label != "O":
            found.setdefault(label[2:], []).append(token)
    return {role: " ".join(words) for role, words in found.items()}


def test_roles_of_a_loss_by_hand():
    story = next(s for s in ORDINARY.stories(200, seed=1) if "thief" in s.derivation)
    d = story.derivation
    sentence = story.sentences[len(d["plot"][: d["plot"].index("L") + 1])]
    english = spans(sentence, "english")
    assert english["action"] == d["mishap"]
    assert english["agent"] in (f"a {d['thief']}", f"an {d['thief']}")
    assert english["patient"] == f"the {d['object']}"
    chinese = spans(sentence, "chinese")
    assert chinese["agent"].startswith("一 ")
    assert chinese["action"].endswith(" 了")
    assert chinese["patient"].startswith("那 ")


@EACH
def test_answers_stand_where_the_question_says(language, stories):
    kinds = set()
    for story in stories[ORDINARY]:
        text = getattr(story, language)
        for question in story.questions[language]:
            kinds.add(question.kind)
            assert story.tokens[language][question.start : question.end] == question.answer_tokens
            found = text[question.character_start : question.character_end]
            assert found == question.answer
            assert split(found, language) == question.answer_tokens
            assert question.text[-1] in "?？"
    assert len(kinds) == 12


def test_answers_by_hand(stories):
    for story in stories[ORDINARY]:
        d = story.derivation
        answers = {question.kind: question.answer for question in story.questions["english"]}
        asked = {question.kind: question.text for question in story.questions["english"]}
        assert answers["who"] == d["hero"]
        assert asked["who"] == f"Who {d['motion']} to the {d['place']}?"
        assert answers["where"] == "the " + d["place"]
        assert answers["feeling"] == f"{d['degree']} {d['feeling']}"
        if "user" in d:
            companion = d.get("companion")
            assert answers["user"].split()[-1] == (d["hero"] if d["user"] == "hero" else companion)
        thing = f"{d['size']} {d['look']} {d['object']}"
        assert answers["wish" if "W" in d["plot"] else "what"].endswith(thing)


def test_the_summary_says_who_what_where_and_how_it_ended(stories):
    for story in stories[ORDINARY][:500]:
        d = story.derivation
        words = story.summary_tokens["english"]
        assert {d["hero"], d["object"], d["place"], d["feeling"]} <= set(words)
        assert ("wanted" in words) is ("get" not in d)
        assert split(story.summary["chinese"], "chinese") == story.summary_tokens["chinese"]


# --- supply, splits, pairs -----------------------------------------------------------------------


def test_the_same_seed_tells_the_same_stories():
    again = ToyWorld()
    assert [s.english for s in ORDINARY.stories(20, 4)] == [s.english for s in again.stories(20, 4)]
    assert [s.english for s in ORDINARY.stories(20, 4)] != [s.english for s in again.stories(20, 5)]
    one = ToyWorld(seed=9).stories(1)[0]
    assert one.chinese == ToyWorld().sample(np.random.default_rng(9)).chinese


def test_no_text_stands_in_two_parts():
    world = ToyWorld(choices={"": 1, "plot": 99, "hero": 20, "degree": 4})  # collisions for sure
    parts = world.splits(3000, 200, 100, seed=2)
    train, test, new = (
        {s.english for s in part} for part in (parts.train, parts.test, parts.compositional)
    )
    assert (len(parts.train), len(test), len(new)) == (3000, 200, 100)
    assert not train & test
    assert not (train | test) & new
    assert not {s.chinese for s in parts.train} & {s.chinese for s in parts.test}


def test_a_world_too_small_to_split_says_so():
    with pytest.raises(ValueError, match="too small for so many"):
        ToyWorld(choices={"": 1}).splits(1, 1)
    with pytest.raises(ValueError, match="needs the ordinary world"):
        NEW.splits(1, 1)


def test_compositional_stories_are_never_told_by_the_ordinary_world(stories):
    for story in stories[NEW]:
        d = story.derivation
        there = [
            held_out_motion(d["hero"], d["motion"]),
            held_out_look(d["object"], d["look"]),
            len(story.sentences) == 6,
        ]
        assert sum(there) == 1
        assert ("motion", "look", "length")[there.index(True)] == story.novelty
        assert ORDINARY.log_probability(story.english_tokens) == -math.inf
    for story in stories[ORDINARY]:
        assert NEW.log_probability(story.english_tokens) == -math.inf
    assert {story.novelty for story in stories[NEW]} == {"motion", "look", "length"}


def test_every_hero_and_every_thing_has_one_held_out_partner(stories):
    pairs = {(s.derivation["hero"], s.derivation["motion"]) for s in stories[NEW]}
    held = {pair for pair in pairs if held_out_motion(*pair)}
    assert len(held) == len({hero for hero, _ in held}) == 24


@EACH
def test_next_sentences_are_true_or_impossible(language):
    pairs = ORDINARY.next_sentence_pairs(1000, seed=3, language=language)
    heroes = {w for words in SPELLINGS["hero", language, ""].values() for w in words}
    things = {w for words in SPELLINGS["object", language, ""].values() for w in words}
    assert 420 < sum(pair.is_next for pair in pairs) < 580
    for pair in pairs:
        first, second = set(pair.first), set(pair.second)
        anchor = things if first & things else heroes
        assert first & anchor
        assert second & anchor
        assert (first & anchor == second & anchor) is pair.is_next


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ORDINARY.stories(-1), "n must be a whole number of at least 0, got -1"),
        (lambda: ToyWorld(seed=1.5), "seed must be a whole number"),
        (lambda: ORDINARY.floor("french"), "language must be 'english' or 'chinese', got 'french'"),
        (lambda: ORDINARY.vocabulary("de"), "language must be"),
        (lambda: ORDINARY.parse("Mia walked.", "english"), "no story of this world"),
        (lambda: ORDINARY.parse("你好", "chinese"), "no word of the toy world begins at character"),
        (lambda: ToyWorld(choices={"weapon": 2}), "choices must map names of slots"),
        (lambda: ToyWorld(choices={"hero": 0}), "counts of at least 1"),
        (lambda: ORDINARY.masked_posterior(["a"], 1, "english"), "position must be in 0..0"),
        (lambda: ORDINARY.masked_posterior(["a"], 0, "english"), "no word at position 0"),
        (lambda: ORDINARY.best_masked_accuracy([], "english"), "at least one story"),
        (lambda: ToyWorld(choices={"": 1}).next_sentence_pairs(9), "too few heroes or things"),
    ],
)
def test_bad_input_is_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()
