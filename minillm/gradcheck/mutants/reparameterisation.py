"""Wrong backwards of the draws that can be learned, of the KL term, and of weight normalization."""

import numpy as np

from ... import ops
from .changes import each, overwriting
from .registry import altered, wrong

# ---------------------------------------------------------------------- gaussian_sample


def _sample_saving_eps(mu, log_variance, *, rng=None, noise=None):
    z, _ = ops.gaussian_sample_forward(mu, log_variance, rng=rng, noise=noise)
    sigma = np.exp(log_variance * 0.5)
    return z, ((z - mu) / sigma, sigma)


altered(
    "gaussian_sample",
    "scaled",
    "the 1/2 of sigma = exp(log_variance / 2) is forgotten",
    lambda grads, g, saved: (grads[0], 2 * grads[1]),
)
altered(
    "gaussian_sample",
    "zero_gradient",
    "z is taken for data: nothing reaches log_variance",
    lambda grads, g, saved: (grads[0], np.zeros_like(grads[1])),
)
altered(
    "gaussian_sample",
    "wrong_operand",
    "sigma eps is forgotten, log_variance gets half of what mu gets",
    lambda grads, g, saved: (grads[0], 0.5 * g),
)
altered(
    "gaussian_sample",
    "wrong_operand",
    "the deviation is squared, as if the variance itself were drawn",
    lambda grads, g, saved: (grads[0], grads[1] * saved[0]),
)
altered(
    "gaussian_sample",
    "sign_flipped",
    "z = mu - sigma eps is differentiated: the noise is symmetric, its gradient is not",
    lambda grads, g, saved: (grads[0], -grads[1]),
)
altered(
    "gaussian_sample",
    "ignores_upstream",
    "log_variance gets the local derivative alone",
    lambda grads, g, saved: (grads[0], 0.5 * saved[0]),
)
wrong(
    "gaussian_sample",
    "mutated_input",
    "deviation *= grad_out: the saved array is used as a buffer",
)(overwriting("gaussian_sample", lambda g, saved: np.multiply(saved[0], g, out=saved[0])))


@wrong(
    "gaussian_sample",
    "wrong_operand",
    "sigma is forgotten: grad_log_variance = grad_out eps / 2",
    forward=_sample_saving_eps,
)
def _(grad_out, saved):
    eps, _sigma = saved
    return grad_out, grad_out * eps * 0.5


@wrong(
    "gaussian_sample",
    "wrong_operand",
    "eps is forgotten: grad_log_variance = grad_out sigma / 2",
    forward=_sample_saving_eps,
)
def _(grad_out, saved):
    _eps, sigma = saved
    return grad_out, grad_out * sigma * 0.5


# -------------------------------------------------------------------------- gaussian_kl


def _kl(kind, story, formula):
    """A gaussian_kl backward by formula(g, mu, log_variance), g with an axis for the features."""

    @wrong("gaussian_kl", kind, story)
    def _(grad_out, saved):
        mu, log_variance = saved
        return formula(np.asarray(grad_out)[..., None], mu, log_variance)


_kl(
    "dropped_branch",
    "the entropy term -log sigma^2 is forgotten",
    lambda g, mu, log_variance: (g * mu, 0.5 * g * np.exp(log_variance)),
)
_kl(
    "dropped_branch",
    "the term sigma^2 is forgotten, only the entropy is left",
    lambda g, mu, log_variance: (g * mu, -0.5 * g * np.ones_like(mu)),
)
_kl(
    "scaled",
    "the 1/2 is forgotten for log_variance, whose derivative has no 2 to cancel it",
    lambda g, mu, log_variance: (g * mu, g * np.expm1(log_variance)),
)
_kl(
    "scaled",
    "the 1/2 is kept for mu, where the 2 of mu^2 cancels it",
    lambda g, mu, log_variance: (0.5 * g * mu, 0.5 * g * np.expm1(log_variance)),
)
_kl(
    "wrong_operand",
    "sigma stands where sigma^2 belongs",
    lambda g, mu, log_variance: (g * mu, 0.5 * g * np.expm1(log_variance / 2)),
)
_kl(
    "wrong_operand",
    "log_variance is taken for the variance",
    lambda g, mu, log_variance: (g * mu, 0.5 * g * (log_variance - 1)),
)
_kl(
    "ignores_upstream",
    "mu is returned without grad_out",
    lambda g, mu, log_variance: (mu + 0 * g, 0.5 * g * np.expm1(log_variance)),
)
altered(
    "gaussian_kl",
    "sign_flipped",
    "the bound -KL is differentiated, where KL is what is subtracted",
    each(np.negative),
)
altered(
    "gaussian_kl",
    "scaled",
    "a mean over the features where (2) has their sum",
    each(lambda grad: grad / grad.shape[-1]),
)

# ----------------------------------------------------------------------- gumbel_softmax


def _gumbel(kind, story, formula):
    """A gumbel_softmax backward by formula(y, g, tau, sum), where sum adds up along the axis."""

    @wrong("gumbel_softmax", kind, story)
    def _(grad_out, saved):
        y, tau, axis = saved
        return (formula(y, grad_out, tau, lambda x: x.sum(axis=axis, keepdims=True)),)


_gumbel(
    "scaled",
    "1 / tau is forgotten",
    lambda y, g, tau, total: y * (g - total(y * g)),
)
_gumbel(
    "scaled",
    "multiplied by tau instead of divided",
    lambda y, g, tau, total: tau * y * (g - total(y * g)),
)
_gumbel(
    "missing_sum_term",
    "the sum of (2) is forgotten",
    lambda y, g, tau, total: y * g / tau,
)
_gumbel(
    "missing_sum_term",
    "the sum of (2) is added",
    lambda y, g, tau, total: y * (g + total(y * g)) / tau,
)
_gumbel(
    "wrong_operand",
    "the sum is not multiplied by y",
    lambda y, g, tau, total: (y * g - total(y * g)) / tau,
)
_gumbel(
    "wrong_operand",
    "the sum is of grad_out alone, without y",
    lambda y, g, tau, total: y * (g - total(g)) / tau,
)
_gumbel(
    "wrong_axis",
    "the sum always runs over the last axis",
    lambda y, g, tau, total: y * (g - (y * g).sum(axis=-1, keepdims=True)) / tau,
)
_gumbel(
    "zero_gradient",
    "the step function is differentiated: 0 wherever there is a derivative",
    lambda y, g, tau, total: np.zeros_like(y),
)
wrong("gumbel_softmax", "mutated_input", "grad_out *= y: the caller's gradient is a buffer")(
    overwriting("gumbel_softmax", lambda g, saved: np.multiply(g, saved[0], out=g))
)

# -------------------------------------------------------------------------- weight_norm


def _weight_norm(kind, story, formula):
    """A weight_norm backward by formula(g_out, u, norm, g, sum), sum along the axes of the norm."""

    @wrong("weight_norm", kind, story)
    def _(grad_out, saved):
        u, norm, g, axis = saved
        return formula(grad_out, u, norm, g, lambda x: x.sum(axis=axis, keepdims=True))


_weight_norm(
    "missing_sum_term",
    "the norm is taken for a constant: the second term of (3) is forgotten",
    lambda go, u, norm, g, total: (g / norm * go, total(go * u)),
)
_weight_norm(
    "missing_sum_term",
    "the second term of (3) is added",
    lambda go, u, norm, g, total: (g / norm * (go + u * total(go * u)), total(go * u)),
)
_weight_norm(
    "wrong_operand",
    "1 / norm is forgotten in (3)",
    lambda go, u, norm, g, total: (g * (go - u * total(go * u)), total(go * u)),
)
_weight_norm(
    "wrong_operand",
    "g is forgotten in (3)",
    lambda go, u, norm, g, total: ((go - u * total(go * u)) / norm, total(go * u)),
)
_weight_norm(
    "wrong_operand",
    "grad_g takes v instead of its direction",
    lambda go, u, norm, g, total: (g / norm * (go - u * total(go * u)), total(go * u * norm)),
)
_weight_norm(
    "missing_broadcast_sum",
    "grad_g is not summed over the vector that shares g",
    lambda go, u, norm, g, total: (g / norm * (go - u * total(go * u)), go * u),
)
_weight_norm(
    "zero_gradient",
    "grad_v is zero: the direction is taken for a constant",
    lambda go, u, norm, g, total: (np.zeros_like(u), total(go * u)),
)
altered(
    "weight_norm",
    "sign_flipped",
    "the bracket of (3) is turned round",
    lambda grads, g, saved: (-grads[0], grads[1]),
)
wrong("weight_norm", "mutated_input", "u *= grad_out: the saved direction is used as a buffer")(
    overwriting("weight_norm", lambda g, saved: np.multiply(saved[0], g, out=saved[0]))
)
