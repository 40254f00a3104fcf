"""Activations: relu, sigmoid, silu.

Formula and derivative, entry by entry (g is grad_out at that entry):

    relu(x)    = max(x, 0)             slope [x > 0]                                      (1)
    sigmoid(x) = 1 / (1 + exp(-x))     slope s (1 - s),  s = sigmoid(x)                   (2)
    silu(x)    = x sigmoid(x)          slope s + x s (1 - s) = s (1 + x (1 - s))          (3)

(relu: Nair & Hinton 2010, section 2, as max(0, x); silu: Elfwing et al. 2017, arXiv:1702.03118, eq. 5
and 8.)  (1): at x = 0, where the slope jumps from 0 to 1, the subgradient 0 is chosen, as everywhere.
(2): with u = exp(-x), s' = u / (1 + u)^2 = s * u / (1 + u) = s (1 - s).  (3): the product rule on (2).

exp(-x) overflows where x is far below 0.  Multiplied above and below by exp(x) where x < 0, (2) reads

    sigmoid(x) = exp(min(x, 0)) / (1 + exp(-|x|))                                         (4)

with all digits however small the result is.  The gates of a GRU and silu add or multiply with numbers
near 1, so digits after those of 1 are lost anyway; they take the same function in a form three times as
fast, (1 + tanh(x/2)) / 2 (Abramowitz & Stegun 1964, 4.5.2 and 4.5.3: tanh(x/2) = (1 - u) / (1 + u)).
Check: tests/ops/test_activations.py    Notebook: notebooks/12_block.ipynb
"""

from .. import kernels
from ..backend import array_module
from .checks import require_floating


def relu_forward(x):
    """The positive part: x where it is positive, 0 elsewhere.

    Shapes   x: any -> the same
    Dtype    floating, kept
    Saves    positive, of the shape of x, boolean
    Raises   TypeError if x is not floating

    >>> import numpy as np
    >>> relu_forward(np.array([-1.0, 2.0]))[0]
    array([0., 2.])
    """
    xp = array_module(x)
    require_floating("relu", x=x)
    return xp.maximum(x, xp.zeros((), dtype=x.dtype)), (x > 0,)


def relu_backward(grad_out, saved):
    """Gradient w.r.t. x, by (1)."""
    (positive,) = saved
    return (grad_out * positive,)


def sigmoid_of(x):
    """1 / (1 + exp(-x)) by (4), as a new array."""
    xp = array_module(x)
    s = xp.exp(xp.minimum(x, xp.zeros((), dtype=x.dtype)))
    s /= 1 + xp.exp(-xp.abs(x))
    return s


def gate_of(x):
    """The same as (1 + tanh(x/2)) / 2: exact beside 1, but 0 where less than 1e-8 (float32) is left."""
    xp = array_module(x)
    s = xp.asarray(x * 0.5)
    s = xp.tanh(s, out=s)
    s *= 0.5
    s += 0.5
    return s


def sigmoid_forward(x):
    """The logistic function: turns any number into a probability.

    Shapes   x: any -> the same
    Dtype    floating, kept
    Units    x is a log odds in nats, out a probability
    Saves    out
    Raises   TypeError if x is not floating

    >>> import numpy as np
    >>> sigmoid_forward(np.array([0.0, np.log(3.0)]))[0]
    array([0.5 , 0.75])
    """
    require_floating("sigmoid", x=x)
    s = sigmoid_of(x)
    return s, (s,)


def sigmoid_backward(grad_out, saved):
    """Gradient w.r.t. x, by (2)."""
    (s,) = saved
    grad_x = 1 - s
    grad_x *= s
    grad_x *= grad_out
    return (grad_x,)


def silu_forward(x):
    """x times its sigmoid, also called swish: a smooth relu that dips below 0.

    Shapes   x: any -> the same
    Dtype    floating, kept
    Saves    x, s = sigmoid(x)
    Raises   TypeError if x is not floating

    >>> import numpy as np
    >>> silu_forward(np.array([0.0, np.log(3.0)]))[0].round(4)
    array([0.   , 0.824])
    """
    require_floating("silu", x=x)
    if kernels.usable(x):
        out, s = kernels.activations.SILU(x)
        return out, (x, s)
    s = gate_of(x)
    return x * s, (x, s)


def silu_backward(grad_out, saved):
    """Gradient w.r.t. x, by (3)."""
    x, s = saved
    if kernels.usable(x):
        return (kernels.activations.SILU_BACKWARD(grad_out, x, s),)
    grad_x = 1 - s
    grad_x *= x
    grad_x += 1
    grad_x *= s
    grad_x *= grad_out
    return (grad_x,)
