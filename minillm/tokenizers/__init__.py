"""Tokenizers: from text to ids and back."""

from .bert import BertTokenizer
from .character import CharTokenizer
from .gpt2 import GPT2Tokenizer
from .loading import load_tokenizer

__all__ = ["BertTokenizer", "CharTokenizer", "GPT2Tokenizer", "load_tokenizer"]
