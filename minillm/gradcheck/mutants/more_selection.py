"""More wrong backwards of what picks entries: dropout, maximum, where."""

import numpy as np

from ... import ops
from ...ops.broadcasting import gradient_shape
from .changes import each, first_use, overwriting, total_everywhere
from .registry import altered, wrong

SINGLE = each(lambda x: x.astype(np.float32))


def _dropout(kind, story, formula):
    """A dropout backward by formula(grad_out, scale) where something was dropped."""
    altered(
        "dropout",
        kind,
        story,
        lambda grads, g, saved: grads if saved[0] is None else (formula(g, saved[0]),),
    )


_dropout(
    "scaled",
    "multiplied by 1 - p where 1 / (1 - p) belongs",
    lambda g, scale: g * (scale > 0) / scale.max(),
)
_dropout("scaled", "the scaled mask is applied twice", lambda g, scale: g * scale * scale)
_dropout(
    "wrong_entries",
    "the dropped entries get the gradient, the kept ones nothing",
    lambda g, scale: g * (scale == 0) * scale.max(),
)
_dropout("not_finite", "grad_out is divided by the scaled mask", lambda g, scale: g / scale)
_dropout(
    "zero_gradient",
    "a random mask is thought to have no derivative",
    lambda g, scale: np.zeros_like(g),
)
altered("dropout", "wrong_dtype", "the mask is applied in float32", SINGLE)
wrong("dropout", "mutated_input", "grad_out *= scale: the mask is applied to grad_out itself")(
    overwriting(
        "dropout", lambda g, saved: None if saved[0] is None else np.multiply(g, saved[0], out=g)
    )
)

altered(
    "maximum",
    "missing_broadcast_sum",
    "the gradient of a broadcast operand is not summed",
    lambda grads, g, saved: (
        g * (saved[0] > saved[1]),
        None if grads[1] is None else g * (saved[1] > saved[0]),
    ),
)
altered(
    "maximum",
    "wrong_entries",
    "both operands always get half",
    lambda grads, g, saved: ops.maximum_backward(g, (0 * saved[0], 0 * saved[1])),
)
altered(
    "maximum",
    "ignores_upstream",
    "the masks are returned as gradients",
    lambda grads, g, saved: ops.maximum_backward(np.ones_like(g), saved),
)
altered(
    "maximum",
    "sign_flipped",
    "the second operand gets a minus",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else -grads[1]),
)
altered(
    "maximum",
    "wrong_dtype",
    "the mask is an array of integers, and so is the gradient",
    each(lambda x: x.astype(np.int64)),
)
altered(
    "maximum",
    "wrong_axis",
    "a broadcast operand gets the sum over all axes, its own too",
    lambda grads, g, saved: (
        grads[0],
        total_everywhere(g * (saved[1] > saved[0]), gradient_shape(saved[1])),
    ),
)

altered(
    "where",
    "zero_gradient",
    "y gets nothing",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else np.zeros_like(grads[1])),
)
altered(
    "where",
    "missing_broadcast_sum",
    "of a broadcast branch only the first use counts",
    lambda grads, g, saved: (first_use(g * saved[0], saved[1]), first_use(g * ~saved[0], saved[2])),
)
altered(
    "where",
    "not_finite",
    "grad_out is divided by the condition",
    lambda grads, g, saved: (
        ops.where_backward(g / saved[0], (np.ones_like(saved[0]), *saved[1:]))[0],
        grads[1],
    ),
)
altered(
    "where",
    "wrong_shape",
    "a third gradient is returned, for the condition",
    lambda grads, g, saved: (*grads, np.zeros(saved[0].shape)),
)
altered(
    "where",
    "scaled",
    "a broadcast branch gets the mean over its uses instead of the sum",
    lambda grads, g, saved: tuple(None if x is None else x * (x.size / g.size) for x in grads),
)
altered(
    "where",
    "wrong_axis",
    "a broadcast branch gets the sum over all axes, its own too",
    lambda grads, g, saved: (
        total_everywhere(g * saved[0], saved[1]),
        total_everywhere(g * ~saved[0], saved[2]),
    ),
)
