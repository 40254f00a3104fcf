"""The numerical gradient against derivatives from a table."""

import numpy as np
import pytest

from minillm.gradcheck.numeric import (
    central_difference,
    directional_slope,
    flatten,
    numerical_slopes,
    stencil,
)

DERIVATIVES = {
    "exp": (np.exp, np.exp),
    "sin": (np.sin, np.cos),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "arctan": (np.arctan, lambda x: 1 / (1 + x * x)),
    "x^5": (lambda x: x**5, lambda x: 5 * x**4),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2),
}


def gradient(function, x, cotangents=None, step=1e-3, **options):
    weights = np.ones((1, x.size)) if cotangents is None else cotangents
    slopes = numerical_slopes(lambda: np.ravel(function(x)), x, weights, step, **options)
    return slopes.gradients, slopes.skipped


@pytest.mark.parametrize("name", DERIVATIVES)
def test_known_derivatives_are_right_to_ten_digits(name):
    function, derivative = DERIVATIVES[name]
    x = np.array([[0.9, -1.3, 1.7], [-0.6, 1.1, 0.8]])
    numeric, skipped = gradient(function, x)
    assert skipped == []
    np.testing.assert_allclose(numeric[0], derivative(x), rtol=1e-10, atol=1e-10)


def test_polynomials_of_degree_four_are_exact_whatever_the_step():
    x = np.array([1.25])
    numeric, _ = gradient(lambda x: x**4 - x**3 + 2 * x, x, step=0.5)
    np.testing.assert_allclose(numeric, [[4 * 1.25**3 - 3 * 1.25**2 + 2]], rtol=1e-13)


def test_the_error_falls_with_the_fourth_power_of_the_step():
    x = np.array([0.5])
    errors = [
        abs(stencil(lambda: np.exp(x), x, 0, np.exp(x), h)[0][0] - np.exp(0.5)) for h in (0.2, 0.1)
    ]
    assert 14 < errors[0] / errors[1] < 18


def test_every_cotangent_weighs_the_outputs():
    x, matrix = np.array([1.0, 2.0]), np.array([[3.0, 5.0], [7.0, 11.0], [13.0, 17.0]])
    weights = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, -1.0]])
    numeric, _ = gradient(lambda x: matrix @ x, x, weights)
    np.testing.assert_allclose(numeric, [[3, 5], [1, 5]], rtol=1e-10)


def test_large_numbers_get_a_larger_step():
    numeric, _ = gradient(np.sqrt, np.array([1e8]))
    np.testing.assert_allclose(numeric, [[0.5e-4]], rtol=1e-9)


def test_the_array_is_put_back_to_the_last_bit(rng):
    x = rng.standard_normal((3, 5))
    before = x.copy()
    gradient(np.exp, x)
    np.testing.assert_array_equal(x, before)


def test_only_the_asked_entries_are_computed():
    numeric, _ = gradient(np.exp, np.zeros((2, 3)), entries=[1, 5])
    np.testing.assert_array_equal(np.isnan(numeric[0]), [[True, False, True], [True, True, False]])


def test_entries_near_an_edge_get_a_smaller_step():
    x = np.array([1e-4])
    numeric, skipped = gradient(np.log, x)
    assert skipped == []
    np.testing.assert_allclose(numeric, [[1e4]], rtol=1e-6)


def test_entries_without_a_finite_estimate_are_skipped_and_named():
    x = np.array([[1.0, 0.0], [4.0, 9.0]])
    numeric, skipped = gradient(np.sqrt, x)
    assert skipped == [((0, 1), "the function is not finite around it")]
    np.testing.assert_array_equal(np.isnan(numeric[0]), [[False, True], [False, False]])
    np.testing.assert_allclose(numeric[0][1], [1 / 4, 1 / 6], rtol=1e-10)


def test_an_array_with_gaps_is_refused():
    with pytest.raises(ValueError, match="contiguous"):
        gradient(np.exp, np.zeros((4, 6))[::2, ::2])


def test_flatten_joins_all_outputs():
    flat = flatten([np.ones((2, 3), dtype=np.float32), 5.0])
    assert flat.dtype == np.float64
    np.testing.assert_array_equal(flat, [1, 1, 1, 1, 1, 1, 5])


KINKS = {
    "relu at 0": (lambda x: np.maximum(x, 0), 0.0),
    "relu within the smallest stencil": (lambda x: np.maximum(x, 0), 2e-7),
    "abs at 0": (np.abs, 0.0),
    "a tie of maximum": (lambda x: np.maximum(x, 3 * x - 2), 1.0),
    "a small corner on a slope": (lambda x: 5 * x + 0.01 * np.abs(x - 1), 1.0),
    "a jump": (lambda x: x + (x > 1), 1.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_and_jumps_are_skipped_and_named(name):
    function, where = KINKS[name]
    x = np.array([-0.7, where, 1.9])
    numeric, skipped = gradient(function, x)
    assert skipped == [((1,), "the function has a kink or a jump there")]
    assert np.isfinite(numeric[0][[0, 2]]).all()


def test_a_kink_inside_the_wide_stencil_only_is_no_reason_to_skip():
    x = np.array([5e-4, -1.0])  # the steps are 7e-4 and 1.4e-3: across the corner of relu
    numeric, skipped = gradient(lambda x: np.maximum(x, 0) * x, x)
    assert skipped == []
    np.testing.assert_allclose(numeric[0], [1e-3, 0], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("name", DERIVATIVES)
def test_smooth_functions_have_no_kinks_on_any_scale(name, scale, rng):
    x = rng.uniform(0.2, 2.0, 50) * rng.choice([-1, 1], 50)
    function, derivative = DERIVATIVES[name]
    numeric, skipped = gradient(lambda x: scale * function(x), x)
    assert skipped == []
    np.testing.assert_allclose(numeric[0], scale * derivative(x), rtol=1e-7, atol=1e-9 * scale)


def test_the_jacobian_is_kept_if_it_is_small_enough():
    x, matrix = np.array([1.0, 2.0]), np.array([[3.0, 5.0], [7.0, 11.0], [13.0, 17.0]])
    slopes = numerical_slopes(lambda: matrix @ x, x, np.ones((1, 3)), 1e-3, keep_jacobian=6)
    np.testing.assert_allclose(slopes.jacobian, matrix, rtol=1e-10)
    slopes = numerical_slopes(lambda: matrix @ x, x, np.ones((1, 3)), 1e-3, keep_jacobian=5)
    assert slopes.jacobian is None


def test_the_estimated_noise_covers_the_real_one(rng):
    x = rng.standard_normal(200)
    weights = rng.standard_normal((1, 200))
    slopes = numerical_slopes(lambda: 1e6 + np.sin(x), x, weights, 1e-3)
    errors = np.abs(slopes.gradients[0] - weights[0] * np.cos(x))
    assert (errors < slopes.noise).all()
    assert errors.max() > slopes.noise.max() / 100


def test_the_slope_along_a_direction(rng):
    x, direction = rng.standard_normal((2, 3, 5))
    weights = rng.standard_normal((2, 15))
    before = x.copy()
    found = directional_slope(lambda: np.sin(x).ravel(), x, direction, weights, 1e-3)
    np.testing.assert_allclose(found, weights @ (np.cos(x) * direction).ravel(), rtol=1e-9)
    np.testing.assert_array_equal(x, before)


def test_the_textbook_difference_has_its_best_step_near_1e_minus_5():
    x = np.array([0.9])
    error = {
        h: abs(central_difference(lambda: np.exp(x), x, 0, np.ones(1), h) / np.exp(0.9) - 1)
        for h in (1e-1, 1e-5, 1e-12)
    }
    assert error[1e-5] < 1e-9 < 1e-6 < min(error[1e-1], error[1e-12])
