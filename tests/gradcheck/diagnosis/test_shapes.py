"""Gradients whose shape is not that of their input: often one sum from the right answer."""

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


@pytest.mark.parametrize("n", SIZES)
def test_a_bias_that_is_not_summed_over_the_batch(n):
    found = first(linear, altered(linear_backward, 2, lambda g, x, w: g), *linear_inputs(n))
    assert (found.input, found.kind) == ("b", "missing_broadcast_sum")
    assert "axis 0" in found.message


@pytest.mark.parametrize("n", SIZES)
def test_a_shared_array_that_is_not_summed_over_two_axes(n):
    forward = lambda x, gain: (x * gain, (x, gain))  # noqa: E731
    backward = lambda g, s: (g * s[1], g * s[0])  # noqa: E731
    found = first(forward, backward, table(*n), table(n[2], seed=4))
    assert (found.input, found.kind) == ("gain", "missing_broadcast_sum")
    assert "(0, 1)" in found.message


@pytest.mark.parametrize("n", SIZES)
def test_a_column_that_is_not_summed_along_its_row(n):
    forward = lambda x, column: (x + column, ())  # noqa: E731
    found = first(forward, lambda g, s: (g, g), table(*n[:2]), table(n[0], 1, seed=4))
    assert (found.input, found.kind) == ("column", "missing_broadcast_sum")
    assert "axis 1" in found.message


def test_a_number_that_all_entries_share():
    forward = lambda x, gain: (x * gain, (x, gain))  # noqa: E731
    backward = lambda g, s: (g * s[1], g * s[0])  # noqa: E731
    found = first(forward, backward, table(5, 7), np.array(1.3))
    assert (found.input, found.kind) == ("gain", "missing_broadcast_sum")
    assert "(0, 1)" in found.message


@pytest.mark.parametrize("repeat", [np.repeat, lambda x, k, axis: np.concatenate([x] * k, axis)],
                         ids=["each in turn", "all in turn"])  # fmt: skip
def test_groups_that_share_an_entry(repeat):
    forward = lambda x: (repeat(x, 3, 1), ())  # noqa: E731
    found = first(forward, lambda g, s: (g,), table(5, 7))
    assert found.kind == "missing_broadcast_sum"
    assert "axis 1" in found.message


def test_a_transpose_of_another_shape():
    found = first(
        linear, altered(linear_backward, 1, lambda g, x, w: g.T @ x), *linear_inputs((5, 7, 3))
    )
    assert (found.input, found.kind) == ("w", "transposed")
    assert "(3, 7)" in found.message
    assert "(7, 3)" in found.message


def test_three_axes_in_another_order():
    forward = lambda x: (x.transpose(2, 0, 1) * 2, ())  # noqa: E731
    assert kind_of(forward, lambda g, s: (2 * g,), table(5, 7, 3)) == "transposed"
    assert (
        kind_of(forward, lambda g, s: (2 * g.transpose(0, 2, 1),), table(5, 7, 3)) == "transposed"
    )


def test_the_right_numbers_in_another_shape():
    for reshape in (np.ravel, lambda x: x.reshape(7, 5), lambda x: x[None]):
        found = first(square, lambda g, s, turn=reshape: (turn(2 * g * s[0]),), table(5, 7))
        assert found.kind == "wrong_shape"
        assert "reshape" in found.message
        assert "(5, 7)" in found.message


def test_a_bias_that_is_summed_over_the_wrong_axis():
    found = first(linear, altered(linear_backward, 2, lambda g, x, w: g.sum(axis=1)),
                  *linear_inputs((5, 7, 3)))  # fmt: skip
    assert (found.input, found.kind) == ("b", "wrong_axis")
    assert "(5,)" in found.message


# ------------------------------------------------------------------ where another kind is true


def test_a_missing_sum_and_a_wrong_factor_is_only_a_wrong_shape():
    found = first(
        linear, altered(linear_backward, 2, lambda g, x, w: 3 * g), *linear_inputs((5, 7, 3))
    )
    assert found.kind == "wrong_shape"
    assert "(5, 3)" in found.message


def test_numbers_without_meaning_are_only_a_wrong_shape():
    for shape in ((), (2,), (5, 8), (5, 7, 2), (7, 5)):
        backward = lambda g, s, shape=shape: (np.ones(shape) * g.sum(),)  # noqa: E731
        assert kind_of(square, backward, table(5, 7)) == "wrong_shape"


def test_gradients_whose_shape_changes_from_call_to_call():
    shapes = iter([(2,), (3,)] * 20)
    backward = lambda g, s: (np.ones(next(shapes)) * g.sum(),)  # noqa: E731
    report = check_gradients(square, backward, table(5))
    assert [(f.input, f.kind) for f in report.findings] == [
        ("backward", "unknown"), ("x", "wrong_shape")
    ]  # fmt: skip
