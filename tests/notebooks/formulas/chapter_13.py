"""Tokenizers: WordPiece's score, and bits per byte."""

import math
from itertools import pairwise

from minillm.tokenizers.byte_pairs import PairTable
from minillm.tokenizers.wordpiece import Scores
from minillm.training import bits_per_byte

from ..registry import formula


@formula("wordpiece-score", r"\text{score}(a, b) = \frac{c_{ab}}{c_a\, c_b}")
def wordpiece_score():
    words = {(0, 3, 6): 9, (1, 5, 3, 6): 7, (2, 4, 3): 2, (2, 4, 2, 4): 1}
    scores = Scores(PairTable(words), min_frequency=1)
    literal, ours = [], []
    for a in range(7):
        for b in range(7):
            c_ab = sum(n * sum(pair == (a, b) for pair in pairwise(w)) for w, n in words.items())
            c_a, c_b = (sum(n * w.count(x) for w, n in words.items()) for x in (a, b))
            literal.append(c_ab / (c_a * c_b))
            ours.append(scores.score((a, b)))
    assert any(literal)
    return literal, ours


@formula(
    "bits-per-byte-of-tokens",
    r"\text{bits per byte} = \frac{L \cdot N_{\text{tokens}}}{\ln 2 \cdot N_{\text{bytes}}}",
)
def per_byte():
    # by the sum of the bits of each token: -log2 p
    p = [0.5, 0.03, 0.9, 0.2]
    L = sum(-math.log(q) for q in p) / len(p)
    bits = sum(-math.log2(q) for q in p)
    return [bits / 13, L * len(p) / (math.log(2) * 13)], [bits_per_byte(L, len(p), 13)] * 2
