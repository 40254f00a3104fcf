"""GPT: loss, tied gradient, initial weights, counts and the floor, sum by sum."""

import math

import numpy as np

from minillm import Tensor
from minillm import functional as F
from minillm.data import ToyWorld
from minillm.models import GPT2Config, GPT2LMHeadModel, model_cost

from ..registry import formula

SIZES = {"vocab_size": 11, "n_positions": 7, "n_embd": 6, "n_layer": 2, "n_head": 3}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
CONFIG = GPT2Config(**SIZES, **NO_DROPOUT, initializer_range=0.5)
rng = np.random.default_rng(14)


@formula(
    "cross-entropy-next-token",
    r"L = \frac{1}{N} \sum_{t=1}^{T-1} \left( \log \sum_{v=1}^{V} e^{z_{t,v}}"
    r" - z_{t,\,s_{t+1}} \right)",
)
def next_token_loss():
    s, V = [3, 7, 7, 0, 10], 11
    output = GPT2LMHeadModel(CONFIG, dtype=np.float64, rng=rng)(np.array([s]), labels=np.array([s]))
    z = output.logits.numpy()[0].tolist()
    terms = [
        math.log(sum(math.exp(z[t][v]) for v in range(V))) - z[t][s[t + 1]]
        for t in range(len(s) - 1)
    ]
    return sum(terms) / len(terms), output.loss.item()


@formula(
    "embedding-tied-backward",
    r"\frac{\partial L}{\partial W_{vc}} = \sum_t [s_t = v]\, \frac{\partial L}{\partial x_{tc}}"
    r" + \sum_t \frac{\partial L}{\partial z_{tv}}\, h_{tc}",
)
def tied():
    s, V, C = [2, 0, 2, 4], 5, 3
    W = Tensor(rng.standard_normal((V, C)), requires_grad=True)
    g = rng.standard_normal((len(s), V))
    h = F.tanh(F.embedding(np.array(s), W))
    F.linear(h, W.T).backward(g)
    h, W_values = h.numpy(), W.numpy()
    # the gradient of x, by the chain rule: through the output layer, then through tanh
    grad_x = [
        [sum(g[t, v] * W_values[v, c] for v in range(V)) * (1 - h[t, c] ** 2) for c in range(C)]
        for t in range(len(s))
    ]
    literal = [
        [
            sum((s[t] == v) * grad_x[t][c] for t in range(len(s)))
            + sum(g[t, v] * h[t, c] for t in range(len(s)))
            for c in range(C)
        ]
        for v in range(V)
    ]
    return literal, W.grad


@formula("gpt2-residual-initialisation", r"\sigma_{\text{proj}} = \frac{\sigma}{\sqrt{2L}}")
def initial_weights():
    sigma, L = 0.5, 2
    model = GPT2LMHeadModel(GPT2Config(**SIZES, initializer_range=sigma), dtype=np.float64, rng=rng)
    model.initialize(np.random.default_rng(3))
    drawn, literal, ours = np.random.default_rng(3), [], []
    for name, p in model.named_parameters():
        if p.ndim == 2:
            spread = sigma / math.sqrt(2 * L) if "c_proj" in name else sigma
            literal += [spread * z for z in drawn.standard_normal(p.shape).ravel().tolist()]
            ours += p.data.ravel().tolist()
    return literal, ours


@formula("gpt2-parameters", r"\text{parameters} = VC + PC + L\,(12 C^2 + 13 C) + 2C")
def parameters():
    V, P, C, L = 11, 7, 6, 2
    literal = V * C + P * C + L * (12 * C**2 + 13 * C) + 2 * C
    return literal, GPT2LMHeadModel(CONFIG, rng=rng).num_parameters()


@formula("gpt2-flop", r"\text{FLOP} = 2BT\,(12 L C^2 + VC) + 4 B L T^2 C")
def flop():
    V, C, L, B, T = 11, 6, 2, 3, 5
    literal = 2 * B * T * (12 * L * C**2 + V * C) + 4 * B * L * T**2 * C
    return literal, model_cost(CONFIG, batch_size=B, length=T).forward_flop


@formula(
    "toy-world-floor",
    r"\text{floor} = \frac{H}{\mathbb{E}[n + 1]},"
    r" \qquad H = -\sum_{\text{stories } y} p(y) \log p(y)",
)
def floor():
    world = ToyWorld(choices={"": 1, "plot": 6, "hero": 2, "object": 3})
    stories = [(math.exp(s.log_probability), s) for s in world.derivations()]
    H = -sum(p * math.log(p) for p, _ in stories)
    literal = [
        H / sum(p * (len(story.tokens[language]) + 1) for p, story in stories)
        for language in ("english", "chinese")
    ]
    return literal, [world.floor("english"), world.floor("chinese")]
