"""Training for an hour: does the memory of the process stay flat?

python -m tests.robustness.hour --minutes 60 --picture hour.png

A small GPT trains with everything that a long training has: dropout, two batches per step, recomputed
blocks, a schedule, clipping, evaluation and a checkpoint every 50 steps, a generated text every 100.
Its resident memory is read every few seconds.  A straight line through the last two thirds of the
readings (at first Python and the C library still fetch what they will use) tells how much it grows:
within the limit the exit status is 0.  What may grow is the history, which holds a loss and a few more
numbers for each step.
"""

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import minillm
from minillm.data import TextBatches, TextWindows
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.optim import AdamW, schedule
from minillm.training import History, fit

MB = 1e6
LIMIT = 20.0  # MB per hour; 100,000 steps of history are a few of them


class TimeIsUp(Exception):
    """Ends a training from within."""


def train(
    folder: Path, steps: int, on_step: Callable[[GPT2LMHeadModel, int, History], None],
    width: int = 64, length: int = 48, every: int = 50,
) -> None:  # fmt: skip
    """Train a small GPT; on_step(model, step, history) follows each step.

    every   steps between evaluations and checkpoints; a text is generated at every second one
    """
    minillm.manual_seed(1)
    config = GPT2Config(vocab_size=67, n_positions=length, n_embd=width, n_layer=2, n_head=4)
    model = GPT2LMHeadModel(config).recompute_activations()
    optimizer = AdamW(model.named_parameters(), lr=1e-3)
    ids = np.random.default_rng(2).integers(0, 67, 100 * length)

    def after(step: int, history: History) -> None:
        if step % (2 * every) == 0:
            model.generate(ids[None, :4], max_new_tokens=length - 4, do_sample=True)
        on_step(model, step, history)

    fit(
        model, optimizer, TextBatches(ids, length, 6, seed=3), TextWindows(ids[: 10 * length], length),
        steps=steps, loss=minillm.functional.cross_entropy,
        schedule=schedule.cosine(optimizer, 10, steps), clip=1.0, accumulate=2,
        evaluate_every=every, checkpoint=folder, on_step=after, progress=False,
    )  # fmt: skip


def resident() -> float:
    """Megabytes of memory that this process occupies now."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MB
    if platform.system() == "Windows":
        raise SystemExit("resident memory is read from /proc or by ps: run this on Linux or macOS")
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    return int(subprocess.run(command, check=True, capture_output=True).stdout) * 1024 / MB


def growth(seconds: np.ndarray, megabytes: np.ndarray) -> float:
    """MB per hour: the slope of the line through the last two thirds, by least squares.

    >>> hours = np.arange(90) / 30
    >>> round(growth(3600 * hours, np.where(hours < 1, 50 * hours, 48 + 2 * hours)), 6)
    2.0
    """
    late = seconds >= seconds[-1] / 3
    return float(np.polyfit(seconds[late] / 3600, megabytes[late], 1)[0])


def watch(minutes: float, every: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Train for so long; (seconds, MB, steps) with a reading every so many seconds."""
    readings: list[tuple[float, float]] = []
    done = 0
    started = time.monotonic()

    def on_step(model: GPT2LMHeadModel, step: int, history: History) -> None:
        nonlocal done
        now, done = time.monotonic() - started, step
        if not readings or now >= readings[-1][0] + every:
            readings.append((now, resident()))
            if len(readings) % 12 == 1:
                print(
                    f"{now / 60:6.1f} min  {step:8,} steps  {readings[-1][1]:8.1f} MB", flush=True
                )
        if now > 60 * minutes:
            raise TimeIsUp

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(TimeIsUp):
        train(Path(folder), 10**9, on_step)
    seconds, megabytes = np.array(readings).T
    return seconds, megabytes, done


def draw(seconds: np.ndarray, megabytes: np.ndarray, slope: float, path: Path) -> None:
    """The readings, and the line whose slope decides."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    late = seconds >= seconds[-1] / 3
    middle = seconds[late].mean(), megabytes[late].mean()
    line = middle[1] + slope * (seconds[late] - middle[0]) / 3600
    axes.plot(seconds / 60, megabytes, label="resident memory")
    axes.plot(seconds[late] / 60, line, label=f"{slope:+.2f} MB per hour")
    axes.set(xlabel="minutes", ylabel="MB", ylim=(0, 1.2 * megabytes.max()))
    axes.set_title("Memory while training")
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=5, help="seconds between readings")
    parser.add_argument("--limit", type=float, default=LIMIT, help="MB per hour")
    parser.add_argument("--picture", type=Path, default=Path("build/hour.png"))
    options = parser.parse_args()
    seconds, megabytes, steps = watch(options.minutes, options.every)
    if len(seconds) < 9:
        raise SystemExit(f"{len(seconds)} readings are too few: more --minutes, or less --every")
    slope = growth(seconds, megabytes)
    flat = slope <= options.limit
    draw(seconds, megabytes, slope, options.picture)
    print(
        f"{steps:,} steps in {seconds[-1] / 60:.1f} minutes: {megabytes[0]:.1f} MB at first, "
        f"{megabytes.max():.1f} MB at most,\n{slope:+.2f} MB per hour in the last two thirds, "
        f"{'within' if flat else 'ABOVE'} the limit of {options.limit:g}; picture: {options.picture}"
    )
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
