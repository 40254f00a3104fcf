"""Grading one pair: forward values, then every gradient, then how backward got them.

Partial credit.  The parts of a function count the same: forward is one, each input that has a
gradient is one.  A function of unknown name has no known forward, so only its inputs count.

    forward     all, if its values are right everywhere; half, if only extreme inputs or float32 fail
    an input    all, if its gradient is right in every call whose forward was right
    backward as a whole: no part counts if it raised, returned the wrong number of gradients or
                differentiates numerically; half counts if it overwrote an input or a saved array

A gradient of a wrong forward earns nothing: otherwise `return x` and `return grad_out` would.
"""

import functools
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..gradcheck import check_gradients
from ..gradcheck.inputs import argument_names, fresh
from ..ops.checks import is_floating
from .calls import CallCounter, numeric_sentence
from .forward import Unanswered, check_extremes, compare, run_forward
from .results import FunctionResult, Remark
from .tasks import Example, Task

LIBRARY = str(Path(__file__).parents[1])  # the folder of minillm
LONGEST_REPORT = 6000


def grade(task: Task, forward: Callable, backward: Callable) -> FunctionResult:
    """The result of one pair; whatever the student's functions raise becomes a remark.

    >>> import numpy as np
    >>> from minillm.classroom.tasks import Example
    >>> task = Task("double", [Example((np.ones(3),), expected=(2 * np.ones(3),))])
    >>> grade(task, lambda x: (2 * x, None), lambda g, saved: (2 * g,)).verdict
    'right'
    """
    result = FunctionResult(task.name, "wrong", max_points=task.points, notes=list(task.notes))
    trouble: list[str] = []
    forward, backward = watched(forward, trouble), watched(backward, trouble)
    names = argument_names(forward, max(len(e.inputs) for e in task.examples))
    data = tuple(names[i] for i in task.no_gradient if i < len(names))
    vars(forward)["no_gradient"] = data  # read by the gradient check
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            usable = _grade_forward(result, task, forward, names)
            _grade_backward(result, task, forward, backward, names, usable)
        except Unanswered as unanswered:
            result.verdict, result.detail, result.remarks = "unanswered", str(unanswered), []
            result.parts = dict.fromkeys(result.parts, 0.0)
            return result
    if trouble:
        result.verdict, result.detail = (
            trouble[0],
            f"a call of {task.name} asked for too much memory",
        )
    elif not result.remarks:
        result.verdict = "right"
    result.remarks = list(dict.fromkeys(result.remarks))
    share = sum(result.parts.values()) / max(len(result.parts), 1)
    result.points = round(task.points * share, 4)
    return result


def watched(function: Callable, trouble: list[str]) -> Callable:
    """The same function; that it ran out of memory is remembered, whoever catches the error."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except MemoryError:
            trouble.append("memory limit")
            raise

    return call


def _grade_forward(
    result: FunctionResult, task: Task, forward: Callable, names: list[str]
) -> list[Example]:
    """Fill the part "forward"; returns the examples on which forward is right."""
    usable, wrong = [], 0
    for example in task.examples:
        words = example.describe(names)
        outs, message = run_forward(forward, example, words)
        message = message or compare(example, outs or (), words)
        if message:
            wrong += 1
            result.remarks.append(Remark("forward", "wrong_forward", message))
        else:
            usable.append(example)
    if usable:
        edge = check_extremes(task, forward, names)
        result.remarks += edge
        share = 0.5 if edge else 1.0
    if any(example.expected is not None for example in task.examples):
        result.parts["forward"] = 0.0 if wrong else share
    return usable


def _grade_backward(
    result: FunctionResult,
    task: Task,
    forward: Callable,
    backward: Callable,
    names: list[str],
    usable: list[Example],
) -> None:
    """Fill the part of each input."""
    for example in task.examples:
        for name, array in zip(names, example.inputs, strict=False):
            if is_floating(array) and name not in vars(forward)["no_gradient"]:
                result.parts.setdefault(name, 1.0 if usable else 0.0)
    if not usable:
        return
    inputs = [name for name in result.parts if name != "forward"]
    whole = 1.0
    if message := _numeric(result, task, forward, backward, usable[0]):
        result.remarks.append(Remark("backward", "numeric_backward", message))
        whole = 0.0
    for example in usable:
        for finding in _findings(result, forward, backward, example):
            result.remarks.append(finding)
            if finding.kind == "mutated_input":
                whole = min(whole, 0.5)
            elif finding.input in inputs:
                result.parts[finding.input] = 0.0
            else:
                whole = 0.0
    for name in inputs:
        result.parts[name] *= whole


def _findings(
    result: FunctionResult, forward: Callable, backward: Callable, example: Example
) -> list[Remark]:
    """The findings of one gradient check; its text is kept if it is the first that failed."""
    try:
        report = check_gradients(forward, backward, *example.inputs, **example.options)
    except Exception as error:  # a forward that fails beside the inputs that it was shown
        message = f"forward raised {type(error).__name__} near its inputs: {error}"
        return [Remark("forward", "wrong_forward", message)]
    if not report.passed and not result.report:
        result.report = str(report)[:LONGEST_REPORT]
    for note in getattr(report, "notes", ()):
        if note not in result.notes:
            result.notes.append(note)
    return [Remark(f.input, f.kind, f.message) for f in report.findings]


def _numeric(
    result: FunctionResult, task: Task, forward: Callable, backward: Callable, example: Example
) -> str:
    """How a numerical derivative gives itself away; "" for an honest backward."""
    inputs = tuple(x.copy() if isinstance(x, np.ndarray) else x for x in example.inputs)
    entries = sum(x.size for x in inputs if is_floating(x))
    student = inspect.unwrap(forward)
    outs, _ = run_forward(forward, example, "")
    with CallCounter(student, outs, None, LIBRARY) as during_forward:
        out, saved = forward(*inputs, **fresh(example.options))
    during_forward.forward = 0  # it had to run once
    rng = np.random.default_rng(2)
    grads = tuple(rng.standard_normal(np.shape(o)) for o in (outs or ()))
    loss = sum(float(np.sum(g * np.asarray(o))) for g, o in zip(grads, outs or (), strict=True))
    with CallCounter(student, outs, loss, LIBRARY) as counter:
        try:
            backward(grads if isinstance(out, tuple) else grads[0], saved)
        except Exception:  # the gradient check says what backward raises
            counter.lookalikes.clear()
    called = sorted(set(counter.library) | set(during_forward.library))
    called = [name for name in called if not name.startswith("<")]
    if called:
        result.notes.append(f"calls minillm's own {', '.join(called)}")
    return numeric_sentence(counter, task.name, entries, "backward") or numeric_sentence(
        during_forward, task.name, entries, "forward"
    )
