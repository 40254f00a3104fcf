"""Write metrics.json: what the libraries that everybody uses say about made-up predictions.

    python -m pip install scikit-learn seqeval sacrebleu rouge-score
    python tests/golden/make_metrics.py

Labels by scikit-learn, spans by seqeval (strict, IOB2), BLEU by sacrebleu, ROUGE by rouge-score.
Some labels are never predicted and some are not among the targets; many tags are not well-formed.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import sacrebleu
from rouge_score import rouge_scorer
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2
from sklearn import metrics

FOLDER = Path(__file__).parent
AVERAGES = ["micro", "macro", "weighted", None]
TEXTS = [
    ("the keeper counts the ships at night", "the keeper counts all ships at night"),
    ("a ship came back, and nobody saw it.", "one ship came back, but nobody saw it."),
    ("the harbour is quiet on windless days", "the harbour is quiet on all windless days"),
]
CHINESE = [
    ("看守人的女儿在数船。", "看守人的儿子在数船。"),
    ("灯塔还在, GPT2 也在", "灯塔还在, GPT2 走了"),
]


def label_case(rng, kinds, said_kinds, n, names=None):
    right, said = rng.choice(kinds, n), rng.choice(said_kinds, n)
    said = np.where(rng.random(n) < 0.5, right, said)
    if names:
        right, said = np.array(names)[right], np.array(names)[said]
    averages = [*AVERAGES, "binary"] if len(set(right) | set(said)) == 2 and not names else AVERAGES
    scores = {}
    for kind in ("precision", "recall", "f1"):
        function = getattr(metrics, f"{kind}_score")
        for average in averages:
            scores[f"{kind} {average}"] = np.asarray(
                function(right, said, average=average)
            ).tolist()
    return {
        "said": said.tolist(), "right": right.tolist(), "scores": scores,
        "accuracy": float(metrics.accuracy_score(right, said)),
        "matrix": metrics.confusion_matrix(right, said).tolist(),
    }  # fmt: skip


def span_case(rng, tags, n):
    lengths = rng.integers(1, 9, n)
    right = [rng.choice(tags, k).tolist() for k in lengths]
    said = [
        [t if rng.random() < 0.7 else str(rng.choice(tags)) for t in sentence] for sentence in right
    ]
    options = {"mode": "strict", "scheme": IOB2}
    return {
        "said": said, "right": right,
        "precision": float(precision_score(right, said, **options)),
        "recall": float(recall_score(right, said, **options)),
        "f1": float(f1_score(right, said, **options)),
    }  # fmt: skip


def main():
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(20030531)
    said, right = zip(*TEXTS, strict=True)
    said_zh, right_zh = zip(*CHINESE, strict=True)
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    scores = [scorer.score(b, a) for a, b in TEXTS]
    result = {
        "labels": [
            label_case(rng, [0, 1], [0, 1], 40),
            label_case(rng, [0, 1], [0, 1], 3),
            label_case(rng, [0, 1, 2, 3], [0, 1, 2, 3], 60),
            label_case(rng, [0, 1, 2], [1, 2, 4], 25),
            label_case(rng, [0, 1, 2], [0, 1], 12, ["in", "out", "through"]),
        ],
        "spans": [
            span_case(rng, ["O", "B-A", "I-A", "B-B", "I-B"], 80),
            span_case(rng, ["O", "O", "B-A", "I-A"], 30),
            span_case(rng, ["I-A", "B-A", "I-B", "B-C", "I-C"], 50),
        ],
        "bleu": {
            "said": said, "right": right,
            "score": sacrebleu.corpus_bleu(list(said), [list(right)]).score,
            "said_zh": said_zh, "right_zh": right_zh,
            "score_zh": sacrebleu.corpus_bleu(list(said_zh), [list(right_zh)], tokenize="zh").score,
        },
        "rouge": {
            kind: float(np.mean([s[kind].fmeasure for s in scores]))
            for kind in ("rouge1", "rouge2", "rougeL")
        },
    }  # fmt: skip
    text = json.dumps(result, ensure_ascii=False, indent=1)
    (FOLDER / "metrics.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
