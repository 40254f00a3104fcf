"""What can still be said when no formula fits: who depends on whom, and which entries are right."""

import numpy as np

from .evidence import Mismatch
from .words import where

Named = tuple[str, str, float | None]
FEW = 0.5  # up to this part of the entries wrong: say which ones
VERY_FEW = 0.15  # up to this part: that they are few is the most that can be said


def structure(m: Mismatch) -> Named | None:
    """Read the mistake from the dependencies: too few, right with wrong weights, or neither."""
    right = np.isclose(m.A, m.N, rtol=1e-5, atol=1e-5 * np.abs(m.N).max(initial=0)).all(axis=0)
    some = f"; {int(right.sum())} of its {right.size} entries are right" if right.any() else ""
    wrong = ~right
    if m.has_matrices and wrong.mean() > VERY_FEW and wrong.sum() > 1:
        J, B = m.J != 0, m.B != 0
        lost, extra = (J & ~B).sum(), (B & ~J).sum()
        agree = (np.abs(m.D[B]) == 0).mean() if B.any() else 0.0
        if not extra and lost > 0.02 * J.sum() and agree > 0.3:
            return "dropped_branch", (
                f"the gradient of {m.name} misses {int(lost)} of the {int(J.sum())} ways in which its "
                f"entries act on the output: one of the paths back to {m.name} is not followed{some}"
            ), None  # fmt: skip
        if extra and _masked(m):
            return "wrong_entries", (
                f"{int(extra)} pairs of an entry of {m.name} and an output are connected in backward, "
                "but not in forward, where a mask keeps them apart: the mask is missing in backward"
                + some
            ), None  # fmt: skip
        if extra <= 0.02 * J.sum():
            places = f" (wrong at {where(m, ~right)})" if 0 < right.sum() else ""
            return "wrong_operand", (
                f"every entry of the gradient of {m.name} depends on the right entries of grad_out, "
                "but with wrong weights: a factor of the formula is missing, or another array stands "
                f"in its place{places}"
            ), None  # fmt: skip
    if 0 < wrong.mean() <= FEW:
        return "wrong_entries", (
            f"{int(wrong.sum())} of {wrong.size} entries of the gradient of {m.name} are wrong, the "
            f"others right: {where(m, wrong)}"
        ), None  # fmt: skip
    return None


def _masked(m: Mismatch) -> bool:
    """True if forward was given a mask, so that entries may not take part."""
    options = m.call.options
    return any(np.asarray(x).dtype == bool and np.ndim(x) for x in options.values()) or bool(
        options.get("is_causal") or options.get("lengths") is not None
    )
