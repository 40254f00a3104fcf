"""How much data is needed: the same model on more and more stories, beside a classical method.

A BERT encoder and naive Bayes learn the sentiment of stories from few of them, then from four times as
many, and so on.  Everything but the number of stories stays as it is, the number of training steps
included: who has few stories reads them often.  Three seeds, each with stories and initial weights of
its own, show how much of a difference is luck.
"""

import dataclasses
from typing import Any

import numpy as np

from ..viz import plot_curves
from .classical import NaiveBayes
from .classifiers import NeuralClassifier, Texts
from .result import Row, TaskResult
from .sentiment import story_texts
from .settings import Recipe, TaskSettings
from .toy_data import LANGUAGES, ToyData

SUMMARY = "How much data is needed: accuracy against the number of training stories."
DATA = ("toy",)
KIND = "study"
RECIPE = Recipe(steps=120, lr=1e-3, layers=2, width=64, train=5120)
SIZES = 6  # how many sizes of the training set there are
TIMES = 4  # by how much each is larger than the one before
SEEDS = 3
MODELS = ("BERT encoder", "naive Bayes")
TESTS = ("test", "compositional")


def run(settings: TaskSettings) -> TaskResult:
    """Train on each size with each seed, and measure on both test sets."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    sizes = training_sizes(recipe.train)
    scores = np.zeros((SEEDS, len(sizes), len(MODELS), len(TESTS)))
    seconds = np.zeros(len(sizes))
    for i in range(SEEDS):
        own = dataclasses.replace(settings, seed=SEEDS * settings.seed + i)
        data = ToyData.of(recipe, own)
        known = alternating(story_texts(data.train, language), max(sizes))
        tests = [story_texts(stories, language) for stories in data.tests().values()]
        for j, size in enumerate(sizes):
            label = f"{size} stories, seed {i + 1} of {SEEDS}"
            model = NeuralClassifier(
                "bert", data.vocabulary(language), 2, recipe, data.rng(2 * j + 10)
            )
            trained = model.train(known[:size], own, data.rng(2 * j + 11), label)
            seconds[j] += trained.seconds
            rival = NaiveBayes(known.words[:size], known.labels[:size], 2)
            for k, predict in enumerate((model.predict, rival.predict)):
                scores[i, j, k] = [np.mean(predict(t.words) == t.labels) for t in tests]
    return TaskResult(
        "learning-curve",
        f"sentiment of {language.capitalize()} stories, learned from few and from many",
        ["BERT", "spread", "comp. BERT", "naive Bayes", "comp. naive Bayes", "seconds"],
        rows_of(sizes, scores, seconds),
        figures=figures_of(sizes, scores),
        notes=notes(recipe, trained.parameters),
        draw=lambda: plot_learning(sizes, scores),
        settings=settings.as_dict(),
    )


def training_sizes(largest: int) -> list[int]:
    """Numbers of stories, each four times the one before, up to the largest; at least 4.

    >>> training_sizes(5120)
    [5, 20, 80, 320, 1280, 5120]
    >>> training_sizes(40)
    [4, 10, 40]
    """
    return sorted({max(min(4, largest), largest // TIMES**k) for k in range(SIZES)})


def alternating(texts: Texts, count: int) -> Texts:
    """Positive and negative texts in turn, so that any first few of them hold both.

    Raises   ValueError if one of the two is missing

    >>> alternating(Texts([["a"], ["b"], ["c"]], np.array([1, 1, 0]), ["A", "B", "C"]), 3).shown
    ['A', 'C', 'B']
    """
    groups = [np.flatnonzero(texts.labels == label) for label in (1, 0)]
    if not all(len(group) for group in groups):
        raise ValueError(
            f"all {len(texts)} training stories have the same sentiment: ask for more of them"
        )
    both = min(map(len, groups))
    pairs = np.stack([group[:both] for group in groups], axis=1).reshape(-1)
    rest = np.concatenate([group[both:] for group in groups])
    return texts[np.concatenate([pairs, rest])[:count]]


# -------------------------------------------------------------------------------------- results


def rows_of(sizes: list[int], scores: np.ndarray, seconds: np.ndarray) -> list[Row]:
    """One row for each number of stories; scores (seeds, sizes, models, tests)."""
    mean, spread = scores.mean(axis=0), scores.std(axis=0)
    rows = [
        Row(
            f"{size:,} stories",
            {
                "BERT": float(mean[j, 0, 0]),
                "spread": float(spread[j, 0, 0]),
                "comp. BERT": float(mean[j, 0, 1]),
                "naive Bayes": float(mean[j, 1, 0]),
                "comp. naive Bayes": float(mean[j, 1, 1]),
                "seconds": float(seconds[j]),
            },
        )
        for j, size in enumerate(sizes)
    ]
    chance = {name: 0.5 for name in rows[0].values if name not in ("spread", "seconds")}
    return [*rows, Row("chance", chance)]


def figures_of(sizes: list[int], scores: np.ndarray) -> dict[str, float]:
    """The mean accuracy over the seeds, by name."""
    return {
        f"{model}, {size} stories, {test} accuracy": float(scores[:, j, k, m].mean())
        for j, size in enumerate(sizes)
        for k, model in enumerate(MODELS)
        for m, test in enumerate(TESTS)
    }


def notes(recipe: Recipe, parameters: int) -> list[str]:
    """What was the same for all, and what the columns mean."""
    return [
        f"Accuracy, mean of {SEEDS} seeds, on {recipe.test:,} ordinary test stories and as many "
        "compositional ones (comp.); spread: the standard deviation between the seeds. All models "
        f"of {parameters:,} parameters train for {recipe.steps:,} steps of {recipe.batch_size} "
        "stories; half of the training stories are positive. seconds: of BERT, all seeds.",
    ]


def plot_learning(sizes: list[int], scores: np.ndarray) -> Any:
    """Accuracy against the number of stories, with a band of one standard deviation."""
    mean, spread = scores.mean(axis=0), scores.std(axis=0)
    curves = {
        model + ("" if test == "test" else ", compositional"): (
            sizes,
            mean[:, k, m],
            spread[:, k, m],
        )
        for k, model in enumerate(MODELS)
        for m, test in enumerate(TESTS)
    }
    return plot_curves(
        curves, "How much data is needed", "training stories", "accuracy",
        lines={"chance": 0.5}, log_x=True, markers=True,
    )  # fmt: skip
