"""Fused kernels for a GPU: what takes NumPy a line for each step, in one launch.

On a GPU an elementwise formula costs little arithmetic and much else: each array operation is a
launch of several microseconds, and writes an array that the next one reads again.  A fused kernel
reads each number once, does all steps in registers and writes the results once.

Each kernel is a few lines of C beside the formula that they compute.  CuPy puts the loop around them
and compiles them when they are first called, for float32 and float64 through the type parameter T.
The operations (minillm/ops) and Adam (minillm/optim) call them for arrays on a GPU; for NumPy's
arrays they run the code that stands there.  Both save the same arrays for the backward pass.

    activations.py     gelu in both forms, silu, dropout
    rows.py            softmax, log softmax, layer norm, RMS norm, cross-entropy
    adam.py            Adam, AdamW and AMSGrad: one pass over the parameters

What is checked without a GPU, and how: docs/cuda.md.
"""

from . import activations, adam, rows
from .kernel import Elementwise, Reduction, usable

KERNELS: tuple[Elementwise | Reduction, ...] = tuple(
    value
    for module in (activations, rows, adam)
    for value in vars(module).values()
    if isinstance(value, Elementwise | Reduction)
)

__all__ = ["KERNELS", "Elementwise", "Reduction", "usable"]
