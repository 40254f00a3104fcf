"""python -m minillm train --resume: does what is asked for go on from what is there?"""

import dataclasses
from pathlib import Path
from typing import Any

from ..training.checkpoint import INDEX, read_index
from .common import Recipe

# what the arrays of a checkpoint have, or the optimiser in it: another number here would not fit them,
# or have no effect
KEPT = ("layers", "heads", "width", "block_size", "bias", "lr", "beta1", "beta2", "weight_decay")


def describe(recipe: Recipe, characters: list[str]) -> dict[str, Any]:
    """What a checkpoint keeps, so that `check` can compare it when somebody goes on.

    >>> describe(Recipe(), ["a", "b"])["characters"]
    'ab'
    """
    return {"recipe": dataclasses.asdict(recipe), "characters": "".join(characters)}


def check(out: Path, recipe: Recipe, resume: bool) -> dict[str, Any] | None:
    """What the checkpoint in a folder was described by; None where a new training begins.

    A training that is at its end is not refused: it may have ended before its model was saved.

    Raises   ValueError for a new training over an old one, and for one to go on with that is beyond
             the last step, or that has other sizes
    """
    folder = out / "checkpoint"
    if not (folder / INDEX).exists():
        return None  # with resume, too: it may have been killed before its first checkpoint
    if not resume:
        raise ValueError(
            f"{out} already holds a training: go on with --resume, or choose another --out"
        )
    index = read_index(folder)
    if index["step"] > recipe.steps:
        raise ValueError(
            f"{out} is at step {index['step']} already: ask for more --steps than that"
        )
    before = index["extra"].get("recipe", {})  # of a checkpoint by an older version: nothing
    now = dataclasses.asdict(recipe)
    other = [name for name in KEPT if before.get(name, now[name]) != now[name]]
    if other:
        raise ValueError(
            f"--resume: the training in {out} has {_options(before, other)}, and not "
            f"{_options(now, other)}: give the same as when it began"
        )
    return {"step": index["step"], **index["extra"]}


def _options(values: dict[str, Any], names: list[str]) -> str:
    """As they would be typed; a flag that is not set by what it is not."""
    words = {True: "--bias", False: "no --bias"}
    return " ".join(
        words[values[name]] if name == "bias" else f"--{name.replace('_', '-')} {values[name]}"
        for name in names
    )


def require_characters(out: Path, before: dict[str, Any], characters: list[str]) -> None:
    """Raise a ValueError if the text has other characters than the model has ids for."""
    known = before.get("characters")
    if known is not None and known != "".join(characters):
        raise ValueError(
            f"--resume: the training in {out} began with a text of other characters: give the same "
            "--text"
        )
