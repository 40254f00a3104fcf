"""Question answering: find the words of a story that answer a question about it.

A BERT reads [BOS] question [SEP] story [SEP] and says of each word how likely the answer starts there,
and how likely it ends there (Devlin et al. 2019, section 4.2).  The answer is the span of the story
with the highest sum of the two.  Measured as SQuAD does: exact match, and F1 of the words.
"""

from collections import Counter, defaultdict
from typing import Any, NamedTuple

import numpy as np

from ..data import LengthBatches, Story, StoryQuestion
from ..data.toy_world.text import join
from ..models import BertForQuestionAnswering
from ..training import exact_match, token_f1
from ..viz import plot_bars
from .encoders import bert_config, predict
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings, train
from .toy_data import LANGUAGES, ToyData
from .words import BOS, SEP, WordVocabulary

SUMMARY = "Question answering: the words of a story that answer a question (exact match)."
DATA = ("toy",)
KIND = "task"
RECIPE = Recipe(steps=900, batch_size=32, layers=2, width=64, train=6000, test=300)
POSITIONS = 120  # more than the longest question and story have words
CODES = {"english": "en", "chinese": "zh"}  # how the metrics name the languages


class Case(NamedTuple):
    """A story, and one of its questions."""

    story: Story
    question: StoryQuestion


Span = tuple[int, int]  # first word of an answer in the story, last word + 1


def run(settings: TaskSettings) -> TaskResult:
    """Train the encoder and measure it on both test sets."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    known = cases_of(data.train, language)
    tests = {kind: cases_of(stories, language) for kind, stories in data.tests().items()}
    reader = Reader(known, data, recipe, language)
    trained = train(reader.model, reader.batches, recipe, settings, label="BERT encoder")
    places, rng = UsualPlaces(known), data.rng(2)
    said = {kind: reader.answer(cases) for kind, cases in tests.items()}
    answers = {
        "BERT encoder": said,
        "usual place": {kind: places.answer(cases, language) for kind, cases in tests.items()},
        "chance": {kind: places.guess(cases, language, rng) for kind, cases in tests.items()},
    }
    rows, figures = table(tests, answers, language)
    rows[0].values.update(parameters=trained.parameters, seconds=trained.seconds)
    return TaskResult(
        "question-answering",
        f"find the answer to a question in {language.capitalize()} stories of the toy world",
        ["exact match", "f1", "comp. exact match", "comp. f1", "parameters", "seconds"],
        rows,
        figures=figures,
        examples=examples(tests["test"], said["test"], language),
        notes=[
            f"All {len(tests['test']):,} questions about {len(data.test):,} ordinary test stories; "
            "comp.: about as many compositional ones. Usual place is told the kind of the question, "
            "and takes the words where such answers stood most often; chance takes as many words as "
            "they usually have, from anywhere in the story."
        ],
        draw=lambda: plot_bars(
            by_kind(tests, said, language), "Answers found, by kind of question", "exact match",
            groups=tuple(tests),
        ),
        settings=settings.as_dict(),
    )  # fmt: skip


def cases_of(stories: list[Story], language: str) -> list[Case]:
    """Every question about every story."""
    return [Case(story, question) for story in stories for question in story.questions[language]]


# --------------------------------------------------------------------------------------- models


class Reader:
    """The encoder with its data."""

    def __init__(self, cases: list[Case], data: ToyData, recipe: Recipe, language: str) -> None:
        self.language, self.words = language, data.vocabulary(language)
        rows = [encode(case, self.words, language) for case in cases]
        offsets = [len(case.question.tokens) + 2 for case in cases]
        spans = [(case.question.start, case.question.end) for case in cases]
        columns: dict[str, list[Any]] = {
            "input_ids": [ids for ids, _ in rows],
            "token_type_ids": [types for _, types in rows],
            "start_positions": [n + a for n, (a, _) in zip(offsets, spans, strict=True)],
            "end_positions": [n + b - 1 for n, (_, b) in zip(offsets, spans, strict=True)],
        }
        self.batches = LengthBatches(columns, recipe.batch_size, rng=data.rng(1))
        config = bert_config(recipe, len(self.words), POSITIONS, initializer_range=0.1)
        self.model = BertForQuestionAnswering(config, rng=data.rng(0))

    def answer(self, cases: list[Case]) -> list[Span]:
        """The best span for each question, in words of the story."""
        rows = [encode(case, self.words, self.language) for case in cases]
        columns = {"input_ids": [ids for ids, _ in rows], "token_type_ids": [t for _, t in rows]}
        scores = predict(
            self.model,
            columns,
            read=lambda output: (output.start_logits.numpy(), output.end_logits.numpy()),
        )
        found = []
        for case, (start, end) in zip(cases, scores, strict=True):
            first = len(case.question.tokens) + 2
            last = first + len(case.story.tokens[self.language])
            found.append(best_span(start[first:last], end[first:last]))
        return found


def encode(case: Case, words: WordVocabulary, language: str) -> tuple[list[int], list[int]]:
    """Ids and token types: [BOS] question [SEP] story [SEP]; the answer is in neither."""
    question = [BOS, *words.encode(case.question.tokens), SEP]
    story = [*words.encode(case.story.tokens[language]), SEP]
    return question + story, [0] * len(question) + [1] * len(story)


def best_span(start: np.ndarray, end: np.ndarray) -> Span:
    """The span with the highest start + end score among those that do not end before they start.

    Shapes   start, end (T,) -> (first, last + 1)

    >>> best_span(np.array([0.0, 3.0, 1.0]), np.array([9.0, 0.0, 2.0]))
    (0, 1)
    >>> best_span(np.array([0.0, 3.0, 1.0]), np.array([4.0, 0.0, 2.0]))
    (1, 3)
    """
    total = np.where(np.tri(len(start), dtype=bool).T, start[:, None] + end, -np.inf)
    first, last = divmod(int(total.argmax()), len(start))
    return first, last + 1


class UsualPlaces:
    """Answers without reading: where the answers to this kind of question stood most often."""

    def __init__(self, cases: list[Case]) -> None:
        spans: dict[str, Counter[Span]] = defaultdict(Counter)
        lengths: dict[str, Counter[int]] = defaultdict(Counter)
        for _, question in cases:
            for kind in (question.kind, ""):  # "" for a kind that training does not have
                spans[kind][question.start, question.end] += 1
                lengths[kind][question.end - question.start] += 1
        self.spans = {kind: counts.most_common(1)[0][0] for kind, counts in spans.items()}
        self.lengths = {kind: counts.most_common(1)[0][0] for kind, counts in lengths.items()}

    def answer(self, cases: list[Case], language: str) -> list[Span]:
        """The usual span, as far as the story has so many words."""
        found = []
        for story, question in cases:
            start, end = self.spans.get(question.kind, self.spans[""])
            end = min(end, len(story.tokens[language]))
            found.append((min(start, end - 1), end))
        return found

    def guess(self, cases: list[Case], language: str, rng: np.random.Generator) -> list[Span]:
        """As many words as usual, from anywhere: a blind guess."""
        found = []
        for story, question in cases:
            length = self.lengths.get(question.kind, self.lengths[""])
            start = int(rng.integers(len(story.tokens[language]) - length + 1))
            found.append((start, start + length))
        return found


# -------------------------------------------------------------------------------------- results


def text_of(story: Story, span: Span, language: str) -> str:
    """The words of a span as they stand in the running text."""
    words, (start, end) = story.tokens[language], span
    text, starts = join(words, language)
    return text[starts[start] : starts[end - 1] + len(words[end - 1])]


def scores(cases: list[Case], spans: list[Span], language: str) -> dict[str, float]:
    """Exact match and F1 of the answers as texts."""
    said = [text_of(case.story, span, language) for case, span in zip(cases, spans, strict=True)]
    right, code = [case.question.answer for case in cases], CODES[language]
    return {"exact match": exact_match(said, right, code), "f1": token_f1(said, right, code)}


def table(
    tests: dict[str, list[Case]], answers: dict[str, dict[str, list[Span]]], language: str
) -> tuple[list[Row], dict[str, float]]:
    """The rows, and their figures by name."""
    rows, figures = [], {}
    for name, by_set in answers.items():
        values = {}
        for kind, cases in tests.items():
            for metric, value in scores(cases, by_set[kind], language).items():
                long = kind == "compositional"
                values["comp. " + metric if long else metric] = value
                figures[f"{name}, {kind + ' ' if long else ''}{metric}"] = value
        rows.append(Row(name, values))
    return rows, figures


def by_kind(
    tests: dict[str, list[Case]], said: dict[str, list[Span]], language: str
) -> dict[str, list[float]]:
    """Kind of question -> exact match on each test set, for kinds that both sets ask for."""
    places: dict[str, dict[str, list[int]]] = {name: defaultdict(list) for name in tests}
    for name, cases in tests.items():
        for i, case in enumerate(cases):
            places[name][case.question.kind].append(i)
    result: dict[str, list[float]] = {}
    for kind in places[next(iter(tests))]:
        if all(kind in found for found in places.values()):
            result[kind] = [
                scores(
                    [cases[i] for i in places[name][kind]],
                    [said[name][i] for i in places[name][kind]],
                    language,
                )["exact match"]
                for name, cases in tests.items()
            ]
    return result


def examples(cases: list[Case], spans: list[Span], language: str) -> list[Example]:
    """Stories with a question each, a different kind of question from story to story."""
    found, count = [], len(cases)
    for i in range(count):
        case, span = cases[(7 * i) % count], spans[(7 * i) % count]
        given = f"{case.story.text[language]} — {case.question.text}"
        found.append(Example(given, case.question.answer, text_of(case.story, span, language)))
    return choose_examples(found)
