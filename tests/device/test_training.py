"""Training, generation, checkpoints and `fit` of a GPT-2 on every device.

The stand-in must give the bits of the host: the same NumPy does the arithmetic, so a difference means
that a device takes another path.  A GPU adds in another order, so it gets a tolerance.

Synchronisation budget.  The host waits for a GPU each time it reads a number back, and while it waits
it queues no further work.  A step of `fit` reads the losses of its batches, because a loss that is not
finite stops the training, and the norm of all gradients, which decides about clipping, all at once:

    1 synchronisation per step, and nothing else but uploads of ids and masks

Ids, labels and lengths are integers and stay on the host until an operation has checked them.
"""

import numpy as np
import pytest

import minillm
import minillm.functional as F
from minillm import Device, Tensor, no_grad
from minillm.backend import array_module, to_numpy
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.optim import SGD, AdamW, clip_grad_norm_, schedule
from minillm.training import evaluate, fit, load_checkpoint, save_checkpoint

V, T, B = 11, 7, 3
VARIANTS = {
    "published": {},
    "nanoGPT": {"bias": False, "activation_function": "gelu"},
    "untied": {"tie_word_embeddings": False},
}


def gpt(dropout=0.0, dtype=np.float32, **changes):
    drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    sizes = {"vocab_size": V, "n_positions": T, "n_embd": 8, "n_layer": 2, "n_head": 2}
    config = GPT2Config(**{**sizes, **drops, **changes})
    return GPT2LMHeadModel(config, dtype=dtype, rng=np.random.default_rng(5))


def batches(number, shape=(B, T)):
    rng = np.random.default_rng(3)
    return [(ids, ids) for ids in (rng.integers(0, V, shape) for _ in range(number))]


def train(device, steps, dtype=np.float32, **changes):
    """(losses, model, optimizer) after so many steps, written out."""
    minillm.manual_seed(7)
    model = gpt(dropout=0.2, dtype=dtype, **changes).to(device).train()
    # a larger eps than usual: the gradients of the biases of keys are nothing but rounding errors
    optimizer = AdamW(model.named_parameters(), lr=0.01, eps=1e-4, weight_decay=0.1)
    rates = schedule.cosine(optimizer, warmup_steps=2, total_steps=steps + 2)
    losses = []
    for ids, labels in batches(steps):
        optimizer.zero_grad()
        loss = model(ids, labels=labels).loss
        loss.backward()
        clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        rates.step()
        losses.append(loss.item())
    return losses, model, optimizer


def everything(model, optimizer):
    """Parameters, gradients and optimiser state by name, on the host."""
    arrays = dict(model.state_dict())
    arrays |= {f"grad {name}": p.grad for name, p in model.named_parameters()}
    arrays |= {f"optimizer {name}": x for name, x in optimizer.state_dict()["state"].items()}
    return {name: to_numpy(x) for name, x in arrays.items()}


def assert_agree(dev, found, expected):
    assert found.keys() == expected.keys()
    for name, b in expected.items():
        a = found[name]
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        if dev.kind == "cuda":
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4, err_msg=name)
        else:
            np.testing.assert_array_equal(a, b, err_msg=name)


def assert_losses_agree(dev, found, expected):
    assert found == (pytest.approx(expected, rel=1e-4) if dev.kind == "cuda" else expected)


# ------------------------------------------------------------------------------- training


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("steps", [1, 10])
def test_training_steps_agree_with_the_host(dev, variant, steps):
    expected, host_model, host_optimizer = train("cpu", steps, **VARIANTS[variant])
    losses, model, optimizer = train(dev, steps, **VARIANTS[variant])
    assert {array_module(p.data, p.grad) for p in model.parameters()} == {dev.xp}
    assert_losses_agree(dev, losses, expected)
    assert_agree(dev, everything(model, optimizer), everything(host_model, host_optimizer))


def test_training_agrees_in_float64_too(dev):
    expected, host_model, host_optimizer = train("cpu", 2, np.float64)
    losses, model, optimizer = train(dev, 2, np.float64)
    assert_losses_agree(dev, losses, expected)
    assert_agree(dev, everything(model, optimizer), everything(host_model, host_optimizer))


def test_a_padded_batch_agrees_with_the_host(dev):
    (ids, labels), mask = batches(1)[0], np.ones((B, T), int)
    mask[0, :3] = 0

    def loss_and_gradient(device):
        model = gpt().to(device)
        loss = model(ids, labels=np.where(mask, labels, -100), attention_mask=mask).loss
        loss.backward()
        arrays = {"loss": loss.data, "grad": next(model.parameters()).grad}
        return {name: np.asarray(to_numpy(x)) for name, x in arrays.items()}

    assert_agree(dev, loss_and_gradient(dev), loss_and_gradient("cpu"))


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, np.inf])
def test_the_norm_of_all_gradients_is_read_once(dev, counters, norm_type):
    def norm(device):
        a, b = (Tensor(device.put(np.zeros(n, np.float32)), True) for n in (2, 3))
        a.grad, b.grad = device.put(np.float32([3, -4])), device.put(np.float32([0, 12, 0]))
        counters.reset()
        return clip_grad_norm_([a, b], 1.0, norm_type), to_numpy(a.grad)

    found, scaled = norm(dev)
    assert counters.synchronisations == (2 if dev.kind == "strict" else 0)  # the norm, our own look
    expected, expected_scaled = norm(Device("cpu"))
    assert found == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(scaled, expected_scaled, rtol=1e-6)


def test_an_infinite_norm_hides_no_nan():
    a, b = Tensor(np.zeros(1), True), Tensor(np.zeros(1), True)
    for first, second in ((1.0, np.nan), (np.nan, 1.0)):
        a.grad, b.grad = np.array([first]), np.array([second])
        assert np.isnan(clip_grad_norm_([a, b], 1.0, np.inf))


def test_plain_gradient_descent_agrees_with_the_host(dev):
    def parameters(device):
        model = gpt().to(device)
        optimizer = SGD(model.named_parameters(), lr=0.1, momentum=0.9, nesterov=True)
        fit(model, optimizer, batches(3), steps=3, progress=False)
        return everything(model, optimizer)

    assert_agree(dev, parameters(dev), parameters("cpu"))


# -------------------------------------------------------------------------- what fit accepts


def test_fit_takes_host_batches_for_a_model_on_a_device(dev):
    def history(device):
        minillm.manual_seed(7)
        model = gpt(dropout=0.2).to(device)
        optimizer = AdamW(model.named_parameters(), lr=0.01)
        return fit(
            model, optimizer, batches(4), batches(2), steps=4, clip=0.5, accumulate=2,
            evaluate_every=2, progress=False, metrics={"best": lambda z, y: float(z.max())},
        )  # fmt: skip

    found, expected = history(dev), history("cpu")
    assert_losses_agree(dev, found.losses, expected.losses)
    for name, values in expected.history.items():
        assert_losses_agree(dev, found.history[name], values)


@pytest.mark.parametrize("kind", ["tuple", "dict", "loss"])
def test_fit_and_evaluate_take_every_kind_of_batch(dev, kind):
    model = gpt().to(dev)
    ids = batches(1)[0][0]
    batch = {"input_ids": ids, "labels": ids, "attention_mask": np.ones((B, T), bool)}
    train_data = [batch if kind == "dict" else (ids, ids)]
    loss = F.cross_entropy if kind == "loss" else None
    optimizer = AdamW(model.named_parameters(), lr=0.01)
    history = fit(model, optimizer, train_data, steps=12, loss=loss, progress=False)
    assert history.losses[-1] < history.losses[0]
    assert evaluate(model, train_data, loss=loss)["loss"] < history.losses[0]


def test_floating_batches_are_carried_over(dev, rng):
    x = rng.standard_normal((6, 3)).astype(np.float32)
    model = minillm.nn.Linear(3, 2, rng=rng).to(dev)
    fit(
        model, SGD(model.named_parameters(), lr=0.1), [(x, x[:, :2])], steps=2, progress=False,
        loss=lambda out, target: ((out - target) * (out - target)).mean(),
    )  # fmt: skip
    assert array_module(model.weight.data) is dev.xp


def test_debug_finds_the_first_nan_on_a_device(dev):
    model = gpt().to(dev)
    model.transformer.ln_f.weight.data[...] = float("nan")
    optimizer = AdamW(model.named_parameters(), lr=0.01)
    with pytest.raises(minillm.training.NonFiniteLossError, match=r"transformer\.ln_f\.weight"):
        fit(model, optimizer, batches(1), steps=1, progress=False)


# ----------------------------------------------------------------------- synchronisations


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_a_step_waits_for_the_device_once(strict_xp, counters, accumulate, clip):
    model = gpt(dropout=0.2).to("strict")
    optimizer = AdamW(model.named_parameters(), lr=0.01)
    seen = []

    def count(step, history):
        seen.append((counters.synchronisations, counters.downloads))
        counters.reset()

    fit(
        model, optimizer, batches(3), steps=10, evaluate_every=10, accumulate=accumulate, clip=clip,
        schedule=schedule.cosine(optimizer, 2, 10), progress=False, on_step=count,
    )  # fmt: skip
    assert seen == [(1, 1)] * 10
    # after the last step: whether all parameters are finite, asked once for all of them
    assert counters.synchronisations == 1


def test_a_forward_and_backward_pass_does_not_wait(strict_xp, counters):
    model = gpt(dropout=0.2).to("strict").train()
    ids, labels = batches(1)[0]
    counters.reset()
    model(ids, labels=labels, attention_mask=np.ones((B, T), int)).loss.backward()
    assert counters.synchronisations == counters.downloads == 0


def test_ids_that_are_on_the_device_already_are_checked_there(strict_xp, counters):
    model = gpt().to("strict")
    ids = strict_xp.asarray(batches(1)[0][0])
    counters.reset()
    model(ids, labels=ids).loss.backward()
    # ids and labels in range, any label kept, how many, and the runs of equal ids in backward
    assert counters.synchronisations == 5


def test_evaluation_waits_once_per_batch(strict_xp, counters):
    model = gpt().to("strict")
    counters.reset()
    evaluate(model, batches(4))
    assert counters.synchronisations == 4


def test_generation_waits_once_per_token(strict_xp, counters):
    model = gpt().to("strict")
    counters.reset()
    model.generate(batches(1, (2, 3))[0][0], max_new_tokens=4)
    assert counters.synchronisations == counters.downloads == 4


# ----------------------------------------------------------- generation and checkpoints


@pytest.mark.parametrize("options", [{}, {"do_sample": True, "temperature": 0.8, "top_k": 5}])
def test_generation_gives_the_same_ids(dev, options):
    prompt = batches(1, (2, 3))[0][0]

    def ids(device):
        rng = {"rng": np.random.default_rng(2)} if options else {}
        model = gpt(initializer_range=0.5).to(device)
        return model.generate(prompt, max_length=9, sliding_window=True, **options, **rng)

    found = ids(dev)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, ids("cpu"))


def test_a_checkpoint_moves_between_devices(dev, tmp_path):
    _, model, optimizer = train(dev, 3)
    minillm.manual_seed(1)
    save_checkpoint(tmp_path, model, optimizer, step=3)
    for target in ("cpu", dev):
        other = gpt(dropout=0.2).to(target)
        other_optimizer = AdamW(other.named_parameters(), lr=0.5)
        assert load_checkpoint(tmp_path, other, other_optimizer)["step"] == 3
        assert {array_module(p.data) for p in other.parameters()} == {Device(target).xp}
        for loaded, saved in ((other, model), (other_optimizer, optimizer)):
            a, b = (s.state_dict().get("state", s.state_dict()) for s in (loaded, saved))
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(to_numpy(a[name]), to_numpy(b[name]))
        ids, labels = batches(1)[0]
        other(ids, labels=labels).loss.backward()
        other_optimizer.step()


def test_training_goes_on_from_a_checkpoint_with_the_same_bits(dev, tmp_path):
    def run(steps, resume):
        minillm.manual_seed(7)
        model = gpt(dropout=0.2).to(dev)
        optimizer = AdamW(model.named_parameters(), lr=0.01)
        history = fit(
            model, optimizer, batches(4), steps=steps, checkpoint=tmp_path / str(resume),
            resume=resume, progress=False,
        )  # fmt: skip
        return history.losses, everything(model, optimizer)

    whole, end = run(4, resume=False)
    run(2, resume=True)
    parts, resumed_end = run(4, resume=True)
    assert_losses_agree(dev, parts, whole)
    assert_agree(dev, resumed_end, end)


def test_weights_can_be_drawn_anew_on_a_device(dev):
    model = gpt().to(dev)
    model.initialize(np.random.default_rng(9))
    host = gpt()
    host.initialize(np.random.default_rng(9))
    for a, b in zip(model.parameters(), host.parameters(), strict=True):
        np.testing.assert_array_equal(to_numpy(a.data), b.data)


def test_pretrained_files_do_not_care_about_the_device(dev, tmp_path):
    model = gpt().to(dev)
    model.save_pretrained(tmp_path)
    ids = batches(1)[0][0]
    with no_grad():
        loaded = GPT2LMHeadModel.from_pretrained(tmp_path).to(dev)
        found, expected = loaded(ids).logits.numpy(), model(ids).logits.numpy()
    np.testing.assert_array_equal(found, expected)
