"""Does an operation give on a device what it gives on the CPU, forward and backward?

The CPU is held against numerical gradients; a device is held against the CPU.  Numbers may differ in
their last places, because a GPU adds in another order: a difference counts in units of the rounding
error, eps * (1 + |number|), of which LARGEST are forgiven.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Device, is_array, to_numpy
from .cases import Case

LARGEST = 300  # units of rounding error; sums of some hundred terms come to less


def each_array(value: Any, function: Callable) -> Any:
    """function(array) in place of every array, also inside tuples, lists and dicts."""
    if is_array(value):
        return function(value)
    if isinstance(value, (tuple, list)):
        return type(value)(each_array(part, function) for part in value)
    if isinstance(value, dict):
        return {key: each_array(part, function) for key, part in value.items()}
    return value


def flat(value: Any) -> list[Any]:
    """The entries of nested tuples, one after another."""
    if isinstance(value, (tuple, list)):
        return [entry for part in value for entry in flat(part)]
    return [value]


def run_case(case: Case, dtype: Any, put: Callable) -> tuple[Any, Any]:
    """(out, gradients) of a case with all its arrays carried over by `put`, floats in one dtype."""

    def carry(x: Any) -> Any:
        return put(x.astype(dtype) if x.dtype.kind == "f" else x)

    inputs = each_array(case.inputs, carry)
    options = each_array(copy.deepcopy(case.options), carry)
    out, saved = case.forward(*inputs, **options)
    out = as_arrays(out)
    rng = np.random.default_rng(11)
    cotangents = each_array(out, lambda o: put(rng.standard_normal(o.shape).astype(dtype)))
    return out, as_arrays(case.backward(cotangents, saved))


def as_arrays(value: Any) -> Any:
    """NumPy's scalars, which the host gives where a device gives 0-d arrays, as arrays."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(as_arrays, value))
    return np.asarray(value) if isinstance(value, np.generic) else value


def difference(case: Case, device: Device, dtype: Any = np.float32) -> float:
    """The largest difference to the CPU in units of rounding error; inf for another dtype or shape.

    >>> from minillm.gradcheck.cases import cases
    >>> difference(cases("softmax")[0], Device("cpu"))
    0.0
    """
    host, found = run_case(case, dtype, np.asarray), run_case(case, dtype, device.put)
    worst = 0.0
    for a, b in zip(flat(found), flat(host), strict=True):
        if not is_array(b):
            continue
        if not is_array(a) or (a.dtype, a.shape) != (b.dtype, b.shape):
            return float("inf")
        if b.size == 0:
            continue
        a = to_numpy(a)
        unit = np.finfo(b.dtype).eps * (1 + np.abs(b)) if b.dtype.kind == "f" else 1
        same = (a == b) | (np.isnan(a) & np.isnan(b)) if b.dtype.kind == "f" else a == b
        gap = np.where(same, 0.0, np.abs(a - b.astype(a.dtype)) / unit)
        worst = max(worst, float(np.nan_to_num(gap, nan=np.inf).max()))
    return worst
