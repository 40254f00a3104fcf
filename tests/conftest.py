"""Shared by all tests: reproducible randomness, and a fresh library generator for each test."""

import os

import hypothesis
import numpy as np
import pytest

import minillm

os.environ.pop("MINILLM_LANG", None)  # the tests read the checker's English sentences

hypothesis.settings.register_profile(
    "minillm", deadline=None, derandomize=True, max_examples=30, print_blob=False
)
hypothesis.settings.load_profile("minillm")


@pytest.fixture
def rng():
    """A generator of the test's own."""
    return np.random.default_rng(20240607)


@pytest.fixture(autouse=True)
def _seeded():
    """Every test starts with the library's generator at the same place."""
    minillm.manual_seed(0)
