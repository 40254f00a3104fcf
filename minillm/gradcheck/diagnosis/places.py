"""The right numbers in the wrong places, under the wrong mask, or only some of them.

All rules here compare where the matrices B and J (evidence.py) have entries and whether they agree
there; none of them looks at a formula.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from ..language import later, say
from .evidence import Mismatch, proportional, same
from .shapes import axes_in_words
from .words import listing, where, which

Named = tuple[str, str, float | None]
LOST_OUTPUT = later(
    "the gradient that arrives through output {number} is not passed on to {name}: grad_out[{number}] "
    "must be added in"
)
LOST_AND_WRONG = later(
    "the gradient that arrives through output {number} is not passed on to {name} (and the rest is "
    "wrong too): grad_out[{number}] must be added in"
)
MASKS = {  # by whether entries get too much, and whether they get too little
    (True, True): later(": the mask or condition of forward is turned round or another one"),
    (True, False): later(": the mask or condition of forward is missing"),
    (False, True): later(": the mask or condition of forward is applied too widely"),
}
SUMMED = {
    "sum": later(
        "every entry of the gradient of {name} is the sum of the right gradient over axis {axis}: "
        "backward sums over that axis, but its entries are not shared"
    ),
    "mean": later(
        "every entry of the gradient of {name} is the mean of the right gradient over axis {axis}: "
        "backward sums over that axis, but its entries are not shared"
    ),
}


def transposed(m: Mismatch) -> Named | None:
    """The gradient with two of its axes exchanged, or its numbers in the order of the transpose."""
    if len(m.shape) < 2 or not m.known.all() or np.count_nonzero(m.N[0]) < 3:
        return None  # one or two numbers may land anywhere by chance
    for order in itertools.permutations(range(len(m.shape))):
        if order == tuple(range(len(m.shape))):
            continue
        turned = m.numeric.transpose(0, *(a + 1 for a in order))
        for sign in (1, -1):
            if same(m.analytic, sign * turned.reshape(m.numeric.shape)):
                message = say(
                    "the gradient of {name} is transposed: axes {axes} stand where {right} belong",
                    name=m.name, axes=order, right=tuple(range(len(m.shape))),
                ) + ("" if sign > 0 else say(", with a minus"))  # fmt: skip
                if len(m.shape) == 2:
                    message = say("the transpose of the gradient of {name} is right", name=m.name)
                return "transposed", message, None
    return None


def overwritten(m: Mismatch) -> Named | None:
    """Entries that an index uses several times keep one use: `=` where `+=` belongs."""
    if not m.has_matrices:
        return None
    J, B = m.J != 0, m.B != 0
    lost = J & ~B
    if not lost.any() or (B & ~J).any() or not same(m.B[B], m.J[B]):
        return None
    wrong = lost.any(axis=0)
    if not (J[:, wrong].sum(axis=0) > 1).all() or not B[:, wrong].any(axis=0).all():
        return None
    places = where(m, wrong)
    for label, ids in m.call.integers:
        values, counts = np.unique(ids[ids >= 0], return_counts=True)
        repeated = values[counts > 1]
        for a, size in enumerate(m.shape):
            at = np.unique(m.places[wrong][:, a])
            if len(repeated) and ids.max() < size and set(at) <= set(repeated.tolist()):
                return "overwritten_duplicates", _duplicates(m, places, label, at), None
    copies = np.isin(np.abs(m.J), (0.0, 1.0)).all() or same(np.abs(m.J), np.round(np.abs(m.J)))
    own = B.shape[0] == B.shape[1] and same(m.B, np.eye(len(B)))  # not one of several uses
    if copies and not own and not wrong.all() and (B[:, wrong].sum(axis=0) == 1).all():
        return "overwritten_duplicates", _duplicates(m, places, "", None), None
    return None


def averaged(m: Mismatch) -> Named | None:
    """Entries that an index uses several times get the mean of their gradients instead of the sum."""
    if not m.has_matrices:
        return None
    used = (m.J != 0).sum(axis=0)
    wrong = np.asarray(m.D.any(axis=0))
    if wrong.all() or not (used[wrong] > 1).all() or (used[~wrong] > 1).any():
        return None
    counted = np.unique(used[wrong])
    ratios = (m.B[:, wrong] * m.J[:, wrong]).sum(axis=0) / (m.J[:, wrong] ** 2).sum(axis=0)
    if not m.call.integers or not same(m.B[:, wrong], ratios * m.J[:, wrong]):
        return None
    return "wrong_entries", say(
        "the gradient of {name} is wrong only at {where}: entries that are used {counts} times are "
        "{low:.4g} to {high:.4g} times what they should be. Repeated uses must be added up, not "
        "averaged or weighted", name=m.name, where=where(m, wrong),
        counts=say(" or ").join(map(str, counted)), low=ratios.min(), high=ratios.max(),
    ), None  # fmt: skip


def _duplicates(m: Mismatch, places: str, label: str, at: np.ndarray | None) -> str:
    start = say("the gradient of {name} is wrong only at {where}", name=m.name, where=places)
    if at is not None:
        shown = ", ".join(str(int(i)) for i in at[:5])
        start = say(
            "the gradient of {name} is wrong only where {ids} repeats ({values})",
            name=m.name, ids=label, values=shown,
        )  # fmt: skip
    return start + say(
        ": an entry that is used several times must get the sum of all its gradients, but keeps only "
        "one of them. Add up (np.add.at, or +=) instead of assigning (=)"
    )


def one_of_a_sum(m: Mismatch) -> Named | None:
    """A shared input gets the gradient of one place of those that share it."""
    if not m.has_matrices:
        return None
    J, B = m.J != 0, m.B != 0
    if not (J & ~B).any() or (B & ~J).any() or not same(m.B[B], m.J[B]):
        return None
    for j, rows in enumerate(m.rows):
        out = say("the output") if len(m.rows) == 1 else say("output {number}", number=j)
        for axes in _axis_sets(np.ndim(m.call.outputs[j])):
            index = m.out_places[j][:, axes]
            kept = np.unique(index[B[rows].any(axis=1)], axis=0)
            used = np.unique(index[J[rows].any(axis=1)], axis=0)
            if not 0 < len(kept) < len(used) or _follows(J[rows], index):
                continue
            inside = (index[:, None] == kept[None]).all(axis=2).any(axis=1)
            alone = inside[:, None] & J[rows]
            shared = (J[rows] & ~alone).any(axis=0) & alone.any(axis=0)
            if (alone == B[rows]).all() and shared.any():
                if len(axes) == 1 and _has_axis_too(m, j, J[rows], axes[0]):
                    return _only(m, listing(kept[:, 0]), axes[0], out)
                return _one_place(m, axes, kept, len(used), out)
    return None


def _one_place(
    m: Mismatch, axes: tuple[int, ...], kept: np.ndarray, places: int, out: str
) -> Named:
    """A shared input: of all its places only this one counts."""
    place = listing(kept[:, 0])
    if len(axes) > 1:
        place = say("place {index}", index=kept[0].tolist())
    return "missing_broadcast_sum", say(
        "only {place} of {axes} of {out} counts in the gradient of {name}: {name} is shared by "
        "{count} places there, so its gradient is the sum over all of them",
        place=place, axes=axes_in_words(axes), out=out, name=m.name, count=places,
    ), None  # fmt: skip


def _has_axis_too(m: Mismatch, j: int, J: np.ndarray, a: int) -> bool:
    """True if forward keeps indices of axis a of output j apart along an axis of the input."""
    for axis, b in _alignment(m, j, J):
        if axis == a:
            o, i = np.nonzero(J)
            meet = np.zeros((np.shape(m.call.outputs[j])[a], m.shape[b]), dtype=bool)
            meet[m.out_places[j][o, a], m.places[i, b]] = True
            return not meet.all()
    return False


def _only(m: Mismatch, kept: str, axis: int, out: str) -> Named:
    """What arrives at other places of an axis that the input has too is lost."""
    return "dropped_branch", say(
        "only what arrives at {kept} of axis {axis} of {out} is passed on to {name}, but {name} acts "
        "on the output at other places too: their gradient must be added in",
        kept=kept, axis=axis, out=out, name=m.name,
    ), None  # fmt: skip


def _axis_sets(ndim: int) -> Iterator[tuple[int, ...]]:
    """Single axes, then pairs of them, and so on."""
    for count in range(1, ndim + 1):
        yield from itertools.combinations(range(ndim), count)


def _follows(J: np.ndarray, index: np.ndarray) -> bool:
    """True if the input has these axes too: each of its entries reaches one index of them only."""
    return all(len(np.unique(index[column], axis=0)) <= 1 for column in J.T)


def lost_output(m: Mismatch) -> Named | None:
    """What arrives through one of several outputs, or through a part of one, is not passed on."""
    if not m.has_matrices:
        return None
    if len(m.rows) > 1:
        for j, rows in enumerate(m.rows):
            others = np.ones(len(m.J), bool)
            others[rows] = False
            if m.J[rows].any() and not m.B[rows].any() and m.B[others].any():
                sentence = LOST_OUTPUT if same(m.B[others], m.J[others]) else LOST_AND_WRONG
                return "dropped_branch", say(sentence, number=j, name=m.name), None
    return None


def lost_places(m: Mismatch) -> Named | None:
    """What arrives at some entries of the outputs is not passed on; the rest is right."""
    if not m.has_matrices:
        return None
    lost = m.J.any(axis=1) & ~m.B.any(axis=1)
    columns = m.J[lost].any(axis=0) & m.B.any(axis=0)
    if columns.any() and not m.D[~lost].any():
        count, total = int(lost.sum()), int(m.J.any(axis=1).sum())
        return "dropped_branch", say(
            "what arrives at {count} of the {total} entries of the outputs is not passed on to {name}, "
            "though {name} acts on them; the rest is right", count=count, total=total, name=m.name,
        ), None  # fmt: skip
    return None


def through_time(m: Mismatch) -> Named | None:
    """Along one axis every entry hears only from its own index: what flows along the axis is lost."""
    if not m.has_matrices:
        return None
    J, B = m.J != 0, m.B != 0
    lost = J & ~B
    if not lost.any() or (B & ~J).any():
        return None
    for j, rows in enumerate(m.rows):
        for a, b in _shared_axes(m, j):
            distance = m.out_places[j][:, a][:, None] - m.places[:, b][None, :]
            inside = np.abs(distance[B[rows]]).max(initial=0)
            reach = np.abs(distance[J[rows]]).max(initial=0)
            kept = np.abs(distance) <= inside
            if (
                inside < reach
                and not B[rows][~kept].any()
                and same(m.B[rows][kept], m.J[rows][kept])
            ):
                return _cut_in_time(m, b, inside, reach)
    return None


def _cut_in_time(m: Mismatch, b: int, inside: int, reach: int) -> Named:
    """An entry acts `reach` steps away, but hears only from `inside` steps away."""
    steps = say("its own index") if inside == 0 else say("{count} steps away", count=inside)
    letters = m.call.shapes.get(m.name, [])
    axis = say("axis {axis}", axis=b)
    if len(letters) == len(m.shape) and letters[b].isalpha():
        axis = say("axis {axis} ({letter})", axis=b, letter=letters[b])
    return "dropped_branch", say(
        "along {axis} of {name} an entry of {name} gets only the gradient that arrives at {steps}, but "
        "it acts on the output up to {reach} steps away: the gradient that flows on along this axis is "
        "dropped", axis=axis, name=m.name, steps=steps, reach=reach,
    ), None  # fmt: skip


def _shared_axes(m: Mismatch, j: int) -> Iterator[tuple[int, int]]:
    """(axis of output j, axis of the input) with equal sizes, later axes matched first."""
    out = np.shape(m.call.outputs[j])
    for a in range(len(out)):
        for b in range(len(m.shape)):
            if out[a] == m.shape[b] > 1:
                yield a, b


def reordered(m: Mismatch) -> Named | None:
    """The right numbers in other places: the same permutation of the entries for every cotangent."""
    if len(m.A) < 2 or m.A.shape[1] < 2 or same(m.A, m.N):
        return None
    order, target = np.argsort(m.A[0]), np.argsort(m.N[0])
    if not same(m.A[:, order], m.N[:, target]):
        return _spread(m) or _reordered_outputs(m)
    source = np.empty_like(order)
    source[order] = target  # A[:, i] is N[:, source[i]]
    moved = ~np.isclose(m.A[0], m.N[0], rtol=1e-6, atol=1e-9 * np.abs(m.N[0]).max())
    spread = _spread(m)
    if spread:
        return spread
    return "wrong_entries", say(
        "the gradient of {name} holds the right numbers in the wrong places: {movement}",
        name=m.name, movement=_movement(m, source, moved),
    ), None  # fmt: skip


def _reordered_outputs(m: Mismatch) -> Named | None:
    """B has the rows of J in another order: grad_out was taken in another order."""
    if not m.has_matrices or len(m.J) < 2:
        return None
    probe = np.random.default_rng(0).standard_normal((m.J.shape[1], 2))
    used, right = m.B @ probe, m.J @ probe
    order, target = np.argsort(used[:, 0]), np.argsort(right[:, 0])
    if same(used, right) or not same(used[order], right[target]):
        return None
    moved = int((~np.isclose(used[:, 0], right[:, 0], rtol=1e-6, atol=1e-9)).sum())
    return "wrong_entries", say(
        "the gradient of {name} is right but for the order of grad_out: {moved} of its entries are "
        "sent back to the place of another one (sorted, shifted, reshaped or reversed on the way)",
        name=m.name, moved=moved,
    ), None  # fmt: skip


def _movement(m: Mismatch, source: np.ndarray, moved: np.ndarray) -> str:
    """A shift or a reversal along one axis in words, else the first entry that moved."""
    to, from_ = m.places, m.places[source]
    for a, size in enumerate(m.shape):
        others = [b for b in range(len(m.shape)) if b != a]
        if (to[:, others] != from_[:, others]).any():
            continue
        if (to[:, a] + from_[:, a] == size - 1).all():
            return say("reversed along axis {axis}", axis=a)
        steps = np.unique((to[:, a] - from_[:, a]) % size)
        if len(steps) == 1:
            return say("shifted by {steps} along axis {axis}", steps=int(steps[0]), axis=a)
    first = int(np.argmax(moved))
    here, there = ([int(i) for i in p[first]] for p in (to, from_))
    return say(
        "{count} entries are misplaced; {here} holds what belongs to {there}",
        count=int(moved.sum()), here=here, there=there,
    )  # fmt: skip


def _spread(m: Mismatch) -> Named | None:
    """grad_out is spread along another axis than forward summed over."""
    if not m.known.all() or len(m.shape) < 2:
        return None
    found, true = _constant_axes(m, m.analytic), _constant_axes(m, m.numeric)
    wrong, right = [a for a in found if a not in true], [a for a in true if a not in found]
    if wrong and right:
        return "wrong_axis", say(
            "the gradient of {name} is the same all along axis {wrong}, but should be the same along "
            "axis {right}: grad_out is spread along the wrong axis",
            name=m.name, wrong=wrong[0], right=right[0],
        ), None  # fmt: skip
    return None


def untransposed(m: Mismatch) -> Named | None:
    """B = J^T: what forward does is done again, instead of its transpose."""
    if not m.has_matrices or m.J.shape[0] != m.J.shape[1] or not same(m.B, m.J.T):
        return None
    return "wrong_operand", say(
        "the gradient of {name} is what forward itself would make of grad_out; backward must use the "
        "transpose of that map (a rotation turned back, a matrix transposed)", name=m.name,
    ), None  # fmt: skip


def signs(m: Mismatch) -> Named | None:
    """B = J but for the signs of some entries: a term comes in with the wrong sign."""
    if not m.has_matrices or not same(np.abs(m.B), np.abs(m.J)):
        return None
    flipped = (m.B * m.J) < 0
    columns, used = flipped.any(axis=0), (m.J != 0).any(axis=0)
    if not flipped.any() or (flipped == (m.J != 0)).all():
        return None
    if (flipped[:, columns] == (m.J != 0)[:, columns]).all() and not columns[used].all():
        return "wrong_entries", say(
            "the gradient of {name} has the wrong sign at {where}; the rest is right",
            name=m.name, where=where(m, columns),
        ), None  # fmt: skip
    return "dropped_branch", say(
        "of the {ways} ways in which the entries of {name} act on the output, {count} count with the "
        "wrong sign: one of the terms has the wrong sign",
        ways=int((m.J != 0).sum()), name=m.name, count=int(flipped.sum()),
    ), None  # fmt: skip


def summed_too_far(m: Mismatch) -> Named | None:
    """Every entry gets the sum, or the mean, over an axis along which entries should differ."""
    if len(m.shape) < 1 or not m.known.all() or _only_ones(m):
        return None
    for a, size in enumerate(m.shape):
        total = m.numeric.sum(axis=a + 1, keepdims=True)
        for word, value in (("sum", total), ("mean", total / size)):
            spread = np.where(m.analytic != 0, value, 0.0)
            used = (m.analytic != 0).any(axis=a + 1)
            if (
                size > 1
                and same(m.analytic, spread)
                and (used == (total != 0).any(axis=a + 1)).all()
            ):
                return "wrong_axis", say(SUMMED[word], name=m.name, axis=a), None
    return None


def _only_ones(m: Mismatch) -> bool:
    """True if B is 1 wherever J is not 0: then a factor is missing, even one whose sum is 1."""
    return m.has_matrices and same(m.B, (m.J != 0).astype(np.float64))


def mask(m: Mismatch) -> Named | None:
    """B and J agree, up to a constant, where both have entries: only who takes part is wrong."""
    if not m.has_matrices:
        return None
    J, B = m.J != 0, m.B != 0
    both, extra, lost = J & B, B & ~J, J & ~B
    factor = proportional(m.B[both], m.J[both]) if both.any() else 1.0
    if not (extra.any() or lost.any()) or factor is None:
        return None
    unused, silent = ~J.any(axis=0), ~J.any(axis=1)  # inputs and outputs that should not take part
    misplaced = extra & ~unused[None, :] & ~silent[:, None]
    if misplaced.any() or not (_whole(lost, J) or extra.any()):
        return None
    wrong = (extra | lost).any(axis=0)
    got, missed = extra.any(axis=0), lost.any(axis=0)
    if (got & missed).any():
        return None  # no mask lets an entry in and keeps it out
    parts = []
    if got.any():
        parts.append(say(
            "{count} entries get a gradient and should get none ({where})",
            count=int(got.sum()), where=which(m, got),
        ))  # fmt: skip
    if missed.any():
        parts.append(say(
            "{count} entries get none and should get one ({where})",
            count=int(missed.sum()), where=which(m, missed),
        ))  # fmt: skip
    message = say("in the gradient of {name} {parts}", name=m.name, parts=say(" and ").join(parts))
    if abs(factor - 1) >= 1e-5:
        message += say("; the others are {factor:.4g} times too large", factor=factor)
    elif not wrong.all():
        message += say("; the others are right")
    return "wrong_entries", message + say(MASKS[bool(got.any()), bool(missed.any())]), None


def _whole(lost: np.ndarray, J: np.ndarray) -> bool:
    """True if whole entries of the input are lost, not some of the ways in which they act."""
    columns = lost.any(axis=0)
    return bool((lost[:, columns] == J[:, columns]).all())


def wrong_axis(m: Mismatch) -> Named | None:
    """An entry depends on grad_out along an axis along which forward mixes nothing."""
    if not m.has_matrices:
        return None
    J, B = m.J != 0, m.B != 0
    if not (B & ~J).any():
        return None
    for j, rows in enumerate(m.rows):
        pairs = _alignment(m, j, J[rows])
        off = {}
        for (a, b), matrix in itertools.product(pairs, ("J", "B")):
            apart = m.out_places[j][:, a][:, None] != m.places[:, b][None, :]
            off[b, matrix] = bool((apart & (J if matrix == "J" else B)[rows]).any())
        true = [b for _, b in pairs if off[b, "J"]]
        found = [b for _, b in pairs if off[b, "B"]]
        extra = [b for b in found if b not in true]
        if extra:
            return _mixed(m, found, true)
    for a in _constant_axes(m, m.analytic):
        if a not in _constant_axes(m, m.numeric):
            return "wrong_axis", say(
                "the gradient of {name} is the same all along axis {axis}, but its entries act on "
                "different outputs: a sum in backward runs over more entries of grad_out than it "
                "should", name=m.name, axis=a,
            ), None  # fmt: skip
    return None


def _mixed(m: Mismatch, found: list[int], true: list[int]) -> Named:
    """Backward mixes entries along the axes `found`, forward along `true`."""
    mixing = say("less")
    if len(true) < 2:
        mixing = say("along axis {axis}", axis=true[0]) if true else say("along no axis")
    return "wrong_axis", say(
        "each entry of the gradient of {name} depends on grad_out along axis {axes}, but forward mixes "
        "entries {mixing}: a sum or mean in backward runs over the wrong axis, or over too many",
        name=m.name, axes=", ".join(map(str, found)), mixing=mixing,
    ), None  # fmt: skip


def _constant_axes(m: Mismatch, gradient: np.ndarray) -> list[int]:
    """Axes of more than one index along which a gradient (K, *shape) does not change."""
    largest = np.abs(gradient).max(initial=0.0)
    axes = [a for a, size in enumerate(m.shape) if size > 1 and m.known.all()]
    return [a for a in axes if np.ptp(gradient, axis=a + 1).max(initial=0) <= 1e-9 * largest]


def _alignment(m: Mismatch, j: int, J: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (axis of the output, axis of the input) along which forward keeps things together most."""
    pairs: list[tuple[int, int]] = []
    candidates = sorted(_shared_axes(m, j), key=lambda ab: _mixing(m, j, J, ab))
    for a, b in candidates:
        if all(a != x and b != y for x, y in pairs):
            pairs.append((a, b))
    return pairs


def _mixing(m: Mismatch, j: int, J: np.ndarray, pair: tuple[int, int]) -> tuple[int, int]:
    a, b = pair
    apart = m.out_places[j][:, a][:, None] != m.places[:, b][None, :]
    distance = abs((a - np.ndim(m.call.outputs[j])) - (b - len(m.shape)))
    return int((apart & J).sum()), distance
