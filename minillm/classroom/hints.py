"""How much a student is told about a mistake."""

from typing import Any

from ..gradcheck.kinds import FORWARD_KINDS, KINDS

LEVELS = {
    0: "pass or fail",
    1: "where: the function and the input",
    2: "what kind of mistake",
    3: "the whole sentence, with numbers",
}


def hint(finding: Any, level: int) -> str:
    """One finding in as many words as the level allows; "" at level 0.

    finding     anything with .input, .kind and .message
    level       0 nothing, 1 where, 2 what kind, 3 the whole sentence

    >>> from minillm.gradcheck import Finding
    >>> finding = Finding("x", "scaled", "the gradient of x is 2 times too large: ...")
    >>> [hint(finding, level) for level in (0, 1)]
    ['', 'x']
    >>> hint(finding, 2)
    'x: scaled (every entry is the same constant times what it should be)'
    >>> hint(finding, 3)
    'x: scaled: the gradient of x is 2 times too large: ...'
    """
    require_level(level)
    if level == 0:
        return ""
    if level == 1:
        return finding.input
    if level == 2:
        meaning = {**KINDS, **FORWARD_KINDS}.get(finding.kind, "")
        return f"{finding.input}: {finding.kind}" + (f" ({meaning})" if meaning else "")
    return f"{finding.input}: {finding.kind}: {finding.message}"


def hints(findings: Any, level: int) -> list[str]:
    """The hints to several findings, each once, in order.

    >>> from minillm.gradcheck import Finding
    >>> hints([Finding("x", "scaled", "a"), Finding("x", "unknown", "b")], 1)
    ['x']
    """
    return list(dict.fromkeys(text for finding in findings if (text := hint(finding, level))))


def require_level(level: int) -> None:
    """Raise a ValueError unless the level is one of LEVELS."""
    if level not in LEVELS:
        raise ValueError(f"the hint level must be 0, 1, 2 or 3, got {level!r}")
