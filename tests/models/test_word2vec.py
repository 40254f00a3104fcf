"""Word2Vec: its two operations, a step against PyTorch, windows, noise and subsampling."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from minillm.gradcheck import check_gradients
from minillm.models import Word2Vec, Word2VecConfig
from minillm.models.word2vec import (
    context_mean_backward,
    context_mean_forward,
    sgns_backward,
    sgns_forward,
    subsampled,
    windows,
)
from minillm.models.word_vectors import read_corpus

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "word_vectors.safetensors")
rng = np.random.default_rng(11)
V_AND_U = rng.standard_normal((5, 3)), rng.standard_normal((5, 4, 3))
AROUND = rng.standard_normal((5, 4, 3))
VISIBLE = np.array(
    [[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]], dtype=bool
)


def test_the_loss_is_the_literal_one():
    v, u = V_AND_U
    for row, loss in enumerate(sgns_forward(v, u)[0]):
        literal = -np.log(1 / (1 + np.exp(-u[row, 0] @ v[row])))
        literal -= sum(np.log(1 / (1 + np.exp(u[row, k] @ v[row]))) for k in range(1, 4))
        assert loss == pytest.approx(literal, rel=1e-12)


def test_large_scores_stay_finite():
    loss, saved = sgns_forward(np.full((1, 2), 100.0), np.full((1, 3, 2), 100.0))
    np.testing.assert_allclose(loss, [40000.0])  # two words of noise with the score 20000
    grad_v, _ = sgns_backward(np.ones(1), saved)
    np.testing.assert_allclose(grad_v, [[200.0, 200.0]])


def test_gradients_are_right():
    report = check_gradients(sgns_forward, sgns_backward, *V_AND_U)
    assert report.passed, report
    report = check_gradients(context_mean_forward, context_mean_backward, AROUND, visible=VISIBLE)
    assert report.passed, report


def wrong_sign(grad_out, saved):
    """Descends where it should climb."""
    grad_v, grad_u = sgns_backward(grad_out, saved)
    return -grad_v, grad_u


def own_vector(grad_out, saved):
    """The gradient of u holds u instead of v."""
    v, u, _ = saved
    grad_v, grad_u = sgns_backward(grad_out, saved)
    return grad_v, grad_u / v[:, None, :] * u


def seen_word_as_noise(grad_out, saved):
    """The sign of the word that was seen is forgotten in the gradient of u."""
    grad_v, grad_u = sgns_backward(grad_out, saved)
    grad_u[:, 0] *= -1
    return grad_v, grad_u


def not_divided(grad_out, saved):
    """What the original program of CBOW does: every word gets the whole gradient of the mean."""
    return ((saved > 0)[:, :, None] * grad_out[:, None, :],)


@pytest.mark.parametrize(
    ("wrong", "argument", "kind"),
    [
        (wrong_sign, "v", "sign_flipped"),
        (own_vector, "u", "wrong_operand"),
        (seen_word_as_noise, "u", "wrong_entries"),
    ],
)
def test_wrong_backwards_are_rejected_and_named(wrong, argument, kind):
    report = check_gradients(sgns_forward, wrong, *V_AND_U)
    assert not report.passed
    assert {f.input for f in report.findings} == {argument}
    assert report.findings[0].kind == kind, report


def test_a_mean_without_its_division_is_rejected():
    report = check_gradients(context_mean_forward, not_divided, AROUND, visible=VISIBLE)
    assert not report.passed


@pytest.mark.parametrize("case", ["skip_gram", "cbow"])
def test_one_step_is_that_of_pytorch(case):
    g = {name.split(".")[1]: a for name, a in GOLDEN.items() if name.startswith(case + ".")}
    model = Word2Vec(Word2VecConfig(dim=5, cbow=case == "cbow"))
    model.vectors, model.outputs = g["vectors"].copy(), g["outputs"].copy()
    loss = model.step(g["context"], g["middle"], g["negatives"], rate=0.3)
    np.testing.assert_allclose(loss, g["loss"], rtol=1e-9)
    np.testing.assert_allclose(model.vectors, g["new_vectors"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.outputs, g["new_outputs"], rtol=1e-9, atol=1e-12)
    assert np.abs(g["new_vectors"] - g["vectors"]).max() > 0.1


def test_windows_stay_in_the_sentence_and_are_uniform():
    corpus = read_corpus("test", [[f"w{i}" for i in range(9)], ["x", "y"]] * 2000)
    around = windows(
        corpus.ids, corpus.sentences, np.arange(len(corpus.ids)), 3, np.random.default_rng(0)
    )
    assert around.shape == (len(corpus.ids), 6)
    words = np.array(corpus.words)
    seen = {0: 0, 1: 0, 2: 0, 3: 0}
    for place in range(4, len(corpus.ids), 11):  # "w4", four words from either end
        assert words[corpus.ids[place]] == "w4"
        found = around[place][around[place] >= 0]
        reach = len(found) // 2
        near = [f"w{i}" for i in range(4 - reach, 5 + reach) if i != 4]
        assert words[found].tolist() == near
        seen[reach] += 1
    assert seen[0] == 0
    assert all(abs(seen[b] - 2000 / 3) < 100 for b in (1, 2, 3))  # 4.7 standard deviations
    alone = around[9]  # "x" has "y" on the right, and another sentence on the left
    assert words[alone[alone >= 0]].tolist() == ["y"]


def test_frequent_words_are_dropped_as_in_equation_5():
    corpus = read_corpus("test", ["often " * 9 + "rare"] * 4000)
    ids, sentences = subsampled(corpus, 0.1, np.random.default_rng(0))
    kept = np.bincount(ids) / corpus.counts
    assert kept[0] == pytest.approx(np.sqrt(0.1 / 0.9), abs=0.02)
    assert kept[1] == 1.0
    assert len(ids) == len(sentences)
    assert len(subsampled(corpus, None, np.random.default_rng(0))[0]) == 40000


def test_noise_is_drawn_by_the_counts_to_three_quarters(monkeypatch):
    drawn = []
    original = Word2Vec.step

    def step(self, context, middle, negatives, rate):
        drawn.append(negatives)
        return original(self, context, middle, negatives, rate)

    monkeypatch.setattr(Word2Vec, "step", step)
    model = Word2Vec(Word2VecConfig(dim=4, epochs=1, subsample=None))
    model.fit(["a a a a a a a b b c"] * 500)
    wanted = model.counts**0.75 / (model.counts**0.75).sum()
    share = np.bincount(np.concatenate(drawn).ravel()) / sum(d.size for d in drawn)
    np.testing.assert_allclose(share, wanted, atol=0.01)


def test_the_learning_rate_falls_in_a_line(monkeypatch):
    rates = []
    original = Word2Vec.step

    def step(self, context, middle, negatives, rate):
        rates.append(rate)
        return original(self, context, middle, negatives, rate)

    monkeypatch.setattr(Word2Vec, "step", step)
    config = Word2VecConfig(dim=4, epochs=3, learning_rate=0.02, subsample=None)
    Word2Vec(config).fit(["a b c d e f g h"] * 400)
    assert rates[0] == 0.02
    assert np.all(np.diff(rates) < 0)
    np.testing.assert_allclose(rates, np.linspace(0.02, 0, len(rates) + 1)[:-1], atol=3e-4)
    assert rates[-1] >= 0.02 * 1e-4


def test_the_loss_begins_at_the_level_of_chance():
    model = Word2Vec(Word2VecConfig(dim=4, epochs=1, learning_rate=1e-9, negatives=3))
    model.fit(["a b c d e f g h"] * 20)
    assert model.losses == [pytest.approx(4 * np.log(2), abs=1e-6)]


def test_steps_that_overshoot_are_said():
    with pytest.raises(FloatingPointError) as caught:
        Word2Vec(Word2VecConfig(learning_rate=1e4, epochs=5)).fit(["a b c d e f g h"] * 100)
    assert "choose a learning_rate below 10000" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("window", 0, "an integer of at least 1, got 0"),
        ("dim", 2.5, "an integer of at least 1, got 2.5"),
        ("negatives", 0, "an integer of at least 1, got 0"),
        ("epochs", -1, "an integer of at least 1, got -1"),
        ("subsample", 0.0, "a number above 0, got 0.0"),
        ("learning_rate", 0.0, "a number above 0, got 0.0"),
    ],
)
def test_settings_that_make_no_sense(setting, value, expected):
    with pytest.raises(ValueError) as caught:
        Word2VecConfig(**{setting: value})
    assert str(caught.value) == f"Word2VecConfig: {setting} must be {expected}"


def test_shapes_that_do_not_belong_together():
    with pytest.raises(ValueError) as caught:
        sgns_forward(np.zeros((2, 3)), np.zeros((2, 4, 5)))
    assert "u (N, 1 + K, C), got (2, 3) and (2, 4, 5)" in str(caught.value)
