"""Multi-head attention: masks, the cache, grouped heads, and what it refuses."""

import numpy as np
import pytest

from minillm import Tensor, nn
from minillm.gradcheck import check_model


@pytest.fixture
def attention(rng):
    return nn.MultiHeadAttention(6, 3, dtype="float64", rng=rng)


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 5, 6))


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ------------------------------------------------------------------------------- what it computes


def test_it_is_the_formula_of_each_head(rng):
    layer = nn.MultiHeadAttention(6, 3, num_kv_heads=1, kdim=4, vdim=5, dtype="float64", rng=rng)
    for p in layer.parameters():
        p.data += rng.normal(0, 0.3, p.shape)
    query, key = rng.standard_normal((5, 6)), rng.standard_normal((7, 4))
    value = rng.standard_normal((7, 5))
    q = query @ layer.query.weight.data + layer.query.bias.data
    k = key @ layer.key.weight.data + layer.key.bias.data
    v = value @ layer.value.weight.data + layer.value.bias.data
    heads = [softmax(q[:, i : i + 2] @ k.T / np.sqrt(2)) @ v for i in (0, 2, 4)]
    expected = np.concatenate(heads, axis=1) @ layer.output.weight.data + layer.output.bias.data
    np.testing.assert_allclose(layer(query[None], key[None], value[None]).data[0], expected)


def test_the_value_is_the_key_and_the_key_is_the_query_unless_given(attention, x, rng):
    other = rng.standard_normal((2, 7, 6))
    np.testing.assert_array_equal(attention(x).data, attention(x, x, x).data)
    np.testing.assert_array_equal(attention(x, other).data, attention(x, other, other).data)


def test_grouped_heads_are_heads_that_share(rng, x):
    shared = nn.MultiHeadAttention(6, 3, num_kv_heads=1, dtype="float64", rng=rng)
    full = nn.MultiHeadAttention(6, 3, dtype="float64")
    state = shared.state_dict()
    for name in ("key.weight", "value.weight", "key.bias", "value.bias"):
        state[name] = np.concatenate([state[name]] * 3, axis=-1)
    full.load_state_dict(state)
    np.testing.assert_allclose(shared(x).data, full(x).data, rtol=1e-12)


def test_dropout_acts_on_attention_weights_in_training_only(rng, x):
    layer = nn.MultiHeadAttention(6, 3, dropout=0.3, dtype="float64", rng=rng)
    first, second = layer(x).data, layer(x).data
    assert not np.allclose(first, second)
    layer.eval()
    np.testing.assert_array_equal(layer(x).data, layer(x).data)


def test_initial_values_are_those_of_pytorch(rng):
    layer = nn.MultiHeadAttention(64, 4, rng=rng)
    bound = np.sqrt(6 / (64 + 3 * 64))  # one matrix (64, 192) for query, key and value
    for part in (layer.query, layer.key, layer.value):
        assert 0.95 * bound < np.abs(part.weight.data).max() <= bound
        assert not part.bias.data.any()
    assert 0.95 / 8 < np.abs(layer.output.weight.data).max() <= 1 / 8
    assert not layer.output.bias.data.any()
    apart = nn.MultiHeadAttention(64, 4, kdim=32, rng=rng)
    assert np.abs(apart.key.weight.data).max() > 0.95 * np.sqrt(6 / (64 + 32))


# ------------------------------------------------------------------------------------------ masks


def test_causal_attention_does_not_see_the_future(attention, x):
    before = attention(x, is_causal=True).data
    x[:, 3:] += 5.0
    after = attention(x, is_causal=True).data
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert (np.abs(before[:, 3:] - after[:, 3:]).max(axis=-1) > 1e-3).all()


def test_padding_is_not_seen(attention, x):
    key_visible = np.array([[True] * 5, [True, True, False, True, False]])
    before = attention(x, x.copy(), key_visible=key_visible).data
    changed = x.copy()
    changed[1, [2, 4]] = 1e4
    np.testing.assert_array_equal(before, attention(x, changed, key_visible=key_visible).data)
    real = attention(x[1:], x[1:, [0, 1, 3]]).data
    np.testing.assert_allclose(before[1:], real, rtol=1e-12)


def test_both_masks_together_show_what_both_show(attention, x, rng):
    visible, key_visible = rng.random((5, 5)) < 0.7, rng.random((2, 5)) < 0.7
    both = attention(x, visible=visible, key_visible=key_visible).data
    one = (visible & key_visible[:, None, :])[:, None]  # (B, 1, T, S)
    np.testing.assert_array_equal(both, attention(x, visible=one).data)
    assert not np.allclose(both, attention(x, visible=visible).data)
    causal = attention(x, visible=one, is_causal=True).data
    np.testing.assert_array_equal(causal, attention(x, visible=one & np.tri(5, dtype=bool)).data)


def test_masks_may_be_tensors_and_lists(attention, x):
    expected = attention(x, key_visible=np.array([[True, False] * 2 + [True]] * 2)).data
    as_list = [[True, False] * 2 + [True]] * 2
    np.testing.assert_array_equal(attention(x, key_visible=as_list).data, expected)
    as_tensor = Tensor(np.array(as_list))
    np.testing.assert_array_equal(attention(x, key_visible=as_tensor).data, expected)


def test_a_query_that_sees_nothing_gets_the_bias_and_no_gradient(attention, x):
    attention.output.bias.data[:] = np.arange(6)
    x = Tensor(x, requires_grad=True)
    out = attention(x, key_visible=np.array([[False] * 5, [True] * 5]))
    np.testing.assert_array_equal(out.data[0], np.tile(np.arange(6.0), (5, 1)))
    (out * out).sum().backward()
    assert not x.grad[0].any()
    assert np.isfinite(x.grad).all()
    assert x.grad[1].any()


def test_probabilities_are_what_forward_uses(attention, x):
    visible = np.array([[True, False, True, True, True]] * 5)
    p = attention.probabilities(x, visible=visible, is_causal=True)
    assert p.shape == (2, 3, 5, 5)
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    assert not p[..., 1].any()
    v = attention.value(x).data.reshape(2, 5, 3, 2).transpose(0, 2, 1, 3)
    out = (p @ v).transpose(0, 2, 1, 3).reshape(2, 5, 6)
    np.testing.assert_allclose(
        attention.output(out).data, attention(x, visible=visible, is_causal=True).data
    )
    p = attention.probabilities(x, x[:, :3], key_visible=np.array([[True, False, True]] * 2))
    assert p.shape == (2, 3, 5, 3)
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    assert not p[..., 1].any()
    only_first = attention.probabilities(x, x[:, :1])
    np.testing.assert_array_equal(only_first, np.ones((2, 3, 5, 1)))


HIDDEN = {
    "attn_mask": "visible=~attn_mask",
    "key_padding_mask": "key_visible=~key_padding_mask",
    "mask": "visible=~mask",
    "attention_mask": "visible=attention_mask == 1",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_masks_of_pytorch_are_refused_with_the_call_to_write(attention, x, name):
    with pytest.raises(TypeError) as caught:
        attention(x, **{name: np.zeros((5, 5), bool)})
    assert f"there is no {name}" in str(caught.value)
    assert f"write {HIDDEN[name]}" in str(caught.value)
    with pytest.raises(TypeError):  # nor by position, where PyTorch has key_padding_mask
        attention(x, x, x, np.zeros((2, 5), bool))


@pytest.mark.parametrize("name", ["visible", "key_visible"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_masks_that_are_not_boolean_are_refused(attention, x, name, dtype):
    shape = (5, 5) if name == "visible" else (2, 5)
    with pytest.raises(TypeError, match=f"{name} must be a boolean array .* got {dtype}"):
        attention(x, **{name: np.ones(shape, dtype)})


def test_masks_of_other_shapes_are_refused(attention, x):
    with pytest.raises(ValueError, match=r"key_visible \(2, 4\) must be \(B, S\) = \(2, 5\)"):
        attention(x, key_visible=np.ones((2, 4), bool))
    with pytest.raises(ValueError, match=r"visible \(5, 4\).*\(2, 3, 5, 5\)"):
        attention(x, visible=np.ones((5, 4), bool))
    # with B = H a mask (B, T, S) would silently be taken for (H, T, S)
    with pytest.raises(ValueError, match=r"write visible\[:, None\]"):
        attention(np.ones((3, 5, 6)), visible=np.ones((3, 5, 5), bool))


# ------------------------------------------------------------------------------------------ cache


@pytest.mark.parametrize("groups", [3, 1])
@pytest.mark.parametrize("steps", [[1] * 5, [2, 3], [4, 1]])
def test_the_cache_gives_the_same_results(x, rng, groups, steps):
    layer = nn.MultiHeadAttention(6, 3, num_kv_heads=groups, dtype="float64", rng=rng)
    key_visible = np.array([[True] * 5, [False, True, True, True, True]])
    whole = layer(x, is_causal=True, key_visible=key_visible).data
    past, start, parts = None, 0, []
    for count in steps:
        end = start + count
        out, past = layer(
            x[:, start:end], is_causal=True, past=past, use_cache=True,
            key_visible=key_visible[:, :end],
        )  # fmt: skip
        parts.append(out.data)
        start = end
    assert past[0].shape == (2, groups, 5, 2)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-12, atol=1e-12)


def test_projected_keys_may_be_used_again(attention, x, rng):
    memory = rng.standard_normal((2, 7, 6))
    k, v = attention.project_keys_values(memory)
    np.testing.assert_array_equal(attention.attend(x, k, v).data, attention(x, memory).data)


# ----------------------------------------------------------------------------------- what it takes


@pytest.mark.parametrize("shape", [(1, 1, 6), (1, 5, 6), (2, 1, 6)])
def test_one_sequence_and_one_token(attention, shape):
    out = attention(np.ones(shape), is_causal=True)
    assert out.shape == shape
    assert np.isfinite(out.data).all()


def test_float32_stays_float32(x):
    layer = nn.MultiHeadAttention(6, 3, dropout=0.2)
    x = Tensor(x.astype(np.float32), requires_grad=True)
    out = layer(x, is_causal=True, key_visible=np.ones((2, 5), bool))
    out.sum().backward()
    assert {out.dtype, x.grad.dtype, *(p.grad.dtype for p in layer.parameters())} == {
        np.dtype("float32")
    }


@pytest.mark.parametrize(
    "options", [{}, {"num_kv_heads": 1, "dropout": 0.3}, {"kdim": 4, "vdim": 5, "bias": False}]
)
def test_gradients(rng, x, options):
    layer = nn.MultiHeadAttention(6, 3, **options, rng=rng)
    key = rng.standard_normal((2, 7, options.get("kdim", 6)))
    value = rng.standard_normal((2, 7, options.get("vdim", 6)))
    key_visible = rng.random((2, 7)) < 0.6
    report = check_model(layer, x, key, value, key_visible=key_visible)
    assert report.passed, report
    assert len(report.inputs) == (4 if options.get("bias") is False else 8)


def test_a_state_comes_back_and_the_repr_says_what_it_is(rng, x):
    one = nn.MultiHeadAttention(6, 3, num_kv_heads=1, dtype="float64", rng=rng)
    other = nn.MultiHeadAttention(6, 3, num_kv_heads=1, dtype="float64")
    assert not np.allclose(one(x).data, other(x).data)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one(x).data, other(x).data)
    text = repr(one)
    assert text.startswith("MultiHeadAttention(num_heads=3, num_kv_heads=1, dropout=0\n")
    assert "key: Linear(weight (6, 2), bias (2,))" in text
    assert text.endswith("112 parameters")


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((10, 3), {}, "embed_dim 10 must be a multiple of num_heads 3"),
        ((12, 4), {"num_kv_heads": 3}, "num_heads 4 must be a multiple of num_kv_heads 3"),
        ((0, 1), {}, "embed_dim must be an integer of at least 1, got 0"),
        ((6, 0), {}, "num_heads must be an integer of at least 1, got 0"),
        ((6, 3), {"num_kv_heads": 0}, "num_kv_heads must be an integer of at least 1, got 0"),
        ((6, 2.0), {}, r"num_heads must be an integer of at least 1, got 2\.0"),
        ((6, 3), {"kdim": -1}, "kdim must be an integer of at least 1, got -1"),
        ((6, 3), {"vdim": 0}, "vdim must be an integer of at least 1, got 0"),
        ((6, 3), {"dropout": 1.5}, "dropout = 1.5 must be a probability"),
    ],
)
def test_impossible_arguments(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        nn.MultiHeadAttention(*sizes, **options)


def test_inputs_of_other_shapes_are_refused_and_the_module_is_named(attention, x):
    stack = nn.Sequential(nn.Dropout(0.0), attention)
    with pytest.raises(ValueError) as caught:
        stack(np.ones((2, 5, 7)))
    assert "query (2, 5, 7) must be (B, T, 6)" in str(caught.value)
    assert str(caught.value).endswith("in Sequential.1")
    with pytest.raises(ValueError, match=r"key \(5, 6\) must be \(B, T, 6\)"):
        attention(x, x[0])
    with pytest.raises(ValueError, match=r"key \(2, 5, 6\) and value \(2, 4, 6\) must agree"):
        attention(x, x, x[:, :4])
    with pytest.raises(ValueError, match="value is given without key"):
        attention(x, value=x)
    with pytest.raises(ValueError, match=r"q \(2, 3, 5, 2\).* k \(1, 3, 5, 2\)"):
        attention(x, x[:1])
