"""The calls of operations that a model makes: written down, and two runs held against each other.

    recording = record(run, "GPT2LMHeadModel")         run() -> the output Tensors of the model
    for call in recording.from_the_end(): ...          consumers first, as backward goes

Two recordings of the same model differ where something is not as it seems: with the same parameters,
where hidden randomness enters; with moved parameters, where a value came back into the graph without
its history.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import debugging
from ..autograd import Tensor
from ..backend import is_array, to_numpy
from ..graph import Output
from ..ops.checks import is_floating
from .language import say

SAME = 1e-10  # differences below this part of the largest entry are rounding


@dataclass
class Call:
    """One call of an operation.

    number    1 for the first call of the run
    node      its node of the graph: the operation, the edges of its inputs, who called it
    inputs, options, outputs    as forward got and returned them: arrays, not copies; without
              padding_idx, which takes the gradient of one row away on purpose
    frozen    the leaf whose row number padding_idx is, and that number
    """

    number: int
    node: Any
    inputs: list[Any]
    options: dict[str, Any]
    outputs: tuple[Any, ...]
    frozen: tuple[Any, int] | None = None

    def __post_init__(self) -> None:
        row = self.options.get("padding_idx")
        if row is not None and "weight" in self.op.arrays:
            self.options = {**self.options, "padding_idx": None}
            edge = self.node.edges[self.op.arrays.index("weight")]
            if edge is not None and edge.leaf is not None:
                self.frozen = edge.leaf(), row

    @property
    def op(self) -> Any:
        """The operation."""
        return self.node.op


@dataclass
class Recording:
    """All calls of one run of a model, in order, and the Tensors that it returned."""

    model: str
    outs: tuple[Tensor, ...] = ()
    calls: list[Call] = field(default_factory=list)

    def caller(self, call: Call) -> str:
        """The module that made a call: "blocks.1.ln_2", or the model's class name."""
        path: str = call.node.path
        inner = path.removeprefix(f"{self.model}.")
        return path if inner.isdecimal() else inner or self.model  # Sequential.1, not 1

    def where(self, call: Call) -> str:
        """Such as "layer_norm in blocks.1.ln_2, call 37 of 52"."""
        return say("{name} in {caller}, call {number} of {all}", **self._place(call))

    def describe(self, call: Call) -> str:
        """Such as "operation 'layer_norm' called by blocks.1.ln_2 (call 37 of 52)"."""
        return say(
            "operation {name!r} called by {caller} (call {number} of {all})", **self._place(call)
        )

    def _place(self, call: Call) -> dict[str, Any]:
        return {
            "name": call.op.name, "caller": self.caller(call), "number": call.number,
            "all": len(self.calls),
        }  # fmt: skip

    def edges(self) -> set[Any]:
        """The nodes through which a gradient reaches a parameter."""
        found = _with_their_calls(out._edge() for out in self.outs)
        for call in reversed(self.calls):
            if call.node in found:
                found |= _with_their_calls(call.node.edges)
        return found

    def from_the_end(self) -> Iterator[Call]:
        """The calls that a gradient passes through, each after every call that used its outputs."""
        nodes = self.edges()
        return (call for call in reversed(self.calls) if call.node in nodes)


def _with_their_calls(nodes: Iterable[Any]) -> set[Any]:
    """These nodes, and the calls of which some are an output."""
    found = {node for node in nodes if node is not None}
    return found | {call for node in found if isinstance(node, Output) for call in node.edges}


def record(run: Callable[[], tuple[Tensor, ...]], model: str) -> Recording:
    """Run a model and write down every call that it makes."""
    recording = Recording(model)

    def tell(node: Any, inputs: list, outputs: tuple, options: dict) -> None:
        recording.calls.append(Call(len(recording.calls) + 1, node, inputs, options, outputs))

    with debugging.recording(tell):
        recording.outs = run()
    return recording


def differs(a: Any, b: Any) -> bool:
    """True if two arrays or numbers are unequal by more than rounding; False for anything else."""
    if not all(is_array(x) or isinstance(x, (int, float, np.generic)) for x in (a, b)):
        return False
    a, b = to_numpy(a), to_numpy(b)
    if a.shape != b.shape or a.dtype.kind != "f":
        return not np.array_equal(a, b)
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return True
    distance = np.abs(a[finite] - b[finite]).max(initial=0.0)
    return bool(distance > SAME * np.abs(a[finite]).max(initial=0.0))


def first_difference(one: Recording, two: Recording) -> str:
    """Where two runs that should be equal differ first, in words."""
    for a, b in zip(one.calls, two.calls, strict=False):
        if a.op is not b.op:
            return say(
                "call {number} is {one!r} the first time and {two!r} the second",
                number=a.number, one=a.op.name, two=b.op.name,
            )  # fmt: skip
        for i, (x, y) in enumerate(zip(a.inputs, b.inputs, strict=False)):
            if differs(x, y):
                return say(
                    "the first difference is the input {name} of {call}",
                    name=a.op.argument(i), call=one.describe(a),
                )  # fmt: skip
        for name in a.options:
            if differs(a.options[name], b.options.get(name)):
                return say(
                    "the first difference is the option {name} of {call}",
                    name=name, call=one.describe(a),
                )  # fmt: skip
        if any(map(differs, a.outputs, b.outputs)):
            return say(
                "the first difference is the output of {call}, with equal inputs",
                call=one.describe(a),
            )
    return say("no operation of the library makes the difference: it comes from outside of them")


@dataclass
class LostValue:
    """Something that changes with the parameters, in a place where no gradient can pass.

    call      the call that takes it; None if the model returns it
    name      of the input or option; the number of the output
    origin    how it lost its history, as far as the arrays tell
    """

    call: Call | None
    name: str
    origin: str


def lost_value(
    before: Recording, after: Recording, parameters: list[tuple[str, Any]]
) -> LostValue | None:
    """The first value that changed between two runs, with moved parameters, and has no history."""
    leaves = {id(p) for _, p in parameters}
    for a, b in zip(before.calls, after.calls, strict=False):
        if a.op is not b.op:  # another way through the model: nothing can be compared from here on
            break
        for i, (x, y) in enumerate(zip(a.inputs, b.inputs, strict=False)):
            if is_integer(x) or _connected(a.node.edges[i], leaves) or not differs(x, y):
                continue
            return LostValue(a, a.op.argument(i), _origin(x, a, before, parameters))
        for name, value in a.options.items():
            if not is_integer(value) and differs(value, b.options.get(name)):
                return LostValue(
                    a, name, say("options get no gradient: make it an input of forward")
                )
    for number, (one, two) in enumerate(zip(before.outs, after.outs, strict=False)):
        if not one.requires_grad and differs(one.data, two.data):
            return LostValue(None, str(number), _origin(one.data, None, before, parameters))
    return None


def is_integer(x: Any) -> bool:
    """True for what may jump with the parameters without having a gradient: ids, masks, counts."""
    return isinstance(x, int) or (is_array(x) and not is_floating(x))


def _connected(edge: Any, leaves: set[int]) -> bool:
    """True if a gradient that follows this edge arrives at an operation or at a parameter."""
    if edge is None:
        return False
    return edge.op is not None or id(edge.leaf()) in leaves


def _origin(
    value: Any, taker: Call | None, recording: Recording, parameters: list[tuple[str, Any]]
) -> str:
    """Whose array a value without history is, or was cut from."""
    if is_array(value):
        for name, p in parameters:
            if np.may_share_memory(value, p.data):
                return say(
                    "it is the array of the parameter {name}: use the parameter, not its .data",
                    name=name,
                )
        for call in recording.calls[: taker.number - 1 if taker else None]:
            if any(np.may_share_memory(value, out) for out in call.outputs):
                return say(
                    "it is the output of {call}, cut off by .detach(), .data, .numpy() or no_grad()",
                    call=recording.describe(call),
                )
    return say(
        "it was computed outside of the graph: with NumPy on .data, by .item() or float(), or it "
        "is a constant that .detach() or no_grad() made"
    )
