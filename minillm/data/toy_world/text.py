"""Between words and running text, both ways.

English: words with spaces, a capital at the start of each sentence.  Chinese: no spaces at all, so
that the way back is segmentation: from the left, the longest word of the vocabulary (`tests` check
that this finds the words of every story).
"""

import functools
import re

from .lexicon import LANGUAGES
from .templates import vocabulary_of

ENDS = {".", "?", "。", "？"}
CLOSE_UP = {",", ".", "?"}  # no space before these


def require_language(language: str) -> str:
    """The language itself, or a ValueError that names the two there are."""
    if language not in LANGUAGES:
        raise ValueError(f"language must be 'english' or 'chinese', got {language!r}")
    return language


@functools.cache
def known_words(language: str) -> frozenset[str]:
    """The vocabulary as a set."""
    return frozenset(vocabulary_of(language))


def join(tokens: "list[str] | tuple[str, ...]", language: str) -> tuple[str, list[int]]:
    """The text of the words, and the position of each word's first character in it."""
    parts: list[str] = []
    starts: list[int] = []
    position, fresh = 0, True
    for token in tokens:
        word = token
        if language == "english":
            if position and token not in CLOSE_UP:
                parts.append(" ")
                position += 1
            if fresh:
                word = token[0].upper() + token[1:]
        starts.append(position)
        parts.append(word)
        position += len(word)
        fresh = token in ENDS
    return "".join(parts), starts


def split(text: str, language: str) -> list[str]:
    """The words of a text that `join` made.

    Raises   ValueError where a Chinese text has a character that begins no word
    """
    known = known_words(require_language(language))
    if language == "english":
        words = re.findall(r"[.,?]|[^\s.,?]+", text)
        return [w if w in known else w[0].lower() + w[1:] for w in words]
    longest = max(map(len, known))
    words, position = [], 0
    while position < len(text):
        for size in range(longest, 0, -1):
            if text[position : position + size] in known:
                words.append(text[position : position + size])
                position += size
                break
        else:
            raise ValueError(
                f"no word of the toy world begins at character {position}: "
                f"{text[position : position + 10]!r}"
            )
    return words
