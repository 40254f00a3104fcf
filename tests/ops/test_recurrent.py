"""rnn, gru and lstm against their formulas, step by step in loops."""

import numpy as np
import pytest

from minillm import ops
from minillm.gradcheck.cases import cases
from tests import reference

STATES = {"rnn": 1, "gru": 1, "lstm": 2}


@pytest.fixture(params=STATES)
def name(request):
    return request.param


def inputs_of(name):
    """Inputs with all biases present: x, states, weights, biases."""
    return cases(name)[0].inputs


def forward(name, *inputs, **options):
    return getattr(ops, f"{name}_forward")(*inputs, **options)


def backward_of_ones(name, outs, saved):
    return getattr(ops, f"{name}_backward")(tuple(np.ones_like(out) for out in outs), saved)


@pytest.mark.parametrize("lengths", [None, [5, 3], [0, 5]])
def test_values_follow_the_formula(name, lengths):
    lengths = None if lengths is None else np.array(lengths)
    outs, _ = forward(name, *inputs_of(name), lengths=lengths)
    expected = getattr(reference, name)(*inputs_of(name), lengths=lengths)
    for found, wanted in zip(outs, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_beyond_a_length_the_output_is_zero_and_nothing_comes_back(name):
    outs, saved = forward(name, *inputs_of(name), lengths=np.array([5, 2]))
    assert (outs[0][1, 2:] == 0).all()
    np.testing.assert_array_equal(outs[1][1], outs[0][1, 1])
    grads = backward_of_ones(name, outs, saved)
    assert (grads[0][1, 2:] == 0).all()
    assert (grads[0][1, :2] != 0).all()


def test_a_row_does_not_see_the_others(name):
    x, *rest = inputs_of(name)
    states, weights = rest[: STATES[name]], rest[STATES[name] :]
    outs, _ = forward(name, x, *states, *weights)
    alone, _ = forward(name, x[:1], *(state[:1] for state in states), *weights)
    np.testing.assert_allclose(alone[0], outs[0][:1], rtol=1e-12)


def test_no_bias_is_a_bias_of_zeros(name):
    inputs = inputs_of(name)
    biases = inputs[STATES[name] + 3 :]
    without = inputs[: STATES[name] + 3]
    outs, saved = forward(name, *without)
    expected, saved_zeros = forward(name, *without, *(np.zeros_like(bias) for bias in biases))
    grads = backward_of_ones(name, outs, saved)
    assert grads[len(without) :] == (None,) * len(biases)
    wanted = backward_of_ones(name, expected, saved_zeros)[: len(without)]
    for found, right in zip((*outs, *grads[: len(without)]), (*expected, *wanted), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-14)


def test_sequences_without_steps_return_their_state(name):
    x, *rest = inputs_of(name)
    outs, saved = forward(name, x[:, :0], *rest)
    np.testing.assert_array_equal(outs[1], rest[0])
    assert (backward_of_ones(name, outs, saved)[1] == 1).all()


def test_a_batch_without_rows_gives_nothing_back_but_zeros_for_the_weights(name):
    x, *rest = inputs_of(name)
    states, weights = rest[: STATES[name]], rest[STATES[name] :]
    outs, saved = forward(name, x[:0], *(state[:0] for state in states), *weights)
    assert outs[0].shape == (0, *x.shape[1:2], states[0].shape[1])
    grads = backward_of_ones(name, outs, saved)
    for grad, array in zip(grads[1 + len(states) :], weights, strict=True):
        np.testing.assert_array_equal(grad, np.zeros_like(array))


def test_float32_stays_float32_and_close(name):
    outs, saved = forward(name, *(a.astype(np.float32) for a in inputs_of(name)))
    exact, _ = forward(name, *inputs_of(name))
    for found, wanted in zip(outs, exact, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=2e-6)
    assert {g.dtype for g in backward_of_ones(name, outs, saved)} == {np.dtype("float32")}


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_inputs_stay_finite(name, size):
    x, *rest = (a.astype(np.float32) for a in inputs_of(name))
    outs, saved = forward(name, np.full_like(x, size), *rest)
    assert all(np.isfinite(a).all() for a in (*outs, *backward_of_ones(name, outs, saved)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda i, o: i.__setitem__(0, i[0][0]), ValueError, r"x \(5, 3\) must be \(B, T, C\)"),
        (lambda i, o: i.__setitem__(1, i[1][:1]), ValueError, r"h0 must be \(2, 7\)"),
        (lambda i, o: i.__setitem__(-1, i[-1][:2]), ValueError, r"bias\w* must be"),
        (lambda i, o: o.update(lengths=np.array([6, 1])), ValueError, "lengths must be"),
        (lambda i, o: o.update(lengths=np.array([1.0, 2.0])), TypeError, "must be integers"),
        (lambda i, o: i.__setitem__(0, i[0].astype(np.float32)), TypeError, "never mixed"),
    ],
)
def test_wrong_inputs_are_named(name, change, error, message):
    inputs, options = list(inputs_of(name)), {}
    change(inputs, options)
    with pytest.raises(error, match=f"{name}: .*{message}"):
        forward(name, *inputs, **options)
