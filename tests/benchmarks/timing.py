"""What both peers measure with: the median of repeated steps, and the peak memory of the process."""

import json
import math
import statistics
import sys
import time

WARM_UP = 5


def median_ms(function, repeats):
    """Milliseconds of one call, the median of many."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def peak_mb():
    """The most memory this process has held so far, imports included."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(step, steps, **more):
    """Time a training step that returns its loss, and print the result as one JSON line."""
    losses = [step() for _ in range(WARM_UP)]
    if not (math.isfinite(losses[-1]) and losses[-1] < losses[0]):
        sys.exit(f"the model does not learn ({losses}): this would time something else")
    ms = median_ms(step, steps)
    result = {"ms": ms, "rss_mb": peak_mb()}
    result |= {name: value() if callable(value) else value for name, value in more.items()}
    print(json.dumps(result))
