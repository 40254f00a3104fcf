# %% [markdown]
# # 5 · Softmax and cross-entropy
#
# **You need:** [chapter 2](02_gradients.ipynb) (gradients and how to check them); logarithms.
#
# **Time:** 20 minutes of reading, 25 for the exercises.
#
# **You will be able to** turn scores into probabilities without overflow, derive the loss that every
# language model is trained with, and recognise a classic mistake in its backward pass.

# %% [markdown]
# ## Why it matters
#
# A language model has to say how likely each of $V$ words is as the next one. Its last layer gives $V$
# numbers of any size and sign, the **logits（对数几率）**. **Softmax（归一化指数）** makes probabilities of them, and
# **cross-entropy（交叉熵）** says how surprised the model was by the word that really came. Everything a
# language model learns, it learns from the gradient of this one number.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

from minillm import ops
from minillm.gradcheck import check_gradients
from minillm.viz import book_style

book_style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## From scores to probabilities
#
# We want positive numbers that sum to 1, and a larger logit must give a larger probability. The
# exponential makes any number positive; dividing by the sum takes care of the rest. For one row of
# $V$ logits $x$:
#
# <a id="formula-softmax"></a>
# $$p_i = \frac{e^{x_i}}{\sum_{j=1}^{V} e^{x_j}} \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $x$ | $(\dots, V)$ | logits, in nats: a difference of 1 is a factor of $e \approx 2.718$ in probability |
# | $p$ | $(\dots, V)$ | probabilities; each row sums to 1 |
#
# Only differences count: adding a constant $c$ to all logits multiplies numerator and denominator by
# $e^c$, which cancels. That is a gift, because (1) taken literally does not survive contact with a computer:

# %%
x = np.array([10.0, 100.0, 1000.0])
with np.errstate(over="ignore", invalid="ignore"):
    literal = np.exp(x) / np.exp(x).sum()
shifted = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
print("formula (1) as it stands:", literal)
print("after subtracting the largest:", shifted)

# %% tags=["check"]
assert np.isnan(literal[2])
assert shifted[2] == 1.0
assert np.isfinite(shifted).all()

# %% [markdown]
# $e^{1000}$ is larger than any float, `inf / inf` is `nan`, and one `nan` in a loss ruins a training. After
# the largest logit has been subtracted, every exponent is $\le 0$, so nothing overflows; the largest
# term is $e^0 = 1$, so the sum is at least 1 and nothing is divided by zero.
#
# ## Backward: every logit moves every probability
#
# The **cotangent** $g$, called `grad_out` in code, holds $\partial L / \partial p_j$ for each output: what the rest of
# the network asks for. We need $\partial L / \partial x_i$. The logit $x_i$ enters $p_i$ above the line and, through the sum,
# every $p_j$ below it. By the quotient rule, with $S = \sum_k e^{x_k}$:
#
# $$\frac{\partial p_j}{\partial x_i}
#   = \frac{[i=j]\, e^{x_j} \, S - e^{x_j} e^{x_i}}{S^2}
#   = p_j \left([i=j] - p_i\right)$$
#
# where $[i=j]$ is 1 if $i=j$ and 0 otherwise. The chain rule adds up over all outputs that $x_i$ has moved:
#
# <a id="formula-softmax-backward"></a>
# $$\frac{\partial L}{\partial x_i}
#   = \sum_j g_j \, p_j \left([i=j] - p_i\right)
#   = p_i \Big( g_i - \sum_j g_j p_j \Big) \tag{2}$$
#
# Read the bracket: the cotangent minus its own mean, weighted by $p$. It sums to zero over the row, as
# it must: softmax does not feel a shift of all logits, so no gradient may ask for one.
#
# ## The library's own code
#
# The next cell is `minillm/ops/softmax.py` as it stands. It is an ordinary cell: change a sign, run it and
# the check below it, and see what the checker says. `saved` is what forward keeps for backward. (In the
# library's docstrings the formulas have their own numbers: its (1) is our (2).)

# %% library="minillm.ops.softmax:softmax_forward,softmax_backward"

# %% [markdown]
# A **gradient check（梯度检验）** compares backward with slopes measured by nudging each input a little
# ([chapter 2](02_gradients.ipynb)). The sizes are different primes, so that a sum over the wrong axis cannot
# hide.

# %%
x = rng.standard_normal((3, 5))
print(check_gradients(softmax_forward, softmax_backward, x))

# %% tags=["check"]
assert check_gradients(softmax_forward, softmax_backward, x).passed

# %% [markdown]
# ## A classic mistake
#
# "Softmax is elementwise, so multiply by its slope." This forgets that $x_i$ also moves all the *other* probabilities
# through the sum: the second term of (2) is missing.

# %%
def softmax_backward_wrong(grad_out, saved):
    p, axis = saved
    return (grad_out * p,)


print(check_gradients(softmax_forward, softmax_backward_wrong, x))

# %% tags=["check"]
[finding] = check_gradients(softmax_forward, softmax_backward_wrong, x).findings
assert finding.kind == "missing_sum_term"

# %% [markdown]
# The checker did not only notice: it names the missing term. A check that uses `out.sum()` instead of a random
# cotangent sees this mistake too, but no wrong factor and no wrong sign: a row of probabilities always sums to 1,
# so the true gradient of the sum is 0, and 2 or $-1$ times the right backward is 0 as well.
#
# ## The loss: how surprised was the model?
#
# Let $y$ be the word that really came. The model gave it the probability $p_y$; its **surprisal** is $-\log p_y$:
# 0 if the model was certain, large if it had ruled the word out. Put (1) in, and the exponential disappears:
#
# <a id="formula-cross-entropy"></a>
# $$L = -\log p_y = \log \sum_{j=1}^{V} e^{x_j} - x_y \tag{3}$$
#
# The unit is the **nat**; divide by $\log 2$ for bits. A model that knows nothing gives each of $V$ words the
# probability $1/V$, and its loss is $\log V$. That is the first number to look at in any training.
#
# The derivative is short. The first term of (3) has the derivative $e^{x_i} / S = p_i$, the second $-[i = y]$:
#
# <a id="formula-cross-entropy-backward"></a>
# $$\frac{\partial L}{\partial x_i} = p_i - [i = y] \tag{4}$$
#
# **Prediction minus truth.** For a batch of $N$ rows the loss is the mean, so each row's gradient is divided by $N$.
# Compare with the long way round: by (2), with $g_j = -[j=y] / p_y$, the same comes out, but $1/p_y$ overflows when
# the model is confidently wrong. That is why libraries offer softmax and logarithm *in one operation*.

# %%
logits = rng.standard_normal((7, 11))
targets = rng.integers(0, 11, size=7)
loss, saved = ops.cross_entropy_forward(logits, targets)
(grad_logits, _) = ops.cross_entropy_backward(np.array(1.0), saved)
p = ops.softmax_forward(logits)[0]
one_hot = np.eye(11)[targets]
print("loss", loss.round(4), "   log V =", np.log(11).round(4))
difference = abs(grad_logits - (p - one_hot) / 7).max()
print(f"largest difference to (p - one_hot) / N: {difference:.0e}")

# %% tags=["check"]
assert abs(grad_logits - (p - one_hot) / 7).max() < 1e-15
assert check_gradients(ops.cross_entropy_forward, ops.cross_entropy_backward, logits, targets).passed

# %% [markdown]
# ## A picture: what the gradient asks for
#
# One row of five logits; the right class is number 3. A step against the gradient lowers the logits whose bars are
# above zero and raises the one below. The bars sum to zero.

# %% alt="Two bar charts over five classes. Left: probabilities, the right class 3 has only 0.11. Right: the gradient is equal to the probabilities, except at class 3, where it is -0.89."
row = np.array([[2.0, 0.5, 1.0, 0.4, -1.0]])
p = ops.softmax_forward(row)[0][0]
gradient = p - np.eye(5)[3]
fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.8))
left.bar(range(5), p)
left.set(title="prediction p", xlabel="class", ylabel="probability", ylim=(-1, 1))
right.bar(range(5), gradient, color=["C0", "C0", "C0", "C1", "C0"])
right.axhline(0, color="0.5", linewidth=0.8)
right.set(title="gradient p - [i = 3]", xlabel="class", ylabel="dL/dx (1)", ylim=(-1, 1))
plt.show()

# %% tags=["check"]
assert abs(gradient.sum()) < 1e-15
assert p[3].round(2) == 0.11

# %% [markdown]
# ## Two relatives
#
# **Yes or no.** With two classes only the difference $z$ of the two logits counts, and softmax becomes the
# **sigmoid（S 型函数）** $p = 1 / (1 + e^{-z})$. If the truth is $t$, 1 for yes and 0 for no, the loss is the **binary
# cross-entropy（二元交叉熵）**:
#
# <a id="formula-binary-cross-entropy-with-logits"></a>
# $$L = -t \log p - (1 - t) \log (1 - p) = \max(z, 0) - t z + \log\left(1 + e^{-\lvert z \rvert}\right) \tag{5}$$
#
# The second form is the first one with the same care as above: its exponent is never positive. To get it, put in
# $-\log p = \log(1 + e^{-z})$ and $-\log(1 - p) = z + \log(1 + e^{-z})$, which leaves $(1 - t) z + \log(1 + e^{-z})$; for
# $z < 0$ take $e^{-z}$ out of the last bracket. The gradient is prediction minus truth once more:
#
# <a id="formula-binary-cross-entropy-with-logits-backward"></a>
# $$\frac{\partial L}{\partial z} = p - t \tag{6}$$
#
# **A number.** Where the target is a number and not a class, the usual loss is the **mean squared error（均方误差）**, here for one
# entry, and its gradient is prediction minus truth, doubled:
#
# <a id="formula-mean-squared-error"></a>
# $$L = (x - t)^2, \qquad \frac{\partial L}{\partial x} = 2 (x - t) \tag{7}$$
#
# Why not use it for probabilities, too? The sigmoid has the slope $dp / dz = p (1 - p)$, so the gradient of $z$ is
# $2 (p - t)\, p (1 - p)$. A model that is confidently wrong has $p (1 - p)$ near 0: it hardly learns just when it should
# learn most.

# %%
z = np.array([-8.0])  # confidently "no"
t = np.array([1.0])  # the truth is "yes"
p, saved_sigmoid = ops.sigmoid_forward(z)
_, saved = ops.binary_cross_entropy_with_logits_forward(z, t)
by_cross_entropy = ops.binary_cross_entropy_with_logits_backward(np.array(1.0), saved)[0]
_, saved = ops.mean_squared_error_forward(p, t)
grad_p = ops.mean_squared_error_backward(np.array(1.0), saved)[0]
(by_squared_error,) = ops.sigmoid_backward(grad_p, saved_sigmoid)
print(f"p = {p[0]:.5f}: gradient of the cross-entropy {by_cross_entropy[0]:.4f}, "
      f"of the squared error {by_squared_error[0]:.4f}")

# %% tags=["check"]
assert abs(by_cross_entropy - (p - t)) < 1e-12
assert abs(by_squared_error - 2 * (p - t) * p * (1 - p)) < 1e-12
assert by_cross_entropy[0] / by_squared_error[0] > 1000

# %% [markdown]
# ## An experiment: temperature
#
# Divide all logits by a **temperature（温度）** $\tau$ before softmax. What happens at 0.1, at 10? Change the list and run
# the cell again. ([Chapter 15](15_decoding.ipynb) uses this to make a model bold or careful.)

# %% alt="Three lines of probabilities over five classes: at temperature 0.3 nearly all on class 0, at 1 in between, at 3 nearly flat."
temperatures = [0.3, 1.0, 3.0]
fig, axes = plt.subplots()
for temperature in temperatures:
    probabilities = ops.softmax_forward(row / temperature)[0][0]
    entropy = -(probabilities * np.log(probabilities)).sum()
    axes.plot(probabilities, "o-", label=f"τ = {temperature}: entropy {entropy:.2f} nats")
axes.set(title="The same logits at three temperatures", xlabel="class", ylabel="probability")
axes.set_xticks(range(5))
axes.legend()
plt.show()

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/05_softmax_cross_entropy.ipynb](solutions/05_softmax_cross_entropy.ipynb).

# %% [markdown] exercise="log-softmax" minutes=10 teaches="deriving a backward pass; stability" catches="a missing sum, p instead of log p, overflow"
# ### Exercise 5.1: the logarithm of softmax
#
# $\log p_i = x_i - \log \sum_j e^{x_j}$. Write forward, so that it survives logits of 1000, and backward. Rows are along the last axis.
#
# <details><summary>Hint 1</summary>
#
# Subtract the largest of each row (`keepdims=True`) before anything else: the result does not change.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $\partial \log p_j / \partial x_i = [i = j] - p_i$. Multiply by $g_j$ and sum over $j$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `grad_x = grad_out - p * grad_out.sum(axis=-1, keepdims=True)`. What is $p$, if forward saved $\log p$?
#
# </details>

# %% exercise="log-softmax"
def log_softmax_forward(x):
    """The logarithm of softmax along the last axis.

    Shapes   x (..., V) -> out (..., V), and whatever backward needs
    """
    # BEGIN SOLUTION
    shifted = x - x.max(axis=-1, keepdims=True)
    out = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out, out
    # END SOLUTION


def log_softmax_backward(grad_out, saved):
    """The gradient of x, in a tuple."""
    # BEGIN SOLUTION
    p = np.exp(saved)
    return (grad_out - p * grad_out.sum(axis=-1, keepdims=True),)
    # END SOLUTION


# %% self_check="log-softmax"
out, _ = log_softmax_forward(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]]))
assert np.allclose(out, np.log([[0.5, 0.5], [0.25, 0.75]])), f"the values are wrong: {out}"
out, _ = log_softmax_forward(np.array([[1000.0, 0.0]]))
assert np.allclose(out, [[0.0, -1000.0]]), (
    f"logits 1000 and 0 give 0 and -1000, not {out[0]}: the logarithm of a p that is rounded to 0?"
)
report = check_gradients(log_softmax_forward, log_softmax_backward, rng.standard_normal((3, 5)))
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="log-softmax"
def log_softmax_forward(x):
    shifted = x - x.max(axis=-1, keepdims=True)
    out = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out, out


def log_softmax_backward(grad_out, saved):
    return (grad_out - np.exp(saved) * grad_out,)


# %% wrong="log-softmax"
def log_softmax_forward(x):
    with np.errstate(all="ignore"):
        p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
        return np.log(p), p


def log_softmax_backward(grad_out, p):
    return (grad_out - p * grad_out.sum(axis=-1, keepdims=True),)


# %% wrong="log-softmax"
def log_softmax_forward(x):
    p = ops.softmax_forward(x)[0]
    with np.errstate(divide="ignore"):
        return np.log(p), p


def log_softmax_backward(grad_out, p):
    return (grad_out - p * grad_out.sum(axis=-1, keepdims=True),)


# %% [markdown] exercise="smoothing" minutes=15 teaches="the gradient is prediction minus target, whatever the target" catches="smoothing only in forward, a forgotten division by N or V"
# ### Exercise 5.2: label smoothing
#
# A target of exactly 0 asks a model to say "never". With **label smoothing（标签平滑）** the target is not one-hot any more. It is
# $q_i = (1 - s)\,[i = y] + s / V$, and the loss is $-\sum_i q_i \log p_i$ (Szegedy et al. 2016, section 7), averaged over the rows. Write
# loss and gradient.
#
# <details><summary>Hint 1</summary>
#
# Derive it once for any target $q$ with $\sum_i q_i = 1$: the gradient of $-\sum_i q_i \log p_i$ is $p_i - q_i$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Build $q$: start from `np.full(x.shape, s / V)`, then add $1 - s$ at `[np.arange(N), targets]`.
#
# </details>

# %% exercise="smoothing"
def smooth_cross_entropy_forward(x, *, targets, s):
    """The mean over N rows of -sum(q log p).

    Shapes   x (N, V), targets (N,) class numbers -> (), and whatever backward needs
    """
    # BEGIN SOLUTION
    N, V = x.shape
    q = np.full(x.shape, s / V)
    q[np.arange(N), targets] += 1 - s
    log_p = ops.log_softmax_forward(x)[0]
    return -(q * log_p).sum() / N, (log_p, q)
    # END SOLUTION


def smooth_cross_entropy_backward(grad_out, saved):
    """The gradient of x, in a tuple."""
    # BEGIN SOLUTION
    log_p, q = saved
    return (grad_out * (np.exp(log_p) - q) / len(q),)
    # END SOLUTION


# %% self_check="smoothing"
x, targets = rng.standard_normal((5, 7)), np.array([3, 0, 6, 3, 1])
options = {"targets": targets, "s": 0.3}
loss = smooth_cross_entropy_forward(x, **options)[0]
expected = ops.cross_entropy_forward(x, targets, label_smoothing=0.3)[0]
assert np.allclose(loss, expected), f"the loss is {loss}, it should be {expected}"
report = check_gradients(
    smooth_cross_entropy_forward, smooth_cross_entropy_backward, x, **options
)
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="smoothing"
def smooth_cross_entropy_forward(x, *, targets, s):
    N, V = x.shape
    q = np.full(x.shape, s / V)
    q[np.arange(N), targets] += 1 - s
    log_p = ops.log_softmax_forward(x)[0]
    return -(q * log_p).sum() / N, (log_p, np.eye(V)[targets])


def smooth_cross_entropy_backward(grad_out, saved):
    log_p, q = saved
    return (grad_out * (np.exp(log_p) - q) / len(q),)


# %% [markdown]
# ## References
#
# - J. S. Bridle (1990), *Probabilistic interpretation of feedforward classification network outputs*, Neurocomputing, eq. 11: softmax, here (1).
# - I. Goodfellow, Y. Bengio, A. Courville (2016), *Deep Learning*, eq. 6.29-6.30: softmax and its log-likelihood, here (1) and (3).
# - The same book, section 6.2.2.2: sigmoid and the binary log-likelihood, here (5).
# - C. Szegedy et al. (2016), *Rethinking the Inception architecture*, arXiv:1512.00567, section 7: label smoothing.
# - In the library: [minillm/ops/softmax.py](../minillm/ops/softmax.py), [minillm/ops/cross_entropy.py](../minillm/ops/cross_entropy.py); `python -m minillm gradcheck softmax`.
