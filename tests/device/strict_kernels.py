"""ElementwiseKernel and ReductionKernel of the stand-in: CuPy's rules, the processor's arithmetic.

    with_kernels(library)      the two classes; strict.namespace gets them in the fixture `fused`

The C that the library gives to these classes is compiled for the processor (compiled.py) and run on
the arrays.  As in CuPy, arrays broadcast; outputs have the full shape; each type parameter stands
for one dtype; Python numbers take the dtype of the arrays; host arrays are refused.
"""

from types import SimpleNamespace

import numpy as np

from . import compiled, strict


class Kernel:
    """What both have in common: the signature, the types, the host's copies of the arrays."""

    library = None  # a compiled.Library, set by with_kernels

    def __init__(self, *args, **options):
        text = strict.API["cupy.kernels"][self.cupy_name]
        strict.signature_of(text).bind(*args, **options)
        if options:
            raise NotImplementedError(f"the stand-in knows no options of kernels: {options}")
        self.recipe, self.name = args, args[-1]
        self.inputs, self.outputs = (compiled.parameters(part) for part in args[:2])
        if "i" in [name for _, name in self.inputs + self.outputs]:
            raise ValueError("Can not use 'i' as a parameter name")

    def _types(self, arguments):
        """The dtype of each parameter; T is that of the arrays, which must agree."""
        found = {kind: np.dtype(t) for kind, t in compiled.NUMPY_TYPES.items()}
        for (kind, name), argument in zip(self.inputs + self.outputs, arguments, strict=False):
            if isinstance(argument, strict.ndarray):
                expected = found.setdefault(kind, argument.dtype)
                if expected != argument.dtype:
                    raise TypeError(f"Type is mismatched. {name} {argument.dtype} {expected}")
        return [found[kind] for kind, _ in self.inputs + self.outputs], found["T"]

    def _check_count(self, arguments):
        count = len(self.inputs)
        if len(arguments) not in (count, count + len(self.outputs)):
            raise TypeError(f"Wrong number of arguments for {self.name!r}: {len(arguments)}")


class ElementwiseKernel(Kernel):
    """Bodies that are run for each entry."""

    cupy_name = "ElementwiseKernel"

    def __call__(self, *arguments):
        self._check_count(arguments)
        types, T = self._types(arguments)
        count = len(self.inputs)
        shape = np.broadcast_shapes(*(np.shape(strict.operand(a)) for a in arguments))
        given = [a._a for a in arguments[count:]]
        if any(array.shape != shape for array in given):
            raise ValueError("Out shape is mismatched")
        inputs = [
            np.array(np.broadcast_to(strict.operand(a), shape), dtype=dtype, order="C")
            for a, dtype in zip(arguments[:count], types, strict=False)
        ]
        if given:  # entries of outputs may be read before they are written
            outputs = [np.array(array, order="C") for array in given]
        else:
            outputs = [np.empty(shape, dtype) for dtype in types[count:]]
        if outputs[0].size:
            self.library.call(self.recipe, T, inputs, outputs)
            strict.counters.launches += 1
        for array, result in zip(given, outputs, strict=False):
            array[...] = result
        results = arguments[count:] if given else tuple(map(strict.ndarray, outputs))
        return results if len(results) > 1 else results[0]


class ReductionKernel(Kernel):
    """Sums along one axis."""

    cupy_name = "ReductionKernel"

    def __call__(self, *arguments, out=None, axis=None, keepdims=False, stream=None):
        self._check_count(arguments)
        if out is not None or len(arguments) != len(self.inputs) or not isinstance(axis, int):
            raise NotImplementedError("the stand-in reduces along one axis, into a new array")
        types, T = self._types(arguments)
        shape = np.broadcast_shapes(*(np.shape(strict.operand(a)) for a in arguments))
        rows = [
            np.array(
                np.moveaxis(np.broadcast_to(strict.operand(a), shape), axis, -1), dtype, order="C"
            )
            for a, dtype in zip(arguments, types, strict=False)
        ]
        result = np.empty(rows[0].shape[:-1], T)
        if result.size:
            self.library.call(self.recipe, T, rows, [result], length=shape[axis])
            strict.counters.launches += 1
        return strict.ndarray(np.expand_dims(result, axis) if keepdims else result)


def with_kernels(library):
    """The two classes, running what the library has compiled; `names` collects what was made."""
    names = []

    def noting(base):
        class Noting(base):
            def __call__(self, *arguments, **options):
                names.append(self.name.removeprefix("minillm_"))
                return super().__call__(*arguments, **options)

        Noting.library = library
        return Noting

    return SimpleNamespace(
        elementwise=noting(ElementwiseKernel), reduction=noting(ReductionKernel), names=names
    )
