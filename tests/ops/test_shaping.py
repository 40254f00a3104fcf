"""reshape, transpose, getitem, split, concatenate: numbers move, and gradients move back."""

import re

import numpy as np
import pytest

from minillm import Tensor, ops
from minillm import functional as F


def numbered(*shape):
    """Different numbers everywhere, so that a wrong place shows."""
    return np.arange(float(np.prod(shape))).reshape(shape)


def by_entry(forward, x, g):
    """The gradient by definition: for each entry of x the sum of g where that entry went.

    forward is linear, so what an entry contributes is forward(1 there, 0 elsewhere).
    """
    grad = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        unit = np.zeros(x.shape)
        unit[place] = 1.0
        grad[place] = np.sum(forward(unit) * g)
    return grad


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 6), (5, 6)),
        ((-1,), (30,)),
        (-1, (30,)),
        (30, (30,)),
        ((5, -1, 1, 2), (5, 3, 1, 2)),
        ([3, 10], (3, 10)),
    ],
)
def test_reshape_keeps_the_order_of_entries(shape, expected):
    x = numbered(2, 3, 5)
    out, saved = ops.reshape_forward(x, shape=shape)
    assert out.shape == expected
    assert list(out.flat) == list(range(30))
    [grad] = ops.reshape_backward(out * 2, saved)
    np.testing.assert_array_equal(grad, x * 2)


def test_reshape_of_one_number_and_of_nothing():
    out, saved = ops.reshape_forward(np.array(2.0), shape=(1, 1))
    assert out.shape == (1, 1)
    assert ops.reshape_backward(out, saved)[0].shape == ()
    out, saved = ops.reshape_forward(np.zeros((0, 3)), shape=(3, 0, 7))
    assert ops.reshape_backward(out, saved)[0].shape == (0, 3)


def test_reshape_of_a_transposed_array():
    x = numbered(3, 5).T
    out, saved = ops.reshape_forward(x, shape=(15,))
    assert list(out[:4]) == [0.0, 5.0, 10.0, 1.0]
    np.testing.assert_array_equal(ops.reshape_backward(out, saved)[0], x)


def test_reshape_names_both_shapes_when_they_do_not_fit():
    with pytest.raises(ValueError, match=re.escape("reshape: x (2, 3) with 6 entries")) as error:
        ops.reshape_forward(np.ones((2, 3)), shape=(5, -1))
    assert "(5, -1)" in str(error.value)


@pytest.mark.parametrize(
    ("axes", "expected"),
    [(None, (7, 5, 3, 2)), ((1, 2, 3, 0), (3, 5, 7, 2)), ((0, -1, 1, 2), (2, 7, 3, 5))],
)
def test_transpose_moves_every_entry_and_back(axes, expected):
    x = numbered(2, 3, 5, 7)
    out, saved = ops.transpose_forward(x, axes=axes)
    assert out.shape == expected
    order = axes or (3, 2, 1, 0)
    for place in np.ndindex(*expected):
        source = [0, 0, 0, 0]
        for i, axis in enumerate(order):
            source[axis] = place[i]
        assert out[place] == x[tuple(source)]
    np.testing.assert_array_equal(ops.transpose_backward(out, saved)[0], x)


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (1, 1)])
def test_transpose_of_small_and_empty_arrays(shape):
    out, saved = ops.transpose_forward(np.ones(shape))
    assert out.shape == shape[::-1]
    assert ops.transpose_backward(out, saved)[0].shape == shape


def test_one_axis_may_be_a_number():
    assert ops.transpose_forward(np.ones(3), axes=0)[0].shape == (3,)


@pytest.mark.parametrize("axes", [0, (0,), (0, 1, 2), (0, 0), (0, 2)])
def test_transpose_needs_every_axis_once(axes):
    with pytest.raises(ValueError, match="transpose: ax"):
        ops.transpose_forward(np.ones((2, 3)), axes=axes)


INDICES = {
    "integer": 2,
    "negative": -1,
    "slice": slice(1, 4),
    "step backwards": slice(None, None, -2),
    "integer and slice": (slice(1, 4), 2),
    "new axis and ellipsis": (None, ..., 1),
    "empty slice": slice(3, 3),
    "index array with repeats": np.array([1, 3, 1, 1]),
    "negative repeats": np.array([4, -1]),
    "list": [0, 0, 2],
    "list in a tuple": (slice(None), [2, 2, 0]),
    "tuple in a tuple": ((0, 0, 3),),
    "two tuples in a tuple": ((0, 0, 4), (1, 1, 2)),
    "two index arrays": (np.array([0, 0, 4]), np.array([1, 1, 2])),
    "2-D index array": np.array([[0, 1], [1, 4]]),
    "mask": np.arange(15).reshape(5, 3) % 4 == 1,
    "row mask": np.array([True, False, True, True, False]),
    "empty index array": np.array([], dtype=int),
    "everything": ...,
    "nothing new": (),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_getitem_is_numpys_and_repeated_entries_add_up(rng, index):
    x = rng.standard_normal((5, 3))
    out, saved = ops.getitem_forward(x, index=index)
    np.testing.assert_array_equal(out, x[index])
    g = np.asarray(rng.standard_normal(np.shape(out)))
    [grad] = ops.getitem_backward(g, saved)
    assert grad.dtype == np.float64
    np.testing.assert_allclose(grad, by_entry(lambda u: u[index], x, g), atol=1e-14)


def test_getitem_repeats_worked_out_by_hand():
    _, saved = ops.getitem_forward(np.zeros(4), index=np.array([2, 0, 2, 2]))
    [grad] = ops.getitem_backward(np.array([1.0, 10.0, 100.0, 1000.0]), saved)
    np.testing.assert_array_equal(grad, [10.0, 0.0, 1101.0, 0.0])


@pytest.mark.parametrize("index", [5, (0, 3), np.array([0, 7])], ids=["row", "column", "array"])
def test_getitem_outside_the_array_raises_with_its_shape(index):
    with pytest.raises(IndexError, match=re.escape("getitem: x (5, 3)")):
        ops.getitem_forward(np.ones((5, 3)), index=index)


@pytest.mark.parametrize(
    ("sections", "axis", "sizes"),
    [
        (3, 1, [2, 2, 2]),
        (1, 0, [2]),
        ([1, 4], 1, [1, 3, 2]),
        ([1, 4], -2, [1, 3, 2]),
        ([2, 2], 1, [2, 0, 4]),
        ([0, 6], 1, [0, 6, 0]),
        ([], 1, [6]),
    ],
)
def test_split_cuts_and_its_backward_joins(sections, axis, sizes):
    x = numbered(2, 6, 3)
    pieces, saved = ops.split_forward(x, sections=sections, axis=axis)
    assert [piece.shape[axis] for piece in pieces] == sizes
    assert isinstance(pieces, tuple)
    start = 0
    for piece, size in zip(pieces, sizes, strict=True):
        cut = [slice(None)] * 3
        cut[axis] = slice(start, start + size)
        np.testing.assert_array_equal(piece, x[tuple(cut)])
        start += size
    gradients = tuple(100.0 * (i + 1) + piece for i, piece in enumerate(pieces))
    [grad] = ops.split_backward(gradients, saved)
    hundreds = np.repeat([100.0 * (i + 1) for i in range(len(sizes))], sizes)
    along = [1, 1, 1]
    along[axis] = -1
    np.testing.assert_array_equal(grad, x + hundreds.reshape(along))


@pytest.mark.parametrize("sections", [4, 0, -1])
def test_split_into_unequal_sections_raises(sections):
    with pytest.raises(ValueError, match=re.escape("split: axis 1 of x (2, 6) has 6 entries")):
        ops.split_forward(np.ones((2, 6)), sections=sections, axis=1)


@pytest.mark.parametrize("sections", [[4, 1], [1, 9], [-1, 3]])
def test_split_at_positions_that_do_not_ascend_raises(sections):
    with pytest.raises(ValueError, match="split: positions"):
        ops.split_forward(np.ones((2, 6)), sections=sections, axis=1)


@pytest.mark.parametrize("axis", [1, -2])
def test_concatenate_joins_and_its_backward_cuts(rng, axis):
    arrays = [rng.standard_normal((2, n, 5)) for n in (3, 0, 1, 7)]
    out, saved = ops.concatenate_forward(*arrays, axis=axis)
    assert out.shape == (2, 11, 5)
    np.testing.assert_array_equal(out[:, 0:3], arrays[0])
    np.testing.assert_array_equal(out[:, 3:4], arrays[2])
    np.testing.assert_array_equal(out[:, 4:11], arrays[3])
    grads = ops.concatenate_backward(out * 3, saved)
    assert len(grads) == 4
    for grad, array in zip(grads, arrays, strict=True):
        np.testing.assert_array_equal(grad, array * 3)


def test_concatenate_of_one_array_is_that_array():
    x = numbered(3, 2)
    out, saved = ops.concatenate_forward(x, axis=0)
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(ops.concatenate_backward(x, saved)[0], x)


def test_concatenated_integers_get_no_gradient():
    out, saved = ops.concatenate_forward(np.array([1, 2]), np.array([3]), axis=0)
    np.testing.assert_array_equal(out, [1, 2, 3])
    assert ops.concatenate_backward(np.ones(3), saved) == (None, None)


def test_concatenate_refuses_nothing_and_what_does_not_fit():
    with pytest.raises(ValueError, match="concatenate: at least one"):
        ops.concatenate_forward(axis=0)
    with pytest.raises(ValueError, match=re.escape("array 0 (2, 3) and array 1 (2, 5)")):
        ops.concatenate_forward(np.ones((2, 3)), np.ones((2, 5)), axis=0)
    with pytest.raises(ValueError, match=re.escape("array 0 (2, 3) and array 1 (3,)")):
        ops.concatenate_forward(np.ones((2, 3)), np.ones(3), axis=0)
    with pytest.raises(TypeError, match=re.escape(".astype('float64')")):
        ops.concatenate_forward(np.ones(3), np.ones(3, dtype=np.float32), axis=0)
    with pytest.raises(ValueError, match="concatenate: axis 2 does not exist"):
        ops.concatenate_forward(np.ones((2, 3)), axis=2)


@pytest.mark.parametrize("kind", [list, tuple])
def test_concatenate_takes_one_list_as_numpy_and_pytorch_do(kind, rng):
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((4, 3))
    expected = np.concatenate([a, b], axis=0)
    out, saved = ops.concatenate_forward(kind([a, b]), axis=0)
    np.testing.assert_array_equal(out, expected)
    assert [g.shape for g in ops.concatenate_backward(out, saved)] == [(2, 3), (4, 3)]

    x, y = Tensor(a, True), Tensor(b, True)
    joined = F.concatenate(kind([x, y]), axis=0)
    np.testing.assert_array_equal(joined.numpy(), expected)
    (joined * expected).sum().backward()
    np.testing.assert_array_equal(x.grad, a)
    np.testing.assert_array_equal(y.grad, b)


def test_concatenate_says_how_its_arrays_are_written(rng):
    a = rng.standard_normal((2, 3))
    x = Tensor(a, True)
    for concatenate in (ops.concatenate_forward, F.concatenate):
        with pytest.raises(
            TypeError, match="concatenate: array 0 must be an array, got float: wri"
        ):
            concatenate(1.0, a, axis=0)
        with pytest.raises(
            TypeError, match="concatenate: array 1 must be an array, got int: write"
        ):
            concatenate([a, 1], axis=0)
        with pytest.raises(ValueError, match="concatenate: at least one array is needed"):
            concatenate([], axis=0)
    with pytest.raises(TypeError, match=r"arrays\[0\] is a list of Tensors among other arguments"):
        F.concatenate([x, x], x, axis=0)
    with pytest.raises(
        TypeError, match="concatenate: the option 'axis' is missing: write it by name"
    ):
        F.concatenate([x, x], 0)


@pytest.mark.parametrize("sections", [[1.5], "a", 1.5, None, True, [True], np.array(2)])
def test_split_does_not_round_its_sections(sections):
    with pytest.raises(
        TypeError, match="split: sections must be an integer, or a sequence of integ"
    ):
        ops.split_forward(np.ones((2, 4)), sections=sections, axis=1)
    pieces, _ = ops.split_forward(np.ones((2, 4)), sections=np.array([1, 3]), axis=1)
    assert [piece.shape[1] for piece in pieces] == [1, 2, 1]
