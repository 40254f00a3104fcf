"""The chain rule over a graph: way by way, and use by use."""

import math

from minillm import Tensor
from minillm import functional as F

from ..registry import formula

# a -> b = a * a -> c = tanh(b) -> d = b * c + a
a = 0.7
b = a * a
c = math.tanh(b)
SLOPES = {  # (from, to): one entry for each use
    ("a", "b"): [a, a],
    ("b", "c"): [1 - c * c],
    ("b", "d"): [c],
    ("c", "d"): [b],
    ("a", "d"): [1.0],
}


def engine():
    """The gradient of a, from the library."""
    leaf = Tensor(0.7, requires_grad=True).to("float64")
    leaf.data[...] = a
    square = leaf * leaf
    (square * F.tanh(square) + leaf).backward()
    return [leaf.grad]


def by_ways(start):
    """The products along all ways from start to d, added up."""
    if start == "d":
        return 1.0
    return sum(
        slope * by_ways(end)
        for (begin, end), slopes in SLOPES.items()
        if begin == start
        for slope in slopes
    )


@formula(
    "backpropagate-paths",
    r"\frac{\partial L}{\partial v}"
    r" = \sum_{\text{ways } v \to L} \; \prod_{\text{edges } s \to t} \frac{\partial t}{\partial s}",
)
def paths():
    return [by_ways("a")], engine()


@formula(
    "backpropagate",
    r"\frac{\partial L}{\partial v} = \sum_{u \text{ uses } v}"
    r" \left( \frac{\partial u}{\partial v} \right)^{T} \frac{\partial L}{\partial u}",
)
def uses():
    grads = {"d": 1.0}
    for value in ("c", "b", "a"):  # each after all that use it
        grads[value] = sum(
            slope * grads[end]
            for (begin, end), slopes in SLOPES.items()
            if begin == value
            for slope in slopes
        )
    return [grads["a"]], engine()
