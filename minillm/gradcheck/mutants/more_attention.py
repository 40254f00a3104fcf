"""More wrong backwards of scaled_dot_product_attention."""

import numpy as np

from ... import ops
from .attention import attention_parts
from .changes import overwriting
from .registry import altered, wrong

NAME = "scaled_dot_product_attention"
right_backward = ops.scaled_dot_product_attention_backward


def _other_scores(kind, story, formula):
    """A backward with another grad_s: formula(p, grad_p); grad_v stays right."""

    @wrong(NAME, kind, story)
    def _(grad_out, saved):
        q, k, _v, _p, scale, mask = saved
        p, grad_p, _ = attention_parts(grad_out, saved)
        if mask is not None:
            grad_p = grad_p * mask.reshape(p.shape)
        grad_s = formula(p, grad_p)
        grad_k = grad_s.swapaxes(-1, -2) @ q.reshape(*grad_s.shape[:3], -1)
        return (scale * (grad_s @ k)).reshape(q.shape), grad_k, right_backward(grad_out, saved)[2]


def _each_head(grad_out, saved):
    """(grad_k, grad_v) of every query head, (B, G, H/G, S, ...): not yet summed over the group."""
    q, k, v, p, scale, mask = saved
    group = q.shape[1] // k.shape[1]
    wide = (q, np.repeat(k, group, axis=1), np.repeat(v, group, axis=1), p, scale, mask)
    grads = right_backward(grad_out, wide)[1:]
    return [x.reshape(*k.shape[:2], group, *x.shape[2:]) for x in grads]


_other_scores(
    "missing_sum_term",
    "the row sum of the softmax backward is added",
    lambda p, grad_p: p * (grad_p + (p * grad_p).sum(axis=-1, keepdims=True)),
)
_other_scores(
    "wrong_axis",
    "the sum of the softmax backward runs over the queries",
    lambda p, grad_p: p * (grad_p - (p * grad_p).sum(axis=-2, keepdims=True)),
)
_other_scores(
    "wrong_operand",
    "the sum of the softmax backward is of grad_p alone, without p",
    lambda p, grad_p: p * (grad_p - grad_p.sum(axis=-1, keepdims=True)),
)


@wrong(NAME, "missing_broadcast_sum", "of the queries that share a key only the first head counts")
def _(grad_out, saved):
    grad_k, grad_v = (x[:, :, 0] for x in _each_head(grad_out, saved))
    return right_backward(grad_out, saved)[0], grad_k, grad_v


@wrong(NAME, "missing_broadcast_sum", "the heads that share a key are not summed")
def _(grad_out, saved):
    heads = [x.reshape(x.shape[0], -1, *x.shape[3:]) for x in _each_head(grad_out, saved)]
    return right_backward(grad_out, saved)[0], *heads


@wrong(NAME, "wrong_entries", "the probabilities are computed again without the mask")
def _(grad_out, saved):
    q, k, v, _p, scale, mask = saved
    group = q.shape[1] // k.shape[1]
    s = q @ np.repeat(k, group, axis=1).swapaxes(-1, -2)
    return right_backward(grad_out, (q, k, v, ops.softmax_forward(s)[0], scale, mask))


@wrong(NAME, "not_finite", "p is divided by its row sum again, which is 0 where nothing is seen")
def _(grad_out, saved):
    q, k, v, p, scale, mask = saved
    return right_backward(grad_out, (q, k, v, p / p.sum(axis=-1, keepdims=True), scale, mask))


altered(
    NAME,
    "scaled",
    "the scale is applied twice on the way to k",
    lambda grads, g, saved: (grads[0], grads[1] * saved[4], grads[2]),
)
altered(
    NAME,
    "scaled",
    "the gradient of a shared value is averaged over its heads",
    lambda grads, g, saved: (*grads[:2], grads[2] / max(2, g.shape[1] // grads[2].shape[1])),
)
altered(
    NAME,
    "transposed",
    "grad_k comes out as (B, G, D, S)",
    lambda grads, g, saved: (grads[0], grads[1].swapaxes(-1, -2), grads[2]),
)
altered(
    NAME,
    "zero_gradient",
    "the weights p are taken for constants: q and k get nothing",
    lambda grads, g, saved: (*(np.zeros_like(x) for x in grads[:2]), grads[2]),
)
altered(
    NAME,
    "wrong_entries",
    "only the first head of the queries gets its gradient",
    lambda grads, g, saved: (
        np.concatenate([grads[0][:, :1], np.zeros_like(grads[0][:, 1:])], axis=1),
        *grads[1:],
    ),
)
altered(
    NAME,
    "wrong_shape",
    "grad_q is left with its heads merged, (B, T, H D)",
    lambda grads, g, saved: (grads[0].swapaxes(1, 2).reshape(len(g), g.shape[2], -1), *grads[1:]),
)
altered(
    NAME, "sign_flipped", "grad_v gets a minus", lambda grads, g, saved: (*grads[:2], -grads[2])
)
wrong(NAME, "mutated_input", "the gradient of the scores is formed in the memory of p")(
    overwriting(NAME, lambda g, saved: np.subtract(saved[3], saved[3].mean(), out=saved[3]))
)
