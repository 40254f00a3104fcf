"""Positional encodings: the fixed table, the learned one, and RMSNorm beside them."""

import numpy as np
import pytest

from minillm import Tensor, nn, ops
from minillm.gradcheck import check_model


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 5, 6))


def sines(length, width):
    """Vaswani et al. 2017, section 3.5, entry by entry."""
    table = np.zeros((length, width))
    for t in range(length):
        for column in range(width):
            angle = t / 10000 ** (column // 2 * 2 / width)
            table[t, column] = np.cos(angle) if column % 2 else np.sin(angle)
    return table


def test_the_fixed_table_is_added(x):
    layer = nn.PositionalEncoding(6, dropout=0.0)
    np.testing.assert_allclose(layer(x).data, x + sines(5, 6), rtol=1e-12)
    np.testing.assert_allclose(layer(x, start=9).data, x + sines(14, 6)[9:], rtol=1e-12)
    assert list(layer.named_parameters()) == []
    assert layer.state_dict() == {}


def test_the_fixed_table_is_no_longer_than_needed_and_kept(x):
    layer = nn.PositionalEncoding(6, dropout=0.0, max_len=13)
    assert layer._fixed is None
    layer(x)
    kept = layer._fixed
    assert len(kept) == 8
    layer(x[:, :3])
    assert layer._fixed is kept
    for length in (9, 13):
        out = layer(np.zeros((1, length, 6)))
        np.testing.assert_allclose(out.data[0], sines(length, 6), rtol=1e-12, atol=1e-15)
    assert len(layer._fixed) == 13


def test_the_fixed_table_follows_the_input(x):
    layer = nn.PositionalEncoding(6, dropout=0.0)
    assert layer(x).dtype == np.float64
    out = layer(x.astype(np.float32))
    assert out.dtype == np.float32
    expected = x.astype(np.float32) + ops.sinusoidal_table(5, 6)
    np.testing.assert_array_equal(out.data, expected)
    model = nn.Sequential(nn.Linear(6, 6), layer).to("float64")
    assert model(x).dtype == np.float64


def test_the_learned_table_is_a_parameter(rng, x):
    layer = nn.PositionalEncoding(6, 0.0, 7, learned=True, dtype="float64", rng=rng)
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (7, 6))]
    np.testing.assert_array_equal(layer(x).data, x + layer.weight.data[:5])
    np.testing.assert_array_equal(layer(x, start=2).data, x + layer.weight.data[2:])
    table = nn.PositionalEncoding(60, 0.0, 100, learned=True).weight.data
    assert abs(table.std() - 0.02) < 1e-3
    assert table.dtype == np.float32


@pytest.mark.parametrize("start", [0, 2])
def test_gradients_of_the_learned_table_with_dropout(rng, x, start):
    layer = nn.PositionalEncoding(6, 0.3, 7, learned=True, rng=rng)
    report = check_model(layer, x, start=start)
    assert report.passed, report
    layer.to("float64")(x, start=start).sum().backward()
    used = layer.weight.grad.any(axis=1)
    np.testing.assert_array_equal(used[start : start + 5], True)
    assert not np.delete(used, range(start, start + 5)).any()


def test_dropout_comes_after_the_sum():
    out = nn.PositionalEncoding(6, dropout=0.4)(np.full((1, 50, 6), 10.0)).data
    dropped = out == 0
    assert 0.2 < dropped.mean() < 0.6
    expected = (10 + sines(50, 6)) / 0.6
    np.testing.assert_allclose(out[0][~dropped[0]], expected[~dropped[0]], rtol=1e-12)
    assert nn.PositionalEncoding(6).dropout.p == 0.1


def test_one_sequence_and_one_token():
    out = nn.PositionalEncoding(3, 0.0, 1)(np.zeros((1, 1, 3))).data
    np.testing.assert_array_equal(out, [[[0.0, 1.0, 0.0]]])


def test_sequences_that_are_too_long_are_refused(x):
    for learned in (False, True):
        layer = nn.PositionalEncoding(6, 0.0, 4, learned=learned)
        with pytest.raises(ValueError, match=r"x \(2, 5, 6\) .* max_len = 4"):
            layer(x)
        with pytest.raises(ValueError, match="from position 3"):
            layer(x[:, :2], start=3)
        with pytest.raises(ValueError, match="from position -1"):
            layer(x[:, :2], start=-1)
    with pytest.raises(ValueError, match=r"x \(2, 5, 6\) must be \(B, T, 7\)"):
        nn.PositionalEncoding(7)(x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "d_model must be an integer of at least 1, got 0"),
        ((6, 0.1, 0), "max_len must be an integer of at least 1, got 0"),
        ((6, 1.5), "p = 1.5 must be a probability"),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        nn.PositionalEncoding(*arguments)


def test_repr():
    assert repr(nn.PositionalEncoding(6, learned=True, max_len=7)) == (
        "PositionalEncoding(weight (7, 6), max_len=7\n  dropout: Dropout(p=0.1)\n)  42 parameters"
    )


# ----------------------------------------------------------------------------------------- RMSNorm


def test_rms_norm_is_its_formula(rng, x):
    layer = nn.RMSNorm(6, 0.5, dtype="float64")
    layer.weight.data[:] = rng.standard_normal(6)
    expected = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 0.5) * layer.weight.data
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-12)
    report = check_model(layer, x)
    assert report.passed, report


def test_rms_norm_keeps_float32_and_says_what_it_is(x):
    layer = nn.RMSNorm(6)
    x = Tensor(x.astype(np.float32), requires_grad=True)
    out = layer(x)
    out.sum().backward()
    assert {out.dtype, x.grad.dtype, layer.weight.grad.dtype} == {np.dtype("float32")}
    assert repr(layer) == "RMSNorm(weight (6,), eps=1e-05)  6 parameters"
    with pytest.raises(ValueError, match=r"RMSNorm: normalized_shape .* got 0"):
        nn.RMSNorm(0)
