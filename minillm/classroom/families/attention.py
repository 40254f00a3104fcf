"""Softmax with a sink, attention by distance, and a cosine layer: forward only."""

import numpy as np

from .base import Array, Family


def sink_softmax(x, bias, *, TAU, SINK):
    """p = exp(z) / (SINK + sum exp(z)), z = (x + bias) / TAU, without overflow."""
    z = (x + bias) / TAU
    top = np.maximum(z.max(axis=-1, keepdims=True), 0)
    e = np.exp(z - top)
    return e / (SINK * np.exp(-top) + e.sum(axis=-1, keepdims=True))


SINK_SOFTMAX = Family(
    name="sink_softmax",
    title="Tempered softmax with a sink",
    points=10,
    choices={"TAU": (0.6, 0.7, 0.8, 1.3, 1.7, 2.2, 2.6), "SINK": (0.3, 0.5, 1.0, 1.5, 2.0, 3.0)},
    arrays=(
        Array("x", (2, 3, 5), "the logits"),
        Array("bias", (5,), "one number for each class, shared by all rows"),
    ),
    formula=r"""
$$z_i = \frac{x_i + b_i}{<TAU>} \qquad
p_i = \frac{e^{z_i}}{<SINK> + \sum_{j=1}^{C} e^{z_j}}$$

along the last axis; $b$ is `bias`.
""",
    why="""
The constant in the denominator is a *sink*: probability may drain into it, so a row sums to less
than 1 and attention may attend to nothing. A shift of all logits now does change the result. Which
well-known property of the gradient of a softmax is lost, and which term of its formula is not?
Logits of ±10,000 in float32 must give no NaN.
""",
    shapes="x (..., C); bias (C,) -> out (..., C)",
    forward=sink_softmax,
    edge=lambda: (
        np.array([[1e4, 0, -1e4, 3, 1], [-1e4, -1e4, -1e4, 0, -9e3]], dtype=np.float32),
        np.zeros(5, dtype=np.float32),
    ),
)


def distance_attention(q, k, v, *, GAMMA, ROOT_EPS):
    """Softmax over -GAMMA * sqrt(|q - k|^2 + ROOT_EPS), then the weighted mean of v."""
    difference = q[:, :, None, :] - k[:, None, :, :]
    s = -GAMMA * np.sqrt((difference * difference).sum(axis=-1) + ROOT_EPS)
    p = np.exp(s - s.max(axis=-1, keepdims=True))
    return (p / p.sum(axis=-1, keepdims=True)) @ v


DISTANCE_ATTENTION = Family(
    name="distance_attention",
    title="Attention by distance",
    points=16,
    choices={"GAMMA": (0.5, 0.7, 0.9, 1.3, 1.6, 2.1), "ROOT_EPS": (0.05, 0.1, 0.2, 0.3, 0.5)},
    arrays=(
        Array("q", (2, 3, 5), "queries"),
        Array("k", (2, 7, 5), "keys"),
        Array("v", (2, 7, 4), "values"),
    ),
    formula=r"""
$$s_{ts} = -<GAMMA>\,\sqrt{\lVert q_t - k_s\rVert^2 + <ROOT_EPS>} \qquad
p_{ts} = \frac{e^{s_{ts}}}{\sum_{u} e^{s_{tu}}} \qquad
o_t = \sum_s p_{ts}\, v_s$$

for each entry of the batch.
""",
    why="""
Keys that are *near* a query count, not keys that point in its direction; long keys no longer win.
What reaches $q_t$ and $k_s$ from one pair is the same vector with opposite signs: can you see why
before you differentiate? The root needs its constant: think of a key that equals a query.
""",
    shapes="q (B, T, D); k (B, S, D); v (B, S, E) -> out (B, T, E)",
    forward=distance_attention,
    edge=lambda: (
        np.full((1, 2, 5), 1e4, dtype=np.float32),
        np.array([[[5e3] * 5, [-1e4] * 5, [0] * 5]], dtype=np.float32),
        np.arange(6, dtype=np.float32).reshape(1, 3, 2),
    ),
)


def cosine_layer(x, weight, *, ALPHA, CUBIC, LENGTH_EPS):
    """ALPHA * c + CUBIC * c^3, c = <x, w> / sqrt((|x|^2 + LENGTH_EPS)(|w|^2 + LENGTH_EPS))."""
    x_length = np.sqrt((x * x).sum(axis=-1, keepdims=True) + LENGTH_EPS)
    w_length = np.sqrt((weight * weight).sum(axis=0) + LENGTH_EPS)
    c = (x @ weight) / (x_length * w_length)
    return ALPHA * c + CUBIC * c * c * c


COSINE_LAYER = Family(
    name="cosine_layer",
    title="A linear layer of cosines",
    points=12,
    choices={
        "ALPHA": (2.0, 3.0, 4.0, 5.0, 7.0),
        "CUBIC": (-1.5, -0.8, 0.6, 1.2, 2.5),
        "LENGTH_EPS": (0.05, 0.1, 0.2, 0.3),
    },
    arrays=(
        Array("x", (2, 3, 5), "rows of C features"),
        Array("weight", (5, 7), "one column for each output"),
    ),
    formula=r"""
$$c_{nj} = \frac{\sum_i x_{ni} W_{ij}}
{\sqrt{\sum_i x_{ni}^2 + <LENGTH_EPS>}\;\sqrt{\sum_i W_{ij}^2 + <LENGTH_EPS>}} \qquad
y_{nj} = <ALPHA>\, c_{nj} + (<CUBIC>)\, c_{nj}^3$$
""",
    why="""
A linear layer that sees only directions, as in face recognition and in the query-key norm of large
Transformers. Every input occurs twice, above and below the fraction: two branches whose gradients
add up. Without the small constants the gradient would stand at a right angle to its input.
""",
    shapes="x (..., C); weight (C, F) -> out (..., F)",
    forward=cosine_layer,
)
