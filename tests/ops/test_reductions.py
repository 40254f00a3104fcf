"""sum, mean, max, and the fast sums and maxima over a row."""

import math
import re

import numpy as np
import pytest

from minillm import ops
from minillm.ops.rows import row_max, row_mean, row_sum
from tests import reference

AXES = [None, 0, 1, -1, (0, 2), (-1, 0), (0, 1, 2), ()]
OPERATIONS = ["sum", "mean", "max"]


def literal(name, x, axis, keepdims):
    """Collect the entries that go into each output, one after another."""
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    axes = {a % x.ndim for a in axes}
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    groups = {place: [] for place in np.ndindex(*kept)}
    for place in np.ndindex(*x.shape):
        groups[tuple(0 if i in axes else p for i, p in enumerate(place))].append(float(x[place]))
    reduce = {"sum": math.fsum, "mean": lambda v: math.fsum(v) / len(v), "max": max}[name]
    out = np.empty(kept)
    for place, values in groups.items():
        out[place] = reduce(values)
    return out if keepdims else out.reshape([n for i, n in enumerate(x.shape) if i not in axes])


@pytest.fixture(params=OPERATIONS)
def name(request):
    return request.param


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
def test_forward_reduces_the_right_entries(rng, name, axis, keepdims):
    x = rng.standard_normal((2, 3, 5))
    out, _ = getattr(ops, f"{name}_forward")(x, axis=axis, keepdims=keepdims)
    expected = literal(name, x, axis, keepdims)
    assert np.shape(out) == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
def test_backward_is_the_slope(rng, name, axis, keepdims):
    x = rng.permutation(30).reshape(2, 3, 5) / 7.0
    out, saved = getattr(ops, f"{name}_forward")(x, axis=axis, keepdims=keepdims)
    g = np.asarray(rng.standard_normal(np.shape(out)))
    [grad] = getattr(ops, f"{name}_backward")(g, saved)
    [expected] = reference.slopes(lambda x: literal(name, x, axis, keepdims), [x], g)
    assert grad.shape == x.shape
    np.testing.assert_allclose(grad, expected, rtol=1e-9, atol=1e-9)


def test_entries_that_tie_for_the_maximum_share_the_gradient():
    x = np.array([[1.0, 4.0, 4.0, 4.0], [2.0, 0.0, 2.0, -1.0]])
    _, saved = ops.max_forward(x, axis=1)
    [grad] = ops.max_backward(np.array([6.0, 10.0]), saved)
    np.testing.assert_array_equal(grad, [[0.0, 2.0, 2.0, 2.0], [5.0, 0.0, 5.0, 0.0]])


def test_all_entries_equal_share_the_maximum_over_several_axes():
    _, saved = ops.max_forward(np.zeros((2, 5)))
    [grad] = ops.max_backward(np.array(1.0), saved)
    np.testing.assert_array_equal(grad, np.full((2, 5), 0.1))


def test_mean_divides_the_gradient_by_the_number_of_entries():
    _, saved = ops.mean_forward(np.zeros((2, 3, 5)), axis=(0, 2))
    [grad] = ops.mean_backward(np.array([10.0, 20.0, 30.0]), saved)
    np.testing.assert_array_equal(grad[1, :, 4], [1.0, 2.0, 3.0])


def test_a_zero_dimensional_array_is_its_own_reduction(name):
    x = np.array(2.5)
    out, saved = getattr(ops, f"{name}_forward")(x)
    [grad] = getattr(ops, f"{name}_backward")(np.array(3.0), saved)
    assert float(out) == 2.5
    assert grad.shape == ()
    assert float(grad) == 3.0


def test_the_sum_of_nothing_is_zero():
    out, saved = ops.sum_forward(np.zeros((3, 0)), axis=1)
    np.testing.assert_array_equal(out, np.zeros(3))
    assert ops.sum_backward(np.ones(3), saved)[0].shape == (3, 0)


@pytest.mark.parametrize("operation", ["mean", "max"])
def test_the_mean_and_maximum_of_nothing_raise(operation):
    with pytest.raises(ValueError, match=re.escape(f"{operation}: x (3, 0) has no entries")):
        getattr(ops, f"{operation}_forward")(np.zeros((3, 0)), axis=1)


@pytest.mark.parametrize("operation", ["mean", "max"])
def test_an_empty_axis_that_stays_is_no_obstacle(operation):
    out, saved = getattr(ops, f"{operation}_forward")(np.zeros((3, 0)), axis=0)
    assert out.shape == (0,)
    assert getattr(ops, f"{operation}_backward")(np.zeros(0), saved)[0].shape == (3, 0)


@pytest.mark.parametrize("axis", [3, -4, (0, 5)])
def test_an_axis_that_does_not_exist_raises(name, axis):
    with pytest.raises(ValueError, match=f"{name}: axis .* does not exist"):
        getattr(ops, f"{name}_forward")(np.zeros((2, 3, 5)), axis=axis)


def test_an_axis_named_twice_raises(name):
    with pytest.raises(ValueError, match=f"{name}: .* twice"):
        getattr(ops, f"{name}_forward")(np.zeros((2, 3)), axis=(1, -1))


@pytest.mark.parametrize("axis", [1.0, "x", True])
def test_an_axis_that_is_no_integer_raises(name, axis):
    with pytest.raises(TypeError, match=f"{name}: axis must be an int"):
        getattr(ops, f"{name}_forward")(np.zeros((2, 3)), axis=axis)


def test_integers_are_refused(name):
    with pytest.raises(TypeError, match=f"{name}: x must be floating"):
        getattr(ops, f"{name}_forward")(np.zeros(3, dtype=int))


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 8, 9, 17, 31, 37, 64, 65, 131, 255, 257])
def test_rows_are_reduced_whatever_their_length(rng, width):
    x = rng.standard_normal((2, 3, width))
    expected = {"max": np.empty((2, 3, 1)), "sum": np.empty((2, 3, 1))}
    for b, t in np.ndindex(2, 3):
        expected["max"][b, t] = max(x[b, t])
        expected["sum"][b, t] = math.fsum(x[b, t])
    np.testing.assert_array_equal(row_max(x), expected["max"])
    np.testing.assert_allclose(row_sum(x), expected["sum"], atol=1e-13)
    np.testing.assert_allclose(row_mean(x), expected["sum"] / width, atol=1e-13)


@pytest.mark.parametrize("width", [5, 33, 67, 131, 257])
def test_the_row_maximum_finds_every_place(width):
    x = np.eye(width)
    np.testing.assert_array_equal(row_max(x), np.ones((width, 1)))


@pytest.mark.parametrize("width", [7, 67, 257])
def test_the_row_maximum_passes_nan_on(width):
    x = np.arange(2.0 * width).reshape(2, width)
    x[1, width - 1] = np.nan
    np.testing.assert_array_equal(np.isnan(row_max(x)), [[False], [True]])
