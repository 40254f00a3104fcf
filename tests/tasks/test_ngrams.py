"""N-grams against formula (1), counted by hand."""

import math

import numpy as np
import pytest

from minillm.tasks.ngrams import NGram

TEXT = [[0, 1, 2, 1], [0, 1, 1]]  # predicted: 1 2 1 | 1 1


def test_probabilities_by_hand():
    model = NGram(3, vocab_size=3).fit(TEXT)
    # single words: 1 came four times, 2 once; two different ones
    one = (4 + 2 / 3) / (5 + 2)
    assert model.probability(1, []) == pytest.approx(one)
    # after 1 came 2 and 1, once each
    after_1 = (1 + 2 * one) / (2 + 2)
    assert model.probability(1, [1]) == pytest.approx(after_1)
    # after 0 1 came 2 and 1, once each
    assert model.probability(1, [0, 1]) == pytest.approx((1 + 2 * after_1) / (2 + 2))
    # after 2 1 nothing ever came: what is known after 1 alone
    assert model.probability(1, [2, 1]) == pytest.approx(after_1)
    # words further back make no difference
    assert model.probability(1, [2, 0, 1]) == model.probability(1, [0, 1])


def test_every_distribution_sums_to_one_and_agrees_with_the_single_probabilities():
    rng = np.random.default_rng(0)
    model = NGram(3, vocab_size=7).fit(rng.integers(0, 7, (20, 9)).tolist())
    for context in ([], [3], [0, 1], [6, 6, 6]):
        p = model.distribution(context)
        assert p.sum() == pytest.approx(1)
        assert p == pytest.approx([model.probability(w, context) for w in range(7)])


def test_nats_start_with_the_first_token_given():
    model = NGram(2, vocab_size=3).fit(TEXT)
    (nats,) = model.nats([[0, 1, 2]])
    expected = [-math.log(model.probability(1, [0])), -math.log(model.probability(2, [1]))]
    assert nats.tolist() == pytest.approx(expected)


def test_a_text_without_choice_is_written_again():
    model = NGram(3, vocab_size=5).fit([[0, 3, 4, 3, 1]] * 400)
    assert model.sample([0], end=1, most=9, rng=np.random.default_rng(0)) == [0, 3, 4, 3, 1]
    assert len(model.sample([0], end=2, most=6, rng=np.random.default_rng(0))) == 7


@pytest.mark.parametrize(("order", "vocab_size"), [(0, 5), (2, 0), (1.5, 5)])
def test_sizes_without_meaning_are_refused(order, vocab_size):
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        NGram(order, vocab_size)
