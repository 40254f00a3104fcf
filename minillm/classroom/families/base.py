"""What a family of operations consists of, and the drawing of its constants."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tasks import Example, Task, as_outputs, to_float32

EDGE_TOLERANCE = 2e-2  # of float32 results where they could overflow
# of the inputs of the self-check, and of the two calls that are graded: chosen so that no entry lies
# within 0.02 of a kink of |u|, whatever the constants are (a test sees to that)
SELF_CHECK_SEED = 2
GRADING_SEEDS = (922, 1132)


class Draw:
    """Choices from a text: the same for the same text, on every machine and in every version.

    A random generator of Python or NumPy may change its sequence between versions; SHA-256 will not.

    >>> Draw("anna").pick([1, 2, 3]) == Draw("anna").pick([1, 2, 3])
    True
    """

    def __init__(self, text: str) -> None:
        self.text, self.count = text, 0

    def number(self, below: int) -> int:
        """An integer from 0 up to, not including, `below`."""
        self.count += 1
        digest = hashlib.sha256(f"{self.text}\n{self.count}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % below

    def pick(self, choices: Any) -> Any:
        """One of the choices."""
        return choices[self.number(len(choices))]

    def sample(self, choices: list, count: int) -> list:
        """`count` different choices, in the order of the list."""
        left = list(range(len(choices)))
        taken = [left.pop(self.number(len(left))) for _ in range(count)]
        return [choices[i] for i in sorted(taken)]


@dataclass(frozen=True)
class Array:
    """An input: normal numbers times `scale`, or uniform ones between two bounds."""

    name: str
    shape: tuple[int, ...]
    meaning: str
    uniform: tuple[float, float] | None = None
    scale: float = 1.0

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Fresh numbers."""
        if self.uniform:
            return rng.uniform(*self.uniform, self.shape)
        return rng.standard_normal(self.shape) * self.scale

    def code(self) -> str:
        """The line of Python that draws them."""
        if self.uniform:
            low, high = self.uniform
            return f"{self.name} = rng.uniform({low}, {high}, {self.shape})"
        factor = "" if self.scale == 1.0 else f" * {self.scale}"
        return f"{self.name} = rng.standard_normal({self.shape}){factor}"


@dataclass(frozen=True)
class Family:
    """An operation with free constants.

    choices    for each constant the values that it can take
    formula    LaTeX, with <NAME> where the value of a constant stands
    why        what there is to learn from it
    shapes     the line of the docstring
    forward    forward(*arrays, **constants) -> out: the reference, which has no backward
    edge       arrays at which a careless forward overflows in float32, or None
    """

    name: str
    title: str
    points: int
    choices: dict[str, tuple]
    arrays: tuple[Array, ...]
    formula: str
    why: str
    shapes: str
    forward: Callable
    edge: Callable[[], tuple] | None = None

    def constants(self, seed: str) -> dict[str, Any]:
        """The values of the constants for one student."""
        draw = Draw(f"{seed}\n{self.name}")
        return {name: draw.pick(choices) for name, choices in self.choices.items()}

    def inputs(self, rng: np.random.Generator) -> tuple:
        """Fresh inputs."""
        return tuple(array.draw(rng) for array in self.arrays)

    def task(self, seed: str) -> Task:
        """What a student's answer is graded on: two draws, float32, and the edge."""
        constants = self.constants(seed)
        task = Task(self.name, [], points=float(self.points))
        for number in GRADING_SEEDS:
            inputs = self.inputs(np.random.default_rng(number))
            task.examples.append(
                Example(inputs, {}, as_outputs(self.forward(*inputs, **constants)))
            )
        first = task.examples[0]
        task.extremes.append(Example(to_float32(first.inputs), {}, first.expected, 1e-3))
        if self.edge:
            inputs = self.edge()
            exact = self.forward(*(x.astype(np.float64) for x in inputs), **constants)
            task.extremes.append(Example(inputs, {}, as_outputs(exact), EDGE_TOLERANCE))
        return task
