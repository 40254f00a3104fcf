"""Added terms that hold a sum or a mean over an axis: missing, doubled, or with the wrong sign."""

import numpy as np
import pytest

from .finding import SIZES, first, kind_of, square, table


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p, (p,)


def log_softmax(x):
    out = np.log(softmax(x)[0])
    return out, (out,)


def centre(x):
    return x - x.mean(axis=1, keepdims=True), ()


def norm(x):
    """Saves  z, rstd"""
    rstd = 1 / np.sqrt(x.var(axis=1, keepdims=True) + 0.2)
    z = (x - x.mean(axis=1, keepdims=True)) * rstd
    return z, (z, rstd)


def total(x):
    return x.sum(axis=1, keepdims=True)


def mean(x):
    return x.mean(axis=1, keepdims=True)


TERMS = {
    "softmax, no sum": (softmax, lambda g, p: p * g, "missing_sum_term", "missing"),
    "softmax, plus": (softmax, lambda g, p: p * (g + total(g * p)), "missing_sum_term", "sign"),
    "softmax, twice": (softmax, lambda g, p: p * (g - 2 * total(g * p)), "missing_sum_term", "2"),
    "log softmax, no sum": (log_softmax, lambda g, y: g, "missing_sum_term", "missing"),
    "log softmax, plus": (
        log_softmax, lambda g, y: g + np.exp(y) * total(g), "missing_sum_term", "sign"
    ),
    "centre, no mean": (centre, lambda g: g, "missing_mean_term", "missing"),
    "centre, plus": (centre, lambda g: g + mean(g), "missing_mean_term", "sign"),
    "norm, no mean of g": (
        norm, lambda g, z, r: r * (g - z * mean(g * z)), "missing_mean_term", "missing"
    ),
    "norm, no mean of g z": (
        norm, lambda g, z, r: r * (g - mean(g)), "missing_mean_term", "mean(grad_out * "
    ),
    "norm, neither": (norm, lambda g, z, r: r * g, "missing_mean_term", "missing"),
    "norm, plus": (
        norm, lambda g, z, r: r * (g - mean(g) + z * mean(g * z)), "missing_mean_term", "mean("
    ),
    "a sum that should not be there": (
        lambda x: (x * x, (x,)), lambda g, x: 2 * x * g - x * total(g * x), "missing_sum_term",
        "should not be",
    ),
}  # fmt: skip


@pytest.mark.parametrize("n", [*SIZES, (3, 11, 2)])
@pytest.mark.parametrize("name", TERMS)
def test_a_term_over_a_row(name, n):
    forward, gradient, kind, word = TERMS[name]
    found = first(forward, lambda g, saved: (gradient(g, *saved),), table(*n[:2]))
    assert found.kind == kind
    assert "axis 1" in found.message
    assert word in found.message


def test_the_term_is_written_out():
    message = first(softmax, lambda g, s: (s[0] * g,), table(5, 7)).message
    assert "sum(grad_out * out)" in message
    message = first(norm, lambda g, s: (s[1] * (g - mean(g)),), table(5, 7)).message
    assert "mean(grad_out * " in message
    assert "rstd" in message


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("n", SIZES)
def test_the_axis_of_the_term_is_named(axis, n):
    def forward(x):
        e = np.exp(x)
        return e / e.sum(axis=axis, keepdims=True), (e / e.sum(axis=axis, keepdims=True),)

    found = first(forward, lambda g, s: (s[0] * g,), table(*n))
    assert found.kind == "missing_sum_term"
    assert f"axis {axis}" in found.message


@pytest.mark.parametrize("power", [1, -1, 2, -2])
def test_an_array_of_one_number_for_each_row_is_part_of_the_term(power):
    """Named by the array at hand, also where the term divides by it."""

    def forward(x, scale):
        return (x - x.mean(axis=1, keepdims=True)) * scale**power, (scale,)

    x, scale = table(5, 7), np.arange(1.0, 6.0)[:, None]

    def backward(g, saved):
        centred = x - x.mean(axis=1, keepdims=True)
        grad_scale = (g * centred).sum(axis=1, keepdims=True) * power * scale ** (power - 1)
        return g * scale**power, grad_scale

    found = first(forward, backward, x, scale)
    assert (found.input, found.kind) == ("x", "missing_mean_term")
    assert "scale" in found.message


def test_a_product_of_two_numbers_for_each_row_is_part_of_the_term():
    a, b = np.arange(1.0, 6.0)[:, None], np.array([3.0, 1, 4, 1, 5])[:, None]
    forward = lambda x: ((x - x.mean(axis=1, keepdims=True)) * a / b, (a, b))  # noqa: E731
    found = first(forward, lambda g, s: (g * s[0] / s[1],), table(5, 7))
    assert found.kind == "missing_mean_term"
    assert "saved[0]" in found.message
    assert "saved[1]" in found.message


# ------------------------------------------------------------------ where another kind is true


def test_a_factor_of_the_whole_is_no_term():
    right = lambda g, p: p * (g - total(g * p))  # noqa: E731
    assert kind_of(softmax, lambda g, s: (3 * right(g, s[0]),), table(5, 7)) == "scaled"
    assert kind_of(softmax, lambda g, s: (-right(g, s[0]),), table(5, 7)) == "sign_flipped"


def test_a_missing_factor_is_no_term():
    wrong = lambda g, s: (g - total(g * s[0]),)  # noqa: E731
    assert kind_of(softmax, wrong, table(5, 7)) == "wrong_operand"
    wrong = lambda g, s: (g - mean(g) - s[0] * mean(g * s[0]),)  # noqa: E731
    assert kind_of(norm, wrong, table(5, 7)) == "wrong_operand"


def test_a_term_without_a_sum_is_a_branch():
    forward = lambda x: (x * np.sin(x), (x,))  # noqa: E731
    assert kind_of(forward, lambda g, s: (g * np.sin(s[0]),), table(5, 7)) == "dropped_branch"
    assert kind_of(square, lambda g, s: (g * (2 * s[0] + 1),), table(5, 7)) == "dropped_branch"


# ------------------------------------------------------------------ a term with a product behind it


def weighted(q, keys, values):
    e = np.exp(q @ keys.T)
    p = e / e.sum(axis=1, keepdims=True)
    return p @ values, (p, q, keys, values)


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("n", [(5, 7, 3), (5, 11, 5)])
def test_the_row_sum_of_a_softmax_that_a_product_follows(sign, n):
    """softmax(q keys^T) values, without the sum: a row of q gets a number times the mean of keys."""

    def backward(g, saved):
        p, q, keys, values = saved
        d = g @ values.T
        right = p * (d - total(d * p))
        wrong = p * (d + sign * total(d * p))
        return wrong @ keys, right.T @ q, p.T @ g

    inputs = table(n[0], 3), table(n[1], 3, seed=4), table(n[1], n[2] + 2, seed=5)
    found = first(weighted, backward, *inputs)
    assert (found.input, found.kind) == ("q", "missing_sum_term")
