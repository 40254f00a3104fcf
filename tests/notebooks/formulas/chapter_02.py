"""The linear layer, and slopes by differences, sum by sum."""

import numpy as np

from minillm import ops
from minillm.gradcheck.diagnosis import relative_errors
from minillm.gradcheck.numeric import central_difference, numerical_slopes

from ..registry import formula

rng = np.random.default_rng(2)
N, I, O = 5, 3, 7
x, W, b, g = (rng.standard_normal(shape) for shape in ((N, I), (I, O), (O,), (N, O)))


def gradients():
    return ops.linear_backward(g, ops.linear_forward(x, W, b)[1])


def cube(t):
    return t**3 + 2 * t**2 - t


def at(point):
    """An array of one number, and the function of it that the library moves."""
    array = np.array([point])
    return array, lambda: np.array([cube(array[0])])


@formula("linear", r"y_{nj} = \sum_{i=1}^{I} x_{ni} W_{ij} + b_j")
def linear():
    literal = [
        [sum(x[n, i] * W[i, j] for i in range(I)) + b[j] for j in range(O)] for n in range(N)
    ]
    return literal, ops.linear_forward(x, W, b)[0]


@formula(
    "linear-backward-x",
    r"\frac{\partial L}{\partial x_{ni}} = \sum_{j=1}^{O} g_{nj} W_{ij}"
    r"\qquad\text{in matrices:}\quad g \, W^T",
)
def linear_backward_x():
    literal = [[sum(g[n, j] * W[i, j] for j in range(O)) for i in range(I)] for n in range(N)]
    return literal, gradients()[0]


@formula(
    "linear-backward-weight",
    r"\frac{\partial L}{\partial W_{ij}} = \sum_{n=1}^{N} x_{ni} \, g_{nj}"
    r"\qquad\text{in matrices:}\quad x^T g",
)
def linear_backward_weight():
    literal = [[sum(x[n, i] * g[n, j] for n in range(N)) for j in range(O)] for i in range(I)]
    return literal, gradients()[1]


@formula("linear-backward-bias", r"\frac{\partial L}{\partial b_j} = \sum_{n=1}^{N} g_{nj}")
def linear_backward_bias():
    return [sum(g[n, j] for n in range(N)) for j in range(O)], gradients()[2]


@formula("central-difference", r"f'(x) \approx \frac{f(x + h) - f(x - h)}{2h}")
def central():
    h, (array, function) = 0.25, at(1.0)
    literal = (cube(1.0 + h) - cube(1.0 - h)) / (2 * h)
    return [literal], [central_difference(function, array, 0, np.ones(1), h)]


@formula(
    "numerical-slopes",
    r"f'(x) \approx \frac{8 \left( f(x+h) - f(x-h) \right)"
    r" - \left( f(x+2h) - f(x-2h) \right)}{12 h}",
)
def slopes():
    h, (array, function) = 0.25, at(1.0)
    near, far = cube(1.0 + h) - cube(1.0 - h), cube(1.0 + 2 * h) - cube(1.0 - 2 * h)
    ours = numerical_slopes(function, array, np.ones((1, 1)), h)
    return [(8 * near - far) / (12 * h)], ours.gradients[0]


@formula(
    "relative-error",
    r"\frac{\lvert a - n \rvert}{\max \left( \lvert a \rvert, \lvert n \rvert \right)}",
)
def relative_error():
    a, n = np.array([1.0, -2.0, 3.0]), np.array([1.5, 2.0, 2.5])
    literal = [abs(p - q) / max(abs(p), abs(q)) for p, q in zip(a, n, strict=True)]
    return literal, relative_errors(a, n)
