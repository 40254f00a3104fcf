"""Baselines and metrics, against sums written out by hand."""

import lzma
import math
import zlib

import numpy as np
import pytest

from minillm.training import (
    bigram_loss,
    bits_per_byte,
    compressor_bits_per_byte,
    perplexity,
    uniform_loss,
    unigram_loss,
)

A, B, C = 0, 1, 2


def test_uniform_is_the_logarithm_of_the_vocabulary():
    assert uniform_loss(2) == math.log(2)
    assert uniform_loss(1) == 0
    np.testing.assert_allclose(math.exp(uniform_loss(65)), 65)


def test_unigram_counts_the_training_text_with_one_added():
    # AABA: A 3 + 1, B 1 + 1, C 0 + 1 of 7
    p = {A: 4 / 7, B: 2 / 7, C: 1 / 7}
    validation = [C, A, C, B]
    expected = -(math.log(p[A]) + math.log(p[C]) + math.log(p[B])) / 3  # the first is not predicted
    np.testing.assert_allclose(unigram_loss([A, A, B, A], validation, 3), expected)


def test_bigram_counts_the_pairs_with_one_added():
    # ABCABA: pairs AB AB BC CA BA.  From A: 1 3 1 of 5; from B: 2 1 2 of 5; from C: 2 1 1 of 4
    validation = [A, B, A, C, A, B]
    p = [3 / 5, 2 / 5, 1 / 5, 2 / 4, 3 / 5]
    expected = -sum(map(math.log, p)) / 5
    np.testing.assert_allclose(bigram_loss([A, B, C, A, B, A], validation, 3), expected)


def test_bigram_beats_unigram_beats_uniform_on_a_text_that_alternates():
    ids = np.tile([0, 1], 200)
    ids[::10] = 2
    losses = bigram_loss(ids, ids, 5), unigram_loss(ids, ids, 5), uniform_loss(5)
    assert losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize("loss", [unigram_loss, bigram_loss])
def test_tokens_that_never_occurred_have_a_finite_loss(loss):
    assert math.isfinite(loss([A, A, A], [B, C, B], 3))


def test_compressors_are_measured_in_bits_per_byte_of_utf_8():
    text = "世界 hello " * 30
    size = 30 * (2 * 3 + 7)
    results = compressor_bits_per_byte(text)
    data = text.encode("utf-8")
    assert len(data) == size
    assert results["zlib"] == 8 * len(zlib.compress(data, 9)) / size
    assert results["lzma"] == 8 * len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)) / size


def test_compressors_win_on_repetition_and_lose_on_noise():
    noise = "".join(map(chr, np.random.default_rng(0).integers(0, 128, 4000)))
    assert compressor_bits_per_byte("ab" * 4000)["zlib"] < 0.1
    assert compressor_bits_per_byte(noise)["zlib"] > 6.9  # 7 bits each


def test_perplexity_is_the_number_of_equal_choices():
    np.testing.assert_allclose(perplexity(math.log(37)), 37)
    assert perplexity(0.0) == 1
    assert perplexity(1e6) == math.inf


def test_bits_per_byte_by_hand():
    # 3 tokens of 2 bits each for 4 bytes
    np.testing.assert_allclose(bits_per_byte(2 * math.log(2), tokens=3, num_bytes=4), 1.5)


@pytest.mark.parametrize("sizes", [(1, 0), (1, -2), (-1, 4)])
def test_bits_per_byte_of_nothing_is_refused(sizes):
    with pytest.raises(ValueError, match="bytes"):
        bits_per_byte(1.0, *sizes)
