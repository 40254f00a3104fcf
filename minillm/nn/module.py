"""Parameter and Module: what owns the weights, and knows their names.

A module finds its parameters by walking its attributes in the order in which they were set, so
names and order follow the source of `__init__`, on every run.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import debugging
from ..autograd import Tensor
from ..backend import Device, array_module, converted, dtype_of, to_numpy
from .arguments import hidden_mask_error


class Parameter(Tensor):
    """A Tensor that a model learns: requires_grad is True unless switched off.

    >>> import numpy as np
    >>> Parameter(np.zeros(2)).requires_grad
    True
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    def __repr__(self) -> str:
        return "Parameter" + super().__repr__().removeprefix("Tensor")


class Module:
    """A part of a model: set Parameters and Modules as attributes, and write `forward`.

    >>> import numpy as np
    >>> class Scale(Module):
    ...     def __init__(self, width):
    ...         self.weight = Parameter(np.ones(width, dtype=np.float32))
    ...
    ...     def forward(self, x):
    ...         return x * self.weight
    >>> Scale(3)
    Scale(weight (3,))  3 parameters
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; each subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method: write one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run forward.  An error gets a last line that says in which module it happened."""
        if debugging.debugging:
            debugging.module_stack.append(self)
        try:
            return self.forward(*args, **kwargs)
        except Exception as error:
            explained = hidden_mask_error(self, kwargs) if isinstance(error, TypeError) else None
            _add_module(explained or error, self)
            if explained is not None:
                raise explained from None
            raise
        finally:
            if debugging.module_stack and debugging.module_stack[-1] is self:
                debugging.module_stack.pop()

    # -------------------------------------------------------------------------- walking

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """The modules directly in this one, by attribute name."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(
        self, prefix: str = "", above: tuple["Module", ...] = ()
    ) -> Iterator[tuple[str, "Module"]]:
        """This module (named "") and all below it, by dotted path; above: those that hold this one.

        Raises   ValueError if a module holds one of those that hold it
        """
        if any(self is module for module in above):
            raise ValueError(
                f"{prefix} is a {type(self).__name__} that holds this part of itself: modules form a "
                "tree, so keep a parent in a list, or pass it to forward, but not as an attribute"
            )
        yield prefix, self
        for name, child in self.named_children():
            path = f"{prefix}.{name}" if prefix else name
            yield from child.named_modules(path, (*above, self))

    def modules(self) -> Iterator["Module"]:
        """This module and all below it."""
        for _, module in self.named_modules():
            yield module

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, under the first of its names."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{prefix}.{name}" if prefix else name, value

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once."""
        for _, parameter in self.named_parameters():
            yield parameter

    def num_parameters(self) -> int:
        """How many numbers the module learns."""
        return sum(p.size for p in self.parameters())

    # ----------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """The arrays of all parameters by name (not copies)."""
        return {name: p.data for name, p in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copy arrays into the parameters of the same names; dtype and device stay.

        Raises   ValueError that lists every missing, unexpected and mis-shaped array; with
                 strict=False only mis-shaped ones.  Nothing is changed in that case
        """
        own = dict(self.named_parameters())
        problems = []
        if strict:
            problems += [f"missing: {name} {own[name].shape}" for name in own if name not in state]
            problems += [f"unexpected: {name}" for name in state if name not in own]
        for name, array in state.items():
            if name in own and np.shape(array) != own[name].shape:
                problems.append(f"{name}: expected {own[name].shape}, found {np.shape(array)}")
        if problems:
            shown = "\n  ".join(problems[:20])
            more = f"\n  … and {len(problems) - 20} more" if len(problems) > 20 else ""
            raise ValueError(f"the weights do not fit {type(self).__name__}:\n  {shown}{more}")
        for name, p in own.items():
            if name in state:
                xp = array_module(p.data)
                array = to_numpy(state[name]).astype(p.dtype, copy=False)
                p.data[...] = xp.asarray(array)

    def train(self, mode: bool = True) -> "Module":
        """Switch to training: dropout is on."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """Switch to evaluation: dropout is off."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters():
            p.grad = None

    def to(self, target: Any) -> "Module":
        """Move all parameters to a device or cast them to a dtype, in place: model.to("cuda")."""
        if not Device.names(target):
            _require_floating_dtype(target)
        for p in self.parameters():
            p.data = converted(p.data, target)
            p.grad = None
        return self

    # ---------------------------------------------------------------------------- repr

    def extra_repr(self) -> str:
        """What to show beside the parameters, such as p=0.1."""
        return ""

    def __repr__(self) -> str:
        count = self.num_parameters()  # first: it says what is wrong where modules form no tree
        return f"{self._tree()}  {count:,} parameters"

    def _tree(self, indent: str = "") -> str:
        own = [f"{n} {p.shape}" for n, p in vars(self).items() if isinstance(p, Parameter)]
        head = ", ".join([*own, *([self.extra_repr()] if self.extra_repr() else [])])
        children = list(self.named_children())
        if not children:
            return f"{type(self).__name__}({head})"
        lines = [f"{indent}  {name}: {child._tree(indent + '  ')}" for name, child in children]
        start = f"{type(self).__name__}({head}"
        return "\n".join([start, *_folded(lines), f"{indent})"])


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Within this block the model is in evaluation mode; then every module is as it was.

    >>> from minillm.nn import Dropout
    >>> layer = Dropout(0.5)
    >>> with evaluating(layer):
    ...     print(layer.training)
    False
    >>> layer.training
    True
    """
    modes = [(module, module.training) for module in getattr(model, "modules", list)()]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def named_generators(model: Module) -> dict[str, np.random.Generator]:
    """The random generators that the modules of a model own, by dotted path.

    >>> from minillm.nn import Dropout
    >>> list(named_generators(Dropout(0.1, rng=np.random.default_rng(0))))
    ['']
    >>> named_generators(Dropout(0.1))  # it draws from the library's own
    {}
    """
    owned = {name: getattr(module, "rng", None) for name, module in model.named_modules()}
    return {name: rng for name, rng in owned.items() if isinstance(rng, np.random.Generator)}


def _require_floating_dtype(target: Any) -> None:
    """Raise a TypeError for what is neither a floating dtype nor a device."""
    dtype = dtype_of(target)
    if dtype.kind != "f":
        raise TypeError(f"to: parameters must be floating, not {dtype}: they could not be learned")


def _folded(lines: list[str]) -> list[str]:
    """Runs of children that differ in their number only, shown once: 0 … 11."""
    result: list[str] = []
    i = 0
    while i < len(lines):
        name, _, rest = lines[i].partition(": ")
        j = i
        while j + 1 < len(lines) and name.strip().isdecimal():
            other, _, other_rest = lines[j + 1].partition(": ")
            if not other.strip().isdecimal() or other_rest != rest:
                break
            j += 1
        last = lines[j].partition(": ")[0].strip()
        result.append(lines[i] if i == j else f"{name} … {last}: {rest}")
        i = j + 1
    return result


def _add_module(error: Exception, module: Module) -> None:
    """Extend the error's message by the path of the module that raised it, outermost first."""
    if not error.args or not isinstance(error.args[0], str):
        return
    stack = [module, *getattr(error, "module_stack", [])]
    message = getattr(error, "plain_message", error.args[0])
    try:
        error.module_stack, error.plain_message = stack, message  # type: ignore[attr-defined]
    except AttributeError:  # an exception class with __slots__
        return
    error.args = (f"{message}\n  in {debugging.module_path(stack)}", *error.args[1:])
