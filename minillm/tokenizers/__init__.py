"""Tokenizers: from text to ids and back."""

from .character import CharTokenizer

__all__ = ["CharTokenizer"]
