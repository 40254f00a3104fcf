"""python -m minillm gradcheck: hold backward passes against numerical gradients.

Of the library's operations, of a student's file, of a class; or of the library's own wrong ones.
"""

import argparse
import sys
import time
from pathlib import Path

from tqdm import tqdm

from ..classroom import ClassTable, Limits, Submission, SubmissionResult, grade_all
from ..classroom.report import file_report
from ..classroom.submissions import find_submissions, is_submission
from ..classroom.tables import choose_columns, only, to_csv, to_html, to_json, to_text
from ..gradcheck.cases import cases, operation_names
from ..gradcheck.language import say
from ..gradcheck.report import error_in_words
from ..gradcheck.suite import check_operations
from ..terminal import columns_of, pad
from . import options

SUMMARY = (
    "Check the backward pass of every operation, of those named, of the functions in a "
    "student's file, or of a folder of submissions."
)
EXAMPLE = "python -m minillm gradcheck softmax layer_norm"
CLASS_OPTIONS = ("hints", "csv", "html", "json", "functions", "jobs", "timeout", "memory")
MUTANT_OPTIONS = ("checks", "held_out")
CHECKS = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        nargs="*",
        metavar="operation or file",
        help="operations, or .py files, notebooks and folders of students; all operations by default",
    )
    parser.add_argument("--list", action="store_true", help="list the operations and stop")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs of operations")
    _add_student_arguments(parser)
    _add_mutant_arguments(parser)


def _add_student_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "students",
        "a file gives a report, a folder a table; example:  python -m minillm gradcheck "
        "submissions --csv grades.csv",
    )
    group.add_argument(
        "--hints",
        type=int,
        choices=(0, 1, 2, 3),
        help="how much is told: 0 pass or fail, 1 where, 2 what kind, 3 all (3 if not given)",
    )
    for kind in ("csv", "html", "json"):
        group.add_argument(f"--{kind}", metavar="FILE", help=f"write the table as {kind.upper()}")
    group.add_argument(
        "--functions",
        metavar="A,B,...",
        help="the functions that count; if not given, those that half of the submissions have",
    )
    group.add_argument("--jobs", type=int, help="submissions at a time, 2 if not given")
    group.add_argument("--timeout", type=float, help="seconds for a submission, 20 if not given")
    group.add_argument("--memory", type=int, help="megabytes for a submission, 1024 if not given")


def _add_mutant_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the checker itself")
    group.add_argument(
        "--mutants", action="store_true", help="how many wrong backward passes it finds and names"
    )
    group.add_argument(
        "--checks", type=int, help=f"right backward passes that must pass, {CHECKS} if not given"
    )
    group.add_argument(
        "--held-out",
        action="store_true",
        default=None,
        help="list the misses among the mutants that were kept unseen, too",
    )


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    require_sense(arguments)
    if arguments.mutants:
        from .mutant_report import run_mutants

        arguments.checks = CHECKS if arguments.checks is None else arguments.checks
        arguments.held_out = bool(arguments.held_out)
        return run_mutants(arguments)
    if arguments.list:
        print("\n".join(operation_names()))
        return 0
    if any(is_submission(name) for name in arguments.names):
        return run_students(arguments)
    return run_operations(arguments.names, arguments.seed)


def require_sense(arguments: argparse.Namespace) -> None:
    """Raise a ValueError for options that belong to different uses of the command."""
    if not all(name.strip() for name in arguments.names):
        raise ValueError("a name is empty: give the name of an operation, a file or a folder")
    files = [name for name in arguments.names if is_submission(name)]
    operations = [name for name in arguments.names if name not in files]
    of_class = [option for option in CLASS_OPTIONS if getattr(arguments, option) is not None]
    of_mutants = [option for option in MUTANT_OPTIONS if getattr(arguments, option) is not None]
    if arguments.mutants and (arguments.names or of_class or arguments.list):
        found = [*arguments.names, *map(_flag, of_class), *["--list"] * arguments.list]
        raise ValueError(f"--mutants checks the checker alone: leave out {' '.join(found)}")
    if of_mutants and not arguments.mutants:
        raise ValueError(f"{_flag(of_mutants[0])} belongs to --mutants: add that, or leave it out")
    if files and operations:
        raise ValueError(
            f"{operations[0]} is the name of an operation, {files[0]} is a file or folder: check "
            "them one after the other"
        )
    if of_class and not files:
        raise ValueError(
            f"{_flag(of_class[0])} is for files of students: name a .py file, a notebook or a folder"
        )
    if arguments.list and (operations or arguments.seed):
        others = [*operations, *["--seed"] * bool(arguments.seed)]
        raise ValueError(f"--list shows all operations: leave out {' '.join(others)}")
    if files and (arguments.list or arguments.seed):
        flag = "--list" if arguments.list else "--seed"
        raise ValueError(f"{flag} is for operations of the library: leave it out with {files[0]}")


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def run_operations(names: list[str], seed: int) -> int:
    """Check operations of the library: one line for each, a report for each that fails."""
    for name in names:
        cases(name)  # raises for an unknown name before anything is checked
    started, failed, small, count = time.perf_counter(), 0, 0, 0
    print(_line(say("operation"), say("cases"), say("worst error"), say("verdict")))
    for result in check_operations(names or None, seed):
        count += 1
        small += result.relative_error < 1e-8
        verdict = error_in_words(result.relative_error) if result.passed else say("FAILED")
        error = f"{result.relative_error:.1e}"
        print(_line(result.operation, str(len(result.reports)), error, verdict))
        if not result.passed:
            failed += 1
            for report in result.reports:
                if not report.passed:
                    print(f"\n{report}\n")
    seconds = time.perf_counter() - started
    print(say(
        "{count} operations in {seconds:.1f} s: {right} right, {small} below 1e-8",
        count=count, seconds=seconds, right=count - failed, small=small,
    ))  # fmt: skip
    if failed:
        print(say("{count} FAILED", count=failed), file=sys.stderr)
    return 1 if failed else 0


def _line(operation: str, cases: str, error: str, verdict: str) -> str:
    """A line of the table; numbers stand at the right of their columns."""
    numbers = [" " * (width - columns_of(text)) + text for text, width in ((cases, 5), (error, 11))]
    return f"{pad(operation, 30)} {numbers[0]}  {numbers[1]}  {verdict}"


# ----------------------------------------------------------------------------------------- students


def run_students(arguments: argparse.Namespace) -> int:
    """Grade files: a report for each; or, where a folder is among them, a table of the class."""
    given = {name: getattr(arguments, name) for name in ("timeout", "memory")}
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    level = 3 if arguments.hints is None else arguments.hints
    targets = {kind: _target(getattr(arguments, kind)) for kind in ("csv", "html", "json")}
    submissions = find_submissions(arguments.names)
    asked = asked_functions(arguments.functions)
    folder = any(Path(name).is_dir() for name in arguments.names)
    started = time.perf_counter()
    results = grade_with_bar(submissions, limits, 2 if arguments.jobs is None else arguments.jobs)
    table = ClassTable(results, choose_columns(results, asked), level)
    writers = {"csv": to_csv, "html": to_html, "json": to_json}
    if folder:
        print(to_text(table))
        seconds = time.perf_counter() - started
        count = "1 submission" if len(results) == 1 else f"{len(results)} submissions"
        print(f"\n{count} in {seconds:.1f} s")
    else:
        # an assignment says itself what counts, and its notebook holds nothing else
        results = [only(r, table.columns) if asked and not r.seed else r for r in results]
        print("\n\n".join(file_report(result, level) for result in results))
    for kind, path in targets.items():
        if path:
            path.write_text(writers[kind](table), encoding="utf-8", newline="")
            print(f"written: {path}")
    return 0 if folder or all(result.passed for result in results) else 1


def asked_functions(text: str | None) -> list[str]:
    """The names in --functions; none if the option was not given.

    Raises   ValueError if it was given and holds no name

    >>> asked_functions("softmax, gelu")
    ['softmax', 'gelu']
    """
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if text is not None and not names:
        raise ValueError(f"--functions is {text!r}: name functions, such as softmax,layer_norm")
    return names


def _target(name: str | None) -> Path | None:
    """Where to write; a folder that does not exist should fail before the grading, not after."""
    if name is None:
        return None
    path = Path(name)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist: make it first")
    return path


def grade_with_bar(
    submissions: list[Submission], limits: Limits, jobs: int
) -> list[SubmissionResult]:
    """grade_all, with a progress bar if a person is watching."""
    with tqdm(total=len(submissions), unit="file", disable=None, leave=False) as bar:
        return grade_all(submissions, limits, jobs, lambda result: bar.update())
