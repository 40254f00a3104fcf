"""Calling a tokenizer: many texts, or pairs of texts, into rectangular arrays of ids.

A row is [ids of the text, ids of its pair] with the special tokens of the model around them.  Rows that
are too long for the model are cut (truncation) before the special tokens are added, and short ones are
filled up with the padding token; `attention_mask` is 1 where a token is real and 0 where it fills up.

Cutting a pair with "longest_first".  Let n1 <= n2 be the lengths and room what both may have together.
If n1 fits beside an equal part, only the longer text is cut, to room - n1.  Otherwise both get half;
of an odd room the longer text gets one more (of equally long texts: the second).
"""

import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..arguments import require_whole
from ..autograd import Tensor

PADDING = {False: None, True: "longest", "longest": "longest", "max_length": "max_length"}
PADDING["do_not_pad"] = None
TRUNCATION = {None: None, False: None, True: "longest_first", "do_not_truncate": None}
TRUNCATION |= {name: name for name in ("longest_first", "only_first", "only_second")}


class Encoding(dict[str, Any]):
    """What a tokenizer returns when it is called: a dict that also answers to `.input_ids`.

    >>> Encoding(input_ids=[1, 2]).input_ids
    [1, 2]
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the encoding has {', '.join(self)}, and no {name!r}") from None


class Row(NamedTuple):
    """One text, or pair of texts, with its special tokens."""

    ids: list[int]
    type_ids: list[int]  # 0 for the first text, 1 for the second


class Limits(NamedTuple):
    """What was asked for: None stands for "do not"."""

    padding: str | None
    truncation: str | None
    max_length: int | None


class BatchMixin:
    """Gives a tokenizer `tokenizer(texts, ...)`; it must offer `_plain_ids` and may frame rows."""

    padding_side: str = "right"
    truncation_side: str = "right"
    model_max_length: int | None = None
    returns_type_ids: bool = False

    def _plain_ids(self, text: str) -> list[int]:
        raise NotImplementedError

    def _frame(self, first: list[int], second: list[int] | None) -> Row:
        """Join the ids of a text and of its pair, and add the model's special tokens: here none."""
        second = second or []
        return Row(first + second, [0] * len(first) + [1] * len(second))

    def _pad_id(self) -> int | None:
        return None

    def _pad_advice(self) -> str:
        """How to get a padding token, as code."""
        return "tokenizer.pad_token = tokenizer.eos_token"

    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        return_tensors: str | None = None,
        add_special_tokens: bool = True,
        padding_side: str | None = None,
        return_token_type_ids: bool | None = None,
    ) -> Encoding:
        """Encode a text, a pair of texts, or a list of either.

        padding          False; True fills up to the longest row; "max_length" fills up to max_length
        truncation       True or "longest_first", "only_first", "only_second", False; if it is left
                         out, a max_length without padding cuts, as in Transformers
        max_length       ids in a row, special tokens counted; default: the model's own maximum
        return_tensors   "np": always arrays of two axes; None: one axis for a single text, and a
                         list of arrays for several texts that are not padded

        Returns  input_ids and attention_mask, and token_type_ids where the model has them: int64
        Raises   ValueError if there is no padding token, if rows cannot be cut to max_length, or if
                 rows of different lengths should become one array
        """
        if return_tensors not in (None, "np"):
            raise ValueError(
                f'return_tensors must be "np" or None, got {return_tensors!r}: minillm works on '
                "NumPy arrays"
            )
        many, pairs = _pairs(text, text_pair)
        limits = self._limits(padding, truncation, max_length)
        rows = [self._row(first, second, limits, add_special_tokens) for first, second in pairs]
        side = self.padding_side if padding_side is None else padding_side
        columns = self._columns(rows, limits, side)
        types = self.returns_type_ids if return_token_type_ids is None else return_token_type_ids
        if not types:
            del columns["token_type_ids"]
        if return_tensors == "np" or (many and limits.padding):
            return Encoding({name: _stack(name, values) for name, values in columns.items()})
        return Encoding(columns if many else {name: v[0] for name, v in columns.items()})

    def batch_decode(self, rows: Iterable[Any], **options: Any) -> list[str]:
        """The text of each row of ids; options as for `decode`.

        Raises   TypeError if there are no rows
        """
        decode: Any = self.decode  # type: ignore[attr-defined]
        rows = rows.data if isinstance(rows, Tensor) else rows
        if not isinstance(rows, Iterable) or isinstance(rows, (str, bytes, dict)):
            raise TypeError(f"batch_decode takes rows of ids, got {type(rows).__name__}")
        return [decode(row, **options) for row in rows]

    def _limits(self, padding: Any, truncation: Any, max_length: int | None) -> Limits:
        for name, value, known in (
            ("padding", padding, PADDING),
            ("truncation", truncation, TRUNCATION),
        ):
            if not isinstance(value, (bool, str, type(None))) or value not in known:
                choices = ", ".join(repr(key) for key in known)
                raise ValueError(f"{name} must be one of {choices}; got {value!r}")
        pad, cut = PADDING[padding], TRUNCATION[truncation]
        if max_length is not None:
            require_whole(type(self).__name__, "max_length", max_length, least=0)
        if truncation is None and max_length is not None and pad is None:
            cut = "longest_first"
        if max_length is None:
            max_length = self.model_max_length
        if max_length is None and pad == "max_length":
            raise ValueError(
                'padding="max_length" needs max_length=, for this tokenizer has no model_max_length'
            )
        if max_length is None and cut:
            warnings.warn(
                "truncation without max_length, and this tokenizer has no model_max_length: "
                "nothing is cut",
                stacklevel=3,
            )
            cut = None
        return Limits(pad, cut, max_length)

    def _row(self, first: str, second: str | None, limits: Limits, special: bool) -> Row:
        a = self._plain_ids(first)
        b = None if second is None else self._plain_ids(second)
        # without special tokens a row is framed as by a tokenizer that has none
        frame = self._frame if special else partial(BatchMixin._frame, self)
        if limits.truncation and limits.max_length is not None:
            added = len(frame([], None if b is None else []).ids)
            if limits.max_length < added:
                raise ValueError(
                    f"max_length={limits.max_length} has no room for the {added} special tokens of "
                    "a row: give a larger one"
                )
            room = limits.max_length - added
            a, b = truncate(a, b, room, limits.truncation, self.truncation_side)
        return frame(a, b)

    def _columns(self, rows: list[Row], limits: Limits, side: str) -> dict[str, list[np.ndarray]]:
        if side not in ("left", "right"):
            raise ValueError(f'padding_side must be "left" or "right", got {side!r}')
        length = None
        if limits.padding:
            longest = max((len(row.ids) for row in rows), default=0)
            length = longest if limits.padding == "longest" else limits.max_length
            if length is not None and longest > length:
                raise ValueError(
                    f'padding="max_length": a row has {longest} ids, more than '
                    f"max_length={length}; add truncation=True or a larger max_length"
                )
        pad = self._pad_id()
        if pad is None and limits.padding:
            raise ValueError(
                f"{type(self).__name__} has no padding token: set one first, for example "
                f"{self._pad_advice()}"
            )
        ones = [[1] * len(row.ids) for row in rows]
        fill = 0 if pad is None else pad
        return {
            "input_ids": [_pad(row.ids, length, fill, side) for row in rows],
            "token_type_ids": [_pad(row.type_ids, length, 0, side) for row in rows],
            "attention_mask": [_pad(row, length, 0, side) for row in ones],
        }


def truncate(
    first: list[int], second: list[int] | None, room: int, strategy: str, side: str = "right"
) -> tuple[list[int], list[int] | None]:
    """Cut a text and its pair so that both together have at most `room` ids.

    side   where ids are taken away: "right" keeps the beginning, "left" the end

    Raises   ValueError if "only_first" or "only_second" would leave nothing of that text

    >>> truncate([1, 2, 3, 4, 5], [6, 7], 5, "longest_first")
    ([1, 2, 3], [6, 7])
    >>> truncate([1, 2, 3, 4, 5], [6, 7, 8, 9], 5, "longest_first")
    ([1, 2, 3], [6, 7])
    """
    if side not in ("left", "right"):
        raise ValueError(f'truncation_side must be "left" or "right", got {side!r}')
    n1, n2 = len(first), len(second or [])
    excess = n1 + n2 - room
    if excess <= 0:
        return first, second
    if strategy == "longest_first":
        n1, n2 = (room, 0) if second is None else _longest_first(n1, n2, room)
    elif strategy == "only_second" and second is None:
        raise ValueError('truncation="only_second" needs a text_pair')
    else:
        n1, n2 = (n1 - excess, n2) if strategy == "only_first" else (n1, n2 - excess)
        if min(n1, n2) < 0 or (n1 if strategy == "only_first" else n2) == 0:
            raise ValueError(
                f"truncation={strategy!r} cannot take {excess} ids away from a text that has no "
                'more than that: use truncation="longest_first" or a larger max_length'
            )
    return _cut(first, n1, side), None if second is None else _cut(second, n2, side)


def _longest_first(n1: int, n2: int, room: int) -> tuple[int, int]:
    """The lengths that two texts of n1 and n2 ids keep, n1 + n2 > room."""
    if n1 > n2:
        n2, n1 = _longest_first(n2, n1, room)
        return n1, n2
    if n1 <= room - n1:
        return n1, room - n1
    return room // 2, room - room // 2


def _cut(ids: list[int], length: int, side: str) -> list[int]:
    return ids[:length] if side == "right" else ids[len(ids) - length :]


def _pad(values: list[int], length: int | None, fill: int, side: str) -> np.ndarray:
    row = np.full(len(values) if length is None else length, fill, dtype=np.int64)
    if len(values):
        row[(slice(None, len(values)) if side == "right" else slice(-len(values), None))] = values
    return row


def _stack(name: str, rows: list[np.ndarray]) -> np.ndarray:
    if len({len(row) for row in rows}) > 1:
        raise ValueError(
            f"the rows of {name} have different lengths and do not fit one array: add padding=True, "
            "or truncation=True with max_length="
        )
    return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.int64)


def _pairs(text: Any, text_pair: Any) -> tuple[bool, list[tuple[str, str | None]]]:
    """(are there several?, the pairs); the second of a pair is None where there is none."""
    if isinstance(text, str):
        if text_pair is not None and not isinstance(text_pair, str):
            raise TypeError(f"text_pair must be a string like text, got {type(text_pair).__name__}")
        return False, [(text, text_pair)]
    if not isinstance(text, Iterable) or isinstance(text, (bytes, dict)):
        raise TypeError(f"text must be a string or a list of strings, got {type(text).__name__}")
    texts = list(text)
    if text_pair is not None:
        seconds = text_pair if isinstance(text_pair, str) else list(text_pair)
        if isinstance(seconds, str) or len(seconds) != len(texts):
            found = "a string" if isinstance(seconds, str) else f"{len(seconds)} texts"
            raise ValueError(f"text_pair must have one text for each of the {len(texts)}: {found}")
        texts = list(zip(texts, seconds, strict=True))
    return True, [_pair(item, number) for number, item in enumerate(texts)]


def _pair(item: Any, number: int) -> tuple[str, str | None]:
    parts: Sequence[Any] = (item, None) if isinstance(item, str) else item
    if (
        not isinstance(parts, (tuple, list))
        or len(parts) != 2
        or not isinstance(parts[0], str)
        or not isinstance(parts[1], (str, type(None)))
    ):
        raise TypeError(
            f"each text must be a string or a pair of strings; number {number} is {item!r:.60}"
        )
    return parts[0], parts[1]
