"""Tasks for the operations of the library: their cases, cut to what a student's signature accepts."""

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import ops
from ..gradcheck.cases import Case, cases, operation_names
from ..gradcheck.inputs import fresh
from ..ops.checks import is_floating
from .tasks import Example, NotCheckable, Task, as_outputs, option_in_words, to_float32

EMPTY = inspect.Parameter.empty
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
LOOSE = 1e-4  # where a student's own small eps stands in for the library's
EXTREME_TOLERANCE = 2e-2  # of float32 results at the edge


class Signature:
    """Which of an operation's arrays and options a student's forward accepts."""

    def __init__(self, name: str, forward: Callable) -> None:
        library = inspect.signature(getattr(ops, f"{name}_forward")).parameters
        self.defaults = {p.name: p.default for p in library.values() if p.kind is p.KEYWORD_ONLY}
        try:
            own = inspect.signature(forward).parameters
        except (TypeError, ValueError) as error:
            raise NotCheckable(
                f"the arguments of {name}_forward cannot be read: {error}"
            ) from error
        kinds = {p.kind for p in own.values()}
        self.takes_any_option = inspect.Parameter.VAR_KEYWORD in kinds
        self.takes_any_array = inspect.Parameter.VAR_POSITIONAL in kinds
        self.options = {n: p for n, p in own.items() if n in self.defaults}
        slots = [p for n, p in own.items() if p.kind in POSITIONAL and n not in self.defaults]
        self.slots = [p.name for p in slots]
        self.required = [p.name for p in slots if p.default is EMPTY]
        self.unknown = [
            n
            for n, p in own.items()
            if p.kind is p.KEYWORD_ONLY and p.default is EMPTY and n not in self.defaults
        ]

    def accepts(self, option: str) -> bool:
        """True if the option can be given by name."""
        return self.takes_any_option or option in self.options

    def obstacle(self, case: Case) -> str:
        """Why the student's forward cannot run a case; "" if it can."""
        needed = len(case.inputs)
        while needed and case.inputs[needed - 1] is None:
            needed -= 1
        if needed > len(self.slots) and not self.takes_any_array:
            return f"it needs {needed} arrays, yours takes {len(self.slots)}"
        if len(self.required) > needed:
            return f"yours needs {self.required[needed]}"
        lacking = [
            option_in_words(option, value)
            for option, value in case.options.items()
            if not self.accepts(option) and not _same(value, self.defaults.get(option))
        ]
        return f"yours has no {' and no '.join(lacking)}" if lacking else ""

    def arguments(self, case: Case) -> tuple[tuple, dict[str, Any]]:
        """(inputs, options) as the student's forward takes them."""
        inputs = case.inputs
        while len(inputs) > len(self.slots) and not self.takes_any_array:
            inputs = inputs[:-1]  # a None at the end: obstacle() has seen to that
        options = {n: v for n, v in case.options.items() if self.accepts(n)}
        for option in self.options:
            if self.defaults[option] is not EMPTY:
                options.setdefault(option, self.defaults[option])
        return inputs, options


def is_operation(name: str) -> bool:
    """True for the name of an operation of the library."""
    return name in operation_names()


def library_task(name: str, forward: Callable) -> Task:
    """The checks of a student's version of an operation.

    Raises   NotCheckable if its signature fits no case, with the signature that would
    """
    signature = Signature(name, forward)
    task = Task(name, [], no_gradient=_data_positions(name))
    skipped = []
    for case in cases(name):
        if case.estimates:
            continue  # no derivative of a student's own forward to hold backward against
        obstacle = signature.obstacle(case)
        if obstacle or signature.unknown:
            skipped.append((case, obstacle))
            continue
        case, note = _simplified(case, signature, forward)
        task.examples.append(_example(case, *signature.arguments(case)))
        if note and note not in task.notes:
            task.notes.append(note)
    if not task.examples and not signature.unknown:
        task.examples = _without_options(signature, [case for case, _ in skipped])
        if task.examples:
            skipped = []
            lacking = [n for n in cases(name)[0].options if not signature.accepts(n)]
            task.notes.append(
                f"checked with the usual {', '.join(lacking)}: yours has no such option"
            )
    if not task.examples:
        raise NotCheckable(_what_to_write(name, signature))
    names = list(inspect.signature(getattr(ops, f"{name}_forward")).parameters)
    for case, obstacle in skipped:
        words = Example(case.inputs, case.options).describe(names)
        task.notes.append(f"case not run: {words}: {obstacle}")
    task.extremes = list(_extreme_examples(name, signature, task))
    return task


def _simplified(case: Case, signature: Signature, forward: Callable) -> tuple[Case, str]:
    """The case without what a plain textbook version does not have, and a note that says so."""
    if case.operation == "cross_entropy" and not signature.accepts("ignore_index"):
        logits, targets = case.inputs
        kept = np.where(targets == signature.defaults["ignore_index"], 0, targets)
        note = "checked without ignored targets: yours has no ignore_index"
        return Case(case.operation, (logits, kept), case.options), note
    if case.operation == "scaled_dot_product_attention" and _raises(signature, forward, case):
        q, k, v = case.inputs
        groups = q.shape[1] // k.shape[1]
        inputs = (q, np.repeat(k, groups, axis=1), np.repeat(v, groups, axis=1))
        if groups > 1:
            note = "checked with as many heads in k and v as in q: yours raised an error for fewer"
            return Case(case.operation, inputs, case.options), note
    return case, ""


def _raises(signature: Signature, forward: Callable, case: Case) -> bool:
    inputs, options = signature.arguments(case)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            forward(*copy.deepcopy(inputs), **fresh(options))
        except Exception:  # whatever it is, grading says so if it comes again
            return True
    return False


def _what_to_write(name: str, signature: Signature) -> str:
    wanted = inspect.signature(getattr(ops, f"{name}_forward"))
    found = ", ".join(signature.slots + list(signature.options) + signature.unknown)
    return (
        f"{name}_forward({found}) can be called with none of the library's inputs: "
        f"write it as {name}_forward{wanted}; the arguments after * may be left out"
    )


def _without_options(signature: Signature, skipped: list[Case]) -> list[Example]:
    """The cases with the options that the student's forward lacks left at their defaults."""
    examples = []
    for case in skipped:
        kept = {n: v for n, v in case.options.items() if signature.accepts(n)}
        plain = Case(case.operation, case.inputs, kept)
        needed = [n for n, default in signature.defaults.items() if default is EMPTY]
        if signature.obstacle(plain) or set(needed) - set(kept):
            continue
        examples.append(_example(plain, *signature.arguments(plain)))
        if "eps" in case.options and "eps" not in kept:
            examples[-1].tolerance = LOOSE
    return examples


def _example(case: Case, inputs: tuple, options: dict[str, Any]) -> Example:
    """A case as the student's forward takes it, with the library's answer unless that is random."""
    random = case.options.get("rng") is not None and case.options.get("training", True)
    return Example(inputs, options, None if random else _right(case))


def _right(case: Case) -> tuple:
    """The library's outputs."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return as_outputs(case.forward(*case.inputs, **case.options)[0])


def _same(a: Any, b: Any) -> bool:
    """Equal as options are: arrays are equal only to themselves."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is b
    return bool(a == b)


def _data_positions(name: str) -> tuple[int, ...]:
    """The positions of arguments that are declared to get no gradient."""
    forward: Any = getattr(ops, f"{name}_forward")
    names = list(inspect.signature(forward).parameters)
    return tuple(names.index(n) for n in getattr(forward, "no_gradient", ()))


# ---------------------------------------------------------------------- the edge of the numbers

BIG = np.float32(1e4)
LOGITS = np.array([[BIG, 0, -BIG], [-BIG, -BIG, 1 - BIG], [3, BIG, BIG]], dtype=np.float32)
SIGNED = np.array([[-BIG, -100, -1, 0.5], [1, 30, 100, BIG]], dtype=np.float32)
OFFSET = 30000 + np.array([[1, 2, 4, 8], [9, 3, 5, 7]], dtype=np.float32)
ONES = np.ones(4, dtype=np.float32)


def _attention_extreme() -> tuple:
    q = np.full((1, 1, 2, 4), 100, dtype=np.float32)
    k = np.stack([q[0, 0, 0], -q[0, 0, 0], 0 * q[0, 0, 0]])[None, None]
    return q, k, np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)


EXTREMES: dict[str, list[tuple]] = {
    "softmax": [(LOGITS,)],
    "log_softmax": [(LOGITS,)],
    "cross_entropy": [(LOGITS, np.array([0, 2, 0])), (LOGITS, np.array([1, 0, 2]))],
    "binary_cross_entropy_with_logits": [(SIGNED, (SIGNED < 0).astype(np.float32))],
    "scaled_dot_product_attention": [_attention_extreme()],
    "layer_norm": [(OFFSET, ONES, 0 * ONES)],
    "rms_norm": [(SIGNED, ONES)],
    **{name: [(SIGNED,)] for name in ("sigmoid", "silu", "tanh", "gelu", "relu", "erf")},
}


def _extreme_examples(name: str, signature: Signature, task: Task) -> Iterator[Example]:
    """The same in float32, then what tends to overflow."""
    first = task.examples[0]
    if first.expected is not None and any(is_floating(x) for x in first.inputs):
        inputs = to_float32(first.inputs)
        options = dict(zip(first.options, to_float32(tuple(first.options.values())), strict=True))
        yield Example(inputs, options, first.expected, max(1e-3, first.tolerance))
    for inputs in EXTREMES.get(name, ()):
        case = Case(name, inputs)
        if signature.obstacle(case):
            continue
        exact = tuple(x.astype(np.float64) if is_floating(x) else x for x in inputs)
        expected = _right(Case(name, exact))
        yield Example(*signature.arguments(case), expected, EXTREME_TOLERANCE)
