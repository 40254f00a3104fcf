"""Checks of numbers that somebody gave, and the one sentence each failure gives."""

import math
from numbers import Integral, Real
from typing import Any


def is_whole(value: Any) -> bool:
    """An integer of Python or NumPy; True and False are none.

    >>> is_whole(3), is_whole(3.0), is_whole(True), is_whole("3")
    (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """An integer or a floating number of Python or NumPy; True and False are none.

    >>> is_number(3), is_number(0.5), is_number(True), is_number("3")
    (True, True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def require_whole(where: str, name: str, value: Any, least: int = 1) -> None:
    """A count: an integer that is not too small.

    Raises   ValueError that names the argument, what it is and what it should be

    >>> require_whole("fit", "steps", 2.5)
    Traceback (most recent call last):
    ValueError: fit: steps must be an integer of at least 1, got 2.5
    """
    if not is_whole(value) or value < least:
        raise ValueError(f"{where}: {name} must be an integer of at least {least}, got {value!r}")


def require_number(where: str, name: str, value: Any, least: float = -math.inf) -> None:
    """A number to compute with: neither NaN nor infinite, and not too small.

    Raises   ValueError that names the argument, what it is and what it should be

    >>> require_number("SGD", "lr", "1e-3", least=0)
    Traceback (most recent call last):
    ValueError: SGD: lr must be a finite number, got '1e-3'
    """
    if not is_number(value) or not math.isfinite(value):
        raise ValueError(f"{where}: {name} must be a finite number, got {value!r}")
    if value < least:
        raise ValueError(f"{where}: {name} must be at least {least:g}, got {value!r}")
