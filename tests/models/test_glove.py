"""GloVe: the operation, the counts against a literal count, steps against PyTorch."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from minillm.gradcheck import check_gradients
from minillm.models import GloVe, GloVeConfig
from minillm.models import glove as module
from minillm.models.glove import cooccurrences, glove_backward, glove_forward, pair_weights
from minillm.models.word_vectors import read_corpus

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "word_vectors.safetensors")
rng = np.random.default_rng(12)
INPUTS = (*rng.standard_normal((2, 7, 3)), *rng.standard_normal((2, 7)))
OPTIONS = {"log_counts": rng.standard_normal(7), "weights": rng.uniform(0.2, 1, 7)}


def test_gradients_are_right():
    report = check_gradients(glove_forward, glove_backward, *INPUTS, **OPTIONS)
    assert report.passed, report


def without_the_two(grad_out, saved):
    """As in the program of the paper, which calls it part of the learning rate."""
    return tuple(g / 2 for g in glove_backward(grad_out, saved))


def own_vector(grad_out, saved):
    """w gets w instead of the other factor."""
    w, w_context, _, _ = saved
    grad_w, *others = glove_backward(grad_out, saved)
    return grad_w / w_context * w, *others


def forgotten_bias(grad_out, saved):
    """b does not learn."""
    grad_w, grad_w_context, grad_b, grad_b_context = glove_backward(grad_out, saved)
    return grad_w, grad_w_context, np.zeros_like(grad_b), grad_b_context


@pytest.mark.parametrize(
    ("wrong", "arguments", "kind"),
    [
        (without_the_two, {"w", "w_context", "b", "b_context"}, "scaled"),
        (own_vector, {"w"}, "wrong_operand"),
        (forgotten_bias, {"b"}, "zero_gradient"),
    ],
)
def test_wrong_backwards_are_rejected_and_named(wrong, arguments, kind):
    report = check_gradients(glove_forward, wrong, *INPUTS, **OPTIONS)
    assert not report.passed
    assert {f.input for f in report.findings} == arguments
    assert {f.kind for f in report.findings} == {kind}, report


@pytest.mark.parametrize("chunk", [1_000_000, 7])
@pytest.mark.parametrize("window", [1, 3, 50])
def test_pairs_are_counted_as_one_would_by_hand(window, chunk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    draw = np.random.default_rng(window)
    sentences = [[str(w) for w in draw.integers(0, 6, n)] for n in (5, 1, 0, 9, 2, 20)]
    literal = Counter()
    for sentence in sentences:
        for i, a in enumerate(sentence):
            for j, b in enumerate(sentence):
                if 0 < abs(i - j) <= window:
                    literal[a, b] += 1 / abs(i - j)
    corpus = read_corpus("test", sentences)
    first, second, counts = cooccurrences(corpus, window)
    words = corpus.words
    found = {(words[a], words[b]): x for a, b, x in zip(first, second, counts, strict=True)}
    assert found.keys() == literal.keys()
    for pair, count in literal.items():
        assert found[pair] == pytest.approx(count, rel=1e-12)


def test_two_steps_are_those_of_pytorch():
    g = {name.removeprefix("glove."): a for name, a in GOLDEN.items() if name.startswith("glove.")}
    model = GloVe(GloVeConfig(dim=5, learning_rate=0.3))
    names = ("w", "w_context", "b", "b_context")
    model.parameters = {name: g[f"start.{name}"].copy() for name in names}
    model._totals = {name: np.ones_like(p) for name, p in model.parameters.items()}
    for i, j, x, loss in zip(g["first"], g["second"], g["counts"], g["losses"], strict=True):
        weights = pair_weights(x, x_max=10.0, power=0.75)
        np.testing.assert_allclose(model.step(i, j, np.log(x), weights), loss, rtol=1e-9)
    for name, p in model.parameters.items():
        np.testing.assert_allclose(p, g[f"end.{name}"], rtol=1e-9, atol=1e-12)


def test_the_vectors_are_the_sum_of_both():
    model = GloVe(GloVeConfig(dim=4, epochs=2)).fit(["a b c", "c b a d"])
    np.testing.assert_array_equal(
        model.vectors, model.parameters["w"] + model.parameters["w_context"]
    )
    assert len(model.losses) == 2


def test_the_weight_is_one_for_frequent_pairs():
    np.testing.assert_allclose(
        pair_weights(np.array([100.0, 200.0, 6.25]), 100, 0.75), [1, 1, 0.125]
    )


def test_settings_and_shapes_that_make_no_sense():
    with pytest.raises(ValueError) as caught:
        GloVeConfig(window=0)
    assert str(caught.value) == "GloVeConfig: window must be an integer of at least 1, got 0"
    with pytest.raises(ValueError) as caught:
        GloVeConfig(x_max=0)
    assert str(caught.value) == "GloVeConfig: x_max must be a number above 0, got 0"
    with pytest.raises(ValueError) as caught:
        glove_forward(*INPUTS[:3], np.zeros(3), **OPTIONS)
    assert "the biases (N,), got (7, 3), (7, 3), (7,), (3,)" in str(caught.value)
