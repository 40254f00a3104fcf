"""Wrong backwards of sum, mean and max."""

import numpy as np

from ... import ops
from .changes import each
from .registry import seen_altered as altered
from .registry import seen_wrong as wrong

altered("sum", "ignores_upstream", "ones are returned, whatever grad_out is", each(np.ones_like))


altered(
    "sum",
    "scaled",
    "the gradient of the mean is returned",
    lambda grads, g, saved: (grads[0] * (g.size / grads[0].size),),
)


altered(
    "sum",
    "wrong_entries",
    "the gradients land one place further along the first axis",
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


altered("max", "zero_gradient", "the gradient is zero", each(np.zeros_like))
