"""The cache by itself: what is written comes back, in place."""

import numpy as np
import pytest

from minillm import Tensor
from minillm.backend import Device
from minillm.generation import KVCache

from ..device import strict

SIZE = {"layers": 2, "batch": 3, "heads": 2, "width": 4}


@pytest.fixture(params=["cpu", "strict"])
def xp(request):
    """Arrays of the host, and of the stand-in for a device."""
    strict.counters.reset()
    return Device(request.param).xp


def host(array):
    array = array.data if isinstance(array, Tensor) else array
    return array.get() if hasattr(array, "get") else array


def filled(xp, lengths=(3, 2), capacity=8, seed=0, **changes):
    """(a cache after some steps, the keys (layers, B, G, S, D), the values)."""
    cache = KVCache(**{**SIZE, **changes}, capacity=capacity, like=xp.zeros(1))
    B, G, D = cache.batch, cache.heads, cache.width
    rng = np.random.default_rng(seed)
    shape = (cache.layers, B, G, sum(lengths), D)
    k, v = (rng.standard_normal(shape).astype(np.float32) for _ in "kv")
    start = 0
    for n in lengths:
        for layer in range(cache.layers):
            part = np.s_[layer, :, :, start : start + n]
            cache.append(layer, xp.asarray(k[part]), xp.asarray(v[part]))
        start += n
    return cache, k, v


def contents(cache):
    """(keys, values) as they are now: (layers, B, G, S, D)."""
    B, G, D = cache.batch, cache.heads, cache.width
    nothing = cache._keys[0][:, :, :0]
    assert nothing.shape == (B, G, 0, D)
    pairs = [cache.append(layer, nothing, nothing) for layer in range(cache.layers)]
    return np.stack([host(k) for k, _ in pairs]), np.stack([host(v) for _, v in pairs])


def assert_holds(cache, k, v):
    found = contents(cache)
    np.testing.assert_array_equal(found[0], k)
    np.testing.assert_array_equal(found[1], v)
    assert cache.length == k.shape[3]


def test_what_was_appended_comes_back_in_order(xp):
    assert_holds(*filled(xp, (3, 1, 2)))


def test_the_results_are_views_without_gradient():
    cache, _, _ = filled(np)
    x = np.ones((3, 2, 1, 4), np.float32)
    k, v = cache.append(0, Tensor(x), Tensor(x))
    assert isinstance(k, Tensor)
    assert not k.requires_grad
    assert np.shares_memory(k.data, cache._keys[0])
    assert np.shares_memory(v.data, cache._values[0])
    assert k.shape == v.shape == (3, 2, 6, 4)


def test_a_step_counts_when_every_layer_has_written():
    cache, _, _ = filled(np, (3,))
    x = np.ones((3, 2, 2, 4), np.float32)
    cache.append(0, x, x)
    assert cache.length == 3
    cache.append(1, x, x)
    assert cache.length == 5


@pytest.mark.parametrize("lengths", [(5, 6), (1,) * 21, (30,)])
def test_a_full_cache_grows_and_keeps_what_it_has(lengths, xp):
    cache, k, v = filled(xp, lengths, capacity=4)
    assert_holds(cache, k, v)
    assert sum(lengths) <= cache.capacity < 2 * max(sum(lengths), 4)


def test_a_cache_that_is_large_enough_never_moves():
    cache = KVCache(**SIZE, capacity=6)
    before = cache._keys[0]
    x = np.ones((3, 2, 3, 4), np.float32)
    for _ in range(2):
        cache.append(0, x, x)
    assert cache._keys[0] is before


def test_a_fixed_cache_does_not_grow():
    cache = KVCache(**SIZE, capacity=4, fixed=True)
    x = np.ones((3, 2, 3, 4), np.float32)
    cache.append(0, x, x)
    with pytest.raises(ValueError, match="6 positions do not fit into a fixed cache of 4"):
        cache.append(0, x, x)


@pytest.mark.parametrize("rows", [[2, 2, 0], [1, 0, 2], [0, 1, 2], [1, 1, 1], [0], [2, 2, 1, 0, 0]])
def test_rows_are_reordered_and_repeated(rows, xp):
    cache, k, v = filled(xp)
    cache.reorder(np.array(rows))
    assert cache.batch == len(rows)
    assert_holds(cache, k[:, rows], v[:, rows])


def test_a_reordered_cache_goes_on(xp):
    cache, k, _ = filled(xp)
    cache.reorder([2, 0])
    x = np.full((2, 2, 1, 4), 7, np.float32)
    found = host(cache.append(0, xp.asarray(x), xp.asarray(x))[0])
    np.testing.assert_array_equal(found, np.concatenate([k[0, [2, 0]], x], axis=2))


def test_reorder_leaves_a_shared_beginning_alone():
    cache, k, _ = filled(np)
    cache.reorder([1, 1, 0], start=3)
    expected = k.copy()
    expected[:, :, :, 3:] = k[:, [1, 1, 0], :, 3:]
    np.testing.assert_array_equal(contents(cache)[0], expected)


def test_rows_in_their_places_cost_nothing():
    cache, _, _ = filled(np)
    before = cache._keys[0]
    before.flags.writeable = False
    cache.reorder([0, 1, 2])
    assert cache._keys[0] is before


def test_repeat_puts_the_copies_of_a_row_together(xp):
    cache, k, v = filled(xp)
    cache.repeat(2)
    rows = [0, 0, 1, 1, 2, 2]
    assert_holds(cache, k[:, rows], v[:, rows])
    cache.repeat(1)
    assert cache.batch == 6


def test_crop_forgets_the_end_and_reset_everything(xp):
    cache, k, v = filled(xp)
    cache.crop(4)
    assert_holds(cache, k[:, :, :, :4], v[:, :, :, :4])
    cache.reset()
    assert cache.length == 0
    x = xp.asarray(k[0])
    np.testing.assert_array_equal(host(cache.append(0, x, x)[0]), k[0])


def test_nbytes_counts_keys_and_values():
    assert KVCache(**SIZE, capacity=8).nbytes == 2 * (2 * 3 * 2 * 4) * 8 * 4
    assert KVCache(**SIZE, capacity=8, dtype=np.float64).nbytes == 2 * (2 * 3 * 2 * 4) * 8 * 8


def test_a_cache_describes_itself():
    text = "KVCache(2 layers, batch 3, 2 heads of 4, 5 of 8 positions, 0.0 MB)"
    assert repr(filled(np)[0]) == text


X = np.ones((3, 2, 1, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c.append(0, Tensor(X, True), X), RuntimeError, r"no_grad\(\)"),
        (lambda c: c.append(0, X, X[:2]), ValueError, r"\(2, 2, 1, 4\) must both be \(batch 3"),
        (lambda c: c.append(0, X[:2], X[:2]), ValueError, "batch 3, heads 2"),
        (lambda c: c.append(0, X[..., :3], X[..., :3]), ValueError, "width 4"),
        (lambda c: c.append(0, X[0], X[0]), ValueError, "new tokens"),
        (lambda c: c.append(0, X.astype(float), X), TypeError, "holds float32"),
        (lambda c: c.reorder([3]), ValueError, r"within 0 … 2"),
        (lambda c: c.reorder([-1, 0, 1]), ValueError, r"within 0 … 2"),
        (lambda c: c.reorder([]), ValueError, "row numbers"),
        (lambda c: c.reorder([0.5]), ValueError, "row numbers"),
        (lambda c: c.repeat(0), ValueError, "at least 1"),
        (lambda c: c.crop(6), ValueError, "0 … 5"),
        (lambda c: c.crop(-1), ValueError, "got -1"),
        (lambda c: KVCache(0, 1, 1, 1, 1), ValueError, "layers must be at least 1, got 0"),
        (lambda c: KVCache(1, 1, 1, 1, 0), ValueError, "capacity must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(filled(np)[0])
