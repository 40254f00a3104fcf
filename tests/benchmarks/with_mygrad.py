"""One step of each workload with MyGrad:  python with_mygrad.py WORKLOAD (--help).

MyGrad has no erf, so its GELU is the one by tanh: four more operations, nearly the same numbers.
"""

import math
import os

import bench_models
import bench_weights
import mygrad as mg
import numpy as np
from mygrad.nnet.activations import sigmoid, softmax
from mygrad.nnet.losses import softmax_crossentropy
from timing import forward, main, training


def versions():
    """The library, and the BLAS of the NumPy that it calls."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return (
        f"MyGrad {mg.__version__} on NumPy {np.__version__} with {blas['name']} "
        f"{blas['version']}, {os.cpu_count()} threads"
    )


class Language(bench_models.Language):
    """mygrad's functions, and its own softmax, sigmoid and cross-entropy where it has them."""

    np, number = mg, np.float32  # a Python number would make everything after it float64

    def gelu(self, x):
        half, one, root, cubic = map(np.float32, (0.5, 1.0, math.sqrt(2 / math.pi), 0.044715))
        return half * x * (one + mg.tanh(root * (x + cubic * (x * x * x))))

    def softmax(self, x):
        return softmax(x, axis=-1)

    def sigmoid(self, x):
        return sigmoid(x)

    def cross_entropy(self, logits, targets):
        return softmax_crossentropy(logits, targets)


def train(job):
    """A training step of the model that the workload names."""
    s, loss = job.sizes, bench_models.LOSSES[job.workload]
    kind = {"gpt6": "gpt"}.get(job.workload, job.workload)
    arrays, x, y = getattr(bench_weights, kind)(s)
    weights = {name: mg.tensor(p, copy=False) for name, p in arrays.items()}
    constants, optimizer = bench_models.constant_arrays(s), bench_models.NumpyAdam(arrays, s)
    language = Language()

    def step():
        value = loss(language, weights, x, y, s, constants)
        value.backward()
        optimizer.step(
            {name: p.data for name, p in weights.items()},
            {name: p.grad for name, p in weights.items()},
        )
        return value.item()

    return training(step, job)


def bert_forward(job):
    """Logits alone, without a graph."""
    arrays, x, _ = bench_weights.bert(job.sizes)
    weights = {name: mg.tensor(p, copy=False) for name, p in arrays.items()}
    constants, language = bench_models.constant_arrays(job.sizes), Language()

    def step():
        with mg.no_autodiff:
            logits = bench_models.bert_logits(language, weights, x, job.sizes, constants)
        return logits.data.ravel().tolist()

    return forward(step, job)


if __name__ == "__main__":
    workloads = dict.fromkeys(bench_models.LOSSES, train)
    main(workloads | {"bert-forward": bert_forward}, versions)
