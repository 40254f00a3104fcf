"""Repetition penalty and top-p, by hand; top-k and temperature stand in test_sampling.py."""

import numpy as np
import pytest

from minillm.generation import next_token, process_logits, token_probabilities
from minillm.generation.sampling import softmax

P = np.array([[0.4, 0.3, 0.2, 0.1]])
LOGITS = np.log(P)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.05, [0]), (0.39, [0]), (0.41, [0, 1]), (0.69, [0, 1]), (0.71, [0, 1, 2]),
     (0.91, [0, 1, 2, 3]), (1.0, [0, 1, 2, 3]), (None, [0, 1, 2, 3])],
)  # fmt: skip
def test_top_p_keeps_the_smallest_set_that_reaches_p(top_p, kept):
    found = token_probabilities(LOGITS[:, ::-1], top_p=top_p)[0, ::-1]
    assert np.flatnonzero(found).tolist() == kept
    np.testing.assert_allclose(found[kept], P[0, kept] / P[0, kept].sum())


def test_top_p_at_the_very_edge_needs_no_further_token():
    exact = np.log2(np.array([[0.5, 0.25, 0.125, 0.125]])) * np.log(2)
    assert (token_probabilities(exact, top_p=0.5) > 0).tolist() == [[True, False, False, False]]
    assert (token_probabilities(exact, top_p=0.75) > 0).tolist() == [[True, True, False, False]]


def test_top_p_takes_ties_by_id():
    assert np.flatnonzero(token_probabilities(np.zeros((1, 10)), top_p=0.35)).tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_each_row_has_its_own_nucleus():
    rows = np.log([[0.97, 0.01, 0.01, 0.01], [0.25, 0.25, 0.25, 0.25]])
    assert (token_probabilities(rows, top_p=0.9) > 0).sum(axis=1).tolist() == [1, 4]


@pytest.mark.parametrize("top_p", [1e-9, 0.2, 0.5, 0.9, 0.999])
def test_top_p_equals_sorting_everything(top_p, rng):
    """The shortcut of not sorting improbable tokens changes nothing."""
    z = rng.normal(0, 3, (20, 500))
    found = token_probabilities(z, top_p=top_p) > 0
    for row, p in zip(found, softmax(z), strict=True):
        order = np.argsort(-p)
        needed = int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1
        assert sorted(order[:needed]) == np.flatnonzero(row).tolist()


@pytest.mark.parametrize("least", [1, 2, 3])
def test_at_least_so_many_are_kept(least):
    for options in ({"top_k": 1}, {"top_p": 0.01}):
        found = process_logits(LOGITS, min_keep=least, **options)
        assert np.isfinite(found).sum() == least


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 0.01}])
def test_more_than_all_cannot_be_kept(options):
    np.testing.assert_allclose(process_logits(LOGITS, min_keep=9, **options), LOGITS)


def test_the_penalty_makes_both_signs_less_probable():
    z = process_logits([[2.0, -2.0, 2.0, -2.0]], [[0, 1]], repetition_penalty=4.0)
    assert z.tolist() == [[0.5, -8.0, 2.0, -2.0]]


def test_a_penalty_below_one_is_a_reward():
    z = process_logits([[2.0, -2.0]], [[0, 1]], repetition_penalty=0.5)
    assert z.tolist() == [[4.0, -1.0]]


def test_a_token_that_came_often_is_penalized_once():
    z = process_logits([[2.0, 1.0]], [[0, 0, 0]], repetition_penalty=2.0)
    assert z.tolist() == [[1.0, 1.0]]


def test_rows_are_penalized_for_their_own_text_and_not_for_padding():
    z = process_logits(np.full((2, 3), 2.0), [[-1, 0], [1, 2]], repetition_penalty=2.0)
    assert z.tolist() == [[1.0, 2.0, 2.0], [2.0, 1.0, 1.0]]


ORDER = [{"repetition_penalty": 3.0}, {"temperature": 0.5}, {"top_k": 4}, {"top_p": 0.8}]


def one_after_the_other(z, ids, order):
    for options in order:
        z = process_logits(z, ids, **options)
    return z


def test_the_order_is_penalty_temperature_top_k_top_p(rng):
    z, ids = rng.normal(0, 1, (200, 9)), rng.integers(0, 9, (200, 3))
    together = process_logits(z, ids, **ORDER[0], **ORDER[1], **ORDER[2], **ORDER[3])
    np.testing.assert_allclose(together, one_after_the_other(z, ids, ORDER))
    # exchanging two of them matters, except where both only scale or one scales and one ranks
    for i, j in ((0, 2), (1, 3), (2, 3)):
        other = list(ORDER)
        other[i], other[j] = other[j], other[i]
        found = one_after_the_other(z, ids, other)
        assert (np.isfinite(found) != np.isfinite(together)).any()


def test_greedy_choice_heeds_the_penalty_alone():
    logits = np.array([[2.0, 1.9, 0.0]])
    assert next_token(logits, [[0]]).tolist() == [0]
    assert next_token(logits, [[0]], repetition_penalty=1.2).tolist() == [1]
    assert next_token(logits, [[0]], repetition_penalty=1.2, temperature=9.0).tolist() == [1]


def test_a_drawn_token_lies_in_the_nucleus(rng):
    draws = next_token(np.tile(LOGITS, (500, 1)), do_sample=True, top_p=0.6, rng=rng)
    assert set(draws.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, got 0.0"),
        ({"top_p": 1.01}, "at most 1, got 1.01"),
        ({"top_p": -0.5}, "got -0.5"),
        ({"top_p": float("nan")}, "got nan"),
        ({"top_k": 2.5}, "got 2.5"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0, got 0.0"),
        ({"repetition_penalty": -1.0}, "above 0"),
    ],
)
def test_options_without_meaning_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        process_logits(LOGITS, [[0]], **options)
