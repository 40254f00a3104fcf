"""Normal variables with a learned mean and variance: drawing one, and its distance from N(0, I).

Formula (Kingma & Welling 2014, arXiv:1312.6114).  A draw from N(mu, sigma^2) is a fixed function of
the parameters and of noise that does not depend on them (section 2.4, and eq. 10):

    sigma = exp(log_variance / 2)       eps ~ N(0, 1)       z = mu + sigma * eps          (1)

The variance is given by its logarithm, so that no number that a layer returns is out of range.  The
second function is how many nats N(mu, sigma^2) is away from N(0, 1), summed over the C features
(appendix B).  By the definition of KL, with the entropy of a normal variable, and with
E[z^2] = mu^2 + sigma^2:

    KL(q || p) = E_q[log q(z)] - E_q[log p(z)]
    E_q[log q(z)] = -(log(2 pi) + 1 + log sigma^2) / 2
    E_q[log p(z)] = -(log(2 pi) + mu^2 + sigma^2) / 2

    kl = sum over features of (mu^2 + sigma^2 - 1 - log sigma^2) / 2                      (2)

Backward.  Given eps, (1) is an ordinary function: z moves with mu by 1, and with the logarithm of
the variance by eps d sigma / d log_variance = eps sigma / 2, hence

    grad_mu = grad_out            grad_log_variance = grad_out * sigma * eps / 2          (3)

That is the reparameterisation: the random part has been moved to an input, where nothing has to be
differentiated.  For (2), each row has one number kl, which reaches all of its features:

    grad_mu = grad_out * mu       grad_log_variance = grad_out * (sigma^2 - 1) / 2        (4)

Check: tests/ops/test_gaussian.py    Notebook: notebooks/23_estimators.ipynb
"""

from ..backend import array_module, default_generator
from .checks import require_floating
from .noise import host_noise


def _require_alike(operation, mu, log_variance):
    array_module(mu, log_variance)
    require_floating(operation, mu=mu, log_variance=log_variance)
    if mu.shape != log_variance.shape:
        raise ValueError(
            f"{operation}: mu {mu.shape} and log_variance {log_variance.shape} must be alike: one "
            "variance for each mean"
        )


def gaussian_sample_forward(mu, log_variance, *, rng=None, noise=None):
    """A draw z from N(mu, exp(log_variance)), of which mu and log_variance can be learned.

    Shapes   mu, log_variance: any, alike -> z, the same
    Dtype    both floating and equal
    Units    mu and z alike; log_variance in nats
    Saves    deviation
    Raises   ValueError if the shapes differ, or if rng and noise are both given; TypeError if dtypes
             differ, or rng is not a numpy.random.Generator

    rng     draws eps, on the host: the same seed gives the same z on every device
    noise   eps itself, of the shape of mu, instead of rng
    `deviation` is sigma * eps, which is z - mu.

    >>> import numpy as np
    >>> mu, log_variance = np.array([1.0, 1.0]), np.log(np.array([4.0, 9.0]))
    >>> gaussian_sample_forward(mu, log_variance, noise=np.array([0.5, -1.0]))[0]
    array([ 2., -2.])
    """
    _require_alike("gaussian_sample", mu, log_variance)
    xp = array_module(mu, log_variance)
    draw = default_generator(rng).standard_normal
    eps = host_noise("gaussian_sample", "mu", mu, rng, noise, draw)
    deviation = xp.asarray(xp.exp(log_variance * 0.5)) * eps
    return mu + deviation, (deviation,)


def gaussian_sample_backward(grad_out, saved):
    """Gradients w.r.t. (mu, log_variance), by (3), for the eps of the forward pass."""
    (deviation,) = saved
    # forward:  z = mu + exp(log_variance / 2) * eps
    return grad_out, grad_out * deviation * 0.5


def gaussian_kl_forward(mu, log_variance):
    """KL(N(mu, exp(log_variance)) || N(0, I)) of each row, 0 where both are equal, else positive.

    Shapes   mu, log_variance (..., C) -> kl (...)
    Dtype    both floating and equal
    Units    nats
    Saves    mu, log_variance
    Raises   ValueError if the shapes differ or there is no axis of features; TypeError if dtypes
             differ

    >>> import numpy as np
    >>> gaussian_kl_forward(np.array([[0.0, 0.0], [3.0, 1.0]]), np.zeros((2, 2)))[0]
    array([0., 5.])
    """
    _require_alike("gaussian_kl", mu, log_variance)
    if mu.ndim == 0:
        raise ValueError("gaussian_kl: mu () needs a last axis, the features that are summed over")
    xp = array_module(mu, log_variance)
    twice = mu * mu + xp.expm1(log_variance) - log_variance  # (..., C)
    return twice.sum(axis=-1) * 0.5, (mu, log_variance)


def gaussian_kl_backward(grad_out, saved):
    """Gradients w.r.t. (mu, log_variance), by (4)."""
    mu, log_variance = saved
    xp = array_module(mu, log_variance)
    # forward:  kl = sum of (mu^2 + sigma^2 - 1 - log sigma^2) / 2
    g = xp.asarray(grad_out)[..., None]  # (..., 1)
    return g * mu, g * xp.expm1(log_variance) * 0.5
