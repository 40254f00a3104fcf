"""Skip-gram with negative sampling and GloVe, pair by pair."""

import math

import numpy as np

from minillm import ops
from minillm.models.glove import glove_backward, glove_forward, pair_weights
from minillm.models.word2vec import sgns_backward, sgns_forward

from ..registry import formula

rng = np.random.default_rng(19)
N, K, C, V = 3, 4, 5, 6
v, u = rng.standard_normal((N, C)), rng.standard_normal((N, 1 + K, C))
w, w_context = rng.standard_normal((V, C)), rng.standard_normal((V, C))
b, b_context = rng.standard_normal(V), rng.standard_normal(V)
X = np.round(rng.random((V, V)) * 9) * (rng.random((V, V)) < 0.6)
X_MAX = 5.0


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def dot(x, y):
    return sum(x[c] * y[c] for c in range(C))


@formula("skip-gram", r"p(o \mid c) = \frac{e^{u_o \cdot v_c}}{\sum_{w=1}^{V} e^{u_w \cdot v_c}}")
def skip_gram():
    powers = [math.exp(dot(w[o], v[0])) for o in range(V)]
    return [power / sum(powers) for power in powers], ops.softmax_forward(w @ v[0])[0]


@formula(
    "sgns",
    r"L = -\log \sigma(u_0 \cdot v) - \sum_{k=1}^{K} \log \sigma(-u_k \cdot v)",
)
def sgns():
    literal = [
        -math.log(sigmoid(dot(u[n][0], v[n])))
        - sum(math.log(sigmoid(-dot(u[n][k], v[n]))) for k in range(1, K + 1))
        for n in range(N)
    ]
    return literal, sgns_forward(v, u)[0]


def deltas(n):
    """(3) for one pair."""
    return [sigmoid(dot(u[n][k], v[n])) - (k == 0) for k in range(K + 1)]


def gradients():
    return sgns_backward(np.ones(N), sgns_forward(v, u)[1])


@formula(
    "sgns-backward-scores",
    r"\delta_k = \frac{\partial L}{\partial s_k} = \sigma(s_k) - [k = 0]",
)
def scores():
    grad_u = gradients()[1]  # delta_k v: along v it is delta_k |v|^2
    ours = [[dot(grad_u[n][k], v[n]) / dot(v[n], v[n]) for k in range(K + 1)] for n in range(N)]
    return [deltas(n) for n in range(N)], ours


@formula(
    "sgns-backward",
    r"\frac{\partial L}{\partial v} = \sum_{k=0}^{K} \delta_k\, u_k \qquad"
    r" \frac{\partial L}{\partial u_k} = \delta_k\, v",
)
def backward():
    literal_v = [
        [sum(deltas(n)[k] * u[n][k][c] for k in range(K + 1)) for c in range(C)] for n in range(N)
    ]
    literal_u = [
        [[deltas(n)[k] * v[n][c] for c in range(C)] for k in range(K + 1)] for n in range(N)
    ]
    ours = np.concatenate([g.ravel() for g in gradients()])
    return np.concatenate([np.ravel(literal_v), np.ravel(literal_u)]), ours


def f(x):
    return min(1.0, x / X_MAX) ** 0.75


def error(i, j):
    return dot(w[i], w_context[j]) + b[i] + b_context[j] - math.log(X[i][j])


def glove():
    """The pairs that occur, the losses and what backward needs, by the library."""
    i, j = np.nonzero(X)
    options = {"log_counts": np.log(X[i, j]), "weights": pair_weights(X[i, j], X_MAX, 0.75)}
    return i, *glove_forward(w[i], w_context[j], b[i], b_context[j], **options)


@formula(
    "glove",
    r"J = \sum_{i,j:\, X_{ij} > 0} f(X_{ij})\, e_{ij}^2 \qquad"
    r" e_{ij} = w_i \cdot \tilde w_j + b_i + \tilde b_j - \log X_{ij}",
)
def objective():
    pairs = [(i, j) for i in range(V) for j in range(V) if X[i][j] > 0]
    literal = sum(f(X[i][j]) * error(i, j) ** 2 for i, j in pairs)
    return literal, glove()[1].sum()


@formula("glove-weights", r"f(x) = \min\left(1, \frac{x}{x_{\max}}\right)^{3/4}")
def weights():
    counts = [0.5, 1.0, 4.9, 5.0, 70.0]
    return [f(x) for x in counts], pair_weights(np.array(counts), X_MAX, 0.75)


@formula(
    "glove-backward",
    r"\frac{\partial J}{\partial w_i} = \sum_j 2 f(X_{ij})\, e_{ij}\, \tilde w_j \qquad"
    r" \frac{\partial J}{\partial b_i} = \sum_j 2 f(X_{ij})\, e_{ij}",
)
def glove_gradients():
    literal = np.zeros((V, C + 1))
    for i in range(V):
        for j in range(V):
            if X[i][j] > 0:
                factor = 2 * f(X[i][j]) * error(i, j)
                literal[i] += [factor * w_context[j][c] for c in range(C)] + [factor]
    i, losses, saved = glove()
    grad_w, _, grad_b, _ = glove_backward(np.ones_like(losses), saved)
    ours = np.zeros((V, C + 1))
    np.add.at(ours[:, :C], i, grad_w)
    np.add.at(ours[:, C], i, grad_b)
    return literal, ours
