"""Summaries: a whole story in one line, written by an encoder-decoder.

The summary says who got or wanted which thing, where, and the feeling at the end: the words stand in
three sentences of the story.  Compared with its first sentence (lead-1, hard to beat on news; Nenkova
2005) and with the summary of another story.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..data import Story
from ..data.toy_world.text import join
from ..training import rouge
from ..viz import plot_bars
from .result import Example, Row, TaskResult, choose_examples
from .seq2seq import SequenceWriter, require_metric, same_share
from .settings import Recipe, TaskSettings, train
from .toy_data import LANGUAGES, ToyData

SUMMARY = "Summaries: a whole story in one line, written by an encoder-decoder (ROUGE)."
DATA = ("toy",)
KIND = "task"
RECIPE = Recipe(steps=500, batch_size=32, lr=4e-3, width=96, train=10000)
POSITIONS = 100  # more than the longest story has words
MOST = 30  # words of a summary that are written at most
KINDS = {"rouge1": "R-1", "rouge2": "R-2", "rougeL": "R-L"}  # name of rouge-score: of the column
CODES = {"english": "en", "chinese": "zh"}


def run(settings: TaskSettings) -> TaskResult:
    """Train the encoder-decoder and measure it on both test sets."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    require_metric(partial(rouge, language=CODES[language]))
    data = ToyData.of(recipe, settings)
    writer = SequenceWriter(data.vocabulary(language), recipe, POSITIONS, data.rng(0))
    batches = writer.batches(
        [story.tokens[language] for story in data.train],
        [story.summary_tokens[language] for story in data.train],
        recipe.batch_size,
        data.rng(1),
    )
    trained = train(writer.model, batches, recipe, settings, label="encoder-decoder")
    said = {
        name: {kind: summarise(stories) for kind, stories in data.tests().items()}
        for name, summarise in models(writer, data, language).items()
    }
    scores = {name: measure(data, summaries, language) for name, summaries in said.items()}
    rows = [Row(name, dict(values)) for name, values in scores.items()]
    rows[0].values.update(parameters=trained.parameters, seconds=trained.seconds)
    return TaskResult(
        "summarisation",
        f"{language.capitalize()} stories of the toy world in one line",
        [*scores["chance"], "parameters", "seconds"],
        rows,
        figures={f"{name}, {k}": v for name, values in scores.items() for k, v in values.items()},
        examples=examples(data.test, said["Transformer"]["test"], language),
        notes=[note(data, language)],
        draw=lambda: picture(scores),
        settings=settings.as_dict(),
    )


def models(
    writer: SequenceWriter, data: ToyData, language: str
) -> dict[str, Callable[[list[Story]], list[list[str]]]]:
    """Name -> a function from stories to the words of their summaries."""
    rng, known = data.rng(2), [story.summary_tokens[language] for story in data.train]
    return {
        "Transformer": lambda stories: writer.write(
            [s.tokens[language] for s in stories], most=MOST
        ),
        "first sentence": lambda stories: [s.sentences[0].tokens[language] for s in stories],
        "chance": lambda stories: [known[i] for i in rng.integers(len(known), size=len(stories))],
    }


def measure(data: ToyData, said: dict[str, list[list[str]]], language: str) -> dict[str, float]:
    """ROUGE and exact matches on both test sets."""
    scores: dict[str, float] = {}
    for kind, stories in data.tests().items():
        right = [story.summary_tokens[language] for story in stories]
        found = rouge(
            [join(words, language)[0] for words in said[kind]],
            [join(words, language)[0] for words in right],
            list(KINDS) if kind == "test" else ["rougeL"],
            CODES[language],
        )
        before = "" if kind == "test" else "comp. "
        scores |= {before + KINDS[name]: value for name, value in found.items()}
        scores[before + "exact"] = same_share(said[kind], right)
    return scores


def note(data: ToyData, language: str) -> str:
    """What must be known to read the table."""
    unit = "words" if language == "english" else "characters"
    return (
        f"{len(data.test):,} stories of the ordinary test set; comp.: as many compositional ones. "
        f"R: F1 of ROUGE, of single {unit} (1), pairs (2), and the longest common subsequence (L). "
        "exact: the share of summaries that are right word for word. Chance: another story's summary."
    )


def examples(stories: list[Story], said: list[list[str]], language: str) -> list[Example]:
    """Stories with the right summary, and the one that was written."""
    return choose_examples([
        Example(story.text[language], story.summary[language], join(words, language)[0])
        for story, words in zip(stories, said, strict=True)
    ])  # fmt: skip


def picture(scores: dict[str, dict[str, float]]) -> Any:
    """ROUGE of each model on the ordinary test set."""
    bars = {name: [values[column] for column in KINDS.values()] for name, values in scores.items()}
    groups = ["words", "pairs of words", "longest common subsequence"]
    return plot_bars(bars, "Summaries of held-out stories", "F1 of ROUGE", groups=groups)
