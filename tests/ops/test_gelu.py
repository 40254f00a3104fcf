"""Both forms of GELU and their slopes."""

import cmath
import math

import numpy as np
import pytest

import minillm.functional as F
from minillm import Tensor, debug, no_grad, ops
from tests import reference

GRID = np.concatenate([np.linspace(-12, 12, 4801), [-1e4, -100.0, -28.5, 28.5, 100.0, 1e4, 1e10]])


def slope(x, approximate):
    """The derivative of the definition, without the library's formula where possible.

    The tanh form is analytic: f(x + ih) = f(x) + ih f'(x) up to h^2, exactly f' for tiny h
    (Squire & Trapp 1998).  For the exact form, the product rule with the density.
    """
    if approximate == "none":
        density = lambda v: math.exp(-0.5 * min(v * v, 1400)) / math.sqrt(2 * math.pi)  # noqa: E731
        return reference.entrywise(lambda v: reference.normal_cdf(v) + v * density(v), x)

    def derivative(v):
        if abs(v) > 20:  # tanh is 1 to all digits
            return float(v > 0)
        z = v + 1e-30j
        u = math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
        return (0.5 * z * (1 + cmath.tanh(u))).imag / 1e-30

    return reference.entrywise(derivative, x)


@pytest.fixture(params=["none", "tanh"])
def form(request):
    return request.param


def both(x, form):
    out, saved = ops.gelu_forward(x, approximate=form)
    return out, ops.gelu_backward(np.ones_like(x), saved)[0]


def test_float64_is_the_definition(form):
    out, grad = both(GRID, form)
    np.testing.assert_allclose(out, reference.gelu(GRID, form), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(grad, slope(GRID, form), rtol=1e-14, atol=1e-13)


def test_float32_and_its_slope_are_right_within_rounding(form):
    x = GRID.astype(np.float32)
    out, grad = both(x, form)
    assert out.dtype == grad.dtype == np.float32
    # beyond 1 a float32 has fewer digits behind the point: 2e-7 of the number itself
    error = np.abs(out - reference.gelu(x, form)) / np.maximum(np.abs(x.astype(np.float64)), 1)
    assert error.max() < 2e-7
    # the tanh form multiplies the rounding of 1 - t^2 by x du/dx, which is about 20 where it matters
    np.testing.assert_allclose(grad, slope(x, form), rtol=0, atol=2e-6 if form == "tanh" else 2e-7)


def test_known_values():
    x = np.array([1.0, -1.0, 0.0, 2.0])
    exact = [0.8413447460685429, -0.15865525393145707, 0.0, 1.9544997361036416]
    np.testing.assert_allclose(both(x, "none")[0], exact, rtol=1e-14)
    np.testing.assert_allclose(both(x[:1], "tanh")[0], [0.8411919906082768], rtol=1e-14)


def test_the_two_forms_differ_by_less_than_half_a_thousandth_but_do_differ():
    difference = np.abs(both(GRID, "none")[0] - both(GRID, "tanh")[0]).max()
    assert 1e-4 < difference < 5e-4


def test_the_exact_form_is_the_default():
    x = np.array([0.7, -2.0])
    np.testing.assert_array_equal(ops.gelu_forward(x)[0], both(x, "none")[0])


@pytest.mark.parametrize(("dtype", "huge"), [(np.float32, 1e30), (np.float64, 1e200)])
def test_huge_numbers_neither_warn_nor_give_nan(form, dtype, huge):
    out, grad = both(np.array([-huge, huge], dtype=dtype), form)
    np.testing.assert_array_equal(out, np.array([0, huge], dtype=dtype))
    np.testing.assert_allclose(grad, [0, 1], rtol=0, atol=2e-7)


def test_float16_is_right_within_its_rounding(form):
    x = np.array([-300, -40, -2, -0.5, 0, 0.5, 2, 40, 300], dtype=np.float16)
    out, grad = both(x, form)
    assert out.dtype == grad.dtype == np.float16
    np.testing.assert_allclose(out, reference.gelu(x, form), rtol=3e-3, atol=3e-3)
    np.testing.assert_allclose(grad, slope(x, form), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("size", [32767, 32768, 32769, 65537])
def test_the_last_block_of_a_long_array_is_filled(form, size):
    x = np.full(size, 1.0)
    out, grad = both(x, form)
    np.testing.assert_array_equal(out, np.full(size, out[0]))
    np.testing.assert_array_equal(grad, np.full(size, grad[0]))
    assert 0.84 < out[0] < 0.8414


@pytest.mark.parametrize("shape", [(), (1, 1), (0, 3)])
def test_small_and_empty_arrays_keep_their_shape(form, shape):
    out, grad = both(np.full(shape, -1.0), form)
    assert out.shape == grad.shape == shape
    np.testing.assert_allclose(out, reference.gelu(np.full(shape, -1.0), form), rtol=1e-13)


def test_a_view_with_strides_is_read_right(form):
    x = GRID[2000:2042].reshape(6, 7)[::2, ::-3].T
    np.testing.assert_allclose(both(x, form)[0], reference.gelu(x, form), atol=1e-14)


def test_backward_multiplies_by_the_gradient_from_above(form):
    x = np.array([0.3, -1.7])
    _, saved = ops.gelu_forward(x, approximate=form)
    [grad] = ops.gelu_backward(np.array([-10.0, 3.0]), saved)
    np.testing.assert_allclose(grad, [-10.0, 3.0] * slope(x, form), rtol=1e-13)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="gelu: approximate must be 'none' or 'tanh', got True"):
        ops.gelu_forward(np.ones(3), approximate=True)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="gelu: x must be floating"):
        ops.gelu_forward(np.array([1, 2]))


@pytest.mark.parametrize("form", ["none", "tanh"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (70_001,)])
def test_without_a_gradient_the_output_has_the_same_bits(form, dtype, shape, rng):
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    out, saved = ops.gelu_forward.short(x, approximate=form)
    assert saved == ()
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, ops.gelu_forward(x, approximate=form)[0])


def test_the_shorter_way_runs_exactly_where_nothing_is_recorded(monkeypatch):
    ran = []
    monkeypatch.setattr(F.gelu.op, "short", lambda x: (ran.append(x.shape), (x * 0, ()))[1])
    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    F.gelu(x)
    assert not ran
    F.gelu(x.detach())
    with no_grad():
        F.gelu(x)
    assert ran == [(3,), (3,)]
    with debug():  # which looks at what is saved
        F.gelu(x.detach())
    assert len(ran) == 2
