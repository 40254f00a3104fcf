"""What a language model has to beat: guesses without a network, and file compressors.

Cross-entropy and compression are one thing: an ideal code spends -log2 p bits on a symbol of
probability p (Shannon 1948, section 9), so a model with a loss of b bits per byte could compress the
text to b/8 of its size.
"""

import lzma
import math
import zlib
from typing import Any

import numpy as np


def uniform_loss(vocab_size: int) -> float:
    """Every token equally likely: ln V nats.

    >>> round(uniform_loss(65), 3)
    4.174
    """
    return math.log(vocab_size)


def unigram_loss(train: Any, validation: Any, vocab_size: int) -> float:
    """Token frequencies of the training text, with one count added to each.

    The loss in nats is the mean over all validation tokens but the first, which no model predicts.

    >>> round(unigram_loss([0, 0, 1], [1, 0], vocab_size=2), 4)  # -log of (2 + 1) / (3 + 2)
    0.5108
    """
    counts = np.bincount(np.asarray(train), minlength=vocab_size) + 1.0
    log_p = np.log(counts / counts.sum())
    return float(-log_p[np.asarray(validation)[1:]].mean())


def bigram_loss(train: Any, validation: Any, vocab_size: int) -> float:
    """Frequencies of pairs in the training text: p(next | this), with one count added to each.

    >>> round(bigram_loss([0, 1, 0, 1], [0, 1], vocab_size=2), 4)  # -log of (2 + 1) / (2 + 2)
    0.2877
    """
    ids, seen = np.asarray(train), np.asarray(validation)
    pairs = np.bincount(ids[:-1] * vocab_size + ids[1:], minlength=vocab_size**2) + 1.0
    table = pairs.reshape(vocab_size, vocab_size)
    log_p = np.log(table / table.sum(axis=1, keepdims=True))
    return float(-log_p[seen[:-1], seen[1:]].mean())


def compressor_bits_per_byte(text: str) -> dict[str, float]:
    """Bits per byte that zlib and lzma, at their best setting, need for the text alone.

    >>> compressor_bits_per_byte("to be or not to be " * 100)["zlib"] < 0.2
    True
    """
    data = text.encode("utf-8")
    sizes = {
        "zlib": len(zlib.compress(data, 9)),
        "lzma": len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)),
    }
    return {name: 8 * size / len(data) for name, size in sizes.items()}
