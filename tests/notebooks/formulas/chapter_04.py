"""Probabilities of texts, counted and summed one by one."""

import math

import numpy as np

from minillm import ops
from minillm.data import ToyWorld
from minillm.tasks.ideal import prefix_log_probability
from minillm.tasks.ngrams import NGram
from minillm.training.metrics import bits_per_byte, perplexity

from ..registry import formula

rng = np.random.default_rng(4)
T, V = 7, 5
logits, tokens = rng.standard_normal((T, V)), [3, 0, 4, 4, 1, 2, 0]
rows = [[0, 3, 1, 3, 2], [0, 3, 1, 1, 3], [0, 1, 3, 1, 4], [0, 3, 3, 1]]


@formula(
    "chain-rule-of-probability",
    r"\log p(w_1 \dots w_T) = \sum_{t=1}^{T} \log p(w_t \mid w_1 \dots w_{t-1})",
)
def chain_rule():
    world = ToyWorld(choices={"": 2})
    story = world.stories(1, seed=3)[0]
    words = story.tokens["english"]
    reached = [
        math.exp(prefix_log_probability(world, words[:t], "english")) for t in range(len(words) + 1)
    ]
    literal = sum(math.log(reached[t + 1] / reached[t]) for t in range(len(words)))
    return literal, story.log_probability


@formula(
    "cross-entropy-of-a-text",
    r"L = -\frac{1}{T} \sum_{t=1}^{T} \log q(w_t \mid w_1 \dots w_{t-1})",
)
def cross_entropy():
    def q(t):
        return math.exp(logits[t][tokens[t]]) / sum(math.exp(x) for x in logits[t])

    literal = -sum(math.log(q(t)) for t in range(T)) / T
    return literal, ops.cross_entropy_forward(logits, np.array(tokens))[0]


@formula("perplexity", r"\text{perplexity} = e^L")
def perplexity_of_a_loss():
    return [math.e**loss for loss in (0.0, 0.7, 3.1)], [perplexity(x) for x in (0.0, 0.7, 3.1)]


@formula("bits-per-byte", r"\text{bits per byte} = \frac{L}{\log 2} \cdot \frac{T}{B}")
def bits():
    return 1.7 / math.log(2) * 11 / 53, bits_per_byte(1.7, tokens=11, num_bytes=53)


@formula("entropy", r"H = -\sum_{x} p(x) \log p(x)")
def entropy():
    world = ToyWorld(choices={"": 1, "plot": 4, "hero": 3})
    p = [math.exp(story.log_probability) for story in world.derivations()]
    return -sum(each * math.log(each) for each in p), world.entropy


def count(h, w=None):
    """How often the ids h came, followed by w, or by anything; the first id of a row is given."""
    return sum(
        tuple(row[at - len(h) : at]) == h and (w is None or row[at] == w)
        for row in rows
        for at in range(max(1, len(h)), len(row))
    )


def witten_bell(w, h):
    """(6), by recursion; a context that never came has nothing to say."""
    shorter = witten_bell(w, h[1:]) if h else 1 / V
    t = sum(count(h, other) > 0 for other in range(V))
    if t == 0:
        return shorter
    return (count(h, w) + t * shorter) / (count(h) + t)


@formula(
    "ngram-witten-bell",
    r"q(w \mid h) = \frac{c(h\,w) + t(h)\, q(w \mid h')}{c(h) + t(h)}",
)
def interpolated():
    model = NGram(3, V).fit(rows)
    contexts = [(3, 1), (0, 3), (1, 3), (4, 2)]
    literal = [[witten_bell(w, h) for w in range(V)] for h in contexts]
    ours = [[model.probability(w, h) for w in range(V)] for h in contexts]
    assert np.allclose(ours, [model.distribution(h) for h in contexts])
    return literal, ours
