"""check_model: right models pass, and the operation, module or value that is wrong gets a name."""

import warnings

import numpy as np
import pytest

import minillm
import minillm.functional as F
from minillm import Tensor, debugging, differentiable, nn, no_grad, ops
from minillm.gradcheck import GradientSettings, check_model
from minillm.gradcheck.calls import differs
from minillm.gradcheck.localise import MEDIUM, SMALL, cut_down
from minillm.gradcheck.mutants import mutants
from minillm.models import GPT2Config, GPT2LMHeadModel


def tanh_forward(x):
    return np.tanh(x), (np.tanh(x),)


def wrong_tanh_backward(grad_out, saved):
    return (grad_out * (1 - saved[0]),)  # the square is forgotten


def square_forward(x):
    return x * x, (x,)


wrong_tanh = differentiable(tanh_forward, wrong_tanh_backward)
wrong_square = differentiable(square_forward, lambda g, saved: (g * saved[0],))


class TwoLayers:
    """Anything with named_parameters is a model."""

    def __init__(self, rng, activation=F.tanh, dtype=np.float32):
        self.first = Tensor(rng.standard_normal((3, 5)).astype(dtype), requires_grad=True)
        self.second = Tensor(rng.standard_normal((5, 2)).astype(dtype), requires_grad=True)
        self.activation = activation

    def named_parameters(self):
        return [("first", self.first), ("second", self.second)]

    def __call__(self, x):
        return self.activation(Tensor(x) @ self.first) @ self.second


class Apply(nn.Module):
    """A function of one Tensor as a module."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


class Block(nn.Module):
    """A residual block around an activation."""

    def __init__(self, width, activation, rng):
        self.linear = nn.Linear(width, width, rng=rng)
        self.activation = Apply(activation)

    def forward(self, x):
        return x + self.activation(self.linear(x))


class Stack(nn.Module):
    """Blocks in a list: modules three deep."""

    def __init__(self, rng, *activations, width=5):
        self.blocks = nn.ModuleList(Block(width, f, rng) for f in activations)
        self.head = nn.Linear(width, 2, rng=rng)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def small_gpt2(layers=1, seed=0, **options):
    sizes = {"vocab_size": 7, "n_positions": 5, "n_embd": 6, "n_head": 2}
    config = GPT2Config(**{**sizes, **options}, n_layer=layers)
    return GPT2LMHeadModel(config, rng=np.random.default_rng(seed))


@pytest.fixture
def x(rng):
    return rng.standard_normal((7, 5))


IDS = np.array([[1, 2, 3, 6], [0, 5, 5, 2]])


# -------------------------------------------------------------------------------- right models


def test_a_model_of_ones_own_passes(rng):
    report = check_model(TwoLayers(rng), rng.standard_normal((7, 3)))
    assert report.passed, str(report)
    assert [(row.name, row.checked) for row in report.inputs] == [("first", 12), ("second", 10)]
    assert report.relative_error < 1e-8
    assert report.where == ""
    assert "the model called 3 operations" in report.notes


def test_a_model_takes_the_float32_inputs_it_was_made_for(rng):
    x = rng.standard_normal((7, 3)).astype(np.float32)
    assert check_model(TwoLayers(rng), x).passed
    assert check_model(nn.Linear(3, 5), Tensor(x)).passed


def test_arrays_inside_tuples_and_buffers_of_the_model_are_cast_too(rng):
    class Scaled(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(3, 3, rng=rng)
            self.table = rng.standard_normal((7, 3)).astype(np.float32)
            self.offset = Tensor(np.ones(3, np.float32))

        def forward(self, pair):
            return self.linear(pair[0]) * self.table + self.offset * pair[1]

    model = Scaled()
    table, offset = model.table, model.offset.data
    parts = [rng.standard_normal((7, 3)).astype(np.float32) for _ in range(2)]
    assert check_model(model, (parts[0], Tensor(parts[1]))).passed
    assert model.table is table
    assert model.offset.data is offset


def test_a_parameter_may_be_stored_column_by_column(rng):
    model = TwoLayers(rng)
    model.first.data = np.asfortranarray(model.first.data)
    assert check_model(model, rng.standard_normal((7, 3))).passed


def test_all_entries_are_checked_on_demand(rng):
    settings = GradientSettings(max_entries=None)
    report = check_model(TwoLayers(rng), rng.standard_normal((7, 3)), settings=settings)
    assert [row.checked for row in report.inputs] == [15, 10]


def test_frozen_parameters_are_left_out(rng):
    model = TwoLayers(rng)
    model.first.requires_grad = False
    report = check_model(model, rng.standard_normal((7, 3)))
    assert report.passed
    assert [row.name for row in report.inputs] == ["second"]


def test_a_model_without_parameters_is_checked_at_its_inputs(rng, x):
    report = check_model(Apply(F.softmax), x)
    assert report.passed
    assert [row.name for row in report.inputs] == ["input 0"]
    assert report.inputs[0].checked == 12
    assert not check_model(Apply(wrong_tanh), x).passed


@pytest.mark.parametrize("with_labels", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_gpt2_passes_with_biases_and_dropout(with_labels, training):
    model = small_gpt2(resid_pdrop=0.3, embd_pdrop=0.2, attn_pdrop=0.1).train(training)
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    options = {"labels": IDS} if with_labels else {}
    report = check_model(model, IDS, **options)
    assert report.passed, str(report)
    assert {row.name for row in report.inputs} == set(before)
    assert any(name.endswith("c_attn.bias") for name in before)
    for name, p in model.named_parameters():
        assert p.dtype == before[name].dtype
        np.testing.assert_array_equal(p.data, before[name])


def recurrent(kind, rng):
    return kind(5, 4, 2, bidirectional=True, rng=rng)


LAYERS = {
    "Linear": lambda rng: nn.Linear(5, 4, rng=rng),
    "LayerNorm": lambda rng: nn.LayerNorm(5),
    "RMSNorm": lambda rng: nn.RMSNorm(5),
    "Dropout": lambda rng: nn.Dropout(0.4),
    "PositionalEncoding": lambda rng: nn.PositionalEncoding(5, 0.2, learned=True, rng=rng),
    "MultiHeadAttention": lambda rng: nn.MultiHeadAttention(5, 5, dropout=0.2, rng=rng),
    "FeedForward": lambda rng: nn.FeedForward(5, 11, rng=rng),
    "TransformerEncoderLayer": lambda rng: nn.TransformerEncoderLayer(5, 1, 11, 0.1, rng=rng),
    "RNN": lambda rng: recurrent(nn.RNN, rng),
    "GRU": lambda rng: recurrent(nn.GRU, rng),
    "LSTM": lambda rng: recurrent(nn.LSTM, rng),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_passes(name):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        report = check_model(LAYERS[name](rng), rng.standard_normal((2, 7, 5)))
        assert report.passed, str(report)
        assert report.inputs


@pytest.mark.parametrize("activation", [F.relu, lambda x: F.maximum(x, 0.1 * x)])
def test_kinks_on_the_way_are_no_mistakes(activation):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        model = Stack(rng, activation, activation, width=13)
        report = check_model(model, rng.standard_normal((11, 13)))
        assert report.passed, str(report)


def test_the_frozen_row_of_an_embedding_is_left_out(rng):
    model = nn.Sequential(nn.Embedding(11, 3, padding_idx=2, rng=rng), Apply(F.tanh))
    report = check_model(model, np.array([[2, 1, 1], [2, 7, 0]]))
    assert report.passed, str(report)
    assert "0.weight: padding_idx takes the gradient of row [2], which is left out" in report.notes
    everything = GradientSettings(max_entries=None)
    report = check_model(model, np.array([[2, 1, 1], [2, 7, 0]]), settings=everything)
    assert report.inputs[0].checked == 10 * 3


# ------------------------------------------------------------------------- a wrong operation


def test_a_wrong_operation_three_modules_deep_is_named(rng, x):
    report = check_model(Stack(rng, F.tanh, wrong_tanh, F.tanh), x)
    assert not report.passed
    assert report.where == "tanh in blocks.1.activation, call 5 of 10"
    [finding] = report.findings
    assert finding.input == "x"
    start = "operation 'tanh' called by blocks.1.activation (call 5 of 10): "
    assert finding.message.startswith(start)
    assert len(finding.message) > len(start)
    wrong = "blocks.0.linear.weight, blocks.0.linear.bias, blocks.1.linear.weight"
    assert any(f"4 of 8 parameters ({wrong}" in note for note in report.notes)


def test_of_several_calls_the_one_next_to_the_loss_is_named(rng, x):
    report = check_model(Stack(rng, wrong_tanh, F.tanh, wrong_tanh, F.tanh), x)
    assert report.where == "tanh in blocks.2.activation, call 8 of 13"
    assert "2 of the 2 calls of 'tanh' disagree" in report.notes


def test_two_wrong_operations_are_both_named_the_later_one_first(rng, x):
    report = check_model(Stack(rng, wrong_square, F.tanh, wrong_tanh), x)
    first, second = report.findings
    assert first.message.startswith("operation 'tanh' called by blocks.2.activation (call 8 of 10)")
    assert second.message.startswith(
        "operation 'square' called by blocks.0.activation (call 2 of 10)"
    )
    assert (second.kind, second.factor) == ("scaled", pytest.approx(0.5))


def test_a_wrong_operation_of_a_model_without_modules_is_named(rng):
    report = check_model(TwoLayers(rng, wrong_tanh), rng.standard_normal((7, 3)))
    assert report.where == "tanh in TwoLayers, call 2 of 3"
    assert str(report).startswith("TwoLayers: FAILED")


def test_a_call_that_no_gradient_passes_is_not_blamed(rng, x):
    def both(t):
        with no_grad():
            wrong_square(t)
        wrong_square(Tensor(np.ones(3)))
        return wrong_tanh(t)

    report = check_model(Stack(rng, both), x)
    assert [f.message.split("'")[1] for f in report.findings] == ["tanh"]


def test_an_unused_output_is_not_blamed(rng, x):
    def pair_forward(x):
        return (2 * x, x * x), (x,)

    wrong = differentiable(pair_forward, lambda g, s: (2 * g[0] + g[1] * s[0],), outputs=2)
    assert check_model(Stack(rng, lambda t: wrong(t)[0]), x).passed
    report = check_model(Stack(rng, lambda t: wrong_tanh(wrong(t)[0])), x)
    assert [f.message.split("'")[1] for f in report.findings] == ["tanh"]
    assert check_model(Stack(rng, lambda t: wrong(t)[1]), x).where.startswith("pair in ")


BROKEN = {
    "raises": lambda g, saved: 1 / 0,
    "wrong shape": lambda g, saved: (g[:1],),
    "nothing": lambda g, saved: None,
    "None": lambda g, saved: (None,),
    "NaN": lambda g, saved: (g * np.nan,),
    "float32": lambda g, saved: ((g * (1 - saved[0] ** 2)).astype(np.float32),),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_backward_that_breaks_the_engine_is_named(rng, x, name):
    report = check_model(Stack(rng, F.tanh, differentiable(tanh_forward, BROKEN[name])), x)
    assert report.where == "tanh in blocks.1.activation, call 5 of 7"
    assert report._repr_html_()


def test_a_backward_that_overwrites_the_gradient_of_another_branch_is_named(rng, x):
    def backward(grad_out, saved):
        grad_out *= 1 - saved[0] ** 2
        return (grad_out,)

    report = check_model(Stack(rng, F.tanh, differentiable(tanh_forward, backward)), x)
    assert report.where == "tanh in blocks.1.activation, call 5 of 7"
    assert "mutated_input" in [f.kind for f in report.findings]


def test_a_backward_that_errs_only_when_told_what_is_needed_is_named(rng, x):
    def backward(grad_out, saved, *, needs=None):
        a, b = saved
        both = grad_out * b, grad_out * a
        return both if needs is None else both[::-1]

    product = differentiable(lambda a, b: (a * b, (a, b)), backward)
    report = check_model(Stack(rng, lambda t: product(t, 2.0 + x)), x)
    assert report.where.startswith("<lambda> in blocks.0.activation")
    assert "needs=(True, False)" in report.findings[0].message


def replaced(monkeypatch, name, mutant):
    """Let the library use a wrong backward wherever modules call F.<name>, or t + t."""
    forward, outputs = getattr(ops, f"{name}_forward"), getattr(F, name).op.outputs
    wrong = differentiable(forward, mutant.backward, outputs=outputs)
    monkeypatch.setattr(F, name, wrong)
    if name == "add":
        monkeypatch.setattr(Tensor, "__add__", wrong)
    if name in ("reshape", "transpose"):
        monkeypatch.setattr(minillm.autograd, name, wrong)


SEEDED = [
    ("linear", "transposed"),
    ("linear", "scaled"),
    ("linear", "missing_broadcast_sum"),
    ("layer_norm", "missing_mean_term"),
    ("layer_norm", "wrong_operand"),
    ("dropout", "scaled"),
    ("scaled_dot_product_attention", "scaled"),
    ("scaled_dot_product_attention", "missing_sum_term"),
    ("scaled_dot_product_attention", "wrong_operand"),
    ("embedding", "overwritten_duplicates"),
    ("cross_entropy", "scaled"),
    ("cross_entropy", "ignores_upstream"),
    ("add", "sign_flipped"),
    ("split", "dropped_branch"),
    ("reshape", "wrong_entries"),
    ("transpose", "sign_flipped"),
]


@pytest.mark.parametrize(("name", "kind"), SEEDED)
def test_a_mistake_in_an_operation_of_gpt2_is_found_in_seconds(monkeypatch, name, kind):
    mutant = next(m for m in mutants(name) if m.kind == kind and m.forward is None)
    replaced(monkeypatch, name, mutant)
    ids = np.random.default_rng(1).integers(0, 97, (2, 12))
    ids[:, 3] = ids[:, 0]
    model = small_gpt2(4, vocab_size=97, n_positions=16, n_embd=32, n_head=4)
    report = check_model(model, ids, labels=ids)  # about 1.5 s on two cores
    assert not report.passed, mutant.story
    assert report.where.startswith(f"{name} in "), report
    assert int(report.where.rpartition(" of ")[2]) > 50
    assert report.findings[0].message.startswith(f"operation {name!r} called by ")
    assert all(len(line) <= 88 for line in str(report).splitlines())


def test_a_forgotten_factor_that_is_one_in_a_new_model_is_found(monkeypatch, rng, x):
    story = "gamma is forgotten on the way to x"
    replaced(monkeypatch, "layer_norm", next(m for m in mutants("layer_norm") if m.story == story))
    model = nn.Sequential(nn.Linear(5, 5, rng=rng), nn.LayerNorm(5))
    report = check_model(model, x)
    assert report.where == "layer_norm in Sequential.1, call 2 of 2"
    np.testing.assert_array_equal(list(model.parameters())[2].data, 1.0)
    assert any("(1.weight, 1.bias): a 1 or a 0 hides mistakes" in note for note in report.notes)


def test_one_wrong_number_among_hundreds_is_found_without_looking_at_each(rng):
    def backward(grad_out, saved):
        grad = grad_out.copy()
        grad[3, 17] = 0.0
        return (grad,)

    same = differentiable(lambda x: (x + 0.0, ()), backward)

    class One(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(rng.standard_normal((20, 30)))

        def forward(self, x):
            return x @ same(self.weight)

    report = check_model(
        One(), rng.standard_normal((7, 20)), settings=GradientSettings(max_entries=1)
    )
    assert report.where == "<lambda> in One, call 1 of 2"
    assert report.findings[0].worst_index == (3, 17)


# ------------------------------------------------------------------- values that left the graph


LOST = {
    "detach": (lambda t: F.tanh(t.detach()), "it is the output of operation 'linear'"),
    "data": (lambda t: F.tanh(Tensor(t.data)), "it is the output of operation 'linear'"),
    "numpy": (lambda t: F.tanh(Tensor(np.sin(t.data))), "computed outside of the graph"),
    "a leaf of its own": (lambda t: F.tanh(Tensor(t.data, True)), "it is the output of operation"),
}


@pytest.mark.parametrize("name", LOST)
def test_a_value_that_left_the_graph_is_found_where_it_came_back(rng, x, name):
    activation, origin = LOST[name]
    report = check_model(Stack(rng, F.tanh, activation), x)
    [finding] = report.findings
    assert report.where == "tanh in blocks.1.activation, call 5 of 7"
    assert finding.message.startswith(
        "the input x of operation 'tanh' called by blocks.1.activation (call 5 of 7) changes with "
        "the parameters but is not connected to them: "
    )
    assert origin in finding.message
    notes = [note for note in report.notes if note.startswith("no gradient arrives at")]
    assert notes == ["no gradient arrives at blocks.1.linear.weight, blocks.1.linear.bias"]


def test_a_part_computed_without_a_graph_is_found(rng, x):
    def frozen(t):
        with no_grad():
            return F.exp(F.tanh(t))

    report = check_model(Stack(rng, frozen), x)
    assert report.where == "exp in blocks.0.activation, call 3 of 5"
    assert (
        "operation 'tanh' called by blocks.0.activation (call 2 of 5)" in report.findings[0].message
    )


def test_the_data_of_a_parameter_is_found(rng):
    class Tied(TwoLayers):
        def __call__(self, x):
            return F.tanh(Tensor(x) @ self.first.data) @ self.second

    report = check_model(Tied(rng), rng.standard_normal((7, 3)))
    [finding] = report.findings
    assert (finding.input, finding.kind) == ("b", "zero_gradient")
    assert "the array of the parameter first" in finding.message


def test_a_number_taken_out_with_float_is_found(rng, x):
    report = check_model(Stack(rng, lambda t: t * float(t.sum())), x)
    assert report.where == "multiply in blocks.0.activation, call 3 of 5"
    assert report.findings[0].kind == "dropped_branch"
    assert "input b of operation 'multiply'" in report.findings[0].message


def test_an_option_that_depends_on_the_parameters_is_found(rng, x):
    def scale_forward(x, *, by):
        return x * by, (by,)

    scale = differentiable(scale_forward, lambda g, saved: (g * saved[0],))
    report = check_model(Stack(rng, lambda t: scale(t, by=t.data)), x)
    assert "input by of operation 'scale'" in report.findings[0].message
    assert "options get no gradient" in report.findings[0].message


def test_an_output_without_history_is_found(rng):
    class Cut(TwoLayers):
        def __call__(self, x):
            return super().__call__(x).detach()

    [finding] = check_model(Cut(rng), rng.standard_normal((7, 3))).findings
    assert finding.message.startswith("output 0 of the model changes with the parameters")


def test_an_array_edited_between_forward_and_backward_is_found(rng, x):
    def edited(t):
        y = F.tanh(t)
        z = F.exp(y)
        y.data[...] = 0.5
        return z

    report = check_model(Stack(rng, edited), x)
    assert report.findings[0].kind == "mutated_input"
    assert "changed in place" in report.findings[0].message


def test_a_wrong_gradient_without_a_culprit_is_still_a_finding(rng, monkeypatch):
    model = TwoLayers(rng)
    run, right = minillm.gradcheck.models.Subject.gradients, model.first

    def doubled(self, weight):
        grads = run(self, weight)
        return [
            2 * g if leaf is right else g for (_, leaf), g in zip(self.leaves, grads, strict=True)
        ]

    monkeypatch.setattr(minillm.gradcheck.models.Subject, "gradients", doubled)
    report = check_model(model, rng.standard_normal((7, 3)))
    [finding] = report.findings
    assert (finding.input, finding.kind, finding.factor) == ("first", "scaled", pytest.approx(2.0))
    assert any("every operation agrees with its own forward" in note for note in report.notes)


# ----------------------------------------------------------------------- models that do not stand still


def test_hidden_randomness_is_said_before_anything_else(rng, x):
    hidden = np.random.default_rng(0)
    noisy = lambda t: wrong_tanh(t * hidden.random(t.shape))  # noqa: E731
    report = check_model(Stack(rng, F.tanh, noisy), x)
    [finding] = report.findings
    assert finding.input == "forward"
    assert "two runs of the model" in finding.message
    place = "the input b of operation 'multiply' called by blocks.1.activation (call 5 of 8)"
    assert place in finding.message


def test_an_operation_that_draws_by_itself_is_named(rng, x):
    hidden = np.random.default_rng(0)

    def noise_forward(x):
        scale = hidden.random(x.shape)
        return x * scale, (scale,)

    noise = differentiable(noise_forward, lambda g, saved: (g * saved[0],))
    [finding] = check_model(Stack(rng, noise), x).findings
    assert "the output of operation 'noise' called by blocks.0.activation" in finding.message


def test_a_model_that_remembers_is_not_checked(rng, x):
    seen = []

    def counting(t):
        seen.append(0)
        return t * float(len(seen))

    [finding] = check_model(Stack(rng, counting), x).findings
    assert "keeps something from run to run" in finding.message


@pytest.mark.parametrize("place", ["attribute", "closure", "library"])
def test_generators_are_found_wherever_an_operation_gets_them(rng, x, place):
    generator = np.random.default_rng(0)
    model = Stack(rng, lambda t: F.dropout(t, p=0.4, rng=generator))
    if place == "attribute":
        model = Stack(rng, F.tanh)
        model.blocks[0].activation = nn.Dropout(0.4, rng=generator)
    if place == "library":
        model = Stack(rng, lambda t: F.dropout(t, p=0.4))
    report = check_model(model, x)
    assert report.passed, str(report)


def test_a_forward_that_overwrites_a_parameter_or_an_input_is_found(rng, x):
    class Decay(TwoLayers):
        def __call__(self, x):
            self.first.data *= 0.5
            return super().__call__(x)

    model = Decay(rng)
    before = model.first.data.copy()
    [finding] = check_model(model, rng.standard_normal((7, 3))).findings
    assert (finding.input, finding.kind) == ("first", "mutated_input")
    np.testing.assert_array_equal(model.first.data, before)

    def centred(t):
        t.data[...] -= t.data.mean()
        return t * 1.0

    kept = x.copy()
    [finding] = check_model(nn.Sequential(Apply(centred), nn.Linear(5, 2)), Tensor(x)).findings
    assert (finding.input, finding.kind) == ("0", "mutated_input")
    np.testing.assert_array_equal(x, kept)


def test_outputs_that_are_not_finite_are_a_finding(rng, x):
    with np.errstate(divide="ignore", invalid="ignore"):
        report = check_model(Stack(rng, F.log), x)
    assert [f.kind for f in report.findings] == ["not_finite"]


# --------------------------------------------------------------------- what it leaves behind


def generator_states(*generators):
    return [g.bit_generator.state for g in generators]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", [F.tanh, wrong_tanh, lambda t: F.tanh(t.detach())])
def test_values_dtypes_gradients_and_generators_come_back(rng, dtype, activation):
    model = TwoLayers(rng, activation, dtype)
    arrays = model.first.data, model.second.data
    values = [a.copy() for a in arrays]
    model.first.grad = gradient = np.full((3, 5), 9, dtype=dtype)
    x = rng.standard_normal((7, 3))
    before, state = x.copy(), generator_states(minillm.backend.default_generator())
    check_model(model, x)
    assert model.first.data is arrays[0]
    assert model.second.data is arrays[1]
    for array, value in zip(arrays, values, strict=True):
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, value)
    assert model.first.grad is gradient
    np.testing.assert_array_equal(gradient, 9)
    assert model.second.grad is None
    np.testing.assert_array_equal(x, before)
    assert generator_states(minillm.backend.default_generator()) == state


@pytest.mark.parametrize("at_call", [1, 2, 3, 4, 6, 40])
def test_a_model_that_raises_gets_its_parameters_back(rng, at_call):
    calls = []

    def broken(x):
        calls.append(x)
        if len(calls) >= at_call:
            raise RuntimeError("broken")
        return wrong_tanh(x)

    model = TwoLayers(rng, broken)
    model.first.grad = gradient = np.ones((3, 5), np.float32)
    first, values = model.first.data, model.first.data.copy()
    with pytest.raises(RuntimeError, match="broken"):
        check_model(model, np.ones((7, 3)))
    assert model.first.data is first
    assert model.first.grad is gradient
    np.testing.assert_array_equal(first, values)
    assert not debugging.debugging
    assert debugging.recorder is None
    assert debugging.module_stack == []


def test_what_cannot_be_checked_is_said(x):
    with pytest.raises(TypeError, match=r"model must have named_parameters\(\), and function has"):
        check_model(test_what_cannot_be_checked_is_said, x)
    with pytest.raises(ValueError, match="Apply has no parameter that requires a gradient"):
        check_model(Apply(F.tanh), np.arange(3))
    with pytest.raises(TypeError, match="Apply returned no Tensor"):
        check_model(Apply(lambda t: t.data), x)


# ------------------------------------------------------------------------------- large models


def test_a_large_model_is_checked_along_directions(monkeypatch):
    model = small_gpt2(2, vocab_size=301, n_embd=32, n_head=4)
    affordable = 11  # entries, fewer than there are parameters
    monkeypatch.setattr(
        "minillm.gradcheck.models.WORK", (affordable + 0.5) * 5 * model.num_parameters()
    )
    report = check_model(model, IDS, labels=IDS)
    assert report.passed, str(report)
    assert sum(row.checked for row in report.inputs) == int(affordable)
    assert {row.note for row in report.inputs if not row.checked} == {"along directions only"}
    assert any(note.startswith("a large model: all parameters") for note in report.notes)
    replaced(monkeypatch, "layer_norm", mutants("layer_norm")[0])
    where = check_model(model, IDS, labels=IDS).where
    assert where.startswith("layer_norm in transformer.ln_f"), where


def recorded(function, *tensors):
    from minillm.gradcheck.calls import record

    [call] = record(lambda: (function(*tensors),), "model").calls
    return call


def test_the_inputs_of_a_large_call_are_cut_down_together(rng):
    x, weight = rng.standard_normal((6, 10, 64)), rng.standard_normal((64, 256))
    inputs, _ = cut_down(recorded(F.linear, Tensor(x), Tensor(weight), Tensor(weight[0])), 8)
    assert [a.shape for a in inputs] == [(2, 2, 8), (8, 32), (32,)]
    np.testing.assert_array_equal(inputs[0], x[:2, :2, :8])
    ids = rng.integers(0, 500, (4, 30))
    inputs, _ = cut_down(recorded(F.embedding, ids, Tensor(rng.standard_normal((500, 64)))), 16)
    assert inputs[1].shape == (500 // 16, 4)
    assert inputs[0].max() < 500 // 16


def test_a_mistake_in_a_large_call_is_diagnosed_on_a_part_of_it(rng):
    def half(grad_out, saved):
        return (0.5 * grad_out * saved[0],)

    x = rng.standard_normal((32, 64))
    assert SMALL < x.size <= MEDIUM
    [finding] = check_model(Stack(rng, differentiable(square_forward, half), width=64), x).findings
    assert (finding.kind, finding.factor) == ("scaled", pytest.approx(0.25))
    assert "cut down to x (16, 32)" in finding.message


# ----------------------------------------------------------------------------------- small parts


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (np.ones(3), np.ones(3), False),
        (np.ones(3), np.ones(3) + 1e-12, False),
        (np.ones(3), np.ones(3) + 1e-8, True),
        (np.ones(3), np.ones(4), True),
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), False),
        (np.array([np.nan, 1.0]), np.array([2.0, 1.0]), True),
        (np.array([np.inf]), np.array([np.inf]), False),
        (np.array([1, 2]), np.array([1, 3]), True),
        (2.0, 2.5, True),
        (2.0, 2.0, False),
        ("a", "b", False),
        (None, np.ones(3), False),
    ],
)
def test_what_counts_as_a_difference(a, b, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert differs(a, b) is expected
        assert differs(b, a) is expected


def test_a_model_without_logits_is_checked_at_its_hidden_states():
    class Output:
        logits = None

        def __init__(self, states):
            self.last_hidden_state = states

    class Encoder(nn.Module):
        def __init__(self):
            self.line = nn.Linear(3, 2, rng=np.random.default_rng(0))

        def forward(self, x):
            return Output(F.tanh(self.line(x)))

    report = check_model(Encoder(), np.random.default_rng(1).standard_normal((5, 3)))
    assert report.passed, str(report)
    assert sum(row.checked for row in report.inputs) == 8
