"""The short version of hour.py: a fixed number of steps, and what they leave behind."""

import gc
import tracemalloc

import numpy as np
import pytest

from .hour import growth, train

STEPS = 20  # with evaluations, checkpoints and generated texts


def left_behind(folder, leak=None):
    """(objects, bytes) that are there after so many steps and were not before them."""
    counts = []

    def on_step(model, step, history):
        if leak is not None:
            leak(model)
        if step in (STEPS, 2 * STEPS):  # the first ones fill caches
            gc.collect()
            counts.append((len(gc.get_objects()), tracemalloc.get_traced_memory()[0]))

    tracemalloc.start()
    try:
        train(folder, 2 * STEPS, on_step, width=8, length=6, every=5)
    finally:
        tracemalloc.stop()
    (objects, used), (more_objects, more_used) = counts
    return more_objects - objects, more_used - used


def is_flat(objects, used):
    """A step may leave numbers in the history, but no object that can hold others, and no array."""
    return objects < STEPS and used < 1200 * STEPS


def test_a_step_leaves_nothing_but_its_history(tmp_path):
    # at most twice: a thread that another test has left may wake up once, a leak is there every time
    found = [left_behind(tmp_path / "first")]
    if not is_flat(*found[0]):
        found.append(left_behind(tmp_path / "second"))
    assert is_flat(*found[-1]), f"(objects, bytes) left in {STEPS} steps: {found}"


KEPT = []
LEAKS = {
    "a gradient": lambda model: KEPT.append(model.transformer.wte.weight.grad.copy()),
    "some lists": lambda model: KEPT.extend([] for _ in range(10)),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_seen(tmp_path, leak):
    try:
        found = left_behind(tmp_path, LEAKS[leak])
    finally:
        KEPT.clear()
    assert not is_flat(*found), found


def test_the_slope_is_that_of_the_last_two_thirds():
    seconds = np.arange(0, 3600, 10.0)
    megabytes = np.where(seconds < 1200, seconds, 1200 + 7.5 * (seconds - 1200) / 3600)
    assert growth(seconds, megabytes) == pytest.approx(7.5)
