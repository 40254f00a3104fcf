"""Training on several processes and machines: each takes a part of every batch.

A model that is too slow to train on one core can be trained on many, without changing what it learns.
Each process of the job, called a rank, holds the whole model.  Of each batch it takes its part of the
rows and computes the gradient of that part; then all ranks add up their gradients, and each takes the
same step.  Because the sum is the gradient of the whole batch, the parameters are those of a training
in one process, up to rounding.

MPI (the Message Passing Interface, 1994) does the adding.  `mpiexec` starts the same program n times:

    mpiexec -n 4 python -m mpi4py -m minillm train --text poems.txt

and each process makes a `Ranks`, which knows its number and sums over all of them.  Without `mpiexec`
`Ranks()` is a job of one, so the same script runs either way.

    ranks.py    sums of numbers and gradients, the same start for all, and an end for all
    launch.py   was this process started by mpiexec, and where is mpiexec
    costs.py    the formulas of a plan: what n ranks take for a step
    plan.py     python -m minillm.cluster.plan: measures here, predicts there

How to use it, and what to expect of 8, 64 and 512 ranks: docs/cluster.md
"""

from .costs import Compute, Link, Prediction, predict
from .launch import find_mpiexec, started_by_mpi
from .ranks import Ranks

__all__ = [
    "Compute",
    "Link",
    "Prediction",
    "Ranks",
    "find_mpiexec",
    "predict",
    "started_by_mpi",
]
