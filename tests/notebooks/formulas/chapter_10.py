"""Positions, entry by entry."""

import math

import numpy as np

from minillm import ops

from ..registry import formula
from .chapter_11 import attention, k, q, v

rng = np.random.default_rng(10)
B, T, P, C = 2, 3, 5, 6
x, g = rng.standard_normal((2, B, T, C))
table = rng.standard_normal((P, C))
omega = [10000 ** (-2 * i / C) for i in range(C // 2)]
cos, sin = ops.rotary_tables(T, C, dtype=np.float64)


def pairs(function):
    """Apply function(a, b, angle) -> (a', b') to all neighbours of x[b, t] or g[b, t]."""

    def apply(rows):
        out = np.empty((B, T, C))
        for b in range(B):
            for t in range(T):
                for i in range(C // 2):
                    pair = function(rows[b, t, 2 * i], rows[b, t, 2 * i + 1], omega[i] * t)
                    out[b, t, 2 * i], out[b, t, 2 * i + 1] = pair
        return out

    return apply


def sines(t):
    return [f(omega[i] * t) for i in range(C // 2) for f in (math.sin, math.cos)]


@formula(
    "scaled-dot-product-attention-short",
    r"\mathrm{out}_t = \sum_{s} p_{ts}\, v_s, \qquad"
    r" p_{ts} = \frac{\exp(q_t \cdot k_s / \sqrt{D})}{\sum_{r} \exp(q_t \cdot k_r / \sqrt{D})}",
)
def scaled_dot_product_attention_short():
    four = [array[None, None] for array in (q, k, v)]
    return attention(q, k, v), ops.scaled_dot_product_attention_forward(*four)[0][0, 0]


@formula("positional-encoding", r"\mathrm{out}_{btc} = x_{btc} + e_{tc}")
def positional_encoding():
    literal = [[[x[b, t, c] + table[t, c] for c in range(C)] for t in range(T)] for b in range(B)]
    return literal, ops.positional_encoding_forward(x, table)[0]


@formula(
    "sinusoidal-table",
    r"e_{t,2i} = \sin(\omega_i t), \qquad e_{t,2i+1} = \cos(\omega_i t), \qquad"
    r" \omega_i = 10000^{-2i/C}, \qquad i = 0, \dots, C/2 - 1",
)
def sinusoidal_table():
    return [sines(t) for t in range(P)], ops.sinusoidal_table(P, C, dtype=np.float64)


@formula(
    "sinusoidal-table-shift",
    r"\begin{pmatrix} e_{t+k,2i} \\ e_{t+k,2i+1} \end{pmatrix}"
    r" = \begin{pmatrix} \cos \omega_i k & \sin \omega_i k \\"
    r" -\sin \omega_i k & \cos \omega_i k \end{pmatrix}"
    r" \begin{pmatrix} e_{t,2i} \\ e_{t,2i+1} \end{pmatrix}",
)
def sinusoidal_table_shift():
    k, rows = 3, ops.sinusoidal_table(P + 3, C, dtype=np.float64)
    literal = []
    for t in range(P):
        row = []
        for i in range(C // 2):
            s, c = math.sin(omega[i] * k), math.cos(omega[i] * k)
            row += [c * rows[t, 2 * i] + s * rows[t, 2 * i + 1]]
            row += [-s * rows[t, 2 * i] + c * rows[t, 2 * i + 1]]
        literal.append(row)
    return literal, rows[k:]


@formula(
    "sinusoidal-table-product",
    r"e_t \cdot e_s = \sum_{i=0}^{C/2-1} \cos\big(\omega_i (t - s)\big)",
)
def sinusoidal_table_product():
    rows = ops.sinusoidal_table(P, C, dtype=np.float64)
    literal = [[sum(math.cos(w * (t - s)) for w in omega) for s in range(P)] for t in range(P)]
    return literal, rows @ rows.T


@formula(
    "positional-encoding-backward",
    r"\frac{\partial L}{\partial x_{btc}} = g_{btc}, \qquad"
    r" \frac{\partial L}{\partial e_{tc}} = \sum_{b} g_{btc} \;\text{ for } t < T,"
    r" \quad 0 \text{ for } t \ge T",
)
def positional_encoding_backward():
    grad_table = [
        [sum(g[b, t, c] for b in range(B)) if t < T else 0.0 for c in range(C)] for t in range(P)
    ]
    grads = ops.positional_encoding_backward(g, ops.positional_encoding_forward(x, table)[1])
    literal = [g.reshape(B * T, C), grad_table]
    return np.concatenate(literal), np.concatenate([grads[0].reshape(B * T, C), grads[1]])


@formula(
    "rotary-embedding",
    r"\begin{pmatrix} a' \\ b' \end{pmatrix} = R(\theta) \begin{pmatrix} a \\ b \end{pmatrix},"
    r" \qquad R(\theta) = \begin{pmatrix} \cos \theta & -\sin \theta \\"
    r" \sin \theta & \cos \theta \end{pmatrix}, \qquad \theta = \omega_i t",
)
def rotary_embedding():
    turn = pairs(
        lambda a, b, angle: (
            math.cos(angle) * a - math.sin(angle) * b,
            math.sin(angle) * a + math.cos(angle) * b,
        )
    )
    return turn(x), ops.rotary_embedding_forward(x, cos=cos, sin=sin, interleaved=True)[0]


@formula(
    "rotary-embedding-backward",
    r"\begin{pmatrix} g_a \\ g_b \end{pmatrix}"
    r" = R(\theta)^\top \begin{pmatrix} g_{a'} \\ g_{b'} \end{pmatrix}"
    r" = \begin{pmatrix} g_{a'} \cos\theta + g_{b'} \sin\theta \\"
    r" g_{b'} \cos\theta - g_{a'} \sin\theta \end{pmatrix}",
)
def rotary_embedding_backward():
    turn_back = pairs(
        lambda a, b, angle: (
            a * math.cos(angle) + b * math.sin(angle),
            b * math.cos(angle) - a * math.sin(angle),
        )
    )
    saved = ops.rotary_embedding_forward(x, cos=cos, sin=sin, interleaved=True)[1]
    return turn_back(g), ops.rotary_embedding_backward(g, saved)[0]
