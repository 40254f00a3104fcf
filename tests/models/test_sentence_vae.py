"""The sentence VAE: its two terms, its words, and what becomes of the space between sentences."""

import itertools

import numpy as np
import pytest

import minillm
from minillm import no_grad
from minillm.backend import to_numpy
from minillm.gradcheck import check_model
from minillm.models import SentenceVAE, SentenceVAEConfig, kl_weight
from tests import reference

from ..device.conftest import CUDA, open_device

WORDS = "the cat dog bird sees hears greets big red .".split()


def small(**changes):
    sizes = {"embedding_dim": 5, "hidden_size": 7, "latent_size": 3, "word_dropout": 0.0}
    config = SentenceVAEConfig(words=WORDS, **{**sizes, **changes})
    return SentenceVAE(config, rng=np.random.default_rng(3))


@pytest.fixture
def batch():
    return small().ids_of(["the big cat sees the dog .", "the dog hears ."])


def test_both_terms_are_what_the_formula_says(batch):
    """Reconstruction word by word from the logits, the KL by the integral that defines it."""
    model, (ids, mask) = small(), batch
    output = model(ids, mask, beta=0.3, rng=np.random.default_rng(5))
    log_p = reference.log_softmax(output.logits.data)
    total = 0.0
    for row, words, length in zip(log_p, ids, mask.sum(axis=1), strict=True):
        for t in range(length):
            total -= row[t, words[t]]
        total -= row[length, 2]  # <eos>
    assert output.reconstruction.item() == pytest.approx(total / 2, rel=1e-5)
    kl = reference.gaussian_kl(output.mu.data, output.log_variance.data).mean()
    assert output.kl.item() == pytest.approx(kl, rel=1e-4)
    assert output.loss.item() == pytest.approx(total / 2 + 0.3 * kl, rel=1e-5)


def test_every_gradient_is_that_of_the_loss(batch):
    model, (ids, mask) = small(), batch
    report = check_model(model, ids, mask, rng=np.random.default_rng(5), beta=0.7)
    assert report.passed, str(report)


def test_padding_is_neither_read_nor_counted(batch):
    model, (ids, mask) = small(), batch
    changed = np.where(mask == 1, ids, 7)
    mu, log_variance = model.encode(ids, mask)
    other = model.encode(changed, mask)
    alone = model.encode(ids[1:, :4])
    np.testing.assert_array_equal(other[0].data, mu.data)
    np.testing.assert_allclose(alone[0].data[0], mu.data[1], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(alone[1].data[0], log_variance.data[1], rtol=1e-5, atol=1e-7)
    losses = [model(x, mask, rng=np.random.default_rng(5)).loss.item() for x in (ids, changed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_decoder_sees_only_earlier_words(batch):
    model, (ids, mask) = small(), batch
    z = np.zeros((2, 3), np.float32)
    given, _ = model._shifted(ids, mask.sum(axis=1), np.random.default_rng(0))
    later = given.copy()
    later[:, 4:] = 5
    a, b = (model._teacher_forced(minillm.Tensor(z), x).data for x in (given, later))
    np.testing.assert_array_equal(a[:, :4], b[:, :4])
    assert (a[:, 4:] != b[:, 4:]).any()


def test_word_dropout_hides_words_from_the_decoder_in_training_only(batch):
    model, (ids, mask) = small(word_dropout=0.4), batch
    many, lengths = np.repeat(ids, 500, axis=0), np.repeat(mask.sum(axis=1), 500)
    given, targets = model._shifted(many, lengths, np.random.default_rng(5))
    assert (given[:, 0] == 1).all()  # <bos> stays
    assert abs((given[:, 1:] == 3).mean() - 0.4) < 0.03
    assert not (targets == 3).any()
    given, _ = model.eval()._shifted(many, lengths, np.random.default_rng(5))
    np.testing.assert_array_equal(given[:, 1:], many)


def test_decoding_continues_as_teacher_forcing_would():
    """Fed with its own words, the decoder finds each of them the likeliest."""
    model = small(max_length=6).eval()
    z = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32) * 3
    for point, text in zip(z, model.decode(z), strict=True):
        ids = model.ids_of([text])[0] if text else np.zeros((1, 0), int)
        given = np.concatenate([[[1]], ids], axis=1)
        with no_grad():
            logits = model._teacher_forced(minillm.Tensor(point[None]), given).data[0]
        logits[:, [0, 1, 3]] = -np.inf
        likeliest = logits.argmax(axis=1)
        assert likeliest[: ids.shape[1]].tolist() == ids[0].tolist()
        assert ids.shape[1] == 6 or likeliest[-1] == 2


@pytest.fixture(scope="module")
def trained():
    """(model, its sentences, losses): 27 sentences of three free words."""
    sentences = [
        f"the {a} {verb} the {b} ."
        for a, verb, b in itertools.product(
            ("cat", "dog", "bird"), ("sees", "hears", "greets"), ("cat", "dog", "bird")
        )
    ]
    model = SentenceVAE(
        words=WORDS, embedding_dim=12, hidden_size=24, latent_size=4,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    losses = model.fit(
        sentences, steps=350, batch_size=27, learning_rate=0.02, beta=0.2, kl_warmup=150, seed=0
    )
    return model, sentences, losses


def test_it_learns_its_sentences_and_z_does_not_collapse(trained):
    model, sentences, losses = trained
    right = np.mean([a == b for a, b in zip(model.reconstruct(sentences), sentences, strict=True)])
    assert right >= 0.9
    assert losses[-1]["kl"] > np.log(27) - 0.3  # it takes log 27 nats to tell 27 sentences apart
    assert losses[-1]["reconstruction"] < losses[0]["reconstruction"] / 5
    assert losses[0]["beta"] == 0
    assert losses[-1]["beta"] == 0.2


def test_between_two_sentences_there_are_sentences(trained):
    model, sentences, _ = trained
    line = model.interpolate(sentences[0], sentences[-1], steps=9)
    assert (line[0], line[-1]) == (sentences[0], sentences[-1])
    assert np.mean([sentence in sentences for sentence in line]) >= 0.8
    changes = [
        sum(a != b for a, b in zip(one.split(), two.split(), strict=False))
        for one, two in itertools.pairwise(line)
    ]
    assert max(changes) <= 2  # of the three words that differ, never all at once


def test_draws_from_the_prior_are_sentences(trained):
    model, sentences, _ = trained
    drawn = model.sample(60, rng=np.random.default_rng(5))
    assert np.mean([sentence in sentences for sentence in drawn]) >= 0.7
    assert len(set(drawn)) >= 10


def test_a_saved_model_says_the_same(trained, tmp_path):
    model, sentences, _ = trained
    model.save_pretrained(tmp_path)
    again = SentenceVAE.from_pretrained(tmp_path)
    assert again.config == model.config
    np.testing.assert_array_equal(again.means(sentences), model.means(sentences))
    assert again.reconstruct(sentences[:3]) == model.reconstruct(sentences[:3])


def test_the_same_seed_learns_the_same():
    ends = []
    for seed in (0, 0, 1):
        model = small()
        model.fit(["the cat sees .", "the dog hears ."], steps=3, seed=seed)
        ends.append(model.output.weight.data)
    np.testing.assert_array_equal(ends[0], ends[1])
    assert (ends[1] != ends[2]).any()


@pytest.mark.parametrize("device", ["strict", CUDA])
def test_a_training_step_is_that_of_the_host(device, batch):
    found = []
    for place in ("cpu", open_device(device)):
        model = small(word_dropout=0.3).to(place)
        model(*batch, rng=np.random.default_rng(5)).loss.backward()
        found.append({name: to_numpy(p.grad) for name, p in model.named_parameters()})
    host, other = found
    for name, array in host.items():
        if device == "strict":
            np.testing.assert_array_equal(other[name], array, err_msg=name)
        else:
            np.testing.assert_allclose(other[name], array, rtol=1e-3, atol=1e-5, err_msg=name)
    model = small(max_length=4)
    texts = [model.to(place).interpolate("the cat .", "dog", 3) for place in ("cpu", device)]
    assert texts[0] == texts[1]


def test_the_weight_of_the_second_term_grows_along_a_line():
    assert [kl_weight(t, 4, 0.5) for t in (0, 1, 2, 4, 9)] == [0, 0.125, 0.25, 0.5, 0.5]
    assert kl_weight(0, 0) == 1.0
    with pytest.raises(ValueError, match="must not be negative, got -1, 4"):
        kl_weight(-1, 4)


def test_unknown_words_have_an_id_and_texts_end_at_the_end():
    model = small()
    ids, mask = model.ids_of(["the zebra sees", ["cat"]])
    assert ids.tolist() == [[4, 3, 8], [5, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert model.text_of([4, 3, 2, 5]) == "the <unk>"


def test_what_does_not_fit_is_refused(batch):
    model, (ids, mask) = small(), batch
    with pytest.raises(ValueError, match=r"sentences must be a list: write \['the cat'\]"):
        model.reconstruct("the cat")
    with pytest.raises(ValueError, match="sentences must not be empty, and each needs words"):
        model.means(["the cat", ""])
    with pytest.raises(ValueError, match="pad at the end"):
        model(ids, mask[:, ::-1])
    with pytest.raises(ValueError, match="steps must be an integer of at least 2, got 1"):
        model.interpolate("the cat", "the dog", steps=1)
    with pytest.raises(ValueError, match=r"z \(2, 5\) must be \(B, 3\)"):
        model.decode(np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match="n must be an integer of at least 1, got 0"):
        model.sample(0)
    with pytest.raises(ValueError, match="steps must be an integer of at least 1, got 0"):
        model.fit(["the cat"], steps=0)
    for words, found in (([], "words is empty"), (["a", "a"], "found 'a'"), (["a b"], "'a b'")):
        with pytest.raises(ValueError, match=found):
            SentenceVAEConfig(words=words)
    with pytest.raises(ValueError, match="latent_size must be an integer of at least 1, got 0"):
        small(latent_size=0)
