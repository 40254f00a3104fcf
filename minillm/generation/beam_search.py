"""Beam search: follow the K most probable texts at once, instead of one.

The score of a text y of n tokens after the prompt, its end token counted, is

    score(y) = sum over t of log p(y_t | prompt, y_1 … y_{t-1})  /  n ** length_penalty

length_penalty 0 compares sums, in which each further token costs; 1 compares means.

Each prompt keeps K running beams and the K best finished texts.  One step:

    1. Extend: every token for every running beam, K * V candidates; the best 2K are looked at
       ((1 + E) K with E end tokens, so that K of them are certain not to end).
    2. Finish: a candidate that ends the text, and ranks among the first K of the 2K, competes for
       the K finished places with its score.  One that ranks lower is dropped.  When the text may
       not become longer, every candidate ends.
    3. Go on: the best K candidates that do not end become the running beams.
    4. Stop, when no prompt can improve.  The best running beam, at its best, is compared with the
       worst of K finished texts.  Its sum can only fall, so its best is its sum now, divided by the
       length now (early_stopping=False; not exact for length_penalty > 0, because a longer text is
       divided by more), or, with early_stopping="never" and length_penalty > 0, by the largest
       length.  early_stopping=True stops as soon as every prompt has K finished texts.

These are the rules of Transformers 5 (`_beam_search` in generation/utils.py), step by step, but in
float64.  Beams begin equal, so at first all but one per prompt get the sum -1e9.

Beam sampling draws the 2K candidates without replacement, with probability ~ exp(sum of log p).
By the Gumbel trick (Kool et al. 2019, arXiv:1903.06059, section 2.3) that is: add independent Gumbel
noise to each sum, and take the largest.
Check: tests/generation/test_beam_search.py
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import to_numpy
from .sampling import BROKEN, log_softmax

HOPELESS = -1e9  # the sum of a beam that is not to be followed, as in Transformers


@dataclass
class BeamResult:
    """The best texts of each prompt, best first.

    sequences   (B, K, L) int64, prompt included; L is the longest length possible
    lengths     (B, K) tokens of each, prompt included; beyond them sequences hold 0
    scores      (B, K) float64

    >>> result = BeamResult(np.zeros((1, 1, 2)), np.array([[2]]), np.array([[-0.5]]))
    >>> float(result.scores[0, 0])
    -0.5
    """

    sequences: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray


def beam_search(
    step: Callable[..., Any],
    prompt: np.ndarray,
    *,
    num_beams: int,
    max_length: int,
    eos_token_ids: "Sequence[int] | np.ndarray" = (),
    length_penalty: float = 1.0,
    early_stopping: "bool | str" = False,
    process: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    rng: np.random.Generator | None = None,
) -> BeamResult:
    """The num_beams best texts that continue each prompt; the rules stand at the top of this file.

    step            gives logits, as steps.py describes; called with all beams of all prompts, those
                    of one prompt one after the other
    prompt          (B, T) ids; a decoder with an encoder begins with its start token
    max_length      the longest text, prompt included
    process         (log-probabilities (N, V), ids (N, t)) -> the log-probabilities to use instead
    rng             draw the candidates; without it the best are taken

    >>> table = np.log([[0.1, 0.6, 0.3], [0.4, 0.3, 0.3], [0.01, 0.01, 0.98]])  # p(next | last)
    >>> def step(tokens=None, rows=None):
    ...     return table[[0] if tokens is None else tokens]
    >>> result = beam_search(step, np.array([[0]]), num_beams=2, max_length=3)
    >>> result.sequences[0].tolist(), result.scores[0].round(2).tolist()  # greedy: 0, 1, 0
    ([[0, 2, 2], [0, 1, 0]], [-0.61, -0.71])
    """
    beams = _Beams(np.asarray(prompt), num_beams, max_length, np.asarray(eos_token_ids, np.int64))
    beams.length_penalty, beams.early_stopping = float(length_penalty), early_stopping
    tokens = rows = None
    while not beams.finished():
        z = to_numpy(step() if tokens is None else step(tokens, rows)).astype(np.float64)
        if np.isnan(z).any():
            raise ValueError(BROKEN)
        log_p = log_softmax(z)  # (B * K, V), but (B, V) at first
        if tokens is None:
            log_p = np.repeat(log_p, num_beams, axis=0)
        if process is not None:
            log_p = process(log_p, beams.texts())
        tokens, parents = beams.advance(log_p, rng)
        # the first call had one row for each prompt, later calls one for each beam
        rows = parents // num_beams if rows is None else parents
    return BeamResult(beams.done, beams.done_lengths, beams.done_scores)


class _Beams:
    """The running and the finished texts of all prompts."""

    length_penalty: float
    early_stopping: "bool | str"

    def __init__(
        self, prompt: np.ndarray, num_beams: int, max_length: int, ends: np.ndarray
    ) -> None:
        (B, T), K = prompt.shape, num_beams
        self.prompt_length = self.length = T
        self.max_length, self.num_beams, self.ends = max_length, K, ends
        self.looked_at = max(2, 1 + len(ends)) * K  # candidates of each step
        self.running = np.zeros((B, K, max_length), np.int64)
        self.running[:, :, :T] = prompt[:, None]
        self.sums = np.full((B, K), HOPELESS)
        self.sums[:, 0] = 0.0
        self.done = self.running.copy()
        self.done_lengths = np.full((B, K), T)
        self.done_scores = np.full((B, K), HOPELESS)
        self.is_done = np.zeros((B, K), dtype=bool)  # which finished places are taken
        self.open = np.ones(B, dtype=bool)  # prompts that can improve

    def texts(self) -> np.ndarray:
        """Shapes   -> (B * K, t) ids of the running beams so far."""
        return self.running[:, :, : self.length].reshape(-1, self.length)

    def finished(self) -> bool:
        """Whether nothing can change the finished texts any more."""
        full = self.early_stopping is True and self.is_done.all()
        return bool(full or self.length >= self.max_length or not self.open.any())

    def advance(
        self, log_p: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """One step for all beams.

        Shapes   log_p (B * K, V) -> (the tokens (B * K,), the beams (B * K,) that they continue)
        """
        B, K = self.sums.shape
        V = log_p.shape[-1]
        candidates = (self.sums[:, :, None] + log_p.reshape(B, K, V)).reshape(B, K * V)
        noise = 0.0 if rng is None else rng.gumbel(size=candidates.shape)
        best = largest(candidates + noise, min(self.looked_at, K * V))  # (B, 2K), best first
        sums = np.take_along_axis(candidates, best, axis=1)
        parents, tokens = np.divmod(best, V)
        texts = np.take_along_axis(self.running, parents[:, :, None], axis=1)  # (B, 2K, L)
        texts[:, :, self.length] = tokens
        self.length += 1
        ends = np.isin(tokens, self.ends) | (self.length == self.max_length)
        self._finish(texts, sums, ends)
        # the best that do not end go on
        sums = np.where(ends, sums + HOPELESS, sums)
        chosen = largest(sums, K)
        self.sums = np.take_along_axis(sums, chosen, axis=1)
        self.running = np.take_along_axis(texts, chosen[:, :, None], axis=1)
        self._close()
        parents = np.take_along_axis(parents, chosen, axis=1) + K * np.arange(B)[:, None]
        return np.take_along_axis(tokens, chosen, axis=1).reshape(-1), parents.reshape(-1)

    def _finish(self, texts: np.ndarray, sums: np.ndarray, ends: np.ndarray) -> None:
        """The candidates that end compete with the finished texts; the best K of both stay."""
        K = self.num_beams
        accepting = self.open.copy()
        if self.early_stopping is True:
            accepting &= ~self.is_done.all(axis=1)
        counts = (ends & accepting[:, None])[:, :K]  # only those that rank among the first K
        scores = sums[:, :K] / (self.length - self.prompt_length) ** self.length_penalty
        merged = np.concatenate([self.done_scores, np.where(counts, scores, -np.inf)], axis=1)
        chosen = largest(merged, K)
        self.done_scores = np.take_along_axis(merged, chosen, axis=1)
        lengths = np.full_like(counts, self.length, dtype=np.int64)
        for name, new in (("is_done", counts), ("done_lengths", lengths)):
            both = np.concatenate([getattr(self, name), new], axis=1)
            setattr(self, name, np.take_along_axis(both, chosen, axis=1))
        both = np.concatenate([self.done, texts[:, :K]], axis=1)
        self.done = np.take_along_axis(both, chosen[:, :, None], axis=1)

    def _close(self) -> None:
        """Close the prompts whose best running beam cannot beat the worst of K finished texts."""
        length = self.length - self.prompt_length
        if self.early_stopping == "never" and self.length_penalty > 0:
            length = self.max_length - self.prompt_length
        possible = self.sums[:, 0] / length**self.length_penalty
        worst = np.where(self.is_done.all(axis=1), self.done_scores.min(axis=1), HOPELESS)
        self.open &= possible > worst


def largest(x: np.ndarray, k: int) -> np.ndarray:
    """Where the k largest entries of each row are, largest first, of equal ones smaller indices first.

    Shapes   x (B, N) -> (B, k)
    """
    last = np.partition(x, -k, axis=1)[:, -k]
    result = []
    for row, least in zip(x, last, strict=True):
        found = np.flatnonzero(row >= least)  # k, or more if some are equal
        result.append(found[np.argsort(-row[found], kind="stable")][:k])
    return np.array(result)
