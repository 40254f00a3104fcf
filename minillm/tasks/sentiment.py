"""Sentiment: is a text positive or negative?

An LSTM reads the text word by word and answers from what it remembers at the end; it is the network of
many tutorials, Embedding(50), LSTM(128), one sigmoid.  A BERT encoder looks at all words at once and
answers at the first place.  Beside them stand naive Bayes and, where scikit-learn is installed,
logistic regression on TF-IDF.

toy   stories of the toy world, positive or negative by how they end
uci   3,000 sentences of reviews (UCI, labelled sentences), a mean over five splits; the LSTM starts
      from nothing, and all-MiniLM-L6-v2 shows what reading much other text before is worth
"""

from typing import Any

import numpy as np

from ..data import Story, load_labelled_sentences, split_examples, stratified_split
from ..viz import plot_bars, plot_curves
from .classical import SKLEARN_LINE, has_sklearn, logistic_regression
from .classifiers import (
    NeuralClassifier,
    Texts,
    binary_scores,
    classical_rivals,
    missing_notes,
)
from .result import Example, Row, TaskResult, choose_examples
from .sentence_vectors import MINILM_LINE, has_minilm, minilm_vectors
from .settings import Recipe, TaskSettings
from .toy_data import LANGUAGES, ToyData
from .words import WordVocabulary

SUMMARY = "Sentiment: is a text positive or negative? LSTM and BERT (accuracy)."
DATA = ("toy", "uci")
KIND = "task"
LSTM = Recipe(steps=150, layers=1, width=128, train=8000)
BERT = Recipe(steps=300, lr=2e-3, layers=2, width=64, train=8000)
UCI = Recipe(steps=600, layers=1, width=128, dropout=0.5, warmup=30)
NAMES = ("negative", "positive")
SPLITS = 5
COLUMNS = ["accuracy", "precision", "recall", "f1"]


def run(settings: TaskSettings) -> TaskResult:
    """Train and measure on the data asked for."""
    return {"toy": run_toy, "uci": run_uci}[settings.choice("data", *DATA)](settings)


# ---------------------------------------------------------------------------------- toy world


def story_texts(stories: list[Story], language: str) -> Texts:
    """Stories with their sentiment: 1 is positive."""
    labels = np.array([int(story.sentiment == "positive") for story in stories])
    return Texts([s.tokens[language] for s in stories], labels, [s.text[language] for s in stories])


def run_toy(settings: TaskSettings) -> TaskResult:
    """Both models on the stories of the toy world."""
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(settings.recipe(LSTM), settings)
    words, texts = data.vocabulary(language), story_texts(data.train, language)
    rows, figures, models = [], {}, {}
    for i, (name, kind, recipe) in enumerate((("LSTM", "lstm", LSTM), ("BERT", "bert", BERT))):
        sizes = settings.recipe(recipe)
        model = NeuralClassifier(kind, words, 2, sizes, data.rng(2 * i))
        trained = model.train(texts, settings, data.rng(2 * i + 1), name)
        models[name] = model.predict
        rows.append(Row(name, {"parameters": trained.parameters, "seconds": trained.seconds}))
        if kind == "lstm":
            reader = model
    models |= classical_rivals(texts, 2)
    rows += [Row(name, {}) for name in list(models)[len(rows) :]]
    tests = {kind: story_texts(stories, language) for kind, stories in data.tests().items()}
    for row in rows:
        scores = {k: binary_scores(models[row.name](t.words), t.labels) for k, t in tests.items()}
        row.values.update(scores["test"], **{"comp.": scores["compositional"]["accuracy"]})
        figures[f"{row.name}, accuracy"] = scores["test"]["accuracy"]
        figures[f"{row.name}, compositional accuracy"] = scores["compositional"]["accuracy"]
    return TaskResult(
        "sentiment",
        f"positive or negative, {language.capitalize()} stories of the toy world",
        [*COLUMNS, "comp.", "parameters", "seconds"],
        rows,
        figures=figures,
        examples=examples(tests["test"], reader.predict(tests["test"].words)),
        notes=[
            f"{len(data.test):,} stories of the ordinary test set; comp.: the accuracy on as many "
            "compositional ones, with words and lengths that no training story puts together. The "
            "examples and the picture are the LSTM's.",
            *missing_notes(),
        ],
        draw=lambda: plot_reading(reader, data.test, language),
        settings=settings.as_dict(),
    )


def plot_reading(reader: NeuralClassifier, stories: list[Story], language: str) -> Any:
    """What the LSTM believes after each word of a few stories that go differently."""
    chosen: dict[str, Story] = {}
    for story in stories:
        chosen.setdefault(story.derivation["plot"], story)
    plots = sorted(chosen, key=lambda plot: (-len(plot), plot))[:4]
    curves = {}
    for plot in plots:
        story = chosen[plot]
        tokens = story.tokens[language]
        prefixes = [tokens[: n + 1] for n in range(len(tokens))]
        scores = reader.scores(prefixes)
        belief = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))
        name = f"{story.derivation['hero']}, at the end {story.derivation['feeling']}"
        curves[name] = (np.arange(1, len(tokens) + 1), belief)
    return plot_curves(
        curves, "What the LSTM believes while it reads", "words read", "p(positive)",
        lines={"undecided": 0.5},
    )  # fmt: skip


def examples(texts: Texts, said: np.ndarray) -> list[Example]:
    """Texts with what is right and what was said."""
    cases = zip(texts.shown, texts.labels.tolist(), said.tolist(), strict=True)
    return choose_examples([Example(text, NAMES[right], NAMES[x]) for text, right, x in cases])


# ---------------------------------------------------------------------------------------- uci


def run_uci(settings: TaskSettings) -> TaskResult:
    """The LSTM from scratch, beside what others do, on five splits."""
    recipe = settings.recipe(UCI)
    data = load_labelled_sentences()
    texts = Texts.of(data.texts, data.labels)
    vectors = minilm_vectors(texts.shown, settings) if has_minilm() and has_sklearn() else None
    scores: dict[str, list[dict[str, float]]] = {}
    seconds: list[float] = []
    cases: list[Example] = []
    for split in range(SPLITS):
        number = SPLITS * settings.seed + split
        train_rows, test_rows = split_rows(texts, settings, number)
        model, trained = train_uci(texts[train_rows], recipe, settings, number)
        seconds.append(trained.seconds)
        said = {"LSTM": model.predict(texts[test_rows].words)}
        if vectors is not None:
            regression = logistic_regression(vectors[train_rows], texts.labels[train_rows])
            said["MiniLM + regression"] = regression.predict(vectors[test_rows])
        rivals = classical_rivals(texts[train_rows], 2)
        said |= {name: rival(texts[test_rows].words) for name, rival in rivals.items()}
        for name, labels in said.items():
            found = binary_scores(labels, texts.labels[test_rows])
            scores.setdefault(name, []).append(found)
        cases = cases or examples(texts[test_rows], said["LSTM"])
    rows = [uci_row(name, found) for name, found in scores.items()]
    rows[0].values.update(parameters=trained.parameters, seconds=float(sum(seconds)))
    accuracies = {row.name: row.values["accuracy"] for row in rows}
    return TaskResult(
        "sentiment",
        f"positive or negative, sentences of reviews, mean of {SPLITS} splits",
        [*COLUMNS, "lowest", "parameters", "seconds"],
        rows,
        figures={f"{name}, accuracy": value for name, value in accuracies.items()},
        examples=cases,
        notes=uci_notes(texts, len(test_rows)),
        draw=lambda: plot_bars(accuracies, "Sentiment of review sentences", "accuracy"),
        settings=settings.as_dict(),
    )


def split_rows(texts: Texts, settings: TaskSettings, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the sentences to train on and to test on; equal sentences stay together."""
    keys = [" ".join(words) for words in texts.words]
    train, test = stratified_split(texts.labels, 0.2, seed=number, keys=keys)
    return train[: settings.train], test[: settings.test]


def train_uci(texts: Texts, recipe: Recipe, settings: TaskSettings, number: int) -> tuple[Any, Any]:
    """An LSTM for one split; a tenth of its training sentences says when to stop."""
    rng = np.random.default_rng([number, 100])
    kept, held = split_examples(range(len(texts)), 0.1, seed=number)
    words = WordVocabulary.train(texts[kept].words, min_count=2)
    model = NeuralClassifier("lstm", words, 2, recipe, rng)
    label = f"LSTM, split {number % SPLITS + 1} of {SPLITS}"
    trained = model.train(
        texts[kept], settings, rng, label, validation=texts[held], word_dropout=0.1
    )
    return model, trained


def uci_row(name: str, scores: list[dict[str, float]]) -> Row:
    """The mean over the splits, and the lowest accuracy among them."""
    values = {column: float(np.mean([s[column] for s in scores])) for column in COLUMNS}
    return Row(name, {**values, "lowest": min(s["accuracy"] for s in scores)})


def uci_notes(texts: Texts, tested: int) -> list[str]:
    """How it was measured, and which rows are left out."""
    notes = [
        f"{len(texts):,} sentences of Amazon, IMDb and Yelp, split five times by seed: a fifth "
        f"({tested:,}) is for testing. A tenth of the rest decides when the LSTM stops; the test "
        "sentences decide nothing. lowest: the accuracy on the worst split; seconds: all five.",
        *missing_notes(),
    ]
    needed = [*([] if has_minilm() else [MINILM_LINE]), *([] if has_sklearn() else [SKLEARN_LINE])]
    if needed:
        notes.append(
            f"MiniLM with logistic regression is left out; it needs {' and '.join(needed)}"
        )
    return notes
