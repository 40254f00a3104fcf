"""Writing on from a prompt, one token at a time."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..nn import evaluating
from .beam_search import beam_search
from .request import Request, read_lengths, read_prompts, special_ids
from .sampling import next_token, process_logits
from .steps import ModelSteps


def generate(
    model: Any,
    input_ids: Any,
    max_length: int | None = None,
    max_new_tokens: int | None = None,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    early_stopping: "bool | str" = False,
    num_return_sequences: int = 1,
    repetition_penalty: float = 1.0,
    use_cache: bool = True,
    eos_token_id: "int | Sequence[int] | None" = None,
    pad_token_id: int | None = None,
    attention_mask: Any = None,
    rng: np.random.Generator | None = None,
    streamer: Any = None,
    sliding_window: bool = False,
) -> np.ndarray:
    """Continue each prompt of a batch.

    model            called as model(ids), ids on the host; gives an output with .logits (B, T, V)
    input_ids        (B, T) prompts of equal length; one prompt (T,) is a batch of one
    attention_mask   (B, T) 0 for padding, which must be on the left, 1 for tokens; without it all
                     ids are tokens.  A padded prompt is continued as it would be without padding
    max_length       length of the result, prompt included; or max_new_tokens without it
    do_sample        draw tokens at random; the most probable one every time by default
    temperature, top_k, top_p, repetition_penalty   see sampling.py; the first three are for do_sample
    num_beams        more than 1 for beam search, with length_penalty and early_stopping (False, True
                     or "never"): see beam_search.py; with do_sample beams are drawn
    num_return_sequences   so many results for each prompt: drawn independently, or the best beams
    use_cache        keep keys and values of earlier tokens, if the model has new_cache; without it
                     everything is computed anew for each token, with the same result
    eos_token_id     a row that produced it, or one of several, is finished and filled up with
                     pad_token_id.  Without it the model's generation_config decides, or else
                     its config; [] for no end
    pad_token_id     if it is not given: found in the same way, or else the first eos_token_id
    streamer         called with the new ids (B,) of each step; or an object with put and end: put
                     gets the prompt (B, T), then the new ids (B,) of each step
    sliding_window   beyond the model's positions, let it see only the last ones; an error if False
    rng              for do_sample; the same state gives the same text

    Shapes    input_ids (B, T) -> (B * num_return_sequences, T + new) int64 on the host, prompts
              included, the results of one prompt one after the other
    Raises    ValueError for an empty prompt, no or both lengths, too long a result, padding on the
              right, or an option without meaning

    >>> from minillm.models import GPT2Config, GPT2LMHeadModel
    >>> size = {"vocab_size": 5, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 1}
    >>> model = GPT2LMHeadModel(GPT2Config(**size))
    >>> generate(model, [[1, 2]], max_length=6, do_sample=True, top_k=3).shape
    (1, 6)
    >>> generate(model, [[1, 2]], max_new_tokens=3, num_beams=2, num_return_sequences=2).shape
    (2, 5)
    """
    config = getattr(model, "config", None)
    ends, padding = special_ids(model, eos_token_id, pad_token_id)
    request = Request(
        do_sample, temperature, top_k, top_p, num_beams, length_penalty, early_stopping,
        num_return_sequences, repetition_penalty, ends, padding, rng, streamer,
    )  # fmt: skip
    ids, mask = read_prompts(input_ids, attention_mask)
    total, window = read_lengths(config, ids.shape[1], max_length, max_new_tokens, sliding_window)
    # -1 marks padding, which the repetition penalty does not count
    prompt = ids if mask is None else np.where(mask, ids, -1)
    request.show_prompt(ids)
    result = np.repeat(prompt, num_return_sequences, axis=0)
    if total > ids.shape[1]:
        step = ModelSteps(model, ids, mask, total=total, window=window, use_cache=use_cache)
        search = _search_beams if num_beams > 1 else _write
        with evaluating(model):
            result = search(step, prompt, total, request)
    result[:, : ids.shape[1]] = np.repeat(ids, num_return_sequences, axis=0)
    request.finish()
    return result


def _write(step: ModelSteps, prompt: np.ndarray, total: int, request: Request) -> np.ndarray:
    """Greedy choice or drawing: one text grows in each row."""
    rows = np.repeat(np.arange(len(prompt)), request.num_return_sequences)
    end = T = prompt.shape[1]
    text = np.full((len(rows), total), request.padding)
    text[:, :T] = prompt[rows]
    finished = np.zeros(len(rows), dtype=bool)
    logits = step()[rows]
    while True:
        new = next_token(
            logits, text[:, :end], do_sample=request.do_sample, rng=request.rng, **request.choices
        )
        new = np.where(finished, request.padding, new)
        finished |= np.isin(new, request.ends)
        text[:, end] = new
        end += 1
        request.show(new)
        if end == total or finished.all():
            return text[:, :end]
        logits = step(new, rows if end == T + 1 else None)


def _search_beams(step: ModelSteps, prompt: np.ndarray, total: int, request: Request) -> np.ndarray:
    """Beam search: the best texts of each prompt, cut to the longest of them."""
    process = None
    if request.do_sample or request.repetition_penalty != 1:
        # each beam keeps a token that does not end it, as in Transformers
        keep = {"min_keep": len(request.ends) + 1 if len(request.ends) else 2}
        process = partial(process_logits, **request.choices, **keep)
    found = beam_search(
        step, prompt, num_beams=request.num_beams, max_length=total, eos_token_ids=request.ends,
        length_penalty=request.length_penalty, early_stopping=request.early_stopping,
        process=process, rng=request.rng,
    )  # fmt: skip
    best = slice(request.num_return_sequences)
    lengths = found.lengths[:, best].reshape(-1, 1)
    text = found.sequences[:, best].reshape(len(lengths), -1)
    text = np.where(np.arange(text.shape[1]) < lengths, text, request.padding)
    return text[:, : lengths.max()]


class GenerationMixin:
    """Gives a model the method generate.

    >>> from minillm.models import GPT2Config, GPT2LMHeadModel
    >>> size = {"vocab_size": 5, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 1}
    >>> GPT2LMHeadModel(GPT2Config(**size)).generate([[1, 2]], max_new_tokens=3).shape
    (1, 5)
    """

    generate = generate  # a function of a class is a method: the model is its first argument
