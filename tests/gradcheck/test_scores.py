"""Rates of detection, naming and false alarms, on mutants whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from minillm import ops
from minillm.cli import mutant_report
from minillm.gradcheck import scores as module
from minillm.gradcheck.cases import Case
from minillm.gradcheck.mutants import Mutant, held_out, mutants
from minillm.gradcheck.report import Finding, GradientReport
from minillm.gradcheck.scores import (
    FalseAlarm,
    Miss,
    RightChecks,
    count_false_alarms,
    format_right_checks,
    format_scores,
    score_mutants,
)


def mutant(kind, story, *, seen=True):
    return Mutant("exp", kind, story, ops.exp_backward, seen=seen)


ANSWERS = {  # story: (the mutant's kind, what the report says first)
    "a right name": ("scaled", "scaled"),
    "a wrong name": ("scaled", "transposed"),
    "no name": ("dropped_branch", "unknown"),
    "half a name": ("dropped_branch", "wrong_entries"),
    "generic and rightly so": ("wrong_entries", "wrong_entries"),
    "generic, but another one": ("wrong_entries", "unknown"),
    "a specific name for a generic mistake": ("wrong_entries", "scaled"),
    "not found": ("zero_gradient", None),
}


@pytest.fixture
def answers(monkeypatch):
    """A checker that answers as ANSWERS says; others by the first word of the story."""

    def reject(mutant, seed):
        found = ANSWERS.get(mutant.story, ("", mutant.story.split()[0]))[1]
        if found is None:
            return None
        return GradientReport("exp", findings=[Finding("x", found, "a message")])

    monkeypatch.setattr(module, "reject", reject)
    return [mutant(kind, story) for story, (kind, _) in ANSWERS.items()]


def stories(count, *, out):
    """Stories of new mutants of exp that are (not) held out."""
    found = []
    for i in range(200):
        story = f"unknown mistake {i}"
        if held_out(mutant("scaled", story, seen=False)) == out:
            found.append(story)
    return found[:count]


def test_the_shares_of_a_list_with_known_answers(answers):
    scores = score_mutants(answers)
    assert scores.mutants == 8
    assert scores.detected == 7 / 8
    assert scores.named == 2 / 7
    assert scores.wrong_name == 2 / 7
    assert scores.unnamed == 3 / 7
    assert scores.recall() == {
        "scaled": (1, 2),
        "dropped_branch": (0, 2),
        "zero_gradient": (0, 1),
        "wrong_entries": (1, 3),
    }


def test_each_miss_is_listed_once_with_its_seeds(answers):
    misses = score_mutants(answers, seeds=iter([4, 7])).misses()
    assert [miss.story for miss in misses] == [
        story for story, (kind, found) in ANSWERS.items() if kind != found
    ]
    assert misses[0] == Miss("exp", "a wrong name", "scaled", "transposed", (4, 7))
    assert misses[-1].found is None


def test_held_out_mutants_count_but_are_not_told(answers):
    hidden, *_ = stories(1, out=True)
    known, *_ = stories(1, out=False)
    new = [mutant("sign_flipped", story, seen=False) for story in (hidden, known)]
    scores = score_mutants(new)
    assert scores.mutants == 2
    assert scores.part(held_out_part=True).mutants == 1
    assert scores.part(held_out_part=False).mutants == 1
    assert [miss.story for miss in scores.misses()] == [known]
    assert scores.recall() == {"sign_flipped": (0, 1)}
    assert hidden not in format_scores(scores)
    assert scores.part(held_out_part=True).misses() == []
    shown = score_mutants(new, held_out="show")
    assert [miss.story for miss in shown.misses()] == [hidden, known]
    assert shown.recall() == {"sign_flipped": (0, 2)}
    assert hidden in format_scores(shown)


def test_the_text_has_totals_then_kinds_then_misses(answers):
    lines = format_scores(score_mutants(answers)).splitlines()
    assert lines[1].split() == ["all", "8"] + "87.5 % 28.6 % 28.6 % 42.9 %".split()
    assert not any(line.startswith("held out") for line in lines)
    assert "scaled".ljust(44) + "       1     2    50.0 %" in lines
    kinds = next(i for i, line in enumerate(lines) if line.startswith("kind"))
    misses = next(i for i, line in enumerate(lines) if line.startswith("not named rightly"))
    assert 1 < kinds < misses
    assert lines[misses].endswith(": 6")
    assert "- exp: not found: zero_gradient, but not detected (seed 0)" in lines
    assert "- exp: a wrong name: scaled, but transposed (seed 0)" in lines


def test_the_text_is_narrow(answers):
    long = mutant("missing_broadcast_sum", "scaled " + "and so on " * 40)
    text = format_scores(score_mutants([*answers, long], seeds=range(40)))
    assert max(map(len, text.splitlines())) <= 88
    alarm = FalseAlarm("binary_cross_entropy_with_logits", 3, "FAILED because " * 30)
    text = format_right_checks(RightChecks(123456, 0.5, (alarm,)))
    assert max(map(len, text.splitlines())) <= 88


def test_another_word_for_held_out_is_refused():
    with pytest.raises(ValueError, match="must be 'hide' or 'show', got 'tell'"):
        score_mutants([], held_out="tell")


def test_the_real_checker_names_a_sign_and_a_factor():
    flipped, scaled = (
        Mutant("exp", kind, kind, lambda g, saved, f=factor: (f * g * saved[0],), seen=True)
        for kind, factor in (("sign_flipped", -1), ("scaled", 3))
    )
    mislabelled = Mutant("exp", "transposed", "a sign", flipped.backward, seen=True)
    scores = score_mutants([flipped, scaled, mislabelled], seeds=[0, 3])
    assert (scores.detected, scores.named, scores.wrong_name) == (1, 2 / 3, 1 / 3)
    assert score_mutants([mutant("scaled", "right after all")]).detected == 0


# -------------------------------------------------------------------------------- false alarms


@pytest.fixture
def only_exp_and_log(monkeypatch):
    monkeypatch.setattr(module, "operation_names", lambda: ["exp", "log"])


def test_right_backwards_are_counted_seed_after_seed(monkeypatch, only_exp_and_log):
    asked = []
    real = module.cases
    monkeypatch.setattr(module, "cases", lambda name, seed: asked.append(seed) or real(name, seed))
    result = count_false_alarms(5, seed=10)
    assert result.checks == 6  # two operations with one case each, and three seeds
    assert asked == [10, 10, 11, 11, 12, 12]
    assert result.alarms == ()
    assert 0 < result.relative_error < 1e-8
    assert format_right_checks(result).startswith("6 checks of right backwards: no false alarm")


def test_a_right_backward_that_is_rejected_is_an_alarm(monkeypatch, only_exp_and_log):
    real = module.cases

    def spoiled(name, seed):
        found = real(name, seed)
        return found if (name, seed) != ("log", 1) else [WrongLog("log", found[0].inputs)]

    monkeypatch.setattr(module, "cases", spoiled)
    result = count_false_alarms(4)
    assert result.checks == 4
    [alarm] = result.alarms
    assert (alarm.operation, alarm.seed) == ("log", 1)
    assert "FAILED at x" in alarm.summary
    assert result.relative_error > 0.1
    text = format_right_checks(result)
    assert "1 FALSE ALARMS" in text
    assert "log (seed 1)" in text


class WrongLog(Case):
    """log with the backward of exp."""

    backward = property(lambda self: ops.exp_backward)


def test_no_checks_at_all_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        count_false_alarms(0)


def test_a_few_hundred_right_checks_of_all_operations_pass():
    result = count_false_alarms(190, seed=20)
    assert result.checks >= 190
    assert result.alarms == ()
    assert result.relative_error < 1e-6


# ------------------------------------------------------------------------------- command line


def arguments(**changes):
    return SimpleNamespace(**{"checks": 2, "seed": 0, "held_out": False, **changes})


def test_the_command_prints_both_and_succeeds(monkeypatch, capsys, only_exp_and_log):
    monkeypatch.setattr(mutant_report, "MUTANTS", mutants("exp"))
    assert mutant_report.run_mutants(arguments()) == 0
    out, err = capsys.readouterr()
    assert "100.0 %" in out
    assert "2 checks of right backwards: no false alarm" in out
    assert err == ""  # no bar where nobody watches


def test_the_command_fails_if_a_wrong_backward_passes(monkeypatch, capsys, only_exp_and_log):
    monkeypatch.setattr(mutant_report, "MUTANTS", [mutant("scaled", "right after all")])
    assert mutant_report.run_mutants(arguments()) == 1
    out, err = capsys.readouterr()
    assert "not detected" in out
    assert "FAILED" in err


def test_the_command_fails_at_a_false_alarm(monkeypatch, capsys, only_exp_and_log):
    monkeypatch.setattr(mutant_report, "MUTANTS", mutants("exp")[:1])
    monkeypatch.setattr(
        module, "cases", lambda name, seed: [WrongLog("log", (np.array([0.5, 2.0]),))]
    )
    assert mutant_report.run_mutants(arguments()) == 1
    assert "2 FALSE ALARMS" in capsys.readouterr().out


@pytest.mark.parametrize("shown", [False, True])
def test_the_command_tells_held_out_stories_only_if_asked(
    monkeypatch, capsys, answers, only_exp_and_log, shown
):
    [story] = stories(1, out=True)
    monkeypatch.setattr(mutant_report, "MUTANTS", [mutant("scaled", story, seen=False)])
    assert mutant_report.run_mutants(arguments(held_out=shown)) == 0
    assert (story in capsys.readouterr().out) == shown
