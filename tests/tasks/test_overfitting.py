"""The study of overfitting: what each remedy changes, and that it changes nothing else."""

import dataclasses

import pytest

from minillm.tasks import Recipe, TaskSettings, run_task
from minillm.tasks.overfitting import MORE, NOTHING, remedies


def test_each_remedy_changes_what_its_name_says():
    base = Recipe(layers=4, width=48, heads=2, train=7, weight_decay=0.0)
    before = dataclasses.asdict(base).items()
    changed = {
        name: {field for field, value in before if getattr(recipe, field) != value}
        for name, recipe in remedies(base).items()
    }
    assert changed == {
        NOTHING: set(), "weight decay": {"weight_decay"}, "dropout": {"dropout"},
        "early stopping": set(), "smaller model": {"layers", "width"}, "more data": {"train"},
    }  # fmt: skip
    assert remedies(base)["more data"].train == MORE * base.train
    assert remedies(base)["smaller model"].width % base.heads == 0


def test_stories_learned_by_heart_get_a_gap_and_early_stopping_goes_back():
    settings = TaskSettings(
        steps=60, train=4, test=6, width=32, heads=2, batch_size=4, lr=0.01, progress=False
    )
    figures = run_task("overfitting", settings).figures
    gap = {name: figures[f"{name}, gap"] for name in remedies(Recipe())}
    assert gap[NOTHING] > 1
    assert gap["more data"] < gap[NOTHING]
    assert figures["early stopping, test"] < figures[f"{NOTHING}, test"]
    # the rate of a row is worked out from its own two losses
    for name in gap:
        assert gap[name] == pytest.approx(figures[f"{name}, test"] - figures[f"{name}, train"])
