"""What `debug()` watches: changed arrays, the first NaN, and which module made a call.

All of it costs time, so it runs only inside `with minillm.debug():`.  The engine calls
`watch_forward` after each operation and `compare_prints` before each backward.

`recording()` uses the same hook to write down the calls of a model (gradcheck/calls.py).
"""

import contextlib
import itertools
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .backend import array_module, is_array, to_numpy
from .ops.checks import is_floating

debugging = False
module_stack: list[Any] = []  # the modules being called, outermost first
recorder: Callable[[Any, list, tuple, dict], None] | None = None  # see recording()


@contextlib.contextmanager
def debug() -> Iterator[None]:
    """Within this block every operation is watched, at about half the speed.

    - The first operation that turns finite numbers into NaN or Inf, forward or backward, raises a
      FloatingPointError with its name and the module that called it.
    - An array that forward saved and somebody changed before backward raises a RuntimeError that
      names the operation, the argument and its shape.

    >>> import minillm
    >>> import minillm.functional as F
    >>> with minillm.debug():
    ...     _ = F.exp(minillm.Tensor([1.0]))
    """
    global debugging
    previous, debugging = debugging, True
    try:
        yield
    finally:
        debugging = previous


@contextlib.contextmanager
def recording(tell: Callable[[Any, list, tuple, dict], None]) -> Iterator[None]:
    """Within this block tell(node, inputs, outputs, options) hears of every call of an operation.

    Calls without a gradient are told too.  Nothing is checked here: a recorded call may give NaN.
    """
    global debugging, recorder
    previous = debugging, recorder
    debugging, recorder = True, tell
    try:
        yield
    finally:
        debugging, recorder = previous


def arrays_in(saved: Any) -> list[Any]:
    """All arrays in a saved value, tuples opened."""
    if isinstance(saved, (tuple, list)):
        return [array for part in saved for array in arrays_in(part)]
    return [saved] if is_array(saved) else []


def fingerprint(array: Any) -> int:
    """A checksum of the bytes of an array."""
    return zlib.crc32(np.ascontiguousarray(to_numpy(array)).reshape(-1).view(np.uint8))


def watch_forward(node: Any, values: list, outs: tuple, options: dict) -> None:
    """Remember who called and what was saved, and stop at the first NaN or Inf."""
    node.path = module_path(module_stack)
    if recorder is not None:
        recorder(node, values, outs, options)
        return
    for i, out in enumerate(outs):
        require_finite(
            node, out, values, f"output {i} of forward" if i else "the output of forward"
        )
    node.prints = []
    for number, array in enumerate(arrays_in(node.saved)):
        names = [node.op.argument(i) for i, value in enumerate(values) if value is array]
        names += ["its output" for out in outs if out is array]
        label = names[0] if names else f"saved array {number}"
        node.prints.append((label, array.shape, fingerprint(array)))


def compare_prints(node: Any) -> None:
    """Raise if an array that forward saved is not what it was."""
    for array, (label, shape, before) in zip(arrays_in(node.saved), node.prints, strict=True):
        if fingerprint(array) != before:
            raise RuntimeError(
                f"{node}: {label} of shape {shape} was changed in place between forward and "
                "backward, so its gradient would be wrong: work on a copy, x.data.copy()"
            )


def watch_backward(node: Any, grads: tuple, grad_out: tuple) -> None:
    """Stop at the first backward that makes NaN or Inf out of finite numbers."""
    for i, grad in enumerate(grads):
        what = f"the gradient of {node.op.argument(i)} from backward"
        require_finite(node, grad, (*grad_out, *arrays_in(node.saved)), what)


def require_finite(node: Any, array: Any, sources: Any, what: str) -> None:
    """Raise if array holds NaN or Inf although everything it was computed from is finite."""
    if not is_floating(array):
        return
    xp = array_module(array)
    finite = xp.isfinite(array)
    if finite.all() or not all(xp.isfinite(s).all() for s in sources if is_floating(s)):
        return
    index = tuple(int(axis[0]) for axis in xp.nonzero(~finite)) if array.ndim else ()
    raise FloatingPointError(
        f"{node}: {what}, of shape {array.shape}, is {float(array[index])} at {list(index)} "
        "although everything it was computed from is finite"
    )


def module_path(modules: list[Any]) -> str:
    """GPT2LMHeadModel.transformer.h.2.attn for a stack of modules, outermost first."""
    names = []
    for outer, inner in itertools.pairwise(modules):
        found = [name for name, module in outer.named_modules() if module is inner]
        names.append(found[0] if found else type(inner).__name__)
    return ".".join([type(modules[0]).__name__, *names]) if modules else ""
