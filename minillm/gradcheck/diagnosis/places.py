"""The right numbers in the wrong places, under the wrong mask, or only some of them.

All rules here compare where the matrices B and J (evidence.py) have entries and whether they agree
there; none of them looks at a formula.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from .evidence import Mismatch, proportional, same
from .words import listing, where, which

Named = tuple[str, str, float | None]


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
                words = "the gradient of {} is transposed: axes {} stand where {} belong{}"
                message = words.format(
                    m.name, order, tuple(range(len(m.shape))), "" if sign > 0 else ", with a minus"
                )
                if len(m.shape) == 2:
                    message = f"the transpose of the gradient of {m.name} is right"
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
    return "wrong_entries", (
        f"the gradient of {m.name} is wrong only at {where(m, wrong)}: entries that are used "
        f"{' or '.join(map(str, counted))} times are {ratios.min():.4g} to {ratios.max():.4g} times "
        "what they should be. Repeated uses must be added up, not averaged or weighted"
    ), None  # fmt: skip


def _duplicates(m: Mismatch, places: str, label: str, at: np.ndarray | None) -> str:
    start = f"the gradient of {m.name} is wrong only at {places}"
    if at is not None:
        shown = ", ".join(str(int(i)) for i in at[:5])
        start = f"the gradient of {m.name} is wrong only where {label} repeats ({shown})"
    return (
        f"{start}: an entry that is used several times must get the sum of all its gradients, but "
        "keeps only one of them. Add up (np.add.at, or +=) instead of assigning (=)"
    )


def one_of_a_sum(m: Mismatch) -> Named | None:
    """A shared input gets the gradient of one place of those that share it."""
    if not m.has_matrices:
        return None
    J, B = m.J != 0, m.B != 0
    if not (J & ~B).any() or (B & ~J).any() or not same(m.B[B], m.J[B]):
        return None
    for j, rows in enumerate(m.rows):
        out = "the output" if len(m.rows) == 1 else f"output {j}"
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
                    return _only(m, f"{listing(kept[:, 0])} of axis {axes[0]} of {out}")
                words = f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
                place = listing(kept[:, 0]) if len(axes) == 1 else f"place {kept[0].tolist()}"
                return "missing_broadcast_sum", (
                    f"only {place} of {words} of {out} counts in the gradient of {m.name}: {m.name} is "
                    f"shared by {len(used)} places there, so its gradient is the sum over all of them"
                ), None  # fmt: skip
    return None


def _has_axis_too(m: Mismatch, j: int, J: np.ndarray, a: int) -> bool:
    """True if forward keeps indices of axis a of output j apart along an axis of the input."""
    for axis, b in _alignment(m, j, J):
        if axis == a:
            o, i = np.nonzero(J)
            meet = np.zeros((np.shape(m.call.outputs[j])[a], m.shape[b]), dtype=bool)
            meet[m.out_places[j][o, a], m.places[i, b]] = True
            return not meet.all()
    return False


def _only(m: Mismatch, kept: str) -> Named:
    """What arrives at other places of an axis that the input has too is lost."""
    return "dropped_branch", (
        f"only what arrives at {kept} is passed on to {m.name}, but {m.name} acts on the output at "
        "other places too: their gradient must be added in"
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
                more = "" if same(m.B[others], m.J[others]) else " (and the rest is wrong too)"
                return "dropped_branch", (
                    f"the gradient that arrives through output {j} is not passed on to {m.name}{more}: "
                    f"grad_out[{j}] must be added in"
                ), None  # fmt: skip
    return None


def lost_places(m: Mismatch) -> Named | None:
    """What arrives at some entries of the outputs is not passed on; the rest is right."""
    if not m.has_matrices:
        return None
    lost = m.J.any(axis=1) & ~m.B.any(axis=1)
    columns = m.J[lost].any(axis=0) & m.B.any(axis=0)
    if columns.any() and not m.D[~lost].any():
        count, total = int(lost.sum()), int(m.J.any(axis=1).sum())
        return "dropped_branch", (
            f"what arrives at {count} of the {total} entries of the outputs is not passed on to "
            f"{m.name}, though {m.name} acts on them; the rest is right"
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
                steps = "its own index" if inside == 0 else f"{inside} steps away"
                return "dropped_branch", (
                    f"along {_both(m, j, a, b)} an entry of {m.name} gets only the gradient that "
                    f"arrives at {steps}, "
                    f"but it acts on the output up to {reach} steps away: the gradient that flows on "
                    "along this axis is dropped"
                ), None  # fmt: skip
    return None


def _shared_axes(m: Mismatch, j: int) -> Iterator[tuple[int, int]]:
    """(axis of output j, axis of the input) with equal sizes, later axes matched first."""
    out = np.shape(m.call.outputs[j])
    for a in range(len(out)):
        for b in range(len(m.shape)):
            if out[a] == m.shape[b] > 1:
                yield a, b


def _both(m: Mismatch, j: int, a: int, b: int) -> str:
    letters = m.call.shapes.get(m.name, [])
    name = f" ({letters[b]})" if len(letters) == len(m.shape) and letters[b].isalpha() else ""
    return f"axis {b}{name} of {m.name}"


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
    return "wrong_entries", (
        f"the gradient of {m.name} holds the right numbers in the wrong places: "
        f"{_movement(m, source, moved)}"
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
    return "wrong_entries", (
        f"the gradient of {m.name} is right but for the order of grad_out: {moved} of its entries are "
        "sent back to the place of another one (sorted, shifted, reshaped or reversed on the way)"
    ), None  # fmt: skip


def _movement(m: Mismatch, source: np.ndarray, moved: np.ndarray) -> str:
    """A shift or a reversal along one axis in words, else the first entry that moved."""
    to, from_ = m.places, m.places[source]
    for a, size in enumerate(m.shape):
        others = [b for b in range(len(m.shape)) if b != a]
        if (to[:, others] != from_[:, others]).any():
            continue
        if (to[:, a] + from_[:, a] == size - 1).all():
            return f"reversed along axis {a}"
        steps = np.unique((to[:, a] - from_[:, a]) % size)
        if len(steps) == 1:
            return f"shifted by {int(steps[0])} along axis {a}"
    first = int(np.argmax(moved))
    here, there = ([int(i) for i in p[first]] for p in (to, from_))
    return f"{int(moved.sum())} entries are misplaced; {here} holds what belongs to {there}"


def _spread(m: Mismatch) -> Named | None:
    """grad_out is spread along another axis than forward summed over."""
    if not m.known.all() or len(m.shape) < 2:
        return None
    found, true = _constant_axes(m, m.analytic), _constant_axes(m, m.numeric)
    wrong, right = [a for a in found if a not in true], [a for a in true if a not in found]
    if wrong and right:
        return "wrong_axis", (
            f"the gradient of {m.name} is the same all along axis {wrong[0]}, but should be the same "
            f"along axis {right[0]}: grad_out is spread along the wrong axis"
        ), None  # fmt: skip
    return None


def untransposed(m: Mismatch) -> Named | None:
    """B = J^T: what forward does is done again, instead of its transpose."""
    if not m.has_matrices or m.J.shape[0] != m.J.shape[1] or not same(m.B, m.J.T):
        return None
    return "wrong_operand", (
        f"the gradient of {m.name} is what forward itself would make of grad_out; backward must use "
        "the transpose of that map (a rotation turned back, a matrix transposed)"
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
        return "wrong_entries", (
            f"the gradient of {m.name} has the wrong sign at {where(m, columns)}; the rest is right"
        ), None  # fmt: skip
    return "dropped_branch", (
        f"of the {int((m.J != 0).sum())} ways in which the entries of {m.name} act on the output, "
        f"{int(flipped.sum())} count with the wrong sign: one of the terms has the wrong sign"
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
                return "wrong_axis", (
                    f"every entry of the gradient of {m.name} is the {word} of the right gradient over "
                    f"axis {a}: backward sums over that axis, but its entries are not shared"
                ), None  # fmt: skip
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
        parts.append(
            f"{int(got.sum())} entries get a gradient and should get none ({which(m, got)})"
        )
    if missed.any():
        parts.append(
            f"{int(missed.sum())} entries get none and should get one ({which(m, missed)})"
        )
    rest = "" if wrong.all() else "; the others are right"
    rest = rest if abs(factor - 1) < 1e-5 else f"; the others are {factor:.4g} times too large"
    advice = ": the mask or condition of forward is " + (
        "turned round or another one" if got.any() and missed.any()
        else "missing" if got.any() else "applied too widely"
    )  # fmt: skip
    return "wrong_entries", f"in the gradient of {m.name} {' and '.join(parts)}{rest}{advice}", None


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
            verb = (
                f"along axis {true[0]}"
                if len(true) == 1
                else "along no axis"
                if not true
                else "less"
            )
            return "wrong_axis", (
                f"each entry of the gradient of {m.name} depends on grad_out along axis "
                f"{', '.join(map(str, found))}, but forward mixes entries {verb}: a sum or mean in "
                "backward runs over the wrong axis, or over too many"
            ), None  # fmt: skip
    for a in _constant_axes(m, m.analytic):
        if a not in _constant_axes(m, m.numeric):
            return "wrong_axis", (
                f"the gradient of {m.name} is the same all along axis {a}, but its entries act on "
                "different outputs: a sum in backward runs over more entries of grad_out than it should"
            ), None  # fmt: skip
    return None


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
