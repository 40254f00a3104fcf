"""One submission in a process of its own, with limits, and what became of it.

Each run is a fresh Python process (a quarter of a second), a new process group that is killed at
the end with everything that it forked, an empty working folder, an environment without secrets, no
stdin, and limits on time, memory and output.  What a submission does to its process it does to
itself.  It is isolation against accidents and pranks, not against attacks: the process still runs
as the user who started the grading.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .assignment import read_plan
from .results import FunctionResult, SubmissionResult, function_from_json
from .submissions import Submission

RESTARTS = 2  # times that a submission is started again without the function that ended it
PATIENCE = 256  # times the output limit after which a process that prints is ended
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH")
LARGEST_COMPANION = 2**20  # bytes of a file beside the submission that is copied with it


@dataclass(frozen=True)
class Limits:
    """What one process of a submission may use.

    timeout   seconds
    memory    megabytes of address space, NumPy included
    output    bytes printed that are kept

    >>> Limits(timeout=5).memory
    1024
    """

    timeout: float = 20.0
    memory: int = 1024
    output: int = 65536

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ValueError(f"--timeout must be above 0 seconds, got {self.timeout}")
        if self.memory < 512:
            raise ValueError(
                f"--memory must be at least 512 MB, which NumPy needs to start, got {self.memory}"
            )


class Processes:
    """The processes of one grading, which end together if it is interrupted."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen] = set()
        self.stopped = False
        self.lock = threading.Lock()

    def add(self, process: subprocess.Popen) -> None:
        """A process has started; it ends at once if it comes too late."""
        with self.lock:
            self.running.add(process)
            if self.stopped:
                kill_group(process)

    def remove(self, process: subprocess.Popen) -> None:
        """A process has ended."""
        with self.lock:
            self.running.discard(process)

    def stop(self) -> None:
        """End all, and all that come."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                kill_group(process)


@dataclass
class Run:
    """One process, after its end."""

    lines: list[dict] = field(default_factory=list)
    forged: bool = False
    returncode: int = 0
    timed_out: bool = False
    printed: int = 0
    output: str = ""

    def find(self, key: str) -> Any:
        """The first value that the worker reported under a key."""
        return next((line[key] for line in self.lines if key in line), None)

    @property
    def guilty(self) -> str:
        """The function during which the process ended; "" if it was none."""
        if self.find("end") or self.find("patched"):
            return ""
        begun = [line["begin"] for line in self.lines if "begin" in line]
        done = [line["function"]["name"] for line in self.lines if "function" in line]
        return begun[-1] if len(begun) > len(done) else ""


def grade_submission(
    submission: Submission, limits: Limits | None = None, processes: Processes | None = None
) -> SubmissionResult:
    """Run and grade one submission; it is started again if one of its functions ended it.

    >>> grade_submission(Submission("anna", Path("."), problem="nothing was handed in")).status
    'no submission'
    """
    limits, processes = limits or Limits(), processes or Processes()
    started = time.perf_counter()
    if submission.problem:
        return SubmissionResult(submission.student, "no submission", submission.problem)
    seed, points = read_plan(submission.path)
    result = SubmissionResult(submission.student, seed=seed)
    for _ in range(RESTARTS + 1):
        done = [function.name for function in result.functions]
        run = run_once(submission, limits, done, processes)
        judge(result, run, limits)
        if not run.guilty or processes.stopped:
            break
    complete(result, list(points) or run.find("plan") or [], points)
    result.seconds = round(time.perf_counter() - started, 2)
    return result


def complete(result: SubmissionResult, names: list[str], points: dict[str, float]) -> None:
    """Add the functions that were not reached, and set what each could have earned."""
    for name in names:
        if result.function(name) is None:
            result.functions.append(FunctionResult(name, "not checked", f"{name} was not reached"))
    result.functions.sort(key=lambda f: names.index(f.name) if f.name in names else len(names))
    for function in result.functions:
        function.max_points = points.get(function.name, function.max_points)
        if result.status == "patched the checker":
            function.points, function.verdict = 0.0, "not checked"
            function.detail = "the submission patched the checker"


def judge(result: SubmissionResult, run: Run, limits: Limits) -> None:
    """Add what one process has reported, and how it ended."""
    result.output = result.output or run.output
    for line in run.lines:
        if "function" in line:
            result.functions.append(function_from_json(line["function"]))
    status, detail = _ending(run, limits)
    if run.guilty:
        detail = f"{detail} while {run.guilty} was checked"
        result.functions.append(FunctionResult(run.guilty, status, detail))
    problems = [(status, detail)] if status != "ok" else []
    problems += [(kind, text) for kind, text in run.find("problems") or ()]
    problems += [
        (function.verdict, function.detail)
        for function in result.functions
        if function.verdict in ("exited", "memory limit")
    ]
    if run.printed > limits.output and not (problems and problems[0][0] == "too much output"):
        problems.append(("too much output", f"it printed {run.printed:,} bytes"))
    for status, detail in problems:
        if result.status == "ok" or status == "patched the checker":
            result.status, result.detail = status, detail
        elif detail != result.detail and f"{status}: {detail}" not in result.notes:
            result.notes.append(f"{status}: {detail}")


def _ending(run: Run, limits: Limits) -> tuple[str, str]:
    """(status, sentence) of a process: how it ended."""
    place = "" if run.find("plan") is not None else " before its functions were defined"
    if patched := run.find("patched"):
        return "patched the checker", patched
    if run.forged:
        return "patched the checker", "it wrote into the file of the results"
    if run.timed_out:
        return "time limit", f"it did not end within {limits.timeout:g} s{place}"
    if run.printed > PATIENCE * limits.output:
        return "too much output", f"it was ended after printing {run.printed:,} bytes{place}"
    if run.find("end"):
        return "ok", ""
    if run.returncode < 0:
        return "crashed", f"it was ended by {_signal_name(-run.returncode)}{place}"
    if "MemoryError" in run.output[-2000:]:
        return "memory limit", f"it asked for more than {limits.memory} MB{place}"
    return "exited", f"it ended the process with status {run.returncode}{place}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def run_once(submission: Submission, limits: Limits, skip: list[str], processes: Processes) -> Run:
    """Start the worker, feed it the job, wait, kill what is left, read the result."""
    folder = Path(tempfile.mkdtemp(prefix="minillm-"))
    try:
        work, result = folder / "work", folder / secrets.token_hex(8)
        work.mkdir()
        path = _copy(submission, work)
        result.touch()
        token = secrets.token_hex(16)
        job = {
            "path": str(path),
            "token": token,
            "result": str(result),
            "memory": limits.memory,
            "skip": skip,
        }
        run = _run_process(job, work, limits, processes)
        _read_result(run, result, token)
        return run
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(submission: Submission, work: Path) -> Path:
    """The submission, and what lies beside it in a folder of its own, in the working folder."""
    for companion in submission.companions:
        if companion.stat().st_size <= LARGEST_COMPANION:
            shutil.copyfile(companion, work / companion.name)
    copy = work / submission.path.name
    shutil.copyfile(submission.path, copy)
    return copy


def _environment(work: Path) -> dict[str, str]:
    """What a submission sees: no variable of the instructor's that could hold a secret."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        **kept,
        **one_thread,
        "HOME": str(work),
        "PYTHONPATH": str(Path(__file__).parents[2]),  # so that the worker finds minillm
        "PYTHONIOENCODING": "utf-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
    }


def _run_process(job: dict, work: Path, limits: Limits, processes: Processes) -> Run:
    run = Run()
    process = subprocess.Popen(
        [sys.executable, "-c", "from minillm.classroom.worker import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=work,
        env=_environment(work),
        start_new_session=True,
    )
    processes.add(process)
    reader = threading.Thread(target=_read_output, args=(process, run, limits), daemon=True)
    reader.start()
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended before it read: its status says so
            process.stdin.write(json.dumps(job).encode())
            process.stdin.close()
        process.wait(limits.timeout)
    except subprocess.TimeoutExpired:
        run.timed_out = True
    finally:
        kill_group(process)
        process.wait()
        processes.remove(process)
        reader.join(2.0)  # a child in a group of its own could keep the pipe open
    run.returncode = process.returncode
    return run


def kill_group(process: subprocess.Popen) -> None:
    """End a process and everything that it has started."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # all gone already
            return
    else:
        process.kill()


def _read_output(process: subprocess.Popen, run: Run, limits: Limits) -> None:
    """Keep the beginning of what is printed, count the rest, end it where it does not end."""
    kept = b""
    assert process.stdout is not None
    while chunk := os.read(process.stdout.fileno(), 65536):
        run.printed += len(chunk)
        kept = (kept + chunk)[: limits.output]
        run.output = kept.decode("utf-8", "replace")
        if run.printed > PATIENCE * limits.output:
            kill_group(process)
    process.stdout.close()


def _read_result(run: Run, path: Path, token: str) -> None:
    """The lines that carry the token; any other line was not written by the worker."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # the submission has removed it: nothing was reported
        return
    for line in text.splitlines():
        try:
            data = json.loads(line)
            genuine = secrets.compare_digest(str(data.pop("token")), token)
        except (ValueError, KeyError, AttributeError, TypeError):
            genuine = False
        if genuine:
            run.lines.append(data)
        else:
            run.forged = True
