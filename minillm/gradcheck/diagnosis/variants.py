"""Small changes of the library's own backward, held against the one that is checked.

If forward computes what an operation of the library computes, its right backward is known, with the
arrays that it saves.  Replacing one of those by ones (a factor is forgotten), by zeros (a term is
dropped), by its transpose, by another of the same shape, or leaving out a mask gives the classic
wrong backwards of that operation, and one of them may be exactly the gradient at hand.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ... import ops
from ..inputs import fresh, saved_names
from ..language import later, say
from .evidence import Mismatch, same

Named = tuple[str, str, float | None]
Change = tuple[str, str, Any]  # kind, what was changed in words, the new saved values
TURNS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    later("{names} were reversed along axis {axis}"): np.flip,
    later("{names} were shifted by one along axis {axis}"): lambda x, a: np.roll(x, 1, a),
    later("{names} were shifted back by one along axis {axis}"): lambda x, a: np.roll(x, -1, a),
}
FIRST_INDEX = later("only the first index of axis {axis} of {part} counted")
LAST_INDEX = later("only the last index of axis {axis} of {part} counted")
AS_IF = later("the gradient of {name} comes out as if {words}")


def changed_library_backward(m: Mismatch) -> Named | None:
    """The gradient equals the library's with one saved value changed."""
    name, call = m.call.operation, m.call
    if not name or m.call.size > 20_000:
        return None
    forward, backward = (getattr(ops, f"{name}_{part}") for part in ("forward", "backward"))
    saved = forward(*call.inputs, **fresh(call.options))[1]
    for kind, words, changed in _changes(saved, saved_names(forward, saved)):
        if _gives(m, backward, changed):
            return kind, say(AS_IF, name=m.name, words=words), None
    for kind, words, grad in _grad_out_changes(m):
        if _gives(m, lambda g, s, grad=grad: backward(grad(g), s), saved):
            return kind, say(AS_IF, name=m.name, words=words), None
    return None


def _gives(m: Mismatch, backward: Callable, saved: Any) -> bool:
    """True if this backward gives the gradient at hand, for the first two cotangents."""
    for w, found in zip(m.call.cotangents[:2], m.analytic, strict=False):
        grads = m.call.split_outputs(w)
        try:
            with np.errstate(all="ignore"):
                result = backward(grads if len(grads) > 1 else grads[0], saved)[m.index]
        except (ValueError, TypeError, IndexError, AttributeError):
            return False  # the change does not fit this operation: no hypothesis
        if result is None or not same(np.asarray(result), found):
            return False
    return True


def _changes(saved: tuple, names: list[str]) -> Iterator[Change]:
    """Every saved tuple with one value changed, likely changes first."""
    for i, value in enumerate(saved):
        put = lambda new, i=i: (*saved[:i], new, *saved[i + 1 :])  # noqa: E731
        if isinstance(value, tuple):
            inside = [f"{names[i]}[{k}]" for k in range(len(value))]
            for kind, words, inner in _changes(value, inside):
                yield kind, words, put(inner)
        elif isinstance(value, (bool, np.bool_)):
            words = say("the option behind {name} were {value}", name=names[i], value=not value)
            yield "wrong_operand", words, put(not value)
        elif isinstance(value, np.ndarray):
            for kind, words, new in _array_changes(value, names[i]):
                yield kind, words, put(new)
            for k, other in enumerate(saved):
                if k != i and isinstance(other, np.ndarray) and other.shape == value.shape:
                    words = say(
                        "{other} stood in the place of {name}", other=names[k], name=names[i]
                    )
                    yield "wrong_operand", words, put(other)
    yield from _joint_changes(saved, names)


def _joint_changes(saved: tuple, names: list[str]) -> Iterator[Change]:
    """All saved arrays of one shape shifted or reversed together: tables, time steps."""
    shapes = {np.shape(x) for x in saved if isinstance(x, np.ndarray) and x.ndim > 1}
    for shape in shapes:
        chosen = [np.shape(x) == shape for x in saved]
        label = say(" and ").join(n for n, c in zip(names, chosen, strict=True) if c)
        for a in range(len(shape)):
            for sentence, turn in TURNS.items():
                new = tuple(turn(x, a) if c else x for x, c in zip(saved, chosen, strict=True))
                yield "wrong_operand", say(sentence, names=label, axis=a), new


def _array_changes(value: np.ndarray, label: str) -> Iterator[tuple[str, str, Any]]:
    """Every way to change one saved array."""
    for kind, sentence, changed in _forms(value):
        yield kind, say(sentence, name=label), changed


def _forms(value: np.ndarray) -> Iterator[tuple[str, str, Any]]:
    if value.dtype == bool or set(np.unique(value)[:3].tolist()) <= {0.0, 1.0}:
        turned = (1 - value).astype(value.dtype)
        yield "wrong_entries", later("the mask {name} were everywhere True"), np.ones_like(value)
        yield "wrong_entries", later("the mask {name} were turned round"), turned
        yield "wrong_entries", later("the mask {name} were not there"), None
        return
    if value.dtype.kind != "f":
        return
    if (value == 0).any() and len(np.unique(value)) == 2:
        everywhere = np.full_like(value, value.max())
        yield "wrong_entries", later("the mask {name} were not there"), None
        yield "wrong_entries", later("the mask {name} were everywhere on"), everywhere
    yield "wrong_operand", later("{name} were 1: a factor is missing"), np.ones_like(value)
    yield "dropped_branch", later("{name} were 0: a term is missing"), np.zeros_like(value)
    yield "wrong_operand", later("{name} had the other sign"), -value
    inverse = _inverse(value)
    yield "wrong_operand", later("{name} were divided by instead of multiplied"), inverse
    if value.ndim > 1:
        if value.shape[-1] == value.shape[-2]:
            yield "wrong_operand", later("{name} were transposed"), value.swapaxes(-1, -2)
        if value.ndim == 2 and value.shape[1] % value.shape[0] == 0:
            blocks = np.split(value, value.shape[1] // value.shape[0], axis=1)
            turned = np.concatenate([block.T for block in blocks], axis=1)
            yield "wrong_operand", later("{name} were used without its transpose"), turned
    for a in range(value.ndim):
        late, early = (np.roll(value, step, axis=a) for step in (1, -1))
        yield "wrong_operand", later("{name} were taken one step too late"), late
        yield "wrong_operand", later("{name} were taken one step too early"), early


def _inverse(value: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.where(value != 0, 1 / value, 0.0)


def _grad_out_changes(m: Mismatch) -> Iterator[tuple[str, str, Callable]]:
    """Parts of grad_out left out: one output, or all but one index of an axis."""
    several = len(m.call.outputs) > 1
    for j, out in enumerate(m.call.outputs):
        for a in range(np.ndim(out)):
            for index, sentence in ((0, FIRST_INDEX), (-1, LAST_INDEX)):
                kept = np.zeros(np.shape(out))
                kept[(slice(None),) * a + (index,)] = 1.0
                only = lambda g, j=j, kept=kept: (  # noqa: E731
                    tuple(x * kept if i == j else x for i, x in enumerate(g))
                    if several
                    else g * kept
                )
                part = f"grad_out[{j}]" if several else "grad_out"
                yield "dropped_branch", say(sentence, axis=a, part=part), only
