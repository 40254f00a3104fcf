"""Two ways to differentiate an expectation, and how much noise each has.

The loss of a model that draws z is an expectation, L(theta) = E[f(z)] with z ~ p(z; theta).  Its
gradient cannot be taken inside the expectation as it stands, because theta is in the distribution.

Score function (Williams 1992, Machine Learning 8, "REINFORCE").  From dp = p d(log p),

    dL/dtheta = integral of f(z) dp/dtheta dz = E[(f(z) - b) d log p(z; theta) / dtheta]          (1)

for any constant b, because E[d log p] = d integral of p dz = d 1 = 0.  b is called the baseline.  f
need not have a derivative and z may be discrete; the price is the noise.

Reparameterisation (Kingma & Welling 2014, arXiv:1312.6114, section 2.4).  If z = h(theta, eps), with
eps drawn from something that theta is not in,

    dL/dtheta = E[f'(z) dh/dtheta]                                                                (2)

For f(z) = z^2 and z ~ N(mu, sigma^2) both are known exactly.  With e ~ N(0, 1), E[e^2] = 1, E[e^4] = 3,
E[e^6] = 15, the gradient by mu is 2 mu, and one draw has the variance

    reparameterised            Var[2 z]                  = 4 sigma^2                              (3)
    score function             Var[z^2 e / sigma]        = mu^4 / sigma^2 + 14 mu^2 + 15 sigma^2  (4)
    with b = E[f]              Var[(z^2 - b) e / sigma]  = 8 mu^2 + 10 sigma^2                    (5)

A mean of n draws has 1/n of it.  Every function here returns one estimate per draw, unaveraged.
Check: tests/training/test_estimators.py
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import functional as F
from ..arguments import is_whole
from ..autograd import Tensor
from ..backend import default_generator
from ..viz import plot_estimators

LEAVE_ONE_OUT = "leave_one_out"


def score_function_gradient(
    f: Callable[[Tensor], Any],
    mu: float,
    log_variance: float,
    n: int,
    *,
    baseline: "float | str" = 0.0,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Estimates (1) of the gradient of E[f(z)], z ~ N(mu, exp(log_variance)), by both parameters.

    f          of a Tensor (n,), entry by entry; its derivative is not used
    baseline   a number, or "leave_one_out": for each draw the mean of f over the other draws, which is
               as good as a constant because it does not depend on that draw
    Shapes     -> (n, 2), columns mu and log_variance

    >>> draws = score_function_gradient(
    ...     lambda z: z * z, 1.0, 0.0, 20000, rng=np.random.default_rng(0)
    ... )
    >>> draws.mean(axis=0).round(1)  # exactly 2 and 1
    array([2., 1.])
    """
    _require_draws("score_function_gradient", n)
    e = default_generator(rng).standard_normal(n)
    sigma = np.exp(log_variance / 2)
    score = np.stack([e / sigma, (e * e - 1) / 2], axis=1)  # (n, 2)  d log p
    values = _values(f, mu + sigma * e)
    return (values - _baseline(baseline, values))[:, None] * score


def reparameterised_gradient(
    f: Callable[[Tensor], Any],
    mu: float,
    log_variance: float,
    n: int,
    *,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Estimates (2) of the same gradient, through F.gaussian_sample.

    f        of a Tensor (n,), entry by entry and differentiable
    Shapes   -> (n, 2), columns mu and log_variance

    >>> draws = reparameterised_gradient(
    ...     lambda z: z * z, 1.0, 0.0, 20000, rng=np.random.default_rng(0)
    ... )
    >>> draws.mean(axis=0).round(1)  # exactly 2 and 1
    array([2., 1.])
    """
    _require_draws("reparameterised_gradient", n)
    parameters = [Tensor(np.full(n, float(x)), True) for x in (mu, log_variance)]  # one per draw
    F.sum(f(F.gaussian_sample(*parameters, rng=rng))).backward()
    return np.stack([np.asarray(p.grad) for p in parameters], axis=1)


def categorical_score_gradient(
    values: Any,
    logits: Any,
    n: int,
    *,
    baseline: "float | str" = 0.0,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Estimates (1) of the gradient of E[values[z]] by the logits of z, z ~ softmax(logits).

    d log p(z) / d logits_i is [i = z] - p_i.  Nothing is asked of `values`: this is how a model learns
    from a reward.

    Shapes   values, logits (V,) -> (n, V)

    >>> rng = np.random.default_rng(0)
    >>> draws = categorical_score_gradient([1.0, 0.0], [0.0, 0.0], 20000, rng=rng)
    >>> draws.mean(axis=0).round(2)  # exactly p_i (values_i - E) = 1/4 and -1/4
    array([ 0.25, -0.25])
    """
    _require_draws("categorical_score_gradient", n)
    values, logits = (np.asarray(x, dtype=np.float64) for x in (values, logits))
    if values.ndim != 1 or values.shape != logits.shape:
        raise ValueError(
            f"categorical_score_gradient: values {values.shape} and logits {logits.shape} must be "
            "alike, (V,): one value for each class"
        )
    p = np.exp(logits - logits.max())
    p /= p.sum()
    z = default_generator(rng).choice(len(p), size=n, p=p)
    score = np.eye(len(p))[z] - p  # (n, V)
    found = values[z]
    return (found - _baseline(baseline, found))[:, None] * score


def gumbel_softmax_gradient(
    f: Callable[[Tensor], Any],
    logits: Any,
    n: int,
    *,
    temperature: float,
    hard: bool = False,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Estimates (2) of the gradient of E[f(one-hot z)] by the logits, through F.gumbel_softmax.

    The draws are soft, or hard with a gradient that passes straight through: either way the estimates
    are of another expectation than the categorical one, and biased.

    f        of a Tensor (n, V) of rows that sum to 1; -> (n,)
    Shapes   logits (V,) -> (n, V)

    >>> draws = gumbel_softmax_gradient(
    ...     lambda y: y[:, 0], [0.0, 0.0], 20000, temperature=0.5, rng=np.random.default_rng(0)
    ... )
    >>> draws.shape, bool(abs(draws.mean(axis=0).sum()) < 1e-12)
    ((20000, 2), True)
    """
    _require_draws("gumbel_softmax_gradient", n)
    rows = np.tile(np.asarray(logits, dtype=np.float64), (n, 1))
    leaf = Tensor(rows, True)  # one row per draw
    F.sum(f(F.gumbel_softmax(leaf, temperature=temperature, hard=hard, rng=rng))).backward()
    return np.asarray(leaf.grad)


@dataclass(frozen=True)
class EstimatorComparison:
    """Variance of estimates of d E[f(z)] / d mu against the number of draws they are the mean of.

    sizes      numbers of draws
    variances  name of the estimator -> one variance for each size

    >>> EstimatorComparison((1, 10, 100), {"score function": [30.0, 3.0, 0.3]}).slope(
    ...     "score function"
    ... )
    -1.0
    """

    sizes: tuple[int, ...]
    variances: dict[str, list[float]]

    def slope(self, name: str) -> float:
        """The slope of log variance over log draws, -1 for a mean of independent draws."""
        line = np.polyfit(np.log(self.sizes), np.log(self.variances[name]), 1)
        return round(float(line[0]), 6)

    def plot(self) -> Any:
        """The variances over the numbers of draws."""
        return plot_estimators(self)


def compare_estimators(
    f: Callable[[Tensor], Any],
    mu: float = 1.0,
    log_variance: float = 0.0,
    *,
    sizes: Sequence[int] = (1, 4, 16, 64, 256),
    repeats: int = 2000,
    baseline: float | None = None,
    rng: np.random.Generator | None = None,
) -> EstimatorComparison:
    """Measure how the noise of both estimators falls with the number of draws.

    repeats    estimates whose variance is taken, for each size
    baseline   a constant for a third line, the score function with this baseline; E[f] is a good one

    >>> square, rng = lambda z: z * z, np.random.default_rng(0)
    >>> found = compare_estimators(square, sizes=(1, 4), repeats=50000, rng=rng)
    >>> for name, variances in found.variances.items():  # exactly 30 and 7.5, 4 and 1
    ...     print(f"{name:18}{variances[0]:5.1f}{variances[1]:5.1f}")
    score function     30.7  7.5
    reparameterised     4.0  1.0
    """
    if not sizes or min(sizes) < 1 or repeats < 2:
        raise ValueError(
            "compare_estimators: sizes must be numbers of at least 1 and repeats at least 2, got "
            f"{tuple(sizes)} and {repeats}"
        )
    rng = default_generator(rng)
    estimators: dict[str, Any] = {
        "score function": score_function_gradient,
        "reparameterised": reparameterised_gradient,
    }
    if baseline is not None:
        with_baseline = functools.partial(score_function_gradient, baseline=baseline)
        estimators["score function with baseline"] = with_baseline
    variances: dict[str, list[float]] = {name: [] for name in estimators}
    for size in sizes:
        for name, estimator in estimators.items():
            draws = estimator(f, mu, log_variance, size * repeats, rng=rng)[:, 0]
            means = draws.reshape(repeats, size).mean(axis=1)
            variances[name].append(float(means.var(ddof=1)))
    return EstimatorComparison(tuple(sizes), variances)


def _require_draws(function: str, n: Any) -> None:
    if not is_whole(n) or n < 1:
        raise ValueError(f"{function}: n must be a number of draws of at least 1, got {n!r}")


def _values(f: Callable[[Tensor], Any], z: np.ndarray) -> np.ndarray:
    """f at each draw, as numbers."""
    values = f(Tensor(z))
    if getattr(values, "shape", None) != z.shape:
        raise ValueError(
            f"f must return one number for each of its {len(z)} draws, got shape "
            f"{getattr(values, 'shape', type(values).__name__)}"
        )
    return np.asarray(values.data if isinstance(values, Tensor) else values)


def _baseline(baseline: Any, values: np.ndarray) -> Any:
    """The number, or one for each draw, that is taken off f."""
    if baseline != LEAVE_ONE_OUT:
        if isinstance(baseline, str):
            raise ValueError(f"baseline must be a number or {LEAVE_ONE_OUT!r}, got {baseline!r}")
        return baseline
    if len(values) < 2:
        raise ValueError("the baseline 'leave_one_out' needs at least 2 draws, got 1")
    return (values.sum() - values) / (len(values) - 1)
