"""One id for each word: the vocabulary of a world whose words are known, or of a small data set."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

PAD, BOS, EOS, UNK, SEP, MASK = range(6)
SPECIAL = ("[PAD]", "[BOS]", "[EOS]", "[UNK]", "[SEP]", "[MASK]")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[^\w\s]")  # a word with its apostrophe, or one other sign


def split_words(text: str) -> list[str]:
    """The words and signs of a text, in small letters.

    >>> split_words("Don't stop, Leo!")
    ["don't", 'stop', ',', 'leo', '!']
    """
    return WORD.findall(text.lower())


class WordVocabulary:
    """Words to ids and back.  Ids 0 … 5 are [PAD] [BOS] [EOS] [UNK] [SEP] [MASK], then the words.

    BERT's [CLS] is [BOS] here: in each case what a sequence starts with.

    >>> vocabulary = WordVocabulary(["cat", "sat"])
    >>> vocabulary.encode(["the", "cat", "sat"]), vocabulary.decode([6, 7, 2])
    ([3, 6, 7], ['cat', 'sat'])
    """

    mask_token_id = MASK
    all_special_ids = tuple(range(len(SPECIAL)))

    def __init__(self, words: Iterable[str]) -> None:
        self.words = [*SPECIAL, *words]
        self.ids = {word: number for number, word in enumerate(self.words)}
        if len(self.ids) != len(self.words):
            twice = next(word for word, n in Counter(self.words).items() if n > 1)
            raise ValueError(f"WordVocabulary: {twice!r} comes twice: give each word once")

    @classmethod
    def train(
        cls, texts: Iterable[Sequence[str]], *, min_count: int = 1, most: int | None = None
    ) -> "WordVocabulary":
        """The words of some texts, the most frequent first; ties in the order of the alphabet.

        >>> WordVocabulary.train([["a", "b"], ["b"]]).words[6:]
        ['b', 'a']
        """
        counts = Counter(word for text in texts for word in text)
        known = [w for w, n in counts.items() if n >= min_count and w not in SPECIAL]
        return cls(sorted(known, key=lambda word: (-counts[word], word))[:most])

    def __len__(self) -> int:
        return len(self.words)

    def get_vocab(self) -> dict[str, int]:
        """Word -> id, special ones included."""
        return dict(self.ids)

    def encode(self, words: Sequence[str]) -> list[int]:
        """The ids of words; [UNK] for one that is not known."""
        return [self.ids.get(word, UNK) for word in words]

    def decode(self, ids: "Sequence[int] | np.ndarray") -> list[str]:
        """The words up to the first [EOS], without special ones other than [UNK]."""
        words = []
        for number in np.asarray(ids).tolist():
            if number == EOS:
                break
            if number == UNK or number >= len(SPECIAL):
                words.append(self.words[number])
        return words
