"""One operation as the engine sees it: a pure pair of functions whose signature has been read.

The parameters of `forward` before `*` are arrays, those after it are options.  `Operation.bind`
sorts the arguments of a call accordingly, so that everything a Python function allows (arrays by
name, defaults, options by position as in `F.softmax(x, -1)`) works, and a mistake is explained.
`Operation.pull_back` calls backward; `refuse_gradients_of` says what is wrong with its answer.
"""

import inspect
from typing import Any

from .ops.checks import unknown_option

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_EMPTY = inspect.Parameter.empty
_VARIADIC = inspect.Parameter.VAR_POSITIONAL


class Operation:
    """A pure pair (forward, backward), its name, and the names of its arrays and options."""

    def __init__(self, forward: Any, backward: Any, outputs: int | None = 1) -> None:
        self.forward, self.backward, self.outputs = forward, backward, outputs
        self.name = getattr(forward, "__name__", "operation").removesuffix("_forward")
        self.signature = inspect.signature(forward)
        parameters = self.signature.parameters
        self.arrays = [n for n, p in parameters.items() if p.kind is not _KEYWORD]
        self.options = [n for n, p in parameters.items() if p.kind is _KEYWORD]
        self.known = set(self.options)
        self.required = {n for n in self.options if parameters[n].default is _EMPTY}
        self.defaults = [parameters[n].default for n in self.arrays]
        self.variadic = any(p.kind is _VARIADIC for p in parameters.values())
        self.no_gradient = [self.arrays.index(n) for n in getattr(forward, "no_gradient", ())]
        self.reads = getattr(backward, "kept", None)
        self.short = getattr(forward, "short", forward)  # what runs where no gradient is wanted
        self.takes_needs = "needs" in inspect.signature(backward).parameters

    def bind(self, inputs: tuple, options: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Arrays in forward's order, with defaults filled in, and the options by name.

        Raises   TypeError for a missing, unknown or doubled argument; masks are explained
        """
        if len(inputs) == len(self.arrays) and options.keys() <= self.known and not self.variadic:
            self._check(options)  # the usual call: nothing to sort
            return inputs, options
        options = dict(options)
        if self.variadic:
            self._check(options)
            return self._listed(inputs, options), options
        for name, value in zip(self.options, inputs[len(self.arrays) :], strict=False):
            if name in options:
                raise TypeError(f"{self.name}: {name!r} is given twice")
            options[name] = value
        if len(inputs) > len(self.arrays) + len(self.options):
            raise TypeError(f"{self.name}{self.signature}: got {len(inputs)} arguments")
        arrays = list(inputs[: len(self.arrays)])
        for name in self.arrays[: len(arrays)]:
            if name in options:
                raise TypeError(f"{self.name}: {name!r} is given twice")
        for i in range(len(arrays), len(self.arrays)):
            value = options.pop(self.arrays[i], self.defaults[i])
            if value is _EMPTY:
                raise TypeError(f"{self.name}: the argument {self.arrays[i]!r} is missing")
            arrays.append(value)
        self._check(options)
        return tuple(arrays), options

    def _listed(self, inputs: tuple, options: dict[str, Any]) -> tuple:
        """The inputs of a variadic operation: one after the other, or one list or tuple of them."""
        for name in self.required - options.keys():
            raise TypeError(
                f"{self.name}: the option {name!r} is missing: write it by name, {name}=..."
            )
        if len(inputs) == 1:
            return tuple(inputs[0]) if isinstance(inputs[0], (list, tuple)) else inputs
        for i, x in enumerate(inputs):
            if isinstance(x, (list, tuple)) and any(hasattr(part, "requires_grad") for part in x):
                raise TypeError(
                    f"{self.name}: {self.argument(i)} is a {type(x).__name__} of Tensors among other "
                    "arguments: pass all arrays one after the other, or all of them in one list"
                )
        return inputs

    def _check(self, options: dict[str, Any]) -> None:
        for name, value in options.items():
            if name not in self.options:
                raise unknown_option(self.name, name, [*self.arrays, *self.options])
            if hasattr(value, "requires_grad"):  # a Tensor
                raise TypeError(f"{self.name}: {name} is an option: pass its array, {name}.data")

    def refuse_gradients(self, edges: list) -> None:
        """Raise if a gradient is wanted for an argument that gets none, such as a target."""
        for i in self.no_gradient:
            if edges[i] is not None:
                name = self.arrays[i]
                raise ValueError(f"{self.name}: {name} gets no gradient: pass {name}.detach()")

    def kept(self, saved: Any, edges: list) -> Any:
        """What of the saved values backward will read, if gradients go along these edges only."""
        if self.reads is None:
            return saved
        return self.reads(saved, tuple([edge is not None for edge in edges]))

    def pull_back(self, grad_out: Any, saved: Any, edges: list, who: Any) -> tuple:
        """What backward sends to each input.

        edges    for each input the node its gradient goes to; None where none is needed
        Raises   ValueError that names the operation (`who`) if there are more or fewer gradients
        """
        if self.takes_needs:
            needs = tuple([edge is not None for edge in edges])
            grads = self.backward(grad_out, saved, needs=needs)
        else:
            grads = self.backward(grad_out, saved)
        if type(grads) is not tuple or len(grads) != len(edges):
            found = f"{len(grads)} gradients" if isinstance(grads, tuple) else type(grads).__name__
            raise ValueError(f"{who}: backward must return {len(edges)} gradients, got {found}")
        return grads

    def argument(self, i: int) -> str:
        """Input number i in words; the inputs of concatenate share one name."""
        return f"{self.arrays[0]}[{i}]" if self.variadic else self.arrays[i]


def refuse_gradients_of(node: Any, grads: tuple) -> None:
    """Raise a ValueError that names the first gradient which does not look like its input."""
    for i, (grad, source) in enumerate(zip(grads, node.edges, strict=True)):
        if source is None or (hasattr(grad, "dtype") and source.fits(grad)):
            continue
        found = "None" if grad is None else f"{type(grad).__name__}, which is not an array"
        if hasattr(grad, "dtype"):
            found = f"{grad.shape} {grad.dtype}"
        raise ValueError(
            f"{node}: the gradient of {node.op.argument(i)} must be {source.shape} "
            f"{source.dtype}, got {found}"
        )
