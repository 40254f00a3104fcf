"""Matrix products, of vectors, matrices and stacks."""

import re

import numpy as np
import pytest

from minillm import ops
from tests import reference

SHAPES = [
    ((3, 5), (5, 7)),
    ((2, 3, 5), (2, 5, 7)),
    ((2, 3, 5), (5, 7)),
    ((3, 5), (2, 5, 7)),
    ((2, 1, 3, 5), (11, 5, 7)),
    ((1, 3, 5), (2, 5, 7)),
    ((3, 3), (3, 3)),
    ((5,), (5,)),
    ((5,), (5, 7)),
    ((3, 5), (5,)),
    ((5,), (2, 5, 7)),
    ((2, 3, 5), (5,)),
    ((1, 1), (1, 1)),
]
EMPTY = [
    ((0, 5), (5, 7)),
    ((3, 0), (0, 7)),
    ((3, 5), (5, 0)),
    ((0, 3, 5), (5, 7)),
    ((2, 3, 0), (0, 7)),
    ((2, 3, 5), (5, 0)),
    ((2, 3, 0), (2, 0, 7)),
    ((0,), (0,)),
    ((0,), (2, 0, 7)),
]


@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES + EMPTY, ids=str)
def test_forward_is_the_sum_of_products(rng, a_shape, b_shape):
    a, b = rng.standard_normal(a_shape), rng.standard_normal(b_shape)
    out, _ = ops.matmul_forward(a, b)
    expected = reference.matmul(a, b)
    assert np.shape(out) == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES + EMPTY, ids=str)
def test_backward_is_the_slope(rng, a_shape, b_shape):
    a, b = rng.standard_normal(a_shape), rng.standard_normal(b_shape)
    out, saved = ops.matmul_forward(a, b)
    g = np.asarray(rng.standard_normal(np.shape(out)))
    expected = reference.slopes(np.matmul, [a, b], g)
    for grad, want in zip(ops.matmul_backward(g, saved), expected, strict=True):
        assert grad.shape == want.shape
        np.testing.assert_allclose(grad, want, rtol=1e-9, atol=1e-9)


def test_a_product_worked_out_by_hand():
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]])
    out, saved = ops.matmul_forward(a, b)
    np.testing.assert_array_equal(out, [[19.0, 22.0], [43.0, 50.0]])
    grad_a, grad_b = ops.matmul_backward(np.array([[1.0, 0.0], [0.0, 0.0]]), saved)
    np.testing.assert_array_equal(grad_a, [[5.0, 7.0], [0.0, 0.0]])
    np.testing.assert_array_equal(grad_b, [[1.0, 0.0], [2.0, 0.0]])


@pytest.mark.parametrize("needs", [(True, False), (False, True)])
def test_gradients_that_are_not_needed_are_not_computed(rng, needs):
    _, saved = ops.matmul_forward(rng.standard_normal((3, 5)), rng.standard_normal((5, 7)))
    grads = ops.matmul_backward(np.ones((3, 7)), saved, needs=needs)
    assert tuple(grad is not None for grad in grads) == needs


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [((3, 5), (7, 5)), ((2, 3, 5), (11, 5, 7)), ((), (5,)), ((3, 5), ()), ((3,), (5,))],
)
def test_shapes_that_do_not_fit_are_named(a_shape, b_shape):
    with pytest.raises(ValueError, match=re.escape("matmul: ")) as error:
        ops.matmul_forward(np.ones(a_shape), np.ones(b_shape))
    assert str(a_shape) in str(error.value)
    assert str(b_shape) in str(error.value)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="matmul: b must be floating"):
        ops.matmul_forward(np.ones((2, 2)), np.ones((2, 2), dtype=int))
