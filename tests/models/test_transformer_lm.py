"""Transformer language model: PyTorch's results, masks, positions, cache, errors."""

import math

import numpy as np
import pytest

from minillm import no_grad
from minillm.gradcheck import check_model
from minillm.models import TransformerLanguageModel, TransformerLMConfig

from ..device.conftest import open_device
from .seq_golden import (
    assert_agrees,
    assert_saved_and_loaded,
    assert_step_is_that_of_the_host,
    cases,
)

SHAPE = (13, 6, 3, 4, 2)  # ntoken, ninp, nhead, nhid, nlayers
MASK = np.array([[1] * 7, [0, 0, 1, 1, 1, 1, 1]])


def model(dropout=0.0, dtype=np.float64, **changes):
    return TransformerLanguageModel(
        *SHAPE, dropout, max_position_embeddings=20, dtype=dtype, rng=np.random.default_rng(3),
        **changes,
    )  # fmt: skip


@pytest.fixture
def ids(rng):
    return rng.integers(0, 13, (2, 7))


# ------------------------------------------------------------------------ agreement with PyTorch


def test_logits_loss_and_every_gradient_agree_with_pytorch():
    golden = cases()["transformer_lm"]
    assert_agrees(model(), golden, seen=golden["input"]["attention_mask"] == 1)


# -------------------------------------------------------------------------------------- the model


def test_the_arguments_stand_in_the_order_of_the_tutorials():
    config = TransformerLanguageModel(11, 8, 2, 5, 3, 0.25).config
    assert (config.ntoken, config.ninp, config.nhead, config.nhid) == (11, 8, 2, 5)
    assert (config.nlayers, config.dropout) == (3, 0.25)
    assert TransformerLMConfig().dropout == 0.5
    same = TransformerLanguageModel(config)
    assert same.config is config
    assert len(same.transformer_encoder.layers) == 3


def test_layers_are_drawn_each_for_itself():
    weights = [each.feed_forward.linear1.weight.data for each in model().transformer_encoder.layers]
    assert (weights[0] != weights[1]).all()
    wide = TransformerLanguageModel(300, 60, 3, 4, 1, rng=np.random.default_rng(0))
    assert abs(wide.encoder.weight.data.std() - 1) < 0.02  # as in nn.Embedding


def test_embeddings_are_scaled_before_positions_are_added(ids):
    lm = model()
    seen = []
    lm.transformer_encoder.forward = lambda x, **_: (seen.append(x.data), x)[1]
    lm(ids)
    table = lm.encoder.weight.data
    for t in range(7):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            expected = table[ids[:, t], 2 * i : 2 * i + 2] * math.sqrt(6)
            expected = expected + [math.sin(angle), math.cos(angle)]
            np.testing.assert_allclose(seen[0][:, t, 2 * i : 2 * i + 2], expected)


def test_dropout_acts_in_training_only(ids):
    lm = model(0.5).eval()
    with no_grad():
        np.testing.assert_array_equal(lm(ids).logits.data, lm(ids).logits.data)
        padded = lm(ids, attention_mask=MASK).logits.data
        np.testing.assert_array_equal(lm(ids, attention_mask=MASK).logits.data, padded)
        lm.train()
        assert (lm(ids).logits.data != lm(ids).logits.data).any()


# ------------------------------------------------------------------------------------------ masks


def test_no_token_sees_a_later_one(ids):
    other = ids.copy()
    other[:, 4] = (ids[:, 4] + 1) % 13
    lm = model()
    first, second = lm(ids).logits.data, lm(other).logits.data
    np.testing.assert_array_equal(first[:, :4], second[:, :4])
    assert (first[:, 4:] != second[:, 4:]).any(axis=-1).all()


def test_a_source_mask_takes_the_place_of_the_causal_one(ids):
    lm = model()
    causal = lm(ids).logits.data
    mask = TransformerLanguageModel.square_subsequent_visible(7)
    np.testing.assert_array_equal(lm(ids, src_visible=mask).logits.data, causal)
    whole = lm(ids, src_visible=np.ones((7, 7), dtype=bool)).logits.data
    assert (np.abs(whole[:, :-1] - causal[:, :-1]) > 1e-9).any(axis=-1).all()
    # in a single layer the last position sees everything either way
    one_layer = TransformerLanguageModel(13, 6, 3, 4, 1, 0.0, dtype=np.float64)
    causal = one_layer(ids).logits.data[:, -1]
    whole = one_layer(ids, src_visible=np.ones((7, 7), dtype=bool)).logits.data[:, -1]
    np.testing.assert_allclose(whole, causal)


def test_the_key_padding_mask_may_be_given_in_two_ways(ids):
    lm = model()
    expected = lm(ids, attention_mask=MASK).logits.data
    found = lm(ids, src_key_visible=MASK == 1).logits.data
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="attention_mask and src_key_visible say the same"):
        lm(ids, attention_mask=MASK, src_key_visible=MASK == 1)


def test_a_left_padded_text_gives_the_logits_of_the_unpadded_one(ids):
    lm = model()
    alone = lm(ids[1:, 2:]).logits.data[0]
    np.testing.assert_allclose(lm(ids, attention_mask=MASK).logits.data[1, 2:], alone)


def test_masks_of_pytorch_are_explained(ids):
    hidden = ~TransformerLanguageModel.square_subsequent_visible(7)
    with pytest.raises(TypeError, match="write src_visible=~src_mask;"):
        model()(ids, src_mask=hidden)
    with pytest.raises(TypeError, match="write src_key_visible=~src_key_padding_mask"):
        model()(ids, src_key_padding_mask=MASK == 0)


# -------------------------------------------------------------------------------------- gradients


def test_the_gradient_check_passes(ids):
    report = check_model(model(), ids, labels=ids, attention_mask=MASK)
    assert report.passed, report


def test_a_training_step_on_a_device_is_that_of_the_host(ids):
    for more in ({}, {"attention_mask": MASK}):
        inputs = {"input_ids": ids, "labels": ids, **more}
        assert_step_is_that_of_the_host(
            lambda: model(0.3, np.float32), inputs, open_device("strict")
        )


# ------------------------------------------------------------------------------------------ cache


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("steps", [[7], [3, 1, 1, 2], [4, 3]])
def test_a_cache_changes_nothing(ids, steps, padded):
    lm = model(dtype=np.float32)
    mask = {"attention_mask": MASK} if padded else {}
    expected = lm(ids, **mask).logits.data
    with no_grad():
        cache, found, start = lm.new_cache(2), [], 0
        for n in steps:
            end = start + n
            now = {"attention_mask": MASK[:, :end]} if padded else {}
            found.append(lm(ids[:, start:end], cache=cache, **now).logits.data)
            start = end
    assert cache.length == 7
    seen = MASK == 1 if padded else np.ones_like(MASK, bool)
    found = np.concatenate(found, axis=1)
    np.testing.assert_allclose(found[seen], expected[seen], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_with_and_without_a_cache_is_the_same(ids, beams):
    lm = model()
    texts = [
        lm.generate(ids, attention_mask=MASK, max_new_tokens=9, num_beams=beams, use_cache=c)
        for c in (True, False)
    ]
    assert texts[0].shape == (2, 16)
    np.testing.assert_array_equal(*texts)
    alone = lm.generate(ids[1:, 2:], max_new_tokens=9, num_beams=beams)
    np.testing.assert_array_equal(texts[0][1, 7:], alone[0, 5:])


def test_greedy_text_is_the_most_probable_token_each_time(ids):
    lm = model()
    text = lm.generate(ids, max_new_tokens=5)
    for end in range(7, 12):
        best = lm(text[:, :end]).logits.data[:, -1].argmax(axis=-1)
        np.testing.assert_array_equal(text[:, end], best)


def test_generation_on_a_device_is_that_of_the_host(ids):
    texts = []
    for place in ("cpu", open_device("strict")):
        lm = model(dtype=np.float32).to(place)
        texts.append(lm.generate(ids, attention_mask=MASK, max_new_tokens=6, num_beams=2))
    np.testing.assert_array_equal(*texts)


def test_only_the_last_logits_where_no_more_are_wanted(ids):
    lm = model()
    np.testing.assert_allclose(lm(ids, logits_to_keep=2).logits.data, lm(ids).logits.data[:, -2:])


# ------------------------------------------------------------------------------------------ files


def test_a_saved_model_is_the_same_model(ids, tmp_path):
    assert_saved_and_loaded(model(0.2, np.float32, eos_token_id=3), tmp_path, ids)


# ------------------------------------------------------------------------------------ wrong input


def test_wrong_calls_are_refused(ids):
    lm = model()
    with pytest.raises(ValueError, match=r"\(1, 21\) are longer than the 20 positions of the mod"):
        lm(np.ones((1, 21), int))
    with pytest.raises(ValueError, match="21 tokens are more than the 20 positions"):
        lm.generate(ids, max_length=21)
    with pytest.raises(ValueError, match=r"= 13 is outside 0 … 12"):
        lm([[1, 2]], [[1, 13]])
    with pytest.raises(ValueError, match=r"labels \(2, 3\) must have the shape of input_ids"):
        lm(ids, ids[:, :3])
    with pytest.raises(ValueError, match="logits_to_keep must be 0"):
        lm(ids, ids, logits_to_keep=-1)
    with pytest.raises(ValueError, match="holds no tokens"):
        lm(np.zeros((1, 0), int))
    with pytest.raises(ValueError, match="have 2 rows, but the cache was made for 3"):
        lm(ids, cache=lm.new_cache(3))
    with no_grad():
        cache = lm.new_cache(1)
        lm(np.ones((1, 20), int), cache=cache)
        with pytest.raises(ValueError, match="after 20 tokens in the cache are longer than the 20"):
            lm([[1]], cache=cache)


def test_wrong_configs_and_unknown_arguments_are_refused():
    with pytest.raises(ValueError, match="ninp 7 must be a multiple of nhead 3"):
        TransformerLMConfig(ninp=7, nhead=3)
    with pytest.raises(ValueError, match=r"nlayers must be an integer of at least 1, got 2\.0"):
        TransformerLMConfig(nlayers=2.0)
    with pytest.raises(ValueError, match=r"ntoken must be an integer of at least 1, got 10\.5"):
        TransformerLanguageModel(10.5)
    with pytest.raises(ValueError, match="dropout must be a number within 0 … 1, got 2"):
        TransformerLMConfig(dropout=2)
    with pytest.raises(ValueError, match="bos_token_id must be an id within 0 … 9, got -1"):
        TransformerLMConfig(ntoken=10, bos_token_id=-1)
    with pytest.raises(TypeError, match="there is no argument 'heads'; it takes ntoken, ninp"):
        TransformerLanguageModel(10, heads=2)
    with pytest.raises(TypeError, match="ninp given beside a config"):
        TransformerLanguageModel(TransformerLMConfig(ntoken=10), 4)
