"""What the processes of one job do together: sum numbers and gradients, start alike, wait.

Data-parallel training.  The loss of a batch is a mean over its targets, so its gradient is a sum over
the rows of the batch, whoever computes them:

    grad L = sum over rows b of  grad L_b
           = sum over ranks r of  (sum over the rows b of rank r of  grad L_b)                     (1)

Every rank computes the inner sum for rows of its own, an all-reduce gives all of them the outer sum,
and from then on equal optimisers take equal steps: the parameters never travel again.

(1) holds exactly for real numbers.  Floating-point sums depend on their order, so n ranks agree with
one process up to rounding.  Among themselves they agree to the bit: MPI adds in one order for all.

Check: tests/cluster/test_ranks.py
"""

import contextlib
import itertools
import json
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import threadpoolctl

from ..backend import array_module, default_generator, to_numpy, usable_cores
from ..nn.module import named_generators
from .launch import load_mpi

# entries in one message.  Small gradients travel together, because each message costs a latency; a
# buffer of 1 MB still fits the cache, so that packing it costs little
BUCKET = 1 << 18
LINGER = 1.0  # seconds that the last lines of a job have to reach the terminal


class Ranks:
    """The processes of one MPI job, seen from one of them; a process started alone is a job of one.

    rank    the number of this process, from 0
    size    how many there are
    first   True for rank 0, which prints, logs and saves
    here    how many of them run on this machine

    Used as a context manager, or left by an exception that nobody catches, a rank that fails prints
    where, and ends the whole job: the others would wait for it forever.

    Raises   RuntimeError with the line to install if mpiexec started this process and mpi4py is missing

    >>> ranks = Ranks()  # here without mpiexec
    >>> ranks.rank, ranks.size, ranks.first
    (0, 1, True)
    >>> ranks.sum([0.5, 2.0])
    array([0.5, 2. ])
    """

    def __init__(self) -> None:
        self._mpi = load_mpi()
        self._comm: Any = self._mpi.COMM_WORLD if self._mpi else None
        self.rank: int = self._comm.rank if self._comm else 0
        self.size: int = self._comm.size if self._comm else 1
        self.first = self.rank == 0
        self.here: int = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED).size if self._comm else 1
        self._buffers: dict[np.dtype, np.ndarray] = {}
        if self.size > 1:
            sys.excepthook = self._end_job

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self.size > 1 and kind is not None:
            self._end_job(kind, error, trace)

    def __repr__(self) -> str:
        return f"Ranks(rank={self.rank}, size={self.size})"

    def sum(self, numbers: Any) -> np.ndarray:
        """The sum of the numbers over all ranks, float64, with the same bits on every rank."""
        total = np.array(numbers, dtype=np.float64)
        if self._comm:
            self._comm.Allreduce(self._mpi.IN_PLACE, total)
        return total

    def share_cores(self) -> contextlib.AbstractContextManager:
        """Within this block, matrix products of each rank use its part of the cores of the machine.

        Otherwise every rank would use all of them, and they would wait for each other.  A number that
        somebody has chosen by OPENBLAS_NUM_THREADS or OMP_NUM_THREADS stays.

        >>> with Ranks().share_cores():
        ...     threads = "as before"  # alone, this process has all cores
        """
        chosen = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"} & set(os.environ)
        if self.size == 1 or chosen:
            return contextlib.nullcontext()
        limit = max(usable_cores() // self.here, 1)
        return threadpoolctl.threadpool_limits(limit, user_api="blas")

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self._comm:
            self._comm.Barrier()

    # ------------------------------------------------------------------------- gradients

    def sum_gradients(self, parameters: Iterable[Any]) -> None:
        """Replace every gradient by its sum over all ranks, by (1).

        parameters   Tensors or (name, Tensor) pairs, the same ones in the same order on every rank

        A gradient that is None counts as zeros, and stays None if it is None on every rank.  Gradients
        on a device are carried to the host and back.

        Raises   TypeError for gradients that are neither float32 nor float64
        """
        if not self._comm:
            return
        pairs = (entry[1] if isinstance(entry, tuple) else entry for entry in parameters)
        tensors = list({id(p): p for p in pairs if p.requires_grad}.values())
        having = self.sum([p.grad is not None for p in tensors])
        used = [p for p, count in zip(tensors, having, strict=True) if count]
        for p in used:
            if p.grad is None:
                p.grad = array_module(p.data).zeros_like(p.data)
        for bucket in buckets(used):
            self._sum_bucket([p.grad for p in bucket])

    def _sum_bucket(self, grads: list[Any]) -> None:
        """Sum some gradients of one dtype by one message, in place where they lie ready for it."""
        if len(grads) == 1 and _lies_ready(grads[0]):
            self._comm.Allreduce(self._mpi.IN_PLACE, grads[0])
            return
        ends = np.cumsum([g.size for g in grads])
        flat = self._buffer(grads[0].dtype, int(ends[-1]))
        pieces = np.split(flat, ends[:-1])
        for piece, g in zip(pieces, grads, strict=True):
            piece[:] = to_numpy(g).reshape(-1)
        self._comm.Allreduce(self._mpi.IN_PLACE, flat)
        for piece, g in zip(pieces, grads, strict=True):
            g[...] = array_module(g).asarray(piece.reshape(g.shape))

    def _buffer(self, dtype: Any, size: int) -> np.ndarray:
        """A flat buffer on the host, the same one in each step."""
        buffer = self._buffers.get(dtype)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[dtype] = np.empty(max(size, BUCKET), dtype)
        return buffer[:size]

    # ------------------------------------------------------------------------- beginning

    def share(self, model: Any, *more: Any) -> None:
        """Copy the parameters of rank 0, and the states of its random generators, to every rank.

        model, more   models, with the generators that their modules own, and generators.  The library's
                      default generator is always among them

        Raises   ValueError if the models of two ranks have parameters of other names, shapes or dtypes
        """
        if not self._comm:
            return
        models = [x for x in (model, *more) if not isinstance(x, np.random.Generator)]
        generators = [default_generator()]
        generators += [x for x in (model, *more) if isinstance(x, np.random.Generator)]
        for one in models:
            generators += named_generators(one).values()
        named = [pair for one in models for pair in one.named_parameters()]
        description: list[list[Any]] = [[n, list(p.shape), str(p.dtype)] for n, p in named]
        self._require_equal([*description, ["the generators", len(generators)]])
        for _, p in named:
            host = np.ascontiguousarray(to_numpy(p.data))
            self._comm.Bcast(host)
            if not self.first:
                p.data[...] = array_module(p.data).asarray(host)
        states = self._from_first([g.bit_generator.state for g in generators])
        for generator, state in zip(generators, states, strict=True):
            generator.bit_generator.state = state

    def _require_equal(self, description: list[list[Any]]) -> None:
        """Raise on every rank if one describes its model otherwise than the first."""
        theirs = self._from_first(description)
        pairs = itertools.zip_longest(theirs, description, fillvalue=["the number of parameters"])
        unequal = [i for i, (there, here) in enumerate(pairs, 1) if there != here]
        places = self.sum(np.eye(self.size)[self.rank] * (unequal or [0])[0])
        if places.any():
            rank = int(np.flatnonzero(places)[0])
            name = theirs[min(int(places[rank]), len(theirs)) - 1][0]
            raise ValueError(
                f"Ranks.share: the model of rank {rank} is not that of rank 0 (the first difference "
                f"is at {name}): build the same model on every rank"
            )

    def _from_first(self, value: Any) -> Any:
        """A value of rank 0 that JSON can hold, on every rank."""
        data = np.frombuffer(json.dumps(value, default=np.ndarray.tolist).encode(), np.uint8).copy()
        length = np.array([data.size])
        self._comm.Bcast(length)
        if not self.first:
            data = np.empty(length[0], np.uint8)
        self._comm.Bcast(data)
        return json.loads(data.tobytes())

    # -------------------------------------------------------------------------- the end

    def linger(self) -> None:
        """Before an exit that ends the whole job: let what was printed reach the terminal.

        What a rank prints travels through mpiexec, which drops what is on its way when it ends a job.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        if self.size > 1:
            time.sleep(LINGER)

    def _end_job(self, kind: Any, error: Any, trace: Any) -> None:
        """Print the traceback of this rank and end all others."""
        code: Any = 130 if isinstance(error, KeyboardInterrupt) else 1
        if isinstance(error, SystemExit):
            code = error.code
        if not code:
            return
        code = code if isinstance(code, int) else 1
        if not self.first:  # what is wrong on all ranks the first one prints, and ends the others
            time.sleep(2 * LINGER)
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(f"rank {self.rank} of {self.size} ends the job:\n{text}")
        self.linger()
        self._comm.Abort(code)
        os._exit(code)  # some MPI libraries return from Abort and end the process a moment later


def buckets(tensors: list[Any]) -> Iterator[list[Any]]:
    """Tensors with gradients: the large ones alone, small ones of one dtype in groups of one message.

    The groups follow from sizes and dtypes alone, so that all ranks form the same ones.

    Raises   TypeError for gradients that are neither float32 nor float64
    """
    for dtype in dict.fromkeys(p.grad.dtype for p in tensors):
        if dtype not in (np.float32, np.float64):
            raise TypeError(
                f"Ranks.sum_gradients: gradients must be float32 or float64, found {dtype}"
            )
    yield from ([p] for p in tensors if p.size >= BUCKET)
    groups: dict[Any, list[Any]] = {}
    for p in (p for p in tensors if p.size < BUCKET):
        group = groups.setdefault(p.grad.dtype, [])
        if sum(q.size for q in group) + p.size > BUCKET:
            yield group
            group = groups[p.grad.dtype] = []
        group.append(p)
    yield from groups.values()


def _lies_ready(grad: Any) -> bool:
    """True for a host array that MPI can read and write as it is."""
    return type(grad) is np.ndarray and grad.flags.c_contiguous and grad.flags.writeable
