"""Wrong backwards of the operations of fine-tuning: the linear layer with a low-rank update."""

import numpy as np

from ... import ops
from .changes import changed_saved, overwriting
from .registry import altered, wrong

# The saved values of lora_linear: x, dropped, m, down, weight, lora_A, lora_B, has_bias, scale.


def _replaced(place, value):
    """A change that puts value(grads, grad_out, saved) in place of one gradient."""
    return lambda grads, g, saved: (
        *grads[:place],
        value(grads, g, saved),
        *grads[place + 1 :],
    )


def _rows(x):
    return x.reshape(-1, x.shape[-1])


altered(
    "lora_linear",
    "wrong_operand",
    "grad_x multiplies by the frozen weight alone, not by weight + scale lora_A lora_B",
    _replaced(0, lambda grads, g, saved: g @ saved[4].T),
)
altered(
    "lora_linear",
    "scaled",
    "scale is forgotten in grad_lora_A",
    _replaced(2, lambda grads, g, saved: grads[2] / saved[8]),
)
altered(
    "lora_linear",
    "scaled",
    "scale stands twice in grad_lora_B, which is multiplied by the scaled down as well",
    _replaced(3, lambda grads, g, saved: grads[3] * saved[8]),
)
altered(
    "lora_linear",
    "zero_gradient",
    "lora_A gets the gradient that it has at the start, where lora_B is zero",
    _replaced(2, lambda grads, g, saved: np.zeros_like(grads[2])),
)
altered(
    "lora_linear",
    "zero_gradient",
    "lora_B is taken for frozen and gets None",
    _replaced(3, lambda grads, g, saved: None),
)
altered(
    "lora_linear",
    "wrong_operand",
    "grad_weight multiplies by down @ lora_A^T instead of x",
    _replaced(1, lambda grads, g, saved: _rows(saved[3] @ saved[5].T).T @ _rows(g)),
)
altered(
    "lora_linear",
    "missing_broadcast_sum",
    "grad_lora_B is that of the first half of the rows alone",
    _replaced(
        3,
        lambda grads, g, saved: (
            saved[8] * (saved[3][: len(saved[3]) // 2].T @ _rows(g)[: len(saved[3]) // 2])
        ),
    ),
)
altered(
    "lora_linear",
    "ignores_upstream",
    "grad_lora_A is computed for a grad_out of ones",
    _replaced(2, lambda grads, g, saved: ops.lora_linear_backward(np.ones_like(g), saved)[2]),
)
altered(
    "lora_linear",
    "wrong_dtype",
    "the small matrices are kept in float16",
    lambda grads, g, saved: (
        *grads[:2],
        *(grad.astype(np.float16) for grad in grads[2:4]),
        grads[4],
    ),
)
altered(
    "lora_linear",
    "sign_flipped",
    "both small matrices go up the gradient",
    lambda grads, g, saved: (*grads[:2], -grads[2], -grads[3], grads[4]),
)
altered(
    "lora_linear",
    "wrong_operand",
    "lora_A stands in place of the weight and lora_B of its update: the products are exchanged",
    changed_saved("lora_linear", 4, lambda saved: saved[5] @ saved[6]),
)


@wrong("lora_linear", "wrong_shape", "small matrices as PEFT's files keep them, (r, in), (out, r)")
def _(grad_out, saved):
    grad_x, grad_weight, grad_A, grad_B, grad_bias = ops.lora_linear_backward(grad_out, saved)
    return grad_x, grad_weight, grad_A.T, grad_B.T, grad_bias


wrong("lora_linear", "mutated_input", "grad_out *= scale, so that no product needs the factor")(
    overwriting("lora_linear", lambda g, saved: np.multiply(g, saved[8], out=g))
)
