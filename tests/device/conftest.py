"""Fixtures: the devices on which a test runs.

    dev    "cpu", "strict" (the stand-in of strict.py) and "cuda"
    xp     the array library of "strict" and "cuda": what is true of CuPy and not of NumPy
    fused  "strict" with kernels, which run the C of minillm/kernels compiled for the processor

Without a GPU the "cuda" variants are skipped, and the reason says what is missing.
"""

import pytest

from minillm import Device
from minillm.kernels import KERNELS

from . import compiled, strict
from .strict_kernels import with_kernels

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)


def open_device(kind):
    try:
        device = Device(kind)
    except RuntimeError as error:
        pytest.skip(str(error))
    strict.counters.reset()
    return device


@pytest.fixture(params=["cpu", "strict", CUDA])
def dev(request):
    """Each device in turn."""
    return open_device(request.param)


@pytest.fixture(params=["strict", CUDA])
def xp(request):
    """The array library of each device that is not the host."""
    return open_device(request.param).xp


@pytest.fixture
def strict_xp():
    """The stand-in alone: where it is stricter than CuPy."""
    return open_device("strict").xp


@pytest.fixture(scope="session")
def kernels_of_the_stand_in(tmp_path_factory):
    """The classes of strict_kernels.py, with every kernel of the library compiled."""
    if compiled.compiler() is None:
        pytest.skip("no C++ compiler: install g++ or clang++ to run the kernels on the processor")
    library = compiled.Library(tmp_path_factory.mktemp("kernels"))
    library.add([kernel.recipe for kernel in KERNELS])
    return with_kernels(library)


@pytest.fixture
def fused(monkeypatch, kernels_of_the_stand_in):
    """Device("strict") with kernels; `fused.launched` names those that have run, in order."""
    classes = kernels_of_the_stand_in
    namespace = strict.namespace
    monkeypatch.setattr(namespace, "ElementwiseKernel", classes.elementwise, raising=False)
    monkeypatch.setattr(namespace, "ReductionKernel", classes.reduction, raising=False)
    device = open_device("strict")
    device.launched, device.library = classes.names, classes.elementwise.library
    device.launched.clear()
    return device


@pytest.fixture
def counters():
    """The counters of the stand-in, at zero."""
    strict.counters.reset()
    return strict.counters
