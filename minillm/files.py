"""Writing files so that a crash, a kill or a full disk never leaves half of one.

A file is written under a temporary name in the same folder and renamed when it is complete; a
rename replaces the old file in one step or not at all.
"""

import contextlib
import errno
import importlib
import json
import math
import os
import re
import sys
import warnings
import weakref
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

SUMS = "crc32"  # where the header of our files has the checksums, as JSON
HUB_LINE = "python -m pip install huggingface_hub"
# what a safetensors file calls its floating numbers -> how NumPy reads them
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def _number(error: Exception) -> int:
    """The errno of a failure; safetensors has it in its words only, "(os error 28)"."""
    found = re.search(r"os error (\d+)", str(error))
    return getattr(error, "errno", None) or (int(found[1]) if found else errno.EIO)


@contextlib.contextmanager
def atomic_write(path: "str | Path") -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes `path`, on failure it is removed.

    Raises   OSError that names the file and says that the old one is untouched
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode  # as the umask says; safetensors lets nobody else read
        yield temporary
        temporary.chmod(mode)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        state = "the file that was there is untouched" if path.exists() else "nothing was written"
        raise OSError(_number(error), f"cannot write {path}: {reason} ({state})") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


class FolderLock:
    """A folder that one process writes to; the system lets go of it when the process ends, however.

    Raises   FolderInUseError if another process holds it; OSError if the folder cannot be made
    """

    def __init__(self, folder: "str | Path") -> None:
        path = Path(folder) / ".lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            _lock(handle)
            while not _is_still(path, handle):  # its last owner removed it after our opening
                os.close(handle)
                handle = os.open(path, os.O_RDWR | os.O_CREAT)
                _lock(handle)
        except OSError as error:
            owner = os.read(handle, 32).decode("ascii", "replace").strip()
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                os.close(handle)
                raise FolderInUseError(
                    f"{folder} is in use by another training (process {owner or 'unknown'}): wait "
                    "for it, stop it, or choose another folder"
                ) from None
            warnings.warn(
                f"{folder} cannot be locked ({error.strerror}): see to it that only one process "
                "writes there",
                stacklevel=3,
            )
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode("ascii"))
        self.release = weakref.finalize(self, _unlock, path, handle)
        self.release.atexit = False  # a forked child that ends must not free its parent's folder


class FolderInUseError(OSError):
    """Two processes would write to one folder."""


def _lock(handle: int) -> None:
    """Take the lock of an open file or raise at once."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, 1 << 20, os.SEEK_SET)  # behind the text, so that others can read it
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_still(path: Path, handle: int) -> bool:
    """Is the open file the one that has this name now?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _unlock(path: Path, handle: int) -> None:
    """Remove the file of a lock and let go; Windows removes no open file, and it may stay."""
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(handle)


def write_json(path: "str | Path", value: Any) -> None:
    """Write a value as readable JSON, atomically."""
    with atomic_write(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=True, default=_plain)
        temporary.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python, which is all that JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"JSON cannot hold {value!r}, a {type(value).__name__}")


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


def write_arrays(
    path: "str | Path", arrays: Mapping[str, np.ndarray], metadata: dict[str, str] | None = None
) -> None:
    """Write arrays by name as a safetensors file, atomically; metadata goes into its header.

    So does a checksum of each array, because the format has none: read_arrays and open_arrays notice
    a file in which single bytes have changed.  Other programs pass it over.
    """
    with atomic_write(path) as temporary:
        # not ascontiguousarray, which would turn a single number into an array of one
        in_order = {name: np.asarray(a, order="C") for name, a in arrays.items()}
        sums = {name: zlib.crc32(a.reshape(-1).view(np.uint8)) for name, a in in_order.items()}
        save_file(in_order, str(temporary), metadata={**(metadata or {}), SUMS: json.dumps(sums)})
        _sort_metadata(temporary)


def _sort_metadata(path: Path) -> None:
    """Bring the metadata of a new file into order: the library writes it in another one every time,
    and what is the same should have the same bytes.
    """
    with open(path, "rb+") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:  # as it is, since both write JSON in the same way
            file.seek(8)
            file.write(text.ljust(length))


def read_arrays(path: "str | Path") -> dict[str, np.ndarray]:
    """Read a safetensors file.

    Raises   FileNotFoundError, or ValueError that names the file if it is cut off or foreign
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        arrays = load_file(str(path))
    except SafetensorError as error:
        raise _incomplete(path, error) from None
    with safe_open(str(path), framework="np") as file:
        sums = _checksums(path, file.metadata())
    for name, array in arrays.items():
        _compare(path, name, zlib.crc32(array.reshape(-1).view(np.uint8)), sums)
    return arrays


def _checksums(path: Path, metadata: Mapping[str, str] | None) -> dict[str, int]:
    """The checksums in the header of a file; none in one that another program wrote."""
    try:
        sums = json.loads((metadata or {}).get(SUMS, "{}"))
    except json.JSONDecodeError as error:
        raise _incomplete(path, error) from None
    if not isinstance(sums, dict):
        raise _incomplete(path, ValueError(f"{SUMS} is {sums!r}"))
    return sums


def _compare(path: Path, name: str, found: int, sums: Mapping[str, int]) -> None:
    if found != sums.get(name, found):
        raise ValueError(
            f"{path} is damaged: the numbers of {name} are not those that were written (their checksum "
            "is another): write or copy it again"
        )


def _incomplete(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is not a complete safetensors file ({error}): it was cut off or is of "
        "another format; write or download it again"
    )


@dataclass(frozen=True)
class StoredArray:
    """One array of a safetensors file, of which rows are read when they are wanted."""

    path: Path
    dtype: str  # as the format names it
    shape: tuple[int, ...]
    start: int  # the first byte in the file
    name: str = ""
    sums: Mapping[str, int] = field(default_factory=dict)  # checksums, by name
    reached: list[int] = field(default_factory=lambda: [0, 0])  # rows read in turn; their checksum

    def rows(self, first: int, last: int) -> np.ndarray:
        """Entries first to last - 1 of the first axis, whatever floating dtype they have, as float32.

        NumPy has no bfloat16, but that is the upper half of a float32.
        """
        width, kind = math.prod(self.shape[1:]), np.dtype(FLOATS[self.dtype])
        last = min(last, self.shape[0])
        offset = self.start + first * width * kind.itemsize
        numbers = np.fromfile(self.path, kind, count=(last - first) * width, offset=offset)
        if first in (0, self.reached[0]):  # in turn, from the beginning
            before = self.reached[1] if first else 0
            self.reached[:] = last, zlib.crc32(numbers.view(np.uint8), before)
            if last == self.shape[0]:
                _compare(self.path, self.name, self.reached[1], self.sums)
        if self.dtype == "BF16":
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        return numbers.astype(np.float32, copy=False).reshape(last - first, *self.shape[1:])


def open_arrays(path: "str | Path") -> dict[str, StoredArray]:
    """The arrays of a safetensors file by name, without reading them.

    Raises   FileNotFoundError, or ValueError that names the file if it is cut off or foreign
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(str(path), framework="np"):  # checks the header against the file
            pass
    except (SafetensorError, OSError) as error:
        raise _incomplete(path, error) from None
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    sums = _checksums(path, header.pop("__metadata__", None))
    begin = 8 + length
    return {
        n: StoredArray(path, a["dtype"], tuple(a["shape"]), begin + a["data_offsets"][0], n, sums)
        for n, a in header.items()
    }


def folder_or_download(name: "str | Path", patterns: list[str]) -> Path:
    """The folder itself, or for a name on the Hugging Face hub the folder it is downloaded to.

    patterns   which files to download, such as "*.json"
    Raises     FileNotFoundError with the line that installs what downloads; OSError if that fails
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise FileNotFoundError(f"{folder} is a file: give the folder that holds it")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(name)):
        raise FileNotFoundError(f"there is no folder {folder}: give one with a config.json")
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        raise FileNotFoundError(
            f"there is no folder {folder}: give one with a config.json; if this is a name on the "
            f"Hugging Face hub, install what downloads it: {HUB_LINE}"
        ) from None
    try:
        return Path(hub.snapshot_download(str(name), allow_patterns=patterns))
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise OSError(
            f"there is no folder {folder}, and it could not be downloaded from the Hugging Face hub "
            f"under this name: {reason}"
        ) from error
