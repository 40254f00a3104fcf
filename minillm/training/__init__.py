"""Training: the loop, its history, checkpoints and metrics."""

from ..allocator import keep_freed_memory
from .baselines import bigram_loss, compressor_bits_per_byte, uniform_loss, unigram_loss
from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .early_stopping import EarlyStopping
from .estimators import (
    EstimatorComparison,
    categorical_score_gradient,
    compare_estimators,
    gumbel_softmax_gradient,
    reparameterised_gradient,
    score_function_gradient,
)
from .history import History
from .loop import NonFiniteLossError, NotSavedError, evaluate, fit
from .metrics import (
    accuracy,
    answer_tokens,
    bio_spans,
    bits_per_byte,
    bleu,
    classification_report,
    confusion_matrix,
    exact_match,
    f1,
    perplexity,
    precision,
    recall,
    rouge,
    span_f1,
    span_scores,
    token_f1,
)
from .weight_norm import WeightNormCurves, compare_weight_norm

__all__ = [
    "CheckpointError",
    "EarlyStopping",
    "EstimatorComparison",
    "History",
    "NonFiniteLossError",
    "NotSavedError",
    "WeightNormCurves",
    "accuracy",
    "answer_tokens",
    "bigram_loss",
    "bio_spans",
    "bits_per_byte",
    "bleu",
    "categorical_score_gradient",
    "classification_report",
    "compare_estimators",
    "compare_weight_norm",
    "compressor_bits_per_byte",
    "confusion_matrix",
    "evaluate",
    "exact_match",
    "f1",
    "fit",
    "gumbel_softmax_gradient",
    "keep_freed_memory",
    "load_checkpoint",
    "perplexity",
    "precision",
    "recall",
    "reparameterised_gradient",
    "rouge",
    "save_checkpoint",
    "score_function_gradient",
    "span_f1",
    "span_scores",
    "token_f1",
    "uniform_loss",
    "unigram_loss",
]
