"""Arrays and devices: one door in, one door out, and clear words where there is no GPU."""

import sys
import types

import numpy as np
import pytest

from minillm import Device, backend
from minillm.backend import array_module, from_python, scatter_add, to_device, to_numpy


def test_numpy_arrays_and_scalars_belong_to_numpy():
    assert array_module(np.zeros(2), 3.0, None) is np
    assert array_module(1.0) is np


class FakeArray:
    """An array of another library."""


def test_mixing_libraries_is_refused():
    other = types.ModuleType("other")
    backend.register_backend("other", lambda: other, FakeArray)
    try:
        assert array_module(FakeArray()) is other
        with pytest.raises(TypeError, match="numpy and other are mixed"):
            array_module(np.zeros(1), FakeArray())
    finally:
        backend._modules.pop(FakeArray)
        backend._loaders.pop("other")


@pytest.mark.parametrize("spec", ["gpu", "cuda:x", "cpu:one", "float32"])
def test_unknown_devices_list_the_known_ones(spec):
    with pytest.raises(ValueError, match=r"is unknown: use one of 'cpu', 'cuda'"):
        Device(spec)


def test_the_environment_chooses_the_default_device(monkeypatch):
    monkeypatch.delenv("MINILLM_DEVICE", raising=False)
    assert Device() == Device("cpu")
    monkeypatch.setenv("MINILLM_DEVICE", "abacus")
    with pytest.raises(ValueError, match="'abacus'"):
        Device()


def test_cuda_without_cupy_gives_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RuntimeError, match=r"needs CuPy.*pip install 'minillm\[cuda13\]'"):
        Device("cuda")


def fake_cupy(answer):
    """CuPy as it looks when its import succeeds: the runtime knows whether there is a GPU."""
    cupy = types.ModuleType("cupy")
    cupy.__version__ = "14.2.0"

    def get_device_count():
        if isinstance(answer, Exception):
            raise answer
        return answer

    cupy.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(getDeviceCount=get_device_count)
    )
    return cupy


def test_cuda_without_a_driver_says_so(monkeypatch):
    driver = RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(driver))
    with pytest.raises(RuntimeError, match=r"no usable GPU \(cudaErrorInsufficientDriver.*driver"):
        Device("cuda")


def test_cuda_without_a_visible_gpu_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(0))
    with pytest.raises(RuntimeError, match="CUDA_VISIBLE_DEVICES"):
        Device("cuda")


def test_a_gpu_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(1))
    with pytest.raises(ValueError, match="'cuda:3' does not exist: there are 1"):
        Device("cuda:3")


def test_the_doors_do_not_copy_on_the_host():
    x = np.zeros(3)
    assert to_device(x, "cpu") is x
    assert to_numpy(x) is x


def test_scatter_add_adds_up_what_repeats(rng):
    index = np.array([3, 0, 3, 3, 1])
    values = rng.standard_normal((5, 2))
    expected = np.zeros((7, 2))
    for i, value in zip(index, values, strict=True):
        expected[i] += value
    found = np.zeros((7, 2))
    scatter_add(found, index, values)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_scatter_add_of_nothing_changes_nothing():
    target = np.ones((2, 3))
    scatter_add(target, np.zeros(0, int), np.zeros((0, 3)))
    assert (target == 1).all()


@pytest.mark.parametrize("value", [[[1, 2], [3]], ["a"], {"a": 1}, "abc"])
def test_what_is_not_numbers_does_not_become_an_array(value):
    with pytest.raises(ValueError, match="become an array"):
        from_python(value)
