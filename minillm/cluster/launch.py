"""How a process learns that `mpiexec` started it, and where `mpiexec` is.

A program that MPI starts runs n times at once.  Each launcher tells its processes so by environment
variables of its own, which cost nothing to read: a process that was started alone never touches MPI.
"""

import importlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INSTALL_LINE = "python -m pip install 'minillm[mpi]'  (on Linux it brings mpiexec along)"
# how many processes a launcher started: MPICH, Intel MPI and MS-MPI; Open MPI; MVAPICH
JOB_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
# the tasks of this srun; SLURM_NTASKS is those of the whole allocation, and set for lone processes too
SLURM_SIZE = "SLURM_STEP_NUM_TASKS"


def announced_size(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes the launcher says it started; 1 where there is none.

    >>> announced_size({"PMI_RANK": "0", "PMI_SIZE": "4"})
    4
    >>> announced_size({"SLURM_NTASKS": "8"})  # an allocation, but no srun: a process alone
    1
    """
    found = [environment.get(name, "") for name in (*JOB_SIZES, SLURM_SIZE)]
    return max((int(text) for text in found if text.isdecimal()), default=1)


def started_by_mpi(environment: Mapping[str, str] = os.environ) -> bool:
    """True if the launcher started several processes, or may have.

    >>> started_by_mpi({}), started_by_mpi({"OMPI_COMM_WORLD_SIZE": "2"})
    (False, True)
    """
    if any(name in environment for name in (*JOB_SIZES, SLURM_SIZE)):
        return announced_size(environment) > 1
    return "PMIX_RANK" in environment  # a launcher that gives the rank and keeps the size to itself


def load_mpi() -> Any:
    """The module mpi4py.MPI, or None in a process that was started alone.

    Raises   RuntimeError with the line to install if mpi4py or an MPI library is missing, or if
             mpiexec and mpi4py belong to different ones
    """
    if "mpi4py.MPI" not in sys.modules and not started_by_mpi():
        return None
    try:
        mpi = importlib.import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI library to load
        raise RuntimeError(
            f"this process is one of several that mpiexec started, which needs mpi4py and an MPI "
            f"library ({error}): {INSTALL_LINE}"
        ) from error
    announced, found = announced_size(), mpi.COMM_WORLD.size
    if found == 1 and announced > 1:
        raise RuntimeError(
            f"mpiexec started {announced} processes, but each of them is alone: mpiexec and mpi4py "
            f"belong to different MPI libraries (mpi4py's is {mpi.get_vendor()[0]}). Use the "
            f"mpiexec that was installed with it: {Path(sys.executable).with_name('mpiexec')}"
        )
    return mpi


def find_mpiexec() -> str:
    """The path of mpiexec: the one beside this Python, otherwise the first on PATH.

    Raises   RuntimeError with the line to install if there is none

    >>> try:
    ...     found = Path(find_mpiexec()).stem
    ... except RuntimeError as error:
    ...     found = "mpiexec" if "pip install" in str(error) else "?"
    >>> found
    'mpiexec'
    """
    beside = str(Path(sys.executable).parent)
    path = shutil.which("mpiexec", path=beside) or shutil.which("mpiexec")
    if path is None:
        raise RuntimeError(
            f"several processes need mpiexec, which is neither beside {sys.executable} nor on PATH: "
            f"{INSTALL_LINE}"
        )
    return path
