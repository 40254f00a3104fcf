"""The gradient check of a whole model: every parameter."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import to_numpy
from ..ops.checks import is_floating
from .comparison import compare, finite_outputs
from .inputs import cotangents, is_generator, same_randomness, to_float64
from .numeric import flatten, numerical_gradient, rounding_noise
from .report import GradientReport
from .settings import GradientSettings
from .tensors import backward_through, leaf_gradient


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
    inputs = tuple(model_input(x) for x in inputs)
    options = {name: model_input(x) for name, x in options.items()}
    generators = [
        m.rng for m in getattr(model, "modules", list)() if is_generator(getattr(m, "rng", None))
    ]

    def call() -> tuple[Tensor, ...]:
        with same_randomness(*generators):
            out = model(*inputs, **options)
        if getattr(out, "loss", None) is not None:
            out = out.loss
        out = getattr(out, "logits", out)
        return out if isinstance(out, tuple) else (out,)

    def outputs() -> np.ndarray:
        with no_grad():
            return flatten(out.data for out in call())

    with in_float64(everything):
        outs = [out.data for out in call()]
        if not finite_outputs(report, outs):
            return report
        weights = cotangents(outs, settings)
        gradients: list[list[Any]] = []
        for weight in weights:
            for _, p in parameters:
                p.grad = None
            backward_through(call(), weight)
            gradients.append([leaf_gradient(p) for _, p in parameters])
        for i, (name, p) in enumerate(parameters):
            count = p.size if settings.max_entries is None else min(settings.max_entries, p.size)
            entries = sorted(rng.choice(p.size, size=count, replace=False).tolist())
            numeric, skipped = numerical_gradient(outputs, p.data, weights, settings.step, entries)
            noise = rounding_noise(outputs, p.data, weights, settings.step)
            compare(report, name, [grads[i] for grads in gradients], numeric, skipped, noise)
    return report


def model_input(x: Any) -> Any:
    """A floating array or Tensor in float64, for a model whose parameters are; else as it is."""
    array = x.data if isinstance(x, Tensor) else x
    if not is_floating(array):
        return x
    return Tensor(to_float64(array)) if isinstance(x, Tensor) else to_float64(array)


@contextlib.contextmanager
def in_float64(parameters: list[tuple[str, Any]]) -> Iterator[None]:
    """All parameters in float64 for a while; values, dtype and gradients come back."""
    kept = [(p, p.data, p.grad) for _, p in parameters]
    for p, data, _ in kept:
        p.data, p.grad = np.array(to_numpy(data), dtype=np.float64, order="C"), None
    try:
        yield
    finally:
        for p, data, grad in kept:
            p.data, p.grad = data, grad
