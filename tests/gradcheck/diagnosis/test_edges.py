"""Formulas written once more with dials: they must be the library's, and each dial a mistake."""

import numpy as np
import pytest

from minillm import ops
from minillm.gradcheck import check_gradients
from minillm.gradcheck.cases import cases
from minillm.gradcheck.diagnosis import edges
from minillm.gradcheck.diagnosis.edges import PROGRAMS, Dials
from minillm.gradcheck.diagnosis.evidence import Call, Mismatch
from minillm.gradcheck.inputs import fresh

from .finding import altered, first, table

WORDS = {0.0: "is not followed", -1.0: "has the wrong sign", 2.0: "is counted twice"}
ALL = [(name, number) for name in PROGRAMS for number in range(len(list(cases(name))))]


def forward_backward(name):
    return (getattr(ops, f"{name}_{part}") for part in ("forward", "backward"))


def weighed(outputs, weights):
    """The sum of all outputs, each entry times its weight."""
    total = edges._tensor(np.array(0.0))
    for out, weight in zip(outputs, weights, strict=True):
        total = total + (out * weight).sum()
    return total


def run(name, inputs, options, gain):
    leaves = [edges._tensor(x) for x in inputs]
    dials = Dials(gain)
    outputs = PROGRAMS[name](dials, leaves, fresh(options))
    return dials, leaves, outputs


@pytest.mark.parametrize(("name", "number"), ALL)
def test_a_program_computes_what_the_library_does_and_has_its_gradients(name, number):
    case = list(cases(name))[number]
    inputs, options = case.inputs, case.options
    forward, backward = forward_backward(name)
    out, saved = forward(*inputs, **fresh(options))
    outs = out if isinstance(out, tuple) else (out,)
    dials, leaves, outputs = run(name, inputs, options, lambda name, step: 1.0)
    for ours, theirs in zip(outputs, outs, strict=True):
        np.testing.assert_allclose(ours.data, theirs, rtol=1e-9, atol=1e-12)
    weights = [table(*np.shape(o), seed=j) for j, o in enumerate(outs)]
    weighed(outputs, weights).backward()
    grads = backward(tuple(weights) if len(weights) > 1 else weights[0], saved)
    for leaf, grad in zip(leaves, grads, strict=True):
        if grad is not None:
            np.testing.assert_allclose(leaf.grad, grad, rtol=1e-8, atol=1e-10)
    assert len(dials.names) >= 3


def test_a_dial_changes_the_gradient_and_not_the_value():
    for c in (0.0, -1.0, 2.0, 1.0):
        x = edges._tensor(np.array([1.0, 2.0]))
        y = Dials(lambda name, step, c=c: c)("x", x)
        (y * y).sum().backward()
        np.testing.assert_allclose(y.data, [1, 2])
        np.testing.assert_allclose(x.grad, c * np.array([2.0, 4.0]))


def gru_inputs(T=4, D=3, H=2, B=2):
    return (
        table(B, T, D), table(B, H, seed=4), table(D, 3 * H, seed=5), table(H, 3 * H, seed=6),
        table(3 * H, seed=7), table(3 * H, seed=8),
    )  # fmt: skip


def lstm_inputs(T=4, D=3, H=2, B=2):
    return (
        table(B, T, D), table(B, H, seed=4), table(B, H, seed=5), table(D, 4 * H, seed=6),
        table(H, 4 * H, seed=7), table(4 * H, seed=8),
    )  # fmt: skip


INPUTS = {"gru": gru_inputs, "lstm": lstm_inputs}
DIALS = [
    ("gru", "the reset gate r", 0),
    ("gru", "the update gate z", 2),
    ("gru", "the new state n", 3),
    ("lstm", "the forget gate f", 0),
    ("lstm", "the output gate o", 3),
    ("lstm", "the cell c on its way to the next step", 0),
]


def mismatch(operation, index, gain):
    """What the rules see if one gradient comes from a program with its dials turned."""
    inputs = list(INPUTS[operation]())
    outs, _ = next(iter(forward_backward(operation)))(*inputs)
    cotangents = table(2, sum(out.size for out in outs), seed=21)
    call = Call([f"input {i}" for i in range(len(inputs))], inputs, outs, cotangents,
                lambda flat: (), operation=operation)  # fmt: skip
    found = []
    for flat in cotangents:
        _, leaves, outputs = run(operation, inputs, {}, gain)
        weighed(outputs, call.split_outputs(flat)).backward()
        found.append(leaves[index].grad)
    return Mismatch(call, index, np.stack(found), np.zeros((2, *inputs[index].shape)), None, 1e-6)


@pytest.mark.parametrize("c", WORDS)
@pytest.mark.parametrize(("operation", "dial", "index"), DIALS)
def test_a_gradient_with_one_dial_turned_is_named_by_that_dial(operation, dial, index, c):
    turned = mismatch(operation, index, lambda name, step: c if name == dial else 1.0)
    kind, words, factor = edges.changed_edge(turned)
    assert (kind, factor) == ("dropped_branch", None)
    assert dial in words
    assert words.endswith(WORDS[c])


@pytest.mark.parametrize(("kept", "word"), [(0, "first"), (3, "last")])
def test_a_weight_of_one_time_step_is_named_by_that_step(kept, word):
    only = mismatch("gru", 2, lambda name, step: float(step == kept or name != "weight_x"))
    only.call.names[2] = "weight_x"
    kind, words, _ = edges.changed_edge(only)
    assert kind == "missing_broadcast_sum"
    assert word in words
    assert "4 time steps" in words


def test_no_dial_explains_a_gradient_with_two_turned_by_other_gains():
    odd = {"the reset gate r": 0.3, "the update gate z": 1.7}
    assert edges.changed_edge(mismatch("gru", 0, lambda name, step: odd.get(name, 1.0))) is None
    other = mismatch("gru", 0, lambda name, step: 0.0 if name == "the reset gate r" else 1.0)
    other.call.operation = "tanh"
    assert edges.changed_edge(other) is None


def test_a_program_that_computes_something_else_proves_nothing():
    other = mismatch("gru", 0, lambda name, step: 0.0 if name == "the reset gate r" else 1.0)
    other.call.outputs = tuple(1.01 * out for out in other.call.outputs)
    assert edges.changed_edge(other) is None


def attention(*shape):
    B, H, T, S, D = shape
    return table(B, H, T, D), table(B, H, S, D, seed=4), table(B, H, S, D, seed=5)


@pytest.mark.parametrize("shape", [(1, 2, 5, 3, 7), (2, 2, 4, 4, 4)])
def test_the_row_sum_of_the_softmax_inside_attention(shape):
    forward, right = forward_backward("scaled_dot_product_attention")
    inputs = attention(*shape)

    def without_sum(g, *saved):
        q, k, v = inputs
        s = q @ k.swapaxes(-1, -2) / shape[-1] ** 0.5
        p = np.exp(s) / np.exp(s).sum(axis=-1, keepdims=True)
        return (p * (g @ v.swapaxes(-1, -2))) @ k / shape[-1] ** 0.5

    found = first(forward, altered(right, 0, without_sum), *inputs)
    assert (found.input, found.kind) == ("q", "missing_sum_term")


# ------------------------------------------------------------------ where another kind is true


@pytest.mark.parametrize("operation", INPUTS)
def test_a_constant_factor_is_no_edge(operation):
    forward, right = forward_backward(operation)
    wrong = lambda g, s: (2 * right(g, s)[0], *right(g, s)[1:])  # noqa: E731
    assert first(forward, wrong, *INPUTS[operation]()).kind == "scaled"


@pytest.mark.parametrize("operation", INPUTS)
def test_noise_is_no_edge(operation):
    forward, right = forward_backward(operation)
    inputs = INPUTS[operation]()
    noise = table(*inputs[0].shape, seed=11)
    wrong = lambda g, s: (right(g, s)[0] + noise * g[0].sum(), *right(g, s)[1:])  # noqa: E731
    found = first(forward, wrong, *inputs)
    assert "the way through" not in found.message


def test_options_that_the_program_does_not_know_are_no_obstacle():
    def gru_forward(x, h, weight_x, weight_h, bias_x, bias_h, *, unused=3):
        return ops.gru_forward(x, h, weight_x, weight_h, bias_x, bias_h)

    wrong = lambda g, s: (np.tanh(ops.gru_backward(g, s)[0]), *ops.gru_backward(g, s)[1:])  # noqa: E731
    assert not check_gradients(gru_forward, wrong, *gru_inputs(), unused=5).passed
