"""Generation: from a model that gives logits to text."""

from .beam_search import BeamResult, beam_search
from .cache import KVCache
from .generate import GenerationMixin, generate
from .sampling import next_token, process_logits, token_probabilities
from .steps import ModelSteps
from .streamer import TextStreamer

__all__ = [
    "BeamResult",
    "GenerationMixin",
    "KVCache",
    "ModelSteps",
    "TextStreamer",
    "beam_search",
    "generate",
    "next_token",
    "process_logits",
    "token_probabilities",
]
