"""What goes into a check: float64 copies, names, random directions, and the same randomness twice."""

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..backend import default_generator, is_array, to_numpy
from .settings import GradientSettings


def to_float64(x: Any) -> Any:
    """A contiguous float64 copy of a floating array; other things as they are."""
    if isinstance(x, (list, np.ndarray)) or is_array(x):
        array = to_numpy(x) if is_array(x) else np.asarray(x)
        return np.array(array, dtype=np.float64 if array.dtype.kind == "f" else None, order="C")
    return x


def argument_names(function: Callable, count: int) -> list[str]:
    """The names of the first `count` arguments; names[0], names[1], … for *arguments."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        parameters = []
    plain = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    variadic = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL]
    rest = variadic[0] if variadic else "input"
    return [plain[i] if i < len(plain) else f"{rest}[{i - len(plain)}]" for i in range(count)]


def cotangents(outs: Any, settings: GradientSettings) -> np.ndarray:
    """(K, M) random weights for all entries of all outputs."""
    size = sum(np.asarray(out).size for out in outs)
    rng = np.random.default_rng(settings.seed + 1)
    return rng.standard_normal((settings.cotangents, size))


def unflatten(weight: np.ndarray, outs: Any) -> tuple[np.ndarray, ...]:
    """One vector of cotangents, cut into arrays of the shapes of the outputs."""
    parts, start = [], 0
    for out in outs:
        shape, size = np.shape(out), np.size(out)
        parts.append(weight[start : start + size].reshape(shape).copy())
        start += size
    return tuple(parts)


def is_generator(x: Any) -> bool:
    """True for a NumPy random generator."""
    return isinstance(x, np.random.Generator)


def fresh(options: dict[str, Any]) -> dict[str, Any]:
    """The options, with every random generator copied."""
    return {k: copy.deepcopy(v) if is_generator(v) else v for k, v in options.items()}


@contextlib.contextmanager
def same_randomness(*generators: np.random.Generator) -> Iterator[None]:
    """Put the library's generator, and those given, back to where they were."""
    watched = [default_generator(), *generators]
    states = [g.bit_generator.state for g in watched]
    try:
        yield
    finally:
        for generator, state in zip(watched, states, strict=True):
            generator.bit_generator.state = state


def equal(a: Any, b: Any) -> bool:
    """Equal to the last bit, through containers and objects; NaN equals NaN."""
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if is_array(a) or isinstance(a, np.generic):
        return np.array_equal(a, b, equal_nan=getattr(a, "dtype", np.dtype(int)).kind == "f")
    if type(a) is type(b) and hasattr(a, "__dict__") and not callable(a) and not is_generator(a):
        return equal(vars(a), vars(b))
    return a is b or is_generator(a) or callable(a) or bool(a == b)
