"""The gradient of the mean loss of a batch: by one thread, by several, on one machine or on many.

The loss of a batch is a mean over its n targets, so it is the weighted mean of the losses of its parts,
and its gradient the weighted mean of their gradients:

    loss = 1/n sum_i loss_i = sum_k (n_k / n) loss_k        for parts k with n_k targets each     (1)
    d loss/d w              = sum_k (n_k / n) d loss_k/d w                                        (2)

Each part goes forward and backward on its own.  A thread needs a model of its own to collect its own
gradients: a replica, whose parameters are other objects with the same arrays.  The gradients are
added up in the order of the parts, so the same number of parts gives the same bits.

Why threads.  A matrix product uses all cores by itself, but everything between the products (GELU,
softmax, norms, copies) is one NumPy call on one core.  With the batch split, all of it runs on all
cores, with one BLAS thread for each worker, because more would compete for the same cores.  Python
itself runs one thread at a time: where arrays are small the threads wait for each other, and one thread
is faster.  `choose_workers` draws that line.

Dropout.  Each part draws its masks from a generator of its own, seeded by one number that is drawn for
the batch, and by the number of the part: no order of threads can change them.
"""

import contextlib
import copy
import functools
import operator
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl

from .. import debugging
from ..autograd import no_grad
from ..backend import (
    default_generator,
    generator_of_this_thread,
    host_number,
    usable_cores,
)
from ..nn import evaluating
from ..nn.module import named_generators
from .objective import (
    LossSum,
    count_targets,
    count_tokens,
    forward_batch,
    split_batch,
    terms_of,
)

PAYS = 2**29  # parameters x positions of a batch, from which on two threads beat one
MOST = 8  # workers that are chosen by themselves: each of them holds a gradient of the whole model


class _Part(NamedTuple):
    """What forward made of one part of a batch; the defaults are a part without targets."""

    output: Any = None
    terms: Any = ()  # the means that the loss is the sum of, mostly one, each with its targets


class BatchGradient:
    """Adds the gradient of a batch's mean loss to `.grad`.

    model     whose parameters collect the gradient
    loss      as `fit` takes it
    optimizer whose updates the threads share as well; None if there is none
    workers   threads that share the rows of each batch
    ranks     the processes that share them (minillm.cluster.Ranks); each has `workers` threads

    Use it in a `with` block, which ends its threads.
    """

    def __init__(
        self, model: Any, loss: Callable | None, workers: int = 1, ranks: Any = None,
        optimizer: Any = None,
    ) -> None:  # fmt: skip
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.workers, self.ranks = workers, ranks
        self.parts = workers * (ranks.size if ranks else 1)
        self.first = workers * (ranks.rank if ranks else 0)  # number of this process's first part
        self.unit = self.targets = 0.0  # of the first batch of a step, and of all of them so far
        self.replicas = [model]
        self.pool = None
        if workers > 1:
            _refuse_generators(model)
            self.replicas = [replica(model) for _ in range(workers)]
            self.pool = ThreadPoolExecutor(workers, thread_name_prefix="minillm")

    def __enter__(self) -> "BatchGradient":
        if self.pool is not None and self.optimizer is not None:
            self.optimizer.run = self.pool.map
        return self

    def __exit__(self, *exception: object) -> None:
        if self.pool is not None:
            self.pool.shutdown()
            if self.optimizer is not None:
                self.optimizer.run = map

    def add(self, batch: Any, several: bool = False) -> tuple[Any, float, list[tuple[Any, Any]]]:
        """Add the gradient of a batch's losses to `.grad`, where `finish` makes a mean of it.

        several   whether the step has more batches than this one: then its targets are counted
        Returns   the mean loss, over how many targets, and [(part, its output)] of this process.  The
                  loss of an undivided batch is where the model is: a device need not be waited for
        """
        if self.parts == 1:
            output, mean = forward_batch(self.model, batch, self.loss)
            count = count_targets(output, batch, self.loss) if several else 1
            (mean * self._share(count)).backward()
            return mean.data, count, [(batch, output)]
        seed = int(default_generator().integers(2**62))
        parts = split_batch(batch, self.parts, self.loss)
        mine = parts[self.first : self.first + self.workers]
        done = self._each(self._forward, mine, [seed] * self.workers)
        whole = LossSum()
        for part in done:
            if part.terms:
                whole.add(part.terms)
        if self.ranks:
            whole.over(self.ranks)
        if not whole.targets.any():  # as in one process: zeros, which still move a momentum
            output, mean = forward_batch(self.replicas[0], batch, self.loss)
            (mean * self._share(0)).backward()
            return host_number(mean.data), 0, [(batch, output)]
        targets = float(whole.targets[0])
        weights = self._share(targets) / whole.counts  # 1 / n of (2), for each mean
        self._each(_backward, done, [weights.tolist()] * self.workers)
        pairs = [
            (part, made.output) for part, made in zip(mine, done, strict=True) if part is not None
        ]
        return whole.value, targets, pairs

    def _share(self, targets: float) -> float:
        """The weight of a batch, until it is known how many targets all batches of the step have."""
        self.unit = self.unit or targets
        self.targets += targets
        return targets / self.unit if self.unit else 1.0

    def finish(self) -> None:
        """Bring the gradients of all parts together, once per step, as the mean over its targets."""
        if self.workers > 1:
            self._collect()
        params = list(self.model.parameters())
        if self.ranks:
            self.ranks.sum_gradients(params)
        if self.targets != self.unit:  # there were several batches: from their unit to (2)
            for p in params:
                if p.grad is not None:
                    p.grad *= self.unit / self.targets
        self.unit = self.targets = 0.0

    def _each(self, function: Callable, *arguments: list) -> list:
        """function(number, *arguments) for each part of this process, in a thread of its own."""
        if self.pool is None or debugging.debugging:  # debug() follows one thread
            return list(map(function, range(self.workers), *arguments))
        with one_blas_thread():
            calls = zip(range(self.workers), *arguments, strict=True)
            jobs = [self.pool.submit(function, *call) for call in calls]
            return [job.result() for job in jobs]

    def _forward(self, number: int, part: Any, seed: int) -> "_Part":
        model = self.replicas[number]
        if model is not self.model:
            share_arrays(self.model, model)
        if part is None:
            return _Part()
        with generator_of_this_thread(np.random.default_rng([seed, self.first + number])):
            output, mean = forward_batch(model, part, self.loss)
        return _Part(output, terms_of(output, mean, part, self.loss))

    def _collect(self) -> None:
        """Sum (2) over the replicas, in their order, into the model."""
        if any(p.grad is not None for p in self.model.parameters()):
            raise ValueError(
                "fit: the loss reads parameters of the model itself, past the arguments it is given, "
                "so several workers cannot compute it: use workers=1"
            )
        params = list(self.model.parameters())
        copies = list(zip(*(r.parameters() for r in self.replicas), strict=True))

        def add_up(number: int) -> None:
            for p, group in list(zip(params, copies, strict=True))[number :: self.workers]:
                grads = [q.grad for q in group if q.grad is not None]
                for other in grads[1:]:
                    grads[0] += other
                p.grad = grads[0] if grads else None
                for q in group:
                    q.grad = None

        self._each(add_up)


def _backward(number: int, part: _Part, weights: list[float]) -> None:
    losses = [mean * (w * n) for (mean, n), w in zip(part.terms, weights, strict=False)]
    if losses:  # (2), with n_k / n as w * n
        functools.reduce(operator.add, losses).backward()


def replica(model: Any) -> Any:
    """The same model with parameters of its own, which hold the same arrays (not copies)."""
    memo: dict[int, Any] = {id(p): type(p)(p.data, p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, memo)


def share_arrays(model: Any, other: Any) -> None:
    """Let a replica see what has happened to the model: new arrays, frozen parameters, its mode."""
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        q.data, q.requires_grad = p.data, p.requires_grad
    for one, two in zip(model.modules(), other.modules(), strict=True):
        two.training = one.training


def _refuse_generators(model: Any) -> None:
    for name in named_generators(model):
        raise ValueError(
            f"fit: {name or 'the model'} has a random generator of its own, which several workers "
            "would use in an order that changes from run to run: leave rng out, or use workers=1"
        )


# ------------------------------------------------------------------------- how many workers


@functools.cache
def _blas() -> Any:
    """The linear algebra libraries of this process whose threads can be counted and limited."""
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def one_blas_thread() -> contextlib.AbstractContextManager:
    """Within this block every matrix product runs on the one thread that asked for it."""
    return _blas().limit(limits=1)


def choose_workers(model: Any, loss: Callable | None, batch: Any) -> int:
    """How many workers `fit` takes when it is not told: 1, or one for each core where that pays.

    One, where several could give another result: the loss is neither of minillm.functional nor of a
    model that says over how many targets it is the mean (`num_targets`); a module has a generator of
    its own; or the losses of the parts do not add up to the loss of the batch, which is tried out here.

    One, too, where they would not help: on a device, with a small model or batch, or if BLAS may use
    one thread only (with OPENBLAS_NUM_THREADS=1 somebody has said that the other cores are not ours).

    >>> from minillm import nn
    >>> choose_workers(nn.Linear(2, 3), None, (np.zeros((4, 2)), np.zeros(4, int)))  # far too small
    1
    """
    known = loss is None or hasattr(loss, "op")
    arrays = [p.data for p in model.parameters()]
    if not known or named_generators(model) or debugging.debugging:
        return 1
    if not arrays or type(arrays[0]) is not np.ndarray:
        return 1
    if not isinstance(batch, (dict, tuple, list)) or not len(batch):
        return 1  # the model will say what is wrong with it
    if sum(a.size for a in arrays) * count_tokens(batch) < PAYS:
        return 1
    threads = max((library["num_threads"] for library in _blas().info()), default=1)
    workers = min(threads, usable_cores(), MOST)
    if workers == 1:
        return 1
    try:
        both = _both_sides(model, loss, batch, workers)
    except ValueError:  # arrays without rows, or too few for this model: not to be shared out
        return 1
    own_loss = loss is None or isinstance(batch, dict)
    sure = both.targets and both.agree and (both.counted or not own_loss)
    return workers if sure else 1


def require_mean_loss(model: Any, loss: Callable | None, batch: Any, parts: int) -> None:
    """For the number of parts that somebody asked for: refuse a loss that is not the mean of its parts.

    Only a loss that nothing is known about is tried out, on this batch.  Nothing can be said about one
    that draws random numbers, such as that of a VAE: then both sides differ anyway.

    Raises   ValueError with both sides of formula (1)
    """
    if parts == 1 or hasattr(loss, "op"):
        return
    both = _both_sides(model, loss, batch, parts)
    if not both.agree and _both_sides(model, loss, batch, 1, seed=1).whole == both.whole:
        raise ValueError(
            f"fit: the loss of the first batch is {both.whole:.6g}, but the mean of its {parts} parts "
            f"by their targets {both.parts:.6g}: several workers or ranks need a loss that is a mean "
            "over the targets that are not -100 (or not the ignore_index that functools.partial has "
            "given it); use one worker for any other"
        )


class _Sides(NamedTuple):
    """Both sides of formula (1)."""

    whole: float
    parts: float
    agree: bool  # to float32's rounding
    targets: float  # in all parts together
    counted: bool  # the model itself says how many


def _both_sides(model: Any, loss: Callable | None, batch: Any, parts: int, seed: int = 0) -> _Sides:
    """Formula (1) tried out on a batch, without dropout.

    It does not hold where the rows of a batch are compared with each other, or where a model adds terms
    to its loss that are not means over targets.
    """
    apart = np.random.default_rng(seed)  # nothing is drawn that training would miss
    with no_grad(), evaluating(model), generator_of_this_thread(apart):
        output, mean = forward_batch(model, batch, loss)
        whole, counted = host_number(mean.data), getattr(output, "num_targets", None) is not None
        found, size = LossSum(), 0.0
        for part in filter(None, split_batch(batch, parts, loss)):
            output, mean = forward_batch(model, part, loss)
            terms = terms_of(output, mean, part, loss)
            found.add(terms)
            size = max(size, sum(abs(host_number(mean.data)) for mean, _ in terms))
    if not found.targets.any():
        return _Sides(whole, whole, True, 0, counted)
    differ = abs(found.value - whole) > 1e-5 * size  # not for NaN: training reports that
    return _Sides(whole, found.value, not differ, float(found.targets[0]), counted)
