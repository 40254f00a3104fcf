"""The character tokenizer: one id for each character that the training text contains."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..arguments import require_whole
from ..files import read_json, write_json
from .batch import BatchMixin

FILE_NAME = "char_tokenizer.json"


class CharTokenizer(BatchMixin):
    """Characters in code-point order, numbered from 0.

    It works for any language; a Chinese text simply has more characters than an English one.

    >>> tokenizer = CharTokenizer.train(["hello 世界"])
    >>> tokenizer.encode("hello")
    [2, 1, 3, 3, 4]
    >>> tokenizer.decode([2, 1, 3, 3, 4])
    'hello'
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = list(characters)
        if not self.characters or any(len(c) != 1 for c in self.characters):
            raise ValueError(
                "CharTokenizer: give at least one character, each a string of length 1"
            )
        self._ids = {c: i for i, c in enumerate(self.characters)}
        if len(self._ids) != len(self.characters):
            raise ValueError("CharTokenizer: a character is given twice")

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int | None = None) -> "CharTokenizer":
        """Collect the characters of the texts, or the vocab_size most frequent of them.

        Raises   ValueError if the texts are empty; TypeError for a string instead of a list of them
        """
        if isinstance(texts, str):
            raise TypeError("CharTokenizer.train: give a list of texts: train([text])")
        if vocab_size is not None:
            require_whole("CharTokenizer.train", "vocab_size", vocab_size)
        counts: dict[str, int] = {}
        for text in texts:
            for character in set(text):
                counts[character] = counts.get(character, 0) + text.count(character)
        if not counts:
            raise ValueError("CharTokenizer.train: the texts are empty")
        ranked = sorted(counts, key=lambda c: (-counts[c], c))[:vocab_size]
        return cls(sorted(ranked))

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return len(self.characters)

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """The id of each character.

        Raises   ValueError that names the first character that is not in the vocabulary, and where
        """
        try:
            return [self._ids[c] for c in text]
        except KeyError as error:
            c = error.args[0]
            raise ValueError(
                f"the character {c!r} (U+{ord(c):04X}) at position {text.index(c)} is not among the "
                f"{len(self)} characters this tokenizer was trained on"
            ) from None

    def _plain_ids(self, text: str) -> list[int]:
        return self.encode(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids.

        Raises   ValueError that names the first id outside the vocabulary
        """
        numbers = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids)).reshape(-1)
        if numbers.size and numbers.dtype.kind not in "iu":
            raise TypeError(f"CharTokenizer.decode: ids must be integers, got {numbers.dtype}")
        for i in numbers:
            if not 0 <= int(i) < len(self):
                raise ValueError(f"id {int(i)} is outside the vocabulary 0 … {len(self) - 1}")
        return "".join(self.characters[int(i)] for i in numbers)

    def save_pretrained(self, folder: "str | Path") -> None:
        """Write the vocabulary into a folder."""
        write_json(Path(folder) / FILE_NAME, {"type": "character", "characters": self.characters})

    @classmethod
    def from_pretrained(cls, folder: "str | Path") -> "CharTokenizer":
        """Read the vocabulary of a folder.

        Raises   FileNotFoundError or ValueError that names the file
        """
        path = Path(folder) / FILE_NAME
        values = read_json(path)
        if not isinstance(values, dict) or values.get("type") != "character":
            raise ValueError(f"{path} is not the vocabulary of a character tokenizer")
        try:
            return cls(values["characters"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a complete vocabulary: {error}") from None

    def __repr__(self) -> str:
        return f"CharTokenizer({len(self)} characters)"
