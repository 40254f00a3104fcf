"""Golden values of models, and models with golden weights."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

GOLDEN = Path(__file__).parents[1] / "golden"


def load(name):
    """The arrays of a golden file, grouped by what stands before the first dot."""
    groups = {}
    for key, array in load_file(GOLDEN / f"{name}.safetensors").items():
        group, _, rest = key.partition(".")
        groups.setdefault(group, {})[rest] = array
    return {k: v[""] if list(v) == [""] else v for k, v in groups.items()}


def turned(model, arrays):
    """Arrays as Transformers has them, matrices turned to (in, out) where they are linear layers.

    Written out by hand: whatever is two-dimensional and no embedding.
    """
    return {name: a.T if a.ndim == 2 and "embed" not in name else a for name, a in arrays.items()}


def with_weights(kind, config, weights, **options):
    """A model of this class with the weights of a golden file; their names must be its names."""
    dtype = next(iter(weights.values())).dtype
    model = kind(config, dtype=dtype, rng=np.random.default_rng(0), **options)
    model.load_state_dict(turned(model, weights))  # strict
    return model


def assert_gradients(model, expected, rtol):
    """Every gradient of the model; both sides have the same names."""
    found = {name: p.grad for name, p in model.named_parameters()}
    expected = turned(model, expected)
    assert set(found) == set(expected)
    # a bias of all keys changes no attention, so its gradient is rounding and nothing else
    rounding = max(np.abs(value).max() for value in expected.values()) * rtol / 1000
    for name, value in expected.items():
        atol = rtol * np.abs(value).max() + rounding
        np.testing.assert_allclose(found[name], value, rtol=rtol, atol=atol, err_msg=name)
