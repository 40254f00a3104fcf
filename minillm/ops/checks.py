"""Checks that every operation makes of its inputs, and the one sentence each failure gives.

A check that passes costs about a microsecond; a wrong shape or dtype that slips through costs a
student an evening.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any

FLOATING = "f"  # the dtype.kind of float16, float32 and float64
REAL = "biuf"  # those and integers and booleans: no complex numbers, which would lose their second part


def is_floating(x: Any) -> bool:
    """True for arrays with a floating dtype: the only ones that can carry a gradient."""
    dtype = getattr(x, "dtype", None)
    return dtype is not None and dtype.kind == FLOATING


def require_floating(operation: str, *, optional: Any = (), **arrays: Any) -> None:
    """All given arrays are floating and share one dtype; those named in `optional` may be None.

    Raises   TypeError that names the operation, the argument, both dtypes and the cast to write
    """
    first_name, first = "", None
    for name, array in arrays.items():
        dtype = getattr(array, "dtype", None)
        if dtype is None:
            if array is None and name in optional:
                continue
            cast = ": write numpy.asarray(...) or minillm.Tensor(...)"
            raise TypeError(
                f"{operation}: {name} must be an array, got {type(array).__name__}"
                f"{'' if array is None else cast}"
            )
        if dtype.kind != FLOATING:
            raise TypeError(
                f"{operation}: {name} must be floating, got {dtype}: write {name}.astype('float32')"
            )
        if first is None:
            first_name, first = name, dtype
        elif dtype != first:
            raise TypeError(
                f"{operation}: {first_name} is {first} but {name} is {dtype}: floating dtypes are "
                f"never mixed, write {name}.astype('{first}') (Tensors: {name}.to('{first}'))"
            )


def match_dtypes(
    operation: str, a: Any, b: Any, names: tuple[str, str] = ("a", "b")
) -> tuple[Any, Any]:
    """a and b for an arithmetic operation: equal float dtypes, an integer array cast to a float one.

    NumPy would turn float32 + int64 into float64.  Here the floating operand decides, as in
    PyTorch, and two different floating dtypes are an error.

    Raises   TypeError for that, and for what is neither an array of real numbers nor a number
    """
    a_dtype, b_dtype = getattr(a, "dtype", None), getattr(b, "dtype", None)
    if a_dtype is b_dtype and a_dtype is not None:
        return a, b
    for name, x, dtype in zip(names, (a, b), (a_dtype, b_dtype), strict=True):
        if isinstance(x, (int, float)) if dtype is None else dtype.kind in REAL:
            continue
        raise TypeError(
            f"{operation}: {name} must be an array of real numbers, or a number, got "
            f"{dtype or type(x).__name__}"
        )
    if a_dtype is None or b_dtype is None:
        return a, b
    if a_dtype.kind == FLOATING and b_dtype.kind == FLOATING:
        require_floating(operation, **dict(zip(names, (a, b), strict=True)))
    elif a_dtype.kind == FLOATING:
        b = b.astype(a_dtype)
    elif b_dtype.kind == FLOATING:
        a = a.astype(b_dtype)
    return a, b


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array, () for a scalar."""
    return getattr(x, "shape", ())


def require_broadcastable(operation: str, a: Any, b: Any) -> None:
    """Raise a ValueError that names the first pair of axes that neither agree nor are 1."""
    a_shape, b_shape = shape_of(a), shape_of(b)
    if a_shape == b_shape:
        return
    for offset, (m, n) in enumerate(zip(reversed(a_shape), reversed(b_shape), strict=False), 1):
        if m != n and m != 1 and n != 1:
            raise ValueError(
                f"{operation}: a {a_shape} and b {b_shape} do not broadcast: axis -{offset} has "
                f"{m} and {n} entries, and neither is 1"
            )


def normalize_axes(operation: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """An axis option (None, int or tuple) as a tuple of distinct axes in [0, ndim).

    Raises   ValueError for an axis that does not exist or is named twice; TypeError if not integer
    """
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    result = []
    for one in axes:
        if not isinstance(one, Integral) or isinstance(one, bool):
            raise TypeError(f"{operation}: axis must be an int or a tuple of ints, got {axis!r}")
        if not -ndim <= int(one) < ndim:
            raise ValueError(
                f"{operation}: axis {one} does not exist in an array with {ndim} axes "
                f"(use {-ndim} … {ndim - 1})"
                if ndim
                else f"{operation}: axis {one} does not exist: the array has no axes"
            )
        result.append(int(one) % ndim)
    if len(set(result)) != len(result):
        raise ValueError(f"{operation}: axis {axis!r} names the same axis twice")
    return tuple(result)


def require_boolean(
    operation: str, name: str, mask: Any, means: str = "True = may attend", write: str = ""
) -> None:
    """A mask must be boolean: True means visible.  0/1 or -inf/0 masks are ambiguous.

    means, write   what the sentence says of another boolean array: what True is, what to write
    """
    kind = getattr(mask, "dtype", type(mask).__name__)
    if getattr(kind, "kind", None) != "b":
        raise TypeError(
            f"{operation}: {name} must be a boolean array ({means}), got {kind}: write "
            + (write or f"{name} == 1 for a 1/0 mask, or {name} == 0 for an additive one")
        )


class IdError(IndexError, ValueError):
    """An id outside its table: an IndexError to Python, a ValueError to whoever validates input."""


def require_ids(
    operation: str, name: str, ids: Any, size: int, *, unless: int | None = None
) -> None:
    """All ids are integers in [0, size); the value `unless` (an ignore_index) passes too.

    NumPy would accept negative ids, and CuPy wraps ids that are too large: both would train on
    garbage without a word.

    Raises   TypeError if ids are not integers; IdError that names the first offending id and where
    """
    dtype = getattr(ids, "dtype", None)
    if dtype is None or dtype.kind not in "iu":
        raise TypeError(
            f"{operation}: {name} must be an integer array, got {dtype or type(ids).__name__}: "
            f"write {name}.astype('int64')"
        )
    wrong = (ids < 0) | (ids >= size)
    if unless is not None:
        wrong &= ids != unless
    if wrong.any():
        place = tuple(int(axis[0]) for axis in wrong.nonzero())
        found = int(ids[place])
        raise IdError(
            f"{operation}: {name}{list(place)} = {found} is outside 0 … {size - 1} "
            f"(there are {size} rows or classes)"
        )


HIDDEN_MASK_NAMES = (
    "mask attn_mask attention_mask src_mask tgt_mask memory_mask key_padding_mask "
    "src_key_padding_mask tgt_key_padding_mask memory_key_padding_mask"
).split()


def unknown_option(operation: str, name: str, known: Any) -> TypeError:
    """The TypeError for an option that does not exist; mask keywords are explained."""
    if name in HIDDEN_MASK_NAMES:
        right = "key_visible" if "padding" in name else "visible"
        if right not in known:
            right = "visible"
        return TypeError(
            f"{operation}: there is no {name}: masks here are boolean and called {right}, "
            f"True = may attend. Where True means hidden, write {right}=~{name}; "
            f"where 1 means visible, write {right}={name} == 1"
        )
    return TypeError(f"{operation}: unknown option {name!r}; it takes {', '.join(known)}")


def without_gradient(short: Callable) -> Callable:
    """Name a shorter forward, for calls that record nothing: same arguments, output and errors.

    It returns (output, ()), because there is nothing to save.
    """

    def decorate(forward: Callable) -> Callable:
        forward.short = short  # type: ignore[attr-defined]
        return forward

    return decorate


def gets_no_gradient(*names: str) -> Callable:
    """Mark array arguments of a forward as data, such as targets: their gradient is always None."""

    def mark(forward: Any) -> Any:
        forward.no_gradient = names
        return forward

    return mark


def keeps(kept: Callable) -> Callable:
    """Say what a backward reads of the saved values: kept(saved, needs), with the rest replaced.

    The engine calls it right after forward, so that an array that only the gradient of a frozen
    weight would need does not stay alive.
    """

    def mark(backward: Any) -> Any:
        backward.kept = kept
        return backward

    return mark


def straight_through(option: str) -> Callable:
    """Mark a forward whose backward, with this option on, is an estimate and not its derivative."""

    def mark(forward: Any) -> Any:
        forward.straight_through = option
        return forward

    return mark
