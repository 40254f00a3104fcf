"""One edge of the computation cut, turned round, or doubled.

For operations whose gradient mixes too much for the eye (attention, the recurrent networks), the
formula is written once more here, with Tensors, so that the engine knows its gradient.  Every named
intermediate value passes a dial with a gain c:

    dial(y) = c y + (1 - c) constant(y)

Its value is y whatever c is; the gradient that passes it is multiplied by c.  With c = 0 the edge is
cut, as if that value were a constant: the mistake of forgetting it in backward.  If the gradient at
hand is the one with one dial turned, that is the mistake.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ... import functional as F
from ...autograd import Tensor
from ..inputs import fresh
from ..language import later, say
from .evidence import Mismatch, same

Named = tuple[str, str, float | None]
Gain = Callable[[str, int], float]
GAINS = {
    0.0: later("in the gradient of {name} the way through {place} is not followed"),
    -1.0: later("in the gradient of {name} the way through {place} has the wrong sign"),
    2.0: later("in the gradient of {name} the way through {place} is counted twice"),
}
STEPS = (
    later("in the gradient of {name} only the first of {steps} time steps counts: their contributions "
          "must be added up"),
    later("in the gradient of {name} only the last of {steps} time steps counts: their contributions "
          "must be added up"),
)  # fmt: skip
ROW_SUM = later("the row sum of the softmax")


class Dials:
    """Passes values on, with the gradient of some of them changed; remembers their names."""

    def __init__(self, gain: Gain) -> None:
        self.gain, self.steps = gain, 0
        self.names: list[str] = []

    def __call__(self, name: str, value: Tensor, step: int = 0) -> Tensor:
        """The same value, its gradient multiplied by the gain of this name and time step."""
        if name not in self.names:
            self.names.append(name)
        self.steps = max(self.steps, step + 1)
        c = self.gain(name, step)
        return value if c == 1 else value * c + value.detach() * (1 - c)


def changed_edge(m: Mismatch) -> Named | None:
    """The gradient equals the right one with one dial turned."""
    program = PROGRAMS.get(m.call.operation)
    if program is None or m.call.size > 5_000:
        return None
    dials = Dials(lambda name, step: 1.0)
    try:
        outputs = program(dials, [_tensor(x) for x in m.call.inputs], fresh(m.call.options))
    except (ValueError, TypeError, KeyError):  # options that the program does not know
        return None
    if not all(same(o.data, np.asarray(t)) for o, t in zip(outputs, m.call.outputs, strict=True)):
        return None  # the program is not what was checked, so its gradient proves nothing
    for kind, words, gain in _turned(m, dials.names, dials.steps):
        if _gives(m, program, gain):
            return kind, words, None
    return None


def _turned(m: Mismatch, names: list[str], steps: int) -> Iterator[tuple[str, str, Gain]]:
    """Every hypothesis: (kind, words, gains)."""
    for name in names:
        for c, what in GAINS.items():
            kind = "missing_sum_term" if name == ROW_SUM else "dropped_branch"
            place = say(name) if " " in name else name  # one word: an argument of the program
            words = say(what, name=m.name, place=place)
            yield kind, words, partial(_one_dial, name, c)
    shared = [name for name in names if name in m.call.names]
    for kept, sentence in ((0, STEPS[0]), (steps - 1, STEPS[1])):
        words = say(sentence, name=m.name, steps=steps)
        yield "missing_broadcast_sum", words, partial(_one_step, shared, kept)


def _one_dial(turned: str, c: float, name: str, step: int) -> float:
    return c if name == turned else 1.0


def _one_step(shared: list[str], kept: int, name: str, step: int) -> float:
    return float(step == kept or name not in shared)


def _gives(m: Mismatch, program: Callable, gain: Gain) -> bool:
    """True if these gains give the gradient at hand, for the first two cotangents."""
    for w, found in zip(m.call.cotangents[:2], m.analytic, strict=False):
        leaves = [_tensor(x) for x in m.call.inputs]
        outputs = program(Dials(gain), leaves, fresh(m.call.options))
        parts = m.call.split_outputs(w)
        total = sum(
            ((o * p).sum() for o, p in zip(outputs, parts, strict=True)), Tensor(0.0 * w[0])
        )
        total.backward()
        grad = leaves[m.index].grad
        if grad is None or not same(grad, found):
            return False
    return True


def _tensor(x: Any) -> Any:
    floating = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return Tensor(x.copy(), requires_grad=True) if floating else x


# ------------------------------------------------------------------------------- programs


def _attention(dial: Dials, inputs: list, options: dict[str, Any]) -> tuple[Tensor, ...]:
    """Vaswani et al. 2017, eq. 1: softmax(scale q k^T) v with masks, group by group."""
    q, k, v = inputs
    (_, H, T, D), (G, S) = q.shape, k.shape[1:3]
    scale = options.pop("scale", None)
    visible, causal = options.pop("visible", None), options.pop("is_causal", False)
    p_drop, rng = options.pop("dropout_p", 0.0), options.pop("rng", None)
    if options:
        raise KeyError(str(options))
    group = np.repeat(np.arange(G), H // G)
    keys, values = dial("k", k)[:, group], dial("v", v)[:, group]
    s = (dial("q", q) * (1 / D**0.5 if scale is None else scale)) @ F.transpose(keys, (0, 1, 3, 2))
    seen = np.ones(s.shape, bool) if visible is None else np.broadcast_to(visible, s.shape)
    if causal:
        seen = seen & np.tri(T, S, S - T, dtype=bool)
    top = np.where(seen, s.data, -1e30).max(axis=-1, keepdims=True)
    e = F.exp(F.where(s - top, Tensor(np.zeros(s.shape)), condition=seen)) * seen
    total = F.maximum(dial(ROW_SUM, F.sum(e, axis=-1, keepdims=True)), 1e-30)
    p = e / total
    if p_drop:
        p = F.dropout(p, p=p_drop, rng=rng)
    return (dial(later("the probabilities"), p) @ values,)


def _steps(x: Tensor, options: dict[str, Any]) -> Iterator[tuple[int, Tensor, np.ndarray]]:
    """(t, x_t, which rows are still running) for every time step."""
    lengths = options.pop("lengths", None)
    for t in range(x.shape[1]):
        running = np.ones((len(x.data), 1), bool) if lengths is None else (t < lengths)[:, None]
        yield t, x[:, t], running


def _stack(states: list[Tensor]) -> Tensor:
    return F.concatenate(*[F.reshape(h, (h.shape[0], 1, h.shape[1])) for h in states], axis=1)


def _rnn(dial: Dials, inputs: list, options: dict[str, Any]) -> tuple[Tensor, ...]:
    """Goodfellow et al. 2016, eq. 10.8-10.9."""
    x, h, weight_x, weight_h, bias = inputs
    hs = []
    for t, x_t, running in _steps(x, options):
        before = dial(later("the state on its way to the next step"), h, t)
        a = x_t @ dial("weight_x", weight_x, t) + before @ dial("weight_h", weight_h, t)
        a = a if bias is None else a + dial("bias", bias, t)
        h = F.where(F.tanh(a), h, condition=running)
        hs.append(h * running)
    return _stack(hs), h


def _gru(dial: Dials, inputs: list, options: dict[str, Any]) -> tuple[Tensor, ...]:
    """Cho et al. 2014, eq. 5-8, with the reset gate applied after the product."""
    x, h, weight_x, weight_h, bias_x, bias_h = inputs
    hs, H = [], weight_h.shape[0]
    for t, x_t, running in _steps(x, options):
        u = x_t @ dial("weight_x", weight_x, t)
        before = dial(later("the state in the product with weight_h"), h, t)
        v = before @ dial("weight_h", weight_h, t)
        u = u if bias_x is None else u + dial("bias_x", bias_x, t)
        v = v if bias_h is None else v + dial("bias_h", bias_h, t)
        r = dial(later("the reset gate r"), F.sigmoid(u[:, :H] + v[:, :H]), t)
        z = dial(later("the update gate z"), F.sigmoid(u[:, H : 2 * H] + v[:, H : 2 * H]), t)
        recurrent = dial(later("the recurrent part of the new state"), v[:, 2 * H :], t)
        n = dial(later("the new state n"), F.tanh(u[:, 2 * H :] + r * recurrent), t)
        h_new = (1 - z) * n + z * dial(later("the state that z lets through"), h, t)
        h = F.where(h_new, h, condition=running)
        hs.append(h * running)
    return _stack(hs), h


def _lstm(dial: Dials, inputs: list, options: dict[str, Any]) -> tuple[Tensor, ...]:
    """Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, eq. 1-7."""
    x, h, c, weight_x, weight_h, bias = inputs
    hs, H = [], weight_h.shape[0]
    for t, x_t, running in _steps(x, options):
        before = dial(later("the state h on its way to the next step"), h, t)
        a = x_t @ dial("weight_x", weight_x, t) + before @ dial("weight_h", weight_h, t)
        a = a if bias is None else a + dial("bias", bias, t)
        blocks = [a[:, j * H : (j + 1) * H] for j in range(4)]
        i = dial(later("the input gate i"), F.sigmoid(blocks[0]), t)
        f = dial(later("the forget gate f"), F.sigmoid(blocks[1]), t)
        g = dial(later("the new cell content g"), F.tanh(blocks[2]), t)
        o = dial(later("the output gate o"), F.sigmoid(blocks[3]), t)
        c_new = f * dial(later("the cell c on its way to the next step"), c, t) + i * g
        h_new = o * F.tanh(dial(later("the cell c on its way to h"), c_new, t))
        h = F.where(h_new, h, condition=running)
        c = F.where(c_new, c, condition=running)
        hs.append(h * running)
    return _stack(hs), h, c


PROGRAMS: dict[str, Callable] = {
    "scaled_dot_product_attention": _attention,
    "rnn": _rnn,
    "gru": _gru,
    "lstm": _lstm,
}
