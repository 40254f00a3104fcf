"""Wrong backward passes that a gradient check must reject: the classic mistakes of each operation.

A check that has never failed proves nothing.  `tests/gradcheck/test_mutants.py` runs all of these
and fails if one of them passes.  Two ways to write one:

    @wrong("sqrt", "scaled", "the 2 of 2 sqrt(x) is forgotten")
    def _(grad_out, saved): ...                 a whole backward

    altered("add", "sign_flipped", "b is subtracted", lambda grads, g, saved: ...)
                                                the right gradients, changed

`kind` says what a perfect diagnosis would call it (kinds.py).  Where the right forward does not
save what the mistake needs, `forward=` gives one that does; its output must be right.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..ops.broadcasting import gradient_shape, unbroadcast
from .kinds import KINDS

MUTANTS: list["Mutant"] = []


@dataclass(frozen=True)
class Mutant:
    """A wrong backward of one operation, with the kind of its mistake and its story."""

    operation: str
    kind: str
    story: str
    backward: Callable[[Any, Any], tuple]
    forward: Callable | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Mutant.kind must be one of {', '.join(KINDS)}; got {self.kind!r}")


def mutants(operation: str) -> list[Mutant]:
    """All wrong backwards of one operation."""
    return [mutant for mutant in MUTANTS if mutant.operation == operation]


def wrong(operation: str, kind: str, story: str, forward: Callable | None = None) -> Callable:
    """Register a whole backward as a mutant."""

    def register(backward: Callable) -> Callable:
        MUTANTS.append(Mutant(operation, kind, story, backward, forward))
        return backward

    return register


def altered(operation: str, kind: str, story: str, change: Callable) -> None:
    """Register the right backward, with its gradients changed by change(grads, grad_out, saved)."""
    right = getattr(ops, f"{operation}_backward")

    def backward(grad_out: Any, saved: Any) -> tuple:
        return tuple(change(right(grad_out, saved), grad_out, saved))

    MUTANTS.append(Mutant(operation, kind, story, backward))


def _each(function: Callable) -> Callable:
    """A change that treats every gradient alike and leaves None alone."""
    return lambda grads, g, saved: tuple(None if x is None else function(x) for x in grads)


def _mean_instead_of_sum(grad: Any, shape: tuple | None) -> Any:
    if shape is None or grad.shape == shape:
        return None if shape is None else grad
    summed = unbroadcast(grad, shape)
    return summed * (summed.size / grad.size)


# ------------------------------------------------------------------------------ arithmetic

altered(
    "add",
    "missing_broadcast_sum",
    "the gradient of a broadcast operand is not summed",
    lambda grads, g, saved: (g, None if saved[1] is None else g),
)
altered(
    "add",
    "scaled",
    "the gradient of a broadcast operand is averaged instead of summed",
    lambda grads, g, saved: tuple(_mean_instead_of_sum(g, shape) for shape in saved),
)
altered(
    "add",
    "sign_flipped",
    "b is treated as if it were subtracted",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else -grads[1]),
)

altered(
    "subtract",
    "sign_flipped",
    "the minus of b is forgotten",
    lambda grads, g, saved: (grads[0], None if grads[1] is None else -grads[1]),
)
altered(
    "subtract",
    "missing_broadcast_sum",
    "the gradient of a broadcast operand is not summed",
    lambda grads, g, saved: (g, None if saved[1] is None else -g),
)
altered(
    "subtract",
    "sign_flipped",
    "both operands get a minus",
    lambda grads, g, saved: (-grads[0], grads[1]),
)


@wrong("multiply", "wrong_operand", "each operand gets itself as a factor instead of the other one")
def _(grad_out, saved):
    a, b = saved
    sa, sb = gradient_shape(a), gradient_shape(b)
    return unbroadcast(grad_out * a, sa), None if sb is None else unbroadcast(grad_out * b, sb)


@wrong(
    "multiply", "ignores_upstream", "grad_out is forgotten: only the local derivative is returned"
)
def _(grad_out, saved):
    a, b = saved
    ones, sb = np.ones_like(grad_out), gradient_shape(b)
    return unbroadcast(ones * b, a.shape), None if sb is None else unbroadcast(ones * a, sb)


@wrong("multiply", "missing_broadcast_sum", "the gradient of a broadcast operand is not summed")
def _(grad_out, saved):
    a, b = saved
    return grad_out * b, None if gradient_shape(b) is None else grad_out * a


altered(
    "divide",
    "sign_flipped",
    "the minus of grad_b is forgotten",
    lambda grads, g, saved: (grads[0], -grads[1]),
)


@wrong("divide", "wrong_operand", "grad_b divides by b once instead of by b squared")
def _(grad_out, saved):
    a, b = saved
    return unbroadcast(grad_out / b, gradient_shape(a)), unbroadcast(-grad_out * (a / b), b.shape)


@wrong("divide", "wrong_operand", "grad_a multiplies by b instead of dividing")
def _(grad_out, saved):
    a, b = saved
    return unbroadcast(grad_out * b, gradient_shape(a)), ops.divide_backward(grad_out, saved)[1]


altered("negative", "sign_flipped", "the minus is forgotten", _each(np.negative))
altered("negative", "zero_gradient", "the gradient is zero", _each(np.zeros_like))
altered(
    "negative",
    "ignores_upstream",
    "only the local derivative -1 is returned",
    _each(lambda x: -np.ones_like(x)),
)


@wrong("power", "wrong_operand", "the factor b of b a^(b-1) is forgotten")
def _(grad_out, saved):
    a, b, _out = saved
    right = ops.power_backward(grad_out, saved)
    return None if right[0] is None else unbroadcast(grad_out * a ** (b - 1), a.shape), right[1]


@wrong("power", "wrong_operand", "the exponent is not lowered by one")
def _(grad_out, saved):
    a, b, out = saved
    right = ops.power_backward(grad_out, saved)
    return None if right[0] is None else unbroadcast(grad_out * b * out, a.shape), right[1]


@wrong("power", "wrong_operand", "the log(a) of grad_b is forgotten")
def _(grad_out, saved):
    _a, b, out = saved
    right = ops.power_backward(grad_out, saved)
    return right[0], None if right[1] is None else unbroadcast(grad_out * out, b.shape)


# ---------------------------------------------------------------------------------- matmul


@wrong("matmul", "wrong_operand", "grad_a multiplies by b instead of its transpose")
def _(grad_out, saved):
    a, b = saved
    square = b.ndim > 1 and b.shape[-1] == b.shape[-2]
    right = ops.matmul_backward(grad_out, saved)
    return grad_out @ b if square else right[0], right[1]


@wrong("matmul", "transposed", "grad_b is computed as grad_out^T a, the transpose of the right one")
def _(grad_out, saved):
    a, b = saved
    grad_a, grad_b = ops.matmul_backward(grad_out, saved)
    return grad_a, grad_b.T if a.ndim == b.ndim == 2 else grad_b


altered(
    "matmul",
    "scaled",
    "grad_b is averaged over the rows",
    lambda grads, g, saved: (grads[0], grads[1] / max(saved[0].shape[0], 2)),
)


@wrong(
    "matmul", "missing_broadcast_sum", "the gradient of a matrix shared by a stack is not summed"
)
def _(grad_out, saved):
    a, b = saved
    if a.ndim < 3 or b.ndim < 2:
        return ops.matmul_backward(grad_out, saved)
    return grad_out @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ grad_out


# ------------------------------------------------------------------------------ reductions

altered("sum", "ignores_upstream", "ones are returned, whatever grad_out is", _each(np.ones_like))
altered(
    "sum",
    "scaled",
    "the gradient of the mean is returned",
    lambda grads, g, saved: (grads[0] * (g.size / grads[0].size),),
)
altered(
    "sum",
    "wrong_axis",
    "grad_out is spread along the wrong axis",
    lambda grads, g, saved: (np.roll(grads[0], 1, axis=0) if g.ndim else grads[0],),
)

altered(
    "mean",
    "scaled",
    "the division by n is forgotten",
    lambda grads, g, saved: (grads[0] * (grads[0].size / g.size),),
)
altered(
    "mean",
    "scaled",
    "the division is by the size of x, not of the reduced axes",
    lambda grads, g, saved: (grads[0] / g.size,),
)
altered(
    "mean",
    "ignores_upstream",
    "grad_out is forgotten",
    lambda grads, g, saved: (np.full_like(grads[0], g.size / grads[0].size),),
)


@wrong("max", "wrong_entries", "every entry gets the gradient, not only the largest")
def _(grad_out, saved):
    return ops.sum_backward(grad_out, (saved[0].shape, saved[2], saved[3]))


altered(
    "max",
    "ignores_upstream",
    "the largest entries get 1",
    lambda grads, g, saved: ((grads[0] != 0).astype(float),),
)
altered("max", "zero_gradient", "the gradient is zero", _each(np.zeros_like))


# --------------------------------------------------------------------------------- shaping

altered(
    "reshape",
    "wrong_entries",
    "entries are put back column by column",
    lambda grads, g, saved: (np.reshape(g, saved[0], order="F"),),
)
altered("reshape", "wrong_shape", "grad_out is returned in its own shape", lambda grads, g, s: (g,))
altered("reshape", "zero_gradient", "the gradient is zero", _each(np.zeros_like))

altered(
    "transpose",
    "wrong_shape",
    "the forward order is applied again instead of its inverse",
    lambda grads, g, saved: (g.transpose(tuple(np.argsort(saved[0]))),),
)
altered("transpose", "transposed", "grad_out is returned as it came", lambda grads, g, s: (g,))
altered("transpose", "zero_gradient", "the gradient is zero", _each(np.zeros_like))


@wrong("getitem", "overwritten_duplicates", "grad[index] = grad_out keeps one of several uses")
def _(grad_out, saved):
    shape, dtype, index = saved
    grad_x = np.zeros(shape, dtype)
    grad_x[index] = grad_out
    return (grad_x,)


altered(
    "getitem",
    "ignores_upstream",
    "taken entries get 1",
    lambda grads, g, saved: ((grads[0] != 0).astype(float),),
)
altered("getitem", "wrong_shape", "grad_out is returned as it came", lambda grads, g, s: (g,))

altered(
    "split",
    "wrong_entries",
    "the pieces are joined in reverse order",
    lambda grads, g, saved: (np.concatenate(g[::-1], axis=saved[0]),),
)
altered(
    "split",
    "wrong_entries",
    "only the first piece gets its gradient",
    lambda grads, g, saved: (
        np.concatenate([g[0], *(np.zeros_like(x) for x in g[1:])], axis=saved[0]),
    ),
)
altered(
    "split", "wrong_shape", "the gradient of one piece is returned", lambda grads, g, s: (g[0],)
)

altered(
    "concatenate",
    "wrong_shape",
    "every array gets the whole of grad_out",
    lambda grads, g, saved: (g,) * len(grads),
)
altered(
    "concatenate",
    "wrong_entries",
    "each piece is reversed along the axis",
    lambda grads, g, saved: tuple(np.flip(x, saved[0]) for x in grads),
)
altered(
    "concatenate",
    "zero_gradient",
    "the last array gets nothing",
    lambda grads, g, saved: (*grads[:-1], np.zeros_like(grads[-1])),
)


# ----------------------------------------------------------------------------- elementwise

altered("exp", "missing_sum_term", "the factor exp(x) is forgotten", lambda grads, g, saved: (g,))
altered("exp", "ignores_upstream", "grad_out is forgotten", lambda grads, g, saved: (saved[0],))
altered(
    "exp", "wrong_operand", "exp is applied twice", lambda grads, g, saved: (g * np.exp(saved[0]),)
)

altered("log", "wrong_operand", "x multiplies instead of dividing", lambda gr, g, s: (g * s[0],))
altered("log", "wrong_operand", "x divides twice", lambda grads, g, saved: (g / saved[0] ** 2,))
altered("log", "ignores_upstream", "grad_out is forgotten", lambda grads, g, s: (1 / s[0],))

altered("sqrt", "scaled", "the 2 of 2 sqrt(x) is forgotten", lambda gr, g, s: (g / s[0],))
altered(
    "sqrt",
    "wrong_operand",
    "x divides instead of its root",
    lambda grads, g, saved: (g / (2 * saved[0] ** 2),),
)
altered(
    "sqrt",
    "wrong_operand",
    "the root multiplies instead of dividing",
    lambda grads, g, saved: (g * saved[0] / 2,),
)

altered(
    "tanh",
    "wrong_operand",
    "the square of 1 - out^2 is forgotten",
    lambda grads, g, saved: (g * (1 - saved[0]),),
)
altered(
    "tanh",
    "wrong_operand",
    "1 - tanh(out)^2: the derivative at the output, not the input",
    lambda grads, g, saved: (g * (1 - np.tanh(saved[0]) ** 2),),
)
altered("tanh", "sign_flipped", "out^2 - 1", _each(np.negative))

altered(
    "erf",
    "scaled",
    "the factor 2/sqrt(pi) is forgotten",
    lambda grads, g, saved: (grads[0] * np.sqrt(np.pi) / 2,),
)
altered(
    "erf",
    "wrong_operand",
    "the density of the normal distribution, exp(-x^2/2), is used",
    lambda grads, g, saved: (2 / np.sqrt(np.pi) * g * np.exp(-(saved[0] ** 2) / 2),),
)
altered(
    "erf",
    "wrong_operand",
    "the square of the exponent is forgotten",
    lambda grads, g, saved: (2 / np.sqrt(np.pi) * g * np.exp(-saved[0]),),
)


def _gelu_saving_x(x, *, approximate="none"):
    out, _ = ops.gelu_forward(x, approximate=approximate)
    return out, (x, approximate)


def _cdf(x):
    return (1 + ops.erf_forward(x / np.sqrt(2))[0]) / 2


@wrong("gelu", "missing_sum_term", "x phi(x) of the product rule is forgotten", _gelu_saving_x)
def _(grad_out, saved):
    return (grad_out * _cdf(saved[0]),)


@wrong("gelu", "wrong_operand", "the slope of the tanh form is used for the exact form, "
       "and the other way round", _gelu_saving_x)  # fmt: skip
def _(grad_out, saved):
    x, approximate = saved
    other = "tanh" if approximate == "none" else "none"
    return ops.gelu_backward(grad_out, ops.gelu_forward(x, approximate=other)[1])


@wrong("gelu", "wrong_operand", "the slope of x sigmoid(1.702 x), a third approximation",
       _gelu_saving_x)  # fmt: skip
def _(grad_out, saved):
    s = 1 / (1 + np.exp(-1.702 * saved[0]))
    return (grad_out * (s + 1.702 * saved[0] * s * (1 - s)),)


# --------------------------------------------------------------------- layers with weights


@wrong("linear", "wrong_operand", "grad_x multiplies by weight instead of its transpose")
def _(grad_out, saved):
    weight = saved[1]
    grads = ops.linear_backward(grad_out, saved)
    square = weight.shape[0] == weight.shape[1]
    return grad_out @ weight if square else grads[0], *grads[1:]


altered(
    "linear",
    "transposed",
    "grad_weight is grad_out^T x, as if weight were (out, in)",
    lambda grads, g, saved: (grads[0], grads[1].T, grads[2]),
)
altered(
    "linear",
    "scaled",
    "grad_weight is averaged over the rows",
    lambda grads, g, saved: (grads[0], grads[1] * g.shape[-1] / g.size, grads[2]),
)
altered(
    "linear",
    "missing_broadcast_sum",
    "grad_bias is not summed over the rows",
    lambda grads, g, saved: (*grads[:2], None if grads[2] is None else g),
)


@wrong("embedding", "overwritten_duplicates", "grad[ids] = grad_out: repeated ids do not add up")
def _(grad_out, saved):
    ids, shape, dtype, padding_idx = saved
    grad = np.zeros(shape, dtype)
    grad[ids] += grad_out
    if padding_idx is not None:
        grad[padding_idx] = 0
    return None, grad


@wrong("embedding", "wrong_entries", "rows are handed out in the order of sorted ids")
def _(grad_out, saved):
    ids = np.sort(saved[0].reshape(-1))
    return ops.embedding_backward(grad_out, (ids, *saved[1:]))


@wrong("embedding", "wrong_entries", "repeated ids are averaged instead of added")
def _(grad_out, saved):
    counts = np.bincount(saved[0].reshape(-1), minlength=saved[1][0])
    return None, ops.embedding_backward(grad_out, saved)[1] / np.maximum(counts, 1)[:, None]


altered(
    "positional_encoding",
    "scaled",
    "grad_table is averaged over the batch",
    lambda grads, g, saved: (grads[0], grads[1] / len(g)),
)
altered(
    "positional_encoding",
    "wrong_shape",
    "grad_table has only the rows that were used",
    lambda grads, g, saved: (grads[0], g.sum(axis=0)),
)
altered(
    "positional_encoding",
    "wrong_entries",
    "grad_table is shifted by one position",
    lambda grads, g, saved: (grads[0], np.roll(grads[1], 1, axis=0)),
)


# --------------------------------------------------------------------- softmax and the loss


@wrong("softmax", "missing_sum_term", "only the diagonal p (1 - p) of the Jacobian is used")
def _(grad_out, saved):
    p, _axis = saved
    return (grad_out * p * (1 - p),)


@wrong("softmax", "missing_sum_term", "the row sum of (1) is forgotten")
def _(grad_out, saved):
    return (grad_out * saved[0],)


@wrong("softmax", "wrong_axis", "the sum runs over the whole array instead of the axis")
def _(grad_out, saved):
    p, _axis = saved
    return (p * (grad_out - (grad_out * p).sum()),)


altered("softmax", "zero_gradient", "the gradient is zero", _each(np.zeros_like))
altered("softmax", "sign_flipped", "the bracket of (1) is turned round", _each(np.negative))


@wrong("log_softmax", "missing_sum_term", "the sum over grad_out in (2) is forgotten")
def _(grad_out, saved):
    return (grad_out - np.exp(saved[0]),)


@wrong("log_softmax", "wrong_operand", "log p stands where p belongs")
def _(grad_out, saved):
    log_p, axis = saved
    return (grad_out - log_p * grad_out.sum(axis=axis, keepdims=True),)


@wrong("log_softmax", "missing_sum_term", "the second term of (2) is forgotten")
def _(grad_out, saved):
    return (grad_out,)


@wrong("cross_entropy", "missing_sum_term", "the one at the target is not subtracted")
def _(grad_out, saved):
    e, total, y, kept, w_y, weight, w_sum, s, denominator, reduction, shape = saved
    per_row = grad_out.reshape(-1) if reduction == "none" else grad_out
    if reduction == "mean":
        per_row = per_row / denominator
    return (e / total * (w_y * per_row)[:, None]).reshape(shape), None


def _cross_entropy_with(**changes):
    """A backward that sees other saved values than forward left."""
    names = "e total y kept w_y weight w_sum s denominator reduction shape".split()

    def backward(grad_out, saved):
        values = dict(zip(names, saved, strict=True))
        values.update({name: change(values) for name, change in changes.items()})
        return ops.cross_entropy_backward(grad_out, tuple(values.values()))

    return backward


wrong("cross_entropy", "scaled", "the mean's division by the number of targets is forgotten")(
    _cross_entropy_with(denominator=lambda v: v["denominator"] and 1.0)
)
wrong("cross_entropy", "wrong_entries", "rows with ignore_index get a gradient")(
    _cross_entropy_with(w_y=lambda v: np.where(v["kept"], v["w_y"], 1.0))
)
wrong("cross_entropy", "wrong_operand", "label smoothing is forgotten")(
    _cross_entropy_with(s=lambda v: 0.0)
)
altered(
    "cross_entropy",
    "ignores_upstream",
    "grad_out is forgotten",
    lambda grads, g, saved: ops.cross_entropy_backward(np.ones_like(g), saved),
)


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


# ------------------------------------------------------------- layer norm and attention


def _layer_norm_grad_x(formula):
    """A layer norm backward with another formula for grad_x."""

    def backward(grad_out, saved):
        x_hat, rstd, gamma, _ = saved
        grads = ops.layer_norm_backward(grad_out, saved)
        return formula(grad_out * gamma, x_hat, rstd), *grads[1:]

    return backward


def _row_mean(x):
    return x.mean(axis=-1, keepdims=True)


wrong("layer_norm", "missing_mean_term", "mean(g) of (1) is forgotten")(
    _layer_norm_grad_x(lambda g, x_hat, rstd: rstd * (g - x_hat * _row_mean(g * x_hat)))
)
wrong("layer_norm", "missing_mean_term", "x_hat mean(g x_hat) of (1) is forgotten")(
    _layer_norm_grad_x(lambda g, x_hat, rstd: rstd * (g - _row_mean(g)))
)
wrong("layer_norm", "wrong_operand", "the mean and variance are treated as constants")(
    _layer_norm_grad_x(lambda g, x_hat, rstd: rstd * g)
)
wrong("layer_norm", "wrong_operand", "1 / sqrt(var + eps) is forgotten")(
    _layer_norm_grad_x(lambda g, x_hat, rstd: g - _row_mean(g) - x_hat * _row_mean(g * x_hat))
)


@wrong("layer_norm", "wrong_operand", "gamma is forgotten on the way to x")
def _(grad_out, saved):
    x_hat, rstd, gamma, has_beta = saved
    grads = ops.layer_norm_backward(grad_out, saved)
    without = ops.layer_norm_backward(grad_out, (x_hat, rstd, np.ones_like(gamma), has_beta))
    return without[0], *grads[1:]


altered(
    "layer_norm",
    "missing_sum_term",
    "grad_gamma is not multiplied by x_hat",
    lambda grads, g, saved: (grads[0], g.sum(axis=(0, 1)), grads[2]),
)

altered(
    "scaled_dot_product_attention",
    "scaled",
    "the scale is forgotten on the way to q",
    lambda grads, g, saved: (grads[0] / saved[4], *grads[1:]),
)
altered(
    "scaled_dot_product_attention",
    "scaled",
    "the scale is forgotten on the way to k",
    lambda grads, g, saved: (grads[0], grads[1] / saved[4], grads[2]),
)


def _attention_parts(grad_out, saved):
    """(p, grad_p) with the heads of each group stacked, and the stacked grad_out."""
    _q, k, v, p, _scale, _mask = saved
    B, H, T, S = p.shape
    G = k.shape[1]
    g = grad_out.reshape(B, G, H // G * T, -1)
    return p.reshape(B, G, H // G * T, S), g @ v.swapaxes(-1, -2), g


@wrong("scaled_dot_product_attention", "missing_sum_term",
       "the row sum of the softmax backward is forgotten")  # fmt: skip
def _(grad_out, saved):
    q, k, _v, _p, scale, _mask = saved
    p, grad_p, _ = _attention_parts(grad_out, saved)
    grad_s = p * grad_p
    grad_k = grad_s.swapaxes(-1, -2) @ q.reshape(*grad_s.shape[:3], -1)
    right = ops.scaled_dot_product_attention_backward(grad_out, saved)
    return (scale * (grad_s @ k)).reshape(q.shape), grad_k, right[2]


@wrong("scaled_dot_product_attention", "wrong_operand",
       "the softmax between scores and weights is skipped in backward")  # fmt: skip
def _(grad_out, saved):
    q, k, _v, _p, scale, _mask = saved
    _, grad_p, _ = _attention_parts(grad_out, saved)
    grad_k = grad_p.swapaxes(-1, -2) @ q.reshape(*grad_p.shape[:3], -1)
    right = ops.scaled_dot_product_attention_backward(grad_out, saved)
    return (scale * (grad_p @ k)).reshape(q.shape), grad_k, right[2]


@wrong("scaled_dot_product_attention", "wrong_entries", "the dropout mask is forgotten in backward")
def _(grad_out, saved):
    return ops.scaled_dot_product_attention_backward(grad_out, (*saved[:-1], None))


@wrong("scaled_dot_product_attention", "wrong_operand", "grad_v uses p instead of its transpose")
def _(grad_out, saved):
    p, _, g = _attention_parts(grad_out, saved)
    right = ops.scaled_dot_product_attention_backward(grad_out, saved)
    return *right[:2], p @ g if p.shape[-1] == p.shape[-2] else right[2]


# -------------------------------------------------------------- activations and selection

# fmt: off
altered("relu", "ignores_upstream", "grad_out is forgotten",
        lambda grads, g, saved: (saved[0].astype(float),))
altered("relu", "dropped_branch", "the gradient passes where x is negative",
        lambda grads, g, saved: (g * ~saved[0],))
altered("relu", "wrong_entries", "the gradient passes everywhere", lambda grads, g, saved: (g,))

altered("sigmoid", "wrong_operand", "the square of s is forgotten: s instead of s (1 - s)",
        lambda grads, g, saved: (g * saved[0],))
altered("sigmoid", "wrong_operand", "1 - s^2, the slope of tanh",
        lambda grads, g, saved: (g * (1 - saved[0] ** 2),))
altered("sigmoid", "wrong_operand", "the slope is taken at the output instead of the input",
        lambda grads, g, saved: (g * ops.sigmoid_forward(saved[0])[0]
                                 * (1 - ops.sigmoid_forward(saved[0])[0]),))

altered("silu", "missing_sum_term", "x s (1 - s) of the product rule is forgotten",
        lambda grads, g, saved: (g * saved[1],))
altered("silu", "missing_sum_term", "s of the product rule is forgotten",
        lambda grads, g, saved: (g * saved[0] * saved[1] * (1 - saved[1]),))
altered("silu", "wrong_operand", "s (1 - s), the slope of sigmoid alone",
        lambda grads, g, saved: (g * saved[1] * (1 - saved[1]),))

altered("maximum", "wrong_entries", "both operands get the whole gradient",
        lambda grads, g, saved: (unbroadcast(g, saved[0].shape),
                                 None if grads[1] is None else unbroadcast(g, saved[1].shape)))
altered("maximum", "dropped_branch", "the smaller operand gets the gradient",
        lambda grads, g, saved: (
            unbroadcast(g * (saved[0] < saved[1]), saved[0].shape),
            None if grads[1] is None else unbroadcast(g * (saved[1] < saved[0]), saved[1].shape)))
altered("maximum", "zero_gradient", "the second operand gets nothing",
        lambda grads, g, saved: (grads[0] * 0 if grads[1] is None else grads[0],
                                 None if grads[1] is None else np.zeros_like(grads[1])))

altered("where", "dropped_branch", "the branches are exchanged",
        lambda grads, g, saved: ops.where_backward(g, (~saved[0], *saved[1:])))
altered("where", "wrong_entries", "the condition is forgotten",
        lambda grads, g, saved: tuple(unbroadcast(g, shape) for shape in saved[1:]))
altered("where", "missing_broadcast_sum", "a broadcast branch is not summed",
        lambda grads, g, saved: (g * saved[0], None if grads[1] is None else g * ~saved[0]))

# ------------------------------------------------------------------------- further losses

altered("binary_cross_entropy_with_logits", "missing_sum_term", "the target is not subtracted",
        lambda grads, g, saved: ops.binary_cross_entropy_with_logits_backward(
            g, (saved[0], np.zeros_like(saved[1]), saved[2])))
altered("binary_cross_entropy_with_logits", "scaled", "the division by n of the mean is forgotten",
        lambda grads, g, saved: (grads[0] * saved[0].size if saved[2] == "mean" else grads[0], None))
altered("binary_cross_entropy_with_logits", "wrong_operand", "the logit stands where p belongs",
        lambda grads, g, saved: (grads[0] / (ops.sigmoid_forward(saved[0])[0] - saved[1])
                                 * (saved[0] - saved[1]), None))

altered("mean_squared_error", "scaled", "the 2 of 2 (x - t) is forgotten",
        lambda grads, g, saved: (grads[0] / 2, None))
altered("mean_squared_error", "sign_flipped", "t - x instead of x - t",
        lambda grads, g, saved: (-grads[0], None))
altered("mean_squared_error", "scaled", "the division by n of the mean is forgotten",
        lambda grads, g, saved: (grads[0] * saved[0].size if saved[1] == "mean" else grads[0], None))

# ------------------------------------------------------------- rms norm and rotary positions

altered("rms_norm", "missing_mean_term", "x_hat mean(g x_hat) of (1) is forgotten",
        lambda grads, g, saved: (saved[1] * g * saved[2], grads[1]))
altered("rms_norm", "missing_mean_term", "mean(g) is subtracted, as in layer norm",
        lambda grads, g, saved: (grads[0] - saved[1] * _row_mean(g * saved[2]), grads[1]))
altered("rms_norm", "wrong_operand", "r is forgotten",
        lambda grads, g, saved: (grads[0] / saved[1], grads[1]))
altered("rms_norm", "missing_sum_term", "grad_gamma is not multiplied by x_hat",
        lambda grads, g, saved: (grads[0], g.sum(axis=(0, 1))))

altered("rotary_embedding", "wrong_operand", "turned on by the angle instead of back",
        lambda grads, g, saved: ops.rotary_embedding_backward(g, (saved[0], -saved[1], saved[2])))
altered("rotary_embedding", "wrong_operand", "the other layout of the pairs is turned back",
        lambda grads, g, saved: ops.rotary_embedding_backward(g, (*saved[:2], not saved[2])))
altered("rotary_embedding", "dropped_branch", "only the cosine terms are there",
        lambda grads, g, saved: ops.rotary_embedding_backward(
            g, (saved[0], np.zeros_like(saved[1]), saved[2])))

# ------------------------------------------------------------------------ recurrent networks


def _changed_saved(operation: str, position: int, change: Callable) -> Callable:
    """A change that runs the right backward on other saved values."""
    right = getattr(ops, f"{operation}_backward")
    return lambda grads, g, saved: right(
        g, (*saved[:position], change(saved), *saved[position + 1:]))


def _exchanged(position: int) -> Callable:
    """Recurrent weights that are transposed block by block: W instead of W^T on the way back."""
    def change(saved: tuple) -> Any:
        weight = saved[position]
        blocks = np.split(weight, weight.shape[1] // weight.shape[0], axis=1)
        return np.concatenate([block.T for block in blocks], axis=1)
    return change


for _name, _weight_h, _last in (("rnn", 3, 1), ("gru", 4, 1), ("lstm", 5, 1)):
    altered(_name, "dropped_branch", "nothing is sent back through time",
            _changed_saved(_name, _weight_h, lambda saved, w=_weight_h: np.zeros_like(saved[w])))
    altered(_name, "wrong_operand", "weight_h instead of its transpose on the way back",
            _changed_saved(_name, _weight_h, _exchanged(_weight_h)))
    altered(_name, "dropped_branch", "the gradient of the last state is forgotten",
            lambda grads, g, saved, name=_name: getattr(ops, f"{name}_backward")(
                (g[0], np.zeros_like(g[1]), *g[2:]), saved))
altered("rnn", "scaled", "the gradients of the weights are averaged over time",
        lambda grads, g, saved: (*grads[:2], grads[2] / len(saved[0]), *grads[3:]))
altered("lstm", "dropped_branch", "the gradient of the last cell is forgotten",
        lambda grads, g, saved: ops.lstm_backward((*g[:2], np.zeros_like(g[2])), saved))
altered("lstm", "wrong_entries", "the columns are taken as i | f | o | g",
        _changed_saved("lstm", 3, lambda saved: np.concatenate(
            [*np.split(saved[3], 4, axis=1)[:2], *np.split(saved[3], 4, axis=1)[:1:-1]], axis=1)))
altered("lstm", "scaled", "the gradients of the weights are averaged over time",
        lambda grads, g, saved: (*grads[:3], grads[3] / len(saved[0]), *grads[4:]))
altered("gru", "missing_sum_term", "the reset gate is forgotten on the way to weight_h",
        lambda grads, g, saved: ops.gru_backward(g, (
            *saved[:2], (np.ones_like(saved[2][0]), *saved[2][1:]), *saved[3:])))
# fmt: on
