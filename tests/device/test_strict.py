"""What CuPy code may and may not do, as a contract that the stand-in and a real GPU must both keep.

Tests that take `xp` hold for CuPy itself and run on a GPU where there is one.  Those that take
`strict_xp` are the rules in which the stand-in is stricter, and its counters.
"""

import copy
import math
import pickle

import numpy as np
import pytest

from minillm import Tensor
from minillm.backend import array_module, beside, scatter_add

from .strict import UpcastError


def upload(xp, rng, *shape, dtype=np.float32):
    return xp.asarray(rng.standard_normal(shape).astype(dtype))


# ------------------------------------------------------------------- names and signatures

MISSING = """errstate seterr geterr einsum_path insert block bmat frompyfunc geomspace nditer
ndenumerate vecdot matvec spacing nanpercentile histogram_bin_edges""".split()


@pytest.mark.parametrize("name", MISSING)
def test_names_that_cupy_lacks_are_missing(xp, name):
    with pytest.raises(AttributeError, match=name):
        getattr(xp, name)


@pytest.mark.parametrize(
    "name", ["__index__", "__contains__", "__array_interface__", "ctypes", "resize", "setflags"]
)
def test_attributes_that_cupy_arrays_lack_are_missing(xp, name):
    assert hasattr(np.ndarray, name)
    assert not hasattr(xp.zeros(2), name)


WRONG_ARGUMENTS = {
    "ufunc where": lambda xp, x: xp.exp(x, where=x > 0),
    "ufunc order": lambda xp, x: xp.add(x, x, order="C"),
    "ufunc subok": lambda xp, x: xp.add(x, x, subok=False),
    "sum where": lambda xp, x: xp.sum(x, where=x > 0),
    "sum initial": lambda xp, x: xp.sum(x, initial=0.0),
    "method where": lambda xp, x: x.sum(where=x > 0),
    "max initial": lambda xp, x: x.max(initial=-1.0),
    "mean where": lambda xp, x: x.mean(axis=0, where=x > 0),
    "einsum out": lambda xp, x: xp.einsum("ij->i", x, out=xp.zeros(3)),
    "argpartition kind": lambda xp, x: xp.argpartition(x, 1, kind="introselect"),
    "take mode": lambda xp, x: x.take(xp.asarray([0]), mode="clip"),
}


@pytest.mark.parametrize("case", WRONG_ARGUMENTS)
def test_arguments_that_cupy_lacks_are_refused(xp, rng, case):
    with pytest.raises(TypeError):
        WRONG_ARGUMENTS[case](xp, upload(xp, rng, 3, 5))


def test_only_addition_has_reduceat(xp):
    x, starts = xp.arange(5, dtype=np.float32), xp.asarray([0, 2])
    assert xp.add.reduceat(x, starts).get().tolist() == [1.0, 9.0]
    with pytest.raises(NotImplementedError):
        xp.maximum.reduceat(x, starts)


# --------------------------------------------------------------------- host and device apart

IMPLICIT_COPIES = {
    "asarray": np.asarray,
    "array": lambda x: np.array([x, x]),
    "a host array's index": lambda x: np.arange(15)[x.argmax()],
    "a list's index": lambda x: list("abcdefghijklmno")[x.argmax()],
    "range": lambda x: range(x.argmax()),
    "slice": lambda x: x[: x.argmax()],
    "assignment to the host": lambda x: np.zeros(5).__setitem__(slice(None), x[0]),
}


@pytest.mark.parametrize("case", IMPLICIT_COPIES)
def test_nothing_comes_to_the_host_by_accident(xp, rng, case):
    with pytest.raises(TypeError):
        IMPLICIT_COPIES[case](upload(xp, rng, 3, 5))


def test_the_refusal_names_the_way_out(xp):
    with pytest.raises(
        TypeError, match=r"Implicit conversion to a NumPy array is not allowed.*get"
    ):
        np.asarray(xp.zeros(2))


MIXTURES = {
    "device + host": lambda xp, x, h: x + h,
    "host + device": lambda xp, x, h: h + x,
    "host @ device": lambda xp, x, h: h.T @ x,
    "in place": lambda xp, x, h: x.__iadd__(h),
    "comparison": lambda xp, x, h: x > h,
    "ufunc": lambda xp, x, h: xp.add(x, h),
    "ufunc with a list": lambda xp, x, h: xp.maximum(x, [1.0] * 5),
    "where": lambda xp, x, h: xp.where(h > 0, x, 0),
    "concatenate": lambda xp, x, h: xp.concatenate([x, h]),
    "sum": lambda xp, x, h: xp.sum(h),
    "numpy out": lambda xp, x, h: xp.exp(x, out=h),
    "host out": lambda xp, x, h: np.exp(h, out=x),
}


@pytest.mark.parametrize("case", MIXTURES)
def test_host_arrays_do_not_go_into_device_calls(xp, rng, case):
    host = rng.standard_normal((3, 5)).astype(np.float32)
    with pytest.raises((TypeError, AttributeError)):
        MIXTURES[case](xp, xp.asarray(host), host)


def test_host_arrays_are_not_assigned(xp, rng):
    x = upload(xp, rng, 3, 5)
    with pytest.raises((TypeError, ValueError)):
        x[...] = np.ones((3, 5), np.float32)


def test_the_library_refuses_mixtures_with_advice(xp):
    with pytest.raises(TypeError, match=r"mixed: move all of them to one device"):
        array_module(np.zeros(2), xp.zeros(2))
    with pytest.raises(TypeError, match="mixed"):
        beside(xp.zeros(2), np.zeros(2))
    host = np.zeros(2)
    assert beside(host, host) is host
    assert type(beside(host, xp.zeros(3))) is xp.ndarray
    assert array_module(xp.zeros(2), 1.0, None) is xp


# -------------------------------------------------------------------------- 0-d arrays, views


@pytest.mark.parametrize(
    "make",
    [
        lambda xp, x: x.sum(),
        lambda xp, x: xp.mean(x),
        lambda xp, x: x.max(),
        lambda xp, x: x[1, 2],
        lambda xp, x: xp.vdot(x, x),
        lambda xp, x: x.argmax(),
        lambda xp, x: (x > 0).all(),
        lambda xp, x: xp.array_equal(x, x),
        lambda xp, x: xp.exp(x.sum()),
        lambda xp, x: xp.sqrt(2.0),
    ],
)
def test_single_numbers_stay_on_the_device(xp, rng, make):
    number = make(xp, upload(xp, rng, 3, 5))
    assert type(number) is xp.ndarray
    assert number.shape == ()


def test_one_entry_of_an_array_is_a_view_of_it(xp):
    x = xp.zeros(3, dtype=np.float32)
    first = x[0]
    first += 2
    assert x.get().tolist() == [2, 0, 0]


def test_numbers_can_be_read(xp):
    x = xp.asarray(np.array(2.5, np.float32))
    assert (float(x), int(x), bool(x), x.item(), x.tolist()) == (2.5, 2, True, 2.5, 2.5)
    with pytest.raises((TypeError, ValueError)):
        float(xp.zeros(2))


def test_copies_and_pickles_are_arrays_of_their_own(xp, rng):
    x = upload(xp, rng, 3)
    for other in (x.copy(), copy.deepcopy(x), pickle.loads(pickle.dumps(x)), xp.array(x)):
        assert type(other) is xp.ndarray
        before = x.get()
        other += 1
        np.testing.assert_array_equal(x.get(), before)


def test_tensors_take_part_in_operators_from_the_left(xp):
    result = xp.ones(2, dtype=np.float32) + Tensor(xp.ones(2, dtype=np.float32))
    assert isinstance(result, Tensor)
    assert result.numpy().tolist() == [2.0, 2.0]


def test_numbers_of_python_do_not_change_a_dtype(xp):
    x = xp.ones(2, dtype=np.float32)
    for y in (x * 2.0, 1 / x, x**2, x + True, xp.maximum(x, 0.5), xp.where(x > 0, x, 0.0)):
        assert y.dtype == np.float32


# ------------------------------------------------------------------------ right code passes


def attention_block(xp, x, weight, ids):
    """Plain code of the kind that the library is made of, with its gradient by hand."""
    T = x.shape[0]
    scores = x @ x.T / math.sqrt(x.shape[1])
    xp.copyto(scores, -math.inf, where=~xp.tri(T, dtype=bool))
    scores -= scores.max(axis=-1, keepdims=True)
    p = xp.exp(scores, out=scores)
    p /= p.sum(axis=-1, keepdims=True)
    y = xp.clip(xp.concatenate([p @ x, xp.take(weight, ids, axis=0)], axis=-1), -2.0, 2.0)
    y[xp.arange(T), ids] -= 1
    table = xp.zeros_like(weight)
    scatter_add(table, ids, y[:, : weight.shape[1]])
    xp.add.at(table, ids, y[:, : weight.shape[1]])
    parts = xp.split(y.reshape(T, 2, -1).swapaxes(0, 1), 2, axis=0)
    order = xp.argsort(x[0], kind="stable")
    return y, table, parts[1], xp.stack([y.mean(), y.var()]), xp.cumsum(x, axis=0)[:, order]


def test_right_code_gives_the_numbers_of_numpy(xp, rng):
    x, weight = rng.standard_normal((4, 6)), rng.standard_normal((5, 6))
    ids = np.array([3, 0, 3, 1])
    host = attention_block(np, x, weight, ids)
    device = attention_block(xp, *map(xp.asarray, (x, weight, ids)))
    for a, b in zip(device, host, strict=True):
        assert type(a) is xp.ndarray
        np.testing.assert_allclose(a.get(), b, rtol=1e-12, atol=1e-12)


# ------------------------------------------------------- where the stand-in is stricter


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (np.exp, "exp"),
        (lambda x: np.multiply(x, 2.0), "multiply"),
        (lambda x: np.float64(0.5) * x, "multiply"),
        (np.sum, "sum"),
        (np.zeros_like, "zeros_like"),
        (lambda x: np.concatenate([x, x]), "concatenate"),
        (lambda x: np.where(x, x, x), "where"),
    ],
)
def test_numpy_functions_are_refused(strict_xp, rng, call, name):
    with pytest.raises(TypeError, match=f"numpy.{name} called on a device array: use xp.{name}"):
        call(upload(strict_xp, rng, 2, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda xp, x: x / np.sqrt(5),
        lambda xp, x: x * np.float64(2),
        lambda xp, x: x + xp.zeros(5),
        lambda xp, x: x * xp.arange(5),
        lambda xp, x: x @ xp.ones((5, 1)),
        lambda xp, x: xp.where(x > 0, x, xp.zeros(())),
        lambda xp, x: xp.concatenate([x, xp.zeros((1, 5))]),
        lambda xp, x: x.__imul__(xp.ones(5)),
        lambda xp, x: xp.arange(5) / 5,
        lambda xp, x: (x > 0).mean(),
        lambda xp, x: (x > 0) * 0.5,
    ],
)
def test_float64_by_accident_is_refused(strict_xp, rng, call):
    with pytest.raises(UpcastError, match="float64"):
        call(strict_xp, upload(strict_xp, rng, 3, 5))


def test_float64_on_purpose_is_not(strict_xp, rng):
    x = upload(strict_xp, rng, 3, 5)
    assert (x.astype(np.float64) * 2.0).dtype == np.float64
    assert x.sum(dtype=np.float64).dtype == np.float64
    assert strict_xp.asarray(x, dtype=np.float64).dtype == np.float64


def test_indices_on_the_host_are_refused(strict_xp, rng):
    x = upload(strict_xp, rng, 3, 5)
    for index in (np.array([0, 1]), [0, 1], (slice(None), np.array([0]))):
        with pytest.raises(TypeError, match="host index array"):
            x[index]
        with pytest.raises(TypeError, match="host index array"):
            x[index] = 0
    assert x[np.int64(1), 2:].shape == (3,)


def test_an_assignment_names_each_entry_once(strict_xp, rng):
    x, twice, once = upload(strict_xp, rng, 3, 5), [2, 0, 2], [2, 0, 1]
    rows = upload(strict_xp, rng, 3, 5)
    for index in (strict_xp.asarray(twice), (strict_xp.asarray(twice), strict_xp.asarray([1] * 3))):
        with pytest.raises(ValueError, match="duplicate indices"):
            x[index] += x[index]
    x[strict_xp.asarray(once)] += rows
    x[strict_xp.asarray(twice)] = 0  # the same number for all of them
    assert x.get()[[0, 2]].any() == 0


def test_indices_out_of_range_are_refused(strict_xp, rng):
    with pytest.raises(IndexError):
        upload(strict_xp, rng, 3, 5)[strict_xp.asarray([3])]


def test_sorting_has_one_kind(strict_xp, rng):
    with pytest.raises(ValueError, match="stable"):
        strict_xp.argsort(upload(strict_xp, rng, 5), kind="mergesort")


# ------------------------------------------------------------------------------- counters

WAITING = {
    "float": (lambda xp, x: float(x.sum()), 1),
    "int": (lambda xp, x: int(x.argmax()), 1),
    "bool": (lambda xp, x: bool((x > 0).all()), 1),
    "if": (lambda xp, x: 1 if x.sum() else 0, 1),
    "item": (lambda xp, x: x.sum().item(), 1),
    "get": (lambda xp, x: x.get(), 1),
    "asnumpy": (lambda xp, x: xp.asnumpy(x), 1),
    "repr": (lambda xp, x: repr(x), 1),
    "format": (lambda xp, x: f"{x.sum():.3f}", 1),
    "nonzero": (lambda xp, x: xp.nonzero(x), 1),
    "nonzero method": (lambda xp, x: x.nonzero(), 1),
    "flatnonzero": (lambda xp, x: xp.flatnonzero(x), 1),
    "where of one": (lambda xp, x: xp.where(x > 0), 1),
    "mask": (lambda xp, x: x[x > 0], 1),
    "max of a list": (lambda xp, x: max(row.max() for row in x), 2),
    "contains": (lambda xp, x: 99.0 in x[0], 5),
    "sum": (lambda xp, x: x.sum(), 0),
    "index": (lambda xp, x: x[xp.asarray([1, 0])], 0),
    "assigned mask": (lambda xp, x: x.__setitem__(x > 0, 0.0), 0),
    "where of three": (lambda xp, x: xp.where(x > 0, x, 0.0), 0),
}


@pytest.mark.parametrize("case", WAITING)
def test_waiting_for_the_device_is_counted(strict_xp, rng, counters, case):
    x = upload(strict_xp, rng, 3, 5)
    counters.reset()
    call, expected = WAITING[case]
    call(strict_xp, x)
    assert counters.synchronisations == expected


def test_copies_and_launches_are_counted(strict_xp, rng, counters):
    x = upload(strict_xp, rng, 3, 5)
    assert (counters.uploads, counters.downloads, counters.launches) == (1, 0, 0)
    y = x.reshape(5, 3).T[1:]  # views
    assert counters.launches == 0
    y += 1
    y = strict_xp.exp(y) @ y.T
    assert counters.launches == 3
    y.get()
    assert (counters.uploads, counters.downloads) == (1, 1)
