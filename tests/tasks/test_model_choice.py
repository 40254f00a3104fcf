"""The choice of a model: by validation alone, the cheapest of the good ones."""

import numpy as np
import pytest

from minillm.tasks import Recipe, TaskSettings
from minillm.tasks import model_choice as module
from minillm.tasks.model_choice import Tried, choose, figures_of, row_of, sized


def tried(name, parameters, validation, test=0.5):
    accuracy = {"validation": validation, "test": test, "compositional": 0.25}
    return Tried(name, "", parameters, 1.5, accuracy)


def test_the_cheapest_within_a_hundredth_is_chosen_and_the_test_set_decides_nothing():
    models = [tried("tiny", 5, 0.97, test=1.0), tried("fair", 50, 0.985), tried("big", 500, 0.99)]
    assert choose(models).name == "fair"
    assert choose(models[::-1]).name == "fair"
    assert choose([tried("tiny", 5, 0.981), *models]).name == "tiny"


def test_sizes_differ_in_width_and_depth_and_fit_the_heads():
    recipe = Recipe(layers=2, width=64, heads=4)
    sizes = [sized(recipe, size) for size in ("small", "medium", "large")]
    assert [(r.layers, r.width) for r in sizes] == [(1, 16), (2, 64), (4, 128)]
    assert sized(Recipe(layers=1, width=6, heads=2), "small").width == 2


def test_rows_and_figures():
    row = row_of(tried("A", 7, 0.9, test=0.8))
    assert row.values == {
        "validation": 0.9, "test": 0.8, "comp.": 0.25, "parameters": 7, "seconds": 1.5,
    }  # fmt: skip
    assert "parameters" not in row_of(tried("chance", 0, 0.5)).values
    assert figures_of([tried("A", 7, 0.9)]) == {
        "A, validation accuracy": 0.9, "A, test accuracy": 0.5, "A, compositional accuracy": 0.25,
        "A, parameters": 7,
    }  # fmt: skip


def test_no_story_is_in_two_of_the_sets_by_position(monkeypatch):
    """The validation stories are the last ones drawn, and no model trains on them."""
    seen = {}

    class Spy(module.NeuralClassifier):
        def train(self, texts, *args, **options):
            seen.setdefault("train", texts.shown)
            return super().train(texts, *args, **options)

    original = module.measure

    def measure(predict, sets):
        seen["sets"] = {kind: texts.shown for kind, texts in sets.items()}
        return original(predict, sets)

    monkeypatch.setattr(module, "NeuralClassifier", Spy)
    monkeypatch.setattr(module, "measure", measure)
    sizes = {"steps": 1, "train": 9, "test": 5, "layers": 1, "width": 8, "heads": 2}
    module.run(TaskSettings(seed=1, progress=False, **sizes))
    assert len(seen["train"]) == 9
    assert {kind: len(texts) for kind, texts in seen["sets"].items()} == {
        "validation": 5, "test": 5, "compositional": 5,
    }  # fmt: skip
    for texts in seen["sets"].values():
        assert not set(texts) & set(seen["train"])


def test_chance_is_the_majority_of_training():
    sizes = {"steps": 1, "train": 20, "test": 40, "layers": 1, "width": 8, "heads": 2}
    result = module.run(TaskSettings(seed=1, progress=False, **sizes))
    row = result.rows[-1]
    assert row.name == "chance (majority)"
    said = np.array([row.values[name] for name in ("validation", "test", "comp.")])
    assert np.all((said > 0.2) & (said < 0.8))
    assert result.rows[0].values["test"] == pytest.approx(
        result.figures["naive Bayes, test accuracy"]
    )
