# %% [markdown]
# # 1 · Arrays, shapes, broadcasting, and the way back
#
# **You need:** Python and a first acquaintance with NumPy; what a partial derivative is.
#
# **Time:** 20 minutes of reading, 35 for the exercises.
#
# **You will be able to** predict the shape of every result in this book, tell a view from a copy, and send a
# gradient back through a broadcast, a sum, a transpose and a matrix product.

# %% [markdown]
# ## Why it matters
#
# Everything in a language model is an **array（数组）**: words, weights, probabilities, gradients. Most mistakes of
# beginners, and many of experts, are mistakes of shape. Some of them raise an error. The bad ones do not: NumPy
# stretches an array that should not have been stretched, and the model trains on nonsense.
#
# The way *back* through such a stretch is the one step on which learners of this subject lose most time. So
# it comes first, and slowly.

# %% tags=["setup"]
import textwrap

import matplotlib.pyplot as plt
import numpy as np

from minillm import ops
from minillm.gradcheck import check_gradients
from minillm.viz import book_style

book_style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## Shapes
#
# The **shape（形状）** of an array says how many entries it has along each **axis（轴）**. Axes are counted from 0; `-1` is
# the last one. The **dtype（数据类型）** says what an entry is: `float32` and `float64` have about 7 and 16 digits.
#
# This book always puts the **batch axis（批量轴）** first and the **features（特征）** last. Two texts of 3 words each, every
# word described by 5 numbers:

# %%
x = rng.standard_normal((2, 3, 5)).astype(np.float32)  # (B, T, C)
print("x            ", x.shape, x.dtype)
print("x[0]         ", x[0].shape, "   the first text")
print("x[:, -1]     ", x[:, -1].shape, "   the last word of every text")
print("x.sum(axis=1)", x.sum(axis=1).shape, "   summed over the words: axis 1 is gone")
print("   keepdims  ", x.sum(axis=1, keepdims=True).shape, "the same, with a 1 where the axis was")

# %% tags=["check"]
assert x[:, -1].shape == x.sum(axis=1).shape == (2, 5)

# %% [markdown]
# | letter | what it counts |
# |---|---|
# | $B$ | texts in a batch |
# | $T$ | words, or pieces of words, in a text |
# | $C$ | features of each |
# | $F$ | features after a layer |
# | $H$, $D$ | groups of features ("heads") and their width, $C = H \cdot D$ |
# | $N$ | rows, mostly $N = B \cdot T$ |
#
# All letters: [docs/notation.md](../docs/notation.md).
#
# ## Views and copies
#
# Some expressions make a new array, a **copy（副本）**. Others make a **view（视图）**: another way to look at the same memory.
# Writing to a view changes the original.

# %%
x = np.arange(6.0).reshape(2, 3)
expressions = {
    "x[0]": x[0],
    "x[:, 1:]": x[:, 1:],
    "x.T": x.T,
    "x.reshape(3, 2)": x.reshape(3, 2),
    "x.T.reshape(6)": x.T.reshape(6),
    "x[[0, 1]]": x[[0, 1]],
    "x + 0": x + 0,
}
for text, result in expressions.items():
    print(f"{text:16}", "view" if np.shares_memory(x, result) else "copy")
row = x[0]
row += 100
print(x)

# %% tags=["check"]
assert [np.shares_memory(x, r) for r in expressions.values()] == [True] * 4 + [False] * 3
assert x[0, 0] == 100

# %% [markdown]
# So `+=` on something that others still need is dangerous. A backward pass that writes to its inputs spoils them for
# everybody else; the checker of this book calls that `mutated_input`.
#
# ## Broadcasting
#
# **Broadcasting（广播）** lets arrays of different shapes meet. NumPy writes the shapes one below the other, flush right:
#
# | | axis 0 | axis 1 |
# |---|---|---|
# | $a$ | 5 | 1 |
# | $b$ | | 7 |
# | $a + b$ | 5 | 7 |
#
# In each column the sizes must be equal, or one of them 1, or missing. An axis of size 1 or a missing one is repeated
# as often as needed, without using memory for it.

# %% alt="Three coloured tables of 5 rows and 7 columns. In the first every row has one colour, in the second every column has one colour, the third is their sum."
a, b = np.arange(5.0)[:, None], np.array([3.0, 0, 1, 5, 2, 0, 4])
fig, panels = plt.subplots(1, 3, figsize=(7.4, 2.2))
tables = (np.broadcast_to(a, (5, 7)), np.broadcast_to(b, (5, 7)), a + b)
titles = ("a (5, 1), repeated", "b (7,), repeated", "a + b (5, 7)")
for axes, table, title in zip(panels, tables, titles, strict=True):
    image = axes.imshow(table, vmin=0, vmax=9)
    axes.set(title=title, xlabel="axis 1", xticks=range(7), yticks=range(5))
panels[0].set_ylabel("axis 0")
fig.colorbar(image, ax=panels, label="entry")
plt.show()

# %% tags=["check"]
assert (a + b).shape == (5, 7)

# %% [markdown]
# What does not fit raises an error. What fits by accident does not, and that is worse. Here a model gives a column of 4
# predictions, and the targets are a row of 4. Their difference should have 4 entries:

# %%
try:
    ops.add_forward(np.zeros((5, 3)), np.zeros(5))
except ValueError as error:
    print(textwrap.fill(str(error), 84))

prediction = np.array([[1.0], [2.0], [3.0], [4.0]])  # (4, 1)
target = np.array([1.0, 2.0, 3.0, 4.0])  # (4,)
difference = prediction - target
print("\nshape of the difference:", difference.shape)
print("mean squared error of a perfect prediction:", (difference**2).mean())

# %% tags=["check"]
assert difference.shape == (4, 4)
assert (difference**2).mean() == 2.5

# %% [markdown]
# No error, and a loss of 2.5 for a perfect prediction. Print shapes before you print anything else.
#
# ## The way back: the sum over all uses
#
# Somewhere behind these arrays stands a **loss（损失）** $L$, one number. The **gradient（梯度）** of $L$ with respect to an array
# holds, for each entry, how fast $L$ grows when this entry grows. So it has *the shape of the array*. That is the first
# thing to check.
#
# Let $G_{ij}$ be the gradient with respect to entry $(i, j)$ of a result; in code it is called `grad_out`. What is the
# gradient of the inputs? There is one rule for everything in this chapter:
#
# > **The gradient of an entry is the sum, over all places where it was used, of what each use says.**
#
# This is the chain rule for several variables. If $a$ is used in two places and grows by a small $\delta$, both places grow,
# and $L$ changes by the sum of both effects.
#
# Apply it to a sum that broadcasts, $a$ of shape $(5, 1)$ and $b$ of shape $(7)$:
#
# <a id="formula-add"></a>
# $$\text{out}_{ij} = a_i + b_j \tag{1}$$
#
# The entry $a_i$ was used in all columns $j$ of row $i$, each time with the slope 1. The entry $b_j$ was used in all rows:
#
# <a id="formula-add-backward"></a>
# $$\frac{\partial L}{\partial a_i} = \sum_j G_{ij} \qquad\qquad
#   \frac{\partial L}{\partial b_j} = \sum_i G_{ij} \tag{2}$$
#
# For a product each use has its own slope, the other factor:
#
# <a id="formula-multiply"></a>
# $$\text{out}_{ij} = a_i \, b_j \tag{3}$$
#
# <a id="formula-multiply-backward"></a>
# $$\frac{\partial L}{\partial a_i} = \sum_j G_{ij} \, b_j \qquad\qquad
#   \frac{\partial L}{\partial b_j} = \sum_i G_{ij} \, a_i \tag{4}$$
#
# Both have two steps: first the gradient *at each use*, an array of the large shape; then the sum over the axes that were
# repeated. The second step is the same for all operations. It is called **un-broadcasting（反广播）**.
#
# ## The library's own code
#
# Each operation is a pair: `forward` returns the result and `saved`, which is what `backward` will need. `_prepare` looks
# whether shapes and dtypes fit; an input without a gradient, such as an integer, gets `None`. First the operations, then
# the one function that sums back. Formula (1) of the first file is (4) here, and (1) of the second is (2). Change a line in
# either cell and run the check below.

# %% library="minillm.ops.arithmetic:add_forward,add_backward,multiply_forward,multiply_backward"

# %% library="minillm.ops.broadcasting:unbroadcast"

# %%
a, b = rng.standard_normal((5, 1)), rng.standard_normal(7)
print(check_gradients(add_forward, add_backward, a, b))
print()
print(check_gradients(multiply_forward, multiply_backward, a, b))

# %% tags=["check"]
assert check_gradients(add_forward, add_backward, a, b).passed
assert check_gradients(multiply_forward, multiply_backward, a, b).passed

# %% [markdown]
# How the checker knows: it nudges every entry a little and measures ([chapter 2](02_gradients.ipynb)).
#
# The most frequent case is a **bias（偏置）**: one vector $(C)$ that is added to every word of every text, $(B, T, C)$. It was
# used $B \cdot T$ times, so its gradient is the sum over both of these axes:

# %%
G = rng.standard_normal((2, 3, 5))  # grad_out (B, T, C)
grad_bias = unbroadcast(G, (5,))
print("gradient of the bias:", grad_bias.shape)
print("the sum over axes 0 and 1, exactly:", np.array_equal(grad_bias, G.sum(axis=(0, 1))))

# %% tags=["check"]
assert np.allclose(grad_bias, [sum(G[i, j, c] for i in range(2) for j in range(3)) for c in range(5)])

# %% [markdown]
# ## Two classic mistakes
#
# First: the sum is forgotten. Second: the sum runs over the wrong axis. With 4 rows and 4 columns the second mistake
# gives a result of the right *shape*, and no error at all. This is why every test in this book uses sizes that are
# different primes: then only the right axis fits. The checker needs no such luck.

# %%
def forgets_the_sum(grad_out, saved):
    return grad_out, grad_out


def sums_the_wrong_axis(grad_out, saved):
    return grad_out, grad_out.sum(axis=1)  # the bias was repeated along axis 0


x, bias = rng.standard_normal((4, 4)), rng.standard_normal(4)
for backward in (forgets_the_sum, sums_the_wrong_axis):
    report = check_gradients(add_forward, backward, x, bias)
    print(f"{backward.__name__}: {report.findings[0].kind}")
    print(textwrap.indent(textwrap.fill(report.findings[0].message, 80), "    "))

# %% tags=["check"]
kinds = [check_gradients(add_forward, b, x, bias).findings[0].kind
         for b in (forgets_the_sum, sums_the_wrong_axis)]
assert kinds[0] == "missing_broadcast_sum"
assert kinds[1] in ("wrong_axis", "wrong_entries")

# %% [markdown]
# The second verdict speaks of entries in the wrong place. It is right: in a square, summing over the wrong axis is the
# same as exchanging the axes and then summing over the right one.
#
# ## Sums: the mirror image
#
# A **reduction（归约）** removes an axis. The simplest is the sum of each row:
#
# <a id="formula-sum"></a>
# $$\text{out}_i = \sum_{j=1}^{n} x_{ij} \tag{5}$$
#
# Each $x_{ij}$ is used once, in $\text{out}_i$, with slope 1. So the gradient of a row is repeated along the row:
#
# <a id="formula-sum-backward"></a>
# $$\frac{\partial L}{\partial x_{ij}} = G_i \tag{6}$$
#
# and for the mean, which divides by $n$, so does the gradient:
#
# <a id="formula-mean-backward"></a>
# $$\frac{\partial L}{\partial x_{ij}} = \frac{G_i}{n} \tag{7}$$
#
# The way back through a broadcast is a sum; the way back through a sum is a broadcast.
#
# ## Moving numbers: reshape and transpose
#
# `reshape` reads the entries row by row and writes them row by row into another shape. A **transpose（转置）** exchanges
# axes. Both move numbers without changing them, so each entry is used once, and its gradient goes back to where the
# entry came from. For the transpose that every attention layer makes, $(B, T, H, D) \to (B, H, T, D)$:
#
# <a id="formula-transpose"></a>
# $$\text{out}_{bhtd} = x_{bthd} \tag{8}$$
#
# <a id="formula-transpose-backward"></a>
# $$\frac{\partial L}{\partial x_{bthd}} = G_{bhtd} \tag{9}$$
#
# Reshape and transpose can give the same shape and different arrays. One text, $T = 3$ words with $C = 4$ features,
# written as "word, feature"; the features are to be dealt out to $H = 2$ heads of $D = 2$:

# %%
x = np.array([[f"{word}{feature}" for feature in range(4)] for word in "abc"])[None]  # (1, 3, 4)
right = x.reshape(1, 3, 2, 2).transpose(0, 2, 1, 3)  # (B, H, T, D)
wrong = x.reshape(1, 2, 3, 2)  # the same shape
print("right, head 0:\n", right[0, 0])
print("wrong, head 0:\n", wrong[0, 0])


def heads_forward(x):
    return x.reshape(2, 3, 5, 7).transpose(0, 2, 1, 3), None


def heads_backward_wrong(grad_out, saved):
    return (grad_out.reshape(2, 3, 35),)


x = rng.standard_normal((2, 3, 35))  # B = 2, T = 3, H = 5, D = 7
[finding] = check_gradients(heads_forward, heads_backward_wrong, x).findings
print(f"\nthe same mistake on the way back: {finding.kind}")
print(textwrap.indent(textwrap.fill(finding.message, 80), "    "))

# %% tags=["check"]
assert right.shape == wrong.shape == (1, 2, 3, 2)
assert right[0, 0].tolist() == [["a0", "a1"], ["b0", "b1"], ["c0", "c1"]]
assert wrong[0, 0].tolist() == [["a0", "a1"], ["a2", "a3"], ["b0", "b1"]]
assert finding.kind in ("transposed", "wrong_entries")

# %% [markdown]
# In the right array head 0 sees features 0 and 1 of each of the three words. In the wrong one it sees all of word a, half
# of word b, and nothing of word c. Nothing raises an error, because every shape is as it should be.
#
# ## Matrix products
#
# In **matrix multiplication（矩阵乘法）** the last axis of the left factor meets the first of the right one, and is summed
# away. All other axes on the left just come along:
#
# $$(B, T, C) \; @ \; (C, F) \to (B, T, F)$$
#
# So $B$ and $T$ may be joined to $N = B \cdot T$ rows first, which makes one large product of many small ones. For a
# row $n$:
#
# <a id="formula-matmul"></a>
# $$\text{out}_{nf} = \sum_{c=1}^{C} a_{nc} \, b_{cf} \tag{10}$$
#
# The way back, by the same rule: $a_{nc}$ was used in every column $f$, with slope $b_{cf}$. And $b_{cf}$ was used in every
# row $n$, with slope $a_{nc}$:
#
# <a id="formula-matmul-backward-a"></a>
# $$\frac{\partial L}{\partial a_{nc}} = \sum_{f=1}^{F} G_{nf} \, b_{cf}
#   \qquad\text{that is}\quad G \, b^T \tag{11}$$
#
# <a id="formula-matmul-backward-b"></a>
# $$\frac{\partial L}{\partial b_{cf}} = \sum_{n=1}^{N} a_{nc} \, G_{nf}
#   \qquad\text{that is}\quad a^T G \tag{12}$$
#
# In (12) the sum over all rows is the sum over the batch. It is not an extra step: it is in the product.

# %%
a, b = rng.standard_normal((2, 3, 5)), rng.standard_normal((5, 7))  # (B, T, C), (C, F)
out, saved = ops.matmul_forward(a, b)
G = rng.standard_normal(out.shape)
grad_a, grad_b = ops.matmul_backward(G, saved)
print("out   ", out.shape)
print("grad_a", grad_a.shape, " grad_b", grad_b.shape)
print("grad_b by hand agrees:", np.allclose(grad_b, a.reshape(6, 5).T @ G.reshape(6, 7)))
print(check_gradients(ops.matmul_forward, ops.matmul_backward, a, b))

# %% tags=["check"]
assert np.allclose(grad_b, a.reshape(6, 5).T @ G.reshape(6, 7))
assert check_gradients(ops.matmul_forward, ops.matmul_backward, a, b).passed

# %% [markdown]
# ## An experiment: guess the shape
#
# Say the shape of each result *before* you run the cell, and which axes the gradient of each operand will be summed
# over. Then add pairs of your own. Can you find one in which both operands are stretched along two axes each?

# %%
pairs = [((3, 1), (4,)), ((2, 3, 5), (5,)), ((2, 3, 5), (3, 1)), ((6, 1, 5), (4, 1)), ((), (2, 2))]


def summed_axes(shape, out_shape):
    """The axes of the result along which an operand of this shape was repeated."""
    full = (0,) * (len(out_shape) - len(shape)) + shape  # 0: the axis was missing
    return tuple(i for i, (n, m) in enumerate(zip(full, out_shape, strict=True)) if n != m)


for left, right in pairs:
    out_shape = np.broadcast_shapes(left, right)
    print(f"{left!s:10} with {right!s:8} -> {out_shape!s:10} gradients summed over axes "
          f"{summed_axes(left, out_shape)} and {summed_axes(right, out_shape)}")

# %% tags=["check"]
for left, right in pairs:
    out_shape = np.broadcast_shapes(left, right)
    ones = np.ones(out_shape)
    for shape in (left, right):
        summed = ones.sum(axis=summed_axes(shape, out_shape)).reshape(shape)
        assert np.array_equal(summed, unbroadcast(ones, shape))

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/01_arrays.ipynb](solutions/01_arrays.ipynb).

# %% [markdown] exercise="shapes" minutes=8 teaches="the rule of broadcasting, without running anything" catches="aligning shapes at the left, a forgotten stretch"
# ### Exercise 1.1: shapes in the head
#
# Give the shape of each result as a tuple, or `None` where NumPy raises an error. No computing: the check does that.
#
# | | expression | shapes |
# |---|---|---|
# | 1 | `x + b` | x (2, 3, 5), b (3,) |
# | 2 | `x * m` | x (2, 3, 5), m (3, 1) |
# | 3 | `p - y` | p (6, 1), y (6,) |
# | 4 | `x.sum(axis=1) / n` | x (2, 3, 5), n (2, 1) |
# | 5 | `x - x.mean(axis=-1)` | x (2, 3, 5) |
# | 6 | `q @ k.transpose(0, 2, 1)` | q (2, 3, 5), k (2, 7, 5) |
#
# <details><summary>Hint 1</summary>
#
# Write the shapes one below the other, flush right. Missing axes are on the left.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Without `keepdims` a reduced axis is gone, and the others move to the right when the shapes are aligned.
#
# </details>

# %% exercise="shapes"
def six_shapes():
    """The shapes of the six results, in a list; None for an error."""
    # BEGIN SOLUTION
    return [None, (2, 3, 5), (6, 6), (2, 5), None, (2, 3, 7)]
    # END SOLUTION


# %% self_check="shapes"
x, ones = np.ones((2, 3, 5)), np.ones
expressions = [
    lambda: x + ones(3),
    lambda: x * ones((3, 1)),
    lambda: ones((6, 1)) - ones(6),
    lambda: x.sum(axis=1) / ones((2, 1)),
    lambda: x - x.mean(axis=-1),
    lambda: x @ ones((2, 7, 5)).transpose(0, 2, 1),
]
answers = six_shapes()
assert len(answers) == 6, f"six answers are needed, there are {len(answers)}"
for number, (expression, answer) in enumerate(zip(expressions, answers, strict=True), 1):
    try:
        expected = expression().shape
    except ValueError:
        expected = None
    answer = answer if answer is None else tuple(answer)
    assert answer == expected, (
        f"number {number} is not {answer}: write the two shapes flush right, and compare column by column"
    )
print("all six are right")

# %% wrong="shapes"
def six_shapes():
    return [(2, 3, 5), (2, 3, 5), (6, 1), (2, 5), (2, 3, 5), (2, 3, 7)]


# %% wrong="shapes"
def six_shapes():
    return [None, (2, 3, 5), (6, 1), (2, 5), None, (2, 3, 7)]


# %% [markdown] exercise="unbroadcast" minutes=15 teaches="the way back through any broadcast" catches="only missing axes summed, a lost axis of size 1, an axis of size 1 that was not repeated"
# ### Exercise 1.2: sum back
#
# Write `sum_back(grad, shape)`: the gradient of an operand of this shape, where `grad` has the shape of the result. Do
# not look at the library's version above while you write.
#
# <details><summary>Hint 1</summary>
#
# Two kinds of axes are summed: those that the operand did not have (on the left), and those where it had size 1.
#
# </details>
# <details><summary>Hint 2</summary>
#
# First `while grad.ndim > len(shape): grad = grad.sum(axis=0)`. Now both have equally many axes.
#
# </details>
# <details><summary>Hint 3</summary>
#
# For the rest use `keepdims=True`, so that the axis of size 1 stays.
#
# </details>

# %% exercise="unbroadcast"
def sum_back(grad, shape):
    """Sum a gradient over the axes that broadcasting repeated.

    Shapes   grad: any shape that `shape` broadcasts to -> `shape`
    """
    # BEGIN SOLUTION
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            grad = grad.sum(axis=axis, keepdims=True)
    return grad
    # END SOLUTION


# %% self_check="unbroadcast"
cases = [((5, 7), (5, 7)), ((7,), (5, 7)), ((5, 1), (5, 7)), ((1, 7), (5, 7)), ((), (5, 7)),
         ((1, 1), (5, 7)), ((3, 1, 5), (2, 3, 4, 5)), ((1, 3), (1, 3)), ((4, 4), (3, 4, 4))]
for shape, out_shape in cases:
    grad = rng.standard_normal(out_shape)
    owner = np.arange(int(np.prod(shape))).reshape(shape)  # which entry stands behind each use
    expected = np.zeros(owner.size)
    np.add.at(expected, np.broadcast_to(owner, out_shape).reshape(-1), grad.reshape(-1))
    found = np.asarray(sum_back(grad, shape))
    assert found.shape == shape, f"{out_shape} back to {shape}: your result has shape {found.shape}"
    assert np.allclose(found.reshape(-1), expected), f"{out_shape} back to {shape}: wrong numbers"
print(len(cases), "cases are right")

# %% wrong="unbroadcast"
def sum_back(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    return grad


# %% wrong="unbroadcast"
def sum_back(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=-1)
    for axis, size in enumerate(shape):
        if size == 1:
            grad = grad.sum(axis=axis, keepdims=True)
    return grad


# %% [markdown] exercise="centre" minutes=12 teaches="two ways from an entry to the loss; sum and broadcast are mirror images" catches="the way through the mean forgotten, the wrong axis, a wrong sign"
# ### Exercise 1.3: subtract the mean
#
# $y_{nc} = x_{nc} - m_c$, where $m_c = \frac{1}{N} \sum_n x_{nc}$ is the mean of column $c$. Write forward and backward. Each
# entry acts in two ways: directly, and through the mean of its column.
#
# <details><summary>Hint 1</summary>
#
# The way back to $m$ first: $m_c$ was broadcast over the rows, with the slope $-1$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Then from $m$ to $x$ by (7), and add the direct way.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Together: $G_{nc} - \frac{1}{N} \sum_k G_{kc}$. What does that say about the sum of each column of the gradient?
#
# </details>

# %% exercise="centre"
def centre_forward(x):
    """Each column minus its mean.

    Shapes   x (N, C) -> (out (N, C), whatever backward needs)
    """
    # BEGIN SOLUTION
    return x - x.mean(axis=0), None
    # END SOLUTION


def centre_backward(grad_out, saved):
    """The gradient of x, in a tuple."""
    # BEGIN SOLUTION
    return (grad_out - grad_out.mean(axis=0),)
    # END SOLUTION


# %% self_check="centre"
out, _ = centre_forward(np.array([[1.0, 10.0], [3.0, 40.0]]))
assert np.allclose(out, [[-1, -15], [1, 15]]), f"the values are wrong: {out}"
report = check_gradients(centre_forward, centre_backward, rng.standard_normal((5, 3)))
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="centre"
def centre_forward(x):
    return x - x.mean(axis=0), None


def centre_backward(grad_out, saved):
    return (grad_out,)


# %% wrong="centre"
def centre_forward(x):
    return x - x.mean(axis=0), len(x)


def centre_backward(grad_out, saved):
    return (grad_out * (1 - 1 / saved),)


# %% wrong="centre"
def centre_forward(x):
    return x - x.mean(axis=0), None


def centre_backward(grad_out, saved):
    return (grad_out - grad_out.mean(axis=1, keepdims=True),)


# %% [markdown]
# ## References
#
# - C. R. Harris et al. (2020), *Array programming with NumPy*, Nature 585: arrays, views, broadcasting.
# - I. Goodfellow, Y. Bengio, A. Courville (2016), *Deep Learning*, section 6.5.2: the sum over all ways, the rule of this chapter.
# - K. B. Petersen, M. S. Pedersen (2012), *The Matrix Cookbook*, eq. 70-71: here (11) and (12), in index form.
# - In the library: `minillm/ops/broadcasting.py`, `arithmetic.py`, `reductions.py`, `shaping.py`, `matmul.py`;
#   `python -m minillm gradcheck matmul`.
