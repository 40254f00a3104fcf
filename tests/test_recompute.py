"""Recomputation: the bits of a plain run, with the memory of one part at a time."""

import contextlib
import functools
import importlib
import threading
import tracemalloc

import numpy as np
import pytest

import minillm
import minillm.functional as F
from minillm import Tensor, debug, no_grad, recompute
from minillm.backend import default_generator, generator_of_this_thread, to_numpy
from minillm.gradcheck import check_function, check_model
from minillm.models import (
    GPT2Config,
    GPT2LMHeadModel,
    Seq2SeqTransformer,
    TransformerLanguageModel,
)
from minillm.nn import Dropout, Linear, Module, Parameter, Transformer
from minillm.optim import AdamW
from minillm.training import fit

from .device import strict
from .device.conftest import open_device

engine = importlib.import_module("minillm.recompute")  # minillm.recompute is the function
IDS = np.array([[3, 1, 4, 1, 5, 9, 2], [6, 5, 3, 5, 8, 9, 7]])
MASK = np.array([[0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]])


def array(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def gpt(layers=3, dropout=0.3, **changes):
    drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    sizes = {"vocab_size": 11, "n_positions": 7, "n_embd": 6, "n_head": 2, **changes}
    config = GPT2Config(n_layer=layers, **drops, **sizes)
    return GPT2LMHeadModel(config, rng=np.random.default_rng(5))


class Pair(Module):
    """The encoder and decoder of nn.Transformer as one model with a loss."""

    def __init__(self):
        self.both = Transformer(6, 2, 2, 2, 10, 0.2, rng=np.random.default_rng(5))

    def recompute_activations(self, on):
        self.both.recompute_activations(on)

    def loss(self):
        source, target = array(2, 5, 6), array(2, 7, 6, seed=1)
        visible = np.array([[True] * 5, [True] * 3 + [False] * 2])
        out = self.both(source, target, src_key_visible=visible, is_causal=True)
        return (out * Tensor(array(2, 7, 6, seed=2))).sum()


def transformer_lm():
    return TransformerLanguageModel(11, 6, 2, 10, 3, 0.3, rng=np.random.default_rng(5))


def seq2seq():
    return Seq2SeqTransformer(
        vocab_size=11, d_model=6, nhead=2, dim_feedforward=10, num_encoder_layers=2,
        num_decoder_layers=2, dropout=0.3, rng=np.random.default_rng(5),
    )  # fmt: skip


CASES = {
    "gpt2": (gpt, lambda model: model(IDS, labels=IDS).loss),
    "gpt2 padded": (gpt, lambda model: model(IDS, labels=IDS, attention_mask=MASK).loss),
    "gpt2 untied": (lambda: gpt(tie_word_embeddings=False), lambda m: m(IDS, labels=IDS).loss),
    "transformer lm": (transformer_lm, lambda m: m(IDS, IDS, MASK).loss),
}
CASES_TO_ROUNDING = {  # each layer of the decoder reads the result of the encoder twice
    "seq2seq": (seq2seq, lambda m: m(IDS, labels=IDS[:, :5], attention_mask=MASK).loss),
    "nn.Transformer": (Pair, lambda model: model.loss()),
}


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters()}


def train(case, on, rounds=2):
    """(losses, gradients summed over some backward passes, the next random number)."""
    minillm.manual_seed(7)
    build, loss_of = {**CASES, **CASES_TO_ROUNDING}[case]
    model = build()
    model.recompute_activations(on)
    model.train()
    losses = []
    for _ in range(rounds):
        loss = loss_of(model)
        loss.backward()
        losses.append(loss.item())
    return losses, gradients(model), default_generator().random()


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, grad in expected.items():
        assert (grad is None) == (found[name] is None), name
        if grad is not None:
            assert found[name].dtype == grad.dtype
            assert to_numpy(found[name]).tobytes() == to_numpy(grad).tobytes(), name


# --------------------------------------------------------------------------- the same result


@pytest.mark.parametrize("case", CASES)
def test_a_model_gets_the_bits_of_the_plain_run(case):
    losses, grads, after = train(case, False)
    assert losses[0] != losses[1]  # dropout draws
    again = train(case, True)
    assert again[0] == losses
    assert again[2] == after
    assert_same_bits(again[1], grads)


@pytest.mark.parametrize("case", CASES_TO_ROUNDING)
def test_what_several_blocks_read_twice_is_added_up_in_another_order(case):
    losses, grads, after = train(case, False)
    again = train(case, True)
    assert again[0] == losses
    assert again[2] == after
    for name, grad in grads.items():
        np.testing.assert_allclose(again[1][name], grad, rtol=1e-4, atol=1e-6, err_msg=name)


def test_every_block_runs_twice_and_only_if_asked_to():
    model, calls = gpt(layers=2), []
    for i, block in enumerate(model.transformer.h):
        plain = block.forward
        block.forward = lambda *inputs, i=i, plain=plain: (calls.append(i), plain(*inputs))[1]
    model(IDS, labels=IDS).loss.backward()
    assert calls == [0, 1]
    assert model.recompute_activations() is model
    model(IDS, labels=IDS).loss.backward()
    assert calls == [0, 1, 0, 1, 1, 0]
    model.gradient_checkpointing_disable()
    model(IDS, labels=IDS).loss.backward()
    assert calls[6:] == [0, 1]
    model.gradient_checkpointing_enable()
    with no_grad():
        model(IDS)
    assert calls[8:] == [0, 1]


def test_the_literal_formula():
    x, w = Tensor(array(3, 5), True), Parameter(array(5, 2, seed=1))
    y = recompute(lambda x: F.tanh(x @ w), x)
    (y * y).sum().backward()
    t = np.tanh(x.data @ w.data)
    inner = 2 * t * (1 - t**2)
    np.testing.assert_allclose(y.data, t, rtol=1e-6)
    np.testing.assert_allclose(x.grad, inner @ w.data.T, rtol=1e-5)
    np.testing.assert_allclose(w.grad, x.data.T @ inner, rtol=1e-5)


def test_parameters_learn_although_no_input_requires_a_gradient():
    layer = Linear(3, 2, rng=np.random.default_rng(0))
    out = recompute(layer, array(4, 3))
    assert out.requires_grad
    out.sum().backward()
    np.testing.assert_allclose(layer.weight.grad, array(4, 3).sum(0)[:, None] * [[1, 1]], rtol=1e-5)
    np.testing.assert_array_equal(layer.bias.grad, [4, 4])


def test_frozen_parameters_and_inputs_get_nothing():
    layer, x = Linear(3, 2), Tensor(array(4, 3))
    layer.weight.requires_grad = False
    recompute(layer, x).sum().backward()
    assert layer.weight.grad is None
    assert x.grad is None
    np.testing.assert_array_equal(layer.bias.grad, [4, 4])
    layer.bias.requires_grad = False
    assert not recompute(layer, x).requires_grad


def test_several_uses_of_one_parameter_add_up_and_backward_passes_too():
    w, x = Parameter([2.0]), Tensor([3.0], True)

    def times(x):
        return x * w

    for _ in range(2):  # w x, used inside and outside: d/dw (w x + w (w x) + w) = x + 2 w x + 1
        first = recompute(times, x)
        (first + recompute(times, first) + w).sum().backward()
    np.testing.assert_allclose(w.grad, [2 * (3 + 2 * 2 * 3 + 1)])
    np.testing.assert_allclose(x.grad, [2 * (2 + 4)])


def test_an_input_given_twice_or_by_name_and_other_arguments():
    x = Tensor([3.0], True)

    def f(a, b, *, c, power, unused=None):
        return a * b * c**power

    recompute(f, x, x, c=x, power=2, unused=[1]).sum().backward()
    np.testing.assert_allclose(x.grad, [4 * 27])  # x^4


def test_a_parameter_that_is_made_inside_belongs_to_nobody():
    x = Tensor([3.0], True)
    recompute(lambda x: x * Parameter([2.0]), x).backward()
    np.testing.assert_array_equal(x.grad, [2])


def test_several_outputs_of_which_some_are_unused_or_need_no_gradient():
    x, y = Tensor([2.0], True), Tensor([5.0])
    a, b, c, d = recompute(lambda x, y: (x * x, y * 3, x, x * y), x, y)
    assert [t.requires_grad for t in (a, b, c, d)] == [True, False, True, True]
    (a * b + c).sum().backward()  # 15 x^2 + x
    np.testing.assert_allclose(x.grad, [61])
    (only,) = recompute(lambda x: (x * x,), x)
    assert only.data == [4]


def test_nested():
    w = Parameter([0.5])

    def inner(x):
        return F.dropout(x * w, p=0.4)

    def outer(x):
        return recompute(inner, recompute(inner, x) + x)

    results = []
    for f in (outer, lambda x: recompute(outer, x), lambda x: inner(inner(x) + x)):
        minillm.manual_seed(3)
        x, w.grad = Tensor(array(50), True), None
        f(x).sum().backward()
        results.append((x.grad, w.grad))
    for x_grad, w_grad in results[:2]:
        np.testing.assert_array_equal(x_grad, results[2][0])
        np.testing.assert_array_equal(w_grad, results[2][1])


def test_no_grad_in_forward_and_in_backward():
    x = Tensor([1.5], True)
    with no_grad():
        assert not recompute(F.exp, x).requires_grad
        assert recompute(lambda x: [x], x)[0] is x  # a plain call, nothing else
    y = recompute(lambda x: F.exp(x * 2), x)
    with no_grad():
        y.backward()
        assert not (x * 2).requires_grad
    np.testing.assert_allclose(x.grad, 2 * np.exp([3.0]))


def test_a_detached_value_stays_detached():
    x = Tensor([2.0], True)
    recompute(lambda x: x * x.detach(), x).backward()
    np.testing.assert_array_equal(x.grad, [2])
    assert not recompute(lambda x: x.detach(), x).requires_grad


def test_generation_with_a_cache_is_not_disturbed():
    model, lm = gpt().eval(), transformer_lm().eval()
    for m in (model, lm):
        expected = m.generate(IDS[:, :3], max_new_tokens=3)
        m.recompute_activations()
        np.testing.assert_array_equal(m.generate(IDS[:, :3], max_new_tokens=3), expected)


# -------------------------------------------------------------------------------- randomness


class Noisy(Module):
    """Dropout with a generator of its own."""

    def __init__(self):
        self.drop = Dropout(0.4, rng=np.random.default_rng(1))

    def forward(self, x):
        return self.drop(x)


def bound(x):
    return Noisy().forward, (x,), {}


def enclosed(x):
    drop = Noisy()
    return (lambda x: drop(x)), (x,), {}


def enclosed_in_a_list(x):
    layers = [Noisy()]
    return (lambda x: layers[0](x)), (x,), {}


def bound_in_part(x):
    return functools.partial(F.dropout, p=0.4, rng=np.random.default_rng(1)), (x,), {}


def given(x):
    return F.dropout, (x,), {"p": 0.4, "rng": np.random.default_rng(1)}


def of_the_library(x):
    minillm.manual_seed(1)
    return F.dropout, (x,), {"p": 0.4}


@pytest.mark.parametrize(
    "case", [bound, bound_in_part, enclosed, enclosed_in_a_list, given, of_the_library]
)
def test_masks_are_the_same_in_both_runs_whoever_draws_them(case):
    x = Tensor(np.ones(200, dtype=np.float32), True)
    function, inputs, options = case(x)
    y = recompute(function, *inputs, **options)
    y.sum().backward()
    assert 40 < (y.data == 0).sum() < 120
    np.testing.assert_array_equal(x.grad, y.data)
    function, inputs, options = case(x)  # and nothing more is drawn than in a plain run
    first, second = function(*inputs, **options), function(*inputs, **options)
    function, inputs, options = case(x)
    recompute(function, *inputs, **options).sum().backward()
    np.testing.assert_array_equal(function(*inputs, **options).data, second.data)
    assert (first.data != second.data).any()


def test_a_new_seed_or_mode_before_backward_changes_nothing():
    drop, x = Dropout(0.4), Tensor(np.ones(200, dtype=np.float32), True)
    y = recompute(drop, x)
    minillm.manual_seed(99)
    drop.eval()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)
    assert not drop.training
    assert default_generator().random() == np.random.default_rng(99).random()


def test_threads_with_generators_of_their_own():
    def part(number, done):
        with generator_of_this_thread(np.random.default_rng(number)):
            x = Tensor(np.ones(20_000, dtype=np.float32), True)
            y = recompute(lambda x: F.dropout(x * 1, p=0.4), x)
        for _ in range(10):  # backward runs where the generator of the thread is no longer
            x.grad = None
            with generator_of_this_thread(np.random.default_rng(number)):
                y = recompute(lambda x: F.dropout(x * 1, p=0.4), x)
            y.sum().backward()
            done.append(bool((x.grad == y.data).all()))

    before, done = default_generator().bit_generator.state, []
    threads = [threading.Thread(target=part, args=(i, done)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True] * 40
    assert default_generator().bit_generator.state == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_gets_the_bits_of_the_plain_one(workers):
    def trained(on):
        minillm.manual_seed(7)
        model = gpt().recompute_activations(on)
        data = np.tile(IDS, (3, 1))
        history = fit(
            model, AdamW(model.named_parameters(), lr=0.01), (data, data), steps=3, batch_size=4,
            accumulate=2, workers=workers, progress=False,
        )  # fmt: skip
        return history.losses, model.state_dict()

    (plain_losses, plain), (losses, found) = trained(False), trained(True)
    assert losses == plain_losses
    assert_same_bits(found, plain)


# ------------------------------------------------------------------------------------ memory


def kept_bytes(on):
    """What forward leaves behind, for backward."""
    model = gpt(layers=8, dropout=0.0, n_embd=48)
    model.recompute_activations(on)
    model(IDS, labels=IDS)
    tracemalloc.start()
    try:
        out = model(IDS, labels=IDS)
        held = tracemalloc.get_traced_memory()[0]
        out.loss.backward()
        return held
    finally:
        tracemalloc.stop()


def test_forward_keeps_a_fraction():
    assert kept_bytes(True) < 0.2 * kept_bytes(False)


def test_the_second_run_is_freed_by_backward_and_a_second_backward_explains():
    x = Tensor(array(10), True)
    y = recompute(lambda x: F.exp(F.exp(x)), x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="add the losses first"):
        y.backward()


# ------------------------------------------------------------------------------------ errors


def test_a_computed_tensor_from_outside_is_refused():
    x = Tensor([1.0], True)
    hidden = x * 2
    with pytest.raises(ValueError, match=r"computed outside.*pass it as an argument"):
        recompute(lambda x: x * hidden, x)
    recompute(lambda x, hidden: x * hidden, x, hidden).backward()
    np.testing.assert_array_equal(x.grad, [4])


@pytest.mark.parametrize(
    ("result", "found"), [(lambda x: [x], "list"), (lambda x: (x, None), "Tensor, NoneType")]
)
def test_other_results_are_refused(result, found):
    with pytest.raises(TypeError, match=rf"Tensor or a tuple of Tensors, got .*{found}"):
        recompute(result, Tensor([1.0], True))


def test_a_second_run_that_does_something_else_is_refused():
    x, sizes = Tensor([1.0, 2.0], True), [2, 1]
    alive = [Parameter([1.0]), Parameter([2.0])]
    parameters = list(alive)
    with pytest.raises(RuntimeError, match="other parameters or inputs"):
        recompute(lambda x: x * parameters.pop(), x).sum().backward()
    with pytest.raises(RuntimeError, match=r"returned \(1,\) float32, and \(2,\) float32"):
        recompute(lambda x: x[: sizes.pop()], x).sum().backward()


# ------------------------------------------------------------------------------------- debug


def test_debug_changes_no_bits():
    expected = train("gpt2", True)
    with debug():
        found = train("gpt2", True)
    assert found[0] == expected[0]
    assert_same_bits(found[1], expected[1])


HIDDEN = [np.random.default_rng(4)]


def test_debug_finds_a_generator_that_cannot_be_seen():
    x = Tensor(array(50), True)
    with debug(), pytest.raises(RuntimeError, match="generator that recompute cannot see"):
        recompute(lambda x: F.dropout(x, p=0.5, rng=HIDDEN[0]), x).sum().backward()


def test_debug_finds_an_input_that_was_changed():
    x = Tensor(array(5), True)
    with debug():
        y = recompute(lambda x: F.exp(x), x).sum()
        x.data[0] = 9
        with pytest.raises(RuntimeError, match=r"input 0 of shape \(5,\) was changed in place"):
            y.backward()


class Root(Module):
    """A gradient of infinity at 0."""

    def forward(self, x):
        return F.sqrt(x)


class Tree(Module):
    """Recomputes its root."""

    def __init__(self):
        self.root = Root()

    def forward(self, x):
        return recompute(self.root, x)


def test_debug_names_the_module_of_a_gradient_that_is_not_finite():
    with debug(), np.errstate(divide="ignore"):
        y = Tree()(Tensor([0.0], True))
        with pytest.raises(FloatingPointError, match=r"sqrt in Tree\.root: the gradient of x"):
            y.backward()


# ------------------------------------------------------------------------------------ device


def step_on(device, on=True):
    minillm.manual_seed(7)
    model = gpt().to(device).recompute_activations(on)
    strict.counters.reset()
    loss = model(IDS, labels=IDS, attention_mask=MASK).loss
    loss.backward()
    return loss.data, gradients(model), strict.counters.synchronisations


@pytest.mark.parametrize("device", ["strict", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_device_gives_the_same_and_is_not_waited_for(device):
    device = open_device(device)
    (host, expected, _), (loss, found, waits) = step_on("cpu"), step_on(device)
    assert waits == 0
    if device.kind == "strict":
        assert to_numpy(loss) == host
        assert_same_bits(found, expected)
    else:
        plain_loss, plain, _ = step_on(device, on=False)
        assert to_numpy(loss) == to_numpy(plain_loss)
        for name, grad in plain.items():
            np.testing.assert_allclose(to_numpy(found[name]), to_numpy(grad), rtol=1e-3, atol=1e-5)


# -------------------------------------------------------------------------- the gradient check


def checked():
    model = gpt(layers=2).recompute_activations()
    return check_model(model, IDS, labels=IDS)


def test_the_gradient_check_passes():
    report = checked()
    assert report.passed, str(report)
    w = Parameter(array(5, 3, dtype=np.float64))
    report = check_function(
        lambda x, w: recompute(lambda x, w: F.dropout(F.gelu(x @ w), p=0.3), x, w),
        array(4, 5, seed=1), w,
    )  # fmt: skip
    assert report.passed, str(report)


@contextlib.contextmanager
def not_restored(self):
    yield


def without_parameters(self, leaves, edges, sources=engine._Call.sources):
    found = sources(self, leaves, edges)
    return [e if type(k) is int else None for k, e in zip(self.keys, found, strict=True)]


def without_inputs(self, leaves, edges, sources=engine._Call.sources):
    found = sources(self, leaves, edges)
    return [None if type(k) is int else e for k, e in zip(self.keys, found, strict=True)]


MISTAKES = {
    "stale masks": (engine._Scene, "restored", not_restored),
    "missing parameter gradients": (engine._Call, "sources", without_parameters),
    "missing input gradients": (engine._Call, "sources", without_inputs),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_gradient_check_rejects(mistake, monkeypatch):
    monkeypatch.setattr(*MISTAKES[mistake])
    assert not checked().passed


def test_the_gradient_check_names_a_wrong_operation_inside():
    def backward(grad_out, saved):
        return (grad_out * (1 - saved[0]),)  # the square is forgotten

    def wrong_forward(x):
        out = np.tanh(x)
        return out, (out,)

    wrong = minillm.differentiable(wrong_forward, backward)

    class Model(Module):
        def __init__(self):
            self.linear = Linear(3, 4, rng=np.random.default_rng(0))

        def forward(self, x):
            return recompute(lambda x: wrong(self.linear(x)), x)

    report = check_model(Model(), array(5, 3))
    assert not report.passed
    assert report.where.startswith("wrong in Model")
