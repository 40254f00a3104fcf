"""Data: where text comes from, and how it is cut into batches."""

from .batches import DataLoader, TextBatches, TextWindows
from .corpora import python_topics, read_text, split_text

__all__ = [
    "DataLoader",
    "TextBatches",
    "TextWindows",
    "python_topics",
    "read_text",
    "split_text",
]
