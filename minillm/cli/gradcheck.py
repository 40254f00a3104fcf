"""python -m minillm gradcheck: hold every backward pass against numerical gradients."""

import argparse
import sys
import time

from ..gradcheck.cases import cases, operation_names
from ..gradcheck.report import error_in_words
from ..gradcheck.suite import check_operations

SUMMARY = "Check the backward pass of every operation, or of those named."
EXAMPLE = "python -m minillm gradcheck softmax layer_norm"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="operation", help="all by default")
    parser.add_argument("--list", action="store_true", help="list the operations and stop")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")


def run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        print("\n".join(operation_names()))
        return 0
    for name in arguments.names:
        cases(name)  # raises for an unknown name before anything is checked
    started, failed, small, count = time.perf_counter(), 0, 0, 0
    print(f"{'operation':30} {'cases':>5}  {'worst error':>11}  verdict")
    for result in check_operations(arguments.names or None, arguments.seed):
        count += 1
        small += result.relative_error < 1e-8
        verdict = error_in_words(result.relative_error) if result.passed else "FAILED"
        print(
            f"{result.operation:30} {len(result.reports):5}  {result.relative_error:11.1e}  {verdict}"
        )
        if not result.passed:
            failed += 1
            for report in result.reports:
                if not report.passed:
                    print(f"\n{report}\n")
    seconds = time.perf_counter() - started
    print(f"{count} operations in {seconds:.1f} s: {count - failed} right, {small} below 1e-8")
    if failed:
        print(f"{failed} FAILED", file=sys.stderr)
    return 1 if failed else 0
