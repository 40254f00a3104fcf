"""A robust loss that leans to one side, and pooling by a power mean: forward only."""

import numpy as np

from .base import Array, Family


def leaning_loss(x, target, *, DELTA, LEAN, SMOOTHING):
    """The mean of DELTA^2 (sqrt(1 + (r / DELTA)^2) - 1) + LEAN r, with smoothed targets."""
    smooth = (1 - SMOOTHING) * target + SMOOTHING * target.mean(axis=-1, keepdims=True)
    r = x - smooth
    loss = DELTA * DELTA * (np.sqrt(1 + (r / DELTA) ** 2) - 1)
    return (loss + LEAN * r).mean()


LEANING_LOSS = Family(
    name="leaning_loss",
    title="A robust loss that leans, with smoothed targets",
    points=10,
    choices={
        "DELTA": (0.6, 0.7, 1.2, 1.5, 2.0),
        "LEAN": (-0.4, -0.3, -0.2, 0.2, 0.3, 0.4),
        "SMOOTHING": (0.1, 0.2, 0.25, 0.3, 0.4),
    },
    arrays=(
        Array("x", (2, 3, 5), "predictions"),
        Array("target", (2, 3, 5), "real-valued targets; they get a gradient too"),
    ),
    formula=r"""
$$\tilde{t}_i = (1 - <SMOOTHING>)\, t_i + \frac{<SMOOTHING>}{C} \sum_{j=1}^{C} t_j \qquad
r_i = x_i - \tilde{t}_i$$

$$\rho(r) = <DELTA>^2 \Bigl(\sqrt{1 + (r/<DELTA>)^2} - 1\Bigr) + (<LEAN>)\, r \qquad
\ell = \frac1M \sum_i \rho(r_i)$$

The targets are smoothed along the last axis of length $C$; $M$ is the number of all entries.
""",
    why="""
Quadratic for small residuals and linear for large ones, so that an outlier pulls with a bounded
force; the last term makes too much and too little cost differently. Distillation differentiates a
loss with respect to its targets as well, and here they pass through a mean on their way.
""",
    shapes="x, target (..., C) -> out ()",
    forward=leaning_loss,
)


def power_pool(x, score, *, POWER, POOL_EPS):
    """(sum_t w_t (|x_t| + POOL_EPS)^POWER)^(1/POWER) over time, w = softmax(score)."""
    w = np.exp(score - score.max())
    w = (w / w.sum())[:, None]
    return (w * (np.abs(x) + POOL_EPS) ** POWER).sum(axis=1) ** (1 / POWER)


POWER_POOL = Family(
    name="power_pool",
    title="Pooling over time by a weighted power mean",
    points=12,
    choices={"POWER": (1.5, 2.5, 3.0, 3.5, 4.0), "POOL_EPS": (0.1, 0.2, 0.3, 0.4, 0.6)},
    arrays=(
        Array("x", (2, 5, 3), "a batch of sequences"),
        Array("score", (5,), "how much each time step counts"),
    ),
    formula=r"""
$$w_t = \frac{e^{a_t}}{\sum_{u=1}^{T} e^{a_u}} \qquad
y_{bc} = \Bigl(\sum_{t=1}^{T} w_t
\bigl(\lvert x_{btc}\rvert + <POOL_EPS>\bigr)^{<POWER>}\Bigr)^{1/<POWER>}$$

$a$ is `score`; the weights are the same for all sequences and features.
""",
    why="""
Between the mean and the maximum: the larger the power, the more the largest step decides. The
chain has four links (modulus, power, weighted sum, root) and the weights are a softmax that all
sequences and features share.
""",
    shapes="x (B, T, C); score (T,) -> out (B, C)",
    forward=power_pool,
)
