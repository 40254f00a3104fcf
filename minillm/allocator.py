"""What the C library does with freed memory, asked of glibc on Linux; elsewhere nothing happens.

A training step frees its large temporaries and asks for the same sizes again in the next step.  By
default glibc gives large blocks back to the kernel at once, and every new one is cleared page by page
on first touch, which for elementwise operations costs more than the arithmetic.  Told to keep freed
memory, it hands the same, warm pages out again: training becomes about a tenth faster.  `fit` and the
command line ask for it when they start; importing minillm never does.  MINILLM_MALLOPT=0 switches it
off.

Loading a model is the opposite case.  What it frees never comes back in the same sizes, and lies
between blocks that stay, where glibc keeps it: for SmolLM2 90 MB beside 540 MB of weights.
"""

import ctypes
import os
import sys
from collections.abc import Callable

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
LIMIT = 1 << 30  # blocks up to 1 GiB come from the heap, and up to 1 GiB of free heap is kept


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory; True if it agreed, False elsewhere or if switched off.

    >>> keep_freed_memory() in (True, False)
    True
    """
    mallopt = None if os.environ.get("MINILLM_MALLOPT") == "0" else _of_glibc("mallopt")
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LIMIT)) and bool(mallopt(M_TRIM_THRESHOLD, LIMIT))


def return_freed_memory() -> bool:
    """Ask glibc to give freed memory to the system now; True if it had some, False also elsewhere.

    >>> return_freed_memory() in (True, False)
    True
    """
    trim = _of_glibc("malloc_trim")
    return trim is not None and bool(trim(0))


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function of the C library, or None where it has none of that name, such as musl."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
