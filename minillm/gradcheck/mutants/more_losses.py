"""More wrong backwards of the losses."""

import numpy as np

from ... import ops
from ...ops.checks import gets_no_gradient
from .changes import each, overwriting
from .losses import cross_entropy_with
from .registry import altered, wrong

# ------------------------------------------------------------------------------ cross_entropy

altered("cross_entropy", "sign_flipped", "truth minus prediction", each(np.negative))
wrong("cross_entropy", "wrong_operand", "exp(logits - largest) is not divided by its sum")(
    cross_entropy_with(total=lambda v: np.ones_like(v["total"]))
)
wrong("cross_entropy", "wrong_operand", "the weight of the target's class is forgotten")(
    cross_entropy_with(w_y=lambda v: v["kept"].astype(float))
)
wrong("cross_entropy", "wrong_entries", "1 is subtracted one class too far to the right")(
    cross_entropy_with(y=lambda v: (v["y"] + 1) % v["e"].shape[1])
)
wrong("cross_entropy", "wrong_axis", "the probabilities are normalised over the whole batch")(
    cross_entropy_with(total=lambda v: np.full_like(v["total"], v["total"].sum()))
)
wrong("cross_entropy", "scaled", "the mean divides by the ignored rows as well")(
    cross_entropy_with(
        denominator=lambda v: (
            v["denominator"] and v["denominator"] * len(v["kept"]) / v["kept"].sum()
        )
    )
)
altered(
    "cross_entropy",
    "wrong_shape",
    "the gradient stays in rows, (N, V)",
    lambda grads, g, saved: (grads[0].reshape(saved[0].shape), None),
)
wrong("cross_entropy", "mutated_input", "e /= total: the saved exponentials become probabilities")(
    overwriting("cross_entropy", lambda g, saved: np.divide(saved[0], saved[1], out=saved[0]))
)


@wrong("cross_entropy", "dropped_branch", "the smoothed part of the target is not subtracted")
def _(grad_out, saved):
    _e, _total, _y, kept, _w_y, weight, _w_sum, s, denominator, reduction, shape = saved
    per_row = grad_out.reshape(-1) if reduction == "none" else grad_out
    if reduction == "mean":
        per_row = per_row / denominator
    spread = kept * (per_row * (s / shape[-1]))
    missing = spread[:, None] * (np.ones(shape[-1]) if weight is None else weight)
    return ops.cross_entropy_backward(grad_out, saved)[0] + missing.reshape(shape), None


# ----------------------------------------------------------- binary_cross_entropy_with_logits

BCE = "binary_cross_entropy_with_logits"

altered(BCE, "sign_flipped", "truth minus prediction", each(np.negative))
altered(
    BCE,
    "wrong_operand",
    "the slope of the sigmoid, p (1 - p), is forgotten in the chain",
    lambda grads, g, saved: (
        grads[0] / (ops.sigmoid_forward(saved[0])[0] * (1 - ops.sigmoid_forward(saved[0])[0])),
        None,
    ),
)
altered(
    BCE,
    "scaled",
    "the mean divides by the number of rows, not of entries",
    lambda grads, g, saved: (
        grads[0] * saved[0].shape[1] if saved[2] == "mean" else grads[0],
        None,
    ),
)
altered(
    BCE,
    "ignores_upstream",
    "grad_out is forgotten",
    lambda grads, g, saved: ops.binary_cross_entropy_with_logits_backward(np.ones_like(g), saved),
)
altered(
    BCE,
    "wrong_shape",
    "the gradients of the rows are averaged",
    lambda grads, g, saved: (grads[0].mean(axis=0), None),
)
altered(
    BCE, "wrong_dtype", "the difference is stored in float16", each(lambda x: x.astype(np.float16))
)
wrong(BCE, "mutated_input", "targets -= p: the difference is formed in the targets")(
    overwriting(
        BCE, lambda g, saved: np.subtract(saved[1], ops.sigmoid_forward(saved[0])[0], out=saved[1])
    )
)

# -------------------------------------------------------------------------- mean_squared_error

altered(
    "mean_squared_error",
    "ignores_upstream",
    "grad_out is forgotten",
    lambda grads, g, saved: ops.mean_squared_error_backward(np.ones_like(g), saved),
)
altered(
    "mean_squared_error",
    "wrong_operand",
    "the slope of |x - t|, which is a sign",
    lambda grads, g, saved: (grads[0] / np.abs(saved[0]), None),
)
altered(
    "mean_squared_error",
    "wrong_operand",
    "the squared difference stands for its slope",
    lambda grads, g, saved: (grads[0] * saved[0] / 2, None),
)
altered(
    "mean_squared_error",
    "scaled",
    "the 2 is counted twice: 4 (x - t)",
    lambda grads, g, saved: (2 * grads[0], None),
)
altered(
    "mean_squared_error",
    "wrong_shape",
    "only the gradient of x is returned, without a place for the target",
    lambda grads, g, saved: grads[:1],
)
wrong("mean_squared_error", "mutated_input", "difference *= 2 in place")(
    overwriting("mean_squared_error", lambda g, saved: np.multiply(saved[0], 2, out=saved[0]))
)


@gets_no_gradient("target")
def _squared_error_saving_x(x, target, *, reduction="mean"):
    """mean_squared_error, saving (x, difference, reduction)."""
    loss, saved = ops.mean_squared_error_forward(x, target, reduction=reduction)
    return loss, (x, *saved)


@wrong("mean_squared_error", "dropped_branch", "the target is not subtracted: 2 x",
       _squared_error_saving_x)  # fmt: skip
def _(grad_out, saved):
    x, _difference, reduction = saved
    return ops.mean_squared_error_backward(grad_out, (x, reduction))
