"""Cross-attention forward and backward, and BLEU, sum by sum."""

import math

import numpy as np

from minillm import ops
from minillm.training import bleu

from ..registry import formula

rng = np.random.default_rng(18)
T, S, D = 3, 5, 4
q, g = rng.standard_normal((2, T, D))
k, v = rng.standard_normal((2, S, D))


def dot(x, y):
    return sum(x[i] * y[i] for i in range(len(x)))


scores = [[dot(q[t], k[s]) / math.sqrt(D) for s in range(S)] for t in range(T)]
a = [
    [math.exp(scores[t][s]) / sum(math.exp(scores[t][r]) for r in range(S)) for s in range(S)]
    for t in range(T)
]


def library():
    return ops.scaled_dot_product_attention_forward(q[None, None], k[None, None], v[None, None])


@formula(
    "scaled-dot-product-attention-cross",
    r"a_{ts} = \frac{e^{q_t \cdot k_s / \sqrt{D}}}{\sum_{r=1}^{S} e^{q_t \cdot k_r / \sqrt{D}}},"
    r" \qquad o_t = \sum_{s=1}^{S} a_{ts} v_s",
)
def cross():
    o = [[sum(a[t][s] * v[s, i] for s in range(S)) for i in range(D)] for t in range(T)]
    probabilities = ops.attention_probabilities(q[None, None], k[None, None])
    literal = np.concatenate([np.ravel(a), np.ravel(o)])
    return literal, np.concatenate([probabilities.ravel(), library()[0].ravel()])


@formula(
    "scaled-dot-product-attention-cross-backward",
    r"\frac{\partial L}{\partial v_s} = \sum_{t=1}^{T} a_{ts}\, g_t, \qquad"
    r" \frac{\partial L}{\partial k_s} = \frac{1}{\sqrt{D}} \sum_{t=1}^{T} a_{ts}"
    r" \Big( g_t \cdot v_s - \sum_{r=1}^{S} a_{tr}\, g_t \cdot v_r \Big) q_t",
)
def cross_backward():
    of_v = [[sum(a[t][s] * g[t, i] for t in range(T)) for i in range(D)] for s in range(S)]
    of_k = [
        [
            sum(
                a[t][s]
                * (dot(g[t], v[s]) - sum(a[t][r] * dot(g[t], v[r]) for r in range(S)))
                * q[t, i]
                for t in range(T)
            )
            / math.sqrt(D)
            for i in range(D)
        ]
        for s in range(S)
    ]
    _, grad_k, grad_v = ops.scaled_dot_product_attention_backward(g[None, None], library()[1])
    return [of_v, of_k], [grad_v[0, 0], grad_k[0, 0]]


@formula(
    "bleu",
    r"\text{BLEU} = 100 \cdot \min\left(1, e^{1 - r/c}\right)"
    r" \cdot \Big( \prod_{n=1}^{4} p_n \Big)^{1/4}",
)
def corpus_bleu():
    right = ["the cat sat on the mat near the door", "a dog ran to the park"]
    literal, ours = [], []
    for said in (
        ["the cat sat on the the the mat near the door and the wall", "a dog ran to the park"],
        ["the cat sat on a mat", "a dog ran to the park"],
    ):
        p = []
        for n in range(1, 5):
            shared = total = 0
            for ours_now, reference in zip(said, right, strict=True):
                runs, allowed = (
                    [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
                    for words in (ours_now.split(), reference.split())
                )
                total += len(runs)
                for run in runs:  # a run of the reference can be used once
                    if run in allowed:
                        allowed.remove(run)
                        shared += 1
            p.append(shared / total)
        c, r = (sum(len(text.split()) for text in texts) for texts in (said, right))
        product = p[0] * p[1] * p[2] * p[3]
        literal.append(100 * min(1, math.exp(1 - r / c)) * product ** (1 / 4))
        ours.append(bleu(said, right, tokenize="none"))
    return literal, ours
