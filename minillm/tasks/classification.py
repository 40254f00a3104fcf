"""Text classification: which of several classes does a text belong to?

toy        stories of the toy world, classed by their plot: what happens, in which order, and how it
           ends.  No single word says so
sms        short messages, spam or not (SMS Spam Collection); few are spam, so its F1 counts
FILE.tsv   texts of your own, one `text TAB label` a line

The models are those of the task sentiment, LSTM and BERT, with as many outputs as there are classes.
For messages and files a fifth is held out for testing, with the same share of each class; equal texts
stay together.
"""

from typing import Any

import numpy as np

from ..data import (
    LabelledFile,
    Story,
    load_sms_spam,
    read_labelled,
    split_examples,
    stratified_split,
)
from ..training import confusion_matrix
from ..viz import plot_confusion
from .classifiers import (
    NeuralClassifier,
    Predict,
    Texts,
    binary_scores,
    classical_rivals,
    many_scores,
    missing_notes,
)
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings
from .toy_data import LANGUAGES, ToyData
from .words import WordVocabulary

SUMMARY = "Text classification: plots of stories, spam, or texts of your own (F1)."
DATA = ("toy", "sms", "FILE.tsv")
KIND = "task"
LSTM = Recipe(steps=800, lr=6e-3, layers=1, width=96, train=12000)
BERT = Recipe(steps=700, lr=2e-3, layers=2, width=64, train=12000)
REAL = Recipe(steps=800, layers=1, width=128, dropout=0.5, warmup=30)
EVENTS = {"G": "get", "W": "wish", "F": "find", "U": "use", "L": "lose", "Q": "search",
          "R": "rescue", "V": "give", "T": "thanks"}  # fmt: skip


def run(settings: TaskSettings) -> TaskResult:
    """Train and measure on the data asked for."""
    if str(settings.data).endswith(".tsv"):
        return run_file(read_labelled(str(settings.data), at_least=2), settings)
    if settings.choice("data", *DATA) == "toy":
        return run_toy(settings)
    if settings.data == "sms":
        spam = load_sms_spam()
        return run_file(LabelledFile(spam.texts, spam.labels, ["ham", "spam"]), settings)
    raise ValueError("data FILE.tsv stands for a file of yours, lines of text TAB label: name it")


# ---------------------------------------------------------------------------------- toy world


def plot_name(plot: str) -> str:
    """A plot of the toy world in words.

    >>> plot_name("GLQ-")
    'get lose search :('
    """
    return " ".join(EVENTS[event] for event in plot[:-1]) + (" :)" if plot[-1] == "+" else " :(")


def story_texts(stories: list[Story], language: str, plots: list[str]) -> Texts:
    """Those stories whose plot is among the ones given, with the number of the plot."""
    known = [s for s in stories if s.derivation["plot"] in plots]
    labels = np.array([plots.index(s.derivation["plot"]) for s in known], dtype=np.int64)
    return Texts([s.tokens[language] for s in known], labels, [s.text[language] for s in known])


def run_toy(settings: TaskSettings) -> TaskResult:
    """LSTM and BERT name the plots of stories."""
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(settings.recipe(LSTM), settings)
    plots = sorted({s.derivation["plot"] for s in data.train}, key=lambda p: (len(p), p))
    names = [plot_name(plot) for plot in plots]
    texts = story_texts(data.train, language, plots)
    tests = {k: story_texts(stories, language, plots) for k, stories in data.tests().items()}
    rows, models = [], {}
    for i, (name, kind, recipe) in enumerate((("LSTM", "lstm", LSTM), ("BERT", "bert", BERT))):
        words, sizes = data.vocabulary(language), settings.recipe(recipe)
        model = NeuralClassifier(kind, words, len(plots), sizes, data.rng(2 * i))
        trained = model.train(texts, settings, data.rng(2 * i + 1), name)
        models[name] = model.predict
        rows.append(Row(name, {"parameters": trained.parameters, "seconds": trained.seconds}))
    models |= classical_rivals(texts, len(plots))
    rows += [Row(name, {}) for name in list(models)[len(rows) :]]
    figures: dict[str, float] = {}
    for row in rows:
        said = {kind: models[row.name](test.words) for kind, test in tests.items()}
        scores = {kind: many_scores(said[kind], tests[kind].labels) for kind in tests}
        row.values.update(scores["test"], **{"comp. f1": scores["compositional"]["macro f1"]})
        figures |= {f"{row.name}, {score}": x for score, x in scores["test"].items()}
        figures[f"{row.name}, compositional macro f1"] = scores["compositional"]["macro f1"]
    found = models["BERT"](tests["test"].words)
    return TaskResult(
        "classification",
        f"the plots of {language.capitalize()} stories of the toy world, {len(plots)} classes",
        ["accuracy", "macro f1", "comp. f1", "parameters", "seconds"],
        rows,
        figures=figures,
        examples=examples(tests["test"], found, names),
        notes=[
            f"{len(tests['test']):,} stories of the ordinary test set, of {len(plots)} plots; macro "
            "f1: the mean over the plots. comp.: the compositional stories that have one of these "
            f"plots ({len(tests['compositional']):,}). The examples and the picture are BERT's.",
            *missing_notes(),
        ],
        draw=lambda: plot_classes(tests["test"], found, names, "Plots, as BERT names them"),
        settings=settings.as_dict(),
    )


def examples(texts: Texts, said: np.ndarray, names: list[str]) -> list[Example]:
    """Texts with the name of the right class and of the one said."""
    cases = zip(texts.shown, texts.labels.tolist(), said.tolist(), strict=True)
    return choose_examples([Example(text, names[right], names[x]) for text, right, x in cases])


def plot_classes(texts: Texts, said: np.ndarray, names: list[str], title: str) -> Any:
    """The confusion of the classes."""
    counts = confusion_matrix(said, texts.labels, labels=list(range(len(names))))
    return plot_confusion(counts, names, title)


# --------------------------------------------------------------------------- messages and files


def run_file(data: LabelledFile, settings: TaskSettings) -> TaskResult:
    """The LSTM from scratch on a split of labelled texts; F1 of class 1 where there are two."""
    texts, names = Texts.of(data.texts, data.labels), data.names
    keys = [" ".join(words) for words in texts.words]
    train_rows, test_rows = stratified_split(texts.labels, 0.2, seed=settings.seed, keys=keys)
    train = texts[train_rows[: settings.train]]
    test = texts[test_rows[: settings.test]]
    model, trained = train_real(train, len(names), settings)
    models: dict[str, Predict] = {"LSTM": model.predict, **classical_rivals(train, len(names))}
    score = binary_scores if len(names) == 2 else many_scores
    said = {name: predict(test.words) for name, predict in models.items()}
    rows = [Row(name, score(labels, test.labels)) for name, labels in said.items()]
    columns = list(rows[0].values)
    figures = {f"{r.name}, {column}": r.values[column] for r in rows for column in columns}
    rows[0].values.update(parameters=trained.parameters, seconds=trained.seconds)
    of = f"f1, precision and recall are those of {names[1]!r}; " if len(names) == 2 else ""
    return TaskResult(
        "classification",
        f"{len(data.texts):,} texts of {len(names)} classes, {largest_share(test, len(names))}",
        [*columns, "parameters", "seconds"],
        rows,
        figures=figures,
        examples=examples(test, said["LSTM"], names),
        notes=[
            f"{len(train):,} texts to train on, {len(test):,} to test on; {of}a tenth of the texts to "
            "train on decides when the LSTM stops. The examples and the picture are the LSTM's.",
            *missing_notes(),
        ],
        draw=lambda: plot_classes(test, said["LSTM"], names, "Classes, as the LSTM names them"),
        settings=settings.as_dict(),
    )


def largest_share(texts: Texts, classes: int) -> str:
    """How unequal the classes are, in words."""
    most = np.bincount(texts.labels, minlength=classes).max() / len(texts)
    return f"{100 * most:.0f} % of them of the largest"


def train_real(texts: Texts, classes: int, settings: TaskSettings) -> tuple[NeuralClassifier, Any]:
    """An LSTM that starts from nothing; a tenth of the texts says when to stop."""
    rng = np.random.default_rng([settings.seed, 100])
    kept, held = split_examples(range(len(texts)), 0.1, seed=settings.seed)
    words = WordVocabulary.train(texts[kept].words, min_count=2)
    model = NeuralClassifier("lstm", words, classes, settings.recipe(REAL), rng)
    trained = model.train(
        texts[kept], settings, rng, "LSTM", validation=texts[held], word_dropout=0.1,
        evaluate_every=80,
    )  # fmt: skip
    return model, trained
