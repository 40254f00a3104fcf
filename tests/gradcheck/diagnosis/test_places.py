"""The right numbers in the wrong places, under the wrong mask, or only some of them."""

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


def changed(n, change):
    """The finding for x * x when its gradient is passed through change."""
    return first(square, lambda g, s: (change(2 * g * s[0]),), table(*n))


# ------------------------------------------------------------------ transposed, reordered


@pytest.mark.parametrize("order", [(0, 2, 1), (2, 1, 0), (1, 2, 0)])
def test_axes_of_equal_size_in_another_order(order):
    found = changed((4, 4, 4), lambda grad: grad.transpose(order))
    assert found.kind == "transposed"
    assert str(order) in found.message


def test_a_transposed_matrix_even_with_a_minus():
    for sign in (1, -1):
        assert changed((4, 4), lambda grad, sign=sign: sign * grad.T).kind == "transposed"


def test_the_numbers_of_the_transpose_in_the_right_shape():
    assert changed((5, 7), lambda grad: grad.T.reshape(5, 7)).kind == "transposed"


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("steps", [1, 2, -1])
def test_a_shift(n, axis, steps):
    found = changed(n, lambda grad: np.roll(grad, steps, axis))
    assert found.kind == "wrong_entries"
    assert f"axis {axis}" in found.message
    assert f"by {steps % n[axis]} " in found.message


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_reversal(n, axis):
    found = changed(n, lambda grad: np.flip(grad, axis))
    assert found.kind == "wrong_entries"
    assert "reversed" in found.message
    assert f"axis {axis}" in found.message


@pytest.mark.parametrize("n", [(5, 7), (4, 4)])
def test_two_entries_that_changed_places(n):
    def swap(grad):
        grad[1, 2], grad[3, 0] = grad[3, 0], grad[1, 2].copy()
        return grad

    found = changed(n, swap)
    assert found.kind == "wrong_entries"
    assert "[1, 2]" in found.message
    assert "[3, 0]" in found.message


def test_grad_out_in_another_order():
    forward = lambda x: (np.cumsum(x, axis=0), ())  # noqa: E731
    backward = lambda g, s: (np.cumsum(np.roll(g, 1, 0)[::-1], axis=0)[::-1],)  # noqa: E731
    found = first(forward, backward, table(5, 7))
    assert found.kind == "wrong_entries"
    assert "grad_out" in found.message


def test_nearly_right_numbers_have_not_moved():
    def backward(g, saved):
        grad = 2 * g * saved[0]
        grad[3, 4] *= 1 + 1e-5
        return (grad,)

    found = first(square, backward, table(5, 7))
    assert found.kind == "wrong_entries"
    assert "[3, 4]" in found.message


# ------------------------------------------------------------------ repeated ids


def lookup(weight, ids):
    return weight[ids], (weight.shape, ids)


def lookup_backward(g, saved):
    shape, ids = saved
    grad = np.zeros(shape)
    np.add.at(grad, ids, g)
    return grad, None


def assigned(g, shape, ids):
    grad = np.zeros(shape)
    grad[ids] = g
    return grad


def averaged(g, shape, ids):
    uses = np.maximum(np.bincount(ids.ravel(), minlength=shape[0]), 1)
    return lookup_backward(g, (shape, ids))[0] / uses[:, None]


IDS = {
    "some repeat": (np.array([1, 4, 1, 0, 2, 4]), "(1, 4)"),
    "one repeats": (np.array([5, 3, 3, 2]), "(3)"),
    "in two axes": (np.array([[1, 0], [1, 6], [2, 3]]), "(1)"),
}


@pytest.mark.parametrize("name", IDS)
def test_repeated_ids_that_overwrite_each_other(name):
    ids, repeated = IDS[name]
    for shape in ((7, 3), (7, 7)):
        found = first(lookup, altered(lookup_backward, 0, assigned), table(*shape), ids)
        assert (found.input, found.kind) == ("weight", "overwritten_duplicates")
        assert "ids" in found.message
        assert repeated in found.message


def test_the_first_use_that_is_kept_instead_of_the_last():
    backward = altered(lookup_backward, 0, lambda g, n, ids: assigned(g[::-1], n, ids[::-1]))
    found = first(lookup, backward, table(7, 3), IDS["some repeat"][0])
    assert found.kind == "overwritten_duplicates"


def test_repeated_ids_that_are_averaged():
    found = first(
        lookup, altered(lookup_backward, 0, averaged), table(7, 3), np.array([1, 4, 1, 0, 1])
    )
    assert found.kind == "wrong_entries"
    assert "3 times" in found.message
    assert "added up" in found.message


def test_an_index_that_the_check_does_not_see():
    """ids is a constant of forward; only that copies are made tells."""
    ids = np.array([1, 4, 1, 0])
    forward = lambda weight: (weight[ids], (weight.shape,))  # noqa: E731
    found = first(forward, lambda g, s: (assigned(g, s[0], ids),), table(7, 3))
    assert found.kind == "overwritten_duplicates"


def test_ids_without_repetition_cannot_overwrite():
    found = first(lookup, altered(lookup_backward, 0, lambda g, n, ids: assigned(g, n, ids) * (
        np.arange(7) > 1)[:, None]), table(7, 3), np.array([1, 4, 0]))  # fmt: skip
    assert found.kind == "wrong_entries"
    assert "0 and 1" in found.message


def test_repeated_labels_that_are_no_index_overwrite_nothing():
    labels = np.array([0, 0, 1, 2, 1])
    forward = lambda x, b, labels: (x + b, ())  # noqa: E731
    found = first(forward, lambda g, s: (g, g[0], None), table(5, 3), table(3, seed=4), labels)
    assert (found.input, found.kind) == ("b", "missing_broadcast_sum")


def test_of_a_running_total_the_own_place_is_not_one_of_several_uses():
    forward = lambda x: (np.cumsum(x, axis=1), ())  # noqa: E731
    found = first(forward, lambda g, s: (g,), table(5, 7))
    assert found.kind == "dropped_branch"
    assert "6 steps" in found.message


# ------------------------------------------------------------------ shared inputs, several outputs


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("index", [0, 2])
def test_one_example_of_a_batch(n, index):
    wrong = altered(linear_backward, 1, lambda g, x, w: np.outer(x[index], g[index]))
    found = first(linear, wrong, *linear_inputs(n))
    assert (found.input, found.kind) == ("w", "missing_broadcast_sum")
    assert f"index {index}" in found.message
    assert "axis 0" in found.message
    assert str(n[0]) in found.message


@pytest.mark.parametrize("n", SIZES)
def test_some_examples_of_a_batch(n):
    wrong = altered(linear_backward, 2, lambda g, x, w: g[:2].sum(axis=0))
    found = first(linear, wrong, *linear_inputs(n))
    assert (found.input, found.kind) == ("b", "missing_broadcast_sum")
    assert "0 and 1" in found.message


def test_one_place_of_two_axes():
    forward = lambda x, gain: (x * gain, (x, gain))  # noqa: E731
    backward = lambda g, s: (g * s[1], (g * s[0])[0, 0])  # noqa: E731
    found = first(forward, backward, table(5, 7, 3), table(3, seed=4))
    assert (found.input, found.kind) == ("gain", "missing_broadcast_sum")
    assert "[0, 0]" in found.message


def test_one_column_of_an_output_that_has_the_axis_too_is_no_missing_sum():
    def backward(g, saved):
        grad = np.zeros_like(g)
        grad[2] = 2 * g[2] * saved[0][2]
        return (grad,)

    assert kind_of(square, backward, table(5, 7)) != "missing_broadcast_sum"


def pair(x):
    return (x * x, np.sin(x)), (x,)


@pytest.mark.parametrize("n", [(5, 7), (4, 4)])
def test_an_output_that_is_not_followed(n):
    for number, gradient in enumerate((
        lambda g, s: g[1] * np.cos(s[0]),
        lambda g, s: 2 * g[0] * s[0],
    )):
        found = first(pair, lambda g, s, gradient=gradient: (gradient(g, s),), table(*n))
        assert found.kind == "dropped_branch"
        assert f"grad_out[{number}]" in found.message


def test_an_output_that_is_followed_wrongly_is_not_dropped():
    found = first(pair, lambda g, s: (2 * g[0] * s[0] + g[1] * np.sin(s[0]),), table(5, 7))
    assert found.kind != "dropped_branch"


# ------------------------------------------------------------------ maps, signs


@pytest.mark.parametrize("n", [5, 4])
def test_forward_done_again(n):
    turn = np.linalg.qr(table(n, n))[0]
    for forward, backward in (
        (lambda x: (x @ turn, ()), lambda g, s: (g @ turn,)),
        (lambda x: (np.cumsum(x, axis=0), ()), lambda g, s: (np.cumsum(g, axis=0),)),
        (
            lambda x: (np.diff(x, axis=0, prepend=0), ()),
            lambda g, s: (np.diff(g, axis=0, prepend=0),),
        ),
    ):
        found = first(forward, backward, table(n, n, seed=8))
        assert found.kind == "wrong_operand"
        assert "forward" in found.message


@pytest.mark.parametrize("n", [(5, 7), (4, 4)])
def test_a_wrong_sign_in_some_rows(n):
    sign = np.where(np.arange(n[0]) == 2, -1, 1)[:, None]
    found = changed(n, lambda grad: sign * grad)
    assert found.kind == "wrong_entries"
    assert "index 2" in found.message
    assert "sign" in found.message


@pytest.mark.parametrize("n", [(5, 7), (4, 4)])
def test_a_wrong_sign_of_one_term(n):
    forward = lambda x: (np.diff(x, axis=1), ())  # noqa: E731

    def backward(g, saved):
        grad = np.zeros((n[0], n[1]))
        grad[:, 1:] += g
        grad[:, :-1] += g
        return (grad,)

    found = first(forward, backward, table(*n))
    assert found.kind == "dropped_branch"
    assert "sign" in found.message


# ------------------------------------------------------------------ sums that go too far


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("reduce", [np.sum, np.mean])
def test_a_sum_over_an_axis_along_which_entries_differ(n, axis, reduce):
    found = changed(n, lambda grad: reduce(grad, axis=axis, keepdims=True) + 0 * grad)
    assert found.kind == "wrong_axis"
    assert f"axis {axis}" in found.message
    assert reduce.__name__ in found.message


@pytest.mark.parametrize("n", [(5, 7), (4, 4)])
def test_a_factor_whose_sum_is_one_is_missing_not_summed(n):
    """sum_j p_j = 1, so the sum of the right gradients is grad_out as well."""

    def forward(x):
        e = np.exp(x)
        total = e.sum(axis=1, keepdims=True)
        return np.log(total)[:, 0], (e / total,)

    found = first(forward, lambda g, s: (g[:, None] + 0 * s[0],), table(*n))
    assert found.kind == "wrong_operand"


@pytest.mark.parametrize("n", [(4, 4), (5, 5)])
def test_grad_out_that_is_spread_along_the_wrong_axis(n):
    forward = lambda x: (x.sum(axis=1), ())  # noqa: E731
    found = first(forward, lambda g, s: (np.repeat(g[None], n[0], 0),), table(*n))
    assert found.kind in ("wrong_axis", "transposed")


@pytest.mark.parametrize("n", [(4, 4), (5, 5)])
def test_a_spread_along_the_wrong_axis_with_a_factor(n):
    gain = table(n[0], seed=9)
    forward = lambda x: (x.sum(axis=1) * gain, ())  # noqa: E731
    found = first(forward, lambda g, s: (np.repeat(g[None], n[0], 0),), table(*n))
    assert found.kind == "wrong_axis"
    assert "axis 0" in found.message
    assert "axis 1" in found.message


def row_softmax(x):
    e = np.exp(x)
    p = e / e.sum(axis=-1, keepdims=True)
    return p, (p,)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_sum_over_another_axis_than_in_forward(n, axis):
    wrong = lambda g, s: (s[0] * (g - (g * s[0]).sum(axis=axis, keepdims=True)),)  # noqa: E731
    found = first(row_softmax, wrong, table(*n))
    assert found.kind == "wrong_axis"
    assert f"axis {axis}" in found.message
    assert "axis 2" in found.message


@pytest.mark.parametrize("n", SIZES)
def test_a_sum_over_more_axes_than_in_forward(n):
    wrong = lambda g, s: (s[0] * (g - (g * s[0]).sum()),)  # noqa: E731
    assert kind_of(row_softmax, wrong, table(*n)) == "wrong_axis"


def test_everything_for_everybody():
    ids = np.array([2, 0, 2, 1, 0])

    def forward(x, ids):
        out = np.zeros((3, x.shape[1]))
        np.add.at(out, ids, x)
        return out, (ids, x.shape)

    found = first(forward, lambda g, s: (g.sum(axis=0) + np.zeros(s[1]), None), table(5, 7), ids)
    assert found.kind == "wrong_axis"
    assert "axis 0" in found.message


def test_a_lost_sum_is_no_wrong_axis():
    assert kind_of(row_softmax, lambda g, s: (s[0] * g,), table(5, 7)) == "missing_sum_term"


# ------------------------------------------------------------------ masks

MASKS = {
    "missing": lambda g, x, seen: g,
    "turned round": lambda g, x, seen: g * ~seen,
    "too wide": lambda g, x, seen: g * (seen & (np.arange(seen.size).reshape(seen.shape) % 3 > 0)),
    "another one": lambda g, x, seen: g * (x < 0),
}


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", MASKS)
def test_a_mask_that_is_not_that_of_forward(n, name):
    x = table(*n)
    seen = table(*n, seed=12) > 0.3
    forward = lambda x, *, visible: (np.where(visible, x, 0.0), (x, visible))  # noqa: E731
    found = first(forward, lambda g, s: (MASKS[name](g, *s),), x, visible=seen)
    assert found.kind == "wrong_entries"
    extra = int(((MASKS[name](1.0, x, seen) != 0) & ~seen).sum())
    lost = int((seen & ~(MASKS[name](1.0, x, seen) != 0)).sum())
    for count in (extra, lost):
        assert not count or f"{count} entries" in found.message
    if name == "missing":
        assert "visible = 0" in found.message


@pytest.mark.parametrize("n", [(5, 7), (4, 4)])
def test_whole_rows_behind_a_mask_are_named(n):
    rows = np.arange(n[0]) < 3
    forward = lambda x: (x * rows[:, None] + 1, ())  # noqa: E731
    message = first(forward, lambda g, s: (g,), table(*n)).message
    assert str(n[0] - 1) in message
    assert f"{(n[0] - 3) * n[1]} entries" in message


def test_no_mask_lets_an_entry_in_and_keeps_it_out():
    """Every row is moved so that its least entry is 0: that entry acts on all others, not on itself."""
    forward = lambda x: (x - x.min(axis=1, keepdims=True), ())  # noqa: E731
    found = first(forward, lambda g, s: (g,), table(5, 7))
    assert found.kind in ("missing_sum_term", "missing_mean_term")
    assert "axis 1" in found.message


# ------------------------------------------------------------------ along time


def decay(x):
    out = np.zeros_like(x)
    state = np.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        state = np.tanh(0.5 * state + x[:, t])
        out[:, t] = state
    return out, (out,)


def decay_backward(reach):
    def backward(g, saved):
        [h] = saved
        slope, grad = 1 - h * h, np.zeros_like(h)
        for t in range(h.shape[1]):
            flow = g[:, t] * slope[:, t]
            for back in range(min(t, reach) + 1):
                grad[:, t - back] += flow
                flow = 0.5 * flow * slope[:, t - back - 1]
        return (grad,)

    return backward


@pytest.mark.parametrize("n", [(3, 7), (5, 5)])
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_what_flows_on_along_time_is_cut_off(n, reach):
    found = first(decay, decay_backward(reach), table(*n))
    assert found.kind == "dropped_branch"
    assert "axis 1" in found.message
    assert f"{n[1] - 1} steps" in found.message


def test_the_whole_way_through_time_passes():
    assert check_gradients(decay, decay_backward(6), table(3, 7)).passed
