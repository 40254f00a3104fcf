"""Batches whose words are hidden anew each time: the input of a masked language model."""

from typing import Any

import numpy as np

from ..data import TokenMasker
from .words import WordVocabulary


class MaskedBatches:
    """Other batches, with some of their words hidden as in BERT's pre-training (15 %, 80/10/10).

    batches   anything with batch(i) and a length; its dicts hold input_ids, and get labels
    words     the vocabulary that input_ids were encoded with
    rng       decides what is hidden; batch i depends on its state at the start and on i alone

    >>> from minillm.data import LengthBatches
    >>> words = WordVocabulary(["cat", "sat"])
    >>> plain = LengthBatches({"input_ids": [[6, 7]]}, batch_size=1, shuffle=False)
    >>> batch = MaskedBatches(plain, words, np.random.default_rng(0)).batch(0)
    >>> batch["labels"].tolist()  # one of the two words is asked for
    [[6, -100]]
    """

    def __init__(self, batches: Any, words: WordVocabulary, rng: np.random.Generator) -> None:
        self.batches, self.masker = batches, TokenMasker(words)
        self.seed = int(rng.integers(2**63))

    def __len__(self) -> int:
        return len(self.batches)

    def batch(self, i: int) -> dict[str, np.ndarray]:
        """Batch number i, counted through all epochs."""
        return self.hide(self.batches.batch(i), np.random.default_rng([self.seed, i]))

    def hide(self, batch: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One batch of any origin with words hidden; what it held stays as it is."""
        masked = self.masker(batch["input_ids"], rng)
        return {**batch, "input_ids": masked.input_ids, "labels": masked.labels}
