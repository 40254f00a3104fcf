"""What classified texts before neural networks: naive Bayes, and logistic regression on word counts.

Naive Bayes (multinomial; Manning, Raghavan & Schuetze 2008, section 13.2) takes each word as drawn
independently of the others, from a distribution that belongs to the class:

    log p(c, text)  =  log N_c / N  +  sum over words w of  log p(w | c)                         (1)
    p(w | c)        =  (n(w, c) + 1) / (n(c) + V)                                                (2)

N_c of N training texts have class c; n(w, c) is how often w stands in them, n(c) how many words they
have, V how many different words there are.  The 1 keeps a word that a class never showed from making
the class impossible.  The answer is the class with the largest (1).

TF-IDF with logistic regression comes from scikit-learn, where it is installed (extra `tasks`): counts
of single words and pairs, with rare ones weighing more, and one weight for each and class.
"""

import importlib
import importlib.util
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

SKLEARN_LINE = 'python -m pip install "scikit-learn>=1.4"'


class NaiveBayes:
    """Formulas (1) and (2).  A word that training never showed says nothing, and is passed over.

    texts     lists of words
    labels    the number of each one's class, 0 … classes - 1
    added     the number added to each count; 1 in (2)

    Raises   ValueError for texts and labels that do not go together, or a class without texts

    >>> model = NaiveBayes([["good", "day"], ["bad", "day"], ["bad"]], [1, 0, 0], classes=2)
    >>> model.predict([["good"], ["bad", "weather"]])
    array([1, 0])
    """

    def __init__(
        self,
        texts: Sequence[Sequence[str]],
        labels: "Sequence[int] | np.ndarray",
        classes: int,
        added: float = 1.0,
    ) -> None:
        labels = np.asarray(labels)
        if len(texts) != len(labels):
            raise ValueError(f"NaiveBayes: {len(texts)} texts with {len(labels)} labels")
        sizes = np.bincount(labels, minlength=classes)
        if len(sizes) > classes or not sizes.all():
            raise ValueError(
                f"NaiveBayes: each of the {classes} classes needs a text, and no label may be "
                f"beyond them; texts of each class: {sizes.tolist()}"
            )
        if not added > 0:
            raise ValueError(f"NaiveBayes: added must be above 0, got {added}")
        self.number = {word: i for i, word in enumerate(dict.fromkeys(w for t in texts for w in t))}
        counts = np.zeros((classes, len(self.number)))
        for text, label in zip(texts, labels.tolist(), strict=True):
            np.add.at(counts[label], [self.number[word] for word in text], 1)
        counts += added
        self.log_word = np.log(counts / counts.sum(axis=1, keepdims=True))  # (2)
        self.log_class = np.log(sizes / sizes.sum())

    def log_joint(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """(1) for each text and class, (texts, classes)."""
        out = np.tile(self.log_class, (len(texts), 1))
        for row, text in zip(out, texts, strict=True):
            known = [self.number[word] for word in text if word in self.number]
            row += self.log_word[:, known].sum(axis=1)
        return out

    def predict(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """The likeliest class of each text."""
        return self.log_joint(texts).argmax(axis=1)


def has_sklearn() -> bool:
    """Whether scikit-learn is installed.

    >>> isinstance(has_sklearn(), bool)
    True
    """
    return importlib.util.find_spec("sklearn") is not None


class TfidfRegression:
    """TF-IDF of words and pairs of neighbours, then logistic regression; by scikit-learn."""

    def __init__(
        self, texts: Sequence[Sequence[str]], labels: "Sequence[int] | np.ndarray"
    ) -> None:
        text_module = _sklearn("feature_extraction.text")
        self.vectorizer = text_module.TfidfVectorizer(analyzer=words_and_pairs)
        self.model = logistic_regression(self.vectorizer.fit_transform(texts), labels)

    def predict(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """The likeliest class of each text."""
        return self.model.predict(self.vectorizer.transform(texts))


def words_and_pairs(words: Sequence[str]) -> list[str]:
    """The words of a text, and each two that stand side by side.

    >>> words_and_pairs(["not", "very", "good"])
    ['not', 'very', 'good', 'not very', 'very good']
    """
    return [*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))]


def logistic_regression(x: Any, labels: "Sequence[int] | np.ndarray") -> Any:
    """Logistic regression by scikit-learn, fitted to rows of numbers and their classes."""
    return _sklearn("linear_model").LogisticRegression(max_iter=2000).fit(x, np.asarray(labels))


def _sklearn(part: str) -> Any:
    if not has_sklearn():
        raise RuntimeError(f"this needs scikit-learn: {SKLEARN_LINE}")
    return importlib.import_module("sklearn." + part)
