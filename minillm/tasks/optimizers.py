"""Optimizers: plain gradient descent against momentum, Adam and AdamW on the same small GPT.

A comparison is only fair if every method has the learning rate that suits it.  Each gets the same
number of rates to try, half a decade apart, the same steps, batches, initial weights, warm-up, cosine
and clipping; the rate is chosen by validation stories, the result is measured on test stories.

Why plain gradient descent falls behind here: words are as rare as they are many, and a row of the
embedding gets a gradient only when its word comes up.  One rate for all is too large for the frequent
or too small for the rare; Adam divides each entry by the size of its own gradients (Kingma & Ba 2015,
arXiv:1412.6980, algorithm 1).  On data where all classes are equally frequent the gap closes (Kunstner
et al. 2024, arXiv:2402.19449).  The column `rare` shows it.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Device
from ..optim import SGD, Adam, AdamW, schedule
from ..training import NonFiniteLossError, evaluate, fit
from ..viz import plot_curves
from .language_models import POSITIONS, StoryText, build_model, per_token, token_nats
from .result import Row, TaskResult
from .settings import Recipe, TaskSettings
from .toy_data import LANGUAGES, ToyData

SUMMARY = "Study: plain gradient descent, momentum, Adam and AdamW, each at its best rate."
DATA = ("toy",)
KIND = "study"
RECIPE = Recipe(steps=250, batch_size=16, lr=2e-2, layers=2, width=64, train=4000)
STEP = 10**0.5  # between two of the three learning rates that each optimizer may try
TRIED = ("lower lr", "middle lr", "higher lr")  # columns: the validation loss at each rate
RARE = 0.2  # the rarest words that make up this share of the text
# name -> (how it is built, the middle of its rates as a multiple of the recipe's lr)
OPTIMIZERS: dict[str, tuple[Callable, float]] = {
    "gradient descent": (lambda p, lr, _: SGD(p, lr), 50.0),
    "momentum 0.9": (lambda p, lr, _: SGD(p, lr, momentum=0.9), 15.0),
    "Adam": (lambda p, lr, _: Adam(p, lr, betas=(0.9, 0.98)), 1.0),
    "AdamW": (lambda p, lr, w: AdamW(p, lr, betas=(0.9, 0.98), weight_decay=w), 1.0),
}


def run(settings: TaskSettings) -> TaskResult:
    """Train once for each optimizer and rate, and measure the best of each."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    text = StoryText(data, language)
    rare = rare_tokens(text.encode(data.train))
    rows, curves = [], {}
    figures: dict[str, float] = {}
    for name in OPTIMIZERS:
        tried = [attempt(name, lr, data, text, recipe, settings) for lr in rates_of(name, recipe)]
        best = min(tried, key=lambda each: each["validation"])
        rows.append(Row(name, {**measure(best, data, text, rare), **shown(tried)}))
        losses = np.array(best["history"].losses)
        curves[f"{name}, lr {best['lr']:.2g}"] = smooth(losses, max(recipe.steps // 25, 1))
        figures |= {f"{name}, {c}": rows[-1].values[c] for c in ("nats", "rare", "comp.", "lr")}
    floor = data.world.floor(language)
    return TaskResult(
        "optimizers",
        f"a small GPT on {language.capitalize()} stories, {recipe.steps:,} steps each",
        ["nats", "rare", "comp.", "lr", *TRIED],
        rows,
        figures=figures,
        notes=notes(floor),
        draw=lambda: plot_curves(
            curves, "Loss while training, each optimizer at its best learning rate",
            "step", "nats per token, smoothed", lines={"floor": floor},
        ),
        settings=settings.as_dict(),
    )  # fmt: skip


def rates_of(name: str, recipe: Recipe) -> list[float]:
    """The learning rates that an optimizer tries.

    >>> [round(lr, 4) for lr in rates_of("Adam", Recipe(lr=0.01))]
    [0.0032, 0.01, 0.0316]
    """
    middle = recipe.lr * OPTIMIZERS[name][1]
    return [middle / STEP, middle, middle * STEP]


def attempt(
    name: str, lr: float, data: ToyData, text: StoryText, recipe: Recipe, settings: TaskSettings
) -> dict[str, Any]:
    """One training, with its loss on the validation stories; infinite if it broke down."""
    model = build_model("GPT", recipe, len(text.words), POSITIONS, data.rng(0))
    model.to(Device(settings.device))
    optimizer = OPTIMIZERS[name][0](model.parameters(), lr, recipe.weight_decay)
    plan = schedule.cosine(optimizer, recipe.steps // 10, recipe.steps, lr / 20)
    if settings.progress:
        print(f"{name}, learning rate {lr:.2g}: {model.num_parameters():,} parameters")
    held_out = max(len(data.train) // 20, 1)  # training stories that only choose the rate
    batches = text.batches(data.train[held_out:], recipe.batch_size, data.rng(1))
    try:
        history = fit(
            model, optimizer, batches, steps=recipe.steps, schedule=plan, clip=recipe.clip,
            progress=settings.progress,
        )  # fmt: skip
    except NonFiniteLossError:
        return {"lr": lr, "validation": math.inf}
    if history.interrupted:
        raise KeyboardInterrupt
    loss = evaluate(model, text.batches(data.train[:held_out], 64))["loss"]
    return {"lr": lr, "validation": loss, "history": history, "model": model}


def measure(
    best: dict[str, Any], data: ToyData, text: StoryText, rare: set[int]
) -> dict[str, float]:
    """The model with the best rate on the test stories."""
    if "model" not in best:
        raise ValueError("optimizers: no learning rate gave a finite loss: ask for a lower --lr")
    rows = text.encode(data.test)
    nats = token_nats(best["model"], rows)
    hard = [n[np.isin(row[1:], list(rare))] for row, n in zip(rows, nats, strict=True)]
    compositional = token_nats(best["model"], text.encode(data.compositional))
    return {
        "nats": per_token(nats), "rare": per_token(hard), "comp.": per_token(compositional),
        "lr": best["lr"],
    }  # fmt: skip


def shown(tried: list[dict[str, Any]]) -> dict[str, float]:
    """Validation loss at each rate; none where the training broke down."""
    losses = {name: each["validation"] for name, each in zip(TRIED, tried, strict=True)}
    return {name: loss for name, loss in losses.items() if math.isfinite(loss)}


def rare_tokens(rows: list[list[int]]) -> set[int]:
    """The least frequent tokens, as many as it takes for a share RARE of the text.

    >>> rare_tokens([[0, 5, 5, 5, 5, 6], [0, 5, 5, 5, 5, 7]])  # a first token is not predicted
    {6, 7}
    """
    counts = Counter(token for row in rows for token in row[1:])
    left, found = RARE * sum(counts.values()), set()
    for token, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        left -= count
        if left < 0:
            break
        found.add(token)
    return found


def smooth(losses: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """(steps, the mean loss of the last `window` steps)."""
    means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    return np.arange(window, len(losses) + 1), means


def notes(floor: float) -> list[str]:
    """How to read the table, and why it comes out as it does."""
    return [
        "nats per token of test stories, rare: of the rarest words that make up a fifth of the text, "
        f"comp.: of compositional stories; floor {floor:.3f}. Each optimizer tried three learning "
        "rates, a factor of 3.2 apart, and lr is the one with the lowest validation loss; steps, "
        "batches, initial weights, warm-up, cosine and clipping are the same for all.",
        "Plain gradient descent has one rate for words that come up in every story and words that "
        "come up in one of a hundred: too large for those or too small for these. Adam divides each "
        "entry of the gradient by its usual size (Kingma & Ba 2015, arXiv:1412.6980), and that rare "
        "classes make the difference has been measured (Kunstner et al. 2024, arXiv:2402.19449). "
        "AdamW shrinks weights beside that division, not through it (Loshchilov & Hutter 2019, "
        "arXiv:1711.05101).",
    ]
