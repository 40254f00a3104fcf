"""Training: the loop, its history, checkpoints and metrics."""

from .allocator import keep_freed_memory
from .baselines import bigram_loss, compressor_bits_per_byte, uniform_loss, unigram_loss
from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .early_stopping import EarlyStopping
from .history import History
from .loop import NonFiniteLossError, evaluate, fit
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

__all__ = [
    "CheckpointError",
    "EarlyStopping",
    "History",
    "NonFiniteLossError",
    "accuracy",
    "answer_tokens",
    "bigram_loss",
    "bio_spans",
    "bits_per_byte",
    "bleu",
    "classification_report",
    "compressor_bits_per_byte",
    "confusion_matrix",
    "evaluate",
    "exact_match",
    "f1",
    "fit",
    "keep_freed_memory",
    "load_checkpoint",
    "perplexity",
    "precision",
    "recall",
    "rouge",
    "save_checkpoint",
    "span_f1",
    "span_scores",
    "token_f1",
    "uniform_loss",
    "unigram_loss",
]
