"""Every public name is explained, with an example that runs."""

import importlib
import inspect

import pytest

PACKAGES = [
    "minillm", "minillm.kernels", "minillm.ops", "minillm.functional", "minillm.gradcheck",
    "minillm.nn", "minillm.optim", "minillm.tokenizers", "minillm.data", "minillm.generation",
    "minillm.models", "minillm.cluster", "minillm.training", "minillm.finetuning", "minillm.viz",
    "minillm.classroom", "minillm.tasks",
]  # fmt: skip
NAMES = [
    (package, name) for package in PACKAGES for name in importlib.import_module(package).__all__
]


def needs_example(thing, name):
    """Classes and functions; a backward has the example of its forward, an error none."""
    if inspect.isclass(thing):
        return not issubclass(thing, Exception)
    return callable(thing) and not name.endswith("_backward")


@pytest.mark.parametrize(("package", "name"), NAMES, ids=lambda part: part)
def test_public_name_is_documented_with_an_example(package, name):
    thing = getattr(importlib.import_module(package), name)
    assert thing.__doc__, f"{package}.{name} has no docstring"
    if needs_example(thing, name):
        assert ">>>" in thing.__doc__, f"{package}.{name} has no example"


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_public_by_accident(package):
    module = importlib.import_module(package)
    assert sorted(module.__all__, key=str) == sorted(set(module.__all__), key=str)
    for name in module.__all__:
        assert hasattr(module, name)
