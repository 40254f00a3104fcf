"""The weights and the batch that every peer starts from, so that all of them have the same losses.

Each function gives (weights, x, y): a dictionary of float32 arrays, where a matrix is (in, out), and
the ids and targets of the one batch that every step learns.
"""

import math

import numpy as np


def draw(rng, *shape, std=0.02):
    """Normal numbers in float32."""
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(std)


def gpt(s, seed=0):
    """GPT-2 without biases, output tied to the embedding."""
    rng = np.random.default_rng(seed)
    C, L = s["width"], s["layers"]
    weights = {"wte": draw(rng, s["vocab"], C), "wpe": draw(rng, s["context"], C)}
    for i in range(L):
        weights |= {
            f"{i}.ln_1": np.ones(C, np.float32),
            f"{i}.c_attn": draw(rng, C, 3 * C),
            f"{i}.c_proj": draw(rng, C, C, std=0.02 / math.sqrt(2 * L)),
            f"{i}.ln_2": np.ones(C, np.float32),
            f"{i}.c_fc": draw(rng, C, 4 * C),
            f"{i}.mlp_proj": draw(rng, 4 * C, C, std=0.02 / math.sqrt(2 * L)),
        }
    weights["ln_f"] = np.ones(C, np.float32)
    return weights, *rng.integers(0, s["vocab"], (2, s["batch"], s["context"]))


def lstm(s, seed=0):
    """Embedding, LSTM with gates i, f, g, o, and one logit from the last state."""
    rng = np.random.default_rng(seed)
    C, H = s["width"], s["hidden"]
    weights = {
        "embedding": draw(rng, s["vocab"], C, std=0.1),
        "weight_x": draw(rng, C, 4 * H, std=1 / math.sqrt(C)),
        "weight_h": draw(rng, H, 4 * H, std=1 / math.sqrt(H)),
        "bias": np.repeat(np.array([0, 1, 0, 0], np.float32), H),
        "output": draw(rng, H, 1, std=1 / math.sqrt(H)),
        "output_bias": np.zeros(1, np.float32),
    }
    x = rng.integers(0, s["vocab"], (s["batch"], s["context"]))
    return weights, x, (rng.random(s["batch"]) < 0.5).astype(np.float32)


def layers(rng, s):
    """The weights of a stack of encoder layers, each followed by its norms."""
    C, F, weights = s["width"], s["inner"], {}
    shapes = {"query": (C, C), "key": (C, C), "value": (C, C), "output": (C, C)}
    shapes |= {"linear1": (C, F), "linear2": (F, C)}
    for i in range(s["layers"]):
        for name, shape in shapes.items():
            weights[f"{i}.{name}"] = draw(rng, *shape, std=1 / math.sqrt(shape[0]))
            weights[f"{i}.{name}.bias"] = np.zeros(shape[1], np.float32)
        for name in ("norm1", "norm2"):
            weights[f"{i}.{name}"] = np.ones(C, np.float32)
            weights[f"{i}.{name}.bias"] = np.zeros(C, np.float32)
    return weights


def encoder(s, seed=0):
    """Embedding, a stack of encoder layers, logits of every word."""
    rng = np.random.default_rng(seed)
    weights = {"embedding": draw(rng, s["vocab"], s["width"], std=0.1), **layers(rng, s)}
    weights["head"] = draw(rng, s["width"], s["vocab"])
    weights["head.bias"] = np.zeros(s["vocab"], np.float32)
    return weights, *rng.integers(0, s["vocab"], (2, s["batch"], s["context"]))


def bert(s, seed=0):
    """Three embeddings and their norm, a stack of encoder layers, the pooled first token, classes."""
    rng = np.random.default_rng(seed)
    C = s["width"]
    weights = {
        "words": draw(rng, s["vocab"], C), "places": draw(rng, s["positions"], C),
        "types": draw(rng, 2, C), "norm": np.ones(C, np.float32),
        "norm.bias": np.zeros(C, np.float32), **layers(rng, s),
        "pooler": draw(rng, C, C), "pooler.bias": np.zeros(C, np.float32),
        "classifier": draw(rng, C, s["classes"]),
        "classifier.bias": np.zeros(s["classes"], np.float32),
    }  # fmt: skip
    x = rng.integers(0, s["vocab"], (s["batch"], s["context"]))
    return weights, x, rng.integers(0, s["classes"], s["batch"])


def sines(length, width):
    """The fixed table of positions: sines in even columns, cosines in odd ones."""
    angle = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(length, width).astype(np.float32)


def hidden_future(length):
    """What is added to scores so that no query sees a later key."""
    return np.triu(np.full((length, length), -1e9, np.float32), 1)
