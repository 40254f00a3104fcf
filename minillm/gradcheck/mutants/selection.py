"""Wrong backwards of what picks entries: dropout, maximum, where."""

import numpy as np

from ... import ops
from ...ops.broadcasting import unbroadcast
from .registry import seen_altered as altered

altered(
    "dropout",
    "scaled",
    "the factor 1 / (1 - p) is forgotten",
    lambda grads, g, saved: (g if saved[0] is None else g * (saved[0] > 0),),
)


altered(
    "dropout",
    "wrong_entries",
    "the mask is forgotten",
    lambda grads, g, saved: (g if saved[0] is None else g * saved[0].max(),),
)


altered(
    "dropout",
    "wrong_entries",
    "another mask is used than in forward",
    lambda grads, g, saved: (g if saved[0] is None else g * np.roll(saved[0], 1),),
)


altered(
    "maximum",
    "wrong_entries",
    "both operands get the whole gradient",
    lambda grads, g, saved: (
        unbroadcast(g, saved[0].shape),
        None if grads[1] is None else unbroadcast(g, saved[1].shape),
    ),
)


altered(
    "maximum",
    "wrong_entries",
    "the smaller operand gets the gradient",
    lambda grads, g, saved: (
        unbroadcast(g * (saved[0] < saved[1]), saved[0].shape),
        None if grads[1] is None else unbroadcast(g * (saved[1] < saved[0]), saved[1].shape),
    ),
)


altered(
    "maximum",
    "zero_gradient",
    "the second operand gets nothing",
    lambda grads, g, saved: (
        grads[0] * 0 if grads[1] is None else grads[0],
        None if grads[1] is None else np.zeros_like(grads[1]),
    ),
)


altered(
    "where",
    "wrong_entries",
    "the branches are exchanged",
    lambda grads, g, saved: ops.where_backward(g, (~saved[0], *saved[1:])),
)


altered(
    "where",
    "wrong_entries",
    "the condition is forgotten",
    lambda grads, g, saved: tuple(unbroadcast(g, shape) for shape in saved[1:]),
)


altered(
    "where",
    "missing_broadcast_sum",
    "a broadcast branch is not summed",
    lambda grads, g, saved: (g * saved[0], None if grads[1] is None else g * ~saved[0]),
)
