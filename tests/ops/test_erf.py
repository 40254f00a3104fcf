"""The error function, against the one of the C library."""

import math

import numpy as np
import pytest

from minillm import ops
from tests import reference

# both sides of the seam at |x| = 1, of the clip at 28, and everything between
GRID = np.concatenate([
    np.linspace(-6, 6, 4801),
    [0.999999, 1.000001, 26.0, 28.1, 100.0, 1e4, -1e4],
])


def slope(x):
    return reference.entrywise(lambda v: 2 / math.sqrt(math.pi) * math.exp(-v * v), x)


def both(x):
    out, saved = ops.erf_forward(x)
    return out, ops.erf_backward(np.ones_like(x), saved)[0]


def test_float64_is_right_to_the_last_digits():
    out, grad = both(GRID)
    np.testing.assert_allclose(out, reference.erf(GRID), rtol=4e-16, atol=4e-16)
    np.testing.assert_allclose(grad, slope(GRID), rtol=1e-14, atol=1e-300)


def test_float64_keeps_its_relative_precision_near_zero():
    x = np.logspace(-300, -1, 50)
    np.testing.assert_allclose(both(x)[0], reference.erf(x), rtol=1e-15, atol=0)


def test_float32_is_right_within_its_rounding():
    x = GRID.astype(np.float32)
    out, grad = both(x)
    assert out.dtype == grad.dtype == np.float32
    np.testing.assert_allclose(out, reference.erf(x), rtol=0, atol=2e-7)
    np.testing.assert_allclose(grad, slope(x), rtol=0, atol=2e-7)


def test_known_values():
    out, _ = both(np.array([0.0, 0.5, 1.0, 2.0, -1.0]))
    known = [0.0, 0.5204998778130465, 0.8427007929497149, 0.9953222650189527, -0.8427007929497149]
    np.testing.assert_allclose(out, known, rtol=1e-15)


def test_it_is_odd_and_never_leaves_the_interval():
    out, _ = both(GRID.astype(np.float32))
    mirrored, _ = both(-GRID.astype(np.float32))
    np.testing.assert_array_equal(out, -mirrored)
    assert np.abs(out).max() == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinity_is_answered_without_a_warning(dtype):
    out, grad = both(np.array([-np.inf, np.inf], dtype=dtype))
    np.testing.assert_array_equal(out, [-1, 1])
    np.testing.assert_array_equal(grad, [0, 0])


@pytest.mark.parametrize(("dtype", "huge"), [(np.float32, 1e30), (np.float64, 1e200)])
def test_the_square_of_a_huge_number_does_not_overflow(dtype, huge):
    out, grad = both(np.array([-huge, huge], dtype=dtype))
    np.testing.assert_array_equal(out, [-1, 1])
    np.testing.assert_array_equal(grad, [0, 0])


@pytest.mark.parametrize("shape", [(), (1, 1), (0, 3)])
def test_small_and_empty_arrays_keep_their_shape(shape):
    out, grad = both(np.full(shape, 0.5))
    assert out.shape == grad.shape == shape
    np.testing.assert_allclose(out, np.full(shape, 0.5204998778130465), rtol=1e-15)


def test_a_view_with_strides_is_read_right():
    x = GRID[:42].reshape(6, 7)[::2, ::-3].T
    np.testing.assert_allclose(both(x)[0], reference.erf(x), rtol=4e-16)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="erf: x must be floating"):
        ops.erf_forward(np.array([1, 2]))
