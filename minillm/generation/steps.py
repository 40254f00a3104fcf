"""One step of generation: new tokens go in, logits for the tokens after them come out.

A search, greedy or with beams, knows nothing of models: it calls

    logits = step()                 the first time, for the prompts         (B, V)
    logits = step(tokens, rows)     then for one more token in each row     (N, V)

where row i of the new batch is row rows[i] of the last call, continued by tokens[i].  Rows may be
repeated and left out, so that N may change; rows=None leaves them as they are.  A model with an
encoder can offer the same two calls.
"""

import inspect
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..backend import to_numpy


class ModelSteps:
    """The steps of a causal model, with its cache where it has one.

    ids        (B, T) the prompts;  mask (B, T) bool, False for padding on the left, or None
    total      how long the text can become, for the size of the cache
    window     how many tokens the model can see, None for any number

    Once the text is longer than the window, the model sees the last tokens only.  Each of them is
    then at another position than in the step before, so that nothing in the cache is of use: the
    whole window is computed anew.

    >>> from minillm.models import GPT2Config, GPT2LMHeadModel
    >>> size = {"vocab_size": 5, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 1}
    >>> step = ModelSteps(GPT2LMHeadModel(GPT2Config(**size)), np.array([[1, 2]]), total=8)
    >>> step().shape, step(np.array([3, 4]), rows=np.array([0, 0])).shape
    ((1, 5), (2, 5))
    """

    def __init__(
        self,
        model: Any,
        ids: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        total: int,
        window: int | None = None,
        use_cache: bool = True,
    ) -> None:
        self.model, self.window = model, window
        self.prompt = self.length = ids.shape[1]
        after = ((0, 0), (0, max(total - self.length, 0)))
        self.ids = np.pad(ids, after)
        self.mask = None if mask is None else np.pad(mask, after, constant_values=True)
        known = inspect.signature(getattr(model, "forward", model)).parameters
        self.options = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
        passes_on = any(p.kind is p.VAR_KEYWORD for p in known.values())
        if mask is not None and "attention_mask" not in known and not passes_on:
            raise ValueError(
                f"generate: {type(model).__name__} takes no attention_mask: give it prompts of equal "
                "length, or one at a time"
            )
        self.cache = None
        if use_cache and hasattr(model, "new_cache") and (not window or self.length <= window):
            self.cache = model.new_cache(len(ids), min(total, window or total))

    def __call__(
        self, tokens: np.ndarray | None = None, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """The logits for the next token, on the host.

        Shapes   tokens (N,), rows (N,) -> (N, V); without tokens the prompts (B, T) -> (B, V)
        """
        if rows is not None:
            self._reorder(rows)
        if tokens is not None:
            self.ids[:, self.length] = tokens
            self.length += 1
        start: int = 0
        if self.window and self.length > self.window:
            start, self.cache = self.length - self.window, None
        options: dict[str, Any] = dict(self.options)
        if self.mask is not None:
            options["attention_mask"] = self.mask[:, start : self.length]
        if self.cache is not None:
            start = self.cache.length
            options["cache"] = self.cache
        with no_grad():
            logits = self.model(self.ids[:, start : self.length], **options).logits
        return to_numpy(logits.data[:, -1])

    def _reorder(self, rows: np.ndarray) -> None:
        """Go on from these rows.  Beams of one prompt share it, and only what follows is copied."""
        ids, mask = self.ids[rows], None if self.mask is None else self.mask[rows]
        if self.cache is not None:
            shared = _same(ids, self.ids, self.prompt) and _same(mask, self.mask, self.prompt)
            self.cache.reorder(rows, start=self.prompt if shared else 0)
        self.ids, self.mask = ids, mask


def _same(new: np.ndarray | None, old: np.ndarray | None, length: int) -> bool:
    """Whether the first columns of both are equal, shapes included."""
    return new is None or old is None or np.array_equal(new[:, :length], old[:, :length])
