"""Naive Bayes by hand, and the rivals from scikit-learn where it is installed."""

import numpy as np
import pytest

from minillm.tasks import classical
from minillm.tasks.classical import NaiveBayes, TfidfRegression

# Manning, Raghavan & Schuetze 2008, example 13.1: the class "China" is 1
DOCUMENTS = [
    "chinese beijing chinese".split(),
    "chinese chinese shanghai".split(),
    "chinese macao".split(),
    "tokyo japan chinese".split(),
]
LABELS = [1, 1, 1, 0]


def test_naive_bayes_gives_the_textbooks_figures():
    model = NaiveBayes(DOCUMENTS, LABELS, classes=2)
    [joint] = np.exp(model.log_joint(["chinese chinese chinese tokyo japan".split()]))
    china = 3 / 4 * (3 / 7) ** 3 * 1 / 14 * 1 / 14
    other = 1 / 4 * (2 / 9) ** 3 * 2 / 9 * 2 / 9
    np.testing.assert_allclose(joint, [other, china], rtol=1e-12)
    assert model.predict([["chinese"], ["tokyo", "japan", "tokyo"]]).tolist() == [1, 0]


def test_naive_bayes_passes_over_words_it_does_not_know():
    model = NaiveBayes(DOCUMENTS, LABELS, classes=2)
    known, unknown = model.log_joint([["macao"], ["macao", "paris", "rome"]])
    np.testing.assert_array_equal(known, unknown)
    np.testing.assert_allclose(np.exp(model.log_joint([["paris"]]))[0], [1 / 4, 3 / 4])


def test_naive_bayes_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match="each of the 3 classes needs a text"):
        NaiveBayes(DOCUMENTS, LABELS, classes=3)
    with pytest.raises(ValueError, match="4 texts with 3 labels"):
        NaiveBayes(DOCUMENTS, [0, 1, 1], classes=2)
    with pytest.raises(ValueError, match="added must be above 0, got 0"):
        NaiveBayes(DOCUMENTS, LABELS, classes=2, added=0)


def test_tfidf_regression_sees_pairs_of_words():
    pytest.importorskip("sklearn")
    # both words stand in every text: only their order tells the classes apart
    texts, labels = [["not", "bad"], ["bad", "not"]] * 8, [1, 0] * 8
    model = TfidfRegression(texts, labels)
    assert model.predict([["bad", "not"], ["not", "bad"]]).tolist() == [0, 1]


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(classical, "has_sklearn", lambda: False)
    with pytest.raises(RuntimeError, match="needs scikit-learn: python -m pip install"):
        TfidfRegression(DOCUMENTS, LABELS)
