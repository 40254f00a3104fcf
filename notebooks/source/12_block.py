# %% [markdown]
# # 12 · The Transformer block
#
# **You need:** [chapter 11](11_attention.ipynb) (attention); [chapter 2](02_gradients.ipynb) (gradient checks); mean and variance.
#
# **Time:** 25 minutes of reading, 40 for the exercises.
#
# **You will be able to** derive layer norm and its backward pass, say what each part around attention is for, build the block from its parts, and count
# its parameters.

# %% [markdown]
# ## Why it matters
#
# A **Transformer（变换器）** is one **block（块）** again and again: 12 times in the smallest GPT-2, 96 times in GPT-3.
# Attention ([chapter 11](11_attention.ipynb)) is half of a block. The other half looks humble: two matrices with a bent function between them, a
# normalisation, an addition, some random zeros. Take the addition away, and a deep stack doesn't learn at all. This chapter derives each part, then
# switches parts off and measures what happens.

# %% tags=["setup"]
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import functional as F
from minillm import nn, ops
from minillm.gradcheck import check_gradients, check_model
from minillm.models import GPT2Config, LlamaConfig, LlamaForCausalLM
from minillm.optim import Adam
from minillm.training import fit
from minillm.viz import book_style

book_style()
minillm.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## Layer norm: every row to the same scale
#
# A product with a matrix can make numbers larger or smaller, and a stack of them does so exponentially. **Layer normalisation（层归一化）** brings each row $x$ of $C$
# features back to mean 0 and variance 1, and then lets the model choose scale and shift by two learned vectors:
#
# <a id="formula-layer-norm"></a>
# $$\mu = \frac{1}{C} \sum_{j} x_j, \qquad
#   r = \Big( \frac{1}{C} \sum_{j} (x_j - \mu)^2 + \varepsilon \Big)^{-1/2}, \qquad
#   \hat{x}_i = r\,(x_i - \mu), \qquad
#   y_i = \gamma_i \hat{x}_i + \beta_i \tag{1}$$
#
# | symbol | in code | shape | what it is |
# |---|---|---|---|
# | $x, \hat{x}, y$ | `x, x_hat, out` | $(\dots, C)$ | input, normalised, output: each row for itself |
# | $\mu$ | | $(\dots, 1)$ | mean of a row |
# | $r$ | `rstd` | $(\dots, 1)$ | one over the standard deviation of a row |
# | $\gamma, \beta$ | `gamma, beta` | $(C,)$ | learned scale and shift, the same for all rows |
# | $\varepsilon$ | `eps` | | a small number that keeps $r$ finite if all $x_j$ are equal |
#
# ### Backward, step by step
#
# How does $\hat{x}_i$ move if we move one $x_j$? In three ways: directly, through $\mu$ and through $r$. The mean moves by $\partial \mu / \partial x_j = 1/C$. For the variance
# $\sigma^2 = \frac{1}{C} \sum_i (x_i - \mu)^2$, with $[i=j]$ for 1 if $i = j$ and 0 otherwise:
#
# $$\frac{\partial \sigma^2}{\partial x_j}
#   = \frac{2}{C} \sum_i (x_i - \mu) \Big( [i=j] - \frac{1}{C} \Big)
#   = \frac{2}{C} (x_j - \mu)$$
#
# since $\sum_i (x_i - \mu) = 0$. And because $r = (\sigma^2 + \varepsilon)^{-1/2}$:
#
# $$\frac{\partial r}{\partial x_j}
#   = -\frac{1}{2} (\sigma^2 + \varepsilon)^{-3/2} \cdot \frac{2}{C} (x_j - \mu)
#   = -\frac{r^3}{C} (x_j - \mu)
#   = -\frac{r^2}{C}\, \hat{x}_j$$
#
# The product rule for $\hat{x}_i = r\,(x_i - \mu)$ collects all three, and $x_i - \mu = \hat{x}_i / r$:
#
# $$\frac{\partial \hat{x}_i}{\partial x_j}
#   = r \Big( [i=j] - \frac{1}{C} \Big) - \frac{r^2}{C}\, \hat{x}_j \cdot \frac{\hat{x}_i}{r}
#   = r \Big( [i=j] - \frac{1}{C} - \frac{\hat{x}_i \hat{x}_j}{C} \Big)$$
#
# The cotangent of $\hat{x}_i$ is $h_i = g_i \gamma_i$. Multiply and sum over $i$:
#
# <a id="formula-layer-norm-backward"></a>
# $$\frac{\partial L}{\partial x_j} = r \Big( h_j
#   - \frac{1}{C} \sum_i h_i
#   - \hat{x}_j \cdot \frac{1}{C} \sum_i h_i \hat{x}_i \Big), \qquad h_i = g_i \gamma_i \tag{2}$$
#
# Read it: from the gradient that comes in, take away its mean and its part along $\hat{x}$. A shift of the whole row, or a stretch of it, changes nothing in the output
# (but for $\varepsilon$), so no gradient may ask for one. The vectors $\gamma$ and $\beta$ serve all rows $n$, so theirs are sums:
#
# <a id="formula-layer-norm-backward-parameters"></a>
# $$\frac{\partial L}{\partial \gamma_i} = \sum_n g_{ni}\, \hat{x}_{ni}, \qquad
#   \frac{\partial L}{\partial \beta_i} = \sum_n g_{ni} \tag{3}$$
#
# The numbers in the code belong to its file: there (1) and (2) are our (2) and (3), and `g` is our $h$.

# %% library="minillm.ops.layer_norm:layer_norm_forward,layer_norm_backward"

# %% [markdown]
# The check takes a large `eps`. With the usual $10^{-5}$ a backward pass that forgets it would be off by so little that one might overlook it.

# %% tags=["setup"]
x = rng.standard_normal((3, 5))
gamma, beta = rng.standard_normal((2, 5))

# %%
print(check_gradients(layer_norm_forward, layer_norm_backward, x, gamma, beta, eps=0.5))

# %% tags=["check"]
assert check_gradients(layer_norm_forward, layer_norm_backward, x, gamma, beta, eps=0.5).passed

# %% [markdown]
# ### A classic mistake
#
# "Mean and standard deviation are just numbers: divide the gradient by the standard deviation." This treats $\mu$ and $r$ as constants and keeps only the first term of (2).

# %%
def takes_statistics_for_constants(grad_out, saved):
    x_hat, rstd, gamma, _ = saved
    return rstd * grad_out * gamma, (grad_out * x_hat).sum(axis=0), grad_out.sum(axis=0)


report = check_gradients(
    layer_norm_forward, takes_statistics_for_constants, x, gamma, beta, eps=0.5
)
print(report)

# %% tags=["check"]
assert report.findings[0].kind == "missing_mean_term"

# %% [markdown]
# ### RMS norm
#
# Many newer models leave the mean out and divide by the root of the mean square: **RMS normalisation（均方根归一化）**. The same steps, with one way less for $x_j$ to act,
# give a backward pass without the term of the mean:
#
# <a id="formula-rms-norm"></a>
# $$\hat{x}_i = r\, x_i, \qquad
#   r = \Big( \frac{1}{C} \sum_{j} x_j^2 + \varepsilon \Big)^{-1/2}, \qquad
#   y_i = \gamma_i \hat{x}_i \tag{4}$$
#
# <a id="formula-rms-norm-backward"></a>
# $$\frac{\partial L}{\partial x_j} = r \Big( g_j \gamma_j
#   - \hat{x}_j \cdot \frac{1}{C} \sum_i g_i \gamma_i\, \hat{x}_i \Big) \tag{5}$$

# %%
print(check_gradients(ops.rms_norm_forward, ops.rms_norm_backward, x, gamma, eps=0.5))

# %% tags=["check"]
assert check_gradients(ops.rms_norm_forward, ops.rms_norm_backward, x, gamma, eps=0.5).passed

# %% [markdown]
# ## GELU: a bend
#
# Two linear maps in a row are one linear map. What stands between them must bend: an **activation function（激活函数）**. The simplest is **ReLU（修正线性单元）**, $\max(x, 0)$. Transformers
# mostly use **GELU（高斯误差线性单元）**, which multiplies $x$ by the probability that a standard normal number is below $x$:
#
# <a id="formula-gelu"></a>
# $$y = x\, \Phi(x), \qquad \Phi(x) = \frac{1}{2} \Big( 1 + \mathrm{erf}\, \frac{x}{\sqrt{2}} \Big) \tag{6}$$
#
# where erf is the error function and $\Phi$ the distribution function of the normal distribution, whose slope is the density $\varphi(x) = e^{-x^2/2} / \sqrt{2\pi}$. By the product rule
#
# <a id="formula-gelu-backward"></a>
# $$\frac{dy}{dx} = \Phi(x) + x\, \varphi(x) \tag{7}$$
#
# GPT-2 was trained with an approximation that needs no erf. Its weights expect it, so the library has both:
#
# <a id="formula-gelu-tanh"></a>
# $$y = \frac{x}{2} \left( 1 + \tanh\Big( \sqrt{2/\pi}\, \big( x + 0.044715\, x^3 \big) \Big) \right) \tag{8}$$

# %% alt="Left: ReLU and GELU over x from -4 to 4. GELU follows ReLU far from zero, dips to -0.17 at x = -0.75 and is smooth. Right: their slopes. That of ReLU jumps from 0 to 1, that of GELU is below 0 left of -0.75 and overshoots 1 for x above about 0.75."
z = np.linspace(-4, 4, 801)
gelu, (slope,) = ops.gelu_forward(z)
relu = ops.relu_forward(z)[0]
fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.9))
left.plot(z, relu, "--", color="C1", label="ReLU")
left.plot(z, gelu, label="GELU")
left.set(title="value", xlabel="x (standard deviations)", ylabel="y (1)")
left.legend()
right.plot(z, z > 0, "--", color="C1", label="ReLU")
right.plot(z, slope, label="GELU")
right.set(title="slope", xlabel="x (standard deviations)", ylabel="dy/dx (1)")
plt.show()
approximation = ops.gelu_forward(z, approximate="tanh")[0]
print("smallest value of GELU:", gelu.min().round(3), "at", z[gelu.argmin()].round(2))
print("largest error of the tanh form:", abs(approximation - gelu).max().round(6))

# %% tags=["check"]
assert abs(approximation - gelu).max() < 5e-4
assert check_gradients(ops.gelu_forward, ops.gelu_backward, x).passed
assert check_gradients(ops.gelu_forward, ops.gelu_backward, x, approximate="tanh").passed
assert abs(gelu.min() + 0.17) < 0.001
assert abs(z[gelu.argmin()] + 0.75) < 0.01

# %% [markdown]
# The **feed-forward layer（前馈层）** puts GELU between two linear layers: $x$ of width $C$ goes up to $F$, usually $4C$, is bent, and comes back to $C$. It treats each position for itself.
# Attention moves information between positions; the feed-forward layer works on what has arrived.
#
# <a id="formula-feed-forward"></a>
# $$\mathrm{feedforward}(x) = \mathrm{GELU}(x W_1 + b_1)\, W_2 + b_2 \tag{9}$$
#
# ## Dropout: not to rely on one number
#
# **Dropout（暂退法）** sets each number to 0 with probability $p$ while training, so that a model can't hang everything on a single one. With $m_i = 1$ if number $i$ is kept and 0 if not:
#
# <a id="formula-dropout"></a>
# $$y_i = \frac{m_i}{1-p}\, x_i, \qquad \frac{\partial L}{\partial x_i} = \frac{m_i}{1-p}\, g_i \tag{10}$$
#
# Why divide by $1-p$? On average over the masks $y_i$ is $\frac{1-p}{1-p}\, x_i = x_i$. So the next layer finds numbers of the same size in training and in use, where nothing is dropped:

# %%
ones = np.ones(10_000)
for p in (0.1, 0.4):
    y = ops.dropout_forward(ones, p=p, rng=np.random.default_rng(1))[0]
    print(
        f"p = {p}: kept {(y > 0).mean():.3f}, values {sorted(set(y.round(3).tolist()))}, "
        f"mean {y.mean():.3f}, mean without the division {(y > 0).mean():.3f}"
    )

# %% tags=["check"]
assert abs(y.mean() - 1) < 0.03

# %% [markdown]
# The factor belongs in backward, too. And backward must use *the mask of forward*: to draw a new one is the other classic mistake. See what the checker makes of both:

# %%
def forgets_the_division(grad_out, saved):
    (scale,) = saved
    return (grad_out * (scale > 0),)


def draws_another_mask(grad_out, saved):
    other = np.random.default_rng(7).random(grad_out.shape) >= 0.3
    return (grad_out * other / 0.7,)


for wrong in (forgets_the_division, draws_another_mask):
    report = check_gradients(ops.dropout_forward, wrong, x, p=0.3, rng=np.random.default_rng(0))
    print(wrong.__name__, "->", report.findings[0].kind)
    print(textwrap.fill(report.findings[0].message, 88), "\n")

# %% tags=["check"]
assert report.findings[0].kind == "wrong_entries"
report = check_gradients(
    ops.dropout_forward, forgets_the_division, x, p=0.3, rng=np.random.default_rng(0)
)
assert report.findings[0].kind == "scaled"

# %% [markdown]
# ## Residual connections: a way straight through
#
# Let $f$ be attention or the feed-forward layer. A **residual connection（残差连接）** doesn't replace $x$ by $f(x)$ but adds: $y = x + f(x)$. For the gradient, with the matrix $J$ of partial
# derivatives of $f$:
#
# $$\frac{\partial L}{\partial x_j} = \sum_i g_i \big( [i=j] + J_{ij} \big) = g_j + \sum_i g_i J_{ij} \tag{11}$$
#
# The gradient arrives *unchanged*, plus what $f$ has to say. Through a stack of $n$ such steps one term of the product $(I + J_n) \cdots (I + J_1)$ is the identity alone. Without the
# addition only $J_n \cdots J_1$ is left, and if each factor shrinks a little, the product vanishes.
#
# Norms can stand in two places. As published, a sum is normalised, **post-norm（后归一化）**; most models since GPT-2 normalise what goes into each part, **pre-norm（前归一化）**, so that the sums
# themselves are never touched:
#
# <a id="formula-transformer-encoder-layer"></a>
# $$\text{post:} \quad x' = \mathrm{norm}_1\big(x + \mathrm{attention}(x)\big), \qquad
#   \mathrm{out} = \mathrm{norm}_2\big(x' + \mathrm{feedforward}(x')\big) \tag{12}$$
#
# <a id="formula-transformer-encoder-layer-pre-norm"></a>
# $$\text{pre:} \quad x' = x + \mathrm{attention}\big(\mathrm{norm}_1(x)\big), \qquad
#   \mathrm{out} = x' + \mathrm{feedforward}\big(\mathrm{norm}_2(x')\big) \tag{13}$$
#
# Here are the feed-forward layer and the block of the library. They hold no formulas: parts, and the order in which they are called.

# %% library="minillm.nn.transformer:FeedForward,TransformerEncoderLayer"

# %% [markdown]
# A small one, with names, shapes and the number of its parameters, and a check of all of them by `check_model`. (Dropout is off, and for a check the parameters must be float64.)

# %%
block = TransformerEncoderLayer(
    8, 2, 32, dropout=0.0, activation="gelu", norm_first=True, dtype=np.float64
)
print(block)
report = check_model(block, rng.standard_normal((2, 3, 8)))
print(textwrap.fill(report.heading(), 88))

# %% tags=["check"]
assert report.passed
assert sum(p.size for p in block.parameters()) == 12 * 8**2 + 13 * 8

# %% [markdown]
# **How many parameters?** Attention has four matrices, $4C^2 + 4C$ with biases. The feed-forward layer has $2CF + F + C$, and two norms have $4C$. For $F = 4C$ these sum up to
# $12C^2 + 13C$: two thirds of the matrices' numbers stand in the feed-forward layer. For the block above, $C = 8$, that is 872. For the smallest GPT-2, with $C = 768$ and 12 blocks:

# %%
C, L = GPT2Config().n_embd, GPT2Config().n_layer
print(f"C = {C}: one block {12 * C**2 + 13 * C:,}, {L} blocks {L * (12 * C**2 + 13 * C):,}")

# %% tags=["check"]
assert 12 * 8**2 + 13 * 8 == 872
assert (C, L) == (768, 12)

# %% [markdown]
# ## A picture: what the residual does for the gradient
#
# We send random numbers through 24 blocks with fresh random weights, and a random gradient back, and measure the norm of the gradient below each block. Once without residuals and norms,
# $x \to \mathrm{feedforward}(\mathrm{attention}(x))$; once with residuals only; and by (12) and (13).

# %% alt="Left, on a logarithmic scale: the norm of the gradient below each of 24 blocks. Without residuals it falls from about 1 at the top to 1e-27 at the bottom. The three curves with residuals stay between 10 and 200. Right: the size of the numbers after each block. Post-norm stays at 1, pre-norm grows slowly to 2, residuals alone to more than 5, without residuals it stays near 0.06."
def plain(block, x):
    return block.feed_forward(block.self_attention(x))


def residual_only(block, x):
    x = x + block.self_attention(x)
    return x + block.feed_forward(x)


def post_norm(block, x):
    block.norm_first = False
    return block(x)


def pre_norm(block, x):
    block.norm_first = True
    return block(x)


def send(step, blocks):
    """Norm of the gradient below each block, and root mean square of the numbers above it."""
    draw = np.random.default_rng(0)
    x, pairs = draw.standard_normal((2, 8, 32)), []
    for block in blocks:
        x = minillm.Tensor(x, requires_grad=True)  # cut here, to keep the gradient of x
        pairs.append((x, step(block, x)))
        x = pairs[-1][1].data
    sizes = [math.sqrt((y.data**2).mean()) for _, y in pairs]
    grad, norms = draw.standard_normal(x.shape), []
    for x, y in reversed(pairs):
        y.backward(grad)
        grad = x.grad
        norms.append(np.linalg.norm(grad))
    return norms[::-1], sizes


minillm.manual_seed(0)
options = {"dropout": 0.0, "activation": "gelu", "dtype": np.float64}
blocks = [nn.TransformerEncoderLayer(32, 4, 128, **options) for _ in range(24)]
fig, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.4))
norms = {}
for step, style in ((plain, "--"), (residual_only, ":"), (post_norm, "-."), (pre_norm, "-")):
    norms[step.__name__], sizes = send(step, blocks)
    left.semilogy(range(1, 25), norms[step.__name__], style, label=step.__name__.replace("_", "-"))
    right.plot(range(1, 25), sizes, style)
    first, *_, last = norms[step.__name__]
    print(f"{step.__name__:13s} gradient below block 1: {first:.1e}, below block 24: {last:.1e}")
left.set(title="gradient on its way down", xlabel="block", ylabel="norm of the gradient (1)")
left.legend()
right.set(title="numbers on their way up", xlabel="block", ylabel="root mean square (1)")
plt.show()

# %% tags=["check"]
assert norms["plain"][0] < 1e-20
assert all(5 < n < 300 for name in ("residual_only", "post_norm", "pre_norm") for n in norms[name])

# %% [markdown]
# Without residuals the lowest block gets a gradient 27 powers of ten smaller than the highest: it will never learn. With residuals alone the numbers, and with them the gradient, grow from block
# to block. Norms tame that: after post-norm the numbers always have size 1,
# and with pre-norm they still grow, but slowly.
#
# ## An experiment: can it be trained?
#
# A norm alone could also keep the size of the gradient. Does one need the residual, then? Six blocks learn to copy: eight random letters of twelve come twice, and the second
# time they are to be predicted. One stack has norms but no residuals, the others are (12) and (13).

# %% alt="Three loss curves over 150 steps. Without residuals the loss stays at log 12 = 2.48 nats. Post-norm falls to about 1.9, pre-norm to about 1.3."
class Stack(nn.Module):
    """Six blocks over twelve letters; `step` says how a block is put together."""

    def __init__(self, step):
        self.step = step
        self.letters = nn.Embedding(12, 24)
        self.position = nn.PositionalEncoding(24, dropout=0.0, max_len=15, learned=True)
        block = {"d_model": 24, "nhead": 2, "dim_feedforward": 48, "dropout": 0.0}
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(**block, activation="gelu", norm_first=step == "pre-norm")
            for _ in range(6)
        )
        self.norm = nn.LayerNorm(24)
        self.output = nn.Linear(24, 12)

    def forward(self, ids):
        """Shapes   ids (B, 15) -> logits (B, 15, 12)."""
        x = self.position(self.letters(ids))
        for block in self.blocks:
            if self.step == "no residual":
                x = block.norm1(block.self_attention(x, is_causal=True))
                x = block.norm2(block.feed_forward(x))
            else:
                x = block(x, is_causal=True)
        return self.output(self.norm(x))


half = np.random.default_rng(1).integers(0, 12, size=(3200, 8))
ids = np.concatenate([half, half], axis=1)
labels = np.where(np.arange(1, 16) >= 8, ids[:, 1:], -100)  # only the second round is asked
learning_rate = 0.01
steps = 150  # fast: 80

fig, axes = plt.subplots()
final = {}
for step in ("no residual", "post-norm", "pre-norm"):
    minillm.manual_seed(0)
    model = Stack(step)
    optimizer = Adam(model.parameters(), lr=learning_rate)
    history = fit(
        model, optimizer, (ids[:, :-1], labels), steps=steps, batch_size=16, loss=F.cross_entropy
    )
    smooth = np.convolve(history.losses, np.ones(10) / 10, mode="valid")
    axes.plot(range(10, steps + 1), smooth, label=step)
    final[step] = smooth[-1]
    print(f"{step:12s} loss at the end {final[step]:.2f} nats")
axes.axhline(math.log(12), color="0.5", linestyle=":", label="log 12: guessing")
axes.set(title="Six blocks learn to copy", xlabel="step", ylabel="loss (nats per letter)")
axes.legend()
plt.show()

# %% tags=["check"]
assert final["no residual"] > 2.4
assert final["pre-norm"] < final["post-norm"] - 0.15
for step, expected in (("no residual", 0.87), ("post-norm", 0.26), ("pre-norm", 0.25)):
    minillm.manual_seed(0)
    fresh = Stack(step)
    fresh.norm = fresh.output = lambda x: x  # what leaves the sixth block
    x = fresh(ids[:100, :-1]).data
    same = (x.mean(axis=0) ** 2).mean() / (x**2).mean()
    assert abs(same - expected) < 0.04

# %% [markdown]
# The stack without residuals still guesses at the end. Its numbers have the right size, but they say too little: before training, 87 % of what leaves its sixth block (by squares) is the same for all rows, whatever their letters. With residuals it is about 25 %. **Change the learning rate** to 0.003 and run
# the cell again. Post-norm now keeps up. It is known for needing small steps at first, a *warm-up* ([chapter 7](07_optimizers.ipynb)), which pre-norm does without.
#
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/12_block.ipynb](solutions/12_block.ipynb).

# %% [markdown] exercise="columns" minutes=15 teaches="deriving the backward pass of a normalisation; which axis it is about" catches="the statistics taken for constants, sums over the wrong axis, one of the two ways forgotten"
# ### Exercise 12.1: the other axis
#
# Networks for pictures often normalise *columns*, which is called batch normalisation (Ioffe & Szegedy 2015): each feature $c$ gets mean 0 and variance 1 over the $N$ rows of a batch,
# $\hat{x}_{nc} = r_c\,(x_{nc} - \mu_c)$ with $\mu_c = \frac{1}{N} \sum_n x_{nc}$ and $r_c = \big( \frac{1}{N} \sum_n (x_{nc} - \mu_c)^2 + \varepsilon \big)^{-1/2}$. Now every row acts on all
# others, which is why language models don't do it: a text would be read differently in other company. Write forward and backward, without scale and shift.
#
# <details><summary>Hint 1</summary>
#
# Go through the steps between (1) and (2) once more. Which index is summed over, and what stands in the place of $C$?
#
# </details>
# <details><summary>Hint 2</summary>
#
# $\partial \hat{x}_{mc} / \partial x_{nc} = r_c \big( [m=n] - \frac{1}{N} - \frac{1}{N} \hat{x}_{mc} \hat{x}_{nc} \big)$, and nothing flows between different columns. Multiply by $g_{mc}$ and sum over $m$.
#
# </details>

# %% exercise="columns"
def columns_forward(x, *, eps):
    """Each column with mean 0 and variance 1.

    Shapes   x (N, C) -> out (N, C), and whatever backward needs
    """
    # BEGIN SOLUTION
    centred = x - x.mean(axis=0)
    rstd = 1 / np.sqrt((centred * centred).mean(axis=0) + eps)
    return centred * rstd, (centred * rstd, rstd)
    # END SOLUTION


def columns_backward(grad_out, saved):
    """The gradient of x, in a tuple."""
    # BEGIN SOLUTION
    x_hat, rstd = saved
    inner = grad_out - grad_out.mean(axis=0) - x_hat * (grad_out * x_hat).mean(axis=0)
    return (rstd * inner,)
    # END SOLUTION


# %% self_check="columns"
out = columns_forward(np.array([[1.0, 5.0], [3.0, 9.0]]), eps=0.0)[0]
assert np.allclose(out, [[-1, -1], [1, 1]]), f"the values should be [[-1, -1], [1, 1]], not {out}"
report = check_gradients(columns_forward, columns_backward, rng.standard_normal((5, 3)), eps=0.5)
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="columns"
def columns_forward(x, *, eps):
    centred = x - x.mean(axis=0)
    rstd = 1 / np.sqrt((centred * centred).mean(axis=0) + eps)
    return centred * rstd, rstd


def columns_backward(grad_out, rstd):
    return (grad_out * rstd,)


# %% wrong="columns"
def columns_forward(x, *, eps):
    centred = x - x.mean(axis=0)
    rstd = 1 / np.sqrt((centred * centred).mean(axis=0) + eps)
    return centred * rstd, (centred * rstd, rstd)


def columns_backward(grad_out, saved):
    x_hat, rstd = saved
    mean = grad_out.mean(axis=-1, keepdims=True)
    along = (grad_out * x_hat).mean(axis=-1, keepdims=True)
    return (rstd * (grad_out - mean - x_hat * along),)


# %% wrong="columns"
def columns_forward(x, *, eps):
    centred = x - x.mean(axis=0)
    rstd = 1 / np.sqrt((centred * centred).mean(axis=0) + eps)
    return centred * rstd, (centred * rstd, rstd)


def columns_backward(grad_out, saved):
    x_hat, rstd = saved
    return (rstd * (grad_out - x_hat * (grad_out * x_hat).mean(axis=0)),)


# %% wrong="columns"
def columns_forward(x, *, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    rstd = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)
    return centred * rstd, (centred * rstd, rstd)


def columns_backward(grad_out, saved):
    x_hat, rstd = saved
    mean = grad_out.mean(axis=-1, keepdims=True)
    along = (grad_out * x_hat).mean(axis=-1, keepdims=True)
    return (rstd * (grad_out - mean - x_hat * along),)


# %% [markdown] exercise="swiglu" minutes=15 teaches="the product rule; the slope of an activation" catches="one factor forgotten, sigmoid' in the place of silu', the roles of a and b exchanged"
# ### Exercise 12.2: a gated activation
#
# Llama's feed-forward layer is a **gated linear unit（门控线性单元）**. It multiplies two things: $y = \mathrm{silu}(a) \cdot b$, entry by entry, where $\mathrm{silu}(a) = a\, s(a)$ and $s(a) = 1 / (1 + e^{-a})$ is the sigmoid. Both
# $a$ and $b$ come from linear layers, so both need a gradient. Write forward and backward.
#
# <details><summary>Hint 1</summary>
#
# The slope of the sigmoid is $s\,(1 - s)$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Product rule: the slope of $a\,s(a)$ is $s + a\,s\,(1 - s)$. It is multiplied by $b$; and what is the gradient of $b$ multiplied by?
#
# </details>

# %% exercise="swiglu"
def swiglu_forward(a, b):
    """silu(a) * b, entry by entry.

    Shapes   a, b: any, equal -> out of the same shape, and whatever backward needs
    """
    # BEGIN SOLUTION
    s = 1 / (1 + np.exp(-a))
    return a * s * b, (a, b, s)
    # END SOLUTION


def swiglu_backward(grad_out, saved):
    """The gradients of a and b."""
    # BEGIN SOLUTION
    a, b, s = saved
    return grad_out * b * (s + a * s * (1 - s)), grad_out * a * s
    # END SOLUTION


# %% self_check="swiglu"
a, b = rng.standard_normal((2, 3, 5))
out = swiglu_forward(a, b)[0]
assert np.allclose(out, ops.silu_forward(a)[0] * b), "the values are wrong: out is not silu(a) * b"
report = check_gradients(swiglu_forward, swiglu_backward, a, b)
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="swiglu"
def swiglu_forward(a, b):
    s = 1 / (1 + np.exp(-a))
    return a * s * b, (a, b, s)


def swiglu_backward(grad_out, saved):
    a, b, s = saved
    return grad_out * b * s * (1 - s), grad_out * a * s


# %% wrong="swiglu"
def swiglu_forward(a, b):
    s = 1 / (1 + np.exp(-a))
    return a * s * b, (a, b, s)


def swiglu_backward(grad_out, saved):
    a, b, s = saved
    return grad_out * (s + a * s * (1 - s)), grad_out * a * s


# %% [markdown] exercise="count" minutes=10 teaches="which part of a block holds how many numbers" catches="keys and values counted for all heads, two matrices instead of three, biases that are not there"
# ### Exercise 12.3: count a Llama block
#
# A block of Llama has no biases. It has two RMS norms; attention with $H$ heads of width $D = C/H$ for the queries but only $G$ heads of the same width for keys and values (**grouped-query attention（分组查询注意力）**); and three matrices in its
# feed-forward layer (two up from $C$ to $F$, as in exercise 12.2, and one back). Write the number of its parameters.
#
# <details><summary>Hint 1</summary>
#
# List the seven matrices with their shapes. The matrix of the keys has the shape $(C, G D)$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# An RMS norm has $\gamma$ and no $\beta$: $C$ numbers.
#
# </details>

# %% exercise="count"
def llama_block_parameters(C, H, G, F):
    """How many parameters one block has.

    C   width        H   heads of queries
    F   width inside the feed-forward layer        G   heads of keys, and of values
    """
    # BEGIN SOLUTION
    D = C // H
    attention = 2 * C * C + 2 * C * G * D
    return attention + 3 * C * F + 2 * C
    # END SOLUTION


# %% self_check="count"
for C, H, G, F_ in ((24, 6, 2, 56), (20, 5, 5, 36)):
    config = LlamaConfig(
        vocab_size=11, hidden_size=C, intermediate_size=F_, num_hidden_layers=1,
        num_attention_heads=H, num_key_value_heads=G,
    )  # fmt: skip
    true = LlamaForCausalLM(config).model.layers[0].num_parameters()
    found = llama_block_parameters(C, H, G, F_)
    assert found == true, f"{C=}, {H=}, {G=}, F={F_}: {true} parameters, not {found}"
print("right; a block of Llama 2 with 70 billion parameters:")
print(f"{llama_block_parameters(8192, 64, 8, 28672):,}")

# %% wrong="count"
def llama_block_parameters(C, H, G, F):
    return 4 * C * C + 3 * C * F + 2 * C


# %% wrong="count"
def llama_block_parameters(C, H, G, F):
    return 2 * C * C + 2 * C * G * (C // H) + 2 * C * F + 2 * C


# %% wrong="count"
def llama_block_parameters(C, H, G, F):
    return 2 * C * C + 2 * C * G * (C // H) + 3 * C * F + 4 * C


# %% [markdown]
# ## References
#
# - J. L. Ba, J. R. Kiros, G. E. Hinton (2016), *Layer normalization*, arXiv:1607.06450, eq. 3-4: here (1).
# - B. Zhang, R. Sennrich (2019), *Root mean square layer normalization*, arXiv:1910.07467, eq. 4: here (4).
# - D. Hendrycks, K. Gimpel (2016), *Gaussian error linear units*, arXiv:1606.08415, section 2: here (6) and (8).
# - N. Srivastava et al. (2014), *Dropout*, JMLR 15, sections 4 and 10: here (10).
# - K. He et al. (2016), *Identity mappings in deep residual networks*, arXiv:1603.05027, eq. 5: the gradient through a sum, here (11).
# - A. Vaswani et al. (2017), arXiv:1706.03762, section 3.1: post-norm, here (12); eq. 2: the feed-forward layer, here (9), with ReLU.
# - R. Xiong et al. (2020), *On layer normalization in the Transformer architecture*, arXiv:2002.04745, figure 1: pre-norm, here (13).
# - In the library: [minillm/ops/layer_norm.py](../minillm/ops/layer_norm.py), [minillm/ops/rms_norm.py](../minillm/ops/rms_norm.py),
#   [minillm/ops/gelu.py](../minillm/ops/gelu.py), [minillm/ops/dropout.py](../minillm/ops/dropout.py),
#   [minillm/nn/transformer.py](../minillm/nn/transformer.py).
