"""A model under test: how it is run, what of it can be moved, and what must come back unchanged."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import is_array, to_numpy
from ..debugging import fingerprint
from ..ops.checks import is_floating
from .calls import Recording, record
from .inputs import is_generator, same_randomness, to_float64
from .localise import typical_size
from .numeric import flatten
from .tensors import backward_through, leaf_gradient


class Subject:
    """A model together with its inputs.

    leaves       (name, Tensor) of what is checked: the parameters that require a gradient; the
                 floating inputs if there are none
    generators   random generators that are put back after each run: those that its modules hold,
                 and those that it gives to operations
    frozen       number of a leaf -> rows of it that get no gradient on purpose: padding_idx
    nudged       names of parameters that are moved during the check, see _nudge

    Raises   TypeError if model has no named_parameters; ValueError if there is nothing to check
    """

    def __init__(self, model: Any, inputs: tuple, options: dict[str, Any]) -> None:
        self.model, self.name = model, type(model).__name__
        if not hasattr(model, "named_parameters"):
            raise TypeError(
                f"check_model: model must have named_parameters(), and {self.name} has none: for a "
                "function of Tensors use check_function"
            )
        self.modules = list(getattr(model, "modules", lambda: [model])())
        self.parameters = list(model.named_parameters())
        self.nudged: list[str] = []
        self.frozen: dict[int, list[int]] = {}
        self.inputs = tuple(model_input(x) for x in inputs)
        self.options = {name: model_input(x) for name, x in options.items()}
        self.leaves = [(n, p) for n, p in self.parameters if p.requires_grad]
        if not self.leaves:
            self._check_inputs_instead()
        held = [value for module in self.modules for value in vars_of(module).values()]
        self.generators = [value for value in held if is_generator(value)]

    def _check_inputs_instead(self) -> None:
        self.inputs = tuple(
            Tensor(x.data if isinstance(x, Tensor) else x, True) if is_floating(x) else x
            for x in self.inputs
        )
        self.leaves = [(f"input {i}", x) for i, x in enumerate(self.inputs) if is_floating(x)]
        if not self.leaves:
            raise ValueError(
                f"check_model: {self.name} has no parameter that requires a gradient, and none of "
                "its inputs is floating: there is nothing to check"
            )

    def _nudge(self) -> None:
        """Move parameters whose entries are all equal: a factor of 1 or a term of 0 hides mistakes."""
        rng = np.random.default_rng(0)
        for name, p in self.parameters:
            if p.requires_grad and p.size and np.ptp(p.data) == 0:
                p.data += 0.1 * typical_size(p.data) * rng.standard_normal(p.shape)
                self.nudged.append(name)

    def run(self) -> tuple[Tensor, ...]:
        """The outputs of one run: `.loss`, else `.logits`, else the hidden states, else all Tensors."""
        with same_randomness(*self.generators):
            out = self.model(*self.inputs, **self.options)
        if getattr(out, "loss", None) is not None:
            out = out.loss
        for name in ("logits", "last_hidden_state"):
            out = out if getattr(out, name, None) is None else getattr(out, name)
        return tuple(tensors_in(out))

    def outputs(self) -> np.ndarray:
        """All outputs of one run as one vector."""
        with no_grad():
            return flatten(out.data for out in self.run())

    def record(self) -> Recording:
        """One run, with all its calls.

        Random generators and frozen rows that are found among their options are remembered.
        """
        recording = record(self.run, self.name)
        known = {id(generator) for generator in self.generators}
        numbers = {id(leaf): i for i, (_, leaf) in enumerate(self.leaves)}
        for call in recording.calls:
            if call.frozen is not None and id(call.frozen[0]) in numbers:
                rows = self.frozen.setdefault(numbers[id(call.frozen[0])], [])
                rows += {call.frozen[1]} - set(rows)
            for value in call.options.values():
                if is_generator(value) and id(value) not in known:
                    known.add(id(value))
                    self.generators.append(value)
        return recording

    def gradients(self, weight: np.ndarray) -> list[Any]:
        """The engine's gradients of <weight, outputs>, one for each leaf."""
        for _, leaf in self.leaves:
            leaf.grad = None
        backward_through(self.run(), weight)
        return [leaf_gradient(leaf) for _, leaf in self.leaves]

    def fingerprints(self) -> dict[str, int]:
        """A checksum of every parameter and input array."""
        named = {f"parameter {n}": p.data for n, p in self.parameters}
        named |= {f"input {i}": x for i, x in enumerate(self.inputs)}
        named |= {f"argument {name}": x for name, x in self.options.items()}
        arrays = {n: x.data if isinstance(x, Tensor) else x for n, x in named.items()}
        return {name: fingerprint(x) for name, x in arrays.items() if is_array(x)}

    @contextlib.contextmanager
    def in_float64(self) -> Iterator[None]:
        """Parameters and buffers in float64 for a while; values, dtypes and gradients come back."""
        tensors = {id(p): p for _, p in self.parameters}
        buffers = []
        for module in self.modules:
            for name, value in vars_of(module).items():
                if isinstance(value, Tensor) and is_floating(value):
                    tensors[id(value)] = value
                elif is_array(value) and is_floating(value):
                    buffers.append((module, name, value))
        kept = [(tensor, tensor.data, tensor.grad) for tensor in tensors.values()]
        for tensor, data, _ in kept:
            tensor.data, tensor.grad = np.array(to_numpy(data), dtype=np.float64, order="C"), None
        for module, name, value in buffers:
            setattr(module, name, to_float64(value))
        self._nudge()
        try:
            yield
        finally:
            for tensor, data, grad in kept:
                tensor.data, tensor.grad = data, grad
            for module, name, value in buffers:
                setattr(module, name, value)


def vars_of(module: Any) -> dict[str, Any]:
    """The attributes of an object; none if it keeps no dictionary of them."""
    return dict(getattr(module, "__dict__", {}))


def model_input(x: Any) -> Any:
    """Floating arrays and Tensors in float64, for a model whose parameters are; else as it is."""
    if type(x) in (tuple, list):
        return type(x)(model_input(part) for part in x)
    if isinstance(x, Tensor):
        return Tensor(to_float64(x.data)) if is_floating(x) else x
    return to_float64(x) if is_floating(x) else x


def tensors_in(out: Any) -> Iterator[Tensor]:
    """All floating Tensors in what a model returned; tuples, lists and dictionaries are opened."""
    if isinstance(out, Tensor):
        if is_floating(out):
            yield out
    elif isinstance(out, dict):
        for part in out.values():
            yield from tensors_in(part)
    elif isinstance(out, (tuple, list)):
        for part in out:
            yield from tensors_in(part)
