"""Softmax and cross-entropy, sum by sum."""

import math

import numpy as np

from minillm import ops

from ..registry import formula

rng = np.random.default_rng(5)
x, g, V, y = rng.standard_normal(7), rng.standard_normal(7), 7, 3
p = [math.exp(x[i]) / sum(math.exp(x[j]) for j in range(V)) for i in range(V)]


@formula("softmax", r"p_i = \frac{e^{x_i}}{\sum_{j=1}^{V} e^{x_j}}")
def softmax():
    return p, ops.softmax_forward(x)[0]


@formula(
    "softmax-backward",
    r"\frac{\partial L}{\partial x_i} = \sum_j g_j \, p_j \left([i=j] - p_i\right)"
    r" = p_i \Big( g_i - \sum_j g_j p_j \Big)",
)
def softmax_backward():
    literal = [sum(g[j] * p[j] * ((i == j) - p[i]) for j in range(V)) for i in range(V)]
    return literal, ops.softmax_backward(g, ops.softmax_forward(x)[1])[0]


@formula("cross-entropy", r"L = -\log p_y = \log \sum_{j=1}^{V} e^{x_j} - x_y")
def cross_entropy():
    literal = math.log(sum(math.exp(x[j]) for j in range(V))) - x[y]
    return [literal, -math.log(p[y])], [ops.cross_entropy_forward(x[None], np.array([y]))[0]] * 2


@formula("cross-entropy-backward", r"\frac{\partial L}{\partial x_i} = p_i - [i = y]")
def cross_entropy_backward():
    saved = ops.cross_entropy_forward(x[None], np.array([y]))[1]
    literal = [p[i] - (i == y) for i in range(V)]
    return literal, ops.cross_entropy_backward(np.array(1.0), saved)[0][0]


z, t = (-1.3, 0.8, 2.1), (1.0, 0.0, 1.0)
p_yes = [1 / (1 + math.exp(-v)) for v in z]


@formula(
    "binary-cross-entropy-with-logits",
    r"L = -t \log p - (1 - t) \log (1 - p) = \max(z, 0) - t z"
    r" + \log\left(1 + e^{-\lvert z \rvert}\right)",
)
def binary_cross_entropy():
    by_p = [-b * math.log(a) - (1 - b) * math.log(1 - a) for a, b in zip(p_yes, t, strict=True)]
    by_z = [max(a, 0) - b * a + math.log(1 + math.exp(-abs(a))) for a, b in zip(z, t, strict=True)]
    ours = ops.binary_cross_entropy_with_logits_forward(np.array(z), np.array(t), reduction="none")
    return [by_p, by_z], [ours[0], ours[0]]


@formula("binary-cross-entropy-with-logits-backward", r"\frac{\partial L}{\partial z} = p - t")
def binary_cross_entropy_backward():
    saved = ops.binary_cross_entropy_with_logits_forward(
        np.array(z), np.array(t), reduction="none"
    )[1]
    literal = [a - b for a, b in zip(p_yes, t, strict=True)]
    return literal, ops.binary_cross_entropy_with_logits_backward(np.ones(3), saved)[0]


@formula(
    "mean-squared-error",
    r"L = (x - t)^2, \qquad \frac{\partial L}{\partial x} = 2 (x - t)",
)
def mean_squared_error():
    out, saved = ops.mean_squared_error_forward(np.array(z), np.array(t), reduction="none")
    grad = ops.mean_squared_error_backward(np.ones(3), saved)[0]
    literal = [[(a - b) ** 2, 2 * (a - b)] for a, b in zip(z, t, strict=True)]
    return literal, np.stack([out, grad], axis=1)
