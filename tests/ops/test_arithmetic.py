"""add, subtract, multiply, divide, negative, power, and the sum that undoes broadcasting."""

import operator
import re

import numpy as np
import pytest

from minillm import ops
from minillm.ops.broadcasting import unbroadcast
from tests import reference

OPERATORS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
}


def forward(name, *args):
    return getattr(ops, f"{name}_forward")(*args)


def backward(name, grad_out, saved):
    return getattr(ops, f"{name}_backward")(grad_out, saved)


@pytest.fixture(params=OPERATORS)
def name(request):
    return request.param


SHAPES = [
    ((2, 3, 5), (2, 3, 5)),
    ((2, 1, 5), (3, 1)),
    ((7,), ()),
    ((), (7,)),
    ((), ()),
    ((1, 1), (1,)),
    ((0, 3), (3,)),
    ((2, 1), (2, 0)),
]


@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES)
def test_forward_is_the_definition_entry_by_entry(rng, name, a_shape, b_shape):
    a, b = rng.uniform(0.5, 2, a_shape), rng.uniform(0.5, 2, b_shape)
    out, _ = forward(name, a, b)
    big_a, big_b = np.broadcast_arrays(a, b)
    expected = np.empty(big_a.shape)
    for place in np.ndindex(*big_a.shape):
        expected[place] = OPERATORS[name](float(big_a[place]), float(big_b[place]))
    np.testing.assert_allclose(out, expected, rtol=1e-14, atol=0)
    assert out.shape == expected.shape


@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES)
def test_backward_is_the_slope_summed_over_all_uses(rng, name, a_shape, b_shape):
    a, b = rng.uniform(0.5, 2, a_shape), rng.uniform(0.5, 2, b_shape)
    out, saved = forward(name, a, b)
    g = rng.standard_normal(out.shape)
    expected = reference.slopes(OPERATORS[name], [np.array(a), np.array(b)], g)
    for grad, want in zip(backward(name, g, saved), expected, strict=True):
        assert grad.shape == want.shape
        np.testing.assert_allclose(grad, want, rtol=1e-9, atol=1e-9)


def test_gradients_of_known_numbers():
    a, b, g = np.array([2.0]), np.array([4.0]), np.array([10.0])
    known = {
        "add": (10.0, 10.0),
        "subtract": (10.0, -10.0),
        "multiply": (40.0, 20.0),
        "divide": (2.5, -1.25),
        "power": (320.0, 160.0 * np.log(2.0)),
    }
    for name, (grad_a, grad_b) in known.items():
        _, saved = forward(name, a, b)
        found = backward(name, g, saved)
        np.testing.assert_allclose([found[0][0], found[1][0]], [grad_a, grad_b], rtol=1e-14)


@pytest.mark.parametrize("number", [3, 3.0, np.float64(3.0)], ids=["int", "float", "float64"])
@pytest.mark.parametrize("number_is_first", [False, True])
def test_a_number_gets_no_gradient(name, number, number_is_first):
    x = np.array([1.0, 2.0])
    out, saved = forward(name, *((number, x) if number_is_first else (x, number)))
    grads = backward(name, np.ones(2), saved)
    of_number, of_x = grads if number_is_first else grads[::-1]
    assert out.shape == (2,)
    assert of_x.shape == (2,)
    if isinstance(number, (int, float)) and not isinstance(number, np.float64):
        assert of_number is None


@pytest.mark.parametrize("number", [3, 3.0])
@pytest.mark.parametrize("number_is_first", [False, True])
def test_a_python_number_keeps_float32(name, number, number_is_first):
    x = np.array([1.0, 2.0], dtype=np.float32)
    out, saved = forward(name, *((number, x) if number_is_first else (x, number)))
    grads = backward(name, np.ones(2, dtype=np.float32), saved)
    assert out.dtype == np.float32
    assert {grad.dtype for grad in grads if grad is not None} == {np.dtype(np.float32)}


def test_an_integer_array_takes_the_floating_dtype_and_gets_no_gradient(name):
    a, b = np.array([1.5, 2.5], dtype=np.float32), np.array([2, 3])
    out, saved = forward(name, a, b)
    grad_a, grad_b = backward(name, np.ones(2, dtype=np.float32), saved)
    np.testing.assert_allclose(out, OPERATORS[name](np.array([1.5, 2.5]), b), rtol=1e-6)
    assert out.dtype == grad_a.dtype == np.float32
    # the cast copy may carry a gradient that the caller ignores, but it must have its shape
    assert grad_b is None or grad_b.shape == (2,)


def test_shapes_that_do_not_broadcast_are_named(name):
    with pytest.raises(ValueError, match=re.escape(f"{name}: a (2, 3) and b (5, 3)")):
        forward(name, np.ones((2, 3)), np.ones((5, 3)))


def test_mixed_dtypes_are_refused_with_the_cast(name):
    with pytest.raises(TypeError, match=re.escape(f"{name}: a is float64 but b is float32")):
        forward(name, np.ones(3), np.ones(3, dtype=np.float32))


def test_division_by_the_number_zero_raises():
    with pytest.raises(ZeroDivisionError, match="divide"):
        ops.divide_forward(np.ones(3), 0)


def test_negative_flips_value_and_gradient(rng):
    x, g = rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
    out, saved = ops.negative_forward(x)
    np.testing.assert_array_equal(out + x, np.zeros((3, 5)))
    np.testing.assert_array_equal(ops.negative_backward(g, saved)[0] + g, np.zeros((3, 5)))


def test_power_zero_is_the_constant_one_even_at_zero():
    out, saved = ops.power_forward(np.array([0.0, 2.0]), 0)
    np.testing.assert_array_equal(out, [1.0, 1.0])
    np.testing.assert_array_equal(ops.power_backward(np.ones(2), saved)[0], [0.0, 0.0])


def test_integer_powers_of_negative_numbers():
    out, saved = ops.power_forward(np.array([-3.0, -2.0, 0.0]), 3)
    np.testing.assert_array_equal(out, [-27.0, -8.0, 0.0])
    np.testing.assert_array_equal(ops.power_backward(np.ones(3), saved)[0], [27.0, 12.0, 0.0])


def test_exponent_of_a_zero_base_gets_the_limit_zero():
    a, b = np.array([0.0, 2.0]), np.array([1.5, 3.0])
    _, saved = ops.power_forward(a, b)
    np.testing.assert_allclose(
        ops.power_backward(np.ones(2), saved)[1], [0.0, 8 * np.log(2)], rtol=1e-14
    )


def test_power_needs_a_floating_array():
    with pytest.raises(TypeError, match="power"):
        ops.power_forward(2, 3)


@pytest.mark.parametrize(
    ("big", "small"),
    [
        ((2, 3, 5), (5,)),
        ((2, 3, 5), (3, 1)),
        ((2, 3, 5), (1, 1, 1)),
        ((2, 3, 5), ()),
        ((2, 3, 5), (2, 3, 5)),
        ((2, 0, 5), (1, 5)),
        ((2, 0), (0,)),
        ((1, 7), (1, 1)),
        ((1, 1), (1,)),
    ],
)
def test_unbroadcast_adds_up_all_copies(rng, big, small):
    grad = rng.standard_normal(big)
    found = unbroadcast(grad, small)
    assert found.shape == small
    np.testing.assert_allclose(found, reference.unbroadcast(grad, small), atol=1e-13)


def test_unbroadcast_without_a_shape_is_none():
    assert unbroadcast(np.ones(3), None) is None
