"""Losses by position: the right positions, the right pieces."""

import numpy as np
import pytest

from minillm.tasks.long_texts import WINDOW, by_position, excess_curve, windows


def test_columns_hold_the_positions_they_name():
    nats = [np.arange(1.0, 51), np.arange(1.0, 34)]  # each value is its own position
    found = by_position(nats)
    assert found["1-8"] == 4.5
    assert found["25-31"] == 28.0
    assert found["32-40"] == (32 + 33 + sum(range(32, 41))) / 11
    assert found["49-"] == 49.5
    assert found["all"] == (1275 + 561) / 83
    assert "41-48" not in by_position([np.ones(40)])


def test_excess_is_what_lies_above_the_truth_at_the_same_place():
    truth = [np.array([0.5, 0.5, 0.0, 1.0, 2.0]), np.array([0.5, 0.5])]
    nats = [truth[0] + 1, truth[1] + 3]
    places, values = excess_curve(nats, truth)
    assert places == [2.5, 5.0]
    assert values == pytest.approx([(4 * 1 + 2 * 3) / 6, 1.0])


def test_windows_are_pieces_from_anywhere():
    rows = [list(range(100 * i, 100 * i + 60)) for i in range(200)]
    cut = windows(rows, np.random.default_rng(0))
    starts = [piece[0] - row[0] for row, piece in zip(rows, cut, strict=True)]
    assert all(len(piece) == WINDOW for piece in cut)
    assert all(row[s : s + WINDOW] == p for row, s, p in zip(rows, starts, cut, strict=True))
    assert min(starts) == 0
    assert max(starts) == 60 - WINDOW
