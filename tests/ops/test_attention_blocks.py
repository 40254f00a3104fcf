"""Attention in blocks is attention: every mask, every grouping, blocks that do not divide the sizes."""

import tracemalloc

import numpy as np
import pytest

from minillm import ops
from minillm.gradcheck import check_gradients
from minillm.ops import attention, attention_blocks

B, H, T, S, D, E = 2, 6, 11, 13, 3, 5


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(attention_blocks, "BLOCK", 4)


@pytest.fixture
def in_blocks(monkeypatch):
    """Call to make every attention a long one."""
    return lambda: monkeypatch.setattr(attention, "LONG", 0)


def arrays(rng, groups):
    shapes = ((B, H, T, D), (B, groups, S, D), (B, groups, S, E), (B, H, T, E))
    return [rng.standard_normal(shape) for shape in shapes]


def mask(rng, kind):
    visible = rng.random((B, H, T, S)) < 0.5
    visible[:, :, 2] = False  # a query that sees nothing
    visible[..., :5] = False  # keys that nobody sees: the first block is empty
    return {
        "none": None, "full": visible, "per batch": visible[:, :1], "keys": visible[:1, :1, :1],
        "matrix": visible[0, 0], "queries": visible[..., :1], "row": np.arange(S) % 3 > 0,
    }[kind]  # fmt: skip


def both(q, k, v, g, **options):
    out, saved = ops.scaled_dot_product_attention_forward(q, k, v, **options)
    return [out, *ops.scaled_dot_product_attention_backward(g, saved)], saved


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("kind", ["none", "full", "per batch", "keys", "matrix", "queries", "row"])
def test_blocks_change_the_order_of_the_work_only(rng, in_blocks, groups, is_causal, kind):
    q, k, v, g = arrays(rng, groups)
    options = {"visible": mask(rng, kind), "is_causal": is_causal, "scale": 0.7}
    whole, _ = both(q, k, v, g, **options)
    in_blocks()
    parts, saved = both(q, k, v, g, **options)
    assert isinstance(saved, attention_blocks.Saved)
    for part, expected in zip(parts, whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-11, atol=1e-13)


def test_scores_that_grow_from_block_to_block_do_not_overflow(rng, in_blocks):
    q, k, v, g = arrays(rng, 6)
    k *= np.linspace(1, 900, S)[:, None]  # the maximum moves in every block
    whole, _ = both(q, k, v, g)
    in_blocks()
    for part, expected in zip(both(q, k, v, g)[0], whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("keys", [T - 4, T, T + 7])
def test_queries_before_the_first_key_and_caches(rng, in_blocks, keys):
    q, k, v, g = arrays(rng, 2)
    k, v = np.concatenate([k, k], axis=2)[:, :, :keys], np.concatenate([v, v], axis=2)[:, :, :keys]
    whole, _ = both(q, k, v, g, is_causal=True)
    in_blocks()
    for part, expected in zip(both(q, k, v, g, is_causal=True)[0], whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-11, atol=1e-13)


def test_the_gradient_check_passes_in_blocks_and_sees_a_wrong_one(rng, in_blocks):
    in_blocks()
    q, k, v, _ = (x[:1] for x in arrays(rng, 2))
    forward, backward = (
        ops.scaled_dot_product_attention_forward,
        ops.scaled_dot_product_attention_backward,
    )
    assert check_gradients(forward, backward, q, k, v, is_causal=True).passed

    def without_delta(grad_out, saved):
        return backward(grad_out, saved._replace(out=np.zeros_like(saved.out)))

    assert not check_gradients(forward, without_delta, q, k, v, is_causal=True).passed


def test_float32_stays_float32_and_nothing_is_overwritten(rng, in_blocks):
    in_blocks()
    q, k, v, g = (x.astype(np.float32) for x in arrays(rng, 2))
    copies = [x.copy() for x in (q, k, v, g)]
    results, saved = both(q, k, v, g, is_causal=True)
    assert {x.dtype for x in results} == {np.dtype(np.float32)}
    for x, copy in zip((q, k, v, g), copies, strict=True):
        assert np.array_equal(x, copy)
    again = ops.scaled_dot_product_attention_backward(g, saved)
    assert all(np.array_equal(a, b) for a, b in zip(again, results[1:], strict=True))


def test_dropout_keeps_the_plain_way(rng, in_blocks):
    in_blocks()
    q, k, v, g = arrays(rng, 2)
    _, saved = both(q, k, v, g, dropout_p=0.3, rng=np.random.default_rng(0))
    assert not isinstance(saved, attention_blocks.Saved)


def test_an_empty_sequence_of_keys_gives_zeros(rng, in_blocks):
    in_blocks()
    q, k, v, g = arrays(rng, 2)
    results, _ = both(q, k[:, :, :0], v[:, :, :0], g)
    assert all((x == 0).all() for x in results)


def peak(length):
    """Bytes that forward and backward of one head take, at most."""
    q, k, v, g = np.random.default_rng(0).standard_normal((4, 1, 1, length, 16), dtype=np.float32)
    tracemalloc.start()
    both(q, k, v, g, is_causal=True)
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return top


def test_memory_grows_with_the_length_not_with_its_square(monkeypatch, in_blocks):
    monkeypatch.setattr(attention_blocks, "BLOCK", 64)
    monkeypatch.setattr(attention, "LONG", 10**9)
    plain = peak(1000) / peak(250)
    in_blocks()
    blocks = peak(2000) / peak(500)
    assert plain > 10
    assert blocks < 5
