"""Scaled dot-product attention, for several heads at once.

Formula (Vaswani et al. 2017, arXiv:1706.03762, eq. 1), for each batch entry and head:

    s = scale * q @ k^T        (T, S)   how well query t matches key s; scale = 1/sqrt(D)
    p = softmax(s)             (T, S)   each row over the visible keys sums to 1
    out = p @ v                (T, D)   a weighted mean of the values

scale: for independent entries of mean 0 and variance 1, q_t . k_s has variance D (section 3.2.1,
footnote 4), and dividing by sqrt(D) brings it back to 1 whatever the width.  Keys that are not
visible get s = -inf, so p = 0.  A row that sees no key gives zeros, and zero gradients.

Backward.  out is a product, so by (1) and (2) of matmul.py

    grad_v = p^T @ grad_out          grad_p = grad_out @ v^T                              (1)

Each row of p is a softmax, so by (1) of softmax.py

    grad_s = p * (grad_p - sum over s of p * grad_p)                                      (2)

(where p = 0, grad_s = 0: no gradient reaches what is hidden), and s is a product again:

    grad_q = scale * grad_s @ k      grad_k = grad_s^T @ (scale * q)                      (3)

Grouped heads (Ainslie et al. 2023, arXiv:2305.13245): H query heads share G key and value heads,
H/G neighbours each.  The queries of a group are stacked as further rows of one matrix, (H/G * T, D),
so that the sums over the group in grad_k and grad_v are part of the matrix product.

Long sequences without dropout are computed block by block, by attention_blocks.py.
Check: tests/ops/test_attention.py    Notebook: notebooks/11_attention.ipynb
"""

import math

from ..arguments import is_number
from ..backend import array_module
from . import attention_blocks
from .checks import require_boolean, require_floating
from .dropout import dropout_forward
from .rows import row_max, row_sum

NAME = "scaled_dot_product_attention"
LONG = 512 * 512  # from so many scores in a head on, they are computed in blocks and not kept


def scaled_dot_product_attention_forward(
    q, k, v, *, visible=None, is_causal=False, scale=None, dropout_p=0.0, rng=None
):
    """For each query, the mean of the values, weighted by how well their keys match it.

    Shapes   q (B, H, T, D); k (B, G, S, D); v (B, G, S, E) with G dividing H; visible broadcasts
             to (B, H, T, S), True = may attend -> out (B, H, T, E)
    Dtype    q, k, v floating and equal; visible boolean
    Saves    q * scale, k, v, p (B, H, T, S), and with dropout its mask (B, H, T, S); for long
             sequences without dropout out and one number for each row instead of p
    Raises   ValueError that names the shapes if they do not fit; TypeError if dtypes differ,
             visible is not boolean, or scale is not a number

    is_causal lets query t see the keys s <= S - T + t: the last query sees all of them, so that
    queries may be appended to a cache of keys.  Both masks may be given together.
    dropout_p > 0 drops that share of the entries of p (Vaswani et al. 2017, section 5.4), by
    dropout.py; leave it 0 when not training.

    >>> import numpy as np
    >>> q = k = np.zeros((1, 1, 2, 3))  # all keys match all queries equally well
    >>> v = np.array([[[[2.0], [4.0]]]])
    >>> scaled_dot_product_attention_forward(q, k, v, is_causal=True)[0]
    array([[[[2.],
             [3.]]]])
    """
    array_module(q, k, v)
    _check(NAME, q, k, visible, scale)
    require_floating(NAME, q=q, v=v)
    if v.ndim != 4 or v.shape[:3] != k.shape[:3]:
        raise ValueError(f"{NAME}: v {v.shape} must have the first three axes of k {k.shape}")
    (B, H, T, _), (G, S) = q.shape, k.shape[1:3]
    if T * S >= LONG and not dropout_p:  # the same in another order, with less memory
        scale = _scale_of(q, scale)
        return attention_blocks.attention_in_blocks_forward(
            q * scale, k, v, scale, visible, is_causal
        )
    q_scaled, p = _probabilities(q, k, visible, is_causal, scale)
    kept, (mask,) = dropout_forward(p, p=dropout_p, rng=rng)  # p itself where nothing is dropped
    out = kept.reshape(B, G, H // G * T, S) @ v  # (B, G, H/G * T, E)
    return out.reshape(B, H, T, v.shape[-1]), (q_scaled, k, v, p, _scale_of(q, scale), mask)


def scaled_dot_product_attention_backward(grad_out, saved):
    """Gradients w.r.t. (q, k, v), by (1), (2) and (3)."""
    if isinstance(saved, attention_blocks.Saved):
        return attention_blocks.attention_in_blocks_backward(grad_out, saved)
    q_scaled, k, v, p, scale, mask = saved
    B, H, T, S = p.shape
    G, D, E = k.shape[1], k.shape[-1], v.shape[-1]
    stacked = H // G * T  # queries of one group
    p = p.reshape(B, G, stacked, S)
    grad_out = grad_out.reshape(B, G, stacked, E)
    grad_s = grad_out @ v.swapaxes(-1, -2)  # (B, G, H/G * T, S)  this is grad_p ...
    # forward:  out = (p * mask) @ v
    kept = p
    if mask is not None:
        mask = mask.reshape(p.shape)
        kept = p * mask
        grad_s *= mask
    grad_v = kept.swapaxes(-1, -2) @ grad_out  # (B, G, S, E)
    # forward:  p = softmax(s)
    grad_s *= p  # ... turned into grad_s in place, by (2)
    grad_s -= p * row_sum(grad_s)
    # forward:  s = (scale * q) @ k^T
    grad_q = grad_s @ k  # (B, G, H/G * T, D)
    grad_q *= scale
    grad_k = grad_s.swapaxes(-1, -2) @ q_scaled.reshape(B, G, stacked, D)  # (B, G, S, D)
    return grad_q.reshape(B, H, T, D), grad_k, grad_v


def attention_probabilities(q, k, *, visible=None, is_causal=False, scale=None):
    """The weights p that attention gives to each key, for pictures.  Forward only.

    Shapes   q (B, H, T, D); k (B, G, S, D) -> p (B, H, T, S)
    Dtype    floating, kept
    Raises   as scaled_dot_product_attention_forward

    >>> import numpy as np
    >>> q = np.zeros((1, 1, 2, 3))
    >>> attention_probabilities(q, q, is_causal=True)
    array([[[[1. , 0. ],
             [0.5, 0.5]]]])
    """
    _check("attention_probabilities", q, k, visible, scale)
    return _probabilities(q, k, visible, is_causal, scale)[1]


def _scale_of(q, scale):
    """The given scale, or 1/sqrt(D) as a Python float (a NumPy one would turn float32 to 64)."""
    return 1 / math.sqrt(q.shape[-1]) if scale is None else float(scale)


def _check(operation, q, k, visible, scale):
    """Raise for queries, keys and masks that do not go together, and a scale that is no number."""
    array_module(q, k, visible)
    require_floating(operation, q=q, k=k)
    if q.ndim != 4 or k.ndim != 4 or q.shape[0] != k.shape[0] or q.shape[3] != k.shape[3]:
        raise ValueError(
            f"{operation}: q {q.shape} must be (B, H, T, D) and k {k.shape} (B, G, S, D), "
            "with the same B and D"
        )
    (B, H, T, D), (G, S) = q.shape, k.shape[1:3]
    if D == 0 or G == 0 or H % G:
        raise ValueError(
            f"{operation}: q {q.shape} has {H} heads of width {D}, k {k.shape} has {G}: "
            "the heads of k must divide those of q, and the width be at least 1"
        )
    if scale is not None and not is_number(scale) and getattr(scale, "shape", None) != ():
        raise TypeError(f"{operation}: scale must be a number or None, got {type(scale).__name__}")
    if visible is not None:
        require_boolean(operation, "visible", visible)
        given, shape = (1,) * (4 - visible.ndim) + visible.shape, (B, H, T, S)
        if len(given) != 4 or any(m not in (1, n) for m, n in zip(given, shape, strict=True)):
            raise ValueError(
                f"{operation}: visible {visible.shape} does not broadcast to (B, H, T, S) = {shape}"
            )


def _probabilities(q, k, visible, is_causal, scale):
    """(scale * q, p): the scores of the visible keys, turned into probabilities in place."""
    xp = array_module(q)
    (B, H, T, D), (G, S) = q.shape, k.shape[1:3]
    q_scaled = q * _scale_of(q, scale)
    s = q_scaled.reshape(B, G, H // G * T, D) @ k.swapaxes(-1, -2)
    s = s.reshape(B, H, T, S)  # a view: s is fresh
    hidden = _hidden(xp, T, S, visible, is_causal)
    if hidden is not None:
        xp.copyto(s, -math.inf, where=hidden)
    if S == 0:
        return q_scaled, s
    # A row that sees nothing has the maximum -inf; a finite shift makes it exp(-inf) = 0
    s -= xp.maximum(row_max(s), float(xp.finfo(s.dtype).min))
    p = xp.exp(s, out=s)
    # The largest visible score contributes exp(0) = 1, so only empty rows have a sum below 1
    p /= xp.maximum(row_sum(p), 1)
    return q_scaled, p


def _hidden(xp, T, S, visible, is_causal):
    """True where a query may not see a key, broadcasting to (B, H, T, S); None if it sees all."""
    hidden = None if visible is None else ~visible
    if is_causal:
        future = ~xp.tri(T, S, S - T, dtype=bool)  # s > S - T + t
        hidden = future if hidden is None else hidden | future
    return hidden
