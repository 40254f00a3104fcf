"""Batches: every token where it belongs, and each batch a function of the seed and its number."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.data import DataLoader, TextBatches, TextWindows

# ------------------------------------------------------------------------------- TextBatches


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 20), st.integers(0, 10**6))
def test_crops_are_pieces_of_the_text_and_y_is_x_moved_on(block, batch, more, i):
    ids = np.arange(block + 1 + more) * 3
    x, y = TextBatches(ids, block, batch, seed=1).batch(i)
    assert x.shape == y.shape == (batch, block)
    for crop, target in zip(x.tolist(), y.tolist(), strict=True):
        start = ids.tolist().index(crop[0])
        assert crop == ids[start : start + block].tolist()
        assert target == ids[start + 1 : start + 1 + block].tolist()


def test_every_place_of_the_text_comes_up_the_last_one_too():
    batches = TextBatches(np.arange(8), block_size=5, batch_size=50)
    assert set(batches.batch(0)[0][:, 0]) == {0, 1, 2}


def test_a_text_of_just_one_crop_gives_it():
    x, y = TextBatches([4, 5, 6], block_size=2, batch_size=1).batch(3)
    assert (x.tolist(), y.tolist()) == ([[4, 5]], [[5, 6]])


def test_batch_i_depends_on_the_seed_and_i_alone():
    ids = np.arange(1000)
    first, second = (TextBatches(ids, 5, 4, seed=2) for _ in range(2))
    for _ in range(3):
        first.batch(17)
    in_order = [x for x, _ in itertools.islice(first, 6)]
    for i in (5, 0, 3):
        np.testing.assert_array_equal(second.batch(i)[0], in_order[i])
    assert (second.batch(0)[0] != second.batch(1)[0]).any()
    assert (TextBatches(ids, 5, 4, seed=3).batch(0)[0] != in_order[0]).any()


def test_each_iteration_starts_anew():
    batches = TextBatches(np.arange(100), 5, 4)
    first, second = ([x for x, _ in itertools.islice(batches, 3)] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_text_that_is_too_short_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"5 tokens.*need 6"):
        TextBatches(np.arange(5), block_size=5, batch_size=2)


@pytest.mark.parametrize("arguments", [(0, 2), (2, 0), (-1, 2)])
def test_sizes_without_meaning_are_refused(arguments):
    with pytest.raises(ValueError, match="at least 1"):
        TextBatches(np.arange(9), *arguments)


def test_a_table_of_ids_is_not_a_text():
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        TextBatches(np.zeros((3, 4), int), 2, 2)


@pytest.mark.parametrize("kind", [TextBatches, TextWindows])
def test_ids_that_are_not_integers_are_refused(kind):
    with pytest.raises((TypeError, ValueError), match="integer"):
        kind(np.linspace(0, 1, 20), 2, 2)


# ------------------------------------------------------------------------------- TextWindows


@given(st.integers(2, 60), st.integers(1, 12), st.integers(1, 5))
def test_windows_cover_every_target_exactly_once(length, block, batch):
    ids = np.arange(length) * 7
    windows = TextWindows(ids, block, batch)
    batches = list(windows)
    assert len(batches) == len(windows)
    inputs = [i for x, _ in batches for i in x.reshape(-1).tolist()]
    targets = [i for _, y in batches for i in y.reshape(-1).tolist()]
    assert targets == ids[1:].tolist()
    assert inputs == ids[:-1].tolist()
    for x, y in batches:
        assert x.shape == y.shape
        assert 1 <= x.shape[0] <= batch
        assert 1 <= x.shape[1] <= block
        np.testing.assert_array_equal(y, x + 7)


def test_windows_can_be_gone_through_again():
    windows = TextWindows(np.arange(20), 3)
    assert [x.tolist() for x, _ in windows] == [x.tolist() for x, _ in windows]


@pytest.mark.parametrize("length", [0, 1])
def test_a_text_with_nothing_to_predict_is_refused(length):
    with pytest.raises(ValueError, match="nothing to predict"):
        TextWindows(np.arange(length), 3)


@pytest.mark.parametrize("sizes", [(0, 2), (-1, 2), (2, 0)])
def test_window_sizes_without_meaning_are_refused(sizes):
    with pytest.raises(ValueError, match="at least 1"):
        list(TextWindows(np.arange(9), *sizes))


def test_windows_of_a_table_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 5\)|one sequence"):
        list(TextWindows(np.zeros((4, 5), int), 2))


# -------------------------------------------------------------------------------- DataLoader


@given(st.integers(1, 30), st.integers(1, 9), st.booleans(), st.integers(0, 5))
def test_every_epoch_holds_every_row_once_with_its_target(rows, batch_size, shuffle, seed):
    x = np.arange(rows * 2).reshape(rows, 2)
    loader = DataLoader((x, np.arange(rows)), batch_size, shuffle, seed=seed)
    for _ in range(3):
        batches = list(loader)
        assert len(batches) == len(loader) == math.ceil(rows / batch_size)
        assert all(len(y) == batch_size for _, y in batches[:-1])
        targets = np.concatenate([y for _, y in batches])
        assert sorted(targets) == list(range(rows))
        np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), x[targets])


def orders(loader, epochs):
    return [np.concatenate([y for _, y in loader]).tolist() for _ in range(epochs)]


def loader_of(rows, **options):
    return DataLoader((np.zeros((rows, 2)), np.arange(rows)), 4, **options)


def test_without_shuffling_the_order_stays():
    assert orders(loader_of(10, shuffle=False), 2) == [list(range(10))] * 2


def test_each_epoch_has_an_order_of_its_own_and_the_same_seed_the_same_orders():
    first = orders(loader_of(30, seed=1), 3)
    assert len(set(map(tuple, first))) == 3
    assert orders(loader_of(30, seed=1), 3) == first
    assert orders(loader_of(30, seed=2), 3) != first


def test_a_batch_can_be_asked_for_by_number_in_any_order():
    loader = loader_of(10, seed=1)
    in_order = [y.tolist() for _ in range(3) for _, y in loader]
    other = loader_of(10, seed=1)
    for i in (8, 0, 4, 3, 7, 4):
        assert other.batch(i)[1].tolist() == in_order[i]


def test_any_number_of_arrays_stays_together():
    a = np.arange(10)
    for batch in DataLoader((a, a * 2, a * 3), 3):
        np.testing.assert_array_equal(batch[1], 2 * batch[0])
        np.testing.assert_array_equal(batch[2], 3 * batch[0])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [(((3, 2), (4,)), r"equally many rows.*\(3, 2\).*\(4,\)"), (((0, 2), (0,)), "at least one")],
)
def test_arrays_that_do_not_fit_are_refused(shapes, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(tuple(np.zeros(shape) for shape in shapes))


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        DataLoader((np.zeros(3),), 0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            np.ones((4, 2)),
            r"arrays must be a tuple of arrays, got ndarray: write \(x,\) for a single",
        ),
        (None, "arrays must be a tuple of arrays, got NoneType"),
        (
            (np.ones(3), None),
            r"arrays\[1\] must be an array with a row for each example, got NoneType",
        ),
    ],
)
def test_one_array_is_not_taken_for_a_tuple_of_its_rows(arrays, message):
    with pytest.raises(TypeError, match="DataLoader: " + message):
        DataLoader(arrays, 2)
    [(x,)] = DataLoader((np.ones((4, 2)),), 4)
    assert x.shape == (4, 2)
