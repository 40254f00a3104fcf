"""Looking up rows by id."""

import re

import numpy as np
import pytest

from minillm import ops
from minillm.backend import scatter_add
from minillm.ops.checks import IdError
from tests import reference


def test_forward_takes_the_row_that_each_id_names(rng):
    ids, weight = rng.integers(0, 7, (2, 5)), rng.standard_normal((7, 3))
    out, _ = ops.embedding_forward(ids, weight)
    np.testing.assert_array_equal(out, reference.embedding(ids, weight))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_any_integer_dtype_names_rows(dtype):
    weight = np.arange(21.0).reshape(7, 3)
    out, saved = ops.embedding_forward(np.array([6, 0, 6], dtype=dtype), weight)
    np.testing.assert_array_equal(out, [[18, 19, 20], [0, 1, 2], [18, 19, 20]])
    _, grad = ops.embedding_backward(np.ones((3, 3)), saved)
    np.testing.assert_array_equal(grad[:, 0], [1, 0, 0, 0, 0, 0, 2])


def test_gradients_of_repeated_ids_add_up():
    _, saved = ops.embedding_forward(np.array([[2, 0], [2, 2]]), np.zeros((4, 2)))
    g = np.array([[[1.0, 0.5], [10.0, 0.25]], [[100.0, 2.0], [1000.0, 4.0]]])
    grad_ids, grad = ops.embedding_backward(g, saved)
    assert grad_ids is None
    np.testing.assert_array_equal(grad, [[10.0, 0.25], [0, 0], [1101.0, 6.5], [0, 0]])


def test_backward_is_the_slope_for_many_repeats(rng):
    ids, weight = rng.integers(0, 7, (11, 13)), rng.standard_normal((7, 2))
    out, saved = ops.embedding_forward(ids, weight)
    g = rng.standard_normal(out.shape)
    _, expected = reference.slopes(reference.embedding, [ids, weight], g)
    np.testing.assert_allclose(ops.embedding_backward(g, saved)[1], expected, atol=1e-9)


@pytest.mark.parametrize("padding_idx", [2, -2])
def test_the_padding_row_is_read_but_gets_no_gradient(padding_idx):
    weight = np.arange(8.0).reshape(4, 2)
    out, saved = ops.embedding_forward(np.array([2, 1, 2]), weight, padding_idx=padding_idx)
    np.testing.assert_array_equal(out, [[4, 5], [2, 3], [4, 5]])
    _, grad = ops.embedding_backward(np.ones((3, 2)), saved)
    np.testing.assert_array_equal(grad, [[0, 0], [1, 1], [0, 0], [0, 0]])


def test_frozen_weights_cost_nothing():
    _, saved = ops.embedding_forward(np.array([1]), np.ones((3, 2)))
    assert ops.embedding_backward(np.ones((1, 2)), saved, needs=(False, False)) == (None, None)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0)])
def test_any_shape_of_ids(shape):
    weight = np.arange(6.0).reshape(3, 2)
    out, saved = ops.embedding_forward(np.full(shape, 2), weight)
    np.testing.assert_array_equal(out, np.broadcast_to([4.0, 5.0], (*shape, 2)))
    _, grad = ops.embedding_backward(np.ones((*shape, 2)), saved)
    uses = float(np.prod(shape))
    np.testing.assert_array_equal(grad, [[0, 0], [0, 0], [uses, uses]])


def test_a_table_of_width_zero():
    out, saved = ops.embedding_forward(np.array([1, 0]), np.zeros((3, 0)))
    assert out.shape == (2, 0)
    assert ops.embedding_backward(out, saved)[1].shape == (3, 0)


@pytest.mark.parametrize(("wrong", "place"), [(7, "[1, 0]"), (-1, "[1, 0]"), (10**6, "[1, 0]")])
def test_an_id_outside_the_table_is_named_with_its_place(wrong, place):
    message = f"embedding: ids{place} = {wrong} is outside 0 … 6"
    for kind in (IdError, IndexError, ValueError):
        with pytest.raises(kind, match=re.escape(message)):
            ops.embedding_forward(np.array([[0, 6], [wrong, 1]]), np.ones((7, 3)))


def test_ids_must_be_integers():
    for ids in (np.array([0.0, 1.0]), np.array([True]), [0, 1], 1):
        with pytest.raises(TypeError, match="embedding: ids must be an integer array"):
            ops.embedding_forward(ids, np.ones((7, 3)))


def test_a_table_that_is_no_matrix_or_padding_outside_it_raises():
    with pytest.raises(ValueError, match=re.escape("embedding: weight must be (V, C), got shape")):
        ops.embedding_forward(np.array([0]), np.ones(7))
    with pytest.raises(ValueError, match="embedding: padding_idx 7 is outside"):
        ops.embedding_forward(np.array([0]), np.ones((7, 3)), padding_idx=7)


def test_scatter_add_adds_to_what_is_there():
    target = np.array([[1.0], [2.0], [3.0]])
    scatter_add(target, np.array([2, 0, 2]), np.array([[10.0], [20.0], [40.0]]))
    np.testing.assert_array_equal(target, [[21.0], [2.0], [53.0]])
    scatter_add(target, np.array([], dtype=int), np.zeros((0, 1)))
    np.testing.assert_array_equal(target, [[21.0], [2.0], [53.0]])


@pytest.mark.parametrize("padding", [1.5, "a", True])
def test_padding_that_is_no_integer_is_refused_by_forward(padding):
    with pytest.raises(TypeError, match=f"padding_idx must be an integer or None, got {padding!r}"):
        ops.embedding_forward(np.array([0]), np.ones((3, 2)), padding_idx=padding)
    ops.embedding_forward(np.array([0]), np.ones((3, 2)), padding_idx=np.int64(1))
