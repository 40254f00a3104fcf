"""python -m minillm.cluster.plan: what would more processes bring?  Measured here, predicted for there.

Three things are measured for a GPT, in jobs of one process and of two, by turns: the time of a step
without communication for several batch sizes, the time of an all-reduce for several sizes, and the time
of whole steps in which two ranks share a batch.  The first two give the numbers of the formula in
costs.py; the third says how well it predicts.  Steps are measured in processor time, to which other
programs on the machine do not add; waiting for another rank counts, because MPI waits by asking again
and again.  Then the same formula goes to ranks that are not here:

    python -m minillm.cluster.plan
    python -m minillm.cluster.plan --launcher "mpiexec -hosts one,two -n 2"     over your network
    python -m minillm.cluster.plan --latency 30e-6 --bandwidth 1.1e9            over a network as given
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..models import GPT2Config, GPT2LMHeadModel
from ..optim import AdamW, clip_grad_norm_
from .costs import Compute, Link, Prediction, predict
from .launch import find_mpiexec
from .ranks import Ranks, buckets

RANKS = (1, 2, 8, 64, 512)
SIZES = (1 << 12, 1 << 16, 1 << 20, 1 << 24)  # bytes of the measured all-reduces
WARM_UP = 3
# Each job keeps freed memory, as training does: minillm/allocator.py says why
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


def plan(
    compute: Compute, link: Link, *, batch: int, size: float, messages: int = 1, grow: bool = False
) -> list[Prediction]:
    """A prediction for each number of ranks in RANKS; arguments as in `predict`.

    >>> rows = plan(Compute(0.02, 0.1), Link(1e-5, 1e9), batch=4, size=43e6, grow=True)
    >>> [f"{row.ranks}: {row.efficiency:.2f}" for row in rows]
    ['1: 1.00', '2: 0.91', '8: 0.85', '64: 0.83', '512: 0.81']
    """
    return [
        predict(compute, link, ranks=n, batch=batch, size=size, messages=messages, grow=grow)
        for n in RANKS
    ]


# -------------------------------------------------------------------------------- measuring


class Job:
    """A GPT that takes training steps, as one of the ranks of a measurement."""

    def __init__(self, options: argparse.Namespace, ranks: Ranks) -> None:
        config = GPT2Config(
            vocab_size=65, n_positions=options.block_size, n_embd=options.width,
            n_layer=options.layers, n_head=options.heads, bias=False,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )  # fmt: skip
        rng = np.random.default_rng(0)
        self.ranks, self.steps = ranks, options.steps
        self.model = GPT2LMHeadModel(config, rng=rng)
        self.optimizer = AdamW(self.model.named_parameters(), lr=1e-4)
        self.x, self.y = rng.integers(0, 65, (2, options.batch, options.block_size))

    def step(self, rows: slice, communicate: bool) -> None:
        """One step on these rows of the batch."""
        self.optimizer.zero_grad()
        x, y = self.x[rows], self.y[rows]
        (F.cross_entropy(self.model(x).logits, y) * (len(x) / len(self.x))).backward()
        if communicate:
            self.ranks.sum_gradients(self.model.parameters())
        clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def seconds(
        self, function: Callable[[], Any], clock: Callable[[], float] = time.process_time
    ) -> float:
        """The shortest time of a call that all ranks begin together."""
        times = []
        for number in range(WARM_UP + self.steps):
            self.ranks.barrier()
            started = clock()
            function()
            if number >= WARM_UP:
                times.append(clock() - started)
        return min(times)

    def measure(self) -> dict[str, Any]:
        """Seconds of everything, in this job."""
        batch, n, rank = len(self.x), self.ranks.size, self.ranks.rank
        sizes = sorted({1, max(batch // 2, 1), batch})
        result: dict[str, Any] = {
            "compute": {r: self.seconds(partial(self.step, slice(r), False)) for r in sizes},
            "here": self.ranks.here,
        }
        if n > 1:
            mine = slice(rank * batch // n, (rank + 1) * batch // n)
            result["step"] = self.seconds(partial(self.step, mine, True))
            result["sum"] = {
                size: self.seconds(self._all_reduce(size), time.perf_counter) for size in SIZES
            }
        return result

    def _all_reduce(self, size: int) -> Callable[[], None]:
        """A function that sums one gradient of so many bytes."""
        tensor = Tensor(np.zeros(size // 4, np.float32), requires_grad=True)
        tensor.grad = np.zeros_like(tensor.data)
        return lambda: self.ranks.sum_gradients([tensor])


def gradients_of(options: argparse.Namespace) -> tuple[int, int]:
    """(bytes of all gradients, messages in which they travel) of the GPT that is measured."""
    parameters = list(Job(options, Ranks()).model.parameters())
    for p in parameters:
        p.grad = p.data
    # and one message that says which ranks have which gradients
    return sum(p.data.nbytes for p in parameters), 1 + len(list(buckets(parameters)))


def run_job(launcher: list[str], arguments: list[str]) -> dict[str, Any]:
    """Start this module as a job of its own; what its first rank measured."""
    module = ["-m", "mpi4py", "-m"] if launcher else ["-m"]
    words = [*launcher, sys.executable, *module, "minillm.cluster.plan", "--job", *arguments]
    environment = {"OPENBLAS_NUM_THREADS": "1", **ALLOCATOR, **os.environ}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(words)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def shortest(jobs: list[dict[str, Any]], kind: str) -> dict[int, float]:
    """The shortest time in any job of each entry of a kind of measurement."""
    return {int(k): min(job[kind][k] for job in jobs) for k in jobs[0][kind]}


# ---------------------------------------------------------------------------------- showing


def show(name: str, rows: list[Prediction]) -> None:
    """One table of predictions."""
    print(f"\n{name}")
    print(f"  {'ranks':>5} {'batch':>6} {'compute':>10} {'sum':>10} {'step':>10} {'speedup':>9} "
          f"{'efficiency':>11}")  # fmt: skip
    for row in rows:
        print(
            f"  {row.ranks:5} {row.batch:6} {1000 * row.compute:7.1f} ms {1000 * row.sum:7.1f} ms "
            f"{1000 * row.seconds:7.1f} ms {row.speedup:9.2f} {row.efficiency:11.0%}"
        )


def draw(
    plans: dict[str, list[Prediction]], check: Prediction, measured: float, path: Path
) -> None:
    """Efficiency over the number of ranks, and what was measured beside its prediction."""
    from ..viz.figures import BLUE, GREY, RED, new_figure

    figure = new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    looks = [(BLUE, "-"), (BLUE, "--"), (RED, "-"), (RED, "--")]
    for (name, rows), (color, line) in zip(plans.items(), looks, strict=False):
        axes.plot(
            [r.ranks for r in rows], [100 * r.efficiency for r in rows], line, marker="o",
            markersize=4, color=color, label=name,
        )  # fmt: skip
    name = f"{check.ranks} ranks share {check.batch} rows"
    for word, efficiency, mark in (
        ("predicted", check.efficiency, "s"),
        ("measured", measured, "x"),
    ):
        axes.plot(
            [check.ranks], [100 * efficiency], mark, color="black", markersize=7,
            markerfacecolor="none", label=f"{name}: {word}",
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(RANKS, [str(n) for n in RANKS])
    axes.axhline(100, color=GREY, linestyle=":", linewidth=1)
    axes.set(
        xlabel="ranks", ylabel="efficiency (%)", ylim=(0, 108),
        title="How much of the time of n ranks is used",
    )  # fmt: skip
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"\npicture: {path}")


def compare(options: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    """Measure in turns: the fitted numbers, and a prediction beside the measurement it is for."""
    launcher = shlex.split(options.launcher) if options.launcher else [find_mpiexec(), "-n", "2"]
    alone, together = [], []
    for _ in range(options.rounds):
        alone.append(run_job([], arguments))
        together.append(run_job(launcher, arguments))
    sums = shortest(together, "sum")
    n = together[0]["ranks"]
    lone, shared = shortest(alone, "compute"), shortest(together, "compute")
    return {
        "ranks": n,
        "here": together[0]["here"],
        "compute": Compute.fit(list(shared), list(shared.values())),
        "link": Link.fit(list(sums), list(sums.values()), ranks=n, messages=2),
        "alone": lone[options.batch],
        "step": min(job["step"] for job in together),
    }  # fmt: skip


def report(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """The measurements, the check, the tables and the picture."""
    size, messages = gradients_of(options)
    compute, link, n = found["compute"], found["link"], found["ranks"]
    check = predict(compute, link, ranks=n, batch=options.batch, size=size, messages=messages)
    print(
        f"GPT: {options.layers} layers, {options.heads} heads, width {options.width}, batch "
        f"{options.batch} x {options.block_size}; gradients of {size / 1e6:.1f} MB in {messages} "
        f"messages\n"
        f"a step takes {1000 * compute.fixed:.1f} ms and {1000 * compute.row:.1f} ms per row while "
        f"{found['here']} ranks compute\n"
        f"an all-reduce of {n} ranks: {1e6 * link.latency:.1f} us latency, "
        f"{link.bandwidth / 1e9:.2f} GB/s\n"
        f"a step of {n} ranks: predicted {1000 * check.seconds:.1f} ms, "
        f"measured {1000 * found['step']:.1f} ms\n"
        f"one process alone: {1000 * found['alone']:.1f} ms, so {n} ranks are "
        f"{found['alone'] / found['step']:.2f} times as fast\n"
        f"(processor time, the shortest of {options.rounds} jobs each, by turns)"
    )
    network = Link(options.latency, options.bandwidth)
    plans = {}
    for where, path in (("the measured link", link), ("the given network", network)):
        for grow, what in ((True, "batch grows with the ranks"), (False, "one batch is shared")):
            name = f"{where}, {what}"
            plans[name] = plan(
                compute, path, batch=options.batch if grow else options.shared, size=size,
                messages=messages, grow=grow,
            )  # fmt: skip
            show(name, plans[name])
    draw(plans, check, check.efficiency * check.seconds / found["step"], Path(options.picture))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minillm.cluster.plan", description="What would more processes bring?",
        epilog="example: python -m minillm.cluster.plan --layers 12 --width 768",
    )  # fmt: skip
    model = {"layers": (6, "of the GPT"), "heads": (6, "in each layer"), "width": (384, "of the GPT"),
             "block-size": (128, "tokens in a row"), "batch": (4, "rows of each process"),
             "steps": (10, "that are timed together"), "rounds": (5, "of all measurements"),
             "shared": (512, "rows of a batch that all processes share")}  # fmt: skip
    for name, (value, words) in model.items():
        parser.add_argument(
            f"--{name}", type=int, default=value, metavar="N", help=f"{words} (default: {value})"
        )
    parser.add_argument("--latency", type=float, default=50e-6, metavar="SECONDS",
                        help="of a message over a network (default: 50e-6)")  # fmt: skip
    parser.add_argument("--bandwidth", type=float, default=1.1e9, metavar="BYTES",
                        help="that a network carries in a second (default: 1.1e9)")  # fmt: skip
    parser.add_argument("--launcher", metavar="COMMAND",
                        help="what starts two processes (default: mpiexec -n 2)")  # fmt: skip
    parser.add_argument("--picture", default="cluster.png", metavar="FILE",
                        help="where to draw (default: cluster.png)")  # fmt: skip
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure, predict and draw; with --job, be one rank of a measurement."""
    words = sys.argv[1:] if arguments is None else arguments
    options = parse(words)
    if not options.job:
        report(options, compare(options, words))
        return 0
    with Ranks() as ranks:
        measured = Job(options, ranks).measure()
        if ranks.first:
            print(json.dumps({**measured, "ranks": ranks.size}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
