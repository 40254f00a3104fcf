"""How to choose a model: what each one costs, and what one gets for it.

The same task, the sentiment of stories, for naive Bayes and for an LSTM and a BERT of three sizes each.
Whoever chooses by the test set measures luck: here stories that are for choosing only (validation) name
the best accuracy, and the choice is the cheapest model that comes within a hundredth of it.  Only then
do the test sets say how good the choice is.
"""

import dataclasses
import time
from typing import Any, NamedTuple

import numpy as np

from ..viz import plot_curves
from .classical import NaiveBayes
from .classifiers import NeuralClassifier, Texts
from .result import Row, TaskResult
from .sentiment import story_texts
from .settings import Recipe, TaskSettings
from .toy_data import LANGUAGES, ToyData

SUMMARY = "How to choose a model: cost against accuracy, from naive Bayes to a large BERT."
DATA = ("toy",)
KIND = "study"
RECIPE = Recipe(steps=150, lr=1e-3, layers=2, width=64, train=2000)
SIZES = {"small": 0.25, "medium": 1.0, "large": 2.0}  # width, as a multiple of the recipe's
MARGIN = 0.01  # of accuracy, that a cheaper model may have less than the best


class Tried(NamedTuple):
    """One model: its family, what it costs, and its accuracy on each set of stories.

    >>> Tried("LSTM", "small", 900, 0.5, {"validation": 0.9}).name
    'LSTM, small'
    """

    family: str
    size: str
    parameters: int
    seconds: float
    accuracy: dict[str, float]

    @property
    def name(self) -> str:
        """Family and size."""
        return f"{self.family}, {self.size}" if self.size else self.family


def run(settings: TaskSettings) -> TaskResult:
    """Train each model once, choose by the validation stories, and measure on both test sets."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(dataclasses.replace(recipe, train=recipe.train + recipe.test), settings)
    known = story_texts(data.train, language)
    sets = {"validation": known[recipe.train :]}
    sets |= {kind: story_texts(stories, language) for kind, stories in data.tests().items()}
    known = known[: recipe.train]
    tried = [try_naive_bayes(known, sets)]
    for number, (family, size) in enumerate((f, s) for f in ("LSTM", "BERT") for s in SIZES):
        rngs = data.rng(2 * number), data.rng(2 * number + 1)
        model = NeuralClassifier(
            family.lower(), data.vocabulary(language), 2, sized(recipe, size), rngs[0]
        )
        trained = model.train(known, settings, rngs[1], f"{family}, {size}")
        scores = measure(model.predict, sets)
        tried.append(Tried(family, size, trained.parameters, trained.seconds, scores))
    chosen = choose(tried)
    usual = np.bincount(known.labels).argmax()
    chance = measure(lambda words: np.full(len(words), usual), sets)
    return TaskResult(
        "model-choice",
        f"cost against accuracy, sentiment of {language.capitalize()} stories",
        ["validation", "test", "comp.", "parameters", "seconds"],
        [*(row_of(model) for model in tried), row_of(Tried("chance (majority)", "", 0, 0, chance))],
        figures=figures_of(tried),
        notes=[
            f"Accuracy on {recipe.test:,} stories each; {recipe.train:,} stories for training, "
            f"{recipe.steps:,} steps of {recipe.batch_size} for all networks. Naive Bayes counts each "
            "word once for each class: these are its parameters. All networks share one learning "
            "rate; one that stays at chance would need a smaller rate or more steps, a cost too.",
            f"The choice is {chosen.name}: the fewest parameters among the models whose accuracy on "
            "the validation stories is within a hundredth of the best. Seconds depend on the "
            "machine, so they do not decide.",
        ],
        draw=lambda: plot_choice(tried, chosen),
        settings=settings.as_dict(),
    )


# --------------------------------------------------------------------------------------- models


def sized(recipe: Recipe, size: str) -> Recipe:
    """The recipe for one size: another width, and half or twice the layers.

    >>> small = sized(Recipe(layers=2, width=64, heads=4), "small")
    >>> small.layers, small.width
    (1, 16)
    """
    heads, factor = recipe.heads, SIZES[size]
    width = max(heads, int(recipe.width * factor) // heads * heads)
    layers = (
        recipe.layers if factor == 1 else max(1, int(recipe.layers * (0.5 if factor < 1 else 2)))
    )
    return dataclasses.replace(recipe, width=width, layers=layers)


def measure(predict: Any, sets: dict[str, Texts]) -> dict[str, float]:
    """The accuracy on each set."""
    return {kind: float(np.mean(predict(t.words) == t.labels)) for kind, t in sets.items()}


def try_naive_bayes(known: Texts, sets: dict[str, Texts]) -> Tried:
    """What the classical method costs and gives."""
    started = time.perf_counter()
    model = NaiveBayes(known.words, known.labels, 2)
    seconds = time.perf_counter() - started
    return Tried("naive Bayes", "", model.log_word.size, seconds, measure(model.predict, sets))


def choose(tried: list[Tried]) -> Tried:
    """The fewest parameters among those within MARGIN of the best on the validation stories.

    >>> models = [
    ...     Tried("A", "", 10, 0.1, {"validation": 0.900}),
    ...     Tried("B", "", 99, 0.1, {"validation": 0.985}),
    ...     Tried("C", "", 999, 0.1, {"validation": 0.990}),
    ... ]
    >>> choose(models).name
    'B'
    """
    best = max(model.accuracy["validation"] for model in tried)
    good = [model for model in tried if model.accuracy["validation"] >= best - MARGIN]
    return min(good, key=lambda model: model.parameters)


# -------------------------------------------------------------------------------------- results


def row_of(model: Tried) -> Row:
    """A row of the table; what costs nothing shows no cost."""
    names = {"validation": "validation", "test": "test", "compositional": "comp."}
    values: dict[str, Any] = {names[kind]: value for kind, value in model.accuracy.items()}
    if model.parameters:
        values |= {"parameters": model.parameters, "seconds": model.seconds}
    return Row(model.name, values)


def figures_of(tried: list[Tried]) -> dict[str, float]:
    """Accuracies and parameters by name; no seconds, which differ from run to run."""
    figures: dict[str, float] = {}
    for model in tried:
        figures |= {f"{model.name}, {kind} accuracy": x for kind, x in model.accuracy.items()}
        figures[f"{model.name}, parameters"] = model.parameters
    return figures


def plot_choice(tried: list[Tried], chosen: Tried) -> Any:
    """Accuracy on the ordinary test stories against the number of parameters."""
    curves = {
        family: tuple(
            zip(
                *((m.parameters, m.accuracy["test"]) for m in tried if m.family == family),
                strict=True,
            )
        )
        for family in dict.fromkeys(model.family for model in tried)
    }
    return plot_curves(
        curves, f"The choice: {chosen.name}", "parameters", "accuracy on test stories",
        log_x=True, markers=True,
    )  # fmt: skip
