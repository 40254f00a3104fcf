"""One decoding step of SmolLM2's shape (135 M weights, drawn at random) with the cache."""

import tempfile

import numpy as np
from timing import median_ms

from minillm import no_grad
from minillm.models import LlamaConfig, LlamaForCausalLM

SMOLLM2 = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192,
    "tie_word_embeddings": True, "rope_theta": 100000.0, "rms_norm_eps": 1e-5,
}  # fmt: skip
PROMPT, STEPS = 64, 40


def bandwidth_ms(weights, repeats=9):
    """Milliseconds to read the same bytes in one float32 matrix-vector product: the machine's limit."""
    rows = weights // 4096
    matrix, vector = np.ones((rows, 4096), np.float32), np.ones(4096, np.float32)
    matrix @ vector
    return median_ms(lambda: matrix @ vector, repeats) * weights / matrix.size


def decode(rng):
    """A dictionary with the milliseconds of one token, and those that the memory alone would take."""
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # the weights lie in memory as loading leaves them
        LlamaForCausalLM(LlamaConfig(**SMOLLM2), rng=rng).save_pretrained(folder)
        model = LlamaForCausalLM.from_pretrained(folder)
    cache = model.new_cache(1, PROMPT + STEPS + 8)
    with no_grad():
        model(rng.integers(0, 49152, (1, PROMPT)), cache=cache, logits_to_keep=1)
        token = np.array([[7]])

        def step():
            nonlocal token
            logits = model(token, cache=cache, logits_to_keep=1).logits.data
            token = logits[:, -1].argmax(axis=-1)[:, None]

        for _ in range(4):
            step()
        ms = median_ms(step, STEPS)
    weights = sum(p.size for p in model.parameters())
    return {"ms": ms, "limit_ms": bandwidth_ms(weights), "gemm_ms": products_ms(model)}


def products_ms(model):
    """Milliseconds of the matrix-vector products of one step, with the model's own weights."""
    matrices = [
        p.data for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name
    ]
    matrices.append(model.model.embed_tokens.weight.data.T)
    rows = {m.shape[0]: np.ones((1, m.shape[0]), np.float32) for m in matrices}

    def products():
        for m in matrices:
            rows[m.shape[0]] @ m

    products()
    return median_ms(products, STEPS)
