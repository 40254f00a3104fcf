"""Was the checker changed by what it checks?

Python lets any file replace any function of any module: `np.allclose = lambda *a: True`.  Before a
submission runs, the functions and classes of minillm, NumPy's front and Python's builtins are
written down: who they are, what code they run, what their defaults are.  Afterwards they must be
the same, and two canaries must sing: a right pair that has to pass, and a wrong one that may not.

This finds what a student tries on a Friday evening.  It is no protection against somebody who sets
out to defeat it: submissions of strangers belong into a container.
"""

import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

OTHERS = (
    "builtins", "math", "copy", "inspect", "json",
    "numpy", "numpy.linalg", "numpy.random", "numpy.testing",
)  # fmt: skip
YOURS = {"print", "input", "_", "display", "exit", "quit"}  # builtins that one may replace
Mark = tuple[Any, Any, Any, Any]  # the thing itself, its code, its defaults twice


def snapshot() -> dict[tuple[str, str], Mark]:
    """Every function and class that a check relies on, by (module or class, name)."""
    return {key: _mark(value) for key, value in _watched()}


def changes(before: dict[tuple[str, str], Mark]) -> list[str]:
    """The names of those that are no longer what they were."""
    now = {key: _mark(value) for key, value in _watched()}
    missing = (None, None, None, None)
    return [
        ".".join(key)
        for key, mark in before.items()
        if any(a is not b for a, b in zip(mark, now.get(key, missing), strict=True))
    ]


def _mark(value: Any) -> Mark:
    function = getattr(value, "fget", None) or getattr(value, "__func__", value)
    if isinstance(function, FunctionType):
        return value, function.__code__, function.__defaults__, function.__kwdefaults__
    return value, None, None, None


def _watched() -> Iterator[tuple[tuple[str, str], Any]]:
    for module_name, module in list(sys.modules.items()):
        ours = module_name == "minillm" or module_name.startswith("minillm.")
        if not isinstance(module, ModuleType) or not (ours or module_name in OTHERS):
            continue
        for name, value in list(vars(module).items()):
            if module_name == "builtins" and name in YOURS:
                continue
            if callable(value) or isinstance(value, ModuleType):
                yield (module_name, name), value
            if ours and isinstance(value, type) and value.__module__ == module_name:
                for part, member in list(vars(value).items()):
                    if callable(member) or isinstance(
                        member, (property, classmethod, staticmethod)
                    ):
                        yield (f"{module_name}.{name}", part), member


def canaries_sing(check: Callable) -> bool:
    """True if `check` (check_gradients) passes a right pair and rejects a wrong one."""
    x = np.linspace(-1.0, 2.0, 7)

    def forward(x: Any) -> Any:
        return x * x, x

    right = check(forward, lambda grad_out, x: (2 * grad_out * x,), x)
    wrong = check(forward, lambda grad_out, x: (grad_out * x,), x)
    return bool(right.passed is True and wrong.passed is False and wrong.findings)
