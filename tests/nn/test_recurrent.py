"""RNN, GRU and LSTM stacks: directions, lengths, states, and what they refuse."""

import re

import numpy as np
import pytest

import minillm.functional as F
from minillm import Tensor, nn
from minillm.gradcheck import check_model

KINDS = [nn.RNN, nn.GRU, nn.LSTM]
LENGTHS = [4, 7, 1]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.fixture
def x(rng):
    return rng.standard_normal((3, 7, 2))


def make(kind, rng=None, layers=2, *, bidirectional=True, **options):
    return kind(2, 5, layers, bidirectional=bidirectional, dtype="float64", rng=rng, **options)


def states_of(state):
    return state if isinstance(state, tuple) else (state,)


def loss(outputs, state):
    """Something that depends on all of them, each entry with a weight of its own."""
    total = 0.0
    for part in (outputs, *states_of(state)):
        weight = np.cos(np.arange(part.size)).reshape(part.shape)
        total = (part * part * weight).sum() + total
    return total


# ------------------------------------------------------------------------------ what they compute


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def one_direction(kind, part, x):
    """Outputs and final state of a single row x (T, C), step by step."""
    H = part.weight_h.shape[0]
    h, c, outputs = np.zeros(H), np.zeros(H), []
    for x_t in x:
        u, v = x_t @ part.weight_x.data, h @ part.weight_h.data
        if kind is nn.RNN:
            h = np.tanh(u + v + part.bias.data)
        elif kind is nn.GRU:
            u, v = u + part.bias_x.data, v + part.bias_h.data
            r, z = sigmoid(u[:H] + v[:H]), sigmoid(u[H : 2 * H] + v[H : 2 * H])
            h = (1 - z) * np.tanh(u[2 * H :] + r * v[2 * H :]) + z * h
        else:
            i, f, g, o = np.split(u + v + part.bias.data, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs), ((h, c) if kind is nn.LSTM else (h,))


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_each_row_is_read_by_hand(kind, rng, x, lengths):
    model = make(kind, rng)
    outputs, state = model(x, lengths=lengths)
    assert outputs.shape == (3, 7, 10)
    for row, length in enumerate(lengths or [7] * 3):
        inputs, ends = x[row, :length], []
        for layer in model.layers:
            ahead, end = one_direction(kind, layer.left_to_right, inputs)
            back, end_back = one_direction(kind, layer.right_to_left, inputs[::-1])
            inputs = np.concatenate([ahead, back[::-1]], axis=1)
            ends += [end, end_back]
        np.testing.assert_allclose(outputs.data[row, :length], inputs, rtol=1e-11)
        assert not outputs.data[row, length:].any()
        for number, found in enumerate(states_of(state)):
            assert found.shape == (4, 3, 5)
            expected = np.array([end[number] for end in ends])
            np.testing.assert_allclose(found.data[:, row], expected, rtol=1e-11)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_reaches_nothing(kind, rng, x, bidirectional):
    model = make(kind, rng, bidirectional=bidirectional)
    before, state = model(x, lengths=LENGTHS)
    changed = x.copy()
    changed[0, 4:], changed[2, 1:] = 1e3, -1e3
    changed = Tensor(changed, requires_grad=True)
    after, state_after = model(changed, lengths=np.array(LENGTHS))
    np.testing.assert_array_equal(before.data, after.data)
    for one, other in zip(states_of(state), states_of(state_after), strict=True):
        np.testing.assert_array_equal(one.data, other.data)
    loss(after, state_after).backward()
    assert not changed.grad[0, 4:].any()
    assert not changed.grad[2, 1:].any()
    assert changed.grad[0, :4].all()


def test_one_direction_does_not_see_the_future(kind, rng, x):
    model = make(kind, rng, bidirectional=False)
    before = model(x)[0].data
    x[:, 4:] += 1.0
    after = model(x)[0].data
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert not np.isclose(before[:, 4:], after[:, 4:]).any()


def test_a_state_continues_a_sequence(kind, rng, x):
    model = make(kind, rng, bidirectional=False)
    whole, end = model(x)
    first, state = model(x[:, :3])
    rest, last = model(x[:, 3:], state)
    np.testing.assert_allclose(np.concatenate([first.data, rest.data], axis=1), whole.data)
    for one, other in zip(states_of(last), states_of(end), strict=True):
        np.testing.assert_allclose(one.data, other.data)


def test_each_initial_state_reaches_its_layer_and_direction(kind, rng, x):
    model = make(kind, rng)
    zeros = [np.zeros((4, 3, 5)) for _ in states_of(model(x)[1])]
    given = tuple(zeros) if len(zeros) > 1 else zeros[0]
    base, _ = model(x, given)
    np.testing.assert_array_equal(base.data, model(x)[0].data)
    zeros[-1][3] = 1.0  # the last layer, right to left
    changed, _ = model(x, given)
    np.testing.assert_array_equal(changed.data[..., :5], base.data[..., :5])
    assert (changed.data[:, -1, 5:] != base.data[:, -1, 5:]).all()
    zeros[-1][3], zeros[-1][2] = 0.0, 1.0  # the last layer, left to right
    changed, _ = model(x, given)
    assert (changed.data[:, 0, :5] != base.data[:, 0, :5]).all()
    np.testing.assert_array_equal(changed.data[..., 5:], base.data[..., 5:])


def test_dropout_acts_between_layers_only(kind, rng, x):
    single = make(kind, rng, 1, dropout=1.0)
    np.testing.assert_array_equal(single(x)[0].data, single.eval()(x)[0].data)
    model = make(kind, rng, dropout=1.0)
    outputs = model(x)[0].data
    assert outputs.all()  # nothing is dropped after the last layer
    zeros = np.zeros((3, 7, 10))
    layer = model.layers[1]
    ahead, _ = one_direction(kind, layer.left_to_right, zeros[0])
    np.testing.assert_allclose(outputs[0, :, :5], ahead, rtol=1e-11)  # all of it before
    model.eval()
    assert not np.allclose(model(x)[0].data, outputs)


def test_initial_values_are_uniform_within_one_over_root_of_hidden(kind, rng):
    model = kind(3, 64, 2, bidirectional=True, rng=rng)
    for name, p in model.named_parameters():
        assert 0.9 / 8 < np.abs(p.data).max() <= 1 / 8, name
        assert p.dtype == np.float32


# --------------------------------------------------------------------------------- what they take


def test_gradients_with_dropout_and_lengths(kind, rng, x):
    class Loss(nn.Module):
        def __init__(self):
            self.model = make(kind, rng, dropout=0.3)

        def forward(self, x, state, lengths):
            outputs, last = self.model(x, state, lengths=lengths)
            return (outputs, *states_of(last))

    state = rng.standard_normal((4, 3, 5))
    state = (state, rng.standard_normal((4, 3, 5))) if kind is nn.LSTM else state
    report = check_model(Loss(), x, state, LENGTHS)
    assert report.passed, report


@pytest.mark.parametrize("lengths", [None, [2, 3, 1]])
def test_gradients_of_inputs_and_states(kind, rng, lengths):
    model = make(kind, rng)
    x = Tensor(rng.standard_normal((3, 3, 2)), requires_grad=True)
    state = [Tensor(rng.standard_normal((4, 3, 5)), requires_grad=True) for _ in range(2)]
    state = state if kind is nn.LSTM else state[:1]

    def value():
        given = tuple(state) if kind is nn.LSTM else state[0]
        return loss(*model(x, given, lengths=lengths))

    value().backward()
    for leaf in (x, *state):
        for i in rng.choice(leaf.size, 9, replace=False):
            flat, slope = leaf.data.reshape(-1), 0.0
            for step in (1e-5, -1e-5):
                flat[i] += step
                slope += value().item() * np.sign(step) / 2e-5
                flat[i] -= step
            np.testing.assert_allclose(leaf.grad.reshape(-1)[i], slope, rtol=1e-5, atol=1e-8)


def test_float32_stays_float32(kind, x):
    model = kind(2, 5, 2, bidirectional=True, dropout=0.2)
    x = Tensor(x.astype(np.float32), requires_grad=True)
    outputs, state = model(x, lengths=LENGTHS)
    total = outputs.sum()
    for part in states_of(state):
        total = total + part.sum()
    total.backward()
    dtypes = {outputs.dtype, x.grad.dtype, *(s.dtype for s in states_of(state))}
    assert {*dtypes, *(p.grad.dtype for p in model.parameters())} == {np.dtype("float32")}
    assert model.to("float64")(x.data.astype("float64"))[0].dtype == np.float64


def test_one_row_and_one_token(kind, rng):
    model = make(kind, rng)
    for B, T in ((1, 1), (1, 7), (3, 1)):
        for lengths in (None, [T] * B):
            outputs, state = model(np.ones((B, T, 2)), lengths=lengths)
            assert outputs.shape == (B, T, 10)
            assert states_of(state)[0].shape == (4, B, 5)


def test_full_lengths_are_no_lengths(kind, rng, x):
    model = make(kind, rng)
    np.testing.assert_array_equal(model(x)[0].data, model(x, lengths=[7, 7, 7])[0].data)


def test_lengths_may_have_any_integer_type(kind, rng, x):
    model = make(kind, rng)
    expected = model(x, lengths=LENGTHS)[0].data
    for lengths in (np.array(LENGTHS, np.uint8), np.array(LENGTHS, np.int32), Tensor(LENGTHS)):
        np.testing.assert_array_equal(model(x, lengths=lengths)[0].data, expected)


def test_a_state_dict_comes_back_and_names_are_stable(kind, rng, x):
    one, other = make(kind, rng), make(kind)
    assert not np.allclose(one(x)[0].data, other(x)[0].data)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one(x)[0].data, other(x)[0].data)
    biases = ["bias_x", "bias_h"] if kind is nn.GRU else ["bias"]
    assert list(one.state_dict()) == [
        f"layers.{layer}.{direction}.{name}"
        for layer in (0, 1)
        for direction in ("left_to_right", "right_to_left")
        for name in ("weight_x", "weight_h", *biases)
    ]


def test_without_biases(kind, rng, x):
    model = make(kind, rng, bias=False)
    assert {name.split(".")[-1] for name in model.state_dict()} == {"weight_x", "weight_h"}
    with_bias = make(kind)
    with_bias.load_state_dict(model.state_dict(), strict=False)
    for name, p in with_bias.named_parameters():
        if "bias" in name:
            p.data[:] = 0
    np.testing.assert_allclose(model(x)[0].data, with_bias(x)[0].data, rtol=1e-12)


def test_the_forget_gate_is_where_the_docstring_says(rng, x):
    model = nn.LSTM(2, 5, dtype="float64", rng=rng)
    c0 = np.ones((1, 3, 5))
    for p in model.parameters():
        p.data[...] = 0
    model.layers[0].left_to_right.bias.data[5:10] = 50.0
    _, (_, c) = model(x, (np.zeros_like(c0), c0))
    np.testing.assert_allclose(c.data, c0)  # nothing is forgotten


def test_repr(kind):
    text = repr(kind(2, 3))
    name = kind.__name__
    assert text.startswith(f"{name}(input_size=2, hidden_size=3, bidirectional=False\n")
    assert f"left_to_right: {name}Direction(weight_x (2, " in text
    assert text.endswith(f"{kind(2, 3).num_parameters()} parameters")


def test_it_learns_which_token_came_first(rng):
    from minillm.optim import Adam

    model, head = nn.LSTM(2, 8, rng=rng), nn.Linear(8, 2, rng=rng)
    labels = rng.integers(0, 2, 32)
    x = rng.standard_normal((32, 6, 2)).astype(np.float32)
    x[:, 0] = np.eye(2, dtype=np.float32)[labels] * 3
    optimizer = Adam([*model.parameters(), *head.parameters()], lr=0.02)
    for _ in range(60):
        _, (h, _) = model(x)
        value = F.cross_entropy(head(h[-1]), labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert value.item() < 0.1


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((0, 3), {}, "input_size must be an integer of at least 1, got 0"),
        ((2, 0), {}, "hidden_size must be an integer of at least 1, got 0"),
        ((2, 3, 0), {}, "num_layers must be an integer of at least 1, got 0"),
        ((2, 3.0), {}, r"hidden_size must be an integer of at least 1, got 3\.0"),
        ((2, 3), {"dropout": -0.2}, "p = -0.2 must be a probability"),
    ],
)
def test_impossible_sizes(kind, sizes, options, message):
    with pytest.raises(ValueError, match=message):
        kind(*sizes, **options)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([4, 8, 1], r"within 1 … 7 for x \(3, 7, 2\), got shape \(3,\) with values \[4, 8, 1\]"),
        ([4, 0, 1], r"values \[4, 0, 1\]"),
        ([4, -2, 1], r"values \[4, -2, 1\]"),
        ([4, 7], r"must be \(3,\) integers .* got shape \(2,\)"),
        ([[4, 7, 1]], r"got shape \(1, 3\)"),
        ([4.0, 7.0, 1.0], "lengths must be integers, got float32"),
        ([True, True, True], "lengths must be integers, got bool"),
    ],
)
def test_impossible_lengths(kind, x, lengths, message):
    with pytest.raises(ValueError, match=f"{kind.__name__}: lengths") as caught:
        make(kind)(x, lengths=lengths)
    assert re.search(message, str(caught.value))


def test_inputs_and_states_of_other_shapes_are_refused_and_the_module_is_named(kind, rng, x):
    class Tagger(nn.Module):
        def __init__(self):
            self.reader = make(kind)

        def forward(self, x, state=None):
            return self.reader(x, state)

    model = Tagger()
    with pytest.raises(ValueError) as caught:
        model(np.ones((3, 7, 4)))
    assert "x (3, 7, 4) must be (B, T, 2), batch first" in str(caught.value)
    assert str(caught.value).endswith("in Tagger.reader")
    with pytest.raises(ValueError, match=r"x \(3, 0, 2\) holds no tokens"):
        model(x[:, :0])
    wrong = np.zeros((2, 3, 5))
    given = (wrong, wrong) if kind is nn.LSTM else wrong
    with pytest.raises(ValueError, match=r"state h must be .* = \(4, 3, 5\), got \(2, 3, 5\)"):
        model(x, given)
    if kind is nn.LSTM:
        right = np.zeros((4, 3, 5))
        with pytest.raises(ValueError, match=r"state c must be .* got \(2, 3, 5\)"):
            model(x, (right, wrong))
        with pytest.raises(ValueError, match=r"state must be the pair \(h, c\)"):
            model(x, right)
