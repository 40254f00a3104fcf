# %% [markdown]
# # 23 · Reparameterisation II and III: gradient estimators, weights
#
# **You need:** [chapter 2](02_gradients.ipynb) (gradients and how to check them), [chapter 5](05_softmax_cross_entropy.ipynb)
# (softmax); mean and variance of a normal variable.
#
# **Time:** 25 minutes of reading, 40 for the exercises.
#
# **You will be able to** differentiate through a random draw in two ways and say which is noisier, derive the KL term of a
# variational autoencoder, draw a class so that gradients pass, and split a weight into length and direction.

# %% [markdown]
# ## Why it matters
#
# Some models roll dice in the middle. A variational autoencoder draws a hidden vector for each sentence; a model that
# learns from rewards draws a word. The loss is then a *mean over draws*, and it depends on the parameters because they
# decide what is drawn. How does one differentiate that?
#
# This is the second meaning of **reparameterisation（重新参数化）** in [chapter 22](22_lora.ipynb)'s table. The third, a new way to
# write a weight, stands at the end of this page.

# %% tags=["setup"]
import itertools

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import ops
from minillm.data import ToyWorld
from minillm.gradcheck import check_gradients
from minillm.models import SentenceVAE
from minillm.training import (
    categorical_score_gradient,
    compare_estimators,
    compare_weight_norm,
    gumbel_softmax_gradient,
)
from minillm.viz import book_style

book_style()
minillm.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## A problem whose answer is known
#
# Let $z$ be normal with mean $\mu$ and standard deviation $\sigma$, and let the loss be the mean of $z^2$:
#
# $$L = \operatorname{E}[z^2] = \mu^2 + \sigma^2, \qquad \frac{\partial L}{\partial \mu} = 2 \mu$$
#
# A computer that cannot integrate replaces the mean by an average over a few draws, a **Monte Carlo
# estimate（蒙特卡罗估计）**. But once $z$ is drawn it is a number. Nothing in it says what $\mu$ was. There are two ways out.
#
# | symbol | what it is |
# |---|---|
# | $z$ | the random draw, with density $p(z; \theta)$ |
# | $\theta$ | a parameter of the density: $\mu$, or $\lambda = \log \sigma^2$ |
# | $f(z)$ | the loss of one draw, here $z^2$ |
# | $\varepsilon$ | noise from $N(0, 1)$, in which no parameter is |
# | $b$ | any constant, the **baseline** |
#
# ## First way: the score function
#
# Write the mean as an integral and differentiate the density. From $\partial p = p \, \partial \log p$,
#
# $$\frac{\partial}{\partial \theta} \int f(z)\, p(z; \theta)\, dz
#   = \int f(z)\, \frac{\partial \log p}{\partial \theta}\, p \, dz
#   = \operatorname{E}\Big[ f(z)\, \frac{\partial \log p}{\partial \theta} \Big]$$
#
# That is a mean again, so draws can estimate it. It stays true with $f(z) - b$ in place of $f(z)$, because
# $\operatorname{E}[\partial \log p] = \partial \int p\, dz = \partial 1 = 0$. For the normal density $\log p = -\frac{\lambda}{2} - \frac{(z - \mu)^2}{2 \sigma^2} + \dots$
# gives, with $\varepsilon = (z - \mu) / \sigma$, the estimates of one draw:
#
# <a id="formula-score-function-gradient"></a>
# $$\hat g_\mu = (f(z) - b)\, \frac{\varepsilon}{\sigma}, \qquad \hat g_\lambda = (f(z) - b)\, \frac{\varepsilon^2 - 1}{2} \tag{1}$$
#
# This is the **score function estimator（得分函数估计）**. $f$ may be anything, even a reward from a person: its derivative is
# not used.

# %% library="minillm.training.estimators:score_function_gradient"

# %% [markdown]
# ## Second way: move the noise outside
#
# A normal draw is a fixed function of the parameters and of noise that does not depend on them:
#
# <a id="formula-gaussian-sample"></a>
# $$z = \mu + e^{\lambda / 2}\, \varepsilon, \qquad \varepsilon \sim N(0, 1) \tag{2}$$
#
# Now $\varepsilon$ is an input, like data. What is left is an ordinary function of $\mu$ and $\lambda$, and the chain rule goes through it.
# With $g = \partial L / \partial z$ that arrives:
#
# <a id="formula-gaussian-sample-backward"></a>
# $$\frac{\partial L}{\partial \mu} = g, \qquad \frac{\partial L}{\partial \lambda} = g \, \varepsilon \, \frac{e^{\lambda/2}}{2} \tag{3}$$
#
# This is the **reparameterisation trick（重参数化技巧）**, and (3) the **pathwise gradient（路径梯度）**: it follows the path from
# $\mu$ through $z$ to the loss. The layer gives $\lambda = \log \sigma^2$ and not $\sigma$, so that no output is out of range.
# (Numbers of formulas in the library's comments are those of its own files.)

# %% library="minillm.ops.gaussian:gaussian_sample_forward,gaussian_sample_backward"

# %% [markdown]
# The check hands over the noise, so that every call of forward is the same function.

# %%
mu, log_variance = rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
noise = rng.standard_normal((3, 5))
print(
    check_gradients(
        gaussian_sample_forward, gaussian_sample_backward, mu, log_variance, noise=noise
    )
)

# %% tags=["check"]
assert check_gradients(
    gaussian_sample_forward, gaussian_sample_backward, mu, log_variance, noise=noise
).passed

# %% [markdown]
# ## A classic mistake
#
# Backward must use *the same* $\varepsilon$ as forward. A backward pass that draws its own has the right formula, and is wrong:

# %%
def backward_with_new_noise(grad_out, saved):
    sigma = np.exp(log_variance / 2)
    new = np.random.default_rng(9).standard_normal(grad_out.shape)
    return grad_out, grad_out * new * sigma / 2


report = check_gradients(
    ops.gaussian_sample_forward, backward_with_new_noise, mu, log_variance, noise=noise
)
print(report)

# %% tags=["check"]
[finding] = report.findings
assert finding.kind == "wrong_operand"
assert finding.input == "log_variance"

# %% [markdown]
# The checker says what should stand there: half of `deviation`, which is $\sigma \varepsilon$, the noise that forward has used.
#
# ## Which is noisier?
#
# Both are **unbiased（无偏的）**: right on average. What differs is the variance. For $f(z) = z^2$ it can be worked out from
# $\operatorname{E}[\varepsilon^2] = 1$, $\operatorname{E}[\varepsilon^4] = 3$, $\operatorname{E}[\varepsilon^6] = 15$. For $\mu$ one
# draw estimates $2 z$ by (3), and $z^2 \varepsilon / \sigma$ by (1) without a baseline:
#
# $$\operatorname{Var}[2 z] = 4 \sigma^2, \qquad
#   \operatorname{Var}\Big[ z^2 \frac{\varepsilon}{\sigma} \Big] = \frac{\mu^4}{\sigma^2} + 14 \mu^2 + 15 \sigma^2 \tag{4}$$
#
# At $\mu = \sigma = 1$ that is 4 against 30. In the same way a baseline gives $30 - 8 b + b^2$: the usual choice
# $b = \operatorname{E}[f] = 2$ lowers it to 18, and no constant to less than 14. Is it so?

# %% alt="Three straight falling lines, variance over number of draws, both axes logarithmic. The score function lies highest, with baseline lower, the reparameterised estimate lowest; all have slope -1."
comparison = compare_estimators(
    lambda z: z * z, mu=1.0, log_variance=0.0, baseline=2.0, repeats=5000, rng=rng
)
print("variance of the mean of         1 draw   exactly    256 draws")
for (name, variances), exact in zip(comparison.variances.items(), (30, 4, 18), strict=True):
    print(f"{name:<30}{variances[0]:8.1f}{exact:10}{variances[-1]:13.3f}")
comparison.plot()

# %% tags=["check"]
for variances, exact in zip(comparison.variances.values(), (30, 4, 18), strict=True):
    assert abs(variances[0] / exact - 1) < 0.25
    assert abs(variances[-1] * 256 / exact - 1) < 0.25

# %% [markdown]
# All lines fall like one over the number of draws. The score function needs $30 / 4 = 7.5$ times as many draws for the same
# noise.
#
# **Try it:** change $f$ to `lambda z: z * z + 100`. Adding a constant changes no gradient. Which line jumps up, and which
# baseline brings it down again? (The printed "exactly" no longer holds then.)
#
# ## The variational autoencoder
#
# A **variational autoencoder (VAE)（变分自编码器）** for sentences has an encoder that reads a sentence $x$ and names a normal
# distribution $q(z) = N(\mu, \sigma^2)$ of a hidden vector $z$, the **latent vector（隐向量）**. A decoder writes the sentence again
# from a draw of $z$. What is known before any sentence, the **prior（先验）** $p(z)$, is $N(0, 1)$ in each of the $Z$ numbers.
#
# What should be large is $\log p(x) = \log \operatorname{E}_{p(z)}[p(x \mid z)]$, and it cannot be computed. Multiply and divide by $q$
# under the mean, and use that the logarithm of a mean is at least the mean of the logarithm (Jensen):
#
# $$\log p(x) = \log \operatorname{E}_{q}\Big[ p(x \mid z)\, \frac{p(z)}{q(z)} \Big]
#   \ge \operatorname{E}_{q}[\log p(x \mid z)] - \operatorname{KL}(q \,\Vert\, p),
#   \qquad \operatorname{KL}(q \,\Vert\, p) = \operatorname{E}_q\Big[ \log \frac{q(z)}{p(z)} \Big]$$
#
# The right-hand side is the **evidence lower bound (ELBO)（证据下界）**. Its first term asks for good sentences. The second
# charges for every nat that $z$ says about $x$. For one feature, both means under $q$ are known:
#
# $$\operatorname{E}_q[\log q] = -\tfrac12 \left( \log 2\pi + 1 + \log \sigma^2 \right), \qquad
#   \operatorname{E}_q[\log p] = -\tfrac12 \left( \log 2\pi + \mu^2 + \sigma^2 \right)$$
#
# (the second from $\operatorname{E}[z^2] = \mu^2 + \sigma^2$). Subtract and sum over the features $c$:
#
# <a id="formula-gaussian-kl"></a>
# $$\operatorname{KL} = \frac12 \sum_{c=1}^{Z} \left( \mu_c^2 + e^{\lambda_c} - 1 - \lambda_c \right) \tag{5}$$
#
# <a id="formula-gaussian-kl-backward"></a>
# $$\frac{\partial \operatorname{KL}}{\partial \mu_c} = \mu_c, \qquad \frac{\partial \operatorname{KL}}{\partial \lambda_c} = \frac{e^{\lambda_c} - 1}{2} \tag{6}$$
#
# The gradient pulls $\mu$ to 0 and $\sigma^2$ to 1, where (5) is 0.

# %% library="minillm.ops.gaussian:gaussian_kl_forward,gaussian_kl_backward"

# %%
print(check_gradients(gaussian_kl_forward, gaussian_kl_backward, mu, log_variance))

z = mu[0] + np.exp(log_variance[0] / 2) * rng.standard_normal((100_000, 5))
log_q = -0.5 * ((z - mu[0]) ** 2 / np.exp(log_variance[0]) + log_variance[0])  # log 2 pi cancels
by_draws = (log_q + 0.5 * z**2).sum(axis=1).mean()
print(f"\nKL by (5): {gaussian_kl_forward(mu[0], log_variance[0])[0]:.2f} nats")
print(f"KL by 100,000 draws of log q - log p: {by_draws:.2f} nats")

# %% tags=["check"]
assert check_gradients(gaussian_kl_forward, gaussian_kl_backward, mu, log_variance).passed
assert abs(by_draws - gaussian_kl_forward(mu[0], log_variance[0])[0]) < 0.05

# %% [markdown]
# A sentence has $T$ words and an end. The loss is the negative bound, with a weight $\beta$ on its second term ($\beta = 1$ is the
# bound itself):
#
# <a id="formula-sentence-vae"></a>
# $$\text{loss} = - \sum_{t=1}^{T+1} \log p(w_t \mid w_{<t}, z) + \beta \operatorname{KL} \tag{7}$$
#
# In `minillm/models/sentence_vae.py` encoder and decoder are GRUs ([chapter 9](09_recurrent.ipynb)). We train it on the last
# sentences of toy stories, which tell how somebody felt.

# %%
stories = ToyWorld().stories(2000, seed=0)
sentences = [" ".join(story.sentences[-1].tokens["english"]) for story in stories]
vocabulary = sorted({word for sentence in sentences for word in sentence.split()})
sizes = {"words": vocabulary, "embedding_dim": 32, "hidden_size": 64, "latent_size": 16}
vae = SentenceVAE(**sizes)
steps = 800
losses = vae.fit(sentences, steps=steps, batch_size=32, learning_rate=0.01, beta=0.2, kl_warmup=600)
print("nats per sentence   reconstruction   KL")
for step in (0, 100, steps - 1):
    print(f"step {step:<14}{losses[step]['reconstruction']:14.1f}{losses[step]['kl']:8.1f}")

# %%
print("there:", sentences[1])
print("back: ", vae.reconstruct(sentences[1:2])[0])
print("\nfrom one sentence to another, in a straight line between their vectors:")
for text in vae.interpolate(sentences[0], sentences[1], steps=6):
    print("  ", text)

# %% tags=["check"]
assert losses[-1]["reconstruction"] < 0.25 * losses[0]["reconstruction"]
assert losses[-1]["kl"] > 4

# %% [markdown]
# All that is on the line reads like a sentence of the world; names, feelings and things change one after the other. The
# vector remembers what kind of sentence it was, and often not the name: those nats cost more than they save.
#
# $q$ is also called the *posterior*, what is known of $z$ after reading $x$. **Posterior collapse（后验坍缩）**: a decoder that sees its own
# last words can do without $z$. If the KL term has its full weight from the first step, it is cheapest to make $q = N(0, 1)$ for every
# sentence. Then $z$ says nothing. Three remedies are at work above: $\beta$ grows from 0, which is called **KL annealing（KL 退火）**; it
# ends at 0.2 and not at 1; and some of the words that the decoder reads are hidden from it. Without all three:

# %%
minillm.manual_seed(0)
collapsed = SentenceVAE(**sizes, word_dropout=0.0)
short = collapsed.fit(sentences, steps=300, batch_size=32, learning_rate=0.01, kl_warmup=0)
print(f"KL {short[-1]['kl']:.2f} nats instead of {losses[-1]['kl']:.1f}; reconstructions of four:")
for text in collapsed.reconstruct(sentences[:4]):
    print("  ", text)

# %% tags=["check"]
assert short[-1]["kl"] < 0.5
assert len(set(collapsed.reconstruct(sentences[:4]))) <= 2

# %% [markdown]
# ## Drawing a class
#
# (2) does not help where $z$ is a *word*: a class cannot move a little. But a draw of a class can be written with noise outside,
# too. If $u$ is uniform on $(0, 1)$, then $-\log(-\log u)$ follows the *Gumbel* distribution, and
# $\arg\max_i\, (x_i + \text{gumbel}_i)$ is $i$ with exactly the probability $\operatorname{softmax}(x)_i$:

# %%
logits = np.array([0.5, 0.0, -0.5])
winners = (logits + rng.gumbel(size=(100_000, 3))).argmax(axis=1)
print("softmax            ", ops.softmax_forward(logits)[0].round(3))
print("shares of winners  ", (np.bincount(winners) / len(winners)).round(3))

# %% tags=["check"]
assert abs(np.bincount(winners) / len(winners) - ops.softmax_forward(logits)[0]).max() < 0.01

# %% [markdown]
# The arg max is a step: its slope is 0 wherever it has one. **Gumbel-softmax（Gumbel-softmax 松弛）** puts a softmax in its place, at
# a **temperature（温度）** $\tau$:
#
# <a id="formula-gumbel-softmax"></a>
# $$y_i = \frac{e^{(x_i + \gamma_i) / \tau}}{\sum_j e^{(x_j + \gamma_j) / \tau}}, \qquad \gamma_i = -\log(-\log u_i) \tag{8}$$
#
# Its backward is that of softmax ([chapter 5](05_softmax_cross_entropy.ipynb), (2)) with one more factor from the inside:
#
# <a id="formula-gumbel-softmax-backward"></a>
# $$\frac{\partial L}{\partial x_i} = \frac{y_i}{\tau} \Big( g_i - \sum_j g_j y_j \Big) \tag{9}$$

# %% library="minillm.ops.gumbel_softmax:gumbel_softmax_forward,gumbel_softmax_backward"

# %%
x, gumbel = rng.standard_normal((3, 5)), rng.gumbel(size=(3, 5))
print(
    check_gradients(
        gumbel_softmax_forward, gumbel_softmax_backward, x, temperature=0.5, noise=gumbel
    )
)

# %% tags=["check"]
assert check_gradients(
    gumbel_softmax_forward, gumbel_softmax_backward, x, temperature=0.5, noise=gumbel
).passed

# %% [markdown]
# The temperature is a compromise. A small one gives nearly one-hot draws and wild gradients, a large one calm gradients of
# the wrong thing. Let class 0 be worth 1 and class 2 be worth 3. The gradient of the expected value by the logits is
# $p_i (\text{value}_i - \text{mean})$ exactly; 20,000 draws show how far each estimate is off on average, the **bias of an
# estimator（估计量的偏差）**, and how much it scatters:

# %% alt="Three panels of 12 stacked bars, the draws of three classes at temperatures 0.1, 1 and 5: at 0.1 most bars have a single colour, at 5 all bars look alike."
values = np.array([1.0, 0.0, 3.0])
p = ops.softmax_forward(logits)[0]
exact = p * (values - p @ values)


def worth(y):
    return (y * values).sum(axis=-1)


rows = {"score function": categorical_score_gradient(values, logits, 20_000, rng=rng)}
for temperature in (0.1, 0.3, 1.0, 5.0):
    rows[f"Gumbel-softmax, τ = {temperature}"] = gumbel_softmax_gradient(
        worth, logits, 20_000, temperature=temperature, rng=rng
    )
print("gradient by the third logit: exactly", exact[2].round(3))
for name, draws in rows.items():
    print(f"{name:<26} off by {draws[:, 2].mean() - exact[2]:6.3f}, scatter {draws[:, 2].std():.3f}")

fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.6), sharey=True)
for panel, temperature in zip(axes, (0.1, 1.0, 5.0), strict=True):
    draws = ops.gumbel_softmax_forward(
        np.tile(logits, (12, 1)), temperature=temperature, rng=np.random.default_rng(1)
    )[0]
    bottom = np.zeros(12)
    for i in range(3):
        panel.bar(range(12), draws[:, i], bottom=bottom, color=f"C{i}", label=f"class {i}")
        bottom += draws[:, i]
    panel.set(title=f"τ = {temperature}", xlabel="draw")
axes[0].set_ylabel("share of each class")
fig.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %% tags=["check"]
third = {name: draws[:, 2] for name, draws in rows.items()}
assert abs(third["score function"].mean() - exact[2]) < 0.03
assert abs(third["Gumbel-softmax, τ = 0.1"].mean() - exact[2]) < 0.04
assert third["Gumbel-softmax, τ = 5.0"].mean() < 0.5 * exact[2]
assert third["Gumbel-softmax, τ = 0.1"].std() > 4 * third["Gumbel-softmax, τ = 1.0"].std()

# %% [markdown]
# With `hard=True` forward returns the true one-hot vector, and backward still (9), as if it had not. This **straight-through
# estimator（直通估计）** is no derivative of anything. The checker says so:

# %%
print(
    check_gradients(
        ops.gumbel_softmax_forward, ops.gumbel_softmax_backward, x,
        temperature=0.5, noise=gumbel, hard=True,
    )
)  # fmt: skip

# %% [markdown]
# ## The third meaning: length and direction of a weight
#
# **Weight normalisation（权重归一化）** writes each weight vector $w$ as a length times a direction. From here on $g$ is
# this length, as in the code, and no longer the gradient that arrives:
#
# <a id="formula-weight-norm"></a>
# $$u_i = \frac{v_i}{\lVert v \rVert}, \qquad w_i = g\, u_i, \qquad \lVert v \rVert = \sqrt{\textstyle\sum_i v_i^2} \tag{10}$$
#
# Every $w$ can be written so, and every $g u$ is some $w$: the network can compute the same functions as before. Only the way
# there changes. Let $h_i = \partial L / \partial w_i$ arrive. $g$ stands in every $w_i$ with the factor $u_i$:
#
# <a id="formula-weight-norm-backward-g"></a>
# $$\frac{\partial L}{\partial g} = \sum_i h_i u_i \tag{11}$$
#
# Moving $v_j$ moves the norm by $\partial \lVert v \rVert / \partial v_j = v_j / \lVert v \rVert = u_j$. By the quotient rule
#
# $$\frac{\partial u_i}{\partial v_j} = \frac{[i = j]}{\lVert v \rVert} - \frac{v_i u_j}{\lVert v \rVert^2}
#   = \frac{[i = j] - u_i u_j}{\lVert v \rVert}$$
#
# and summing $g\, h_i$ times this over $i$, with (11) for the sum that appears:
#
# <a id="formula-weight-norm-backward-v"></a>
# $$\frac{\partial L}{\partial v_j} = \frac{g}{\lVert v \rVert} \Big( h_j - u_j \frac{\partial L}{\partial g} \Big) \tag{12}$$

# %% library="minillm.ops.weight_norm:weight_norm_forward,weight_norm_backward"

# %%
v, g = rng.standard_normal((5, 3)), rng.standard_normal((1, 3))
print(check_gradients(weight_norm_forward, weight_norm_backward, v, g), "\n")


def backward_without_projection(grad_out, saved):
    u, norm, g, axis = saved
    return g / norm * grad_out, (grad_out * u).sum(axis=axis, keepdims=True)


wrong = check_gradients(weight_norm_forward, backward_without_projection, v, g)
print(wrong)

# %% tags=["check"]
assert check_gradients(weight_norm_forward, weight_norm_backward, v, g).passed
assert [finding.kind for finding in wrong.findings] == ["missing_sum_term"]

# %% [markdown]
# The bracket in (12) takes away the part of $h$ along $v$. So the gradient stands at a right angle to $v$, and a step of plain
# gradient descent can only make $v$ *longer* (Pythagoras). A longer $v$ turns less at the next step: by (12) its gradient is smaller by
# $1 / \lVert v \rVert$, and a step of the same length turns it less. The direction gets a learning rate that lowers itself.

# %% alt="Two loss curves over 200 steps at a large learning rate. The loss of the net with plain weights rolls up and down between 0.13 and 0.5; that of the net with lengths and directions rolls less and ends near 0.06."
curves = compare_weight_norm(learning_rate=2.0)
print(f"largest difference of the outputs before the first step: {curves.start_difference:.0e}")
print(f"loss after 200 steps: {curves.plain[-1]:.3f} plain, {curves.normalised[-1]:.3f} normalised")
curves.plot()

# %% tags=["check"]
_, saved = ops.weight_norm_forward(v, g)
grad_v, _ = ops.weight_norm_backward(rng.standard_normal((5, 3)), saved)
assert abs((grad_v * v).sum(axis=0)).max() < 1e-12
assert curves.start_difference < 1e-5
assert curves.normalised[-1] < 0.6 * curves.plain[-1]
slow = compare_weight_norm(learning_rate=0.05)
assert abs(slow.normalised[-1] / slow.plain[-1] - 1) < 0.5

# %% [markdown]
# Both nets started as the same function. **Try it:** set the learning rate to 0.05, and both go nearly the same way.
#
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code.
# All answers: [solutions/23_estimators.ipynb](solutions/23_estimators.ipynb).

# %% [markdown] exercise="waiting" minutes=15 teaches="reparameterising another distribution by its inverse distribution function" catches="differentiating by the rate instead of its logarithm, a lost sign"
# ### Exercise 23.1: waiting times
#
# A waiting time $z > 0$ with the rate $r$ has $P(z \le t) = 1 - e^{-rt}$. Set this equal to a uniform number $u$, solve for $t$, and
# you have $z$ as a function of $u$ and $r$. The layer gives $\rho = \log r$, so that the rate is positive. Write the draw and its
# backward pass. `u` is given.
#
# <details><summary>Hint 1</summary>
#
# $u = 1 - e^{-rt}$ gives $t = -\log(1 - u) / r$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $1 / r = e^{-\rho}$. What is the derivative of $e^{-\rho}$ by $\rho$?
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\partial z / \partial \rho = -z$: keep $z$ for backward.
#
# </details>

# %% exercise="waiting"
def waiting_forward(log_rate, *, u):
    """A draw of a waiting time for each entry.

    Shapes   log_rate and u: any, alike -> z, the same, and whatever backward needs
    """
    # BEGIN SOLUTION
    z = -np.log1p(-u) * np.exp(-log_rate)
    return z, z
    # END SOLUTION


def waiting_backward(grad_out, saved):
    """The gradient of log_rate, in a tuple."""
    # BEGIN SOLUTION
    return (-grad_out * saved,)
    # END SOLUTION


# %% self_check="waiting"
draw = np.random.default_rng(11)
many, _ = waiting_forward(np.full(100_000, np.log(4.0)), u=draw.random(100_000))
assert abs(many.mean() - 0.25) < 0.01, f"at rate 4 the mean is 1/4, your draws have {many.mean():.3f}"
assert abs((many > 0.25).mean() - np.exp(-1)) < 0.01, "the share of long waits is wrong"
report = check_gradients(
    waiting_forward, waiting_backward, draw.standard_normal((3, 5)), u=draw.random((3, 5))
)
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="waiting"
def waiting_forward(log_rate, *, u):
    z = -np.log1p(-u) * np.exp(-log_rate)
    return z, (z, log_rate)


def waiting_backward(grad_out, saved):
    z, log_rate = saved
    return (-grad_out * z / np.exp(log_rate),)


# %% wrong="waiting"
def waiting_forward(log_rate, *, u):
    z = -np.log1p(-u) * np.exp(log_rate)
    return z, z


def waiting_backward(grad_out, saved):
    return (grad_out * saved,)


# %% [markdown] exercise="two-normals" minutes=15 teaches="deriving a KL and its gradients" catches="the variance in the wrong denominator, a forgotten difference of means"
# ### Exercise 23.2: the distance of two normal distributions
#
# In (5) the second distribution is $N(0, 1)$. Let it be $N(m, e^{\kappa})$, with given $m$ and $\kappa$, and write
# $\operatorname{KL}(N(\mu, e^\lambda) \,\Vert\, N(m, e^\kappa))$ of each row with its gradients for $\mu$ and $\lambda$.
#
# <details><summary>Hint 1</summary>
#
# Only $\operatorname{E}_q[\log p]$ changes: $\log p(z) = -\frac12 (\log 2\pi + \kappa + (z - m)^2 e^{-\kappa})$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $\operatorname{E}_q[(z - m)^2] = (\mu - m)^2 + e^\lambda$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\operatorname{KL} = \frac12 \sum_c \left( ((\mu - m)^2 + e^\lambda) e^{-\kappa} - 1 + \kappa - \lambda \right)$. With $m = \kappa = 0$ it is (5).
#
# </details>

# %% exercise="two-normals"
def kl_forward(mu, log_variance, *, m, k):
    """KL(N(mu, exp(log_variance)) || N(m, exp(k))), summed over the last axis.

    Shapes   all (N, C) -> (N,), and whatever backward needs
    """
    # BEGIN SOLUTION
    twice = ((mu - m) ** 2 + np.exp(log_variance)) * np.exp(-k) - 1 + k - log_variance
    return twice.sum(axis=-1) / 2, (mu, log_variance, m, k)
    # END SOLUTION


def kl_backward(grad_out, saved):
    """The gradients of (mu, log_variance)."""
    # BEGIN SOLUTION
    mu, log_variance, m, k = saved
    g = grad_out[:, None]
    return g * (mu - m) * np.exp(-k), g * (np.exp(log_variance - k) - 1) / 2
    # END SOLUTION


# %% self_check="two-normals"
a, b, m, k = np.random.default_rng(12).standard_normal((4, 3, 5))
same, _ = kl_forward(a, b, m=a, k=b)
assert np.allclose(same, 0), f"the distance of a distribution from itself is {same}, it should be 0"
standard, _ = kl_forward(a, b, m=0 * a, k=0 * a)
assert np.allclose(standard, ops.gaussian_kl_forward(a, b)[0]), "with m = k = 0 it must be (5)"
by_hand, _ = kl_forward(np.array([[3.0]]), np.zeros((1, 1)), m=np.ones((1, 1)), k=np.log([[4.0]]))
expected = (5 / 4 - 1 + np.log(4)) / 2  # worked out for means 3 and 1, variances 1 and 4
assert np.allclose(by_hand, expected), f"for N(3, 1) and N(1, 4): {by_hand[0]:.4f}, not {expected:.4f}"
report = check_gradients(kl_forward, kl_backward, a, b, m=m, k=k)
print(report)
assert report.passed, "a gradient is wrong: read the report"

# %% wrong="two-normals"
def kl_forward(mu, log_variance, *, m, k):
    twice = (mu - m) ** 2 + np.exp(log_variance - k) - 1 + k - log_variance
    return twice.sum(axis=-1) / 2, (mu, log_variance, m, k)


def kl_backward(grad_out, saved):
    mu, log_variance, m, k = saved
    g = grad_out[:, None]
    return g * (mu - m), g * (np.exp(log_variance - k) - 1) / 2


# %% wrong="two-normals"
def kl_forward(mu, log_variance, *, m, k):
    twice = ((mu - m) ** 2 + np.exp(log_variance)) * np.exp(-k) - 1 + k - log_variance
    return twice.sum(axis=-1) / 2, (mu, log_variance, m, k)


def kl_backward(grad_out, saved):
    mu, log_variance, m, k = saved
    g = grad_out[:, None]
    return g * (mu - m) * np.exp(-k), g * np.exp(log_variance - k) / 2


# %% [markdown] exercise="baseline" minutes=10 teaches="what a baseline may depend on" catches="a baseline that contains the draw itself: biased"
# ### Exercise 23.3: a baseline from the other draws
#
# A model draws $n$ classes $z_1 \dots z_n$ with probabilities $p$; draw $k$ earns `values[z_k]`. Each draw's estimate by the logits
# is $(\text{value}_k - b_k)\,([i = z_k] - p_i)$. Let $b_k$ be the mean value of the *other* draws. Return the mean of the $n$
# estimates.
#
# <details><summary>Hint 1</summary>
#
# With `earned = values[z]`, the sum of the others is `earned.sum() - earned`. How many are they?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.eye(len(p))[z] - p` has one row $[i = z_k] - p_i$ for each draw.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The check goes through all $V^n$ outcomes and compares the exact mean of your estimate with the true gradient.
#
# </details>

# %% exercise="baseline"
def reward_gradient(values, z, p):
    """The mean of n score function estimates, each with the mean of the others as its baseline.

    Shapes   values (V,), z (n,) class numbers, p (V,) -> (V,)
    """
    # BEGIN SOLUTION
    earned = values[z]
    baseline = (earned.sum() - earned) / (len(z) - 1)
    return ((earned - baseline)[:, None] * (np.eye(len(p))[z] - p)).mean(axis=0)
    # END SOLUTION


# %% self_check="baseline"
p, values = np.array([0.2, 0.5, 0.3]), np.array([1.0, 0.0, 3.0])
true = p * (values - p @ values)
outcomes = [np.array(z) for z in itertools.product(range(3), repeat=3)]
mean = sum(p[z].prod() * reward_gradient(values, z, p) for z in outcomes)
assert np.allclose(mean, true), f"the estimate is biased: its mean is {mean}, the gradient {true}"
shifted = reward_gradient(values + 1000, outcomes[5], p)
unshifted = reward_gradient(values, outcomes[5], p)
assert np.allclose(shifted, unshifted), "adding 1000 to all values must change nothing: is b a mean of the others?"
alike = reward_gradient(values, np.array([2, 2, 2]), p)
assert np.allclose(alike, 0), f"draws that earn the same teach nothing: 0, you say {alike}"
print("right: unbiased, and deaf to a constant")

# %% wrong="baseline"
def reward_gradient(values, z, p):
    earned = values[z]
    return ((earned - earned.mean())[:, None] * (np.eye(len(p))[z] - p)).mean(axis=0)


# %% wrong="baseline"
def reward_gradient(values, z, p):
    earned = values[z] - values.mean()
    return (earned[:, None] * (np.eye(len(p))[z] - p)).mean(axis=0)


# %% wrong="baseline"
def reward_gradient(values, z, p):
    return (values[z][:, None] * (np.eye(len(p))[z] - p)).mean(axis=0)


# %% [markdown]
# ## References
#
# - R. J. Williams (1992), *Simple statistical gradient-following algorithms*, Machine Learning 8: the score function estimator, here (1).
# - D. P. Kingma, M. Welling (2014), *Auto-encoding variational Bayes*, arXiv:1312.6114, section 2.4 and eq. 10: here (2); eq. 3: here (7); appendix B: here (5).
# - S. R. Bowman et al. (2016), *Generating sentences from a continuous space*, arXiv:1511.06349, section 3: the sentence VAE and its collapse.
# - E. Jang, S. Gu, B. Poole (2017), *Categorical reparameterization with Gumbel-softmax*, arXiv:1611.01144, eqs. 1 and 2: here (8); section 2.2: straight-through.
# - T. Salimans, D. P. Kingma (2016), *Weight normalization*, arXiv:1602.07868, eq. 2: here (10); eq. 3: here (11) and (12).
# - In the library: [minillm/ops/gaussian.py](../minillm/ops/gaussian.py), [minillm/ops/gumbel_softmax.py](../minillm/ops/gumbel_softmax.py),
#   [minillm/ops/weight_norm.py](../minillm/ops/weight_norm.py), [minillm/training/estimators.py](../minillm/training/estimators.py),
#   [minillm/models/sentence_vae.py](../minillm/models/sentence_vae.py).
