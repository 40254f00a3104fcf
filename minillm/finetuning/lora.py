"""LoRA: fine-tuning by low-rank updates of frozen weights (Hu et al. 2021, arXiv:2106.09685).

Section 4.1, eq. 3: a linear layer with the frozen weight W becomes one with

    W + (alpha / r) A B            A (in, r), B (r, out): r (in + out) numbers learn, not in * out

The update of a weight during fine-tuning needs far fewer directions than the weight has, so r = 8 is
often enough.  At the start B is 0, so that the model begins as the pretrained one; A is random, or
both would stay 0.  After training A B can be added to W (merged), and the model is as fast as before.

This is a reparameterisation: the same kind of function, written with other parameters.  The forward
and backward of one layer stand in ops/lora_linear.py.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from ..arguments import is_number, require_whole
from ..autograd import Tensor
from ..backend import array_module, default_generator, to_numpy
from ..nn import Linear, Module, Parameter
from .freezing import freeze
from .modules import find_linears, matches, replace_module, require_plain


@dataclass(frozen=True)
class LoraConfig:
    """What an adapter looks like; the names of PEFT, with alpha and dropout for its lora_ ones.

    r                the rank, R: columns of A and rows of B
    alpha            the update is scaled by alpha / r, so that r can change without a new learning rate
    dropout          share of the entries of x that do not reach A in training
    target_modules   ends of the names of the Linear layers to adapt: "query", "attn.c_proj"
    modules_to_save  names or patterns of parameters that learn as they are and belong to the adapter,
                     such as the head of the task: "classifier"

    >>> LoraConfig(r=4, alpha=6, target_modules=["c_attn"]).scale
    1.5
    """

    r: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ()
    modules_to_save: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_whole("LoraConfig", "r", self.r)
        if not (is_number(self.alpha) and 0 < self.alpha < math.inf):
            raise ValueError(
                f"LoraConfig: alpha must be a number above 0, got {self.alpha!r}: the update is "
                "multiplied by alpha / r, and nothing could be learned with 0"
            )
        if not (is_number(self.dropout) and 0 <= self.dropout < 1):
            raise ValueError(
                f"LoraConfig: dropout must be within 0 <= dropout < 1, got {self.dropout!r}"
            )
        # Python's numbers: one of NumPy's float64 would turn a float32 model into float64
        object.__setattr__(self, "r", int(self.r))
        object.__setattr__(self, "alpha", float(self.alpha))
        for name in ("target_modules", "modules_to_save"):
            value = getattr(self, name)
            names = (value,) if isinstance(value, str) else tuple(value or ())
            if not all(isinstance(part, str) and part for part in names):
                raise ValueError(f"LoraConfig: {name} must be names of modules, got {value!r}")
            object.__setattr__(self, name, names)

    @property
    def scale(self) -> float:
        """alpha / r."""
        return self.alpha / self.r


class Adapter(NamedTuple):
    """One adapter of one layer."""

    lora_A: Parameter
    lora_B: Parameter
    scale: float
    dropout: float


class LoRALinear(Linear):
    """A Linear layer that several adapters can stand beside, of which one or none is active.

    It owns the weight and bias of the layer it replaces.  The matrices of the active adapter are its
    parameters lora_A (in, r) and lora_B (r, out); the others wait in `adapters`.

    Shapes   x (..., in) -> (..., out)
    """

    def __init__(self, base: Linear) -> None:
        self.weight, self.bias = base.weight, base.bias
        self.training = base.training
        self.adapters: dict[str, Adapter] = {}
        self.active: Adapter | None = None
        self.unmerged: Any = None  # the weight as it was before an update was added to it

    @property
    def not_for_files(self) -> str:
        """Why save_pretrained would write what from_pretrained cannot read; "" where it can."""
        if self.active is None:
            return ""
        return "has a LoRA adapter: write it with save_lora, or call merge_lora(model) first"

    def add(self, name: str, config: LoraConfig, rng: np.random.Generator) -> None:
        """Draw a new adapter: A uniform within 1/sqrt(in), B zero.

        That is Kaiming's initialisation with a = sqrt(5), as in the authors' code and in PEFT; the
        paper itself draws A from a normal distribution.
        """
        (I, O), like = self.weight.shape, self.weight.data
        bound = 1 / math.sqrt(I)
        lora_A = rng.uniform(-bound, bound, (I, config.r))
        lora_B = np.zeros((config.r, O))
        A, B = (Parameter(as_like(part, like)) for part in (lora_A, lora_B))
        self.adapters[name] = Adapter(A, B, config.scale, config.dropout)

    def activate(self, name: str | None) -> None:
        """Make an adapter the active one; none if there is none of that name on this layer."""
        self.active = self.adapters.get(name) if name is not None else None
        vars(self).pop("lora_A", None)
        vars(self).pop("lora_B", None)
        if self.active is not None:
            for part in self.active[:2]:  # it may have waited while the model was moved or cast
                part.data = as_like(part.data, self.weight.data)
            self.lora_A, self.lora_B = self.active[:2]

    def merge(self, name: str | None) -> None:
        """Add the update of an adapter to the weight."""
        self.activate(name)
        if self.active is not None:
            weight, adapter = self.weight.data, self.active
            self.unmerged = weight.copy()
            weight += adapter.scale * (adapter.lora_A.data @ adapter.lora_B.data)
        self.activate(None)

    def unmerge(self, name: str | None) -> None:
        """Give the weight the values it had before."""
        if self.unmerged is not None:
            self.weight.data[...] = as_like(self.unmerged, self.weight.data)
            self.unmerged = None
        self.activate(name)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (..., in) -> (..., out)."""
        if self.active is None:
            return F.linear(x, self.weight, self.bias)
        return F.lora_linear(
            x, self.weight, self.lora_A, self.lora_B, self.bias, scale=self.active.scale,
            dropout_p=self.active.dropout if self.training else 0.0,
        )  # fmt: skip


@dataclass
class LoRAState:
    """What a model with adapters remembers, beside its layers."""

    bases: dict[str, Linear] = field(default_factory=dict)  # the layers that were replaced
    learned: set[str] = field(default_factory=set)  # what was trainable before
    configs: dict[str, LoraConfig] = field(default_factory=dict)
    active: str | None = None
    merged: bool = False
    # values of modules_to_save: of each adapter (of the active one they are in the model), and None
    # for those of the base
    heads: dict[str | None, dict[str, Any]] = field(default_factory=lambda: {None: {}})


def add_lora(
    model: Any,
    config: LoraConfig,
    name: str = "default",
    *,
    rng: np.random.Generator | None = None,
) -> Any:
    """Freeze a model, and give the Linear layers that config names an adapter that learns.

    Called again with another name it adds a second adapter to the same base.  The new adapter is the
    active one.  The optimiser is made afterwards, from model.named_parameters() as ever: frozen
    parameters get no gradient, so it does nothing for them.

    name      of the adapter, for set_adapter
    Returns   the model itself
    Raises    ValueError, before anything is changed, for a target that names no Linear layers (with a
              list of those there are), an r larger than a matrix, a name that is taken, a merged model

    >>> from minillm.models import GPT2Config, GPT2LMHeadModel
    >>> from minillm.finetuning import trainable_parameters
    >>> model = GPT2LMHeadModel(
    ...     GPT2Config(vocab_size=11, n_positions=8, n_embd=6, n_layer=2, n_head=3)
    ... )
    >>> model = add_lora(model, LoraConfig(r=2, alpha=6, target_modules=["c_attn"]))
    >>> print(trainable_parameters(model))
    96 of 1,242 parameters are trainable (7.73 %)
    """
    who = "add_lora"
    state: LoRAState = getattr(model, "lora", None) or LoRAState()
    if not isinstance(name, str) or not name:
        raise ValueError(f"{who}: name must be a text that is not empty, got {name!r}")
    if name in state.configs:
        raise ValueError(
            f"{who}: there is an adapter {name!r} already: give this one another name, as in "
            "add_lora(model, config, name='second')"
        )
    if state.merged:
        raise ValueError(f"{who}: adapter {state.active!r} is merged: call unmerge_lora first")
    targets = targets_of(who, model, config)
    heads = heads_of(who, model, config, targets)
    rng = default_generator(rng)
    if not state.configs:
        state.learned = {n for n, p in model.named_parameters() if p.requires_grad}
        freeze(model)
        model.lora = state
    own = dict(model.named_parameters())
    for head in heads:
        state.heads[None].setdefault(head, own[head].data.copy())
    state.heads[name] = {head: state.heads[None][head].copy() for head in heads}
    for path, layer in targets.items():
        if not isinstance(layer, LoRALinear):
            state.bases[path], layer = layer, LoRALinear(layer)
            replace_module(model, path, layer)
        layer.add(name, config, rng)
    state.configs[name] = config
    set_adapter(model, name)
    return model


def targets_of(who: str, model: Module, config: LoraConfig) -> dict[str, Linear]:
    """The layers that config names, by name; the rank is held against their sizes.

    Raises   ValueError as add_lora does
    """
    found = find_linears(who, model, config.target_modules)
    if not found:
        every = find_linears(who, model, tuple(n for n, _ in _linears(model)))
        parts = ", ".join(sorted({path.rpartition(".")[2] for path in every}))
        raise ValueError(
            f"{who}: target_modules is empty: name Linear layers of {type(model).__name__}; there "
            f"are: {parts or 'none'}"
        )
    for path, layer in found.items():
        if not isinstance(layer, LoRALinear):
            require_plain(who, path, layer)
        if config.r > min(layer.weight.shape):
            raise ValueError(
                f"{who}: r = {config.r} is larger than the matrix {path}.weight "
                f"{layer.weight.shape}: choose r of at most {min(layer.weight.shape)}, or leave this "
                "layer out of target_modules"
            )
    return found


def heads_of(who: str, model: Module, config: LoraConfig, targets: Any) -> list[str]:
    """The parameters that config.modules_to_save names.

    Raises   ValueError for a pattern that fits nothing, or a layer that has an adapter as well
    """
    names = [
        name for name, _ in model.named_parameters() if not name.endswith((".lora_A", ".lora_B"))
    ]
    found = []
    for pattern in config.modules_to_save:
        fits = [n for n in names if is_head(n, pattern)]
        if not fits:
            raise ValueError(
                f"{who}: modules_to_save {pattern!r} fits no parameter of {type(model).__name__}; its "
                f"parts are: {', '.join(n for n, _ in model.named_children())}"
            )
        found += [name for name in fits if name not in found]
    twice = [name for name in found if name.rpartition(".")[0] in targets]
    if twice:
        raise ValueError(
            f"{who}: {twice[0].rpartition('.')[0]!r} is among both target_modules and modules_to_save:"
            " a layer learns as a whole or by an adapter"
        )
    return found


def is_head(name: str, pattern: str) -> bool:
    """Does one of modules_to_save mean this parameter: by a pattern, or the end of a module's name?

    >>> (
    ...     is_head("cls.seq_relationship.bias", "seq_relationship"),
    ...     is_head("classifier.bias", "score"),
    ... )
    (True, False)
    """
    return matches(name, pattern) or f".{pattern}." in f".{name}"


def _linears(model: Module) -> Iterator[tuple[str, Linear]]:
    yield from ((n, m) for n, m in model.named_modules() if isinstance(m, Linear))


def lora_layers(model: Module) -> dict[str, LoRALinear]:
    """The layers with adapters, by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, LoRALinear)}


def state_of(who: str, model: Any, name: str | None = None) -> LoRAState:
    """What the model remembers of its adapters.

    Raises   ValueError if it has none, or none of that name
    """
    state = getattr(model, "lora", None)
    if state is None:
        raise ValueError(
            f"{who}: this {type(model).__name__} has no adapter: call add_lora(model, config) first"
        )
    if name is not None and name not in state.configs:
        known = ", ".join(map(repr, state.configs))
        raise ValueError(f"{who}: there is no adapter {name!r}; there are: {known}")
    return state


def set_adapter(model: Any, name: str) -> None:
    """Make another adapter the active one: it computes, learns and is saved.

    Raises   ValueError for an unknown name, or while an adapter is merged

    >>> from minillm.nn import Linear, Sequential
    >>> model = Sequential(Linear(3, 4))
    >>> for name in ("first", "second"):
    ...     model = add_lora(model, LoraConfig(r=2, target_modules=["0"]), name)
    >>> set_adapter(model, "first")
    >>> model.lora.active
    'first'
    """
    state = state_of("set_adapter", model, name)
    if state.merged:
        raise ValueError(
            f"set_adapter: adapter {state.active!r} is merged: call unmerge_lora(model) first"
        )
    for layer in lora_layers(model).values():
        layer.activate(name)
    own = dict(model.named_parameters())
    for head, value in state.heads[None].items():
        p = own[head]
        if head in state.heads.get(state.active, {}) and state.active is not None:
            state.heads[state.active][head] = p.data.copy()
        p.data[...] = as_like(state.heads[name].get(head, value), p.data)
        p.requires_grad = head in state.heads[name]
        p.grad = None
    state.active = name


def merge_lora(model: Any) -> Any:
    """Add the update of the active adapter to the weights: as fast as the base, and with its names.

    Returns   the model itself
    Raises    ValueError if there is no adapter, or it is merged already

    >>> from minillm.nn import Linear, Sequential
    >>> model = add_lora(Sequential(Linear(3, 4)), LoraConfig(r=2, target_modules=["0"]))
    >>> sorted(merge_lora(model).state_dict())
    ['0.bias', '0.weight']
    """
    state = state_of("merge_lora", model)
    if state.merged:
        raise ValueError(
            f"merge_lora: adapter {state.active!r} is merged already: merging twice would add its "
            "update twice; call unmerge_lora(model) to take it out"
        )
    return _each(model, lambda layer: layer.merge(state.active), merged=True)


def unmerge_lora(model: Any) -> Any:
    """Take a merged update out again: the weights have the bits they had before merge_lora.

    Returns   the model itself
    Raises    ValueError if nothing is merged

    >>> from minillm.nn import Linear, Sequential
    >>> model = add_lora(Sequential(Linear(3, 4)), LoraConfig(r=2, target_modules=["0"]))
    >>> sorted(unmerge_lora(merge_lora(model)).state_dict())
    ['0.bias', '0.lora_A', '0.lora_B', '0.weight']
    """
    state = state_of("unmerge_lora", model)
    if not state.merged:
        raise ValueError("unmerge_lora: no adapter is merged: there is nothing to take out")
    return _each(model, lambda layer: layer.unmerge(state.active), merged=False)


def _each(model: Any, change: Callable[[LoRALinear], None], merged: bool) -> Any:
    for layer in lora_layers(model).values():
        change(layer)
    model.lora.merged = merged
    return model


def remove_lora(model: Any) -> Any:
    """Throw all adapters away: the plain layers stand there again, and learn if they did before.

    After merge_lora the weights keep the update, else they are those of the base.  The modules_to_save
    keep the values of the active adapter.

    Returns   the model itself
    Raises    ValueError if there is no adapter

    >>> from minillm.nn import Linear, Sequential
    >>> model = add_lora(Sequential(Linear(3, 4)), LoraConfig(r=2, target_modules=["0"]))
    >>> remove_lora(model)
    Sequential(
      0: Linear(weight (3, 4), bias (4,))
    )  16 parameters
    """
    state = state_of("remove_lora", model)
    for path, base in state.bases.items():
        base.training = model.training
        replace_module(model, path, base)
    del model.lora
    for name, p in model.named_parameters():
        p.requires_grad, p.grad = name in state.learned, None
    return model


def lora_state_dict(model: Any, name: str | None = None) -> dict[str, Any]:
    """The arrays of one adapter by name, of the active one by default (not copies).

    >>> from minillm.nn import Linear, Sequential
    >>> model = add_lora(Sequential(Linear(3, 4)), LoraConfig(r=2, target_modules=["0"]))
    >>> {name: array.shape for name, array in lora_state_dict(model).items()}
    {'0.lora_A': (3, 2), '0.lora_B': (2, 4)}
    """
    state = state_of("lora_state_dict", model, name)
    name = state.active if name is None else name
    arrays: dict[str, Any] = {}
    for path, layer in lora_layers(model).items():
        if name in layer.adapters:
            arrays[f"{path}.lora_A"] = layer.adapters[name].lora_A.data
            arrays[f"{path}.lora_B"] = layer.adapters[name].lora_B.data
    own = model.state_dict()
    live = {head: own[head] for head in state.heads[name]} if name == state.active else {}
    return {**arrays, **state.heads[name], **live}


def as_like(array: Any, like: Any) -> Any:
    """The array with the dtype and on the device of another; itself where it is so already."""
    xp = array_module(like)
    if array_module(array) is not xp:
        array = xp.asarray(to_numpy(array))
    return array.astype(like.dtype, copy=False)
