"""Places in words: 'rows 1 and 3', 'index 4 on axis 1', 'the last time step'."""

import itertools

import numpy as np

from ..language import say
from .evidence import Mismatch


def where(m: Mismatch, wrong: np.ndarray) -> str:
    """Say which entries of the input a mask over its known entries (known,) picks.

    If the places are whole slices of one axis, the slices are named; else the first entries are.
    """
    places, count = m.places[wrong], int(wrong.sum())
    if not m.shape or not count:
        return say("everywhere") if count else say("nowhere")
    if count == 1 and len(m.shape) > 1:  # the only one; not all of its slice need be known
        return str([int(i) for i in places[0]])
    for a, size in enumerate(m.shape):
        chosen = np.unique(places[:, a])
        inside = np.isin(m.places[:, a], chosen)
        if len(chosen) < size and (inside == wrong).all():
            found = say("{indices} on {axis}", indices=listing(chosen), axis=axis_in_words(m, a))
            return f"{found} {_meaning(m, chosen)}".rstrip()
    first = ", ".join(str([int(i) for i in place]) for place in places[:4])
    return first + (say(" and {count} more", count=count - 4) if count > 4 else "")


def which(m: Mismatch, wrong: np.ndarray) -> str:
    """As where(), but by a condition on the arrays at hand if one picks exactly these entries."""
    found = []
    # that the output is 0 there is a consequence: whatever else picks these entries is the reason
    for label, array in sorted(m.call.arrays, key=lambda pair: pair[0].split("[")[0] == "out"):
        try:
            z = np.broadcast_to(array, m.shape).reshape(-1)[m.known]
        except ValueError:
            continue
        found.append((label, z))
        for sign, picked in (("> 0", z > 0), ("< 0", z < 0), ("= 0", z == 0)):
            if (picked == wrong).all():
                return say("those with {condition}", condition=f"{label} {sign}")
    for (a, x), (b, y) in itertools.combinations(found[:6], 2):
        for sign, picked in (("<", x < y), (">", x > y)):
            if (picked == wrong).all():
                return say("those with {condition}", condition=f"{a} {sign} {b}")
    return where(m, wrong)


def axis_in_words(m: Mismatch, a: int) -> str:
    """'axis 1 (T)', 'the rows', 'the columns'."""
    letters = m.call.shapes.get(m.name, [])
    if len(letters) == len(m.shape) and letters[a].isalpha():
        return say("axis {axis} ({letter})", axis=a, letter=letters[a])
    if len(m.shape) == 2:
        return say("the rows") if a == 0 else say("the columns")
    return say("axis {axis}", axis=a)


def listing(numbers: np.ndarray) -> str:
    """'index 3', 'indices 1, 3 and 4', 'indices 2 to 9'."""
    values = [int(n) for n in numbers]
    if len(values) == 1:
        return say("index {index}", index=values[0])
    if values == list(range(values[0], values[-1] + 1)) and len(values) > 2:
        return say("indices {first} to {last}", first=values[0], last=values[-1])
    if len(values) > 6:
        return say("indices {some}, …", some=", ".join(map(str, values[:5])))
    some = ", ".join(map(str, values[:-1]))
    return say("indices {some} and {last}", some=some, last=values[-1])


def _meaning(m: Mismatch, chosen: np.ndarray) -> str:
    """Whether these are the repeated, or the masked, ids of an integer array at hand."""
    for label, ids in m.call.integers:
        values, counts = np.unique(ids, return_counts=True)
        repeated = values[counts > 1]
        if len(repeated) and set(chosen.tolist()) == set(repeated.tolist()):
            return say("(the ids that occur more than once in {name})", name=label)
    return ""
