"""Which parameters learn, and how fast: freezing, layer-wise learning rates, gradual unfreezing.

A pretrained model knows much that the small data of a task cannot teach again, and could spoil.  What
is frozen gets no gradient, so its backward costs nothing and its optimiser keeps no state.

    discriminative rates     lr of a layer = decay * lr of the layer above     (Howard & Ruder 2018,
                                                          arXiv:1801.06146, section 3.2)
    gradual unfreezing       the head alone first, then one layer more at a time        (section 3.3)

The depth of a parameter is counted from the bottom: what comes before the stack of layers (the
embedding) is at depth 0, layer i at depth i + 1, what comes after (last norm, head) at the top.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..arguments import is_number, require_number, require_whole
from ..nn import Module, ModuleList, Parameter
from .modules import matches


def freeze(model: Module, *patterns: str) -> list[str]:
    """Switch the learning of some parameters off; all of them if no pattern is given.

    patterns   names of parameters or modules (a module stands for all that is in it), with the
               wildcards of fnmatch: "transformer.wte", "transformer.h.0", "*.bias"

    Returns    the names of the parameters that are frozen now
    Raises     ValueError for a pattern that fits nothing, with the names there are

    >>> from minillm.nn import Linear, Sequential
    >>> freeze(Sequential(Linear(2, 3), Linear(3, 1)), "0")
    ['0.weight', '0.bias']
    """
    return _switch("freeze", model, patterns, False)


def unfreeze(model: Module, *patterns: str) -> list[str]:
    """Switch the learning of some parameters on; all of them if no pattern is given.

    patterns   as for freeze
    Returns    the names of the parameters that learn now
    Raises     ValueError for a pattern that fits nothing, with the names there are

    >>> from minillm.nn import Linear, Sequential
    >>> model = Sequential(Linear(2, 3), Linear(3, 1))
    >>> frozen = freeze(model)
    >>> unfreeze(model, "*.bias")
    ['0.bias', '1.bias']
    """
    return _switch("unfreeze", model, patterns, True)


def _switch(who: str, model: Module, patterns: tuple[str, ...], learns: bool) -> list[str]:
    own = dict(model.named_parameters())
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(
                f"{who}: each pattern must be a text, got {type(pattern).__name__}: write several as "
                f'{who}(model, "first", "second")'
            )
        if not any(matches(name, pattern) for name in own):
            raise ValueError(
                f"{who}: {pattern!r} fits no parameter of {type(model).__name__}; there are: "
                f"{_overview(own)}"
            )
    found = [n for n in own if not patterns or any(matches(n, pattern) for pattern in patterns)]
    for name in found:
        own[name].requires_grad = learns
        if not learns:
            own[name].grad = None
    return found


def _overview(names: Any) -> str:
    """Names in which numbers are replaced by *, each once: the layers of a stack look alike."""
    short = [".".join("*" if part.isdecimal() else part for part in n.split(".")) for n in names]
    return ", ".join(dict.fromkeys(short))


class TrainableParameters(NamedTuple):
    """How many numbers of a model learn.

    >>> print(TrainableParameters(trainable=8, total=1000))
    8 of 1,000 parameters are trainable (0.80 %)
    """

    trainable: int
    total: int

    @property
    def share(self) -> float:
        """trainable / total; 0 for a model without parameters."""
        return self.trainable / self.total if self.total else 0.0

    def __str__(self) -> str:
        share = f"{100 * self.share:.2f} %"
        return f"{self.trainable:,} of {self.total:,} parameters are trainable ({share})"


def trainable_parameters(model: Module) -> TrainableParameters:
    """Count what learns and what there is; a matrix that is used twice counts once.

    >>> from minillm.nn import Linear
    >>> layer = Linear(9, 10)
    >>> frozen = freeze(layer, "weight")
    >>> print(trainable_parameters(layer))
    10 of 100 parameters are trainable (10.00 %)
    """
    learns = [(p.size, p.requires_grad) for p in model.parameters()]
    return TrainableParameters(sum(n for n, yes in learns if yes), sum(n for n, _ in learns))


# ------------------------------------------------------------------------------------- depth


def depths(model: Module) -> dict[str, int]:
    """The depth of every parameter, by name: a new one begins wherever the layer changes.

    >>> from minillm.nn import Embedding, Linear, ModuleList
    >>> class Tower(Module):
    ...     def __init__(self):
    ...         self.table = Embedding(5, 2)
    ...         self.layers = ModuleList([Linear(2, 2, bias=False), Linear(2, 2, bias=False)])
    ...         self.head = Linear(2, 3, bias=False)
    >>> depths(Tower())
    {'table.weight': 0, 'layers.0.weight': 1, 'layers.1.weight': 2, 'head.weight': 3}
    """
    parts = list(_parts(model, ""))
    found: dict[str, int] = {}
    depth, before = -1, None
    for name, _ in model.named_parameters():
        part = next(key for prefix, key in parts if matches(name, prefix))
        if part != before or depth < 0:
            depth += 1
        found[name], before = depth, part
    return found


def _parts(module: Module, prefix: str) -> Iterator[tuple[str, str]]:
    """(prefix of names, layer): each entry of an outermost stack is a layer, the rest is none."""
    children = list(module.named_children())
    for name, child in children:
        path = f"{prefix}{name}"
        if isinstance(module, ModuleList):
            yield path, path
        else:
            yield from _parts(child, f"{path}.")
    if not isinstance(module, ModuleList):
        own = [name for name, value in vars(module).items() if isinstance(value, Parameter)]
        yield from ((f"{prefix}{name}", "") for name in own)


def layerwise_groups(
    model: Module, lr: float, decay: float = 0.9, weight_decay: float = 0.01
) -> list[dict[str, Any]]:
    """Groups for an optimiser: the head learns fastest, each layer below slower, embeddings slowest.

        lr of depth d = lr * decay ** (top - d)

    lr             the rate of the head
    decay          within 0 < decay <= 1; 1 gives all layers the same rate
    weight_decay   of matrices; biases and scales of norms, which have one axis, get none: pulling
                   them to 0 makes nothing simpler

    Returns   groups from the head down, so that the rate that a training shows is that of the head.
              Frozen parameters are among them, because they may be unfrozen later
    Raises    ValueError for rates without meaning

    >>> from minillm.nn import Linear, Sequential
    >>> from minillm.optim import AdamW
    >>> groups = layerwise_groups(Sequential(Linear(2, 3), Linear(3, 1)), lr=0.1, decay=0.5)
    >>> [(g["params"][0][0], g["lr"], g["weight_decay"]) for g in groups]
    [('1.weight', 0.1, 0.01), ('1.bias', 0.1, 0.0), ('0.weight', 0.05, 0.01), ('0.bias', 0.05, 0.0)]
    >>> optimizer = AdamW(groups)
    """
    if not (is_number(lr) and lr > 0):
        raise ValueError(f"layerwise_groups: lr must be above 0, got {lr!r}")
    if not (is_number(decay) and 0 < decay <= 1):
        raise ValueError(f"layerwise_groups: decay must be within 0 < decay <= 1, got {decay!r}")
    require_number("layerwise_groups", "weight_decay", weight_decay, least=0)
    found = depths(model)
    top = max(found.values(), default=0)
    groups: dict[tuple[int, bool], list] = {}
    for name, p in model.named_parameters():
        groups.setdefault((top - found[name], p.ndim < 2), []).append((name, p))
    return [
        {
            "params": groups[below, spared],
            "lr": lr * decay**below,
            "weight_decay": 0.0 if spared else weight_decay,
        }
        for below, spared in sorted(groups)
    ]


class GradualUnfreezing:
    """Freezes all but the head, and gives it one layer more every so many steps.

    model    its parameters outside `keep` are frozen and unfrozen
    every    steps after which one more layer learns
    keep     patterns of parameters that are left as they are, such as "*.lora_A"

    Use it as fit(..., on_step=GradualUnfreezing(model, every=100)).  What learns depends on the number
    of the step alone; before fit(..., resume=True) call `apply(step)` with the step to go on from.

    >>> from minillm.nn import Linear, Sequential
    >>> model = Sequential(Linear(2, 3), Linear(3, 3), Linear(3, 1))
    >>> unfreezing = GradualUnfreezing(model, every=10)
    >>> for step in (1, 10, 20):
    ...     unfreezing(step, None)
    ...     print([name for name, p in model.named_parameters() if p.requires_grad])
    ['2.weight', '2.bias']
    ['1.weight', '1.bias', '2.weight', '2.bias']
    ['0.weight', '0.bias', '1.weight', '1.bias', '2.weight', '2.bias']
    """

    def __init__(self, model: Module, every: int, keep: tuple[str, ...] = ()) -> None:
        require_whole("GradualUnfreezing", "every", every)
        found = depths(model)
        self.every, self.top = every, max(found.values(), default=0)
        self.parameters = [
            (found[name], p)
            for name, p in model.named_parameters()
            if not any(matches(name, pattern) for pattern in keep)
        ]
        self.apply(0)

    def apply(self, step: int) -> None:
        """Let those parameters learn that are to learn after so many steps."""
        for depth, p in self.parameters:
            p.requires_grad = depth >= self.top - step // self.every
            if not p.requires_grad:
                p.grad = None

    def __call__(self, step: int, history: Any) -> None:
        """What fit calls after each step."""
        self.apply(step)
