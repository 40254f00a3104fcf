"""Containers: modules in a row."""

from collections.abc import Iterable, Iterator
from typing import Any

from .module import Module


class ModuleList(Module):
    """A list of modules whose parameters are found; it has no forward of its own.

    >>> from minillm.nn import Linear
    >>> layers = ModuleList([Linear(2, 3), Linear(3, 1)])
    >>> [name for name, _ in layers.named_parameters()]
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._items: list[Module] = []
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> "ModuleList":
        """Add one more module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} holds modules, got {type(module).__name__}")
        self._items.append(module)
        return self

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules, named by their position."""
        for i, module in enumerate(self._items):
            yield str(i), module

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._items)

    def __getitem__(self, index: int) -> Module:
        return self._items[index]


class Sequential(ModuleList):
    """Modules called one after the other, each on what the one before returned.

    >>> import numpy as np
    >>> from minillm.nn import Linear
    >>> Sequential(Linear(2, 3), Linear(3, 1))(np.zeros((5, 2), dtype=np.float32)).shape
    (5, 1)
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        """Shapes   those of the first module's input -> those of the last one's output."""
        for module in self._items:
            x = module(x)
        return x
