"""The linear layer."""

import re

import numpy as np
import pytest

from minillm import ops
from tests import reference


def numpy_linear(x, weight, bias=None):
    return np.tensordot(x, weight, 1) + (0.0 if bias is None else bias)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (1, 1, 5), (0, 5), (2, 0, 5)], ids=str)
def test_forward_and_backward_are_the_definition_and_its_slope(rng, shape, with_bias):
    x, weight = rng.standard_normal(shape), rng.standard_normal((5, 7))
    arrays = [x, weight] + ([rng.standard_normal(7)] if with_bias else [])
    out, saved = ops.linear_forward(*arrays)
    np.testing.assert_allclose(out, reference.linear(*arrays), rtol=1e-12, atol=1e-13)
    assert out.shape == (*shape[:-1], 7)
    g = rng.standard_normal(out.shape)
    grads = ops.linear_backward(g, saved)
    assert len(grads) == 3
    assert with_bias == (grads[2] is not None)
    for grad, want in zip(grads, reference.slopes(numpy_linear, arrays, g), strict=False):
        assert grad.shape == want.shape
        np.testing.assert_allclose(grad, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("inner", "outer"), [(0, 3), (3, 0), (1, 1)])
def test_a_layer_of_width_zero_or_one(inner, outer):
    x, weight, bias = np.ones((2, inner)), np.ones((inner, outer)), np.full(outer, 0.5)
    out, saved = ops.linear_forward(x, weight, bias)
    np.testing.assert_array_equal(out, np.full((2, outer), inner + 0.5))
    grads = ops.linear_backward(np.ones((2, outer)), saved)
    np.testing.assert_array_equal(grads[0], np.full((2, inner), float(outer)))
    np.testing.assert_array_equal(grads[1], np.full((inner, outer), 2.0))
    np.testing.assert_array_equal(grads[2], np.full(outer, 2.0))


def test_a_row_worked_out_by_hand():
    x, weight = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])
    out, saved = ops.linear_forward(x, weight, np.array([100.0, 200.0, 300.0]))
    np.testing.assert_array_equal(out, [[115.0, 218.0, 321.0]])
    grad_x, grad_weight, grad_bias = ops.linear_backward(np.array([[1.0, 0.0, 10.0]]), saved)
    np.testing.assert_array_equal(grad_x, [[53.0, 86.0]])
    np.testing.assert_array_equal(grad_weight, [[1.0, 0.0, 10.0], [2.0, 0.0, 20.0]])
    np.testing.assert_array_equal(grad_bias, [1.0, 0.0, 10.0])


@pytest.mark.parametrize(
    "needs", [(True, False, False), (False, True, False), (False, False, True)]
)
def test_frozen_arrays_cost_nothing(rng, needs):
    arrays = rng.standard_normal((3, 5)), rng.standard_normal((5, 7)), rng.standard_normal(7)
    _, saved = ops.linear_forward(*arrays)
    g = rng.standard_normal((3, 7))
    everything = ops.linear_backward(g, saved)
    for grad, full, needed in zip(
        ops.linear_backward(g, saved, needs=needs), everything, needs, strict=True
    ):
        assert (grad is not None) == needed
        if needed:
            np.testing.assert_array_equal(grad, full)


def test_float32_is_right_within_its_rounding(rng):
    arrays = [a.astype(np.float32) for a in (rng.random((3, 5)), rng.random((5, 7)), rng.random(7))]
    out, _ = ops.linear_forward(*arrays)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, reference.linear(*arrays), rtol=1e-6)


@pytest.mark.parametrize(
    ("x_shape", "weight_shape"), [((3, 5), (7, 5)), ((5,), (3,)), ((3, 5), (5,)), ((), (5, 7))]
)
def test_shapes_that_do_not_fit_are_named(x_shape, weight_shape):
    message = f"linear: x {x_shape} and weight {weight_shape} do not fit"
    with pytest.raises(ValueError, match=re.escape(message)):
        ops.linear_forward(np.ones(x_shape), np.ones(weight_shape))


@pytest.mark.parametrize("shape", [(5,), (1, 7), (1,), ()])
def test_a_bias_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=re.escape(f"needs a bias of (7,), got {shape}")):
        ops.linear_forward(np.ones((3, 5)), np.ones((5, 7)), np.ones(shape))
