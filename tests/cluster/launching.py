"""Starting the jobs of jobs.py with a real mpiexec, and reading what they left."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minillm.cluster import find_mpiexec

JOBS = Path(__file__).with_name("jobs.py")
SECONDS = 120  # a job that hangs is ended after so many; the slowest takes a few


def mpiexec():
    """The path of mpiexec; without it, or without mpi4py, the test is skipped."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed: python -m pip install 'minillm[mpi]'")
    try:
        return find_mpiexec()
    except RuntimeError as error:
        pytest.skip(str(error))


def environment(**changes):
    """This environment with one BLAS thread for each rank; a change to None takes a variable away."""
    found = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1"}
    found |= {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    found.update({name: value for name, value in changes.items() if value is not None})
    return {name: value for name, value in found.items() if changes.get(name, "") is not None}


def command(ranks, *words, module=True):
    """The command line; module=False leaves out -m mpi4py, which also ends a job when a rank fails."""
    through = ["-m", "mpi4py"] if module else []
    return [mpiexec(), "-n", str(ranks), sys.executable, *through, *map(str, words)]


def launch(ranks, job, folder, *more, module=True, **changes):
    """Run a job to its end, whatever that is: the CompletedProcess."""
    return subprocess.run(
        command(ranks, JOBS, job, folder, *more, module=module), capture_output=True, encoding="utf-8",
        timeout=SECONDS, env=environment(**changes), stdin=subprocess.DEVNULL,
    )  # fmt: skip


def arrays_of(ranks, job, folder, *more):
    """The arrays that each rank of a job left: a list of dicts."""
    done = launch(ranks, job, folder, *more)
    assert done.returncode == 0, done.stderr
    found = []
    for rank in range(ranks):
        with np.load(Path(folder) / f"{rank}.npz") as file:
            found.append(dict(file))
    return found
