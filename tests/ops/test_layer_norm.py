"""Layer normalization."""

import re

import numpy as np
import pytest

from minillm import ops
from tests import reference


def numpy_layer_norm(x, gamma, beta=None, eps=0.5):
    centred = x - x.mean(-1, keepdims=True)
    out = gamma * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return out if beta is None else out + beta


def arrays(rng, shape, with_beta=True):
    width = shape[-1]
    result = [rng.standard_normal(shape) + 3, rng.uniform(0.5, 2, width)]
    return [*result, rng.standard_normal(width)] if with_beta else result


@pytest.mark.parametrize("eps", [0.5, 1e-5, 0.0])
@pytest.mark.parametrize("with_beta", [True, False])
def test_forward_is_the_definition(rng, eps, with_beta):
    inputs = arrays(rng, (2, 3, 7), with_beta)
    out, _ = ops.layer_norm_forward(*inputs, eps=eps)
    np.testing.assert_allclose(out, reference.layer_norm(*inputs, eps=eps), rtol=1e-12, atol=1e-13)


def test_eps_is_a_hundred_thousandth_unless_given(rng):
    inputs = arrays(rng, (3, 7))
    inputs[0] *= 1e-2  # small rows, where eps shows
    expected = reference.layer_norm(*inputs, eps=1e-5)
    np.testing.assert_allclose(ops.layer_norm_forward(*inputs)[0], expected, rtol=1e-10)


@pytest.mark.parametrize("with_beta", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 7), (5,), (1, 1, 3), (2, 1), (0, 5), (2, 0, 3)], ids=str)
def test_backward_is_the_slope(rng, shape, with_beta):
    inputs = arrays(rng, shape, with_beta)
    out, saved = ops.layer_norm_forward(*inputs, eps=0.5)
    g = rng.standard_normal(out.shape)
    grads = ops.layer_norm_backward(g, saved)
    assert len(grads) == 3
    assert with_beta == (grads[2] is not None)
    expected = reference.slopes(numpy_layer_norm, inputs, g)
    for grad, want in zip(grads, expected, strict=False):
        assert grad.shape == want.shape
        np.testing.assert_allclose(grad, want, rtol=1e-8, atol=1e-9)


def test_a_row_worked_out_by_hand():
    # mean 4, variance 8, so with eps = 1 the root is 3
    x = np.array([[0.0, 4.0, 8.0]]) * np.sqrt(0.75) + 1.0  # variance 32/3 * 3/4 = 8
    out, saved = ops.layer_norm_forward(
        x, np.array([3.0, 6.0, 9.0]), np.array([10.0, 20.0, 30.0]), eps=1.0
    )
    d = 4 * np.sqrt(0.75)
    np.testing.assert_allclose(out, [[10 - d, 20, 30 + 3 * d]], rtol=1e-14)
    _, grad_gamma, grad_beta = ops.layer_norm_backward(np.array([[1.0, 1.0, 10.0]]), saved)
    np.testing.assert_allclose(grad_gamma, [-d / 3, 0, 10 * d / 3], rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(grad_beta, [1.0, 1.0, 10.0])


def test_out_has_mean_zero_and_variance_one(rng):
    out, _ = ops.layer_norm_forward(rng.standard_normal((3, 11)) * 50 + 9, np.ones(11))
    np.testing.assert_allclose(out.mean(-1), np.zeros(3), atol=1e-14)
    np.testing.assert_allclose(out.var(-1), np.ones(3), rtol=1e-6)


def test_a_constant_row_gives_beta():
    out, saved = ops.layer_norm_forward(np.full((2, 4), 3.0), np.ones(4), np.arange(4.0))
    np.testing.assert_array_equal(out, [[0, 1, 2, 3], [0, 1, 2, 3]])
    assert np.isfinite(ops.layer_norm_backward(np.ones((2, 4)), saved)[0]).all()


@pytest.mark.parametrize("width", [1, 3, 7, 49])
def test_a_constant_row_gives_beta_in_float32_too(width):
    # 49 * (1 / 49) is not 1: a mean by the rounded 1 / C would leave a rest that eps blows up
    x = np.full((2, width), 1e5, dtype=np.float32)
    out, _ = ops.layer_norm_forward(x, np.ones(width, np.float32))
    np.testing.assert_array_equal(out, np.zeros_like(x))


def test_a_large_offset_does_not_ruin_the_variance(rng):
    x = rng.standard_normal((3, 7))
    shifted, _ = ops.layer_norm_forward(x + 2.0**20, np.ones(7), eps=0.5)
    np.testing.assert_allclose(shifted, reference.layer_norm(x, np.ones(7), eps=0.5), atol=1e-8)


def test_float32_is_right_within_its_rounding(rng):
    inputs = [a.astype(np.float32) for a in arrays(rng, (2, 3, 7))]
    out, _ = ops.layer_norm_forward(*inputs, eps=0.5)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, reference.layer_norm(*inputs, eps=0.5), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "needs", [(True, False, False), (False, True, False), (False, False, True)]
)
def test_frozen_arrays_cost_nothing(rng, needs):
    _, saved = ops.layer_norm_forward(*arrays(rng, (3, 7)))
    g = rng.standard_normal((3, 7))
    everything = ops.layer_norm_backward(g, saved)
    for grad, full, needed in zip(
        ops.layer_norm_backward(g, saved, needs=needs), everything, needs, strict=True
    ):
        assert (grad is not None) == needed
        if needed:
            np.testing.assert_array_equal(grad, full)


@pytest.mark.parametrize(
    ("x_shape", "gamma_shape", "beta_shape"),
    [((3, 7), (5,), (7,)), ((3, 7), (7,), (1,)), ((3, 7), (1, 7), (7,)), ((3, 7), (3, 7), (3, 7))],
)
def test_gamma_and_beta_of_another_shape_are_refused(x_shape, gamma_shape, beta_shape):
    message = f"layer_norm: x {x_shape} needs gamma and beta of shape (7,)"
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        ops.layer_norm_forward(np.ones(x_shape), np.ones(gamma_shape), np.ones(beta_shape))
    assert str(gamma_shape) in str(error.value)
    assert str(beta_shape) in str(error.value)


@pytest.mark.parametrize("shape", [(3, 0), ()])
def test_without_features_there_is_nothing_to_normalize(shape):
    with pytest.raises(ValueError, match=re.escape(f"layer_norm: x {shape}")):
        ops.layer_norm_forward(np.ones(shape), np.ones(0))
