"""Write the golden files of this folder: values that PyTorch and Transformers compute.

    python -m pip install torch transformers
    python tests/golden/make_goldens.py

The tests read the files and need neither library.  Inputs are drawn with a fixed seed, in float64 for
operations and optimisers and float32 for the model, and stored beside the results.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch.distributions import Normal, kl_divergence
from torch.optim import lr_scheduler
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

FOLDER = Path(__file__).parent
SEED = 20240607


def draw(rng, *shape):
    return torch.tensor(rng.standard_normal(shape), dtype=torch.float64, requires_grad=True)


def record(out, name, inputs, result, rng):
    """Store inputs, result, a random cotangent and the gradients it gives, as name.key."""
    weight = torch.tensor(rng.standard_normal(tuple(result.shape)), dtype=torch.float64)
    leaves = {key: x for key, x in inputs.items() if x.requires_grad}
    grads = torch.autograd.grad((result * weight).sum(), list(leaves.values()))
    arrays = {**inputs, "out": result, "grad_out": weight}
    arrays |= {f"grad_{key}": grad for key, grad in zip(leaves, grads, strict=True)}
    for key, value in arrays.items():
        out[f"{name}.{key}"] = value.detach().numpy().copy(order="C")


def operations():
    rng = np.random.default_rng(SEED)
    out = {}
    x = draw(rng, 5, 7)
    x.data *= 2
    for name, function in {
        "gelu_none": lambda: F.gelu(x),
        "gelu_tanh": lambda: F.gelu(x, approximate="tanh"),
        "erf": lambda: torch.erf(x),
        "tanh": lambda: torch.tanh(x),
        "exp": lambda: torch.exp(x),
        "softmax": lambda: torch.softmax(x, -1),
        "softmax_axis0": lambda: torch.softmax(x, 0),
        "log_softmax": lambda: torch.log_softmax(x, -1),
    }.items():
        record(out, name, {"x": x}, function(), rng)
    x, gamma, beta = draw(rng, 2, 3, 7), draw(rng, 7), draw(rng, 7)
    record(
        out, "layer_norm", {"x": x, "gamma": gamma, "beta": beta},
        F.layer_norm(x, (7,), gamma, beta, eps=0.5), rng,
    )  # fmt: skip
    weight, bias = draw(rng, 7, 5), draw(rng, 5)
    record(
        out, "linear", {"x": x, "weight": weight, "bias": bias}, F.linear(x, weight.T, bias), rng
    )
    table, ids = draw(rng, 11, 3), torch.tensor([[1, 4, 1], [10, 1, 0]])
    record(out, "embedding", {"ids": ids, "weight": table}, F.embedding(ids, table), rng)
    record(
        out, "embedding_padding", {"ids": ids, "weight": table},
        F.embedding(ids, table, padding_idx=1), rng,
    )  # fmt: skip
    cross_entropies(out, rng)
    attentions(out, rng)
    plain(out, rng)
    losses_and_norms(out, rng)
    recurrent(out, rng)
    reparameterisations(out)
    return out


def plain(out, rng):
    """Arithmetic, products, reductions, shaping and selection."""
    a, b = draw(rng, 2, 1, 5), draw(rng, 3, 1)
    positive = torch.tensor(rng.uniform(0.5, 2.0, (2, 3, 5)), requires_grad=True)
    condition = torch.tensor(rng.random((2, 3, 5)) < 0.6)
    for name, result in {
        "add": a + b,
        "subtract": a - b,
        "multiply": a * b,
        "divide": a / (b * b + 1),
        "maximum": torch.maximum(a, b),
        "where": torch.where(condition, a, b),
    }.items():
        record(out, name, {"a": a, "b": b, "condition": condition}, result, rng)
    for name, result in {
        "negative": -positive,
        "power": positive**2.7,
        "log": torch.log(positive),
        "sqrt": torch.sqrt(positive),
        "sum": positive.sum((0, 2)),
        "mean": positive.mean(1, keepdim=True),
        "max": positive.amax(2),
        "reshape": positive.reshape(5, 6),
        "transpose": positive.permute(1, 2, 0),
        "getitem": positive[torch.tensor([1, 0, 1]), 1:, ::2],
        "concatenate": torch.cat([positive, positive[:, :1]], dim=1),
    }.items():
        record(out, name, {"x": positive}, result, rng)
    m, n = draw(rng, 2, 1, 3, 5), draw(rng, 7, 5, 2)
    record(out, "matmul", {"a": m, "b": n}, m @ n, rng)
    x = draw(rng, 3, 7)
    for name, function in {"relu": F.relu, "sigmoid": torch.sigmoid, "silu": F.silu}.items():
        record(out, name, {"x": x}, function(x), rng)


def losses_and_norms(out, rng):
    x, truth = draw(rng, 3, 7), torch.tensor(rng.random((3, 7)))
    gamma = draw(rng, 7)
    for reduction in ("mean", "sum", "none"):
        inputs = {"x": x, "target": truth}
        result = F.binary_cross_entropy_with_logits(x, truth, reduction=reduction)
        record(out, f"binary_cross_entropy_{reduction}", inputs, result, rng)
        result = F.mse_loss(x, truth, reduction=reduction)
        record(out, f"mean_squared_error_{reduction}", inputs, result, rng)
    result = F.rms_norm(x, (7,), gamma, eps=0.5)
    record(out, "rms_norm", {"x": x, "gamma": gamma}, result, rng)
    q = draw(rng, 2, 3, 5, 6)
    angles = torch.tensor(rng.uniform(0, 6, (5, 3)))
    twice = torch.cat([angles, angles], dim=-1)[None]
    rotated, _ = apply_rotary_pos_emb(q, q, twice.cos(), twice.sin())
    inputs = {"x": q, "cos": angles.cos(), "sin": angles.sin()}
    record(out, "rotary_embedding", inputs, rotated, rng)


def recurrent(out, rng):
    """One layer each; PyTorch's weights are (gates H, C), ours (C, gates H)."""
    B, T, C, H = 2, 5, 3, 7
    for name, gates, states in (("rnn", 1, 1), ("gru", 3, 1), ("lstm", 4, 2)):
        inputs = {"x": draw(rng, B, T, C)}
        for state in ("h0", "c0")[:states]:
            inputs[state] = draw(rng, B, H)
        inputs["weight_x"], inputs["weight_h"] = draw(rng, C, gates * H), draw(rng, H, gates * H)
        inputs["bias_x"], inputs["bias_h"] = draw(rng, gates * H), draw(rng, gates * H)
        flat = [inputs["weight_x"].T, inputs["weight_h"].T, inputs["bias_x"], inputs["bias_h"]]
        start = tuple(inputs[state][None] for state in ("h0", "c0")[:states])
        function = {"rnn": torch.rnn_tanh, "gru": torch.gru, "lstm": torch.lstm}[name]
        start = start if name == "lstm" else start[0]
        h, *last = function(inputs["x"], start, flat, True, 1, 0.0, False, False, True)
        whole = torch.cat([h.reshape(B, -1), *(s[0] for s in last)], dim=1)
        record(out, name, inputs, whole, rng)


def reparameterisations(out):
    """Draws that can be learned, the KL term and weight normalization, on numbers of their own."""
    rng = np.random.default_rng([SEED, 1])
    mu, log_variance = draw(rng, 3, 5), draw(rng, 3, 5)
    inputs = {"mu": mu, "log_variance": log_variance}
    torch.manual_seed(SEED)
    z = Normal(mu, (log_variance / 2).exp()).rsample()
    noise = ((z - mu) / (log_variance / 2).exp()).detach()
    record(out, "gaussian_sample", {**inputs, "noise": noise}, z, rng)
    standard = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    kl = kl_divergence(Normal(mu, (log_variance / 2).exp()), standard)
    record(out, "gaussian_kl", inputs, kl.sum(-1), rng)
    logits = draw(rng, 3, 5)
    for name, options in {
        "gumbel_softmax": {"tau": 0.7},
        "gumbel_softmax_axis0": {"tau": 1.7, "dim": 0},
        "gumbel_softmax_hard": {"tau": 0.7, "hard": True},
    }.items():
        torch.manual_seed(SEED)
        noise = -torch.empty_like(logits).exponential_().log()  # as gumbel_softmax draws it
        torch.manual_seed(SEED)
        y = F.gumbel_softmax(logits, **options)
        record(out, name, {"logits": logits, "noise": noise.detach()}, y, rng)
    v = draw(rng, 5, 7)
    for name, dim, shape in (("weight_norm", 1, (1, 7)), ("weight_norm_rows", 0, (5, 1))):
        g = draw(rng, *shape)
        record(out, name, {"v": v, "g": g}, torch._weight_norm(v, g, dim), rng)


def cross_entropies(out, rng):
    logits = draw(rng, 11, 7)
    targets = torch.tensor(rng.integers(0, 7, 11))
    targets[[2, 5]] = -100
    weight = torch.tensor(rng.uniform(0.5, 2.0, 7))
    for name, options in {
        "mean": {},
        "sum": {"reduction": "sum"},
        "none": {"reduction": "none"},
        "smooth": {"label_smoothing": 0.3},
        "weighted": {"weight": weight},
        "weighted_smooth": {"weight": weight, "label_smoothing": 0.3},
        "weighted_smooth_sum": {"weight": weight, "label_smoothing": 0.3, "reduction": "sum"},
        "weighted_smooth_none": {"weight": weight, "label_smoothing": 0.3, "reduction": "none"},
    }.items():
        result = F.cross_entropy(logits, targets, **options)
        inputs = {"logits": logits, "targets": targets, "weight": weight}
        record(out, f"cross_entropy_{name}", inputs, result, rng)


def attentions(out, rng):
    q, k, v = draw(rng, 2, 6, 5, 3), draw(rng, 2, 6, 5, 3), draw(rng, 2, 6, 5, 4)
    attention = F.scaled_dot_product_attention
    visible = torch.tensor(rng.random((2, 1, 5, 5)) < 0.6)
    visible[..., 0] = True  # PyTorch gives NaN for rows that see nothing
    inputs = {"q": q, "k": k, "v": v, "visible": visible}
    record(out, "attention", inputs, attention(q, k, v), rng)
    record(out, "attention_causal", inputs, attention(q, k, v, is_causal=True), rng)
    record(out, "attention_visible", inputs, attention(q, k, v, attn_mask=visible), rng)
    k, v = draw(rng, 2, 2, 7, 3), draw(rng, 2, 2, 7, 4)
    grouped = attention(q, k, v, scale=0.7, enable_gqa=True)
    record(out, "attention_grouped", {"q": q, "k": k, "v": v}, grouped, rng)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.2
    ),
    "sgd_nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    "adam_maximize": lambda p: torch.optim.Adam(p, lr=0.1, maximize=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), weight_decay=0.3),
    "adamw_amsgrad": lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True),
}


def optimizers():
    """Twenty steps with given gradients, and the parameter after each."""
    rng = np.random.default_rng(SEED)
    start, grads = rng.standard_normal((3, 5)), rng.standard_normal((20, 3, 5))
    out = {"start": start, "grads": grads}
    for name, make in OPTIMIZERS.items():
        p = torch.nn.Parameter(torch.tensor(start))
        optimizer = make([p])
        path = []
        for grad in grads:
            p.grad = torch.tensor(grad)
            optimizer.step()
            path.append(p.detach().numpy().copy())
        out[name] = np.stack(path)
    for norm_type in (1.0, 2.0, math.inf):
        p = torch.nn.Parameter(torch.tensor(start))
        p.grad = torch.tensor(grads[0])
        norm = torch.nn.utils.clip_grad_norm_([p], 0.7, norm_type=norm_type)
        out[f"clip_{norm_type}.norm"] = norm.numpy()
        out[f"clip_{norm_type}.grad"] = p.grad.numpy()
    schedules(out)
    return out


def schedules(out, warmup=3, total=12, low=0.05):
    """The rates of linear warm-up followed by a linear or cosine descent, from 1 to low."""
    for name in ("linear", "cosine"):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        rise = lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), 1.0, total_iters=warmup)
        if name == "linear":
            fall = lr_scheduler.LinearLR(optimizer, 1.0, low, total_iters=total - warmup)
        else:
            fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warmup, eta_min=low)
        plan = lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warmup])
        rates = []
        for _ in range(total + 1):
            rates.append(plan.get_last_lr()[0])
            optimizer.step()
            plan.step()
        out[f"schedule_{name}"] = np.array(rates)


def tiny_gpt2(activation):
    """Logits, loss and every gradient of a random GPT-2 with visible biases and norms."""
    config = GPT2Config(
        vocab_size=23, n_positions=13, n_embd=12, n_layer=2, n_head=3, n_inner=20,
        activation_function=activation, layer_norm_epsilon=0.01, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(SEED)
    model = GPT2LMHeadModel(config).eval()
    rng = np.random.default_rng(SEED)
    with torch.no_grad():
        for p in model.parameters():
            p += torch.tensor(rng.normal(0, 0.3, tuple(p.shape)), dtype=p.dtype)
    ids = torch.tensor(rng.integers(0, 23, (2, 11)))
    labels = ids.clone()
    labels[0, :3] = -100
    mask = torch.ones_like(ids)
    mask[1, :4] = 0  # padded on the left
    result = model(ids, labels=labels)
    result.loss.backward()
    out = {"ids": ids, "labels": labels, "mask": mask, "logits": result.logits}
    out["loss"] = result.loss
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    out["masked_logits"] = model(ids, attention_mask=mask, position_ids=positions).logits
    for name, p in model.named_parameters():
        out[f"weight.{name}"], out[f"grad.{name}"] = p, p.grad
    return {name: value.detach().numpy().copy(order="C") for name, value in out.items()}


def main():
    save_file(operations(), FOLDER / "operations.safetensors")
    save_file(optimizers(), FOLDER / "optimizers.safetensors")
    for activation in ("gelu_new", "gelu"):
        save_file(tiny_gpt2(activation), FOLDER / f"gpt2_{activation}.safetensors")
    print(f"written with torch {torch.__version__}")


if __name__ == "__main__":
    main()
