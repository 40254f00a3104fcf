"""Gumbel-softmax: draws of a class, soft and hard, and what the straight-through gradient is."""

import numpy as np
import pytest

import minillm.functional as F
from minillm import ops
from minillm.gradcheck import check_gradients, check_model
from minillm.gradcheck.cases import cases
from minillm.gradcheck.suite import check_case
from minillm.nn import Linear
from tests import reference

CASE = cases("gumbel_softmax")[2]  # hard=True


@pytest.mark.parametrize(("temperature", "axis"), [(0.7, -1), (1.7, 0), (13.0, 1)])
def test_it_follows_the_paper(temperature, axis, rng):
    logits, noise = rng.standard_normal((2, 3, 5)) * 2, rng.gumbel(size=(2, 3, 5))
    y, _ = ops.gumbel_softmax_forward(logits, temperature=temperature, noise=noise, axis=axis)
    np.testing.assert_allclose(
        y, reference.gumbel_softmax(logits, noise, temperature, axis), rtol=1e-12
    )


def test_hard_draws_follow_the_softmax():
    n, p = 100_000, np.array([0.5, 0.3, 0.15, 0.05])
    logits = np.broadcast_to(np.log(p), (n, 4))
    y, _ = ops.gumbel_softmax_forward(
        logits, temperature=0.7, hard=True, rng=np.random.default_rng(5)
    )
    assert set(np.unique(y)) == {0.0, 1.0}
    assert (y.sum(axis=1) == 1).all()
    assert (abs(y.mean(axis=0) - p) < 5 * (p * (1 - p) / n) ** 0.5).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_hard_marks_the_largest_soft_entry_and_has_its_gradient(axis, rng):
    logits, noise = rng.standard_normal((2, 3, 5)), rng.gumbel(size=(2, 3, 5))
    options = {"temperature": 0.7, "noise": noise, "axis": axis}
    soft, soft_saved = ops.gumbel_softmax_forward(logits, **options)
    hard, hard_saved = ops.gumbel_softmax_forward(logits, **options, hard=True)
    for place in np.ndindex(*soft.shape):
        row = soft[tuple(slice(None) if i == axis else n for i, n in enumerate(place))]
        assert hard[place] == (soft[place] == max(row))
    [a] = ops.gumbel_softmax_backward(noise, soft_saved)
    [b] = ops.gumbel_softmax_backward(noise, hard_saved)
    np.testing.assert_array_equal(a, b)


def test_one_entry_is_marked_even_where_the_shares_round_to_the_same():
    logits = np.array([1.0, 1.0 + 1e-15, 0.0])
    y, _ = ops.gumbel_softmax_forward(logits, temperature=50.0, hard=True, noise=np.zeros(3))
    assert y.tolist() == [0.0, 1.0, 0.0]


def test_straight_through_is_not_the_derivative_of_the_hard_forward():
    """The check says so if it is given the hard forward, and passes against the soft one."""
    plain = check_gradients(CASE.forward, CASE.backward, *CASE.inputs, **CASE.options)
    assert not plain.passed
    assert "hard=True is a straight-through estimator" in " ".join(plain.notes)
    soft = check_case(CASE)
    assert soft.passed
    assert soft.notes == []


def test_the_check_of_a_model_says_why_it_cannot_agree(rng):
    def model(hard):
        layer = Linear(3, 4, rng=np.random.default_rng(0))
        layer.noise = rng.gumbel(size=(5, 4))
        plain = layer.forward
        layer.forward = lambda x: F.gumbel_softmax(
            plain(x), temperature=0.7, hard=hard, noise=layer.noise
        )
        return layer

    x = rng.standard_normal((5, 3))
    soft, hard = (check_model(model(which), x) for which in (False, True))
    assert soft.passed
    assert not hard.passed
    told = [note for note in hard.notes if "straight-through" in note]
    assert len(told) == 1
    assert not any("straight-through" in note for note in soft.notes)


def test_the_checked_forward_gives_the_soft_output_and_what_the_hard_call_saves():
    out, saved = CASE.checked_forward(*CASE.inputs, **CASE.options)
    hard, hard_saved = CASE.forward(*CASE.inputs, **CASE.options)
    soft, _ = CASE.forward(*CASE.inputs, **{**CASE.options, "hard": False})
    np.testing.assert_array_equal(out, soft)
    assert (hard != soft).any()
    np.testing.assert_array_equal(saved[0], hard_saved[0])
    assert cases("gumbel_softmax")[0].checked_forward is ops.gumbel_softmax_forward


def test_a_wrong_straight_through_backward_is_rejected():
    def without_temperature(grad_out, saved):
        return (0.7 * ops.gumbel_softmax_backward(grad_out, saved)[0],)

    report = check_gradients(
        CASE.checked_forward, without_temperature, *CASE.inputs, **CASE.options
    )
    assert [finding.kind for finding in report.findings] == ["scaled"]


def test_a_low_temperature_stays_finite_in_float32():
    logits = np.array([[1e4, -1e4, 3.0]], np.float32)
    y, saved = ops.gumbel_softmax_forward(
        logits, temperature=1e-3, noise=np.zeros((1, 3), np.float32)
    )
    assert y.tolist() == [[1.0, 0.0, 0.0]]
    assert np.isfinite(ops.gumbel_softmax_backward(np.ones_like(y), saved)[0]).all()


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_the_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match=f"temperature = {temperature} must be positive"):
        ops.gumbel_softmax_forward(np.zeros(3), temperature=temperature)


def test_what_does_not_fit_is_refused(rng):
    with pytest.raises(ValueError, match=r"axis 1 of logits \(2, 0\) has no entries"):
        ops.gumbel_softmax_forward(np.zeros((2, 0)), temperature=1.0)
    with pytest.raises(ValueError, match="rng and noise are both given"):
        ops.gumbel_softmax_forward(np.zeros(3), temperature=1.0, rng=rng, noise=np.zeros(3))
    with pytest.raises(TypeError, match="gumbel_softmax: logits must be floating"):
        ops.gumbel_softmax_forward(np.zeros(3, int), temperature=1.0)
