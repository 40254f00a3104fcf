"""An LSTM with coupled gates and a mixing over time with an echo: forward only."""

import numpy as np

from .base import Array, Family


def _sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2


def coupled_lstm(x, h0, c0, weight_x, weight_h, bias, *, KEEP, SHOW):
    """An LSTM with columns f | g | o, input gate 1 - f, and h = o * tanh(SHOW * c)."""
    H = h0.shape[1]
    h, c, states = h0, c0, []
    for t in range(x.shape[1]):
        a = x[:, t] @ weight_x + h @ weight_h + bias
        f, g, o = _sigmoid(a[:, :H] + KEEP), np.tanh(a[:, H : 2 * H]), _sigmoid(a[:, 2 * H :])
        c = f * c + (1 - f) * g
        h = o * np.tanh(SHOW * c)
        states.append(h)
    return np.stack(states, axis=1)


COUPLED_LSTM = Family(
    name="coupled_lstm",
    title="An LSTM with coupled gates",
    points=20,
    choices={
        "KEEP": (-1.0, -0.5, 0.3, 0.5, 0.8, 1.2),
        "SHOW": (0.5, 0.6, 0.7, 1.3, 1.6, 2.0),
    },
    arrays=(
        Array("x", (2, 5, 3), "a batch of sequences"),
        Array("h0", (2, 4), "the first hidden state"),
        Array("c0", (2, 4), "the first cell"),
        Array("weight_x", (3, 12), "columns f | g | o of H each", scale=0.5),
        Array("weight_h", (4, 12), "columns f | g | o of H each", scale=0.5),
        Array("bias", (12,), "columns f | g | o of H each"),
    ),
    formula=r"""
For $t = 1, \ldots, T$, with $a = [a^f \mid a^g \mid a^o]$ in three blocks of $H$ columns each:

$$a_t = x_t W_x + h_{t-1} W_h + b \qquad f_t = \sigma(a^f_t + (<KEEP>)) \qquad
g_t = \tanh(a^g_t) \qquad o_t = \sigma(a^o_t)$$

$$c_t = f_t \odot c_{t-1} + (1 - f_t) \odot g_t \qquad h_t = o_t \odot \tanh(<SHOW>\, c_t)$$

The result holds $h_1, \ldots, h_T$.
""",
    why="""
One gate decides what is forgotten *and* what enters: a cell that keeps everything learns nothing
new. That saves a quarter of the weights, and changes the gradient of the forget gate: which
difference appears in it? The cell itself is a weighted mean, so it never leaves [-1, 1].
""",
    shapes="x (B, T, C); h0, c0 (B, H); weight_x (C, 3H); weight_h (H, 3H); bias (3H,)\n"
    "             -> out (B, T, H)",
    forward=coupled_lstm,
)


def shifted_mixing(x, kernel, share, *, STEP, ECHO):
    """y_t = sum_k kernel_k * x_{t - STEP k} + ECHO share * y_{t-1}, zeros before the beginning."""
    T, out = x.shape[1], np.zeros_like(x)
    for k, row in enumerate(kernel):
        shift = STEP * k
        if shift < T:
            out[:, shift:] += row * x[:, : T - shift]
    for t in range(1, T):
        out[:, t] += ECHO * share * out[:, t - 1]
    return out


SHIFTED_MIXING = Family(
    name="shifted_mixing",
    title="Mixing over time with an echo",
    points=14,
    choices={"STEP": (1, 2, 3), "ECHO": (-0.7, -0.6, -0.5, -0.4, 0.4, 0.5, 0.6, 0.7)},
    arrays=(
        Array("x", (2, 7, 3), "a batch of sequences"),
        Array("kernel", (3, 3), "for each tap one number per feature"),
        Array("share", (3,), "how much of its echo each feature hears", uniform=(0.3, 1.2)),
    ),
    formula=r"""
$$y_t = \sum_{k=0}^{K-1} w_k \odot x_{t - <STEP>\,k} \;+\; (<ECHO>)\; s \odot y_{t-1}$$

with $x_t = 0$ and $y_t = 0$ before the beginning; $w$ is `kernel` (one row for each $k$), $s$ is
`share`.
""",
    why="""
A convolution with gaps and a linear recurrence in one: the bones of WaveNet and of state space
models. The echo makes every output depend on all earlier inputs, so its gradient runs backwards in
time, and both the kernel and the share collect from all steps and sequences.
""",
    shapes="x (B, T, C); kernel (K, C); share (C,) -> out (B, T, C)",
    forward=shifted_mixing,
)
