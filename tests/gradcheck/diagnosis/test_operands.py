"""A factor that is missing, another array in its place, or one of several terms lost."""

import numpy as np
import pytest

from minillm.gradcheck import check_gradients

from .finding import (
    SIZES,
    altered,
    first,
    kind_of,
    linear,
    linear_backward,
    linear_inputs,
    square,
    table,
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ONE_BY_ONE = {
    # name: (forward, right derivative, wrong derivative, what must be said)
    "exp, factor lost": (np.exp, np.exp, lambda x: 0 * x + 1, ["out"]),
    "sin for cos": (np.sin, np.cos, np.sin, ["out"]),
    "tanh, no square": (
        np.tanh, lambda x: 1 - np.tanh(x) ** 2, lambda x: 1 - np.tanh(x), ["(1 - out)"]
    ),
    "sigmoid, half": (
        sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x)), sigmoid, ["(1 - "]
    ),
    "sigmoid, other half": (
        sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x)), lambda x: 1 - sigmoid(x), ["(1 - "]
    ),
    "square, no x": (lambda x: x * x, lambda x: 2 * x, lambda x: 0 * x + 2, ["x"]),
    "cube, one x": (lambda x: x**3, lambda x: 3 * x**2, lambda x: 3 * x, ["x"]),
    "sqrt, not divided": (
        lambda x: np.sqrt(abs(x) + 1), lambda x: np.sign(x) / 2 / np.sqrt(abs(x) + 1),
        lambda x: np.sign(x) / 2, ["out"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", [(5, 7), (4, 4), (3, 5, 2)])
@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_a_wrong_local_derivative(name, shape):
    function, right, wrong, words = ONE_BY_ONE[name]
    forward = lambda x: (function(x), (x,))  # noqa: E731
    found = first(forward, lambda g, s: (g * wrong(s[0]),), table(*shape))
    assert found.kind == "wrong_operand"
    for word in words:
        assert word in found.message
    assert check_gradients(forward, lambda g, s: (g * right(s[0]),), table(*shape)).passed


TERMS = {
    "product rule, first": (lambda x: x * np.sin(x), lambda x: x * np.cos(x)),
    "product rule, second": (lambda x: x * np.sin(x), np.sin),
    "a use of the input": (lambda x: np.exp(x) + 3 * x, np.exp),
    "a use of the input, the other": (lambda x: np.exp(x) + 3 * x, lambda x: 0 * x + 3),
    "wrong sign of a term": (lambda x: np.exp(x) + x * x, lambda x: np.exp(x) - 2 * x),
}


@pytest.mark.parametrize("shape", [(5, 7), (4, 4), (3, 5, 2)])
@pytest.mark.parametrize("name", TERMS)
def test_a_lost_term(name, shape):
    function, wrong = TERMS[name]
    forward = lambda x: (function(x), (x,))  # noqa: E731
    found = first(forward, lambda g, s: (g * wrong(s[0]),), table(*shape))
    assert found.kind == "dropped_branch"


@pytest.mark.parametrize("n", [(5, 7), (4, 4)])
def test_a_lost_term_of_three_arrays_is_written_out(n):
    """x . y / |x|: the way through |x| is -x out / |x|^2, all of which the check sees."""

    def forward(x, y):
        length = np.sqrt((x * x).sum(axis=1, keepdims=True))
        out = (x * y).sum(axis=1, keepdims=True) / length
        return out[:, 0], (x, y, length, out)

    def backward(g, saved):
        x, y, length, _ = saved
        return g[:, None] * y / length, g[:, None] * x / length

    found = first(forward, backward, table(*n), table(*n, seed=4))
    assert (found.input, found.kind) == ("x", "dropped_branch")
    for word in ("x * saved[3]", "saved[2]^2"):
        assert word in found.message


@pytest.mark.parametrize("n", SIZES)
def test_entries_that_are_off_by_one_constant_are_named_not_a_formula(n):
    forward = lambda x: (np.where(x > 0, x, 0.2 * x), (x,))  # noqa: E731
    found = first(forward, lambda g, s: (g,), table(*n))
    assert (found.kind, found.factor) == ("wrong_entries", pytest.approx(5))


def test_what_is_returned_is_said_without_a_product_that_is_one():
    found = first(lambda x: (np.exp(x) * x, (x,)), lambda g, s: (g * 2,), table(5, 7))
    assert found.kind == "wrong_operand"
    assert "exp(-x^2/2)" not in found.message


# ------------------------------------------------------------------ products


@pytest.mark.parametrize("n", [3, 4])
def test_a_weight_that_is_not_transposed(n):
    wrong = altered(linear_backward, 0, lambda g, x, w: g @ w)
    found = first(linear, wrong, *linear_inputs((5, n, n)))
    assert (found.input, found.kind) == ("x", "wrong_operand")
    assert "grad_out @ w" in found.message
    assert "grad_out @ w.T" in found.message


def test_another_array_in_the_product():
    wrong = altered(linear_backward, 1, lambda g, x, w: np.tanh(x).T @ g)
    assert kind_of(linear, wrong, *linear_inputs((5, 7, 3))) == "wrong_operand"
    wrong = altered(linear_backward, 1, lambda g, x, w: np.ones_like(x).T @ g)
    assert kind_of(linear, wrong, *linear_inputs((5, 7, 3))) == "wrong_operand"


@pytest.mark.parametrize("n", SIZES)
def test_a_factor_of_every_column_is_no_constant(n):
    gain = np.linspace(0.5, 2, n[2])

    def forward(x, w, gain):
        return (x @ w) * gain, (x, w, gain)

    def backward(g, saved):
        x, w, gain = saved
        return (g * gain) @ w.T, x.T @ g, (g * (x @ w)).sum(axis=0)

    found = first(forward, backward, table(*n[:2]), table(n[1], n[2], seed=4), gain)
    assert (found.input, found.kind) == ("w", "wrong_operand")
    assert "x.T @ grad_out" in found.message


# ------------------------------------------------------------------ where another kind is true


def test_a_constant_is_no_operand():
    assert kind_of(square, lambda g, s: (g * s[0],), table(5, 7)) == "scaled"


def test_a_mask_is_no_operand():
    forward = lambda x: (np.maximum(x, 0), (x,))  # noqa: E731
    assert kind_of(forward, lambda g, s: (g,), table(5, 7)) == "wrong_entries"


def test_a_few_wrong_entries_are_no_operand():
    def backward(g, saved):
        grad = 2 * g * saved[0]
        grad[0, 1], grad[3, 3] = 0.3 * grad[0, 1], 1.7 * grad[3, 3]
        return (grad,)

    found = first(square, backward, table(5, 7))
    assert found.kind in ("wrong_entries", "wrong_operand")
    assert found.worst_index == (0, 1)
