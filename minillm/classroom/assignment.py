"""Assignments: a notebook with operations that are drawn from the student's name.

The seed decides which families are asked for and with which constants.  The notebook keeps the seed
in its metadata, and the grader derives everything from it again: whoever changes a constant in a
cell is graded against the one that was given.
"""

import hashlib
import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic_write
from .families import FAMILIES, Draw, Family
from .families.base import SELF_CHECK_SEED
from .source import SKIPPED_TAG
from .tasks import Task

DEFAULT_FAMILIES = 5
VERSION = 1


def choose_families(seed: str, count: int = DEFAULT_FAMILIES) -> list[Family]:
    """The families that a seed draws, in the order of the list.

    >>> len(choose_families("anna", 3))
    3
    """
    if not 1 <= count <= len(FAMILIES):
        raise ValueError(f"the number of families must be within 1 … {len(FAMILIES)}, got {count}")
    return Draw(f"{seed}\nfamilies").sample(list(FAMILIES.values()), count)


def assignment_notebook(seed: str, count: int = DEFAULT_FAMILIES) -> dict[str, Any]:
    """The notebook of one student, as the dictionary that a .ipynb file holds (nbformat 4.5).

    >>> assignment_notebook("anna", 2)["metadata"]["minillm"]["seed"]
    'anna'
    """
    if not seed.strip():
        raise ValueError("the seed is empty: give the student's name or number")
    chosen = choose_families(seed, count)
    cells = [_markdown("introduction", _introduction(seed, chosen)), _code("setup", SETUP)]
    for number, family in enumerate(chosen, 1):
        constants = family.constants(seed)
        cells += [
            _markdown(f"{family.name}-task", _task_text(number, family, constants)),
            _code(f"{family.name}-answer", _stub(family, constants), "answer"),
            _code(f"{family.name}-check", _self_check(family, constants), SKIPPED_TAG),
        ]
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "minillm": {"assignment": VERSION, "seed": seed, "families": count},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write_assignment(seed: str, folder: "str | Path" = ".", count: int = DEFAULT_FAMILIES) -> Path:
    """Write one student's notebook; returns its path.  The same seed gives the same bytes.

    Raises   FileExistsError if it is there already: it could hold a student's answers

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_assignment("anna", folder).name
    'assignment-anna.ipynb'
    """
    [path] = write_assignments([seed], folder, count)
    return path


def write_assignments(
    seeds: Sequence[str], folder: "str | Path" = ".", count: int = DEFAULT_FAMILIES
) -> list[Path]:
    """Write the notebooks of several students, all or none of them; returns their paths.

    Raises   FileExistsError if one is there already, ValueError for a seed that is empty or given
             twice, OSError for one that cannot be written: nothing new is then left

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_assignments(["anna", "ben"], folder, 2)]
    ['assignment-anna.ipynb', 'assignment-ben.ipynb']
    """
    texts: dict[Path, str] = {}
    for seed in seeds:
        notebook = assignment_notebook(seed, count)
        path = Path(folder) / f"assignment-{_file_name(seed)}.ipynb"
        if path in texts:
            raise ValueError(f"the seed {seed!r} is given twice: each student has a notebook")
        texts[path] = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    written: list[Path] = []
    try:
        for path, text in texts.items():
            # looked at now, because where "Anna" and "anna" are one file the first is there by now
            if path.exists():
                raise FileExistsError(
                    f"{path} exists and may hold answers: remove it, or choose another folder with "
                    "--out"
                )
            with atomic_write(path) as temporary:
                temporary.write_bytes(text.encode("utf-8"))
            written.append(path)
    except BaseException:  # Ctrl-C as well: who starts again finds the folder as it was
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def tasks_of_notebook(metadata: dict[str, Any]) -> list[str]:
    """The names of the functions that a notebook with this metadata asks for."""
    return [family.name for family in choose_families(*_seed_and_count(metadata))]


def task_for_notebook(name: str, metadata: dict[str, Any]) -> Task:
    """What an answer is graded on, derived from the seed alone."""
    seed, _ = _seed_and_count(metadata)
    return FAMILIES[name].task(seed)


def read_plan(path: Path) -> tuple[str, dict[str, float]]:
    """(seed, points by function) of an assignment notebook; ("", {}) of any other file.

    Only JSON is read: nothing of the notebook runs.
    """
    if path.suffix != ".ipynb":
        return "", {}
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]["minillm"]
        seed, count = _seed_and_count(metadata)
    except (ValueError, LookupError, TypeError, AttributeError):  # not one of ours
        return "", {}
    return seed, {family.name: float(family.points) for family in choose_families(seed, count)}


def _seed_and_count(metadata: dict[str, Any]) -> tuple[str, int]:
    seed, count = str(metadata.get("seed", "")), metadata.get("families")
    if not isinstance(count, int) or not 1 <= count <= len(FAMILIES):
        count = DEFAULT_FAMILIES
    return seed, count


def _file_name(seed: str) -> str:
    """The seed in characters that every file system takes; a few digits of its hash if it changed."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", seed).strip("-")[:40]
    digits = hashlib.sha256(seed.encode()).hexdigest()[:6]
    return plain if plain == seed else f"{plain}-{digits}".strip("-")


# ------------------------------------------------------------------------------------- the cells

SETUP = """import numpy as np

from minillm.gradcheck import check_gradients"""


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _lines(text)}


def _code(name: str, text: str, *tags: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": _lines(text),
    }


def _lines(text: str) -> list[str]:
    return text.strip("\n").splitlines(keepends=True)


def _introduction(seed: str, chosen: list[Family]) -> str:
    rows = "\n".join(
        f"| {i} | {family.title} | `{family.name}` | {family.points} |"
        for i, family in enumerate(chosen, 1)
    )
    total = sum(family.points for family in chosen)
    return f"""# Gradients by hand: the notebook of {_plain(seed)}

Each operation below exists only here: its constants were drawn for you. Write its forward from the
formula, derive its backward on paper, write that too, and run the cell that checks it.

| | operation | name | points |
|---|---|---|---|
{rows}
| | | **together** | **{total}** |

- `name_forward(...)` returns `(out, saved)`: the result, and whatever your backward needs.
- `name_backward(grad_out, saved)` returns a tuple with one gradient for each argument of forward, each
  of the shape of that argument; `grad_out` has the shape of `out`.
- Arrays are NumPy arrays. Change neither the arguments nor what is saved. Results of float32 inputs
  are float32, and large inputs give no NaN.
- A formula is asked for: a backward that runs forward many times differentiates numerically and
  earns nothing.

**Points.** The forward and each gradient count the same, and each earns its share alone; gradients
count only if forward computes what the formula says. The constants in the cells are part of the
task: the grader knows them. The first values of `out` are shown below each task.

`python -m minillm gradcheck` with the name of this notebook grades it as it will be graded."""


def _plain(text: str) -> str:
    """A seed inside Markdown: only characters that mean nothing there."""
    return re.sub(r"[^\w .,@-]+", " ", text)[:60]


def _task_text(number: int, family: Family, constants: dict[str, Any]) -> str:
    formula = family.formula
    for name, value in constants.items():
        formula = formula.replace(f"<{name}>", f"{value:g}")
    return (
        f"## {number}. {family.title} ({family.points} points)\n\n"
        f"{formula.strip()}\n\n{family.why.strip()}"
    )


def _stub(family: Family, constants: dict[str, Any]) -> str:
    values = "\n".join(f"{name} = {value!r}" for name, value in constants.items())
    arguments = ", ".join(array.name for array in family.arrays)
    inner = "\n".join(f"    {array.name:12} {array.meaning}" for array in family.arrays)
    shapes = family.shapes.replace("\n             ", "\n             ")
    name = family.name
    return f'''# The constants are yours. They are part of the task.
{values}


def {name}_forward({arguments}):
    """{family.title}.

    Shapes   {shapes}
{inner}
    """
    raise NotImplementedError("{name}_forward is not written yet")


def {name}_backward(grad_out, saved):
    """Gradients w.r.t. ({arguments}{"," if len(family.arrays) == 1 else ""})."""
    raise NotImplementedError("{name}_backward is not written yet")'''


def _self_check(family: Family, constants: dict[str, Any]) -> str:
    inputs = family.inputs(np.random.default_rng(SELF_CHECK_SEED))
    right = np.ravel(family.forward(*inputs, **constants))[:3]
    first = ", ".join(f"{value:.4f}" for value in right)
    draws = "\n".join(array.code() for array in family.arrays)
    names = ", ".join(array.name for array in family.arrays)
    call = textwrap.fill(
        f"{family.name}_forward, {family.name}_backward, {names}",
        width=90,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
    )
    return f"""# Run this as often as you like; it is not graded.
rng = np.random.default_rng({SELF_CHECK_SEED})
{draws}
out, saved = {family.name}_forward({names})
print("out begins with ", np.ravel(out)[:3].round(4))
print("and should with ", np.array([{first}]))
print(
    check_gradients(
{textwrap.indent(call, "    ")}
    )
)"""
