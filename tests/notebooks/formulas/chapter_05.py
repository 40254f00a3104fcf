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
