"""python -m minillm gradcheck --mutants: how well the checker finds and names mistakes."""

import argparse
import sys

from ..gradcheck.mutants import MUTANTS
from ..gradcheck.scores import (
    count_false_alarms,
    format_right_checks,
    format_scores,
    score_mutants,
)

CHECKS = 1000  # of right backwards, if the command line does not say how many


def run_mutants(arguments: argparse.Namespace) -> int:
    """Print detection, naming and false-alarm rates; 1 if a mutant got through or a right one not.

    arguments.checks     at least so many checks of right backwards
    arguments.seed       of the inputs
    arguments.held_out   list the misses among the held-out mutants too
    """
    scores = score_mutants(
        MUTANTS,
        [arguments.seed],
        held_out="show" if arguments.held_out else "hide",
        progress=True,
    )
    print(format_scores(scores))
    right = count_false_alarms(arguments.checks, seed=arguments.seed, progress=True)
    print(f"\n{format_right_checks(right)}")
    if scores.detected < 1 or right.alarms:
        print("FAILED: a wrong backward passed or a right one was rejected", file=sys.stderr)
        return 1
    return 0
