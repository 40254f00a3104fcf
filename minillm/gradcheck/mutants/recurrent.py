"""Wrong backwards of rnn, gru and lstm."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops
from .changes import changed_saved
from .registry import seen_altered as altered


def _exchanged(position: int) -> Callable:
    """Recurrent weights that are transposed block by block: W instead of W^T on the way back."""

    def change(saved: tuple) -> Any:
        weight = saved[position]
        blocks = np.split(weight, weight.shape[1] // weight.shape[0], axis=1)
        return np.concatenate([block.T for block in blocks], axis=1)

    return change


for _name, _weight_h, _last in (("rnn", 3, 1), ("gru", 4, 1), ("lstm", 4, 1)):
    altered(
        _name,
        "dropped_branch",
        "nothing is sent back through time",
        changed_saved(_name, _weight_h, lambda saved, w=_weight_h: np.zeros_like(saved[w])),
    )
    altered(
        _name,
        "wrong_operand",
        "weight_h instead of its transpose on the way back",
        changed_saved(_name, _weight_h, _exchanged(_weight_h)),
    )
    altered(
        _name,
        "dropped_branch",
        "the gradient of the last state is forgotten",
        lambda grads, g, saved, name=_name: getattr(ops, f"{name}_backward")(
            (g[0], np.zeros_like(g[1]), *g[2:]), saved
        ),
    )


altered(
    "rnn",
    "scaled",
    "the gradients of the weights are averaged over time",
    lambda grads, g, saved: (*grads[:2], grads[2] / len(saved[0]), *grads[3:]),
)


altered(
    "lstm",
    "dropped_branch",
    "the gradient of the last cell is forgotten",
    lambda grads, g, saved: ops.lstm_backward((*g[:2], np.zeros_like(g[2])), saved),
)


altered(
    "lstm",
    "wrong_operand",
    "the columns are taken as i | f | o | g",
    changed_saved(
        "lstm",
        2,
        lambda saved: np.concatenate(
            [*np.split(saved[2], 4, axis=1)[:2], *np.split(saved[2], 4, axis=1)[:1:-1]], axis=1
        ),
    ),
)


altered(
    "lstm",
    "scaled",
    "the gradients of the weights are averaged over time",
    lambda grads, g, saved: (*grads[:3], grads[3] / len(saved[2]), *grads[4:]),
)


altered(
    "gru",
    "wrong_operand",
    "the reset gate is forgotten on the way to weight_h",
    lambda grads, g, saved: ops.gru_backward(
        g, (*saved[:2], (np.ones_like(saved[2][0]), *saved[2][1:]), *saved[3:])
    ),
)
