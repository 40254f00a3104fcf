"""Language modelling: RNN, LSTM and GPT side by side, with counts above them and the floor beneath.

A language model says how likely each next word is; its loss is the mean of -log p of the words that
came.  The toy world tells how low that can be: no model can need fewer nats per token, on average, than
H(story) / E[tokens].  On a finite test set the truth itself has a loss, too, -log p of these stories;
what a model needs beyond it is `excess`, without any noise from the draw.

With --data FILE.txt the models read a text of your own instead: see text_modelling.py.
"""

import math
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..data import ToyWorld
from ..data.toy_world.text import join
from ..nn import evaluating
from ..viz import plot_curves
from .ideal import next_words
from .language_models import (
    POSITIONS,
    StoryText,
    build_model,
    loss_curve,
    per_token,
    recipe_for,
    token_nats,
    truth_per_token,
)
from .ngrams import NGram
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings, Training, train
from .text_modelling import run_on_text
from .toy_data import LANGUAGES, ToyData
from .words import BOS

SUMMARY = "Language modelling: RNN, LSTM, GPT and counts against the exact floor (nats per token)."
DATA = ("toy", "FILE.txt")
KIND = "task"
RECIPE = Recipe(steps=1000, batch_size=16, layers=2, width=128, train=20000)
MODELS = ("RNN", "LSTM", "GPT")
WATCHED = 100  # test stories that the curves of the picture are drawn from
SHOWN = 24  # test stories from which the worked examples are chosen
COUNTS = {"bigram": 2, "trigram": 3}


def run(settings: TaskSettings) -> TaskResult:
    """Train the three models on the same stories and measure all on both test sets."""
    recipe = settings.recipe(RECIPE)
    if settings.data is not None and settings.data.endswith(".txt"):
        return run_on_text(settings, recipe, MODELS, COUNTS)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    text = StoryText(data, language)
    models, trained = train_models(data, text, recipe, settings)
    floors = [data.world.floor(language), ToyWorld(compositional=True).floor(language)]
    truths = [truth_per_token(stories, language) for stories in data.tests().values()]
    rows = [
        Row("floor, all stories", columns_of(floors)),
        Row("truth, these stories", columns_of(truths)),
        *measure(models, trained, data, text, truths),
        Row("chance", columns_of([math.log(text.outcomes)] * 2, truths)),
    ]
    return TaskResult(
        "language-modelling",
        f"the next word of {language.capitalize()} stories of the toy world, and their end",
        ["nats", "bits", "excess", "comp.", "comp. excess", "parameters", "seconds"],
        rows,
        figures=figures_of(rows, floors[0]),
        examples=examples(models["GPT"], data, text),
        notes=notes(data),
        draw=lambda: plot_curves(
            {name: loss_curve(each) for name, each in trained.items()},
            f"{language.capitalize()} stories never seen, while training",
            "step", "nats per token", lines={"floor": floors[0]},
        ),
        settings=settings.as_dict(),
    )  # fmt: skip


def train_models(
    data: ToyData, text: StoryText, recipe: Recipe, settings: TaskSettings
) -> tuple[dict[str, Any], dict[str, Training]]:
    """The models, all on the same batches; and the counts, on all training stories."""
    models: dict[str, Any] = {}
    trained = {}
    for name in MODELS:
        models[name] = build_model(name, recipe, len(text.words), POSITIONS, data.rng(0))
        batches = text.batches(data.train, recipe.batch_size, data.rng(1))
        trained[name] = train(
            models[name], batches, recipe_for(name, recipe), settings, label=name,
            validation=text.batches(data.test[:WATCHED], 64),
            evaluate_every=max(recipe.steps // 14, 1),
        )  # fmt: skip
    rows = text.encode(data.train)
    for name, order in COUNTS.items():
        models[name] = NGram(order, len(text.words)).fit(rows)
    return models, trained


def columns_of(losses: list[float], truths: "list[float] | None" = None) -> dict[str, Any]:
    """The loss on both test sets in all units, and its excess over the truth."""
    values = {"nats": losses[0], "bits": losses[0] / math.log(2), "comp.": losses[1]}
    if truths is not None:
        values |= {"excess": losses[0] - truths[0], "comp. excess": losses[1] - truths[1]}
    return values


def measure(
    models: dict[str, Any], trained: dict[str, Training], data: ToyData, text: StoryText,
    truths: list[float],
) -> list[Row]:  # fmt: skip
    """One row for each model, the best first."""
    rows = []
    for name, model in models.items():
        losses = []
        for stories in data.tests().values():
            ids = text.encode(stories)
            nats = model.nats(ids) if isinstance(model, NGram) else token_nats(model, ids)
            losses.append(per_token(nats))
        values = columns_of(losses, truths)
        if name in trained:
            values |= {"parameters": trained[name].parameters, "seconds": trained[name].seconds}
        rows.append(Row(name, values))
    return sorted(rows, key=lambda row: row.values["nats"])


def figures_of(rows: list[Row], floor: float) -> dict[str, float]:
    """The numbers of the table without the times, and the distance of each model to the floor."""
    figures = {}
    for row in rows:
        for column in ("nats", "excess", "comp.", "comp. excess"):
            if column in row.values:
                figures[f"{row.name}, {column}"] = row.values[column]
        if row.name in MODELS:
            figures[f"{row.name}, nats above the floor"] = row.values["nats"] - floor
    return figures


def notes(data: ToyData) -> list[str]:
    """How to read the table."""
    return [
        f"Per token, the end of a story counted: {len(data.test):,} whole stories of the ordinary "
        f"test set; comp.: as many compositional ones, with words and lengths that no training story "
        f"puts together.",
        "floor: H(story) / E[tokens], what no model can beat on average. truth: -log p of these very "
        "stories; excess: above that, so it holds none of the luck of the draw.",
        "The compositional floor is that of a model that knows the compositional world. In the "
        "ordinary world such stories have probability 0: whoever learned that world perfectly, and "
        "nothing more, would lose infinitely. Only what generalises scores there.",
        "chance: every word and the end equally likely. bigram, trigram: counts of all training "
        "stories, interpolated. The counts see two words back at most, whatever the training costs; "
        "seconds and parameters are the price of seeing further.",
    ]


def examples(model: Any, data: ToyData, text: StoryText) -> list[Example]:
    """Beginnings of test stories: the word that is most likely to follow, and the model's guess.

    Where several words are equally likely, each of them is right.
    """
    rng, cases = data.rng(3), []
    for story in data.test[:SHOWN]:
        words = story.tokens[text.language]
        start = words[: int(rng.integers(min(5, len(words)), len(words)))]
        ids = np.array([[BOS, *text.words.encode(start)]])
        with no_grad(), evaluating(model):
            likely = int(model(ids).logits.numpy()[0, -1].argmax())
        truth = next_words(data.world, start, text.language)
        said, best = text.words.words[likely], max(truth.values())
        right = [word for word, p in truth.items() if p > best - 1e-9]
        expected = said if said in right else right[0]
        cases.append(Example(join(start, text.language)[0] + " …", expected, said))
    return choose_examples(cases)
