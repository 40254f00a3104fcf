"""Selection: maximum of two arrays, and where.

Formula, entry by entry:

    maximum:  out = a if a > b else b            where:  out = x where condition, else y

Backward.  out is a copy of one of the two, so the gradient goes to that one alone:

    where:    grad_x = grad_out [condition]      grad_y = grad_out [not condition]        (1)
    maximum:  grad_a = grad_out ([a > b] + [a = b] / 2),  grad_b likewise                 (2)

Where a = b the maximum has no derivative; of the subgradients the symmetric one is chosen, as in (3)
of reductions.py.  Broadcast operands collect the sum over their uses (broadcasting.py, result 1).
Check: tests/ops/test_selection.py    Notebook: notebooks/01_arrays.ipynb
"""

from ..backend import array_module
from .broadcasting import gradient_shape, unbroadcast
from .checks import is_floating, match_dtypes, require_boolean, require_broadcastable, shape_of


def _single(out, *operands):
    """float32 where both operands are Python numbers, as in Tensor(2.0): NumPy makes them float64."""
    numbers = is_floating(out) and not any(hasattr(x, "dtype") for x in operands)
    return out.astype("float32") if numbers else out


def maximum_forward(a, b):
    """The larger of two numbers, entry by entry.  NaN if one of them is.

    Shapes   a, b: any two shapes that broadcast -> their common shape
    Dtype    equal floating dtypes, or one floating (it decides) and one integer
    Saves    a, b
    Raises   ValueError if the shapes do not broadcast; TypeError if floating dtypes differ

    >>> import numpy as np
    >>> maximum_forward(np.array([1.0, 5.0]), np.array([3.0, 2.0]))[0]
    array([3., 5.])
    """
    xp = array_module(a, b)
    require_broadcastable("maximum", a, b)
    a, b = match_dtypes("maximum", a, b)
    return _single(xp.maximum(a, b), a, b), (a, b)


def maximum_backward(grad_out, saved):
    """Gradients w.r.t. (a, b), by (2): ties share."""
    a, b = saved
    a_shape, b_shape = gradient_shape(a), gradient_shape(b)
    half = (a == b).astype(grad_out.dtype) * 0.5  # [a = b] / 2
    # forward:  out = max(a, b)
    grad_a = None if a_shape is None else unbroadcast(grad_out * ((a > b) + half), a_shape)
    grad_b = None if b_shape is None else unbroadcast(grad_out * ((b > a) + half), b_shape)
    return grad_a, grad_b


def where_forward(x, y, *, condition):
    """x where the condition holds, y elsewhere.

    Shapes   x, y, condition: any three shapes that broadcast -> their common shape
    Dtype    x and y equal floating dtypes, or one floating (it decides); condition boolean
    Saves    condition
    Raises   ValueError if the shapes do not broadcast; TypeError if condition is not boolean or
             floating dtypes differ

    >>> import numpy as np
    >>> where_forward(np.array([1.0, 2.0]), 0.0, condition=np.array([True, False]))[0]
    array([1., 0.])
    """
    xp = array_module(x, y, condition)
    require_boolean(
        "where", "condition", condition, "True = x, False = y", "a comparison, such as x > 0"
    )
    for name, value in (("x", x), ("y", y)):
        try:
            require_broadcastable("where", condition, value)
        except ValueError:
            raise ValueError(
                f"where: condition {condition.shape} and {name} {shape_of(value)} do not broadcast"
            ) from None
    require_broadcastable("where", x, y)
    x, y = match_dtypes("where", x, y, ("x", "y"))
    out = _single(xp.where(condition, x, y), x, y)
    return out, (condition, gradient_shape(x), gradient_shape(y))


def where_backward(grad_out, saved):
    """Gradients w.r.t. (x, y), by (1)."""
    condition, x_shape, y_shape = saved
    # forward:  out = x where condition, else y
    grad_x = None if x_shape is None else unbroadcast(grad_out * condition, x_shape)
    grad_y = None if y_shape is None else unbroadcast(grad_out * ~condition, y_shape)
    return grad_x, grad_y
