"""One step of each workload with JAX on the CPU, jitted:  python with_jax.py WORKLOAD (--help)."""

import functools
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import bench_models
import bench_weights
import jax
import jax.numpy as jnp
from bench_gradcheck import gradcheck
from timing import forward, main, training


def versions():
    """The library; its products are XLA's."""
    return f"JAX {jax.__version__} (XLA's own products), {os.cpu_count()} threads"


class Language(bench_models.Language):
    """jax.numpy, with jax.nn where it has the formula, and a scan for the loop over time."""

    np = jnp

    def erf(self, x):
        return jax.scipy.special.erf(x)

    def softmax(self, x):
        return jax.nn.softmax(x, axis=-1)

    def gelu(self, x):
        return jax.nn.gelu(x, approximate=False)

    def relu(self, x):
        return jax.nn.relu(x)

    def sigmoid(self, x):
        return jax.nn.sigmoid(x)

    def highest(self, x):
        return jax.lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True))

    def lstm_states(self, ids, p):
        H = p["weight_h"].shape[0]
        gates = jnp.take(p["embedding"], ids.T, axis=0) @ p["weight_x"] + p["bias"]  # (T, B, 4H)

        def cell(state, gates_t):
            h, c = state
            i, f, g, o = jnp.split(gates_t + h @ p["weight_h"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        start = jnp.zeros((ids.shape[0], H), jnp.float32)
        return jax.lax.scan(cell, (start, start), gates)[0][0]


def adam(s, t, p, g, m, v):
    """The new (p, m, v) of one parameter."""
    b1, b2 = s["betas"]
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    p = p * (1 - s["lr"] * bench_models.decay_of(s, p.ndim))
    return p - s["lr"] / (1 - b1**t) * m / (jnp.sqrt(v / (1 - b2**t)) + 1e-8), m, v


def train(job):
    """A training step of the model that the workload names, compiled as one function."""
    s, loss = job.sizes, bench_models.LOSSES[job.workload]
    kind = {"gpt6": "gpt"}.get(job.workload, job.workload)
    weights, x, y = getattr(bench_weights, kind)(s)
    constants, language = bench_models.constant_arrays(s), Language()

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def update(weights, m, v, t, x, y):
        value, grads = jax.value_and_grad(lambda p: loss(language, p, x, y, s, constants))(weights)
        if s["clip"]:
            norm = jnp.sqrt(sum(jnp.sum(g * g) for g in grads.values()))
            scale = jnp.minimum(1.0, s["clip"] / (norm + 1e-6))
            grads = {name: g * scale for name, g in grads.items()}
        new = {n: adam(s, t, p, grads[n], m[n], v[n]) for n, p in weights.items()}
        return value, *({name: three[k] for name, three in new.items()} for k in range(3))

    weights = jax.tree.map(jnp.asarray, weights)
    m, v = (jax.tree.map(jnp.zeros_like, weights) for _ in range(2))
    x, y, count = jnp.asarray(x), jnp.asarray(y), 0

    def step():
        nonlocal weights, m, v, count
        count += 1
        value, weights, m, v = update(weights, m, v, float(count), x, y)
        jax.block_until_ready(weights)
        return float(value)

    return training(step, job)


def bert_forward(job):
    """Logits alone."""
    weights, x, _ = bench_weights.bert(job.sizes)
    weights, x = jax.tree.map(jnp.asarray, weights), jnp.asarray(x)
    constants, language = bench_models.constant_arrays(job.sizes), Language()
    logits = jax.jit(lambda p, x: bench_models.bert_logits(language, p, x, job.sizes, constants))
    return forward(lambda: logits(weights, x).ravel().tolist(), job)


if __name__ == "__main__":
    workloads = dict.fromkeys(bench_models.LOSSES, train)
    main(workloads | {"bert-forward": bert_forward, "gradcheck": gradcheck("jax")}, versions)
