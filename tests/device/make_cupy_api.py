"""Write cupy_api.json: which names the CuPy wheel has, and what their signatures are.

    python -m pip install cupy-cuda12x        (137 MB; needs no GPU and no driver)
    python tests/device/make_cupy_api.py

Importing CuPy and looking at it works without a GPU; only calling it does not.  The file holds what
the stand-in (strict.py) can serve: names that NumPy has too, and the methods of the array class.
Each entry is one of

    "(a, axis=None)"   a function or method and its signature; a default that is no literal is ...
    "ufunc 2 1"        an elementwise function with so many inputs and outputs
    "value"            a dtype, a constant or an attribute
    "operator"         a special method of the array class
"""

import ast
import inspect
import json
import re
from pathlib import Path

import numpy as np

API_FILE = Path(__file__).with_name("cupy_api.json")
COMPARISONS = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"}  # object has them too
KERNELS = ("ElementwiseKernel", "ReductionKernel")  # what kernels are made with
DOORS = {"asnumpy", "get_array_module"}  # names of CuPy that NumPy does not have
NOT_OPERATORS = {"__array_finalize__", "__array_priority__", "__class_getitem__", "__div__",
                 "__rdiv__", "__idiv__", "__hex__", "__oct__", "__pyx_vtable__", "__slots__",
                 "__module__", "__cuda_array_interface__", "__dlpack__", "__dlpack_device__",
                 "__bytes__"}  # fmt: skip


def literal(text):
    """The text of a default value if it is a literal, else three dots."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return "..."
    return text


def from_inspect(function):
    """The signature of a Python function, without annotations."""
    signature = inspect.signature(function)
    parameters = [
        p.replace(annotation=p.empty)
        if p.default is p.empty
        else p.replace(annotation=p.empty, default=Default(literal(repr(p.default))))
        for p in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters))


class Default:
    """A default value that is shown as the given text."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def from_docstring(function):
    """The signature in the first line of the docstring of a compiled function; None without one."""
    first = (function.__doc__ or "").split("\n")[0].replace("\\*", "*")
    found = re.match(r"[\w.]+\((.*)\)(?: -> .*)?$", first)
    if not found:
        return None
    parameters = []
    for part in re.split(r", (?![^(]*\))", found[1]):
        name, _, default = part.partition("=")
        name = name.split(" ")[-1]  # "int axis" is a C type and a name
        parameters.append(f"{name}={literal(default)}" if default else name)
    return f"({', '.join(p for p in parameters if p != 'self')})"


def describe(thing):
    """One entry; None for what the stand-in does not serve."""
    if type(thing).__name__ in ("ufunc", "_GUFunc"):
        nin = getattr(thing, "nin", 2)
        return f"ufunc {nin} {getattr(thing, 'nout', 1)}"
    if isinstance(thing, (float, type(None))) or isinstance(thing, type):
        return "value"
    if type(thing).__name__ == "getset_descriptor":
        return "value"
    if callable(thing):
        try:
            return from_inspect(thing) if inspect.isfunction(thing) else from_docstring(thing)
        except (TypeError, ValueError):
            return from_docstring(thing)
    return None


def collect(cupy):
    """The whole table: {part: {name: entry}}."""
    parts = {
        "cupy": (cupy, np),
        "cupy.linalg": (cupy.linalg, np.linalg),
        "cupy.lib.stride_tricks": (cupy.lib.stride_tricks, np.lib.stride_tricks),
    }
    table = {"version": {"cupy": cupy.__version__}}
    for part, (module, numpy_module) in parts.items():
        names = [n for n in dir(module) if hasattr(numpy_module, n) or n in DOORS]
        table[part] = public(module, names)
    table["cupy.kernels"] = {name: from_docstring(getattr(cupy, name)) for name in KERNELS}
    table["cupy.ufunc"] = public(cupy.ufunc, dir(cupy.ufunc))
    table["cupy.ndarray"] = public(cupy.ndarray, dir(cupy.ndarray)) | {
        name: "operator"
        for name in dir(cupy.ndarray)
        if name.startswith("__")
        and name not in NOT_OPERATORS
        and (name not in dir(object) or name in COMPARISONS)
    }
    return table


def public(owner, names):
    """The entries of those names that are public and can be served."""
    entries = {n: describe(getattr(owner, n)) for n in names if not n.startswith("_")}
    return {n: entry for n, entry in entries.items() if entry is not None}


def main():
    """Write the file."""
    import cupy

    text = json.dumps(collect(cupy), indent=0, sort_keys=True)
    API_FILE.write_text(text + "\n", encoding="utf-8")
    print(f"{API_FILE}: {len(text):,} characters, CuPy {cupy.__version__}")


if __name__ == "__main__":
    main()
