"""Shaping: reshape, transpose, getitem, split, concatenate.

These operations move numbers without changing them: out = P x, where P is a matrix of zeros and
ones (for a concatenation, of stacked blocks).  The gradient goes back through the transpose of the
Jacobian (Goodfellow, Bengio & Courville 2016, Deep Learning, eq. 6.46), which is P itself,

    grad_x = P^T grad_out                                                                 (1)

which moves every number back to where it came from, and adds them up where one entry of x was
taken several times (getitem with a repeated index).
Check: tests/ops/test_shaping.py    Notebook: notebooks/01_arrays.ipynb
"""

from numbers import Integral

from ..arguments import is_whole
from ..backend import array_module, is_array, scatter_add
from .checks import is_floating, normalize_axes


def reshape_forward(x, *, shape):
    """The same entries in another shape; one size may be -1 and is worked out.

    Shapes   x: any -> shape, with as many entries
    Dtype    any, kept
    Saves    nothing but the shape of x
    Raises   ValueError if the number of entries differs

    >>> import numpy as np
    >>> reshape_forward(np.array([1.0, 2.0, 3.0, 4.0]), shape=(2, -1))[0]
    array([[1., 2.],
           [3., 4.]])
    """
    array_module(x)
    try:
        return x.reshape(shape), (x.shape,)
    except ValueError:
        raise ValueError(
            f"reshape: x {x.shape} with {x.size} entries does not fit into shape {shape}"
        ) from None


def reshape_backward(grad_out, saved):
    """Gradient w.r.t. x: grad_out in the shape of x, by (1)."""
    (shape,) = saved
    return (grad_out.reshape(shape),)


def transpose_forward(x, *, axes=None):
    """The axes in another order, reversed by default.

    Shapes   x (n_0, n_1, ...) -> (n_axes[0], n_axes[1], ...)
    Dtype    any, kept
    Saves    nothing but the order that undoes this one
    Raises   ValueError if axes is not an order of all axes of x

    >>> import numpy as np
    >>> transpose_forward(np.zeros((2, 3, 5)), axes=(1, 2, 0))[0].shape
    (3, 5, 2)
    """
    array_module(x)
    axes = reversed(range(x.ndim)) if axes is None else axes
    axes = (axes,) if isinstance(axes, Integral) else tuple(axes)
    order = normalize_axes("transpose", axes, x.ndim)
    if len(order) != x.ndim:
        raise ValueError(f"transpose: axes {axes} must order all {x.ndim} axes of x {x.shape}")
    inverse = tuple(order.index(i) for i in range(x.ndim))
    return x.transpose(order), (inverse,)


def transpose_backward(grad_out, saved):
    """Gradient w.r.t. x: the axes put back, by (1) (the inverse order is P^T)."""
    (inverse,) = saved
    return (grad_out.transpose(inverse),)


def getitem_forward(x, *, index):
    """x[index], with everything NumPy allows: integers, slices, None, ..., masks, integer arrays.

    Shapes   x: any -> whatever x[index] is
    Dtype    any, kept
    Saves    nothing but the shape, the dtype and the index
    Raises   IndexError if the index does not exist, naming x and its shape

    >>> import numpy as np
    >>> getitem_forward(np.array([10.0, 20.0, 30.0]), index=np.array([2, 0, 2]))[0]
    array([30., 10., 30.])
    """
    array_module(x)
    try:
        out = x[index]
    except IndexError as error:
        raise IndexError(f"getitem: x {x.shape} cannot be indexed by {index!r}: {error}") from None
    return out, (x.shape, x.dtype, index)


def getitem_backward(grad_out, saved):
    """Gradient w.r.t. x, by (1): zeros, with grad_out added where each entry was taken."""
    shape, dtype, index = saved
    xp = array_module(grad_out)
    grad_x = xp.zeros(shape, dtype=dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, (list, tuple)) or getattr(part, "ndim", 0) for part in parts):
        # an index array may name an entry twice: number the entries and scatter
        size = grad_x.size
        numbers = xp.arange(size).reshape(shape)[index].reshape(-1)
        scatter_add(grad_x.reshape(-1), numbers, grad_out.reshape(-1))
    else:
        grad_x[index] = grad_out
    return (grad_x,)


def split_forward(x, *, sections, axis):
    """Cut an axis into pieces: the inverse of concatenate.

    Shapes   x (..., n, ...) -> for an int, `sections` pieces (..., n / sections, ...); for a
             sequence, pieces that end at these positions, as in numpy.split
    Dtype    any, kept
    Saves    nothing but the axis and the shape of each piece
    Raises   ValueError if the axis does not exist, n is not divisible, or positions do not ascend;
             TypeError if sections are not integers

    >>> import numpy as np
    >>> split_forward(np.array([1.0, 2.0, 3.0, 4.0]), sections=2, axis=0)[0]
    (array([1., 2.]), array([3., 4.]))
    """
    xp = array_module(x)
    (axis,) = normalize_axes("split", (axis,), x.ndim)
    n = x.shape[axis]
    if is_whole(sections):
        if sections < 1 or n % sections:
            raise ValueError(
                f"split: axis {axis} of x {x.shape} has {n} entries, "
                f"which cannot be cut into {sections} equal sections"
            )
    else:
        sections = _positions(sections)
        if sections != sorted(sections) or any(not 0 <= p <= n for p in sections):
            raise ValueError(f"split: positions {sections} must ascend within 0 … {n}")
    pieces = tuple(xp.split(x, sections, axis=axis))  # views: nothing is copied
    return pieces, (axis,)


def _positions(sections):
    """A sequence of integers as a list of Python's."""
    try:
        positions = list(sections)
    except TypeError:  # a number that is no integer, None, an array without axes
        positions = [sections]
    if not all(map(is_whole, positions)):
        raise TypeError(
            f"split: sections must be an integer, or a sequence of integers, got {sections!r}"
        )
    return [int(position) for position in positions]


def split_backward(grad_out, saved):
    """Gradient w.r.t. x: the gradients of the pieces put together again, by (1)."""
    (axis,) = saved
    xp = array_module(*grad_out)
    return (xp.concatenate(grad_out, axis=axis),)


def concatenate_forward(*arrays, axis):
    """Arrays joined end to end along an axis: one after the other, or all of them in one list.

    Shapes   (..., n_1, ...), (..., n_2, ...), ... equal elsewhere -> (..., n_1 + n_2 + ..., ...)
    Dtype    equal, kept
    Saves    nothing but the axis, the positions where the arrays meet and which are floating
    Raises   ValueError if there is no array or shapes differ elsewhere; TypeError if dtypes differ,
             or something is not an array

    >>> import numpy as np
    >>> concatenate_forward(np.array([1.0]), np.array([2.0, 3.0]), axis=0)[0]
    array([1., 2., 3.])
    """
    if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)):
        (arrays,) = arrays
    xp = array_module(*arrays)
    if not arrays:
        raise ValueError("concatenate: at least one array is needed")
    for number, array in enumerate(arrays):
        if not is_array(array):
            raise TypeError(
                f"concatenate: array {number} must be an array, got {type(array).__name__}: write "
                "the arrays one after the other, or in one list, and the axis as axis=..."
            )
    first = arrays[0]
    (axis,) = normalize_axes("concatenate", (axis,), first.ndim)
    rest = (*first.shape[:axis], *first.shape[axis + 1 :])
    ends, position = [], 0
    for number, array in enumerate(arrays):
        if array.dtype != first.dtype:
            raise TypeError(
                f"concatenate: array 0 is {first.dtype} but array {number} is {array.dtype}: "
                f"cast it with .astype('{first.dtype}')"
            )
        if array.ndim != first.ndim or (*array.shape[:axis], *array.shape[axis + 1 :]) != rest:
            raise ValueError(
                f"concatenate: array 0 {first.shape} and array {number} {array.shape} "
                f"must agree on every axis but {axis}"
            )
        position += array.shape[axis]
        ends.append(position)
    return xp.concatenate(arrays, axis=axis), (axis, ends[:-1], is_floating(first))


def concatenate_backward(grad_out, saved):
    """Gradients w.r.t. each array: its own piece of grad_out, by (1)."""
    axis, ends, floating = saved
    xp = array_module(grad_out)
    pieces = xp.split(grad_out, ends, axis=axis)
    return tuple(pieces) if floating else (None,) * len(pieces)
