"""Gradient checks: is the backward pass that you wrote the derivative of your forward pass?

>>> import numpy as np
>>> from minillm.gradcheck import check_gradients
>>> def square_forward(x):
...     return x * x, (x,)
>>> def square_backward(grad_out, saved):
...     return (grad_out * saved[0],)  # the 2 is forgotten
>>> report = check_gradients(square_forward, square_backward, np.array([1.0, 2.0, 3.0]))
>>> report.findings[0].message
'the gradient of x is 0.5 times what it should be, everywhere: a constant 2 is missing'

With the environment variable MINILLM_LANG=zh all verdicts are in Chinese (language.py).
"""

from .check import check_gradients
from .models import check_model
from .report import Finding, GradientReport
from .settings import GradientSettings
from .tensors import check_function

__all__ = [
    "Finding",
    "GradientReport",
    "GradientSettings",
    "check_function",
    "check_gradients",
    "check_model",
]
