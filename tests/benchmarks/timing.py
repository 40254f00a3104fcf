"""What every peer measures with: the median of repeated steps, and the peak memory of the process."""

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path

from bench_workloads import WORKLOADS

WARM_UP = 5  # steps that are not timed, and whose losses the peers have in common
ENOUGH_S, FEWEST = 4.0, 3  # after so many seconds, so many repeats (or first steps) will do


def median_ms(function, repeats, *, enough=ENOUGH_S, fewest=FEWEST):
    """Milliseconds of one call: the median of `repeats`, or of fewer if they take long."""
    times = []
    while len(times) < repeats and (sum(times) < enough or len(times) < fewest):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def memory_mb():
    """The most memory that this process has held so far, imports included; None where unknown.

    Linux has the figure of this program alone.  Elsewhere getrusage stands in; on Linux it would
    begin with the figure of the program that started this one.
    """
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None if sys.platform == "win32" else _usage_mb()
    [line] = [line for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def _usage_mb():
    """By getrusage, which counts bytes on macOS and kilobytes elsewhere."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def training(step, job, **more):
    """Time a training step that returns its loss: a result for `print_result`."""
    losses = warm_up(step)
    if not (math.isfinite(losses[-1]) and losses[-1] < losses[0]):
        sys.exit(f"the model does not learn ({losses}): this would time something else")
    ms = median_ms(step, job.repeats)
    return {"ms": ms, "rss_mb": memory_mb(), "check": losses, **more}


def forward(step, job, **more):
    """Time a forward pass that returns a few numbers to compare."""
    numbers = warm_up(step)[-1]
    ms = median_ms(step, job.repeats)
    return {"ms": ms, "rss_mb": memory_mb(), "check": numbers, **more}


def warm_up(step):
    """What the first steps returned: WARM_UP of them, or fewer if they take very long."""
    results, start = [], time.perf_counter()
    while len(results) < WARM_UP and (
        len(results) < FEWEST or time.perf_counter() - start < 5 * ENOUGH_S
    ):
        results.append(step())
    return results


def main(workloads, versions):
    """Run the workload that the command line names, and print its result as one JSON line.

    workloads   {name: function of a job that returns a dictionary}
    versions    a function that names the library, its BLAS and its threads
    """
    parser = argparse.ArgumentParser(description="One workload of run.py; prints one JSON line.")
    parser.add_argument("workload", choices=workloads)
    parser.add_argument("--sizes", type=json.loads, default={}, metavar="JSON",
                        help="other sizes than those in bench_workloads.py")  # fmt: skip
    parser.add_argument("--repeats", type=int, help="timed calls, the median of which counts")
    parser.add_argument("--text", type=Path, help="the text of the tokenizers")
    parser.add_argument("--model", type=Path, help="the folder of the model that decodes")
    parser.add_argument("--products", type=Path, metavar="FILE",
                        help="the products of one step: time them alone, too")  # fmt: skip
    parser.add_argument("--record", type=Path, metavar="FILE",
                        help="write the products of one step, and time nothing")  # fmt: skip
    job = parser.parse_args()
    workload = WORKLOADS.get(job.workload)
    job.sizes = {**(workload.sizes if workload else {}), **job.sizes}
    job.repeats = job.repeats or (workload.repeats if workload else 1)
    result = workloads[job.workload](job)
    print(json.dumps({**result, "versions": versions()}))
