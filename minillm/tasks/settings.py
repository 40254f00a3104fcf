"""What can be asked of every task, and how each of them trains."""

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

from ..backend import Device
from ..optim import AdamW, schedule
from ..training import History, fit


@dataclass(frozen=True)
class Recipe:
    """A model's size, how it is trained, and on how much; each task has its own default.

    >>> Recipe(steps=100).replaced(steps=5, width=None).steps
    5
    """

    steps: int = 500
    batch_size: int = 32
    lr: float = 3e-3
    layers: int = 2
    width: int = 128
    heads: int = 4
    dropout: float = 0.0
    weight_decay: float = 0.01  # on matrices only
    warmup: int = 50
    clip: float = 1.0
    train: int = 20000  # stories, or examples, to train on
    test: int = 500  # and to test on, of each kind

    def replaced(self, **changes: Any) -> "Recipe":
        """The recipe with other numbers, where they are not None.

        Raises   ValueError for a number that makes no sense
        """
        given = {name: value for name, value in changes.items() if value is not None}
        recipe = dataclasses.replace(self, **given)
        for name in ("steps", "batch_size", "layers", "width", "heads", "train", "test"):
            value = getattr(recipe, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        if recipe.width % recipe.heads:
            raise ValueError(f"width {recipe.width} must be a multiple of heads {recipe.heads}")
        return recipe


@dataclass(frozen=True)
class TaskSettings:
    """What a run of a task is asked for; None leaves it to the task.

    seed        decides the stories, the initial weights, and the order of everything
    data        which data, where the task knows several: "toy", "uci", ...
    language    "english" or "chinese", where the task can do both
    steps, batch_size, lr, layers, width, heads, train, test    as in Recipe
    device      "cpu", "cuda"; None for MINILLM_DEVICE or cpu
    progress    whether bars are shown

    >>> TaskSettings(steps=3).recipe(Recipe(steps=500)).steps
    3
    """

    seed: int = 0
    data: str | None = None
    language: str | None = None
    steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    train: int | None = None
    test: int | None = None
    device: str | None = None
    progress: bool = True

    def recipe(self, default: Recipe) -> Recipe:
        """The task's recipe, with what was asked for instead."""
        names = {field.name for field in dataclasses.fields(Recipe)}
        return default.replaced(**{n: v for n, v in vars(self).items() if n in names})

    def choice(self, name: str, *known: str) -> str:
        """The value of `data` or `language`; the first known one if it was left out.

        Raises   ValueError that lists the known ones

        >>> TaskSettings(data="uci").choice("data", "toy", "uci")
        'uci'
        """
        value = getattr(self, name)
        if value is not None and value not in known:
            raise ValueError(f"{name} {value!r} is not known here: choose from {', '.join(known)}")
        return known[0] if value is None else value

    def as_dict(self) -> dict[str, Any]:
        """What was asked for, for result.json."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return {name: value for name, value in given.items() if name != "progress"}


@dataclass(frozen=True)
class Training:
    """How a training went, for the table and the picture.

    >>> Training(History(), 1.5, 300).parameters
    300
    """

    history: History
    seconds: float
    parameters: int


def train(
    model: Any,
    batches: Any,
    recipe: Recipe,
    settings: TaskSettings,
    *,
    label: str,
    validation: Any = None,
    **options: Any,
) -> Training:
    """Train by the recipe: AdamW, warm-up and cosine, clipping; the label stands above the bar.

    options   go on to `fit`
    Raises    KeyboardInterrupt if Ctrl-C ended the training: half a result is no result
    """
    model.to(Device(settings.device))
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}]
    if vectors:
        groups.append({"params": vectors, "weight_decay": 0.0})
    optimizer = AdamW(groups, lr=recipe.lr, betas=(0.9, 0.98))
    plan = schedule.cosine(
        optimizer, min(recipe.warmup, recipe.steps // 10), recipe.steps, recipe.lr / 20
    )
    if settings.progress:
        print(f"{label}: {model.num_parameters():,} parameters, {recipe.steps:,} steps")
    started = time.perf_counter()
    history = fit(
        model, optimizer, batches, validation, steps=recipe.steps, schedule=plan,
        clip=recipe.clip, progress=settings.progress, **options,
    )  # fmt: skip
    if history.interrupted:
        raise KeyboardInterrupt
    return Training(history, time.perf_counter() - started, model.num_parameters())
