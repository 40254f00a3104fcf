"""The character tokenizer: one id for each character that the training text contains."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..arguments import require_whole
from ..files import read_json, write_json
from .base import RoleId, RoleToken, checked_text, checked_texts, id_array
from .batch import BatchMixin

FILE_NAME = "char_tokenizer.json"


class CharTokenizer(BatchMixin):
    """Characters in code-point order, numbered from 0.

    It works for any language; a Chinese text simply has more characters than an English one.

    pad_token   the character that fills up short rows in tokenizer(texts, padding=True); it can be set
                later, and decode writes it like any other: attention_mask tells where it fills up

    >>> tokenizer = CharTokenizer.train(["hello 世界"])
    >>> tokenizer.encode("hello")
    [2, 1, 3, 3, 4]
    >>> tokenizer.decode([2, 1, 3, 3, 4])
    'hello'
    >>> tokenizer.pad_token = " "
    >>> tokenizer(["hello", "世界"], padding=True).input_ids
    array([[2, 1, 3, 3, 4],
           [5, 6, 0, 0, 0]])
    """

    pad_token, pad_token_id = RoleToken(), RoleId()

    def __init__(self, characters: Iterable[str], *, pad_token: str | None = None) -> None:
        self.characters = list(characters) if isinstance(characters, Iterable) else []
        single = all(isinstance(c, str) and len(c) == 1 for c in self.characters)
        if not self.characters or not single:
            raise ValueError(
                "CharTokenizer: give at least one character, each a string of length 1"
            )
        self._ids = {c: i for i, c in enumerate(self.characters)}
        if len(self._ids) != len(self.characters):
            raise ValueError("CharTokenizer: a character is given twice")
        self._roles: dict[str, str] = {}
        self.pad_token = pad_token

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int | None = None) -> "CharTokenizer":
        """Collect the characters of the texts, or the vocab_size most frequent of them.

        Raises   ValueError if the texts are empty; TypeError for a string instead of a list of them
        """
        checked_texts(texts, "CharTokenizer")
        if vocab_size is not None:
            require_whole("CharTokenizer.train", "vocab_size", vocab_size)
        counts: dict[str, int] = {}
        for text in texts:
            for character in set(checked_text(text)):
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
        checked_text(text)
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

    def _set_role(self, role: str, token: Any) -> None:
        if token is None:
            self._roles.pop(role, None)
        elif isinstance(token, str) and token in self._ids:
            self._roles[role] = token
        else:
            raise ValueError(
                f"{role}_token: {token!r} is not among the {len(self)} characters this tokenizer was "
                f"trained on: use one that is, such as {self._usual()!r}"
            )

    def _usual(self) -> str:
        """A character to fill up with: one that shows as nothing, where there is one."""
        return next((c for c in "\n " if c in self._ids), self.characters[0])

    def _pad_id(self) -> int | None:
        return self.pad_token_id

    def _pad_advice(self) -> str:
        return f"tokenizer.pad_token = {self._usual()!r}"

    def decode(self, ids: Any) -> str:
        """The text of ids.

        Raises   ValueError that names the first id outside the vocabulary; TypeError for what is none
        """
        numbers = id_array(ids).reshape(-1)
        for i in numbers:
            if not 0 <= int(i) < len(self):
                raise ValueError(f"id {int(i)} is outside the vocabulary 0 … {len(self) - 1}")
        return "".join(self.characters[int(i)] for i in numbers)

    def save_pretrained(self, folder: "str | Path") -> None:
        """Write the vocabulary into a folder, and the padding character where there is one."""
        roles = {} if self.pad_token is None else {"pad_token": self.pad_token}
        values = {"type": "character", "characters": self.characters, **roles}
        write_json(Path(folder) / FILE_NAME, values)

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
            return cls(values["characters"], pad_token=values.get("pad_token"))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a complete vocabulary: {error}") from None

    def __repr__(self) -> str:
        return f"CharTokenizer({len(self)} characters)"
