"""The models once more, literally, in the array functions of another library.

`L` is the language of the peer: a subclass of `Language`, which says what an exponential is.  All
rows of a batch lie below each other in matrices of two axes, because that is what BLAS is fastest at.
"""

import math

import numpy as np
from bench_weights import hidden_future, sines


class Language:
    """Formulas in the words of a library whose functions are named as NumPy's: `self.np`."""

    np = np
    number = float  # of a constant; where a library takes Python's numbers for float64, np.float32

    def erf(self, x):
        """No NumPy has one."""
        raise NotImplementedError

    def highest(self, x):
        """The largest entry of each row, as a constant: softmax does not depend on it."""
        return self.np.max(x, axis=-1, keepdims=True)

    def take(self, table, ids):
        """Rows of the table."""
        return table[ids]

    def transpose(self, x, axes):
        """The axes in another order."""
        return self.np.transpose(x, axes)

    def softmax(self, x):
        """Along the last axis."""
        e = self.np.exp(x - self.highest(x))
        return e / self.np.sum(e, axis=-1, keepdims=True)

    def layer_norm(self, x, gamma, beta=None, eps=1e-5):
        """Along the last axis."""
        centred = x - self.np.mean(x, axis=-1, keepdims=True)
        variance = self.np.mean(centred * centred, axis=-1, keepdims=True)
        out = centred / self.np.sqrt(variance + self.number(eps)) * gamma
        return out if beta is None else out + beta

    def gelu(self, x):
        """The exact one."""
        half, one, root = map(self.number, (0.5, 1.0, 1 / math.sqrt(2)))
        return half * x * (one + self.erf(x * root))

    def relu(self, x):
        """0 where x is negative."""
        return self.np.maximum(x, self.number(0.0))

    def tanh(self, x):
        """Hyperbolic tangent."""
        return self.np.tanh(x)

    def sigmoid(self, x):
        """1 / (1 + exp(-x)) without overflow."""
        half, one = self.number(0.5), self.number(1.0)
        return half * (one + self.np.tanh(half * x))

    def cross_entropy(self, logits, targets):
        """The mean over rows."""
        z = logits - self.highest(logits)
        picked = z[np.arange(len(targets)), targets]
        return self.np.mean(self.np.log(self.np.sum(self.np.exp(z), axis=-1)) - picked)

    def binary_cross_entropy(self, x, y):
        """log(1 + exp(x)) - x y, the mean; x stays small here."""
        return self.np.mean(self.np.log(self.number(1.0) + self.np.exp(x)) - x * y)

    def lstm_states(self, ids, p):
        """The last state h of an LSTM that reads ids (B, T)."""
        H = p["weight_h"].shape[0]
        h = c = np.zeros((ids.shape[0], H), np.float32)
        for t in range(ids.shape[1]):
            a = self.take(p["embedding"], ids[:, t]) @ p["weight_x"] + h @ p["weight_h"] + p["bias"]
            i, f, o = (self.sigmoid(a[:, k * H : (k + 1) * H]) for k in (0, 1, 3))
            c = f * c + i * self.tanh(a[:, 2 * H : 3 * H])
            h = o * self.tanh(c)
        return h


def attention(L, q, k, v, s, hidden=None):
    """Multi-head attention of rows (N, C): softmax(q k^T / sqrt(D) + hidden) v."""
    B, T, H = s["batch"], s["context"], s["heads"]
    D = s["width"] // H
    q, k, v = (L.transpose(z.reshape((B, T, H, D)), (0, 2, 1, 3)) for z in (q, k, v))
    scores = (q @ L.transpose(k, (0, 1, 3, 2))) * L.number(1 / math.sqrt(D))  # (B, H, T, T)
    p = L.softmax(scores if hidden is None else scores + hidden)
    return L.transpose(p @ v, (0, 2, 1, 3)).reshape((B * T, H * D))


def gpt_loss(L, p, x, y, s, constants):
    """GPT-2 without biases: pre-norm, GELU, output tied to the embedding."""
    C = s["width"]
    h = (L.take(p["wte"], x) + p["wpe"]).reshape((s["batch"] * s["context"], C))
    for i in range(s["layers"]):
        qkv = L.layer_norm(h, p[f"{i}.ln_1"]) @ p[f"{i}.c_attn"]
        parts = (qkv[:, k * C : (k + 1) * C] for k in range(3))
        h = h + attention(L, *parts, s, constants["future"]) @ p[f"{i}.c_proj"]
        inner = L.gelu(L.layer_norm(h, p[f"{i}.ln_2"]) @ p[f"{i}.c_fc"])
        h = h + inner @ p[f"{i}.mlp_proj"]
    logits = L.layer_norm(h, p["ln_f"]) @ L.transpose(p["wte"], (1, 0))
    return L.cross_entropy(logits, y.reshape((-1,)))


def lstm_loss(L, p, x, y, s, constants):
    """Embedding, LSTM, one logit from the last state."""
    logits = L.lstm_states(x, p) @ p["output"] + p["output_bias"]
    return L.binary_cross_entropy(logits.reshape((s["batch"],)), y)


def encoder_layers(L, p, h, s, activation, hidden=None):
    """Attention and feed-forward, each added to its input and normalized after that."""
    linear = lambda x, name: x @ p[name] + p[f"{name}.bias"]  # noqa: E731
    norm = lambda x, name: L.layer_norm(x, p[name], p[f"{name}.bias"], s["eps"])  # noqa: E731
    for i in range(s["layers"]):
        parts = (linear(h, f"{i}.{name}") for name in ("query", "key", "value"))
        h = norm(h + linear(attention(L, *parts, s, hidden), f"{i}.output"), f"{i}.norm1")
        inner = activation(linear(h, f"{i}.linear1"))
        h = norm(h + linear(inner, f"{i}.linear2"), f"{i}.norm2")
    return h


def encoder_loss(L, p, x, y, s, constants):
    """A Transformer encoder that sees no later word, as a language model."""
    C = s["width"]
    h = L.take(p["embedding"], x) * L.number(math.sqrt(C)) + constants["sines"]
    h = h.reshape((s["batch"] * s["context"], C))
    h = encoder_layers(L, p, h, s, L.relu, constants["future"])
    return L.cross_entropy(h @ p["head"] + p["head.bias"], y.reshape((-1,)))


def bert_logits(L, p, x, s, constants):
    """BERT without padding and with one segment: two classes from the pooled first token."""
    B, T, C = s["batch"], s["context"], s["width"]
    h = L.take(p["words"], x) + p["places"][:T] + p["types"][0]
    h = L.layer_norm(h.reshape((B * T, C)), p["norm"], p["norm.bias"], s["eps"])
    h = encoder_layers(L, p, h, s, L.gelu)
    first = h.reshape((B, T, C))[:, 0]
    pooled = L.tanh(first @ p["pooler"] + p["pooler.bias"])
    return pooled @ p["classifier"] + p["classifier.bias"]


def bert_loss(L, p, x, y, s, constants):
    """Cross-entropy of the two classes."""
    return L.cross_entropy(bert_logits(L, p, x, s, constants), y)


LOSSES = {"gpt": gpt_loss, "gpt6": gpt_loss, "lstm": lstm_loss, "encoder": encoder_loss,
          "bert": bert_loss}  # fmt: skip


def constant_arrays(s):
    """What is no weight: the hidden future, and the table of positions."""
    T = s["context"]
    return {"future": hidden_future(T), "sines": sines(T, s["width"] + s["width"] % 2)}


def decay_of(s, ndim):
    """The weight decay of one parameter: matrices only, unless the workload says otherwise."""
    return s["decay"] if ndim >= 2 or s["decay_vectors"] else 0.0


class NumpyAdam:
    """AdamW with clipping (Loshchilov and Hutter 2019, algorithm 2), in place on NumPy arrays."""

    def __init__(self, weights, s):
        self.s, self.t = s, 0
        self.m = {name: np.zeros_like(p) for name, p in weights.items()}
        self.v = {name: np.zeros_like(p) for name, p in weights.items()}

    def step(self, weights, grads):
        """Move every weight against its gradient."""
        s, (b1, b2) = self.s, self.s["betas"]
        self.t += 1
        scale = 1.0
        if s["clip"]:
            norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads.values()))
            scale = min(1.0, s["clip"] / (norm + 1e-6))
        rate = s["lr"] / (1 - b1**self.t)
        for name, p in weights.items():
            g, m, v = grads[name] * np.float32(scale), self.m[name], self.v[name]
            p *= 1 - s["lr"] * decay_of(s, p.ndim)
            m *= b1
            m += (1 - b1) * g
            v *= b2
            v += (1 - b2) * (g * g)
            p -= rate * m / (np.sqrt(v / (1 - b2**self.t)) + 1e-8)
