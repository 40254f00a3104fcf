"""More wrong backwards of the layers with weights or tables: matmul, linear, embedding, positions."""

import numpy as np

from ... import ops
from .changes import each, first_use, overwriting
from .registry import altered, wrong

# ------------------------------------------------------------------------------------- matmul


@wrong("matmul", "missing_broadcast_sum", "of a shared matrix only the first use counts")
def _(grad_out, saved):
    a, b = saved
    if a.ndim < 3 or b.ndim < 2:
        return ops.matmul_backward(grad_out, saved)
    return (
        first_use(grad_out @ b.swapaxes(-1, -2), a.shape),
        first_use(a.swapaxes(-1, -2) @ grad_out, b.shape),
    )


altered(
    "matmul",
    "transposed",
    "grad_a is computed as b grad_out^T",
    lambda grads, g, saved: (
        grads[0].swapaxes(-1, -2) if saved[0].ndim > 1 else grads[0],
        grads[1],
    ),
)
altered(
    "matmul",
    "wrong_shape",
    "a vector keeps the axis that made a matrix of it",
    lambda grads, g, saved: (
        grads[0][None] if saved[0].ndim == 1 else grads[0],
        grads[1][:, None] if saved[1].ndim == 1 else grads[1],
    ),
)
altered(
    "matmul",
    "scaled",
    "grad_a is divided by sqrt(K), as in attention",
    lambda grads, g, saved: (grads[0] / np.sqrt(saved[0].shape[-1]), grads[1]),
)
altered(
    "matmul",
    "wrong_dtype",
    "grad_b is added up in float16",
    lambda grads, g, saved: (grads[0], grads[1].astype(np.float16)),
)
altered(
    "matmul",
    "ignores_upstream",
    "grad_b is a^T times ones",
    lambda grads, g, saved: (grads[0], ops.matmul_backward(np.ones_like(g), saved)[1]),
)
altered(
    "matmul",
    "zero_gradient",
    "the second operand gets None",
    lambda grads, g, saved: (grads[0], None),
)

# ------------------------------------------------------------------------------------- linear

altered(
    "linear",
    "missing_broadcast_sum",
    "grad_bias is that of the first row alone",
    lambda grads, g, saved: (*grads[:2], None if grads[2] is None else g[0, 0]),
)
altered(
    "linear",
    "missing_broadcast_sum",
    "grad_weight is that of the first batch entry alone",
    lambda grads, g, saved: (grads[0], saved[0][0].T @ g[0], grads[2]),
)
altered("linear", "zero_gradient", "the bias gets None", lambda grads, g, saved: (*grads[:2], None))
altered(
    "linear",
    "wrong_shape",
    "grad_bias keeps the summed axis with size 1",
    lambda grads, g, saved: (*grads[:2], None if grads[2] is None else grads[2][None]),
)
altered(
    "linear",
    "ignores_upstream",
    "grad_out is forgotten in grad_weight",
    lambda grads, g, saved: (grads[0], ops.linear_backward(np.ones_like(g), saved)[1], grads[2]),
)
altered(
    "linear",
    "wrong_dtype",
    "grad_weight is computed in float32",
    lambda grads, g, saved: (grads[0], grads[1].astype(np.float32), grads[2]),
)
wrong("linear", "mutated_input", "x -= its mean: x is centred for the product")(
    overwriting("linear", lambda g, saved: np.subtract(saved[0], saved[0].mean(), out=saved[0]))
)

# ---------------------------------------------------------------------------------- embedding


@wrong("embedding", "overwritten_duplicates", "an id that repeats within a sequence counts once")
def _(grad_out, saved):
    ids, shape, dtype, _padding_idx = saved
    grad = np.zeros(shape, dtype)
    for sequence, rows in zip(ids, grad_out, strict=True):
        grad[sequence] += rows
    return None, grad


@wrong("embedding", "overwritten_duplicates", "np.unique keeps the first use of each id")
def _(grad_out, saved):
    ids, shape, dtype, _padding_idx = saved
    grad = np.zeros(shape, dtype)
    rows, places = np.unique(ids, return_index=True)
    grad[rows] = grad_out.reshape(-1, shape[1])[places]
    return None, grad


@wrong("embedding", "ignores_upstream", "how often each id occurs is returned")
def _(grad_out, saved):
    return ops.embedding_backward(np.ones_like(grad_out), saved)


@wrong("embedding", "not_finite", "divided by how often each id occurs, which may be 0")
def _(grad_out, saved):
    counts = ops.embedding_backward(np.ones_like(grad_out), saved)[1]
    return None, ops.embedding_backward(grad_out, saved)[1] / counts


altered(
    "embedding",
    "transposed",
    "the gradient comes out as (C, V)",
    lambda grads, g, saved: (None, grads[1].T),
)
altered(
    "embedding",
    "wrong_shape",
    "one row for each id instead of each row of the table",
    lambda grads, g, saved: (None, g.reshape(-1, g.shape[-1])),
)
altered(
    "embedding",
    "wrong_entries",
    "the rows are counted from 1",
    lambda grads, g, saved: (None, np.roll(grads[1], 1, axis=0)),
)
altered(
    "embedding",
    "wrong_entries",
    "row 0 is taken for padding and gets no gradient",
    lambda grads, g, saved: (None, grads[1] * (np.arange(len(grads[1])) > 0)[:, None]),
)
altered(
    "embedding",
    "wrong_dtype",
    "the table of zeros is float32",
    lambda grads, g, saved: (None, grads[1].astype(np.float32)),
)

# ------------------------------------------------------------------------- positional_encoding


def _table(kind, story, formula):
    """A positional encoding backward with another grad_table: formula(grad_table, g, T)."""
    altered(
        "positional_encoding",
        kind,
        story,
        lambda grads, g, saved: (grads[0], formula(grads[1], g, g.shape[-2])),
    )


_table(
    "missing_broadcast_sum",
    "grad_table is that of the first sequence of the batch",
    lambda table, g, T: np.concatenate([g[0], np.zeros_like(table[T:])]),
)
_table(
    "missing_broadcast_sum",
    "grad_table is not summed over the batch",
    lambda table, g, T: np.stack([np.concatenate([x, np.zeros_like(table[T:])]) for x in g]),
)
_table("zero_gradient", "the table is taken for a fixed one: None", lambda table, g, T: None)
_table(
    "wrong_axis",
    "the sum runs over the positions, too",
    lambda table, g, T: (np.arange(len(table)) < T)[:, None] * g.sum(axis=(0, 1)),
)
_table(
    "wrong_entries",
    "rows beyond the sequence get the gradient of the last position",
    lambda table, g, T: np.concatenate([table[:T], *(table[T - 1 : T] for _ in table[T:])]),
)
_table("transposed", "grad_table comes out as (C, P)", lambda table, g, T: table.T)

# ---------------------------------------------------------------------------- rotary_embedding


def _turned(kind, story, tables):
    """The right backward with other tables: tables(cos, sin)."""
    altered(
        "rotary_embedding",
        kind,
        story,
        lambda grads, g, saved: ops.rotary_embedding_backward(g, (*tables(*saved[:2]), saved[2])),
    )


_turned(
    "dropped_branch", "only the sine terms are there", lambda cos, sin: (np.zeros_like(cos), sin)
)
_turned("wrong_operand", "sine and cosine are exchanged", lambda cos, sin: (sin, cos))
_turned(
    "wrong_operand",
    "the positions are counted from the end",
    lambda cos, sin: (cos[::-1], sin[::-1]),
)


@wrong("rotary_embedding", "dropped_branch", "both sine terms get a plus")
def _(grad_out, saved):
    cos, sin, interleaved = saved
    half = grad_out.shape[-1] // 2
    first, second = (slice(0, None, 2), slice(1, None, 2)) if interleaved else (
        slice(0, half), slice(half, None))  # fmt: skip
    grad = np.empty_like(grad_out)
    grad[..., first] = grad_out[..., first] * cos + grad_out[..., second] * sin
    grad[..., second] = grad_out[..., second] * cos + grad_out[..., first] * sin
    return (grad,)


altered(
    "rotary_embedding",
    "transposed",
    "positions and heads are left exchanged",
    lambda grads, g, saved: (grads[0].swapaxes(1, 2),),
)
altered(
    "rotary_embedding",
    "wrong_shape",
    "the pairs are left as an axis of their own",
    lambda grads, g, saved: (grads[0].reshape(*g.shape[:-1], -1, 2),),
)
altered(
    "rotary_embedding",
    "wrong_dtype",
    "the tables of float32 decide",
    each(lambda x: x.astype(np.float32)),
)
altered(
    "rotary_embedding",
    "ignores_upstream",
    "grad_out is scaled to length 1 before it is turned",
    lambda grads, g, saved: (grads[0] / np.linalg.norm(g),),
)
wrong("rotary_embedding", "mutated_input", "grad_out is turned in place")(
    overwriting(
        "rotary_embedding",
        lambda g, saved: np.copyto(g, ops.rotary_embedding_backward(g, saved)[0]),
    )
)
