"""BERT: the sum of embeddings, the loss of its two tasks, and the gradient of masked words."""

import math

import numpy as np

from minillm import ops
from minillm.models import BertConfig, BertForPreTraining

from ..registry import formula

rng = np.random.default_rng(17)
CONFIG = BertConfig(
    vocab_size=11, hidden_size=6, num_hidden_layers=1, num_attention_heads=3, intermediate_size=7,
    max_position_embeddings=8, initializer_range=0.5, hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0, layer_norm_eps=0.3,
)  # fmt: skip
MODEL = BertForPreTraining(CONFIG, dtype=np.float64, rng=rng)
s, c = [2, 7, 3, 7, 9], [0, 0, 0, 1, 1]


def softmax(z):
    return [math.exp(x) / sum(math.exp(y) for y in z) for x in z]


@formula("bert-embeddings", r"x_t = \text{LayerNorm}\left( W_{s_t} + P_t + G_{c_t} \right)")
def embeddings():
    layer, C = MODEL.bert.embeddings, 6
    layer.LayerNorm.weight.data[...] = rng.standard_normal(C)
    layer.LayerNorm.bias.data[...] = rng.standard_normal(C)
    W, P, G = (
        table.weight.data
        for table in (
            layer.word_embeddings,
            layer.position_embeddings,
            layer.token_type_embeddings,
        )
    )
    literal = []
    for t in range(len(s)):
        row = [W[s[t], i] + P[t, i] + G[c[t], i] for i in range(C)]
        mean = sum(row) / C
        spread = math.sqrt(sum((x - mean) ** 2 for x in row) / C + 0.3)
        gamma, beta = layer.LayerNorm.weight.data, layer.LayerNorm.bias.data
        literal.append([gamma[i] * (row[i] - mean) / spread + beta[i] for i in range(C)])
    return literal, layer(np.array([s]), np.array([c])).numpy()[0]


@formula(
    "bert-pretraining-loss",
    r"L = -\frac{1}{\lvert M \rvert} \sum_{t \in M}"
    r" \log \frac{e^{z_{t, s_t}}}{\sum_v e^{z_{t,v}}}"
    r" \;-\; \log \frac{e^{u_y}}{e^{u_0} + e^{u_1}}",
)
def pretraining_loss():
    M, y = [1, 4], 1
    labels = [[s[t] if t in M else -100 for t in range(len(s))]]
    output = MODEL(
        np.array([s]), token_type_ids=np.array([c]), labels=np.array(labels),
        next_sentence_label=np.array([y]),
    )  # fmt: skip
    z, u = output.logits.numpy()[0].tolist(), output.seq_relationship_logits.numpy()[0].tolist()
    words = -sum(math.log(softmax(z[t])[s[t]]) for t in M) / len(M)
    return words - math.log(softmax(u)[y]), output.loss.item()


@formula(
    "cross-entropy-masked-backward",
    r"\frac{\partial L}{\partial z_{t,v}} = \frac{[t \in M]}{\lvert M \rvert}"
    r" \left( p_{t,v} - [v = s_t] \right)",
)
def masked_backward():
    V, M, z = 5, [0, 3, 4], rng.standard_normal((6, 5))
    ids = [3, 0, 2, 0, 4, 1]
    labels = np.array([ids[t] if t in M else -100 for t in range(6)])
    literal = [
        [(t in M) / len(M) * (softmax(z[t])[v] - (v == ids[t])) for v in range(V)] for t in range(6)
    ]
    saved = ops.cross_entropy_forward(z, labels)[1]
    return literal, ops.cross_entropy_backward(np.array(1.0), saved)[0]
