"""GPT-2 with a cache gives the logits of GPT-2 without."""

import time

import numpy as np
import pytest

from minillm import no_grad
from minillm.backend import Device
from minillm.models import GPT2Config, GPT2LMHeadModel

from ..device import strict

B, T, V = 3, 20, 37
PADS = np.array([4, 0, 9])


def gpt(dtype=np.float32, **changes):
    sizes = {"vocab_size": V, "n_positions": 24, "n_embd": 24, "n_layer": 3, "n_head": 4}
    config = GPT2Config(**{**sizes, "initializer_range": 0.2, **changes})
    return GPT2LMHeadModel(config, dtype=dtype, rng=np.random.default_rng(3)).eval()


@pytest.fixture
def ids(rng):
    return rng.integers(0, V, (B, T))


def in_pieces(model, ids, cuts, mask=None, capacity=T):
    """Logits (B, T, V) of a sequence that comes in pieces of these lengths."""
    cache, out, end = model.new_cache(B, capacity), [], 0
    for n in cuts:
        start, end = end, end + n
        options = {} if mask is None else {"attention_mask": mask[:, :end]}
        out.append(model(ids[:, start:end], cache=cache, **options).logits.numpy())
        assert cache.length == end
    return np.concatenate(out, axis=1)


CUTS = [(20,), (7, 13), (1,) * 20, (10, 1, 1, 5, 3), (2, 18)]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("cuts", CUTS, ids=str)
@pytest.mark.parametrize(("dtype", "precision"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_pieces_give_the_logits_of_the_whole(cuts, padded, dtype, precision, ids):
    mask = (np.arange(T) >= PADS[:, None]).astype(int) if padded else np.ones((B, T), int)
    model = gpt(dtype)
    with no_grad():
        whole = model(ids, attention_mask=mask).logits.numpy()
        found = in_pieces(model, ids, cuts, mask if padded else None)
    tokens = mask.astype(bool)
    np.testing.assert_allclose(found[tokens], whole[tokens], rtol=precision, atol=precision)


@pytest.mark.parametrize(
    "changes",
    [{"bias": False}, {"tie_word_embeddings": False}, {"activation_function": "gelu"}],
    ids=str,
)
def test_every_kind_of_gpt2_has_a_cache(changes, ids):
    model = gpt(**changes)
    with no_grad():
        whole = model(ids).logits.numpy()
        np.testing.assert_allclose(in_pieces(model, ids, (9, 1, 10)), whole, rtol=1e-5, atol=1e-5)


def test_a_padded_prompt_goes_on_as_without_padding(ids):
    model = gpt()
    mask = np.arange(T) >= PADS[:, None]
    with no_grad():
        padded = in_pieces(model, ids, (12, 1, 1, 6), mask)
        for row, pads in enumerate(PADS):
            alone = model(ids[row : row + 1, pads:]).logits.numpy()[0]
            np.testing.assert_allclose(padded[row, pads:], alone, rtol=1e-5, atol=1e-5)


def test_a_small_cache_grows(ids):
    model = gpt()
    with no_grad():
        found = in_pieces(model, ids, (3, 1, 1, 15), capacity=2)
        np.testing.assert_allclose(found, model(ids).logits.numpy(), rtol=1e-5, atol=1e-5)


def test_beams_go_on_from_a_reordered_cache(ids):
    model, rows = gpt(), [2, 0, 2]
    with no_grad():
        cache = model.new_cache(B, T)
        model(ids[:, :10], cache=cache)
        cache.reorder(rows)
        found = model(ids[:, 10:11], cache=cache).logits.numpy()
        texts = np.concatenate([ids[rows, :10], ids[:, 10:11]], axis=1)
        expected = model(texts).logits.numpy()[:, -1:]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_device_gives_the_same_and_is_not_waited_for(ids):
    strict.counters.reset()
    device, mask = Device("strict"), np.arange(T) >= PADS[:, None]
    with no_grad():
        expected = in_pieces(gpt(), ids, (5, 1, 14), mask)
        model = gpt().to(device)
        cache = model.new_cache(B, T)
        strict.counters.reset()
        first = model(ids[:, :5], attention_mask=mask[:, :5], cache=cache)
        second = model(ids[:, 5:6], attention_mask=mask[:, :6], cache=cache)
        assert strict.counters.synchronisations == strict.counters.downloads == 0
    np.testing.assert_array_equal(first.logits.numpy(), expected[:, :5])
    np.testing.assert_array_equal(second.logits.numpy(), expected[:, 5:6])


@pytest.mark.parametrize("n", [1, 3, 20])
def test_the_last_logits_alone(n, ids):
    model = gpt()
    with no_grad():
        last = model(ids, logits_to_keep=n).logits
        assert last.shape == (B, n, V)
        whole = model(ids).logits.numpy()
        np.testing.assert_allclose(last.numpy(), whole[:, -n:], rtol=1e-5, atol=1e-6)


def test_a_token_costs_hardly_more_after_ten_times_the_text(rng):
    """The brief's 2x, with some room for a busy machine: recomputing the prefix would be 10x."""
    config = GPT2Config(vocab_size=97, n_positions=700, n_embd=128, n_layer=4, n_head=4)
    model = GPT2LMHeadModel(config, rng=rng).eval()
    ids = rng.integers(0, 97, (1, 641))

    def seconds(length):
        cache = model.new_cache(1, 700)
        model(ids[:, :length], cache=cache)
        times = []
        for _ in range(25):
            start = time.perf_counter()
            model(ids[:, length : length + 1], cache=cache, logits_to_keep=1)
            times.append(time.perf_counter() - start)
            cache.crop(length)
        return min(times)

    with no_grad():
        ratios = [seconds(640) / seconds(64) for _ in range(3)]
    assert min(ratios) < 2


def grad_call(model, ids):
    return model(ids, cache=model.new_cache(B, T))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (grad_call, RuntimeError, r"within minillm.no_grad\(\)"),
        (lambda m, ids: m(ids, logits_to_keep=-1), ValueError, "logits_to_keep"),
        (lambda m, ids: m(ids, labels=ids, logits_to_keep=1), ValueError, "needs all logits"),
        (
            lambda m, ids: m(ids, cache=m.new_cache(B, T), output_attentions=True),
            ValueError,
            "without a cache",
        ),
    ],
)
def test_calls_that_do_not_fit_a_cache_are_explained(call, error, message, ids):
    with pytest.raises(error, match=message):
        call(gpt(), ids)


def test_too_long_a_text_is_refused_with_what_the_cache_holds(ids):
    model = gpt()
    cache = model.new_cache(B, T)
    with no_grad():
        model(ids, cache=cache)
        with pytest.raises(ValueError, match="after 20 tokens in the cache are longer than the 24"):
            model(ids[:, :5], cache=cache)
        assert cache.length == 20
        assert model(ids[:, :4], cache=cache).logits.shape == (B, 4, V)


@pytest.mark.parametrize("shape", [(B, 1), (B, 10), (B, 12), (B - 1, 11)])
def test_a_mask_must_cover_cached_and_new_tokens(shape, ids):
    model = gpt()
    cache = model.new_cache(B, T)
    with no_grad():
        model(ids[:, :10], cache=cache)
        with pytest.raises(ValueError, match=r"after 10 cached tokens must be \(3, 11\)"):
            model(ids[:, 10:11], attention_mask=np.ones(shape, int), cache=cache)
