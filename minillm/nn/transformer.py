"""The Transformer (Vaswani et al. 2017, arXiv:1706.03762, section 3): layers, stacks, the whole.

Every part is added to the stream that it reads from; what differs is where the norm stands:

    post-norm   x = norm(x + part(x))        as published (section 3.1)
    pre-norm    x = x + part(norm(x))        Xiong et al. 2020, arXiv:2002.04745, figure 1

Pre-norm leaves a way from the last layer to the first that passes through no norm, so deep stacks
train without warm-up; it needs one more norm after the last layer.

Masks are boolean, True = may attend: `visible` says which query sees which key, `key_visible`
which keys are real tokens, `is_causal` hides what comes later.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..backend import default_generator
from ..recompute import RecomputeMixin
from .arguments import require_sizes
from .attention import MultiHeadAttention, glorot_uniform
from .containers import ModuleList
from .layers import Dropout, LayerNorm, Linear
from .module import Module

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda x: F.relu(x),
    "gelu": lambda x: F.gelu(x),
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),  # Hugging Face's name of gelu_tanh
    "silu": lambda x: F.silu(x),
}


class FeedForward(Module):
    """Two linear layers with an activation between them, at each position by itself (section 3.3).

    activation   "relu", "gelu", "gelu_tanh" (also called "gelu_new") or "silu"
    Parameters   linear1 (C, F) and linear2 (F, C) with their biases, as in Linear
    Shapes       x (B, T, C) -> (B, T, F) -> (B, T, C); dropout acts in the middle

    >>> FeedForward(4, 8, activation="gelu")(np.zeros((2, 3, 4), dtype=np.float32)).shape
    (2, 3, 4)
    """

    def __init__(
        self,
        d_model: int,
        dim_feedforward: int,
        dropout: float = 0.0,
        *,
        activation: str = "relu",
        bias: bool = True,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        require_sizes("FeedForward", d_model=d_model, dim_feedforward=dim_feedforward)
        if activation not in ACTIVATIONS:
            known = ", ".join(map(repr, ACTIVATIONS))
            raise ValueError(f"FeedForward: activation {activation!r} must be one of {known}")
        rng = default_generator(rng)
        self.activation = activation
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype, rng=rng)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, rng=rng)

    def forward(self, x: Any) -> Tensor:
        """Shapes   x (..., C) -> the same."""
        return self.linear2(self.dropout(ACTIVATIONS[self.activation](self.linear1(x))))

    def extra_repr(self) -> str:
        """The activation."""
        return f"activation={self.activation!r}"


class TransformerEncoderLayer(Module):
    """Self-attention, then feed-forward: one layer of the encoder (section 3.1).

    d_model, nhead    C and H; H divides C
    dim_feedforward   F
    dropout           in training: of what each part adds, of attention weights, inside feed-forward
    activation        of FeedForward
    norm_first        pre-norm; False is post-norm, as published
    Parameters        self_attention, feed_forward, norm1 and norm2 (one for each)
    Shapes            x (B, T, C) -> the same

    With is_causal=True it is a layer of a decoder-only model such as GPT.

    >>> layer = TransformerEncoderLayer(6, 3, 12, norm_first=True)
    >>> layer(np.zeros((2, 5, 6), dtype=np.float32)).shape
    (2, 5, 6)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        *,
        activation: str = "relu",
        norm_first: bool = False,
        layer_norm_eps: float = 1e-5,
        bias: bool = True,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng, options = default_generator(rng), {"bias": bias, "dtype": dtype}
        self.norm_first = norm_first
        self.self_attention = MultiHeadAttention(
            d_model, nhead, dropout=dropout, rng=rng, **options
        )
        self.feed_forward = FeedForward(
            d_model, dim_feedforward, dropout, activation=activation, rng=rng, **options
        )
        self.norm1 = LayerNorm(d_model, layer_norm_eps, **options)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, **options)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Any,
        *,
        visible: Any = None,
        key_visible: Any = None,
        is_causal: bool = False,
        past: Any = None,
        use_cache: bool = False,
    ) -> Any:
        """One layer.

        visible       boolean (T, S) or (B, 1 or H, T, S): which position may attend to which
        key_visible   boolean (B, S): which positions are real tokens, not padding
        is_causal     no position sees a later one
        past          what the call before returned: x then continues that sequence
        use_cache     return (result, cache) instead of the result
        Shapes        x (B, T, C) -> the same; S = T without `past`
        """
        attention_input = self.norm1(x) if self.norm_first else x
        attended, cache = self.self_attention(
            attention_input, visible=visible, key_visible=key_visible, is_causal=is_causal,
            past=past, use_cache=True,
        )  # fmt: skip
        x = x + self.dropout(attended)
        if self.norm_first:
            x = x + self.dropout(self.feed_forward(self.norm2(x)))
        else:
            x = self.norm1(x)
            x = self.norm2(x + self.dropout(self.feed_forward(x)))
        return (x, cache) if use_cache else x

    def extra_repr(self) -> str:
        """Where the norms stand."""
        return f"norm_first={self.norm_first}"


class TransformerEncoder(RecomputeMixin, Module):
    """A stack of encoder layers, each a copy of the given one: equal values, parameters of its own.

    norm         a module applied after the last layer, which pre-norm stacks need
    Parameters   layers, and norm if there is one
    Shapes       x (B, T, C) -> the same

    >>> encoder = TransformerEncoder(TransformerEncoderLayer(6, 3, 12), num_layers=2)
    >>> encoder(np.zeros((2, 5, 6), dtype=np.float32), is_causal=True).shape
    (2, 5, 6)
    """

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies(type(self).__name__, layer, num_layers)
        self.norm = norm

    def forward(
        self,
        x: Any,
        *,
        visible: Any = None,
        key_visible: Any = None,
        is_causal: bool = False,
        past: Any = None,
        use_cache: bool = False,
    ) -> Any:
        """All layers; the arguments are those of each layer, `past` and the cache lists of theirs."""
        masks = {"visible": visible, "key_visible": key_visible, "is_causal": is_causal}
        x, caches = _through(self, x, past, use_cache, **masks)
        x = x if self.norm is None else self.norm(x)
        return (x, caches) if use_cache else x


class TransformerDecoderLayer(Module):
    """Self-attention, attention to the encoder's result, feed-forward: one layer of the decoder.

    Arguments    those of TransformerEncoderLayer
    Parameters   self_attention, cross_attention, feed_forward, norm1, norm2 and norm3 (one for each)
    Shapes       x (B, T, C), memory (B, S, C) -> (B, T, C)

    >>> layer = TransformerDecoderLayer(6, 3, 12)
    >>> x, memory = np.zeros((2, 5, 6), dtype=np.float32), np.zeros((2, 7, 6), dtype=np.float32)
    >>> layer(x, memory, is_causal=True).shape
    (2, 5, 6)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        *,
        activation: str = "relu",
        norm_first: bool = False,
        layer_norm_eps: float = 1e-5,
        bias: bool = True,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng, options = default_generator(rng), {"bias": bias, "dtype": dtype}
        self.norm_first = norm_first
        self.self_attention = MultiHeadAttention(
            d_model, nhead, dropout=dropout, rng=rng, **options
        )
        self.cross_attention = MultiHeadAttention(
            d_model, nhead, dropout=dropout, rng=rng, **options
        )
        self.feed_forward = FeedForward(
            d_model, dim_feedforward, dropout, activation=activation, rng=rng, **options
        )
        self.norm1 = LayerNorm(d_model, layer_norm_eps, **options)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, **options)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, **options)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Any,
        memory: Any,
        *,
        visible: Any = None,
        memory_visible: Any = None,
        key_visible: Any = None,
        memory_key_visible: Any = None,
        is_causal: bool = False,
        past: Any = None,
        use_cache: bool = False,
    ) -> Any:
        """One layer.

        visible              boolean (T, T) or (B, 1 or H, T, T): which position of x may attend to
                             which position of x
        memory_visible       boolean (T, S) or (B, 1 or H, T, S): which position of x may attend to
                             which position of memory
        key_visible          boolean (B, T): which positions of x are real tokens, not padding
        memory_key_visible   boolean (B, S): which positions of memory are real tokens
        is_causal            no position of x sees a later one of x; all of memory stays visible
        past                 what the call before returned: x then continues that sequence, and the
                             keys and values of memory are not computed again
        use_cache            return (result, cache) instead of the result
        Shapes               x (B, T, C), memory (B, S, C) -> (B, T, C); with `past`, T of the masks
                             counts the positions before as well
        """
        past_self, past_memory = past or (None, None)
        attention_input = self.norm1(x) if self.norm_first else x
        attended, kept = self.self_attention(
            attention_input, visible=visible, key_visible=key_visible, is_causal=is_causal,
            past=past_self, use_cache=True,
        )  # fmt: skip
        x = x + self.dropout(attended)
        x = x if self.norm_first else self.norm1(x)

        k, v = past_memory or self.cross_attention.project_keys_values(memory)
        attention_input = self.norm2(x) if self.norm_first else x
        attended = self.cross_attention.attend(
            attention_input, k, v, visible=memory_visible, key_visible=memory_key_visible
        )
        x = x + self.dropout(attended)
        x = x if self.norm_first else self.norm2(x)

        if self.norm_first:
            x = x + self.dropout(self.feed_forward(self.norm3(x)))
        else:
            x = self.norm3(x + self.dropout(self.feed_forward(x)))
        return (x, (kept, (k, v))) if use_cache else x

    def extra_repr(self) -> str:
        """Where the norms stand."""
        return f"norm_first={self.norm_first}"


class TransformerDecoder(RecomputeMixin, Module):
    """A stack of decoder layers, each a copy of the given one: equal values, parameters of its own.

    norm         a module applied after the last layer, which pre-norm stacks need
    Parameters   layers, and norm if there is one
    Shapes       x (B, T, C), memory (B, S, C) -> (B, T, C)

    >>> decoder = TransformerDecoder(TransformerDecoderLayer(6, 3, 12), num_layers=2)
    >>> x, memory = np.zeros((2, 5, 6), dtype=np.float32), np.zeros((2, 7, 6), dtype=np.float32)
    >>> decoder(x, memory, is_causal=True).shape
    (2, 5, 6)
    """

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies(type(self).__name__, layer, num_layers)
        self.norm = norm

    def forward(
        self,
        x: Any,
        memory: Any,
        *,
        visible: Any = None,
        memory_visible: Any = None,
        key_visible: Any = None,
        memory_key_visible: Any = None,
        is_causal: bool = False,
        past: Any = None,
        use_cache: bool = False,
    ) -> Any:
        """All layers; the arguments are those of each layer, `past` and the cache lists of theirs."""
        options = {
            "memory": memory, "visible": visible, "memory_visible": memory_visible,
            "key_visible": key_visible, "memory_key_visible": memory_key_visible,
            "is_causal": is_causal,
        }  # fmt: skip
        x, caches = _through(self, x, past, use_cache, **options)
        x = x if self.norm is None else self.norm(x)
        return (x, caches) if use_cache else x


class Transformer(RecomputeMixin, Module):
    """Encoder and decoder: reads one sequence, and writes another with it in view (figure 1).

    Token embeddings, positions and the output layer are not part of it, as in PyTorch.

    d_model, nhead         C and H; H divides C
    num_encoder_layers, num_decoder_layers
                           the rest as in TransformerEncoderLayer
    Parameters             encoder, decoder: layers, and a norm after the last one of each.  All
                           matrices by Glorot & Bengio 2010 as in PyTorch, each layer its own
    Shapes                 src (B, S, C), tgt (B, T, C) -> (B, T, C)

    >>> model = Transformer(6, 3, 2, 2, 12)
    >>> src, tgt = np.zeros((2, 7, 6), dtype=np.float32), np.zeros((2, 5, 6), dtype=np.float32)
    >>> model(src, tgt, is_causal=True).shape
    (2, 5, 6)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        *,
        activation: str = "relu",
        norm_first: bool = False,
        layer_norm_eps: float = 1e-5,
        bias: bool = True,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = default_generator(rng)
        sizes = (d_model, nhead, dim_feedforward, dropout)
        options = {
            "activation": activation, "norm_first": norm_first, "layer_norm_eps": layer_norm_eps,
            "bias": bias, "dtype": dtype, "rng": rng,
        }  # fmt: skip
        self.encoder = TransformerEncoder(
            TransformerEncoderLayer(*sizes, **options),  # type: ignore[arg-type]
            num_encoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype),
        )
        self.decoder = TransformerDecoder(
            TransformerDecoderLayer(*sizes, **options),  # type: ignore[arg-type]
            num_decoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype),
        )
        self.initialize(rng)

    def initialize(self, rng: np.random.Generator) -> None:
        """Draw all matrices anew: the copies in a stack start with equal ones."""
        for module in self.modules():
            if isinstance(module, MultiHeadAttention):
                module.initialize(rng)
                glorot_uniform(module.output, rng)
            elif isinstance(module, FeedForward):
                glorot_uniform(module.linear1, rng)
                glorot_uniform(module.linear2, rng)

    def forward(
        self,
        src: Any,
        tgt: Any,
        *,
        src_visible: Any = None,
        tgt_visible: Any = None,
        memory_visible: Any = None,
        src_key_visible: Any = None,
        tgt_key_visible: Any = None,
        memory_key_visible: Any = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Read src, write tgt: the names of the masks are PyTorch's, with visible for mask.

        src_visible          boolean (S, S) or (B, 1 or H, S, S): encoder, which attends to which
        tgt_visible          boolean (T, T) or (B, 1 or H, T, T): decoder, which attends to which
        memory_visible       boolean (T, S) or (B, 1 or H, T, S): what of src each of tgt sees
        src_key_visible      boolean (B, S): which positions of src are real tokens, not padding
        tgt_key_visible      boolean (B, T): which positions of tgt are real tokens
        memory_key_visible   boolean (B, S): which positions of src the decoder sees; src_key_visible
                             if left out (in PyTorch: all, so that padding leaks in)
        is_causal            no position of tgt sees a later one of tgt
        Shapes               src (B, S, C), tgt (B, T, C) -> (B, T, C)
        """
        memory = self.encoder(src, visible=src_visible, key_visible=src_key_visible)  # (B, S, C)
        if memory_key_visible is None:
            memory_key_visible = src_key_visible
        return self.decoder(
            tgt, memory, visible=tgt_visible, memory_visible=memory_visible,
            key_visible=tgt_key_visible, memory_key_visible=memory_key_visible,
            is_causal=is_causal,
        )  # (B, T, C)  # fmt: skip


def _copies(stack: str, layer: Module, count: int) -> ModuleList:
    """Deep copies of a layer; a random generator is shared, or all layers would drop the same."""
    if not isinstance(layer, Module):
        raise TypeError(f"{stack}: layer must be a module, got {type(layer).__name__}")
    require_sizes(stack, num_layers=count)
    generators = [getattr(module, "rng", None) for module in layer.modules()]
    shared = {id(rng): rng for rng in generators if rng is not None}
    return ModuleList(copy.deepcopy(layer, dict(shared)) for _ in range(count))


def _through(
    stack: Any, x: Any, past: Any, use_cache: bool, **options: Any
) -> tuple[Any, list[Any]]:
    """x through all layers, and their caches."""
    layers = stack.layers
    if past is None:
        past = [None] * len(layers)
    if len(past) != len(layers):
        raise ValueError(f"past holds {len(past)} entries, but there are {len(layers)} layers")
    caches = []
    for layer, before in zip(layers, past, strict=True):
        if use_cache or before is not None:
            x, cache = layer(x, past=before, use_cache=True, **options)
            caches.append(cache)
        else:
            x = stack.run_block(layer, x, **options)
    return x, caches
