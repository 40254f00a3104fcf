"""From a gradient that is wrong to a sentence about why.

Every rule knows the signature of one kind of mistake (kinds.py) and answers None or (kind, message,
factor).  The rules are asked in order, those whose answer leaves least doubt first; the first answer
is the finding.
"""

from typing import Any

import numpy as np

from ..language import say
from ..report import Finding
from .edges import changed_edge
from .evidence import Call, Mismatch
from .fallback import one_story, structure
from .operands import factor_of_entries, local_derivative, product
from .places import (
    averaged,
    lost_output,
    lost_places,
    mask,
    one_of_a_sum,
    overwritten,
    reordered,
    signs,
    summed_too_far,
    through_time,
    transposed,
    untransposed,
    wrong_axis,
)
from .proportions import constant_factor, exchanged_inputs, zero
from .shapes import wrong_shape
from .terms import row_number, row_term
from .variants import changed_library_backward

RULES = (
    zero, constant_factor, transposed, overwritten, averaged, lost_output, one_of_a_sum,
    lost_places, reordered, product, untransposed, signs, summed_too_far, mask,
    local_derivative, row_term, row_number, through_time, wrong_axis, exchanged_inputs,
    factor_of_entries, changed_library_backward, changed_edge, structure,
)  # fmt: skip
DOUBT: dict[Any, int] = {local_derivative: 1, factor_of_entries: 1, structure: 2}

__all__ = ["Call", "Mismatch", "diagnose", "one_story", "relative_errors", "worst_entry"]


def diagnose(
    call: Call, index: int, analytic: list[Any], numeric: np.ndarray,
    jacobian: np.ndarray | None, tolerance: float,
) -> Finding:  # fmt: skip
    """Say what is wrong with the gradient of one input.

    call       the forward and backward that were checked
    index      of the input among the arguments
    analytic   what backward returned, for each of K cotangents; numeric (K, *shape) the truth
    jacobian   (M, n) the truth for every output, None if it was not kept
    """
    name = call.names[index]
    formal = _wrong_form(name, analytic, numeric, call.outputs)
    if formal:
        return formal
    stacked = np.stack([np.asarray(grad) for grad in analytic])
    place = worst_entry(stacked, numeric)
    details: dict[str, Any] = {
        "worst_index": place[1:],
        "analytic": float(stacked[place]),
        "numeric": float(numeric[place]),
        "relative_error": float(relative_errors(stacked, numeric)[place]),
    }
    if not np.isfinite(stacked).all():
        count = int((~np.isfinite(stacked[0])).sum())
        message = say(
            "{count} of {size} entries of the gradient of {name} are NaN or Inf",
            count=count, size=stacked[0].size, name=name,
        )  # fmt: skip
        return Finding(name, "not_finite", message, **details)
    mismatch = Mismatch(call, index, stacked, numeric, jacobian, tolerance)
    tiny = mismatch.has_matrices and not mismatch.D.any()  # then no other matrix explains it
    for rule in (constant_factor, structure) if tiny else RULES:
        answer = rule(mismatch)
        if answer:
            kind, message, factor = answer
            details["certainty"] = DOUBT.get(rule, 0)
            return Finding(name, kind, message, factor=factor, **details)
    message = say("the gradient of {name} is wrong, and no pattern was found", name=name)
    return Finding(name, "unknown", message, certainty=2, **details)


def _wrong_form(
    name: str, analytic: list[Any], numeric: np.ndarray, outputs: tuple[Any, ...]
) -> Finding | None:
    """The finding on a gradient that has no numbers to compare: None, another shape or dtype."""
    if any(grad is None for grad in analytic):
        message = say("backward returned None for {name}, but the output depends on it", name=name)
        return Finding(name, "zero_gradient", message)
    found = np.asarray(analytic[0])
    if any(np.shape(grad) != found.shape for grad in analytic):
        message = say("the shape of the gradient of {name} differs from call to call", name=name)
        return Finding(name, "wrong_shape", message)
    dtype = next((g.dtype for g in analytic if g.dtype != numeric.dtype), numeric.dtype)
    if found.shape != numeric.shape[1:] and dtype.kind != "c":
        kind, message = wrong_shape(name, analytic, numeric, outputs)
        return Finding(name, kind, message)
    if dtype != numeric.dtype:
        message = say(
            "the gradient of {name} is {found}, but {name} is {dtype}",
            name=name, found=dtype, dtype=numeric.dtype,
        )  # fmt: skip
        return Finding(name, "wrong_dtype", message)
    return None


def relative_errors(analytic: np.ndarray, numeric: np.ndarray) -> np.ndarray:
    """|analytic - numeric| relative to the larger of the two.

    Entries a thousand times smaller than the largest of the array are measured against that
    thousandth: their own digits are lost in the rounding of the finite difference.
    """
    known = np.isfinite(numeric)
    largest = np.abs(numeric[known]).max(initial=0.0)
    scale = np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), max(1e-3 * largest, 1e-9))
    with np.errstate(invalid="ignore"):  # Inf / Inf of an infinite gradient: counted as infinite
        errors = np.abs(analytic - numeric) / scale
    errors[~known] = 0.0
    return np.where(np.isnan(errors) & known, np.inf, errors)


def worst_entry(analytic: np.ndarray, numeric: np.ndarray) -> tuple[int, ...]:
    """The index of the largest relative error."""
    errors = relative_errors(analytic, numeric)
    return tuple(int(i) for i in np.unravel_index(np.argmax(errors), errors.shape))
