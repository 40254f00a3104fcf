"""One step of each workload with tinygrad on the CPU:  python with_tinygrad.py WORKLOAD (--help).

The step runs under TinyJit, and the optimizer is the library's own.
"""

import os

os.environ.setdefault("DEV", "CPU")

import bench_models
import bench_weights
import numpy as np
from timing import forward, main, training
from tinygrad import Context, Tensor, TinyJit, nn


def versions():
    """The library; its products are its own, compiled by clang."""
    from importlib.metadata import version

    return f"tinygrad {version('tinygrad')} (its own products, by clang), {os.cpu_count()} threads"


class Language(bench_models.Language):
    """Methods of Tensor; the last axis, where nothing else is said."""

    def transpose(self, x, axes):
        return x.permute(axes)

    def softmax(self, x):
        return x.softmax(-1)

    def layer_norm(self, x, gamma, beta=None, eps=1e-5):
        out = x.layernorm(eps=eps) * gamma
        return out if beta is None else out + beta

    def gelu(self, x):
        return 0.5 * x * (1.0 + (x * 0.7071067811865476).erf())

    def relu(self, x):
        return x.relu()

    def tanh(self, x):
        return x.tanh()

    def sigmoid(self, x):
        return x.sigmoid()

    def cross_entropy(self, logits, targets):
        return logits.sparse_categorical_crossentropy(targets)

    def binary_cross_entropy(self, x, y):
        return x.binary_crossentropy_logits(y)

    def lstm_states(self, ids, p):
        H = p["weight_h"].shape[0]
        h = c = Tensor.zeros(ids.shape[0], H)
        for t in range(ids.shape[1]):
            a = p["embedding"][ids[:, t]] @ p["weight_x"] + h @ p["weight_h"] + p["bias"]
            i, f, g, o = a.chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return h


def start(job, arrays):
    """(the weights, the constants, the batch on the device)."""
    weights = {n: Tensor(p).realize() for n, p in arrays[0].items()}
    constants = {n: Tensor(c) for n, c in bench_models.constant_arrays(job.sizes).items()}
    batch = [Tensor(z.astype(np.int32) if z.dtype.kind == "i" else z).realize() for z in arrays[1:]]
    return weights, constants, batch


def train(job):
    """A training step of the model that the workload names."""
    s, loss = job.sizes, bench_models.LOSSES[job.workload]
    kind = {"gpt6": "gpt"}.get(job.workload, job.workload)
    weights, constants, (x, y) = start(job, getattr(bench_weights, kind)(s))
    groups = {}
    for p in weights.values():
        groups.setdefault(bench_models.decay_of(s, p.ndim), []).append(p)
    options = {"lr": s["lr"], "b1": s["betas"][0], "b2": s["betas"][1], "eps": 1e-8}
    optimizer = nn.optim.OptimizerGroup(
        *(nn.optim.AdamW(ps, weight_decay=decay, **options) for decay, ps in groups.items())
    )
    language = Language()

    @TinyJit
    def update():
        optimizer.zero_grad()
        value = loss(language, weights, x, y, s, constants).backward()
        if s["clip"]:
            norm = sum(p.grad.square().sum() for p in weights.values()).sqrt()
            scale = (s["clip"] / (norm + 1e-6)).minimum(1.0)
            for p in weights.values():
                p.grad = p.grad * scale
        return value.realize(*optimizer.schedule_step())

    with Context(TRAINING=1):
        return training(lambda: update().item(), job)


def bert_forward(job):
    """Logits alone."""
    weights, constants, (x, _) = start(job, bench_weights.bert(job.sizes))
    language = Language()

    @TinyJit
    def logits(x):
        return bench_models.bert_logits(language, weights, x, job.sizes, constants).realize()

    return forward(lambda: logits(x).numpy().ravel().tolist(), job)


if __name__ == "__main__":
    workloads = dict.fromkeys(bench_models.LOSSES, train)
    main(workloads | {"bert-forward": bert_forward}, versions)
