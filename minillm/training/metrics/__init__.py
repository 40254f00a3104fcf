"""Numbers that say how good a model is.  Predictions come first, then what is right, as in a loss."""

from .classification import (
    accuracy,
    classification_report,
    confusion_matrix,
    f1,
    precision,
    recall,
)
from .language import bits_per_byte, perplexity
from .spans import bio_spans, span_f1, span_scores
from .texts import answer_tokens, bleu, exact_match, rouge, token_f1

__all__ = [
    "accuracy",
    "answer_tokens",
    "bio_spans",
    "bits_per_byte",
    "bleu",
    "classification_report",
    "confusion_matrix",
    "exact_match",
    "f1",
    "perplexity",
    "precision",
    "recall",
    "rouge",
    "span_f1",
    "span_scores",
    "token_f1",
]
