"""Batches: what a training loop takes its next step on.

All of them can be asked for batch number i directly, so that a training that was interrupted goes
on with exactly the batches it would have seen.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arguments import require_whole


def _token_ids(who: str, ids: Any, block_size: int, batch_size: int) -> np.ndarray:
    """One sequence of integers as int64, and sizes of at least 1."""
    array = np.asarray(ids)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"{who}: ids must be one sequence of integers, got shape {array.shape} {array.dtype}"
        )
    require_whole(who, "block_size", block_size)
    require_whole(who, "batch_size", batch_size)
    return array.astype(np.int64)


class TextBatches:
    """Random crops of one long text, without end: batch i depends on the seed and i alone.

    ids          (N,) the encoded text
    block_size   T, tokens per crop
    batch_size   B, crops per batch

    Each batch is (x, y), both (B, T): y is x moved on by one token.

    >>> x, y = TextBatches(np.arange(100), block_size=5, batch_size=2, seed=0).batch(0)
    >>> x.shape, bool((y == x + 1).all())
    ((2, 5), True)
    """

    def __init__(self, ids: Any, block_size: int, batch_size: int, *, seed: int = 0) -> None:
        self.ids = _token_ids("TextBatches", ids, block_size, batch_size)
        if len(self.ids) < block_size + 1:
            raise ValueError(
                f"the text has {len(self.ids)} tokens, but a crop of {block_size} and the token "
                f"after it need {block_size + 1}: use a longer text or a smaller block_size"
            )
        self.block_size, self.batch_size, self.seed = block_size, batch_size, seed

    def batch(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch number i."""
        rng = np.random.default_rng([self.seed, i])
        starts = rng.integers(0, len(self.ids) - self.block_size, self.batch_size)
        crops = self.ids[starts[:, None] + np.arange(self.block_size + 1)]  # (B, T + 1)
        return crops[:, :-1], crops[:, 1:]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        i = 0
        while True:
            yield self.batch(i)
            i += 1


class TextWindows:
    """A text cut into windows one after the other: every token but the first is predicted once.

    Each batch is (x, y), (B, T) or less at the end.  The windows of one batch have equal length;
    the rest of the text, shorter than a window, is a batch of its own.

    >>> [x.shape for x, y in TextWindows(np.arange(10), block_size=4)]
    [(2, 4), (1, 1)]
    """

    def __init__(self, ids: Any, block_size: int, batch_size: int = 64) -> None:
        self.ids = _token_ids("TextWindows", ids, block_size, batch_size)
        if len(self.ids) < 2:
            raise ValueError(f"a text of {len(self.ids)} tokens has nothing to predict")
        self.block_size, self.batch_size = block_size, batch_size

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        T, targets = self.block_size, len(self.ids) - 1
        whole = targets // T
        x = self.ids[: whole * T].reshape(whole, T)
        y = self.ids[1 : whole * T + 1].reshape(whole, T)
        for start in range(0, whole, self.batch_size):
            yield x[start : start + self.batch_size], y[start : start + self.batch_size]
        if targets % T:
            yield self.ids[None, whole * T : -1], self.ids[None, whole * T + 1 :]

    def __len__(self) -> int:
        targets = len(self.ids) - 1
        return math.ceil(targets // self.block_size / self.batch_size) + (
            targets % self.block_size > 0
        )


class DataLoader:
    """Arrays of equal length, in batches, in a new random order each epoch.

    arrays       (x, y), or any tuple of arrays with one row for each example
    batch_size   rows per batch; the last batch of an epoch may have fewer
    shuffle      False keeps the given order
    seed         the order of epoch e depends on the seed and e alone

    >>> [y for x, y in DataLoader((np.zeros((3, 2)), np.arange(3)), batch_size=2, shuffle=False)]
    [array([0, 1]), array([2])]
    """

    def __init__(
        self, arrays: tuple, batch_size: int = 32, shuffle: bool = True, *, seed: int = 0
    ) -> None:
        if not isinstance(arrays, (tuple, list)):
            raise TypeError(
                f"DataLoader: arrays must be a tuple of arrays, got {type(arrays).__name__}: write "
                "(x,) for a single one"
            )
        self.arrays = tuple(np.asarray(a) for a in arrays)
        without = [i for i, a in enumerate(self.arrays) if not a.ndim]
        if without:
            raise TypeError(
                f"DataLoader: arrays[{without[0]}] must be an array with a row for each example, got "
                f"{type(arrays[without[0]]).__name__}"
            )
        lengths = {len(a) for a in self.arrays}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                "DataLoader: the arrays must have equally many rows, at least one; got "
                f"{[a.shape for a in self.arrays]}"
            )
        require_whole("DataLoader", "batch_size", batch_size)
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.epoch = 0  # the next one that iteration gives

    def __len__(self) -> int:
        return math.ceil(len(self.arrays[0]) / self.batch_size)

    def batch(self, i: int) -> tuple[np.ndarray, ...]:
        """Batch number i, counted through all epochs."""
        epoch, position = divmod(i, len(self))
        rows: Any = slice(position * self.batch_size, (position + 1) * self.batch_size)
        if self.shuffle:
            if getattr(self, "_ordered", None) != epoch:
                self._order = np.random.default_rng([self.seed, epoch]).permutation(
                    len(self.arrays[0])
                )
                self._ordered = epoch
            rows = self._order[rows]
        return tuple(a[rows] for a in self.arrays)

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        first = self.epoch * len(self)
        self.epoch += 1
        for i in range(len(self)):
            yield self.batch(first + i)
