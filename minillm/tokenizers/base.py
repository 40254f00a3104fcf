"""What byte-level BPE and WordPiece share: the vocabulary, special tokens and their roles.

A special token, such as <|endoftext|> or [MASK], has an id of its own.  Written literally in a text it
becomes that id: the text is cut at special tokens first, and only what lies between them is cut into
words and word pieces.  Some special tokens play a role (the end of a text, padding, ...), which is
asked for by name: `tokenizer.eos_token`, `tokenizer.eos_token_id`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import regex

from ..arguments import is_whole, require_whole
from ..autograd import Tensor
from ..backend import is_array, to_numpy
from .batch import BatchMixin

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in a text before the text is cut into words.

    lstrip, rstrip   swallow the white space on the left, on the right
    single_word      found only where it is not a part of a longer word
    normalized       found in the text after normalisation (lower case, ...) instead of before it
    special          left out by decode(..., skip_special_tokens=True)
    """

    content: str
    id: int | None = None
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False
    special: bool = True


class RoleToken:
    """The special token in a role, for example eos_token; None if there is none; can be set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.role = name.removesuffix("_token")

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        return self if tokenizer is None else tokenizer._roles.get(self.role)

    def __set__(self, tokenizer: Any, token: str | None) -> None:
        tokenizer._set_role(self.role, token)


class RoleId:
    """The id of the special token in a role, for example eos_token_id; None if there is none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.role = name.removesuffix("_token_id")

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        if tokenizer is None:
            return self
        token = tokenizer._roles.get(self.role)
        return None if token is None else tokenizer._ids[token]

    def __set__(self, tokenizer: Any, value: Any) -> None:
        raise AttributeError(f"set the token and not its id: tokenizer.{self.role}_token = '...'")


class SubwordTokenizer(BatchMixin):
    """A vocabulary (token -> id) with special tokens; the base of GPT2Tokenizer and BertTokenizer."""

    bos_token, bos_token_id = RoleToken(), RoleId()
    eos_token, eos_token_id = RoleToken(), RoleId()
    unk_token, unk_token_id = RoleToken(), RoleId()
    sep_token, sep_token_id = RoleToken(), RoleId()
    pad_token, pad_token_id = RoleToken(), RoleId()
    cls_token, cls_token_id = RoleToken(), RoleId()
    mask_token, mask_token_id = RoleToken(), RoleId()

    def __init__(
        self,
        vocab: Mapping[str, int],
        special_tokens: "Mapping[str, int] | Iterable[str | AddedToken]",
        roles: Mapping[str, str | None],
        *,
        model_max_length: int | None = None,
    ) -> None:
        self._ids = _checked_vocabulary(vocab, type(self).__name__)
        self._tokens = {number: token for token, number in self._ids.items()}
        self._size = max(self._tokens, default=-1) + 1
        self._added: dict[str, AddedToken] = {}
        self._roles: dict[str, str] = {}
        if model_max_length is not None:
            require_whole(type(self).__name__, "model_max_length", model_max_length)
        self.model_max_length = model_max_length
        if isinstance(special_tokens, Mapping):
            special_tokens = [AddedToken(t, number) for t, number in special_tokens.items()]
        for token in checked_special_tokens(special_tokens):
            self._add(AddedToken(token) if isinstance(token, str) else token)
        for role, name in roles.items():
            if name is not None:
                if name not in self._added:
                    self._add(AddedToken(name))
                self._roles[role] = name
        self._patterns = self._compile()

    # ------------------------------------------------------------------------- vocabulary

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: how many rows an embedding needs."""
        return self._size

    def __len__(self) -> int:
        return self.vocab_size

    def get_vocab(self) -> dict[str, int]:
        """A copy of the vocabulary, token -> id, special tokens included."""
        return dict(self._ids)

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens, in the order of their ids."""
        return sorted((t for t, a in self._added.items() if a.special), key=self._ids.__getitem__)

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of the special tokens, in order."""
        return [self._ids[token] for token in self.all_special_tokens]

    def convert_ids_to_tokens(self, ids: Any) -> Any:
        """The token of an id, or the list of tokens of several ids."""
        array = id_array(ids)
        tokens = [self._tokens[number] for number in self._checked_ids(array)]
        return tokens if array.ndim else tokens[0]

    def convert_tokens_to_ids(self, tokens: "str | Iterable[str]") -> Any:
        """The id of a token, or the list of ids of several; an unknown one has unk_token_id.

        Raises   ValueError for an unknown token if there is no unk_token
        """
        if not isinstance(tokens, str):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        number = self._ids.get(tokens, self.unk_token_id)
        if number is None:
            raise ValueError(f"the token {tokens!r} is not among the {len(self)} of the vocabulary")
        return number

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text as they stand in the vocabulary, without added special tokens."""
        return [self._tokens[number] for number in self._plain_ids(text)]

    def _checked_ids(self, ids: Any) -> list[int]:
        """Ids as a list of known ints.

        Raises   TypeError or ValueError that names the first id that is none
        """
        array = id_array(ids)
        if array.ndim > 1:
            raise ValueError(f"decode takes one row of ids, got {array.shape}: use batch_decode")
        numbers: list[int] = array.reshape(-1).tolist()
        for number in numbers:
            if number not in self._tokens:
                raise ValueError(
                    f"id {number} is not in the vocabulary of {len(self)} tokens: the ids come "
                    "from another tokenizer, or from a model with a larger vocabulary"
                )
        return numbers

    # --------------------------------------------------------------------- special tokens

    def _add(self, token: AddedToken) -> None:
        """Give a token the id that it asks for, has in the vocabulary, or the next free one."""
        name, number = token.content, token.id
        if not name:
            raise ValueError("a special token must not be empty")
        if number is None:
            number = self._ids.get(name, self._size)
        if self._ids.get(name, number) != number or self._tokens.get(number, name) != name:
            raise ValueError(
                f"the special token {name!r} asks for id {number}, but the vocabulary has "
                f"{self._tokens.get(number, 'nothing')!r} there and "
                f"{name!r} at {self._ids.get(name, 'no place')}: both must come from one tokenizer"
            )
        self._ids[name] = number
        self._tokens[number] = name
        self._size = max(self._size, number + 1)
        self._added[name] = replace(token, id=number)

    def _set_role(self, role: str, token: str | None) -> None:
        if token is None:
            self._roles.pop(role, None)
            return
        if not isinstance(token, str) or token not in self._ids:
            example = f", such as tokenizer.{role}_token = tokenizer.eos_token"
            example = "" if self.eos_token is None else example
            raise ValueError(
                f"{role}_token: {token!r} is not in the vocabulary; use a token that is{example}, or "
                "name it as a special token when the tokenizer is made"
            )
        self._roles[role] = token
        if token not in self._added:
            self._add(AddedToken(token))
            self._patterns = self._compile()

    def _normalized(self, text: str) -> str:
        """The text as the words are looked up in it; byte-level BPE changes nothing."""
        return text

    def _compile(self) -> dict[bool, Any]:
        """For tokens looked for before (False) and after (True) normalisation: (pattern, ids)."""
        patterns = {}
        for normalized in (False, True):
            tokens = [a for a in self._added.values() if a.normalized == normalized]
            tokens.sort(key=lambda a: -len(a.content))  # of two at one place, the longer
            parts = []
            for token in tokens:
                text = self._normalized(token.content) if normalized else token.content
                part = f"({regex.escape(text)})"
                if token.single_word:
                    part = rf"(?<!\w){part}(?!\w)"
                parts.append(r"\s*" * token.lstrip + part + r"\s*" * token.rstrip)
            if parts:
                patterns[normalized] = (regex.compile("|".join(parts)), [a.id for a in tokens])
        return patterns

    def _split(self, text: str, normalized: bool = False) -> Iterator[tuple[str, int | None]]:
        """Cut a text at its special tokens: (text between, None) and ("", id), in order."""
        if normalized not in self._patterns:
            yield text, None
            return
        pattern, ids = self._patterns[normalized]
        end = 0
        for match in pattern.finditer(text):
            if match.start() > end:
                yield text[end : match.start()], None
            yield "", ids[match.lastindex - 1]
            end = match.end()
        if end < len(text):
            yield text[end:], None

    def _parts(self, text: str) -> Iterator[tuple[str, int | None]]:
        """Cut a text at added tokens; what lies between them is normalised, and cut once more."""
        for piece, number in self._split(text):
            if number is not None:
                yield piece, number
            else:
                yield from self._split(self._normalized(piece), normalized=True)

    def _pad_id(self) -> int | None:
        return self.pad_token_id

    def _pad_advice(self) -> str:
        if self.eos_token is None:
            return 'special_tokens=["<|pad|>"] in train, and tokenizer.pad_token = "<|pad|>"'
        return super()._pad_advice()


def _checked_vocabulary(vocab: Mapping[str, int], name: str) -> dict[str, int]:
    if not isinstance(vocab, Mapping):
        raise TypeError(f"{name}: vocab must be a dict token -> id, got {type(vocab).__name__}")
    owner: dict[int, str] = {}
    for token, number in vocab.items():
        if not isinstance(token, str) or isinstance(number, bool) or not isinstance(number, int):
            raise ValueError(
                f"{name}: vocab must map tokens to ids, strings to integers; got "
                f"{token!r}: {number!r}"
            )
        if number < 0:
            raise ValueError(f"{name}: the id of {token!r} is {number}, which is negative")
        if number in owner:
            raise ValueError(
                f"{name}: id {number} is given to {owner[number]!r} and to {token!r}; each token "
                "needs an id of its own"
            )
        owner[number] = token
    return dict(vocab)


def checked_texts(texts: Any, name: str) -> None:
    """Refuse what is no list of texts.

    Raises   TypeError for one string instead of a list, and for what has no texts in it
    """
    if isinstance(texts, str):
        more = "" if name == "CharTokenizer" else ", vocab_size"
        raise TypeError(f"{name}.train: give a list of texts: train([text]{more})")
    if not isinstance(texts, Iterable):
        raise TypeError(f"{name}.train: give a list of texts, got {type(texts).__name__}")


def checked_training(
    texts: Any, vocab_size: int, min_frequency: int, smallest: int, name: str, what: str
) -> None:
    """Refuse arguments of a training that cannot work.

    Raises   TypeError if there is no list of texts; ValueError for numbers that are none, or for a
             vocab_size below smallest
    """
    checked_texts(texts, name)
    require_whole(f"{name}.train", "vocab_size", vocab_size)
    require_whole(f"{name}.train", "min_frequency", min_frequency)
    if vocab_size < smallest:
        raise ValueError(
            f"{name}.train: vocab_size={vocab_size} is too small: {what} need {smallest} ids"
        )


def checked_special_tokens(tokens: Any, kinds: tuple[type, ...] = (str, AddedToken)) -> list[Any]:
    """Special tokens as a list.

    Raises   TypeError for one string instead of a list, or for something in it that is no token

    >>> checked_special_tokens("<|endoftext|>")
    Traceback (most recent call last):
    TypeError: special_tokens must be a list: ["<|endoftext|>"], not "<|endoftext|>"
    """
    if isinstance(tokens, str):
        raise TypeError(f'special_tokens must be a list: ["{tokens}"], not "{tokens}"')
    if not isinstance(tokens, Iterable):
        raise TypeError(f"special_tokens must be a list of strings, got {tokens!r}")
    tokens = list(tokens)
    for number, token in enumerate(tokens):
        if not isinstance(token, kinds):
            raise TypeError(
                f"special_tokens must be a list of strings; number {number} is {token!r:.60}"
            )
    return tokens


def id_array(ids: Any) -> np.ndarray:
    """Ids as an array on the host: of one id, of a Tensor or array, of anything with ids in it.

    Raises   TypeError if they are no integers; ValueError for rows of different lengths

    >>> id_array([2, 0, 1]), id_array(5)
    (array([2, 0, 1]), array(5))
    >>> id_array(None)
    Traceback (most recent call last):
    TypeError: ids must be an integer or a list of integers, got NoneType
    """
    ids = ids.data if isinstance(ids, Tensor) else ids
    if is_whole(ids) or is_array(ids):
        array = to_numpy(ids)
    elif isinstance(ids, Iterable) and not isinstance(ids, (str, bytes, Mapping)):
        numbers = [item.data if isinstance(item, Tensor) else item for item in ids]
        try:
            array = np.asarray(numbers)
        except ValueError:  # NumPy knows no arrays of rows of different lengths
            raise ValueError(
                "ids must be one row of integers, got rows of different lengths: use batch_decode"
            ) from None
    else:
        raise TypeError(f"ids must be an integer or a list of integers, got {type(ids).__name__}")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers, got {array.dtype}")
    return array if array.size else array.astype(np.int64)


def checked_text(text: Any) -> str:
    """The text, if it is one.

    Raises   TypeError
    """
    if not isinstance(text, str):
        raise TypeError(f"a text must be a string, got {type(text).__name__}")
    return text
