"""Grading many submissions at once, in the order of their names whatever finishes first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

from .results import SubmissionResult
from .sandbox import Limits, Processes, grade_submission
from .submissions import Submission


def grade_all(
    submissions: list[Submission],
    limits: Limits | None = None,
    jobs: int = 2,
    on_result: Callable[[SubmissionResult], None] | None = None,
) -> list[SubmissionResult]:
    """Grade submissions, `jobs` at a time; on_result sees each as it is done.

    >>> from pathlib import Path
    >>> [r.student for r in grade_all([Submission("b", Path("b"), problem="none")])]
    ['b']
    """
    if jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {jobs}")
    processes = Processes()
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(grade_submission, one, limits, processes) for one in submissions]
        try:
            for future in as_completed(futures):
                if on_result:
                    on_result(future.result())
        except BaseException:  # Ctrl-C above all: nothing may go on behind the user's back
            pool.shutdown(wait=False, cancel_futures=True)
            processes.stop()
            raise
    return [future.result() for future in futures]
