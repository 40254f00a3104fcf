"""Estimators, the KL of normal variables, Gumbel-softmax and weight normalisation, sum by sum."""

import math

import numpy as np

from minillm import ops
from minillm.models import SentenceVAE
from minillm.training import score_function_gradient

from ..registry import formula

rng = np.random.default_rng(23)
Z = 5
mu, lam, eps, g = rng.standard_normal((4, Z))


@formula(
    "score-function-gradient",
    r"\hat g_\mu = (f(z) - b)\, \frac{\varepsilon}{\sigma},"
    r" \qquad \hat g_\lambda = (f(z) - b)\, \frac{\varepsilon^2 - 1}{2}",
)
def score_function():
    m, variance, b, n = 0.7, 2.5, 1.3, 4
    draws = score_function_gradient(
        lambda z: z * z * z, m, math.log(variance), n, baseline=b, rng=np.random.default_rng(1)
    )
    sigma, literal = math.sqrt(variance), []
    for e in np.random.default_rng(1).standard_normal(n):
        f = (m + sigma * e) ** 3
        literal.append([(f - b) * e / sigma, (f - b) * (e**2 - 1) / 2])
    return literal, draws


@formula(
    "gaussian-sample",
    r"z = \mu + e^{\lambda / 2}\, \varepsilon, \qquad \varepsilon \sim N(0, 1)",
)
def gaussian_sample():
    literal = [mu[c] + math.exp(lam[c] / 2) * eps[c] for c in range(Z)]
    return literal, ops.gaussian_sample_forward(mu, lam, noise=eps)[0]


@formula(
    "gaussian-sample-backward",
    r"\frac{\partial L}{\partial \mu} = g, \qquad"
    r" \frac{\partial L}{\partial \lambda} = g \, \varepsilon \, \frac{e^{\lambda/2}}{2}",
)
def gaussian_sample_backward():
    saved = ops.gaussian_sample_forward(mu, lam, noise=eps)[1]
    literal = [g, [g[c] * eps[c] * math.exp(lam[c] / 2) / 2 for c in range(Z)]]
    return literal, ops.gaussian_sample_backward(g, saved)


@formula(
    "gaussian-kl",
    r"\operatorname{KL} = \frac12 \sum_{c=1}^{Z}"
    r" \left( \mu_c^2 + e^{\lambda_c} - 1 - \lambda_c \right)",
)
def gaussian_kl():
    literal = sum(mu[c] ** 2 + math.exp(lam[c]) - 1 - lam[c] for c in range(Z)) / 2
    return literal, ops.gaussian_kl_forward(mu, lam)[0]


@formula(
    "gaussian-kl-backward",
    r"\frac{\partial \operatorname{KL}}{\partial \mu_c} = \mu_c, \qquad"
    r" \frac{\partial \operatorname{KL}}{\partial \lambda_c} = \frac{e^{\lambda_c} - 1}{2}",
)
def gaussian_kl_backward():
    literal = [mu, [(math.exp(lam[c]) - 1) / 2 for c in range(Z)]]
    saved = ops.gaussian_kl_forward(mu, lam)[1]
    return literal, ops.gaussian_kl_backward(np.array(1.0), saved)


@formula(
    "sentence-vae",
    r"\text{loss} = - \sum_{t=1}^{T+1} \log p(w_t \mid w_{<t}, z) + \beta \operatorname{KL}",
)
def sentence_vae():
    sizes = {"embedding_dim": 3, "hidden_size": 4, "latent_size": 2}
    model = SentenceVAE(words=["a", "cat"], **sizes, dtype=np.float64, rng=rng).eval()
    ids, mask = model.ids_of(["a cat a"])
    output = model(ids, mask, beta=0.7, rng=rng)
    loss, (logits,) = 0.0, output.logits.numpy()
    for row, word in zip(logits, [*ids[0], 2], strict=True):  # 2 is <eos>
        loss -= row[word] - math.log(sum(math.exp(x) for x in row))
    for m, v in zip(output.mu.numpy()[0], output.log_variance.numpy()[0], strict=True):
        loss += 0.7 * (m * m + math.exp(v) - 1 - v) / 2
    return loss, output.loss.numpy()


x, u, tau = rng.standard_normal(Z), rng.uniform(0.05, 0.95, Z), 0.6
gamma = np.array([-math.log(-math.log(each)) for each in u])
power = [math.exp((x[i] + gamma[i]) / tau) for i in range(Z)]
y = [power[i] / sum(power) for i in range(Z)]


@formula(
    "gumbel-softmax",
    r"y_i = \frac{e^{(x_i + \gamma_i) / \tau}}{\sum_j e^{(x_j + \gamma_j) / \tau}},"
    r" \qquad \gamma_i = -\log(-\log u_i)",
)
def gumbel_softmax():
    return y, ops.gumbel_softmax_forward(x, temperature=tau, noise=gamma)[0]


@formula(
    "gumbel-softmax-backward",
    r"\frac{\partial L}{\partial x_i} = \frac{y_i}{\tau} \Big( g_i - \sum_j g_j y_j \Big)",
)
def gumbel_softmax_backward():
    saved = ops.gumbel_softmax_forward(x, temperature=tau, noise=gamma)[1]
    mean = sum(g[j] * y[j] for j in range(Z))
    literal = [y[i] / tau * (g[i] - mean) for i in range(Z)]
    return literal, ops.gumbel_softmax_backward(g, saved)[0]


v, length, h = rng.standard_normal(Z), 1.7, rng.standard_normal(Z)
norm = math.sqrt(sum(v[i] ** 2 for i in range(Z)))
w, w_saved = ops.weight_norm_forward(v, np.array([length]))
grad_length = sum(h[i] * v[i] / norm for i in range(Z))


@formula(
    "weight-norm",
    r"u_i = \frac{v_i}{\lVert v \rVert}, \qquad w_i = g\, u_i, \qquad"
    r" \lVert v \rVert = \sqrt{\textstyle\sum_i v_i^2}",
)
def weight_norm():
    return [length * v[i] / norm for i in range(Z)], w


@formula("weight-norm-backward-g", r"\frac{\partial L}{\partial g} = \sum_i h_i u_i")
def weight_norm_backward_g():
    return [grad_length], ops.weight_norm_backward(h, w_saved)[1]


@formula(
    "weight-norm-backward-v",
    r"\frac{\partial L}{\partial v_j} = \frac{g}{\lVert v \rVert}"
    r" \Big( h_j - u_j \frac{\partial L}{\partial g} \Big)",
)
def weight_norm_backward_v():
    literal = [length / norm * (h[j] - v[j] / norm * grad_length) for j in range(Z)]
    return literal, ops.weight_norm_backward(h, w_saved)[0]
