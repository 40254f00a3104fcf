"""Texts of your own with a class for each, from a file; and a split that keeps the classes' shares.

A line is `text TAB label`; the label is any word, and what stands behind the last tab.  Classes are
numbered in the order of the alphabet, or of the labels that a model already knows.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .corpora import read_text


class LabelledFile(NamedTuple):
    """Texts, the number of each one's class, and what the classes are called.

    >>> data = LabelledFile(["Great.", "Awful."], np.array([1, 0]), ["bad", "good"])
    >>> data.names[data.labels[0]]
    'good'
    """

    texts: list[str]
    labels: np.ndarray
    names: list[str]


def read_labelled(
    path: "str | Path", labels: Sequence[str] | None = None, *, at_least: int = 1
) -> LabelledFile:
    r"""The texts of a file of lines `text TAB label` in UTF-8; empty lines are passed over.

    labels     the classes there may be, in the order of their numbers; None for all that occur, in
               the order of the alphabet
    at_least   examples that every class must have: 2 for a split, one to train on and one to test on

    Raises   ValueError with file and line for a line without a tab, without a text or label, or with
             a label that is none of `labels`; for a class with too few examples; for fewer than two
             classes; FileNotFoundError

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "reviews.tsv"
    ...     _ = file.write_text("Great food.\tgood\nNever again.\tbad\n")
    ...     read_labelled(file)
    LabelledFile(texts=['Great food.', 'Never again.'], labels=array([1, 0]), names=['bad', 'good'])
    """
    texts, found, lines = [], [], []
    # only a newline ends a line: str.splitlines() would also cut at U+0085 within a text
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        text, tab, label = (part.strip(" \r") for part in line.rpartition("\t"))
        _check_line(f"{path}, line {number}", line, text.strip(), tab, label, labels)
        texts.append(text.strip())
        found.append(label)
        lines.append(number)
    names = sorted(set(found)) if labels is None else list(labels)
    for name in names:
        count = found.count(name)
        if count < at_least:
            where = f", in line {lines[found.index(name)]}" if count == 1 else ""
            raise ValueError(
                f"{path}: the class {name!r} has {count} example{'' if count == 1 else 's'}{where}; "
                f"each class needs at least {at_least}: add some, or leave the class out"
            )
    if len(names) < 2:
        raise ValueError(
            f"{path}: all texts have the label {names[0]!r}: to tell classes apart needs two or more"
        )
    number_of = {name: i for i, name in enumerate(names)}
    return LabelledFile(texts, np.array([number_of[x] for x in found], dtype=np.int64), names)


def _check_line(
    place: str, line: str, text: str, tab: str, label: str, labels: Sequence[str] | None
) -> None:
    if not line.count("\t"):
        raise ValueError(
            f"{place}: there is no tab: expected text TAB label, found {line.strip()!r:.60}"
        )
    if not text or not label:
        what = "label" if text else "text"
        raise ValueError(f"{place}: the {what} is empty: write text TAB label, or leave it out")
    if labels is not None and label not in labels:
        raise ValueError(f"{place}: the label {label!r} is none of {', '.join(labels)}")


def stratified_split(
    labels: "Sequence[int] | np.ndarray",
    test: float = 0.2,
    *,
    seed: int = 0,
    keys: Sequence[Hashable] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the examples for training and for testing, with the same share of each class.

    test   share of each class that is for testing; at least one example, and never all of them
    keys   one for each example: examples with equal keys, such as equal texts, stay together

    Raises   ValueError for a class of which no example would be left on one side

    >>> train, test = stratified_split([0, 0, 0, 0, 1, 1], test=0.5)
    >>> sorted(np.array([0, 0, 0, 0, 1, 1])[test].tolist())
    [0, 0, 1]
    """
    if not 0 < test < 1:
        raise ValueError(f"stratified_split: test must be within 0 … 1, got {test}")
    classes = np.asarray(labels)
    keys = range(len(classes)) if keys is None else keys
    if len(keys) != len(classes):
        raise ValueError(
            f"stratified_split: {len(keys)} keys for {len(classes)} labels: give one for each"
        )
    groups: dict[Hashable, list[int]] = {}
    for number, key in enumerate(keys):
        groups.setdefault(key, []).append(number)
    rng = np.random.default_rng(seed)
    parts: tuple[list[int], list[int]] = ([], [])
    for name in np.unique(classes).tolist():
        # a group belongs to the class of its first example
        members = [group for group in groups.values() if classes[group[0]] == name]
        wanted, given = max(1, round(test * sum(map(len, members)))), 0
        for i, number in enumerate(rng.permutation(len(members)).tolist()):
            chosen = given < wanted and i < len(members) - 1
            parts[chosen].extend(members[number])
            given += chosen * len(members[number])
    for part, title in zip(parts, ("training", "test"), strict=True):
        lacking = set(classes.tolist()) - set(classes[part].tolist())
        if lacking:
            raise ValueError(
                f"stratified_split: the class {min(lacking)!r} is missing from the {title} part: it "
                "needs at least two different examples"
            )
    return rng.permutation(parts[0]), rng.permutation(parts[1])
