"""Spans in BIO tags: B-X begins a span of kind X, I-X goes on with it, O is outside.

A span counts as found if its kind, its first and its last token are all right (Tjong Kim Sang &
De Meulder 2003, arXiv:cs/0306050, section 2.3).  An I-X that continues no span of kind X is no span at
all, which is what `seqeval` calls strict, with the scheme IOB2.
Check: tests/training/test_metrics.py
"""

from collections.abc import Sequence
from typing import Any

from .zero import warn_of_zero


def bio_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The spans of one sentence: (kind, first token, last token + 1).

    Raises   ValueError for a tag that is not O, B-... or I-...

    >>> bio_spans(["B-WHO", "I-WHO", "O", "I-WHAT", "B-WHAT"])
    [('WHO', 0, 2), ('WHAT', 4, 5)]
    """
    spans: list[tuple[str, int, int]] = []
    open_kind = None  # the kind of the span that the token before belongs to
    for i, tag in enumerate(tags):
        letter, dash, kind = tag.partition("-")
        if tag != "O" and not (letter in ("B", "I") and dash and kind):
            raise ValueError(f"the tag {tag!r} of token {i} is not 'O', 'B-kind' or 'I-kind'")
        if letter == "B":
            spans.append((kind, i, i + 1))
            open_kind = kind
        elif letter == "I" and kind == open_kind:
            spans[-1] = (kind, spans[-1][1], i + 1)
        else:
            open_kind = None
    return spans


def span_scores(
    predictions: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Precision, recall and F1 of the spans of many sentences, all spans counted together.

    predictions, targets   a list of tags for each sentence, of equal lengths
    Raises                 ValueError if the lengths differ, or for what is not a tag

    >>> span_scores([["B-A", "I-A", "B-A"]], [["B-A", "I-A", "O"]])
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    """
    _check("span_f1", predictions, targets)
    said, right = (
        {(n, *span) for n, tags in enumerate(sentences) for span in bio_spans(tags)}
        for sentences in (predictions, targets)
    )
    hits = len(said & right)
    if not said and not right:
        warn_of_zero("span_f1: there are no spans, neither predicted nor among the targets")
    elif not said or not right:
        warn_of_zero(
            f"span_f1: there are no spans among the {'targets' if said else 'predictions'}"
        )
    return {
        "precision": hits / max(len(said), 1),
        "recall": hits / max(len(right), 1),
        "f1": 2 * hits / max(len(said) + len(right), 1),
    }


def span_f1(predictions: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> float:
    """F1 of the spans in BIO tags, all spans counted together.

    predictions, targets   a list of tags for each sentence, of equal lengths
    Raises                 ValueError if the lengths differ, or for what is not a tag

    >>> span_f1([["B-WHO", "O", "B-WHAT"]], [["B-WHO", "O", "O"]])
    0.6666666666666666
    """
    return span_scores(predictions, targets)["f1"]


def _check(name: str, predictions: Any, targets: Any) -> None:
    if len(predictions) != len(targets):
        raise ValueError(f"{name}: {len(predictions)} predictions for {len(targets)} targets")
    for n, (said, right) in enumerate(zip(predictions, targets, strict=True)):
        if isinstance(said, str) or isinstance(right, str):
            raise TypeError(f"{name}: sentence {n} is one string: give a list of tags per sentence")
        if len(said) != len(right):
            raise ValueError(
                f"{name}: sentence {n} has {len(said)} predicted tags and {len(right)} targets"
            )
