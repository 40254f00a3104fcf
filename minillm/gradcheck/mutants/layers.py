"""Wrong backwards of the layers with weights or tables: matmul, linear, embedding, positions."""

import numpy as np

from ... import ops
from .registry import seen_altered as altered
from .registry import seen_wrong as wrong


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


altered(
    "rotary_embedding",
    "wrong_operand",
    "turned on by the angle instead of back",
    lambda grads, g, saved: ops.rotary_embedding_backward(g, (saved[0], -saved[1], saved[2])),
)


altered(
    "rotary_embedding",
    "wrong_operand",
    "the other layout of the pairs is turned back",
    lambda grads, g, saved: ops.rotary_embedding_backward(g, (*saved[:2], not saved[2])),
)


altered(
    "rotary_embedding",
    "dropped_branch",
    "only the cosine terms are there",
    lambda grads, g, saved: ops.rotary_embedding_backward(
        g, (saved[0], np.zeros_like(saved[1]), saved[2])
    ),
)
