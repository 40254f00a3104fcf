"""What generate was asked for, checked once, before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import is_number, require_whole
from ..autograd import unwrap
from ..backend import default_generator, to_numpy
from .sampling import require_choices


@dataclass
class Request:
    """How to choose the tokens; the fields are those arguments of generate.

    >>> Request(top_k=3, eos_token_id=7, do_sample=True).choices["top_k"]
    3
    """

    do_sample: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: "bool | str" = False
    num_return_sequences: int = 1
    repetition_penalty: float = 1.0
    eos_token_id: "int | Sequence[int] | None" = None
    pad_token_id: int | None = None
    rng: np.random.Generator | None = None
    streamer: Any = None

    def __post_init__(self) -> None:
        for name in ("num_beams", "num_return_sequences"):
            require_whole("generate", name, getattr(self, name))
        self._require_results_that_differ()
        if self.early_stopping not in (False, True, "never"):
            raise ValueError(
                f"generate: early_stopping must be False, True or 'never', got "
                f"{self.early_stopping!r}"
            )
        if not is_number(self.length_penalty) or not np.isfinite(self.length_penalty):
            raise ValueError(
                f"generate: length_penalty must be a finite number, got {self.length_penalty!r}"
            )
        if self.streamer is not None and self.num_beams > 1:
            raise ValueError(
                "generate: a streamer cannot follow beam search, because which tokens stay is known "
                "only at the end: use num_beams=1"
            )
        require_choices(**self.choices)
        self.rng = default_generator(self.rng) if self.do_sample else None
        self.ends = token_ids(self.eos_token_id)
        padding = [*token_ids(self.pad_token_id, "pad_token_id"), *self.ends, 0]
        self.padding = int(padding[0])
        self._read_streamer()

    def _read_streamer(self) -> None:
        """What to call with the prompt, with the new tokens of each step, and at the end."""
        streamer = self.streamer
        self.show_prompt = self.show = getattr(streamer, "put", _ignore)
        self.finish = getattr(streamer, "end", _ignore)
        if streamer is None or hasattr(streamer, "put"):
            return
        if not callable(streamer):
            raise TypeError(
                f"generate: streamer must be a function of the new ids, or have put and end, got "
                f"{type(streamer).__name__}"
            )
        self.show = streamer

    def _require_results_that_differ(self) -> None:
        """Refuse more results than the search finds."""
        number, beams = self.num_return_sequences, self.num_beams
        if beams > 1 and number > beams:
            raise ValueError(
                f"generate: beam search with num_beams={beams} finds {beams} texts, so "
                f"num_return_sequences must not be {number}: ask for fewer, or use more beams"
            )
        if beams == 1 and number > 1 and not self.do_sample:
            raise ValueError(
                f"generate: num_return_sequences={number} would give the same text {number} times: "
                "add do_sample=True or num_beams"
            )

    @property
    def choices(self) -> dict[str, Any]:
        """The options of process_logits."""
        penalty = {"repetition_penalty": self.repetition_penalty}
        if not self.do_sample:
            return penalty
        drawing = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        return penalty | drawing


def special_ids(
    model: Any, eos_token_id: Any, pad_token_id: int | None
) -> tuple["int | Sequence[int] | None", int | None]:
    """Both ids as given, or else as the model's generation_config, or its config, has them."""
    own = getattr(model, "generation_config", None) or {}
    config = getattr(model, "config", None)
    found = {"eos_token_id": eos_token_id, "pad_token_id": pad_token_id}
    for name, given in found.items():
        if given is None:
            found[name] = own.get(name)
        if found[name] is None:
            found[name] = getattr(config, name, None)
    return found["eos_token_id"], found["pad_token_id"]


def token_ids(given: Any, name: str = "eos_token_id") -> np.ndarray:
    """No, one or (of those that end a text) several ids as an array.

    Raises   ValueError for anything else, negative ids too
    """
    ids = np.atleast_1d(np.asarray([] if given is None else given))
    several = name == "eos_token_id"
    if (ids.size and (ids.dtype.kind not in "iu" or ids.ndim > 1 or ids.min() < 0)) or (
        np.ndim(given) and not several
    ):
        kind = "an id or a list of ids" if several else "an id"
        raise ValueError(f"generate: {name} must be {kind}, got {given!r}")
    return ids.astype(np.int64)


def read_prompts(input_ids: Any, attention_mask: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """(ids (B, T) int64, mask (B, T) bool with False for padding; None where nothing is padded)."""
    ids = np.atleast_2d(to_numpy(unwrap(input_ids)))
    if ids.ndim != 2 or ids.size == 0 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"generate: input_ids must be integers of shape (batch, tokens) with at least one "
            f"token, got shape {ids.shape} {ids.dtype}"
        )
    ids = ids.astype(np.int64)
    if attention_mask is None:
        return ids, None
    given = np.atleast_2d(to_numpy(unwrap(attention_mask)))
    mask = given.astype(bool)
    if mask.shape != ids.shape or not (given == mask).all():
        raise ValueError(
            f"generate: attention_mask must have the shape of input_ids {ids.shape} and hold 1 for "
            f"tokens and 0 for padding, got shape {mask.shape}"
        )
    wrong = np.flatnonzero(~mask[:, -1])
    if wrong.size:
        raise ValueError(
            f"generate: row {wrong[0]} of attention_mask ends with 0, but the new tokens follow the "
            "last one: put the padding on the left (padding_side='left'), and a token into each row"
        )
    return ids, None if mask.all() else mask


def read_lengths(
    config: Any,
    prompt: int,
    max_length: int | None,
    max_new_tokens: int | None,
    sliding_window: bool,
) -> tuple[int, int | None]:
    """(the length of the result, prompt included; how many tokens the model can see or None)."""
    if (max_length is None) == (max_new_tokens is None):
        raise ValueError("generate: give either max_length or max_new_tokens")
    for name, number in (("max_length", max_length), ("max_new_tokens", max_new_tokens)):
        if number is not None:
            require_whole("generate", name, number, least=0)
    total = max_length if max_length is not None else prompt + (max_new_tokens or 0)
    if total < prompt:
        raise ValueError(
            f"generate: the prompt has {prompt} tokens, so max_length must be at least that, "
            f"got {max_length}"
        )
    names = ("n_positions", "max_position_embeddings")
    window = next((getattr(config, name) for name in names if hasattr(config, name)), None)
    if window is not None and total > window and not sliding_window:
        alone = f" (the prompt alone has {prompt})" if prompt > window else ""
        raise ValueError(
            f"generate: {total} tokens are more than the {window} positions of the model{alone}: ask "
            "for fewer, or pass sliding_window=True to let it see only the last ones"
        )
    return total, window


def _ignore(ids: Any = None) -> None:
    """A streamer that shows nothing."""
