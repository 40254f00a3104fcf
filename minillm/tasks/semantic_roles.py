"""Semantic roles: who did what to whom, where and when, as a label for each word.

A BERT reads a whole story and gives each word one of the labels O, B-agent, I-agent, … (BIO).  A role
counts as found if its kind, its first and its last word are right.  Compared with a memory: the label
that each word had most often in training, which cannot tell an agent from a patient.
"""

from collections import Counter, defaultdict

import numpy as np

from ..data import LengthBatches, Story
from ..models import BertForTokenClassification
from ..training import bio_spans, span_f1, span_scores
from ..viz import plot_bars
from .encoders import bert_config, predict
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings, train
from .toy_data import LANGUAGES, ToyData

SUMMARY = "Semantic roles: who did what to whom, a label for each word (span F1)."
DATA = ("toy",)
KIND = "task"
RECIPE = Recipe(steps=600, batch_size=32, layers=2, width=96, train=20000)
POSITIONS = 100  # more than the longest story has words


def run(settings: TaskSettings) -> TaskResult:
    """Train the encoder and measure it on both test sets."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    tagger = Tagger(data, recipe, language)
    trained = train(tagger.model, tagger.batches, recipe, settings, label="BERT encoder")
    memory, rng = MostFrequentLabel(data.train, language), data.rng(2)
    models = {
        "BERT encoder": tagger.tag,
        "most frequent label": memory.tag,
        "chance": lambda stories: memory.guess(stories, rng),
    }
    rows, figures = [], {}
    for name, model in models.items():
        scores = {
            kind: span_scores(model(stories), [story.roles[language] for story in stories])
            for kind, stories in data.tests().items()
        }
        figures[f"{name}, F1"] = scores["test"]["f1"]
        figures[f"{name}, compositional F1"] = scores["compositional"]["f1"]
        rows.append(Row(name, {**scores["test"], "comp. f1": scores["compositional"]["f1"]}))
    rows[0].values.update(parameters=trained.parameters, seconds=trained.seconds)
    said, truth = tagger.tag(data.test), [story.roles[language] for story in data.test]
    return TaskResult(
        "semantic-roles",
        f"a label for each word of {language.capitalize()} stories of the toy world",
        ["f1", "precision", "recall", "comp. f1", "parameters", "seconds"],
        rows,
        figures=figures,
        examples=examples(data.test, said, language),
        notes=[
            f"{len(data.test):,} stories of the ordinary test set; comp.: as many compositional ones, "
            "with words and lengths that no training story puts together. Chance draws each label "
            "as often as training has it."
        ],
        draw=lambda: plot_bars(scores_by_role(said, truth), "F1 of each role", "F1"),
        settings=settings.as_dict(),
    )


class Tagger:
    """The encoder with its data: labels to numbers, stories to ids, and back."""

    def __init__(self, data: ToyData, recipe: Recipe, language: str) -> None:
        self.language, self.words = language, data.vocabulary(language)
        self.labels = sorted({label for story in data.train for label in story.roles[language]})
        number = {label: i for i, label in enumerate(self.labels)}
        columns = {
            "input_ids": [self.words.encode(story.tokens[language]) for story in data.train],
            "labels": [[number[label] for label in s.roles[language]] for s in data.train],
        }
        self.batches = LengthBatches(columns, recipe.batch_size, rng=data.rng(1))
        config = bert_config(recipe, len(self.words), POSITIONS, num_labels=len(self.labels))
        self.model = BertForTokenClassification(config, rng=data.rng(0))

    def tag(self, stories: list[Story]) -> list[list[str]]:
        """The most likely label of each word."""
        ids = [self.words.encode(story.tokens[self.language]) for story in stories]
        logits = predict(self.model, {"input_ids": ids})
        return [
            [self.labels[i] for i in row[: len(story)].argmax(axis=-1)]
            for story, row in zip(ids, logits, strict=True)
        ]


class MostFrequentLabel:
    """A tagger without context: each word gets the label it had most often."""

    def __init__(self, stories: list[Story], language: str) -> None:
        self.language = language
        seen: dict[str, Counter[str]] = defaultdict(Counter)
        self.all: Counter[str] = Counter()
        for story in stories:
            self.all.update(story.roles[language])
            for word, label in zip(story.tokens[language], story.roles[language], strict=True):
                seen[word][label] += 1
        self.best = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}

    def tag(self, stories: list[Story]) -> list[list[str]]:
        """The label from memory; the most frequent of all for a word that was never seen."""
        usual = self.all.most_common(1)[0][0]
        return [[self.best.get(w, usual) for w in s.tokens[self.language]] for s in stories]

    def guess(self, stories: list[Story], rng: np.random.Generator) -> list[list[str]]:
        """Labels by chance, each as likely as it is frequent."""
        labels, counts = list(self.all), np.array(list(self.all.values()))
        p = counts / counts.sum()
        return [rng.choice(labels, len(s.tokens[self.language]), p=p).tolist() for s in stories]


def scores_by_role(said: list[list[str]], truth: list[list[str]]) -> dict[str, float]:
    """F1 of each role by itself, the most frequent role first."""
    kinds = Counter(kind for tags in truth for kind, _, _ in bio_spans(tags))

    def only(kind: str, stories: list[list[str]]) -> list[list[str]]:
        return [[t if t.endswith("-" + kind) else "O" for t in tags] for tags in stories]

    return {kind: span_f1(only(kind, said), only(kind, truth)) for kind, _ in kinds.most_common()}


def examples(stories: list[Story], said: list[list[str]], language: str) -> list[Example]:
    """Whole stories with the roles found in them."""

    def in_words(story: Story, tags: list[str]) -> str:
        words = story.tokens[language]
        gap = " " if language == "english" else ""
        return "; ".join(f"{kind} {gap.join(words[a:b])}" for kind, a, b in bio_spans(tags))

    return choose_examples([
        Example(story.text[language], in_words(story, story.roles[language]), in_words(story, tags))
        for story, tags in zip(stories, said, strict=True)
    ])  # fmt: skip
