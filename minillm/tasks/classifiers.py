"""Classifiers of texts that several tasks share: the LSTM, the BERT, and their classical rivals.

All of them take texts as lists of words and give the number of the class.  What they are trained on
and measured on is a `Texts`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import LengthBatches
from ..models import BertForSequenceClassification, LSTMClassifier
from ..nn import Dropout
from ..training import EarlyStopping, accuracy, f1, precision, recall
from .classical import SKLEARN_LINE, NaiveBayes, TfidfRegression, has_sklearn
from .encoders import bert_config, predict
from .settings import Recipe, TaskSettings, Training, train
from .words import BOS, UNK, WordVocabulary, split_words

EMBEDDING = 50  # numbers for each word, as in LSTMClassifier
LONGEST = 200  # words of a text that are read; what follows is left out
CHINESE = re.compile(r"([\u3400-\u9fff])")


@dataclass(frozen=True)
class Texts:
    """Texts as words, the number of each one's class, and the text to show.

    >>> Texts([["fine"]], np.array([1]), ["Fine!"])[:1].shown
    ['Fine!']
    """

    words: list[list[str]]
    labels: np.ndarray
    shown: list[str]

    def __post_init__(self) -> None:
        if not len(self.words) == len(self.labels) == len(self.shown):
            raise ValueError(
                f"Texts: {len(self.words)} texts, {len(self.labels)} labels and "
                f"{len(self.shown)} texts to show: there must be equally many"
            )

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: Any) -> "Texts":
        """Some of the texts, by a slice or by an array of their numbers."""
        at = np.arange(len(self))[rows].tolist()
        return Texts([self.words[i] for i in at], self.labels[at], [self.shown[i] for i in at])

    @classmethod
    def of(cls, texts: Sequence[str], labels: "Sequence[int] | np.ndarray") -> "Texts":
        """Running text, cut into words."""
        return cls([words_of(t) for t in texts], np.asarray(labels), [str(t) for t in texts])


def words_of(text: str) -> list[str]:
    """Words in small letters; each Chinese character is one, and digits become 0.

    What the number is matters less than what it looks like: a price, a year, a telephone number.

    >>> words_of("Call 0845 now!"), words_of("非常好")
    (['call', '0000', 'now', '!'], ['非', '常', '好'])
    """
    spaced = CHINESE.sub(r" \1 ", re.sub(r"\d", "0", text))
    return split_words(spaced)[:LONGEST] or ["."]


class WordDropout:
    """Batches in which some words, others in every batch, are hidden behind [UNK].

    So no single word decides, and [UNK] is something that the model has seen before the test.

    >>> batches = LengthBatches({"input_ids": [[7, 8, 9]]}, rng=np.random.default_rng(0))
    >>> WordDropout(batches, share=1.0, seed=0).batch(0)["input_ids"]
    array([[3, 3, 3]])
    """

    def __init__(self, batches: LengthBatches, share: float, seed: int) -> None:
        self.batches, self.share, self.seed = batches, share, seed

    def __len__(self) -> int:
        return len(self.batches)

    def batch(self, i: int) -> dict[str, np.ndarray]:
        """Batch number i, counted through all epochs."""
        batch = self.batches.batch(i)
        drawn = np.random.default_rng([self.seed, i]).random(batch["input_ids"].shape)
        hidden = (drawn < self.share) & (batch["attention_mask"] > 0)
        return {**batch, "input_ids": np.where(hidden, UNK, batch["input_ids"])}


class NeuralClassifier:
    """An LSTM or a BERT with its vocabulary.

    kind      "lstm": LSTMClassifier with one layer or more, reading from left to right;
              "bert": BertForSequenceClassification, which reads the class from a [BOS] in front

    >>> words = WordVocabulary(["good", "bad"])
    >>> rng = np.random.default_rng(0)
    >>> model = NeuralClassifier("lstm", words, 2, Recipe(width=8, heads=2, layers=1), rng)
    >>> model.scores([["good"], ["bad", "bad"]]).shape
    (2, 2)
    """

    def __init__(
        self,
        kind: str,
        words: WordVocabulary,
        classes: int,
        recipe: Recipe,
        rng: np.random.Generator,
    ) -> None:
        self.kind, self.words, self.classes, self.recipe = kind, words, classes, recipe
        if kind == "lstm":
            self.model: Any = LSTMClassifier(
                vocab_size=len(words), embedding_dim=EMBEDDING, hidden_size=recipe.width,
                num_layers=recipe.layers, dropout=recipe.dropout,
                num_labels=classes if classes > 2 else 1, rng=rng,
            )  # fmt: skip
        else:
            # BERT's own 0.02 is made for a width of 768; a narrow model would start too quietly
            spread = recipe.width**-0.5
            config = bert_config(
                recipe, len(words), LONGEST + 1, num_labels=classes, initializer_range=spread
            )
            self.model = BertForSequenceClassification(config, rng=rng)

    def ids(self, texts: Sequence[Sequence[str]]) -> list[list[int]]:
        """What the model reads."""
        start = [] if self.kind == "lstm" else [BOS]
        return [start + self.words.encode(words[:LONGEST]) for words in texts]

    def train(
        self,
        texts: Texts,
        settings: TaskSettings,
        rng: np.random.Generator,
        label: str,
        *,
        validation: Texts | None = None,
        word_dropout: float = 0.0,
        evaluate_every: int = 40,
    ) -> Training:
        """Train by the recipe.

        validation   texts to stop early by: the weights with the smallest loss on them are kept
        """
        columns: dict[str, Any] = {"input_ids": self.ids(texts.words), "labels": texts.labels}
        batches: Any = LengthBatches(columns, self.recipe.batch_size, rng=rng)
        if word_dropout:
            batches = WordDropout(batches, word_dropout, int(rng.integers(2**31)))
        for module in self.model.modules():
            if isinstance(module, Dropout):
                module.rng = rng  # same seed, same figures
        options: dict[str, Any] = {}
        if validation is not None:
            held: dict[str, Any] = {
                "input_ids": self.ids(validation.words),
                "labels": validation.labels,
            }
            options = {
                "validation": LengthBatches(held, 64, shuffle=False),
                "evaluate_every": evaluate_every,
                "early_stopping": EarlyStopping(patience=4),
            }
        return train(self.model, batches, self.recipe, settings, label=label, **options)

    def scores(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """Logits, (texts, classes); with two classes an LSTM has one, that of class 1 against 0."""
        logits = np.array(predict(self.model, {"input_ids": self.ids(texts)}))
        return logits if logits.shape[1] > 1 else np.hstack([np.zeros_like(logits), logits])

    def predict(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """The likeliest class of each text."""
        return self.scores(texts).argmax(axis=1)


Predict = Callable[[Sequence[Sequence[str]]], np.ndarray]


def classical_rivals(texts: Texts, classes: int) -> dict[str, Predict]:
    """Name -> what a classical method says, trained on the same texts; the last one is chance."""
    rivals: dict[str, Predict] = {}
    if has_sklearn():
        rivals["TF-IDF + regression"] = TfidfRegression(texts.words, texts.labels).predict
    rivals["naive Bayes"] = NaiveBayes(texts.words, texts.labels, classes).predict
    usual = np.bincount(texts.labels).argmax()
    rivals["chance (majority)"] = lambda words: np.full(len(words), usual)
    return rivals


def missing_notes() -> list[str]:
    """What to install for the rows that are left out."""
    if has_sklearn():
        return []
    return [f"TF-IDF with logistic regression is left out; it needs {SKLEARN_LINE}"]


def binary_scores(said: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Accuracy, and precision, recall and F1 of class 1; these are 0 if class 1 is never said.

    >>> binary_scores(np.array([0, 0]), np.array([0, 1]))
    {'accuracy': 0.5, 'precision': 0.0, 'recall': 0.0, 'f1': 0.0}
    """
    if not (said == 1).any() or not (right == 1).any():
        return {"accuracy": accuracy(said, right), "precision": 0.0, "recall": 0.0, "f1": 0.0}
    return {
        "accuracy": accuracy(said, right),
        "precision": precision(said, right),
        "recall": recall(said, right),
        "f1": f1(said, right),
    }


def many_scores(said: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Accuracy, and the mean of the F1 of the classes that are said or right.

    >>> many_scores(np.array([0, 1, 2]), np.array([0, 1, 1]))["macro f1"]  # (1 + 2/3 + 0) / 3
    0.5555555555555555
    """
    return {"accuracy": accuracy(said, right), "macro f1": f1(said, right, average="macro")}
