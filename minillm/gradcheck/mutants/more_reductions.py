"""More wrong backwards of sum, mean and max."""

import numpy as np

from ... import ops
from .changes import overwriting
from .registry import altered, wrong


def _count(shape, axes):
    return int(np.prod([shape[axis] for axis in axes]))


altered(
    "sum",
    "wrong_axis",
    "np.repeat spreads along the last axis, whichever axis was summed",
    lambda grads, g, saved: (np.repeat(g.reshape(-1), grads[0].size // g.size).reshape(saved[0]),),
)
altered(
    "sum",
    "wrong_shape",
    "grad_out is returned without being spread out",
    lambda grads, g, saved: (g,),
)
altered(
    "sum",
    "scaled",
    "the gradient is multiplied by the number of summed entries",
    lambda grads, g, saved: (grads[0] * _count(*saved[:2]),),
)
altered(
    "sum",
    "wrong_dtype",
    "grad_out is added to np.full(shape, 0), an array of integers",
    lambda grads, g, saved: (np.full(saved[0], 0) + grads[0].astype(np.int64),),
)
altered(
    "sum",
    "ignores_upstream",
    "only the sign of grad_out is passed on",
    lambda grads, g, saved: (np.sign(grads[0]),),
)


@wrong("sum", "wrong_entries", "only the first entry of each sum gets the gradient")
def _(grad_out, saved):
    shape, axes, _keepdims = saved
    first = np.zeros(shape, dtype=bool)
    first[tuple(0 if i in axes else slice(None) for i in range(len(shape)))] = True
    return (ops.sum_backward(grad_out, saved)[0] * first,)


altered(
    "mean",
    "scaled",
    "n - 1 divides instead of n",
    lambda grads, g, saved: (grads[0] * (_count(*saved[:2]) / (_count(*saved[:2]) - 1)),),
)
altered(
    "mean",
    "wrong_axis",
    "np.resize repeats along the first axis, whichever was averaged",
    lambda grads, g, saved: (np.resize(g / _count(*saved[:2]), saved[0]),),
)
altered(
    "mean",
    "wrong_shape",
    "an axis of size 1 stays in front",
    lambda grads, g, saved: (grads[0][None],),
)
altered(
    "mean",
    "zero_gradient",
    "1 // n is computed with integers, and is 0",
    lambda grads, g, saved: (grads[0] * (1 // _count(*saved[:2])),),
)
wrong("mean", "mutated_input", "grad_out /= n: grad_out itself is divided")(
    overwriting("mean", lambda g, saved: np.divide(g, _count(*saved[:2]), out=g))
)


@wrong("mean", "not_finite", "the product of the sizes is begun with 0, and divides")
def _(grad_out, saved):
    shape, axes, keepdims = saved
    count = 0
    for axis in axes:
        count *= shape[axis]
    return ops.sum_backward(np.asarray(grad_out / np.float64(count)), (shape, axes, keepdims))


@wrong("max", "wrong_entries", "the smallest entry gets the gradient")
def _(grad_out, saved):
    x, _out, axes, keepdims = saved
    smallest = x == x.min(axis=axes, keepdims=True)
    return (ops.sum_backward(grad_out, (x.shape, axes, keepdims))[0] * smallest,)


altered(
    "max",
    "wrong_entries",
    "only the largest of the whole array gets a gradient",
    lambda grads, g, saved: (grads[0] * (saved[0] == saved[0].max()),),
)
altered(
    "max",
    "wrong_shape",
    "grad_out is returned without being put into place",
    lambda grads, g, saved: (g,),
)
altered(
    "max",
    "scaled",
    "the gradient is divided by the number of entries, as for a mean",
    lambda grads, g, saved: (grads[0] / _count(saved[0].shape, saved[2]),),
)
altered(
    "max",
    "wrong_dtype",
    "the mask of the largest entries is returned",
    lambda grads, g, saved: (grads[0] != 0,),
)
wrong("max", "mutated_input", "the largest is subtracted from x in place to find the zeros")(
    overwriting("max", lambda g, saved: np.subtract(saved[0], saved[0].max(), out=saved[0]))
)
