"""The toy world as the tasks use it: three sets of stories, and one vocabulary."""

from dataclasses import dataclass

import numpy as np

from ..data import Story, ToyWorld
from .settings import Recipe, TaskSettings
from .words import WordVocabulary

LANGUAGES = ("english", "chinese")


@dataclass(frozen=True)
class ToyData:
    """Stories to train on, the ordinary test set, the compositional one, and generators.

    >>> data = ToyData.of(Recipe(train=9, test=3), TaskSettings(seed=1))
    >>> len(data.train), len(data.test), len(data.compositional)
    (9, 3, 3)
    """

    world: ToyWorld
    train: list[Story]
    test: list[Story]
    compositional: list[Story]
    seed: int

    @classmethod
    def of(cls, recipe: Recipe, settings: TaskSettings) -> "ToyData":
        """The data of a task: its sizes from the recipe, its stories from the seed."""
        world = ToyWorld()
        parts = world.splits(recipe.train, recipe.test, recipe.test, seed=settings.seed)
        return cls(world, parts.train, parts.test, parts.compositional, settings.seed)

    def tests(self) -> dict[str, list[Story]]:
        """Both test sets by name."""
        return {"test": self.test, "compositional": self.compositional}

    def vocabulary(self, *languages: str) -> WordVocabulary:
        """The words of the languages, each once."""
        words = {w: None for language in languages for w in self.world.vocabulary(language)}
        return WordVocabulary(words)

    def rng(self, stream: int = 0) -> np.random.Generator:
        """A generator of its own for each use: 0 the weights, 1 the order of the batches, ..."""
        return np.random.default_rng([self.seed, 100 + stream])
