"""A norm by mean absolute deviation, a gated unit, and a rotation that also stretches: forward only."""

import numpy as np

from .base import Array, Family


def _sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2


def deviation_norm(x, gamma, beta, *, SPREAD_EPS, SHIFT):
    """gamma * (x - mean) / (mean |x - mean| + SPREAD_EPS) + beta, with SHIFT of the mean taken off."""
    centred = x - SHIFT * x.mean(axis=-1, keepdims=True)
    deviation = np.abs(centred).mean(axis=-1, keepdims=True)
    return gamma * centred / (deviation + SPREAD_EPS) + beta


DEVIATION_NORM = Family(
    name="deviation_norm",
    title="Layer norm by mean absolute deviation",
    points=12,
    choices={"SPREAD_EPS": (0.1, 0.2, 0.3, 0.5, 0.7), "SHIFT": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)},
    arrays=(
        Array("x", (2, 3, 7), "rows of C features"),
        Array("gamma", (7,), "the scale of each feature", uniform=(0.5, 2.0)),
        Array("beta", (7,), "the offset of each feature"),
    ),
    formula=r"""
$$u_i = x_i - <SHIFT> \cdot \frac1C \sum_{j} x_j \qquad
d = \frac1C \sum_{j} \lvert u_j \rvert \qquad
y_i = \gamma_i\, \frac{u_i}{d + <SPREAD_EPS>} + \beta_i$$

along the last axis.
""",
    why="""
The spread of a row is measured without squares and roots: cheaper, and one large entry has less
power. Only a part of the mean is taken off, so the sum of $u$ is not zero and a term that vanishes
in layer norm stays here. What takes the place of $\\hat{x}$ in the last term of its gradient?
""",
    shapes="x (..., C); gamma (C,); beta (C,) -> out (..., C)",
    forward=deviation_norm,
)


def sloped_gate(x, weight, gate_weight, slope, *, FLOOR):
    """(x @ weight) * (sigmoid(slope * (x @ gate_weight)) + FLOOR)."""
    return (x @ weight) * (_sigmoid(slope * (x @ gate_weight)) + FLOOR)


SLOPED_GATE = Family(
    name="sloped_gate",
    title="A gated unit with learnable slopes",
    points=10,
    choices={"FLOOR": (-0.3, -0.2, -0.1, 0.05, 0.1, 0.15, 0.2, 0.25, 0.4)},
    arrays=(
        Array("x", (2, 3, 5), "rows of C features"),
        Array("weight", (5, 7), "of the value"),
        Array("gate_weight", (5, 7), "of the gate"),
        Array("slope", (7,), "how sharply each gate opens", uniform=(0.5, 2.0)),
    ),
    formula=r"""
$$a = xW \qquad b = xG \qquad
y = a \odot \bigl(\sigma(s \odot b) + (<FLOOR>)\bigr)$$

with $W$ `weight`, $G$ `gate_weight`, $s$ `slope`, and $\sigma(t) = 1/(1 + e^{-t})$.
""",
    why="""
A gated linear unit, as in the feed-forward layers of recent Transformers, that learns how sharply
each of its gates opens, and that leaks where a gate is shut. The input takes two ways to the output,
and the slope is shared by all rows: two of the five most common mistakes in one operation.
""",
    shapes="x (..., C); weight, gate_weight (C, F); slope (F,) -> out (..., F)",
    forward=sloped_gate,
    edge=lambda: (
        np.array([[1e4, -1e4, 0, 3, 1]], dtype=np.float32),
        np.ones((5, 2), dtype=np.float32),
        np.array([[1, -1], [-1, 1], [0, 0], [1, 1], [0, 1]], dtype=np.float32),
        np.array([1, 1], dtype=np.float32),
    ),
)


def spiral_rotation(x, frequency, stretch, *, KAPPA, PHASE):
    """Pairs (2i, 2i+1) at time t: turned by t * frequency + PHASE, scaled by exp(KAPPA t stretch)."""
    t = np.arange(x.shape[1], dtype=x.dtype)[:, None]
    angle, size = t * frequency + PHASE, np.exp(KAPPA * t * stretch)
    even, odd = x[..., 0::2], x[..., 1::2]
    out = np.empty_like(x)
    out[..., 0::2] = size * (np.cos(angle) * even - np.sin(angle) * odd)
    out[..., 1::2] = size * (np.sin(angle) * even + np.cos(angle) * odd)
    return out


SPIRAL_ROTATION = Family(
    name="spiral_rotation",
    title="A rotary embedding that spirals",
    points=12,
    choices={"KAPPA": (-0.3, -0.2, -0.1, 0.1, 0.2), "PHASE": (0.2, 0.3, 0.4, 0.7, 0.9, 1.1)},
    arrays=(
        Array("x", (2, 5, 6), "a batch of sequences with an even number of features"),
        Array("frequency", (3,), "the angle of each pair per step", uniform=(0.2, 1.5)),
        Array("stretch", (3,), "the growth of each pair per step"),
    ),
    formula=r"""
For the pair $i = 0, \ldots, D/2 - 1$ at time $t = 0, 1, \ldots, T - 1$, with
$\theta_{ti} = t\,\omega_i + <PHASE>$ and $r_{ti} = e^{(<KAPPA>)\, t\, s_i}$,

$$\begin{pmatrix} y_{t,2i} \\ y_{t,2i+1} \end{pmatrix} = r_{ti}
\begin{pmatrix} \cos\theta_{ti} & -\sin\theta_{ti} \\ \sin\theta_{ti} & \cos\theta_{ti} \end{pmatrix}
\begin{pmatrix} x_{t,2i} \\ x_{t,2i+1} \end{pmatrix}$$

$\omega$ is `frequency` and $s$ is `stretch`.
""",
    why="""
A rotary position embedding keeps lengths; this one learns to forget, or to amplify, with time, and
learns its frequencies too. The gradient of $x$ needs the matrix turned the other way round, but not
its inverse: why not? Frequencies and stretches are shared by all steps and sequences.
""",
    shapes="x (B, T, D); frequency, stretch (D/2,) -> out (B, T, D)",
    forward=spiral_rotation,
)
