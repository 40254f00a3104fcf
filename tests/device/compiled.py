"""The C of a kernel, compiled for the processor: the text that CuPy gives to the GPU's compiler.

    library = Library(folder)
    library.add([kernel.recipe for kernel in KERNELS])      one run of the compiler for all of them
    library.call(recipe, np.float32, inputs, outputs)

An elementwise body stands in a loop over the entries.  A reduction sums as CuPy does: 512 threads
take every 512th entry of a row, and then halves are added to halves.  What the two compilers may do
differently: the last digits of exp, tanh and erfc, and fused multiplications and additions.
"""

import ctypes
import os
import shutil
import subprocess

import numpy as np

HEADER = """
#include <cmath>
#include <cstdint>
using std::erfc; using std::exp; using std::log; using std::sqrt; using std::tanh;
#ifdef _WIN32
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C"
#endif
"""
ELEMENTWISE = """
template <typename T> void {name}(int64_t n, {parameters}) {{
  for (int64_t i = 0; i < n; ++i) {{
    {bindings}
    {body}
  }}
}}
"""
REDUCTION = """
template <typename T> void {name}(int64_t n, int64_t length, {parameters}) {{
  for (int64_t row = 0; row < n; ++row) {{
    T partial[512];
    for (int t = 0; t < 512; ++t) partial[t] = T({identity});
    for (int64_t j = 0; j < length; ++j) {{
      const int64_t i = row * length + j;
      {bindings}
      const T a = partial[j % 512], b = T({term});
      partial[j % 512] = {reduce};
    }}
    for (int half = 256; half > 0; half /= 2)
      for (int t = 0; t < half; ++t) {{
        const T a = partial[t], b = partial[t + half];
        partial[t] = {reduce};
      }}
    const int64_t i = row * length;
    {bindings}
    T &out = _raw_out[row];
    const T a = partial[0];
    {result};
  }}
}}
"""
INSTANCE = "EXPORT void {name}_{T}({sizes}, {parameters}) {{ {name}<{T}>({names}); }}\n"
C_TYPES = {"bool": "bool", "int64": "int64_t"}
NUMPY_TYPES = {"bool": np.bool_, "int64": np.int64}
DTYPES = {"float": np.dtype(np.float32), "double": np.dtype(np.float64)}


def compiler():
    """The path of a C++ compiler; None where there is none."""
    candidates = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return next((path for name in candidates if name and (path := shutil.which(name))), None)


def parameters(text):
    """[("T", "x"), ("bool", "keep")] of "T x, bool keep"."""
    return [tuple(pair.split()) for pair in text.split(",")]


def is_reduction(recipe):
    return len(recipe) == 7


def cpp(recipe, name):
    """The C++ source of a kernel, under another name."""
    inputs, outputs = (parameters(text) for text in recipe[:2])

    def declared(T):
        ins = [f"const {C_TYPES.get(kind, T)} *_raw_{x}" for kind, x in inputs]
        return ", ".join(ins + [f"{C_TYPES.get(kind, T)} *_raw_{x}" for kind, x in outputs])

    bindings = [f"const {C_TYPES.get(kind, 'T')} &{x} = _raw_{x}[i];" for kind, x in inputs]
    if is_reduction(recipe):
        _, _, term, reduce, result, identity, _ = recipe
        text = REDUCTION.format(
            name=name, parameters=declared("T"), bindings=" ".join(bindings), term=term,
            reduce=reduce, result=result, identity=identity,
        )  # fmt: skip
        sizes = ["n", "length"]
    else:
        bindings += [f"{C_TYPES.get(kind, 'T')} &{x} = _raw_{x}[i];" for kind, x in outputs]
        text = ELEMENTWISE.format(
            name=name, parameters=declared("T"), bindings=" ".join(bindings), body=recipe[2]
        )
        sizes = ["n"]
    names = ", ".join(sizes + [f"_raw_{x}" for _, x in inputs + outputs])
    declared_sizes = ", ".join(f"int64_t {size}" for size in sizes)
    for T in DTYPES:
        text += INSTANCE.format(
            name=name, T=T, sizes=declared_sizes, parameters=declared(T), names=names
        )
    return text


class Library:
    """Compiled kernels, found again by what they were made of."""

    def __init__(self, folder):
        self.folder, self.count, self.symbols = folder, 0, {}

    def add(self, recipes):
        """Compile all recipes that are new, in one run."""
        fresh = [recipe for recipe in dict.fromkeys(recipes) if recipe not in self.symbols]
        if not fresh:
            return
        self.count += 1
        names = {recipe: f"{recipe[-1]}_{self.count}_{i}" for i, recipe in enumerate(fresh)}
        source, binary = (self.folder / f"kernels{self.count}{end}" for end in (".cpp", ".so"))
        texts = [cpp(recipe, name) for recipe, name in names.items()]
        source.write_text(HEADER + "".join(texts), encoding="utf-8")
        command = [compiler(), "-std=c++14", "-O1", "-fPIC", "-shared", source, "-o", binary]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        loaded = ctypes.CDLL(str(binary))
        self.symbols |= {
            recipe: {dtype: getattr(loaded, f"{name}_{T}") for T, dtype in DTYPES.items()}
            for recipe, name in names.items()
        }

    def call(self, recipe, dtype, inputs, outputs, length=None):
        """Run a kernel on contiguous host arrays; length is that of the rows of a reduction."""
        self.add([recipe])
        sizes = [outputs[0].size] + ([] if length is None else [length])
        arrays = [a.ctypes.data_as(ctypes.c_void_p) for a in (*inputs, *outputs)]
        self.symbols[recipe][dtype](*map(ctypes.c_int64, sizes), *arrays)
