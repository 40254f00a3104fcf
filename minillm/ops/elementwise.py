"""Elementwise functions: exp, log, sqrt, tanh.

Formula and derivative, entry by entry (g is grad_out at that entry).  Three of the four
derivatives are written in terms of the output, which is kept anyway:

    out = exp(x)      d out/dx = exp(x) = out                grad_x = g * out             (1)
    out = log(x)      d out/dx = 1 / x                       grad_x = g / x               (2)
    out = sqrt(x)     d out/dx = 1 / (2 sqrt(x))             grad_x = g / (2 out)         (3)
    out = tanh(x)     d out/dx = 1 - tanh(x)^2               grad_x = g * (1 - out^2)     (4)

(4): tanh = sinh / cosh, so tanh' = (cosh^2 - sinh^2) / cosh^2 = 1 - tanh^2.
(Abramowitz & Stegun 1964, 4.2.5, 4.1.46, 4.5.73.)
Check: tests/ops/test_elementwise.py    Notebook: notebooks/03_autograd.ipynb
"""

from ..backend import array_module
from .checks import require_floating


def exp_forward(x):
    """e to the power x.

    Shapes   x: any -> the same
    Dtype    floating, kept
    Saves    out
    Raises   TypeError if x is not floating

    >>> import numpy as np
    >>> exp_forward(np.array([0.0, 1.0]))[0].round(4)
    array([1.    , 2.7183])
    """
    require_floating("exp", x=x)
    out = array_module(x).exp(x)
    return out, (out,)


def exp_backward(grad_out, saved):
    """Gradient w.r.t. x, by (1)."""
    (out,) = saved
    return (grad_out * out,)


def log_forward(x):
    """Natural logarithm: -inf at 0 and NaN below it, as IEEE 754 has it (`debug()` names the call).

    Shapes   x: any -> the same
    Dtype    floating, kept
    Saves    x
    Raises   TypeError if x is not floating

    >>> import numpy as np
    >>> log_forward(np.array([1.0, 10.0]))[0].round(4)
    array([0.    , 2.3026])
    """
    require_floating("log", x=x)
    return array_module(x).log(x), (x,)


def log_backward(grad_out, saved):
    """Gradient w.r.t. x, by (2)."""
    (x,) = saved
    return (grad_out / x,)


def sqrt_forward(x):
    """Square root.  Its slope at 0 is infinite: add a small number under the root if x can be 0.

    Shapes   x: any -> the same
    Dtype    floating, kept
    Saves    out
    Raises   TypeError if x is not floating

    >>> import numpy as np
    >>> sqrt_forward(np.array([4.0, 9.0]))[0]
    array([2., 3.])
    """
    require_floating("sqrt", x=x)
    out = array_module(x).sqrt(x)
    return out, (out,)


def sqrt_backward(grad_out, saved):
    """Gradient w.r.t. x, by (3)."""
    (out,) = saved
    return (grad_out / (2 * out),)


def tanh_forward(x):
    """Hyperbolic tangent, the squashing function from -1 to 1.

    Shapes   x: any -> the same
    Dtype    floating, kept
    Saves    out
    Raises   TypeError if x is not floating

    >>> import numpy as np
    >>> tanh_forward(np.array([0.0, 1.0]))[0].round(4)
    array([0.    , 0.7616])
    """
    require_floating("tanh", x=x)
    out = array_module(x).tanh(x)
    return out, (out,)


def tanh_backward(grad_out, saved):
    """Gradient w.r.t. x, by (4)."""
    (out,) = saved
    return (grad_out * (1 - out * out),)
