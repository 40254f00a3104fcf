"""What can still be said when no formula fits: who depends on whom, and which entries are right."""

import numpy as np

from ..language import later, say
from ..report import Finding
from .evidence import Mismatch
from .words import where

Named = tuple[str, str, float | None]
FEW = 0.5  # up to this part of the entries wrong: say which ones
VERY_FEW = 0.15  # up to this part: that they are few is the most that can be said
FIRST_ALONE = later(
    "the gradient of {name} is that of the first of {size} steps along axis {axis} of the output "
    "alone: every step uses {name}, so their gradients must be added up (+=, not =)"
)
LAST_ALONE = later(
    "the gradient of {name} is that of the last of {size} steps along axis {axis} of the output "
    "alone: every step uses {name}, so their gradients must be added up (+=, not =)"
)


def structure(m: Mismatch) -> Named | None:
    """Read the mistake from the dependencies: too few, right with wrong weights, or neither."""
    right = np.isclose(m.A, m.N, rtol=1e-5, atol=1e-5 * np.abs(m.N).max(initial=0)).all(axis=0)
    some, wrong = "", ~right
    if right.any():
        some = say(
            "; {count} of its {size} entries are right", count=int(right.sum()), size=right.size
        )
    if m.has_matrices and one_step(m):
        return one_step(m)
    if m.has_matrices and wrong.mean() > VERY_FEW and wrong.sum() > 1:
        answer = _dependencies(m, right, some)
        if answer:
            return answer
    if 0 < wrong.mean() <= FEW:
        return "wrong_entries", say(
            "{count} of {size} entries of the gradient of {name} are wrong, the others right: {where}",
            count=int(wrong.sum()), size=wrong.size, name=m.name, where=where(m, wrong),
        ), None  # fmt: skip
    return None


def _dependencies(m: Mismatch, right: np.ndarray, some: str) -> Named | None:
    """Which entries depend on which outputs: in backward, and in forward.

    some   words for those of the entries that are `right`
    """
    J, B = m.J != 0, m.B != 0
    lost, extra = (J & ~B).sum(), (B & ~J).sum()
    agree = (np.abs(m.D[B]) == 0).mean() if B.any() else 0.0
    # what is left is right, or very little is left
    partly = agree > 0.3 or lost > 0.5 * J.sum()
    if not extra and lost > 0.02 * J.sum() and partly:
        return "dropped_branch", say(
            "the gradient of {name} misses {lost} of the {ways} ways in which its entries act on "
            "the output: one of the paths back to {name} is not followed",
            name=m.name, lost=int(lost), ways=int(J.sum()),
        ) + some, None  # fmt: skip
    if extra and _masked(m):
        return "wrong_entries", say(
            "{extra} pairs of an entry of {name} and an output are connected in backward, but not "
            "in forward, where a mask keeps them apart: the mask is missing in backward",
            extra=int(extra), name=m.name,
        ) + some, None  # fmt: skip
    if not extra and not lost and agree > 0.5:
        return "dropped_branch", say(
            "{wrong} of the {ways} ways in which the entries of {name} act on the output count "
            "wrongly, the others rightly: a term that acts there is missing, or has a wrong factor",
            wrong=int((m.D != 0).sum()), ways=int(J.sum()), name=m.name,
        ) + some, None  # fmt: skip
    if extra <= 0.5 * J.sum() and lost <= 0.5 * J.sum():
        places = say(" (wrong at {where})", where=where(m, ~right)) if right.any() else ""
        return "wrong_operand", say(
            "every entry of the gradient of {name} depends on the right entries of grad_out, but "
            "with wrong weights: a factor of the formula is missing, or another array stands in "
            "its place", name=m.name,
        ) + places, None  # fmt: skip
    return None


def _masked(m: Mismatch) -> bool:
    """True if forward was given a mask, so that entries may not take part."""
    options = m.call.options
    return any(np.asarray(x).dtype == bool and np.ndim(x) for x in options.values()) or bool(
        options.get("is_causal") or options.get("lengths") is not None
    )


def one_step(m: Mismatch) -> Named | None:
    """A parameter that all steps share gets the gradient of one step: it is assigned, not added up.

    The inputs before it are right, so what flows back through the steps is; and the output of the
    first step, which has used the parameter only once, is the only one that is right.
    """
    failed = any(name in m.call.failed for name in m.call.names)
    if failed or not m.call.agreed or m.numeric.ndim == 1:
        return None
    for j, rows in enumerate(m.rows):
        for a, size in enumerate(np.shape(m.call.outputs[j])):
            index = m.out_places[j][:, a]
            wrong = [bool(m.D[rows][index == t].any()) for t in range(size)]
            heard = [bool(m.B[rows][index == t].any()) for t in range(size)]
            first = not wrong[0] and heard[0] and all(wrong[1:])
            last = all(wrong) and heard[-1] and not any(heard[:-1])
            if size > 2 and (first or last):
                sentence = FIRST_ALONE if first else LAST_ALONE
                message = say(sentence, name=m.name, size=size, axis=a)
                return "missing_broadcast_sum", message, None
    return None


def one_story(findings: list[Finding]) -> None:
    """One mistake often spoils several gradients: let them be told as one."""
    cut = [f.input for f in findings if f.kind == "zero_gradient"]
    for finding in findings:
        if cut and finding.certainty == 2 and finding.kind == "wrong_operand":
            finding.kind, finding.certainty = "dropped_branch", -1
            finding.message = say(
                "the gradient of {name} is wrong and that of {others} is zero: one way back, on which "
                "both lie, is cut", name=finding.input, others=", ".join(cut),
            )  # fmt: skip
