"""What is known about a function before a student's version of it is looked at."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ops.checks import is_floating


@dataclass
class Example:
    """One call of a forward, with what should come out where that is known.

    expected    the right outputs, one after another; None if nobody knows them
    tolerance   largest error of an output, relative to the largest entry of the right one
    """

    inputs: tuple
    options: dict[str, Any] = field(default_factory=dict)
    expected: tuple | None = None
    tolerance: float = 1e-6

    def describe(self, names: list[str]) -> str:
        """The call in words: the shapes of its arrays, the values of its options."""
        parts = [
            f"{name} {value.shape}" if isinstance(value, np.ndarray) else f"{name}={value!r}"
            for name, value in zip(names, self.inputs, strict=False)
            if value is not None
        ]
        return ", ".join(parts + [option_in_words(*item) for item in self.options.items()])


@dataclass
class Task:
    """A function to grade: calls whose gradient is checked, calls at the edge of the numbers.

    extremes      checked for their values only, in the dtype that they have (float32)
    no_gradient   positions of floating inputs that are data, such as the targets of a loss
    """

    name: str
    examples: list[Example]
    extremes: list[Example] = field(default_factory=list)
    no_gradient: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)
    points: float = 1.0


class NotCheckable(Exception):
    """There is no way to call a student's function; the message says what to add."""


def option_in_words(name: str, value: Any) -> str:
    """name=value, an array by its shape."""
    if isinstance(value, np.ndarray):
        return f"{name} {value.shape}"
    return f"{name}={'a generator' if isinstance(value, np.random.Generator) else repr(value)}"


def to_float32(inputs: tuple) -> tuple:
    """The inputs with every floating array in float32."""
    return tuple(x.astype(np.float32) if is_floating(x) else x for x in inputs)


def as_outputs(out: Any) -> tuple:
    """One output or several, as a tuple."""
    return out if isinstance(out, tuple) else (out,)
