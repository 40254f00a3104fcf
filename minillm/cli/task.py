"""python -m minillm task: train and measure a model at one of the things that it is used for."""

import argparse
import time
from pathlib import Path
from typing import Any

from ..tasks import TASKS, run_task, task_module
from ..terminal import wrap
from . import options
from .errors import options_of

SUMMARY = "Train a model for a task, and see how good it is: without a name, the list."
EXAMPLE = "python -m minillm task semantic-roles --language chinese"


# sizes that a task does not have: its models are no Transformers
UNUSED: dict[str | None, tuple[str, ...]] = {
    "word-vectors": ("steps", "batch_size", "lr", "layers", "heads", "device"),
    "bias": ("heads",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the task")
    parser.add_argument(
        "--out", metavar="FOLDER", help="for result.json and picture.png; runs/NAME"
    )
    parser.add_argument("--data", help="which data; the list of tasks says which there are")
    parser.add_argument("--language", choices=("english", "chinese"), help="of the toy world")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same result")
    options.add_device(parser)
    sizes = parser.add_argument_group("sizes", "each replaces one number of the task's recipe")
    for name, meaning in (
        ("steps", "training steps"), ("batch-size", "examples per step"),
        ("layers", "of the model"), ("width", "of the model"), ("heads", "of its attention"),
        ("train", "examples to train on"), ("test", "examples to test on, of each kind"),
    ):  # fmt: skip
        sizes.add_argument("--" + name, type=int, metavar="N", help=meaning)
    sizes.add_argument("--lr", type=float, metavar="X", help="the highest learning rate")


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    check_choices(arguments)
    if arguments.name is None:
        print(overview())
        return 0
    module = task_module(arguments.name)
    out = Path(arguments.out or Path("runs") / arguments.name)
    out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be made should fail now
    started = time.perf_counter()
    names = ("seed", "data", "language", "steps", "batch_size", "lr", "layers", "width", "heads",
             "train", "test", "device")  # fmt: skip
    print(module.SUMMARY)
    result = run_task(arguments.name, **{name: getattr(arguments, name) for name in names})
    print(f"\n{result}\n")
    files = save(result, out)
    print(f"{time.perf_counter() - started:.0f} s; saved {', '.join(map(str, files))}")
    return 0


def check_choices(arguments: argparse.Namespace) -> None:
    """Raise a ValueError for options that would change nothing."""
    if arguments.name is None:
        options.need(arguments, options_of(arguments.parser), "NAME, the name of a task")
    unused = UNUSED.get(arguments.name, ())
    options.without_effect(arguments, unused, f"on {arguments.name}")
    if arguments.data not in (None, "toy"):
        options.without_effect(arguments, ["language"], f"with --data {arguments.data}")


def save(result: Any, out: Path) -> list[Path]:
    """Write the files; without matplotlib all but the picture, and say so."""
    try:
        return result.save(out)
    except RuntimeError as error:  # the line to install
        print(f"no picture: {error}")
        return [out / "result.json"]


def overview() -> str:
    """All tasks, then the studies, each with its data.

    >>> overview().splitlines()[0]
    'tasks'
    """
    width = 2 + max(map(len, TASKS)) + 2
    lines: list[str] = []
    for kind, heading in (("task", "tasks"), ("study", "studies: what a choice in training does")):
        lines += [heading] if not lines else ["", heading]
        for name in TASKS:
            module = task_module(name)
            if module.KIND == kind:
                text = module.SUMMARY
                if len(module.DATA) > 1:
                    text += f" --data {' | '.join(module.DATA)}"
                first, *rest = wrap(text, width)
                lines += [f"  {name}".ljust(width) + first.strip(), *rest]
    return "\n".join([*lines, "", f"example:  python -m minillm task {TASKS[-1]}"])
