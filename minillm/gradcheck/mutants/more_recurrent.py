"""More wrong backwards of rnn, gru and lstm.

Each of the three functions below is the right backward, written out step by step; a mutant puts its
mistake into one of the places that have a name.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from ... import ops
from .changes import changed_saved, overwriting
from .registry import altered, wrong


def _same(x: Any, *_others: Any) -> Any:
    return x


def _all_steps(x: Any) -> Any:
    return x


def _first_step(x: Any) -> Any:
    """What is left in the end where every step of the loop assigns, the first step last."""
    return x[:1]


def _rnn(
    grad_out,
    saved,
    *,
    slope=lambda h: 1 - h[1:] ** 2,
    send=_same,
    ended=_same,
    before=lambda h: h[:-1],
    steps_of_bias=_all_steps,
):
    """rnn_backward; send(n, steps) is what goes back in time, ended(n) what an ended row passes on."""
    x, h, weight_x, weight_h, has_bias, valid = saved
    T, B, _ = x.shape
    mask = np.ones((T, B, 1), bool) if valid is None else valid
    factor = slope(h) * mask
    grad_a, n = np.zeros(factor.shape), grad_out[1]
    for t in reversed(range(T)):
        grad_a[t] = (grad_out[0][:, t] * mask[t] + n) * factor[t]
        n = send(grad_a[t] @ weight_h.T, T - t) + ended(n) * ~mask[t]
    grad_x = (grad_a @ weight_x.T).swapaxes(0, 1)
    weights = np.einsum("tbc,tbh->ch", x, grad_a), np.einsum("tbc,tbh->ch", before(h), grad_a)
    return grad_x, n, *weights, steps_of_bias(grad_a).sum(axis=(0, 1)) if has_bias else None


def _rnn_with(kind: str, story: str, **places: Callable) -> None:
    wrong("rnn", kind, story)(lambda grad_out, saved: _rnn(grad_out, saved, **places))


_rnn_with("wrong_operand", "the slope of tanh is forgotten", slope=lambda h: np.ones_like(h[1:]))
_rnn_with(
    "wrong_operand",
    "the slope of tanh is taken from the state before",
    slope=lambda h: 1 - h[:-1] ** 2,
)
_rnn_with(
    "wrong_operand", "h_t stands where h_{t-1} belongs in grad_weight_h", before=lambda h: h[1:]
)
_rnn_with(
    "missing_broadcast_sum",
    "grad_bias is assigned at every step instead of added up",
    steps_of_bias=_first_step,
)
_rnn_with(
    "dropped_branch",
    "the way back through time is cut after every second step",
    send=lambda n, steps: n * (steps % 2),
)
_rnn_with("dropped_branch", "a row that has ended does not pass its gradient on", ended=lambda n: 0)
_rnn_with(
    "ignores_upstream",
    "what goes back in time is clipped at every step",
    send=lambda n, steps: np.clip(n, -0.3, 0.3),
)
altered(
    "rnn",
    "dropped_branch",
    "only the last state counts, the other outputs are forgotten",
    lambda grads, g, saved: ops.rnn_backward((np.zeros_like(g[0]), g[1]), saved),
)
altered(
    "rnn",
    "wrong_entries",
    "the lengths are forgotten in backward",
    changed_saved("rnn", 5, lambda saved: None),
)
altered(
    "rnn",
    "transposed",
    "grad_weight_h is computed as grad_a^T h",
    lambda grads, g, saved: (*grads[:3], grads[3].T, *grads[4:]),
)
altered(
    "rnn",
    "transposed",
    "grad_x comes out with time first",
    lambda grads, g, saved: (grads[0].swapaxes(0, 1), *grads[1:]),
)
altered(
    "rnn",
    "zero_gradient",
    "the first state gets None",
    lambda grads, g, saved: (grads[0], None, *grads[2:]),
)
altered(
    "rnn",
    "sign_flipped",
    "grad_bias gets a minus, as that of a threshold",
    lambda grads, g, saved: (*grads[:4], None if grads[4] is None else -grads[4]),
)
wrong("rnn", "mutated_input", "what comes back in time is added into grad_out")(
    overwriting("rnn", lambda g, saved: np.add(g[0], g[1][:, None], out=g[0]))
)


def _gru(grad_out, saved, *, to_n=lambda s: (1 - s.z) * (1 - s.n**2),
         to_z=lambda s: (s.before - s.n) * s.z * (1 - s.z),
         to_r=lambda s: s.v_n * s.r * (1 - s.r), keep=lambda s: s.z, send=_same,
         steps_of_bias=_all_steps):  # fmt: skip
    """gru_backward; to_n, to_z, to_r and keep are the factors of (1), (2), (3) and (5)."""
    x, h, (r, z, n, v_n), weight_x, weight_h, (has_bias_x, has_bias_h), valid = saved
    T, B, _ = x.shape
    mask = np.ones((T, B, 1), bool) if valid is None else valid
    s = SimpleNamespace(r=r, z=z, n=n, v_n=v_n, before=h[:-1])
    factor_n, factor_z, factor_r = to_n(s) * mask, to_z(s) * mask, to_r(s)
    passed = np.where(mask, keep(s), 1.0)
    grad_u, grad_v = (np.zeros((T, B, weight_x.shape[1])) for _ in range(2))
    p = grad_out[1]
    for t in reversed(range(T)):
        p = p + grad_out[0][:, t] * mask[t]
        grad_n = p * factor_n[t]
        gates = [grad_n * factor_r[t], p * factor_z[t]]
        grad_u[t] = np.concatenate([*gates, grad_n], axis=1)
        grad_v[t] = np.concatenate([*gates, grad_n * r[t]], axis=1)
        p = p * passed[t] + send(grad_v[t] @ weight_h.T)
    return (
        (grad_u @ weight_x.T).swapaxes(0, 1), p,
        np.einsum("tbc,tbh->ch", x, grad_u), np.einsum("tbc,tbh->ch", h[:-1], grad_v),
        grad_u.sum(axis=(0, 1)) if has_bias_x else None,
        steps_of_bias(grad_v).sum(axis=(0, 1)) if has_bias_h else None,
    )  # fmt: skip


def _gru_with(kind: str, story: str, **places: Callable) -> None:
    wrong("gru", kind, story)(lambda grad_out, saved: _gru(grad_out, saved, **places))


def _in_blocks(grads: tuple, first: int, count: int, order: tuple[int, ...]) -> tuple:
    """The gradients with the column blocks of those from `first` on in another order."""

    def exchanged(x):
        blocks = None if x is None else np.split(x, count, axis=-1)
        return None if blocks is None else np.concatenate([blocks[i] for i in order], axis=-1)

    return (*grads[:first], *(exchanged(x) for x in grads[first:]))


_gru_with(
    "dropped_branch",
    "p z of (5) is forgotten: the state's direct way back",
    keep=lambda s: np.zeros_like(s.z),
)
_gru_with(
    "dropped_branch", "the update gate is taken for a constant", to_z=lambda s: np.zeros_like(s.z)
)
_gru_with(
    "dropped_branch", "the reset gate is taken for a constant", to_r=lambda s: np.zeros_like(s.r)
)
_gru_with(
    "wrong_operand",
    "z stands where 1 - z belongs on the way to n",
    to_n=lambda s: s.z * (1 - s.n**2),
)
_gru_with("wrong_operand", "the slope of tanh is forgotten", to_n=lambda s: 1 - s.z)
_gru_with(
    "ignores_upstream",
    "what goes back through weight_h is clipped at every step",
    send=lambda n: np.clip(n, -0.1, 0.1),
)
_gru_with(
    "missing_broadcast_sum",
    "grad_bias_h is assigned at every step instead of added up",
    steps_of_bias=_first_step,
)
altered(
    "gru",
    "wrong_entries",
    "the columns of the weights come as z | r | n",
    lambda grads, g, saved: _in_blocks(grads, 2, 3, (1, 0, 2)),
)
altered(
    "gru",
    "wrong_entries",
    "the lengths are forgotten in backward",
    changed_saved("gru", 6, lambda saved: None),
)
altered(
    "gru",
    "wrong_shape",
    "one gradient is returned for both biases",
    lambda grads, g, saved: grads[:5],
)
wrong("gru", "mutated_input", "z *= 1 - z: the saved gate is turned into its slope")(
    overwriting("gru", lambda g, saved: np.multiply(saved[2][1], 1 - saved[2][1], out=saved[2][1]))
)


def _lstm(grad_out, saved, *, to_cell=lambda s: s.o * (1 - np.tanh(s.after) ** 2),
          k_f=lambda s: s.before * s.f * (1 - s.f), k_g=lambda s: s.i * (1 - s.g**2),
          k_o=lambda s: np.tanh(s.after) * s.o * (1 - s.o), forget=lambda s: s.f, send=_same,
          steps_of_weights=_all_steps):  # fmt: skip
    """lstm_backward; k_f, k_g, k_o, to_cell and forget are the factors of (1), (2) and (3)."""
    read, c, gates, weight_x, weight_h, has_bias, ended = saved
    T, _, B = gates.shape
    x, before = np.split(read[:T], [len(weight_x)], axis=1)
    mask = np.ones((T, 1, B), bool) if ended is None else ~ended
    i, f, g, o = np.split(gates, 4, axis=1)
    s = SimpleNamespace(i=i, f=f, g=g, o=o, before=c[:-1], after=c[1:])
    enters, passed = to_cell(s) * mask, np.where(mask, forget(s), 1.0)
    to_q = np.concatenate([g * i * (1 - i), k_f(s), k_g(s)], axis=1) * mask
    to_p = k_o(s) * mask
    grad_a, n, q = np.zeros(gates.shape), grad_out[1].T, grad_out[2].T
    for t in reversed(range(T)):
        p = grad_out[0][:, t].T * mask[t] + n
        q = q + p * enters[t]
        grad_a[t] = np.concatenate([to_q[t] * np.tile(q, (3, 1)), to_p[t] * p])
        n = send(weight_h @ grad_a[t], T - t) + n * ~mask[t]
        q = q * passed[t]
    grad_x = np.einsum("tmb,cm->btc", grad_a, weight_x)
    grad_a, x, before = (steps_of_weights(array) for array in (grad_a, x, before))
    weights = np.einsum("tcb,tmb->cm", x, grad_a), np.einsum("tcb,tmb->cm", before, grad_a)
    return grad_x, n.T, q.T, *weights, grad_a.sum(axis=(0, 2)) if has_bias else None


def _lstm_with(kind: str, story: str, **places: Callable) -> None:
    wrong("lstm", kind, story)(lambda grad_out, saved: _lstm(grad_out, saved, **places))


_lstm_with(
    "dropped_branch",
    "the cell's own way back through time is forgotten",
    forget=lambda s: np.zeros_like(s.f),
)
_lstm_with(
    "dropped_branch",
    "the way from the output through tanh(c_t) is forgotten",
    to_cell=lambda s: np.zeros_like(s.o),
)
_lstm_with(
    "dropped_branch", "the output gate is taken for a constant", k_o=lambda s: np.zeros_like(s.o)
)
_lstm_with(
    "wrong_operand",
    "the slope of tanh is taken as 1 - c_t^2",
    to_cell=lambda s: s.o * (1 - s.after**2),
)
_lstm_with(
    "wrong_operand",
    "c_t stands where c_{t-1} belongs in the forget gate",
    k_f=lambda s: s.after * s.f * (1 - s.f),
)
_lstm_with(
    "wrong_operand",
    "the new values get the slope of a sigmoid, g (1 - g)",
    k_g=lambda s: s.i * s.g * (1 - s.g),
)
_lstm_with(
    "dropped_branch",
    "the way back through h is cut after every second step",
    send=lambda n, steps: n * (steps % 2),
)
_lstm_with(
    "ignores_upstream",
    "what goes back through h is clipped at every step",
    send=lambda n, steps: np.clip(n, -0.1, 0.1),
)
_lstm_with(
    "missing_broadcast_sum",
    "weights and bias are assigned at every step, not added up",
    steps_of_weights=_first_step,
)
altered(
    "lstm",
    "transposed",
    "the gradients of the weights come out as (4H, C) and (4H, H)",
    lambda grads, g, saved: (*grads[:3], grads[3].T, grads[4].T, grads[5]),
)
altered(
    "lstm",
    "wrong_entries",
    "the columns of the weights come as i | f | o | g",
    lambda grads, g, saved: _in_blocks(grads, 3, 4, (0, 1, 3, 2)),
)
altered(
    "lstm",
    "wrong_entries",
    "the lengths are forgotten in backward",
    changed_saved("lstm", 6, lambda saved: None),
)
altered(
    "lstm",
    "zero_gradient",
    "the first cell gets None",
    lambda grads, g, saved: (*grads[:2], None, *grads[3:]),
)
altered(
    "lstm",
    "wrong_shape",
    "the states get one gradient with an axis for the layer",
    lambda grads, g, saved: (grads[0], grads[1][None], grads[2][None], *grads[3:]),
)
wrong("lstm", "mutated_input", "the saved gates are turned into their slopes")(
    overwriting("lstm", lambda g, saved: np.multiply(saved[2], 1 - saved[2], out=saved[2]))
)
