"""One step of each workload with HIPS autograd:  python with_autograd.py WORKLOAD (--help)."""

import os

import autograd
import autograd.numpy as anp
import autograd.scipy.special
import bench_models
import bench_weights
import numpy as np
from autograd.tracer import getval
from bench_gradcheck import gradcheck
from timing import forward, main, training


def versions():
    """The library, and the BLAS of the NumPy that it calls."""
    from importlib.metadata import version

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return (
        f"autograd {version('autograd')} on NumPy {np.__version__} with {blas['name']} "
        f"{blas['version']}, {os.cpu_count()} threads"
    )


class Language(bench_models.Language):
    """autograd.numpy; the largest entry of a row is read from below the tracing."""

    np = anp

    def erf(self, x):
        return autograd.scipy.special.erf(x)

    def highest(self, x):
        return np.max(getval(x), axis=-1, keepdims=True)


def train(job):
    """A training step of the model that the workload names."""
    s, loss = job.sizes, bench_models.LOSSES[job.workload]
    kind = {"gpt6": "gpt"}.get(job.workload, job.workload)
    weights, x, y = getattr(bench_weights, kind)(s)
    constants, optimizer = bench_models.constant_arrays(s), bench_models.NumpyAdam(weights, s)
    language = Language()
    function = autograd.value_and_grad(lambda p: loss(language, p, x, y, s, constants))

    def step():
        value, grads = function(weights)
        optimizer.step(weights, grads)
        return float(value)

    return training(step, job)


def bert_forward(job):
    """Logits alone: nothing is traced where nothing asks for a gradient."""
    weights, x, _ = bench_weights.bert(job.sizes)
    constants, language = bench_models.constant_arrays(job.sizes), Language()

    def step():
        logits = bench_models.bert_logits(language, weights, x, job.sizes, constants)
        return logits.ravel().tolist()

    return forward(step, job)


if __name__ == "__main__":
    workloads = dict.fromkeys(bench_models.LOSSES, train)
    main(workloads | {"bert-forward": bert_forward, "gradcheck": gradcheck("hips")}, versions)
