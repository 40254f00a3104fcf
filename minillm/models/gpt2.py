"""GPT-2 (Radford et al. 2019): a stack of causal Transformer blocks that predicts the next token.

Follows section 2.3 of the paper and Hugging Face's GPT2LMHeadModel, whose module names and file
layout are kept, so that its weights load: a pre-norm Transformer (layer norm before each part,
and one after the last block), learned positions, GELU, the output matrix tied to the embedding.

    x = x + attn(ln_1(x))
    x = x + mlp(ln_2(x))

Without biases and with the exact GELU it is the model of nanoGPT.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .. import functional as F
from .. import ops
from ..arguments import require_number
from ..autograd import Tensor
from ..backend import beside, default_generator
from ..generation import GenerationMixin, KVCache
from ..nn import Dropout, Embedding, LayerNorm, Linear, Module, ModuleList
from ..nn.arguments import (
    require_known,
    require_multiple,
    require_probability,
    require_sizes,
)
from ..recompute import RecomputeMixin
from .causal import CausalLM
from .inputs import key_mask
from .pretrained import PretrainedMixin

GELUS = {"gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu": "none"}


@dataclass
class GPT2Config:
    """The shape of a GPT-2; the defaults are the published small model (124 M parameters).

    >>> GPT2Config(n_layer=2).n_embd
    768
    """

    vocab_size: int = 50257  # V
    n_positions: int = 1024  # the longest sequence
    n_embd: int = 768  # C, the width
    n_layer: int = 12  # L
    n_head: int = 12  # H; the width of a head is C / H
    n_inner: int | None = None  # F, the width between the two MLP layers; None for 4 C
    activation_function: str = "gelu_new"  # "gelu_new" by tanh as published, "gelu" exact
    resid_pdrop: float = 0.1  # dropout where a part is added to the stream
    embd_pdrop: float = 0.1  # dropout after the embedding
    attn_pdrop: float = 0.1  # dropout of attention probabilities
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02  # standard deviation of the initial weights
    bias: bool = True  # biases in linear layers and layer norms; nanoGPT's False
    scale_attn_weights: bool = True  # scores are divided by sqrt(D)
    scale_attn_by_inverse_layer_idx: bool = False  # and not by the layer's number, too
    add_cross_attention: bool = False  # there is no encoder to look at
    tie_word_embeddings: bool = True  # the output matrix is the embedding, transposed
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None  # what fills up finished texts
    architectures: list[str] = field(default_factory=lambda: ["GPT2LMHeadModel"])
    model_type: str = "gpt2"

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
        require_sizes("GPT2Config", **{name: getattr(self, name) for name in sizes})
        require_multiple("GPT2Config", "n_embd", self.n_embd, "n_head", self.n_head)
        if self.n_inner is not None:
            require_sizes("GPT2Config", n_inner=self.n_inner)
        for name in ("layer_norm_epsilon", "initializer_range"):
            require_number("GPT2Config", name, getattr(self, name), least=0)
        for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop"):
            require_probability("GPT2Config", name, getattr(self, name))
        require_known(
            self,
            activation_function=tuple(GELUS),
            scale_attn_weights=(True,),
            scale_attn_by_inverse_layer_idx=(False,),
            add_cross_attention=(False,),
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields, for config.json."""
        return asdict(self)


class GPT2Attention(Module):
    """Causal self-attention: one matrix makes queries, keys and values of all heads."""

    def __init__(self, config: GPT2Config, *, dtype: Any, rng: np.random.Generator) -> None:
        C = config.n_embd
        self.heads = config.n_head
        self.attn_pdrop = config.attn_pdrop
        self.c_attn = Linear(C, 3 * C, bias=config.bias, dtype=dtype, rng=rng)
        self.c_proj = Linear(C, C, bias=config.bias, dtype=dtype, rng=rng)
        self.resid_dropout = Dropout(config.resid_pdrop)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shapes   x (B, T, C) -> three times (B, H, T, D)."""
        B, T, C = x.shape
        H, D = self.heads, C // self.heads
        parts = F.split(self.c_attn(x), sections=3, axis=-1)  # three times (B, T, C)
        q, k, v = (part.reshape(B, T, H, D).transpose(0, 2, 1, 3) for part in parts)
        return q, k, v

    def forward(
        self, x: Tensor, visible: Any = None, cache: KVCache | None = None, layer: int = 0
    ) -> Tensor:
        """Shapes   x (B, T, C); visible broadcasting to (B, H, T, S) -> (B, T, C).

        S is T, or with a cache the number of its tokens (of this layer) and T more.
        """
        q, k, v = self.queries_keys_values(x)
        if cache is not None:
            k, v = cache.append(layer, k, v)  # (B, H, S, D)
        out = F.scaled_dot_product_attention(
            q, k, v, visible=visible,
            is_causal=x.shape[1] > 1,  # the last token may see all others: no mask to build
            dropout_p=self.attn_pdrop if self.training else 0.0,
        )  # (B, H, T, D)  # fmt: skip
        out = out.transpose(0, 2, 1, 3).reshape(x.shape)  # (B, T, C)
        return self.resid_dropout(self.c_proj(out))

    def probabilities(self, x: Tensor, visible: Any = None) -> Any:
        """The attention weights as an array (B, H, T, T), for pictures."""
        q, k, _ = self.queries_keys_values(x)
        return ops.attention_probabilities(q.data, k.data, visible=visible, is_causal=True)


class GPT2MLP(Module):
    """Two linear layers with a GELU between them, at each position by itself."""

    def __init__(self, config: GPT2Config, *, dtype: Any, rng: np.random.Generator) -> None:
        C, inner = config.n_embd, config.n_inner or 4 * config.n_embd
        self.approximate = GELUS[config.activation_function]
        self.c_fc = Linear(C, inner, bias=config.bias, dtype=dtype, rng=rng)
        self.c_proj = Linear(inner, C, bias=config.bias, dtype=dtype, rng=rng)
        self.dropout = Dropout(config.resid_pdrop)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (B, T, C) -> (B, T, F) -> (B, T, C)."""
        return self.dropout(self.c_proj(F.gelu(self.c_fc(x), approximate=self.approximate)))


class GPT2Block(Module):
    """Attention, then MLP; each reads a normalized copy of the stream and adds to the stream."""

    def __init__(self, config: GPT2Config, *, dtype: Any, rng: np.random.Generator) -> None:
        norm = {"eps": config.layer_norm_epsilon, "bias": config.bias, "dtype": dtype}
        self.ln_1 = LayerNorm(config.n_embd, **norm)
        self.attn = GPT2Attention(config, dtype=dtype, rng=rng)
        self.ln_2 = LayerNorm(config.n_embd, **norm)
        self.mlp = GPT2MLP(config, dtype=dtype, rng=rng)

    def forward(
        self, x: Tensor, visible: Any = None, cache: KVCache | None = None, layer: int = 0
    ) -> Tensor:
        """Shapes   x (B, T, C) -> the same."""
        x = x + self.attn(self.ln_1(x), visible, cache, layer)
        return x + self.mlp(self.ln_2(x))


class GPT2Model(RecomputeMixin, Module):
    """Embedding, blocks and the last layer norm: from token ids to hidden states."""

    def __init__(self, config: GPT2Config, *, dtype: Any, rng: np.random.Generator) -> None:
        C = config.n_embd
        self.wte = Embedding(config.vocab_size, C, dtype=dtype, rng=rng)
        self.wpe = Embedding(config.n_positions, C, dtype=dtype, rng=rng)
        self.drop = Dropout(config.embd_pdrop)
        self.h = ModuleList(GPT2Block(config, dtype=dtype, rng=rng) for _ in range(config.n_layer))
        self.ln_f = LayerNorm(C, config.layer_norm_epsilon, bias=config.bias, dtype=dtype)

    def forward(
        self, input_ids: Any, attention_mask: Any = None, want_states: bool = False,
        want_attentions: bool = False, cache: KVCache | None = None,
    ) -> tuple[Tensor, list[Tensor], list[Any]]:  # fmt: skip
        """(last hidden state (B, T, C), the stream before each block and at the end, attentions)."""
        T, P = input_ids.shape[1], self.wpe.weight.shape[0]
        cached = 0 if cache is None else cache.length
        if cached + T > P:
            after = f" after {cached} tokens in the cache" if cached else ""
            raise ValueError(
                f"GPT2: input_ids {input_ids.shape}{after} are longer than the {P} positions of the "
                "model: cut them, or generate with sliding_window=True"
            )
        if attention_mask is None:
            visible, positions = None, np.arange(cached, cached + T)
        else:
            visible, positions = key_mask(
                "GPT2", attention_mask, input_ids, like=self.wpe.weight.data, cached=cached
            )
        x = self.drop(self.wte(input_ids) + self.wpe(positions))  # (B, T, C)
        states, attentions = [], []
        block: Any
        for layer, block in enumerate(self.h):
            if want_states:
                states.append(x)
            if want_attentions:
                attentions.append(block.attn.probabilities(block.ln_1(x), visible))
            x = self.run_block(block, x, visible, cache, layer)
        x = self.ln_f(x)
        return x, [*states, x], attentions


class GPT2LMHeadModel(CausalLM, GenerationMixin, PretrainedMixin, RecomputeMixin, Module):
    """GPT-2 with the output layer: logits for the next token at every position.

    >>> import numpy as np
    >>> config = GPT2Config(vocab_size=11, n_positions=8, n_embd=6, n_layer=2, n_head=3)
    >>> model = GPT2LMHeadModel(config, rng=np.random.default_rng(0))
    >>> model(np.array([[1, 2, 3]])).logits.shape
    (1, 3, 11)
    """

    display_name = "GPT2"
    config_class = GPT2Config

    def __init__(
        self,
        config: GPT2Config,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = default_generator(rng)
        self.config = config
        self.transformer = GPT2Model(config, dtype=dtype, rng=rng)
        self.lm_head = None
        if not config.tie_word_embeddings:
            self.lm_head = Linear(
                config.n_embd, config.vocab_size, bias=False, dtype=dtype, rng=rng
            )
        self.initialize(rng)

    def initialize(self, rng: np.random.Generator) -> None:
        """Draw all weights anew, as published (Radford et al. 2019, section 2.3).

        Matrices are normal with standard deviation initializer_range; the two matrices of each
        block that add to the stream are smaller by sqrt(2 L), because 2 L of them add up.
        """
        std = self.config.initializer_range
        for name, p in self.named_parameters():
            if p.ndim == 2:
                scale = std / math.sqrt(2 * self.config.n_layer) if "c_proj" in name else std
                p.data[...] = beside(rng.normal(0.0, scale, p.shape), p.data)
            elif name.endswith("bias"):
                p.data[...] = 0
            else:
                p.data[...] = 1

    def new_cache(self, batch: int, capacity: int) -> KVCache:
        """An empty cache for `batch` sequences, with room for `capacity` tokens each.

        >>> config = GPT2Config(vocab_size=11, n_positions=8, n_embd=6, n_layer=2, n_head=3)
        >>> GPT2LMHeadModel(config).new_cache(1, 8)
        KVCache(2 layers, batch 1, 3 heads of 2, 0 of 8 positions, 0.0 MB)
        """
        config, weight = self.config, self.transformer.wte.weight
        heads, width = config.n_head, config.n_embd // config.n_head
        return KVCache(
            config.n_layer, batch, heads, width, capacity, dtype=weight.dtype, like=weight.data
        )

    @property
    def backbone(self) -> Module:
        """The model below the output layer."""
        return self.transformer

    @property
    def embedding_weight(self) -> Tensor:
        """(V, C): the output layer, too, where it is tied."""
        return self.transformer.wte.weight
