"""Does backward differentiate numerically?  Count what runs while it runs.

A formula needs forward at most once or twice (to recompute what was not saved).  A numerical
derivative needs the value of forward at least once for every entry of the input, be it by a call of
forward, or by a copy of forward in a helper.  So two things are counted with sys.setprofile:

    calls of forward itself (of its code, whatever name it goes by)
    calls of any function of the student's that return nearly what forward returned, or nearly the
    loss <grad_out, out>: a copy of forward at a point that has been moved a little
"""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

NUMPY = str(Path(np.__file__).parent)  # whose own helpers are not the student's
RECOMPUTATIONS = 2  # calls of forward that a backward may make
NEAR = 1e-2  # a moved point changes the result by less than this


class CallCounter:
    """Counts the calls that matter while a `with` block runs.

    forward     calls of the student's forward
    lookalikes  calls that returned nearly the output, or nearly the loss
    library     names of minillm's own functions that were called from the student's file
    """

    def __init__(self, forward: Callable, out: Any, loss: float | None, library: str) -> None:
        self.code: CodeType | None = getattr(_unwrap(forward), "__code__", None)
        self.outs = [
            np.asarray(o, dtype=float) for o in (out if isinstance(out, tuple) else (out,))
        ]
        self.loss = loss
        self.folder = library
        self.forward = 0
        self.lookalikes: Counter[str] = Counter()
        self.library: Counter[str] = Counter()

    def __enter__(self) -> "CallCounter":
        self.before = sys.getprofile()
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: Any) -> None:
        sys.setprofile(self.before)

    def _event(self, frame: FrameType, event: str, value: Any) -> None:
        code = frame.f_code
        if event == "call":
            self.forward += code is self.code
            caller = frame.f_back
            if code.co_filename.startswith(self.folder) and caller is not None:
                if not caller.f_code.co_filename.startswith(self.folder):
                    self.library[code.co_name] += 1
        elif event == "return" and code is not self.code:
            foreign = code.co_filename.startswith((self.folder, NUMPY))
            if not foreign and self._looks_alike(value):
                self.lookalikes[code.co_name] += 1

    def _looks_alike(self, value: Any) -> bool:
        """True for nearly the output (alone or as the first of a tuple), or nearly the loss."""
        first = value[0] if isinstance(value, tuple) and value else value
        if not isinstance(first, (np.ndarray, float)):
            return False
        if self.loss is not None and np.ndim(first) == 0:
            if abs(float(first) - self.loss) <= NEAR * abs(self.loss):
                return True
        out = self.outs[0]
        if np.shape(first) != out.shape or np.asarray(first).dtype.kind != "f":
            return False
        return bool(np.abs(first - out).max(initial=0.0) <= NEAR * np.abs(out).max(initial=0.0))


def _unwrap(function: Any) -> Any:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def numeric_sentence(counter: CallCounter, name: str, entries: int, where: str) -> str:
    """What gives a numerical derivative away, as a sentence; "" if nothing does."""
    size = f"for inputs of {entries} entries"
    cure = "that is a numerical derivative: write the formula"
    if counter.forward > RECOMPUTATIONS:
        return f"{where} ran {name}_forward {counter.forward} times {size}; {cure}"
    for helper, count in counter.lookalikes.most_common(1):
        if count > max(RECOMPUTATIONS, entries // 2):
            return (
                f"{where} ran {helper} {count} times {size}, and each time it returned nearly "
                f"what forward does; {cure}"
            )
    return ""
