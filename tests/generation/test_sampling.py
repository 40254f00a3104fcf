"""The distribution of the next token, against probabilities computed by hand."""

import numpy as np
import pytest

from minillm.generation import next_token, token_probabilities

LOGITS = np.log([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]).astype(np.float32)


def test_plain_logits_give_their_softmax():
    p = token_probabilities(LOGITS)
    assert p.dtype == np.float64
    np.testing.assert_allclose(p, [[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]], rtol=1e-6)


def test_temperature_is_a_power_of_the_probabilities():
    # t = 1/2 squares them: 16 : 4 : 1 : 1 and 1 : 4 : 9 : 16
    cold = [[16 / 22, 4 / 22, 1 / 22, 1 / 22], [1 / 30, 4 / 30, 9 / 30, 16 / 30]]
    np.testing.assert_allclose(token_probabilities(LOGITS, temperature=0.5), cold, rtol=1e-6)
    # t = 2 takes square roots
    hot = np.sqrt([[4, 2, 1, 1], [1, 2, 3, 4]])
    expected = hot / hot.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(token_probabilities(LOGITS, temperature=2), expected, rtol=1e-6)


def test_top_k_shares_the_probability_among_the_best():
    expected = [[2 / 3, 1 / 3, 0, 0], [0, 0, 3 / 7, 4 / 7]]
    np.testing.assert_allclose(token_probabilities(LOGITS, top_k=2), expected, rtol=1e-6)


def test_temperature_and_top_k_together():
    expected = [[16 / 20, 4 / 20, 0, 0], [0, 0, 9 / 25, 16 / 25]]
    p = token_probabilities(LOGITS, temperature=0.5, top_k=2)
    np.testing.assert_allclose(p, expected, rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_exactly_k_tokens_survive_ties(k):
    p = token_probabilities(np.zeros((2, 5), np.float32), top_k=k)
    np.testing.assert_allclose(p, [[1 / k] * k + [0] * (5 - k)] * 2)


def test_a_tie_for_the_last_place_goes_to_the_smaller_id():
    p = token_probabilities(np.array([[1.0, 3.0, 1.0, 1.0]]), top_k=2)
    assert (p > 0).tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("k", [None, 4, 5, 1000])
def test_a_k_that_is_not_smaller_than_the_vocabulary_changes_nothing(k):
    np.testing.assert_array_equal(token_probabilities(LOGITS, top_k=k), token_probabilities(LOGITS))


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_large_logits_neither_overflow_nor_vanish(shift):
    p = token_probabilities(LOGITS.astype(np.float64) + shift)
    np.testing.assert_allclose(p, token_probabilities(LOGITS), rtol=1e-6)


def test_hidden_tokens_have_no_probability():
    p = token_probabilities(np.array([[0.0, -np.inf, 0.0]]))
    np.testing.assert_array_equal(p, [[0.5, 0, 0.5]])


def test_the_logits_are_not_changed():
    before = LOGITS.copy()
    token_probabilities(LOGITS, temperature=0.5, top_k=1)
    np.testing.assert_array_equal(before, LOGITS)


def test_greedy_takes_the_most_probable_and_the_smaller_id_of_two():
    assert next_token(LOGITS).tolist() == [0, 3]
    assert next_token(np.array([[1.0, 2.0, 2.0]])).tolist() == [1]


class Fixed(np.random.Generator):
    """A generator that gives the same number each time."""

    def __init__(self, u):
        super().__init__(np.random.PCG64(0))
        self.u = u

    def random(self, size):
        return np.full(size, self.u)


@pytest.mark.parametrize(
    ("u", "token"),
    [(0.0, 0), (0.49, 0), (0.51, 1), (0.74, 1), (0.76, 2), (0.874, 2), (0.876, 3), (1 - 1e-16, 3)],
)
def test_a_token_is_drawn_by_inverting_the_distribution_function(u, token):
    assert next_token(LOGITS[:1], do_sample=True, rng=Fixed(u)).tolist() == [token]


@pytest.mark.parametrize("u", [0.0, 1 - 1e-16])
def test_a_token_without_probability_is_never_drawn(u):
    logits = np.array([[-np.inf, 0.0, 0.0, 0.0, -np.inf]])
    assert next_token(logits, do_sample=True, rng=Fixed(u))[0] in {1, 2, 3}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.5, 0.25, 0.125, 0.125]),
        ({"temperature": 0.5}, [16 / 22, 4 / 22, 1 / 22, 1 / 22]),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0]),
    ],
)
def test_tokens_come_as_often_as_they_should(options, expected):
    n = 20_000
    logits = np.broadcast_to(LOGITS[0], (n, 4))
    drawn = next_token(logits, do_sample=True, rng=np.random.default_rng(4), **options)
    counts, p = np.bincount(drawn, minlength=4), np.array(expected)
    assert (counts[p == 0] == 0).all()
    chi_square = ((counts - n * p)[p > 0] ** 2 / (n * p[p > 0])).sum()
    assert chi_square < 16.27  # 99.9 % of draws with 3 degrees of freedom stay below


def test_the_rows_of_a_batch_are_drawn_independently():
    logits = np.zeros((4000, 2))
    drawn = next_token(logits, do_sample=True, rng=np.random.default_rng(4)).reshape(-1, 2)
    assert abs((drawn[:, 0] == drawn[:, 1]).mean() - 0.5) < 0.05


@pytest.mark.parametrize("temperature", [0, 0.0, -1.0, float("nan"), 1e-320])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be above 0"):
        token_probabilities(LOGITS, temperature=temperature)


def test_the_smallest_temperature_is_greedy():
    logits = np.array([[3.0, 1e10, -1e10, 2.0], [-np.inf, -5.0, -2.0, -2.0]])
    expected = [[0, 1, 0, 0], [0, 0, 0.5, 0.5]]
    np.testing.assert_array_equal(token_probabilities(logits, temperature=1e-30), expected)


@pytest.mark.parametrize("k", [0, -1])
def test_a_top_k_below_one_is_refused(k):
    with pytest.raises(ValueError, match=f"top_k must be at least 1, got {k}"):
        token_probabilities(LOGITS, top_k=k)


@pytest.mark.parametrize("do_sample", [True, False])
def test_logits_that_are_not_numbers_are_refused(do_sample):
    with pytest.raises(ValueError, match="NaN"):
        next_token(np.array([[0.0, np.nan]]), do_sample=do_sample)
