r"""How BERT cleans a text, and cuts it into words, before it looks for word pieces.

From the tokenization.py published with Devlin et al. 2019 (arXiv:1810.04805), in this order:

1. control and format characters, private ones, U+FFFD and lone surrogates go away, whatever they
   stand between ("a" + U+200B + "b" becomes "ab"); every kind of white space becomes a space
2. spaces are put around each Chinese character, so that each is a word of its own
3. accents go away: the text is decomposed (NFD) and nonspacing marks are dropped
4. capital letters become small ones, each for itself (a Σ at the end of a word becomes σ, not ς)

Then words are what stands between spaces, and each punctuation mark is a word of its own; all of
ASCII's signs count as punctuation, also $ + < = > ^ ` | ~, which Unicode calls symbols.

Which characters belong where is Unicode's, of the version that this Python has.
"""

import unicodedata

import regex

CHINESE = (  # not Japanese kana and not Korean, which have words
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
WORDS = regex.compile(r"[^\s\p{P}$+<=>^`|~]+|[\p{P}$+<=>^`|~]")
DROPPED = ("Cc", "Cf", "Co", "Cs")


def is_chinese(code: int) -> bool:
    """Whether a code point is a Chinese character.

    >>> is_chinese(ord("世")), is_chinese(ord("あ"))
    (True, False)
    """
    return any(first <= code <= last for first, last in CHINESE)


class _Table(dict[int, "str | None"]):
    """A table for str.translate that finds out about a character when it first comes up."""

    def __init__(self, spaces_around_chinese: bool) -> None:
        super().__init__()
        self.spaces_around_chinese = spaces_around_chinese

    def __missing__(self, code: int) -> "str | None":
        self[code] = self._replacement(code)
        return self[code]

    def _replacement(self, code: int) -> str | None:
        c = chr(code)
        if c in "\t\n\r" or unicodedata.category(c)[0] == "Z":
            return " "
        if c == "\ufffd" or unicodedata.category(c) in DROPPED:
            return None
        if self.spaces_around_chinese and is_chinese(code):
            return f" {c} "
        return c


class _Marks(dict[int, "str | None"]):
    """A table for str.translate that drops nonspacing marks."""

    def __missing__(self, code: int) -> "str | None":
        self[code] = None if unicodedata.category(chr(code)) == "Mn" else chr(code)
        return self[code]


class BertNormalizer:
    r"""The four steps above, each of the last three if it is asked for.

    strip_accents   None: where letters are made small

    >>> BertNormalizer()("Crème\tBRÛLÉE 世界" + chr(0))
    'creme brulee  世  界 '
    >>> BertNormalizer(lowercase=False)("Crème")
    'Crème'
    """

    def __init__(
        self,
        *,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
    ) -> None:
        self.lowercase = lowercase
        self.strips_accents = lowercase if strip_accents is None else strip_accents
        self._table = _Table(tokenize_chinese_chars)
        self._marks = _Marks()

    def __call__(self, text: str) -> str:
        """The normalised text."""
        text = text.translate(self._table)
        if self.strips_accents and not text.isascii():
            text = unicodedata.normalize("NFD", text).translate(self._marks)
        if self.lowercase:
            text = text.replace("Σ", "σ").lower()
        return text


def split_words(text: str) -> list[str]:
    """The words and punctuation marks of a normalised text.

    >>> split_words("it costs 3$, isn't it?")
    ['it', 'costs', '3', '$', ',', 'isn', "'", 't', 'it', '?']
    """
    return WORDS.findall(text)
