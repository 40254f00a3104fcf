"""Write word_vectors.safetensors: steps of Word2Vec and GloVe by PyTorch's autograd and optimisers.

    python -m pip install torch
    python tests/golden/make_word_vectors.py

The losses are written with PyTorch's own functions (logsigmoid, mean), the steps are torch.optim.SGD's
and torch.optim.Adagrad's.  Ids repeat within a batch, and CBOW has words with 1 to 4 words around them.
Everything is float64.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent
V, C, K, N, W = 11, 5, 3, 23, 4
RATE = 0.3


def parameter(array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def negative_sampling(v, seen, noise):
    """Equation 4 of the paper, negated; v, seen (N, C), noise (N, K, C)."""
    positive = torch.nn.functional.logsigmoid((v * seen).sum(1))
    negative = torch.nn.functional.logsigmoid(-(noise * v[:, None]).sum(2)).sum(1)
    return -(positive + negative)


def word2vec(rng, cbow):
    vectors, outputs = rng.standard_normal((V, C)), rng.standard_normal((V, C))
    middle, negatives = rng.integers(0, V, N), rng.integers(0, V, (N, K))
    context = rng.integers(0, V, (N, W))
    if cbow:
        for row, size in zip(context, rng.integers(1, W + 1, N), strict=True):
            row[size:] = -1
            rng.shuffle(row)
    else:
        context = context[:, 0]
    v_all, u_all = parameter(vectors), parameter(outputs)
    optimizer = torch.optim.SGD([v_all, u_all], lr=RATE)
    if cbow:
        v = torch.stack([v_all[row[row >= 0]].mean(0) for row in context])
        loss = negative_sampling(v, u_all[middle], u_all[negatives])
    else:
        loss = negative_sampling(v_all[middle], u_all[context], u_all[negatives])
    loss.sum().backward()
    optimizer.step()
    return {
        "vectors": vectors, "outputs": outputs, "middle": middle, "negatives": negatives,
        "context": context, "loss": loss.detach().numpy(), "new_vectors": v_all.detach().numpy(),
        "new_outputs": u_all.detach().numpy(),
    }  # fmt: skip


def glove(rng):
    start = {n: rng.standard_normal((V, C)) for n in ("w", "w_context")}
    start |= {n: rng.standard_normal(V) for n in ("b", "b_context")}
    p = {name: parameter(array) for name, array in start.items()}
    optimizer = torch.optim.Adagrad(p.values(), lr=RATE, initial_accumulator_value=1.0, eps=0.0)
    first, second = rng.integers(0, V, (2, N)), rng.integers(0, V, (2, N))
    counts = rng.uniform(0.2, 30.0, (2, N))
    losses = []
    for i, j, x in zip(first, second, counts, strict=True):
        optimizer.zero_grad()
        dots = (p["w"][i] * p["w_context"][j]).sum(1)
        error = dots + p["b"][i] + p["b_context"][j] - torch.log(torch.tensor(x))
        weights = torch.tensor([(c / 10) ** 0.75 if c < 10 else 1.0 for c in x])
        loss = weights.double() * error**2
        loss.sum().backward()
        optimizer.step()
        losses.append(loss.detach().numpy())
    result = {"first": first, "second": second, "counts": counts, "losses": np.stack(losses)}
    result |= {f"start.{name}": array for name, array in start.items()}
    return result | {f"end.{name}": tensor.detach().numpy() for name, tensor in p.items()}


def main():
    torch.set_default_dtype(torch.float64)
    rng = np.random.default_rng(20131016)
    cases = {"skip_gram": word2vec(rng, False), "cbow": word2vec(rng, True), "glove": glove(rng)}
    arrays = {
        f"{case}.{name}": np.ascontiguousarray(array)
        for case, named in cases.items()
        for name, array in named.items()
    }
    save_file(arrays, FOLDER / "word_vectors.safetensors")


if __name__ == "__main__":
    main()
