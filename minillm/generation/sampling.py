"""Choosing one token from the logits of a model.

    greedy               the most probable token
    repetition penalty   z_i / r where z_i > 0, z_i * r where z_i < 0, for every token i that the
                         text has already: both make it less probable for r > 1 (Keskar et al.
                         2019, arXiv:1909.05858, section 4.1, with the signs told apart as
                         Hugging Face does: dividing a negative logit would make it more probable)
    temperature          p_i ~ exp(z_i / t): t < 1 sharpens, t > 1 flattens; t -> 0 is greedy
    top-k                only the k most probable tokens keep their probability (Fan et al. 2018,
                         arXiv:1805.04833, section 5.4)
    top-p, the nucleus   only the smallest set of most probable tokens whose probability reaches p
                         (Holtzman et al. 2020, arXiv:1904.09751, section 3.1)

They act in this order, each on what the one before left: that of Transformers 5
(`_get_logits_processor` in generation/utils.py).  It matters: top-p after top-k sees the
probabilities of the k tokens only.  Greedy choice and beam search use the penalty alone.

Everything here happens on the host in float64: it is a few thousand numbers, and the same seed
then gives the same text on every device.
"""

from typing import Any

import numpy as np

from ..arguments import is_number, is_whole
from ..backend import default_generator, to_numpy

COLDEST = 1e-30  # logits divided by it are still far from the largest float64
BROKEN = "the logits hold NaN: the model is broken, look for it with debug()"


def require_choices(
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
) -> None:
    """Refuse options without meaning, with a ValueError that names the option."""
    if not (is_number(temperature) and temperature >= COLDEST):
        raise ValueError(
            f"temperature must be above 0 (at least {COLDEST:g}), got {temperature!r}: for the most "
            "probable token every time write do_sample=False"
        )
    if top_k is not None and (not is_whole(top_k) or top_k < 1):
        raise ValueError(
            f"top_k must be at least 1, got {top_k!r}: give a whole number of tokens, None for all"
        )
    if top_p is not None and not (is_number(top_p) and 0 < top_p <= 1):
        raise ValueError(
            f"top_p must be above 0 and at most 1, got {top_p!r}: it is the probability that the "
            "tokens to draw from have together"
        )
    if not (is_number(repetition_penalty) and repetition_penalty > 0):
        raise ValueError(
            f"repetition_penalty must be above 0, got {repetition_penalty!r}: 1 changes nothing, "
            "1.2 makes repeated tokens less probable"
        )


def process_logits(
    logits: Any,
    previous_ids: Any = None,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    min_keep: int = 1,
) -> np.ndarray:
    """The logits after repetition penalty, temperature, top-k and top-p, in this order.

    previous_ids    (B, T) the text so far, for the repetition penalty; negative ids are padding
    min_keep        top-k and top-p leave at least so many tokens

    Shapes   logits (B, V) -> (B, V) float64 on the host; tokens that are ruled out have -inf
    Raises   ValueError for an option without meaning, or if a logit is NaN

    Of tokens that tie for the last place in top-k and top-p those with smaller ids stay, so that
    k are exactly k.  (Transformers keeps all that tie in top-k.)

    >>> process_logits(np.array([[2.0, 1.0, -1.0]]), [[0, 2]], repetition_penalty=2.0, top_k=2)
    array([[  1.,   1., -inf]])
    """
    require_choices(temperature, top_k, top_p, repetition_penalty)
    z = to_numpy(logits).astype(np.float64)  # a copy, which is changed below
    if np.isnan(z).any():
        raise ValueError(BROKEN)
    if repetition_penalty != 1 and previous_ids is not None:
        _penalize(z, np.asarray(previous_ids), repetition_penalty)
    z /= temperature
    if top_k is not None and max(top_k, min_keep) < z.shape[-1]:
        _keep_largest(z, max(top_k, min_keep))
    if top_p is not None and top_p < 1:
        _keep_nucleus(z, top_p, min_keep)
    return z


def _penalize(z: np.ndarray, ids: np.ndarray, penalty: float) -> None:
    """Each token of the text once, however often it is there."""
    row, column = np.nonzero(ids >= 0)
    token = ids[row, column]
    score = z[row, token]
    z[row, token] = np.where(score < 0, score * penalty, score / penalty)


def _keep_largest(z: np.ndarray, k: int) -> None:
    """-inf for all but the k largest of each row; partition finds the last one without sorting."""
    last = np.partition(z, -k, axis=-1)[:, -k, None]  # (B, 1)
    larger, tied = z > last, z == last
    room = k - larger.sum(axis=-1, keepdims=True)
    z[~(larger | (tied & (np.cumsum(tied, axis=-1) <= room)))] = -np.inf


def _keep_nucleus(z: np.ndarray, top_p: float, min_keep: int) -> None:
    """-inf for all but the smallest set of most probable tokens whose probability reaches top_p.

    A token stays if those before it fall short of top_p.  Tokens with less than (1 - top_p) / V
    cannot stay, because all such together have less than 1 - top_p: they need not be sorted.
    """
    for row, p in zip(z, softmax(z), strict=True):
        candidates = np.flatnonzero(p >= (1 - top_p) / len(p))
        if len(candidates) < min_keep:
            candidates = np.arange(len(p))
        order = candidates[np.argsort(-p[candidates], kind="stable")]
        before = np.cumsum(p[order]) - p[order]
        kept = order[: max(int((before < top_p).sum()), min_keep)]
        survivors = row[kept]
        row[:] = -np.inf
        row[kept] = survivors


def softmax(z: np.ndarray) -> np.ndarray:
    """Rows of probabilities, on the host."""
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def log_softmax(z: np.ndarray) -> np.ndarray:
    """Rows of log-probabilities, on the host."""
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def token_probabilities(logits: Any, previous_ids: Any = None, **options: Any) -> np.ndarray:
    """The distribution that the next token is drawn from; options as for process_logits.

    Shapes   logits (B, V), previous_ids (B, T) or None -> (B, V), rows that sum to 1
    Raises   ValueError for an option without meaning, or if a logit is NaN

    >>> token_probabilities(np.log([[0.5, 0.3, 0.2]]), top_k=2).round(3)
    array([[0.625, 0.375, 0.   ]])
    >>> token_probabilities(np.log([[0.5, 0.3, 0.2]]), top_p=0.4).round(3)
    array([[1., 0., 0.]])
    """
    return softmax(process_logits(logits, previous_ids, **options))


def next_token(
    logits: Any,
    previous_ids: Any = None,
    *,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """One token id for each row of logits.

    Shapes   logits (B, V), previous_ids (B, T) or None -> (B,) int64

    A token is drawn by inverting the distribution function: with u uniform in [0, 1), the first
    token whose cumulative probability exceeds u.  temperature, top_k and top_p are for drawing;
    without do_sample only the repetition penalty acts.

    >>> next_token(np.array([[0.1, 2.0, 0.3]]))
    array([1])
    """
    if not do_sample:
        scores = to_numpy(logits)
        if repetition_penalty != 1:
            scores = process_logits(scores, previous_ids, repetition_penalty=repetition_penalty)
        elif np.isnan(scores).any():
            raise ValueError(BROKEN)
        return scores.argmax(axis=-1).astype(np.int64)
    p = token_probabilities(
        logits, previous_ids, temperature=temperature, top_k=top_k, top_p=top_p,
        repetition_penalty=repetition_penalty,
    )  # fmt: skip
    u = default_generator(rng).random((len(p), 1))
    below = (np.cumsum(p, axis=-1) <= u).sum(axis=-1)
    last = p.shape[-1] - 1 - (p[:, ::-1] > 0).argmax(axis=-1)  # rounding may leave the sum below 1
    return np.minimum(below, last).astype(np.int64)
