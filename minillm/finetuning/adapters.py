"""Bottleneck adapters: small networks between the frozen parts of a model (Houlsby et al. 2019).

arXiv:1902.00751, section 2.1 and figure 2: behind each of the two sublayers of a Transformer layer
(attention and MLP), after the projection back to the width C and before what it read is added,

    h <- h + gelu(h @ down + bias_down) @ up + bias_up         down (C, M), up (M, C), M < C

2 C M + C + M numbers for each adapter.  up is zero at the start, so that the model begins as the
pretrained one (the paper draws it nearly zero).  The norms learn as well, and the head of the task.
Unlike a LoRA update an adapter is not linear, so it cannot be merged into the weights.
"""

import math
from typing import Any

import numpy as np

from .. import functional as F
from ..arguments import is_whole
from ..autograd import Tensor
from ..backend import beside, default_generator
from ..nn import LayerNorm, Linear, Module, RMSNorm
from .freezing import freeze, unfreeze
from .modules import ends_with, find_linears, replace_module, require_plain

# the last projection of both sublayers: GPT-2; Llama; BERT; our own Transformer
SUBLAYERS = (
    "attn.c_proj", "mlp.c_proj", "self_attn.o_proj", "mlp.down_proj", "attention.output.dense",
    "output.dense", "self_attention.output", "feed_forward.linear2",
)  # fmt: skip


class Bottleneck(Module):
    """The small network.

    Parameters   down.weight (C, M), uniform within 1/sqrt(C); up.weight (M, C) and both biases, zero
    Shapes       h (..., C) -> the same
    """

    def __init__(self, width: int, size: int, like: Any, rng: np.random.Generator) -> None:
        dtype = like.dtype
        self.down = Linear(width, size, dtype=dtype, rng=rng)
        self.up = Linear(size, width, dtype=dtype, rng=rng)
        bound = 1 / math.sqrt(width)
        for p in self.parameters():
            p.data = beside(np.zeros(p.shape, dtype=dtype), like)
        drawn = rng.uniform(-bound, bound, (width, size)).astype(dtype)
        self.down.weight.data = beside(drawn, like)

    def forward(self, h: Tensor) -> Tensor:
        """h plus what the network makes of it."""
        return h + self.up(F.gelu(self.down(h)))


class AdaptedLinear(Linear):
    """A Linear layer with a bottleneck behind it; it owns the weight and bias it replaces."""

    def __init__(self, base: Linear, adapter: Bottleneck) -> None:
        self.weight, self.bias = base.weight, base.bias
        self.adapter = adapter

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (..., in) -> (..., out)."""
        return self.adapter(super().forward(x))


def add_adapters(
    model: Module,
    size: int,
    *heads: str,
    target_modules: tuple[str, ...] | None = None,
    train_norms: bool = True,
    rng: np.random.Generator | None = None,
) -> Module:
    """Freeze a model, and put a bottleneck behind every sublayer.

    size             M, the width inside
    heads            patterns of what else learns, such as "classifier"
    target_modules   ends of names of Linear layers, where the model is none of those known here
    train_norms      the norms learn, too, as in the paper

    Returns   the model itself
    Raises    ValueError, before anything is changed, for a size below 1 or larger than the width, a
              model without such layers, one that has adapters already, or a pattern that fits nothing

    >>> from minillm.models import GPT2Config, GPT2LMHeadModel
    >>> from minillm.finetuning import trainable_parameters
    >>> sizes = {"vocab_size": 11, "n_positions": 8, "n_embd": 6, "n_layer": 2, "n_head": 3}
    >>> model = add_adapters(GPT2LMHeadModel(GPT2Config(**sizes)), 2, train_norms=False)
    >>> trainable_parameters(model).trainable == 4 * (2 * 6 * 2 + 6 + 2)
    True
    """
    found = _sublayers(model, target_modules)
    for path, layer in found.items():
        if isinstance(layer, AdaptedLinear):
            raise ValueError(f"add_adapters: {path} has an adapter already")
        require_plain("add_adapters", path, layer)
        width = layer.weight.shape[1]
        if not is_whole(size) or not 1 <= size <= width:
            raise ValueError(
                f"add_adapters: size must be an integer from 1 to the width {width} of {path}, got "
                f"{size!r}"
            )
    if heads:
        unfreeze(model, *heads)  # which refuses what it does not know
    norms = [n for n, m in model.named_modules() if isinstance(m, (LayerNorm, RMSNorm))]
    freeze(model)
    if heads or (norms and train_norms):
        unfreeze(model, *heads, *(norms if train_norms else ()))
    rng = default_generator(rng)
    for path, layer in found.items():
        adapter = Bottleneck(layer.weight.shape[1], size, layer.weight.data, rng)
        replace_module(model, path, AdaptedLinear(layer, adapter))
    return model


def _sublayers(model: Module, endings: tuple[str, ...] | None) -> dict[str, Linear]:
    """The layers behind which adapters stand, by name."""
    if endings is not None:
        return find_linears("add_adapters", model, tuple(endings))
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Linear) and any(ends_with(name, ending) for ending in SUBLAYERS)
    }
    if not found:
        raise ValueError(
            f"add_adapters: {type(model).__name__} has no sublayers that are known here: name the last "
            "Linear layer of each in target_modules"
        )
    return found
