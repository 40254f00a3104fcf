"""Fixtures: the devices on which a test runs.

    dev    "cpu", "strict" (the stand-in of strict.py) and "cuda"
    xp     the array library of "strict" and "cuda": what is true of CuPy and not of NumPy

Without a GPU the "cuda" variants are skipped, and the reason says what is missing.
"""

import pytest

from minillm import Device

from . import strict

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


@pytest.fixture
def counters():
    """The counters of the stand-in, at zero."""
    strict.counters.reset()
    return strict.counters
