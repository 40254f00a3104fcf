"""Embedding and gradient descent, entry by entry."""

import math

import numpy as np

from minillm import Tensor, ops, optim

from ..registry import formula

rng = np.random.default_rng(6)
V, C, N = 5, 3, 7
ids, following = np.array([4, 1, 4, 2, 4, 0, 1]), np.array([1, 4, 0, 4, 1, 2, 4])
W, g = rng.standard_normal((V, C)), rng.standard_normal((N, C))


@formula("embedding", r"y_{nc} = \sum_{v=1}^{V} [i_n = v] \, W_{vc} = W_{i_n c}")
def embedding():
    literal = [[sum((ids[n] == v) * W[v][c] for v in range(V)) for c in range(C)] for n in range(N)]
    return literal, ops.embedding_forward(ids, W)[0]


@formula(
    "embedding-backward",
    r"\frac{\partial L}{\partial W_{vc}} = \sum_{n=1}^{N} [i_n = v] \, g_{nc}",
)
def embedding_backward():
    literal = [[sum((ids[n] == v) * g[n][c] for n in range(N)) for c in range(C)] for v in range(V)]
    return literal, ops.embedding_backward(g, ops.embedding_forward(ids, W)[1])[1]


@formula(
    "embedding-backward-bigram",
    r"\frac{\partial L}{\partial W_{vw}} = \frac{c_v \, p(w \mid v) - c_{vw}}{N}",
)
def bigram():
    table = rng.standard_normal((V, V))
    literal = np.zeros((V, V))
    for v in range(V):
        c_v = sum(x == v for x in ids)
        for w in range(V):
            p = math.exp(table[v][w]) / sum(math.exp(table[v][u]) for u in range(V))
            c_vw = sum(x == v and y == w for x, y in zip(ids, following, strict=True))
            literal[v][w] = (c_v * p - c_vw) / N
    logits, saved = ops.embedding_forward(ids, table)
    loss = ops.cross_entropy_forward(logits, following)
    upstream = ops.cross_entropy_backward(np.array(1.0), loss[1])[0]
    return literal, ops.embedding_backward(upstream, saved)[1]


@formula("gradient-descent", r"W \leftarrow W - \eta \, \frac{\partial L}{\partial W}")
def gradient_descent():
    parameter = Tensor(W.copy(), requires_grad=True)
    parameter.grad = rng.standard_normal((V, C))
    literal = [[W[v][c] - 0.3 * float(parameter.grad[v][c]) for c in range(C)] for v in range(V)]
    optim.SGD([parameter], lr=0.3).step()
    return literal, parameter.data
