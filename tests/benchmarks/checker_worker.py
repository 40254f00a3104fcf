"""One checking method on every mutant and every right backward: one JSON line for each.

`checkers.py` starts this in a process of its own, under a Python that has the tool:

    python tests/benchmarks/checker_worker.py dezero --seeds 3
    python tests/benchmarks/checker_worker.py torch --seeds 3 --installed
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # another tool's environment has no minillm

import checker_methods as stand_ins  # noqa: E402  (needs minillm)
import checker_peers as installed  # noqa: E402

from minillm.gradcheck.cases import cases, operation_names  # noqa: E402
from minillm.gradcheck.mutants import MUTANTS, held_out  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", choices=stand_ins.METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--installed", action="store_true", help="the tool itself, not a stand-in")
    parser.add_argument("--operations", nargs="*", default=operation_names())
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # tools warn about backwards that this script breaks on purpose
    function = stand_ins.METHODS[arguments.method].function
    method = getattr(installed if arguments.installed else stand_ins, function)
    warm_up(method)
    for seed in range(arguments.seeds):
        for operation in arguments.operations:
            for line in lines(method, operation, seed):
                print(json.dumps(line), flush=True)


def warm_up(method):
    """The first call pays for imports and compilation: not a part of any check."""
    for case in cases("lstm")[:1] + cases("softmax"):
        stand_ins.check(method, case.forward, case.backward, case.inputs, case.options)


def lines(method, operation, seed):
    """What the method says about one operation's right backward and its mutants."""
    made = cases(operation, seed)
    for case in made:
        verdict = stand_ins.check(
            method, case.checked_forward, case.backward, case.inputs, case.options, seed
        )
        yield {
            "right": True, "operation": operation, "seed": seed, "accepted": verdict.accepted,
            "message": verdict.message[:300], "seconds": verdict.seconds,
        }  # fmt: skip
    for number, mutant in enumerate(MUTANTS):
        if mutant.operation == operation:
            verdict, seconds = first_rejection(method, mutant, made, seed)
            yield {
                "right": False, "operation": operation, "seed": seed, "number": number,
                "kind": mutant.kind, "accepted": verdict.accepted, "seconds": seconds,
                "named": stand_ins.named_kind(verdict.message) == mutant.kind,
                "message": "" if held_out(mutant) else verdict.message[:300],
            }  # fmt: skip


def first_rejection(method, mutant, made, seed):
    """The verdict on the first set of inputs that gives the mutant away, and the time until then."""
    seconds = 0.0
    for case in made:
        forward = mutant.forward or case.checked_forward
        verdict = stand_ins.check(method, forward, mutant.backward, case.inputs, case.options, seed)
        seconds += verdict.seconds
        if not verdict.accepted:
            break
    return verdict, seconds


if __name__ == "__main__":
    main()
