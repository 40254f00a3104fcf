"""Everything that is known about one wrong gradient, in the form in which the rules want it.

A backward pass is linear in grad_out.  So it *is* a matrix: with the outputs and the input as flat
vectors of M and n entries,

    grad_x = J^T grad_out                                                                  (1)

where J (M, n) is the Jacobian of forward.  The finite differences give J itself.  Calling the
checked backward with grad_out = e_o, one output entry at a time, gives the matrix B (M, n) that it
uses in place of J.  What is wrong with a backward pass is then a question about two matrices: is
B = 2 J?  B = J with its columns exchanged?  B = J plus a matrix of rank one in every row?
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ...backend import is_array, to_numpy
from ..inputs import unflatten

CLOSE = 1e-6  # two numbers are the same if they differ by less than this part of the largest one
LARGEST = 4_000_000  # entries of a Jacobian that is still built
MOST_CALLS = 3_000  # of backward, to build B


@dataclass
class Call:
    """One checked call of forward and backward: what all inputs have in common.

    names, inputs    of the arguments, in order
    outputs          the arrays that forward returned
    saved            what it saved (None if the check does not see it)
    options          of forward
    cotangents       (K, M): the random directions grad_out was drawn from
    pull_back        pull_back(grad_out as a flat vector) -> one gradient per argument
    saved_names      words for what it saved, from its docstring
    operation        name of the library's operation that forward is, or ""
    agreed, failed   inputs whose gradients were compared already
    shapes           words for the axes of an argument, from forward's docstring: {"q": "BHTD"}
    """

    names: list[str]
    inputs: list[Any]
    outputs: tuple[Any, ...]
    cotangents: np.ndarray
    pull_back: Callable[[np.ndarray], tuple]
    saved: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    saved_names: list[str] = field(default_factory=list)
    operation: str = ""
    shapes: dict[str, list[str]] = field(default_factory=dict)
    agreed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @cached_property
    def size(self) -> int:
        """M: the number of entries of all outputs."""
        return sum(math.prod(np.shape(out)) for out in self.outputs)

    @cached_property
    def matrices(self) -> list[np.ndarray | None]:
        """B for every argument: row o is what backward returns for grad_out = e_o."""
        matrices: list[np.ndarray | None] = []
        try:
            rows = [self.pull_back(unit) for unit in np.eye(self.size)]
        except Exception:  # a student's backward that cannot take this grad_out: no matrix then
            return [None] * len(self.inputs)
        if any(len(row) != len(self.inputs) for row in rows):
            return [None] * len(self.inputs)
        for i, x in enumerate(self.inputs):
            grads = [row[i] for row in rows]
            fits = is_array(x) and all(_is_gradient(g, np.shape(x)) for g in grads)
            matrices.append(np.stack([np.ravel(g) for g in grads]) if fits and grads else None)
        return matrices

    @cached_property
    def arrays(self) -> list[tuple[str, np.ndarray]]:
        """Floating and boolean arrays at hand, with the names a reader would give them."""
        found: list[tuple[str, np.ndarray]] = []
        for label, array in self._everything():
            if array.dtype.kind in "fb" and not any(_equal(array, old) for _, old in found):
                found.append((label, array.astype(np.float64)))
        return found

    @cached_property
    def integers(self) -> list[tuple[str, np.ndarray]]:
        """Integer arrays at hand: ids, targets, indices."""
        return [(n, a) for n, a in self._everything() if a.dtype.kind in "iu" and a.ndim]

    def _everything(self) -> list[tuple[str, np.ndarray]]:
        found = [
            (n, to_numpy(x)) for n, x in zip(self.names, self.inputs, strict=True) if is_array(x)
        ]
        several = len(self.outputs) > 1
        for j, out in enumerate(self.outputs):
            found.append((f"out[{j}]" if several else "out", np.asarray(out)))
        found += list(_leaves(self.options, ""))
        values = self.saved if isinstance(self.saved, (tuple, list)) else (self.saved,)
        for i, value in enumerate(values):
            name = self.saved_names[i] if i < len(self.saved_names) else f"saved[{i}]"
            found += list(_leaves(value, name))
        return found

    def split_outputs(self, flat: np.ndarray) -> tuple[np.ndarray, ...]:
        """A flat vector over all outputs, as one array for each."""
        return unflatten(flat, self.outputs)


def _is_gradient(g: Any, shape: tuple[int, ...]) -> bool:
    """True for a finite real array of this shape."""
    real = g is not None and np.asarray(g).dtype.kind in "biuf"
    return real and np.shape(g) == shape and bool(np.isfinite(g).all())


def _leaves(value: Any, name: str) -> Any:
    """(name, array) of every array in nested tuples, lists and dicts."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, f"{name}[{key!r}]" if name else str(key))
    elif isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            yield from _leaves(part, f"{name}[{i}]")
    elif is_array(value):
        yield name, to_numpy(value)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=True))


@dataclass
class Mismatch:
    """One input whose gradient is wrong, with everything the rules ask about it.

    analytic   (K, *shape) what backward returned; numeric (K, *shape) the truth, NaN if unknown
    jacobian   (M, n) the truth for all outputs, or None if it would be too large
    """

    call: Call
    index: int
    analytic: np.ndarray
    numeric: np.ndarray
    jacobian: np.ndarray | None
    tolerance: float

    @property
    def name(self) -> str:
        """Name of the input."""
        return self.call.names[self.index]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the input."""
        return self.numeric.shape[1:]

    @cached_property
    def known(self) -> np.ndarray:
        """(n,) True for entries whose true gradient is known."""
        return np.isfinite(self.numeric).all(axis=0).reshape(-1)

    @cached_property
    def A(self) -> np.ndarray:
        """(K, known): what backward returned."""
        return self.analytic.reshape(len(self.analytic), -1)[:, self.known]

    @cached_property
    def N(self) -> np.ndarray:
        """(K, known): the truth."""
        return self.numeric.reshape(len(self.numeric), -1)[:, self.known]

    @cached_property
    def has_matrices(self) -> bool:
        """True if J and B can be had."""
        if self.jacobian is None or self.call.size > MOST_CALLS:
            return False
        return bool(self.known.any()) and self.call.matrices[self.index] is not None

    @cached_property
    def J(self) -> np.ndarray:
        """(M, known): the true Jacobian, cleaned of the noise of the finite differences."""
        assert self.jacobian is not None
        return _clean(self.jacobian[:, self.known])

    @cached_property
    def B(self) -> np.ndarray:
        """(M, known): the matrix that the checked backward uses."""
        matrix = self.call.matrices[self.index]
        assert matrix is not None
        return _clean(matrix[:, self.known])

    @cached_property
    def D(self) -> np.ndarray:
        """B - J: what is wrong, with differences below CLOSE taken for nothing."""
        difference = self.B - self.J
        small = CLOSE * max(np.abs(self.J).max(initial=0.0), np.abs(self.B).max(initial=0.0))
        return np.where(np.abs(difference) > small, difference, 0.0)

    @cached_property
    def places(self) -> np.ndarray:
        """(known, ndim) the index of each column of J in the input."""
        return np.argwhere(np.ones(self.shape, bool)).reshape(-1, len(self.shape))[self.known]

    @cached_property
    def out_places(self) -> list[np.ndarray]:
        """For each output, (size, ndim) the index of each of its rows of J."""
        return [np.argwhere(np.ones(np.shape(o), bool)) for o in self.call.outputs]

    @cached_property
    def rows(self) -> list[slice]:
        """For each output, its rows of J."""
        ends = np.cumsum([0, *(math.prod(np.shape(o)) for o in self.call.outputs)])
        return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]


def _clean(matrix: np.ndarray) -> np.ndarray:
    """A copy in which what is nothing but rounding is 0."""
    small = 1e-9 * np.abs(matrix).max(initial=0.0)
    return np.where(np.abs(matrix) > small, matrix, 0.0)


def same(a: np.ndarray, b: np.ndarray, tolerance: float = CLOSE) -> bool:
    """True if two arrays agree to CLOSE of their largest entry (and are not both zero)."""
    if a.shape != b.shape:
        return False
    largest = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    return bool(largest > 0 and np.abs(a - b).max(initial=0.0) <= tolerance * largest)


def proportional(a: np.ndarray, b: np.ndarray) -> float | None:
    """c with a = c b, or None."""
    norm = float(np.vdot(b, b))
    if norm == 0:
        return None
    factor = float(np.vdot(b, a)) / norm
    return factor if factor != 0 and same(a, factor * b) else None
