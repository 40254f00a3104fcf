"""How much faster are two ranks than one process, each with one BLAS thread?

A GPT of 6 layers, 6 heads, width 384 trains on batches of 4 x 128, by `fit`, in processes of their own:
one alone, two under mpiexec, in turn, because the speed of a machine drifts.  The ratio is the median
of the ratios of neighbours.  A second ratio compares the processor time of one rank: it counts waiting
for the other rank but not the time that other programs take away; of it the cheapest step counts.

Examples:

    python tests/benchmarks/ranks.py
    python tests/benchmarks/ranks.py --ranks 4 --rounds 3
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from minillm import functional as F
from minillm import manual_seed
from minillm.cluster import Ranks, find_mpiexec
from minillm.data import TextBatches
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.optim import AdamW
from minillm.training import fit

WARM_UP, STEPS = 3, 12
BATCH, T = 4, 128


def job():
    """One process of a training; the first one prints the seconds of each step after the warm-up."""
    manual_seed(0)
    rng = np.random.default_rng(0)
    config = GPT2Config(
        vocab_size=65, n_positions=T, n_embd=384, n_layer=6, n_head=6, bias=False,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config, rng=rng)
    optimizer = AdamW(model.named_parameters(), lr=1e-4)
    ends = []
    with Ranks() as ranks:
        history = fit(
            model, optimizer, TextBatches(rng.integers(0, 65, 20_000), T, BATCH),
            steps=WARM_UP + STEPS, loss=F.cross_entropy, clip=1.0, workers=1, progress=False,
            ranks=ranks if ranks.size > 1 else None,
            on_step=lambda step, history: ends.append((time.perf_counter(), time.process_time())),
        )  # fmt: skip
        if ranks.first:
            seconds = np.diff(ends, axis=0)[WARM_UP - 1 :]
            wall, processor = np.median(seconds[:, 0]), seconds[:, 1].min()
            print(json.dumps({"wall": wall, "processor": processor, "loss": history.losses[-1]}))


def measure(ranks):
    """Seconds of a step: the median ("wall") and the least ("processor"); and the last loss."""
    start = [find_mpiexec(), "-n", str(ranks)] if ranks > 1 else []
    module = ["-m", "mpi4py"] if ranks > 1 else []
    done = subprocess.run(
        [*start, sys.executable, *module, __file__, "--job"], capture_output=True, text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the job of {ranks} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of processes")
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        return job()
    ratios = {"wall": [], "processor": []}
    for _ in range(options.rounds):
        one, several = measure(1), measure(options.ranks)
        if abs(one["loss"] - several["loss"]) > 1e-3:
            raise SystemExit(f"the losses differ: {one['loss']} and {several['loss']}")
        for kind, found in ratios.items():
            found.append(one[kind] / several[kind])
        print(
            f"1 process {1000 * one['wall']:6.0f} ms, {options.ranks} ranks "
            f"{1000 * several['wall']:6.0f} ms: {ratios['wall'][-1]:.2f};  processor "
            f"{1000 * one['processor']:6.0f} and {1000 * several['processor']:6.0f} ms: "
            f"{ratios['processor'][-1]:.2f}",
            flush=True,
        )
    for kind, found in ratios.items():
        print(
            f"{options.ranks} ranks are {statistics.median(found):.2f} times as fast as one process "
            f"in {kind} time (pairs from {min(found):.2f} to {max(found):.2f})"
        )
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
