"""Finding parts of a model by name, and putting other modules in their place."""

import fnmatch
from collections.abc import Iterable
from typing import Any

from ..nn import Linear, Module, ModuleList, Parameter


def matches(name: str, pattern: str) -> bool:
    """Does a pattern name a parameter or module: itself, something above it, or by wildcards?

    >>> (
    ...     matches("h.0.attn.weight", "h.0"),
    ...     matches("h.10.weight", "h.1"),
    ...     matches("a.bias", "*.bias"),
    ... )
    (True, False, True)
    """
    return name == pattern or name.startswith(pattern + ".") or fnmatch.fnmatchcase(name, pattern)


def ends_with(name: str, ending: str) -> bool:
    """Is the ending the last parts of a dotted name: attn.c_proj of h.0.attn.c_proj?"""
    return name == ending or name.endswith("." + ending)


def last_parts(names: Iterable[str]) -> str:
    """The last parts of dotted names, each once, for a message."""
    return ", ".join(sorted({name.rpartition(".")[2] for name in names}))


def replace_module(model: Module, name: str, new: Module) -> None:
    """Put a module in the place of the one with this dotted name; the order of parameters stays."""
    above, _, last = name.rpartition(".")
    parent: Any = dict(model.named_modules())[above]
    if isinstance(parent, ModuleList):
        parent._items[int(last)] = new
    else:
        setattr(parent, last, new)


def require_plain(who: str, path: str, layer: Linear) -> None:
    """Only a Linear layer itself can be replaced: of anything more, what it adds would be lost.

    Raises   ValueError that names the layer
    """
    if type(layer) is not Linear:
        raise ValueError(
            f"{who}: {path} is a {type(layer).__name__}, which does more than a Linear layer, which "
            "would be lost: leave it out of target_modules, or begin with another copy of the model"
        )
    if not isinstance(layer.weight, Parameter):
        raise ValueError(
            f"{who}: the weight of {path} is computed anew at each call (weight_norm), so nothing can "
            "be added to it: leave it out of target_modules"
        )


def find_linears(who: str, model: Module, endings: tuple[str, ...]) -> dict[str, Linear]:
    """The Linear layers whose names end so, by name.

    who      the caller, for messages
    Raises   ValueError that lists the layers there are, for an ending that names none or another
             kind of module
    """
    modules = dict(model.named_modules())
    linears = {name: module for name, module in modules.items() if isinstance(module, Linear)}
    found: dict[str, Linear] = {}
    for ending in endings:
        named = {name: module for name, module in modules.items() if ends_with(name, ending)}
        others = sorted({type(m).__name__ for name, m in named.items() if name not in linears})
        if others or not named:
            what = f"names modules of type {', '.join(others)}" if others else "names no module"
            raise ValueError(
                f"{who}: {ending!r} {what} of {type(model).__name__}, but must end the name of "
                f"Linear layers; there are: {last_parts(linears) or 'none'}"
            )
        found |= {name: linears[name] for name in named}
    return {name: found[name] for name in linears if name in found}  # in the model's order
