"""Linear layers that read the same input, computed by one product while no gradient is recorded.

    [q k v] = x @ [W_q W_k W_v]

is the same as three products, entry by entry.  With one row in x a product takes as long as its matrix
takes to be read from memory, and while BLAS starts and stops its threads nothing is read: a token of
SmolLM2's shape then starts them 121 times instead of 211.

The matrices lie in one array, below each other as the files have them, (out, in), and each weight is a
view of its rows.  So whoever loads, saves or changes a weight in place need not know.  A weight that
gets another array (model.to("cuda"), an optimiser that wants another order) has left; then every layer
has a product of its own again.
"""

import weakref
from typing import Any

import numpy as np

from ..backend import array_module
from .layers import Linear


class SideBySide:
    """One matrix for the weights of several layers, as long as they lie in it.

    It refers to the weights weakly, so that it keeps no array alive that no layer uses any more, and
    a copy of it starts without any.

    >>> q, k, joint = Linear(3, 4), Linear(3, 2), SideBySide()
    >>> joint.join(q, k)
    >>> joint.matrix(q, k).shape
    (3, 6)
    >>> k.weight.data = np.zeros((3, 2), dtype=np.float32)
    >>> joint.matrix(q, k) is None
    True
    """

    def __init__(self) -> None:
        self._views: list[weakref.ref[np.ndarray]] = []

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return SideBySide, ()

    def join(self, *layers: Linear) -> None:
        """Put the weights of layers with equally wide inputs into one array; they keep their values.

        Arrays on a device are left as they are.
        """
        weights = [layer.weight.data for layer in layers]
        if array_module(*weights) is not np:
            return
        ends = np.cumsum([weight.shape[1] for weight in weights])
        rows = np.empty((ends[-1], len(weights[0])), dtype=weights[0].dtype)  # (sum of O, I)
        views = [part.T for part in np.split(rows, ends[:-1])]
        for layer, weight, view in zip(layers, weights, views, strict=True):
            view[...] = weight
            layer.weight.data = view
        self._views = [weakref.ref(view) for view in views]

    def matrix(self, *layers: Linear) -> Any:
        """(I, sum of O), of which every weight is a part; None if one of them no longer is."""
        for view, layer in zip(self._views, layers, strict=bool(self._views)):
            if view() is not layer.weight.data:
                return None
        return layers[0].weight.data.base.T if self._views else None

    def forward(self, x: Any, *layers: Linear) -> Any:
        """What the layers make of x, next to each other, on arrays.

        Shapes   x (N, I) -> (N, sum of O)
        """
        matrix = self.matrix(*layers)
        if matrix is None or any(layer.bias is not None for layer in layers):
            return array_module(x).concatenate([product(x, layer) for layer in layers], axis=-1)
        return x @ matrix


def product(x: Any, layer: Linear) -> Any:
    """A layer on arrays, without the checks of ops.linear_forward: (N, I) -> (N, O)."""
    out = x @ layer.weight.data
    if layer.bias is not None:
        out += layer.bias.data
    return out
