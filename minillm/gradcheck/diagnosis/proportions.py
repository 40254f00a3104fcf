"""A gradient that is a constant times the right one, and what that constant tells.

The sizes of a good check are distinct primes, so a factor of 2.6458 = sqrt(7) can only come from the
axis of size 7.  That is why the sentence can say which division is missing.
"""

import math
from collections.abc import Iterator

import numpy as np

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
        message = f"the gradient of {m.name} has the wrong sign everywhere: a minus is missing, "
        message += "or there is one too many"
        return "sign_flipped", message, -1.0
    return "scaled", f"the gradient of {m.name} is {explain_factor(m, factor)}", factor


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
    words = explain_factor(m, factors[worst])
    message = f"the part of the gradient of {m.name} that arrives through output {worst} is {words}"
    return kind, message, factors[worst]


def explain_factor(m: Mismatch, factor: float) -> str:
    """'0.5 times what it should be, everywhere: ...', with the reason if a size or constant is one."""
    sign, size = ("-" if factor < 0 else ""), abs(factor)
    if size > 1.5:
        start = f"{size:.5g} times too large, everywhere" + (
            " (and has the wrong sign)" if sign else ""
        )
    else:
        start = f"{factor:.5g} times what it should be, everywhere"
    for value, words, advice in _explanations(m, size):
        if value > 0 and abs(size / value - 1) < PRECISION:
            return f"{start}: {words}{advice}"
    return start


Explanation = tuple[float, str, str]  # the value, what it is, what to do


def _explanations(m: Mismatch, factor: float) -> Iterator[Explanation]:
    """Every constant that could be behind a factor, simple ones first."""
    sizes = _sizes(m)
    yield from _powers(sizes)
    yield from _options(m)
    for words, value in CONSTANTS.items():
        yield value, f"a constant {words} too many", ""
        yield 1 / value, f"a constant {words} is missing", ""
    yield from _pairs(sizes)
    for n, where in sizes.items():
        less = f": divided by {n - 1} instead of {n}"
        yield n / (n - 1), f"that is {n}/{n - 1}, and {where}", less
        more = f": divided by {n} instead of {n - 1}"
        yield (n - 1) / n, f"that is {n - 1}/{n}, and {where}", more
        yield n * n, f"that is {n} squared, and {where}", f": the division by {n} is missing twice"


def _powers(sizes: dict[int, str]) -> Iterator[Explanation]:
    """Sizes, their roots, and the inverses."""
    for n, where in sizes.items():
        missing, twice = "the division by {} is missing", "the division by {} is done twice"
        root = f"sqrt({n})"
        yield n**0.5, f"that is {root}, and {where}", ": " + missing.format(root)
        yield n**-0.5, f"that is 1/{root}, and {where}", ": " + twice.format(root)
        yield n, f"that is {n}, and {where}", ": " + missing.format(n)
        mean = f": divided by {n} once too often (a mean, not a sum)"
        yield 1 / n, f"that is 1/{n}, and {where}", mean


def _options(m: Mismatch) -> Iterator[Explanation]:
    """The numbers among the arguments, such as dropout's p and the scale of attention."""
    for name, value in _scalars(m):
        yield value, f"that is {name}", f": the division by {name} is missing"
        yield 1 / value, f"that is 1/{name}", f": the factor {name} is missing"
        if 0 < value < 1:
            rest = f"1 - {name}"
            yield 1 - value, f"that is {rest}", f": the division by {rest} is missing"
            yield 1 / (1 - value), f"that is 1 / ({rest})", f": the factor {rest} is missing"


def _pairs(sizes: dict[int, str]) -> Iterator[Explanation]:
    """Products, then quotients, of two sizes."""
    pairs = [(a, b) for a in sizes for b in sizes if a < b]
    for a, b in pairs:
        product = f"that is {a} * {b}, and {sizes[a]}"
        yield a * b, product, f": the division by {a * b} is missing"
        mean = ": divided by both once too often (a mean, not a sum)"
        yield 1 / (a * b), f"that is 1/({a} * {b}), and {sizes[a]}", mean
    for a, b in pairs:
        for x, y in ((a, b), (b, a)):
            over = ": the mean is taken over the wrong axis"
            yield x / y, f"that is {x}/{y}, and {sizes[a]}", over


def _sizes(m: Mismatch) -> dict[int, str]:
    """Every size above 1 of an axis or array, with words for where it is found."""
    sizes: dict[int, str] = {}
    everything = [(m.name, m.shape)]
    everything += [(n, np.shape(x)) for n, x in zip(m.call.names, m.call.inputs, strict=True)]
    several = len(m.call.outputs) > 1
    everything += [(f"output {j}" if several else "the output", np.shape(o))
                   for j, o in enumerate(m.call.outputs)]  # fmt: skip
    for label, shape in everything:
        letters = m.call.shapes.get(label, [])
        for a, n in reversed(list(enumerate(shape))):
            letter = letters[a] if len(letters) == len(shape) else ""
            words = f"{letter} = {n}" if letter.isalpha() else f"axis {a} of {label} has size {n}"
            sizes.setdefault(int(n), words)
    for label, shape in everything:
        if len(shape) > 1:
            sizes.setdefault(int(np.prod(shape)), f"{label} has {int(np.prod(shape))} entries")
    for label, ids in m.call.integers:
        kept = int((ids >= 0).sum())
        sizes.setdefault(kept, f"{kept} entries of {label} count")
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
    message = (
        f"the gradient of {m.name} is zero everywhere, but the output depends on {m.name}: the way "
        "back to it is cut (forgotten, detached, or overwritten by zeros)"
    )
    return "zero_gradient", message, None


def exchanged_inputs(m: Mismatch) -> Named | None:
    """The gradient of another input of the same shape is returned."""
    for i, name in enumerate(m.call.names):
        other = m.call.matrices[i] if i != m.index and m.has_matrices else None
        if other is not None and other.shape == m.B.shape and same(other, m.J):
            message = (
                f"what backward returns for {name} is the gradient of {m.name}: the gradients must "
                f"come in the order of the arguments ({', '.join(m.call.names)})"
            )
            return "wrong_operand", message, None
    return None
