"""Tasks for functions that the library does not know: inputs from the student's file, or guessed."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..ops.checks import is_floating
from .library import EMPTY, POSITIONAL
from .tasks import Example, NotCheckable, Task, as_outputs

GUESSES: list[
    list[tuple[int, ...]]
] = [  # shapes of the 1st, 2nd, ... array; the last one is repeated
    [(3, 5)],
    [(3, 5), (5, 7), (7,)],
    [(3, 5), (5,)],
    [(5,)],
    [(5, 5)],
    [(2, 3, 5)],
    [(2, 3, 5), (5, 7), (7,)],
    [(2, 3, 5), (5,)],
    [()],
]


def own_task(name: str, forward: Callable, namespace: dict[str, Any]) -> Task:
    """The checks of a function with a name that the library does not know.

    Its inputs are, in this order: CHECK["name"] = (inputs, options) of the student's file;
    name_inputs, a tuple or a function that returns one; a guess from the number of arguments.

    Raises   NotCheckable with what to add to the file, if nothing works
    """
    given = _from_check_table(name, namespace) or _from_inputs(name, namespace)
    if given is not None:
        inputs, options = given
        _try(name, forward, inputs, options)
        return Task(name, [Example(inputs, options)])
    task = Task(name, [])
    for inputs in _guesses(name, forward):
        try:
            _try(name, forward, inputs, {})
        except NotCheckable:
            continue
        task.examples.append(Example(inputs))
        names = list(inspect.signature(forward).parameters)
        task.notes.append(
            f"the inputs are a guess: {task.examples[0].describe(names)}; "
            f"others can be given as {name}_inputs = (...)"
        )
        return task
    raise NotCheckable(_what_to_add(name))


def _what_to_add(name: str) -> str:
    return (
        f"no inputs are known for {name}_forward, and those that were guessed do not work: add "
        f"{name}_inputs = (array, ...) to the file, or CHECK = {{{name!r}: ((array, ...), {{}})}} "
        "with its options"
    )


def _from_check_table(name: str, namespace: dict[str, Any]) -> tuple[tuple, dict] | None:
    table = namespace.get("CHECK")
    if not isinstance(table, dict) or name not in table:
        return None
    entry: Any = table[name]
    two = isinstance(entry, tuple) and len(entry) == 2
    if not (two and isinstance(entry[1], dict)):
        raise NotCheckable(
            f"CHECK[{name!r}] must be (inputs, options), a tuple and a dict; got {_short(entry)}"
        )
    return _as_inputs(f"the first part of CHECK[{name!r}]", entry[0]), entry[1]


def _from_inputs(name: str, namespace: dict[str, Any]) -> tuple[tuple, dict] | None:
    given = namespace.get(f"{name}_inputs")
    if given is None:
        return None
    if callable(given):
        try:
            given = given()
        except Exception as error:  # a student's function may raise anything
            found = f"{type(error).__name__}: {error}"
            raise NotCheckable(f"{name}_inputs() raised {found}") from error
    return _as_inputs(f"{name}_inputs", given), {}


def _as_inputs(what: str, given: Any) -> tuple:
    inputs = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if not any(is_floating(x) for x in inputs):
        raise NotCheckable(
            f"{what} must be a tuple with at least one floating array, got {_short(given)}"
        )
    return inputs


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _guesses(name: str, forward: Callable) -> Iterator[tuple]:
    """Inputs for the arguments without a default; one annotated as int gets small integers."""
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return
    needed = [p for p in parameters if p.default is EMPTY and p.kind in POSITIONAL]
    if not needed:
        return
    for shapes in GUESSES:
        rng = np.random.default_rng(0)
        inputs: list[Any] = []
        for i, parameter in enumerate(needed):
            shape = shapes[min(i, len(shapes) - 1)]
            if parameter.annotation in (int, "int"):
                inputs.append(rng.integers(0, 3, shape[:1]))
            else:
                inputs.append(rng.standard_normal(shape))
        yield tuple(inputs)


def _try(name: str, forward: Callable, inputs: tuple, options: dict[str, Any]) -> None:
    """Raise NotCheckable unless forward gives (out, saved) with finite numbers."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = forward(*inputs, **options)
        except NotImplementedError:
            return  # an unanswered stub: the grader says so
        except Exception as error:  # a student's function may raise anything
            found = f"{type(error).__name__}: {error}"
            raise NotCheckable(f"{name}_forward raised {found} for its own inputs") from error
    if not (isinstance(result, tuple) and len(result) == 2):
        raise NotCheckable(f"{name}_forward must return (out, saved), got {_short(result)}")
    for out in as_outputs(result[0]):
        if not (is_floating(np.asarray(out)) and math.isfinite(float(np.sum(out)))):
            raise NotCheckable(f"{name}_forward must give finite floating numbers for its inputs")
