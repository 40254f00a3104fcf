"""Agreement with PyTorch and Transformers: the files that tests/golden/make_goldens.py wrote."""

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import minillm.functional as F
from minillm import Tensor
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.nn import Parameter
from minillm.optim import SGD, Adam, AdamW, clip_grad_norm_, schedule

GOLDEN = Path(__file__).parent / "golden"
OPERATIONS = load_file(GOLDEN / "operations.safetensors")
OPTIMIZERS = load_file(GOLDEN / "optimizers.safetensors")


def attention(g, **options):
    return F.scaled_dot_product_attention(g["q"], g["k"], g["v"], **options)


def smoothed(g, **options):
    weight = g["weight"].data if options.pop("weight", False) else None
    return F.cross_entropy(g["logits"], g["targets"].data, weight=weight, **options)


def recurrent(function, g, states, both_biases=False):
    """One recurrent layer, its outputs side by side."""
    start = [g[name] for name in ("h0", "c0")[:states]]
    biases = [g["bias_x"], g["bias_h"]] if both_biases else [g["bias_x"] + g["bias_h"]]
    h, *last = function(g["x"], *start, g["weight_x"], g["weight_h"], *biases)
    return F.concatenate(h.reshape(h.shape[0], -1), *last, axis=1)


CALLS = {
    "add": lambda g: g["a"] + g["b"],
    "subtract": lambda g: g["a"] - g["b"],
    "multiply": lambda g: g["a"] * g["b"],
    "divide": lambda g: g["a"] / (g["b"] * g["b"] + 1.0),
    "maximum": lambda g: F.maximum(g["a"], g["b"]),
    "where": lambda g: F.where(g["a"], g["b"], condition=g["condition"].data),
    "negative": lambda g: -g["x"],
    "power": lambda g: g["x"] ** 2.7,
    "log": lambda g: F.log(g["x"]),
    "sqrt": lambda g: F.sqrt(g["x"]),
    "sum": lambda g: g["x"].sum((0, 2)),
    "mean": lambda g: g["x"].mean(1, keepdims=True),
    "max": lambda g: g["x"].max(2),
    "reshape": lambda g: g["x"].reshape(5, 6),
    "transpose": lambda g: g["x"].transpose(1, 2, 0),
    "getitem": lambda g: g["x"][np.array([1, 0, 1]), 1:, ::2],
    "concatenate": lambda g: F.concatenate(g["x"], g["x"][:, :1], axis=1),
    "matmul": lambda g: g["a"] @ g["b"],
    "relu": lambda g: F.relu(g["x"]),
    "sigmoid": lambda g: F.sigmoid(g["x"]),
    "silu": lambda g: F.silu(g["x"]),
    "rms_norm": lambda g: F.rms_norm(g["x"], g["gamma"], eps=0.5),
    "rotary_embedding": lambda g: F.rotary_embedding(g["x"], cos=g["cos"].data, sin=g["sin"].data),
    "rnn": lambda g: recurrent(F.rnn, g, 1),
    "gru": lambda g: recurrent(F.gru, g, 1, both_biases=True),
    "lstm": lambda g: recurrent(F.lstm, g, 2),
    "gelu_none": lambda g: F.gelu(g["x"]),
    "gelu_tanh": lambda g: F.gelu(g["x"], approximate="tanh"),
    "erf": lambda g: F.erf(g["x"]),
    "tanh": lambda g: F.tanh(g["x"]),
    "exp": lambda g: F.exp(g["x"]),
    "softmax": lambda g: F.softmax(g["x"]),
    "softmax_axis0": lambda g: F.softmax(g["x"], 0),
    "log_softmax": lambda g: F.log_softmax(g["x"]),
    "layer_norm": lambda g: F.layer_norm(g["x"], g["gamma"], g["beta"], eps=0.5),
    "linear": lambda g: F.linear(g["x"], g["weight"], g["bias"]),
    "embedding": lambda g: F.embedding(g["ids"], g["weight"]),
    "embedding_padding": lambda g: F.embedding(g["ids"], g["weight"], padding_idx=1),
    "cross_entropy_mean": lambda g: smoothed(g),
    "cross_entropy_sum": lambda g: smoothed(g, reduction="sum"),
    "cross_entropy_none": lambda g: smoothed(g, reduction="none"),
    "cross_entropy_smooth": lambda g: smoothed(g, label_smoothing=0.3),
    "cross_entropy_weighted": lambda g: smoothed(g, weight=True),
    "cross_entropy_weighted_smooth": lambda g: smoothed(g, weight=True, label_smoothing=0.3),
    "cross_entropy_weighted_smooth_sum": lambda g: smoothed(
        g, weight=True, label_smoothing=0.3, reduction="sum"
    ),
    "cross_entropy_weighted_smooth_none": lambda g: smoothed(
        g, weight=True, label_smoothing=0.3, reduction="none"
    ),
    "gaussian_sample": lambda g: F.gaussian_sample(
        g["mu"], g["log_variance"], noise=g["noise"].data
    ),
    "gaussian_kl": lambda g: F.gaussian_kl(g["mu"], g["log_variance"]),
    "weight_norm": lambda g: F.weight_norm(g["v"], g["g"]),
    "weight_norm_rows": lambda g: F.weight_norm(g["v"], g["g"], axis=1),
    "attention": attention,
    "attention_causal": lambda g: attention(g, is_causal=True),
    "attention_visible": lambda g: attention(g, visible=g["visible"].data),
    "attention_grouped": lambda g: attention(g, scale=0.7),
}

for _name, _options in {
    "gumbel_softmax": {"temperature": 0.7},
    "gumbel_softmax_axis0": {"temperature": 1.7, "axis": 0},
    "gumbel_softmax_hard": {"temperature": 0.7, "hard": True},
}.items():
    CALLS[_name] = lambda g, o=_options: F.gumbel_softmax(g["logits"], noise=g["noise"].data, **o)

for _reduction in ("mean", "sum", "none"):
    CALLS[f"binary_cross_entropy_{_reduction}"] = lambda g, r=_reduction: (
        F.binary_cross_entropy_with_logits(g["x"], g["target"], reduction=r)
    )
    CALLS[f"mean_squared_error_{_reduction}"] = lambda g, r=_reduction: F.mean_squared_error(
        g["x"], g["target"], reduction=r
    )


def test_every_golden_operation_is_compared():
    assert {name.split(".")[0] for name in OPERATIONS} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_operation_agrees_with_pytorch(name):
    values = {k.split(".")[1]: v for k, v in OPERATIONS.items() if k.split(".")[0] == name}
    inputs = {
        k: Tensor(v, requires_grad=f"grad_{k}" in values)
        for k, v in values.items()
        if k != "out" and not k.startswith("grad_")
    }
    out = CALLS[name](inputs)
    np.testing.assert_allclose(out.data, values["out"], rtol=1e-9, atol=1e-12)
    out.backward(values["grad_out"])
    gradients = {k: v for k, v in values.items() if k.startswith("grad_") and k != "grad_out"}
    assert gradients
    for key, expected in gradients.items():
        found = inputs[key.removeprefix("grad_")].grad
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=key)


MAKERS = {
    "sgd": lambda p: SGD(p, lr=0.1),
    "sgd_momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.2),
    "sgd_nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    "adam_maximize": lambda p: Adam(p, lr=0.1, maximize=True),
    "adamw": lambda p: AdamW(p, lr=0.1, betas=(0.8, 0.95), weight_decay=0.3),
    "adamw_amsgrad": lambda p: AdamW(p, lr=0.1, amsgrad=True),
}


@pytest.mark.parametrize("name", MAKERS)
def test_optimizer_agrees_with_pytorch_over_twenty_steps(name):
    p = Parameter(OPTIMIZERS["start"].copy())
    optimizer = MAKERS[name]([p])
    for grad, expected in zip(OPTIMIZERS["grads"], OPTIMIZERS[name], strict=True):
        p.grad = grad.copy()
        optimizer.step()
        np.testing.assert_allclose(p.data, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
def test_clipping_agrees_with_pytorch(norm_type):
    p = Parameter(OPTIMIZERS["start"].copy())
    p.grad = OPTIMIZERS["grads"][0].copy()
    norm = clip_grad_norm_([p], 0.7, norm_type)
    np.testing.assert_allclose(norm, OPTIMIZERS[f"clip_{norm_type}.norm"], rtol=1e-12)
    np.testing.assert_allclose(p.grad, OPTIMIZERS[f"clip_{norm_type}.grad"], rtol=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_schedule_agrees_with_pytorch(name):
    optimizer = SGD([Parameter(np.zeros(1))], lr=1.0)
    plan = getattr(schedule, name)(optimizer, warmup_steps=3, total_steps=12, min_lr=0.05)
    for expected in OPTIMIZERS[f"schedule_{name}"]:
        assert plan.lr == pytest.approx(expected, rel=1e-12)
        plan.step()


@pytest.fixture(params=["gelu_new", "gelu"])
def tiny(request):
    """(model with the golden weights, golden values)."""
    golden = load_file(GOLDEN / f"gpt2_{request.param}.safetensors")
    config = GPT2Config(
        vocab_size=23, n_positions=13, n_embd=12, n_layer=2, n_head=3, n_inner=20,
        activation_function=request.param, layer_norm_epsilon=0.01, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    weights = {k.removeprefix("weight."): v for k, v in golden.items() if k.startswith("weight.")}
    model.load_state_dict(weights)  # strict: the names are those of Hugging Face
    return model, golden


def test_gpt2_logits_and_loss_agree_with_transformers(tiny):
    model, golden = tiny
    output = model(golden["ids"], labels=golden["labels"])
    assert output.logits.dtype == np.float32
    np.testing.assert_allclose(output.logits.data, golden["logits"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(output.loss.item(), golden["loss"], rtol=1e-5)


def test_every_gpt2_gradient_agrees_with_transformers(tiny):
    model, golden = tiny
    model(golden["ids"], labels=golden["labels"]).loss.backward()
    for name, p in model.named_parameters():
        expected = golden[f"grad.{name}"]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            p.grad, expected, rtol=1e-5, atol=1e-5 * scale + 1e-7, err_msg=name
        )


def test_left_padded_gpt2_agrees_with_transformers(tiny):
    model, golden = tiny
    output = model(golden["ids"], attention_mask=golden["mask"])
    seen = golden["mask"].astype(bool)
    np.testing.assert_allclose(
        output.logits.data[seen], golden["masked_logits"][seen], rtol=1e-5, atol=1e-5
    )
