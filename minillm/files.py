"""Writing files so that a crash, a kill or a full disk never leaves half of one.

A file is written under a temporary name in the same folder and renamed when it is complete; a
rename replaces the old file in one step or not at all.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file


@contextlib.contextmanager
def atomic_write(path: "str | Path") -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes `path`, on failure it is removed.

    Raises   OSError that names the file and says that the old one is untouched
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        state = "the file that was there is untouched" if path.exists() else "nothing was written"
        raise OSError(
            getattr(error, "errno", None), f"cannot write {path}: {reason} ({state})"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_json(path: "str | Path", value: Any) -> None:
    """Write a value as readable JSON, atomically."""
    with atomic_write(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=True)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: "str | Path") -> Any:
    """Read JSON.

    Raises   FileNotFoundError, or ValueError that names the file and what is wrong with it
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a JSON file in UTF-8: {error}") from None


def write_arrays(path: "str | Path", arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as a safetensors file, atomically."""
    with atomic_write(path) as temporary:
        # not ascontiguousarray, which would turn a single number into an array of one
        save_file({name: np.asarray(a, order="C") for name, a in arrays.items()}, str(temporary))


def read_arrays(path: "str | Path") -> dict[str, np.ndarray]:
    """Read a safetensors file.

    Raises   FileNotFoundError, or ValueError that names the file if it is cut off or foreign
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a complete safetensors file ({error}): it was cut off or is of "
            "another format; write or download it again"
        ) from None
