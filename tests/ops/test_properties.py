"""What holds for operations whatever the shapes: drawn by hypothesis, size-1 and empty axes included.

For each call: the output and every gradient have the right shape and dtype, inputs and grad_out are
untouched, float32 agrees with float64, backward is linear in grad_out, and memory layout is irrelevant.
"""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from minillm import ops

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)


def outputs(out):
    return out if isinstance(out, tuple) else (out,)


def assert_contract(name, inputs, shape=None, **options):
    """One call in float64 and float32, held to the contract; returns the float64 result."""
    forward, backward = getattr(ops, f"{name}_forward"), getattr(ops, f"{name}_backward")
    before = copy.deepcopy(inputs)
    out, saved = forward(*inputs, **options)
    outs = outputs(out)
    if shape is not None:
        assert outs[0].shape == tuple(shape)
    rng = np.random.default_rng(0)
    g = tuple(np.asarray(rng.standard_normal(o.shape)) for o in outs)
    given_g = copy.deepcopy(g)
    grads = backward(g if isinstance(out, tuple) else g[0], saved)
    for x, grad in zip(inputs, grads, strict=True):
        if getattr(x, "dtype", None) == np.float64:
            assert grad.shape == x.shape
            assert grad.dtype == np.float64
        else:
            assert grad is None
    for x, old in zip((*inputs, *g), (*before, *given_g), strict=True):
        np.testing.assert_array_equal(x, old)
    doubled = backward(tuple(2 * p for p in g) if isinstance(out, tuple) else 2 * g[0], saved)
    for one, two in zip(grads, doubled, strict=True):
        if one is not None:
            np.testing.assert_allclose(two, 2 * one, rtol=1e-12, atol=1e-14)
    assert_float32_agrees(forward, backward, inputs, options, out, g, grads)
    assert_layout_is_irrelevant(forward, inputs, options, outs)
    return outs[0]


def assert_float32_agrees(forward, backward, inputs, options, out, g, grads):
    def small(x):
        return x.astype(np.float32) if getattr(x, "dtype", None) == np.float64 else x

    out32, saved = forward(*map(small, inputs), **options)
    g32 = tuple(map(small, g))
    grads32 = backward(g32 if isinstance(out, tuple) else g32[0], saved)
    pairs = [*zip(outputs(out32), outputs(out), strict=True), *zip(grads32, grads, strict=True)]
    for found, wanted in pairs:
        if wanted is not None:
            assert np.asarray(found).dtype == np.float32
            np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4)


def assert_layout_is_irrelevant(forward, inputs, options, outs):
    def column_by_column(x):
        return np.asfortranarray(x) if isinstance(x, np.ndarray) and x.ndim else x

    other, _ = forward(*map(column_by_column, inputs), **options)
    for a, b in zip(outputs(other), outs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "maximum"])
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=4), SEEDS)
def test_two_operands_of_any_shapes_that_broadcast(name, shapes, seed):
    rng = np.random.default_rng(seed)
    a, b = (np.asarray(rng.uniform(0.5, 2.0, shape)) for shape in shapes.input_shapes)
    assert_contract(name, (a, b), shapes.result_shape)


@given(mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=4), SEEDS)
def test_where_of_any_shapes_that_broadcast(shapes, seed):
    rng = np.random.default_rng(seed)
    x, y, c = (np.asarray(rng.standard_normal(shape)) for shape in shapes.input_shapes)
    assert_contract("where", (x, y), shapes.result_shape, condition=np.asarray(c > 0))


UNARY = ["negative", "exp", "log", "sqrt", "tanh", "erf", "sigmoid", "relu", "silu", "gelu"]


@pytest.mark.parametrize("name", UNARY)
@given(SHAPES, SEEDS)
def test_one_operand_of_any_shape(name, shape, seed):
    x = np.random.default_rng(seed).uniform(0.3, 2.0, shape)
    assert_contract(name, (x,), shape)


@pytest.mark.parametrize("name", ["sum", "mean", "max"])
@given(
    array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5), SEEDS, st.booleans(), st.data()
)
def test_reductions_over_any_axes(name, shape, seed, keepdims, data):
    axes = data.draw(st.none() | st.sets(st.integers(-len(shape), -1), min_size=1).map(tuple))
    x = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) / 7.0
    reference = {"sum": np.sum, "mean": np.mean, "max": np.max}[name]
    out = assert_contract(name, (x,), axis=axes, keepdims=keepdims)
    np.testing.assert_allclose(out, reference(x, axis=axes, keepdims=keepdims), rtol=1e-13)


@given(SHAPES, SEEDS, st.randoms())
def test_transposing_any_axes(shape, seed, random):
    x = np.random.default_rng(seed).standard_normal(shape)
    axes = list(range(len(shape)))
    random.shuffle(axes)
    out = assert_contract("transpose", (x,), axes=axes)
    np.testing.assert_array_equal(out, np.transpose(x, axes))


@given(SHAPES, SEEDS, st.data())
def test_joining_and_cutting_any_axis(shape, seed, data):
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    parts = []
    for n in lengths:
        sized = list(shape)
        sized[axis] = n
        parts.append(rng.standard_normal(sized))
    whole = assert_contract("concatenate", tuple(parts), axis=axis)
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=axis))
    ends = np.cumsum(lengths)[:-1].tolist()
    assert_contract("split", (whole,), parts[0].shape, sections=ends, axis=axis)


@given(*[st.integers(0, 4)] * 4, SEEDS)
def test_matrix_products_of_any_size(B, M, K, N, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((B, M, K)), rng.standard_normal((K, N))
    np.testing.assert_allclose(assert_contract("matmul", (a, b)), a @ b, atol=1e-13)
    bias = rng.standard_normal(N)
    out = assert_contract("linear", (a, b, bias), (B, M, N))
    np.testing.assert_allclose(out, a @ b + bias, atol=1e-13)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@given(array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6), SEEDS, st.data())
def test_softmax_along_any_axis(name, shape, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(seed).standard_normal(shape) * 3
    out = assert_contract(name, (x,), shape, axis=axis)
    p = np.exp(out) if name == "log_softmax" else out
    np.testing.assert_allclose(p.sum(axis=axis), 1.0, rtol=1e-12)


@given(st.integers(0, 4), st.integers(1, 7), SEEDS)
def test_norms_of_any_width(N, C, seed):
    rng = np.random.default_rng(seed)
    x, gamma, beta = rng.standard_normal((N, C)), rng.standard_normal(C), rng.standard_normal(C)
    assert_contract("layer_norm", (x, gamma, beta), (N, C), eps=0.5)
    assert_contract("rms_norm", (x, gamma), (N, C), eps=0.5)


@given(st.integers(0, 5), st.integers(1, 6), SEEDS, st.floats(0, 0.5))
def test_cross_entropy_of_any_batch(N, V, seed, smoothing):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, V, N)
    logits = rng.standard_normal((N, V)) * 3
    for reduction in ("sum", "none"):
        options = {"label_smoothing": smoothing, "reduction": reduction}
        assert_contract("cross_entropy", (logits, targets), **options)


@given(*[st.integers(1, 3)] * 5, st.integers(0, 4), SEEDS, st.booleans())
def test_attention_of_any_size(B, G, group, T, D, S, seed, is_causal):
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((B, G * group, T, D))
    k, v = rng.standard_normal((2, B, G, S, D))
    visible = rng.random((B, 1, T, S)) < 0.7
    options = {"is_causal": is_causal, "visible": visible}
    assert_contract("scaled_dot_product_attention", (q, k, v), q.shape, **options)


@pytest.mark.parametrize(
    ("name", "states", "gates"), [("rnn", 1, 1), ("gru", 1, 3), ("lstm", 2, 4)]
)
@given(*[st.integers(1, 4)] * 4, SEEDS, st.booleans())
def test_recurrent_networks_of_any_size(name, states, gates, B, T, C, H, seed, with_lengths):
    rng = np.random.default_rng(seed)
    start = tuple(rng.standard_normal((B, H)) for _ in range(states))
    weights = rng.standard_normal((C, gates * H)), rng.standard_normal((H, gates * H))
    biases = tuple(rng.standard_normal(gates * H) for _ in range(2 if name == "gru" else 1))
    lengths = rng.integers(0, T + 1, B) if with_lengths else None
    inputs = (rng.standard_normal((B, T, C)), *start, *weights, *biases)
    assert_contract(name, inputs, (B, T, H), lengths=lengths)
