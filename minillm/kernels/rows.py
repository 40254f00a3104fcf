"""Kernels row by row: softmax, layer norm, RMS norm, cross-entropy.

A row needs sums before its entries can be computed, so each of these is one or two reductions, which
write a number per row, and one elementwise kernel, which writes the array.  m is the largest entry
of a row and Z = sum exp(x - m):

    softmax         p = exp(x - m) / Z             grad_x = p (grad_out - sum(p grad_out))
    log_softmax     out = x - m - log Z            grad_x = grad_out - exp(out) sum(grad_out)
    layer_norm      x_hat = (x - mu) rstd          out = gamma x_hat + beta
                    grad_x = rstd (g - mean(g) - x_hat mean(g x_hat)),    g = gamma grad_out
    rms_norm        x_hat = x r                    out = gamma x_hat
                    grad_x = r (g - x_hat mean(g x_hat)),                 g = gamma grad_out
    cross_entropy   grad_z = e scale - at_target [class = y] - spread w,  e = exp(z - m)

They are derived in the files of these names in minillm/ops (log_softmax in softmax.py).
Variance is the mean of (x - mu)^2 and not of x^2 minus mu^2, which cancels: two reductions.
"""

from typing import Any

from .kernel import Elementwise, Reduction

SUM_EXP = Reduction("sum_exp", "T x, T m", "exp(x - m)")
SOFTMAX = Elementwise("softmax", "T x, T m, T total", "T p", "p = exp(x - m) / total;")
LOG_SOFTMAX = Elementwise("log_softmax", "T x, T m, T total", "T out", "out = x - m - log(total);")
SUM_PRODUCT = Reduction("sum_product", "T x, T y", "x * y")
SOFTMAX_BACKWARD = Elementwise(
    "softmax_backward", "T grad_out, T p, T mean", "T grad_x", "grad_x = p * (grad_out - mean);"
)
LOG_SOFTMAX_BACKWARD = Elementwise(
    "log_softmax_backward",
    "T grad_out, T log_p, T total",
    "T grad_x",
    "grad_x = grad_out - exp(log_p) * total;",
)

MEAN = Reduction("mean", "T x, T n", "x", "a / n")
MEAN_PRODUCT = Reduction("mean_product", "T x, T y, T n", "x * y", "a / n")
MEAN_PRODUCT_3 = Reduction("mean_product_3", "T x, T y, T z, T n", "x * y * z", "a / n")
LAYER_NORM_RSTD = Reduction(
    "layer_norm_rstd", "T x, T mu, T n, T eps", "(x - mu) * (x - mu)", "T(1) / sqrt(a / n + eps)"
)
LAYER_NORM = Elementwise(
    "layer_norm",
    "T x, T mu, T rstd, T gamma, T beta",
    "T out, T x_hat",
    """
    x_hat = (x - mu) * rstd;
    out = gamma * x_hat + beta;
    """,
)
LAYER_NORM_BACKWARD = Elementwise(
    "layer_norm_backward",
    "T grad_out, T gamma, T x_hat, T rstd, T mean_g, T rescale",
    "T grad_x",
    "grad_x = rstd * (gamma * grad_out - mean_g - x_hat * rescale);",
)

RMS_NORM_R = Reduction("rms_norm_r", "T x, T n, T eps", "x * x", "T(1) / sqrt(a / n + eps)")
RMS_NORM = Elementwise(
    "rms_norm",
    "T x, T r, T gamma",
    "T out, T x_hat",
    """
    x_hat = x * r;
    out = gamma * x_hat;
    """,
)
RMS_NORM_BACKWARD = Elementwise(
    "rms_norm_backward",
    "T grad_out, T gamma, T x_hat, T r, T rescale",
    "T grad_x",
    "grad_x = r * (gamma * grad_out - x_hat * rescale);",
)

CROSS_ENTROPY_BACKWARD = Elementwise(
    "cross_entropy_backward",
    "T e, T scale, int64 y, int64 c, T at_target, T spread, T w",
    "T grad_z",
    "grad_z = e * scale - (c == y ? at_target : T(0)) - spread * w;",
)


def softmax(x: Any, axis: int) -> Any:
    """Shapes   x any -> p, the same."""
    m = x.max(axis=axis, keepdims=True)
    return SOFTMAX(x, m, SUM_EXP(x, m, axis=axis))


def softmax_backward(grad_out: Any, p: Any, axis: int) -> Any:
    """Shapes   both any and equal -> grad_x, the same."""
    return SOFTMAX_BACKWARD(grad_out, p, SUM_PRODUCT(grad_out, p, axis=axis))


def log_softmax(x: Any, axis: int) -> Any:
    """Shapes   x any -> log p, the same."""
    m = x.max(axis=axis, keepdims=True)
    return LOG_SOFTMAX(x, m, SUM_EXP(x, m, axis=axis))


def log_softmax_backward(grad_out: Any, log_p: Any, axis: int) -> Any:
    """Shapes   both any and equal -> grad_x, the same."""
    return LOG_SOFTMAX_BACKWARD(grad_out, log_p, grad_out.sum(axis=axis, keepdims=True))


def layer_norm(x: Any, gamma: Any, beta: Any, eps: float) -> tuple[Any, Any, Any]:
    """Shapes   x (..., C); gamma (C,); beta (C,) or None -> out, x_hat (..., C); rstd (..., 1)."""
    C = x.shape[-1]
    mu = MEAN(x, C)
    rstd = LAYER_NORM_RSTD(x, mu, C, eps)
    out, x_hat = LAYER_NORM(x, mu, rstd, gamma, 0.0 if beta is None else beta)
    return out, x_hat, rstd


def layer_norm_backward(grad_out: Any, x_hat: Any, rstd: Any, gamma: Any) -> Any:
    """Shapes   grad_out, x_hat (..., C); rstd (..., 1); gamma (C,) -> grad_x (..., C)."""
    C = gamma.shape[0]
    mean_g = MEAN_PRODUCT(grad_out, gamma, C)
    rescale = MEAN_PRODUCT_3(grad_out, gamma, x_hat, C)
    return LAYER_NORM_BACKWARD(grad_out, gamma, x_hat, rstd, mean_g, rescale)


def rms_norm(x: Any, gamma: Any, eps: float) -> tuple[Any, Any, Any]:
    """Shapes   x (..., C); gamma (C,) -> out, x_hat (..., C); r (..., 1)."""
    r = RMS_NORM_R(x, x.shape[-1], eps)
    out, x_hat = RMS_NORM(x, r, gamma)
    return out, x_hat, r


def rms_norm_backward(grad_out: Any, x_hat: Any, r: Any, gamma: Any) -> Any:
    """Shapes   grad_out, x_hat (..., C); r (..., 1); gamma (C,) -> grad_x (..., C)."""
    rescale = MEAN_PRODUCT_3(grad_out, gamma, x_hat, gamma.shape[0])
    return RMS_NORM_BACKWARD(grad_out, gamma, x_hat, r, rescale)


def cross_entropy_backward(
    e: Any, scale: Any, y: Any, classes: Any, at_target: Any, spread: Any, weight: Any
) -> Any:
    """Shapes   e (N, V); scale, y, at_target, spread (N,); classes (V,); weight (V,) or None
    -> grad_z (N, V).
    """
    scale, y, at_target, spread = (a[:, None] for a in (scale, y, at_target, spread))
    w = 1.0 if weight is None else weight
    return CROSS_ENTROPY_BACKWARD(e, scale, y, classes, at_target, spread, w)
