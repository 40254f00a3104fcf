"""Overfitting and its remedies, five of them, on the same few stories.

A GPT with far more parameters than the stories have words learns them by heart: the training loss goes
on falling while the loss on other stories rises.  What helps is to let it have less, or to give it
more: weight decay, dropout, early stopping, a smaller model, more data.
"""

import dataclasses
from typing import Any

import numpy as np

from ..data import LengthBatches, Story
from ..models import GPT2Config, GPT2LMHeadModel
from ..training import EarlyStopping, evaluate
from ..viz import plot_curves
from .result import Row, TaskResult
from .settings import Recipe, TaskSettings, Training, train
from .toy_data import LANGUAGES, ToyData
from .words import BOS, EOS

SUMMARY = "Overfitting: five remedies on the same few stories, one curve each."
DATA = ("toy",)
KIND = "study"
RECIPE = Recipe(steps=400, batch_size=16, width=64, train=60, test=150, weight_decay=0.0)
POSITIONS = 80
MORE = 20  # times the stories, for the remedy "more data"
NOTHING = "no remedy"


def remedies(recipe: Recipe) -> dict[str, Recipe]:
    """Name -> the recipe with one thing changed; the first is what it is compared with."""
    change = dataclasses.replace
    small = max(recipe.heads, recipe.width // 3 // recipe.heads * recipe.heads)
    return {
        NOTHING: recipe,
        "weight decay": change(recipe, weight_decay=3.0),
        "dropout": change(recipe, dropout=0.3),
        "early stopping": recipe,
        "smaller model": change(recipe, layers=max(1, recipe.layers // 2), width=small),
        "more data": change(recipe, train=MORE * recipe.train),
    }


def run(settings: TaskSettings) -> TaskResult:
    """Train six times; the loss on the test stories is looked at ten times on the way."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(dataclasses.replace(recipe, train=MORE * recipe.train), settings)
    rows, figures, curves = [], {}, {}
    for name, changed in remedies(recipe).items():
        trained, final = fit_one(name, changed, data, language, settings)
        losses = trained.history.history["val_loss"]
        curves[name] = (trained.history.history["step"], losses)
        row = {
            "train": final["train"],
            "test": final["test"],
            "gap": final["test"] - final["train"],
        }
        figures.update({f"{name}, {key}": value for key, value in row.items()})
        row |= {"best on the way": min(losses), "parameters": trained.parameters}
        rows.append(Row(name, {**row, "seconds": trained.seconds}))
    floor = data.world.floor(language)
    rows.append(Row("chance: ln V", {"test": float(np.log(len(data.vocabulary(language))))}))
    return TaskResult(
        "overfitting",
        f"a GPT on {recipe.train} {language.capitalize()} stories of the toy world",
        ["train", "test", "gap", "best on the way", "parameters", "seconds"],
        rows,
        figures=figures,
        notes=[
            f"Nats per token, on the {recipe.train} training stories (of {MORE * recipe.train:,} for "
            f"more data, the first {recipe.train}) and on {recipe.test} others; no model can be below "
            f"the floor of {floor:.3f} on average. All have {recipe.steps} steps, but early stopping, "
            "which goes back to the best weights it saw."
        ],
        draw=lambda: plot_curves(
            curves, "The same few stories, with and without a remedy", "step",
            "loss on other stories (nats per token)", lines={"floor": floor}, markers=True,
        ),
        settings=settings.as_dict(),
    )  # fmt: skip


def fit_one(
    name: str, recipe: Recipe, data: ToyData, language: str, settings: TaskSettings
) -> tuple[Training, dict[str, float]]:
    """(the training, the losses of the finished model) with one remedy."""
    words = data.vocabulary(language)
    config = GPT2Config(
        vocab_size=len(words), n_positions=POSITIONS, n_embd=recipe.width, n_layer=recipe.layers,
        n_head=recipe.heads, resid_pdrop=recipe.dropout, embd_pdrop=recipe.dropout,
        attn_pdrop=recipe.dropout, activation_function="gelu",
    )  # fmt: skip
    model = GPT2LMHeadModel(config, rng=data.rng(0))

    def batches(stories: list[Story], **options: Any) -> LengthBatches:
        rows = [[BOS, *words.encode(story.tokens[language]), EOS] for story in stories]
        return LengthBatches({"input_ids": rows, "labels": rows}, recipe.batch_size, **options)

    test = batches(data.test, shuffle=False)
    trained = train(
        model, batches(data.train[: recipe.train], rng=data.rng(1)), recipe, settings, label=name,
        validation=test, evaluate_every=max(1, recipe.steps // 10),
        early_stopping=EarlyStopping(patience=2) if name == "early stopping" else None,
    )  # fmt: skip
    seen = batches(data.train[: min(recipe.train, len(data.train) // MORE)], shuffle=False)
    return trained, {"train": evaluate(model, seen)["loss"], "test": evaluate(model, test)["loss"]}
