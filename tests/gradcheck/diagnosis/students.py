"""Operations as students write them: none is the library's, so only the numbers can tell.

Each has a right backward, and wrong ones of which only one gradient is wrong.  The kind of each was
written down by the rules of kinds.py before the checker saw it; two kinds joined by | where the
rules leave both open.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

PRIMES, SQUARE = (5, 7, 3), (4, 4, 4)
OPERATIONS: dict[str, "Operation"] = {}
MISTAKES: list["Mistake"] = []


@dataclass(frozen=True)
class Operation:
    name: str
    forward: Callable
    backward: Callable
    inputs: Callable  # inputs(rng, n)
    options: dict[str, Any]


@dataclass(frozen=True)
class Mistake:
    """The gradient of input number `index` is wrong: it is gradient(grad_out, *saved)."""

    operation: str
    story: str
    index: int
    kind: str
    gradient: Callable
    sizes: tuple[int, ...] = PRIMES

    @property
    def name(self) -> str:
        return f"{self.operation}: {self.story}"

    def backward(self, g, saved):
        grads = list(OPERATIONS[self.operation].backward(g, saved))
        grads[self.index] = self.gradient(g, *saved)
        return tuple(grads)


def operation(name, forward, backward, inputs, **options):
    OPERATIONS[name] = Operation(name, forward, backward, inputs, options)

    def wrong(story, index, kind, gradient, sizes=PRIMES):
        MISTAKES.append(Mistake(name, story, index, kind, gradient, sizes))

    return wrong


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sum_of(x, axis):
    return x.sum(axis=axis, keepdims=True)


def mean_of(x, axis):
    return x.mean(axis=axis, keepdims=True)


def normal(rng, *shape):
    return rng.standard_normal(shape)


def apart(rng, *shape):
    """Numbers that lie at least 0.1 from each other and from 0: no ties, no kinks."""
    size = int(np.prod(shape))
    values = 0.15 + 0.2 * np.arange(size) + 0.05 * rng.random(size)
    return rng.permutation(values * np.where(np.arange(size) % 2, 1, -1)).reshape(shape) / 2


# ------------------------------------------------------- softmax over columns, with temperature


def heat(x, *, tau):
    e = np.exp((x - x.max(axis=0)) / tau)
    p = e / e.sum(axis=0)
    return p, (p, tau)


wrong = operation(
    "heat", heat, lambda g, s: (s[0] * (g - sum_of(g * s[0], 0)) / s[1],),
    lambda rng, n: (normal(rng, *n[:2]),), tau=1.7,
)  # fmt: skip
wrong("no tau", 0, "scaled", lambda g, p, tau: p * (g - sum_of(g * p, 0)))
wrong("no sum", 0, "missing_sum_term", lambda g, p, tau: p * g / tau)
wrong("plus the sum", 0, "missing_sum_term", lambda g, p, tau: p * (g + sum_of(g * p, 0)) / tau)
wrong("sum over rows", 0, "wrong_axis", lambda g, p, tau: p * (g - sum_of(g * p, 1)) / tau)
wrong("no p outside", 0, "wrong_operand", lambda g, p, tau: (g - sum_of(g * p, 0)) / tau)
wrong("no p inside", 0, "wrong_operand", lambda g, p, tau: p * (g - sum_of(g, 0)) / tau)

# ------------------------------------------------------- every row stretched to 0 … 1


def stretch(x):
    lo, hi = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    y = (x - lo) / (hi - lo)
    return y, (y, hi - lo, x == lo, x == hi)


wrong = operation(
    "stretch", stretch,
    lambda g, s: ((g - s[2] * sum_of(g * (1 - s[0]), 1) - s[3] * sum_of(g * s[0], 1)) / s[1],),
    lambda rng, n: (apart(rng, *n[:2]),),
)  # fmt: skip
wrong("lo, hi constant", 0, "missing_sum_term", lambda g, y, r, lo, hi: g / r)
wrong(
    "hi constant", 0, "missing_sum_term",
    lambda g, y, r, lo, hi: (g - lo * sum_of(g * (1 - y), 1)) / r,
)  # fmt: skip
wrong(
    "plus hi", 0, "missing_sum_term",
    lambda g, y, r, lo, hi: (g - lo * sum_of(g * (1 - y), 1) + hi * sum_of(g * y, 1)) / r,
)  # fmt: skip
wrong(
    "no range", 0, "wrong_operand",
    lambda g, y, r, lo, hi: g - lo * sum_of(g * (1 - y), 1) - hi * sum_of(g * y, 1),
)  # fmt: skip

# ------------------------------------------------------- rows of length 1


def direction(x):
    norm = np.sqrt((x * x).sum(axis=1, keepdims=True))
    return x / norm, (x / norm, norm)


wrong = operation(
    "direction", direction, lambda g, s: ((g - s[0] * sum_of(g * s[0], 1)) / s[1],),
    lambda rng, n: (normal(rng, *n[:2]),),
)  # fmt: skip
wrong("norm constant", 0, "missing_sum_term", lambda g, y, norm: g / norm)
wrong("no norm", 0, "wrong_operand", lambda g, y, norm: g - y * sum_of(g * y, 1))
wrong("sum over all", 0, "wrong_axis", lambda g, y, norm: (g - y * (g * y).sum()) / norm)
wrong("plus", 0, "missing_sum_term", lambda g, y, norm: (g + y * sum_of(g * y, 1)) / norm)
wrong("no y outside", 0, "wrong_operand", lambda g, y, norm: (g - sum_of(g * y, 1)) / norm)
wrong("norm squared", 0, "wrong_operand", lambda g, y, n: (g - y * sum_of(g * y, 1)) / n**2)

# ------------------------------------------------------- batch normalisation over axis 0


def batch(x, gain, shift, *, eps):
    rstd = 1 / np.sqrt(x.var(axis=0) + eps)
    z = (x - x.mean(axis=0)) * rstd
    return z * gain + shift, (z, rstd, gain)


def batch_grad_x(g, z, rstd, gain):
    d = g * gain
    return rstd * (d - d.mean(axis=0) - z * (d * z).mean(axis=0))


wrong = operation(
    "batch", batch,
    lambda g, s: (batch_grad_x(g, *s), (g * s[0]).sum(axis=0), g.sum(axis=0)),
    lambda rng, n: (normal(rng, *n[:2]), normal(rng, n[1]), normal(rng, n[1])), eps=0.3,
)  # fmt: skip
wrong(
    "no mean(d)", 0, "missing_mean_term",
    lambda g, z, rstd, gain: rstd * (g * gain - z * (g * gain * z).mean(axis=0)),
)  # fmt: skip
wrong(
    "variance constant", 0, "missing_mean_term",
    lambda g, z, rstd, gain: rstd * (g * gain - (g * gain).mean(axis=0)),
)  # fmt: skip
wrong("all constant", 0, "missing_mean_term", lambda g, z, rstd, gain: rstd * g * gain)
wrong(
    "means over axis 1", 0, "wrong_axis",
    lambda g, z, rstd, gain: rstd * (
        g * gain - mean_of(g * gain, 1) - z * mean_of(g * gain * z, 1)
    ),
)  # fmt: skip
wrong("no gain", 0, "wrong_operand", lambda g, z, rstd, gain: batch_grad_x(g, z, rstd, 1.0))
wrong("no rstd", 0, "wrong_operand", lambda g, z, rstd, gain: batch_grad_x(g, z, 1.0, gain))
wrong("gain without z", 1, "wrong_operand", lambda g, z, rstd, gain: g.sum(axis=0))
wrong("shift not summed", 2, "missing_broadcast_sum", lambda g, z, rstd, gain: g)
wrong("shift averaged", 2, "scaled", lambda g, z, rstd, gain: g.mean(axis=0))

# ------------------------------------------------------- cosine of two vectors, row by row


def cosine(x, y):
    a, b = (np.sqrt((z * z).sum(axis=1, keepdims=True)) for z in (x, y))
    c = (x * y).sum(axis=1, keepdims=True) / (a * b)
    return c[:, 0], (x, y, a, b, c)


def cosine_grad(g, x, y, a, b, c):
    return g[:, None] * (y / (a * b) - c * x / a**2)


wrong = operation(
    "cosine", cosine,
    lambda g, s: (cosine_grad(g, *s), cosine_grad(g, s[1], s[0], s[3], s[2], s[4])),
    lambda rng, n: (normal(rng, *n[:2]), normal(rng, *n[:2])),
)  # fmt: skip
norm_way = "dropped_branch|missing_sum_term"  # the way through |x|, which is a sum
wrong("|x| constant", 0, norm_way, lambda g, x, y, a, b, c: g[:, None] * y / (a * b))
wrong(
    "plus", 0, norm_way,
    lambda g, x, y, a, b, c: g[:, None] * (y / (a * b) + c * x / a**2),
)  # fmt: skip
wrong(
    "no |y|", 0, "wrong_operand",
    lambda g, x, y, a, b, c: g[:, None] * (y / a - c * x / a**2),
)  # fmt: skip
wrong(
    "|x| not squared", 0, "wrong_operand",
    lambda g, x, y, a, b, c: g[:, None] * (y / (a * b) - c * x / a),
)  # fmt: skip
wrong("that of y", 0, "wrong_operand", lambda g, x, y, a, b, c: cosine_grad(g, y, x, b, a, c))
wrong("no grad_out", 0, "ignores_upstream", lambda g, *s: cosine_grad(np.ones_like(g), *s))

# ------------------------------------------------------- x A y, row by row


def form(x, A, y):
    return np.einsum("np,pq,nq->n", x, A, y), (x, A, y)


wrong = operation(
    "form", form,
    lambda g, s: (
        g[:, None] * (s[2] @ s[1].T), (s[0] * g[:, None]).T @ s[2], g[:, None] * (s[0] @ s[1])
    ),
    lambda rng, n: (normal(rng, n[0], n[1]), normal(rng, n[1], n[2]), normal(rng, n[0], n[2])),
)  # fmt: skip
wrong("A untransposed", 0, "wrong_operand", lambda g, x, A, y: g[:, None] * (y @ A), SQUARE)
wrong("no A", 0, "wrong_operand", lambda g, x, A, y: g[:, None] * y, SQUARE)
wrong("A turned", 1, "transposed", lambda g, x, A, y: (y * g[:, None]).T @ x)
wrong("A turned, square", 1, "transposed", lambda g, x, A, y: (y * g[:, None]).T @ x, SQUARE)
wrong("A averaged", 1, "scaled", lambda g, x, A, y: (x * g[:, None]).T @ y / len(x))
wrong("first row", 1, "missing_broadcast_sum", lambda g, x, A, y: g[0] * np.outer(x[0], y[0]))
wrong("y by x", 2, "wrong_operand", lambda g, x, A, y: g[:, None] * (y @ A), SQUARE)

# ------------------------------------------------------- outer products


def outer(x, y):
    return x[:, :, None] * y[:, None, :], (x, y)


wrong = operation(
    "outer", outer,
    lambda g, s: ((g * s[1][:, None, :]).sum(axis=2), (g * s[0][:, :, None]).sum(axis=1)),
    lambda rng, n: (normal(rng, n[0], n[1]), normal(rng, n[0], n[2])),
)  # fmt: skip
wrong("no y", 0, "wrong_operand", lambda g, x, y: g.sum(axis=2))
wrong("mean", 1, "scaled", lambda g, x, y: (g * x[:, :, None]).mean(axis=1))
wrong("minus", 0, "sign_flipped", lambda g, x, y: -(g * y[:, None, :]).sum(axis=2))
wrong("not summed", 0, "missing_broadcast_sum", lambda g, x, y: g * y[:, None, :])
wrong("one column", 0, "missing_broadcast_sum", lambda g, x, y: g[:, :, 0] * y[:, :1])

# ------------------------------------------------------- running totals


def running(x):
    return np.cumsum(x, axis=1), ()


def totals_to_come(g, axis=1):
    return np.flip(np.cumsum(np.flip(g, axis), axis), axis)


wrong = operation(
    "running", running, lambda g, s: (totals_to_come(g),), lambda rng, n: (normal(rng, *n[:2]),)
)
wrong("forward again", 0, "wrong_operand", lambda g: np.cumsum(g, axis=1))
wrong("own place only", 0, "dropped_branch", lambda g: g)
wrong("without its own", 0, "dropped_branch", lambda g: totals_to_come(g) - g)
wrong("along axis 0", 0, "wrong_axis", lambda g: totals_to_come(g, 0))
wrong("not turned back", 0, "wrong_entries", lambda g: np.cumsum(np.flip(g, 1), axis=1))

# ------------------------------------------------------- a filter slides over each row


def slide(x, taps):
    K, T = len(taps), x.shape[1] - len(taps) + 1
    return sum(x[:, k : k + T] * taps[k] for k in range(K)), (x, taps)


def slide_grad_x(g, x, taps):
    grad = np.zeros_like(x)
    for k in range(len(taps)):
        grad[:, k : k + g.shape[1]] += g * taps[k]
    return grad


def slide_overwrites(g, x, taps):
    grad = np.zeros_like(x)
    for k in range(len(taps)):
        grad[:, k : k + g.shape[1]] = g * taps[k]
    return grad


def slide_grad_taps(g, x, taps):
    return np.array([(g * x[:, k : k + g.shape[1]]).sum() for k in range(len(taps))])


wrong = operation(
    "slide", slide, lambda g, s: (slide_grad_x(g, *s), slide_grad_taps(g, *s)),
    lambda rng, n: (normal(rng, n[0], n[1] + n[2]), normal(rng, n[2])),
)  # fmt: skip
wrong("taps not flipped", 0, "wrong_operand", lambda g, x, t: slide_grad_x(g, x, t[::-1]))
wrong("late by one", 0, "wrong_entries", lambda g, x, t: np.roll(slide_grad_x(g, x, t), 1, 1))
wrong("= for +=", 0, "overwritten_duplicates|dropped_branch", slide_overwrites)
wrong("one tap", 0, "dropped_branch", lambda g, x, t: slide_grad_x(g, x, t * [1, 0, 0]))
wrong("taps reversed", 1, "wrong_entries", lambda g, x, t: slide_grad_taps(g, x, t)[::-1])
wrong("first row", 1, "missing_broadcast_sum", lambda g, x, t: slide_grad_taps(g[:1], x[:1], t))
wrong("row average", 1, "scaled", lambda g, x, t: slide_grad_taps(g, x, t) / len(x))

# ------------------------------------------------------- swish with a slope


def swish(x, slope):
    s = sigmoid(slope * x)
    return x * s, (x, slope, s)


wrong = operation(
    "swish", swish,
    lambda g, v: (
        g * (v[2] + v[1] * v[0] * v[2] * (1 - v[2])), (g * v[0] ** 2 * v[2] * (1 - v[2])).sum()
    ),
    lambda rng, n: (normal(rng, *n[:2]), np.array(1.3)),
)  # fmt: skip
wrong("second term lost", 0, "dropped_branch", lambda g, x, b, s: g * s)
wrong("first term lost", 0, "dropped_branch", lambda g, x, b, s: g * b * x * s * (1 - s))
wrong("minus", 0, "dropped_branch", lambda g, x, b, s: g * (s - b * x * s * (1 - s)))
wrong("no 1 - s", 0, "wrong_operand", lambda g, x, b, s: g * (s + b * x * s))
wrong("not summed", 1, "missing_broadcast_sum", lambda g, x, b, s: g * x**2 * s * (1 - s))
wrong("averaged", 1, "scaled", lambda g, x, b, s: (g * x**2 * s * (1 - s)).mean())
wrong("one x", 1, "wrong_operand", lambda g, x, b, s: (g * x * s * (1 - s)).sum())

# ------------------------------------------------------- softplus


def plus(x):
    return np.log1p(np.exp(x)), (x,)


wrong = operation(
    "plus", plus, lambda g, s: (g * sigmoid(s[0]),), lambda rng, n: (normal(rng, *n[:2]),)
)
wrong("of -x", 0, "wrong_operand", lambda g, x: g * sigmoid(-x))
wrong("exp", 0, "wrong_operand", lambda g, x: g * np.exp(x))
wrong("tanh", 0, "wrong_operand", lambda g, x: g * np.tanh(x))
wrong("twice derived", 0, "wrong_operand", lambda g, x: g * sigmoid(x) * (1 - sigmoid(x)))
wrong("nothing", 0, "wrong_operand", lambda g, x: g)
wrong("squared grad_out", 0, "ignores_upstream", lambda g, x: g * g * sigmoid(x))

# ------------------------------------------------------- log of a sum of exp


def pool(x):
    top = x.max(axis=1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(axis=1, keepdims=True)
    return (top + np.log(total))[:, 0], (x, e / total)


wrong = operation(
    "pool", pool, lambda g, s: (g[:, None] * s[1],), lambda rng, n: (normal(rng, *n[:2]),)
)
wrong("not divided", 0, "wrong_operand", lambda g, x, p: g[:, None] * np.exp(x))
wrong("no p", 0, "wrong_operand", lambda g, x, p: g[:, None] + 0 * p)
wrong("mean", 0, "scaled", lambda g, x, p: g[:, None] * p / p.shape[1])
wrong("p of columns", 0, "wrong_axis|wrong_operand",
      lambda g, x, p: g[:, None] * np.exp(x) / np.exp(x).sum(axis=0))  # fmt: skip
wrong("spread along columns", 0, "wrong_axis", lambda g, x, p: g[None, :] * p, SQUARE)
wrong("1 - p", 0, "wrong_operand", lambda g, x, p: g[:, None] * (1 - p))

# ------------------------------------------------------- Huber's loss, the mean over all


def robust(pred, target, *, limit):
    d = pred - target
    loss = np.where(abs(d) <= limit, d * d / 2, limit * (abs(d) - limit / 2))
    return loss.mean(), (d, limit)


wrong = operation(
    "robust", robust,
    lambda g, s: (g * np.clip(s[0], -s[1], s[1]) / s[0].size,
                  -g * np.clip(s[0], -s[1], s[1]) / s[0].size),
    lambda rng, n: (normal(rng, *n[:2]), normal(rng, *n[:2])), limit=0.7,
)  # fmt: skip
wrong("not clipped", 0, "wrong_entries|wrong_operand", lambda g, d, c: g * d / d.size)
wrong("sum", 0, "scaled", lambda g, d, c: g * np.clip(d, -c, c))
wrong("mean over rows", 0, "scaled", lambda g, d, c: g * np.clip(d, -c, c) / d.shape[0])
wrong("same sign", 1, "sign_flipped", lambda g, d, c: g * np.clip(d, -c, c) / d.size)
wrong("sign", 0, "wrong_entries|wrong_operand",
      lambda g, d, c: g * np.where(abs(d) <= c, d, np.sign(d)) / d.size)  # fmt: skip
wrong("zero outside", 0, "wrong_entries", lambda g, d, c: g * d * (abs(d) <= c) / d.size)

# ------------------------------------------------------- focal loss of logits


def focal(x, y, *, k):
    sign = 2.0 * y - 1
    p = sigmoid(x * sign)
    return -((1 - p) ** k) * np.log(p), (p, sign, k)


def focal_parts(p, k):
    return k * (1 - p) ** k * p * np.log(p), -((1 - p) ** (k + 1))


wrong = operation(
    "focal", focal, lambda g, s: (g * s[1] * sum(focal_parts(s[0], s[2])), None),
    lambda rng, n: (normal(rng, *n[:2]), rng.integers(0, 2, n[:2])), k=3,
)  # fmt: skip
wrong("no log", 0, "dropped_branch", lambda g, p, s, k: g * s * focal_parts(p, k)[1])
wrong("only log", 0, "dropped_branch", lambda g, p, s, k: g * s * focal_parts(p, k)[0])
wrong("no label", 0, "wrong_entries|wrong_operand", lambda g, p, s, k: g * sum(focal_parts(p, k)))
wrong("power", 0, "wrong_operand", lambda g, p, s, k: g * s * sum(focal_parts(p, k)) / (1 - p))
wrong("mean", 0, "scaled", lambda g, p, s, k: g * s * sum(focal_parts(p, k)) / p.size)
wrong("minus", 0, "sign_flipped", lambda g, p, s, k: -g * s * sum(focal_parts(p, k)))

# ------------------------------------------------------- two layers as one operation


def layers(x, W, b, V, c):
    a = x @ W + b
    h = np.tanh(a)
    return h @ V + c, (x, W, V, a, h)


def layers_backward(g, s):
    x, W, V, _, h = s
    d = (g @ V.T) * (1 - h * h)
    return d @ W.T, x.T @ d, d.sum(axis=0), h.T @ g, g.sum(axis=0)


wrong = operation(
    "layers", layers, layers_backward,
    lambda rng, n: (normal(rng, n[0], n[1]), normal(rng, n[1], n[2]), normal(rng, n[2]),
                    normal(rng, n[2], 2), normal(rng, 2)),
)  # fmt: skip
wrong("x without tanh'", 0, "wrong_operand", lambda g, x, W, V, a, h: (g @ V.T) @ W.T)
wrong("W without tanh'", 1, "wrong_operand", lambda g, x, W, V, a, h: x.T @ (g @ V.T))
wrong("tanh' of h", 1, "wrong_operand",
      lambda g, x, W, V, a, h: x.T @ ((g @ V.T) * (1 - np.tanh(h) ** 2)))  # fmt: skip
wrong("b not summed", 2, "missing_broadcast_sum",
      lambda g, x, W, V, a, h: (g @ V.T) * (1 - h * h))  # fmt: skip
wrong("b without tanh'", 2, "wrong_operand", lambda g, x, W, V, a, h: (g @ V.T).sum(axis=0))
wrong("V with a", 3, "wrong_operand", lambda g, x, W, V, a, h: a.T @ g)
wrong("V turned", 3, "transposed", lambda g, x, W, V, a, h: g.T @ h)
wrong("c averaged", 4, "scaled", lambda g, x, W, V, a, h: g.mean(axis=0))
wrong("W of one example", 1, "missing_broadcast_sum",
      lambda g, x, W, V, a, h: x[:1].T @ ((g @ V.T) * (1 - h * h))[:1])  # fmt: skip

# ------------------------------------------------------- a recurrent network, time first


def recur(x, start, W, U):
    h, states = start, [start]
    for x_t in x:
        h = np.tanh(x_t @ W.T + h @ U.T)
        states.append(h)
    return np.stack(states[1:]), (x, W, U, np.stack(states))


def recur_back(g, x, W, U, h, *, flow=1.0, turn=False, slope=True, late=0, only=None):
    later, grads = np.zeros_like(h[0]), [np.zeros_like(x), None, np.zeros_like(W), 0.0 * U]
    for t in reversed(range(len(x))):
        d = (g[t] + flow * later) * ((1 - h[t + 1] ** 2) if slope else 1.0)
        grads[0][t] = d @ W
        later = d @ (U.T if turn else U)
        if only is None or t == only:
            grads[2] += d.T @ x[t]
            grads[3] += d.T @ h[t + late]
    grads[1] = later
    return tuple(grads)


wrong = operation(
    "recur", recur, lambda g, s: recur_back(g, *s),
    lambda rng, n: (normal(rng, n[0], 2, n[1]), normal(rng, 2, n[2]),
                    normal(rng, n[2], n[1]) / 2, normal(rng, n[2], n[2]) / 2),
)  # fmt: skip
wrong("x: no way through time", 0, "dropped_branch", lambda g, *s: recur_back(g, *s, flow=0)[0])
wrong("x: U turned", 0, "wrong_operand", lambda g, *s: recur_back(g, *s, turn=True)[0])
wrong("x: no tanh'", 0, "wrong_operand", lambda g, *s: recur_back(g, *s, slope=False)[0])
wrong("U: h_t for h_(t-1)", 3, "wrong_operand", lambda g, *s: recur_back(g, *s, late=1)[3])
wrong("U: no way through time", 3, "dropped_branch", lambda g, *s: recur_back(g, *s, flow=0)[3])
wrong("W: last step", 2, "missing_broadcast_sum", lambda g, *s: recur_back(g, *s, only=4)[2])
wrong("start: nothing", 1, "zero_gradient", lambda g, *s: 0 * s[3][0])
wrong("W turned", 2, "transposed", lambda g, *s: recur_back(g, *s)[2].T)

# ------------------------------------------------------- rows by number, each with a gain


def rows(table, gains, ids):
    return table[ids] * gains[ids][:, None], (table, gains, ids)


def added(shape, ids, values):
    grad = np.zeros(shape)
    np.add.at(grad, ids, values)
    return grad


def assigned(shape, ids, values):
    grad = np.zeros(shape)
    grad[ids] = values
    return grad


def rows_backward(g, s):
    table, gains, ids = s
    return (
        added(table.shape, ids, g * gains[ids][:, None]),
        added(gains.shape, ids, (g * table[ids]).sum(axis=1)),
        None,
    )


wrong = operation(
    "rows", rows, rows_backward,
    lambda rng, n: (normal(rng, n[1], n[2]), normal(rng, n[1]), np.array([1, 4, 1, 0, 4, 1]) % n[1]),
)  # fmt: skip
wrong("= for +=", 0, "overwritten_duplicates",
      lambda g, t, s, ids: assigned(t.shape, ids, g * s[ids][:, None]))  # fmt: skip
wrong("gains: = for +=", 1, "overwritten_duplicates",
      lambda g, t, s, ids: assigned(s.shape, ids, (g * t[ids]).sum(axis=1)))  # fmt: skip
wrong("no gain", 0, "wrong_operand", lambda g, t, s, ids: added(t.shape, ids, g))
wrong("gains not summed", 1, "missing_broadcast_sum",
      lambda g, t, s, ids: added(t.shape, ids, g * t[ids]))  # fmt: skip
wrong("next row", 0, "wrong_entries",
      lambda g, t, s, ids: added(t.shape, (ids + 1) % len(t), g * s[ids][:, None]))  # fmt: skip
wrong("gains without table", 1, "wrong_operand",
      lambda g, t, s, ids: added(s.shape, ids, g.sum(axis=1)))  # fmt: skip

# ------------------------------------------------------- sums by group


def groups(x, ids, *, count):
    return added((count, x.shape[1]), ids, x), (ids, x.shape)


wrong = operation(
    "groups", groups, lambda g, s: (g[s[0]], None),
    lambda rng, n: (normal(rng, *n[:2]), np.array([2, 0, 2, 1, 0, 2])[: n[0]]), count=3,
)  # fmt: skip
wrong("in order", 0, "wrong_entries", lambda g, ids, shape: g[np.sort(ids)])
wrong("first of each group", 0, "wrong_entries",
      lambda g, ids, shape: g[ids] * (np.arange(len(ids)) < 2)[:, None])  # fmt: skip
wrong("everything", 0, "wrong_axis", lambda g, ids, shape: g.sum(axis=0) + np.zeros(shape))
wrong("half", 0, "scaled", lambda g, ids, shape: g[ids] / 2)

# ------------------------------------------------------- squared distances of all pairs


def pairs(x, y):
    return ((x[:, None] - y[None]) ** 2).sum(axis=2), (x, y)


wrong = operation(
    "pairs", pairs,
    lambda g, s: (2 * (g.sum(axis=1)[:, None] * s[0] - g @ s[1]),
                  2 * (g.sum(axis=0)[:, None] * s[1] - g.T @ s[0])),
    lambda rng, n: (normal(rng, n[0], n[2]), normal(rng, n[1], n[2])),
)  # fmt: skip
wrong("no 2", 0, "scaled", lambda g, x, y: g.sum(axis=1)[:, None] * x - g @ y)
wrong("no x", 0, "dropped_branch|missing_sum_term", lambda g, x, y: -2 * g @ y)
wrong("no y", 0, "dropped_branch|missing_sum_term", lambda g, x, y: 2 * g.sum(axis=1)[:, None] * x)
wrong("minus", 1, "sign_flipped", lambda g, x, y: -2 * (g.sum(axis=0)[:, None] * y - g.T @ x))
wrong("plus", 0, "dropped_branch|missing_sum_term",
      lambda g, x, y: 2 * (g.sum(axis=1)[:, None] * x + g @ y))  # fmt: skip
wrong("not summed", 0, "missing_broadcast_sum",
      lambda g, x, y: 2 * g[:, :, None] * (x[:, None] - y[None]))  # fmt: skip

# ------------------------------------------------------- gates


def gate(a, b):
    return a * sigmoid(b), (a, sigmoid(b))


wrong = operation(
    "gate", gate, lambda g, s: (g * s[1], g * s[0] * s[1] * (1 - s[1])),
    lambda rng, n: (normal(rng, *n), normal(rng, *n)),
)  # fmt: skip
wrong("no gate", 0, "wrong_operand", lambda g, a, s: g)
wrong("no a", 1, "wrong_operand", lambda g, a, s: g * s * (1 - s))
wrong("no 1 - s", 1, "wrong_operand", lambda g, a, s: g * a * s)
wrong("1 + s", 1, "wrong_operand", lambda g, a, s: g * a * s * (1 + s))
wrong("that of b", 0, "wrong_operand", lambda g, a, s: g * a * s * (1 - s))
wrong("no grad_out", 1, "ignores_upstream", lambda g, a, s: a * s * (1 - s))


def halves(x):
    a, b = np.split(x, 2, axis=1)
    return a * sigmoid(b), (a, sigmoid(b))


wrong = operation(
    "halves", halves,
    lambda g, s: (np.concatenate([g * s[1], g * s[0] * s[1] * (1 - s[1])], axis=1),),
    lambda rng, n: (normal(rng, n[0], 2 * n[2]),),
)  # fmt: skip
wrong("exchanged", 0, "wrong_entries",
      lambda g, a, s: np.concatenate([g * a * s * (1 - s), g * s], axis=1))  # fmt: skip
wrong("only a", 0, "wrong_shape", lambda g, a, s: g * s)
wrong("gate lost", 0, "dropped_branch|wrong_entries",
      lambda g, a, s: np.concatenate([g * s, 0 * g], axis=1))  # fmt: skip
wrong("minus in one half", 0, "wrong_entries",
      lambda g, a, s: np.concatenate([g * s, -g * a * s * (1 - s)], axis=1))  # fmt: skip

# ------------------------------------------------------- weights of given length


def lengths(x, v, size):
    norm = np.sqrt((v * v).sum(axis=0))
    return x @ (v / norm * size), (x, v / norm, size, norm)


def lengths_backward(g, s):
    x, u, size, norm = s
    d = x.T @ g
    return g @ (u * size).T, size / norm * (d - u * (d * u).sum(axis=0)), (d * u).sum(axis=0)


wrong = operation(
    "lengths", lengths, lengths_backward,
    lambda rng, n: (normal(rng, n[0], n[1]), normal(rng, n[1], n[2]), normal(rng, n[2])),
)  # fmt: skip
wrong("norm constant", 1, "missing_sum_term", lambda g, x, u, s, n: s / n * (x.T @ g))
wrong("no size", 1, "wrong_operand",
      lambda g, x, u, s, n: (x.T @ g - u * (x.T @ g * u).sum(axis=0)) / n)  # fmt: skip
wrong("no norm", 1, "wrong_operand",
      lambda g, x, u, s, n: s * (x.T @ g - u * (x.T @ g * u).sum(axis=0)))  # fmt: skip
wrong("size not summed", 2, "missing_broadcast_sum", lambda g, x, u, s, n: x.T @ g * u)
wrong("x by u", 0, "wrong_operand", lambda g, x, u, s, n: g @ u.T)
wrong("x by v", 0, "wrong_operand", lambda g, x, u, s, n: g @ (u * n).T)

# ------------------------------------------------------- attention with one fixed query


def attend(x, query):
    e = np.exp(x @ query)
    p = e / e.sum(axis=1, keepdims=True)
    return (p[:, :, None] * x).sum(axis=1), (x, query, p)


def attend_scores(g, x, query, p):
    d = (g[:, None] * x).sum(axis=2)
    return p * (d - sum_of(d * p, 1))


wrong = operation(
    "attend", attend,
    lambda g, s: (
        s[2][:, :, None] * g[:, None] + attend_scores(g, *s)[:, :, None] * s[1],
        (attend_scores(g, *s)[:, :, None] * s[0]).sum(axis=(0, 1)),
    ),
    lambda rng, n: (normal(rng, *n), normal(rng, n[2])),
)  # fmt: skip
wrong("p constant", 0, "dropped_branch", lambda g, x, q, p: p[:, :, None] * g[:, None])
wrong("only p", 0, "dropped_branch",
      lambda g, x, q, p: attend_scores(g, x, q, p)[:, :, None] * q)  # fmt: skip
wrong(
    "no sum in softmax", 1, "missing_sum_term",
    lambda g, x, q, p: ((p * (g[:, None] * x).sum(axis=2))[:, :, None] * x).sum(axis=(0, 1)),
)  # fmt: skip
wrong(
    "averaged", 1, "scaled",
    lambda g, x, q, p: (attend_scores(g, x, q, p)[:, :, None] * x).sum(axis=1).mean(axis=0),
)  # fmt: skip
wrong("first example", 1, "missing_broadcast_sum",
      lambda g, x, q, p: (attend_scores(g, x, q, p)[:, :, None] * x)[0].sum(axis=0))  # fmt: skip
wrong("not summed", 1, "missing_broadcast_sum",
      lambda g, x, q, p: attend_scores(g, x, q, p)[:, :, None] * x)  # fmt: skip

# ------------------------------------------------------- the spread of each row


def spread(x):
    z = x - x.mean(axis=1, keepdims=True)
    return (z * z).mean(axis=1), (x, z)


wrong = operation(
    "spread", spread, lambda g, s: (2 / s[1].shape[1] * s[1] * g[:, None],),
    lambda rng, n: (normal(rng, *n[:2]) + 1,),
)  # fmt: skip
wrong("mean forgotten", 0, "missing_mean_term", lambda g, x, z: 2 / x.shape[1] * x * g[:, None])
wrong("n - 1", 0, "scaled", lambda g, x, z: 2 / (x.shape[1] - 1) * z * g[:, None])
wrong("no 2", 0, "scaled", lambda g, x, z: 1 / x.shape[1] * z * g[:, None])
wrong("mean of columns", 0, "wrong_axis",
      lambda g, x, z: 2 / x.shape[1] * (x - x.mean(axis=0)) * g[:, None])  # fmt: skip
wrong("square of z", 0, "wrong_operand", lambda g, x, z: 2 / x.shape[1] * z * z * g[:, None])

# ------------------------------------------------------- a leaky ramp


def ramp(x, *, leak):
    return np.where(x > 0, x, leak * x), (x, leak)


wrong = operation(
    "ramp", ramp, lambda g, s: (g * np.where(s[0] > 0, 1, s[1]),),
    lambda rng, n: (apart(rng, *n),), leak=0.2,
)  # fmt: skip
wrong("no leak", 0, "wrong_entries", lambda g, x, leak: g * (x > 0))
wrong("leaks everywhere", 0, "wrong_entries", lambda g, x, leak: g * leak)
wrong("turned round", 0, "wrong_entries", lambda g, x, leak: g * np.where(x < 0, 1, leak))
wrong("sign of grad_out", 0, "ignores_upstream",
      lambda g, x, leak: g * np.where(g > 0, 1, leak))  # fmt: skip
wrong("no ramp", 0, "wrong_entries", lambda g, x, leak: g + 0 * x)
