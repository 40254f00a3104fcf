# %% [markdown]
# # 2 · Gradients by hand, and how to check them
#
# **You need:** derivatives of functions of one variable and the chain rule;
# [chapter 1](01_arrays.ipynb) (shapes, broadcasting, "sum over all uses").
#
# **Time:** 25 minutes of reading, 35 for the exercises.
#
# **You will be able to** derive the backward pass of a layer line by line, measure the same gradient by
# nudging inputs, choose a step size that works, and read a report that names your mistake.

# %% [markdown]
# ## Why it matters
#
# A model has parameters, and a **loss（损失）**: one number that says how wrong the model is. Training asks of
# each parameter: if you grow a little, does the loss rise or fall, and how fast? The answers to all these
# questions together are the **gradient（梯度）**.
#
# A wrong gradient rarely crashes. The loss still falls, only more slowly or not as far, and nothing says why.
# So this book never trusts a gradient that has not been compared with a measured one.

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
# ## From a slope to a Jacobian
#
# For a function of one number, the **derivative（导数）** is the slope: the change of the output divided by a very
# small change of the input. A function of many numbers has one slope for each of them, its **partial
# derivative（偏导数）**: move one input, keep all others.
#
# A layer has many inputs $x_i$ *and* many outputs $y_j$. All slopes together form a table, the
# **Jacobian（雅可比矩阵）**:
#
# $$J_{ji} = \frac{\partial y_j}{\partial x_i}$$
#
# Measure one. The function is $y = xW$ for a single row $x$ of 3 features; we move each input by a little and
# look at all 5 outputs.

# %%
W = rng.standard_normal((3, 5))
x = rng.standard_normal(3)
h = 1e-6
J = np.zeros((5, 3))
for i in range(3):
    nudge = np.zeros(3)
    nudge[i] = h
    J[:, i] = ((x + nudge) @ W - (x - nudge) @ W) / (2 * h)
print("measured Jacobian, (outputs, inputs):")
print(J.round(4))
print("largest difference to the transpose of W is below 1e-8:", abs(J - W.T).max() < 1e-8)

# %% tags=["check"]
assert abs(J - W.T).max() < 1e-8

# %% [markdown]
# For this function the Jacobian is $W^T$, and it does not depend on $x$. Nobody builds it for a real layer, though:

# %%
B, T, C, F = 8, 128, 256, 256
entries = (B * T * F) * (B * T * C)
print(f"outputs {B * T * F:,}, inputs {B * T * C:,}, entries of the Jacobian {entries:.1e}")
print(f"in float32 that is {entries * 4 / 1e9:,.0f} gigabytes")

# %% tags=["check"]
assert round(entries * 4 / 1e9) == 275

# %% [markdown]
# ## What a backward pass is given, and what it returns
#
# Let the loss $L$ be computed from $y$ by whatever follows. Suppose we know $g_j = \partial L / \partial y_j$ for each
# output. This array, of the shape of $y$, is the **cotangent（余切向量）**; in code it is called `grad_out`.
#
# Moving $x_i$ moves every $y_j$ by $J_{ji}$ times as much, and each of these moves the loss by $g_j$ times as much.
# The **chain rule（链式法则）** for many variables adds up these ways:
#
# $$\frac{\partial L}{\partial x_i} = \sum_j g_j \, \frac{\partial y_j}{\partial x_i}
#   \qquad\text{or}\qquad g^T J \tag{1}$$
#
# This sum is the **vector-Jacobian product（向量-雅可比积）**. It is all that a **backward pass（反向计算）** computes: from
# the gradient of the output to the gradient of the input, of the same shape as the input. The table $J$ itself is
# never built.
#
# ## A layer by hand
#
# The linear layer multiplies rows by a weight and adds a bias. Here are the shapes.
#
# | symbol | shape | what it is |
# |---|---|---|
# | $x$ | $(N, I)$ | $N$ rows of $I$ features |
# | $W$, $b$ | $(I, O)$, $(O)$ | weight and bias, shared by all rows |
# | $y$ | $(N, O)$ | the result |
# | $g$ | $(N, O)$ | the cotangent $\partial L / \partial y$ |
#
# <a id="formula-linear"></a>
# $$y_{nj} = \sum_{i=1}^{I} x_{ni} W_{ij} + b_j \tag{2}$$
#
# **The gradient of $x$.** The entry $x_{ni}$ stands in row $n$ of $y$ only, and there once in every column $j$, with the
# factor $W_{ij}$. So (1) becomes
#
# <a id="formula-linear-backward-x"></a>
# $$\frac{\partial L}{\partial x_{ni}} = \sum_{j=1}^{O} g_{nj} W_{ij}
#   \qquad\text{in matrices:}\quad g \, W^T \tag{3}$$
#
# **The gradient of $W$.** The entry $W_{ij}$ stands in column $j$ of $y$ only, but in *every* row $n$, with the factor
# $x_{ni}$. The rows share the weight, so their contributions add up:
#
# <a id="formula-linear-backward-weight"></a>
# $$\frac{\partial L}{\partial W_{ij}} = \sum_{n=1}^{N} x_{ni} \, g_{nj}
#   \qquad\text{in matrices:}\quad x^T g \tag{4}$$
#
# **The gradient of $b$.** The same with the factor 1:
#
# <a id="formula-linear-backward-bias"></a>
# $$\frac{\partial L}{\partial b_j} = \sum_{n=1}^{N} g_{nj} \tag{5}$$
#
# The shapes confirm it: $g W^T$ is $(N, O)(O, I) = (N, I)$, and $x^T g$ is $(I, N)(N, O) = (I, O)$. If the three sizes
# differ, there is only one way to multiply $g$ with $W$, or with $x$, that gives the right shape. That is a good way to
# remember (3) and (4), but it is no proof: the shapes do not see a forgotten factor.
#
# ## The library's own code
#
# `needs` says which gradients somebody wants, so that the others cost nothing; `as_rows` joins all axes but the last
# to the $N$ rows. Numbers in comments are those of the file [minillm/ops/linear.py](../minillm/ops/linear.py): its (1), (2), (3)
# are (3), (4), (5) here.

# %% library="minillm.ops.linear:linear_forward,linear_backward"

# %% [markdown]
# ## A gradient by measuring
#
# To check (3) to (5) we need a second opinion that does not use them. It comes from the definition of the slope:
# take a small step $h$ to both sides. This is the **central difference（中心差分）**:
#
# <a id="formula-central-difference"></a>
# $$f'(x) \approx \frac{f(x + h) - f(x - h)}{2h} \tag{6}$$
#
# How good is it? Put the Taylor series of $f(x \pm h)$ into (6). The even terms cancel, and what remains is
#
# $$\frac{f(x + h) - f(x - h)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \dots$$
#
# so the **truncation error（截断误差）** falls with $h^2$. The smaller $h$, the better? No: a computer knows $f$ only to a
# relative precision $\varepsilon$ ($10^{-7}$ in float32, $10^{-16}$ in float64). The numerator loses the digits that its two
# terms have in common, and what is left of the **rounding error（舍入误差）**, about $\varepsilon |f|$, is divided by $2h$: it *grows*
# as $h$ falls. Somewhere between lies the best step.

# %% alt="Error of the measured slope against the step size, both axes logarithmic. Float64 makes a U with its lowest point near 1e-11 at a step of about 1e-5. Float32 makes a U whose lowest point is a million times higher. The complex step falls to 1e-16, where rounding begins, and stays there."
def f(x):
    return np.exp(np.sin(x))


def central(dtype, h):
    """(6) at x = 1 in this dtype; NaN where 1 + h and 1 - h are the same number."""
    above, below = dtype(1 + h), dtype(1 - h)
    return (f(above) - f(below)) / (above - below) if above > below else np.nan


slope = np.cos(1.0) * np.exp(np.sin(1.0))  # by hand, with the chain rule
steps = 10.0 ** np.arange(-14, 0.1, 0.25)
errors = {}
for dtype in (np.float32, np.float64):
    measured = np.array([central(dtype, h) for h in steps], dtype=np.float64)
    errors[dtype.__name__] = abs(measured / slope - 1)
errors["complex step"] = abs(np.array([f(1 + 1j * h).imag / h for h in steps]) / slope - 1)

fig, axes = plt.subplots()
for (name, values), marker in zip(errors.items(), "osx", strict=True):
    axes.loglog(steps, np.maximum(values, 1e-16), marker, markersize=4, label=name)
curved = abs(np.cos(1.0) ** 2 - 3 * np.sin(1.0) - 1)  # |f'''| / |f'| at 1, again by hand
axes.loglog(steps[24:], curved * steps[24:] ** 2 / 6, ":", color="0.5", label="truncation")
axes.set(title="How wrong is a measured slope?", xlabel="step h (1)", ylabel="relative error (1)",
         ylim=(3e-17, 1e4))
axes.legend(ncols=2)
plt.show()
for name, values in errors.items():
    best = np.nanargmin(values)
    print(f"{name:13} best error {values[best]:.0e} at h = {steps[best]:.0e}")

# %% tags=["check"]
assert np.nanmin(errors["float64"]) < 1e-9
assert np.nanmin(errors["float32"]) > 1e-9
assert np.nanmedian(errors["float32"][steps < 1e-5]) > 1e-3
assert errors["float64"][0] > 1e-4
assert errors["complex step"][:20].max() < 1e-15
assert 1e-8 < np.finfo(np.float32).eps < 1e-6
assert 1e-17 < np.finfo(np.float64).eps < 1e-15

# %% [markdown]
# Three lessons. Check in **float64**: in float32 no step is good enough to tell a small mistake from noise. Take a step
# in the middle, not the smallest one that the computer can hold. And look at the crosses: the **complex step（复数步长）**
# $f'(x) \approx \operatorname{Im} f(x + ih) / h$ takes the slope from the imaginary part of $f(x + ih) = f(x) + ih f'(x) - \dots$
# It subtracts nothing, so nothing cancels, and it is right to the last digit for every tiny $h$.
# But it needs a function that computes with complex numbers; `abs`, `max` and comparisons do not. So the library uses
# differences, with a formula of higher order that allows a larger step:
#
# <a id="formula-numerical-slopes"></a>
# $$f'(x) \approx \frac{8 \left( f(x+h) - f(x-h) \right) - \left( f(x+2h) - f(x-2h) \right)}{12 h} \tag{7}$$
#
# Two numbers agree if their **relative error（相对误差）** is small. With $a$ from `backward`, the analytic one, and $n$
# the numerical one:
#
# <a id="formula-relative-error"></a>
# $$\frac{\lvert a - n \rvert}{\max \left( \lvert a \rvert, \lvert n \rvert \right)} \tag{8}$$
#
# Below $10^{-6}$ the check passes. A wrong formula is almost never off by so little: the mistakes below give 0.1 to 2.
#
# ## Why the outputs are weighed at random
#
# (6) needs one number, but a layer has many outputs. The usual way out is to sum them. That is blind. Look at
# softmax ([chapter 5](05_softmax_cross_entropy.ipynb)), which turns scores into probabilities: every row of its
# output sums to 1, whatever the input is, so the sum has the slope zero, and any multiple of the right gradient passes.
# A **random cotangent（随机余切向量）** $w$, and the loss $L = \sum_j w_j y_j$, is not fooled.

# %% tags=["setup"]
def numerical_gradient(loss, x, h=1e-5):
    """The slope of loss() along each entry of x, which is moved in place and put back."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        here = x[index]
        x[index] = here + h
        above = loss()
        x[index] = here - h
        below = loss()
        x[index] = here
        gradient[index] = (above - below) / (2 * h)
    return gradient


# %%
def agrees(backward, w, x):
    """Is this backward right for L = sum(w * softmax(x))?"""
    out, saved = ops.softmax_forward(x)
    (analytic,) = backward(w, saved)
    numeric = numerical_gradient(lambda: (w * ops.softmax_forward(x)[0]).sum(), x)
    return np.allclose(analytic, numeric, rtol=1e-6, atol=1e-8)


def right(g, saved):
    return ops.softmax_backward(g, saved)


def flipped(g, saved):
    return (-right(g, saved)[0],)


def eightfold(g, saved):
    return (8 * right(g, saved)[0],)


def nothing(g, saved):
    return (np.zeros_like(g),)


x = rng.standard_normal((3, 5))
ones, w = np.ones((3, 5)), rng.standard_normal((3, 5))
print(f"{'backward':12}{'sum of outputs':>16}{'random weights':>16}")
verdict = {True: "passes", False: "fails"}
for backward in (right, flipped, eightfold, nothing):
    by_sum, by_random = agrees(backward, ones, x), agrees(backward, w, x)
    print(f"{backward.__name__:12}{verdict[by_sum]:>16}{verdict[by_random]:>16}")

# %% tags=["check"]
assert all(agrees(b, ones, x) for b in (right, flipped, eightfold, nothing))
assert [agrees(b, w, x) for b in (right, flipped, eightfold, nothing)] == [True, False, False, False]

# %% [markdown]
# ## The whole check
#
# `check_gradients` does this for every input, with several random cotangents, in float64, and some more: is backward
# linear in `grad_out`, does it give the same twice, does it overwrite anything? Here it meets the linear layer from the
# cell above, so change a line there and run this again. The sizes 5, 3, 7 are different primes, so that no exchange of
# axes can hide.

# %%
x, weight, bias = (rng.standard_normal(shape) for shape in ((5, 3), (3, 7), (7,)))
report = check_gradients(linear_forward, linear_backward, x, weight, bias)
print(report)

# %% tags=["check"]
assert report.passed

# %% [markdown]
# ## Five classic mistakes
#
# $\tanh$ has the slope $1 - \tanh^2$, and forward saves both $x$ and the result. Five backward passes, each wrong in a way that
# people really are wrong, and what the **checker（检验器）** says:

# %%
def tanh_forward(x):
    out = np.tanh(x)
    return out, (x, out)


def forgot_grad_out(grad_out, saved):
    x, out = saved
    return (1 - out**2,)


def wrong_point(grad_out, saved):
    x, out = saved
    return (grad_out * (1 - x**2),)


def wrong_sign(grad_out, saved):
    x, out = saved
    return (grad_out * (out**2 - 1),)


def lost_factor(grad_out, saved):
    x, out = saved
    return (grad_out * (1 - out**2) / len(x),)  # "the mean over the batch", but forward has none


def overwrites(grad_out, saved):
    x, out = saved
    grad_out *= 1 - out**2  # saves memory, and spoils the array for everybody else
    return (grad_out,)


for backward in (forgot_grad_out, wrong_point, wrong_sign, lost_factor, overwrites):
    [finding] = check_gradients(tanh_forward, backward, x).findings
    print(f"{backward.__name__}: {finding.kind}")
    print(textwrap.indent(textwrap.fill(finding.message, 80), "    "))

# %% tags=["check"]
kinds = [check_gradients(tanh_forward, b, x).findings[0].kind
         for b in (forgot_grad_out, wrong_point, wrong_sign, lost_factor, overwrites)]
assert kinds == ["ignores_upstream", "wrong_operand", "sign_flipped", "scaled", "mutated_input"]
wrong = (forgot_grad_out, wrong_point, wrong_sign, lost_factor)
assert all(0.1 < check_gradients(tanh_forward, b, x).relative_error <= 2.0 for b in wrong)

# %% [markdown]
# The report also draws itself. Left: where the error is. In the middle, the curve that you know by now: for a right
# gradient the error falls with the step until rounding takes over; here no step makes it fall, so it is the formula that
# is wrong. Right: backward divided by the truth, entry by entry. The tall bar holds ratios *near* 1: where $x$ is small,
# $1 - x^2$ is almost $1 - \tanh^2 x$.

# %% alt="Three panels about the backward pass wrong_point. Left: a heat map of relative errors in which nearly all entries are bright. Middle: the error against the step size is flat. Right: the ratios of backward to numerical gradient are spread widely."
figure = check_gradients(tanh_forward, wrong_point, x).plot()
figure.set_size_inches(12.5, 4)
figure.set_dpi(84)
figure

# %% tags=["check"]
right_slope, wrong_slope = 1 - np.tanh(x) ** 2, 1 - x**2
is_near = abs(wrong_slope / right_slope - 1) < 0.3
assert is_near.sum() >= 5
assert abs(x[is_near]).max() < abs(x[~is_near]).min()

# %% [markdown]
# ## An experiment: corners
#
# `relu` is $\max(x, 0)$; it has a corner at 0, where no slope exists. Run the cell, then move the second entry of `x` from
# 0.0 to 0.1, 1e-3 and 1e-6. What does the note say, and from where on does the entry count again? Then replace
# `ops.relu_backward` by a function that returns `(grad_out,)`: which entries give it away?

# %%
x = np.array([-1.5, 0.0, 0.4, 2.0])
print(check_gradients(ops.relu_forward, ops.relu_backward, x))

# %% tags=["check"]
report = check_gradients(ops.relu_forward, ops.relu_backward, x)
assert report.passed
assert [index for index, _ in report.inputs[0].skipped] == [(1,)]

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/02_gradients.ipynb](solutions/02_gradients.ipynb).

# %% [markdown] exercise="gate" minutes=10 teaches="the product rule, a chain of two functions" catches="the slope of the wrong function, a forgotten cotangent"
# ### Exercise 2.1: a gate
#
# Recurrent networks and many feed-forward layers multiply a signal $a$ with a **gate**, a number between 0 and 1:
# $y = a \, \sigma(b)$ with $\sigma(b) = 1 / (1 + e^{-b})$, entry by entry. Write forward and backward.
#
# <details><summary>Hint 1</summary>
#
# Two inputs, so `backward` returns a tuple of two. Hold $b$ fixed and differentiate for $a$, then the other way round.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $\sigma' = \sigma (1 - \sigma)$. Show it once: put $u = e^{-b}$ and use the quotient rule.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `backward` needs $a$ and $s = \sigma(b)$: save these two.
#
# </details>

# %% exercise="gate"
def gate_forward(a, b):
    """a times sigmoid(b), entry by entry.

    Shapes   a, b: equal shapes -> (out of the same shape, whatever backward needs)
    """
    # BEGIN SOLUTION
    s = 1 / (1 + np.exp(-b))
    return a * s, (a, s)
    # END SOLUTION


def gate_backward(grad_out, saved):
    """The gradients of a and b, a tuple of two."""
    # BEGIN SOLUTION
    a, s = saved
    return grad_out * s, grad_out * a * s * (1 - s)
    # END SOLUTION


# %% self_check="gate"
out, _ = gate_forward(np.array([3.0, -2.0]), np.array([0.0, np.log(3.0)]))
assert np.allclose(out, [1.5, -1.5]), f"the values should be [1.5, -1.5], they are {out}"
report = check_gradients(gate_forward, gate_backward, *rng.standard_normal((2, 3, 5)))
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="gate"
def gate_forward(a, b):
    out = a / (1 + np.exp(-b))
    return out, (a, out)


def gate_backward(grad_out, saved):
    a, out = saved
    return grad_out * out / a, grad_out * out * (1 - out)


# %% wrong="gate"
def gate_forward(a, b):
    s = 1 / (1 + np.exp(-b))
    return a * s, (a, s)


def gate_backward(grad_out, saved):
    a, s = saved
    return grad_out * s, a * s * (1 - s)


# %% [markdown] exercise="unit" minutes=15 teaches="an entry that acts on a whole row" catches="a dropped second way, a wrong power of the length"
# ### Exercise 2.2: unit vectors
#
# Divide each row by its length: $y_i = x_i / r$ with $r = \sqrt{\sum_k x_k^2}$. The result is a **unit vector（单位向量）**. Every
# $x_i$ acts in two ways: directly, and through $r$ on the whole row. Derive backward from (1).
#
# <details><summary>Hint 1</summary>
#
# First $\partial r / \partial x_i = x_i / r$. Then, by the quotient rule, $\partial y_j / \partial x_i = [i = j] / r - x_j x_i / r^3$,
# where $[i = j]$ is 1 if $i = j$ and 0 otherwise.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Put it into (1). The first part leaves $g_i / r$; in the second a sum over the row remains, $\sum_j g_j y_j$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\left( g_i - y_i \sum_j g_j y_j \right) / r$: the part of $g$ along $y$ is taken away, because moving $x$ along itself does not
# change $y$.
#
# </details>

# %% exercise="unit"
def unit_forward(x):
    """Each row divided by its length.

    Shapes   x (N, C) -> (out (N, C), whatever backward needs)
    """
    # BEGIN SOLUTION
    r = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return x / r, (x / r, r)
    # END SOLUTION


def unit_backward(grad_out, saved):
    """The gradient of x, in a tuple."""
    # BEGIN SOLUTION
    y, r = saved
    return ((grad_out - y * (grad_out * y).sum(axis=-1, keepdims=True)) / r,)
    # END SOLUTION


# %% self_check="unit"
out, _ = unit_forward(np.array([[3.0, 4.0], [0.0, 2.0]]))
assert np.allclose(out, [[0.6, 0.8], [0.0, 1.0]]), f"the values are wrong: {out}"
report = check_gradients(unit_forward, unit_backward, rng.standard_normal((3, 5)))
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="unit"
def unit_forward(x):
    r = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return x / r, (x / r, r)


def unit_backward(grad_out, saved):
    y, r = saved
    return ((grad_out - y * y * grad_out) / r,)


# %% wrong="unit"
def unit_forward(x):
    r = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return x / r, r


def unit_backward(grad_out, r):
    return (grad_out / r,)


# %% wrong="unit"
def unit_forward(x):
    r = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return x / r, (x, r)


def unit_backward(grad_out, saved):
    x, r = saved
    return (grad_out / r - x * (grad_out * x).sum(axis=-1, keepdims=True) / r,)


# %% [markdown] exercise="checker" minutes=15 teaches="how a gradient check works; what it must not be blind to" catches="the sum of the outputs, a tolerance that forgives everything"
# ### Exercise 2.3: a checker of your own
#
# Write `is_right(forward, backward, x)`: True if this backward is the derivative of this forward at $x$. Use
# `numerical_gradient` from above. Your check meets right pairs and wrong ones, and has to tell them apart.
#
# <details><summary>Hint 1</summary>
#
# `numerical_gradient` wants a function without arguments that returns one number: `lambda: (w * forward(x)[0]).sum()`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Draw `w` from `np.random.default_rng(1).standard_normal`, in the shape of the output. What would be wrong with ones?
#
# </details>
# <details><summary>Hint 3</summary>
#
# Compare with (8): the largest difference, divided by the largest gradient, below 1e-6.
#
# </details>

# %% exercise="checker"
def is_right(forward, backward, x):
    """True if backward gives the gradient of forward.

    forward    forward(x) -> (out, saved)
    backward   backward(grad_out, saved) -> (grad_x,)
    x          a float64 array
    """
    # BEGIN SOLUTION
    out, saved = forward(x)
    w = np.random.default_rng(1).standard_normal(out.shape)
    (analytic,) = backward(w, saved)
    numeric = numerical_gradient(lambda: (w * forward(x)[0]).sum(), x)
    return abs(analytic - numeric).max() < 1e-6 * abs(numeric).max()
    # END SOLUTION


# %% self_check="checker"
x = rng.standard_normal((3, 5)) * 0.01
softmax, tanh = ops.softmax_forward, ops.tanh_forward
pairs = [
    ("softmax", softmax, ops.softmax_backward, True),
    ("tanh", tanh, ops.tanh_backward, True),
    ("softmax with a gradient of zero", softmax, lambda g, s: (0 * g,), False),
    ("softmax, 8 times too large", softmax, lambda g, s: (8 * ops.softmax_backward(g, s)[0],), False),
    ("tanh without grad_out", tanh, lambda g, s: ops.tanh_backward(np.ones_like(g), s), False),
    ("tanh, one per mille too large", tanh, lambda g, s: (1.001 * ops.tanh_backward(g, s)[0],), False),
]
for name, forward, backward, expected in pairs:
    said = bool(is_right(forward, backward, x))
    assert said == expected, f"{name}: your checker says {said}, it should be {expected}"
print("your checker tells", len(pairs), "pairs apart")

# %% wrong="checker"
def is_right(forward, backward, x):
    out, saved = forward(x)
    (analytic,) = backward(np.ones_like(out), saved)
    numeric = numerical_gradient(lambda: forward(x)[0].sum(), x)
    return np.allclose(analytic, numeric)


# %% wrong="checker"
def is_right(forward, backward, x):
    out, saved = forward(x)
    w = np.random.default_rng(1).standard_normal(out.shape)
    (analytic,) = backward(w, saved)
    numeric = numerical_gradient(lambda: (w * forward(x)[0]).sum(), x)
    return abs(analytic - numeric).max() < 1e-2


# %% [markdown]
# ## References
#
# - I. Goodfellow, Y. Bengio, A. Courville (2016), *Deep Learning*, section 6.5 and eq. 6.46: the chain rule with Jacobians, here (1);
#   algorithm 6.4: the linear layer, here (3) to (5).
# - M. Abramowitz, I. Stegun (1964), *Handbook of Mathematical Functions*, section 25.3; B. Fornberg (1988), *Generation of finite
#   difference formulas on arbitrarily spaced grids*, table 1: here (6) and (7).
# - W. Squire, G. Trapp (1998), *Using complex variables to estimate derivatives of real functions*, SIAM Review 40: the complex step.
# - In the library: `minillm/ops/linear.py`, `minillm/gradcheck/`; what other checkers see and miss:
#   [docs/gradient-checkers.md](../docs/gradient-checkers.md). `python -m minillm gradcheck homework.py` checks a file of yours.
