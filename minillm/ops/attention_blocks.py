"""Attention for long sequences, block by block: memory linear in T instead of T * S.

The formula is that of attention.py; only the order of the work is another (Dao et al. 2022,
arXiv:2205.14135, Algorithms 1 and 4).  The scores are never there all at once: a block of queries
meets one block of keys after the other.

Forward.  Softmax needs the largest score m and the sum l of a whole row, but both can be kept up to
date while blocks come in (Milakov & Gimelshein 2018, arXiv:1805.02867, eq. 4-5).  Let acc be the sum
of exp(s - m) * v so far.  When a block brings a larger maximum m', every old term exp(s - m) has
to become exp(s - m') = exp(s - m) * exp(m - m'), the same factor for all of them:

    m' = max(m, max of the block)      shrink = exp(m - m')                               (1)
    l' = shrink * l + sum of exp(s - m')      acc' = shrink * acc + exp(s - m') @ v       (2)

At the end out = acc / l.  Kept for backward is one number for each row, lse = m + log(l).

Backward.  The probabilities are computed once more, block by block, now in one step:

    p = exp(s - lse)                                                                      (3)

In (2) of attention.py the sum over all keys of p * grad_p seems to need the whole row.  But
grad_p_ts = grad_out_t . v_s, so sum_s p_ts grad_p_ts = grad_out_t . (sum_s p_ts v_s), that is

    delta_t = grad_out_t . out_t                                                          (4)

and every block can go on at once: grad_s = p * (grad_p - delta), with (1) and (3) of attention.py.
Check: tests/ops/test_attention_blocks.py    Notebook: notebooks/11_attention.ipynb
"""

import math
from typing import Any, NamedTuple

from ..backend import array_module
from .rows import row_max, row_sum

BLOCK = 256  # queries, and keys, of one block


class Saved(NamedTuple):
    """What backward needs.  Only the mask of the caller can have both T and S as axes."""

    q: Any  # (B, G, H/G, T, D)  scaled
    k: Any  # (B, G, 1, S, D)
    v: Any  # (B, G, 1, S, E)
    out: Any  # (B, G, H/G, T, E)
    lse: Any  # (B, G, H/G, T, 1)
    scale: float
    visible: Any  # broadcasts to (B, G, H/G, T, S), or None
    is_causal: bool


def attention_in_blocks_forward(q_scaled, k, v, scale, visible, is_causal):
    """What attention.py computes, for arguments that it has checked and queries that it has scaled.

    Shapes   q_scaled (B, H, T, D); k (B, G, S, D); v (B, G, S, E) -> out (B, H, T, E)
    Dtype    floating and equal, kept; visible boolean
    Saves    a Saved: the arguments, out (B, H, T, E) and one number for each row
    Raises   nothing of its own: attention.py has checked the arguments
    """
    xp = array_module(q_scaled)
    (B, H, T, D), G, E = q_scaled.shape, k.shape[1], v.shape[-1]
    q, k, v = q_scaled.reshape(B, G, H // G, T, D), k[:, :, None], v[:, :, None]
    visible = _with_groups(visible, B, H, G)
    out = xp.empty((B, G, H // G, T, E), dtype=v.dtype)
    lse = xp.empty((B, G, H // G, T, 1), dtype=v.dtype)
    saved = Saved(q, k, v, out, lse, scale, visible, is_causal)
    for rows in _blocks(T):
        largest = xp.full_like(lse[..., rows, :], float(xp.finfo(v.dtype).min))
        total, acc = xp.zeros_like(largest), xp.zeros_like(out[..., rows, :])
        for keys in _keys_for(rows, saved):
            s = _scores(saved, rows, keys)  # (B, G, H/G, rows, keys)
            new = xp.maximum(largest, row_max(s))
            shrink = xp.exp(largest - new)  # by (1)
            s -= new
            p = xp.exp(s, out=s)
            total = shrink * total + row_sum(p)  # by (2)
            acc *= shrink
            acc += p @ v[..., keys, :]
            largest = new
        total += total == 0  # a row that sees nothing gives 0 / 1
        out[..., rows, :] = acc / total
        lse[..., rows, :] = largest + xp.log(total)
    return out.reshape(B, H, T, E), saved


def attention_in_blocks_backward(grad_out, saved):
    """Gradients w.r.t. (q, k, v), by (3), (4) and (1) to (3) of attention.py.

    Shapes   grad_out (B, H, T, E) -> (B, H, T, D), (B, G, S, D), (B, G, S, E)
    """
    q, k, v, out, lse, scale, _, _ = saved
    xp = array_module(q)
    grad_out = grad_out.reshape(out.shape)
    grad_q, grad_k, grad_v = xp.zeros_like(q), xp.zeros_like(k), xp.zeros_like(v)
    for rows in _blocks(q.shape[-2]):
        g, q_rows = grad_out[..., rows, :], q[..., rows, :]
        delta = row_sum(g * out[..., rows, :])  # (..., rows, 1)  by (4)
        for keys in _keys_for(rows, saved):
            # forward:  p = exp(s - m) / l                                    by (3)
            p = _scores(saved, rows, keys)
            p -= lse[..., rows, :]
            xp.exp(p, out=p)
            # forward:  out = p @ v;   heads of one group share their keys and values and add up
            grad_v[..., keys, :] += (p.swapaxes(-1, -2) @ g).sum(axis=2, keepdims=True)
            # forward:  p = softmax(s)
            grad_s = g @ v[..., keys, :].swapaxes(-1, -2)  # grad_p ...
            grad_s -= delta
            grad_s *= p  # ... turned into grad_s
            # forward:  s = (scale * q) @ k^T
            grad_q[..., rows, :] += grad_s @ k[..., keys, :]
            grad_k[..., keys, :] += (grad_s.swapaxes(-1, -2) @ q_rows).sum(axis=2, keepdims=True)
    grad_q *= scale
    B, G, per_group, T, D = q.shape
    return grad_q.reshape(B, G * per_group, T, D), grad_k[:, :, 0], grad_v[:, :, 0]


def _blocks(length):
    """Slices that cut a sequence into pieces of BLOCK."""
    return [slice(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]


def _keys_for(rows, saved):
    """The blocks of keys that some of these queries may see; the future is not even computed."""
    T, S = saved.q.shape[-2], saved.k.shape[-2]
    if not saved.is_causal:
        return _blocks(S)
    last = S - T + rows.stop - 1  # the last key that the last query of the block sees
    return [keys for keys in _blocks(S) if keys.start <= last]


def _scores(saved, rows, keys):
    """scale * q @ k^T of one block, -inf where the query may not see the key."""
    q, k = saved.q, saved.k
    xp = array_module(q)
    s = q[..., rows, :] @ k[..., keys, :].swapaxes(-1, -2)
    if saved.visible is not None:
        m = saved.visible
        m = m[..., rows if m.shape[-2] > 1 else slice(None), :]
        m = m[..., keys if m.shape[-1] > 1 else slice(None)]
        xp.copyto(s, -math.inf, where=~m)
    offset = k.shape[-2] - q.shape[-2]  # S - T
    if saved.is_causal and keys.stop - 1 > offset + rows.start:  # some of this block is future
        height, width = s.shape[-2:]
        future = ~xp.tri(height, width, offset + rows.start - keys.start, dtype=bool)
        xp.copyto(s, -math.inf, where=future)
    return s


def _with_groups(visible, B, H, G):
    """A mask that broadcasts to (B, H, T, S) as one that broadcasts to (B, G, H/G, T, S)."""
    if visible is None:
        return None
    b, h, t, s = (1,) * (4 - visible.ndim) + visible.shape
    return visible.reshape(b, 1, 1, t, s) if h == 1 else visible.reshape(b, G, H // G, t, s)
