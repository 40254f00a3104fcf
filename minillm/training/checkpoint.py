"""Checkpoints: everything that a training needs to go on as if it had never stopped.

A checkpoint is a folder:

    checkpoint.json           step, history, learning rate, random generators; names the next file
    arrays-00000250.safetensors    parameters ("model.…"), optimiser state ("optimizer.…"), and the
                              losses of all steps: as JSON they would soon be longer than the rest

The arrays are written first, under a name of their own; then checkpoint.json is replaced in one step,
and from that moment the new checkpoint counts.  A crash, a kill or a full disk at any moment leaves the
old one in force.  Nothing is ever unpickled: loading a checkpoint cannot run code.
"""

import contextlib
import copy
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import default_generator, to_numpy
from ..files import read_arrays, read_json, write_arrays, write_json
from ..nn.module import named_generators

FORMAT = "minillm-checkpoint-1"
INDEX = "checkpoint.json"
WORDS = {"optimizer": "an optimiser", "schedule": "a schedule", "history": "a history"}


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or does not belong to this training."""


def save_checkpoint(
    folder: "str | Path",
    model: Any,
    optimizer: Any = None,
    *,
    step: int = 0,
    schedule: Any = None,
    history: Any = None,
    extra: dict[str, Any] | None = None,
) -> Path:
    """Write a checkpoint into a folder; an older one in it is replaced.

    extra    values of your own, as JSON can hold them
    Returns  the folder
    Raises   OSError if it cannot be written, for example on a full disk; the old one then survives

    >>> import tempfile
    >>> from minillm.nn import Linear
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_checkpoint(folder, Linear(2, 3), step=7)
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['arrays-00000007.safetensors', 'checkpoint.json']
    """
    folder = Path(folder)
    old = _arrays_file(folder)
    arrays = {f"model.{name}": to_numpy(a) for name, a in model.state_dict().items()}
    index: dict[str, Any] = {
        "format": FORMAT,
        "step": step,
        "arrays": f"arrays-{step:08d}.safetensors",
        "generators": _generator_states(model),
        "extra": extra or {},
    }
    if optimizer is not None:
        state = optimizer.state_dict()
        arrays |= {
            f"optimizer.{name}": np.asarray(to_numpy(a)) for name, a in state["state"].items()
        }
        index["optimizer"] = {key: value for key, value in state.items() if key != "state"}
    if schedule is not None:
        index["schedule"] = schedule.state_dict()
    if history is not None:
        index["history"] = history.state_dict()
        arrays["history.losses"] = np.array(index["history"].pop("losses"), dtype=np.float64)
    if old == index["arrays"]:  # never overwrite the arrays that the old index still names
        index["arrays"] = f"arrays-{step:08d}-again.safetensors"
    try:
        write_arrays(folder / index["arrays"], arrays)
        write_json(folder / INDEX, index)
    except (OSError, TypeError, ValueError):
        if _arrays_file(folder) != index["arrays"]:
            with contextlib.suppress(OSError):
                (folder / index["arrays"]).unlink(missing_ok=True)
        raise
    stale = [p for p in folder.glob("arrays-*.safetensors") if p.name != index["arrays"]]
    stale += folder.glob(".arrays-*.tmp")  # left by a training that was killed while it saved
    for path in stale:
        path.unlink(missing_ok=True)
    return folder


def load_checkpoint(
    folder: "str | Path",
    model: Any,
    optimizer: Any = None,
    *,
    schedule: Any = None,
    history: Any = None,
) -> dict[str, Any]:
    """Put model, optimiser, schedule, history and random generators back to where they were.

    Returns  {"step": ..., "extra": ...}
    Raises   CheckpointError that names the file and what is wrong; the model is then unchanged

    >>> import tempfile
    >>> from minillm.nn import Linear
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_checkpoint(folder, Linear(2, 3), step=7)
    ...     load_checkpoint(folder, Linear(2, 3))["step"]
    7
    """
    folder = Path(folder)
    index = read_index(folder)
    try:
        arrays = read_arrays(folder / index["arrays"])
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointError(f"the checkpoint in {folder} is not readable: {error}") from None
    parts: dict[str, dict[str, Any]] = {name: {} for name in ("model", *WORDS)}
    for name, array in arrays.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = array
    targets = {"optimizer": optimizer, "schedule": schedule, "history": history}
    wanted = {name: target for name, target in targets.items() if target is not None}
    # a copy of everything but the objects themselves: an optimiser must go on holding this model's
    # parameters, and a schedule this optimiser
    shared = {id(x): x for x in (*model.parameters(), *wanted.values())}
    before = [(t, copy.deepcopy(vars(t), dict(shared))) for t in wanted.values()]
    generators = _generator_states(model)
    try:
        for name, target in wanted.items():
            if name not in index:
                raise ValueError(f"it was saved without {WORDS[name]}")
            target.load_state_dict(_state_of(name, index[name], parts[name]))
        _restore_generators(model, index["generators"])
        model.load_state_dict(parts["model"])  # last, because it changes all or nothing
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        for target, values in before:
            vars(target).update(values)
        _restore_generators(model, generators)
        raise CheckpointError(f"the checkpoint in {folder} does not fit: {error}") from None
    return {"step": index["step"], "extra": index["extra"]}


def _state_of(name: str, entries: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    """What was saved of one part, together again: its entries in checkpoint.json and its arrays."""
    if name == "optimizer":
        return {**entries, "state": arrays}
    return {**entries, **{key: array.tolist() for key, array in arrays.items()}}


def read_index(folder: "str | Path") -> dict[str, Any]:
    """The contents of checkpoint.json.

    Raises   CheckpointError if there is none, or it is not one of ours
    """
    try:
        index = read_json(Path(folder) / INDEX)
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointError(f"there is no readable checkpoint in {folder}: {error}") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        found = index.get("format") if isinstance(index, dict) else type(index).__name__
        raise CheckpointError(
            f"{Path(folder) / INDEX} is not a checkpoint of this version: expected the format "
            f"{FORMAT!r}, found {found!r}"
        )
    kinds = {"step": int, "arrays": str, "generators": dict, "extra": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(index.get(name), kind)]
    if wrong:
        raise CheckpointError(f"{Path(folder) / INDEX} is incomplete: {', '.join(wrong)} missing")
    if index["step"] < 0 or not isinstance(index["extra"].get("workers"), int | None):
        raise CheckpointError(
            f"{Path(folder) / INDEX} is damaged: step {index['step']!r}, workers "
            f"{index['extra'].get('workers')!r}"
        )
    return index


def _arrays_file(folder: Path) -> str | None:
    """The arrays file that the checkpoint in force names; None without one."""
    try:
        return read_index(folder)["arrays"]
    except CheckpointError:
        return None


def _generators(model: Any) -> dict[str, np.random.Generator]:
    """The library's generator, and those that modules own, by path."""
    owned = {f"module.{name}": rng for name, rng in named_generators(model).items()}
    return {"default": default_generator(), **owned}


def _generator_states(model: Any) -> dict[str, Any]:
    return {name: g.bit_generator.state for name, g in _generators(model).items()}


def _restore_generators(model: Any, states: dict[str, Any]) -> None:
    generators = _generators(model)
    if set(states) != set(generators):
        raise ValueError(f"random generators of {sorted(states)}, here {sorted(generators)}")
    for name, state in states.items():
        generators[name].bit_generator.state = state
