"""The fixed table, and adding a table to a sequence."""

import math
import re

import numpy as np
import pytest

from minillm import ops
from tests import reference


@pytest.mark.parametrize(("length", "width"), [(11, 6), (7, 5), (3, 1), (1, 4), (0, 4), (5, 0)])
def test_the_table_is_that_of_the_paper(length, width):
    table = ops.sinusoidal_table(length, width, dtype=np.float64)
    assert table.shape == (length, width)
    np.testing.assert_allclose(table, reference.sinusoidal_table(length, width), atol=1e-13)


def test_known_entries_of_the_table():
    table = ops.sinusoidal_table(4, 4, dtype=np.float64)
    np.testing.assert_array_equal(table[0], [0, 1, 0, 1])
    row = [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)]
    np.testing.assert_allclose(table[3], row, rtol=1e-14)


def test_the_float32_table_is_rounded_once_even_for_long_texts():
    table = ops.sinusoidal_table(5000, 6)
    assert table.dtype == np.float32
    exact = reference.sinusoidal_table(5000, 6).astype(np.float32)
    np.testing.assert_allclose(table, exact, rtol=0, atol=1.2e-7)


def test_forward_adds_row_t_to_position_t(rng):
    x, table = rng.standard_normal((2, 3, 5)), rng.standard_normal((7, 5))
    out, _ = ops.positional_encoding_forward(x, table)
    np.testing.assert_allclose(out, reference.positional_encoding(x, table), rtol=1e-15)


def test_backward_sums_over_the_batch_and_is_zero_beyond_the_sequence():
    g = np.arange(12.0).reshape(2, 3, 2)
    _, saved = ops.positional_encoding_forward(np.zeros((2, 3, 2)), np.zeros((5, 2)))
    grad_x, grad_table = ops.positional_encoding_backward(g, saved)
    np.testing.assert_array_equal(grad_x, g)
    np.testing.assert_array_equal(grad_table, [[6, 8], [10, 12], [14, 16], [0, 0], [0, 0]])


@pytest.mark.parametrize(
    "shape", [(3, 5), (1, 1, 5), (2, 2, 3, 5), (0, 3, 5), (2, 0, 5), (2, 3, 0)]
)
def test_backward_is_the_slope_for_any_leading_axes(rng, shape):
    x, table = rng.standard_normal(shape), rng.standard_normal((3, shape[-1]))
    out, saved = ops.positional_encoding_forward(x, table)
    g = rng.standard_normal(out.shape)
    expected = reference.slopes(reference.positional_encoding, [x, table], g)
    for grad, want in zip(ops.positional_encoding_backward(g, saved), expected, strict=True):
        assert grad.shape == want.shape
        np.testing.assert_allclose(grad, want, atol=1e-9)


def test_a_sequence_as_long_as_the_table_fits_and_a_longer_one_does_not():
    assert ops.positional_encoding_forward(np.ones((1, 3, 2)), np.ones((3, 2)))[0].shape == (
        1,
        3,
        2,
    )
    with pytest.raises(ValueError, match="has 4 positions but the table only 3"):
        ops.positional_encoding_forward(np.ones((1, 4, 2)), np.ones((3, 2)))


@pytest.mark.parametrize(
    ("x_shape", "table_shape"), [((2, 3, 5), (7, 3)), ((5,), (7, 5)), ((2, 3, 5), (1, 7, 5))]
)
def test_shapes_that_do_not_fit_are_named(x_shape, table_shape):
    with pytest.raises(ValueError, match=re.escape(f"x {x_shape} must be")) as error:
        ops.positional_encoding_forward(np.ones(x_shape), np.ones(table_shape))
    assert str(error.value).startswith("positional_encoding: ")
    assert str(table_shape) in str(error.value)


def test_negative_sizes_are_refused():
    with pytest.raises(ValueError, match="sinusoidal_table: length -1"):
        ops.sinusoidal_table(-1, 4)
