"""LoRA and the bottleneck adapter, sum by sum."""

import math

import numpy as np

from minillm import ops
from minillm.finetuning.adapters import Bottleneck

from ..registry import formula

rng = np.random.default_rng(22)
N, I, O, R, alpha = 5, 7, 3, 2, 3.0
s = alpha / R
x, W, b = rng.standard_normal((N, I)), rng.standard_normal((I, O)), rng.standard_normal(O)
A, B, G = rng.standard_normal((I, R)), rng.standard_normal((R, O)), rng.standard_normal((N, O))
out, saved = ops.lora_linear_forward(x, W, A, B, b, scale=s)
grad_x, _, grad_A, grad_B, _ = ops.lora_linear_backward(G, saved)
D = [[sum(x[n, i] * A[i, r] for i in range(I)) for r in range(R)] for n in range(N)]
grad_D = [[s * sum(G[n, o] * B[r, o] for o in range(O)) for r in range(R)] for n in range(N)]


@formula(
    "lora-linear",
    r"y_{no} = \sum_{i=1}^{I} x_{ni} W_{io} + b_o"
    r" + s \sum_{r=1}^{R} \Big( \sum_{i=1}^{I} x_{ni} A_{ir} \Big) B_{ro},"
    r" \qquad s = \frac{\alpha}{R}",
)
def lora_linear():
    literal = [
        [
            sum(x[n, i] * W[i, o] for i in range(I))
            + b[o]
            + s * sum(D[n][r] * B[r, o] for r in range(R))
            for o in range(O)
        ]
        for n in range(N)
    ]
    return literal, out


@formula(
    "lora-linear-backward-b",
    r"\frac{\partial L}{\partial B_{ro}} = s \sum_n D_{nr} G_{no}",
)
def lora_linear_backward_b():
    literal = [[s * sum(D[n][r] * G[n, o] for n in range(N)) for o in range(O)] for r in range(R)]
    return literal, grad_B


@formula(
    "lora-linear-backward-down",
    r"\frac{\partial L}{\partial D_{nr}} = s \sum_o G_{no} B_{ro}",
)
def lora_linear_backward_down():
    # with A the identity, x is D itself; W = 0 leaves the way through D alone
    given = np.array(D), np.zeros((R, O)), np.eye(R), B
    _, kept = ops.lora_linear_forward(*given, scale=s)
    return grad_D, ops.lora_linear_backward(G, kept)[0]


@formula(
    "lora-linear-backward-a",
    r"\frac{\partial L}{\partial A_{ir}} = \sum_n x_{ni} \frac{\partial L}{\partial D_{nr}}",
)
def lora_linear_backward_a():
    literal = [[sum(x[n, i] * grad_D[n][r] for n in range(N)) for r in range(R)] for i in range(I)]
    return literal, grad_A


@formula(
    "lora-linear-backward-x",
    r"\frac{\partial L}{\partial x_{ni}} = \sum_o G_{no} W_{io}"
    r" + \sum_r \frac{\partial L}{\partial D_{nr}} A_{ir}",
)
def lora_linear_backward_x():
    literal = [
        [
            sum(G[n, o] * W[i, o] for o in range(O)) + sum(grad_D[n][r] * A[i, r] for r in range(R))
            for i in range(I)
        ]
        for n in range(N)
    ]
    return literal, grad_x


@formula(
    "bottleneck",
    r"\operatorname{adapter}(h)_c = h_c + \sum_{m=1}^{M} \operatorname{gelu}\Big("
    r" \sum_{k=1}^{C} h_k U_{km} + u_m \Big) V_{mc} + v_c",
)
def bottleneck():
    C, M = 5, 3
    h, U, u = rng.standard_normal(C), rng.standard_normal((C, M)), rng.standard_normal(M)
    V, v = rng.standard_normal((M, C)), rng.standard_normal(C)
    layer = Bottleneck(C, M, h, rng)
    layer.down.weight.data, layer.down.bias.data = U, u
    layer.up.weight.data, layer.up.bias.data = V, v

    def gelu(a):
        return a * (1 + math.erf(a / math.sqrt(2))) / 2

    inner = [gelu(sum(h[k] * U[k, m] for k in range(C)) + u[m]) for m in range(M)]
    literal = [h[c] + sum(inner[m] * V[m, c] for m in range(M)) + v[c] for c in range(C)]
    return literal, layer(h[None]).numpy()[0]
