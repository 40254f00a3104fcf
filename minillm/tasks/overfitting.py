"""Overfitting and its remedies, five of them, on the same few stories.

A GPT with far more parameters than the stories have words learns them by heart: the training loss goes
on falling while the loss on other stories rises.  What helps is to let it have less, or to give it
more: weight decay, dropout, early stopping, a smaller model, more data.

--data uci asks the same of fine-tuning: all of MiniLM learns from a few sentences of reviews.  In place
of a smaller model stands one of which less may learn, by LoRA.
"""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import manual_seed
from ..data import LengthBatches, Story, load_labelled_sentences, stratified_split
from ..finetuning import LoraConfig, add_lora
from ..models import BertForSequenceClassification, GPT2Config, GPT2LMHeadModel
from ..models.bert import BertSelfAttention
from ..models.published import PUBLISHED
from ..nn import Dropout
from ..tokenizers import BertTokenizer
from ..training import EarlyStopping, accuracy, evaluate
from ..viz import plot_curves
from .result import Row, TaskResult
from .settings import Recipe, TaskSettings, Training, train
from .toy_data import LANGUAGES, ToyData
from .words import BOS, EOS

SUMMARY = "Overfitting: five remedies on the same few stories, or reviews, one curve each."
DATA = ("toy", "uci")
KIND = "study"
RECIPE = Recipe(steps=400, batch_size=16, width=64, train=60, test=150, weight_decay=0.0)
UCI = Recipe(
    steps=60, batch_size=16, lr=1e-4, train=60, test=150, weight_decay=0.0, warmup=6
)  # of MiniLM, whose size is given
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
    return {"toy": run_toy, "uci": run_uci}[settings.choice("data", *DATA)](settings)


def compare(
    recipes: dict[str, Recipe],
    fit_with: Callable[[str, Recipe], tuple[Training, dict[str, float]]],
) -> tuple[list[Row], dict[str, float], dict[str, Any]]:
    """(rows, figures, curves of the loss on other texts), one training for each remedy."""
    rows, figures, curves = [], {}, {}
    for name, recipe in recipes.items():
        trained, final = fit_with(name, recipe)
        losses = trained.history.history["val_loss"]
        curves[name] = (trained.history.history["step"], losses)
        row = {**final, "gap": final["test"] - final["train"]}
        figures.update({f"{name}, {key}": value for key, value in row.items()})
        row |= {"best on the way": min(losses), "parameters": trained.parameters}
        rows.append(Row(name, {**row, "seconds": trained.seconds}))
    return rows, figures, curves


def run_toy(settings: TaskSettings) -> TaskResult:
    """A GPT from scratch on a few stories."""
    recipe = settings.recipe(RECIPE)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(dataclasses.replace(recipe, train=MORE * recipe.train), settings)
    rows, figures, curves = compare(
        remedies(recipe),
        lambda name, changed: fit_one(name, changed, data, language, settings),
    )
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


# ---------------------------------------------------------------------------------------- uci


def run_uci(settings: TaskSettings) -> TaskResult:
    """MiniLM, fine-tuned on a few review sentences."""
    recipe = settings.recipe(UCI)
    reviews = Reviews(recipe, settings)
    rows, figures, curves = compare(
        remedies_of_fine_tuning(recipe),
        lambda name, changed: reviews.fine_tune(name, changed, settings),
    )
    rows.append(Row("chance: ln 2", {"test": float(np.log(2)), "accuracy": 0.5}))
    return TaskResult(
        "overfitting",
        f"MiniLM, fine-tuned on {recipe.train} sentences of reviews",
        ["train", "test", "gap", "accuracy", "best on the way", "parameters", "seconds"],
        rows,
        figures=figures,
        notes=[
            f"Nats per sentence, on the {recipe.train} training sentences (of {MORE * recipe.train:,} "
            f"for more data, the first {recipe.train}) and on {recipe.test} others, whose accuracy "
            f"this is. All have {recipe.steps} steps, but early stopping. LoRA: rank 4 on the "
            "attention, ten times the learning rate."
        ],
        draw=lambda: plot_curves(
            curves, "MiniLM on the same few reviews, with and without a remedy", "step",
            "loss on other reviews (nats)", lines={"ln 2": float(np.log(2))}, markers=True,
        ),
        settings=settings.as_dict(),
    )  # fmt: skip


def remedies_of_fine_tuning(recipe: Recipe) -> dict[str, Recipe]:
    """As `remedies`; what is not in a recipe, `Reviews.fine_tune` knows by the name."""
    change = dataclasses.replace
    return {
        NOTHING: recipe,
        "weight decay": change(recipe, weight_decay=10.0),
        "dropout": change(recipe, dropout=0.3),
        "early stopping": recipe,
        "less learns: LoRA": change(recipe, lr=10 * recipe.lr),
        "more data": change(recipe, train=MORE * recipe.train),
    }


class Reviews:
    """The sentences, cut by MiniLM's tokenizer, and fresh copies of MiniLM for them.

    Raises   RuntimeError with the line to run if the weights are not there
    """

    def __init__(self, recipe: Recipe, settings: TaskSettings) -> None:
        self.folder = PUBLISHED["minilm"].location()
        if not self.folder.exists():
            raise RuntimeError(
                f"overfitting: {self.folder} is missing: python -m minillm weights minilm"
            )
        data = load_labelled_sentences()
        rng = np.random.default_rng([settings.seed, 100])
        kept, held = stratified_split(data.labels, 0.2, seed=settings.seed, keys=data.texts)
        kept, held = rng.permutation(kept)[: MORE * recipe.train], rng.permutation(held)
        self.seed, self.few = settings.seed, recipe.train
        tokenizer = BertTokenizer.from_pretrained(self.folder)
        self.train, self.test = (
            (
                [tokenizer.encode(data.texts[row]) for row in rows],
                [int(data.labels[row]) for row in rows],
            )
            for rows in (kept, held[: recipe.test])
        )

    def batches(self, part: tuple[list, list], count: int, size: int, **options: Any) -> Any:
        """The first `count` sentences of a part."""
        columns = {"input_ids": part[0][:count], "labels": part[1][:count]}
        return LengthBatches(columns, size, **options)

    def model(self, dropout: float) -> BertForSequenceClassification:
        """MiniLM with a fresh head, whose warning is expected, and this much dropout."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = BertForSequenceClassification.from_pretrained(self.folder)
        for module in model.modules():
            if isinstance(module, Dropout):
                module.p = dropout
            elif isinstance(module, BertSelfAttention):
                module.dropout_p = dropout
        return model

    def fine_tune(
        self, name: str, recipe: Recipe, settings: TaskSettings
    ) -> tuple[Training, dict[str, float]]:
        """(the training, the figures of the finished model) with one remedy."""
        manual_seed(self.seed)  # the same head for all
        model = self.model(recipe.dropout)
        if "LoRA" in name:
            attention = ("query", "key", "value")
            add_lora(
                model,
                LoraConfig(4, 8.0, target_modules=attention, modules_to_save=("classifier",)),
            )
        test = self.batches(self.test, recipe.test, 64, shuffle=False)
        rng = np.random.default_rng([self.seed, 101])
        trained = train(
            model, self.batches(self.train, recipe.train, recipe.batch_size, rng=rng), recipe,
            settings, label=name, validation=test, evaluate_every=max(1, recipe.steps // 10),
            early_stopping=EarlyStopping(patience=2) if name == "early stopping" else None,
        )  # fmt: skip
        seen = evaluate(model, self.batches(self.train, self.few, 64, shuffle=False))["loss"]
        other = evaluate(model, test, metrics={"accuracy": accuracy})
        return trained, {"train": seen, "test": other["loss"], "accuracy": other["accuracy"]}
