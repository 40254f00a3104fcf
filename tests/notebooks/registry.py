"""Displayed formulas with their literal transcriptions: `formulas/chapter_NN.py` fills this table."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from . import formulas


class Formula(NamedTuple):
    """What a page shows, and a function that evaluates it beside the operation."""

    chapter: str
    latex: str
    evaluate: Callable[[], Any]  # -> (the formula by loops and plain NumPy, the library's result)


FORMULAS: dict[str, Formula] = {}


def formula(name: str, latex: str) -> Callable:
    """Register the transcription of the formula behind `<a id="formula-NAME"></a>`."""

    def register(evaluate: Callable) -> Callable:
        assert name not in FORMULAS, f"the formula {name} is registered twice"
        chapter = evaluate.__module__.rsplit("_", 1)[1]
        FORMULAS[name] = Formula(chapter, plain(latex), evaluate)
        return evaluate

    return register


def plain(latex: str) -> str:
    """LaTeX without white space and equation numbers, to compare."""
    return re.sub(r"\\tag\{[^}]*\}|\s+", "", latex)


def all_formulas() -> dict[str, Formula]:
    """Import every chapter's file."""
    for module in pkgutil.iter_modules(formulas.__path__):
        importlib.import_module(f"{formulas.__name__}.{module.name}")
    return FORMULAS
