"""Transfer: pairs of segments, what is carried over, no story in two sets, and what the table says."""

import numpy as np
import pytest

from minillm.autograd import no_grad
from minillm.data import ToyWorld
from minillm.tasks import TaskSettings, transfer
from minillm.tasks.toy_data import ToyData
from minillm.tasks.transfer import (
    MODELS,
    RECIPE,
    Study,
    draw_segments,
    encode,
    figures_of,
    labelled_sizes,
    least_gains,
    rows_of,
)
from minillm.tasks.words import BOS, EOS, SEP

SETTINGS = TaskSettings(progress=False)
SMALL = RECIPE.replaced(
    steps=8, train=40, test=4, layers=1, width=8, heads=2, batch_size=8, warmup=1
)


@pytest.fixture(scope="module")
def study():
    data = ToyData.of(SMALL, SETTINGS)
    return Study(data, SMALL, SETTINGS, "english", data.train[18:])


def test_numbers_of_labelled_stories():
    assert labelled_sizes(1000) == [10, 100, 1000]
    assert labelled_sizes(6) == [2, 6]
    assert labelled_sizes(2) == [2]


def test_segments_make_a_story_or_two_halves_of_different_ones():
    stories, rng = ToyWorld().stories(40, seed=3), np.random.default_rng(0)
    whole = [s.english_tokens for s in stories]
    pairs = [draw_segments(stories, n, rng, "english") for n in range(40) for _ in range(3)]
    for n, pair in zip(np.repeat(np.arange(40), 3).tolist(), pairs, strict=True):
        assert pair.first == whole[n][: len(pair.first)]
        assert pair.first[-1] == "."
        assert (pair.first + pair.second == whole[n]) == pair.is_next
        if not pair.is_next:
            [source] = [s for s, words in zip(stories, whole, strict=True) if ends(words, pair)]
            for slot in ("hero", "object"):
                assert source.derivation[slot] != stories[n].derivation[slot]
    assert 0.35 < np.mean([pair.is_next for pair in pairs]) < 0.65
    assert len({len(pair.first) for pair in pairs}) > 10  # the cut is not always the same


def ends(words, pair):
    return words[-len(pair.second) :] == pair.second


def test_a_world_of_one_hero_has_no_strangers():
    [story] = ToyWorld().stories(1, seed=3)

    def draw_many():
        return [draw_segments([story], 0, np.random.default_rng(n), "english") for n in range(20)]

    with pytest.raises(ValueError, match="none about another hero and another thing"):
        draw_many()


@pytest.mark.parametrize("name", MODELS)
def test_the_body_is_carried_over_and_the_head_is_new(name, study):
    tuned = study.tagger(name, "fine-tuned", np.random.default_rng(1)).state_dict()
    fresh = study.tagger(name, "from scratch", np.random.default_rng(1)).state_dict()
    body = {n for n in tuned if not n.startswith("classifier.")}
    assert len(tuned) - len(body) == 2
    assert tuned["classifier.weight"].shape == (8, len(study.labels))
    for part in body:
        np.testing.assert_array_equal(tuned[part], study.pretrained[name][part])
    matrices = [n for n in body if tuned[n].ndim == 2]
    assert all((tuned[n] != fresh[n]).any() for n in matrices)
    np.testing.assert_array_equal(tuned["classifier.weight"], fresh["classifier.weight"])


@pytest.mark.parametrize("name", MODELS)
def test_fine_tuning_leaves_the_pretrained_weights_alone(name, study):
    before = {n: a.copy() for n, a in study.pretrained[name].items()}
    model = study.learn(name, "fine-tuned", study.data.train[:4], 0)
    for part, array in study.pretrained[name].items():
        np.testing.assert_array_equal(array, before[part])
    changed = model.state_dict()
    assert any((changed[n] != before[n]).any() for n in changed if n in before)


def test_a_gpt_does_not_see_what_follows_and_a_bert_does(study):
    ids = np.array([encode(study.data.test[0], study.words, "english", "GPT")])
    other = ids.copy()
    other[0, -4] = ids[0, 2]
    for name, same in (("GPT", True), ("BERT", False)):
        model = study.tagger(name, "from scratch", np.random.default_rng(2)).eval()
        with no_grad():
            one, two = (model(x).logits.numpy()[0, :5] for x in (ids, other))
        assert np.allclose(one, two, atol=1e-6) == same


def test_stories_end_as_in_pretraining(study):
    story = study.data.test[0]
    bert, gpt = (encode(story, study.words, "english", name) for name in MODELS)
    assert (bert[0], bert[-1], gpt[-1]) == (BOS, SEP, EOS)
    assert bert[1:-1] == gpt[1:-1] == study.words.encode(story.english_tokens)


def test_right_labels_have_an_f1_of_one(study):
    """The marks around the story are left out on both sides alike."""
    stories = study.data.tests()["test"]
    known = {tuple(encode(s, study.words, "english", "BERT")): s.roles["english"] for s in stories}

    def oracle(columns):
        for ids in columns["input_ids"]:
            logits = np.zeros((len(ids), len(study.labels)))
            for i, label in enumerate(known[tuple(ids)]):
                logits[i + 1, study.labels.index(label)] = 1
            yield logits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "predict", lambda model, columns: list(oracle(columns)))
        assert study.f1("BERT", None, "test") == 1.0


def test_no_labelled_story_is_among_those_without_labels(monkeypatch):
    seen = {"labelled": [], "tests": []}

    class Spy(Study):
        def learn(self, name, way, labelled, seed):
            seen["labelled"].append((seed, labelled))
            seen["unlabelled"] = self.unlabelled
            return None

        def f1(self, name, model, kind):
            return 0.5

    monkeypatch.setattr(transfer, "Study", Spy)
    transfer.run(
        TaskSettings(progress=False, steps=1, train=60, test=3, width=8, heads=2, layers=1)
    )
    unlabelled = {id(story) for story in seen["unlabelled"]}
    by_seed = {}
    for seed, stories in seen["labelled"]:
        assert not unlabelled & {id(story) for story in stories}
        by_seed.setdefault(seed, []).append({id(story) for story in stories})
    assert len(by_seed) == 3
    largest = [max(sets, key=len) for sets in by_seed.values()]
    assert not largest[0] & largest[1] | largest[1] & largest[2] | largest[0] & largest[2]
    for sets in by_seed.values():
        assert all(one <= max(sets, key=len) for one in sets)  # fewer stories are the first of more


def test_the_table_shows_means_and_the_smallest_gain_of_any_seed(study):
    scores = np.zeros((3, 1, 2, 2, 2))  # seeds, sizes, models, ways, tests
    scores[:, 0, 0, 0, 0] = [0.5, 0.6, 0.7]
    scores[:, 0, 0, 1, 0] = [0.9, 0.8, 0.95]
    scores[:, 0, 1, 1, 1] = [0.3, 0.6, 0.9]
    assert least_gains(scores)[0] == pytest.approx([0.2, 0.0])
    row = rows_of([10], scores, np.ones((1, 2)), study)[0]
    assert row.name == "10 stories, BERT"
    assert row.values["scratch"] == pytest.approx(0.6)
    assert row.values["tuned"] == pytest.approx(0.8833333)
    assert row.values["least gain"] == pytest.approx(0.2)
    figures = figures_of([10], scores)
    assert figures["GPT, fine-tuned, 10 stories, compositional F1"] == pytest.approx(0.6)
    assert figures["BERT, 10 stories, least gain"] == pytest.approx(0.2)
