"""Metrics against scikit-learn, seqeval, sacrebleu and rouge-score, and numbers worked out by hand."""

import functools
import importlib
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from minillm import functional as F
from minillm import training as t
from minillm.nn import Linear

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "golden" / "metrics.json").read_text(encoding="utf-8")
)
ASK = 'not installed: python -m pip install "minillm[tasks]"'


def quiet(function, *args, **options):
    """The result, with the warnings about 0 / 0 left to the tests that are about them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **options)


@pytest.mark.parametrize("case", GOLDEN["labels"])
def test_labels_as_scikit_learn(case):
    said, right = np.array(case["said"]), np.array(case["right"])
    assert t.accuracy(said, right) == pytest.approx(case["accuracy"], abs=1e-12)
    np.testing.assert_array_equal(t.confusion_matrix(said, right), case["matrix"])
    for name, wanted in case["scores"].items():
        kind, average = name.split()
        average = None if average == "None" else average
        score = quiet(getattr(t, kind), said, right, average=average)
        np.testing.assert_allclose(score, wanted, rtol=1e-12, err_msg=name)


def test_scikit_learn_itself_agrees():
    metrics = pytest.importorskip("sklearn.metrics", reason=ASK)
    rng = np.random.default_rng(4)
    said, right = rng.integers(0, 5, (2, 200))
    for average in ("micro", "macro", "weighted", None):
        wanted = metrics.f1_score(right, said, average=average, labels=[3, 1])
        np.testing.assert_allclose(t.f1(said, right, average=average, labels=[3, 1]), wanted)


def test_a_case_by_hand():
    said, right = [1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 1, 1, 0, 0]
    assert t.precision(said, right) == pytest.approx(2 / 3)
    assert t.recall(said, right) == pytest.approx(2 / 4)
    assert t.f1(said, right) == pytest.approx(4 / 7)
    assert t.precision(said, right, pos_label=0) == pytest.approx(2 / 4)
    assert t.confusion_matrix(said, right).tolist() == [[2, 1], [2, 2]]
    assert t.confusion_matrix(said, right, labels=[1]).tolist() == [[2]]


@pytest.mark.parametrize("average", ["binary", "micro", "macro", "weighted", None])
@pytest.mark.parametrize("kind", ["precision", "recall", "f1"])
def test_no_predictions_at_all_are_zero_with_a_warning(kind, average):
    with pytest.warns(
        RuntimeWarning, match=f"{kind}: there are no predictions: the result is set to 0"
    ):
        score = getattr(t, kind)([], [], average=average, labels=[0, 1])
    assert np.all(np.asarray(score) == 0)


@pytest.mark.parametrize(
    ("call", "said", "right", "message"),
    [
        (t.accuracy, [], [], "accuracy: there are no predictions"),
        (t.accuracy, [1], [-100], "accuracy: there are no predictions"),
        (t.precision, [0, 0], [1, 0], "precision: the label 1 was never predicted"),
        (t.recall, [1, 0], [0, 0], "recall: the label 1 is not among the targets"),
        (t.f1, [0, 0], [0, 0], "f1: the label 1 is neither predicted nor among the targets"),
        (t.exact_match, [], [], "exact_match: there are no predictions"),
        (t.token_f1, [], [], "token_f1: there are no predictions"),
        (t.span_f1, [["O"]], [["O"]], "span_f1: there are no spans, neither"),
        (t.span_f1, [["O"]], [["B-A"]], "span_f1: there are no spans among the predictions"),
        (t.span_f1, [["B-A"]], [["O"]], "span_f1: there are no spans among the targets"),
        (t.bleu, [], [], "bleu: there are no predictions"),
    ],
)
def test_nothing_to_divide_by_is_zero_with_a_warning(call, said, right, message):
    with pytest.warns(RuntimeWarning) as caught:
        assert call(said, right) == 0.0
    assert len(caught) == 1
    assert message in str(caught[0].message)
    assert caught[0].filename == __file__  # it points to who asked


def test_f1_without_predictions_is_defined_and_quiet():
    assert t.f1([0, 0], [1, 0]) == 0.0


def test_logits_thresholds_and_ignored_targets():
    logits = np.array([[[0.0, 3.0, 1.0], [5.0, 0.0, 1.0]], [[0.0, 1.0, 2.0], [9.0, 0.0, 0.0]]])
    assert t.accuracy(logits, np.array([[1, 0], [1, -100]])) == pytest.approx(2 / 3)
    assert t.accuracy(np.array([-1.0, 0.3]), np.array([0, 1]), threshold=0) == 1.0
    assert t.accuracy(np.array([[0.4], [0.3]]), np.array([0, 1]), threshold=0.5) == 0.5
    assert t.recall(np.array([0.2, 0.9]), np.array([1.0, 1.0]), threshold=0.5) == 0.5


def test_they_serve_the_training_loop():
    x = np.array([[1.0], [-1.0], [2.0]], dtype=np.float32)
    model = Linear(1, 2)
    model.weight.data[:], model.bias.data[:] = [[-1.0, 1.0]], 0
    y = np.array([1, 0, 0])
    macro = functools.partial(t.f1, average="macro")
    options = {"loss": F.cross_entropy, "metrics": {"accuracy": t.accuracy, "f1": macro}}
    result = t.evaluate(model, (x, y), **options)
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert result["f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t.f1([0, 1, 2], [0, 1, 1]), "there are 3 labels, average='binary' is for two"),
        (lambda: t.f1(["a", "b"], ["a", "b"]), "pos_label 1 is not one of the labels ['a', 'b']"),
        (lambda: t.f1([1], [1], average="mean"), "average must be one of"),
        (lambda: t.recall([1, 0], [1]), "targets (1,) need predictions of that shape"),
        (lambda: t.accuracy([0.2, 0.7], [0, 1]), "say from where on they mean yes"),
        (lambda: t.accuracy(["a"], [1]), "both must be numbers or both strings"),
        (lambda: t.f1([1], [1], average=None, labels=[1, 1]), "each once, got [1, 1]"),
        (lambda: t.classification_report([2], [0], names=["no", "yes"]), "the label 2 has no name"),
        (lambda: t.span_f1([["O"]], [["O", "O"]]), "sentence 0 has 1 predicted tags and 2 targets"),
        (lambda: t.span_f1([["O"]], []), "1 predictions for 0 targets"),
        (lambda: t.bio_spans(["O", "B"]), "the tag 'B' of token 1"),
        (lambda: t.bio_spans(["X-A"]), "the tag 'X-A' of token 0"),
        (lambda: t.exact_match(["a"], ["a", "b"]), "1 predictions for 2 references"),
        (lambda: t.exact_match(["a"], [[]]), "prediction 0 has no reference"),
        (lambda: t.token_f1(["a"], ["a"], language="fr"), "language must be one of ('en', 'zh')"),
        (lambda: t.rouge(["a"], ["a"], language="fr"), "language must be one of ('en', 'zh')"),
        (lambda: t.bleu(["a", "b"], [["a"], ["a", "b"]]), "the same number of references"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value)


def test_one_string_instead_of_a_list():
    for call in (lambda: t.bleu("a", "b"), lambda: t.span_f1(["O"], ["O"])):
        with pytest.raises(TypeError) as caught:
            call()
        assert "give " in str(caught.value)


# ----------------------------------------------------------------------------------- the table


def test_the_table_by_hand_and_within_the_terminal():
    names = ["灯" * 60, "a name that is far too long for any table on any terminal " * 2, "ok"]
    said, right = [0, 0, 1, 2], [0, 1, 1, 2]
    lines = t.classification_report(said, right, names=names).split("\n")
    wide = [sum(2 if c == "灯" else 1 for c in line) for line in lines]
    assert set(wide) == {88}
    assert [line.split()[-4:] for line in lines[1:4]] == [
        ["0.500", "1.000", "0.667", "1"], ["1.000", "0.500", "0.667", "2"],
        ["1.000", "1.000", "1.000", "1"],
    ]  # fmt: skip
    assert lines[4].split() == ["macro", "average", "0.833", "0.833", "0.778", "4"]
    assert lines[5].split() == ["accuracy", "0.750", "4"]
    assert "…" in lines[1]
    assert "…" in lines[2]


def test_the_table_of_a_label_that_is_never_predicted():
    with pytest.warns(RuntimeWarning, match="precision: the label 1 was never predicted"):
        table = t.classification_report([0, 0], [0, 1])
    assert table.split("\n")[2].split() == ["1", "0.000", "0.000", "0.000", "1"]


# ------------------------------------------------------------------------------ spans and texts


@pytest.mark.parametrize("case", GOLDEN["spans"])
def test_spans_as_seqeval(case):
    scores = t.span_scores(case["said"], case["right"])
    for kind in ("precision", "recall", "f1"):
        assert scores[kind] == pytest.approx(case[kind], abs=1e-12)
    assert t.span_f1(case["said"], case["right"]) == scores["f1"]


def test_what_is_a_span():
    tags = ["I-A", "B-A", "B-A", "I-A", "I-B", "I-A", "O", "I-A", "B-B", "I-B"]
    assert t.bio_spans(tags) == [("A", 1, 2), ("A", 2, 4), ("B", 8, 10)]


@pytest.mark.parametrize(
    ("said", "right", "language", "exact", "overlap"),
    [
        ("The lighthouse keeper's daughter", "lighthouse keepers daughter", "en", 1, 1),
        ("a ship, an anchor", "the anchor", "en", 0, 2 / 3),  # ship anchor / anchor
        ("harbour of a town", "in the harbour of the town", "en", 0, 6 / 7),  # 3 of 3 and of 4
        ("and and and", "and and", "en", 0, 4 / 5),  # words that repeat count as often as shared
        ("theatre", "the theatre", "en", 1, 1),
        ("the", "", "en", 1, 1),
        ("", "ship", "en", 0, 0),
        ("ten ships", "10 boats", "en", 0, 0),
        ("在灯塔。", "灯塔", "zh", 0, 4 / 5),
        ("「灯塔」", "灯塔", "zh", 1, 1),
        ("GPT 模型", "gpt模型！", "zh", 1, 1),
        ("GPT 模型", "BERT 模型", "zh", 0, 4 / 6),
    ],
)
def test_answers_by_hand(said, right, language, exact, overlap):
    assert t.exact_match([said], [right], language) == exact
    assert t.token_f1([said], [right], language) == pytest.approx(overlap)


def test_the_best_of_several_references_counts_and_texts_are_averaged():
    assert t.exact_match(["two", "four"], [["2", "two"], "five"]) == 0.5
    assert t.token_f1(["two ships", "x"], [["two", "two big ships"], "y"]) == pytest.approx(0.4)


def test_bleu_as_sacrebleu():
    pytest.importorskip("sacrebleu", reason=ASK)
    g = GOLDEN["bleu"]
    assert t.bleu(g["said"], g["right"]) == pytest.approx(g["score"], abs=1e-9)
    score = t.bleu(g["said_zh"], [[r] for r in g["right_zh"]], tokenize="zh")
    assert score == pytest.approx(g["score_zh"], abs=1e-9)
    assert t.bleu(g["said"], [["nothing alike", s] for s in g["said"]]) == pytest.approx(100)


def test_rouge_as_rouge_score():
    pytest.importorskip("rouge_score", reason=ASK)
    scores = t.rouge(GOLDEN["bleu"]["said"], GOLDEN["bleu"]["right"])
    assert scores == pytest.approx(GOLDEN["rouge"])
    # 看守人的女儿 and 看守人的儿子 share five characters of six, in this order four and 儿
    zh = t.rouge(["看守人的女儿"], ["看守人的儿子"], language="zh")
    assert zh == pytest.approx({"rouge1": 5 / 6, "rouge2": 3 / 5, "rougeL": 5 / 6})
    assert t.rouge(["a b"], [["c", "a b"]], kinds=["rougeL"]) == {"rougeL": 1.0}


@pytest.mark.parametrize(("call", "package"), [(t.bleu, "sacrebleu"), (t.rouge, "rouge-score")])
def test_without_the_library_there_is_the_line_that_installs_it(call, package, monkeypatch):
    original = importlib.import_module

    def absent(name, *args):
        if name.partition(".")[0] in ("sacrebleu", "rouge_score"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return original(name, *args)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ImportError) as caught:
        call(["a"], ["a"])
    assert f"by the package {package}, which is {ASK}" in str(caught.value)


def test_rouge_of_nothing():
    with pytest.warns(RuntimeWarning, match="rouge: there are no predictions"):
        assert t.rouge([], [], kinds=["rougeL"]) == {"rougeL": 0.0}


# ----------------------------------------------------------------------------- language models


def test_perplexity_and_bits_per_byte():
    assert t.perplexity(math.log(50)) == pytest.approx(50)
    assert t.perplexity(1e6) == t.perplexity(math.inf) == math.inf
    assert math.isnan(t.perplexity(math.nan))
    assert t.bits_per_byte(3 * math.log(2), tokens=10, num_bytes=40) == pytest.approx(0.75)
    with pytest.raises(ValueError) as caught:
        t.bits_per_byte(1.0, tokens=3, num_bytes=0)
    assert "3 tokens and 0 bytes" in str(caught.value)
