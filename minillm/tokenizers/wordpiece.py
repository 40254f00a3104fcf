"""WordPiece: learning word pieces by likelihood, and cutting a word greedily.

Schuster and Nakajima 2012 ("Japanese and Korean voice search", section 3.1); BERT's form of it is in
Devlin et al. 2019 (arXiv:1810.04805).  A piece that does not begin its word is written with ## before
it.  Training merges pairs of neighbours as byte pair encoding does, but not the most frequent pair:
the one whose merge makes the training text most likely, per occurrence.  Under a model in which each
piece comes with its relative frequency, writing ab for one pair a, b changes the likelihood by

    p(ab) / (p(a) p(b)),   so that the pair with the highest

    score(a, b) = count(ab) / (count(a) count(b))                                            (1)

is merged: pieces that occur together more often than chance, however rare they are.  Pieces that are
frequent anyway stay apart.  With the words  hat x 9, that x 9, vex x 2:

    pair        count   score
    ##a  ##t    18      18 / (18 * 18) = 0.06      byte pair encoding merges this one first
    v    ##e     2       2 / ( 2 *  2) = 0.50      WordPiece merges this one first
    ##e  ##x     2       2 / ( 2 *  2) = 0.50      (equal scores: the smaller ids first)

A merge of a and b changes their counts, hence by (1) the score of every pair that has one of them:
those pairs are scored anew.

Encoding knows only the vocabulary: the longest piece that begins the word, then the longest that goes
on from there.  If nothing fits at some place, or the word is longer than 100 characters, the whole
word is unknown: half a word would look like another word.

Check: tests/tokenizers/test_wordpiece.py
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .byte_pairs import Pair, PairTable

PREFIX = "##"


def longest_pieces(word: str, vocab: Mapping[str, int], max_length: int = 100) -> list[int] | None:
    """The ids of a word's pieces, or None if the word is unknown.

    >>> vocab = {"un": 0, "u": 1, "##aff": 2, "##able": 3, "##a": 4}
    >>> longest_pieces("unaffable", vocab)
    [0, 2, 3]
    >>> longest_pieces("unaffected", vocab) is None
    True
    """
    if len(word) > max_length:
        return None
    ids, start = [], 0
    while start < len(word):
        prefix = PREFIX if start else ""
        for end in range(len(word), start, -1):
            number = vocab.get(prefix + word[start:end])
            if number is not None:
                break
        else:
            return None
        ids.append(number)
        start = end
    return ids


def join_names(left: str, right: str) -> str:
    """What two pieces are called when they are merged.

    >>> join_names("h", "##at"), join_names("##a", "##t")
    ('hat', '##at')
    """
    return left + right.removeprefix(PREFIX)


class Scores:
    """The pairs of a table with their scores (1), and always the best of them."""

    def __init__(self, table: PairTable, min_frequency: int) -> None:
        self.table = table
        self.min_frequency = min_frequency
        self.counts: dict[int, int] = defaultdict(int)  # of each piece
        for word, count in zip(table.words, table.counts, strict=True):
            for piece in word:
                self.counts[piece] += count
        self.pairs_of: dict[int, set[Pair]] = defaultdict(set)
        self.heap: list[tuple[float, Pair]] = []
        self._push(table.pair_counts)

    def score(self, pair: Pair) -> float:
        """(1), or 0 for a pair that is too rare."""
        count = self.table.pair_counts.get(pair, 0)
        if count < self.min_frequency:
            return 0.0
        return count / (self.counts[pair[0]] * self.counts[pair[1]])

    def _push(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            self.pairs_of[pair[0]].add(pair)
            self.pairs_of[pair[1]].add(pair)
            score = self.score(pair)
            if score:
                heapq.heappush(self.heap, (-score, pair))

    def best(self) -> Pair | None:
        """The pair with the highest score, of equal ones the smallest ids; None if all are rare."""
        while self.heap:
            score, pair = heapq.heappop(self.heap)
            if self.score(pair) == -score:  # else an entry from before it was scored anew
                return pair
        return None

    def merge(self, pair: Pair, new: int) -> None:
        """Merge a pair everywhere, and score anew what that changes."""
        merged, touched = self.table.merge(pair, new)
        for piece in pair:
            self.counts[piece] -= merged
        self.counts[new] += merged
        touched = touched.union(*(self.pairs_of[piece] for piece in (*pair, new)))
        for gone in [p for p in touched if p not in self.table.pair_counts]:
            touched.remove(gone)
            self.pairs_of[gone[0]].discard(gone)
            self.pairs_of[gone[1]].discard(gone)
        self._push(touched)


def learn_pieces(
    words: Mapping[Sequence[int], int],
    names: Iterable[str],
    vocab_size: int,
    min_frequency: int = 2,
    bar: Any = None,
) -> list[str]:
    """The names of all ids, learned ones behind the given ones in the order of their merges.

    words           ids of a word's pieces -> how often the word occurs
    names           what the ids 0, 1, ... are called
    min_frequency   a pair that occurs less often is not merged, even if the vocabulary is not full

    The example above, where byte pair encoding would begin with ##at:

    >>> names = ["h", "t", "v", "##a", "##e", "##h", "##t", "##x"]
    >>> words = {(0, 3, 6): 9, (1, 5, 3, 6): 9, (2, 4, 7): 2}  # hat, that, vex
    >>> learn_pieces(words, names, 11)[8:]
    ['ve', 'vex', 'th']
    """
    names = list(names)
    ids = {name: number for number, name in enumerate(names)}
    scores = Scores(PairTable(words), min_frequency)
    while len(names) < vocab_size:
        pair = scores.best()
        if pair is None:
            break
        name = join_names(names[pair[0]], names[pair[1]])
        if name not in ids:
            ids[name] = len(names)
            names.append(name)
            if bar is not None:
                bar.update()
        scores.merge(pair, ids[name])
    return names
