"""The process in which one submission runs: limits, loading, grading, a result line by line.

The job arrives as JSON on stdin, which is closed before the submission runs.  Results leave through
a file of their own, never stdout; each line carries the token of the job, so that a submission that
finds the file and writes into it is told apart.
"""

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..gradcheck import check_gradients
from .assignment import task_for_notebook, tasks_of_notebook
from .grading import grade
from .integrity import canaries_sing, changes, snapshot
from .library import is_operation, library_task
from .own import own_task
from .results import FunctionResult, to_json
from .source import Loaded, find_pairs, load
from .tasks import NotCheckable, Task

FILE_MEGABYTES = 64  # the largest file that a submission may write


class Reporter:
    """Writes the lines of the result, from the first process only: a forked child has no say."""

    def __init__(self, path: str, token: str) -> None:
        self.file = open(path, "a", encoding="utf-8")  # open until the process ends
        self.token, self.process = token, os.getpid()

    def write(self, **line: Any) -> None:
        """One line; a process that the submission has forked ends here."""
        if os.getpid() != self.process:
            os._exit(0)
        self.file.write(json.dumps({"token": self.token, **line}) + "\n")
        self.file.flush()


def main() -> None:
    """Read the job, run and grade the submission, and end at once."""
    job = json.loads(sys.stdin.buffer.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path = [os.getcwd()] + [entry for entry in sys.path if entry]
    limit_resources(job["memory"])
    work(job, Reporter(job["result"], job["token"]), check_gradients)
    sys.stdout.flush()
    os._exit(0)  # no thread and no atexit function of the submission may keep it alive


def limit_resources(megabytes: int) -> None:
    """Cap the address space and the size of files, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, limit in (
        ("RLIMIT_AS", megabytes * 2**20),
        ("RLIMIT_FSIZE", FILE_MEGABYTES * 2**20),
        ("RLIMIT_CORE", 0),
    ):
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        try:
            resource.setrlimit(kind, (limit, limit))
        except (ValueError, OSError):  # macOS refuses some: the other limits still hold
            print(f"this system cannot set {name}", file=sys.stderr)


def work(job: dict[str, Any], reporter: Reporter, check: Callable) -> None:
    """Load, look for changes, grade function by function, look again after each."""
    canaries_sing(check)  # whatever this loads is loaded before the snapshot
    before = snapshot()
    loaded = load(Path(job["path"]))
    functions = graders(loaded)
    reporter.write(plan=list(functions), problems=loaded.problems)
    if not intact(before, check, reporter):
        return
    for name, function in functions.items():
        if name in job["skip"]:
            continue
        reporter.write(begin=name)
        try:
            result = function()
        except (SystemExit, KeyboardInterrupt) as error:
            sentence = f"{name} raised {type(error).__name__} while it was checked"
            result = FunctionResult(name, "exited", sentence)
        except MemoryError:
            sentence = f"{name} asked for more memory than allowed"
            result = FunctionResult(name, "memory limit", sentence)
        except Exception as error:  # a fault of the grader must not look like the student's
            sentence = f"the grader could not check it: {type(error).__name__}: {error}"
            result = FunctionResult(name, "not checked", sentence)
        if not intact(before, check, reporter):
            return
        reporter.write(function=to_json(result))
    reporter.write(end=True)


def intact(before: dict, check: Callable, reporter: Reporter) -> bool:
    """True if nothing was changed; else the result says what was."""
    changed = changes(before)
    try:
        sings = canaries_sing(check)
    except Exception as error:  # a changed NumPy may fail anywhere
        changed, sings = changed or [f"something: {error}"], True
    if changed or not sings:
        shown = ", ".join(changed[:3]) or "check_gradients"
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        reporter.write(patched=f"it replaced {shown}{more}")
        return False
    return True


def graders(loaded: Loaded) -> dict[str, Callable[[], FunctionResult]]:
    """For each function of the submission, or of its assignment, what grades it."""
    pairs = find_pairs(loaded.namespace)
    if loaded.assignment:
        asked = tasks_of_notebook(loaded.assignment)
        pairs = {name: pairs.get(name, (None, None)) for name in asked}
    return {
        name: functools.partial(grade_pair, name, forward, backward, loaded)
        for name, (forward, backward) in pairs.items()
    }


def grade_pair(
    name: str, forward: Callable | None, backward: Callable | None, loaded: Loaded
) -> FunctionResult:
    """Grade one pair; if one half is missing, say so and grade a forward that stands alone."""
    lacking = [f"{name}_{h}" for h, f in (("forward", forward), ("backward", backward)) if not f]
    missing = " and ".join(lacking) + (" is missing" if len(lacking) == 1 else " are missing")
    if forward is None:
        return FunctionResult(name, "missing", missing)
    try:
        task = _task(name, forward, loaded)
    except NotCheckable as error:
        return FunctionResult(
            name, "missing" if lacking else "not checked", missing if lacking else str(error)
        )
    if backward is not None:
        return grade(task, forward, backward)

    def absent(grad_out: Any, saved: Any) -> None:
        raise NotImplementedError(missing)

    result = grade(task, forward, absent)
    result.verdict, result.detail, result.report = "missing", missing, ""
    result.remarks = [remark for remark in result.remarks if remark.input == "forward"]
    return result


def _task(name: str, forward: Callable, loaded: Loaded) -> Task:
    if loaded.assignment:
        return task_for_notebook(name, loaded.assignment)
    if is_operation(name):
        return library_task(name, forward)
    return own_task(name, forward, loaded.namespace)
