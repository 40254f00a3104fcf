"""The linear layer with a low-rank update."""

import re

import numpy as np
import pytest

from minillm import ops
from tests import reference

SCALE = 0.7


def draw(rng, shape, with_bias=True, r=3):
    arrays = [rng.standard_normal(s) for s in (shape, (5, 7), (5, r), (r, 7))]
    return arrays + ([rng.standard_normal(7)] if with_bias else [])


def literal(x, weight, lora_A, lora_B, bias=None):
    """The linear layer of W0 + scale A B."""
    whole = weight + SCALE * np.einsum("ik,kj->ij", lora_A, lora_B)
    return np.tensordot(x, whole, 1) + (0.0 if bias is None else bias)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (1, 1, 5), (0, 5), (2, 0, 5)], ids=str)
def test_forward_and_backward_are_the_definition_and_its_slope(rng, shape, with_bias):
    arrays = draw(rng, shape, with_bias)
    out, saved = ops.lora_linear_forward(*arrays, scale=SCALE)
    want = reference.lora_linear(*arrays, scale=SCALE)
    np.testing.assert_allclose(out, want, rtol=1e-12, atol=1e-12)
    assert out.shape == (*shape[:-1], 7)
    g = rng.standard_normal(out.shape)
    grads = ops.lora_linear_backward(g, saved)
    assert with_bias == (grads[4] is not None)
    for grad, want in zip(grads, reference.slopes(literal, arrays, g), strict=False):
        assert grad.shape == want.shape
        np.testing.assert_allclose(grad, want, rtol=1e-8, atol=1e-8)


def test_numbers_worked_out_by_hand():
    x, weight = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])
    lora_A, lora_B = np.array([[1.0], [10.0]]), np.array([[5.0]])
    out, saved = ops.lora_linear_forward(x, weight, lora_A, lora_B, np.array([0.5]), scale=0.1)
    np.testing.assert_allclose(out, [[11.0 + 0.1 * 21.0 * 5.0 + 0.5]])
    grads = ops.lora_linear_backward(np.array([[2.0]]), saved)
    np.testing.assert_allclose(grads[0], [[2 * (3 + 0.5), 2 * (4 + 5.0)]])
    np.testing.assert_allclose(grads[1], [[2.0], [4.0]])
    np.testing.assert_allclose(grads[2], [[1.0], [2.0]])
    np.testing.assert_allclose(grads[3], [[4.2]])
    np.testing.assert_allclose(grads[4], [2.0])


def test_with_dropout_the_weight_sees_all_of_x_and_the_update_what_is_left_of_it(rng):
    x, *others = draw(rng, (2, 3, 5))
    options = {"scale": SCALE, "dropout_p": 0.3}
    out, saved = ops.lora_linear_forward(x, *others, **options, rng=np.random.default_rng(3))
    kept = np.random.default_rng(3).random(30, dtype="float32").reshape(2, 3, 5) >= 0.3
    assert 0 < kept.sum() < 30
    m = kept / 0.7

    def masked(x, weight, lora_A, lora_B, bias):
        return x @ weight + bias + SCALE * ((m * x) @ lora_A) @ lora_B

    np.testing.assert_allclose(out, masked(x, *others), rtol=1e-12)
    g = rng.standard_normal(out.shape)
    wanted = reference.slopes(masked, [x, *others], g)
    for grad, want in zip(ops.lora_linear_backward(g, saved), wanted, strict=True):
        np.testing.assert_allclose(grad, want, rtol=1e-8, atol=1e-8)


def test_an_update_of_zero_leaves_the_bits_of_the_linear_layer(rng):
    x, weight, lora_A, lora_B, bias = draw(rng, (4, 5))
    out, saved = ops.lora_linear_forward(x, weight, lora_A, 0 * lora_B, bias, scale=SCALE)
    plain, plain_saved = ops.linear_forward(x, weight, bias)
    np.testing.assert_array_equal(out, plain)
    g = rng.standard_normal(out.shape)
    grads, plain_grads = (
        ops.lora_linear_backward(g, saved), ops.linear_backward(g, plain_saved)
    )  # fmt: skip
    np.testing.assert_array_equal(grads[0], plain_grads[0])
    assert (grads[2] == 0).all()
    assert np.abs(grads[3]).min() > 0  # so that it leaves zero at the first step


@pytest.mark.parametrize("number", range(5))
def test_frozen_arrays_cost_nothing(rng, number):
    arrays = draw(rng, (3, 5))
    out, saved = ops.lora_linear_forward(*arrays, scale=SCALE)
    g = rng.standard_normal(out.shape)
    everything = ops.lora_linear_backward(g, saved)
    only = tuple(i == number for i in range(5))
    for grad, full, needed in zip(
        ops.lora_linear_backward(g, saved, needs=only), everything, only, strict=True
    ):
        assert (grad is not None) == needed
        if needed:
            np.testing.assert_array_equal(grad, full)


class Counted(np.ndarray):
    """An array that notes the shape of each product it takes part in."""

    products: list = []  # noqa: RUF012

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        out = options.pop("out", None)
        if out is not None:
            options["out"] = tuple(o.view(np.ndarray) for o in out)
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.matmul:
            Counted.products.append(result.shape)
        return result.view(Counted)


def test_the_gradient_of_a_frozen_weight_is_never_formed(rng):
    arrays = [a.view(Counted) for a in draw(rng, (11, 5))]
    out, saved = ops.lora_linear_forward(*arrays, scale=SCALE)
    g = rng.standard_normal(out.shape).view(Counted)
    Counted.products.clear()
    ops.lora_linear_backward(g, saved, needs=(True, False, True, True, False))
    assert sorted(Counted.products) == sorted([(11, 3), (3, 7), (5, 3), (11, 5), (11, 5)])
    Counted.products.clear()
    ops.lora_linear_backward(g, saved)
    assert (5, 7) in Counted.products


def test_float32_is_right_within_its_rounding(rng):
    arrays = [a.astype(np.float32) for a in draw(rng, (3, 5))]
    out, _ = ops.lora_linear_forward(*arrays, scale=SCALE)
    assert out.dtype == np.float32
    np.testing.assert_allclose(
        out, reference.lora_linear(*arrays, scale=SCALE), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("lora_A", "lora_B"), [((3, 5), (3, 7)), ((5, 3), (7, 3)), ((5, 2), (3, 7)), ((5,), (3, 7))]
)
def test_matrices_that_do_not_fit_are_named(lora_A, lora_B):
    message = f"lora_linear: weight (5, 7), lora_A {lora_A} and lora_B {lora_B} do not fit"
    with pytest.raises(ValueError, match=re.escape(message)):
        ops.lora_linear_forward(
            np.ones((2, 5)), np.ones((5, 7)), np.ones(lora_A), np.ones(lora_B), scale=1.0
        )


def test_an_x_or_a_bias_that_does_not_fit_is_named():
    matrices = np.ones((5, 7)), np.ones((5, 3)), np.ones((3, 7))
    with pytest.raises(ValueError, match=r"x \(2, 4\) and weight \(5, 7\) do not fit"):
        ops.lora_linear_forward(np.ones((2, 4)), *matrices, scale=1.0)
    with pytest.raises(ValueError, match=r"needs a bias of \(7,\), got \(3,\)"):
        ops.lora_linear_forward(np.ones((2, 5)), *matrices, np.ones(3), scale=1.0)
    with pytest.raises(ValueError, match=r"p = 1\.5 must be a probability"):
        ops.lora_linear_forward(np.ones((2, 5)), *matrices, scale=1.0, dropout_p=1.5)
