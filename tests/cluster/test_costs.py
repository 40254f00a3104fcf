"""The formulas of a plan: against a ring that is played through, and against figures worked by hand."""

import numpy as np
import pytest

from minillm.cluster import Compute, Link, Prediction, predict
from minillm.cluster.plan import plan


def play_ring(values, latency, bandwidth):
    """All-reduce on a ring, message by message: (the sums that each rank ends with, seconds)."""
    n = len(values)
    pieces = [np.array_split(np.array(v, dtype=np.float64), n) for v in values]
    seconds = 0.0
    for phase in ("add", "copy"):
        for turn in range(n - 1):
            sent = []
            for rank in range(n):
                number = (rank - turn + (phase == "copy")) % n
                sent.append((number, pieces[rank][number].copy()))
            for rank in range(n):
                number, piece = sent[(rank - 1) % n]
                old = pieces[rank][number]
                pieces[rank][number] = old + piece if phase == "add" else piece
            seconds += latency + max(8 * piece.size for _, piece in sent) / bandwidth
    return [np.concatenate(p) for p in pieces], seconds


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_the_formula_is_the_time_of_a_ring_that_sums(ranks):
    values = np.random.default_rng(0).standard_normal((ranks, ranks * 5))
    sums, seconds = play_ring(values, latency=0.125, bandwidth=32.0)
    for one in sums:
        np.testing.assert_allclose(one, values.sum(axis=0), rtol=1e-12)
    link = Link(latency=0.125, bandwidth=32.0)
    assert link.seconds(ranks, 8 * ranks * 5) == pytest.approx(seconds, rel=1e-12)


def test_each_message_costs_its_own_latency():
    link = Link(latency=0.5, bandwidth=10.0)
    # 4 ranks: 6 rounds; 3 messages: 18 * 0.5; 2 * 3/4 * 40 bytes / 10
    assert link.seconds(4, 40, messages=3) == pytest.approx(9.0 + 6.0)
    assert link.seconds(1, 40, messages=3) == 0.0


def test_a_link_is_found_from_its_times():
    link = Link(latency=3e-5, bandwidth=2e9)
    sizes = [1e3, 1e5, 1e6, 3e7]
    times = [link.seconds(3, size, messages=2) for size in sizes]
    found = Link.fit(sizes, times, ranks=3, messages=2)
    assert found.latency == pytest.approx(3e-5, rel=1e-6)
    assert found.bandwidth == pytest.approx(2e9, rel=1e-6)


def test_small_and_large_messages_count_the_same_in_a_fit():
    sizes = np.array([1e3, 1e4, 1e7, 1e8])
    exact = 2e-5 * 2 + sizes / 1e9
    noisy = exact * [1.05, 0.95, 1.05, 0.95]
    found = Link.fit(sizes, noisy)
    assert found.latency == pytest.approx(2e-5, rel=0.08)
    assert found.bandwidth == pytest.approx(1e9, rel=0.08)


def test_a_coefficient_is_never_negative():
    found = Compute.fit([1, 2, 4], [0.09, 0.2, 0.4])  # the line through these begins below zero
    assert found.fixed == 0.0
    # least squares of relative errors through zero: sum(q) / sum(q * q) for q = rows / seconds
    assert found.row == pytest.approx((1 / 0.09 + 10 + 10) / (1 / 0.09**2 + 100 + 100))
    faster = Link.fit([1e3, 1e6], [2e-3, 1e-3])  # larger was faster: no bandwidth can be told
    assert faster.bandwidth == float("inf")
    assert faster.latency > 0
    flat = Compute.fit([1, 8], [0.2, 0.1])
    assert (flat.row, flat.fixed > 0) == (0.0, True)


def test_compute_is_a_line():
    found = Compute.fit([1, 3, 4], [0.25, 0.65, 0.85])
    assert (found.fixed, found.row) == (pytest.approx(0.05), pytest.approx(0.2))


COMPUTE, LINK = Compute(fixed=0.1, row=0.2), Link(latency=0.01, bandwidth=100.0)


def test_ranks_that_share_a_batch():
    # alone 0.1 + 7 * 0.2 = 1.5; of 3 ranks the busiest has 3 rows: 0.7; 4 * 0.01 + 4/3 * 30/100 = 0.44
    found = predict(COMPUTE, LINK, ranks=3, batch=7, size=30)
    assert (found.compute, found.sum) == (pytest.approx(0.7), pytest.approx(0.44))
    assert found.seconds == pytest.approx(1.14)
    assert found.speedup == pytest.approx(1.5 / 1.14)
    assert found.efficiency == pytest.approx(0.5 / 1.14)
    assert found.batch == 7


def test_a_batch_that_grows_with_the_ranks():
    found = predict(COMPUTE, LINK, ranks=3, batch=7, size=30, messages=2, grow=True)
    assert found.batch == 21
    assert found.seconds == pytest.approx(1.5 + 0.08 + 0.4)
    assert found.speedup == pytest.approx(3 * 1.5 / 1.98)


def test_one_rank_loses_nothing():
    for grow in (False, True):
        found = predict(COMPUTE, LINK, ranks=1, batch=5, size=1e9, messages=9, grow=grow)
        assert found == Prediction(1, 5, pytest.approx(1.1), 0.0, pytest.approx(1.0))


def test_more_ranks_than_rows_do_not_help():
    four, eight = (predict(COMPUTE, LINK, ranks=n, batch=4, size=0).compute for n in (4, 8))
    assert four == eight == pytest.approx(0.3)


def test_a_plan_has_a_row_for_each_number_of_ranks():
    rows = plan(COMPUTE, LINK, batch=64, size=100)
    assert [row.ranks for row in rows] == [1, 2, 8, 64, 512]
    assert rows[2] == predict(COMPUTE, LINK, ranks=8, batch=64, size=100)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Link.fit([1e3], [1.0]), "needs 2 ranks or more and times of 2 sizes"),
        (lambda: Link.fit([1e3, 1e4], [1.0]), "2 sizes and 1 times"),
        (lambda: Link.fit([1e3, 1e4], [1.0, 2.0], ranks=1), "got 1 ranks"),
        (lambda: Compute.fit([3, 3], [1.0, 1.0]), "needs times of 2 batch sizes"),
        (lambda: predict(COMPUTE, LINK, ranks=0, batch=4, size=1), "got 0 and 4"),
    ],
)
def test_senseless_arguments_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
