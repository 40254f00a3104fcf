"""What every operation promises, whatever it computes: dtypes, shapes, purity, documentation."""

import copy
import inspect
import pathlib
import re
import sys

import numpy as np
import pytest

import minillm.functional as F
from minillm import ops
from minillm.gradcheck.cases import cases, operation_names
from minillm.gradcheck.mutants import mutants

ROOT = pathlib.Path(__file__).parents[2]
NAMES = operation_names()
CASES = [pytest.param(name, i, id=f"{name}-{i}") for name in NAMES for i in range(len(cases(name)))]
DTYPES = [np.float32, np.float64]


def is_float_array(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def change(x, function):
    """function(array) in place of every floating array, also inside tuples and dicts."""
    if is_float_array(x):
        return function(x)
    if isinstance(x, tuple):
        return tuple(change(y, function) for y in x)
    if isinstance(x, dict):
        return {k: change(y, function) for k, y in x.items()}
    return x


def call(name, i, function=lambda x: x):
    """(case, out, saved, grad_out) of case i, with its floating arrays changed by the function."""
    case = cases(name)[i]
    inputs = change(case.inputs, function)
    options = copy.deepcopy(change(case.options, function))
    case = type(case)(name, inputs, options)
    before = copy.deepcopy((inputs, options))
    out, saved = case.forward(*inputs, **copy.deepcopy(options))
    assert_same(before, (inputs, options))
    return case, out, saved, cotangent(out)


def cotangent(out):
    """Random numbers of the shape and dtype of out."""
    if isinstance(out, tuple):
        return tuple(cotangent(o) for o in out)
    rng = np.random.default_rng(11)
    return np.asarray(rng.standard_normal(np.shape(out)), dtype=out.dtype)


def assert_same(a, b):
    """Equal bit for bit, through tuples, lists and dicts; other things than arrays do not matter."""
    if isinstance(a, (tuple, list)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, dict):
        assert_same(list(a.values()), list(b.values()))
    elif isinstance(a, (np.ndarray, np.generic)):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def outputs(out):
    return out if isinstance(out, tuple) else (out,)


def test_there_are_operations_to_speak_of():
    assert len(NAMES) >= 28
    assert {"softmax", "layer_norm", "scaled_dot_product_attention"} <= set(NAMES)


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "i"), CASES)
def test_outputs_and_gradients_have_the_dtype_of_the_inputs(name, i, dtype):
    case, out, saved, g = call(name, i, lambda x: x.astype(dtype))
    assert {o.dtype for o in outputs(out)} == {np.dtype(dtype)}
    grads = case.backward(g, saved)
    assert {np.asarray(grad).dtype for grad in grads if grad is not None} == {np.dtype(dtype)}


@pytest.mark.parametrize(("name", "i"), CASES)
def test_every_array_parameter_gets_a_gradient_of_its_shape_or_none(name, i):
    case, _, saved, g = call(name, i)
    grads = case.backward(g, saved)
    parameters = inspect.signature(case.forward).parameters.values()
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    arrays = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert isinstance(grads, tuple)
    assert len(grads) == (len(case.inputs) if variadic else len(arrays))
    data = [i for i, p in enumerate(arrays) if p.name in getattr(case.forward, "no_gradient", ())]
    for number, (grad, x) in enumerate(zip(grads, case.inputs, strict=True)):
        if is_float_array(x) and number not in data:
            assert grad.shape == x.shape
        else:
            assert grad is None


@pytest.mark.parametrize(("name", "i"), CASES)
def test_backward_overwrites_nothing_and_can_be_called_twice(name, i):
    case, out, saved, g = call(name, i)  # which checks that forward overwrites nothing
    before = copy.deepcopy((case.inputs, case.options, out, saved, g))
    first = copy.deepcopy(case.backward(g, saved))
    assert_same(before, (case.inputs, case.options, out, saved, g))
    assert_same(first, case.backward(g, saved))


def strided(x):
    """The same numbers, every second one of a larger array whose axes are in reversed order."""
    if x.ndim == 0:
        return x
    big = np.full(tuple(2 * n for n in reversed(x.shape)), np.nan, dtype=x.dtype)
    view = big.T[tuple(slice(None, None, 2) for _ in x.shape)]
    view[...] = x
    assert x.size < 2 or not view.flags.c_contiguous
    return view


@pytest.mark.parametrize(("name", "i"), CASES)
def test_strides_do_not_matter(name, i):
    case, out, saved, g = call(name, i)
    _, strided_out, strided_saved, _ = call(name, i, strided)
    for a, b in zip(outputs(strided_out), outputs(out), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    grads = case.backward(g, saved)
    for g2 in (g, change(g, strided)):
        for a, b in zip(case.backward(g2, strided_saved), grads, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("name", "i"), CASES)
def test_read_only_arrays_will_do(name, i):
    def lock(x):
        x = x.copy()
        x.flags.writeable = False
        return x

    case, _, saved, g = call(name, i, lock)
    assert case.backward(change(g, lock), saved)


@pytest.mark.parametrize(("name", "i"), CASES)
def test_gradients_are_linear_in_grad_out(name, i):
    case, _, saved, g = call(name, i)
    for one, two in zip(
        case.backward(g, saved), case.backward(change(g, lambda x: -3 * x), saved), strict=True
    ):
        if one is not None:
            np.testing.assert_allclose(two, -3 * one, rtol=1e-12, atol=1e-12)


MIXED = [
    name for name in NAMES if any(sum(map(is_float_array, case.inputs)) > 1 for case in cases(name))
]


@pytest.mark.parametrize("name", MIXED)
def test_mixed_floating_dtypes_raise_and_name_the_cast(name):
    for case in cases(name):
        floating = [i for i, x in enumerate(case.inputs) if is_float_array(x)]
        for i in floating if len(floating) > 1 else ():
            inputs = list(case.inputs)
            inputs[i] = inputs[i].astype(np.float32)
            with pytest.raises(TypeError, match=rf"{name}: (.|\n)*\.astype\('float(32|64)'\)"):
                case.forward(*inputs, **copy.deepcopy(case.options))


@pytest.mark.parametrize("name", NAMES)
def test_forward_and_backward_are_documented(name):
    forward, backward = getattr(ops, f"{name}_forward"), getattr(ops, f"{name}_backward")
    for field in ("Shapes", "Dtype", "Saves", "Raises"):
        assert re.search(rf"^ *{field}   *\S", inspect.getdoc(forward), re.M), field
    assert backward.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_the_file_of_an_operation_has_its_formula_and_names_its_check(name):
    text = sys.modules[getattr(ops, f"{name}_forward").__module__].__doc__
    [check] = re.findall(r"^Check: (tests/\S+\.py)", text, re.M)
    assert (ROOT / check).is_file()
    assert re.search(r"\(1\)$", text, re.M), "no numbered result"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "minillm" / "ops").glob("*.py")), ids=lambda p: p.stem
)
def test_every_check_that_a_file_names_exists(path):
    for check in re.findall(r"^Check: (\S+)", path.read_text(encoding="utf-8"), re.M):
        assert (ROOT / check).is_file()


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_in_the_index_with_its_own_help(name):
    lifted = getattr(F, name)
    assert name in F.__all__
    assert lifted.__name__ == name
    assert lifted.__doc__ == getattr(ops, f"{name}_forward").__doc__


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_has_three_wrong_backwards_with_different_stories(name):
    assert len({mutant.story for mutant in mutants(name)}) >= 3


def test_the_index_has_nothing_else():
    assert sorted(F.__all__) == sorted(NAMES)


def test_every_forward_has_a_backward():
    forwards = {name for name in ops.__all__ if name.endswith("_forward")}
    assert forwards == {f"{name}_forward" for name in NAMES}
