"""relu, sigmoid and silu: values, slopes and edges."""

import numpy as np
import pytest

from minillm import ops
from tests import reference

X = np.array([-800.0, -30.0, -1.7, -1e-3, 0.0, 1e-3, 0.4, 3.0, 30.0, 800.0])


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", lambda x: np.where(x > 0, x, 0.0)),
        ("sigmoid", reference.sigmoid),
        ("silu", lambda x: x * reference.sigmoid(x)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_follow_the_formula_without_warnings(name, function, dtype):
    out, _ = getattr(ops, f"{name}_forward")(X.astype(dtype))
    assert out.dtype == dtype
    tolerance = 2e-16 if dtype == np.float64 else 1e-7
    expected = function(X.astype(dtype).astype(np.float64))
    np.testing.assert_allclose(out, expected, rtol=4 * tolerance, atol=800 * tolerance)


@pytest.mark.parametrize(("dtype", "least"), [(np.float32, -80.0), (np.float64, -700.0)])
def test_a_small_probability_has_all_its_digits(dtype, least):
    x = np.linspace(least, 0.0, 51, dtype=dtype)
    out, _ = ops.sigmoid_forward(x)
    # far below 0 it is exp(x), and nowhere 0
    expected = np.exp(x.astype(np.float64)) / (1 + np.exp(x.astype(np.float64)))
    np.testing.assert_allclose(out, expected, rtol=8 * np.finfo(dtype).eps)


def test_the_slope_of_relu_at_the_kink_is_zero():
    _, saved = ops.relu_forward(np.array([0.0, -0.0]))
    assert ops.relu_backward(np.ones(2), saved)[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["sigmoid", "silu"])
def test_slopes_follow_a_numerical_derivative(name, rng):
    x, g = rng.standard_normal((2, 3, 5)) * 2
    function = {"sigmoid": reference.sigmoid, "silu": lambda v: v * reference.sigmoid(v)}[name]
    _, saved = getattr(ops, f"{name}_forward")(x)
    (found,) = getattr(ops, f"{name}_backward")(g, saved)
    h = 1e-4
    expected = g * (function(x + h) - function(x - h)) / (2 * h)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "silu"])
def test_numbers_without_axes_and_empty_arrays(name):
    forward = getattr(ops, f"{name}_forward")
    assert np.shape(forward(np.array(2.0))[0]) == ()
    assert forward(np.zeros((0, 3)))[0].shape == (0, 3)
    with pytest.raises(TypeError, match=f"{name}: x must be floating, got int64"):
        forward(np.arange(3))
