"""A constant times the right gradient, and what the constant is made of."""

import math

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


def scores(q, k):
    """q (N, D), k (S, D) -> all products, divided by sqrt(D)."""
    root = math.sqrt(q.shape[1])
    return q @ k.T / root, (q, k, root)


def scores_backward(g, saved):
    q, k, root = saved
    return g @ k / root, g.T @ q / root


@pytest.mark.parametrize("n", SIZES)
def test_a_forgotten_root_is_named_by_the_letter_of_its_axis(n):
    q, k = table(n[0], n[1]), table(n[2], n[1], seed=4)
    wrong = altered(scores_backward, 0, lambda g, q, k, root: g @ k)
    found = first(scores, wrong, q, k)
    assert (found.kind, found.factor) == ("scaled", pytest.approx(math.sqrt(n[1])))
    if n == SIZES[0]:  # where all sizes are 4, 2 may be many things
        assert "sqrt(7)" in found.message
        assert "D = 7" in found.message


def test_a_root_that_is_divided_by_twice():
    q, k = table(5, 7), table(3, 7, seed=4)
    wrong = altered(scores_backward, 1, lambda g, q, k, root: g.T @ q / root**2)
    found = first(scores, wrong, q, k)
    assert found.input == "k"
    assert "1/sqrt(7)" in found.message


def average(x):
    return x.mean(axis=1), (x.shape,)


FACTORS = {
    "sum instead of mean": (lambda g, n: np.repeat(g[:, None], n[1], 1), 7, "that is 7"),
    "divided by the wrong axis": (
        lambda g, n: np.repeat(g[:, None], n[1], 1) / n[0], 7 / 5, "7/5"
    ),
    "divided twice": (lambda g, n: np.repeat(g[:, None], n[1], 1) / n[1] ** 2, 1 / 7, "1/7"),
    "divided by both": (
        lambda g, n: np.repeat(g[:, None], n[1], 1) / (n[0] * n[1]), 1 / 5, "1/5"
    ),
    "one less": (lambda g, n: np.repeat(g[:, None], n[1], 1) / (n[1] - 1), 7 / 6, "7/6"),
    "two": (lambda g, n: np.repeat(g[:, None], n[1], 1) / n[1] * 2, 2, "2"),
    "root of two": (
        lambda g, n: np.repeat(g[:, None], n[1], 1) / n[1] * 2**0.5, 2**0.5, "sqrt(2)"
    ),
    "nothing known": (lambda g, n: np.repeat(g[:, None], n[1], 1) / n[1] * 0.8317, 0.8317, "0.8317"),
}  # fmt: skip


@pytest.mark.parametrize("name", FACTORS)
def test_the_reason_of_a_factor(name):
    gradient, factor, words = FACTORS[name]
    found = first(average, lambda g, saved: (gradient(g, saved[0]),), table(5, 7))
    assert (found.kind, found.factor) == ("scaled", pytest.approx(factor))
    assert words in found.message


def test_an_unknown_factor_has_no_reason():
    gradient, *_ = FACTORS["nothing known"]
    message = first(average, lambda g, saved: (gradient(g, saved[0]),), table(5, 7)).message
    assert message.endswith("everywhere")


@pytest.mark.parametrize(
    ("power", "words"), [(1, "1/rate"), (-1, "the division by rate")], ids=["missing", "too often"]
)
def test_a_number_among_the_options_is_named(power, words):
    forward = lambda x, *, rate: (x * rate**power, ())  # noqa: E731
    found = first(forward, lambda g, saved: (g,), table(5, 7), rate=0.3)
    assert found.kind == "scaled"
    assert "rate" in found.message
    assert found.factor == pytest.approx(0.3**-power)


def test_one_minus_an_option_is_named():
    forward = lambda x, *, p: (x / (1 - p), ())  # noqa: E731
    message = first(forward, lambda g, saved: (g,), table(5, 7), p=0.3).message
    assert "1 - p" in message


@pytest.mark.parametrize("n", SIZES)
def test_a_wrong_sign(n):
    found = first(linear, altered(linear_backward, 1, lambda g, x, w: -x.T @ g), *linear_inputs(n))
    assert (found.input, found.kind, found.factor) == ("w", "sign_flipped", -1.0)


def test_a_wrong_sign_and_a_wrong_size_is_a_factor_that_says_both():
    found = first(square, lambda g, s: (-6 * g * s[0],), table(5, 7))
    assert (found.kind, found.factor) == ("scaled", pytest.approx(-3))
    assert "sign" in found.message


def two_outputs(x):
    return (x * x, np.sin(x)), (x,)


@pytest.mark.parametrize(("factor", "kind"), [(-1, "sign_flipped"), (2, "scaled"), (0.5, "scaled")])
@pytest.mark.parametrize("number", [0, 1])
def test_a_factor_of_what_arrives_through_one_of_several_outputs(factor, kind, number):
    def backward(g, saved):
        parts = [2 * g[0] * saved[0], g[1] * np.cos(saved[0])]
        parts[number] = parts[number] * factor
        return (sum(parts),)

    found = first(two_outputs, backward, table(5, 7))
    assert (found.kind, found.factor) == (kind, pytest.approx(factor))
    assert f"output {number}" in found.message


@pytest.mark.parametrize("n", SIZES)
def test_nothing_comes_back(n):
    for gradient in (lambda g, x, w: 0 * w, lambda g, x, w: None):
        found = first(linear, altered(linear_backward, 1, gradient), *linear_inputs(n))
        assert (found.input, found.kind) == ("w", "zero_gradient")


@pytest.mark.parametrize("shape", [(5, 7), (4, 4), (3,)])
def test_the_gradient_of_another_argument(shape):
    forward = lambda x, y: (x * np.sin(y), (x, y))  # noqa: E731
    right = lambda g, s: (g * np.sin(s[1]), g * s[0] * np.cos(s[1]))  # noqa: E731
    wrong = lambda g, s: right(g, s)[::-1]  # noqa: E731
    report = check_gradients(forward, wrong, table(*shape), table(*shape, seed=4))
    assert [(f.input, f.kind) for f in report.findings] == [
        ("x", "wrong_operand"), ("y", "wrong_operand")
    ]  # fmt: skip


@pytest.mark.parametrize("n", [(5, 7), (4, 4)])
def test_exchanged_gradients_of_two_products(n):
    a, b = table(n[1], n[1], seed=8), table(n[1], n[1], seed=9)
    forward = lambda x, y: (x @ a + y @ b, ())  # noqa: E731
    report = check_gradients(forward, lambda g, s: (g @ b.T, g @ a.T), table(*n), table(*n, seed=4))
    assert [finding.kind for finding in report.findings] == ["wrong_operand"] * 2
    assert "returns for y is the gradient of x" in report.findings[0].message
    assert "returns for x is the gradient of y" in report.findings[1].message


# ------------------------------------------------------------------ what is no constant


def test_another_factor_in_every_column_is_not_a_constant():
    wrong = lambda g, s: (2 * g * s[0] * np.arange(1.0, 8),)  # noqa: E731
    assert kind_of(square, wrong, table(5, 7)) == "wrong_operand"


def test_a_factor_in_some_rows_only_is_not_a_constant():
    rows = np.array([1, 1, 2, 1, 2.0])[:, None]
    found = first(square, lambda g, s: (2 * g * s[0] * rows,), table(5, 7))
    assert found.kind == "wrong_entries"
    assert "2 and 4" in found.message


def test_zeros_in_some_rows_are_not_a_zero_gradient():
    rows = np.array([1, 1, 0, 1, 0.0])[:, None]
    found = first(square, lambda g, s: (2 * g * s[0] * rows,), table(5, 7))
    assert found.kind == "wrong_entries"
    assert "2 and 4" in found.message


def test_a_factor_that_holds_for_all_but_one_entry_is_not_a_constant():
    def backward(g, saved):
        grad = -2 * g * saved[0]
        grad[1, 1] *= -1
        return (grad,)

    assert kind_of(square, backward, table(5, 7)) not in ("sign_flipped", "scaled")
