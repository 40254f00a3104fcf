"""Broadcasting, sums, transposes and matrix products, use by use."""

import numpy as np

from minillm import ops

from ..registry import formula

rng = np.random.default_rng(1)
I, J = 5, 7
a, b, G = rng.standard_normal((I, 1)), rng.standard_normal(J), rng.standard_normal((I, J))
rows, columns = range(I), range(J)
x = rng.standard_normal((2, 3, 5, 7))
left, right = rng.standard_normal((5, 3)), rng.standard_normal((3, 7))


def by_rows_and_columns(pair):
    """(5, 1) and (7,) as one vector."""
    return np.concatenate([np.ravel(part) for part in pair])


@formula("add", r"\text{out}_{ij} = a_i + b_j")
def add():
    return [[a[i, 0] + b[j] for j in columns] for i in rows], ops.add_forward(a, b)[0]


@formula(
    "add-backward",
    r"\frac{\partial L}{\partial a_i} = \sum_j G_{ij} \qquad\qquad"
    r"\frac{\partial L}{\partial b_j} = \sum_i G_{ij}",
)
def add_backward():
    grad_a = [sum(G[i, j] for j in columns) for i in rows]
    grad_b = [sum(G[i, j] for i in rows) for j in columns]
    return grad_a + grad_b, by_rows_and_columns(ops.add_backward(G, ops.add_forward(a, b)[1]))


@formula("multiply", r"\text{out}_{ij} = a_i \, b_j")
def multiply():
    return [[a[i, 0] * b[j] for j in columns] for i in rows], ops.multiply_forward(a, b)[0]


@formula(
    "multiply-backward",
    r"\frac{\partial L}{\partial a_i} = \sum_j G_{ij} \, b_j \qquad\qquad"
    r"\frac{\partial L}{\partial b_j} = \sum_i G_{ij} \, a_i",
)
def multiply_backward():
    grad_a = [sum(G[i, j] * b[j] for j in columns) for i in rows]
    grad_b = [sum(G[i, j] * a[i, 0] for i in rows) for j in columns]
    ours = ops.multiply_backward(G, ops.multiply_forward(a, b)[1])
    return grad_a + grad_b, by_rows_and_columns(ours)


@formula("sum", r"\text{out}_i = \sum_{j=1}^{n} x_{ij}")
def row_sums():
    return [sum(G[i, j] for j in columns) for i in rows], ops.sum_forward(G, axis=1)[0]


@formula("sum-backward", r"\frac{\partial L}{\partial x_{ij}} = G_i")
def sum_backward():
    grad_out = a[:, 0]
    ours = ops.sum_backward(grad_out, ops.sum_forward(G, axis=1)[1])[0]
    return [[grad_out[i] for _ in columns] for i in rows], ours


@formula("mean-backward", r"\frac{\partial L}{\partial x_{ij}} = \frac{G_i}{n}")
def mean_backward():
    grad_out = a[:, 0]
    ours = ops.mean_backward(grad_out, ops.mean_forward(G, axis=1)[1])[0]
    return [[grad_out[i] / J for _ in columns] for i in rows], ours


def exchanged(array):
    """Axes 1 and 2 exchanged, entry by entry."""
    B, T, H, D = array.shape
    out = np.zeros((B, H, T, D))
    for i, t, h, d in np.ndindex(B, T, H, D):
        out[i, h, t, d] = array[i, t, h, d]
    return out


@formula("transpose", r"\text{out}_{bhtd} = x_{bthd}")
def transpose():
    return exchanged(x), ops.transpose_forward(x, axes=(0, 2, 1, 3))[0]


@formula("transpose-backward", r"\frac{\partial L}{\partial x_{bthd}} = G_{bhtd}")
def transpose_backward():
    grad_out = rng.standard_normal((2, 5, 3, 7))
    saved = ops.transpose_forward(x, axes=(0, 2, 1, 3))[1]
    return exchanged(grad_out), ops.transpose_backward(grad_out, saved)[0]


@formula("matmul", r"\text{out}_{nf} = \sum_{c=1}^{C} a_{nc} \, b_{cf}")
def matmul():
    literal = [
        [sum(left[n, c] * right[c, f] for c in range(3)) for f in range(7)] for n in range(5)
    ]
    return literal, ops.matmul_forward(left, right)[0]


@formula(
    "matmul-backward-a",
    r"\frac{\partial L}{\partial a_{nc}} = \sum_{f=1}^{F} G_{nf} \, b_{cf}"
    r"\qquad\text{that is}\quad G \, b^T",
)
def matmul_backward_a():
    literal = [[sum(G[n, f] * right[c, f] for f in range(7)) for c in range(3)] for n in range(5)]
    return literal, ops.matmul_backward(G, (left, right))[0]


@formula(
    "matmul-backward-b",
    r"\frac{\partial L}{\partial b_{cf}} = \sum_{n=1}^{N} a_{nc} \, G_{nf}"
    r"\qquad\text{that is}\quad a^T G",
)
def matmul_backward_b():
    literal = [[sum(left[n, c] * G[n, f] for n in range(5)) for f in range(7)] for c in range(3)]
    return literal, ops.matmul_backward(G, (left, right))[1]
