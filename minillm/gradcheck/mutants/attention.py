"""Wrong backwards of scaled_dot_product_attention."""

from ... import ops
from .registry import seen_altered as altered
from .registry import seen_wrong as wrong

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


def attention_parts(grad_out, saved):
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
    p, grad_p, _ = attention_parts(grad_out, saved)
    grad_s = p * grad_p
    grad_k = grad_s.swapaxes(-1, -2) @ q.reshape(*grad_s.shape[:3], -1)
    right = ops.scaled_dot_product_attention_backward(grad_out, saved)
    return (scale * (grad_s @ k)).reshape(q.shape), grad_k, right[2]


@wrong("scaled_dot_product_attention", "wrong_operand",
       "the softmax between scores and weights is skipped in backward")  # fmt: skip
def _(grad_out, saved):
    q, k, _v, _p, scale, _mask = saved
    _, grad_p, _ = attention_parts(grad_out, saved)
    grad_k = grad_p.swapaxes(-1, -2) @ q.reshape(*grad_p.shape[:3], -1)
    right = ops.scaled_dot_product_attention_backward(grad_out, saved)
    return (scale * (grad_p @ k)).reshape(q.shape), grad_k, right[2]


@wrong("scaled_dot_product_attention", "wrong_entries", "the dropout mask is forgotten in backward")
def _(grad_out, saved):
    return ops.scaled_dot_product_attention_backward(grad_out, (*saved[:-1], None))


@wrong("scaled_dot_product_attention", "wrong_operand", "grad_v uses p instead of its transpose")
def _(grad_out, saved):
    p, _, g = attention_parts(grad_out, saved)
    right = ops.scaled_dot_product_attention_backward(grad_out, saved)
    return *right[:2], p @ g if p.shape[-1] == p.shape[-2] else right[2]
