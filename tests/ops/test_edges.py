"""Numbers at the edges: every operation stays finite and right for huge, tiny and single inputs."""

import warnings

import numpy as np
import pytest

from minillm import ops
from minillm.gradcheck.cases import cases, operation_names

# not those whose domain has an edge, or that hold an exponential which is huge for huge inputs
LIMITED = ("exp", "log", "sqrt", "power", "divide", "gaussian_sample", "gaussian_kl")
EVERYWHERE = [n for n in operation_names() if n not in LIMITED]


def results(case, change):
    """All outputs and gradients of a case in float32, with its floating inputs changed."""
    inputs = tuple(
        np.asarray(change(x), dtype=np.float32) if getattr(x, "dtype", None) == np.float64 else x
        for x in case.inputs
    )
    options = {
        k: v.astype(np.float32) if getattr(v, "dtype", None) == np.float64 else v
        for k, v in case.options.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out, saved = case.forward(*inputs, **options)
        outs = out if isinstance(out, tuple) else (out,)
        ones = tuple(np.ones_like(np.asarray(o)) for o in outs)
        grads = case.backward(ones if isinstance(out, tuple) else ones[0], saved)
    return [np.asarray(array) for array in (*outs, *grads) if array is not None]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_inputs_of_ten_thousand_stay_finite(name):
    for case in cases(name):
        for array in results(case, lambda x: np.sign(x) * 1e4):
            assert np.isfinite(array).all()
            assert array.dtype == np.float32


@pytest.mark.parametrize("name", EVERYWHERE)
def test_denormal_inputs_stay_finite(name):
    for case in cases(name):
        for array in results(case, lambda x: np.sign(x) * 1e-40):
            assert np.isfinite(array).all()


def test_softmax_of_huge_logits_is_exact():
    x = np.array([[1e4, -1e4, 1e4]], np.float32)
    assert ops.softmax_forward(x)[0].tolist() == [[0.5, 0.0, 0.5]]
    loss, saved = ops.cross_entropy_forward(x, np.array([1]))
    assert float(loss) == pytest.approx(2e4 + np.log(2))
    assert ops.cross_entropy_backward(np.float32(1.0), saved)[0].tolist() == [[0.5, -1.0, 0.5]]


def test_attention_to_one_key_gives_its_value(rng):
    q, k, v = (rng.standard_normal((1, 1, 1, 3)) for _ in range(3))
    out, saved = ops.scaled_dot_product_attention_forward(q * 1e4, k * 1e4, v)
    np.testing.assert_array_equal(out, v)
    grad_q, grad_k, grad_v = ops.scaled_dot_product_attention_backward(np.ones_like(out), saved)
    assert (grad_q == 0).all()
    assert (grad_k == 0).all()
    assert (grad_v == 1).all()
