"""Multi-head attention: several small attentions side by side (Vaswani et al. 2017, section 3.2.2).

The formula stands in ops/attention.py.  Here are the four matrices around it:

    q, k, v = query(x_q), key(x_k), value(x_v)            cut into heads of width D = C/H
    out     = output(attention of each head, side by side)

Masks are boolean, True = may attend.  A cache keeps k and v of earlier positions, so that the next
token of a text costs one row instead of all.
"""

import math
from typing import Any

import numpy as np

from .. import functional as F
from .. import ops
from ..autograd import Tensor
from ..backend import default_generator
from .arguments import (
    as_sequences,
    joint_mask,
    require_multiple,
    require_probability,
    require_sizes,
)
from .layers import Linear
from .module import Module

KeysValues = tuple[Tensor, Tensor]  # k and v, (B, G, S, D) each


class MultiHeadAttention(Module):
    """Each query gets a mean of the values, weighted by how well their keys match it, in H ways.

    embed_dim      C, the width of queries and results
    num_heads      H, which divides C
    num_kv_heads   G, heads of keys and values, which divides H: H/G neighbouring query heads share
                   one (Ainslie et al. 2023); H by default
    kdim, vdim     widths of keys and values that come from elsewhere; C by default
    dropout        share of the attention weights that is dropped in training
    Parameters     query (C, C), key (kdim, G D), value (vdim, G D), output (C, C) and their biases:
                   weights as in PyTorch, by Glorot & Bengio 2010, eq. 16, where equally wide query,
                   key and value count as one matrix; output as in Linear; biases 0
    Shapes         query (B, T, C), key (B, S, kdim), value (B, S, vdim) -> (B, T, C)

    >>> x = np.zeros((2, 5, 6), dtype=np.float32)
    >>> attention = MultiHeadAttention(6, 3)
    >>> attention(x, is_causal=True).shape
    (2, 5, 6)
    >>> attention(x, key_visible=np.array([[True] * 5, [True] * 3 + [False] * 2])).shape
    (2, 5, 6)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        kdim: int | None = None,
        vdim: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        name, C = "MultiHeadAttention", embed_dim
        G = num_heads if num_kv_heads is None else num_kv_heads
        kdim, vdim = C if kdim is None else kdim, C if vdim is None else vdim
        require_sizes(name, embed_dim=C, num_heads=num_heads, num_kv_heads=G, kdim=kdim, vdim=vdim)
        require_multiple(name, "embed_dim", C, "num_heads", num_heads)
        require_multiple(name, "num_heads", num_heads, "num_kv_heads", G)
        require_probability(name, "dropout", dropout)
        rng = default_generator(rng)
        self.num_heads, self.num_kv_heads, self.dropout = num_heads, G, dropout
        D = C // num_heads
        self.query = Linear(C, C, bias, dtype=dtype, rng=rng)
        self.key = Linear(kdim, G * D, bias, dtype=dtype, rng=rng)
        self.value = Linear(vdim, G * D, bias, dtype=dtype, rng=rng)
        self.output = Linear(C, C, bias, dtype=dtype, rng=rng)
        self.initialize(rng)

    def initialize(self, rng: np.random.Generator) -> None:
        """Draw the weights of query, key and value anew; all biases become 0."""
        parts = (self.query, self.key, self.value)
        fused = sum(part.weight.shape[1] for part in parts)  # the columns of one matrix for all
        together = len({part.weight.shape[0] for part in parts}) == 1
        for part in parts:
            glorot_uniform(part, rng, fan_out=fused if together else None)
        for part in (*parts, self.output):
            if part.bias is not None:
                part.bias.data[...] = 0

    def forward(
        self,
        query: Any,
        key: Any = None,
        value: Any = None,
        *,
        visible: Any = None,
        key_visible: Any = None,
        is_causal: bool = False,
        past: KeysValues | None = None,
        use_cache: bool = False,
    ) -> Any:
        """Self-attention of `query`, or with `key` attention to another sequence (value: the same).

        visible       boolean, (T, S) or broadcasting from four axes to (B, H, T, S): which query
                      may attend to which key
        key_visible   boolean (B, S): which keys are real tokens, not padding
        is_causal     query t sees only keys up to its own position
        past          (k, v) of earlier positions, (B, G, S', D): the new keys come after them, and
                      S = S' + the new ones
        use_cache     return (result, (k, v)), to be given as `past` next time
        Shapes        query (B, T, C), key (B, S, kdim), value (B, S, vdim) -> (B, T, C)

        A query that sees nothing gets the bias of `output`, as a mean of no values is 0.
        """
        query = as_sequences("MultiHeadAttention", "query", query, self.query.weight.shape[0])
        if key is None and value is not None:
            raise ValueError("MultiHeadAttention: value is given without key")
        keys = query if key is None else key
        k, v = self.project_keys_values(keys, value, past=past)
        out = self.attend(
            query, k, v, visible=visible, key_visible=key_visible, is_causal=is_causal
        )
        return (out, (k, v)) if use_cache else out

    def project_keys_values(
        self, key: Any, value: Any = None, *, past: KeysValues | None = None
    ) -> KeysValues:
        """What `attend` needs of a sequence, after what it needed of the sequence before.

        Shapes   key (B, S, kdim), value (B, S, vdim) -> k and v (B, G, S' + S, D)
        """
        name = "MultiHeadAttention"
        key = as_sequences(name, "key", key, self.key.weight.shape[0])
        value = key if value is None else value
        value = as_sequences(name, "value", value, self.value.weight.shape[0])
        if key.shape[:2] != value.shape[:2]:
            raise ValueError(
                f"{name}: key {key.shape} and value {value.shape} must agree in (B, S)"
            )
        k = self._split_heads(self.key(key), self.num_kv_heads)
        v = self._split_heads(self.value(value), self.num_kv_heads)
        if past is None:
            return k, v
        return F.concatenate(past[0], k, axis=2), F.concatenate(past[1], v, axis=2)

    def attend(
        self,
        query: Any,
        k: Tensor,
        v: Tensor,
        *,
        visible: Any = None,
        key_visible: Any = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Attention to keys and values that are projected already, as those in a cache are.

        Shapes   query (B, T, C); k, v (B, G, S, D) -> (B, T, C)
        """
        q = self._split_heads(self.query(query), self.num_heads)  # (B, H, T, D)
        out = F.scaled_dot_product_attention(
            q, k, v, visible=self._mask(q, k, visible, key_visible), is_causal=is_causal,
            dropout_p=self.dropout if self.training else 0.0,
        )  # (B, H, T, D)  # fmt: skip
        B, H, T, D = out.shape
        return self.output(out.transpose(0, 2, 1, 3).reshape(B, T, H * D))

    def probabilities(
        self,
        query: Any,
        key: Any = None,
        *,
        visible: Any = None,
        key_visible: Any = None,
        is_causal: bool = False,
    ) -> Any:
        """The attention weights as an array (B, H, T, S), for pictures."""
        q = self._split_heads(self.query(query), self.num_heads)
        k = self._split_heads(self.key(query if key is None else key), self.num_kv_heads)
        mask = self._mask(q, k, visible, key_visible)
        return ops.attention_probabilities(q.data, k.data, visible=mask, is_causal=is_causal)

    def _mask(self, q: Tensor, k: Tensor, visible: Any, key_visible: Any) -> Any:
        shape = (*q.shape[:3], k.shape[2])
        return joint_mask("MultiHeadAttention", visible, key_visible, shape, q.data)

    def _split_heads(self, x: Tensor, heads: int) -> Tensor:
        """Shapes   x (B, T, heads D) -> (B, heads, T, D)."""
        B, T, width = x.shape
        return x.reshape(B, T, heads, width // heads).transpose(0, 2, 1, 3)

    def extra_repr(self) -> str:
        """Heads and dropout."""
        return f"num_heads={self.num_heads}, num_kv_heads={self.num_kv_heads}, dropout={self.dropout:g}"


def glorot_uniform(layer: Linear, rng: np.random.Generator, fan_out: int | None = None) -> None:
    """Draw the weight uniformly within sqrt(6 / (in + out)) (Glorot & Bengio 2010, eq. 16).

    This keeps the variance near 1 both for what goes forward and for the gradients that come back.
    """
    fan_in, columns = layer.weight.shape
    bound = math.sqrt(6 / (fan_in + (columns if fan_out is None else fan_out)))
    drawn = rng.uniform(-bound, bound, layer.weight.shape).astype(layer.weight.dtype)
    layer.load_state_dict({"weight": drawn}, strict=False)
