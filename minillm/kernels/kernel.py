"""What a kernel is: names of its arrays, a few lines of C, and CuPy's loop around them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backend import array_module


def usable(x: Any) -> bool:
    """True if kernels can run on this array: it lives on a GPU and holds float32 or float64.

    >>> import numpy as np
    >>> usable(np.zeros(3))
    False
    """
    xp = array_module(x)
    return xp is not np and hasattr(xp, "ElementwiseKernel") and x.dtype.itemsize >= 4


@dataclass(frozen=True)
class Elementwise:
    """The same lines of C for every entry of arrays that broadcast together.

    name              how the kernel is called in a profile
    inputs, outputs   "T x, T y": a type and a name for each argument, where T is float or double
    body              statements of C that assign the outputs; a number is T(0.5), because 0.5
                      alone is a double and would make a float32 kernel compute in float64

    A call takes the inputs, arrays or Python numbers, and gives new outputs.  Arrays that are given
    after the inputs are the outputs, and are changed in place.

    >>> twice = Elementwise("twice", "T x", "T out", "out = x + x;")
    >>> twice.recipe
    ('T x', 'T out', 'out = x + x;', 'minillm_twice')
    """

    name: str
    inputs: str
    outputs: str
    body: str
    _built: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def recipe(self) -> tuple[str, ...]:
        """The arguments of CuPy's ElementwiseKernel."""
        return self.inputs, self.outputs, self.body, f"minillm_{self.name}"

    def __call__(self, *arguments: Any) -> Any:
        """Run it on the arrays: CuPy compiles at the first call for each dtype."""
        make = array_module(*arguments).ElementwiseKernel
        if make not in self._built:
            self._built[make] = make(*self.recipe)
        return self._built[make](*arguments)


@dataclass(frozen=True)
class Reduction:
    """A sum along an axis, of a formula of the entries of arrays that broadcast together.

    name       how the kernel is called in a profile
    inputs     "T x, T y", as in Elementwise
    term       an expression of C: what is summed
    result     an expression of C for the result, where a is the sum

    >>> mean_square = Reduction("mean_square", "T x, T n", "x * x", "a / n")
    >>> mean_square.recipe
    ('T x, T n', 'T out', 'x * x', 'a + b', 'out = a / n', '0', 'minillm_mean_square')
    """

    name: str
    inputs: str
    term: str
    result: str = "a"
    _built: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def recipe(self) -> tuple[str, ...]:
        """The arguments of CuPy's ReductionKernel: a sum begins at 0 and adds pairs a + b."""
        name = f"minillm_{self.name}"
        return self.inputs, "T out", self.term, "a + b", f"out = {self.result}", "0", name

    def __call__(self, *arguments: Any, axis: int = -1) -> Any:
        """Sum along the axis, which stays with one entry."""
        make = array_module(*arguments).ReductionKernel
        if make not in self._built:
            self._built[make] = make(*self.recipe)
        return self._built[make](*arguments, axis=axis, keepdims=True)
