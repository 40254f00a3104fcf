"""The learning curve: which sizes, which stories, and what the table says about them."""

import numpy as np
import pytest

from minillm.tasks import run_task
from minillm.tasks.classifiers import Texts
from minillm.tasks.learning_curve import alternating, figures_of, rows_of, training_sizes


def texts(labels):
    names = [f"t{i}" for i in range(len(labels))]
    return Texts([[name] for name in names], np.array(labels), names)


def test_sizes_grow_by_four_and_end_at_what_is_there():
    assert training_sizes(12800) == [12, 50, 200, 800, 3200, 12800]
    assert training_sizes(64) == [4, 16, 64]
    assert training_sizes(2) == [2]


def test_any_first_few_hold_both_labels():
    labels = np.array([1] * 9 + [0] * 5)
    np.random.default_rng(0).shuffle(labels)
    mixed = alternating(texts(labels), 14)
    assert sorted(mixed.shown) == sorted(texts(labels).shown)
    for count in range(2, 11, 2):
        assert mixed.labels[:count].mean() == 0.5
    assert mixed.labels[10:].tolist() == [1] * 4
    assert len(alternating(texts(labels), 6)) == 6
    with pytest.raises(ValueError, match="all 3 training stories have the same sentiment"):
        alternating(texts([1, 1, 1]), 3)


def test_the_table_shows_means_over_the_seeds():
    scores = np.zeros((3, 2, 2, 2))
    scores[:, 1, 0, 0] = [0.6, 0.9, 0.9]
    scores[:, 0, 1, 1] = [0.5, 0.5, 0.8]
    rows = rows_of([4, 16], scores, np.array([1.0, 2.0]))
    assert [row.name for row in rows] == ["4 stories", "16 stories", "chance"]
    assert rows[1].values["BERT"] == pytest.approx(0.8)
    assert rows[1].values["spread"] == pytest.approx(np.sqrt(0.02))
    assert rows[0].values["comp. naive Bayes"] == pytest.approx(0.6)
    figures = figures_of([4, 16], scores)
    assert figures["BERT encoder, 16 stories, test accuracy"] == pytest.approx(0.8)
    assert figures["naive Bayes, 4 stories, compositional accuracy"] == pytest.approx(0.6)


def test_another_seed_means_other_stories():
    sizes = {"steps": 1, "train": 8, "test": 30, "layers": 1, "width": 8, "heads": 2}
    first, other = (run_task("learning-curve", seed=s, progress=False, **sizes) for s in (0, 1))
    assert first.figures.keys() == other.figures.keys()
    assert first.figures != other.figures
