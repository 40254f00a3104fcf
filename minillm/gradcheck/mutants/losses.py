"""Wrong backwards of the losses."""

import numpy as np

from ... import ops
from .registry import seen_altered as altered
from .registry import seen_wrong as wrong


@wrong("cross_entropy", "dropped_branch", "the one at the target is not subtracted")
def _(grad_out, saved):
    e, total, y, kept, w_y, weight, w_sum, s, denominator, reduction, shape = saved
    per_row = grad_out.reshape(-1) if reduction == "none" else grad_out
    if reduction == "mean":
        per_row = per_row / denominator
    return (e / total * (w_y * per_row)[:, None]).reshape(shape), None


def cross_entropy_with(**changes):
    """A backward that sees other saved values than forward left."""
    names = "e total y kept w_y weight w_sum s denominator reduction shape".split()

    def backward(grad_out, saved):
        values = dict(zip(names, saved, strict=True))
        values.update({name: change(values) for name, change in changes.items()})
        return ops.cross_entropy_backward(grad_out, tuple(values.values()))

    return backward


wrong("cross_entropy", "scaled", "the mean's division by the number of targets is forgotten")(
    cross_entropy_with(denominator=lambda v: v["denominator"] and 1.0)
)


wrong("cross_entropy", "wrong_entries", "rows with ignore_index get a gradient")(
    cross_entropy_with(w_y=lambda v: np.where(v["kept"], v["w_y"], 1.0))
)


wrong("cross_entropy", "wrong_operand", "label smoothing is forgotten")(
    cross_entropy_with(s=lambda v: 0.0)
)


altered(
    "cross_entropy",
    "ignores_upstream",
    "grad_out is forgotten",
    lambda grads, g, saved: ops.cross_entropy_backward(np.ones_like(g), saved),
)


altered(
    "binary_cross_entropy_with_logits",
    "dropped_branch",
    "the target is not subtracted",
    lambda grads, g, saved: ops.binary_cross_entropy_with_logits_backward(
        g, (saved[0], np.zeros_like(saved[1]), saved[2])
    ),
)


altered(
    "binary_cross_entropy_with_logits",
    "scaled",
    "the division by n of the mean is forgotten",
    lambda grads, g, saved: (grads[0] * saved[0].size if saved[2] == "mean" else grads[0], None),
)


altered(
    "binary_cross_entropy_with_logits",
    "wrong_operand",
    "the logit stands where p belongs",
    lambda grads, g, saved: (
        grads[0] / (ops.sigmoid_forward(saved[0])[0] - saved[1]) * (saved[0] - saved[1]),
        None,
    ),
)


altered(
    "mean_squared_error",
    "scaled",
    "the 2 of 2 (x - t) is forgotten",
    lambda grads, g, saved: (grads[0] / 2, None),
)


altered(
    "mean_squared_error",
    "sign_flipped",
    "t - x instead of x - t",
    lambda grads, g, saved: (-grads[0], None),
)


altered(
    "mean_squared_error",
    "scaled",
    "the division by n of the mean is forgotten",
    lambda grads, g, saved: (grads[0] * saved[0].size if saved[1] == "mean" else grads[0], None),
)
