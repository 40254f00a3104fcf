"""The lstm against its formula, step by step in loops."""

import numpy as np
import pytest

from minillm import ops
from minillm.gradcheck.cases import cases
from tests import reference

CASES = [case for case in cases("lstm", seed=5) if case.inputs[-1] is not None]


@pytest.mark.parametrize("case", CASES, ids=["whole", "lengths"])
def test_values_follow_the_formula(case):
    outs, _ = ops.lstm_forward(*case.inputs, **case.options)
    expected = reference.lstm(*case.inputs, **case.options)
    for found, wanted in zip(outs, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_beyond_a_length_the_output_is_zero_and_nothing_comes_back():
    inputs = CASES[0].inputs
    outs, saved = ops.lstm_forward(*inputs, lengths=np.array([5, 2]))
    assert (outs[0][1, 2:] == 0).all()
    np.testing.assert_array_equal(outs[1][1], outs[0][1, 1])
    grads = ops.lstm_backward(tuple(np.ones_like(out) for out in outs), saved)
    assert (grads[0][1, 2:] == 0).all()
    assert (grads[0][1, :2] != 0).all()


def test_a_row_does_not_see_the_others(rng):
    x, *rest = CASES[0].inputs
    states = len(CASES[0].inputs) - {"rnn": 4, "gru": 5, "lstm": 4}["lstm"]
    outs, _ = ops.lstm_forward(x, *rest)
    alone, _ = ops.lstm_forward(x[:1], *(s[:1] for s in rest[:states]), *rest[states:])
    np.testing.assert_allclose(alone[0], outs[0][:1], rtol=1e-12)


def test_sequences_without_steps_return_their_state():
    x, *rest = CASES[0].inputs
    outs, saved = ops.lstm_forward(x[:, :0], *rest)
    np.testing.assert_array_equal(outs[1], rest[0])
    grads = ops.lstm_backward(tuple(np.ones_like(out) for out in outs), saved)
    assert (grads[1] == 1).all()


def test_float32_stays_float32_and_close(rng):
    small = [a.astype(np.float32) for a in CASES[0].inputs]
    outs, saved = ops.lstm_forward(*small)
    exact, _ = ops.lstm_forward(*CASES[0].inputs)
    for found, wanted in zip(outs, exact, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=2e-6)
    grads = ops.lstm_backward(tuple(np.ones_like(out) for out in outs), saved)
    assert {g.dtype for g in grads} == {np.dtype("float32")}


@pytest.mark.parametrize("x", [1e4, -1e4])
def test_huge_inputs_stay_finite(x):
    inputs = [a.astype(np.float32) for a in CASES[0].inputs]
    outs, saved = ops.lstm_forward(np.full_like(inputs[0], x), *inputs[1:])
    grads = ops.lstm_backward(tuple(np.ones_like(out) for out in outs), saved)
    assert all(np.isfinite(array).all() for array in (*outs, *grads))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda i, o: i.__setitem__(0, i[0][0]),
            ValueError,
            r"lstm: x \(5, 3\) must be \(B, T, C\)",
        ),
        (lambda i, o: i.__setitem__(1, i[1][:1]), ValueError, r"lstm: h0 must be \(2, 7\)"),
        (lambda i, o: i.__setitem__(-1, i[-1][:2]), ValueError, r"lstm: bias\w* must be"),
        (lambda i, o: o.update(lengths=np.array([6, 1])), ValueError, "lengths must be"),
        (lambda i, o: o.update(lengths=np.array([1.0, 2.0])), TypeError, "must be integers"),
        (lambda i, o: i.__setitem__(0, i[0].astype(np.float32)), TypeError, "never mixed"),
    ],
)
def test_wrong_inputs_are_named(change, error, message):
    inputs, options = list(CASES[0].inputs), {}
    change(inputs, options)
    with pytest.raises(error, match=message):
        ops.lstm_forward(*inputs, **options)
