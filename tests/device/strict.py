"""A strict stand-in for CuPy on NumPy: what would fail or be slow on a GPU raises or is counted here.

    Device("strict")           after this module has been imported
    counters.reset()           then counters.synchronisations, .uploads, .downloads, .launches

Names and signatures are those of the CuPy wheel (cupy_api.json): a name that CuPy lacks raises an
AttributeError, an argument that it lacks a TypeError.  As in CuPy

- an array does not become a host array except by .get(), and is not an index of lists and ranges
- host arrays do not go into calls, operators and assignments
- reductions and a[i] give 0-d arrays; reading one as a Python number waits for the device

and stricter than CuPy, because CuPy goes on slowly, by copies, or with undefined results

- numpy.exp(device_array) raises, where CuPy would dispatch it
- float32 that turns into float64, and the two mixed, raise UpcastError
- an index array on the host raises, where CuPy would upload it
- assigning an array to an index that names one entry twice raises, where CuPy keeps either value
- an index that is out of range raises, where CuPy wraps it around

What it cannot see: the numerical results of real kernels, speed, memory, asynchronous execution,
several GPUs, and values of arguments that CuPy accepts by name but refuses by value.
"""

import inspect
import json
import operator
import types
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from minillm.backend import register_backend

API = json.loads(Path(__file__).with_name("cupy_api.json").read_text(encoding="utf-8"))
IMPLICIT = (
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)
CONSTANTS = (bool, int, float, complex, np.generic)
OPTIONS = (str, type, type(None), type(...), np.dtype)


class UpcastError(TypeError):
    """Numbers that became wider by accident: float64 is many times slower on most GPUs."""


@dataclass
class Counters:
    """What costs time on a GPU, counted since the last reset."""

    synchronisations: int = 0  # the host waits for the device
    uploads: int = 0  # copies from the host to the device
    downloads: int = 0  # copies from the device to the host; each is a synchronisation too
    launches: int = 0  # array operations: at least one kernel each

    def reset(self):
        for field in fields(self):
            setattr(self, field.name, 0)


counters = Counters()


# ------------------------------------------------------------------------ in and out of NumPy


def unwrap(x):
    """The NumPy array within a device array, also in lists and tuples; host arrays are refused."""
    if isinstance(x, ndarray):
        return x._a
    if isinstance(x, (list, tuple)):
        return type(x)(unwrap(part) for part in x)
    if isinstance(x, (*CONSTANTS, *OPTIONS)):
        return x
    raise TypeError(f"Unsupported type {type(x)}")


def operand(x):
    """An argument of an elementwise function: a device array or a number, no list and no None."""
    if isinstance(x, (ndarray, *CONSTANTS)):
        return unwrap(x)
    raise TypeError(f"Unsupported type {type(x)}")


def wrap(x):
    """A NumPy result as device arrays: NumPy's scalars become 0-d arrays."""
    if isinstance(x, np.ndarray):
        return ndarray(x)
    if isinstance(x, np.generic):
        return ndarray(np.asarray(x))
    return type(x)(map(wrap, x)) if type(x) in (list, tuple) else x


def arrays_in(x):
    """All NumPy arrays and scalars in the arguments of a call."""
    if isinstance(x, (list, tuple)):
        return [array for part in x for array in arrays_in(part)]
    return [x] if isinstance(x, (np.ndarray, np.generic)) else []


def check_precision(name, inputs, results):
    """Raise UpcastError where two floating dtypes meet, or the result is wider than the inputs."""
    floating = {a.dtype for a in inputs if a.dtype.kind == "f"}
    if len(floating) > 1:
        raise UpcastError(f"{name}: {' and '.join(sorted(map(str, floating)))} are mixed")
    widest = max((dtype.itemsize for dtype in floating), default=4)
    for result in results:
        if inputs and result.dtype.kind == "f" and result.dtype.itemsize > widest:
            before = sorted({str(a.dtype) for a in inputs})
            raise UpcastError(f"{name}: {', '.join(before)} became {result.dtype}")


def run(name, function, args, options, door=unwrap):
    """Call a NumPy function on the arrays within the arguments: one launch unless it gives a view."""
    options = dict(options)
    out = options.pop("out", None)
    args = tuple(door(arg) for arg in args)
    extra = {key: unwrap(value) for key, value in options.items()}
    if out is not None:
        extra["out"] = require_device(name, out)._a
    inputs = arrays_in((args, tuple(options and extra[k] for k in options)))
    result = function(*args, **extra)
    if options.get("dtype") is None:
        check_precision(name, inputs, arrays_in(result))
    arrays = [a for a in inputs if isinstance(a, np.ndarray)]
    results = arrays_in(result)
    is_view = arrays and results and all(np.may_share_memory(r, arrays[0]) for r in results)
    counters.launches += out is not None or not is_view
    return wrap(result) if out is None else out


def require_device(name, x):
    if not isinstance(x, ndarray):
        raise TypeError(f"{name}: a device array is needed, got {type(x)}")
    return x


def signature_of(text):
    """An inspect.Signature from its text."""
    names = {}
    exec(f"def function{text}: pass", names)
    return inspect.signature(names["function"])


# ------------------------------------------------------------------------------ the array


class Flags:
    """The three flags that CuPy has."""

    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.owndata = flags.owndata


class ndarray:
    """An array that pretends to live on a GPU.  Methods and operators are added below the class."""

    __slots__ = ("__weakref__", "_a")
    __hash__ = None

    def __init__(self, array):
        self._a = array

    def _to_host(self):
        counters.synchronisations += 1
        counters.downloads += 1
        return self._a

    # ---- leaving the device

    def get(self, stream=None, order="C", out=None, blocking=True):
        return self._to_host().copy()

    def item(self):
        return self._to_host().item()

    def tolist(self):
        return self._to_host().tolist()

    def tobytes(self, order="C"):
        return self._to_host().tobytes(order)

    def set(self, arr, stream=None):
        counters.uploads += 1
        np.copyto(self._a, arr)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(IMPLICIT)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if any(isinstance(x, np.ndarray) for x in inputs):
            raise TypeError(f"Unsupported type {np.ndarray}")
        raise TypeError(f"numpy.{ufunc.__name__} called on a device array: use xp.{ufunc.__name__}")

    def __array_function__(self, function, kinds, args, options):
        name = function.__name__
        raise TypeError(f"numpy.{name} called on a device array: use xp.{name}")

    def __repr__(self):
        return repr(self._to_host())

    def __format__(self, spec):
        return format(self._to_host().item() if self.ndim == 0 else self._a, spec)

    def __reduce__(self):
        return namespace.array, (self.get(),)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    # ---- properties

    dtype = property(lambda self: self._a.dtype)
    shape = property(lambda self: self._a.shape)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    strides = property(lambda self: self._a.strides)
    flags = property(lambda self: Flags(self._a.flags))
    T = property(lambda self: ndarray(self._a.T))
    mT = property(lambda self: ndarray(self._a.mT))
    real = property(lambda self: ndarray(self._a.real))
    imag = property(lambda self: ndarray(self._a.imag))

    # ---- indexing

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        index, kind = host_index(index)
        if kind == "basic":  # a view, of one entry too
            return ndarray(self._a[(*index, *(() if Ellipsis in index else (...,)))])
        counters.launches += 1
        counters.synchronisations += kind == "mask"  # the size of the result is a count
        return wrap(self._a[index])

    def __setitem__(self, index, value):
        index, kind = host_index(index)
        if isinstance(value, ndarray):
            counters.synchronisations += kind == "mask"
            if kind == "integers":
                self._require_distinct(index)
        counters.launches += 1
        self._a[index] = operand(value)

    def _require_distinct(self, index):
        places = np.arange(self.size).reshape(self.shape)[index]
        if np.unique(places).size != places.size:
            raise ValueError(
                "duplicate indices in an assignment: which value is kept is undefined in CuPy, and "
                "a[i] += b loses all but one of them: use minillm.backend.scatter_add"
            )


def host_index(index):
    """(the index as a tuple for NumPy, "basic", "integers" or "mask")."""
    parts = index if isinstance(index, tuple) else (index,)
    kind = "basic"
    for part in parts:
        if isinstance(part, (np.ndarray, list)):
            raise TypeError("host index array: CuPy would upload it each time; use xp.asarray once")
        if isinstance(part, ndarray):
            kind = "mask" if part.dtype.kind == "b" or kind == "mask" else "integers"
    # slices are left alone: their ends must be integers, and a device array is none
    return tuple(p._a if isinstance(p, ndarray) else p for p in parts), kind


BINARY = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
          "floordiv": "floor_divide", "mod": "remainder", "divmod": "divmod", "pow": "power",
          "matmul": "matmul", "lshift": "left_shift", "rshift": "right_shift",
          "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "eq": "equal",
          "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
          "ge": "greater_equal"}  # fmt: skip
UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
NUMBERS = {"bool": bool, "int": int, "float": float, "complex": complex}


def binary_operator(ufunc, reflected):
    # older versions of NumPy have a short cut for x ** 2 that np.power(x, 2) does not take
    function = operator.pow if ufunc is np.power else ufunc

    def method(self, other):
        if getattr(other, "__array_ufunc__", self) is None:  # the other one wants to do it
            return NotImplemented
        pair = (other, self) if reflected else (self, other)
        return run(ufunc.__name__, function, pair, {}, door=operand)

    return method


def in_place_operator(ufunc):
    def method(self, other):
        return run(ufunc.__name__, ufunc, (self, other), {"out": self}, door=operand)

    return method


def array_method(name, signature):
    function = getattr(np.ndarray, name)

    def method(self, *args, **options):
        signature.bind(*args, **options)
        check_values(name, options)
        counters.synchronisations += name in SYNCHRONISING
        if name == "astype":  # the one door between precisions
            counters.launches += 1
            return ndarray(self._a.astype(*args, **options))
        return run(name, function, (self, *args), options)

    method.__name__ = name
    return method


def add_operators():
    """The operators that CuPy's class has: no __index__ and no __contains__ among them."""
    there = API["cupy.ndarray"]
    for short, name in BINARY.items():
        ufunc = getattr(np, name)
        candidates = {
            f"__{short}__": binary_operator(ufunc, reflected=False),
            f"__r{short}__": binary_operator(ufunc, reflected=True),
            f"__i{short}__": in_place_operator(ufunc),
        }
        for symbol, method in candidates.items():
            if symbol in there:
                setattr(ndarray, symbol, method)
    for short, name in UNARY.items():
        ufunc = getattr(np, name)
        setattr(ndarray, f"__{short}__", lambda self, u=ufunc: run(u.__name__, u, (self,), {}))
    for short, kind in NUMBERS.items():
        setattr(ndarray, f"__{short}__", lambda self, kind=kind: kind(self._to_host()))


def add_methods():
    for name, entry in API["cupy.ndarray"].items():
        if entry.startswith("(") and hasattr(np.ndarray, name) and name not in vars(ndarray):
            setattr(ndarray, name, array_method(name, signature_of(entry)))


# ------------------------------------------------------------------------------- the module

SYNCHRONISING = {"nonzero", "flatnonzero", "argwhere", "unique", "extract", "compress", "bincount",
                 "union1d", "intersect1d", "setdiff1d", "trim_zeros", "unique_values"}  # fmt: skip
TRUTHS = {"array_equal", "array_equiv", "allclose"}  # 0-d arrays in CuPy, Python's bool in NumPy
WITHOUT_ARRAYS = {"zeros", "ones", "empty", "full", "arange", "linspace", "logspace", "eye", "tri",
                  "identity", "indices", "tril_indices", "triu_indices", "can_cast", "result_type",
                  "promote_types", "broadcast_shapes", "ndim", "shape", "size", "isscalar",
                  "diag_indices", "unravel_index", "hanning", "hamming", "meshgrid"}  # fmt: skip


def check_values(name, options):
    """Arguments that CuPy accepts by name and refuses by value."""
    if name in ("sort", "argsort") and options.get("kind") not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    unknown = set(options) - {"dtype", "optimize"}
    if name == "einsum" and unknown:
        raise TypeError(f"einsum() got an unexpected keyword argument {min(unknown)!r}")


class Ufunc:
    """An elementwise function with the arguments it has in CuPy: no where=, no order=."""

    def __init__(self, name, nin, nout):
        self.__name__, self.nin, self.nout = name, nin, nout
        self._ufunc = getattr(np, name)

    def __call__(self, *args, **options):
        wrong = set(options) - {"out", "dtype", "casting"}
        if wrong:
            raise TypeError(f"Wrong arguments { {name: options[name] for name in sorted(wrong)} }")
        if not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(f"Wrong number of arguments for {self.__name__}")
        if len(args) > self.nin:
            args, options = args[: self.nin], {**options, "out": args[self.nin]}
        return run(self.__name__, self._ufunc, args, options, door=operand)

    def at(self, a, indices, b=None):
        index, _ = host_index(indices)
        counters.launches += 1
        self._ufunc.at(require_device("at", a)._a, index, *(() if b is None else (operand(b),)))

    def reduceat(self, array, indices, axis=0, dtype=None, out=None):
        if self.__name__ != "add":
            raise NotImplementedError("CuPy has reduceat for add only")
        options = {"axis": axis, "dtype": dtype, "out": out}
        require_device("reduceat", indices)
        return run("add.reduceat", self._ufunc.reduceat, (array, indices), options)

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        options = {"axis": axis, "dtype": dtype, "out": out, "keepdims": keepdims}
        return run(f"{self.__name__}.reduce", self._ufunc.reduce, (array,), options)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        options = {"axis": axis, "dtype": dtype, "out": out}
        return run(f"{self.__name__}.accumulate", self._ufunc.accumulate, (array,), options)

    def outer(self, A, B, **options):
        return run(f"{self.__name__}.outer", self._ufunc.outer, (A, B), options)


def function_of(name, signature, numpy_function):
    """A function of the module: CuPy's signature, NumPy's result."""

    def function(*args, **options):
        signature.bind(*args, **options)
        check_values(name, options)
        if name not in WITHOUT_ARRAYS and not arrays_in(unwrap((args, tuple(options.values())))):
            raise TypeError(f"{name}: there is no device array among the arguments")
        counters.synchronisations += name in SYNCHRONISING or (name == "where" and len(args) == 1)
        result = run(name, numpy_function, args, options)
        return ndarray(np.asarray(result)) if name in TRUTHS else result

    function.__name__ = name
    return function


class Namespace(types.ModuleType):
    """One module of CuPy: the names of cupy_api.json and no others."""

    def __init__(self, part, numpy_module):
        super().__init__(part)
        self._part, self._numpy = part, numpy_module

    def __getattr__(self, name):
        entry = API[self._part].get(name)
        if entry is None:
            raise AttributeError(f"module {self._part!r} has no attribute {name!r}")
        if entry.startswith("ufunc"):
            value = Ufunc(name, *map(int, entry.split()[1:]))
        elif entry == "value":
            value = getattr(self._numpy, name)
        else:
            value = function_of(name, signature_of(entry), getattr(self._numpy, name))
        setattr(self, name, value)
        return value


def upload(a, dtype=None, order=None, *, copy=None, blocking=False):
    """xp.asarray: the one door in."""
    if isinstance(a, ndarray):
        if dtype is not None and np.dtype(dtype) != a.dtype:
            return a.astype(dtype)
        return a.copy() if copy else a
    counters.uploads += 1
    return ndarray(np.array(a, dtype=dtype, order=order or "K"))


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    made = upload(obj, dtype)
    made = made.copy() if copy and made is obj else made
    return made.reshape((1,) * (ndmin - made.ndim) + made.shape) if ndmin > made.ndim else made


def ascontiguousarray(a, dtype=None):
    made = upload(a, dtype)
    return made if made.flags.c_contiguous and made.ndim else made.copy().reshape(made.shape or 1)


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def copyto(dst, src, casting="same_kind", where=None):
    counters.launches += 1
    where = True if where is None else require_device("copyto", where)._a
    np.copyto(require_device("copyto", dst)._a, operand(src), casting=casting, where=where)


def get_array_module(*args):
    return namespace if any(isinstance(a, ndarray) for a in args) else np


def make_namespace():
    """The module that Device("strict").xp is."""
    module = Namespace("cupy", np)
    module.__name__ = "strict"
    module.__version__ = API["version"]["cupy"]
    module.linalg = Namespace("cupy.linalg", np.linalg)
    tricks = Namespace("cupy.lib.stride_tricks", np.lib.stride_tricks)
    module.lib = types.SimpleNamespace(stride_tricks=tricks)
    module.ndarray = ndarray
    module.array, module.asarray, module.asanyarray = array, upload, upload
    module.ascontiguousarray, module.asnumpy = ascontiguousarray, asnumpy
    module.copyto, module.get_array_module = copyto, get_array_module
    return module


add_operators()
add_methods()
namespace = make_namespace()
register_backend("strict", lambda: namespace, ndarray)
