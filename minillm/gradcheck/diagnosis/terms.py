"""Added terms that are missing: a sum or a mean over an axis, or one of several branches.

Softmax, layer norm and their like have gradients of the form

    grad_x = (something for each entry) + f * sum_over_the_axis(h * grad_out)              (1)

The second term is a matrix f h^T, of rank one, in every row.  If B - J has that form, the term is
missing, doubled, or has the wrong sign; f and h are compared with the arrays at hand, and whether
their product comes with a factor 1/n tells a mean from a sum.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from ..language import later, say
from .evidence import Mismatch, proportional, same

LOST = later("is missing (the others are there)")
UNCLEAR = later("is missing, counted twice, or has the wrong sign")
TERMS = {
    "sum": later(
        "in the gradient of {name} the term with the sum over axis {axis}{formula} {how}: every entry "
        "acts on its whole row of the output, not only on its own place"
    ),
    "mean": later(
        "in the gradient of {name} the term with the mean over axis {axis}{formula} {how}: every entry "
        "acts on its whole row of the output, not only on its own place"
    ),
}

Named = tuple[str, str, float | None]


def row_term(m: Mismatch) -> Named | None:
    """B - J is of low rank along one axis: the term (1) is wrong."""
    if not m.has_matrices or m.shape != np.shape(m.call.outputs[0]) or not m.known.all():
        return None
    rows = m.rows[0]
    for axis in range(len(m.shape)):
        n = m.shape[axis]
        blocks = [_blocks(x[rows], m.shape, axis) for x in (m.D, m.J, m.B)]
        if n < 2 or any(block is None for block in blocks):
            continue
        D, J, B = (np.asarray(block) for block in blocks)
        off = ~np.eye(n, dtype=bool)
        if not D[:, off].any():
            continue
        if not J[:, off].any():
            extra = say("is there, but should not be")
            return _named_term(m, axis, D, extra) if _rank(D) <= 2 < n else None
        if not B[:, off].any():
            dense = np.count_nonzero(J[:, off]) > 0.5 * J[:, off].size
            few = n > 3 and _rank(D) <= 2  # sums that reach only some entries, as of a minimum
            return _named_term(m, axis, D * off, say("is missing")) if dense or few else None
        if _rank(D) <= (2 if n > 3 else 1):
            return _named_term(m, axis, D, _what_happened(J, B))
    return None


def row_number(m: Mismatch) -> Named | None:
    """B - J is, for every row of the input, one number times a fixed vector: a lost sum inside.

    This is what (1) becomes when more follows behind it, as the softmax inside attention: its row
    sum reaches a query as one number times the mean of the keys.
    """
    if not m.has_matrices or not m.known.all() or len(m.shape) < 2:
        return None
    out = np.shape(m.call.outputs[0])
    if len(m.rows) > 1 or len(out) != len(m.shape) or out[:-1] != m.shape[:-1] or out == m.shape:
        return None
    n, width = m.shape[-1], out[-1]
    D, J = (x.reshape(-1, width, x.shape[1] // n, n) for x in (m.D, m.J))
    groups = range(D.shape[0])
    apart = np.stack([np.delete(D[g], g, axis=1) for g in groups])
    if apart.any() or min(n, width) < 3:
        return None
    inside = [np.stack([x[g, :, g] for g in groups]) for x in (D, J)]
    if _rank(inside[0]) == 1 and _rank(inside[1]) > 1 and not same(*np.abs(inside)):
        return "missing_sum_term", say(
            "what is wrong with the gradient of {name} is one number for each of its rows, times a "
            "vector that does not depend on grad_out: a term with a sum over the row is missing, or "
            "has the wrong sign, on the way (the row sum of a softmax, if there is one)", name=m.name,
        ), None  # fmt: skip
    return None


def _what_happened(J: np.ndarray, B: np.ndarray) -> str:
    """How a term is wrong, from the entries off the diagonal, where only the terms (1) stand.

    The upper right quarter of a block holds none of the diagonal, so its rank counts the terms.
    """
    off, half = ~np.eye(J.shape[1], dtype=bool), J.shape[1] // 2
    factor = proportional(B[:, off], J[:, off])
    if factor is not None:
        if factor < 0:
            return say("has the wrong sign")
        return say("is counted {factor:.4g} times", factor=factor)
    if half > 1 and _rank(B[:, :half, half:]) < _rank(J[:, :half, half:]):
        return say(LOST)
    return say(UNCLEAR)


def _blocks(matrix: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray | None:
    """(G, n, n): the blocks of a matrix that mixes entries along one axis only, else None."""
    n = shape[axis]
    index = np.moveaxis(np.arange(matrix.shape[0]).reshape(shape), axis, -1).reshape(-1, n)
    blocks = np.stack([matrix[np.ix_(row, row)] for row in index])
    return blocks if np.count_nonzero(blocks) == np.count_nonzero(matrix) else None


def _rank(blocks: np.ndarray) -> int:
    """The largest rank of the blocks that are not zero."""
    values = np.linalg.svd(blocks, compute_uv=False)
    return int((values > 1e-6 * values[:, :1].max()).sum(axis=1).max())


def _named_term(m: Mismatch, axis: int, D: np.ndarray, how: str) -> Named | None:
    """A sum or a mean, and of what if the arrays at hand tell.

    D   (G, rows of the output, entries of the input): h stands along the rows, f along the entries
    """
    n, other = m.shape[axis], None
    for (f_name, f), (h_name, h) in _pairs(m, axis):
        outer = np.where(D != 0, h[:, :, None] * f[:, None, :], 0.0)
        scale = _scale(m, axis, D, outer)
        if scale is None:
            continue
        factor_name, factor = scale
        means, sums = ([abs(abs(factor) * x / k - 1) < 1e-5 for k in (1, 2)] for x in (n, 1))
        product = " * ".join(x for x in (factor_name, f_name) if x)
        inside = "grad_out" + (f" * {h_name}" if h_name else "")
        formula = f"{product + ' * ' if product else ''}{{}}({inside})"
        if any(means) or any(sums):
            word = "mean" if any(means) and n > 2 else "sum"
            return _term(m, axis, word, how, formula.format(word))
        other = other or formula
    word = "sum" if _sums_to_a_constant(m, axis) else "mean"
    if other:  # the right term, times a constant that tells nothing
        return _term(m, axis, word, say("is counted with a wrong factor"), other.format(word))
    if how in (say(LOST), say(UNCLEAR)):
        return None  # a term of this form, but not one that the formula could contain
    return _term(m, axis, word, how, "")


def _term(m: Mismatch, axis: int, word: str, how: str, formula: str) -> Named:
    shown = say(", {formula},", formula=formula) if formula else ""
    message = say(TERMS[word], name=m.name, axis=axis, formula=shown, how=how)
    return f"missing_{word}_term", message, None


def _scale(m: Mismatch, axis: int, D: np.ndarray, outer: np.ndarray) -> tuple[str, float] | None:
    """(words for an array that is constant along the axis, c) with D = c * array * outer."""
    norm = (outer * outer).sum(axis=(1, 2))
    if (norm == 0).any():
        return None
    kappa = (D * outer).sum(axis=(1, 2)) / norm
    if not same(kappa[:, None, None] * outer, D):
        return None
    factor = proportional(kappa, np.ones_like(kappa))
    if factor is not None:
        return "", factor
    constant: dict[str, np.ndarray] = {}
    for label, array in m.call.arrays:
        rows = _along(array, m.shape, axis)
        if rows is not None and np.ptp(rows, axis=1).max() == 0:
            constant[label] = rows[:, 0]
    powers = [(f"{label}^{p}" if p != 1 else label, z**p) for label, z in constant.items()
              for p in (1, -1, 2, -2, 3) if (z != 0).all()]  # fmt: skip
    both = itertools.combinations(powers, 2)
    for words, values in (*powers, *((f"{p} * {q}", x * y) for (p, x), (q, y) in both)):
        factor = proportional(kappa, values)
        if factor is not None:
            return words, factor
    return None


def _along(array: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray | None:
    """An array at hand as rows along an axis of the input, (G, n); None if it does not fit."""
    try:
        full = np.broadcast_to(array, shape)
    except ValueError:
        return None
    return np.moveaxis(full, axis, -1).reshape(-1, shape[axis])


def _pairs(
    m: Mismatch, axis: int
) -> Iterator[tuple[tuple[str, np.ndarray], tuple[str, np.ndarray]]]:
    """Pairs of candidates for f and h: arrays at hand, their exponentials, products of two."""
    single: list[tuple[str, np.ndarray]] = []
    for label, array in m.call.arrays:
        rows = _along(array, m.shape, axis)
        if rows is not None and np.ptp(rows, axis=1).max() > 0:
            single.append((label, rows))
            if np.abs(rows).max() < 20:
                single.append((f"exp({label})", np.exp(rows)))
            centred = say("({name} - its mean)", name=label)
            single.append((centred, rows - rows.mean(axis=1, keepdims=True)))
    ones = ("", np.ones((int(np.prod(m.shape)) // m.shape[axis], m.shape[axis])))
    double = [(f"{p} * {q}", x * y) for (p, x), (q, y) in itertools.combinations(single, 2)]
    yield from itertools.product([ones, *single], [ones, *single])
    yield from itertools.product([ones, *single], double[:40])


def _sums_to_a_constant(m: Mismatch, axis: int) -> bool:
    """True if the rows of the output have a constant sum other than 0: softmax and its like."""
    out = np.asarray(m.call.outputs[0])
    for values in (out, np.exp(np.minimum(out, 20.0))):
        total = values.sum(axis=axis)
        if (
            np.ptp(total) < 1e-9 * max(abs(float(total.flat[0])), 1e-3)
            and abs(total.flat[0]) > 1e-9
        ):
            return True
    return False
