"""Fine-tuning with few trainable parameters: six ways to teach the same pretrained model a task.

A BERT first fills in masked words of stories, without labels.  Then the plots of some of these stories
are its task: what happens, in which order, how it ends.  The same weights are the start of

    full fine-tuning   everything learns
    head only          the pooler and the classifier, which are new; the model stays as it is
    LoRA               and a low-rank update of every matrix of attention and MLP  (finetuning/lora.py)
    BitFit             and the biases                                              (bitfit.py)
    prompt tuning      and vectors in front of the input                           (prompt_tuning.py)
    adapters           and small networks behind the sublayers, and the norms      (adapters.py)

What each costs is measured, not estimated: the arrays of gradients and optimiser are counted, the
memory of a step is traced, its time is taken in turns, and the file that has to be kept is weighed.
"""

import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..backend import Device, to_numpy
from ..data import LengthBatches
from ..finetuning import (
    LoraConfig,
    PromptTuning,
    TrainableParameters,
    add_adapters,
    add_lora,
    bitfit,
    freeze,
    save_lora,
    save_trainable,
    trainable_parameters,
    unfreeze,
)
from ..models import BertConfig, BertForMaskedLM, BertForSequenceClassification
from ..optim import AdamW
from ..viz import plot_curves
from .classification import story_texts
from .classifiers import Texts
from .encoders import bert_config, predict
from .masked_batches import MaskedBatches
from .result import Row, TaskResult
from .settings import Recipe, TaskSettings, train
from .toy_data import LANGUAGES, ToyData
from .words import BOS, WordVocabulary

SUMMARY = "Fine-tuning with few parameters: LoRA, BitFit, prompts, adapters; what each costs."
DATA = ("toy",)
KIND = "study"
RECIPE = Recipe(steps=250, batch_size=32, lr=1e-3, layers=2, width=96, train=8000)
PRETRAINING = 3  # times as many steps as the fine-tuning has
PRETRAINING_LR = 3e-3
LABELLED = 2  # one of so many stories has a label
RANK, BOTTLENECK, PROMPT = 8, 8, 8
POSITIONS = 100 + PROMPT  # more than the longest story has words
HEADS = ("bert.pooler", "classifier")
MATRICES = ("query", "key", "value", "output.dense", "intermediate.dense")
ROUNDS = 9  # the time of a step is the median of so many
COLUMNS = ["accuracy", "comp.", "trainable", "share %", "state kB", "peak kB", "ms", "file kB"]

# a pretrained model, and where random numbers come from -> what is to be trained
Change = Callable[[Any, np.random.Generator], Any]


class Method(NamedTuple):
    """A way to fine-tune: how the model is changed, and the rate that suits it."""

    change: Change
    lr: float  # as a multiple of the recipe's


def head_only(model: Any, rng: np.random.Generator) -> Any:
    """Freeze what is pretrained."""
    freeze(model)
    unfreeze(model, *HEADS)
    return model


def with_lora(model: Any, rng: np.random.Generator) -> Any:
    """A low-rank update for every matrix of every layer; alpha is twice the rank."""
    rank = min(RANK, model.config.hidden_size)
    config = LoraConfig(
        r=rank, alpha=2 * rank, target_modules=MATRICES, modules_to_save=HEADS
    )  # fmt: skip
    return add_lora(model, config, rng=rng)


def with_biases(model: Any, rng: np.random.Generator) -> Any:
    """The biases and the head."""
    bitfit(model, *HEADS)
    return model


def with_adapters(model: Any, rng: np.random.Generator) -> Any:
    """A bottleneck behind each sublayer, and the norms."""
    return add_adapters(model, min(BOTTLENECK, model.config.hidden_size), *HEADS, rng=rng)


# the rates were chosen on stories of another seed than those that are reported
METHODS: dict[str, Method] = {
    "full": Method(lambda model, rng: model, 1.0),
    "head only": Method(head_only, 10.0),
    "LoRA": Method(with_lora, 5.0),
    "BitFit": Method(with_biases, 5.0),
    "prompt tuning": Method(lambda model, rng: PromptTuning(model, PROMPT, *HEADS, rng=rng), 15.0),
    "adapters": Method(with_adapters, 8.0),
}


@dataclass
class Tuned:
    """A model that was fine-tuned, and what that cost.

    learning_bytes   gradients and the optimiser's state
    peak_bytes       the most that a step holds beside the weights
    file_bytes       what must be kept for this task beside the base
    """

    model: Any
    size: TrainableParameters
    accuracy: dict[str, float]
    learning_bytes: int
    peak_bytes: int
    file_bytes: int
    milliseconds: list[float] = field(default_factory=list)

    def values(self) -> dict[str, Any]:
        """The row of the table."""
        return {
            "accuracy": self.accuracy["test"],
            "comp.": self.accuracy["compositional"],
            "trainable": self.size.trainable,
            "share %": 100 * self.size.share,
            "state kB": round(self.learning_bytes / 1000),
            "peak kB": round(self.peak_bytes / 1000),
            "ms": statistics.median(self.milliseconds),
            "file kB": round(self.file_bytes / 1000),
        }


def run(settings: TaskSettings) -> TaskResult:
    """Pretrain once, fine-tune in every way, and measure quality and cost."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    task = PlotTask(data, recipe, language)
    pretrained = task.pretrain(data, recipe, settings)
    tuned = {
        name: task.tune(name, pretrained, data, recipe, settings) for name in METHODS
    }  # fmt: skip
    time_in_turns(tuned, task.batch(), Device(settings.device))
    rows = [Row(name, each.values()) for name, each in tuned.items()]
    usual = np.bincount(task.labelled.labels).argmax()
    chance = {kind: float(np.mean(t.labels == usual)) for kind, t in task.tests.items()}
    rows.append(Row("chance", {"accuracy": chance["test"], "comp.": chance["compositional"]}))
    return TaskResult(
        "efficient-tuning",
        f"plots of {language} stories, {len(task.plots)} classes, {len(METHODS)} ways to tune",
        COLUMNS,
        rows,
        figures=figures_of(tuned) | {f"chance, {kind} accuracy": x for kind, x in chance.items()},
        notes=notes(task, recipe),
        draw=lambda: plot_methods(tuned, chance["test"]),
        settings=settings.as_dict(),
    )


# ----------------------------------------------------------------------------------- the models


class PlotTask:
    """The data of both trainings, and the models that read them.

    Raises   ValueError for so few stories that there is nothing to tell apart, or none to test on
    """

    def __init__(self, data: ToyData, recipe: Recipe, language: str) -> None:
        self.words: WordVocabulary = data.vocabulary(language)
        known = data.train[: max(len(data.train) // LABELLED, 1)]
        self.plots = sorted({s.derivation["plot"] for s in known}, key=lambda p: (len(p), p))
        self.labelled = story_texts(known, language, self.plots)
        self.tests = {
            kind: story_texts(stories, language, self.plots)
            for kind, stories in data.tests().items()
        }
        if len(self.plots) < 2 or not all(map(len, self.tests.values())):
            left = " and ".join(f"{len(texts)} {kind}" for kind, texts in self.tests.items())
            raise ValueError(
                f"efficient-tuning: the {len(known)} labelled stories have {len(self.plots)} plots, "
                f"and {left} stories have one of these: ask for more to train on or to test on"
            )
        self.unlabelled = self.ids([story.tokens[language] for story in data.train])
        self.batch_size = recipe.batch_size

    def ids(self, stories: list[list[str]]) -> list[list[int]]:
        """What the model reads: [BOS], whose place says the class, and the words."""
        return [[BOS, *self.words.encode(words)] for words in stories]

    def config(self, recipe: Recipe) -> BertConfig:
        """A BERT of the recipe's size with a class for each plot."""
        spread = recipe.width**-0.5  # BERT's own 0.02 is made for a width of 768
        return bert_config(
            recipe, len(self.words), POSITIONS, num_labels=len(self.plots), initializer_range=spread
        )

    def pretrain(self, data: ToyData, recipe: Recipe, settings: TaskSettings) -> BertForMaskedLM:
        """Fill in masked words of all stories."""
        model = BertForMaskedLM(self.config(recipe), rng=data.rng(0))
        plain = LengthBatches({"input_ids": self.unlabelled}, self.batch_size, rng=data.rng(1))
        batches = MaskedBatches(plain, self.words, data.rng(2))
        longer = recipe.replaced(steps=PRETRAINING * recipe.steps, lr=PRETRAINING_LR)
        train(model, batches, longer, settings, label="BERT, masked words")
        return model

    def batches(self, rng: np.random.Generator) -> LengthBatches:
        """The labelled stories."""
        columns: dict[str, Any] = {
            "input_ids": self.ids(self.labelled.words),
            "labels": self.labelled.labels,
        }
        return LengthBatches(columns, self.batch_size, rng=rng)

    def batch(self) -> dict[str, Any]:
        """One batch for measuring, the same for all."""
        return self.batches(np.random.default_rng(0)).batch(0)

    def tune(
        self,
        name: str,
        pretrained: BertForMaskedLM,
        data: ToyData,
        recipe: Recipe,
        settings: TaskSettings,
    ) -> Tuned:
        """Fine-tune a copy of the pretrained model in one of the ways, and say what it cost."""
        method = METHODS[name]
        model = with_new_head(pretrained, self.config(recipe), data.rng(3))
        model = method.change(model, data.rng(4))
        own = recipe.replaced(lr=method.lr * recipe.lr)
        train(model, self.batches(data.rng(5)), own, settings, label=name)
        accuracy = {kind: self.accuracy(model, texts) for kind, texts in self.tests.items()}
        size, file_bytes = trainable_parameters(model), saved_bytes(model)
        return Tuned(model, size, accuracy, *memory_of_step(model, self.batch()), file_bytes)

    def accuracy(self, model: Any, texts: Texts) -> float:
        """The share of stories whose plot the model names."""
        logits = np.array(predict(model, {"input_ids": self.ids(texts.words)}))
        return float(np.mean(logits.argmax(axis=1) == texts.labels))


def with_new_head(
    pretrained: BertForMaskedLM, config: BertConfig, rng: np.random.Generator
) -> BertForSequenceClassification:
    """A classifier whose encoder has the pretrained weights; its pooler and its head are new."""
    model = BertForSequenceClassification(config, rng=rng)
    own = dict(model.named_parameters())
    for name, p in pretrained.named_parameters():
        if name in own:
            own[name].data[...] = to_numpy(p.data)
    return model


# ------------------------------------------------------------------------------------- the costs


class Steps:
    """Training steps on one batch, each a call."""

    def __init__(self, model: Any, batch: dict[str, Any]) -> None:
        self.model, self.batch = model, batch
        self.optimizer = AdamW(model.named_parameters(), lr=1e-5)

    def __call__(self) -> None:
        """Forward, backward, and the optimiser's step."""
        self.optimizer.zero_grad()
        self.model(**self.batch).loss.backward()
        self.optimizer.step()

    def learning_bytes(self) -> int:
        """The gradients and the state of the optimiser, as they are after a step."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        state = [a for entries in self.optimizer.state.values() for a in entries.values()]
        return sum(a.nbytes for a in [*gradients, *state] if hasattr(a, "nbytes"))


def memory_of_step(model: Any, batch: dict[str, Any]) -> tuple[int, int]:
    """(bytes of gradients and optimiser state, the most bytes that a step holds at once).

    The second counts what is allocated beside the weights: activations, gradients, the optimiser's
    state, and what operations need for a moment; on the host.
    """
    steps, started = Steps(model, batch), not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        steps()  # allocates the state
        tracemalloc.reset_peak()
        steps()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        if started:
            tracemalloc.stop()
    found = steps.learning_bytes(), peak - before
    model.zero_grad()
    return found


def time_in_turns(tuned: dict[str, Tuned], batch: dict[str, Any], device: Device) -> None:
    """Time the steps of all models one after the other, again and again.

    What slows the machine down for a while then slows all of them.
    """
    steps = {name: Steps(each.model, batch) for name, each in tuned.items()}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            device.synchronize()
            tuned[name].milliseconds.append(1000 * (time.perf_counter() - started))


def saved_bytes(model: Any) -> int:
    """The size of the files that hold what was learned."""
    with tempfile.TemporaryDirectory() as folder:
        if hasattr(model, "lora"):
            save_lora(model, folder)
        else:
            save_trainable(model, Path(folder) / "learned.safetensors")
        return sum(file.stat().st_size for file in Path(folder).iterdir())


# ------------------------------------------------------------------------------------ the result


def figures_of(tuned: dict[str, Tuned]) -> dict[str, float]:
    """Accuracies and sizes by name; no times and no peaks, which differ from run to run."""
    figures: dict[str, float] = {}
    for name, each in tuned.items():
        figures |= {f"{name}, {kind} accuracy": x for kind, x in each.accuracy.items()}
        figures[f"{name}, trainable parameters"] = each.size.trainable
        figures[f"{name}, trainable share"] = each.size.share
        figures[f"{name}, gradient and optimizer bytes"] = each.learning_bytes
        figures[f"{name}, file bytes"] = each.file_bytes
    return figures


def notes(task: PlotTask, recipe: Recipe) -> list[str]:
    """What was the same for all, what the columns mean, and why the shares are large here."""
    C, r = recipe.width, min(RANK, recipe.width)
    tests = {kind: len(texts) for kind, texts in task.tests.items()}
    return [
        f"One BERT, pretrained for {PRETRAINING * recipe.steps:,} steps on {len(task.unlabelled):,} "
        f"stories without labels; then {recipe.steps:,} steps of {recipe.batch_size} with "
        f"{len(task.labelled):,} labelled ones, the same for all, each method at its own learning "
        f"rate. Accuracy on {tests['test']:,} stories; comp.: on the {tests['compositional']:,} "
        "compositional ones whose plot was trained.",
        "trainable counts the new pooler and classifier, which all rows learn; share: of all "
        "parameters. state: gradients and what AdamW keeps, 12 bytes for each trainable number; "
        "peak: the most that a step allocates beside the weights, activations included; ms: of a "
        "step, median; file: what is kept beside the base. Below full, no row computes gradients of "
        "frozen weights.",
        "LoRA adds r (in + out) numbers to a matrix of in * out: for r = "
        f"{r} and a square matrix of width {C}, 2 r / C = {200 * r / C:.0f} % of it. The share falls "
        "as the width grows: 2 % at the 768 of BERT base.",
    ]


def plot_methods(tuned: dict[str, Tuned], chance: float) -> Any:
    """Accuracy on the ordinary test stories against the number of trainable parameters."""
    points = {
        name: ([each.size.trainable], [each.accuracy["test"]]) for name, each in tuned.items()
    }
    return plot_curves(
        points, "What learns, and how well", "trainable parameters", "accuracy",
        lines={"chance": chance}, log_x=True, markers=True,
    )  # fmt: skip
