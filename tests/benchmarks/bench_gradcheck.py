"""The gradient check of every operation of minillm by a tool's own checker."""

import sys
import warnings
from pathlib import Path


def gradcheck(method):
    """A workload: the seconds that the checker takes for the right backward of every operation.

    method   a name in checker_methods.METHODS; the tool itself runs, not its stand-in
    """

    def run(job):
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for Pythons without minillm
        import checker_methods
        import checker_peers
        from checker_worker import warm_up
        from timing import memory_mb

        from minillm.gradcheck.cases import cases, operation_names

        warnings.simplefilter("ignore")  # tools warn about float64 and unused inputs
        function = getattr(checker_peers, checker_methods.METHODS[method].function)
        warm_up(function)
        seconds, accepted = 0.0, 0
        names = operation_names()
        for name in names:
            verdicts = [
                checker_methods.check(
                    function, case.checked_forward, case.backward, case.inputs, case.options,
                    job.sizes["seed"],
                )
                for case in cases(name, job.sizes["seed"])
            ]  # fmt: skip
            seconds += sum(verdict.seconds for verdict in verdicts)
            accepted += all(verdict.accepted for verdict in verdicts)
        return {
            "ms": 1000 * seconds, "rss_mb": memory_mb(), "check": [accepted],
            "operations": len(names),
        }  # fmt: skip

    return run
