"""Drawing from a learned normal distribution, and its distance from the standard one."""

import numpy as np
import pytest

import minillm
from minillm import ops
from tests import reference


def test_it_follows_the_paper(rng):
    mu, log_variance, noise = rng.standard_normal((3, 2, 3, 5))
    z, _ = ops.gaussian_sample_forward(mu, log_variance, noise=noise)
    np.testing.assert_allclose(
        z, reference.gaussian_sample(mu, log_variance, noise), rtol=1e-13, atol=1e-14
    )


def test_the_draws_have_the_mean_and_the_variance_that_were_asked_for():
    n = 100_000
    mu, log_variance = np.full(n, 3.0), np.full(n, np.log(4.0))
    z, _ = ops.gaussian_sample_forward(mu, log_variance, rng=np.random.default_rng(5))
    assert abs(z.mean() - 3.0) < 5 * 2 / n**0.5
    assert abs(z.var() - 4.0) < 5 * 4 * (2 / n) ** 0.5
    assert abs(((z - 3.0) ** 3).mean()) < 5 * 8 * (15 / n) ** 0.5  # no skew


def test_the_same_seed_draws_the_same_noise_in_both_dtypes():
    zeros = [np.zeros(97, dtype) for dtype in (np.float32, np.float64)]
    small, large = (
        ops.gaussian_sample_forward(x, x, rng=np.random.default_rng(3))[0] for x in zeros
    )
    np.testing.assert_array_equal(small, large.astype(np.float32))
    other, _ = ops.gaussian_sample_forward(zeros[1], zeros[1], rng=np.random.default_rng(4))
    assert (other != large).all()


def test_without_a_generator_the_librarys_is_used():
    x = np.zeros(97)
    draws = []
    for seed in (1, 1, 2):
        minillm.manual_seed(seed)
        draws.append(ops.gaussian_sample_forward(x, x)[0])
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[1] != draws[2]).all()


@pytest.mark.parametrize("variance", [0.25, 1.0, 9.0])
def test_the_kl_is_the_integral_that_defines_it(variance, rng):
    mu = rng.standard_normal((2, 3)) * 2
    log_variance = np.log(variance * rng.uniform(0.5, 2, (2, 3)))
    kl, _ = ops.gaussian_kl_forward(mu, log_variance)
    np.testing.assert_allclose(kl, reference.gaussian_kl(mu, log_variance), rtol=1e-10)


def test_the_kl_is_zero_with_zero_gradients_at_the_standard_normal():
    zeros = np.zeros((2, 3))
    kl, saved = ops.gaussian_kl_forward(zeros, zeros)
    assert (kl == 0).all()
    for grad in ops.gaussian_kl_backward(np.ones(2), saved):
        assert (grad == 0).all()


def test_a_tiny_kl_keeps_its_digits():
    """(e^x - 1 - x) / 2 is x^2 / 4 for small x: with exp instead of expm1 nothing would be left."""
    kl, _ = ops.gaussian_kl_forward(np.zeros(1), np.full(1, 1e-8))
    assert float(kl) == pytest.approx(1e-16 / 4, rel=1e-3, abs=0)


def test_what_does_not_fit_is_refused(rng):
    a, b = np.zeros((2, 3)), np.zeros(3)
    with pytest.raises(ValueError, match=r"gaussian_sample: mu \(2, 3\) and log_variance \(3,\)"):
        ops.gaussian_sample_forward(a, b)
    with pytest.raises(ValueError, match=r"gaussian_kl: mu \(2, 3\) and log_variance \(3,\)"):
        ops.gaussian_kl_forward(a, b)
    with pytest.raises(ValueError, match="rng and noise are both given"):
        ops.gaussian_sample_forward(a, a, rng=rng, noise=a)
    with pytest.raises(ValueError, match=r"noise \(3,\) must have the shape of mu \(2, 3\)"):
        ops.gaussian_sample_forward(a, a, noise=b)
    with pytest.raises(TypeError, match=r"write noise.astype\('float64'\)"):
        ops.gaussian_sample_forward(a, a, noise=a.astype(np.float32))
    with pytest.raises(TypeError, match=r"default_rng\(seed\)"):
        ops.gaussian_sample_forward(a, a, rng=7)
    with pytest.raises(ValueError, match=r"gaussian_kl: mu \(\) needs a last axis"):
        ops.gaussian_kl_forward(np.zeros(()), np.zeros(()))
