"""In which language the checker answers: MINILLM_LANG=zh makes it Chinese.

The code holds each sentence in English, at the place where it is meant:

    say("the gradient of {name} is zero everywhere", name="x")

and chinese.py holds its translation under the English sentence.  Names, numbers and shapes are the
same in both languages.
"""

import os
import re
from typing import Any

from .chinese import CHINESE

VARIABLE = "MINILLM_LANG"
WIDE, SIGNS = "[\u2e80-\u9fff\uff00-\uffef]", "[，。；：（）]"
# spaces between two Chinese characters, or beside Chinese punctuation, which brings its own
GAP = re.compile(f"(?<={WIDE}) +(?={WIDE})|(?<={SIGNS}) +| +(?={SIGNS})")


def language() -> str:
    """The language that the environment variable MINILLM_LANG asks for: "en" or "zh".

    Raises   ValueError if it begins with neither of them

    >>> language() in ("en", "zh")
    True
    """
    value = os.environ.get(VARIABLE, "").strip().lower() or "en"
    if value[:2] not in ("en", "zh"):
        raise ValueError(
            f"{VARIABLE} must begin with 'en' (English) or 'zh' (Chinese), got {value!r}: set it to "
            "one of them, or leave it unset for English"
        )
    return value[:2]


def say(sentence: str, /, **values: Any) -> str:
    """A sentence in the reader's language, with the values in the places of their names.

    >>> say("axis {axis}", axis=1)
    'axis 1'
    """
    if language() == "en":
        return sentence.format(**values)
    return GAP.sub("", CHINESE[sentence].format(**values))


def later(sentence: str) -> str:
    """Mark a sentence that say() will be given later, out of a table."""
    return sentence
