"""Training: the loop, its history, checkpoints and metrics."""

from .allocator import keep_freed_memory
from .baselines import bigram_loss, compressor_bits_per_byte, uniform_loss, unigram_loss
from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .history import History
from .loop import NonFiniteLossError, evaluate, fit
from .metrics import bits_per_byte, perplexity

__all__ = [
    "CheckpointError",
    "History",
    "NonFiniteLossError",
    "bigram_loss",
    "bits_per_byte",
    "compressor_bits_per_byte",
    "evaluate",
    "fit",
    "keep_freed_memory",
    "load_checkpoint",
    "perplexity",
    "save_checkpoint",
    "uniform_loss",
    "unigram_loss",
]
