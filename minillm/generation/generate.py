"""Writing on from a prompt, one token at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import no_grad, unwrap
from ..backend import to_numpy
from ..nn import evaluating
from .sampling import next_token


def generate(
    model: Any,
    input_ids: Any,
    *,
    max_length: int | None = None,
    max_new_tokens: int | None = None,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    eos_token_id: int | None = None,
    sliding_window: bool = False,
    rng: np.random.Generator | None = None,
    streamer: Callable[[np.ndarray], Any] | None = None,
) -> np.ndarray:
    """Continue each prompt of a batch.

    model            called as model(ids), ids on the host; gives an output with .logits (B, T, V)
    input_ids        (B, T) prompts of equal length; one prompt (T,) is a batch of one
    max_length       length of the result, prompt included; or max_new_tokens without it
    do_sample        draw tokens at random; the most probable one every time by default
    temperature, top_k   see sampling.py
    eos_token_id     a row that produced it is finished and filled up with it
    sliding_window   beyond the model's positions, let it see only the last ones; an error if False
    streamer         called with the new ids (B,) of each step

    Returns   (B, T + new) int64 on the host, prompts included
    Raises    ValueError for an empty prompt, no or both lengths, or too long a result

    >>> from minillm.models import GPT2Config, GPT2LMHeadModel
    >>> size = {"vocab_size": 5, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 1}
    >>> model = GPT2LMHeadModel(GPT2Config(**size))
    >>> generate(model, [[1, 2]], max_length=6, do_sample=True, top_k=3).shape
    (1, 6)
    """
    ids = np.atleast_2d(
        to_numpy(unwrap(input_ids)) if not isinstance(input_ids, list) else input_ids
    )
    if ids.ndim != 2 or ids.size == 0 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"generate: input_ids must be integers of shape (batch, tokens) with at least one "
            f"token, got shape {ids.shape} {ids.dtype}"
        )
    total = _total_length(ids.shape[1], max_length, max_new_tokens)
    window = getattr(getattr(model, "config", None), "n_positions", None)
    if window is not None and total > window and not sliding_window:
        raise ValueError(
            f"generate: {total} tokens are more than the {window} positions of the model: ask for "
            "fewer, or pass sliding_window=True to let it see only the last ones"
        )
    finished = np.zeros(len(ids), dtype=bool)
    with no_grad(), evaluating(model):
        while ids.shape[1] < total and not finished.all():
            seen = ids if window is None else ids[:, -window:]
            logits = model(seen).logits.data[:, -1]  # (B, V)
            new = next_token(
                logits, do_sample=do_sample, temperature=temperature, top_k=top_k, rng=rng
            )
            if eos_token_id is not None:
                new = np.where(finished, eos_token_id, new)
                finished |= new == eos_token_id
            ids = np.concatenate([ids, new[:, None]], axis=1)
            if streamer is not None:
                streamer(new)
    return ids.astype(np.int64)


def _total_length(prompt: int, max_length: int | None, max_new_tokens: int | None) -> int:
    """The length of the result, prompt included."""
    if (max_length is None) == (max_new_tokens is None):
        raise ValueError("generate: give either max_length or max_new_tokens")
    total = max_length if max_length is not None else prompt + (max_new_tokens or 0)
    if total < prompt or (max_new_tokens is not None and max_new_tokens < 0):
        raise ValueError(
            f"generate: the prompt has {prompt} tokens, so max_length must be at least that "
            f"and max_new_tokens at least 0, got {max_length} and {max_new_tokens}"
        )
    return total


class GenerationMixin:
    """Gives a model the method generate.

    >>> from minillm.models import GPT2Config, GPT2LMHeadModel
    >>> size = {"vocab_size": 5, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 1}
    >>> GPT2LMHeadModel(GPT2Config(**size)).generate([[1, 2]], max_new_tokens=3).shape
    (1, 5)
    """

    def generate(self, input_ids: Any, **options: Any) -> np.ndarray:
        """Continue each prompt of a batch: minillm.generation.generate with this model."""
        return generate(self, input_ids, **options)
