"""Which array library an array belongs to: NumPy on the host, CuPy on a GPU.

The data decides.  Every function that calls the array library begins with

    xp = array_module(x, ...)

and then writes `xp.exp(x)`, so the same line runs on both.  This is the only file of the
library that may import CuPy, and the only place where arrays cross between host and device:
`to_device` and `beside` are the doors in, `to_numpy` is the door out.

Reading a number back makes the host wait until the device has done all its work.  So ids, labels and
lengths stay on the host until the operation that reads them has checked them there.

Random numbers are drawn on the host, from a `numpy.random.Generator`, and then carried to the
device: NumPy and CuPy give different streams for the same seed, and a seed should mean the same
model everywhere.
"""

import contextlib
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

INSTALL_LINE = (
    "python -m pip install 'minillm[cuda13]'  (or 'minillm[cuda12]'; nvidia-smi tells which)"
)

# array type -> the module that works on it.  CuPy's type is added when a CuPy array first appears.
_modules: dict[type, Any] = {np.ndarray: np}
# types that go with arrays of any library
_neutral: set[type] = {int, float, bool, type(None), np.float32, np.float64, np.int64, np.bool_}


def array_module(*arrays: Any) -> Any:
    """The array library of the arguments: numpy, or the module their device arrays belong to.

    Python scalars and None go with anything; without any array the answer is numpy.

    Raises   TypeError if host and device arrays are mixed
    """
    found = None
    for array in arrays:
        kind = type(array)
        module = _modules.get(kind)
        if module is None:
            if kind in _neutral:
                continue
            module = _module_of_type(kind)
            if module is None:
                continue
        if found is None:
            found = module
        elif module is not found:
            names = " and ".join(sorted({found.__name__, module.__name__}))
            raise TypeError(
                f"arrays of {names} are mixed: move all of them to one device first, "
                "with x.to('cuda') or x.to('cpu')"
            )
    return np if found is None else found


def _module_of_type(kind: type) -> Any:
    """Look up an array type that array_module meets for the first time."""
    if issubclass(kind, np.ndarray):
        _modules[kind] = np
        return np
    if kind.__module__.split(".")[0] == "cupy":
        _modules[kind] = importlib.import_module("cupy")
        return _modules[kind]
    _neutral.add(kind)
    return None


def is_array(x: Any) -> bool:
    """True for a host or device array; False for Python and NumPy scalars, lists and None."""
    kind = type(x)
    return kind in _modules or (kind not in _neutral and _module_of_type(kind) is not None)


def cache_blocks(flat: Any, entries: int = 32768) -> Iterator[slice]:
    """Slices that cut a flat array into pieces which stay in the processor's nearest cache.

    An elementwise formula of many steps that runs block by block reads each number from memory
    once instead of once per step.  A device array is one block: a GPU wants few, large calls.
    """
    step = entries if type(flat) is np.ndarray else max(flat.size, 1)
    for start in range(0, flat.size, step):
        yield slice(start, start + step)


# --------------------------------------------------------------------------------- devices


def _load_cupy() -> Any:
    """Import CuPy and make sure that there is a GPU behind it: the import alone proves nothing."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(
            f"device 'cuda' needs CuPy, which is not installed: {INSTALL_LINE}"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:  # CUDARuntimeError is one: no driver, or one that is too old
        raise RuntimeError(
            f"CuPy {cupy.__version__} is installed but finds no usable GPU ({error}): install or "
            f"update the NVIDIA driver, or use device 'cpu'. For another CUDA version: {INSTALL_LINE}"
        ) from error
    if count == 0:
        raise RuntimeError(
            "CuPy is installed but no GPU is visible: check CUDA_VISIBLE_DEVICES and nvidia-smi, "
            "or use device 'cpu'"
        )
    return cupy


_loaders: dict[str, Callable[[], Any]] = {"cpu": lambda: np, "cuda": _load_cupy}


def register_backend(kind: str, loader: Callable[[], Any], array_type: type | None = None) -> None:
    """Add a device kind, such as the test suite's stand-in for CuPy.

    `loader()` returns the array module; `array_type` is its array class, for `array_module`.
    """
    _loaders[kind] = loader
    if array_type is not None:
        _modules[array_type] = loader()


class Device:
    """Where arrays live: Device("cpu"), Device("cuda"), Device("cuda:1").

    Without an argument the environment variable MINILLM_DEVICE decides, and "cpu" if it is unset.

    Raises   ValueError for an unknown kind or index; RuntimeError with the line to install or
             the driver's complaint if "cuda" cannot be used here

    >>> Device("cpu")
    Device('cpu')
    """

    def __init__(self, spec: "str | Device | None" = None) -> None:
        text = str(spec or os.environ.get("MINILLM_DEVICE") or "cpu")
        self.kind, _, index = text.partition(":")
        if self.kind not in _loaders or not (index or "0").isdecimal():
            known = ", ".join(repr(kind) for kind in _loaders)
            name = "device" if spec else "MINILLM_DEVICE ="
            raise ValueError(f"{name} {text!r} is unknown: use one of {known}, or 'cuda:1'")
        self.index = int(index or 0)
        self.xp = _loaders[self.kind]()
        if self.kind == "cuda":
            count = self.xp.cuda.runtime.getDeviceCount()
            if self.index >= count:
                raise ValueError(f"device {text!r} does not exist: there are {count} GPUs, from 0")

    @staticmethod
    def names(target: Any) -> bool:
        """True if target is a Device or a string such as "cuda:1"; False for a dtype."""
        if isinstance(target, str):
            return target.partition(":")[0] in _loaders
        return isinstance(target, Device)

    def put(self, array: Any, dtype: Any = None) -> Any:
        """The array on this device (a copy only if it lives elsewhere or has another dtype)."""
        if self.kind == "cpu":
            array = to_numpy(array)
            return array if dtype is None else array.astype(dtype, copy=False)
        if self.kind == "cuda":
            with self.xp.cuda.Device(self.index):
                return self.xp.asarray(array, dtype=dtype)
        return self.xp.asarray(array, dtype=dtype)

    def synchronize(self) -> None:
        """Wait until the device has finished all work given to it: needed before reading a clock."""
        if self.kind == "cuda":
            with self.xp.cuda.Device(self.index):
                self.xp.cuda.get_current_stream().synchronize()

    def __str__(self) -> str:
        return self.kind if self.index == 0 else f"{self.kind}:{self.index}"

    def __repr__(self) -> str:
        return f"Device({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def to_device(array: Any, device: "str | Device | None") -> Any:
    """The array on the given device: the door in."""
    return (device if isinstance(device, Device) else Device(device)).put(array)


def dtype_of(target: Any) -> np.dtype:
    """The dtype that somebody named, for arrays of numbers.

    Raises   TypeError if it is none: for None, which NumPy takes for float64, too

    >>> dtype_of("float32")
    dtype('float32')
    """
    try:
        dtype = None if target is None else np.dtype(target)
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "biuf":
        raise TypeError(
            f"to: {target!r} is neither a device, such as 'cpu' or 'cuda:1', nor a dtype of numbers, "
            "such as 'float32'"
        )
    return dtype


def converted(array: Any, target: Any) -> Any:
    """The array on a device or in a dtype, whichever target names: what x.to(target) means.

    Raises   TypeError if target is neither
    """
    return to_device(array, target) if Device.names(target) else array.astype(dtype_of(target))


def beside(array: Any, other: Any) -> Any:
    """The array where `other` lives: a host array is carried to a device, nothing is carried back.

    Raises   TypeError if array lives on a device and other does not
    """
    if isinstance(array, np.ndarray):
        return array_module(other).asarray(array)
    array_module(array, other)
    return array


def to_numpy(array: Any) -> np.ndarray:
    """The array as a NumPy array on the host: the one door out (waits for the device)."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


def host_number(value: Any) -> float:
    """A 0-d array or scalar as a Python float (waits for the device)."""
    return float(value)


def host_numbers(values: list[Any]) -> list[float]:
    """0-d arrays and scalars as Python floats; the device is waited for once, not for each.

    >>> host_numbers([np.float32(0.5), 2.0])
    [0.5, 2.0]
    """
    xp = array_module(*values)
    there = [value for value in values if xp is not np and is_array(value)]
    if there:
        dtype = there[0].dtype
        read = iter(to_numpy(xp.stack([value.astype(dtype) for value in there])).tolist())
    return [next(read) if there and is_array(value) else float(value) for value in values]


def usable_cores() -> int:
    """Processor cores that this process may use.

    >>> usable_cores() >= 1
    True
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not everywhere; it knows of taskset
    return len(affinity(0)) if affinity else os.cpu_count() or 1


# ---------------------------------------------------------------------- repeated indices


def scatter_add(target: Any, index: Any, values: Any) -> None:
    """target[index] += values, where an index that occurs k times collects all k values.

    `target[index] += values` would keep only the last of them.  `xp.add.at` says exactly what is
    meant, but visits one row at a time; sorting brings equal indices together, and then one
    `add.reduceat` sums every run.  It also adds in a fixed order, which atomic additions on a
    GPU do not.

    An index on the host is sorted there: on a device, counting the runs makes the host wait.

    Shapes   target (V, ...) changed in place; index (N,) integers in [0, V); values (N, ...)
    """
    if len(index) == 0:
        return
    xp, on = array_module(target, values), array_module(index)
    order = on.argsort(index, kind="stable")  # (N,)
    ordered = index[order]
    starts = on.flatnonzero(on.concatenate([on.ones(1, dtype=bool), ordered[1:] != ordered[:-1]]))
    rows, order, starts = (beside(a, target) for a in (ordered[starts], order, starts))
    target[rows] += xp.add.reduceat(values[order], starts, axis=0)


# ------------------------------------------------------------------------------ randomness

_generator = np.random.default_rng(0)


class _OfThisThread(threading.local):
    generator: np.random.Generator | None = None


_thread = _OfThisThread()


def manual_seed(seed: int) -> np.random.Generator:
    """Seed the library's own generator, used wherever an `rng` argument is left out.

    NumPy's global generator is never touched.  Returns the generator.

    >>> import minillm
    >>> _ = minillm.manual_seed(0)
    """
    global _generator
    _generator = np.random.default_rng(seed)
    return _generator


def default_generator(rng: np.random.Generator | None = None) -> np.random.Generator:
    """`rng` itself, or the library's generator where it is None.

    Raises   TypeError if rng is an int or a legacy RandomState
    """
    if rng is None:
        return _thread.generator or _generator
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng must be a numpy.random.Generator, got {type(rng).__name__}: "
            "write rng=numpy.random.default_rng(seed)"
        )
    return rng


@contextlib.contextmanager
def generator_of_this_thread(rng: np.random.Generator) -> Iterator[None]:
    """Within this block, and in this thread alone, `rng` is what default_generator() gives.

    >>> with generator_of_this_thread(np.random.default_rng(0)):
    ...     first = default_generator().random()
    >>> first == np.random.default_rng(0).random()
    True
    """
    previous, _thread.generator = _thread.generator, rng
    try:
        yield
    finally:
        _thread.generator = previous


# ---------------------------------------------------------------------------- Python values


def number_of_rows(array: Any) -> int:
    """The length of the first axis: how often iteration goes round.

    Raises   TypeError if there is no axis

    >>> number_of_rows(np.zeros((3, 2)))
    3
    """
    if not array.ndim:
        raise TypeError(
            "a Tensor without axes is a single number, not a sequence: read it with .item()"
        )
    return array.shape[0]


def from_python(value: Any) -> np.ndarray:
    """A Python number or (nested) list as a host array: ints become int64, others float32.

    Raises   ValueError if the lists are ragged or hold something that is not a number
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"a list must be rectangular to become an array: {error}") from None
    if array.dtype.kind not in "biufc":
        raise ValueError(f"only numbers can become an array, got {type(value).__name__} {value!r}")
    if array.dtype.kind == "f" and not isinstance(value, np.generic):
        return array.astype(np.float32)
    return array.astype(np.int64) if array.dtype.kind in "iu" else array
