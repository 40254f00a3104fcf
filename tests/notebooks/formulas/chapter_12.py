"""The parts of a block, sum by sum."""

import math

import numpy as np

from minillm import nn, ops

from ..registry import formula
from .chapter_11 import attention, product

rng = np.random.default_rng(12)
C, N, EPS = 5, 3, 0.5
x, g = rng.standard_normal((2, N, C))
gamma, beta = rng.standard_normal((2, C))


def layer_norm(row, gamma, beta, eps):
    """(y, x_hat, r) of one row."""
    width = len(row)
    mu = sum(row) / width
    r = (sum((v - mu) ** 2 for v in row) / width + eps) ** -0.5
    x_hat = [r * (v - mu) for v in row]
    return [gamma[i] * x_hat[i] + beta[i] for i in range(width)], x_hat, r


def rms(row, eps):
    """(x_hat, r) of one row."""
    r = (sum(v * v for v in row) / len(row) + eps) ** -0.5
    return [r * v for v in row], r


def layer_norm_gradients():
    return ops.layer_norm_backward(g, ops.layer_norm_forward(x, gamma, beta, eps=EPS)[1])


@formula(
    "layer-norm",
    r"\mu = \frac{1}{C} \sum_{j} x_j, \qquad"
    r" r = \Big( \frac{1}{C} \sum_{j} (x_j - \mu)^2 + \varepsilon \Big)^{-1/2}, \qquad"
    r" \hat{x}_i = r\,(x_i - \mu), \qquad y_i = \gamma_i \hat{x}_i + \beta_i",
)
def layer_norm_formula():
    literal = [layer_norm(row, gamma, beta, EPS)[0] for row in x]
    return literal, ops.layer_norm_forward(x, gamma, beta, eps=EPS)[0]


@formula(
    "layer-norm-backward",
    r"\frac{\partial L}{\partial x_j} = r \Big( h_j - \frac{1}{C} \sum_i h_i"
    r" - \hat{x}_j \cdot \frac{1}{C} \sum_i h_i \hat{x}_i \Big), \qquad h_i = g_i \gamma_i",
)
def layer_norm_backward():
    literal = []
    for n in range(N):
        _, x_hat, r = layer_norm(x[n], gamma, beta, EPS)
        h = [g[n, i] * gamma[i] for i in range(C)]
        along = sum(h[i] * x_hat[i] for i in range(C)) / C
        literal.append([r * (h[j] - sum(h) / C - x_hat[j] * along) for j in range(C)])
    return literal, layer_norm_gradients()[0]


@formula(
    "layer-norm-backward-parameters",
    r"\frac{\partial L}{\partial \gamma_i} = \sum_n g_{ni}\, \hat{x}_{ni}, \qquad"
    r" \frac{\partial L}{\partial \beta_i} = \sum_n g_{ni}",
)
def layer_norm_backward_parameters():
    x_hat = [layer_norm(row, gamma, beta, EPS)[1] for row in x]
    grad_gamma = [sum(g[n, i] * x_hat[n][i] for n in range(N)) for i in range(C)]
    grad_beta = [sum(g[n, i] for n in range(N)) for i in range(C)]
    return [grad_gamma, grad_beta], layer_norm_gradients()[1:]


@formula(
    "rms-norm",
    r"\hat{x}_i = r\, x_i, \qquad"
    r" r = \Big( \frac{1}{C} \sum_{j} x_j^2 + \varepsilon \Big)^{-1/2}, \qquad"
    r" y_i = \gamma_i \hat{x}_i",
)
def rms_norm():
    literal = [[gamma[i] * v for i, v in enumerate(rms(row, EPS)[0])] for row in x]
    return literal, ops.rms_norm_forward(x, gamma, eps=EPS)[0]


@formula(
    "rms-norm-backward",
    r"\frac{\partial L}{\partial x_j} = r \Big( g_j \gamma_j"
    r" - \hat{x}_j \cdot \frac{1}{C} \sum_i g_i \gamma_i\, \hat{x}_i \Big)",
)
def rms_norm_backward():
    literal = []
    for n in range(N):
        x_hat, r = rms(x[n], EPS)
        along = sum(g[n, i] * gamma[i] * x_hat[i] for i in range(C)) / C
        literal.append([r * (g[n, j] * gamma[j] - x_hat[j] * along) for j in range(C)])
    return literal, ops.rms_norm_backward(g, ops.rms_norm_forward(x, gamma, eps=EPS)[1])[0]


def cdf(v):
    return 0.5 * (1 + math.erf(v / math.sqrt(2)))


@formula(
    "gelu",
    r"y = x\, \Phi(x), \qquad"
    r" \Phi(x) = \frac{1}{2} \Big( 1 + \mathrm{erf}\, \frac{x}{\sqrt{2}} \Big)",
)
def gelu():
    return [v * cdf(v) for v in x[0]], ops.gelu_forward(x[0])[0]


@formula("gelu-backward", r"\frac{dy}{dx} = \Phi(x) + x\, \varphi(x)")
def gelu_backward():
    literal = [cdf(v) + v * math.exp(-v * v / 2) / math.sqrt(2 * math.pi) for v in x[0]]
    return literal, ops.gelu_backward(np.ones(C), ops.gelu_forward(x[0])[1])[0]


@formula(
    "gelu-tanh",
    r"y = \frac{x}{2} \left( 1 + \tanh\Big( \sqrt{2/\pi}\,"
    r" \big( x + 0.044715\, x^3 \big) \Big) \right)",
)
def gelu_tanh():
    root = math.sqrt(2 / math.pi)
    literal = [v / 2 * (1 + math.tanh(root * (v + 0.044715 * v**3))) for v in x[0]]
    return literal, ops.gelu_forward(x[0], approximate="tanh")[0]


def linear(row, layer):
    """One row through a linear layer."""
    (out,) = product([row], layer.weight.data)
    return [v + b for v, b in zip(out, layer.bias.data, strict=True)]


def feed_forward(row, layer):
    return linear([v * cdf(v) for v in linear(row, layer.linear1)], layer.linear2)


@formula("feed-forward", r"\mathrm{feedforward}(x) = \mathrm{GELU}(x W_1 + b_1)\, W_2 + b_2")
def feed_forward_formula():
    layer = nn.FeedForward(C, 7, activation="gelu", dtype=np.float64, rng=rng)
    return [feed_forward(row, layer) for row in x], layer(x[None]).data[0]


@formula(
    "dropout",
    r"y_i = \frac{m_i}{1-p}\, x_i, \qquad"
    r" \frac{\partial L}{\partial x_i} = \frac{m_i}{1-p}\, g_i",
)
def dropout():
    p = 0.3
    kept = np.random.default_rng(0).random(x.shape, dtype="float32") >= p  # drawn in this order
    assert 0 < kept.sum() < kept.size
    y, saved = ops.dropout_forward(x, p=p, rng=np.random.default_rng(0))
    literal = [
        [
            [m / (1 - p) * v for m, v in zip(*rows, strict=True)]
            for rows in zip(kept, z, strict=True)
        ]
        for z in (x, g)
    ]
    return literal, [y, ops.dropout_backward(g, saved)[0]]


def block(norm_first):
    """A block with one head and random norms, and its parts as functions of rows."""
    layer = nn.TransformerEncoderLayer(
        C, 1, 7, dropout=0.0, activation="gelu", norm_first=norm_first, dtype=np.float64, rng=rng
    )
    for norm in (layer.norm1, layer.norm2):
        norm.weight.data[...], norm.bias.data[...] = rng.standard_normal((2, C))

    def attend(rows):
        part = layer.self_attention
        q, k, v = ([linear(row, one) for row in rows] for one in (part.query, part.key, part.value))
        return [linear(row, part.output) for row in attention(q, k, v)]

    def norm(rows, which):
        return [layer_norm(row, which.weight.data, which.bias.data, which.eps)[0] for row in rows]

    def forward(rows):
        return [feed_forward(row, layer.feed_forward) for row in rows]

    return layer, attend, norm, forward


def add(rows, others):
    return [
        [a + b for a, b in zip(row, other, strict=True)]
        for row, other in zip(rows, others, strict=True)
    ]


@formula(
    "transformer-encoder-layer",
    r"\text{post:} \quad x' = \mathrm{norm}_1\big(x + \mathrm{attention}(x)\big), \qquad"
    r" \mathrm{out} = \mathrm{norm}_2\big(x' + \mathrm{feedforward}(x')\big)",
)
def post_norm():
    layer, attend, norm, forward = block(norm_first=False)
    middle = norm(add(x, attend(x)), layer.norm1)
    return norm(add(middle, forward(middle)), layer.norm2), layer(x[None]).data[0]


@formula(
    "transformer-encoder-layer-pre-norm",
    r"\text{pre:} \quad x' = x + \mathrm{attention}\big(\mathrm{norm}_1(x)\big), \qquad"
    r" \mathrm{out} = x' + \mathrm{feedforward}\big(\mathrm{norm}_2(x')\big)",
)
def pre_norm():
    layer, attend, norm, forward = block(norm_first=True)
    middle = add(x, attend(norm(x, layer.norm1)))
    return add(middle, forward(norm(middle, layer.norm2))), layer(x[None]).data[0]
