"""Llama (Touvron et al. 2023, arXiv:2302.13971): a causal Transformer with the parts that lasted.

Follows section 2.2 of the paper and Hugging Face's LlamaForCausalLM, whose module names and file
layout are kept, so that its weights load.  Compared with GPT-2: RMS norms instead of layer norms, no
biases, positions as rotations of queries and keys instead of learned vectors, a gated MLP, and
(arXiv:2307.09288, section 2.2) fewer heads of keys and values than of queries.

    x = x + self_attn(input_layernorm(x))
    x = x + mlp(post_attention_layernorm(x))          mlp(x) = down(silu(gate(x)) * up(x))

The MLP is SwiGLU (Shazeer 2020, arXiv:2002.05202, eq. 6).  SmolLM2 is such a model.

Each part has a `forward` on Tensors and a `step` on arrays: the same formula for one new token of each
text, after those in a cache.  A token reads every weight once, so the memory sets the limit, and the
time of every other call counts: without Tensors, and without checking what the model itself has
computed, what Python does for a token of SmolLM2's shape takes 1.5 ms instead of 5.
"""

import math
import operator
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .. import debugging, ops
from .. import functional as F
from ..arguments import require_number
from ..autograd import Tensor
from ..backend import array_module, beside, default_generator, to_numpy
from ..generation import GenerationMixin, KVCache
from ..graph import mode
from ..nn import Embedding, Linear, Module, ModuleList, RMSNorm
from ..nn.arguments import (
    require_known,
    require_multiple,
    require_probability,
    require_sizes,
)
from ..nn.side_by_side import SideBySide, product
from ..recompute import RecomputeMixin
from .causal import CausalLM
from .inputs import key_mask
from .pretrained import PretrainedMixin


@dataclass
class LlamaConfig:
    """The shape of a Llama; the defaults are the published 7 B model.

    rope_interleaved   which entries of a head are turned together: False for (i, i + D/2), as in
                       Hugging Face's files; True for (2i, 2i + 1), as in the paper of the rotation

    >>> LlamaConfig(hidden_size=64, num_attention_heads=4).head_dim
    16
    """

    vocab_size: int = 32000  # V
    hidden_size: int = 4096  # C, the width
    intermediate_size: int = 11008  # F, the width inside the MLP
    num_hidden_layers: int = 32  # L
    num_attention_heads: int = 32  # H, heads of queries
    num_key_value_heads: int | None = None  # G, heads of keys and values, divides H; None for H
    head_dim: int | None = None  # D, even; None for C / H
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048  # the longest sequence it was trained on
    initializer_range: float = 0.02  # standard deviation of the initial weights
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0  # base of the angles
    rope_interleaved: bool = False
    rope_parameters: dict[str, Any] | None = None  # newer files keep rope_theta in here
    rope_scaling: dict[str, Any] | None = None
    attention_bias: bool = False  # biases in the four layers of attention
    attention_dropout: float = 0.0
    mlp_bias: bool = False
    tie_word_embeddings: bool = False  # the output matrix is the embedding, transposed
    pad_token_id: int | None = None  # its row of the embedding learns nothing as an input
    bos_token_id: int | None = None
    eos_token_id: Any = None
    architectures: list[str] = field(default_factory=lambda: ["LlamaForCausalLM"])
    model_type: str = "llama"

    def __post_init__(self) -> None:
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                 "num_attention_heads", "num_key_value_heads", "max_position_embeddings")  # fmt: skip
        require_sizes("LlamaConfig", **{name: getattr(self, name) for name in sizes})
        if self.head_dim is None:
            self.head_dim = self.hidden_size // self.num_attention_heads
            if self.hidden_size % self.num_attention_heads:
                raise ValueError(
                    f"LlamaConfig: hidden_size {self.hidden_size} must be a multiple of "
                    f"num_attention_heads {self.num_attention_heads}, or head_dim be given"
                )
        if self.head_dim < 2 or self.head_dim % 2:
            raise ValueError(
                f"LlamaConfig: head_dim {self.head_dim} must be even, because pairs are turned"
            )
        require_multiple(
            "LlamaConfig", "num_attention_heads", self.num_attention_heads,
            "num_key_value_heads", self.num_key_value_heads,
        )  # fmt: skip
        for name in ("rms_norm_eps", "initializer_range"):
            require_number("LlamaConfig", name, getattr(self, name), least=0)
        require_probability("LlamaConfig", "attention_dropout", self.attention_dropout)
        require_known(self, hidden_act=("silu",))
        self._read_rope()

    def _read_rope(self) -> None:
        """Take rope_theta from where newer files keep it; refuse angles that are scaled."""
        given = {**(self.rope_scaling or {}), **(self.rope_parameters or {})}
        kind = given.get("rope_type", given.get("type", "default"))
        if kind != "default":
            raise ValueError(
                f"LlamaConfig: rotary positions of type {kind!r} (scaled for longer texts) are not "
                "known here, only 'default'"
            )
        self.rope_theta = given.get("rope_theta", self.rope_theta)
        require_number("LlamaConfig", "rope_theta", self.rope_theta)
        self.rope_theta = float(self.rope_theta)
        if self.rope_theta <= 0:
            raise ValueError(f"LlamaConfig: rope_theta must be above 0, got {self.rope_theta}")
        self.rope_parameters = self.rope_scaling = None

    def to_dict(self) -> dict[str, Any]:
        """All fields, for config.json."""
        rope = {"rope_type": "default", "rope_theta": self.rope_theta}
        return {**asdict(self), "rope_parameters": rope}


class RotaryTables:
    """cos and sin for the positions of a call; a table that grows as longer texts come."""

    def __init__(self, width: int, base: float) -> None:
        self.width, self.base = width, base
        self.tables = ops.rotary_tables(0, width, base=base, dtype=np.float64)

    def at(self, positions: Any, like: Any) -> tuple[Any, Any]:
        """Shapes   positions (T,) or (B, T) -> cos, sin (T, D/2) or (B, 1, T, D/2), as `like`."""
        positions = to_numpy(positions)
        needed = int(positions.max()) + 1
        if needed > len(self.tables[0]):
            length = max(needed, 2 * len(self.tables[0]), 64)
            self.tables = ops.rotary_tables(length, self.width, base=self.base, dtype=np.float64)
        if positions.ndim == 2:
            positions = positions[:, None]  # one axis for the heads
        cos, sin = (beside(table[positions].astype(like.dtype), like) for table in self.tables)
        return cos, sin


class LlamaAttention(Module):
    """Causal self-attention with rotated queries and keys; H/G heads of queries share one of keys."""

    def __init__(self, config: LlamaConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        C, H, G, D = (config.hidden_size, config.num_attention_heads,
                      config.num_key_value_heads or 0, config.head_dim or 0)  # fmt: skip
        given = {"bias": config.attention_bias, "dtype": dtype, "rng": rng}
        self.heads, self.kv_heads, self.width = H, G, D
        self.interleaved, self.dropout_p = config.rope_interleaved, config.attention_dropout
        self.q_proj = Linear(C, H * D, **given)
        self.k_proj = Linear(C, G * D, **given)
        self.v_proj = Linear(C, G * D, **given)
        self.o_proj = Linear(H * D, C, **given)
        self.joint = SideBySide()

    def queries_keys(self, x: Tensor, rotary: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
        """Shapes   x (B, T, C) -> q (B, H, T, D), k (B, G, T, D), both turned by their positions."""
        cos, sin = rotary
        q = self.split_heads(self.q_proj(x), self.heads)
        k = self.split_heads(self.k_proj(x), self.kv_heads)
        turn = {"cos": cos, "sin": sin, "interleaved": self.interleaved}
        return F.rotary_embedding(q, **turn), F.rotary_embedding(k, **turn)

    def split_heads(self, x: Tensor, heads: int) -> Tensor:
        """Shapes   x (B, T, heads D) -> (B, heads, T, D)."""
        return x.reshape(*x.shape[:2], heads, self.width).transpose(0, 2, 1, 3)

    def forward(
        self, x: Tensor, rotary: tuple[Any, Any], visible: Any = None,
        cache: KVCache | None = None, layer: int = 0,
    ) -> Tensor:  # fmt: skip
        """Shapes   x (B, T, C); visible broadcasting to (B, H, T, S) -> (B, T, C).

        S is T, or with a cache the number of its tokens (of this layer) and T more.
        """
        B, T, _ = x.shape
        q, k = self.queries_keys(x, rotary)
        v = self.split_heads(self.v_proj(x), self.kv_heads)
        if cache is not None:
            k, v = cache.append(layer, k, v)  # (B, G, S, D)
        out = F.scaled_dot_product_attention(
            q, k, v, visible=visible,
            is_causal=T > 1,  # the last token may see all others: no mask to build
            dropout_p=self.dropout_p if self.training else 0.0,
        )  # (B, H, T, D)  # fmt: skip
        return self.o_proj(out.transpose(0, 2, 1, 3).reshape(B, T, self.heads * self.width))

    def step(self, x: Any, rotary: tuple[Any, Any], cache: KVCache, layer: int) -> Any:
        """Forward for one new token of each text, on arrays; rotary from pair_tables.

        Shapes   x (B, C); S tokens with the new one -> (B, C)
        """
        xp, B, H, G, D = array_module(x), len(x), self.heads, self.kv_heads, self.width
        qkv = self.joint.forward(x, self.q_proj, self.k_proj, self.v_proj)
        qkv = qkv.reshape(B, H + 2 * G, 1, D)
        qk = turned(qkv[:, : H + G], *rotary, self.interleaved)  # (B, H + G, 1, D)
        k, v = cache.write(layer, qk[:, H:], qkv[:, H + G :])  # (B, G, S, D)
        q = qk[:, :H].reshape(B, G, H // G, D)  # the queries that share keys, as one matrix
        # out = softmax(scale * q @ k^T) @ v, as in ops/attention.py; the new token sees all others
        p = (q * (1 / math.sqrt(D))) @ k.swapaxes(-1, -2)  # (B, G, H/G, S)
        p -= p.max(axis=-1, keepdims=True)
        xp.exp(p, out=p)
        p /= p.sum(axis=-1, keepdims=True)
        return product((p @ v).reshape(B, H * D), self.o_proj)

    def probabilities(self, x: Tensor, rotary: tuple[Any, Any], visible: Any = None) -> Any:
        """The attention weights as an array (B, H, T, T), for pictures."""
        q, k = self.queries_keys(x, rotary)
        return ops.attention_probabilities(q.data, k.data, visible=visible, is_causal=True)


class LlamaMLP(Module):
    """SwiGLU: one layer decides, smoothly, how much of another one passes."""

    def __init__(self, config: LlamaConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        C, inner = config.hidden_size, config.intermediate_size
        given = {"bias": config.mlp_bias, "dtype": dtype, "rng": rng}
        self.gate_proj = Linear(C, inner, **given)
        self.up_proj = Linear(C, inner, **given)
        self.down_proj = Linear(inner, C, **given)
        self.joint = SideBySide()

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (B, T, C) -> (B, T, F) -> (B, T, C)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))

    def step(self, x: Any) -> Any:
        """Forward for one new token of each text, on arrays.  Shapes   x (B, C) -> (B, C)."""
        both = self.joint.forward(x, self.gate_proj, self.up_proj)  # (B, 2 F)
        inner = both.shape[1] // 2
        activated, _ = ops.silu_forward(both[:, :inner])
        activated *= both[:, inner:]
        return product(activated, self.down_proj)


class LlamaDecoderLayer(Module):
    """Attention, then MLP; each reads a normalized copy of the stream and adds to the stream."""

    def __init__(self, config: LlamaConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        C, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = LlamaAttention(config, dtype=dtype, rng=rng)
        self.mlp = LlamaMLP(config, dtype=dtype, rng=rng)
        self.input_layernorm = RMSNorm(C, eps, dtype=dtype)
        self.post_attention_layernorm = RMSNorm(C, eps, dtype=dtype)

    def forward(
        self, x: Tensor, rotary: tuple[Any, Any], visible: Any = None,
        cache: KVCache | None = None, layer: int = 0,
    ) -> Tensor:  # fmt: skip
        """Shapes   x (B, T, C) -> the same."""
        x = x + self.self_attn(self.input_layernorm(x), rotary, visible, cache, layer)
        return x + self.mlp(self.post_attention_layernorm(x))

    def step(self, x: Any, rotary: tuple[Any, Any], cache: KVCache, layer: int) -> Any:
        """Forward for one new token of each text, on arrays.  Shapes   x (B, C) -> (B, C)."""
        x = x + self.self_attn.step(normalized(x, self.input_layernorm), rotary, cache, layer)
        x += self.mlp.step(normalized(x, self.post_attention_layernorm))
        return x

    def is_plain(self) -> bool:
        """Is everything here of the kinds that step knows?  An adapter, for one, is not."""
        return [type(part) for part in PARTS(self)] == KINDS


LINEAR = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
          "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")  # fmt: skip
PARTS = operator.attrgetter(
    "self_attn", "mlp", "input_layernorm", "post_attention_layernorm", *LINEAR
)
KINDS = [LlamaAttention, LlamaMLP, RMSNorm, RMSNorm, *[Linear] * len(LINEAR)]


def normalized(x: Any, norm: RMSNorm) -> Any:
    """The RMS norm of a few rows on arrays: gamma x / sqrt(mean(x^2) + eps).  (B, C) -> (B, C)."""
    mean_square = (x[:, None] @ x[:, :, None])[:, 0] * (1 / x.shape[1])  # (B, 1)
    r = 1 / array_module(x).sqrt(mean_square + norm.eps)
    return x * r * norm.weight.data


def turned(x: Any, cos: Any, sin: Any, interleaved: bool) -> Any:
    """The rotation of ops/rotary_embedding.py with the tables of pair_tables, in three steps.

        (a', b') = (a, b) (cos, cos) + (b, a) (-sin, sin)

    Shapes   x (..., 1, D) -> the same
    """
    pairs = x.reshape(*x.shape[:-2], *cos.shape)
    swapped = pairs[..., ::-1] if interleaved else pairs[..., ::-1, :]
    return (pairs * cos + swapped * sin).reshape(x.shape)


def pair_tables(cos: Any, sin: Any, interleaved: bool) -> tuple[Any, Any]:
    """(cos, cos) and (-sin, sin) of one position, where the entries of a pair lie in x.

    Shapes   cos, sin (1, D/2) -> (2, D/2), or (D/2, 2) if interleaved
    """
    xp, axis = array_module(cos), 1 if interleaved else 0
    cos, sin = cos[0], sin[0]
    return xp.stack([cos, cos], axis=axis), xp.stack([-sin, sin], axis=axis)


class LlamaModel(RecomputeMixin, Module):
    """Embedding, layers and the last norm: from token ids to hidden states."""

    def __init__(self, config: LlamaConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        C, count, given = config.hidden_size, config.num_hidden_layers, {"dtype": dtype, "rng": rng}
        self.embed_tokens = Embedding(config.vocab_size, C, config.pad_token_id, **given)
        self.layers = ModuleList(LlamaDecoderLayer(config, **given) for _ in range(count))
        self.norm = RMSNorm(C, config.rms_norm_eps, dtype=dtype)
        self.positions = config.max_position_embeddings
        self.rotary = RotaryTables(config.head_dim or 0, config.rope_theta)
        self.interleaved = config.rope_interleaved

    def forward(
        self, input_ids: Any, attention_mask: Any = None, want_states: bool = False,
        want_attentions: bool = False, cache: KVCache | None = None,
    ) -> tuple[Tensor, list[Tensor], list[Any]]:  # fmt: skip
        """(last hidden state (B, T, C), the stream before each layer and at the end, attentions)."""
        T, cached = input_ids.shape[1], 0 if cache is None else cache.length
        if cached + T > self.positions:
            after = f" after {cached} tokens in the cache" if cached else ""
            raise ValueError(
                f"Llama: input_ids {input_ids.shape}{after} are longer than the {self.positions} "
                "positions of the model: cut them, or generate with sliding_window=True"
            )
        like = self.embed_tokens.weight.data
        visible, positions = None, np.arange(cached, cached + T)
        if attention_mask is not None:
            visible, positions = key_mask("Llama", attention_mask, input_ids, like, cached)
        rotary = self.rotary.at(positions, like)
        x = self.embed_tokens(input_ids)  # (B, T, C)
        if cache and T == 1 and visible is None and not want_states and self.can_step(x, cache):
            x = Tensor(self.step(x.data[:, 0], rotary, cache)[:, None])
            return self.norm(x), [], []
        states, attentions = [], []
        block: Any
        for layer, block in enumerate(self.layers):
            if want_states:
                states.append(x)
            if want_attentions:
                read = block.input_layernorm(x)
                attentions.append(block.self_attn.probabilities(read, rotary, visible))
            x = self.run_block(block, x, rotary, visible, cache, layer)
        x = self.norm(x)
        return x, [*states, x], attentions

    def step(self, x: Any, rotary: tuple[Any, Any], cache: KVCache) -> Any:
        """All layers for one new token of each text, on arrays.  Shapes   x (B, C) -> (B, C)."""
        block: Any
        rotary = pair_tables(*rotary, self.interleaved)
        for layer, block in enumerate(self.layers):
            x = block.step(x, rotary, cache, layer)
        return x

    def can_step(self, x: Tensor, cache: KVCache) -> bool:
        """May step stand for forward: nothing to record or to watch, known parts, a cache that fits?

        What does not fit is left to forward, which says what is wrong.
        """
        layers: Any = list(self.layers)
        attention = layers[0].self_attn
        return (
            not debugging.debugging
            and not mode.recording
            and all(type(block) is LlamaDecoderLayer and block.is_plain() for block in layers)
            and (cache.dtype, cache.batch, cache.layers) == (x.dtype, len(x), len(layers))
            and (cache.heads, cache.width) == (attention.kv_heads, attention.width)
        )


class LlamaForCausalLM(CausalLM, GenerationMixin, PretrainedMixin, RecomputeMixin, Module):
    """Llama with the output layer: logits for the next token at every position.

    from_pretrained also reads a file in the format GGUF, as llama.cpp uses it.

    >>> import numpy as np
    >>> config = LlamaConfig(
    ...     vocab_size=11, hidden_size=8, intermediate_size=13, num_hidden_layers=2,
    ...     num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=16,
    ... )  # fmt: skip
    >>> model = LlamaForCausalLM(config, rng=np.random.default_rng(0))
    >>> model(np.array([[1, 2, 3]])).logits.shape
    (1, 3, 11)
    """

    display_name = "Llama"
    config_class = LlamaConfig
    # matrices that the files keep as (out, in); the embedding is not among them
    stored_transposed = (
        "q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", "gate_proj.weight",
        "up_proj.weight", "down_proj.weight", "lm_head.weight",
    )  # fmt: skip

    def __init__(
        self,
        config: LlamaConfig,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = default_generator(rng)
        self.config = config
        self.model = LlamaModel(config, dtype=dtype, rng=rng)
        self.lm_head = None
        if not config.tie_word_embeddings:
            C, V = config.hidden_size, config.vocab_size
            self.lm_head = Linear(C, V, bias=False, dtype=dtype, rng=rng)
        self.initialize(rng)

    def initialize(self, rng: np.random.Generator) -> None:
        """Draw all weights anew: matrices normal, biases 0, scales of norms 1."""
        for name, p in self.named_parameters():
            if p.ndim == 2:
                drawn = rng.normal(0.0, self.config.initializer_range, p.shape)
                if name.endswith("embed_tokens.weight") and self.config.pad_token_id is not None:
                    drawn[self.config.pad_token_id] = 0
                p.data[...] = beside(drawn, p.data)
            else:
                p.data[...] = 0 if name.endswith("bias") else 1

    def new_cache(self, batch: int, capacity: int) -> KVCache:
        """An empty cache for `batch` sequences, with room for `capacity` tokens each."""
        config, weight = self.config, self.model.embed_tokens.weight
        return KVCache(
            config.num_hidden_layers, batch, config.num_key_value_heads or 0, config.head_dim or 0,
            capacity, dtype=weight.dtype, like=weight.data,
        )  # fmt: skip

    def read_together(self) -> Iterator[tuple[SideBySide, tuple[Linear, ...]]]:
        """The layers that read the same input, for files to be read into one array for each group."""
        block: Any
        for block in self.model.layers:
            attention, mlp = block.self_attn, block.mlp
            yield attention.joint, (attention.q_proj, attention.k_proj, attention.v_proj)
            yield mlp.joint, (mlp.gate_proj, mlp.up_proj)

    @property
    def backbone(self) -> Module:
        """The model below the output layer."""
        return self.model

    @property
    def embedding_weight(self) -> Tensor:
        """(V, C): the output layer, too, where it is tied."""
        return self.model.embed_tokens.weight
