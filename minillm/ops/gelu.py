"""GELU, the Gaussian error linear unit.

Formula (Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2), with the standard normal
distribution function Phi and its density phi:

    out = x * Phi(x)     Phi(x) = (1 + erf(x / sqrt(2))) / 2     phi = Phi' = exp(-x^2/2) / sqrt(2 pi)

and its approximation by tanh, the one that GPT-2 was trained with (same section):

    out = x/2 * (1 + tanh(u))       u = sqrt(2/pi) * (x + 0.044715 x^3)

Backward.  By the product rule the slope of the exact form is

    d out/dx = Phi(x) + x * phi(x)                                                        (1)

and of the approximation, with tanh' = 1 - tanh^2 (elementwise.py, result 4),

    d out/dx = (1 + t)/2 + x/2 * (1 - t^2) * du/dx,     t = tanh(u)                       (2)
    du/dx    = sqrt(2/pi) * (1 + 3 * 0.044715 x^2)

Forward computes the slope as well, while everything it needs is at hand, and saves the slope
instead of x: backward is one product.

How Phi is computed.  In float64 by the error function, (1) of erf.py: Phi(-a) = erfc(a / sqrt(2)) / 2.
In float32 by one tanh, which is much faster: Phi(x) = (1 + tanh(x R(x^2))) / 2 holds exactly for
x R(x^2) = artanh(erf(x / sqrt(2))), and R is smooth; the polynomial below of degree 6 keeps the error
of Phi under 3e-8, half of float32's own rounding.  (With degree 1 it is the approximation above.)
tests/golden/gelu_coefficients.py prints it again.

Both forms work in blocks that stay in the cache, because some twenty passes over an array that
does not fit cost mostly memory traffic.
Check: tests/ops/test_gelu.py    Notebook: notebooks/12_block.ipynb
"""

import math

from .. import kernels
from ..backend import array_module, cache_blocks
from .checks import require_floating, without_gradient
from .erf import erfc_of_magnitude, horner

SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
CUBIC = 0.044715
# R(s), highest power first
R = (1.7562890516908958e-09, -1.3226666148620503e-07, 3.9647775224259645e-06,
     -5.5306338216566924e-05, -3.259469917700898e-05, 0.03633308437264882,
     0.797884941496949)  # fmt: skip


def _value_alone(x, *, approximate="none"):
    """The output without the slope, for calls whose gradient nobody wants: a third of the time less."""
    return _gelu(x, approximate, with_slope=False)[0], ()


@without_gradient(_value_alone)
def gelu_forward(x, *, approximate="none"):
    """x times the probability that a standard normal number is below x.

    Shapes   x: any -> the same
    Dtype    floating, kept
    Units    x in standard deviations of the normal distribution it is compared with
    Saves    slope, of the shape of x: d out / d x
    Raises   ValueError if approximate is neither "none" nor "tanh"; TypeError if x is not floating

    >>> import numpy as np
    >>> gelu_forward(np.array([-1.0, 0.0, 1.0]))[0].round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    out, slope = _gelu(x, approximate, with_slope=True)
    return out, (slope,)


def gelu_backward(grad_out, saved):
    """Gradient w.r.t. x: forward has already computed (1) or (2)."""
    (slope,) = saved
    return (grad_out * slope,)


def _gelu(x, approximate, with_slope):
    """(out, slope); without a slope an empty array stands in its place, unless it came by itself."""
    xp = array_module(x)
    require_floating("gelu", x=x)
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    if x.dtype.itemsize < 4:  # float16: the coefficients do not fit into it
        out, slope = _gelu(x.astype("float32"), approximate, with_slope=True)
        out, slope = out.astype(x.dtype), slope.astype(x.dtype)
    elif kernels.usable(x):
        forms = {"none": kernels.activations.GELU, "tanh": kernels.activations.GELU_TANH}
        out, slope = forms[approximate](x)
    else:
        one_block = _tanh if approximate == "tanh" else _short if x.dtype.itemsize < 8 else _exact
        flat = x.reshape(-1)  # a view if x is contiguous
        out = xp.empty(flat.shape, dtype=x.dtype)
        slope = xp.empty(flat.shape if with_slope else 0, dtype=x.dtype)
        for block in cache_blocks(flat):
            one_block(flat[block], out[block], slope[block] if with_slope else None)
        out, slope = out.reshape(x.shape), slope.reshape(x.shape) if with_slope else slope
    return out, slope


def _exact(x, out, slope):
    """Fill out with x * Phi(x), and slope, if there is one, with (1), to the last digits of float64."""
    xp = array_module(x)
    half_tail, gauss = erfc_of_magnitude(x * math.sqrt(0.5))  # gauss = exp(-x^2/2)
    half_tail *= 0.5  # Phi(-|x|)
    cdf = xp.where(x < 0, half_tail, 1 - half_tail)  # Phi(x)
    xp.multiply(x, cdf, out=out)
    if slope is None:
        return
    gauss *= 1 / math.sqrt(2 * math.pi)  # phi(x)
    xp.multiply(xp.clip(x, -40.0, 40.0), gauss, out=slope)  # phi(40) is 0
    slope += cdf


def _short(x, out, slope):
    """The same in float32, by one tanh."""
    xp = array_module(x)
    near = xp.clip(x, -8.0, 8.0)  # beyond, Phi is 0 or 1 to 15 digits
    square = near * near
    cdf = horner(R, square, None)
    cdf *= near
    xp.tanh(cdf, out=cdf)
    cdf *= 0.5
    cdf += 0.5  # Phi(x)
    xp.multiply(x, cdf, out=out)
    if slope is None:
        return
    square *= -0.5
    xp.exp(square, out=slope)
    slope *= near
    slope *= 1 / math.sqrt(2 * math.pi)  # x phi(x)
    slope += cdf


def _tanh(x, out, slope):
    """Fill out and slope with x/2 * (1 + tanh(u)) and (2)."""
    xp = array_module(x)
    near = xp.clip(x, -12.0, 12.0)  # beyond, tanh(u) is -1 or 1 to the last digit
    square = near * near
    u = square * (SQRT_2_OVER_PI * CUBIC)
    u += SQRT_2_OVER_PI
    u *= near
    t = xp.tanh(u, out=u)
    half = xp.multiply(t, 0.5, out=slope)
    half += 0.5  # (1 + t)/2
    xp.multiply(x, half, out=out)
    if slope is None:
        return
    t *= t
    xp.subtract(1, t, out=t)  # 1 - t^2
    square *= 1.5 * CUBIC * SQRT_2_OVER_PI
    square += 0.5 * SQRT_2_OVER_PI  # du/dx / 2
    square *= t
    square *= near
    slope += square
