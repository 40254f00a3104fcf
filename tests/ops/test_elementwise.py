"""exp, log, sqrt, tanh."""

import math

import numpy as np
import pytest

from minillm import ops
from tests import reference

FUNCTIONS = {"exp": math.exp, "log": math.log, "sqrt": math.sqrt, "tanh": math.tanh}
SLOPES = {  # from a table of derivatives
    "exp": math.exp,
    "log": lambda x: 1 / x,
    "sqrt": lambda x: 0.5 / math.sqrt(x),
    "tanh": lambda x: 1 / math.cosh(x) ** 2,
}


@pytest.fixture(params=FUNCTIONS)
def name(request):
    return request.param


def both(name, x, g):
    out, saved = getattr(ops, f"{name}_forward")(x)
    [grad] = getattr(ops, f"{name}_backward")(g, saved)
    return out, grad


@pytest.mark.parametrize("shape", [(3, 5), (), (1,), (0, 3)])
def test_float64_is_the_function_and_its_slope(rng, name, shape):
    x, g = np.array(rng.uniform(0.1, 4, shape)), np.array(rng.standard_normal(shape))
    out, grad = both(name, x, g)
    np.testing.assert_allclose(out, reference.entrywise(FUNCTIONS[name], x), rtol=1e-14)
    np.testing.assert_allclose(grad, g * reference.entrywise(SLOPES[name], x), rtol=1e-12)
    assert grad.shape == np.shape(out) == shape


def test_float32_is_right_within_its_rounding(rng, name):
    x = rng.uniform(0.1, 4, (3, 5)).astype(np.float32)
    out, grad = both(name, x, np.ones((3, 5), dtype=np.float32))
    assert out.dtype == grad.dtype == np.float32
    np.testing.assert_allclose(out, reference.entrywise(FUNCTIONS[name], x), rtol=3e-7)
    np.testing.assert_allclose(
        grad, reference.entrywise(SLOPES[name], x), rtol=1e-5 if name == "tanh" else 3e-7, atol=3e-7
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_saturates_without_a_warning(dtype):
    out, grad = both("tanh", np.array([-1e4, 0, 1e4], dtype=dtype), np.ones(3, dtype=dtype))
    np.testing.assert_array_equal(out, [-1, 0, 1])
    np.testing.assert_array_equal(grad, [0, 1, 0])


def test_a_view_with_strides_is_read_right(rng, name):
    x = rng.uniform(0.1, 4, (6, 7))
    out, grad = both(name, x[::2, ::-3].T, np.ones((3, 3)))
    np.testing.assert_allclose(
        out, reference.entrywise(FUNCTIONS[name], x[::2, ::-3].T), rtol=1e-14
    )
    np.testing.assert_allclose(grad, reference.entrywise(SLOPES[name], x[::2, ::-3].T), rtol=1e-12)


@pytest.mark.parametrize("bad", [np.array([1, 2]), np.array([True]), [1.0, 2.0], "x"])
def test_what_is_not_a_floating_array_is_refused(name, bad):
    with pytest.raises(TypeError, match=f"{name}: x must be"):
        getattr(ops, f"{name}_forward")(bad)
