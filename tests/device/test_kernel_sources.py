"""Every kernel is compiled for three generations of GPUs, on a machine that has none."""

import numpy as np
import pytest

from minillm.kernels import KERNELS, Elementwise

from . import nvrtc
from .nvrtc import ARCHITECTURES, CompileError, compile_cuda, module_source

DTYPES = [np.float32, np.float64]
RECIPES = [kernel.recipe for kernel in KERNELS]
needs_nvrtc = pytest.mark.skipif(
    nvrtc.library_path() is None,
    reason="NVRTC is not installed: python -m pip install 'nvidia-cuda-nvrtc-cu12<12.7'",
)


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_kernels_compile_and_compute_in_their_own_dtype(dtype, architecture):
    ptx = compile_cuda(module_source(RECIPES, dtype), architecture)
    assert f".target {architecture}" in ptx
    for kernel in KERNELS:
        assert f".entry minillm_{kernel.name}(" in ptx
    assert (".f64" in ptx) == (dtype == np.float64)


WRONG = {
    "undefined": ("out = erfd(x);", r'identifier "erfd" is undefined'),
    "type": ("out = keep ? x : T(0);", r'identifier "keep" is undefined'),
    "unfinished": ("out = exp(x;", r'expected a "\)"'),
    "constant": ("x = out;", "must be a modifiable lvalue"),
}


@needs_nvrtc
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_kernel_is_refused(case):
    body, message = WRONG[case]
    source = module_source([Elementwise("wrong", "T x", "T out", body).recipe], np.float32)
    with pytest.raises(CompileError, match=message):
        compile_cuda(source, "sm_80")


@needs_nvrtc
@pytest.mark.parametrize("body", ["out = 0.1 * x;", "out = T(0.5) * exp(x + 0.1);"])
def test_arithmetic_in_double_is_noticed(body):
    source = module_source([Elementwise("wide", "T x", "T out", body).recipe], np.float32)
    assert ".f64" in compile_cuda(source, "sm_80")


# ----------------------------------------------------- with CuPy's own text and header files

SCALARS = {  # inputs that the library gives as Python numbers
    "dropout": ("factor",),
    "mean": ("n",), "mean_product": ("n",), "mean_product_3": ("n",),
    "layer_norm_rstd": ("n", "eps"), "rms_norm_r": ("n", "eps"), "layer_norm": ("beta",),
    "cross_entropy_backward": ("w",),
    **dict.fromkeys(("adam", "amsgrad"), ("sign", "decay", "keep", "beta1", "rest1", "beta2",
                                          "rest2", "root", "eps", "step")),
}  # fmt: skip


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("ndim", "contiguous"), [(1, True), (2, False)])
def test_the_text_that_cupy_writes_compiles(dtype, ndim, contiguous, architecture):
    cupy = pytest.importorskip("cupy", reason="the CuPy wheel is not installed")
    made = [(kernel.recipe, SCALARS.get(kernel.name, ())) for kernel in KERNELS]
    source = nvrtc.cupy_module(cupy, made, dtype, ndim, contiguous)
    ptx = compile_cuda(source, architecture, nvrtc.cupy_options(cupy))
    for kernel in KERNELS:
        assert f".entry minillm_{kernel.name}(" in ptx
    assert (".f64" in ptx) == (dtype == np.float64)
