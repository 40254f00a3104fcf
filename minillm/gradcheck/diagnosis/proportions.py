"""A gradient that is a constant times the right one, and what that constant tells.

The sizes of a good check are distinct primes, so a factor of 2.6458 = sqrt(7) can only come from the
axis of size 7.  That is why the sentence can say which division is missing.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..language import say
from .evidence import Mismatch, proportional, same

PRECISION = 1e-5  # relative: how exactly a factor must hit its explanation
CONSTANTS = {
    "2": 2.0, "3": 3.0, "4": 4.0, "sqrt(2)": math.sqrt(2), "pi": math.pi,
    "sqrt(pi)": math.sqrt(math.pi),
    "sqrt(2 pi)": math.sqrt(2 * math.pi), "sqrt(2/pi)": math.sqrt(2 / math.pi),
    "sqrt(pi)/2": math.sqrt(math.pi) / 2, "ln(2)": math.log(2), "ln(10)": math.log(10),
}  # fmt: skip

Named = tuple[str, str, float | None]  # kind, message, factor


def constant_factor(m: Mismatch) -> Named | None:
    """A = c N for every cotangent: the wrong sign, or a missing or doubled constant."""
    factor = proportional(m.A, m.N)
    if factor is None or np.abs(m.A - factor * m.N).max() > 0.01 * np.abs(m.A - m.N).max():
        return _factor_of_one_output(m)
    if abs(factor + 1) < PRECISION:
        message = say(
            "the gradient of {name} has the wrong sign everywhere: a minus is missing, or there is one "
            "too many", name=m.name,
        )  # fmt: skip
        return "sign_flipped", message, -1.0
    words = explain_factor(m, factor)
    return "scaled", say("the gradient of {name} is {words}", name=m.name, words=words), factor


def _factor_of_one_output(m: Mismatch) -> Named | None:
    """What arrives through each output is a constant times what it should be, not the same for all."""
    if len(m.rows) < 2 or not m.has_matrices:
        return None
    factors = []
    for rows in m.rows:
        if not m.J[rows].any() and not m.B[rows].any():
            factors.append(1.0)
            continue
        factor = proportional(m.B[rows], m.J[rows])
        if factor is None:
            return None
        factors.append(factor)
    worst = int(np.argmax(np.abs(np.array(factors) - 1)))
    kind = "sign_flipped" if abs(factors[worst] + 1) < PRECISION else "scaled"
    message = say(
        "the part of the gradient of {name} that arrives through output {number} is {words}",
        name=m.name, number=worst, words=explain_factor(m, factors[worst]),
    )  # fmt: skip
    return kind, message, factors[worst]


def explain_factor(m: Mismatch, factor: float) -> str:
    """'0.5 times what it should be, everywhere: ...', with the reason if a size or constant is one."""
    size = abs(factor)
    if size > 1.5:
        start = say("{factor:.5g} times too large, everywhere", factor=size)
        if factor < 0:
            start += say(" (and has the wrong sign)")
    else:
        start = say("{factor:.5g} times what it should be, everywhere", factor=factor)
    for value, words, advice in _explanations(m, size):
        if value > 0 and abs(size / value - 1) < PRECISION:
            return start + say(": ") + words + advice
    return start


Explanation = tuple[float, str, str]  # the value, what it is, what to do


def _explanations(m: Mismatch, factor: float) -> Iterator[Explanation]:
    """Every constant that could be behind a factor, simple ones first."""
    sizes = _sizes(m)
    yield from _powers(sizes)
    yield from _options(m)
    for words, value in CONSTANTS.items():
        yield value, say("a constant {value} too many", value=words), ""
        yield 1 / value, say("a constant {value} is missing", value=words), ""
    yield from _pairs(sizes)
    for n, where in sizes.items():
        for used, right in ((n - 1, n), (n, n - 1)):
            instead = say(": divided by {used} instead of {right}", used=used, right=right)
            yield right / used, _that_is(f"{right}/{used}", where), instead
        twice = say(": the division by {value} is missing twice", value=n)
        yield n * n, _that_is(say("{value} squared", value=n), where), twice


def _that_is(value: Any, where: str) -> str:
    """'that is 7, and T = 7'."""
    return say("that is {value}, and {where}", value=value, where=where)


def _missing(value: Any) -> str:
    return say(": the division by {value} is missing", value=value)


def _powers(sizes: dict[int, str]) -> Iterator[Explanation]:
    """Sizes, their roots, and the inverses."""
    for n, where in sizes.items():
        root = f"sqrt({n})"
        twice = say(": the division by {value} is done twice", value=root)
        yield n**0.5, _that_is(root, where), _missing(root)
        yield n**-0.5, _that_is(f"1/{root}", where), twice
        yield n, _that_is(n, where), _missing(n)
        mean = say(": divided by {value} once too often (a mean, not a sum)", value=n)
        yield 1 / n, _that_is(f"1/{n}", where), mean


def _options(m: Mismatch) -> Iterator[Explanation]:
    """The numbers among the arguments, such as dropout's p and the scale of attention."""
    for name, value in _scalars(m):
        forms = [(name, value, f"1/{name}")]
        if 0 < value < 1:
            forms.append((f"1 - {name}", 1 - value, f"1 / (1 - {name})"))
        for words, number, inverse in forms:
            lost = say(": the factor {value} is missing", value=words)
            yield number, say("that is {value}", value=words), _missing(words)
            yield 1 / number, say("that is {value}", value=inverse), lost


def _pairs(sizes: dict[int, str]) -> Iterator[Explanation]:
    """Products, then quotients, of two sizes."""
    pairs = [(a, b) for a in sizes for b in sizes if a < b]
    for a, b in pairs:
        yield a * b, _that_is(f"{a} * {b}", sizes[a]), _missing(a * b)
        mean = say(": divided by both once too often (a mean, not a sum)")
        yield 1 / (a * b), _that_is(f"1/({a} * {b})", sizes[a]), mean
    for a, b in pairs:
        for x, y in ((a, b), (b, a)):
            over = say(": the mean is taken over the wrong axis")
            yield x / y, _that_is(f"{x}/{y}", sizes[a]), over


def _sizes(m: Mismatch) -> dict[int, str]:
    """Every size above 1 of an axis or array, with words for where it is found."""
    sizes: dict[int, str] = {}
    everything = [(m.name, m.shape)]
    everything += [(n, np.shape(x)) for n, x in zip(m.call.names, m.call.inputs, strict=True)]
    several = len(m.call.outputs) > 1
    everything += [(say("output {number}", number=j) if several else say("the output"), np.shape(o))
                   for j, o in enumerate(m.call.outputs)]  # fmt: skip
    for label, shape in everything:
        letters = m.call.shapes.get(label, [])
        for a, n in reversed(list(enumerate(shape))):
            letter = letters[a] if len(letters) == len(shape) else ""
            words = f"{letter} = {n}"
            if not letter.isalpha():
                words = say("axis {axis} of {name} has size {size}", axis=a, name=label, size=n)
            sizes.setdefault(int(n), words)
    for label, shape in everything:
        if len(shape) > 1:
            total = int(np.prod(shape))
            sizes.setdefault(total, say("{name} has {size} entries", name=label, size=total))
    for label, ids in m.call.integers:
        kept = int((ids >= 0).sum())
        sizes.setdefault(kept, say("{size} entries of {name} count", size=kept, name=label))
    return {n: words for n, words in sizes.items() if n > 1}


def _scalars(m: Mismatch) -> list[tuple[str, float]]:
    """The numbers among options and inputs that are not 0 or 1."""
    pairs = list(m.call.options.items())
    pairs += list(zip(m.call.names, m.call.inputs, strict=True))
    scalars = [(name, float(x)) for name, x in pairs
               if isinstance(x, (int, float)) and not isinstance(x, bool)]  # fmt: skip
    return [(name, value) for name, value in scalars if value > 0 and value != 1]


def zero(m: Mismatch) -> Named | None:
    """Nothing at all comes back."""
    if m.A.any():
        return None
    message = say(
        "the gradient of {name} is zero everywhere, but the output depends on {name}: the way back to "
        "it is cut (forgotten, detached, or overwritten by zeros)", name=m.name,
    )  # fmt: skip
    return "zero_gradient", message, None


def exchanged_inputs(m: Mismatch) -> Named | None:
    """The gradient of another input of the same shape is returned."""
    for i, name in enumerate(m.call.names):
        other = m.call.matrices[i] if i != m.index and m.has_matrices else None
        if other is not None and other.shape == m.B.shape and same(other, m.J):
            message = say(
                "what backward returns for {other} is the gradient of {name}: the gradients must come "
                "in the order of the arguments ({names})",
                other=name, name=m.name, names=", ".join(m.call.names),
            )  # fmt: skip
            return "wrong_operand", message, None
    return None
