# %% [markdown]
# # 7 · From gradient descent to AdamW
#
# **You need:** [chapter 6](06_embedding.ipynb) (gradient descent, the network with three words of context).
#
# **Time:** 25 minutes of reading, 35 for the exercises.
#
# **You will be able to** derive momentum, Adam and AdamW line by line, say what each constant does, and recognise a missing bias correction
# and a wrong weight decay by their numbers.

# %% [markdown]
# ## Why it matters
#
# A gradient says in which direction the loss falls. It does not say how far to go, and it treats all
# parameters alike, whether the loss is steep or flat in them. What turns gradients into steps is the
# **optimiser（优化器）**. Nearly every language model is trained with one of three or four, and all of
# them are a few lines of arithmetic.

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import numpy as np

import minillm.functional as F
from minillm import Tensor, no_grad, ops, optim
from minillm.data import ToyWorld
from minillm.gradcheck import check_gradients
from minillm.optim import schedule
from minillm.viz import book_style

book_style()

# %% [markdown]
# ## Plain gradient descent, and what slows it down
#
# Let $p$ be the parameters, $g_t$ the gradient of the loss at step $t$, and $\eta$ the learning rate.
# In training, $g_t$ comes from a mini-batch, so it is noisy but right on average; then the method is
# called **stochastic gradient descent（随机梯度下降）**, SGD:
#
# <a id="formula-sgd"></a>
# $$p_t = p_{t-1} - \eta \, g_t \tag{1}$$
#
# Try it on a bowl that is steep in one direction: $f(x, y) = \tfrac12 (x^2 + 25\, y^2)$, with the
# gradient $(x, 25 y)$. Put it into (1), and the two coordinates do not even know of each other:
#
# $$x_t = (1 - \eta)\, x_{t-1} \;\Rightarrow\; x_t = (1 - \eta)^t x_0 \qquad y_t = (1 - 25\, \eta)^t y_0$$
#
# The second one grows unless $\lvert 1 - 25\, \eta \rvert < 1$, so $\eta$ must stay below
# $2/25 = 0.08$. With such a rate the first one shrinks by at most 8 % a step.
# **The steepest direction limits the rate, and the flattest one has to live with it.** The ratio of
# the largest second derivative to the smallest, here 25, is the *condition number*.


# %% tags=["setup"]
def bowl(p):
    """The value and the gradient of (x² + 25 y²) / 2."""
    return (p[0] ** 2 + 25 * p[1] ** 2) / 2, np.array([p[0], 25 * p[1]])


def path(optimiser, function, start, steps, **options):
    """All points that an optimiser of the library visits: (steps + 1, 2)."""
    p = Tensor(np.array(start), requires_grad=True)
    engine = optimiser([p], **options)
    points = [p.data.copy()]
    for _ in range(steps):
        p.grad = function(p.data)[1]
        engine.step()
        points.append(p.data.copy())
    return np.array(points)


# %%
for rate in (0.02, 0.07, 0.081):
    points = path(optim.SGD, bowl, [-9.0, 2.0], 50, lr=rate)
    x, y = points[-1]
    print(
        f"rate {rate:5.3f}: after 50 steps x = {x:7.4f}, y = {y:8.4f}, f = {bowl(points[-1])[0]:8.4f}"
    )

# %% tags=["check"]
points = path(optim.SGD, bowl, [-9.0, 2.0], 50, lr=0.07)
assert np.allclose(points[-1], [-9 * 0.93**50, 2 * (1 - 25 * 0.07) ** 50])
assert abs(path(optim.SGD, bowl, [-9.0, 2.0], 50, lr=0.081)[-1, 1]) > 2

# %% [markdown]
# ## Momentum: a running sum of gradients
#
# In the steep direction the steps go back and forth and cancel; in the flat one they all point the
# same way. So keep a sum of the gradients in which old ones fade by a factor $\mu < 1$, the
# **momentum（动量）**, and go along it:
#
# <a id="formula-sgd-momentum"></a>
# $$b_t = \mu \, b_{t-1} + g_t \qquad p_t = p_{t-1} - \eta \, b_t \tag{2}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $p$, $g$, $b$ | any, all the same | a parameter, its gradient, its buffer; $b_0 = 0$ |
# | $\eta$, $\mu$ | numbers | learning rate and momentum; $\mu = 0.9$ is usual |
#
# Insert the first equation into itself until nothing of $b_0$ is left:
#
# $$b_t = g_t + \mu\, g_{t-1} + \mu^2 g_{t-2} + \dots + \mu^{t-1} g_1$$
#
# That is a filter. A constant gradient $g$ adds up to $g\,(1 + \mu + \mu^2 + \dots) = g / (1 - \mu)$:
# with $\mu = 0.9$ the steps become ten times as long. A gradient that changes its sign at every step
# adds up to $g\,(1 - \mu + \mu^2 - \dots) = g / (1 + \mu)$: about half.
# **Steady directions are amplified, trembling ones are damped.**

# %%
mu, steady, trembling = 0.9, 0.0, 0.0
for t in range(100):
    steady = mu * steady + 1.0
    trembling = mu * trembling + (-1.0) ** t
print(f"steady gradient 1: b = {steady:.3f}, 1 / (1 - mu) = {1 / (1 - mu):.3f}")
print(f"gradient +1, -1, …: |b| = {abs(trembling):.3f}, 1 / (1 + mu) = {1 / (1 + mu):.3f}")

# %% tags=["check"]
assert abs(steady - 10) < 1e-3
assert abs(abs(trembling) - 1 / 1.9) < 1e-3

# %% [markdown]
# ### The library's own code
#
# `update` gets one parameter, its gradient and its `state`, a dictionary that the optimiser keeps for
# it. (Nesterov's variant looks one step ahead; it is the same filter.)

# %% library="minillm.optim.sgd:SGD"

# %% [markdown]
# ## Adam: every entry gets its own scale
#
# Momentum still uses one rate for all. Adam (Kingma and Ba 2015) keeps *two* running means, a
# **moving average（移动平均）** of the gradient and one of its square:
#
# <a id="formula-adam-moments"></a>
# $$m_t = \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \tag{3}$$
#
# All operations are entry by entry: $m$ and $v$ have the shape of the parameter. Both start at 0, and
# that is a problem. Unroll $m$ as we unrolled $b$:
#
# <a id="formula-adam-moments-unrolled"></a>
# $$m_t = (1 - \beta_1) \sum_{k=1}^{t} \beta_1^{\,t-k} g_k \tag{4}$$
#
# It is a weighted sum of all gradients so far. What do the weights sum to? By the geometric series
#
# $$(1 - \beta_1) \sum_{k=1}^{t} \beta_1^{\,t-k} = (1 - \beta_1)\, \frac{1 - \beta_1^t}{1 - \beta_1} = 1 - \beta_1^t$$
#
# which is not 1: at $t = 1$ with $\beta_1 = 0.9$ it is 0.1, so $m_1$ is ten times too small for a
# mean. The **bias correction（偏差修正）** divides by this sum, for $m$ and for $v$. Then the step is
#
# <a id="formula-adam-step"></a>
# $$\hat m_t = \frac{m_t}{1 - \beta_1^t} \qquad \hat v_t = \frac{v_t}{1 - \beta_2^t} \qquad
#   p_t = p_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon} \tag{5}$$
#
# with a tiny $\epsilon$ that keeps an entry whose gradient has always been 0 from dividing 0 by 0.
#
# ### What the quotient does
#
# Multiply all gradients by 1000: $\hat m$ grows by 1000, $\sqrt{\hat v}$ as well, and the step stays
# the same. The rate $\eta$ is therefore **a length in parameter space**: with a steady gradient
# $\hat m / \sqrt{\hat v} = \pm 1$, and each entry moves by $\eta$ per step. If the gradient trembles
# around 0, $\hat m$ is small against $\sqrt{\hat v}$, and so is the step. The longest steps come from
# a gradient that appears after a long silence: the first one is
# $(1 - \beta_1)/\sqrt{1 - \beta_2} = 3.2$ times $\eta$, and by the Cauchy-Schwarz inequality no
# sequence of gradients makes a late step longer than $7.3\, \eta$.

# %%
for scale in (0.001, 1.0, 1000.0):
    points = path(
        optim.Adam, lambda p, s=scale: (0.0, s * np.array([1.0, -2.0])), [0.0, 0.0], 3, lr=0.1
    )
    print(f"gradient {scale:8g} * (1, -2): after 3 steps of Adam p = {points[-1].round(4)}")

# %% tags=["check"]
assert np.allclose(points[-1], [-0.3, 0.3])
silence = [np.zeros(1)] * 8000
p = Tensor(np.zeros(1), requires_grad=True)
engine = optim.Adam([p], lr=1.0)
for p.grad in [*silence, np.ones(1)]:
    before = p.data.copy()
    engine.step()
assert abs((before - p.data)[0] - 0.1 / math.sqrt(0.001)) < 0.01
# (1 - b1) sum b1^k g_k <= (1 - b1) sqrt(sum (b1^2/b2)^k) sqrt(sum b2^k g_k^2)
assert abs(0.1 / math.sqrt(0.001) / math.sqrt(1 - 0.9**2 / 0.999) - 7.3) < 0.05

# %% [markdown]
# ### The library's own code, and AdamW
#
# The same arithmetic, written so that no step allocates a large array. `cache_blocks` cuts the
# parameter into pieces that fit the processor's cache. The factor $1/\sqrt{1 - \beta_2^t}$ is applied
# to $\sqrt{v}$, which is the same as (5).

# %% library="minillm.optim.adam:Adam,AdamW"

# %% [markdown]
# The next cell writes (3) and (5) once more, literally, and compares ten steps with the cell above.

# %%
rng = np.random.default_rng(0)
gradients = rng.standard_normal((10, 3))
p, m, v = np.ones(3), np.zeros(3), np.zeros(3)
parameter = Tensor(np.ones(3), requires_grad=True)
engine = Adam([parameter], lr=0.1)
for t, g in enumerate(gradients, start=1):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    p = p - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    parameter.grad = g.copy()
    engine.step()
print("largest difference after 10 steps:", f"{np.abs(p - parameter.data).max():.0e}")

# %% tags=["check"]
assert np.abs(p - parameter.data).max() < 1e-14

# %% [markdown]
# ## A classic mistake: no bias correction
#
# "It only matters in the first few steps." Count them. Without the correction the first step is
#
# $$\eta\, \frac{(1 - \beta_1)\, g}{\sqrt{(1 - \beta_2)\, g^2}} = \eta\, \frac{1 - \beta_1}{\sqrt{1 - \beta_2}}
#   = \eta\, \frac{0.1}{\sqrt{0.001}} \approx 3.16\, \eta$$
#
# because $m$ is 10 times too small, but $\sqrt v$ 32 times. And $v$ forgets slowly:


# %%
def quotient(t, beta1=0.9, beta2=0.999):
    """|m_t| / sqrt(v_t) for a steady gradient, without bias correction."""
    return (1 - beta1**t) / math.sqrt(1 - beta2**t)


for t in (1, 5, 12, 100, 1000):
    print(f"step {t:4}: {quotient(t):.2f} times the learning rate")
largest = max(range(1, 2000), key=quotient)
print(f"largest at step {largest}: {quotient(largest):.2f}")

# %% tags=["check"]
assert abs(quotient(1) - 3.16) < 0.005
assert quotient(largest) > 6
assert quotient(1000) > 1.2

# %% [markdown]
# For more than a hundred steps they are at least three times too long, just when the parameters are
# still random. A rate that seems too high for the start may only lack these two divisions.
#
# ## AdamW: decay the weights, not the gradient
#
# Large weights make a network over-confident, so one lets them shrink a little in each step:
# **weight decay（权重衰减）**, by a small factor $w$. For plain gradient descent there are two ways to say it. Add the penalty
# $\tfrac{w}{2} \lVert p \rVert^2$ to the loss (**L2 regularisation（L2 正则化）**), whose gradient is
# $w p$; or multiply the weights by $1 - \eta w$. It is the same:
# $p - \eta (g + w p) = (1 - \eta w)\, p - \eta g$.
#
# In Adam it is not the same. A decay that is part of $g$ is divided by $\sqrt{\hat v}$ with all the
# rest: an entry with large gradients hardly decays, one with small gradients decays a lot. AdamW
# takes the decay out:
#
# <a id="formula-adamw"></a>
# $$p_t = (1 - \eta\, w)\, p_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon} \tag{6}$$
#
# A test: two weights that start at 1. Their gradients are pure noise, a hundred times larger for the
# first one, so only the decay moves them in the long run.


# %%
def final_weights(optimiser):
    """Where two weights end, whose gradients are noise of size 10 and 0.1."""
    noise = np.random.default_rng(0).standard_normal((500, 2)) * [10.0, 0.1]
    p = Tensor(np.ones(2), requires_grad=True)
    engine = optimiser([p], lr=1e-3, weight_decay=0.5)
    for g in noise:
        p.grad = g
        engine.step()
    return p.data


print("                      noise 10  noise 0.1")
for name, optimiser in {"Adam, decay in g": optim.Adam, "AdamW": optim.AdamW}.items():
    print(f"{name:>20} {final_weights(optimiser)[0]:9.3f} {final_weights(optimiser)[1]:10.3f}")
print(f"{'(1 - lr w)^500':>20} {(1 - 1e-3 * 0.5) ** 500:9.3f} {(1 - 1e-3 * 0.5) ** 500:10.3f}")

# %% tags=["check"]
assert abs(final_weights(optim.Adam)[0] - 1) < 0.1
assert final_weights(optim.Adam)[1] < 0.65
assert np.ptp(final_weights(optim.AdamW)) < 0.1

# %% [markdown]
# AdamW moves both weights alike, up to the noise. With the decay inside $g$, the noisy weight has not
# decayed at all, and the quiet one too much.
#
# ## Pictures: three optimisers on two landscapes
#
# The second landscape is a curved valley, after Rosenbrock: $f(x, y) = (1 - x)^2 + 10\,(y - x^2)^2$,
# with its lowest point at $(1, 1)$. An optimiser can only be as good as its gradient, so check that
# first:


# %% tags=["setup"]
def valley_forward(p):
    """Shapes   p (2,) -> ()."""
    x, y = p
    return (1 - x) ** 2 + 10 * (y - x * x) ** 2, p


def valley_backward(grad_out, p):
    """The gradient of p, in a tuple."""
    x, y = p
    inner = 20 * (y - x * x)  # derivative of the second term by what stands in its bracket
    return (grad_out * np.array([-2 * (1 - x) - 2 * x * inner, inner]),)


def valley(p):
    """The value and the gradient."""
    return valley_forward(p)[0], valley_backward(1.0, p)[0]


# %%
def valley_backward_wrong(grad_out, p):
    x, y = p
    inner = 20 * (y - x * x)
    return (grad_out * np.array([-2 * (1 - x) - inner, inner]),)  # forgot that x² has a slope


point = np.array([-1.3, 0.7])
print(check_gradients(valley_forward, valley_backward, point))
print()
print(check_gradients(valley_forward, valley_backward_wrong, point))

# %% tags=["check"]
assert check_gradients(valley_forward, valley_backward, point).passed
assert not check_gradients(valley_forward, valley_backward_wrong, point).passed

# %% alt="Two contour plots with three paths each. Left, the narrow bowl: gradient descent zigzags across it and then creeps along, momentum swings far beyond and back, Adam takes a wide smooth curve. Right, the curved valley: gradient descent is still near its start after 120 steps, momentum and Adam have gone round the bend and reached the lowest point."
runs = {
    "bowl": (bowl, [-9.0, 2.0], 40, {"SGD": 0.07, "momentum": 0.02, "Adam": 0.6}),
    "curved valley": (valley, [-1.5, 2.4], 120, {"SGD": 0.006, "momentum": 0.004, "Adam": 0.1}),
}
methods = {
    "SGD": (optim.SGD, {}),
    "momentum": (optim.SGD, {"momentum": 0.9}),
    "Adam": (optim.Adam, {"betas": (0.9, 0.99)}),
}
fig, both = plt.subplots(1, 2, figsize=(7.4, 3.8))
ends = {}
for axes, (name, (function, start, steps, rates)) in zip(both, runs.items(), strict=True):
    width, height = (np.linspace(-10, 4, 90), np.linspace(-3.2, 3.2, 90)) if name == "bowl" else (
        np.linspace(-2, 2, 90), np.linspace(-1, 3.5, 90))  # fmt: skip
    grid = np.meshgrid(width, height)
    axes.contour(*grid, np.log(function(grid)[0] + 0.05), 14, colors="0.8", linewidths=0.7)
    for (method, (optimiser, options)), marker in zip(methods.items(), "os^", strict=True):
        points = path(optimiser, function, start, steps, lr=rates[method], **options)
        label = f"{method}, rate {rates[method]}"
        style = {"marker": marker, "markersize": 3 if method == "SGD" else 2, "linewidth": 1}
        axes.plot(*points.T, **style, label=label, zorder=3 if method == "SGD" else 2)
        ends[name, method] = function(points[-1])[0]
    axes.plot(*((0, 0) if name == "bowl" else (1, 1)), "k*", markersize=9)
    axes.set(title=f"{name}, {steps} steps", xlabel="x (1)", ylabel="y (1)")
    axes.set(xlim=(width[0], width[-1]), ylim=(height[0], height[-1]))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize="small")
plt.show()
for (name, method), value in ends.items():
    print(f"{name:>14}, {method:>8}: f = {value:.4f} at the end")

# %% tags=["check"]
assert ends["curved valley", "Adam"] < 0.01
assert ends["curved valley", "momentum"] < 0.01
assert ends["curved valley", "SGD"] > 4

# %% [markdown]
# On the bowl all three arrive in about the same time. In the valley SGD hardly moves: the steep walls
# limit its rate, as computed above, and the ground between them is nearly flat.
#
# ## Two companions: clipping and a schedule
#
# **Gradient clipping（梯度裁剪）.** Now and then one batch has an enormous gradient, and one step along it
# can ruin what thousands have built. So see all gradients of the model as one long vector $g$, and
# shorten it if it is longer than a limit $c$. The direction stays:
#
# <a id="formula-clip-grad-norm"></a>
# $$g \leftarrow g \cdot \frac{c}{\lVert g \rVert + 10^{-6}} \quad \text{if } \lVert g \rVert > c \tag{7}$$
#
# **Warm-up（预热） and decay.** In the first steps Adam's $v$ rests on a handful of noisy squares; a
# **learning-rate schedule（学习率调度）** therefore starts small. At the end, small steps average the noise
# out. With $W$ steps of warm-up, $T$ steps in all, and $u = (s - W)/(T - W)$, the rate at step
# $s = 0, 1, \dots$ is
#
# <a id="formula-schedule-cosine"></a>
# $$\eta_s = \begin{cases} \eta\, \dfrac{s + 1}{W + 1} & s < W \\[1ex]
#   \eta_{\min} + (\eta - \eta_{\min})\, \dfrac{1 + \cos \pi u}{2} & s \ge W \end{cases} \tag{8}$$

# %% alt="Learning rate against step. All three schedules rise in a straight line during the first 20 steps; then one stays constant, one falls in a straight line, and one falls along half a cosine, slow at first, fast in the middle, slow at the end."
fig, axes = plt.subplots(figsize=(7.2, 2.8))
for name in ("constant", "linear", "cosine"):
    engine = optim.SGD([Tensor(np.zeros(1), requires_grad=True)], lr=1e-3)
    plan = getattr(schedule, name)(engine, warmup_steps=20, total_steps=200)
    rates = []
    for _ in range(200):
        rates.append(plan.lr)
        plan.step()
    axes.plot(rates, label=name)
axes.set(title="Three schedules, 20 steps of warm-up", xlabel="step", ylabel="learning rate (1)")
axes.legend()
plt.show()

# %% [markdown]
# ## On a real model
#
# The network of chapter 6: three words of context, 384 words to choose from. Each method is trained
# with several rates, and each training begins with the same weights and sees the same batches.

# %% tags=["setup"]
world = ToyWorld()
stories = world.splits(1200, 200, seed=0).train  # the test stories stay unused: we choose rates
words = ["<start>", *world.vocabulary("english")]
id_of = {word: number for number, word in enumerate(words)}
V, K = len(words), 3


def windows_of(stories):
    """Rows of three ids, and the id that follows each: (N, 3), (N,)."""
    ids = [id_of[w] for s in stories for w in ("<start>", *s.english_tokens)]
    padded = np.array([0] * (K - 1) + ids)
    return np.stack([padded[k : k + len(ids) - 1] for k in range(K)], axis=1), np.array(ids[1:])


def predict(parameters, rows):
    """Logits (N, V)."""
    C, A, a, B, b = parameters
    e = F.embedding(rows, C).reshape((len(rows), -1))
    return F.linear(F.tanh(F.linear(e, A, a)), B, b)


def train(make_optimiser, steps):
    """The loss on the validation stories after some steps; make_optimiser gets the parameters."""
    draw = np.random.default_rng(2)
    normal = draw.standard_normal
    start = [
        normal((V, 16)) * 0.1,
        normal((K * 16, 64)) / np.sqrt(K * 16),
        np.zeros(64),
        normal((64, V)) * 0.01,
        np.zeros(V),
    ]
    parameters = [Tensor(array.astype(np.float32), requires_grad=True) for array in start]
    optimiser = make_optimiser(parameters)
    for _ in range(steps):
        batch = draw.integers(len(rows), size=128)
        loss = F.cross_entropy(predict(parameters, rows[batch]), following[batch])
        optimiser.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
    with no_grad():
        return F.cross_entropy(predict(parameters, other_rows), other_following).item()


rows, following = windows_of(stories[:1000])
other_rows, other_following = windows_of(stories[1000:])

# %% alt="Validation loss after 200 steps against the learning rate on a logarithmic axis, one curve for each method. Each curve has the shape of a U. Adam is best at 0.01, momentum at 0.4, gradient descent at 3; Adam reaches the lowest point."
steps = 200
tried = {
    "SGD": (lambda lr: lambda p: optim.SGD(p, lr), [0.3, 1.0, 3.0, 10.0]),
    "momentum 0.9": (lambda lr: lambda p: optim.SGD(p, lr, momentum=0.9), [0.03, 0.1, 0.4, 1.0]),
    "Adam": (lambda lr: lambda p: optim.Adam(p, lr), [0.001, 0.003, 0.01, 0.03]),
}
fig, axes = plt.subplots()
found = {}
for (name, (make, rates)), marker in zip(tried.items(), "os^", strict=True):
    found[name] = [train(make(rate), steps) for rate in rates]
    axes.plot(rates, found[name], marker=marker, label=name)
axes.set(title=f"Each method has its own rate: loss after {steps} steps", xscale="log")
axes.set(xlabel="learning rate (1)", ylabel="validation loss (nats per word)", ylim=(1, 5.4))
axes.legend()
plt.show()
for name, losses in found.items():
    best = int(np.argmin(losses))
    print(f"{name:>12}: best {losses[best]:.3f} at rate {tried[name][1][best]}")

# %% tags=["check"]
assert all(0 < np.argmin(losses) < 3 for losses in found.values())
assert np.ptp([min(losses) for losses in found.values()]) < 0.2
assert all(max(losses) > min(losses) + 0.8 for losses in found.values())
assert min(found, key=lambda name: min(found[name])) == "Adam"

# %% [markdown]
# Compare optimisers only at their own best rates: taken at one common rate, whichever is tuned for it
# wins. Between the methods lie less than 0.2 nats here, and Adam is in front; between a good and a
# bad rate of one method lies far more. `python -m minillm task optimizers` makes the same comparison
# on a small GPT.
#
# ## An experiment
#
# Take the bowl and change the numbers. What does $\mu = 0.99$ do? Then give Adam $\beta_2 = 0.5$: it
# gets near the lowest point and does not settle. Why not? How long is a step of Adam when all
# gradients have become small?

# %%
for method, optimiser, options in [
    ("momentum", optim.SGD, {"lr": 0.02, "momentum": 0.9}),
    ("Adam", optim.Adam, {"lr": 0.6, "betas": (0.9, 0.99)}),
]:
    points = path(optimiser, bowl, [-9.0, 2.0], 120, **options)
    values = [bowl(p)[0] for p in points]
    print(f"{method}, {options}:")
    for steps in (30, 60, 120):
        print(f"  f after {steps:3} steps: {values[steps]:9.6f}")

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints
# open one at a time. All answers: [solutions/07_optimizers.ipynb](solutions/07_optimizers.ipynb).

# %% [markdown] exercise="adam" minutes=15 teaches="the five lines of Adam" catches="no bias correction, epsilon inside the root, t that starts at 0"
# ### Exercise 7.1: Adam from the formula
#
# Write one step of Adam by (3) and (5). `state` is an empty dictionary at the first call; keep `m`,
# `v` and `t` in it. Change `p` in place. The check knows the first three steps of another library.
#
# <details><summary>Hint 1</summary>
#
# `if not state: state.update(m=np.zeros_like(p), v=np.zeros_like(p), t=0)`, then count `t` up
# *before* you use it.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The $\epsilon$ stands outside the root: `np.sqrt(v_hat) + eps`. In the check it is large, 0.01, so
# that its place shows.
#
# </details>


# %% exercise="adam"
def adam_step(p, g, state, *, lr, beta1, beta2, eps):
    """One step, in place.

    Shapes   p, g: any, the same; state: {} at first, kept by the caller
    """
    # BEGIN SOLUTION
    if not state:
        state.update(m=np.zeros_like(p), v=np.zeros_like(p), t=0)
    state["t"] += 1
    state["m"] = beta1 * state["m"] + (1 - beta1) * g
    state["v"] = beta2 * state["v"] + (1 - beta2) * g * g
    m_hat = state["m"] / (1 - beta1 ** state["t"])
    v_hat = state["v"] / (1 - beta2 ** state["t"])
    p -= lr * m_hat / (np.sqrt(v_hat) + eps)
    # END SOLUTION


# %% self_check="adam"
p, state = np.array([1.0, -2.0]), {}
expected = [  # PyTorch 2, torch.optim.Adam
    [0.901960784, -1.900332226],
    [0.855880510, -1.891561126],
    [0.786900823, -1.885051294],
]
for t, g in enumerate([[0.5, -3.0], [-0.1, 2.0], [0.4, 0.0]]):
    adam_step(p, np.array(g), state, lr=0.1, beta1=0.8, beta2=0.9, eps=0.01)
    assert p[0] != 1.0, "p has not changed: change it in place, with -= and not p = p - …"
    assert np.allclose(p, expected[t], atol=1e-8), (
        f"after step {t + 1} the parameters are {p}, they should be {expected[t]}"
    )
print("right: three steps agree")


# %% wrong="adam"
def adam_step(p, g, state, *, lr, beta1, beta2, eps):
    if not state:
        state.update(m=np.zeros_like(p), v=np.zeros_like(p))
    state["m"] = beta1 * state["m"] + (1 - beta1) * g
    state["v"] = beta2 * state["v"] + (1 - beta2) * g * g
    p -= lr * state["m"] / (np.sqrt(state["v"]) + eps)


# %% wrong="adam"
def adam_step(p, g, state, *, lr, beta1, beta2, eps):
    if not state:
        state.update(m=np.zeros_like(p), v=np.zeros_like(p), t=0)
    state["t"] += 1
    state["m"] = beta1 * state["m"] + (1 - beta1) * g
    state["v"] = beta2 * state["v"] + (1 - beta2) * g * g
    m_hat = state["m"] / (1 - beta1 ** state["t"])
    v_hat = state["v"] / (1 - beta2 ** state["t"])
    p -= lr * m_hat / np.sqrt(v_hat + eps)


# %% wrong="adam"
def adam_step(p, g, state, *, lr, beta1, beta2, eps):
    if not state:
        state.update(m=np.zeros_like(p), v=np.zeros_like(p), t=0)
    state["t"] += 1
    state["m"] = beta1 * state["m"] + (1 - beta1) * g
    state["v"] = beta2 * state["v"] + (1 - beta2) * g * g
    m_hat = state["m"] / (1 - beta1)
    v_hat = state["v"] / (1 - beta2)
    p -= lr * m_hat / (np.sqrt(v_hat) + eps)


# %% wrong="adam"
def adam_step(p, g, state, *, lr, beta1, beta2, eps):
    if not state:
        state.update(m=np.zeros_like(p), v=np.zeros_like(p), t=0)
    state["t"] += 1
    state["m"] = beta1 * state["m"] + (1 - beta1) * g
    state["v"] = beta2 * state["v"] + (1 - beta2) * g * g
    m_hat = state["m"] / (1 - beta1 ** state["t"])
    v_hat = state["v"] / (1 - beta2 ** state["t"])
    p = p - lr * m_hat / (np.sqrt(v_hat) + eps)


# %% [markdown] exercise="decay" minutes=8 teaches="decay acts on the weights before the step, scaled by the rate" catches="decay in the gradient, a forgotten learning rate, decay of the new weights"
# ### Exercise 7.2: decoupled decay
#
# Given `direction` $= \hat m_t / (\sqrt{\hat v_t} + \epsilon)$, write (6): one line, in place.
# One-dimensional parameters (biases, norms) should not decay; only arrays with two axes or more do.
#
# <details><summary>Hint 1</summary>
#
# `p.ndim` is the number of axes.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Order matters: the decay of (6) acts on $p_{t-1}$, the weights before the step.
#
# </details>


# %% exercise="decay"
def adamw_update(p, direction, *, lr, weight_decay):
    """Change p in place by (6); arrays with one axis do not decay."""
    # BEGIN SOLUTION
    if p.ndim >= 2:
        p *= 1 - lr * weight_decay
    p -= lr * direction
    # END SOLUTION


# %% self_check="decay"
weight, bias = np.array([[2.0, -4.0]]), np.array([2.0, -4.0])
for p in (weight, bias):
    adamw_update(p, np.full(p.shape, 1.0), lr=0.1, weight_decay=0.5)
assert np.allclose(weight, [[1.8, -3.9]]), f"the weight should be [[1.8 -3.9]], it is {weight}"
assert np.allclose(bias, [1.9, -4.1]), f"the bias should not decay: [1.9 -4.1], it is {bias}"
print("right")


# %% wrong="decay"
def adamw_update(p, direction, *, lr, weight_decay):
    p -= lr * (direction + weight_decay * p)


# %% wrong="decay"
def adamw_update(p, direction, *, lr, weight_decay):
    if p.ndim >= 2:
        p *= 1 - weight_decay
    p -= lr * direction


# %% wrong="decay"
def adamw_update(p, direction, *, lr, weight_decay):
    p -= lr * direction
    if p.ndim >= 2:
        p *= 1 - lr * weight_decay


# %% [markdown] exercise="clip" minutes=10 teaches="the norm is that of all gradients together" catches="clipping array by array, clipping entries, lengthening short gradients"
# ### Exercise 7.3: clip by the global norm
#
# Write (7) for a list of arrays, in place; leave out the $10^{-6}$. Return the norm before clipping.
# Short gradients stay as they are.
#
# <details><summary>Hint 1</summary>
#
# One long vector: the square of its length is the sum of the squares of *all* entries of *all*
# arrays.
#
# </details>
# <details><summary>Hint 2</summary>
#
# One factor for all arrays, or the direction changes. `g *= factor` writes in place.
#
# </details>


# %% exercise="clip"
def clip(gradients, limit):
    """Scale the arrays in place so that their common norm is at most limit; the norm before."""
    # BEGIN SOLUTION
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    if norm > limit:
        for g in gradients:
            g *= limit / norm
    return norm
    # END SOLUTION


# %% self_check="clip"
arrays = [np.array([3.0, 0.0]), np.array([[4.0], [12.0]])]
norm = clip(arrays, 6.5)
assert norm is not None and np.isclose(norm, 13.0), f"the norm of 3, 0, 4, 12 is 13, not {norm}"
assert np.allclose(arrays[0], [1.5, 0]) and np.allclose(arrays[1], [[2.0], [6.0]]), (
    f"every entry should be halved, but the arrays are {arrays[0]} and {arrays[1].ravel()}"
)
short = [np.array([0.3, 0.4])]
clip(short, 6.5)
assert np.allclose(short[0], [0.3, 0.4]), f"a short gradient must stay as it is, not {short[0]}"
print("right")


# %% wrong="clip"
def clip(gradients, limit):
    norms = [float(np.linalg.norm(g)) for g in gradients]
    for g, norm in zip(gradients, norms, strict=True):
        g *= min(1.0, limit / norm)
    return math.sqrt(sum(norm**2 for norm in norms))


# %% wrong="clip"
def clip(gradients, limit):
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    for g in gradients:
        np.clip(g, -limit, limit, out=g)
    return norm


# %% wrong="clip"
def clip(gradients, limit):
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    for g in gradients:
        g *= limit / norm
    return norm


# %% [markdown]
# ## References
#
# - I. Sutskever, J. Martens, G. Dahl, G. Hinton (2013), *On the importance of initialization and momentum in deep learning*, ICML, eq. 1-2: momentum; here (2), with the learning rate outside the buffer.
# - D. P. Kingma, J. Ba (2015), *Adam*, arXiv:1412.6980, algorithm 1 and section 3: here (3) to (5).
# - I. Loshchilov, F. Hutter (2019), *Decoupled weight decay regularization*, arXiv:1711.05101, algorithm 2: here (6), without their schedule multiplier.
# - R. Pascanu, T. Mikolov, Y. Bengio (2013), *On the difficulty of training recurrent neural networks*, arXiv:1211.5063, algorithm 1: here (7).
# - I. Loshchilov, F. Hutter (2017), *SGDR*, arXiv:1608.03983, eq. 5: the cosine in (8).
# - In the library: [minillm/optim/](../minillm/optim/).
