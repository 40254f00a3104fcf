"""What the C library is asked to do with freed memory, seen in the size of a process."""

import subprocess
import sys

import pytest

from minillm import allocator

if allocator._of_glibc("malloc_trim") is None or not sys.platform.startswith("linux"):
    pytest.skip("only glibc takes these requests", allow_module_level=True)

HOLES = """
import re
import numpy as np
from minillm.allocator import return_freed_memory

def resident():  # MB
    status = open("/proc/self/status").read()
    return int(re.search(r"VmRSS:\\s*(\\d+)", status)[1]) / 1024

blocks = [np.ones(100_000, dtype=np.uint8) for _ in range(1000)]  # too small for pages of their own
blocks[:-1] = blocks[1:-1:2]  # the last one stays, so that the heap cannot shrink from its end
before = resident()
had_some = return_freed_memory()
print(before - resident(), had_some)
"""

STEPS = """
import resource
import numpy as np
from minillm.allocator import keep_freed_memory

def faults(steps):  # pages touched for the first time
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        np.ones(5_000_000)  # 40 MB, above what glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

agreed = keep_freed_memory()
faults(2)
print(faults(20), agreed)
"""


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    number, answer = done.stdout.split()
    return float(number), answer == "True"


def test_freed_memory_goes_back_to_the_system():
    released, had_some = run(HOLES)
    assert had_some
    assert 40 < released < 60  # every other of 1000 blocks of 0.1 MB


def test_freed_memory_is_kept_for_the_next_step():
    touched, agreed = run(STEPS)
    assert agreed
    assert touched < 100


def test_keeping_can_be_switched_off():
    touched, agreed = run(STEPS, MINILLM_MALLOPT="0")
    assert not agreed
    assert touched > 200  # 20 times 40 MB, in pages of 2 MB at most


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert allocator.keep_freed_memory() is False
    assert allocator.return_freed_memory() is False
