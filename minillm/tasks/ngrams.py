"""N-grams: a language model that counts.  What neural ones replaced, and must beat.

How often did w follow the last n - 1 words h in training?  What was seen seldom or never gets its
probability from the shorter context h' (h without its first word):

    p(w | h) = (c(h w) + t(h) p(w | h')) / (c(h) + t(h))                                      (1)

    c(h)   how often h was followed by anything          t(h)   by how many different words

and p = 1 / V below the single words.  An h that was followed by many different words says little by
itself, so the shorter context weighs more: interpolation by Witten and Bell (1991, method C).  At the
start of a sequence h is what there is.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np


class NGram:
    """A model of sequences of ids, trained by counting once.

    order        n: 2 for pairs of words, 3 for triples
    vocab_size   V, how many different tokens may come next

    >>> model = NGram(2, vocab_size=3).fit([[1, 2, 1, 2]])
    >>> round(model.probability(2, [1]), 4)  # (2 + 1 * p(2)) / (2 + 1), p(2) = (2 + 2/3) / (3 + 2)
    0.8444
    """

    def __init__(self, order: int, vocab_size: int) -> None:
        for name, value in (("order", order), ("vocab_size", vocab_size)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"NGram: {name} must be a whole number of at least 1, got {value!r}"
                )
        self.order, self.vocab_size = order, vocab_size
        self.counts: list[dict[tuple[int, ...], dict[int, int]]] = [{} for _ in range(order)]
        self.totals: list[dict[tuple[int, ...], int]] = [{} for _ in range(order)]

    def fit(self, sequences: Iterable[Sequence[int]]) -> "NGram":
        """Count what follows what.  The first token of a sequence is given, not predicted."""
        for ids in sequences:
            for at in range(1, len(ids)):
                for size in range(min(self.order, at + 1)):
                    context = tuple(ids[at - size : at])
                    following = self.counts[size].setdefault(context, {})
                    following[ids[at]] = following.get(ids[at], 0) + 1
        self.totals = [{h: sum(row.values()) for h, row in table.items()} for table in self.counts]
        return self

    def probability(self, token: int, context: Sequence[int]) -> float:
        """(1) for one token after some others."""
        p = 1.0 / self.vocab_size
        for size in range(min(self.order, len(context) + 1)):
            h = tuple(context[len(context) - size :])
            row = self.counts[size].get(h)
            if row is None:  # then no longer context was seen either
                break
            p = (row.get(token, 0) + len(row) * p) / (self.totals[size][h] + len(row))
        return p

    def distribution(self, context: Sequence[int]) -> np.ndarray:
        """(1) for every token.

        Shapes   -> (V,), sums to 1

        >>> NGram(2, vocab_size=3).fit([[1, 2, 1, 2]]).distribution([1]).round(4).tolist()
        [0.0444, 0.1111, 0.8444]
        """
        p = np.full(self.vocab_size, 1.0 / self.vocab_size)
        for size in range(min(self.order, len(context) + 1)):
            h = tuple(context[len(context) - size :])
            row = self.counts[size].get(h)
            if row is None:
                break
            p *= len(row)
            p[list(row)] += list(row.values())
            p /= self.totals[size][h] + len(row)
        return p

    def nats(self, sequences: Iterable[Sequence[int]]) -> list[np.ndarray]:
        """-log p of every token but the first, for each sequence."""
        return [
            np.array([
                -math.log(self.probability(ids[at], ids[max(0, at + 1 - self.order) : at]))
                for at in range(1, len(ids))
            ])
            for ids in sequences
        ]  # fmt: skip

    def sample(
        self, start: Sequence[int], end: int, most: int, rng: np.random.Generator
    ) -> list[int]:
        """A sequence that begins with `start`, drawn token by token up to `end`, which is kept.

        most   tokens drawn at the most
        """
        ids = list(start)
        for _ in range(most):
            p = self.distribution(ids[max(0, len(ids) + 1 - self.order) :])
            ids.append(int(rng.choice(self.vocab_size, p=p)))
            if ids[-1] == end:
                break
        return ids
