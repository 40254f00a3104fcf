"""Scaled dot-product attention: masks, grouped heads, caches, dropout."""

import re

import numpy as np
import pytest

from minillm import ops
from tests import reference

B, H, T, S, D, E = 2, 6, 5, 7, 3, 4


def arrays(rng, groups=2, queries=T, keys=S):
    return [
        rng.standard_normal((B, H, queries, D)),
        rng.standard_normal((B, groups, keys, D)),
        rng.standard_normal((B, groups, keys, E)),
    ]


def both(q, k, v, g=None, **options):
    out, saved = ops.scaled_dot_product_attention_forward(q, k, v, **options)
    g = np.ones_like(out) if g is None else g
    return out, ops.scaled_dot_product_attention_backward(g, saved)


def masks(rng):
    visible = rng.random((B, H, T, S)) < 0.6
    visible[:, :, 2] = False  # a query that sees nothing
    return {
        "none": None,
        "full": visible,
        "per batch": visible[:, :1],
        "keys only": visible[:, :1, :1],
        "one for all": visible[0, 0],
        "a row": np.arange(S) % 3 != 1,
        "per head": visible[:1],
    }


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", ["none", "full", "per batch", "keys only", "one for all", "a row"])
def test_forward_is_the_definition(rng, groups, is_causal, mask):
    options = {"visible": masks(rng)[mask], "is_causal": is_causal}
    inputs = arrays(rng, groups)
    out, _ = both(*inputs, **options)
    expected = reference.scaled_dot_product_attention(*inputs, **options)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(
    ("mask", "is_causal", "scale"),
    [
        ("none", False, None),
        ("none", True, 0.7),
        ("per batch", False, 1.9),
        ("per head", True, None),
    ],
)
def test_backward_is_the_slope(rng, groups, mask, is_causal, scale):
    inputs = [a[:1] for a in arrays(rng, groups)]
    visible = masks(rng)[mask]
    options = {"visible": visible if visible is None else visible[:1]}
    options |= {"is_causal": is_causal, "scale": scale}
    g = rng.standard_normal((1, H, T, E))
    _, grads = both(*inputs, g, **options)
    literal = lambda q, k, v: vectorized(q, k, v, **options)  # noqa: E731
    for grad, want in zip(grads, reference.slopes(literal, inputs, g), strict=True):
        np.testing.assert_allclose(grad, want, rtol=1e-7, atol=1e-9)


def vectorized(q, k, v, visible=None, is_causal=False, scale=None, mask=1.0):
    """The definition once more with einsum, because `slopes` calls it a thousand times."""
    repeats = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, repeats, axis=1), np.repeat(v, repeats, axis=1)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    weights = np.exp(scale * np.einsum("bhtd,bhsd->bhts", q, k))
    if visible is not None:
        weights = weights * visible
    if is_causal:
        t, s = np.ogrid[: q.shape[2], : k.shape[2]]
        weights = weights * (s <= k.shape[2] - q.shape[2] + t)
    total = weights.sum(-1, keepdims=True)
    return np.einsum("bhts,bhse->bhte", mask * weights / np.where(total == 0, 1, total), v)


@pytest.mark.parametrize("is_causal", [False, True])
def test_the_two_literal_versions_agree(rng, is_causal):
    inputs, visible = arrays(rng), masks(rng)["full"]
    np.testing.assert_allclose(
        vectorized(*inputs, visible, is_causal),
        reference.scaled_dot_product_attention(*inputs, visible, is_causal),
        rtol=1e-12,
    )


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (1, 7), (5, 7), (7, 5), (5, 1)])
def test_causal_queries_are_the_last_of_all_positions(rng, queries, keys):
    q, k, v = arrays(rng, queries=queries, keys=keys)
    out, grads = both(q, k, v, is_causal=True)
    expected = reference.scaled_dot_product_attention(q, k, v, is_causal=True)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-13)
    assert all(np.isfinite(grad).all() for grad in grads)


def test_the_future_has_no_influence_on_the_present(rng):
    q, k, v = arrays(rng)
    before, _ = both(q, k, v, is_causal=True)
    k[:, :, 4:], v[:, :, 4:] = 99.0, -99.0  # with S - T = 2, queries 0 and 1 see keys 0 … 3
    after, _ = both(q, k, v, is_causal=True)
    np.testing.assert_array_equal(after[:, :, :2], before[:, :, :2])
    assert (after[:, :, 2:] != before[:, :, 2:]).all()


def test_queries_one_by_one_with_a_cache_give_what_all_at_once_give(rng):
    q, k, v = arrays(rng, queries=7)
    whole, _ = both(q, k, v, is_causal=True)
    for t in range(7):
        step, _ = both(q[:, :, t : t + 1], k[:, :, : t + 1], v[:, :, : t + 1], is_causal=True)
        np.testing.assert_allclose(step, whole[:, :, t : t + 1], rtol=1e-12)


def test_a_query_that_sees_nothing_gives_zeros_and_zero_gradients(rng):
    inputs = arrays(rng)
    visible = np.ones((T, S), dtype=bool)
    visible[3] = False
    for dtype in (np.float32, np.float64):
        out, grads = both(*(a.astype(dtype) for a in inputs), visible=visible)
        np.testing.assert_array_equal(out[:, :, 3], np.zeros((B, H, E)))
        np.testing.assert_array_equal(grads[0][:, :, 3], np.zeros((B, H, D)))
        assert all(np.isfinite(grad).all() for grad in grads)


def test_if_nothing_is_visible_everything_is_zero(rng):
    out, grads = both(*arrays(rng), visible=np.zeros((1, 1, 1, 1), dtype=bool))
    for array in (out, *grads):
        np.testing.assert_array_equal(array, np.zeros(array.shape))


def test_hidden_keys_get_no_gradient(rng):
    visible = np.arange(S) != 4
    _, (_, grad_k, grad_v) = both(*arrays(rng), rng.standard_normal((B, H, T, E)), visible=visible)
    for grad in (grad_k, grad_v):
        np.testing.assert_array_equal(grad[:, :, 4], np.zeros_like(grad[:, :, 4]))
        assert np.abs(grad[:, :, 3]).min() > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_ten_thousand_neither_overflow_nor_warn(dtype):
    q = np.array([100, -100], dtype=dtype).reshape(1, 1, 2, 1)
    k = np.array([100, -100, 0], dtype=dtype).reshape(1, 1, 3, 1)
    v = np.array([1, 2, 4], dtype=dtype).reshape(1, 1, 3, 1)
    out, grads = both(q, k, v, scale=1.0)
    np.testing.assert_array_equal(out.ravel(), [1, 2])
    assert all(np.isfinite(grad).all() for grad in grads)
    np.testing.assert_array_equal(grads[2].ravel(), [1, 1, 0])


def test_a_mean_worked_out_by_hand():
    q = np.array([[[[np.log(3.0)]]]])
    k, v = np.array([[[[0.0], [1.0]]]]), np.array([[[[4.0, 0.0], [8.0, 100.0]]]])
    out, (grad_q, grad_k, grad_v) = both(q, k, v, np.array([[[[1.0, 0.0]]]]))  # p = (1/4, 3/4)
    np.testing.assert_allclose(out, [[[[7.0, 75.0]]]], rtol=1e-15)
    np.testing.assert_allclose(grad_v, [[[[0.25, 0.0], [0.75, 0.0]]]], rtol=1e-15)
    # grad_p = (4, 8), its mean is 7, so grad_s = (1/4 (4 - 7), 3/4 (8 - 7))
    np.testing.assert_allclose(grad_q, [[[[0.75]]]], rtol=1e-14)
    np.testing.assert_allclose(grad_k.ravel(), np.log(3.0) * np.array([-0.75, 0.75]), rtol=1e-14)


def test_the_scale_is_one_over_the_root_of_the_width(rng):
    q, k, v = arrays(rng)
    default, _ = both(q, k, v)
    np.testing.assert_allclose(both(q, k, v, scale=3**-0.5)[0], default, rtol=1e-12)
    assert np.abs(both(q, k, v, scale=1.0)[0] - default).max() > 0.01


def test_a_numpy_scale_does_not_change_the_dtype(rng):
    inputs = [a.astype(np.float32) for a in arrays(rng)]
    out, grads = both(*inputs, scale=np.float64(0.5))
    assert {a.dtype for a in (out, *grads)} == {np.dtype(np.float32)}


def test_float32_is_right_within_its_rounding(rng):
    inputs = [a.astype(np.float32) for a in arrays(rng)]
    out, _ = both(*inputs, is_causal=True)
    expected = reference.scaled_dot_product_attention(*inputs, is_causal=True)
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-6)


def dropout_mask(q, k, p, seed):
    """Which probabilities are kept, read off with values that are unit vectors; and the output."""
    keys = k.shape[2]
    unit = np.broadcast_to(np.eye(keys), (*k.shape[:2], keys, keys)).copy()
    out, _ = both(q, k, unit, dropout_p=p, rng=np.random.default_rng(seed))
    return out


def test_dropout_drops_probabilities_and_scales_the_others(rng):
    q, k, v = arrays(rng)
    p, _ = both(q, k, np.broadcast_to(np.eye(S), (B, 2, S, S)).copy())
    dropped = dropout_mask(q, k, 0.3, seed=4)
    keep = dropped != 0
    assert 0.5 < keep.mean() < 0.9
    np.testing.assert_allclose(dropped, reference.dropout(p, keep, 0.3), rtol=1e-13)
    out, grads = both(q, k, v, dropout_p=0.3, rng=np.random.default_rng(4))
    mask = keep / 0.7
    expected = reference.scaled_dot_product_attention(q, k, v, mask=mask)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-13)
    literal = lambda q, k, v: vectorized(q, k, v, mask=mask)  # noqa: E731
    wanted = reference.slopes(literal, [q, k, v], np.ones((B, H, T, E)))
    for grad, want in zip(grads, wanted, strict=True):
        np.testing.assert_allclose(grad, want, rtol=1e-7, atol=1e-9)


def test_dropout_of_everything_gives_zeros(rng):
    out, grads = both(*arrays(rng), dropout_p=1.0)
    for array in (out, *grads):
        np.testing.assert_array_equal(array, np.zeros(array.shape))


@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_probabilities_are_the_weights_of_the_values(rng, is_causal):
    q, k, _ = arrays(rng)
    visible = masks(rng)["full"]
    p = ops.attention_probabilities(q, k, visible=visible, is_causal=is_causal, scale=0.7)
    unit = np.broadcast_to(np.eye(S), (B, 2, S, S))
    expected = reference.scaled_dot_product_attention(q, k, unit, visible, is_causal, 0.7)
    np.testing.assert_allclose(p, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("batch", "heads", "queries", "keys", "out_width"),
    [(0, 6, 5, 7, 4), (2, 6, 0, 7, 4), (2, 6, 5, 0, 4), (1, 1, 1, 1, 1), (2, 6, 5, 7, 0)],
)
@pytest.mark.parametrize("is_causal", [False, True])
def test_empty_and_single_axes(batch, heads, queries, keys, out_width, is_causal):
    groups = min(heads, 2)
    q = np.ones((batch, heads, queries, 3))
    k, v = np.ones((batch, groups, keys, 3)), np.full((batch, groups, keys, out_width), 2.0)
    out, grads = both(q, k, v, is_causal=is_causal)
    np.testing.assert_allclose(
        out, reference.scaled_dot_product_attention(q, k, v, is_causal=is_causal), rtol=1e-14
    )
    assert [grad.shape for grad in grads] == [q.shape, k.shape, v.shape]


def test_views_with_strides_are_read_right(rng):
    q, k, v = arrays(rng)
    views = [np.ascontiguousarray(a.swapaxes(1, 2)).swapaxes(1, 2) for a in (q, k, v)]
    g = rng.standard_normal((B, T, H, E)).swapaxes(1, 2)
    out, grads = both(*views, g)
    np.testing.assert_allclose(out, reference.scaled_dot_product_attention(q, k, v), rtol=1e-12)
    for grad, want in zip(grads, both(q, k, v, g.copy())[1], strict=True):
        np.testing.assert_allclose(grad, want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("q_shape", "k_shape", "v_shape"),
    [
        ((2, 6, 5, 3), (2, 4, 7, 3), (2, 4, 7, 4)),  # 4 does not divide 6
        ((2, 6, 5, 3), (3, 6, 7, 3), (3, 6, 7, 4)),  # another batch
        ((2, 6, 5, 3), (2, 6, 7, 5), (2, 6, 7, 4)),  # another width
        ((6, 5, 3), (6, 7, 3), (6, 7, 4)),  # no batch
        ((2, 6, 5, 0), (2, 6, 7, 0), (2, 6, 7, 4)),  # no width
        ((2, 2, 5, 3), (2, 6, 7, 3), (2, 6, 7, 4)),  # fewer query heads than key heads
    ],
)
def test_queries_and_keys_that_do_not_fit_are_named(q_shape, k_shape, v_shape):
    with pytest.raises(ValueError, match="scaled_dot_product_attention: ") as error:
        both(np.ones(q_shape), np.ones(k_shape), np.ones(v_shape))
    assert str(q_shape) in str(error.value)
    assert str(k_shape) in str(error.value)


@pytest.mark.parametrize("v_shape", [(2, 2, 5, 4), (2, 6, 7, 4), (2, 7, 4)])
def test_values_that_do_not_fit_are_named(v_shape):
    with pytest.raises(ValueError, match=re.escape(f"v {v_shape} must have")):
        both(np.ones((2, 6, 5, 3)), np.ones((2, 2, 7, 3)), np.ones(v_shape))


@pytest.mark.parametrize("shape", [(7, 5), (3, 1, 5, 7), (2, 2, 5, 7), (1, 2, 6, 5, 7), (6,)])
def test_a_mask_that_does_not_broadcast_is_named(rng, shape):
    with pytest.raises(ValueError, match=re.escape(f"visible {shape} does not broadcast")):
        both(*arrays(rng), visible=np.ones(shape, dtype=bool))


@pytest.mark.parametrize("dtype", [int, float, np.float32])
def test_a_mask_that_is_not_boolean_is_refused_with_the_way_to_write_it(rng, dtype):
    with pytest.raises(TypeError, match=r"visible must be a boolean array.*write visible == 1"):
        both(*arrays(rng), visible=np.ones((T, S), dtype=dtype))


def test_a_scale_that_is_no_number_is_refused(rng):
    q, k, v = arrays(rng)
    for scale in ("a", [0.5], np.ones(2)):
        with pytest.raises(
            TypeError, match="scaled_dot_product_attention: scale must be a number or "
        ):
            ops.scaled_dot_product_attention_forward(q, k, v, scale=scale)
        with pytest.raises(
            TypeError, match="attention_probabilities: scale must be a number or None"
        ):
            ops.attention_probabilities(q, k, scale=scale)
    for scale in (0.5, np.float32(0.5), np.array(0.5)):
        ops.scaled_dot_product_attention_forward(q, k, v, scale=scale)
