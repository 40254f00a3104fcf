"""What a step takes on n ranks: time to compute plus time to add up the gradients.

All-reduce on a ring (Thakur, Rabenseifner & Gropp 2005, Int. J. High Performance Computing
Applications 19(1); Patarasuk & Yuan 2009, J. Parallel and Distributed Computing 69(2)).  n ranks stand
in a circle; each has M bytes, cut into n pieces.  A message of m bytes takes

    alpha + m / beta        alpha: latency, seconds        beta: bandwidth, bytes per second

First n - 1 rounds: each rank sends one piece to its right neighbour, which adds it to its own.  After
them every rank has the full sum of one piece.  Then n - 1 rounds more: the full sums go around.  In
each of the 2(n - 1) rounds all ranks send M / n bytes at the same time:

    t_sum(n, M) = 2(n - 1) (alpha + M / (n beta))
                = 2(n - 1) alpha + 2(n - 1)/n * M / beta                                        (1)

No algorithm sends fewer bytes (Patarasuk & Yuan 2009), and 2(n - 1)/n is nearly 2 for every large n:
the bytes cost the same on 8 ranks and on 512.  The latency does not: it grows with n, and comes once
for each message.  Gradients that travel in k messages take

    t_sum(n, M, k) = 2(n - 1) k alpha + 2(n - 1)/n * M / beta                                   (2)

For short messages MPI libraries use trees, with about 2 log2(n) latencies instead of 2(n - 1); (2) is
then too careful.

A step.  Computing takes a part that every rank does (the optimiser) and a part for each row of the
batch; with B rows the busiest rank has ceil(B/n):

    t_step(n) = t_fixed + t_row * ceil(B/n) + t_sum(n, M, k)                                    (3)

    speedup = t_step(1) / t_step(n)        efficiency = speedup / n                             (4)

Check: tests/cluster/test_costs.py    Page: docs/cluster.md
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Link:
    """What connects the ranks: alpha and beta of (1).

    Units   latency seconds; bandwidth bytes per second

    >>> link = Link(latency=1e-5, bandwidth=1e9)
    >>> round(link.seconds(ranks=4, size=40_000_000), 5)  # 6 alpha + 1.5 * 0.04
    0.06006
    """

    latency: float
    bandwidth: float

    def seconds(self, ranks: int, size: float, messages: int = 1) -> float:
        """Time to add up `size` bytes of each rank, by (2)."""
        rounds = 2 * (ranks - 1)
        return rounds * messages * self.latency + rounds / ranks * size / self.bandwidth

    @classmethod
    def fit(
        cls, sizes: Sequence[float], seconds: Sequence[float], *, ranks: int = 2, messages: int = 1
    ) -> "Link":
        """The link that explains measured times best, by least squares of the relative errors.

        sizes, seconds   bytes of each all-reduce, and how long it took on so many `ranks`
        Raises           ValueError for fewer than two sizes or a single rank

        >>> link = Link(latency=2e-5, bandwidth=5e8)
        >>> sizes = [1e3, 1e5, 1e7]
        >>> Link.fit(sizes, [link.seconds(2, size) for size in sizes]).bandwidth.__round__()
        500000000
        """
        if ranks < 2 or len(set(sizes)) < 2 or len(sizes) != len(seconds):
            raise ValueError(
                f"Link.fit: needs 2 ranks or more and times of 2 sizes or more, got {ranks} ranks, "
                f"{len(sizes)} sizes and {len(seconds)} times"
            )
        rounds = 2 * (ranks - 1)
        each = np.array([[rounds * messages, rounds / ranks * size] for size in sizes])
        latency, slowness = _non_negative_fit(each, np.asarray(seconds, dtype=np.float64))
        return cls(latency, 1 / slowness if slowness else math.inf)


@dataclass(frozen=True)
class Compute:
    """What one rank computes in a step, without the all-reduce: t_fixed and t_row of (3).

    Units   seconds

    >>> round(Compute(fixed=0.02, row=0.1).seconds(rows=4), 3)
    0.42
    """

    fixed: float
    row: float

    def seconds(self, rows: int) -> float:
        """Time of a step on so many rows."""
        return self.fixed + self.row * rows

    @classmethod
    def fit(cls, rows: Sequence[int], seconds: Sequence[float]) -> "Compute":
        """The line that explains measured times best, by least squares of the relative errors.

        Raises   ValueError for fewer than two sizes

        >>> line = Compute.fit([1, 2, 4], [0.12, 0.22, 0.42])
        >>> round(line.fixed, 6), round(line.row, 6)
        (0.02, 0.1)
        """
        if len(set(rows)) < 2 or len(rows) != len(seconds):
            raise ValueError(
                f"Compute.fit: needs times of 2 batch sizes or more, got {len(rows)} sizes and "
                f"{len(seconds)} times"
            )
        each = np.array([[1.0, count] for count in rows])
        return cls(*_non_negative_fit(each, np.asarray(seconds, dtype=np.float64)))


@dataclass(frozen=True)
class Prediction:
    """A step on n ranks.

    ranks, batch       n, and B: the rows of all ranks together
    compute, sum       seconds of the two parts of (3)
    speedup            rows per second, as a multiple of one rank on its batch

    >>> Prediction(ranks=2, batch=4, compute=0.3, sum=0.1, speedup=1.5).efficiency
    0.75
    """

    ranks: int
    batch: int
    compute: float
    sum: float
    speedup: float

    @property
    def seconds(self) -> float:
        """Time of the step, by (3)."""
        return self.compute + self.sum

    @property
    def efficiency(self) -> float:
        """The part of the time of all ranks that is not lost, by (4)."""
        return self.speedup / self.ranks


def predict(
    compute: Compute,
    link: Link,
    *,
    ranks: int,
    batch: int,
    size: float,
    messages: int = 1,
    grow: bool = False,
) -> Prediction:
    """A step on so many ranks, by (3) and (4).

    compute, link   as measured, see `Compute.fit` and `Link.fit`
    batch           rows that one rank alone has in a step
    size            bytes of all gradients, sent in so many `messages`
    grow            False: the ranks divide these rows.  True: each rank has so many, and the batch
                    grows with the ranks: more rows for each step, not the same step sooner

    Raises   ValueError for sizes below 1

    >>> compute, link = Compute(fixed=0.02, row=0.1), Link(latency=0.0, bandwidth=1e9)
    >>> two = predict(compute, link, ranks=2, batch=4, size=40e6)
    >>> round(two.seconds, 3), round(two.speedup, 3)  # 0.02 + 0.1 * 2 + 0.04; (0.02 + 0.4) / 0.26
    (0.26, 1.615)
    """
    if ranks < 1 or batch < 1:
        raise ValueError(f"predict: ranks and batch must be at least 1, got {ranks} and {batch}")
    alone = compute.seconds(batch)
    rows = batch if grow else math.ceil(batch / ranks)
    here, together = compute.seconds(rows), link.seconds(ranks, size, messages)
    speedup = (ranks if grow else 1) * alone / (here + together)
    return Prediction(ranks, batch * ranks if grow else batch, here, together, speedup)


def _non_negative_fit(columns: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Two coefficients >= 0 of least squares of relative errors; one that came out below 0 is left out.

    Shapes   columns (N, 2), values (N,)
    """
    relative, ones = columns / values[:, None], np.ones(len(values))
    both = np.linalg.lstsq(relative, ones, rcond=None)[0]
    if (both >= 0).all():
        return float(both[0]), float(both[1])
    keep = int(both.argmax())
    column = relative[:, keep]
    alone = float(column @ ones / (column @ column))
    return (alone, 0.0) if keep == 0 else (0.0, alone)
