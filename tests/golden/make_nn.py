"""Write nn.safetensors: attention, Transformer and recurrent layers as PyTorch computes them.

    python -m pip install torch
    python tests/golden/make_nn.py

Each case is a set of arrays case.kind.name: the inputs, the outputs, a random cotangent of each
output, and the gradients of all parameters and inputs that it gives.  Everything is float64, every
parameter is shifted by noise, so that biases and norms are visible.

`in_our_names` translates PyTorch's parameters: ours are (in, out), query, key and value are three
matrices, and an LSTM has one bias where PyTorch has two that are only ever added.
"""

import re
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

FOLDER = Path(__file__).parent
SEED = 20240611
B, T, S, C, H, F = 2, 5, 7, 6, 3, 4

RENAMED = [
    ("self_attn", "self_attention"),
    ("multihead_attn", "cross_attention"),
    ("linear1", "feed_forward.linear1"),
    ("linear2", "feed_forward.linear2"),
    ("out_proj", "output"),
]


def draw(rng, *shape):
    return torch.tensor(rng.standard_normal(shape), dtype=torch.float64, requires_grad=True)


def shifted(module, rng):
    """The module in float64, every parameter moved by noise."""
    module = module.double()
    with torch.no_grad():
        for p in module.parameters():
            p += torch.tensor(rng.normal(0, 0.3, tuple(p.shape)))
    return module


def in_our_names(name, array):
    """(our name, array) for one parameter of PyTorch, or for its gradient."""
    for theirs, ours in RENAMED:
        name = re.sub(rf"\b{theirs}\b", ours, name)
    if re.search(r"in_proj_(weight|bias)$", name):  # three matrices, one below the other
        prefix, kind = name.rsplit("in_proj_", 1)
        for part, block in zip(("query", "key", "value"), np.split(array, 3), strict=True):
            yield f"{prefix}{part}.{kind}", block.T
        return
    for letter, part in (("q", "query"), ("k", "key"), ("v", "value")):
        name = name.replace(f"{letter}_proj_weight", f"{part}.weight")
    yield name, array.T  # a bias is its own transpose


def recurrent_in_our_names(kind, arrays, *, gradients):
    """The arrays of a whole RNN, GRU or LSTM."""
    for name, array in arrays.items():
        what, which, layer, reverse = re.fullmatch(
            r"(weight|bias)_(ih|hh)_l(\d)(_reverse)?", name
        ).groups()
        prefix = f"layers.{layer}.{'right_to_left' if reverse else 'left_to_right'}"
        if what == "weight":
            yield f"{prefix}.weight_{'x' if which == 'ih' else 'h'}", array.T
        elif kind == "gru":
            yield f"{prefix}.bias_{'x' if which == 'ih' else 'h'}", array
        elif which == "ih":
            other = arrays[name.replace("ih", "hh")]
            if gradients:  # both are added to the same thing, so both have the gradient of the sum
                assert np.allclose(array, other, rtol=1e-12, atol=0)
                yield f"{prefix}.bias", array
            else:
                yield f"{prefix}.bias", array + other


def record(out, case, rng, inputs, outputs, parameters, translate):
    """Store a case: parameters {name: tensor} are stored in our names."""
    weights = [torch.tensor(rng.standard_normal(tuple(o.shape))) for o in outputs]
    leaves = {key: x for key, x in inputs.items() if x.requires_grad}
    total = sum((o * w).sum() for o, w in zip(outputs, weights, strict=True))
    grads = torch.autograd.grad(total, [*leaves.values(), *parameters.values()])
    for key, x in inputs.items():
        out[f"{case}.input.{key}"] = x
    for i, (result, weight) in enumerate(zip(outputs, weights, strict=True)):
        out[f"{case}.output.{i}"], out[f"{case}.cotangent.{i}"] = result, weight
    for key, grad in zip(leaves, grads, strict=False):
        out[f"{case}.input_grad.{key}"] = grad
    values = {name: p.detach().numpy() for name, p in parameters.items()}
    slopes = {name: g.numpy() for name, g in zip(parameters, grads[len(leaves) :], strict=True)}
    for kind, arrays in (("weight", values), ("weight_grad", slopes)):
        for name, array in translate(arrays, gradients=kind == "weight_grad"):
            out[f"{case}.{kind}.{name}"] = array


def by_parameter(arrays, *, gradients):
    for name, array in arrays.items():
        yield from in_our_names(name, array)


def record_module(out, case, rng, module, inputs, outputs):
    record(out, case, rng, inputs, outputs, dict(module.named_parameters()), by_parameter)


def masks(rng):
    """(visible (T, S), key_visible (B, S)) in which every query sees the first key."""
    visible = torch.tensor(rng.random((T, S)) < 0.6)
    key_visible = torch.ones(B, S, dtype=torch.bool)
    key_visible[1, 3:] = False
    visible[:, 0] = True
    return visible, key_visible


def causal(n):
    return torch.triu(torch.ones(n, n, dtype=torch.bool), 1)  # True = hidden


def attentions(out, rng):
    def make(**options):
        return shifted(nn.MultiheadAttention(C, H, batch_first=True, **options), rng)

    query, memory = draw(rng, B, T, C), draw(rng, B, S, C)
    visible, key_visible = masks(rng)
    module = make()
    record_module(out, "mha_self", rng, module, {"query": query}, [module(query, query, query)[0]])
    module = make(bias=False)
    result = module(query, query, query, attn_mask=causal(T))[0]
    record_module(out, "mha_causal_no_bias", rng, module, {"query": query}, [result])
    module = make()
    result = module(
        query, memory, memory, attn_mask=~visible, key_padding_mask=~key_visible
    )[0]  # fmt: skip
    inputs = {"query": query, "key": memory, "visible": visible, "key_visible": key_visible}
    record_module(out, "mha_masks", rng, module, inputs, [result])
    per_head = torch.tensor(rng.random((B, H, T, S)) < 0.6)
    per_head[..., 0] = True
    result = module(query, memory, memory, attn_mask=~per_head.reshape(B * H, T, S))[0]
    inputs = {"query": query, "key": memory, "visible": per_head}
    record_module(out, "mha_mask_per_head", rng, module, inputs, [result])
    module = make(kdim=4, vdim=5)
    key, value = draw(rng, B, S, 4), draw(rng, B, S, 5)
    inputs = {"query": query, "key": key, "value": value}
    record_module(out, "mha_widths", rng, module, inputs, [module(query, key, value)[0]])
    grouped(out, rng, query, memory)


def grouped(out, rng, query, memory):
    """H = 4 query heads, G = 2 heads of keys and values: there is no such module, so by hand."""
    width, heads, groups = 8, 4, 2
    query, memory = draw(rng, B, T, width), draw(rng, B, S, width)
    p = {
        name: shifted(nn.Linear(width, columns), rng)
        for name, columns in (("query", 8), ("key", 4), ("value", 4), ("output", 8))
    }

    def split(x, count):
        return x.reshape(B, -1, count, width // heads).transpose(1, 2)

    result = nn.functional.scaled_dot_product_attention(
        split(p["query"](query), heads), split(p["key"](memory), groups),
        split(p["value"](memory), groups), enable_gqa=True,
    )  # fmt: skip
    result = p["output"](result.transpose(1, 2).reshape(B, T, width))
    parameters = {f"{n}.{k}": x for n, layer in p.items() for k, x in layer.named_parameters()}
    inputs = {"query": query, "key": memory}
    record(out, "mha_grouped", rng, inputs, [result], parameters, by_parameter)


def transformers(out, rng):
    _, key_visible = masks(rng)
    tgt_visible = torch.ones(B, T, dtype=torch.bool)
    tgt_visible[0, 4:] = False
    for order, norm_first, activation in (("post", False, "relu"), ("pre", True, "gelu")):
        options = {
            "dim_feedforward": F, "dropout": 0.0, "activation": activation, "batch_first": True,
            "norm_first": norm_first, "layer_norm_eps": 0.3,
        }  # fmt: skip
        src, tgt = draw(rng, B, S, C), draw(rng, B, T, C)
        encoder_layer = shifted(nn.TransformerEncoderLayer(C, H, **options), rng)
        result = encoder_layer(src, src_mask=causal(S), src_key_padding_mask=~key_visible)
        inputs = {"x": src, "key_visible": key_visible}
        record_module(out, f"encoder_layer_{order}", rng, encoder_layer, inputs, [result])

        norm = nn.LayerNorm(C, eps=0.3)
        encoder = nn.TransformerEncoder(encoder_layer, 2, norm, enable_nested_tensor=False)
        encoder = shifted(encoder, rng)
        result = encoder(src, src_key_padding_mask=~key_visible)
        record_module(out, f"encoder_{order}", rng, encoder, inputs, [result])

        decoder_layer = shifted(nn.TransformerDecoderLayer(C, H, **options), rng)
        inputs = {"x": tgt, "memory": src, "key_visible": tgt_visible}
        inputs["memory_key_visible"] = key_visible
        result = decoder_layer(
            tgt, src, tgt_mask=causal(T), tgt_key_padding_mask=~tgt_visible,
            memory_key_padding_mask=~key_visible,
        )  # fmt: skip
        record_module(out, f"decoder_layer_{order}", rng, decoder_layer, inputs, [result])

        model = shifted(nn.Transformer(C, H, 1, 2, **options), rng)
        result = model(
            src, tgt, tgt_mask=causal(T), src_key_padding_mask=~key_visible,
            tgt_key_padding_mask=~tgt_visible, memory_key_padding_mask=~key_visible,
        )  # fmt: skip
        inputs = {"src": src, "tgt": tgt, "src_key_visible": key_visible}
        inputs["tgt_key_visible"] = tgt_visible
        record_module(out, f"transformer_{order}", rng, model, inputs, [result])


def recurrences(out, rng):
    width, hidden, rows = 3, 4, 4
    for kind, make in (("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)):
        module = shifted(make(width, hidden, batch_first=True), rng)
        x = draw(rng, rows, S, width)
        h, last = module(x)
        outputs = [h, *last] if kind == "lstm" else [h, last]
        parameters = dict(module.named_parameters())

        def translate(arrays, *, gradients, kind=kind):
            return recurrent_in_our_names(kind, arrays, gradients=gradients)

        record(out, f"{kind}_plain", rng, {"x": x}, outputs, parameters, translate)

        module = shifted(make(width, hidden, 2, batch_first=True, bidirectional=True), rng)
        lengths = torch.tensor([4, 7, 1, 6])
        names = ("h", "c") if kind == "lstm" else ("h",)
        start = {name: draw(rng, 4, rows, hidden) for name in names}
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        given = tuple(start.values()) if kind == "lstm" else start["h"]
        h, last = module(packed, given)
        h, _ = pad_packed_sequence(h, batch_first=True, total_length=S)
        outputs = [h, *last] if kind == "lstm" else [h, last]
        parameters = dict(module.named_parameters())
        inputs = {"x": x, "lengths": lengths, **start}
        record(out, f"{kind}_packed", rng, inputs, outputs, parameters, translate)


def main():
    out, rng = {}, np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    attentions(out, rng)
    transformers(out, rng)
    recurrences(out, rng)
    arrays = {
        name: (x.detach().numpy() if isinstance(x, torch.Tensor) else x).copy(order="C")
        for name, x in out.items()
    }
    save_file(arrays, FOLDER / "nn.safetensors")
    print(f"written with torch {torch.__version__}")


if __name__ == "__main__":
    main()
