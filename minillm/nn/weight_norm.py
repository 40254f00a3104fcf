"""Weight normalization around any module: one of its parameters as g v / ||v||.

The formula stands in ops/weight_norm.py.
"""

from typing import Any

from .. import functional as F
from ..autograd import no_grad
from ..backend import array_module
from ..ops.checks import normalize_axes
from .module import Module, Parameter


class WeightNorm(Module):
    """A module whose parameter `name` is computed anew at each call, as g v / ||v||.

    Arguments    module; the name of one of its own parameters; the axis or axes of the norm: 0 for a
                 weight (in, out), which gives every output its own g, None for one g in all
    Parameters   {name}_v, which starts as the parameter was, and {name}_g, which starts as its norm, so
                 that at first the outputs are the same; then those of the module that are left
    Shapes       those of the module

    module.weight holds what the last call used: change weight_v and weight_g instead.

    >>> from minillm.nn import Linear
    >>> WeightNorm(Linear(3, 4))
    WeightNorm(weight_v (3, 4), weight_g (1, 4)
      module: Linear(bias (4,))
    )  20 parameters
    """

    def __init__(self, module: Module, name: str = "weight", *, axis: Any = 0) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"WeightNorm: module must be a Module, got {type(module).__name__}")
        parameter = vars(module).get(name)
        if not isinstance(parameter, Parameter):
            own = [n for n, value in vars(module).items() if isinstance(value, Parameter)]
            has = f"it has {', '.join(own)}" if own else "it has none of its own"
            hint = ": wrap its parts instead" if not own else ""
            raise ValueError(
                f"WeightNorm: {type(module).__name__} has no parameter {name!r}; {has}{hint}"
            )
        self.name, self.axis = name, normalize_axes("WeightNorm", axis, parameter.ndim)
        v = parameter.data
        xp = array_module(v)
        g = xp.sqrt((v * v).sum(axis=self.axis, keepdims=True))
        setattr(self, f"{name}_v", Parameter(v.copy(), parameter.requires_grad))
        setattr(self, f"{name}_g", Parameter(g, parameter.requires_grad))
        self.module = module
        self._keep_last()

    def value(self) -> Any:
        """The parameter that g and v stand for, as a Tensor."""
        v, g = (getattr(self, f"{self.name}_{part}") for part in "vg")
        return F.weight_norm(v, g, axis=self.axis)

    def _keep_last(self) -> None:
        """Show the module its parameter without the history, which would keep the graph alive."""
        with no_grad():
            setattr(self.module, self.name, self.value())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes with the parameter that g and v stand for."""
        setattr(self.module, self.name, self.value())
        try:
            return self.module(*args, **kwargs)
        finally:
            self._keep_last()


def weight_norm(module: Module, name: str = "weight", *, axis: Any = 0) -> WeightNorm:
    """The module with its parameter `name` weight-normalised; its outputs stay the same.

    >>> from minillm.nn import Linear
    >>> import numpy as np
    >>> layer, x = Linear(3, 4), np.ones((2, 3), dtype="float32")
    >>> before = layer(x).data
    >>> bool(np.allclose(weight_norm(layer)(x).data, before, atol=1e-6))
    True
    """
    return WeightNorm(module, name, axis=axis)


def remove_weight_norm(module: WeightNorm) -> Module:
    """The module inside, its parameter a plain one again, with the value that it has now.

    >>> from minillm.nn import Linear
    >>> remove_weight_norm(weight_norm(Linear(3, 4)))
    Linear(weight (3, 4), bias (4,))  16 parameters
    """
    if not isinstance(module, WeightNorm):
        raise TypeError(
            f"remove_weight_norm: module must be a WeightNorm, got {type(module).__name__}: give "
            "it what weight_norm returned"
        )
    with no_grad():
        value = module.value().data
    trained = getattr(module, f"{module.name}_v").requires_grad
    setattr(module.module, module.name, Parameter(value, trained))
    return module.module
