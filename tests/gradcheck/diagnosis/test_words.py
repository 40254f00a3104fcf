"""Places in words: slices if they are slices, conditions on the arrays if one picks them."""

import numpy as np
import pytest

from .finding import first, table


def at(mask, x=None, **options):
    """The message for x * x if the gradient is three times as large at the entries of a mask."""
    x = table(*mask.shape) if x is None else x
    forward = lambda x, **options: (x * x, (x,))  # noqa: E731
    found = first(forward, lambda g, s: (2 * g * s[0] * np.where(mask, 3, 1),), x, **options)
    assert found.kind == "wrong_entries"
    return found.message


@pytest.mark.parametrize("shape", [(5, 7), (7, 7), (8, 9)])
@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ([3], "index 3"),
        ([1, 3], "indices 1 and 3"),
        ([0, 1, 4], "indices 0, 1 and 4"),
        ([1, 2, 3], "indices 1 to 3"),
    ],
)
@pytest.mark.parametrize(("axis", "name"), [(0, "the rows"), (1, "the columns")])
def test_slices_of_a_matrix(shape, chosen, words, axis, name):
    mask = np.zeros(shape, bool)
    mask[(slice(None),) * axis + (chosen,)] = True
    assert f"{words} on {name}" in at(mask)


def test_many_slices_are_cut_short():
    mask = np.zeros((20, 3), bool)
    mask[[0, 2, 4, 6, 8, 10, 12]] = True
    assert "0, 2, 4, 6, 8, …" in at(mask)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_an_array_with_three_axes(axis):
    mask = np.zeros((4, 5, 6), bool)
    mask[(slice(None),) * axis + ([2],)] = True
    assert f"index 2 on axis {axis}" in at(mask)


def test_the_letter_of_an_axis_is_used():
    def forward(x):
        """x (B, T) -> its square."""
        return x * x, (x,)

    late = np.arange(7) == 6
    message = first(forward, lambda g, s: (2 * g * s[0] * (1 + late),), table(5, 7)).message
    assert "index 6 on axis 1 (T)" in message


def test_single_entries_are_listed_and_counted():
    mask = np.zeros((5, 7), bool)
    places = [(0, 1), (1, 5), (2, 2), (3, 0), (3, 6), (4, 4)]
    mask[tuple(zip(*places, strict=True))] = True
    message = at(mask)
    assert "[0, 1], [1, 5], [2, 2], [3, 0] and 2 more" in message
    assert "[3, 6]" not in message


def test_one_entry_is_an_entry_even_if_it_is_all_of_its_row_that_is_known():
    x = np.maximum(table(5, 7), -9)
    x[2, [0, 1, 2, 4, 5, 6]] = 0  # kinks: only [2, 3] of this row can be compared
    forward = lambda x: (np.where(x == 0, 0, x * abs(x)) + abs(x), (x,))  # noqa: E731

    def backward(g, saved):
        grad = g * (2 * abs(saved[0]) + np.sign(saved[0]))
        grad[2, 3] *= 3
        return (grad,)

    found = first(forward, backward, x)
    assert "[2, 3]" in found.message
    assert "the rows" not in found.message


def test_repeated_ids_are_called_so():
    ids = np.array([1, 4, 1, 0])
    forward = lambda weight, ids: (weight[ids] * weight[ids], (weight, ids))  # noqa: E731

    def backward(g, saved):
        weight, ids = saved
        grad = np.zeros_like(weight)
        np.add.at(grad, ids, 2 * g * weight[ids])
        grad[1] *= 3
        return grad, None

    message = first(forward, backward, table(7, 3), ids).message
    assert "index 1 on the rows" in message
    assert "more than once in ids" in message


# ------------------------------------------------------------------ conditions

CONDITIONS = {
    "x < 0": lambda x, y: x < 0,
    "x > 0": lambda x, y: x > 0,
    "x < y": lambda x, y: x < y,
    "x > y": lambda x, y: x > y,
}


@pytest.mark.parametrize("shape", [(5, 7), (4, 4)])
@pytest.mark.parametrize("words", CONDITIONS)
def test_a_condition_on_the_arrays_at_hand(words, shape):
    """The gradient stops where a condition holds, though forward goes on there."""
    forward = lambda x, y: (x * y, (x, y))  # noqa: E731
    backward = lambda g, s: (g * s[1] * ~CONDITIONS[words](*s), g * s[0])  # noqa: E731
    message = first(forward, backward, table(*shape), table(*shape, seed=4)).message
    assert f"those with {words}" in message


def test_a_mask_among_the_options_is_the_condition():
    forward = lambda x, *, seen: (np.where(seen, x, 0), (seen,))  # noqa: E731
    seen = table(5, 7, seed=4) > 0
    message = first(forward, lambda g, s: (g,), table(5, 7), seen=seen).message
    assert "seen = 0" in message
    assert "out = 0" not in message
