"""Optimisers, clipping and schedules, number by number."""

import math

import numpy as np

from minillm import Tensor, optim
from minillm.optim import schedule

from ..registry import formula

rng = np.random.default_rng(7)
start, gradients = rng.standard_normal(4), rng.standard_normal((5, 4))
LR, MU, BETA1, BETA2, EPS, DECAY = 0.3, 0.7, 0.8, 0.95, 0.05, 0.4


def ours(make):
    """The parameter and the state after the five gradients."""
    p = Tensor(start.copy(), requires_grad=True)
    optimiser = make([("p", p)])
    for g in gradients:
        p.grad = g.copy()
        optimiser.step()
    return p.data, optimiser.state["p"]


def moments(i):
    """The m and v of entry i after each step."""
    m, v, found = 0.0, 0.0, []
    for g in gradients[:, i]:
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g**2
        found.append((m, v))
    return found


def adam(decay):
    """Entry by entry, with m and v corrected; the decay acts on the weight alone."""
    result = []
    for i, p in enumerate(start):
        for t, (m, v) in enumerate(moments(i), start=1):
            m_hat, v_hat = m / (1 - BETA1**t), v / (1 - BETA2**t)
            p = (1 - LR * decay) * p - LR * m_hat / (math.sqrt(v_hat) + EPS)
        result.append(p)
    return result


@formula("sgd", r"p_t = p_{t-1} - \eta \, g_t")
def sgd():
    literal = [p - sum(LR * g for g in gradients[:, i]) for i, p in enumerate(start)]
    return literal, ours(lambda p: optim.SGD(p, LR))[0]


@formula("sgd-momentum", r"b_t = \mu \, b_{t-1} + g_t \qquad p_t = p_{t-1} - \eta \, b_t")
def momentum():
    literal = []
    for i, p in enumerate(start):
        b = 0.0
        for g in gradients[:, i]:
            b = MU * b + g
            p = p - LR * b
        literal.append(p)
    return literal, ours(lambda p: optim.SGD(p, LR, momentum=MU))[0]


@formula(
    "adam-moments",
    r"m_t = \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \qquad"
    r" v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2",
)
def adam_moments():
    _, state = ours(lambda p: optim.Adam(p, LR, (BETA1, BETA2), EPS))
    return [moments(i)[-1] for i in range(4)], np.stack([state["m"], state["v"]], axis=1)


@formula(
    "adam-moments-unrolled",
    r"m_t = (1 - \beta_1) \sum_{k=1}^{t} \beta_1^{\,t-k} g_k",
)
def adam_unrolled():
    t = len(gradients)
    literal = [
        (1 - BETA1) * sum(BETA1 ** (t - k) * gradients[k - 1][i] for k in range(1, t + 1))
        for i in range(4)
    ]
    return literal, ours(lambda p: optim.Adam(p, LR, (BETA1, BETA2), EPS))[1]["m"]


@formula(
    "adam-step",
    r"\hat m_t = \frac{m_t}{1 - \beta_1^t} \qquad \hat v_t = \frac{v_t}{1 - \beta_2^t} \qquad"
    r" p_t = p_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}",
)
def adam_step():
    return adam(0.0), ours(lambda p: optim.Adam(p, LR, (BETA1, BETA2), EPS))[0]


@formula(
    "adamw",
    r"p_t = (1 - \eta\, w)\, p_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}",
)
def adamw():
    return adam(DECAY), ours(lambda p: optim.AdamW(p, LR, (BETA1, BETA2), EPS, DECAY))[0]


@formula(
    "clip-grad-norm",
    r"g \leftarrow g \cdot \frac{c}{\lVert g \rVert + 10^{-6}}"
    r" \quad \text{if } \lVert g \rVert > c",
)
def clipping():
    parameters = [Tensor(np.zeros(4), requires_grad=True) for _ in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g.copy()
    norm = math.sqrt(sum(g**2 for g in gradients.ravel()))
    optim.clip_grad_norm_(parameters, norm / 3)
    literal = [g * (norm / 3) / (norm + 1e-6) for g in gradients.ravel()]
    return literal, np.concatenate([p.grad for p in parameters])


@formula(
    "schedule-cosine",
    r"\eta_s = \begin{cases} \eta\, \dfrac{s + 1}{W + 1} & s < W \\[1ex]"
    r" \eta_{\min} + (\eta - \eta_{\min})\, \dfrac{1 + \cos \pi u}{2} & s \ge W \end{cases}",
)
def cosine():
    W, T, low = 3, 11, 0.02
    plan = schedule.cosine(optim.SGD([Tensor(start, requires_grad=True)], LR), W, T, low)
    literal = []
    for s in range(T):
        u = (s - W) / (T - W)
        after = low + (LR - low) * (1 + math.cos(math.pi * u)) / 2
        literal.append(LR * (s + 1) / (W + 1) if s < W else after)
    return literal, [plan.rate(s, LR) for s in range(T)]
