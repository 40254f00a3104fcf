"""Generation: from a model that gives logits to text."""

from .generate import GenerationMixin, generate
from .sampling import next_token, token_probabilities

__all__ = ["GenerationMixin", "generate", "next_token", "token_probabilities"]
