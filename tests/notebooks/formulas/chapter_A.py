"""What a model costs, counted multiplication by multiplication."""

import numpy as np

import minillm.functional as F
from minillm import Tensor, nn
from minillm.cluster import Link
from minillm.models import GPT2Config, model_cost
from minillm.training.gradients import BatchGradient

from ..registry import formula

config = GPT2Config(vocab_size=13, n_positions=7, n_embd=6, n_layer=1, n_head=2)
cost = model_cost(config, batch_size=3, length=5)


def counted(m, k, n):
    """The multiplications and additions of a product, one by one."""
    flop = 0
    for _ in range(m):
        for _ in range(n):
            for _ in range(k):
                flop += 2
    return flop


@formula("matmul-cost", r"\text{FLOP}(a\,b) = 2\, m\, n\, k")
def matmul():
    tokens = 3 * 5
    literal = [counted(tokens, 6, 6), counted(tokens, 6, 13)]
    return literal, [cost.part("attention output").flop, cost.part("LM head").flop]


@formula("training-cost", r"\text{FLOP} \approx 6\, P\, D")
def training():
    return sum(6 for _ in range(cost.parameters) for _ in range(3 * 5)), cost.rule_flop


@formula("parameter-memory", r"\text{bytes} = 4 \cdot 4\, P")
def memory():
    copies = sum(4 for _ in ("value", "gradient", "m", "v"))
    return copies * cost.parameters, 2 * cost.parameter_bytes + cost.adam_bytes


@formula(
    "data-parallel",
    r"L = \frac{1}{n} \sum_{i} \ell_i = \sum_{k} \frac{n_k}{n}\, L_k, \qquad "
    r"\frac{\partial L}{\partial w} = \sum_{k} \frac{n_k}{n}\, \frac{\partial L_k}{\partial w}",
)
def data_parallel():
    rng = np.random.default_rng(0)
    x, y, weight = (
        rng.standard_normal((5, 3)),
        np.array([1, 0, 3, -100, 2]),
        rng.standard_normal((3, 4)),
    )
    model = nn.Linear(3, 4, bias=False, dtype="float64")
    model.weight.data[...] = weight
    with BatchGradient(model, F.cross_entropy, workers=2) as gradient:
        mean, *_ = gradient.add((x, y))
        gradient.finish()
    each, grads = [], []
    for row, target in zip(x, y, strict=True):
        if target != -100:
            w = Tensor(weight, requires_grad=True)
            loss = F.cross_entropy(F.linear(Tensor(row[None]), w), np.array([target]))
            loss.backward()
            each.append(loss.item())
            grads.append(w.grad)
    return [sum(each) / 4, *(sum(grads) / 4).ravel()], [mean, *model.weight.grad.ravel()]


@formula("all-reduce", r"t = 2 (K - 1) \left( \alpha + \frac{M}{K\, \beta} \right)")
def all_reduce():
    K, alpha, beta, size = 7, 3e-5, 2e9, 5e6
    seconds = sum(alpha + size / K / beta for _ in range(2) for _ in range(K - 1))
    return seconds, Link(alpha, beta).seconds(K, size)
