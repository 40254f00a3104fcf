"""Choosing one token from the logits of a model.

    greedy         the most probable token
    temperature    p_i ~ exp(z_i / t): t < 1 sharpens, t > 1 flattens; t -> 0 is greedy
    top-k          only the k most probable tokens keep their probability (Fan et al. 2018,
                   arXiv:1805.04833, section 5.4)

Everything here happens on the host in float64: it is a few thousand numbers, and the same seed
then gives the same text on every device.
"""

from typing import Any

import numpy as np

from ..backend import default_generator, to_numpy


def token_probabilities(
    logits: Any, *, temperature: float = 1.0, top_k: int | None = None
) -> np.ndarray:
    """The distribution that the next token is drawn from.

    Shapes   logits (B, V) -> (B, V), rows that sum to 1
    Raises   ValueError if temperature is not positive, top_k is below 1, or a logit is NaN

    >>> token_probabilities(np.log([[0.5, 0.3, 0.2]]), top_k=2).round(3)
    array([[0.625, 0.375, 0.   ]])
    """
    if not temperature > 0:
        raise ValueError(
            f"temperature must be above 0, got {temperature}: for the most probable token every "
            "time write do_sample=False"
        )
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    z = to_numpy(logits).astype(np.float64) / temperature
    if np.isnan(z).any():
        raise ValueError("the logits hold NaN: the model is broken, look for it with debug()")
    if top_k is not None and top_k < z.shape[-1]:
        # exactly k survive; of tokens that tie for the last place those with smaller ids
        order = np.argsort(-z, axis=-1, kind="stable")
        np.put_along_axis(z, order[:, top_k:], -np.inf, axis=-1)
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def next_token(
    logits: Any,
    *,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """One token id for each row of logits.

    Shapes   logits (B, V) -> (B,) int64

    A token is drawn by inverting the distribution function: with u uniform in [0, 1), the first
    token whose cumulative probability exceeds u.

    >>> next_token(np.array([[0.1, 2.0, 0.3]]))
    array([1])
    """
    if not do_sample:
        scores = to_numpy(logits)
        if np.isnan(scores).any():
            raise ValueError("the logits hold NaN: the model is broken, look for it with debug()")
        return scores.argmax(axis=-1).astype(np.int64)
    p = token_probabilities(logits, temperature=temperature, top_k=top_k)
    u = default_generator(rng).random((len(p), 1))
    below = (np.cumsum(p, axis=-1) <= u).sum(axis=-1)
    last = p.shape[-1] - 1 - (p[:, ::-1] > 0).argmax(axis=-1)  # rounding may leave the sum below 1
    return np.minimum(below, last).astype(np.int64)
