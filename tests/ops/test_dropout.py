"""Dropout: how much is dropped, what the rest becomes, and when nothing happens."""

import numpy as np
import pytest

import minillm
from minillm import ops
from tests import reference


def test_kept_entries_are_scaled_up_and_gradients_take_the_same_mask(rng):
    x, g = rng.uniform(1, 2, (11, 13)), rng.standard_normal((11, 13))
    out, saved = ops.dropout_forward(x, p=0.3, rng=np.random.default_rng(5))
    keep = out != 0
    assert 0 < keep.sum() < keep.size
    np.testing.assert_allclose(out, reference.dropout(x, keep, 0.3), rtol=1e-15)
    [grad] = ops.dropout_backward(g, saved)
    np.testing.assert_allclose(grad, reference.dropout(g, keep, 0.3), rtol=1e-15)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.8])
def test_the_share_p_is_dropped_and_the_mean_stays(p):
    n = 100_000
    out, _ = ops.dropout_forward(np.ones(n), p=p, rng=np.random.default_rng(7))
    deviation = (p * (1 - p) / n) ** 0.5  # of the share that is dropped
    assert abs((out == 0).mean() - p) < 5 * deviation
    assert abs(out.mean() - 1) < 5 * deviation / (1 - p)


def test_entries_are_dropped_independently():
    out, _ = ops.dropout_forward(np.ones((400, 500)), p=0.3, rng=np.random.default_rng(7))
    kept = (out != 0).astype(float)
    for a, b in ((kept[:-1], kept[1:]), (kept[:, :-1], kept[:, 1:])):
        assert abs((a * b).mean() - 0.49) < 0.005


@pytest.mark.parametrize("options", [{"p": 0.3, "training": False}, {"p": 0.0}, {"p": 0}])
def test_it_is_the_identity_in_evaluation_and_for_p_zero(rng, options):
    x, g = rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
    out, saved = ops.dropout_forward(x, **options)
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(ops.dropout_backward(g, saved)[0], g)


def test_p_one_drops_everything_without_a_division_by_zero(rng):
    out, saved = ops.dropout_forward(rng.standard_normal((3, 5)), p=1.0)
    np.testing.assert_array_equal(out, np.zeros((3, 5)))
    np.testing.assert_array_equal(ops.dropout_backward(np.ones((3, 5)), saved)[0], np.zeros((3, 5)))


def test_the_same_seed_drops_the_same_entries_in_both_dtypes():
    dropped = [
        ops.dropout_forward(np.ones(97, dtype=dtype), p=0.3, rng=np.random.default_rng(3))[0] == 0
        for dtype in (np.float32, np.float64, np.float64)
    ]
    np.testing.assert_array_equal(dropped[0], dropped[1])
    np.testing.assert_array_equal(dropped[1], dropped[2])
    other, _ = ops.dropout_forward(np.ones(97), p=0.3, rng=np.random.default_rng(4))
    assert ((other == 0) != dropped[0]).any()


def test_without_a_generator_the_librarys_is_used():
    first, second, third = (
        (minillm.manual_seed(seed), ops.dropout_forward(np.ones(97), p=0.3)[0])[1]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


def test_two_calls_in_a_row_drop_different_entries():
    generator = np.random.default_rng(3)
    first, _ = ops.dropout_forward(np.ones(97), p=0.3, rng=generator)
    second, _ = ops.dropout_forward(np.ones(97), p=0.3, rng=generator)
    assert (first != second).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_is_kept(dtype):
    out, saved = ops.dropout_forward(np.ones((3, 5), dtype=dtype), p=0.3)
    assert out.dtype == dtype
    assert ops.dropout_backward(np.ones((3, 5), dtype=dtype), saved)[0].dtype == dtype


@pytest.mark.parametrize("shape", [(), (1,), (0, 3)])
def test_small_and_empty_arrays_keep_their_shape(shape):
    out, saved = ops.dropout_forward(np.ones(shape), p=0.3)
    assert np.shape(out) == shape
    assert np.shape(ops.dropout_backward(np.ones(shape), saved)[0]) == shape


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_p_must_be_a_probability(p):
    with pytest.raises(ValueError, match=f"dropout: p = {p} must be a probability"):
        ops.dropout_forward(np.ones(3), p=p)


def test_a_seed_in_place_of_a_generator_is_refused():
    with pytest.raises(TypeError, match=r"default_rng\(seed\)"):
        ops.dropout_forward(np.ones(3), p=0.3, rng=7)
    with pytest.raises(TypeError, match="dropout: x must be floating"):
        ops.dropout_forward(np.ones(3, dtype=int), p=0.3)
