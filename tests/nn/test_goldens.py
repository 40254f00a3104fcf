"""Agreement with PyTorch: the file that tests/golden/make_nn.py wrote.

Every output, and the gradient of every parameter and input.  The script translates PyTorch's
parameters into our names, so that load_state_dict takes them as they are.
"""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from minillm import Tensor, nn

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "nn.safetensors")
C, H, F = 6, 3, 4
float64 = {"dtype": "float64"}


def layer(make, norm_first, activation, *sizes):
    return make(
        C, H, *sizes, F, 0.0, norm_first=norm_first, activation=activation, layer_norm_eps=0.3,
        **float64,
    )  # fmt: skip


def encoder(*style):
    norm = nn.LayerNorm(C, 0.3, **float64)
    return nn.TransformerEncoder(layer(nn.TransformerEncoderLayer, *style), 2, norm)


def attention(**options):
    return nn.MultiHeadAttention(C, H, **options, **float64)


CASES = {  # name: (module, further keyword arguments of the call)
    "mha_self": (attention, {}),
    "mha_causal_no_bias": (lambda: attention(bias=False), {"is_causal": True}),
    "mha_masks": (attention, {}),
    "mha_mask_per_head": (attention, {}),
    "mha_widths": (lambda: attention(kdim=4, vdim=5), {}),
    "mha_grouped": (lambda: nn.MultiHeadAttention(8, 4, num_kv_heads=2, **float64), {}),
}
for order, style in {"post": (False, "relu"), "pre": (True, "gelu")}.items():
    CASES |= {
        f"encoder_layer_{order}": (
            lambda s=style: layer(nn.TransformerEncoderLayer, *s),
            {"is_causal": True},
        ),
        f"encoder_{order}": (lambda s=style: encoder(*s), {}),
        f"decoder_layer_{order}": (
            lambda s=style: layer(nn.TransformerDecoderLayer, *s),
            {"is_causal": True},
        ),
        f"transformer_{order}": (
            lambda s=style: layer(nn.Transformer, *s, 1, 2),
            {"is_causal": True},
        ),
    }
for kind, make in {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}.items():
    CASES |= {
        f"{kind}_plain": (lambda m=make: m(3, 4, **float64), {}),
        f"{kind}_packed": (lambda m=make: m(3, 4, 2, bidirectional=True, **float64), {}),
    }


def parts_of(case):
    """{kind: {name: array}} of one case."""
    parts = {}
    for key, array in GOLDEN.items():
        name, kind, rest = key.split(".", 2)
        if name == case:
            parts.setdefault(kind, {})[rest] = array
    return parts


def test_every_golden_case_is_compared():
    assert {key.split(".")[0] for key in GOLDEN} == set(CASES)


def assert_close(found, expected, what):
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=what)


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_all_gradients_agree_with_pytorch(case):
    make, options = CASES[case]
    golden = parts_of(case)
    module = make()
    module.load_state_dict(golden["weight"])  # strict
    inputs = {
        name: Tensor(array, requires_grad=name in golden["input_grad"])
        for name, array in golden["input"].items()
    }
    call = dict(inputs)
    if "h" in call:
        call["state"] = (call.pop("h"), call.pop("c")) if "c" in call else call.pop("h")
    out = module(**call, **options)
    if isinstance(out, tuple):
        outputs = [out[0], *(out[1] if isinstance(out[1], tuple) else (out[1],))]
    else:
        outputs = [out]
    assert len(outputs) == len(golden["output"])
    total = 0.0
    for i, result in enumerate(outputs):
        assert_close(result.data, golden["output"][str(i)], f"output {i}")
        total = (result * golden["cotangent"][str(i)]).sum() + total
    total.backward()
    for name, expected in golden["input_grad"].items():
        assert_close(inputs[name].grad, expected, f"gradient of {name}")
    gradients = {name: p.grad for name, p in module.named_parameters()}
    assert set(gradients) == set(golden["weight_grad"])
    for name, expected in golden["weight_grad"].items():
        assert_close(gradients[name], expected, f"gradient of {name}")
