"""One decoding step of SmolLM2's shape with the cache, and the time memory alone would take."""

import bench_workloads
import numpy as np
from timing import median_ms, memory_mb

from minillm import no_grad
from minillm.models import LlamaConfig, LlamaForCausalLM


def save_model(folder):
    """Draw weights of the right shape, and save them where all peers load them from."""
    config = LlamaConfig(**bench_workloads.SMOLLM2)
    LlamaForCausalLM(config, rng=np.random.default_rng(0)).save_pretrained(folder)


def bandwidth_ms(weights, repeats=9):
    """Milliseconds to read the same bytes in one float32 matrix-vector product: the machine's limit."""
    rows = weights // 4096
    matrix, vector = np.ones((rows, 4096), np.float32), np.ones(4096, np.float32)
    matrix @ vector
    return median_ms(lambda: matrix @ vector, repeats) * weights / matrix.size


def decode(job):
    """The milliseconds of one token, and those that the memory alone would take."""
    s = job.sizes
    model = LlamaForCausalLM.from_pretrained(job.model)
    cache = model.new_cache(1, s["prompt"] + s["warm_up"] + s["steps"])
    found = []
    with no_grad():
        ids = np.random.default_rng(1).integers(0, s["model"]["vocab_size"], (1, s["prompt"]))

        def step():
            nonlocal ids
            logits = model(ids, cache=cache, logits_to_keep=1).logits.data[:, -1]
            ids = logits.argmax(axis=-1)[:, None]
            found.append(float(logits[0, ids[0, 0]]))

        for _ in range(s["warm_up"]):
            step()
        ms = median_ms(step, s["steps"])
    rss_mb, weights = memory_mb(), sum(p.size for p in model.parameters())
    return {
        "ms": ms, "rss_mb": rss_mb, "check": found[: s["warm_up"]],
        "bandwidth_ms": bandwidth_ms(weights), "matrices_ms": matrices_ms(model, s["steps"]),
    }  # fmt: skip


def matrices_ms(model, repeats):
    """Milliseconds of the matrix-vector products of one step, with the model's own weights."""
    matrices = [model.model.embed_tokens.weight.data.T]
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        matrices += [
            attention.joint.matrix(attention.q_proj, attention.k_proj, attention.v_proj),
            attention.o_proj.weight.data,
            mlp.joint.matrix(mlp.gate_proj, mlp.up_proj),
            mlp.down_proj.weight.data,
        ]
    rows = {m.shape[0]: np.ones((1, m.shape[0]), np.float32) for m in matrices}

    def products():
        for m in matrices:
            rows[m.shape[0]] @ m

    products()
    return median_ms(products, repeats)
