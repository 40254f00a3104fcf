"""More wrong backwards of softmax and log_softmax."""

import numpy as np

from ... import ops
from .changes import overwriting
from .registry import altered, wrong


def _softmax(kind, story, formula):
    """A softmax backward by formula(p, g, sum), where sum adds up along the axis."""

    @wrong("softmax", kind, story)
    def _(grad_out, saved):
        p, axis = saved
        return (formula(p, grad_out, lambda x: x.sum(axis=axis, keepdims=True)),)


_softmax(
    "missing_sum_term",
    "the row sum is added instead of subtracted",
    lambda p, g, total: p * (g + total(p * g)),
)
_softmax(
    "missing_sum_term",
    "the row sum is subtracted twice",
    lambda p, g, total: p * (g - 2 * total(p * g)),
)
_softmax(
    "wrong_operand", "the row sum is not multiplied by p", lambda p, g, total: p * g - total(p * g)
)
_softmax(
    "wrong_operand",
    "the row sum is of grad_out alone, without p",
    lambda p, g, total: p * (g - total(g)),
)
_softmax(
    "wrong_axis",
    "the sum always runs over the last axis",
    lambda p, g, total: p * (g - (p * g).sum(axis=-1, keepdims=True)),
)
altered(
    "softmax",
    "transposed",
    "the axis is moved to the end and not moved back",
    lambda grads, g, saved: (np.moveaxis(grads[0], saved[1], -1),),
)
wrong("softmax", "mutated_input", "p *= grad_out: the saved output is used as a buffer")(
    overwriting("softmax", lambda g, saved: np.multiply(g, saved[0], out=saved[0]))
)


def _log_softmax(kind, story, formula):
    """A log_softmax backward by formula(log_p, g, sum), where sum adds up along the axis."""

    @wrong("log_softmax", kind, story)
    def _(grad_out, saved):
        log_p, axis = saved
        return (formula(log_p, grad_out, lambda x: x.sum(axis=axis, keepdims=True)),)


_log_softmax(
    "missing_sum_term",
    "the second term is added instead of subtracted",
    lambda log_p, g, total: g + np.exp(log_p) * total(g),
)
_log_softmax(
    "missing_sum_term",
    "the second term is subtracted twice",
    lambda log_p, g, total: g - 2 * np.exp(log_p) * total(g),
)
_log_softmax(
    "wrong_axis",
    "the sum over grad_out always runs over the first axis",
    lambda log_p, g, total: g - np.exp(log_p) * g.sum(axis=0, keepdims=True),
)
_log_softmax(
    "not_finite",
    "the logarithm of out is taken, which is a logarithm already",
    lambda log_p, g, total: g - np.log(log_p) * total(g),
)
_log_softmax(
    "dropped_branch",
    "the direct term, grad_out, is forgotten",
    lambda log_p, g, total: -np.exp(log_p) * total(g),
)
_log_softmax(
    "wrong_operand", "p is forgotten in the second term", lambda log_p, g, total: g - total(g)
)
altered(
    "log_softmax",
    "wrong_operand",
    "the backward of softmax is used",
    lambda grads, g, saved: ops.softmax_backward(g, (np.exp(saved[0]), saved[1])),
)
