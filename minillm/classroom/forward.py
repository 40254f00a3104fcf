"""Forward values: against what is known to be right, and at the edge of the numbers."""

from collections.abc import Callable

import numpy as np

from ..gradcheck.inputs import fresh
from .results import Remark
from .tasks import Example, Task, as_outputs


class Unanswered(Exception):
    """A stub that nobody has filled in."""


def run_forward(forward: Callable, example: Example, words: str) -> tuple[tuple | None, str]:
    """(outputs, "") or (None, what is wrong with the call)."""
    inputs = tuple(x.copy() if isinstance(x, np.ndarray) else x for x in example.inputs)
    try:
        result = forward(*inputs, **fresh(example.options))
    except NotImplementedError as error:
        raise Unanswered(str(error)) from error
    except Exception as error:  # a student's function may raise anything
        return None, f"for {words} forward raised {type(error).__name__}: {error}"
    if not (isinstance(result, tuple) and len(result) == 2):
        found = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        return None, f"forward must return (out, saved), a tuple of two; got {found}"
    outs = as_outputs(result[0])
    for out in outs:
        if np.asarray(out).dtype.kind not in "biuf":
            return None, f"forward returned {type(out).__name__} where an array of numbers belongs"
    return outs, ""


def compare(example: Example, outs: tuple, words: str) -> str:
    """The first difference to what is expected, as a sentence; "" if there is none."""
    expected = example.expected
    if expected is None:
        return ""
    if len(outs) != len(expected):
        return f"for {words} forward gives {len(outs)} outputs, but should give {len(expected)}"
    for i, (out, right) in enumerate(zip(outs, expected, strict=True)):
        name = "out" if len(outs) == 1 else f"output {i + 1}"
        found, right = np.asarray(out, dtype=np.float64), np.asarray(right, dtype=np.float64)
        if found.shape != right.shape:
            return f"for {words} {name} has shape {found.shape}, but should have {right.shape}"
        error = np.asarray(np.abs(found - right))
        error[found == right] = 0.0  # infinities of the same sign
        limit = example.tolerance * max(1e-6, _largest(right))
        if error.size and float(np.nan_to_num(error, nan=np.inf).max()) > limit:
            worst = np.unravel_index(int(np.argmax(np.nan_to_num(error, nan=np.inf))), error.shape)
            place = f"{name}{[int(n) for n in worst]}" if worst else name
            return f"for {words} {place} is {found[worst]:.6g}, but should be {right[worst]:.6g}"
    return ""


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0.0, where=np.isfinite(array)))


def check_extremes(task: Task, forward: Callable, names: list[str]) -> list[Remark]:
    """What goes wrong in float32, and for inputs at which a careless formula overflows."""
    remarks = []
    for example in task.extremes:
        words = f"{_values(example, names)} in float32"
        outs, wrong = run_forward(forward, example, words)
        if outs is None:
            remarks.append(Remark("forward", "wrong_forward", wrong))
            continue
        if difference := compare(example, outs, words):
            finite = all(np.isfinite(out).all() for out in outs)
            advice = "" if finite else ": rewrite the formula so that no step can overflow"
            kind = "wrong_forward" if finite else "unstable"
            remarks.append(Remark("forward", kind, difference + advice))
        elif example is task.extremes[0] and any(np.asarray(o).dtype != np.float32 for o in outs):
            found = ", ".join(str(np.asarray(out).dtype) for out in outs)
            remarks.append(
                Remark(
                    "forward",
                    "wrong_dtype",
                    f"inputs of float32 give an output of {found}: a NumPy float64 number or array "
                    "got into the formula (write math.sqrt(D), not np.sqrt(D))",
                )
            )
    return remarks


def _values(example: Example, names: list[str]) -> str:
    """The first input in numbers if it is short, the others by their shapes."""
    first = example.inputs[0]
    if isinstance(first, np.ndarray) and first.size <= 12:
        text = np.array2string(
            first,
            separator=", ",
            formatter={"float_kind": lambda n: f"{n:g}"},
            max_line_width=10**6,
        )
        numbers = " ".join(text.split())
        rest = Example(example.inputs[1:]).describe(names[1:])
        return f"{names[0]} = {numbers}" + (f", {rest}" if rest else "")
    return example.describe(names)
