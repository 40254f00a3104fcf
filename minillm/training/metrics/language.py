"""Numbers that say how good a language model is, from its mean loss."""

import math


def perplexity(loss: float) -> float:
    """exp(loss): the number of equally likely tokens that would be as hard to guess.

    Units    loss in nats per token

    >>> round(perplexity(math.log(10)), 6)
    10.0
    """
    return math.inf if loss >= 700 else math.exp(loss)  # NaN, which is not above 700, stays NaN


def bits_per_byte(loss: float, tokens: int, num_bytes: int) -> float:
    """The length of the text in bits, coded by the model, per byte of the text.

    Comparable between tokenizers, and with file compressors: 8 is no compression at all.

    Units    loss in nats per token, for `tokens` tokens that stand for num_bytes bytes

    >>> bits_per_byte(math.log(2), tokens=4, num_bytes=1)
    4.0
    """
    if tokens < 0 or num_bytes <= 0:
        raise ValueError(f"bits_per_byte: got {tokens} tokens and {num_bytes} bytes")
    return loss / math.log(2) * tokens / num_bytes
