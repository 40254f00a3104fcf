"""How good the checker is: the share of wrong backwards it finds and names, and its false alarms.

A mutant (mutants/) is *detected* if a report fails, and *named* if the first finding of that report
has the mutant's kind.  A detected mutant that is not named has either a *wrong name*, a specific kind
that is not true, or is *unnamed*: the finding has a generic kind (kinds.GENERIC) that is not the
mutant's.  A wrong name sends a student to the wrong line; no name only leaves them where they were.

The stories of held-out mutants stay out of the list of misses and of the table of kinds unless they
are asked for, so that whoever improves the diagnosis is measured on mistakes that nobody has seen.
"""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from .cases import cases, operation_names
from .kinds import GENERIC, KINDS
from .mutants import Mutant
from .mutants import held_out as is_held_out
from .suite import check_case, reject


@dataclass(frozen=True)
class Trial:
    """One mutant on the inputs of one seed; found is the first finding's kind, None if undetected."""

    mutant: Mutant
    seed: int
    found: str | None

    @property
    def expected(self) -> str:
        """The kind that a perfect diagnosis names."""
        return self.mutant.kind

    @property
    def named(self) -> bool:
        """True if the first finding has the mutant's kind."""
        return self.found == self.expected

    @property
    def unnamed(self) -> bool:
        """True if the mutant was detected, but only with a generic kind that is not its own."""
        return self.found in GENERIC and not self.named

    @property
    def wrong_name(self) -> bool:
        """True if the first finding has a specific kind that is not the mutant's."""
        return self.found is not None and self.found not in GENERIC and not self.named


@dataclass(frozen=True)
class Miss:
    """A mutant that was not named rightly, with the seeds where that happened."""

    operation: str
    story: str
    expected: str
    found: str | None
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """The trials of some mutants, and what share of them went well.

    show_held_out   whether misses and recall speak of held-out mutants too

    >>> from minillm.gradcheck.mutants import mutants
    >>> scores = score_mutants([m for m in mutants("exp") if m.kind == "sign_flipped"], seeds=[0])
    >>> scores.detected, scores.named
    (1.0, 1.0)
    """

    trials: tuple[Trial, ...]
    show_held_out: bool = False

    @property
    def mutants(self) -> int:
        """How many different mutants were tried."""
        return len({id(trial.mutant) for trial in self.trials})

    @property
    def detected(self) -> float:
        """Share of the trials in which a report failed."""
        return _share(len(self._found()), len(self.trials))

    @property
    def named(self) -> float:
        """Share of the detected whose first finding has the mutant's kind."""
        return _share(sum(trial.named for trial in self.trials), len(self._found()))

    @property
    def wrong_name(self) -> float:
        """Share of the detected whose first finding has a specific kind that is not true."""
        return _share(sum(trial.wrong_name for trial in self.trials), len(self._found()))

    @property
    def unnamed(self) -> float:
        """Share of the detected whose first finding has a generic kind that is not the mutant's."""
        return _share(sum(trial.unnamed for trial in self.trials), len(self._found()))

    def part(self, *, held_out_part: bool) -> "Scores":
        """The scores of the held-out mutants alone, or of the others alone."""
        kept = tuple(t for t in self.trials if is_held_out(t.mutant) == held_out_part)
        return Scores(kept, self.show_held_out)

    def shown(self) -> tuple[Trial, ...]:
        """The trials that may be spoken of one by one."""
        return tuple(t for t in self.trials if self.show_held_out or not is_held_out(t.mutant))

    def recall(self) -> dict[str, tuple[int, int]]:
        """For each kind among the shown trials: how many were named, and how many there are."""
        table = {}
        for kind in KINDS:
            trials = [trial for trial in self.shown() if trial.expected == kind]
            if trials:
                table[kind] = (sum(trial.named for trial in trials), len(trials))
        return table

    def misses(self) -> list[Miss]:
        """Every shown mutant that was not named rightly, once for each answer it got."""
        seeds: dict[tuple[Mutant, str | None], list[int]] = {}
        for trial in self.shown():
            if not trial.named:
                seeds.setdefault((trial.mutant, trial.found), []).append(trial.seed)
        return [
            Miss(mutant.operation, mutant.story, mutant.kind, found, tuple(where))
            for (mutant, found), where in seeds.items()
        ]

    def _found(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.found is not None]


def score_mutants(
    mutants: Iterable[Mutant],
    seeds: Iterable[int] = (0,),
    *,
    held_out: str = "hide",
    progress: bool = False,
) -> Scores:
    """Try every mutant on the inputs of every seed.

    held_out   "hide" keeps held-out mutants out of misses and recall, "show" does not
    progress   show a bar, if the standard error is a terminal

    Raises   ValueError for another value of held_out
    """
    if held_out not in ("hide", "show"):
        raise ValueError(f"score_mutants: held_out must be 'hide' or 'show', got {held_out!r}")
    seeds = tuple(seeds)
    todo = [(mutant, seed) for mutant in mutants for seed in seeds]
    trials = []
    for mutant, seed in _bar(todo, "wrong backwards", progress):
        report = reject(mutant, seed)
        trials.append(Trial(mutant, seed, None if report is None else report.findings[0].kind))
    return Scores(tuple(trials), held_out == "show")


@dataclass(frozen=True)
class FalseAlarm:
    """A right backward that was rejected."""

    operation: str
    seed: int
    summary: str


@dataclass(frozen=True)
class RightChecks:
    """What became of the checks of right backwards.

    checks           how many were made
    relative_error   the worst of all of them
    alarms           those that failed
    """

    checks: int
    relative_error: float
    alarms: tuple[FalseAlarm, ...]


def count_false_alarms(number: int, *, seed: int = 0, progress: bool = False) -> RightChecks:
    """Check the right backwards of all operations, seed after seed, at least `number` times.

    Every seed has its own sizes and numbers (cases.py), and is gone through to its end.

    Raises   ValueError if number is below 1

    >>> count_false_alarms(1).alarms
    ()
    """
    if number < 1:
        raise ValueError(f"count_false_alarms: number of checks must be at least 1, got {number}")
    checks, worst, alarms = 0, 0.0, []
    with _bar(None, "right backwards", progress, total=number) as bar:
        while checks < number:
            for case in (case for name in operation_names() for case in cases(name, seed)):
                report = check_case(case)
                checks += 1
                bar.update()
                worst = max(worst, report.relative_error)
                if not report.passed:
                    alarms.append(FalseAlarm(case.operation, seed, report.summary()))
            seed += 1
    return RightChecks(checks, worst, tuple(alarms))


def format_scores(scores: Scores) -> str:
    """Totals, recall of each kind, misses: at most 88 columns wide.

    >>> print(format_scores(score_mutants([])))
    no mutants were tried
    """
    if not scores.trials:
        return "no mutants were tried"
    lines = [
        f"{'wrong backwards':20}{'':>8}{'detected':>12}{'named':>12}{'wrong name':>14}{'unnamed':>12}"
    ]
    parts = {
        "all": scores,
        "not held out": scores.part(held_out_part=False),
        "held out": scores.part(held_out_part=True),
    }
    for name, part in parts.items():
        if part.trials:
            shares = (part.detected, part.named, part.wrong_name, part.unnamed)
            cells = [_percent(share) for share in shares]
            lines.append(
                f"{name:20}{part.mutants:>8}{cells[0]:>12}{cells[1]:>12}{cells[2]:>14}{cells[3]:>12}"
            )
    without = "" if scores.show_held_out else ", without those held out"
    lines += ["", f"{'kind' + without:44}{'named':>8}{'of':>6}{'recall':>10}"]
    for kind, (named, total) in scores.recall().items():
        lines.append(f"{kind:44}{named:>8}{total:>6}{_percent(named / total):>10}")
    misses = scores.misses()
    lines += ["", f"not named rightly{without}: {len(misses) or 'none'}"]
    for miss in misses:
        seeds = ", ".join(map(str, miss.seeds))
        text = (
            f"- {miss.operation}: {miss.story}: {miss.expected}, but "
            f"{miss.found or 'not detected'} (seed {seeds})"
        )
        lines += textwrap.wrap(text, 88, subsequent_indent="    ")
    return "\n".join(lines)


def format_right_checks(result: RightChecks) -> str:
    """The false alarms in words: at most 88 columns wide.

    >>> print(format_right_checks(RightChecks(96, 2e-11, ())))
    96 checks of right backwards: no false alarm, worst relative error 2.0e-11
    """
    found = f"{len(result.alarms)} FALSE ALARMS" if result.alarms else "no false alarm"
    lines = [
        f"{result.checks} checks of right backwards: {found}, "
        f"worst relative error {result.relative_error:.1e}"
    ]
    for alarm in result.alarms:
        text = f"- {alarm.operation} (seed {alarm.seed}): {alarm.summary}"
        lines += textwrap.wrap(text, 88, subsequent_indent="    ")
    return "\n".join(lines)


def _share(part: int, whole: int) -> float:
    """part / whole; 0 of 0 is 0."""
    return part / whole if whole else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _bar(items: Any, title: str, progress: bool, total: int | None = None) -> Any:
    """A progress bar that is silent unless it is wanted and somebody watches a terminal."""
    return tqdm(items, desc=title, total=total, disable=None if progress else True, leave=False)
