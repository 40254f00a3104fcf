"""Sentence vectors and quantised weights, number by number."""

import math

import numpy as np

from minillm import no_grad
from minillm.models import BertConfig, BertModel
from minillm.models.gguf import dequantise_q4_1

from ..registry import formula


@formula(
    "sentence-embeddings",
    r"s_c = \frac{\sum_t m_t h_{tc}}{\sum_t m_t}, \qquad"
    r" e_c = \frac{s_c}{\sqrt{\sum_k s_k^2}}, \qquad"
    r" \cos(e, e') = \sum_c e_c e'_c",
)
def sentence_embeddings():
    sizes = {"hidden_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=11, intermediate_size=8, **sizes)
    model = BertModel(config, dtype=np.float64, rng=np.random.default_rng(24)).eval()
    ids, mask = [[1, 4, 2, 9], [1, 2, 7, 0]], [[1, 1, 1, 1], [1, 1, 1, 0]]
    with no_grad():
        h = model(ids, mask).last_hidden_state.numpy()
        ours = model.sentence_embeddings(ids, mask).numpy()
    literal = []
    for b in range(2):
        s = [sum(mask[b][t] * h[b, t, c] for t in range(4)) / sum(mask[b]) for c in range(6)]
        length = math.sqrt(sum(each * each for each in s))
        literal.append([each / length for each in s])
    cosine = sum(literal[0][c] * literal[1][c] for c in range(6))
    return [*literal[0], *literal[1], cosine], [*ours[0], *ours[1], ours[0] @ ours[1]]


@formula("dequantise-q4-1", r"w_i = d\, q_i + m")
def dequantise():
    d, m = 0.125, -0.75  # exact in float16
    q = np.random.default_rng(24).integers(0, 16, 32)
    nibbles = [int(q[i]) + 16 * int(q[i + 16]) for i in range(16)]
    head = np.array([d, m], dtype="<f2").tobytes()
    data = np.frombuffer(head + bytes(nibbles), dtype=np.uint8)
    return [d * int(each) + m for each in q], dequantise_q4_1(data[None])[0]
