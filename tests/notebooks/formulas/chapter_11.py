"""Attention, sum by sum."""

import math

import numpy as np

from minillm import nn, ops
from minillm.ops import attention_blocks

from ..registry import formula

rng = np.random.default_rng(11)
T, S, D, E = 3, 5, 7, 2
q, k, v = (rng.standard_normal(shape) for shape in ((T, D), (S, D), (S, E)))
g = rng.standard_normal((T, E))


def softmax(row):
    return [math.exp(a) / sum(math.exp(b) for b in row) for a in row]


def weights(q, k):
    width = len(q[0])
    scores = [[sum(x[d] * y[d] for d in range(width)) / math.sqrt(width) for y in k] for x in q]
    return [softmax(row) for row in scores]


def attention(q, k, v):
    return [
        [sum(w * row[e] for w, row in zip(p_t, v, strict=True)) for e in range(len(v[0]))]
        for p_t in weights(q, k)
    ]


def product(a, b):
    """A matrix product of nested lists."""
    return [[sum(row[i] * b[i][j] for i in range(len(b))) for j in range(len(b[0]))] for row in a]


p = weights(q, k)
G = [[sum(g[t, e] * v[s, e] for e in range(E)) for s in range(S)] for t in range(T)]
A = [
    [p[t][s] * (G[t][s] - sum(p[t][r] * G[t][r] for r in range(S))) for s in range(S)]
    for t in range(T)
]


def library():
    """(out, grad_q, grad_k, grad_v) of the operation."""
    four = [x[None, None] for x in (q, k, v)]
    out, saved = ops.scaled_dot_product_attention_forward(*four)
    grads = ops.scaled_dot_product_attention_backward(g[None, None], saved)
    return [x[0, 0] for x in (out, *grads)]


@formula(
    "scaled-dot-product-attention",
    r"\mathrm{out}_t = \sum_{s=1}^{S} p_{ts}\, v_s, \qquad"
    r" p_{ts} = \frac{e^{a_{ts}}}{\sum_{r=1}^{S} e^{a_{tr}}}, \qquad"
    r" a_{ts} = \frac{1}{\sqrt{D}} \sum_{d=1}^{D} q_{td}\, k_{sd}",
)
def scaled_dot_product_attention():
    return attention(q, k, v), library()[0]


@formula(
    "scaled-dot-product-attention-backward-values",
    r"\frac{\partial L}{\partial v_{se}} = \sum_{t} p_{ts}\, g_{te}, \qquad"
    r" G_{ts} := \frac{\partial L}{\partial p_{ts}} = \sum_{e} g_{te}\, v_{se}",
)
def backward_values():
    grad_v = [[sum(p[t][s] * g[t, e] for t in range(T)) for e in range(E)] for s in range(S)]
    # the slope of L in p by moving one weight at a time: L is linear in p, so any step is exact
    moved = [
        [
            sum(g[t, e] * ((p[t][s] + 1) * v[s, e] - p[t][s] * v[s, e]) for e in range(E))
            for s in range(S)
        ]
        for t in range(T)
    ]
    np.testing.assert_allclose(moved, G, rtol=1e-12)
    return grad_v, library()[3]


@formula(
    "scaled-dot-product-attention-backward-scores",
    r"A_{ts} := \frac{\partial L}{\partial a_{ts}} ="
    r" p_{ts} \Big( G_{ts} - \sum_{r} p_{tr}\, G_{tr} \Big)",
)
def backward_scores():
    scores = q @ k.T / math.sqrt(D)
    return A, ops.softmax_backward(np.array(G), ops.softmax_forward(scores)[1])[0]


@formula(
    "scaled-dot-product-attention-backward",
    r"\frac{\partial L}{\partial q_{td}} = \frac{1}{\sqrt{D}} \sum_{s} A_{ts}\, k_{sd}, \qquad"
    r" \frac{\partial L}{\partial k_{sd}} = \frac{1}{\sqrt{D}} \sum_{t} A_{ts}\, q_{td}",
)
def backward():
    root = math.sqrt(D)
    grad_q = [[sum(A[t][s] * k[s, d] for s in range(S)) / root for d in range(D)] for t in range(T)]
    grad_k = [[sum(A[t][s] * q[t, d] for t in range(T)) / root for d in range(D)] for s in range(S)]
    return [*grad_q, *grad_k], np.concatenate(library()[1:3])


@formula(
    "multi-head-attention",
    r"\mathrm{head}_h = \mathrm{attention}\big(x W_q^{(h)},\; x W_k^{(h)},\; x W_v^{(h)}\big),"
    r" \qquad \mathrm{out} = \big[\mathrm{head}_0 \mid \dots \mid \mathrm{head}_{H-1}\big]\, W_o",
)
def multi_head_attention():
    H, C = 3, 6
    layer = nn.MultiHeadAttention(C, H, bias=False, dtype=np.float64, rng=rng)
    x = rng.standard_normal((T, C))

    width, joined = C // H, [[] for _ in range(T)]
    for h in range(H):
        columns = [
            product(x, part.weight.data[:, h * width : (h + 1) * width])
            for part in (layer.query, layer.key, layer.value)
        ]
        for row, head in zip(joined, attention(*columns), strict=True):
            row.extend(head)
    return product(joined, layer.output.weight.data), layer(x[None]).data[0]


@formula(
    "attention-in-blocks",
    r"\ell' = e^{m - m'} \ell + \sum_{s \in \text{block}} e^{a_s - m'}, \qquad"
    r" \mathrm{acc}' = e^{m - m'} \mathrm{acc} + \sum_{s \in \text{block}} e^{a_s - m'}\, v_s",
)
def attention_in_blocks():
    out = []
    for query in q:
        m, total, acc = -math.inf, 0.0, [0.0] * E
        for block in ((0, 1), (2, 3), (4,)):
            a = {s: sum(query[d] * k[s, d] for d in range(D)) / math.sqrt(D) for s in block}
            new = max(m, *a.values())
            total = math.exp(m - new) * total + sum(math.exp(a[s] - new) for s in block)
            acc = [
                math.exp(m - new) * acc[e] + sum(math.exp(a[s] - new) * v[s, e] for s in block)
                for e in range(E)
            ]
            m = new
        out.append([entry / total for entry in acc])
    ours, _ = attention_blocks.attention_in_blocks_forward(
        q[None, None] / math.sqrt(D), k[None, None], v[None, None], 1 / math.sqrt(D), None, False
    )
    return out, ours[0, 0]


@formula(
    "attention-in-blocks-backward",
    r"p_{ts} = e^{a_{ts} - (m_t + \log \ell_t)}, \qquad"
    r" \sum_{r} p_{tr}\, G_{tr} = \sum_{r} p_{tr} \sum_{e} g_{te}\, v_{re}"
    r" = \sum_{e} g_{te}\, \mathrm{out}_{te}",
)
def attention_in_blocks_backward():
    scores = (q @ k.T / math.sqrt(D)).tolist()
    root, out = math.sqrt(D), attention(q, k, v)
    scaled = np.empty((T, S))
    for t, row in enumerate(scores):
        known = max(row) + math.log(sum(math.exp(a - max(row)) for a in row))
        in_bracket = sum(g[t, e] * out[t][e] for e in range(E))
        for s, a in enumerate(row):
            scaled[t, s] = math.exp(a - known) * (G[t][s] - in_bracket) / root
    _, saved = attention_blocks.attention_in_blocks_forward(
        q[None, None] / root, k[None, None], v[None, None], 1 / root, None, False
    )
    theirs = attention_blocks.attention_in_blocks_backward(g[None, None], saved)
    ours = [*product(scaled, k), *product(scaled.T, q)]
    return ours, np.concatenate([theirs[0][0, 0], theirs[1][0, 0]])
