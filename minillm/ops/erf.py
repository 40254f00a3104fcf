"""The error function, which NumPy does not have.

Formula (Abramowitz & Stegun 1964, 7.1.1 and 7.1.2):

    erf(x) = 2/sqrt(pi) * integral of exp(-t^2) from 0 to x        erfc(x) = 1 - erf(x)

How it is computed.  erfc falls like exp(-x^2) / x (A&S 7.1.23), which no polynomial follows, but
exp(x^2) erfc(x) is smooth and slow.  For a = |x| >= 0 it is close to a ratio of two polynomials,

    erfc(a) = exp(-a^2) * P(a) / Q(a)                                                     (1)

in the way of Cody (1969, Math. Comp. 23, 631-637).  All coefficients of P and Q are positive, so
nothing cancels.  They were found by interpolating at Chebyshev points with 60 digits:
tests/golden/erf_coefficients.py prints them again.  Relative error of (1): 8e-16 in float64;
absolute error in float32 2e-8, below its rounding error.  Near 0, where 1 - erfc(x) would lose
digits, an even polynomial is used instead:

    erf(x) = x * S(x^2)    for |x| < 1                                                    (2)

Backward.  By the fundamental theorem of calculus the derivative is the integrand:

    grad_x = grad_out * 2/sqrt(pi) * exp(-x^2)                                            (3)

Check: tests/ops/test_erf.py    Notebook: notebooks/12_block.ipynb
"""

import math

from ..backend import array_module
from .checks import require_floating

# Highest power first, for Horner's rule.
_LONG = {  # float64
    "P": (4.914960666998614e-05, 0.0009762609443107267, 0.009413395524376797, 0.0571875428561084,
          0.23979560226796492, 0.7179926337724833, 1.5364600446981804, 2.276897820552694,
          2.143202880969823, 1.0),
    "Q": (8.711540961370933e-05, 0.0017303774700956351, 0.016728366860430412, 0.1022274689891421,
          0.4333254930713486, 1.3224246256560748, 2.9275861514341357, 4.623463311359859,
          4.9684828470333064, 3.2715820480653353, 1.0),
    "S": (-7.795898827002142e-10, 1.3720064546777686e-08, -1.6208483801871705e-07,
          1.6447424703317362e-06, -1.492473690741966e-05, 0.00012055294904839707,
          -0.0008548325975389692, 0.0052239776071164225, -0.02686617064323777,
          0.11283791670945006, -0.37612638903183543, 1.1283791670955126),
}  # fmt: skip
_SHORT = {  # float32 and float16
    "P": (0.07373927483748624, 0.407875578055094, 0.9342991047729672, 0.99999999238505),
    "Q": (0.13078132326674588, 0.7213176975944985, 1.7353800522194582, 2.062677178766444, 1.0),
    "S": (7.875875062685488e-05, -0.000801686428716587, 0.005189087423433974,
          -0.026854212010626412, 0.11283594715160218, -0.37612626666720334, 1.1283791658483509),
}  # fmt: skip
# Beyond 28 erfc is below the smallest float64, and stopping there keeps a^10 from overflowing.
_LARGEST = 28.0


def horner(coefficients, x, out):
    """c_0 x^n + ... + c_n by Horner's rule: n multiplications and n additions, into `out` or a copy."""
    first, second, *rest = coefficients
    out = array_module(x).multiply(x, first, out=out)
    out += second
    for c in rest:
        out *= x
        out += c
    return out


def erfc_of_magnitude(x):
    """(erfc(|x|), exp(-x^2)): result (1), and the exponential that it has computed on the way."""
    xp = array_module(x)
    table = _LONG if x.dtype.itemsize == 8 else _SHORT
    a = xp.absolute(x)
    xp.clip(a, 0.0, _LARGEST, out=a)
    tail = horner(table["P"], a, None)
    tail /= horner(table["Q"], a, None)
    a *= a
    gauss = xp.exp(xp.negative(a, out=a), out=a)
    tail *= gauss
    return tail, gauss


def erf_forward(x):
    """The error function of every entry: 0 at 0, odd, -1 and 1 at the ends.

    Shapes   x: any -> the same
    Dtype    floating, kept
    Saves    x
    Raises   TypeError if x is not floating

    >>> import numpy as np
    >>> erf_forward(np.array([0.0, 1.0]))[0].round(4)
    array([0.    , 0.8427])
    """
    xp = array_module(x)
    require_floating("erf", x=x)
    table = _LONG if x.dtype.itemsize == 8 else _SHORT
    flat = x.reshape(-1)
    tail, _ = erfc_of_magnitude(flat)
    inside = xp.clip(flat, -1.0, 1.0)
    near = inside * horner(table["S"], inside * inside, None)  # (2)
    far = xp.copysign(1 - tail, flat)
    return xp.where(xp.absolute(flat) < 1, near, far).reshape(x.shape), (x,)


def erf_backward(grad_out, saved):
    """Gradient w.r.t. x, by (3)."""
    (x,) = saved
    xp = array_module(x)
    # forward:  out = 2/sqrt(pi) * integral of exp(-t^2) from 0 to x
    near = xp.clip(x, -_LARGEST, _LARGEST)  # beyond, the density is 0 anyway
    return (grad_out * (2 / math.sqrt(math.pi) * xp.exp(-(near * near))),)
