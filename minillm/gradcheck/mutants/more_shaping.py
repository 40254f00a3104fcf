"""More wrong backwards of the operations that only move numbers."""

import numpy as np

from ... import ops
from .changes import each, overwriting
from .registry import altered, wrong

altered(
    "reshape",
    "wrong_entries",
    "the entries are put back in reverse order",
    lambda grads, g, saved: (g.reshape(-1)[::-1].reshape(saved[0]),),
)
altered(
    "reshape",
    "wrong_shape",
    "the sizes of the old shape are taken in reverse order",
    lambda grads, g, saved: (g.reshape(saved[0][::-1]),),
)
altered(
    "reshape",
    "wrong_dtype",
    "a new array of float32 is filled",
    each(lambda x: x.astype(np.float32)),
)
altered(
    "reshape", "ignores_upstream", "ones are returned, as only places change", each(np.ones_like)
)
altered(
    "reshape",
    "scaled",
    "the gradient is divided by the number of new rows",
    lambda grads, g, saved: (grads[0] / len(g),),
)

altered(
    "transpose",
    "transposed",
    "only the last two axes are exchanged",
    lambda grads, g, saved: (g.swapaxes(-1, -2),),
)
altered(
    "transpose",
    "wrong_entries",
    "reshape is used to get back to the old shape",
    lambda grads, g, saved: (g.reshape(grads[0].shape),),
)
altered("transpose", "sign_flipped", "the gradient gets a minus", each(np.negative))
altered(
    "transpose",
    "ignores_upstream",
    "grad_out is divided by its own length",
    lambda grads, g, saved: (grads[0] / np.linalg.norm(g),),
)
altered("transpose", "wrong_shape", "all axes are flattened into one", each(np.ravel))


@wrong(
    "getitem", "overwritten_duplicates", "of an entry that is taken again only the first use counts"
)
def _(grad_out, saved):
    shape, dtype, index = saved
    if not isinstance(index, np.ndarray) or index.dtype == bool:
        return ops.getitem_backward(grad_out, saved)
    grad_x = np.zeros(shape, dtype)
    rows, places = np.unique(index, return_index=True)
    grad_x[rows] = grad_out[places]
    return (grad_x,)


@wrong("getitem", "wrong_entries", "grad_out fills the array from the start, whatever the index")
def _(grad_out, saved):
    shape, dtype, _index = saved
    grad_x = np.zeros(shape, dtype)
    grad_x.reshape(-1)[: grad_out.size] = grad_out.reshape(-1)[: grad_x.size]
    return (grad_x,)


@wrong("getitem", "not_finite", "divided by how often each entry was taken, which may be 0")
def _(grad_out, saved):
    total = ops.getitem_backward(grad_out, saved)[0]
    return (total / ops.getitem_backward(np.ones_like(grad_out), saved)[0],)


altered(
    "getitem", "wrong_dtype", "the zeros to fill are float32", each(lambda x: x.astype(np.float32))
)

altered(
    "split",
    "dropped_branch",
    "the last piece is forgotten",
    lambda grads, g, saved: ops.split_backward((*g[:-1], np.zeros_like(g[-1])), saved),
)
altered(
    "split",
    "wrong_entries",
    "equal pieces are interleaved instead of put end to end",
    lambda grads, g, saved: (
        np.stack(g, axis=saved[0] + 1).reshape(grads[0].shape)
        if len({x.shape for x in g}) == 1
        else grads[0],
    ),
)
altered(
    "split",
    "scaled",
    "the gradient is divided by the number of pieces",
    lambda grads, g, saved: (grads[0] / len(g),),
)
altered(
    "split",
    "wrong_shape",
    "the pieces are joined along the first axis if they fit",
    lambda grads, g, saved: (
        np.concatenate(g, axis=0) if len({x.shape for x in g}) == 1 else grads[0],
    ),
)
wrong("split", "mutated_input", "the gradients of the pieces are cleared after use")(
    overwriting("split", lambda g, saved: [piece.fill(0) for piece in g])
)

altered(
    "concatenate",
    "wrong_entries",
    "every piece is cut one place too early",
    lambda grads, g, saved: ops.concatenate_backward(np.roll(g, 1, axis=saved[0]), saved),
)
altered(
    "concatenate",
    "wrong_shape",
    "grad_out is cut into pieces of about equal size",
    lambda grads, g, saved: np.array_split(g, len(grads), axis=saved[0]),
)
altered(
    "concatenate",
    "scaled",
    "each piece is divided by the number of arrays",
    lambda grads, g, saved: tuple(x / len(grads) for x in grads),
)
altered(
    "concatenate",
    "ignores_upstream",
    "the pieces are clipped to -1 … 1",
    each(lambda x: np.clip(x, -1, 1)),
)
wrong("concatenate", "wrong_shape", "the pieces come as a list instead of a tuple")(
    lambda grad_out, saved: list(ops.concatenate_backward(grad_out, saved))
)
