"""Decoding: what is done to logits, the score of a beam, and what the cache saves."""

import itertools
import math

import numpy as np

from minillm import Tensor
from minillm import functional as F
from minillm.generation.beam_search import beam_search
from minillm.generation.sampling import process_logits, token_probabilities
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.models.counting import count_step

from ..registry import formula

rng = np.random.default_rng(15)
z, g, V = rng.standard_normal(7), rng.standard_normal(7), 7


def softmax(z, tau=1.0):
    return [math.exp(z[i] / tau) / sum(math.exp(z[j] / tau) for j in range(V)) for i in range(V)]


p = softmax(z)


@formula("softmax-temperature", r"p_i = \frac{e^{z_i / \tau}}{\sum_{j=1}^{V} e^{z_j / \tau}}")
def temperature():
    return softmax(z, tau=2.5), token_probabilities(z[None], temperature=2.5)[0]


@formula(
    "softmax-temperature-backward",
    r"\frac{\partial L}{\partial z_i} = \frac{1}{\tau}\, p_i \Big( g_i - \sum_j g_j p_j \Big)",
)
def temperature_backward():
    tau, logits = 2.5, Tensor(z, requires_grad=True)
    F.softmax(logits * (1 / tau)).backward(g)
    q = softmax(z, tau)
    literal = [1 / tau * q[i] * (g[i] - sum(g[j] * q[j] for j in range(V))) for i in range(V)]
    return literal, logits.grad


def renormalised(S):
    return [(i in S) * p[i] / sum(p[j] for j in S) for i in range(V)]


@formula(
    "process-logits-top-k",
    r"i \in S \iff \#\{j : p_j > p_i\} < k,"
    r" \qquad p'_i = \frac{[i \in S]\, p_i}{\sum_{j \in S} p_j}",
)
def top_k():
    k = 3
    S = [i for i in range(V) if len([j for j in range(V) if p[j] > p[i]]) < k]
    return renormalised(S), token_probabilities(z[None], top_k=k)[0]


@formula(
    "process-logits-top-p",
    r"i \in S \iff \sum_{j :\, p_j > p_i} p_j < P,"
    r" \qquad p'_i = \frac{[i \in S]\, p_i}{\sum_{j \in S} p_j}",
)
def top_p():
    literal, ours = [], []
    for P in (0.3, 0.6, 0.9):
        S = [i for i in range(V) if sum(p[j] for j in range(V) if p[j] > p[i]) < P]
        literal.append(renormalised(S))
        ours.append(token_probabilities(z[None], top_p=P)[0])
    return literal, ours


@formula(
    "process-logits-repetition",
    r"z'_i = \begin{cases} z_i / r & z_i > 0 \\ z_i\, r & z_i \le 0 \end{cases}",
)
def repetition():
    r, said = 1.7, [0, 2, 3, 5]
    assert {z[i] > 0 for i in said} == {True, False}
    literal = [(z[i] / r if z[i] > 0 else z[i] * r) if i in said else z[i] for i in range(V)]
    return literal, process_logits(z[None], [said], repetition_penalty=r)[0]


@formula(
    "beam-search-score",
    r"\text{score}(y) = \frac{1}{n^{\alpha}} \sum_{t=1}^{n}"
    r" \log p(y_t \mid \text{prefix}, y_1, \dots, y_{t-1})",
)
def beam_score():
    words, end, longest, alpha = 4, 3, 3, 0.7
    table = np.array([softmax(row) for row in rng.standard_normal((words, V))])[:, :words]
    table /= table.sum(axis=1, keepdims=True)  # p(next | last)

    def step(tokens=None, rows=None):
        return np.log(table)[[0] if tokens is None else tokens]

    scores = []
    for n in range(1, longest + 1):
        for y in itertools.product(range(words), repeat=n):
            if end in y[:-1] or (n < longest and y[-1] != end):
                continue  # goes on after the end, or stops without it
            last = (0, *y)
            total = sum(math.log(table[last[t], last[t + 1]]) for t in range(n))
            scores.append(total / n**alpha)
    # so many beams that nothing is lost
    K = len(scores)
    found = beam_search(
        step, np.array([[0]]), num_beams=K, max_length=1 + longest, eos_token_ids=[end],
        length_penalty=alpha, early_stopping="never",
    )  # fmt: skip
    return sorted(scores, reverse=True), found.scores[0]


@formula(
    "kv-cache-flop",
    r"\underbrace{\sum_{t=1}^{n} \left( 24 L C^2\, t + 4 L C\, t^2 + 2VC \right)}"
    r"_{\text{everything anew}} \qquad"
    r" \underbrace{\sum_{t=1}^{n} \left( 24 L C^2 + 4 L C\, t + 2VC \right)}_{\text{with the cache}}",
)
def cache():
    C, L, n = 6, 2, 5
    config = GPT2Config(vocab_size=V, n_positions=9, n_embd=C, n_layer=L, n_head=3)
    model = GPT2LMHeadModel(config, rng=rng)
    anew = sum(24 * L * C**2 * t + 4 * L * C * t**2 + 2 * V * C for t in range(1, n + 1))
    cached = sum(24 * L * C**2 + 4 * L * C * t + 2 * V * C for t in range(1, n + 1))
    counted = [
        count_step(
            lambda use=use: model.generate([[1]], max_new_tokens=n, use_cache=use), model
        ).forward_flop
        for use in (False, True)
    ]
    return [anew, cached], counted
