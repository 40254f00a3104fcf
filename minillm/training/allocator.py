"""One setting of the C library that makes training about a tenth faster on Linux.

A training step frees its large temporaries and asks for the same sizes again in the next step.  By
default glibc gives large blocks back to the kernel at once, and every new one is cleared page by page
on first touch, which for elementwise operations costs more than the arithmetic.  Told to keep freed
memory, it hands the same, warm pages out again.

`fit` and the command line call this when they start; importing minillm never does.  MINILLM_MALLOPT=0
switches it off.
"""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
LIMIT = 1 << 30  # blocks up to 1 GiB come from the heap, and up to 1 GiB of free heap is kept


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory; True if it agreed, False elsewhere or if switched off.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if not sys.platform.startswith("linux") or os.environ.get("MINILLM_MALLOPT") == "0":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LIMIT)) and bool(mallopt(M_TRIM_THRESHOLD, LIMIT))
