"""How other tools check a gradient, in pure NumPy: a stand-in for each tool that is not installed.

Each method is a function method(problem, rng) that returns "" if it accepts the backward, and else
what it would tell the user.  Steps, tolerances and random draws are those of the tool's defaults.
What a tool's engine does before the check sees a gradient is part of its method: PyTorch sums a
gradient down to the shape of its input and casts its dtype.
"""

import copy
import re
import time
from dataclasses import dataclass

import numpy as np

from minillm.gradcheck.inputs import argument_names, fresh, to_float64, unflatten
from minillm.gradcheck.kinds import KINDS
from minillm.ops.checks import is_floating


class Rejected(Exception):
    """The backward cannot be compared; the text says why."""


@dataclass(frozen=True)
class Verdict:
    """What one check says: accepted or not, its message, the seconds it took."""

    accepted: bool
    message: str
    seconds: float


class Problem:
    """A forward and a backward on copies of one set of inputs.

    inputs    all inputs, floating arrays in float64
    places    the positions of those that get a gradient
    """

    def __init__(self, forward, backward, inputs, options):
        self.forward, self.backward = forward, backward
        self.inputs = [to_float64(x) for x in inputs]
        self.options = copy.deepcopy(options)
        data = getattr(forward, "no_gradient", ())
        names = argument_names(forward, len(inputs))
        self.places = [
            i for i, name in enumerate(names) if is_floating(self.inputs[i]) and name not in data
        ]
        self.several = False  # whether forward returns a tuple of outputs

    @property
    def arrays(self):
        """The inputs that get a gradient."""
        return [self.inputs[i] for i in self.places]

    def run(self, arrays=None):
        """(outputs, saved) of one forward, on other arrays in the places if they are given."""
        inputs = list(self.inputs)
        for place, array in zip(self.places, arrays or self.arrays, strict=True):
            inputs[place] = array
        out, saved = self.forward(*inputs, **fresh(self.options))  # the same dropout mask each time
        self.several = isinstance(out, tuple)
        return tuple(map(np.asarray, out if self.several else (out,))), saved

    def flat(self, arrays):
        """All entries of all outputs as one vector."""
        return np.concatenate([out.ravel() for out in self.run(arrays)[0]])

    def call_backward(self, weights, saved):
        """backward as it stands: whatever it returns."""
        return self.backward(tuple(weights) if self.several else weights[0], saved)

    def gradients(self, weights, saved):
        """What backward returns for the places, and what it returns too much; None stays None."""
        grads = self.call_backward(weights, saved)
        rest = [i for i in range(len(grads)) if i in self.places or i >= len(self.inputs)]
        return [None if grads[i] is None else np.asarray(grads[i]) for i in rest]

    def pull_back(self, flat_weights, outs, saved):
        """One gradient for each place, None included; `Rejected` if their number is wrong."""
        grads = self.gradients(unflatten(flat_weights, outs), saved)
        if len(grads) != len(self.places):
            raise Rejected(f"wrong number of gradients: {len(grads)} for {len(self.places)} inputs")
        return grads

    def slope(self, direction, step):
        """The derivative of all outputs along a direction: one array for each place."""
        ahead = [x + step * d for x, d in zip(self.arrays, direction, strict=True)]
        behind = [x - step * d for x, d in zip(self.arrays, direction, strict=True)]
        return (self.flat(ahead) - self.flat(behind)) / (2 * step)

    def along(self, position, array):
        """A direction that is zero but for one place."""
        return [array if i == position else np.zeros_like(x) for i, x in enumerate(self.arrays)]

    def jacobian(self, position, step):
        """(entries of one input, entries of all outputs), by central differences."""
        x = self.arrays[position]
        units = np.eye(x.size).reshape(x.size, *x.shape)
        return np.array([self.slope(self.along(position, unit), step) for unit in units])


def check(method, forward, backward, inputs, options, seed=0):
    """One check by one method, as a `Verdict`; an exception rejects."""
    problem = Problem(forward, backward, inputs, options)
    start = time.perf_counter()
    try:
        with np.errstate(all="ignore"):
            message = method(problem, np.random.default_rng(seed))
    except Exception as error:  # whatever a wrong backward or the tool raises, the user sees it
        message = f"{type(error).__name__}: {error}"
    return Verdict(not message, message, time.perf_counter() - start)


# ---- the methods ---------------------------------------------------------------------------------


def torch_full(problem, rng):
    """torch.autograd.gradcheck: every entry of the Jacobian of every input and output."""
    del rng  # nothing is drawn
    outs, saved = problem.run()
    rows = np.eye(sum(out.size for out in outs))
    numeric = [problem.jacobian(i, 1e-6) for i in range(len(problem.places))]
    first, again = ([_torch_gradients(problem, row, outs, saved) for row in rows] for _ in range(2))
    message = _torch_repeats(first, again)
    for i, expected in enumerate(numeric):
        found = np.array([grads[i].ravel() for grads in first]).T
        if not message and not np.allclose(found, expected, rtol=1e-3, atol=1e-5):
            message = _pair(f"Jacobian mismatch with respect to input {i}", expected, found)
    return message or _torch_zero(problem, outs, saved)


def torch_fast(problem, rng):
    """torch.autograd.gradcheck(fast_mode=True): one projection for each input and output."""
    outs, saved = problem.run()
    along = [_positive(x.shape, rng) for x in problem.arrays]
    weights = [_positive(out.shape, rng) for out in outs]
    slopes = [problem.slope(problem.along(i, u), 1e-6) for i, u in enumerate(along)]
    for o, weight in enumerate(weights):
        chosen = [w if p == o else 0 * w for p, w in enumerate(weights)]
        flat = np.concatenate([w.ravel() for w in chosen])
        # both runs get the same arrays, so that a backward that writes into grad_out shows up
        first, again = (_torch_engine(problem, problem.gradients(chosen, saved)) for _ in range(2))
        message = _torch_repeats([first], [again])
        for i, u in enumerate(along):
            numeric = flat @ slopes[i]
            analytic = np.sum(first[i] * u)
            tolerance = 1e-5 * u.sum() * weight.sum()
            if not message and not np.allclose(analytic, numeric, rtol=1e-3, atol=tolerance):
                message = _pair(f"Jacobian mismatch with respect to input {i}", numeric, analytic)
        if message:
            return message
    return _torch_zero(problem, outs, saved)


def jax_direction(problem, rng):
    """jax.test_util.check_grads(order=1, modes=["rev"]): one number for the whole function."""
    for x in problem.arrays:
        x.flags.writeable = False  # JAX's arrays cannot be written to
    outs, saved = problem.run()
    direction = [rng.standard_normal(x.shape) for x in problem.arrays]
    weights = rng.standard_normal(sum(out.size for out in outs))
    grads = problem.gradients(unflatten(weights, outs), saved)
    if len(grads) != len(problem.places):
        raise Rejected("the container structure of the gradients is wrong")
    analytic = 0.0
    for x, d, grad in zip(problem.arrays, direction, grads, strict=True):
        if grad is None:
            continue  # it stands for zeros
        if grad.shape != x.shape:
            return f"the gradient must have the same type: {grad.shape} for {x.shape}"
        analytic += np.sum(grad * d)
    numeric = weights @ problem.slope(direction, 1e-4)
    if np.allclose(analytic, numeric, rtol=1e-5, atol=1e-5):
        return ""
    return _pair("Not equal to tolerance: VJP cotangent projection", numeric, analytic)


def hips_direction(problem, rng):
    """autograd.test_util.check_grads(modes=["rev"], order=1): one number for the whole function."""
    outs, saved = problem.run()
    direction = [rng.standard_normal(x.shape) for x in problem.arrays]
    weights = [rng.standard_normal(out.shape) for out in outs]
    grads = problem.gradients(weights, saved)  # not a copy of the weights: it may write into them
    analytic = 0.0
    for i, (x, d) in enumerate(zip(problem.arrays, direction, strict=True)):
        total = np.zeros_like(x)
        total += grads[i]  # casts, broadcasts or raises, as autograd does when it adds gradients up
        analytic += np.sum(total * d)
    numeric = np.concatenate([w.ravel() for w in weights]) @ problem.slope(direction, 5e-7)
    distance = abs(numeric - analytic)
    if distance < 1e-6 or distance / abs(numeric + analytic) < 1e-6:
        return ""
    return f"Derivative (VJP) check failed: analytic: {analytic} numeric: {numeric}"


def dezero_sum(problem, rng):
    """DeZero's gradient_check: every entry, but of the gradient of the sum of the output."""
    del rng  # nothing is drawn
    for x, grad, numeric in _of_the_sum(problem, 1e-4):
        if grad.shape != x.shape:
            return f"AssertionError: shapes {grad.shape} and {x.shape}"
        if not np.allclose(numeric, grad, rtol=1e-4, atol=1e-5):
            return _pair("FAILED (Gradient Check)", numeric.ravel()[:10], grad.ravel()[:10])
    return ""


def minitorch_sum(problem, rng):
    """minitorch's grad_check: one random entry of each input, of the gradient of the sum."""
    outs, saved = problem.run()
    ones = np.ones(sum(out.size for out in outs))
    for i, (x, grad) in enumerate(
        zip(problem.arrays, problem.pull_back(ones, outs, saved), strict=True)
    ):
        if grad is None or grad.shape != x.shape:
            raise Rejected(f"the shape of the gradient of input {i} is wrong")
        index = tuple(rng.integers(0, n) for n in x.shape)
        unit = np.zeros_like(x)
        unit[index] = 1.0
        numeric = problem.slope(problem.along(i, unit), 1e-6).sum()
        if not np.allclose(grad[index], numeric, rtol=1e-2, atol=1e-2):
            return (
                f"Received derivative {grad[index]:f} for argument {i} and index {index}, but was "
                f"expecting derivative {numeric:f} from central difference."
            )
    return ""


def needle_sum(problem, rng):
    """CMU needle's gradient_check: the absolute distance of the gradients of the sum, in all."""
    del rng  # nothing is drawn
    error = sum(np.linalg.norm(grad - numeric) for _, grad, numeric in _of_the_sum(problem, 1e-4))
    return "" if error < 1e-6 else "AssertionError"  # a bare assert, as in its tests


def cs231n_relative(problem, rng):
    """CS231n: every entry for a random grad_out; the largest relative error, read by a person."""
    outs, saved = problem.run()
    weights = rng.standard_normal(sum(out.size for out in outs))
    for i, grad in enumerate(problem.pull_back(weights, outs, saved)):
        x = problem.arrays[i]
        numeric = (problem.jacobian(i, 1e-5) @ weights).reshape(x.shape)
        error = np.max(abs(grad - numeric) / np.maximum(1e-8, abs(grad) + abs(numeric)))
        if not error <= 1e-4:  # NaN is not
            return f"error of input {i}: {error:e}"
    return ""


# ---- parts of several methods --------------------------------------------------------------------


def _of_the_sum(problem, step):
    """(input, its gradient, the numerical one) of the sum of all outputs, for each place."""
    outs, saved = problem.run()
    ones = np.ones(sum(out.size for out in outs))
    grads = problem.pull_back(ones, outs, saved)
    for i, (x, grad) in enumerate(zip(problem.arrays, grads, strict=True)):
        if grad is None:
            raise Rejected(f"input {i} has no gradient")
        yield x, grad, problem.jacobian(i, step).sum(axis=1).reshape(x.shape)


def _positive(shape, rng):
    vector = rng.random(shape)
    return vector / np.linalg.norm(vector)


def _torch_gradients(problem, flat_weights, outs, saved):
    """The gradients after PyTorch's engine, for weights of their own."""
    return _torch_engine(problem, problem.gradients(unflatten(flat_weights, outs), saved))


def _torch_engine(problem, grads):
    """What PyTorch's engine makes of gradients: None is zero, shapes are summed, dtypes cast."""
    found = []
    if len(grads) != len(problem.places):
        raise Rejected(f"incorrect number of gradients ({len(grads)})")
    for i, (x, grad) in enumerate(zip(problem.arrays, grads, strict=True)):
        grad = np.zeros_like(x) if grad is None else grad
        lead = grad.ndim - x.ndim
        if lead < 0 or any(
            n not in (1, m) for n, m in zip(x.shape, grad.shape[lead:], strict=True)
        ):
            raise Rejected(
                f"invalid gradient at index {i} - got {grad.shape} but expected shape compatible "
                f"with {x.shape}"
            )
        ones = tuple(lead + axis for axis, n in enumerate(x.shape) if n == 1)
        found.append(grad.sum(axis=(*range(lead), *ones)).reshape(x.shape).astype(x.dtype))
    return found


def _torch_repeats(first, again):
    """The complaint about a second backward that gives something else; "" if it does not."""
    same = all(
        np.array_equal(a, b, equal_nan=True)
        for one, two in zip(first, again, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    return "" if same else "Backward is not reentrant"


def _torch_zero(problem, outs, saved):
    """The complaint about gradients that are not zero for a grad_out of zeros."""
    zeros = np.zeros(sum(out.size for out in outs))
    grads = _torch_gradients(problem, zeros, outs, saved)
    return "backward not multiplied by grad_output" if any(map(np.any, grads)) else ""


def _pair(text, numeric, analytic):
    return f"{text}\nnumerical: {numeric}\nanalytical: {analytic}"


# ---- what the table says of them -----------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """A row of the comparison.

    title      the tool and the mode
    compares   what its check compares, with step and tolerances
    function   the name of the method, here and in checker_peers.py
    module     what must be importable for the tool itself; "" if only the stand-in is run
    """

    title: str
    compares: str
    function: str
    module: str = ""


METHODS = {
    "minillm": Method(
        "minillm `check_gradients`",
        "every entry for 2 random weightings of the output, a step per entry, 1e-6 relative; and "
        "linearity, repetition, overwriting, shapes, dtypes",
        "minillm_check",
        "minillm",
    ),
    "torch": Method(
        "PyTorch `gradcheck`",
        "the whole Jacobian; eps 1e-6, atol 1e-5, rtol 1e-3; runs twice, and with zeros",
        "torch_full",
        "torch",
    ),
    "torch-fast": Method(
        "PyTorch `gradcheck`, fast",
        "one random projection for each pair of input and output; eps 1e-6, atol 1e-5, rtol 1e-3; "
        "runs twice, and with zeros",
        "torch_fast",
        "torch",
    ),
    "jax": Method(
        "JAX `check_grads`",
        "one number: one random direction, one random weighting; eps 1e-4, 1e-5",
        "jax_direction",
        "jax",
    ),
    "hips": Method(
        "HIPS autograd `check_grads`",
        "one number: one random direction, one random weighting; eps 1e-6, 1e-6",
        "hips_direction",
        "autograd",
    ),
    "cs231n": Method(
        "CS231n, relative error",
        "every entry for a random weighting; h 1e-5; a person reads the largest relative error, "
        "here above 1e-4 rejects",
        "cs231n_relative",
    ),
    "dezero": Method(
        "DeZero `gradient_check`",
        "every entry, for the *sum* of the output; eps 1e-4, rtol 1e-4, atol 1e-5",
        "dezero_sum",
    ),
    "needle": Method(
        "CMU needle `gradient_check`",
        "every entry, for the *sum* of the output; eps 1e-4, absolute distance of all below 1e-6",
        "needle_sum",
    ),
    "minitorch": Method(
        "minitorch `grad_check`",
        "one random entry of each input, for the *sum* of the output; eps 1e-6, 1e-2",
        "minitorch_sum",
    ),
}


# ---- does the message name the mistake? ----------------------------------------------------------

NAMES = {  # the first pattern that is found in a message decides
    "not multiplied by grad_output|all input grads to be undefined or zero": "ignores_upstream",
    "not reentrant|read-only": "mutated_input",
    "invalid gradient at index|incorrect size|number of gradients|container .*structure": (
        "wrong_shape"
    ),
    r"same type as the args|have the same type|AssertionError: shapes|shape of the gradient": (
        "wrong_shape"
    ),
    "could not be broadcast|non-broadcastable": "wrong_shape",
    "dtype mismatch|incorrect type": "wrong_dtype",
    "has no gradient": "zero_gradient",
    r"(?i)\b(nan|inf)\b": "not_finite",
}


def named_kind(message):
    """The kind of mistake that a message speaks of; None if it only shows numbers.

    minillm's messages begin with the kind.  For the others NAMES is generous: a message that shows a
    NaN counts as naming it.

    >>> named_kind("backward not multiplied by grad_output")
    'ignores_upstream'
    """
    first = message.partition(":")[0]
    if first in KINDS:
        return first
    return next((kind for pattern, kind in NAMES.items() if re.search(pattern, message)), None)
