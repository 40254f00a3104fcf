"""What is wrong with options in any command, found before anything is computed."""

import argparse
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..viz import picture_kinds
from .errors import options_of

# the smallest number that makes sense
AT_LEAST = {
    "seed": 0, "steps": 1, "warmup": 0, "accumulate": 1, "evaluate_every": 1, "workers": 1,
    "batch_size": 1, "block_size": 1, "layers": 1, "heads": 1, "width": 1, "train": 1, "test": 1,
    "lr": 0, "min_lr": 0, "weight_decay": 0, "tokens": 0, "top_k": 1, "num_beams": 1,
    "num_return_sequences": 1, "epochs": 1, "patience": 1, "lora_r": 1, "adapter_size": 1,
    "gradual_unfreezing": 1, "length": 1, "checks": 1,
}  # fmt: skip
ABOVE_ZERO = ("temperature", "top_p", "repetition_penalty", "clip", "lora_alpha", "layerwise_decay")
AT_MOST_ONE = ("top_p", "layerwise_decay")
BELOW_ONE = ("dropout", "beta1", "beta2")  # and not below 0
INPUTS = ("text", "data", "model", "tokenizer", "train", "config", "validation")  # files, folders
PICTURES = ("picture", "attention")
TABLES = ("csv", "html", "json")


def text(argument: str) -> str:
    r"""The type of an argument that is a text: what was typed, whatever the system took it for.

    Where the system is set to ASCII, Python keeps the bytes of other characters as halves of
    surrogate pairs.  That is right for the names of files, and no text: it is read as UTF-8 here.

    Raises   ArgumentTypeError, to which argparse adds the name of the argument, for other bytes

    >>> text("caf\udcc3\udca9") == text("café") == "café"
    True
    """
    if not any("\ud800" <= character <= "\udfff" for character in argument):
        return argument
    try:
        return argument.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        shown = argument.encode("ascii", "backslashreplace").decode("ascii")
        raise argparse.ArgumentTypeError(
            f"{shown} is no text in UTF-8: set the terminal to UTF-8, or leave out those characters"
        ) from None


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device, for what runs a model.

    >>> parser = argparse.ArgumentParser()
    >>> add_device(parser)
    >>> parser.parse_args(["--device", "cuda:1"]).device
    'cuda:1'
    """
    parser.add_argument("--device", help="cpu, cuda or cuda:1; MINILLM_DEVICE or cpu if not given")


def check(arguments: argparse.Namespace) -> None:
    """Raise a ValueError for a number out of its range, or for a place where nothing can be written.

    One sentence, which begins with the option as it is typed.
    """
    flags = options_of(arguments.parser)
    for name, flag in flags.items():
        value = getattr(arguments, name, None)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            check_number(flag, name, value)
        if name in INPUTS and value == "":
            raise ValueError(f"{flag} is empty: give a name, or leave it out")
    for name in (*PICTURES, *TABLES):
        if getattr(arguments, name, None) is not None:
            check_file(flags[name], getattr(arguments, name), name in PICTURES)
    if getattr(arguments, "out", None) is not None:
        action = next(a for a in arguments.parser._actions if a.dest == "out")
        (check_file if action.metavar == "FILE" else check_folder)("--out", arguments.out)


def check_number(flag: str, name: str, value: float) -> None:
    """One number; nan is in no range.

    >>> check_number("--steps", "steps", -3)
    Traceback (most recent call last):
      ...
    ValueError: --steps must be at least 1, got -3
    """
    conditions = []
    if name in AT_LEAST:
        conditions.append((value >= AT_LEAST[name], f"at least {AT_LEAST[name]}"))
    if name in ABOVE_ZERO:
        conditions.append((value > 0, "above 0"))
    if name in AT_MOST_ONE:
        conditions.append((value <= 1, "at most 1"))
    if name in BELOW_ONE:
        conditions.append((0 <= value < 1, "at least 0 and below 1"))
    if not all(right for right, _ in conditions):
        raise ValueError(
            f"{flag} must be {' and '.join(text for _, text in conditions)}, got {value}"
        )
    if conditions and math.isinf(value):
        raise ValueError(f"{flag} must be a finite number, got {value}")


def check_folder(flag: str, name: str) -> None:
    """A folder that is there and can be written to, or can be made."""
    if not name.strip():
        raise ValueError(f"{flag} is empty: name a folder")
    path = Path(name)
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise ValueError(
            f"{flag} {name}: {nearest} is a file, where a folder is needed: choose another"
        )
    if not os.access(nearest, os.W_OK):
        raise ValueError(
            f"{flag} {name}: nothing can be written in {nearest.absolute()}: choose another folder, or "
            "change its rights"
        )


def check_file(flag: str, name: str, picture: bool = False) -> None:
    """A file that can be written; for a picture of a kind that can be drawn."""
    if not name.strip():
        raise ValueError(f"{flag} is empty: give the name of a file")
    path = Path(name)
    if path.is_dir():
        raise ValueError(f"{flag} {name} is a folder: give the name of a file")
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(
            f"{flag} {name} cannot be written: choose another name, or change its rights"
        )
    check_folder(flag, str(path.absolute().parent))
    kinds = picture_kinds() if picture else []
    if kinds and path.suffix.lower().removeprefix(".") not in kinds:
        raise ValueError(
            f"{flag} {name}: the end of the name must say what kind of picture it is, one of "
            f".{', .'.join(kinds)}"
        )


def changed(arguments: argparse.Namespace, names: Iterable[str]) -> list[str]:
    """The options among these that are not what they are when nobody gives them, as typed."""
    flags, default = options_of(arguments.parser), arguments.parser.get_default
    missing: Any = object()
    return [
        flags[name]
        for name in names
        if (value := getattr(arguments, name, missing)) is not missing and value != default(name)
    ]


def without_effect(arguments: argparse.Namespace, names: Iterable[str], why: str) -> None:
    """Raise a ValueError if one of these options was given, which would change nothing.

    why   such as "with --greedy"
    """
    if given := changed(arguments, names):
        has = "have" if len(given) > 1 else "has"
        raise ValueError(f"{', '.join(given)} {has} no effect {why}: leave out one of them")


def need(arguments: argparse.Namespace, names: Iterable[str], other: str) -> None:
    """Raise a ValueError if one of these options was given without another, which they are about."""
    if given := changed(arguments, names):
        has = "have" if len(given) > 1 else "has"
        raise ValueError(
            f"{', '.join(given)} {has} no effect without {other}: add that, or leave it out"
        )
