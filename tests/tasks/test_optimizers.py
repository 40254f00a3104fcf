"""The optimizer study: a fair grid, and the rare words."""

import math

import numpy as np
import pytest

from minillm.tasks import Recipe, TaskSettings, run_task
from minillm.tasks.language_models import StoryText
from minillm.tasks.optimizers import (
    OPTIMIZERS,
    RECIPE,
    attempt,
    rare_tokens,
    rates_of,
    shown,
    smooth,
)
from minillm.tasks.toy_data import ToyData

SMALL = {"steps": 4, "width": 8, "heads": 2, "layers": 1, "batch_size": 8, "train": 60, "test": 4}


def test_every_optimizer_tries_as_many_rates_in_the_same_ratios():
    grids = [np.array(rates_of(name, Recipe(lr=0.002))) for name in OPTIMIZERS]
    for grid in grids:
        assert grid[1:] / grid[:-1] == pytest.approx([math.sqrt(10)] * 2)
    assert rates_of("Adam", Recipe(lr=0.002))[1] == 0.002


def test_rare_tokens_make_up_a_fifth_of_the_text():
    rows = [[0, 5, 5, 5, 5, 5, 5, 6, 6, 7, 8]]  # ten predicted, the first one not
    assert rare_tokens(rows) == {7, 8}


def test_smoothed_losses_are_means_of_the_last_steps():
    steps, means = smooth(np.array([4.0, 2.0, 0.0, 2.0]), 2)
    assert steps.tolist() == [2, 3, 4]
    assert means == pytest.approx([3.0, 1.0, 1.0])


def test_the_rate_with_the_lowest_validation_loss_is_reported():
    result = run_task("optimizers", progress=False, **SMALL)
    for row in result.rows:
        tried = [row.values[c] for c in ("lower lr", "middle lr", "higher lr")]
        rates = rates_of(row.name, RECIPE)
        assert row.values["lr"] == rates[int(np.argmin(tried))]


def test_a_training_that_breaks_down_is_no_result():
    recipe = Recipe(**{**SMALL, "test": 4}, clip=1e30)
    data = ToyData.of(recipe, TaskSettings())
    text, quiet = StoryText(data, "english"), TaskSettings(progress=False)
    with np.errstate(all="ignore"):
        broken = attempt("gradient descent", 1e30, data, text, recipe, quiet)
    assert broken["validation"] == math.inf
    fine = attempt("Adam", 1e-3, data, text, recipe, quiet)
    assert shown([broken, fine, fine]) == {
        "middle lr": fine["validation"], "higher lr": fine["validation"]
    }  # fmt: skip
