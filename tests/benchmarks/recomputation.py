"""What recomputation saves and costs: a training step of a GPT, in memory and time.

    python tests/benchmarks/recomputation.py
    python tests/benchmarks/recomputation.py --layers 24 --rounds 3

The blocks are cut into parts of k.  "kept" is what forward leaves in memory for backward, "most" the
most that a training step needs at one time, with parameters, gradients and optimiser (tracemalloc);
"(L/k) x" is what formula (1) of minillm/recompute.py says of what is kept, from what one block reads.
Time is processor time, the median of all rounds, in which the variants take turns.
"""

import argparse
import statistics
import time
import tracemalloc

import numpy as np

import minillm
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.nn import Module, ModuleList
from minillm.optim import AdamW

MB = 1e6


class Part(Module):
    """Some blocks in a row, called like one."""

    def __init__(self, blocks):
        self.blocks = ModuleList(blocks)

    def forward(self, x, *inputs):
        for block in self.blocks:
            x = block(x, *inputs)
        return x


def build(options, k):
    """(model, optimizer); k blocks for each part, 0 for a plain model."""
    config = GPT2Config(
        vocab_size=65, n_positions=options.length, n_embd=options.width, n_layer=options.layers,
        n_head=options.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bias=False,
    )  # fmt: skip
    model = GPT2LMHeadModel(config, rng=np.random.default_rng(0))
    optimizer = AdamW(model.named_parameters(), lr=1e-3)
    if k:
        blocks = list(model.transformer.h)
        parts = [Part(blocks[i : i + k]) for i in range(0, len(blocks), k)]
        model.transformer.h = ModuleList(parts)
        model.recompute_activations()
    return model, optimizer


def step(model, optimizer, ids):
    """One training step; its loss."""
    optimizer.zero_grad()
    loss = model(ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    return loss.item()


def megabytes(options, k, ids):
    """(what forward keeps, the most of a whole training step with all that it needs)."""
    tracemalloc.start()
    model, optimizer = build(options, k)
    step(model, optimizer, ids)
    tracemalloc.reset_peak()
    step(model, optimizer, ids)
    before, most = tracemalloc.get_traced_memory()
    output = model(ids, labels=ids)
    kept = tracemalloc.get_traced_memory()[0] - before - output.logits.data.nbytes
    tracemalloc.stop()
    return kept / MB, most / MB


def sizes_of_a_block(model, options):
    """(x, a): megabytes that a block reads, and that it keeps for backward."""
    shape = options.batch, options.length, options.width
    x = minillm.Tensor(np.ones(shape, dtype=np.float32), True)
    block = build(options, 0)[0].transformer.h[0]
    tracemalloc.start()
    out = block(x)
    kept = tracemalloc.get_traced_memory()[0] - out.data.nbytes
    tracemalloc.stop()
    return x.data.nbytes / MB, kept / MB


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--parts", type=int, nargs="*", default=[1, 2, 3], help="blocks in a part")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    ids = np.random.default_rng(1).integers(0, 65, (options.batch, options.length))
    runs = {k: build(options, k) for k in (0, *options.parts)}
    memory = {k: megabytes(options, k, ids) for k in runs}
    seconds = {k: [] for k in runs}
    losses = {k: [] for k in runs}
    for _ in range(options.rounds):
        for k, run in runs.items():
            started = time.process_time()
            losses[k].append(step(*run, ids))
            seconds[k].append(time.process_time() - started)
    if any(losses[k] != losses[0] for k in runs):
        raise SystemExit(f"the losses differ: {losses}")
    x, a = sizes_of_a_block(runs[0][0], options)
    print(f"a block reads x = {x:.2f} MB and keeps a = {a:.1f} MB: sqrt(L x / a) = "
          f"{(options.layers * x / a) ** 0.5:.1f}")  # fmt: skip
    print(f"{'blocks in a part':>16} {'kept MB':>8} {'(L/k) x':>8} {'most MB':>8} "
          f"{'ms per step':>12} {'ratio':>6}")  # fmt: skip
    plain = statistics.median(seconds[0])
    for k in runs:
        ms = statistics.median(seconds[k])
        predicted = options.layers / k * x if k else options.layers * a
        print(f"{k or 'plain':>16} {memory[k][0]:8.1f} {predicted:8.1f} {memory[k][1]:8.1f} "
              f"{1000 * ms:12.1f} {ms / plain:6.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
