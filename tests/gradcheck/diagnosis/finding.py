"""Shared: the first finding of a check in which only one gradient is wrong."""

import numpy as np

from minillm.gradcheck import check_gradients

SIZES = [(5, 7, 3), (4, 4, 4)]  # distinct primes, and sizes that hide what an axis is


def table(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


def first(forward, backward, *inputs, **options):
    """The only finding; there must be one."""
    report = check_gradients(forward, backward, *inputs, **options)
    assert not report.passed
    [finding] = report.findings
    assert str(report)
    return finding


def kind_of(forward, backward, *inputs, **options):
    return first(forward, backward, *inputs, **options).kind


# ------------------------------------------------------------------ operations used by several tests


def square(x):
    return x * x, (x,)


def linear(x, w, b):
    return x @ w + b, (x, w)


def linear_backward(g, saved):
    x, w = saved
    return g @ w.T, x.T @ g, g.sum(axis=0)


def linear_inputs(n):
    return table(n[0], n[1]), table(n[1], n[2], seed=4), table(n[2], seed=5)


def altered(backward, index, gradient):
    """The backward, but gradient number `index` is gradient(grad_out, *saved)."""

    def wrong(g, saved):
        grads = list(backward(g, saved))
        grads[index] = gradient(g, *saved)
        return tuple(grads)

    return wrong
