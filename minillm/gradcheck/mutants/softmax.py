"""Wrong backwards of softmax and log_softmax."""

import numpy as np

from .changes import each
from .registry import seen_altered as altered
from .registry import seen_wrong as wrong


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


altered("softmax", "zero_gradient", "the gradient is zero", each(np.zeros_like))


altered("softmax", "sign_flipped", "the bracket of (1) is turned round", each(np.negative))


@wrong("log_softmax", "ignores_upstream", "the sum over grad_out in (2) is forgotten")
def _(grad_out, saved):
    return (grad_out - np.exp(saved[0]),)


@wrong("log_softmax", "wrong_operand", "log p stands where p belongs")
def _(grad_out, saved):
    log_p, axis = saved
    return (grad_out - log_p * grad_out.sum(axis=axis, keepdims=True),)


@wrong("log_softmax", "missing_sum_term", "the second term of (2) is forgotten")
def _(grad_out, saved):
    return (grad_out,)
