"""Time one training step of the small GPT with minillm, and the bare matrix products in it."""

import json
import math
import resource
import statistics
import sys
import time

import numpy as np

from minillm import functional as F
from minillm.cli.common import PRESETS, build_model, build_optimizer
from minillm.optim import clip_grad_norm_
from minillm.training import keep_freed_memory

V, WARM_UP, STEPS = 65, 10, 40


def median_ms(function, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def products_ms(recipe):
    """The matrix products of one step: forward, and two for each in backward."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    N, C, L, H = recipe.batch_size * recipe.block_size, recipe.width, recipe.layers, recipe.heads
    total = 0.0
    for inner, outer, count in [(C, 3 * C, L), (C, C, L), (C, 4 * C, L), (4 * C, C, L), (C, V, 1)]:
        x, w, g = draw(N, inner), draw(inner, outer), draw(N, outer)
        for product in (lambda: x @ w, lambda: g @ w.T, lambda: x.T @ g):  # noqa: B023
            product()
            total += count * median_ms(product, 30)
    T, D = recipe.block_size, C // H
    q = draw(recipe.batch_size, T, H, D).transpose(0, 2, 1, 3)
    p = draw(recipe.batch_size, H, T, T)
    pt, qt = p.swapaxes(-1, -2), q.swapaxes(-1, -2)
    # q k^T, p v; then p^T g, g v^T, s k, s^T q
    for product, count in [(lambda: q @ qt, 2), (lambda: p @ q, 2), (lambda: pt @ q, 2)]:
        product()
        total += L * count * median_ms(product, 30)
    return total


def main():
    keep_freed_memory()
    recipe = PRESETS["nanogpt-cpu"]
    rng = np.random.default_rng(0)
    model = build_model(recipe, V, rng)
    optimizer = build_optimizer(recipe, model)
    x, y = rng.integers(0, V, (2, recipe.batch_size, recipe.block_size))

    def step():
        loss = F.cross_entropy(model(x).logits, y)
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        return loss.item()

    losses = [step() for _ in range(WARM_UP)]
    if not (math.isfinite(losses[-1]) and losses[-1] < losses[0]):
        sys.exit("the model does not learn: this would time something else")
    ms = median_ms(step, STEPS)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    versions = f"NumPy {np.__version__} with {blas['name']} {blas['version']}"
    result = {"ms": ms, "rss_mb": rss, "gemm_ms": products_ms(recipe), "versions": versions}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
