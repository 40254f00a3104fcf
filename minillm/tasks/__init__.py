"""Tasks: what language models are used for, each trained and measured by one call.

A task is a module with SUMMARY (one line), DATA (the data it knows, the default first), KIND ("task",
or "study" for a comparison that answers a question about training) and run(settings) -> TaskResult.
"""

import importlib
from typing import Any

from ..backend import manual_seed
from .result import Example, Row, TaskResult, choose_examples, format_table
from .settings import Recipe, TaskSettings
from .words import WordVocabulary, split_words

# in the order in which a reader might go through them
TASKS = (
    "sentiment",
    "classification",
    "language-modelling",
    "masked-words",
    "next-sentence",
    "translation",
    "question-answering",
    "summarisation",
    "semantic-roles",
    "generation",
    "dialogue",
    "word-vectors",
    "overfitting",
    "long-texts",
    "optimizers",
    "learning-curve",
    "model-choice",
    "transfer",
    "efficient-tuning",
    "bias",
)

__all__ = [
    "TASKS",
    "Example",
    "Recipe",
    "Row",
    "TaskResult",
    "TaskSettings",
    "WordVocabulary",
    "choose_examples",
    "format_table",
    "run_task",
    "split_words",
    "task_module",
]


def task_module(name: str) -> Any:
    """The module of a task.

    Raises   ValueError that lists the tasks

    >>> task_module("semantic-roles").DATA
    ('toy',)
    """
    if name not in TASKS:
        raise ValueError(f"there is no task {name!r}: choose from {', '.join(TASKS)}")
    return importlib.import_module("." + name.replace("-", "_"), __package__)


def run_task(name: str, settings: TaskSettings | None = None, **options: Any) -> TaskResult:
    """Train and measure; options are the fields of TaskSettings by name.

    The library's default generator starts anew from the seed, so that dropout repeats itself, too.

    >>> sizes = {"steps": 2, "train": 20, "test": 3, "width": 8, "heads": 2, "progress": False}
    >>> run_task("semantic-roles", **sizes).columns[0]
    'f1'
    """
    if settings is not None and options:
        raise TypeError(f"run_task: {', '.join(options)} given beside settings: put them into it")
    settings = settings or TaskSettings(**options)
    manual_seed(settings.seed)
    return task_module(name).run(settings)
