"""Transfer: what reading unlabelled stories first is worth when only a few stories have labels.

A BERT learns from stories without labels which words are hidden and which two parts belong together
(masked words and next sentence), a GPT which word comes next.  Then each gets a new head and learns
semantic roles, a label for each word, from few stories (fine-tuning).  Beside it the same network
learns the same labels from these stories alone, with the learning rate that suits it best.
"""

import time
from typing import Any

import numpy as np

from .. import functional as F
from ..data import LengthBatches, Story, StoryPair
from ..models import BertConfig, BertForPreTraining, BertForTokenClassification, GPT2LMHeadModel
from ..models.output import ModelOutput
from ..nn import Linear, Module
from ..training import span_f1
from ..viz import plot_curves
from .encoders import bert_config, predict
from .language_models import build_model
from .masked_batches import MaskedBatches
from .next_sentence import TRIES, FreshPairs
from .result import Row, TaskResult
from .semantic_roles import MostFrequentLabel
from .settings import Recipe, TaskSettings, Training, train
from .toy_data import LANGUAGES, ToyData
from .words import BOS, EOS, SEP, WordVocabulary

SUMMARY = "Transfer: fine-tuned after pre-training against from scratch, few labels (F1)."
DATA = ("toy",)
KIND = "study"
RECIPE = Recipe(steps=600, batch_size=32, lr=3e-3, layers=2, width=64, train=12000, test=200)
POSITIONS = 120  # more than the longest story has words, with the marks around it
SEEDS = 3  # of the fine-tuning: other labelled stories, heads, initial weights and order
MODELS = ("BERT", "GPT")
ENDS = {"BERT": SEP, "GPT": EOS}
WAYS = ("from scratch", "fine-tuned")
TESTS = ("test", "compositional")
RATES = {"from scratch": 6e-3, "fine-tuned": 3e-3}  # the best of 1e-3, 3e-3 and 6e-3 for each
BATCH = 16  # labelled stories in a step
SHARE = 8  # fine-tuning takes one step for so many of the pre-training


def run(settings: TaskSettings) -> TaskResult:
    """Pre-train both models once, then learn the labels from few and from many stories."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    largest = max(2, min(1000, recipe.train // (2 * SEEDS)))
    study = Study(data, recipe, settings, language, data.train[SEEDS * largest :])
    sizes = labelled_sizes(largest)
    scores = np.zeros((SEEDS, len(sizes), len(MODELS), len(WAYS), len(TESTS)))
    seconds = np.zeros((len(sizes), len(MODELS)))
    for i in range(SEEDS):
        labelled = data.train[i * largest : (i + 1) * largest]
        for j, size in enumerate(sizes):
            for k, name in enumerate(MODELS):
                started = time.perf_counter()
                for m, way in enumerate(WAYS):
                    tagger = study.learn(name, way, labelled[:size], i)
                    scores[i, j, k, m] = [study.f1(name, tagger, kind) for kind in TESTS]
                seconds[j, k] += time.perf_counter() - started
    return TaskResult(
        "transfer",
        f"semantic roles of {language.capitalize()} stories, learned from few labels",
        ["scratch", "tuned", "least gain", "comp. scratch", "comp. tuned", "seconds"],
        rows_of(sizes, scores, seconds, study),
        figures=figures_of(sizes, scores),
        notes=study.notes(),
        draw=lambda: plot_transfer(sizes, scores),
        settings=settings.as_dict(),
    )


def labelled_sizes(largest: int) -> list[int]:
    """Numbers of labelled stories: a hundredth, a tenth, and all; at least 2.

    >>> labelled_sizes(1000), labelled_sizes(50)
    ([10, 100, 1000], [2, 5, 50])
    """
    return sorted({max(2, largest // n) for n in (100, 10, 1)})


# ---------------------------------------------------------------------------------- pre-training


class SegmentPairs(FreshPairs):
    """Batches of stories in two parts, of which the second may be that of another story.

    That is how BERT reads: not two sentences, but two segments of them, so that the model gets to know
    texts as long as those of the task (Devlin et al. 2019, appendix A.2).
    """

    def pairs(self, i: int, count: int) -> list[StoryPair]:
        """Pairs of batch i."""
        rng = np.random.default_rng([self.seed, i])
        numbers = rng.integers(len(self.stories), size=count).tolist()
        return [draw_segments(self.stories, n, rng, self.language) for n in numbers]


def draw_segments(
    stories: list[Story], number: int, rng: np.random.Generator, language: str
) -> StoryPair:
    """A story cut at random between two sentences; by a fair coin its end is a stranger's.

    The stranger is about another hero and another thing.

    Raises   ValueError if all stories are about the same hero or the same thing
    """
    story, source = stories[number], stories[number]
    cut = int(rng.integers(1, len(story.sentences)))
    is_next = bool(rng.random() < 0.5)
    if not is_next:
        others = (stories[int(n)] for n in rng.integers(len(stories), size=TRIES))
        source = next((other for other in others if _strange(story, other)), story)
        if source is story:
            raise ValueError(
                f"{len(stories)} stories hold none about another hero and another thing: ask for "
                "more stories"
            )
    first = [word for s in story.sentences[:cut] for word in s.tokens[language]]
    at = min(cut, len(source.sentences) - 1)
    second = [word for s in source.sentences[at:] for word in s.tokens[language]]
    return StoryPair(first, second, is_next)


def _strange(story: Story, other: Story) -> bool:
    return all(other.derivation[slot] != story.derivation[slot] for slot in ("hero", "object"))


def encode(story: Story, words: WordVocabulary, language: str, name: str) -> list[int]:
    """[BOS], the words of a story, and what ends it in the pre-training of this model."""
    return [BOS, *words.encode(story.tokens[language]), ENDS[name]]


class GPTTagger(Module):
    """A GPT with a label for each word, read from the last hidden state there.

    It sees the words before and the word itself, not those that follow.

    Shapes   input_ids (B, T) -> logits (B, T, num_labels)
    """

    def __init__(self, gpt: GPT2LMHeadModel, num_labels: int, rng: np.random.Generator) -> None:
        self.transformer = gpt.transformer
        self.classifier = Linear(gpt.config.n_embd, num_labels, rng=rng)

    def forward(
        self, input_ids: Any, attention_mask: Any = None, labels: Any = None
    ) -> ModelOutput:
        """Logits, and the mean cross-entropy of the labels that are not -100."""
        x, _, _ = self.transformer(input_ids, attention_mask)
        logits = self.classifier(x)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        targets = None if labels is None else int((np.asarray(labels) != -100).sum())
        return ModelOutput(loss, logits, num_targets=targets)


class Study:
    """The two pre-trained models, and what turns them into taggers.

    unlabelled   the stories for pre-training, none of which is among those with labels
    """

    def __init__(
        self, data: ToyData, recipe: Recipe, settings: TaskSettings, language: str,
        unlabelled: list[Story],
    ) -> None:  # fmt: skip
        self.data, self.recipe, self.settings, self.language = data, recipe, settings, language
        self.words = data.vocabulary(language)
        self.labels = sorted({label for story in data.train for label in story.roles[language]})
        self.unlabelled = unlabelled
        self.tuning = recipe.replaced(
            steps=max(1, recipe.steps // SHARE), batch_size=min(BATCH, recipe.batch_size)
        )
        self.tuning = self.tuning.replaced(warmup=10)
        self.pretrained: dict[str, Any] = {}
        self.trained: dict[str, Training] = {}
        for name, batches in (("BERT", self._segments()), ("GPT", self._texts())):
            model = self.fresh(name, data.rng(0))
            label = f"{name}, pre-training on {len(unlabelled):,} stories"
            self.trained[name] = train(model, batches, recipe, settings, label=label)
            self.pretrained[name] = model.state_dict()

    def _segments(self) -> MaskedBatches:
        size = self.recipe.batch_size
        pairs = SegmentPairs(self.unlabelled, self.words, size, self.language, self.data.rng(1))
        return MaskedBatches(pairs, self.words, self.data.rng(2))

    def _texts(self) -> LengthBatches:
        rows = [encode(story, self.words, self.language, "GPT") for story in self.unlabelled]
        columns = {"input_ids": rows, "labels": rows}
        return LengthBatches(columns, self.recipe.batch_size, rng=self.data.rng(3))

    def fresh(self, name: str, rng: np.random.Generator) -> Any:
        """A model for pre-training that has learned nothing."""
        if name == "GPT":
            return build_model("GPT", self.recipe, len(self.words), POSITIONS, rng)
        return BertForPreTraining(self._config(2), rng=rng)

    def _config(self, num_labels: int) -> BertConfig:
        options = {"num_labels": num_labels, "initializer_range": 0.1}
        return bert_config(self.recipe, len(self.words), POSITIONS, **options)

    def tagger(self, name: str, way: str, rng: np.random.Generator) -> Any:
        """A model with a new head for the labels; its body is pre-trained, or fresh as well."""
        if name == "GPT":
            model: Any = GPTTagger(self.fresh(name, rng), len(self.labels), rng)
        else:
            model = BertForTokenClassification(self._config(len(self.labels)), rng=rng)
        if way == "fine-tuned":
            model.load_state_dict(self.pretrained[name], strict=False)  # all but the head
        return model

    def learn(self, name: str, way: str, labelled: list[Story], seed: int) -> Any:
        """A tagger trained on some labelled stories."""
        rng = self.data.rng(10 + seed)
        model = self.tagger(name, way, rng)
        number = {label: i for i, label in enumerate(self.labels)}
        columns = {
            "input_ids": [encode(story, self.words, self.language, name) for story in labelled],
            # [BOS] and what ends the story have no label
            "labels": [
                [-100, *(number[x] for x in s.roles[self.language]), -100] for s in labelled
            ],
        }
        recipe = self.tuning.replaced(lr=RATES[way])
        batches = LengthBatches(columns, min(recipe.batch_size, len(labelled)), rng=rng)
        label = f"{name}, {way}, {len(labelled):,} stories, seed {seed + 1} of {SEEDS}"
        train(model, batches, recipe, self.settings, label=label)
        return model

    def chance(self) -> dict[str, float]:
        """F1 in each test set of labels drawn as often as they occur."""
        guess, rng = MostFrequentLabel(self.unlabelled, self.language).guess, self.data.rng(9)
        return {
            kind: span_f1(guess(stories, rng), [story.roles[self.language] for story in stories])
            for kind, stories in self.data.tests().items()
        }

    def notes(self) -> list[str]:
        """What was the same for all, and what the columns mean."""
        size = next(iter(self.trained.values())).parameters
        return [
            f"F1 of roles, mean of {SEEDS} seeds, on {len(self.data.test):,} ordinary test stories "
            f"and as many compositional ones (comp.). least gain: the smallest difference of the "
            f"{SEEDS} seeds, fine-tuned less from scratch, ordinary test. seconds: of both, all seeds.",
            f"Pre-training: {self.recipe.steps:,} steps of {self.recipe.batch_size} from "
            f"{len(self.unlabelled):,} stories, models of about {size:,} parameters. Steps on "
            f"labels: {self.tuning.steps:,}, each of at most {self.tuning.batch_size} stories.",
        ]

    def f1(self, name: str, model: Any, kind: str) -> float:
        """F1 of the roles in one of the test sets: kind, first and last word must be right."""
        stories = self.data.tests()[kind]
        ids = [encode(story, self.words, self.language, name) for story in stories]
        # [BOS] and the end have no role
        said = [
            [self.labels[i] for i in row[1 : len(story) - 1].argmax(axis=-1)]
            for story, row in zip(ids, predict(model, {"input_ids": ids}), strict=True)
        ]
        return span_f1(said, [story.roles[self.language] for story in stories])


# -------------------------------------------------------------------------------------- results


def rows_of(sizes: list[int], scores: np.ndarray, seconds: np.ndarray, study: Study) -> list[Row]:
    """One row for each number of stories and model; scores (seeds, sizes, models, ways, tests)."""
    mean, least = scores.mean(axis=0), least_gains(scores)
    rows = [
        Row(
            f"{size:,} stories, {name}",
            {
                "scratch": float(mean[j, k, 0, 0]),
                "tuned": float(mean[j, k, 1, 0]),
                "least gain": float(least[j, k]),
                "comp. scratch": float(mean[j, k, 0, 1]),
                "comp. tuned": float(mean[j, k, 1, 1]),
                "seconds": float(seconds[j, k]),
            },
        )
        for j, size in enumerate(sizes)
        for k, name in enumerate(MODELS)
    ]
    guess = study.chance()
    columns = ("scratch", "tuned"), ("comp. scratch", "comp. tuned")
    chance = {c: guess[kind] for kind, pair in zip(TESTS, columns, strict=True) for c in pair}
    pretraining = [
        Row(f"pre-training, {name}", {"seconds": trained.seconds})
        for name, trained in study.trained.items()
    ]
    return [*rows, Row("chance", chance), *pretraining]


def least_gains(scores: np.ndarray) -> np.ndarray:
    """The smallest difference that any seed gives, fine-tuned less from scratch, (sizes, models).

    Shapes   scores (seeds, sizes, models, ways, tests); of the tests the ordinary one
    """
    return (scores[:, :, :, 1, 0] - scores[:, :, :, 0, 0]).min(axis=0)


def figures_of(sizes: list[int], scores: np.ndarray) -> dict[str, float]:
    """The mean F1 over the seeds, and the smallest gain, by name."""
    least = least_gains(scores)
    figures = {
        f"{name}, {way}, {size} stories, {test} F1": float(scores[:, j, k, m, n].mean())
        for j, size in enumerate(sizes)
        for k, name in enumerate(MODELS)
        for m, way in enumerate(WAYS)
        for n, test in enumerate(TESTS)
    }
    return figures | {
        f"{name}, {size} stories, least gain": float(least[j, k])
        for j, size in enumerate(sizes)
        for k, name in enumerate(MODELS)
    }


def plot_transfer(sizes: list[int], scores: np.ndarray) -> Any:
    """F1 against the number of labelled stories, with a band of one standard deviation."""
    mean, spread = scores.mean(axis=0), scores.std(axis=0)
    curves = {
        f"{name}, {way}": (sizes, mean[:, k, m, 0], spread[:, k, m, 0])
        for k, name in enumerate(MODELS)
        for m, way in reversed(tuple(enumerate(WAYS)))
    }
    return plot_curves(
        curves, f"Semantic roles from few labels ({SEEDS} seeds)", "stories with labels", "F1",
        log_x=True, markers=True,
    )  # fmt: skip
