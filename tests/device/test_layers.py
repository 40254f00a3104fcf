"""The layers that no GPT-2 has, forward and backward on every device, without waiting for it."""

import numpy as np
import pytest

from minillm import Tensor, nn
from minillm.backend import to_numpy

B, T, C, H = 2, 5, 8, 6
LENGTHS = np.array([5, 3])
VISIBLE = np.arange(T) < LENGTHS[:, None]  # (B, T)

LAYERS = {
    "RNN": lambda rng: nn.RNN(C, H, 2, bidirectional=True, rng=rng),
    "GRU": lambda rng: nn.GRU(C, H, 2, bidirectional=True, rng=rng),
    "LSTM": lambda rng: nn.LSTM(C, H, 2, bidirectional=True, rng=rng),
    "MultiHeadAttention": lambda rng: nn.MultiHeadAttention(C, 2, rng=rng),
    "RMSNorm": lambda rng: nn.RMSNorm(C),
}


def calls(name):
    """The ways to call a layer."""
    if name in ("RNN", "GRU", "LSTM"):
        return [{}, {"lengths": LENGTHS}, {"lengths": LENGTHS.tolist()}]
    if name == "MultiHeadAttention":
        return [{}, {"is_causal": True}, {"key_visible": VISIBLE}]
    return [{}]


CALLS = [
    pytest.param(name, i, id=f"{name}-{i}") for name in LAYERS for i in range(len(calls(name)))
]


def forward_and_backward(name, i, device, counters):
    """(output, gradient of the input, gradients of all parameters) on the host."""
    layer = LAYERS[name](np.random.default_rng(5)).to(device)
    x = np.random.default_rng(3).standard_normal((B, T, C)).astype(np.float32)
    x = Tensor(x, requires_grad=True).to(device)
    counters.reset()
    out = layer(x, **calls(name)[i])
    out = out[0] if isinstance(out, tuple) else out
    (out * out).sum().backward()
    assert counters.synchronisations == 0
    return [to_numpy(a) for a in (out.data, x.grad, *(p.grad for p in layer.parameters()))]


@pytest.mark.parametrize(("name", "i"), CALLS)
def test_a_layer_agrees_with_the_host_and_does_not_wait(dev, counters, name, i):
    found = forward_and_backward(name, i, dev, counters)
    expected = forward_and_backward(name, i, "cpu", counters)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype == np.float32
        if dev.kind == "cuda":
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(a, b)
