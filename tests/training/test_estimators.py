"""Gradient estimators: unbiased, and as noisy as the closed formulas say."""

import io

import numpy as np
import pytest

import minillm.functional as F
from minillm.training import (
    categorical_score_gradient,
    compare_estimators,
    gumbel_softmax_gradient,
    reparameterised_gradient,
    score_function_gradient,
)

N = 40_000
MU, LOG_VARIANCE = 1.5, np.log(0.49)
SIGMA = 0.7


def square(z):
    return z * z


def assert_unbiased(draws, exact):
    """The mean is within 5 standard errors of the exact gradient, which is large beside them."""
    error = draws.std(axis=0, ddof=1) / len(draws) ** 0.5
    assert (abs(draws.mean(axis=0) - exact) < 5 * error + 1e-12).all()
    assert (5 * error < 0.2 * np.abs(exact).max()).all()


ESTIMATORS = {
    "score": score_function_gradient,
    "leave one out": lambda *a, **k: score_function_gradient(*a, baseline="leave_one_out", **k),
    "baseline": lambda *a, **k: score_function_gradient(*a, baseline=2.74, **k),
    "reparameterised": reparameterised_gradient,
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_they_are_unbiased_for_a_square(name):
    """E[z^2] = mu^2 + exp(log_variance), with the gradient (2 mu, sigma^2)."""
    draws = ESTIMATORS[name](square, MU, LOG_VARIANCE, N, rng=np.random.default_rng(5))
    assert draws.shape == (N, 2)
    assert_unbiased(draws, [2 * MU, SIGMA**2])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_they_are_unbiased_for_an_exponential(name):
    """E[e^z] = exp(mu + sigma^2 / 2)."""
    draws = ESTIMATORS[name](F.exp, 0.3, LOG_VARIANCE, N, rng=np.random.default_rng(6))
    value = np.exp(0.3 + SIGMA**2 / 2)
    assert_unbiased(draws, [value, value * SIGMA**2 / 2])


VARIANCES = {  # of the gradient by mu, from the moments of a normal variable
    "score": MU**4 / SIGMA**2 + 14 * MU**2 + 15 * SIGMA**2,
    "baseline": 8 * MU**2 + 10 * SIGMA**2,
    "reparameterised": 4 * SIGMA**2,
}


@pytest.mark.parametrize("name", VARIANCES)
def test_the_noise_is_that_of_the_closed_formula(name):
    baseline = {"baseline": MU**2 + SIGMA**2} if name == "baseline" else {}
    estimator = reparameterised_gradient if name == "reparameterised" else score_function_gradient
    rng = np.random.default_rng(7)
    draws = estimator(square, MU, LOG_VARIANCE, 10 * N, rng=rng, **baseline)[:, 0]
    error = ((draws - draws.mean()) ** 2).std() / len(draws) ** 0.5
    assert abs(draws.var() - VARIANCES[name]) < 5 * error
    assert 5 * error < 0.1 * VARIANCES[name]


def test_the_ratio_of_the_variances_and_the_slopes_are_as_derived():
    found = compare_estimators(
        square, MU, LOG_VARIANCE, sizes=(1, 3, 8), repeats=60_000,
        baseline=MU**2 + SIGMA**2, rng=np.random.default_rng(8),
    )  # fmt: skip
    score, ours, baseline = found.variances.values()
    for i in range(3):
        assert score[i] / ours[i] == pytest.approx(
            VARIANCES["score"] / VARIANCES["reparameterised"], rel=0.08
        )
        assert score[i] / baseline[i] == pytest.approx(
            VARIANCES["score"] / VARIANCES["baseline"], rel=0.1
        )
    for name in found.variances:
        assert found.slope(name) == pytest.approx(-1, abs=0.05)


@pytest.mark.parametrize("baseline", [0.0, 1.7, "leave_one_out"])
def test_the_score_function_is_unbiased_for_a_categorical_variable(baseline):
    """The gradient of sum_i p_i f_i by logits_i is p_i (f_i - sum_j p_j f_j)."""
    values, p = np.array([1.0, 3.0, -2.0]), np.array([0.5, 0.2, 0.3])
    draws = categorical_score_gradient(
        values, np.log(p), N, baseline=baseline, rng=np.random.default_rng(9)
    )
    assert_unbiased(draws, p * (values - p @ values))
    if baseline != "leave_one_out":  # the variance over three outcomes, counted
        all_draws = (values - baseline)[:, None] * (np.eye(3) - p)
        exact = p @ all_draws**2 - (p @ all_draws) ** 2
        np.testing.assert_allclose(draws.var(axis=0), exact, rtol=0.05)


def test_gumbel_softmax_is_less_noisy_and_biased():
    values, p = np.array([1.0, 3.0, -2.0]), np.array([0.5, 0.2, 0.3])
    exact = p * (values - p @ values)

    def f(y):
        return (y * values).sum(1)

    score = categorical_score_gradient(values, np.log(p), N, rng=np.random.default_rng(9))
    for hard in (False, True):
        draws = gumbel_softmax_gradient(
            f, np.log(p), N, temperature=1.0, hard=hard, rng=np.random.default_rng(9)
        )
        assert (draws.var(axis=0) < 0.5 * score.var(axis=0)).all()
        error = draws.std(axis=0) / N**0.5
        assert (abs(draws.mean(axis=0) - exact) > 10 * error).any()


def test_the_picture_has_a_line_for_each_estimator_with_the_slope_of_a_mean():
    pytest.importorskip("matplotlib")
    found = compare_estimators(
        square, sizes=(1, 4, 16), repeats=400, baseline=2.0, rng=np.random.default_rng(8)
    )
    figure = found.plot()
    [axes] = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    lines = {line.get_label(): line for line in axes.get_lines()}
    for name, variances in found.variances.items():
        assert lines[name].get_ydata().tolist() == variances
        assert lines[name].get_xdata().tolist() == [1, 4, 16]
    looks = {(lines[n].get_color(), lines[n].get_marker()) for n in found.variances}
    assert len(looks) == 3
    guide = axes.get_lines()[1]
    assert np.diff(np.log(guide.get_ydata())) == pytest.approx(-np.diff(np.log([1, 4, 16])))
    figure.savefig(buffer := io.BytesIO(), format="png")
    assert buffer.tell() > 1000


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="n must be a number of draws of at least 1, got 0"):
        score_function_gradient(square, 0.0, 0.0, 0)
    with pytest.raises(ValueError, match="a number or 'leave_one_out', got 'mean'"):
        score_function_gradient(square, 0.0, 0.0, 3, baseline="mean")
    with pytest.raises(ValueError, match="needs at least 2 draws, got 1"):
        score_function_gradient(square, 0.0, 0.0, 1, baseline="leave_one_out")
    with pytest.raises(ValueError, match=r"one number for each of its 3 draws, got shape \(\)"):
        score_function_gradient(F.sum, 0.0, 0.0, 3)
    with pytest.raises(ValueError, match=r"values \(2,\) and logits \(3,\) must be alike"):
        categorical_score_gradient([1.0, 2.0], [0.0, 0.0, 0.0], 3)
    with pytest.raises(ValueError, match="sizes must be numbers of at least 1"):
        compare_estimators(square, sizes=(0, 1))
