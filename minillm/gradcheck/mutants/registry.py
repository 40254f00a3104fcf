"""The register of wrong backward passes, and the part of it that is kept for the final measurement."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ... import ops
from ..kinds import KINDS

MUTANTS: list["Mutant"] = []
SPLIT_SEED = 2026
HELD_OUT_SHARE = 0.5  # of the mutants that are not `seen`: a third of all


@dataclass(frozen=True)
class Mutant:
    """A wrong backward of one operation.

    kind      what a perfect diagnosis calls it (kinds.py)
    story     the mistake in words
    forward   one that saves what the mistake needs, where the operation's own does not
    seen      True if it was known while the first diagnosis was written
    """

    operation: str
    kind: str
    story: str
    backward: Callable[[Any, Any], tuple]
    forward: Callable | None = None
    seen: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Mutant.kind must be one of {', '.join(KINDS)}; got {self.kind!r}")


def mutants(operation: str) -> list[Mutant]:
    """All wrong backwards of one operation."""
    return [mutant for mutant in MUTANTS if mutant.operation == operation]


def held_out(mutant: Mutant) -> bool:
    """True for a third of the suite that nobody looked at while writing the diagnosis.

    The choice depends on the operation and the story alone, so it stays when mutants are added.
    """
    if mutant.seen:
        return False
    key = f"{SPLIT_SEED}:{mutant.operation}:{mutant.story}"
    draw = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return draw < HELD_OUT_SHARE


def wrong(
    operation: str, kind: str, story: str, forward: Callable | None = None, *, seen: bool = False
) -> Callable:
    """Register a whole backward as a mutant."""

    def register(backward: Callable) -> Callable:
        MUTANTS.append(Mutant(operation, kind, story, backward, forward, seen))
        return backward

    return register


def altered(operation: str, kind: str, story: str, change: Callable, *, seen: bool = False) -> None:
    """Register the right backward, with its gradients changed by change(grads, grad_out, saved)."""
    right = getattr(ops, f"{operation}_backward")

    def backward(grad_out: Any, saved: Any) -> tuple:
        return tuple(change(right(grad_out, saved), grad_out, saved))

    MUTANTS.append(Mutant(operation, kind, story, backward, seen=seen))


seen_wrong = functools.partial(wrong, seen=True)
seen_altered = functools.partial(altered, seen=True)
