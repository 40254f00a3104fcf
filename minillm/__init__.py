"""minillm: a textbook that runs.  Language models from scratch in NumPy (CuPy on CUDA).

>>> from minillm import Tensor
>>> x = Tensor([3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
array([6.], dtype=float32)
"""

from .autograd import Tensor, differentiable, no_grad
from .backend import Device, manual_seed
from .debugging import debug
from .recompute import recompute
from .version import __version__

__all__ = [
    "Device",
    "Tensor",
    "debug",
    "differentiable",
    "manual_seed",
    "no_grad",
    "recompute",
    "__version__",
]
