"""Batches of sequences of similar length, so that little time is spent on padding.

A batch is as long as its longest sequence; what is shorter is filled up.  In random order most of a
batch may be padding.  Here an epoch goes like this:

    shuffle -> cut into pools of some batches -> sort each pool by length -> cut into batches -> shuffle
    the batches

Within a pool neighbours are alike, and yet every epoch has other batches.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..arguments import is_whole, require_whole
from ..backend import default_generator
from .masking import IGNORED


@dataclass(frozen=True)
class PaddingReport:
    """How many of the places in the batches of one epoch hold padding, by three ways of batching.

    tokens      real tokens of the data set
    by_length   share of padding in these batches
    shuffled    the same for batches of the same size in random order
    to_longest  the same if every row were as long as the longest of the data set

    >>> report = PaddingReport(tokens=900, by_length=0.1, shuffled=0.25, to_longest=0.5)
    >>> round(report.saved, 3)
    0.167
    >>> print(report)
    padding: 10.0 % by length, 25.0 % shuffled, 50.0 % to the longest; 16.7 % of the places saved
    """

    tokens: int
    by_length: float
    shuffled: float
    to_longest: float

    @property
    def saved(self) -> float:
        """The share of the places of shuffled batches, and about of the time, that is saved."""
        return 1 - (1 - self.shuffled) / (1 - self.by_length)

    def __str__(self) -> str:
        return (
            f"padding: {self.by_length:.1%} by length, {self.shuffled:.1%} shuffled, "
            f"{self.to_longest:.1%} to the longest; {self.saved:.1%} of the places saved"
        ).replace("%", " %")


class LengthBatches:
    """Batches by length, as dicts for model(**batch).

    columns      name -> one entry for each example: a sequence of ids of any length, or one number.
                 The lengths of the first column make the order; a second one of sequences, such as
                 the translations, breaks ties
    batch_size   examples per batch
    padding      name -> what fills up a column of sequences; by default -100 for "labels", else 0
    shuffle      False: all sorted by length, the same in every epoch, as for an evaluation
    drop_last    leave out the one batch of an epoch that has fewer examples
    pool         batches per pool: more of them save more padding, and mix less
    mask         name of the mask that is added, 1 at a token and 0 at padding of the first column;
                 None for none, or if columns holds it already
    rng          decides the order; that of epoch e depends on its state at the start and on e alone

    Raises   ValueError for columns of different length, empty sequences, or values that are no ints

    >>> columns = {"input_ids": [[5, 6, 7], [8], [9, 5]], "labels": [1, 0, 1]}
    >>> for batch in LengthBatches(columns, batch_size=2, shuffle=False):
    ...     print(batch["input_ids"].tolist(), batch["attention_mask"].tolist(), batch["labels"])
    [[8, 0], [9, 5]] [[1, 0], [1, 1]] [0 1]
    [[5, 6, 7]] [[1, 1, 1]] [1]
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[Any]],
        batch_size: int = 32,
        *,
        padding: Mapping[str, int] | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        pool: int = 50,
        mask: str | None = "attention_mask",
        rng: np.random.Generator | None = None,
    ) -> None:
        require_whole("LengthBatches", "batch_size", batch_size)
        require_whole("LengthBatches", "pool", pool)
        self.columns = {name: _column(name, values) for name, values in columns.items()}
        sizes = {name: len(values) for name, values in self.columns.items()}
        if len(set(sizes.values())) != 1 or 0 in sizes.values():
            raise ValueError(
                f"LengthBatches: columns need equally many examples, at least one; got {sizes}"
            )
        sequences = [c for c in self.columns.values() if isinstance(c, list)]
        if not isinstance(next(iter(self.columns.values())), list):
            raise ValueError(
                f"LengthBatches: the first column, {next(iter(sizes))!r}, must hold sequences: their "
                "lengths make the batches"
            )
        self.lengths = np.array([len(row) for row in sequences[0]])
        second = [len(row) for row in sequences[min(1, len(sequences) - 1)]]
        self._key = self.lengths * (max(second) + 1) + np.array(second)
        self.padding = {name: IGNORED if name == "labels" else 0 for name in self.columns}
        self.padding.update(padding or {})
        self.batch_size, self.pool, self.mask = int(batch_size), int(pool), mask
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        if not len(self):
            raise ValueError(
                f"LengthBatches: {len(self.lengths)} examples are fewer than batch_size="
                f"{batch_size}, and drop_last leaves out the only batch"
            )
        self.seed = int(default_generator(rng).integers(2**63)) if shuffle else 0
        self.epoch = 0  # the next one that iteration gives
        self._planned: tuple[int, list[np.ndarray]] | None = None

    def __len__(self) -> int:
        batches = len(self.lengths) / self.batch_size
        return math.floor(batches) if self.drop_last else math.ceil(batches)

    def rows(self, i: int) -> np.ndarray:
        """Which examples are in batch number i, to put predictions back in order."""
        epoch, position = divmod(i, len(self))
        if self._planned is None or (self.shuffle and self._planned[0] != epoch):
            self._planned = epoch, self._plan(epoch)
        return self._planned[1][position]

    def batch(self, i: int) -> dict[str, np.ndarray]:
        """Batch number i, counted through all epochs."""
        rows = self.rows(i)
        result = {}
        for name, values in self.columns.items():
            if isinstance(values, list):
                result[name] = pad([values[row] for row in rows.tolist()], self.padding[name])
            else:
                result[name] = values[rows]
        if self.mask is not None and self.mask not in result:
            lengths = self.lengths[rows]
            result[self.mask] = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
        return result

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        first = self.epoch * len(self)
        self.epoch += 1
        for i in range(len(self)):
            yield self.batch(first + i)

    def padding_report(self) -> PaddingReport:
        """How much padding the batches of the first epoch hold, beside two other ways."""
        shuffled = np.random.default_rng(self.seed).permutation(len(self.lengths))
        sizes = range(0, len(shuffled), self.batch_size)
        return PaddingReport(
            int(self.lengths.sum()),
            self._share(self._plan(0)),
            self._share([shuffled[i : i + self.batch_size] for i in sizes]),
            float(1 - self.lengths.mean() / self.lengths.max()),
        )

    def _share(self, batches: list[np.ndarray]) -> float:
        places = sum(len(rows) * int(self.lengths[rows].max()) for rows in batches)
        tokens = sum(int(self.lengths[rows].sum()) for rows in batches)
        return 1 - tokens / places

    def _plan(self, epoch: int) -> list[np.ndarray]:
        """The examples of each batch of an epoch."""
        count, size = len(self.lengths), self.batch_size
        if not self.shuffle:
            order = np.argsort(self._key, kind="stable")
            return [order[i : i + size] for i in range(0, count, size)][: len(self)]
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(count)
        batches = []
        for start in range(0, count, size * self.pool):
            part = order[start : start + size * self.pool]
            part = part[np.argsort(self._key[part], kind="stable")]
            # the incomplete batch takes its examples from anywhere, so that drop_last is fair
            if len(part) % size:
                short = rng.choice(len(part), len(part) % size, replace=False)
                rest = part[np.sort(short)]
                part = np.delete(part, short)
                batches.append(rest)
            batches += [part[i : i + size] for i in range(0, len(part), size)]
        if self.drop_last:
            batches = [rows for rows in batches if len(rows) == size]
        return [batches[i] for i in rng.permutation(len(batches))]


def pad(rows: Sequence[Any], value: int = 0) -> np.ndarray:
    """Sequences of different length as one array; `value` fills up at the end.

    >>> pad([[1, 2], [3]], value=-100)
    array([[   1,    2],
           [   3, -100]])
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    out = np.full((len(rows), int(lengths.max(initial=0))), value, dtype=np.int64)
    if len(rows):
        out[np.arange(out.shape[1]) < lengths[:, None]] = np.concatenate(rows)
    return out


class AlignedWords(NamedTuple):
    """A sentence as the ids of its pieces, with one label for each.

    >>> AlignedWords([2, 7, 3], [-100, 1, -100]).labels
    [-100, 1, -100]
    """

    input_ids: list[int]
    labels: list[int]


def align_labels(
    tokenizer: Any,
    words: Sequence[str],
    labels: Sequence[Any],
    label_ids: Mapping[str, int] | None = None,
    *,
    max_length: int | None = None,
) -> AlignedWords:
    """Labels of words, such as BIO tags, as labels of word pieces.

    The first piece of a word has the label of the word; further pieces and [CLS], [SEP] have -100, so
    that each word counts once.

    labels       one for each word: numbers, or names that label_ids gives a number
    max_length   pieces kept, [CLS] and [SEP] counted

    Raises   ValueError if there are not as many labels as words, or for a name without a number

    >>> from minillm.tokenizers import BertTokenizer
    >>> special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    >>> tokenizer = BertTokenizer([*special, "un", "##able", "cat"])
    >>> align_labels(tokenizer, ["unable", "cat"], ["O", "B-A0"], {"O": 0, "B-A0": 1})
    AlignedWords(input_ids=[2, 5, 6, 7, 3], labels=[-100, 0, -100, 1, -100])
    """
    words = [words] if isinstance(words, str) else list(words)
    if len(words) != len(labels) or not words:
        raise ValueError(
            f"align_labels: one label for each word, at least one; got {len(words)} words and "
            f"{len(labels)} labels"
        )
    if max_length is not None and max_length < 3:
        raise ValueError(f"align_labels: max_length must be at least 3, got {max_length}")
    ids: list[int] = []
    aligned: list[int] = []
    for word, label in zip(words, labels, strict=True):
        # a word of nothing but control characters has no piece, and yet a label
        pieces = tokenizer.encode(word, add_special_tokens=False) or [tokenizer.unk_token_id]
        ids += pieces
        aligned += [_label_id(label, label_ids), *[IGNORED] * (len(pieces) - 1)]
    room = len(ids) if max_length is None else max_length - 2
    return AlignedWords(
        [tokenizer.cls_token_id, *ids[:room], tokenizer.sep_token_id],
        [IGNORED, *aligned[:room], IGNORED],
    )


def _label_id(label: Any, label_ids: Mapping[str, int] | None) -> int:
    if is_whole(label):
        return int(label)
    if label_ids is None or label not in label_ids:
        known = "label_ids=None" if label_ids is None else ", ".join(map(repr, label_ids))
        raise ValueError(f"align_labels: the label {label!r} has no number in {known}")
    return label_ids[label]


def _column(name: str, values: Any) -> "list[np.ndarray] | np.ndarray":
    """A list of arrays for sequences, one array for numbers."""
    rows = [np.asarray(value) for value in values]
    kinds = {row.dtype.kind for row in rows if row.size}
    axes = {row.ndim for row in rows}
    if not kinds <= set("iub") or not axes <= {0, 1} or len(axes) > 1:
        raise ValueError(
            f"LengthBatches: column {name!r} must hold either sequences of ints or ints, got "
            f"{', '.join(sorted({f'{row.ndim} axes of {row.dtype}' for row in rows}))}"
        )
    if axes == {0}:
        return np.array(rows, dtype=np.int64)
    for number, row in enumerate(rows):
        if not row.size:
            raise ValueError(
                f"LengthBatches: column {name!r}, example {number} is empty: leave it out"
            )
    return [row.astype(np.int64) for row in rows]
