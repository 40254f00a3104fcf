"""One step of each workload with minillm:  python with_minillm.py WORKLOAD (see the end)."""

import json
import sys

import numpy as np
from decode_minillm import decode as decoding_step
from timing import WARM_UP, median_ms, peak_mb, report

from minillm import Tensor, nn, no_grad
from minillm import functional as F
from minillm.cli.common import PRESETS, build_model, build_optimizer
from minillm.gradcheck.suite import check_operations
from minillm.models import BertConfig, BertForSequenceClassification
from minillm.optim import Adam, AdamW, clip_grad_norm_
from minillm.training import keep_freed_memory

rng = np.random.default_rng(0)


def versions():
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"NumPy {np.__version__} with {blas['name']} {blas['version']}"


def training_step(model, optimizer, loss_of, clip=None):
    def step():
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        if clip:
            clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss.item()

    return step


def gpt():
    """nanoGPT's recipe for a CPU: block 64, batch 12, 4 layers, 4 heads, width 128, no biases."""
    recipe, V = PRESETS["nanogpt-cpu"], 65
    model = build_model(recipe, V, rng)
    x, y = rng.integers(0, V, (2, recipe.batch_size, recipe.block_size))
    step = training_step(
        model,
        build_optimizer(recipe, model),
        lambda: F.cross_entropy(model(x).logits, y),
        recipe.clip,
    )
    report(step, 40, gemm_ms=lambda: gpt_products_ms(recipe, V), versions=versions)


def gpt_products_ms(recipe, V):
    """The matrix products of one step alone: one forward, two for each in backward."""
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
    # q k^T and g v^T; p v and s k; p^T g and s^T q
    for product in (lambda: q @ qt, lambda: p @ q, lambda: pt @ q):
        product()
        total += 2 * L * median_ms(product, 30)
    return total


class LSTMClassifier(nn.Module):
    """Embedding, LSTM, and one logit from the last state."""

    def __init__(self, vocab, width, hidden):
        self.embedding = nn.Embedding(vocab, width)
        self.lstm = nn.LSTM(width, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, ids):
        _, (h, _) = self.lstm(self.embedding(ids))
        return self.output(h[-1])[:, 0]


def lstm():
    """1000 words, width 50, hidden 128, batch 32 x 50, Adam."""
    model = LSTMClassifier(1000, 50, 128)
    x = rng.integers(0, 1000, (32, 50))
    y = (rng.random(32) < 0.5).astype(np.float32)
    optimizer = Adam(model.named_parameters(), lr=1e-3)
    step = training_step(model, optimizer, lambda: F.binary_cross_entropy_with_logits(model(x), y))
    report(step, 60, versions=versions)


class EncoderLanguageModel(nn.Module):
    """Embedding, positions, a stack of encoder layers, logits."""

    def __init__(self, vocab, width, heads, inner, layers):
        self.embedding = nn.Embedding(vocab, width)
        self.positions = nn.PositionalEncoding(width, dropout=0.0)
        layer = nn.TransformerEncoderLayer(width, heads, inner, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.output = nn.Linear(width, vocab)

    def forward(self, ids):
        x = self.positions(self.embedding(ids) * self.embedding.weight.shape[1] ** 0.5)
        return self.output(self.encoder(x, is_causal=True))


def encoder():
    """10,000 words, width 512, 8 heads, inner 2048, 6 layers, batch 4 x 64, Adam."""
    model = EncoderLanguageModel(10_000, 512, 8, 2048, 6)
    x, y = rng.integers(0, 10_000, (2, 4, 64))
    optimizer = Adam(model.named_parameters(), lr=1e-4)
    report(
        training_step(model, optimizer, lambda: F.cross_entropy(model(x), y)), 10, versions=versions
    )


def bert_model():
    """The shape of all-MiniLM-L6-v2, with two classes on top: (model, ids, labels)."""
    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2,
    )  # fmt: skip
    model = BertForSequenceClassification(config, rng=rng)
    return model, rng.integers(0, 30522, (8, 64)), rng.integers(0, 2, 8)


def bert():
    """A training step, AdamW."""
    model, x, y = bert_model()
    optimizer = AdamW(model.named_parameters(), lr=1e-4)
    report(training_step(model, optimizer, lambda: model(x, labels=y).loss), 10, versions=versions)


def bert_forward():
    """Logits alone, without a graph."""
    model, x, _ = bert_model()
    model.eval()

    def forward():
        with no_grad():
            return model(x).logits

    for _ in range(WARM_UP):
        forward()
    ms = median_ms(forward, 30)
    print(json.dumps({"ms": ms, "rss_mb": peak_mb(), "versions": versions()}))


def decode():
    """One token of SmolLM2's shape with the cache, after a prompt of 64."""
    result = decoding_step(rng)
    print(json.dumps({**result, "rss_mb": peak_mb(), "versions": versions()}))


def engine():
    """Microseconds for one node, forward and backward, and seconds for all gradient checks."""
    x = Tensor(np.ones(2, np.float32), requires_grad=True)

    def chain():
        y = x
        for _ in range(2000):
            y = y + 1.0
        y.sum().backward()

    chain()
    node_us = median_ms(chain, 15) / 2000 * 1000
    checks_s = median_ms(lambda: list(check_operations()), 1) / 1000
    print(json.dumps({"node_us": node_us, "gradcheck_s": checks_s, "versions": versions()}))


if __name__ == "__main__":
    keep_freed_memory()
    workloads = {
        "gpt": gpt, "lstm": lstm, "encoder": encoder, "bert": bert, "bert-forward": bert_forward,
        "decode": decode, "engine": engine,
    }  # fmt: skip
    workloads[sys.argv[1]]()
