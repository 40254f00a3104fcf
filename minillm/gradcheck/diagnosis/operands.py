"""A factor of the formula that is missing, or another array in its place.

Where forward works entry by entry, backward multiplies grad_out by a local derivative d.  The check
knows the right one and the one that was used, a; their ratio and their difference are compared with
products of the arrays at hand.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from ..language import say
from .evidence import Mismatch, proportional, same
from .words import where

HARDLY = 1e-4  # derivatives that differ by less than this part are not told apart by formulas
POWERS = (1, -1, 2, -2, 0.5, -0.5)

Named = tuple[str, str, float | None]


def local_derivative(m: Mismatch) -> Named | None:
    """Forward and backward work entry by entry: name the factor, or the term, that is wrong."""
    local = _local(m)
    if local is None:
        return None
    a, d, space, columns = local
    if same(a, d, HARDLY):
        return None  # hardly any difference: no factor explains it
    if space == m.shape and _two_classes(a, d):
        return None  # which entries are off by that constant says more
    candidates = list(_candidates(m, space))
    one_factor = _monomial(candidates, a, d, most=1)
    turned = "" if one_factor else _turned_term(candidates, a, d)
    ratio = one_factor or ("" if turned else _monomial(candidates, a, d))
    if ratio:
        return "wrong_operand", _wrong_factor(m, candidates, a, d, ratio), None
    if turned:
        return "dropped_branch", say(
            "the gradient of {name} has the term {term} with the wrong sign", name=m.name, term=turned
        ), None  # fmt: skip
    term = _missing_term(m, candidates, a, d, space, columns)
    if term:
        return "dropped_branch", say(
            "the gradient of {name} lacks the term {term}: the output depends on {name} in more than "
            "one way, and one of them is not followed (a term of the product rule, or of a sum)",
            name=m.name, term=term,
        ), None  # fmt: skip
    wrong = ~np.isclose(a, d, rtol=1e-6, atol=1e-9 * np.abs(d).max())
    if wrong.sum() == 1 or (columns and wrong.mean() <= 0.5):
        return None  # most are right: which ones are not says more
    message = _formulas(m.name, candidates, a, d)[0] or say(
        "every entry of the gradient of {name} depends on the right entry of grad_out, but with the "
        "wrong derivative: a factor is missing, or another array stands in its place", name=m.name,
    )  # fmt: skip
    return "wrong_operand", message, None


def _wrong_factor(m: Mismatch, candidates: list, a: np.ndarray, d: np.ndarray, ratio: str) -> str:
    """The sentence for a = ratio * d."""
    message, right = _formulas(m.name, candidates, a, d)
    if not message:
        return say(
            "the gradient of {name} is ({ratio}) times what it should be: that factor is in it once "
            "too often, or is not divided out", name=m.name, ratio=ratio,
        )  # fmt: skip
    return message if right else message + say(
        ", which is ({ratio}) times what it should be", ratio=ratio
    )  # fmt: skip


def _two_classes(a: np.ndarray, d: np.ndarray) -> bool:
    """True if some entries are right, and all others off by the same constant."""
    if not a.all() or not d.all():
        return False
    ratio = a / d
    off = ratio[~np.isclose(ratio, 1, rtol=1e-6)]
    return 0 < off.size < a.size and same(off, np.full_like(off, off[0]))


def _formulas(name: str, candidates: list, a: np.ndarray, d: np.ndarray) -> tuple[str, str]:
    """(a sentence with the formula that was used and the right one, as far as known, the right one).

    'the gradient of x is computed as grad_out * (1 - out), it should be grad_out * (1 - tanh(x)^2)'
    """
    used, right = (_monomial(candidates, x, np.ones_like(a), both=True) for x in (a, d))
    times = lambda words: f"grad_out {words[2:] if words.startswith('1 / ') else '* ' + words}"  # noqa: E731
    used, right = times(used) if used else "", times(right) if right else ""
    return computed_as(name, used or (right and say("something else")), right), right


def computed_as(name: str, used: str, right: str) -> str:
    """'the gradient of a is computed as grad_out @ b, it should be grad_out @ b.T'; "" if unknown."""
    if not used:
        return ""
    message = say("the gradient of {name} is computed as {used}", name=name, used=used)
    return message + (say(", it should be {right}", right=right) if right else "")


def _turned_term(candidates: list, a: np.ndarray, d: np.ndarray) -> str:
    """a = u + w where d = u - w, both simple: words for the term w, whose sign is wrong."""
    ones = np.ones_like(a)
    kept, turned = (a + d) / 2, (a - d) / 2
    plain = lambda x: "1" if proportional(x, ones) else _monomial(candidates, x, ones, most=1)  # noqa: E731
    one, other = plain(kept), plain(turned)
    return f"grad_out * {other}" if one and other and one != other else ""


def _local(m: Mismatch) -> tuple[np.ndarray, np.ndarray, tuple[int, ...], bool] | None:
    """(used derivative, right derivative, the shape they live in, True if that is the input's)."""
    if not m.has_matrices or len(m.rows) > 1 or not m.known.all():
        return None
    J, B = m.J != 0, m.B != 0
    support = J | B
    if (support.sum(axis=1) <= 1).all():  # each output hears from one entry: the output's space
        out = np.shape(m.call.outputs[0])
        return m.B.sum(axis=1), m.J.sum(axis=1), out, False
    if (support.sum(axis=0) <= 1).all():  # each entry acts on one output: the input's space
        return m.B.sum(axis=0), m.J.sum(axis=0), m.shape, True
    return None


def _candidates(m: Mismatch, space: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays at hand and simple functions of them, as flat vectors of the space."""
    seen: list[np.ndarray] = []
    for label, array in m.call.arrays:
        try:
            z = np.broadcast_to(array, space).reshape(-1)
        except ValueError:
            continue
        functions = [(label, z), (f"(1 - {label})", 1 - z), (f"(1 + {label})", 1 + z)]
        functions.append((f"(1 - {label}^2)", 1 - z * z))
        if np.abs(z).max(initial=0) < 30:
            s = 1 / (1 + np.exp(-z))
            functions += [(f"exp({label})", np.exp(z)), (f"exp(-{label}^2/2)", np.exp(-z * z / 2)),
                          (f"exp(-{label}^2)", np.exp(-z * z)), (f"sigmoid({label})", s),
                          (f"(1 - sigmoid({label}))", 1 - s), (f"tanh({label})", np.tanh(z)),
                          (f"(1 - tanh({label})^2)", 1 - np.tanh(z) ** 2)]  # fmt: skip
        if (z > 0).all():
            functions.append((f"log({label})", np.log(z)))
        for name, value in functions:
            if np.isfinite(value).all() and not any(
                np.allclose(value, old, rtol=1e-9) for old in seen
            ):
                seen.append(value)
                yield name, value


def _monomial(
    candidates: list[tuple[str, np.ndarray]], a: np.ndarray, d: np.ndarray, *,
    both: bool = False, most: int = 2,
) -> str:  # fmt: skip
    """Words for a / d as a constant times at most two powers of candidates; "" if it is none.

    both   any constant will do, not only one that a formula may well contain
    most   powers: 1 or 2; 3 for products of plain arrays
    """
    alone = proportional(a, d) if both else None
    if alone is not None:
        return f"{alone:.5g}"
    powers = [(n, z, p) for n, z in candidates for p in POWERS
              if float(p).is_integer() or (z > 0).all()]  # fmt: skip
    for chosen in _exponents(powers, a, d, most):
        left, right = a, d
        for _, z, p in chosen:
            if p > 0:
                right = right * z**p
            else:
                left = left * z**-p
        factor = proportional(left, right)
        if factor is not None and (both or _simple(factor)):
            return _product(factor, [(n, p) for n, _, p in chosen])
    return ""


def _exponents(powers: list, a: np.ndarray, d: np.ndarray, most: int) -> Iterator[tuple]:
    """Single powers, then pairs, whose logarithms have the right differences at a few points.

    In logarithms a product is a sum: log|a/d| = log c + p log|z| + q log|y|.  The constant drops
    out of the differences to the first point, and three of those rule out nearly every pair at once.
    """
    points = np.flatnonzero((a != 0) & (d != 0))
    if len(points) < 3:
        return
    points = points[:: max(1, len(points) // 4)][:4]
    powers = [power for power in powers if (power[1][points] != 0).all()]
    differ = lambda values: np.diff(np.log(np.abs(values[points])))  # noqa: E731
    target = differ(a) - differ(d)
    logs = np.array([p * differ(z) for _, z, p in powers]).reshape(len(powers), -1)
    alone = np.flatnonzero(np.abs(logs - target).max(axis=1) < 1e-4)
    for i in sorted(alone, key=lambda i: _cost(powers[i])):
        yield (powers[i],)
    if most == 1:
        return
    apart = np.abs(logs[:, None] + logs[None, :] - target).max(axis=2) < 1e-4
    pairs = [(powers[i], powers[j]) for i, j in np.argwhere(np.triu(apart, 1))]
    for pair in sorted(pairs, key=lambda pair: sum(map(_cost, pair))):
        if pair[0][0] != pair[1][0]:
            yield pair
    if most > 2:
        plain = [i for i, power in enumerate(powers) if "(" not in power[0] and power[2] % 1 == 0]
        trios = np.array(list(itertools.combinations(plain, 3)), dtype=int).reshape(-1, 3)
        close = np.abs(logs[trios].sum(axis=1) - target).max(axis=1) < 1e-4
        found = [tuple(powers[i] for i in trio) for trio in trios[close]]
        yield from sorted(found, key=lambda trio: sum(map(_cost, trio)))


def _cost(power: tuple[str, np.ndarray, float]) -> float:
    """How far a power is from a plain array: the simplest explanation is told."""
    name, _, p = power
    function = 0 if "(" not in name else 1 if name.startswith("(1") else 1.5
    return function + (0 if p == 1 else 0.5 if p == -1 else 1)


def _simple(factor: float) -> bool:
    """True for a constant that a formula may well contain."""
    nice = [1, 2, 3, 4, 0.5, 1 / 3, 0.25, np.pi**0.5, (2 * np.pi) ** 0.5, (2 / np.pi) ** 0.5]
    nice += [1 / x for x in nice] + [n / 2 for n in range(1, 41)] + [1 / n for n in range(1, 41)]
    return any(abs(abs(factor) / x - 1) < 1e-5 for x in nice)


def _product(factor: float, powers: list[tuple[str, float]]) -> str:
    top = [_power(n, p) for n, p in powers if p > 0]
    bottom = [_power(n, -p) for n, p in powers if p < 0]
    sign = "-" if factor < 0 else ""
    if abs(abs(factor) - 1) > 1e-5:
        top.insert(0, f"{abs(factor):.5g}")
    text = sign + (" * ".join(top) or "1")
    if bottom:
        text += " / " + (f"({' * '.join(bottom)})" if len(bottom) > 1 else bottom[0])
    return text


def _power(name: str, p: float) -> str:
    return name if p == 1 else f"sqrt({name})" if p == 0.5 else f"{name}^{p:g}"


def _missing_term(
    m: Mismatch, candidates: list, a: np.ndarray, d: np.ndarray, space: tuple[int, ...],
    columns: bool,
) -> str:  # fmt: skip
    """Words for d - a if it is a term of its own: a product of arrays, or a few entries."""
    term = d - a
    if np.abs(term).max() == 0 or not a.any():
        return ""
    words = _monomial(candidates, term, np.ones_like(term), both=True, most=3)
    if words:
        return f"grad_out * {words}"
    support = np.abs(term) > 1e-9 * np.abs(d).max()
    if np.ptp(term[support]) < 1e-6 * np.abs(term).max() and support.mean() > 0.5:
        return f"grad_out * {term[support][0]:.5g}"
    if columns:
        support = np.abs(term) > 1e-6 * np.abs(d).max()
        if 0 < support.mean() <= 0.5 and m.call.integers:
            return say(
                "at the entries that {ids} points to ({where})",
                ids=m.call.integers[0][0], where=where(m, support),
            )  # fmt: skip
    if np.shape(m.call.outputs[0]) == space and _fits(m.shape, space):
        out, x = np.ravel(m.call.outputs[0]), np.broadcast_to(m.call.inputs[m.index], space).ravel()
        # the product rule for out = x h(x): the two terms are h = out / x and x h' = d - h
        if same(a * x, out) or same(a * x, d * x - out):
            return say("of the product rule (out = {name} * h({name}) has two)", name=m.name)
    return ""


def _fits(shape: tuple[int, ...], space: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, space) == space
    except ValueError:
        return False


def factor_of_entries(m: Mismatch) -> Named | None:
    """B = J with every column, or every row, times a number of its own."""
    if not m.has_matrices:
        return None
    for of_entries, B, J in ((True, m.B.T, m.J.T), (False, m.B, m.J)):
        norms = (J * J).sum(axis=1)
        factors = np.divide((B * J).sum(axis=1), norms, out=np.ones(len(J)), where=norms > 0)
        if not same(B, factors[:, None] * J):
            continue
        name = _matching_array(m, factors, m.shape if B.shape[0] == m.B.shape[1] else None)
        wrong = ~np.isclose(factors, 1, rtol=1e-6)
        values = np.unique(np.round(factors[wrong & (norms > 0)], 9))
        if len(values) == 1 and of_entries and not wrong.all():
            return "wrong_entries", say(
                "the entries of the gradient of {name} at {where} are {factor:.6g} times what they "
                "should be; the others are right",
                name=m.name, where=where(m, wrong), factor=values[0],
            ), float(values[0])  # fmt: skip
        if len(values) == 1 and not of_entries and (factors[norms > 0] == 1).any():
            return "dropped_branch", say(
                "what arrives at {count} entries of the output counts {factor:.4g} times in the "
                "gradient of {name}; what arrives at the others is right",
                count=int(wrong.sum()), factor=values[0], name=m.name,
            ), None  # fmt: skip
        return "wrong_operand", say(
            "{what} is multiplied by {factor} too much: an array factor on the way to {name} is "
            "missing, or another one stands in its place", name=m.name,
            what=say("the gradient of {name}", name=m.name) if of_entries else "grad_out",
            factor=name or say("a number of its own at each entry"),
        ), None  # fmt: skip
    return None


def _matching_array(m: Mismatch, factors: np.ndarray, shape: tuple[int, ...] | None) -> str:
    """The array at hand that the factors are, or the inverse of."""
    spaces = [shape] if shape is not None else [np.shape(out) for out in m.call.outputs[:1]]
    for label, array in m.call.arrays:
        for space in spaces:
            try:
                z = np.broadcast_to(array, space).reshape(-1)
            except ValueError:
                continue
            if z.size == factors.size:
                if same(factors, z):
                    return label
                if same(factors * z, np.ones_like(z)):
                    return f"1 / {label}"
    return ""


def product(m: Mismatch) -> Named | None:
    """grad_out times a matrix at hand: the wrong one, or not transposed."""
    used = _products(m, m.analytic)
    if not used:
        return None
    right = _products(m, m.numeric)
    masked = "" if right else _products(m, m.numeric, masked=True)
    if masked:
        message = computed_as(m.name, used, masked)
        return "wrong_entries", message + say(": the mask is forgotten in backward"), None
    message = computed_as(m.name, used, right)
    return "wrong_operand", message + ("" if right else say(": that is the wrong product")), None


def _products(m: Mismatch, gradient: np.ndarray, masked: bool = False) -> str:
    """'grad_out @ b.T' if the gradient is such a product for the first two cotangents."""
    if len(m.call.outputs) > 1 or not m.known.all():
        return ""
    arrays = m.call.arrays
    if masked:
        masks = [(n, z) for n, z in arrays if (z == 0).any() and len(np.unique(z)) == 2]
        arrays = [(f"({n} * {k})", z * y) for n, z in arrays for k, y in masks
                  if k != n and _fits(y.shape, z.shape)]  # fmt: skip
    for label, z in arrays:
        for words, form in _forms(label, z):
            results = []
            for w in m.call.cotangents[:2]:
                try:
                    value = form(m.call.split_outputs(w)[0], z)
                except ValueError:
                    break
                extra = value.ndim - len(m.shape)
                results.append(value.sum(axis=tuple(range(extra))) if extra > 0 else value)
            if len(results) == 2 and all(np.shape(r) == m.shape for r in results):
                if same(np.stack(results), gradient[:2]):
                    return words
    return ""


def _forms(label: str, z: np.ndarray) -> list:
    """The products of grad_out with one matrix, plain and transposed."""
    if z.ndim < 2:
        return []
    turn = lambda x: np.swapaxes(x, -1, -2) if np.ndim(x) > 1 else x  # noqa: E731
    return [
        (f"grad_out @ {label}", lambda g, z: g @ z),
        (f"grad_out @ {label}.T", lambda g, z: g @ turn(z)),
        (f"{label} @ grad_out", lambda g, z: z @ g),
        (f"{label}.T @ grad_out", lambda g, z: turn(z) @ g),
        (f"grad_out.T @ {label}", lambda g, z: turn(g) @ z),
        (f"grad_out.T @ {label}.T", lambda g, z: turn(g) @ turn(z)),
        (f"{label} @ grad_out.T", lambda g, z: z @ turn(g)),
        (f"{label}.T @ grad_out.T", lambda g, z: turn(z) @ turn(g)),
    ]
