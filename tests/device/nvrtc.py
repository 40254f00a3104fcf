"""Kernels through NVIDIA's run-time compiler NVRTC, which needs neither a GPU nor a driver.

    python -m pip install "nvidia-cuda-nvrtc-cu12<12.7"        24 MB; version 12.9 has 90 MB
    compile_cuda(module_source(recipes, np.float32), "sm_80")       PTX, or CompileError with the log

`cuda_source` stands the C of a kernel in the function that CuPy writes around it, with plain arrays
in place of CuPy's header files.  `cupy_source` asks an installed CuPy for the very text it would
compile.  PTX shows the instructions: `.f64` in a kernel for float32 is arithmetic in double.
"""

import ctypes
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .compiled import C_TYPES, NUMPY_TYPES, is_reduction, parameters

ARCHITECTURES = ("sm_70", "sm_80", "sm_90")  # Volta, Ampere, Hopper
T_NAMES = {np.float32: "float", np.float64: "double"}
PLAIN_ARRAYS = """
typedef long long int64_t;
template <typename T> struct Array {
  T *data;
  __device__ const T &operator[](int64_t i) const { return data[i]; }
  __device__ T &operator[](int64_t i) { return data[i]; }
};
"""
ELEMENTWISE = """
extern "C" __global__ void {name}({parameters}, int64_t _n) {{
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < _n;
       i += int64_t(blockDim.x) * gridDim.x) {{
    {bindings}
    {body};
  }}
}}
"""
REDUCTION = """
#undef REDUCE
#undef POST_MAP
#define REDUCE(a, b) ({reduce})
#define POST_MAP(a) ({result})
extern "C" __global__ void {name}({parameters}, int64_t _length) {{
  __shared__ T _sdata[512];
  T _s = T({identity});
  for (int64_t _j = threadIdx.x; _j < _length; _j += 512) {{
    const int64_t i = blockIdx.x * _length + _j;
    {bindings}
    T _a = static_cast<T>({term});
    _s = REDUCE(_s, _a);
  }}
  _sdata[threadIdx.x] = _s;
  __syncthreads();
  for (unsigned int _half = 256; _half > 0; _half /= 2) {{
    if (threadIdx.x < _half) {{
      T _a = _sdata[threadIdx.x], _b = _sdata[threadIdx.x + _half];
      _sdata[threadIdx.x] = REDUCE(_a, _b);
    }}
    __syncthreads();
  }}
  if (threadIdx.x == 0) {{
    const int64_t i = blockIdx.x;
    {bindings}
    T &out = _raw_out[blockIdx.x];
    _s = _sdata[0];
    POST_MAP(_s);
  }}
}}
"""


class CompileError(Exception):
    """The compiler's complaint."""


def library_path():
    """The file of the compiler within the installed wheel; None if there is no such wheel."""
    spec = importlib.util.find_spec("nvidia")
    folders = [] if spec is None else spec.submodule_search_locations
    patterns = ("*/lib/libnvrtc.so*", "*/bin/nvrtc64_*.dll", "*/bin/*/nvrtc64_*.dll")
    found = [p for f in folders for pattern in patterns for p in sorted(Path(f).glob(pattern))]
    return next((p for p in found if ".alt." not in p.name), None)


def compile_cuda(source, architecture, options=()):
    """The PTX of a source, from which the compiler has also made machine code for the GPU."""
    nvrtc, program = ctypes.CDLL(str(library_path())), ctypes.c_void_p()
    made = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None
    )
    assert made == 0
    flags = [f"--gpu-architecture={architecture}", "--std=c++17", *options]
    encoded = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
    with ThreadPoolExecutor(1) as apart:  # it gives its thread the locale "C": text would be ASCII
        failed = apart.submit(nvrtc.nvrtcCompileProgram, program, len(flags), encoded).result()

    def text(name):
        size = ctypes.c_size_t()
        assert getattr(nvrtc, f"{name}Size")(program, ctypes.byref(size)) == 0
        buffer = ctypes.create_string_buffer(size.value)
        assert getattr(nvrtc, name)(program, buffer) == 0
        return buffer.value.decode()

    try:
        if failed:
            raise CompileError(text("nvrtcGetProgramLog"))
        return text("nvrtcGetPTX")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def cuda_source(recipe):
    """A kernel in the function that CuPy writes around it, over plain arrays of T."""
    inputs, outputs = (parameters(text) for text in recipe[:2])
    constants = [f"const Array<{C_TYPES.get(kind, kind)}> _raw_{x}" for kind, x in inputs]
    declared = constants + [f"Array<{C_TYPES.get(kind, kind)}> _raw_{x}" for kind, x in outputs]
    bindings = [f"const {C_TYPES.get(kind, kind)} &{x} = _raw_{x}[i];" for kind, x in inputs]
    if is_reduction(recipe):
        _, _, term, reduce, result, identity, name = recipe
        return REDUCTION.format(
            name=name, parameters=", ".join(declared), bindings=" ".join(bindings), term=term,
            reduce=reduce, result=result, identity=identity,
        )  # fmt: skip
    bindings += [f"{C_TYPES.get(kind, kind)} &{x} = _raw_{x}[i];" for kind, x in outputs]
    return ELEMENTWISE.format(
        name=recipe[-1], parameters=", ".join(declared), bindings=" ".join(bindings), body=recipe[2]
    )


def module_source(recipes, dtype):
    """All kernels in one source for one dtype."""
    return f"typedef {T_NAMES[dtype]} T;{PLAIN_ARRAYS}" + "".join(map(cuda_source, recipes))


# --------------------------------------------------------------------- the text of CuPy itself

ARRAY, INDEXER, SCALAR = 1, 2, 3  # CuPy's numbers for kinds of arguments


def cupy_source(cupy, recipe, dtype, ndim, contiguous, scalars=()):
    """What the installed CuPy compiles for a kernel on arrays of so many dimensions.

    scalars   the names of inputs that are Python numbers
    """
    from cupy._core import _carray, _kernel, _reduction, _scalar

    inputs, outputs = (parameters(text) for text in recipe[:2])
    reduction = is_reduction(recipe)

    def argument(kind, name):
        of = np.dtype(NUMPY_TYPES.get(kind, dtype))
        if name in scalars:
            return _kernel._ArgInfo(SCALAR, _scalar.CScalar, of, 0, True, True)
        return _kernel._ArgInfo(ARRAY, cupy.ndarray, of, ndim, contiguous, True)

    indexer = _kernel._ArgInfo(INDEXER, _carray.Indexer, None, ndim, True, True)
    stride = _kernel._ArgInfo(SCALAR, _scalar.CScalar, np.dtype(np.int32), 0, True, True)
    last = ["CIndexer _in_ind", "CIndexer _out_ind"] if reduction else ["CIndexer _ind"]
    pairs = [(f"{kind} {x}", True) for kind, x in inputs]
    pairs += [(f"{kind} {x}", False) for kind, x in outputs] + [(text, False) for text in last]
    infos = [argument(*pair) for pair in inputs + outputs] + [indexer] * len(last)
    if reduction:
        pairs.append(("int32 _block_stride", True))
        infos.append(stride)
    params = tuple(_kernel.ParameterInfo(*pair) for pair in pairs)
    if not reduction:
        types = _kernel._TypeMap((("T", dtype),))
        code = _kernel._get_elementwise_kernel_code
        return code(tuple(infos), types, params, recipe[2], recipe[-1], "")
    arrays = [p for p in params[: len(inputs)] if p.name not in scalars]
    input_text = "\n".join(
        f"const {p.ctype} {p.name} = _raw_{p.name}[_in_ind.get()];" for p in arrays
    )
    output_text = "T &out = _raw_out[_out_ind.get()];"
    types = _kernel._TypeMap((("T", dtype), ("IndexT", np.int32)))
    _, _, term, reduce, result, identity, name = recipe
    return _reduction._create_reduction_function_code(
        name, 512, "T", params, tuple(infos), identity, term, reduce, result, types,
        input_text, output_text, "", (),
    )  # fmt: skip


HEADERS = (
    "#include <cupy/complex.cuh>\n#include <cupy/carray.cuh>\n"  # as CuPy puts before a kernel
)
AGAIN = "\n#undef REDUCE\n#undef POST_MAP\n#undef _REDUCE\n"  # macros of one reduction


def cupy_module(cupy, kernels, dtype, ndim, contiguous):
    """CuPy's text of all kernels, behind CuPy's header files; kernels: [(recipe, scalars)]."""
    texts = [cupy_source(cupy, recipe, dtype, ndim, contiguous, s) for recipe, s in kernels]
    return HEADERS + AGAIN.join(texts)


def cupy_options(cupy):
    """Where CuPy's header files are, and the macros that it sets."""
    include = Path(cupy.__file__).parent / "_core" / "include"
    folders = [
        include,
        *(include / "cupy" / "_cccl" / part for part in ("libcudacxx", "cub", "thrust")),
    ]
    return [f"-I{folder}" for folder in folders] + ["-DCUPY_JIT_MODE=1"]
