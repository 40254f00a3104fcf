"""Softmax and its logarithm."""

import math
import re

import numpy as np
import pytest

from minillm import ops
from tests import reference

LITERAL = {"softmax": reference.softmax, "log_softmax": reference.log_softmax}


@pytest.fixture(params=LITERAL)
def name(request):
    return request.param


def both(name, x, g, axis=-1):
    out, saved = getattr(ops, f"{name}_forward")(x, axis=axis)
    return out, getattr(ops, f"{name}_backward")(g, saved)[0]


@pytest.mark.parametrize("axis", [-1, 0, 1, -2])
def test_float64_is_the_definition_along_any_axis(rng, name, axis):
    x, g = 3 * rng.standard_normal((2, 3, 5)), rng.standard_normal((2, 3, 5))
    out, grad = both(name, x, g, axis)
    np.testing.assert_allclose(out, LITERAL[name](x, axis), rtol=1e-13, atol=1e-14)
    [expected] = reference.slopes(lambda x: LITERAL[name](x, axis), [x], g)
    np.testing.assert_allclose(grad, expected, rtol=1e-8, atol=1e-9)


def test_float32_is_right_within_its_rounding(rng, name):
    x = (3 * rng.standard_normal((3, 7))).astype(np.float32)
    out, grad = both(name, x, np.ones_like(x))
    assert out.dtype == grad.dtype == np.float32
    np.testing.assert_allclose(out, LITERAL[name](x), rtol=1e-6, atol=1e-7)


def test_known_values():
    p, _ = both("softmax", np.log([[1.0, 2.0, 5.0]]), np.ones((1, 3)))
    np.testing.assert_allclose(p, [[0.125, 0.25, 0.625]], rtol=1e-15)


def test_gradient_worked_out_by_hand():
    # p = (1/4, 3/4), g = (1, 0): p_i (g_i - 1/4), and for the logarithm g_i - p_i
    x, g = np.log([1.0, 3.0]), np.array([1.0, 0.0])
    np.testing.assert_allclose(both("softmax", x, g)[1], [3 / 16, -3 / 16], rtol=1e-15)
    np.testing.assert_allclose(both("log_softmax", x, g)[1], [0.75, -0.75], rtol=1e-15)


def test_the_gradients_of_every_row_sum_to_zero(rng, name):
    _, grad = both(name, rng.standard_normal((3, 5)), rng.standard_normal((3, 5)))
    np.testing.assert_allclose(grad.sum(axis=-1), np.zeros(3), atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [1e4, -1e4])
def test_huge_numbers_neither_overflow_nor_warn(name, dtype, shift):
    x = np.array([[shift, shift + 1, shift + 2], [-1e4, 0, 1e4]], dtype=dtype)
    out, grad = both(name, x, np.array([[1, 0, 0], [1, 0, 0]], dtype=dtype))
    assert np.isfinite(out).all()
    assert np.isfinite(grad).all()
    np.testing.assert_allclose(out[0], LITERAL[name]([0.0, 1.0, 2.0]), rtol=1e-6)
    last = [0, 0, 1] if name == "softmax" else [-2e4, -1e4, 0]
    np.testing.assert_allclose(out[1], last, rtol=1e-6)


def test_entries_of_minus_infinity_have_probability_zero():
    p, grad = both("softmax", np.array([[0.0, -np.inf, math.log(3)]]), np.ones((1, 3)))
    np.testing.assert_allclose(p, [[0.25, 0, 0.75]], rtol=1e-15)
    np.testing.assert_allclose(grad, [[0, 0, 0]], atol=1e-16)


def test_a_single_entry_has_probability_one_and_no_gradient(name):
    out, grad = both(name, np.array([[3.0], [-7.0]]), np.array([[2.0], [5.0]]))
    np.testing.assert_array_equal(out, [[1.0], [1.0]] if name == "softmax" else [[0.0], [0.0]])
    np.testing.assert_array_equal(grad, [[0.0], [0.0]])


def test_without_rows_there_is_nothing_to_do(name):
    out, grad = both(name, np.zeros((0, 5)), np.zeros((0, 5)))
    assert out.shape == grad.shape == (0, 5)


def test_a_view_with_strides_is_read_right(rng, name):
    x = rng.standard_normal((10, 14))[::2, ::-2].T
    out, _ = both(name, x, np.ones((7, 5)))
    np.testing.assert_allclose(out, LITERAL[name](x), rtol=1e-13)


def test_an_empty_axis_or_one_that_does_not_exist_raises(name):
    forward = getattr(ops, f"{name}_forward")
    with pytest.raises(ValueError, match=re.escape(f"{name}: axis 1 of x (3, 0) has no entries")):
        forward(np.zeros((3, 0)))
    with pytest.raises(ValueError, match=f"{name}: axis 2 does not exist"):
        forward(np.zeros((3, 5)), axis=2)
    with pytest.raises(ValueError, match=f"{name}: axis -1 does not exist"):
        forward(np.array(1.0))
    with pytest.raises(TypeError, match=f"{name}: x must be floating"):
        forward(np.array([1, 2]))
