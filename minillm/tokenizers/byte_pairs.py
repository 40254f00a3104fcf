"""Learning the merges of byte pair encoding.

Sennrich, Haddow and Birch 2016 (arXiv:1508.07909), algorithm 1.  A text is counted as words; a word is
a list of ids, at first one for each byte.  Again and again the most frequent pair of neighbours is
merged into a new id everywhere, until the vocabulary is full:

    pair = the pair with the highest count; of equally frequent ones the smallest (left id, right id)

Counting all pairs anew for each merge would cost (merges x length of the text).  A merge changes only
the words that contain the pair, so we remember the places of each pair, take the old pairs of those
words out of the counts, and put the new ones in.  The next pair comes from a heap, in which entries
that are no longer true are skipped when they come up.  The naive version stands in the tests, which
hold this one to it.

Check: tests/tokenizers/test_byte_pairs.py
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

Pair = tuple[int, int]


class PairTable:
    """Words as lists of ids, with how often each pair of neighbours occurs, and in which words.

    >>> table = PairTable({(1, 2, 1, 2): 5, (2, 1): 1})
    >>> dict(table.pair_counts)
    {(1, 2): 10, (2, 1): 6}
    >>> merged, counted_anew = table.merge((1, 2), 3)
    >>> merged, sorted(counted_anew)
    (10, [(1, 2), (2, 1), (3, 3)])
    >>> table.words, dict(table.pair_counts)
    ([[3, 3], [2, 1]], {(2, 1): 1, (3, 3): 5})
    """

    def __init__(self, words: Mapping[Sequence[int], int]) -> None:
        self.words = [list(word) for word in words]
        self.counts = list(words.values())
        self.pair_counts: dict[Pair, int] = defaultdict(int)
        self.places: dict[Pair, set[int]] = defaultdict(set)
        for place, (word, count) in enumerate(zip(self.words, self.counts, strict=True)):
            for pair in pairwise(word):
                self.pair_counts[pair] += count
                self.places[pair].add(place)

    def merge(self, pair: Pair, new: int) -> tuple[int, set[Pair]]:
        """Write `new` for the pair everywhere: (how many pairs that were, pairs counted anew)."""
        merged, touched = 0, set()
        # places may be stale, for a later merge can take the pair out of a word: then nothing happens
        for place in self.places.pop(pair):
            word, count = self.words[place], self.counts[place]
            shorter = merge_pair(word, pair, new)
            merged += count * (len(word) - len(shorter))
            for old in pairwise(word):
                self.pair_counts[old] -= count
                touched.add(old)
            for fresh in pairwise(shorter):
                self.pair_counts[fresh] += count
                self.places[fresh].add(place)
                touched.add(fresh)
            self.words[place] = shorter
        for changed in touched:
            if not self.pair_counts[changed]:
                del self.pair_counts[changed]
        return merged, touched


def merge_pair(word: Sequence[int], pair: Pair, new: int) -> list[int]:
    """Write `new` for each occurrence of the pair, from left to right.

    >>> merge_pair([1, 1, 1, 2], (1, 1), 9)
    [9, 1, 2]
    """
    left, right = pair
    out, i, last = [], 0, len(word) - 1
    while i <= last:
        if i < last and word[i] == left and word[i + 1] == right:
            out.append(new)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


def learn_merges(
    words: Mapping[Sequence[int], int],
    names: Iterable[str],
    vocab_size: int,
    min_frequency: int = 2,
    bar: Any = None,
) -> tuple[list[str], list[Pair]]:
    """The names of all ids, and the merges in the order in which they were learned.

    words           ids of a word -> how often the word occurs
    names           what the ids 0, 1, ... are called; a merged id is called as its parts together
    min_frequency   a pair that occurs less often is not merged, even if the vocabulary is not full

    Two different pairs may spell the same name; they share its id, and only the first fills a place.

    >>> learn_merges({(0, 1, 1): 3, (1, 1): 2}, ["a", "b"], 4)
    (['a', 'b', 'bb', 'abb'], [(1, 1), (0, 2)])
    """
    names = list(names)
    ids = {name: number for number, name in enumerate(names)}
    table = PairTable(words)
    heap = [(-count, pair) for pair, count in table.pair_counts.items()]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while len(names) < vocab_size and heap:
        count, pair = heapq.heappop(heap)
        if table.pair_counts.get(pair, 0) != -count:
            continue  # an entry from before the pair was counted anew
        if -count < min_frequency:
            break
        name = names[pair[0]] + names[pair[1]]
        if name not in ids:
            ids[name] = len(names)
            names.append(name)
            if bar is not None:
                bar.update()
        merges.append(pair)
        _, touched = table.merge(pair, ids[name])
        for other in touched:
            if other in table.pair_counts:
                heapq.heappush(heap, (-table.pair_counts[other], other))
    return names, merges
