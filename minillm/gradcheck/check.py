"""The three gradient checks: of a pure pair, of a function of Tensors, of a model.

All of them compare an analytic gradient with the numerical one (numeric.py) in float64, for several
random cotangents, and return a GradientReport.
"""

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import default_generator, is_array, to_numpy
from ..ops.checks import is_floating
from .diagnosis import diagnose, relative_errors
from .numeric import flatten, numerical_gradient, rounding_noise
from .report import Finding, GradientReport, InputCheck
from .settings import GradientSettings


def check_gradients(
    forward: Callable,
    backward: Callable,
    *inputs: Any,
    settings: GradientSettings | None = None,
    **options: Any,
) -> GradientReport:
    """Hold a hand-written backward against the numerical gradient of its forward.

    forward    forward(*inputs, **options) -> (out, saved); out may be a tuple of outputs
    backward   backward(grad_out, saved) -> a tuple with one gradient for each input
    inputs     arrays are checked in float64, every entry; integers, None and numbers are passed on
    options    go to forward untouched; every random generator among them is copied before each
               call, so that a dropout mask stays the same

    A wrong backward always gives a report, never an exception.

    >>> import numpy as np
    >>> from minillm import ops
    >>> x = np.random.default_rng(0).standard_normal((3, 5))
    >>> report = check_gradients(ops.softmax_forward, ops.softmax_backward, x)
    >>> report.passed
    True
    """
    settings = settings or GradientSettings()
    name = getattr(forward, "__name__", "forward").removesuffix("_forward")
    report = GradientReport(name, tolerance=settings.tolerance)
    report.data = getattr(forward, "no_gradient", ())
    arrays = [_to_float64(x) for x in inputs]
    names = _argument_names(forward, len(inputs))

    def call() -> tuple[Any, Any]:
        with _same_randomness():
            return forward(*arrays, **_fresh(options))

    before = copy.deepcopy(arrays)
    out, saved = call()
    for argument, old, new in zip(names, before, arrays, strict=True):
        if not _equal(old, new):
            _report_mutation(report, argument, "forward")
    arrays[:] = copy.deepcopy(before)
    outs = out if isinstance(out, tuple) else (out,)
    if not _finite_outputs(report, outs):
        return report
    weights = _cotangents(outs, settings)
    gradients = []  # for each cotangent what backward returned
    for weight in weights:
        grad_out: Any = _unflatten(weight, outs)
        _, saved = call()
        grad_out = grad_out if isinstance(out, tuple) else grad_out[0]
        grads = _call_backward(report, backward, grad_out, saved, names)
        for argument, old, new in zip(names, before, arrays, strict=True):
            if not _equal(old, new):
                _report_mutation(report, argument, "backward")
        arrays[:] = copy.deepcopy(before)
        if grads is None:
            return report
        gradients.append(grads)

    def outputs() -> np.ndarray:
        out, _ = call()
        return flatten(out if isinstance(out, tuple) else (out,))

    _compare_all(report, settings, outputs, weights, names, arrays, gradients)
    for i, (argument, array) in enumerate(zip(names, arrays, strict=True)):
        if not is_floating(array) and any(grads[i] is not None for grads in gradients):
            report.notes.append(f"{argument} is not floating: its gradient should be None")
    return report


def check_function(
    fn: Callable, *tensors: Any, settings: GradientSettings | None = None
) -> GradientReport:
    """Hold the engine's gradients of a function of Tensors against numerical ones.

    fn        fn(*tensors) -> a Tensor or a tuple of Tensors
    tensors   Tensors or arrays; floating ones are checked, in float64, every entry

    >>> from minillm import Tensor
    >>> check_function(lambda x: (x * x).sum(), Tensor([1.0, 2.0, 3.0])).passed
    True
    """
    settings = settings or GradientSettings()
    report = GradientReport(getattr(fn, "__name__", "function"), tolerance=settings.tolerance)
    arrays = [_to_float64(x.data if isinstance(x, Tensor) else x) for x in tensors]
    names = _argument_names(fn, len(arrays))

    def call(wrapped: list[Any]) -> tuple[Tensor, ...]:
        with _same_randomness():
            out = fn(*wrapped)
        return out if isinstance(out, tuple) else (out,)

    def outputs() -> np.ndarray:
        with no_grad():
            outs = call([Tensor(x) if is_array(x) else x for x in arrays])
        return flatten(out.data for out in outs)

    outs = call([Tensor(x) if is_array(x) else x for x in arrays])
    if not _finite_outputs(report, [out.data for out in outs]):
        return report
    weights = _cotangents([out.data for out in outs], settings)
    gradients = []
    for weight in weights:
        leaves = [Tensor(x, is_floating(x)) if is_array(x) else x for x in arrays]
        _backward_through(call(leaves), weight)
        gradients.append([_leaf_gradient(leaf) for leaf in leaves])
    _compare_all(report, settings, outputs, weights, names, arrays, gradients)
    return report


def check_model(
    model: Any, *inputs: Any, settings: GradientSettings | None = None, **options: Any
) -> GradientReport:
    """Hold the gradients of all parameters of a model against numerical ones.

    model      anything with named_parameters(), called as model(*inputs, **options); its output is
               a Tensor, or has `.loss` (used if it is not None) or `.logits`
    settings   max_entries random entries of each parameter are checked; None for all

    The parameters are float64 during the check and get their values and dtype back after it.

    >>> import numpy as np
    >>> from minillm.nn import Linear
    >>> check_model(Linear(3, 2), np.ones((5, 3))).passed
    True
    """
    settings = settings or GradientSettings()
    report = GradientReport(type(model).__name__, tolerance=settings.tolerance)
    rng = np.random.default_rng(settings.seed)
    everything = list(model.named_parameters())
    parameters = [(n, p) for n, p in everything if p.requires_grad]
    inputs = tuple(_model_input(x) for x in inputs)
    options = {name: _model_input(x) for name, x in options.items()}
    generators = [
        m.rng for m in getattr(model, "modules", list)() if _is_generator(getattr(m, "rng", None))
    ]

    def call() -> tuple[Tensor, ...]:
        with _same_randomness(*generators):
            out = model(*inputs, **options)
        if getattr(out, "loss", None) is not None:
            out = out.loss
        out = getattr(out, "logits", out)
        return out if isinstance(out, tuple) else (out,)

    def outputs() -> np.ndarray:
        with no_grad():
            return flatten(out.data for out in call())

    with _in_float64(everything):
        outs = [out.data for out in call()]
        if not _finite_outputs(report, outs):
            return report
        weights = _cotangents(outs, settings)
        gradients: list[list[Any]] = []
        for weight in weights:
            for _, p in parameters:
                p.grad = None
            _backward_through(call(), weight)
            gradients.append([_leaf_gradient(p) for _, p in parameters])
        for i, (name, p) in enumerate(parameters):
            count = p.size if settings.max_entries is None else min(settings.max_entries, p.size)
            entries = sorted(rng.choice(p.size, size=count, replace=False).tolist())
            numeric, skipped = numerical_gradient(outputs, p.data, weights, settings.step, entries)
            noise = rounding_noise(outputs, p.data, weights, settings.step)
            _compare(report, name, [grads[i] for grads in gradients], numeric, skipped, noise)
    return report


# ------------------------------------------------------------------------------ comparison


def _compare_all(
    report: GradientReport,
    settings: GradientSettings,
    outputs: Callable[[], np.ndarray],
    weights: np.ndarray,
    names: list[str],
    arrays: list[Any],
    gradients: list[Any],
) -> None:
    """Compare the gradient of every floating input, one after the other."""
    for i, (name, array) in enumerate(zip(names, arrays, strict=True)):
        if name in report.data:
            report.notes.append(f"{name} is data: it gets no gradient")
        elif is_floating(array):
            numeric, skipped = numerical_gradient(outputs, array, weights, settings.step)
            noise = rounding_noise(outputs, array, weights, settings.step)
            _compare(report, name, [grads[i] for grads in gradients], numeric, skipped, noise)


def _compare(
    report: GradientReport,
    name: str,
    analytic: list[Any],
    numeric: np.ndarray,
    skipped: list,
    noise: float,
) -> None:
    """Add the row of one input to the report, and a finding if its gradient is wrong."""
    row = InputCheck(name, numeric.shape[1:])
    report.inputs.append(row)
    if skipped:
        report.notes.append(
            f"{name}: {len(skipped)} entries skipped, the function is not finite around them, "
            f"the first at {list(skipped[0])}"
        )
    if skipped and len(skipped) == row.size:
        row.note = "not compared"
        message = f"no entry of {name} could be compared: the function is not finite around them"
        report.findings.append(Finding(name, "not_finite", message))
        return
    comparable = all(
        grad is not None and grad.shape == row.shape and grad.dtype == numeric.dtype
        for grad in analytic
    )
    if not comparable:
        row.note = "wrong shape or dtype"
        report.findings.append(diagnose(name, analytic, numeric, report.tolerance))
        return
    stacked = np.stack(analytic)
    errors = relative_errors(stacked, numeric)
    # a difference that rounding alone explains is no error, however small the gradient is
    explained = np.abs(stacked - numeric) <= noise
    errors = np.where(explained, np.minimum(errors, report.tolerance), errors)
    compared = np.where(np.isfinite(numeric), errors, -1.0)
    row.checked = int(np.isfinite(numeric[0]).sum())
    if not row.checked:
        row.note = "no entries"
        return
    row.errors = errors.max(axis=0)
    place = tuple(int(i) for i in np.unravel_index(np.argmax(compared), errors.shape))
    row.worst_index, row.relative_error = place[1:], float(errors[place])
    row.analytic, row.numeric = float(stacked[place]), float(numeric[place])
    if not np.nan_to_num(numeric).any() and not stacked.any():
        report.notes.append(
            f"{name}: every gradient is zero, so this input was not really tested (vacuous check)"
        )
    if row.relative_error > report.tolerance:
        report.findings.append(diagnose(name, analytic, numeric, report.tolerance))


def _call_backward(
    report: GradientReport, backward: Callable, grad_out: Any, saved: Any, names: list[str]
) -> tuple | None:
    """backward(grad_out, saved), with everything that can go wrong turned into findings."""
    grad_before, saved_before = copy.deepcopy(grad_out), copy.deepcopy(saved)
    try:
        with np.errstate(all="ignore"):
            grads = backward(grad_out, saved)
    except Exception as error:  # the checked code is a student's: whatever it raises is a finding
        message = f"backward raised {type(error).__name__}: {error}"
        report.findings.append(Finding("backward", "unknown", message))
        return None
    if not _equal(grad_before, grad_out):
        _report_mutation(report, "grad_out", "backward")
    if not _equal(saved_before, saved):
        _report_mutation(report, "saved", "backward")
    if not isinstance(grads, tuple) or len(grads) != len(names):
        found = f"{len(grads)} gradients" if isinstance(grads, tuple) else type(grads).__name__
        report.findings.append(
            Finding(
                "backward",
                "wrong_shape",
                f"backward must return a tuple of {len(names)} gradients, one for each of "
                f"({', '.join(names)}), got {found}",
            )
        )
        return None
    try:
        return tuple(None if grad is None else _as_numbers(grad) for grad in grads)
    except (ValueError, TypeError) as error:
        message = f"backward returned something that is not an array of numbers: {error}"
        report.findings.append(Finding("backward", "wrong_dtype", message))
        return None


def _as_numbers(grad: Any) -> np.ndarray:
    array = to_numpy(grad)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{type(grad).__name__} of {array.dtype}")
    return array


def _finite_outputs(report: GradientReport, outs: Any) -> bool:
    """True if there is something to differentiate; a finding if forward gives NaN or Inf."""
    for number, out in enumerate(outs):
        bad = ~np.isfinite(np.asarray(out, dtype=np.float64))
        if bad.any():
            place = [int(i) for i in np.argwhere(bad)[0]]
            message = (
                f"forward gives NaN or Inf for these inputs (output {number} at {place}): there is "
                "no gradient to check; choose inputs inside the domain of the function"
            )
            report.findings.append(Finding("forward", "not_finite", message))
            return False
    return True


def _report_mutation(report: GradientReport, what: str, who: str) -> None:
    """One finding for each overwritten array, however often it was seen."""
    if not any(f.input == what and f.kind == "mutated_input" for f in report.findings):
        report.findings.append(
            Finding(
                what,
                "mutated_input",
                f"{who} overwrote {what}, which others still need: work on a copy, or on a buffer "
                "that was allocated in the same function",
            )
        )


def _backward_through(outs: tuple[Tensor, ...], weight: np.ndarray) -> None:
    """Differentiate <weight, outs>."""
    total: Any = None
    for out, part in zip(outs, _unflatten(weight, [o.data for o in outs]), strict=True):
        if out.requires_grad:
            term = (out * part).sum()
            total = term if total is None else total + term
    if total is not None:
        total.backward()


def _leaf_gradient(leaf: Any) -> Any:
    """The gradient of a leaf; zeros if nothing depends on it."""
    if not isinstance(leaf, Tensor) or not leaf.requires_grad:
        return None
    return np.zeros_like(leaf.data) if leaf.grad is None else to_numpy(leaf.grad)


# ---------------------------------------------------------------------------------- inputs


def _to_float64(x: Any) -> Any:
    """A contiguous float64 copy of a floating array; other things as they are."""
    if isinstance(x, (list, np.ndarray)) or is_array(x):
        array = to_numpy(x) if is_array(x) else np.asarray(x)
        return np.array(array, dtype=np.float64 if array.dtype.kind == "f" else None, order="C")
    return x


def _model_input(x: Any) -> Any:
    """A floating array or Tensor in float64, for a model whose parameters are; else as it is."""
    array = x.data if isinstance(x, Tensor) else x
    if not is_floating(array):
        return x
    return Tensor(_to_float64(array)) if isinstance(x, Tensor) else _to_float64(array)


def _argument_names(function: Callable, count: int) -> list[str]:
    """The names of the first `count` arguments; names[0], names[1], … for *arguments."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        parameters = []
    plain = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    variadic = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL]
    rest = variadic[0] if variadic else "input"
    return [plain[i] if i < len(plain) else f"{rest}[{i - len(plain)}]" for i in range(count)]


def _cotangents(outs: Any, settings: GradientSettings) -> np.ndarray:
    """(K, M) random weights for all entries of all outputs."""
    size = sum(np.asarray(out).size for out in outs)
    rng = np.random.default_rng(settings.seed + 1)
    return rng.standard_normal((settings.cotangents, size))


def _unflatten(weight: np.ndarray, outs: Any) -> tuple[np.ndarray, ...]:
    """One vector of cotangents, cut into arrays of the shapes of the outputs."""
    parts, start = [], 0
    for out in outs:
        shape, size = np.shape(out), np.size(out)
        parts.append(weight[start : start + size].reshape(shape).copy())
        start += size
    return tuple(parts)


def _is_generator(x: Any) -> bool:
    return isinstance(x, np.random.Generator)


def _fresh(options: dict[str, Any]) -> dict[str, Any]:
    """The options, with every random generator copied."""
    return {k: copy.deepcopy(v) if _is_generator(v) else v for k, v in options.items()}


@contextlib.contextmanager
def _same_randomness(*generators: np.random.Generator) -> Iterator[None]:
    """Put the library's generator, and those given, back to where they were."""
    watched = [default_generator(), *generators]
    states = [g.bit_generator.state for g in watched]
    try:
        yield
    finally:
        for generator, state in zip(watched, states, strict=True):
            generator.bit_generator.state = state


@contextlib.contextmanager
def _in_float64(parameters: list[tuple[str, Any]]) -> Iterator[None]:
    """All parameters in float64 for a while; values, dtype and gradients come back."""
    kept = [(p, p.data, p.grad) for _, p in parameters]
    for p, data, _ in kept:
        p.data, p.grad = np.array(to_numpy(data), dtype=np.float64, order="C"), None
    try:
        yield
    finally:
        for p, data, grad in kept:
            p.data, p.grad = data, grad


def _equal(a: Any, b: Any) -> bool:
    """Equal to the last bit, through containers and objects; NaN equals NaN."""
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if is_array(a) or isinstance(a, np.generic):
        return np.array_equal(a, b, equal_nan=getattr(a, "dtype", np.dtype(int)).kind == "f")
    if type(a) is type(b) and hasattr(a, "__dict__") and not callable(a) and not _is_generator(a):
        return _equal(vars(a), vars(b))
    return a is b or _is_generator(a) or callable(a) or bool(a == b)
