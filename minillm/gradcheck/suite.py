"""Every operation's check and every mutant's rejection, for the command line and the tests."""

from collections.abc import Iterator
from dataclasses import dataclass

from .cases import Case, cases, operation_names
from .check import check_gradients
from .mutants import Mutant
from .report import GradientReport
from .settings import GradientSettings


@dataclass
class OperationResult:
    """The reports of all cases of one operation."""

    operation: str
    reports: list[GradientReport]

    @property
    def passed(self) -> bool:
        """True if every case passed."""
        return all(self.reports)

    @property
    def relative_error(self) -> float:
        """The worst relative error of all cases."""
        return max(report.relative_error for report in self.reports)


def check_case(case: Case, settings: GradientSettings | None = None) -> GradientReport:
    """Check one operation on one set of inputs."""
    return check_gradients(
        case.checked_forward, case.backward, *case.inputs, settings=settings, **case.options
    )


def check_operations(
    names: list[str] | None = None, seed: int = 0, settings: GradientSettings | None = None
) -> Iterator[OperationResult]:
    """Check operations one after another, all of them by default.

    >>> [result] = check_operations(["softmax"])
    >>> result.passed
    True
    """
    for name in names or operation_names():
        yield OperationResult(name, [check_case(case, settings) for case in cases(name, seed)])


def reject(mutant: Mutant, seed: int = 0) -> GradientReport | None:
    """The first report that finds the mutant's mistake; None if it passes every case."""
    for case in cases(mutant.operation, seed):
        forward = mutant.forward or case.checked_forward
        report = check_gradients(forward, mutant.backward, *case.inputs, **case.options)
        if not report.passed:
            return report
    return None
