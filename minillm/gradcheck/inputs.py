"""What goes into a check: float64 copies, names, random directions, and the same randomness twice."""

import contextlib
import copy
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import ops
from ..autograd import Tensor
from ..backend import default_generator, is_array, to_numpy
from ..ops.checks import is_floating
from .language import say
from .settings import GradientSettings


def to_float64(x: Any) -> Any:
    """A contiguous float64 copy of a floating array, Tensor or NumPy scalar; the rest as it is."""
    if isinstance(x, Tensor):
        x = x.data
    if isinstance(x, (list, np.ndarray, np.floating)) or is_array(x):
        array = to_numpy(x) if is_array(x) else np.asarray(x)
        return np.array(array, dtype=np.float64 if array.dtype.kind == "f" else None, order="C")
    return x


def require_an_input(check: str, name: str, inputs: dict[str, Any]) -> None:
    """Raise a ValueError if no input is floating: a check that compares nothing would pass."""
    if not any(is_floating(x) for x in inputs.values()):
        kinds = [f"{key} {getattr(x, 'dtype', type(x).__name__)}" for key, x in inputs.items()]
        raise ValueError(
            f"{check}: {name} has no input with a gradient to compare, got "
            f"{', '.join(kinds) or 'none at all'}: at least one must be an array of floats, such as "
            "np.array([1.0, 2.0])"
        )


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
    # a pair of numbers, for students make their inputs with default_rng(1): no cotangent is an input
    rng = np.random.default_rng([settings.seed, 1])
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


def axis_letters(forward: Callable) -> dict[str, list[str]]:
    """The letters of the axes from a docstring that says "q (B, H, T, D)": {"q": ["B", ...]}."""
    found = re.findall(r"\b(\w+) \(([A-Z]\w*(?:, ?[A-Z]\w*)*),?\)", forward.__doc__ or "")
    # the first mention counts: under "Saves" the same name may have another layout
    return {name: [letter.strip() for letter in axes.split(",")] for name, axes in reversed(found)}


def saved_names(forward: Callable, saved: Any) -> list[str]:
    """The names of what forward saves, by its docstring's line "Saves  x_hat (..., C), rstd"."""
    count = len(saved) if isinstance(saved, (tuple, list)) else 1
    for line in (forward.__doc__ or "").splitlines():
        if line.strip().startswith("Saves "):
            names = re.sub(r"\([^()]*\)", "", line.strip()[6:]).replace(" and ", ", ").split(",")
            names = [name.strip() for name in names]
            if len(names) <= count and all(re.fullmatch(r"[A-Za-z]\w*", name) for name in names):
                return names + [f"saved[{i}]" for i in range(len(names), count)]
    return [f"saved[{i}]" for i in range(count)]


def library_operation(
    forward: Callable, inputs: list[Any], options: dict[str, Any], outputs: tuple[Any, ...]
) -> str:
    """The name of the library's operation that forward is, or computes the same as; "" if none."""
    name = getattr(forward, "__name__", "")
    own = getattr(ops, name, None)
    if own is None or not name.endswith("_forward"):
        return ""
    if own is not forward:
        try:
            out, _ = own(*copy.deepcopy(inputs), **fresh(options))
        except (TypeError, ValueError):  # other arguments: another operation of the same name
            return ""
        outs = out if isinstance(out, tuple) else (out,)
        alike = len(outs) == len(outputs) and all(
            np.shape(a) == np.shape(b) and np.allclose(a, b)
            for a, b in zip(outs, outputs, strict=True)
        )
        if not alike:
            return ""
    return name.removesuffix("_forward")


def estimate_note(forward: Callable, options: dict[str, Any]) -> str:
    """Why no check can agree with a straight-through estimator; "" for a derivative."""
    option = getattr(forward, "straight_through", "")
    if not option or not options.get(option):
        return ""
    return say(
        "{name} with {option}=True is a straight-through estimator: its backward is not the "
        "derivative of its forward, on purpose, so they cannot agree: check with {option}=False",
        name=forward.__name__.removesuffix("_forward"), option=option,
    )  # fmt: skip


def source_of(forward: Callable) -> str:
    """Where the derivation of a library operation stands: "minillm/ops/softmax.py"."""
    module = getattr(forward, "__module__", "") or ""
    own = getattr(ops, getattr(forward, "__name__", ""), None) is forward
    return module.replace(".", "/") + ".py" if own else ""
