"""Wrong backwards of the operations that only move numbers."""

import numpy as np

from .changes import each
from .registry import seen_altered as altered
from .registry import seen_wrong as wrong

altered(
    "reshape",
    "wrong_entries",
    "entries are put back column by column",
    lambda grads, g, saved: (np.reshape(g, saved[0], order="F"),),
)


altered("reshape", "wrong_shape", "grad_out is returned in its own shape", lambda grads, g, s: (g,))


altered("reshape", "zero_gradient", "the gradient is zero", each(np.zeros_like))


altered(
    "transpose",
    "transposed",
    "the forward order is applied again instead of its inverse",
    lambda grads, g, saved: (g.transpose(tuple(np.argsort(saved[0]))),),
)


altered("transpose", "transposed", "grad_out is returned as it came", lambda grads, g, s: (g,))


altered("transpose", "zero_gradient", "the gradient is zero", each(np.zeros_like))


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
    "dropped_branch",
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
