"""The toy world: short stories in English and Chinese, labels for every task, and an exact floor."""

from .story import Story, StoryQuestion, StorySentence
from .world import StoryPair, StorySplits, ToyWorld

__all__ = ["StoryQuestion", "StorySentence", "StoryPair", "StorySplits", "Story", "ToyWorld"]
