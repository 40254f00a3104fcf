"""Sequence to sequence: the encoder-decoder that translation and summarisation share.

Sources and targets are lists of words; one vocabulary, and so one table of embeddings, serves both.
The decoder learns to end a target with [EOS], and writes greedily or with beams, with its cache.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ..data import LengthBatches
from ..models import Seq2SeqConfig, Seq2SeqTransformer
from .settings import Recipe
from .words import BOS, EOS, PAD, WordVocabulary

Words = Sequence[str]


class SequenceWriter:
    """A Transformer that reads words and writes words.

    words       of sources and targets, together
    positions   more than the longest source or target has words

    >>> recipe = Recipe(width=8, heads=2, layers=1)
    >>> writer = SequenceWriter(WordVocabulary(["cat", "猫"]), recipe, 20, np.random.default_rng(0))
    >>> batches = writer.batches([["cat"], ["cat", "cat"]], [["猫"], ["猫", "猫"]], 2)
    >>> batches.batch(0)["labels"].shape  # the end counts as a word
    (2, 3)
    >>> len(writer.write([["cat"], ["cat", "cat"]], most=4))
    2
    """

    def __init__(
        self, words: WordVocabulary, recipe: Recipe, positions: int, rng: np.random.Generator
    ) -> None:
        self.words = words
        config = Seq2SeqConfig(
            vocab_size=len(words),
            d_model=recipe.width,
            nhead=recipe.heads,
            num_encoder_layers=recipe.layers,
            num_decoder_layers=recipe.layers,
            dim_feedforward=4 * recipe.width,
            dropout=recipe.dropout,
            norm_first=True,  # trains with a higher rate than the published order
            max_position_embeddings=positions,
            pad_token_id=PAD,
            decoder_start_token_id=BOS,
            eos_token_id=EOS,
        )
        self.model = Seq2SeqTransformer(config, rng=rng)

    def batches(
        self,
        sources: Sequence[Words],
        targets: Sequence[Words],
        batch_size: int,
        rng: np.random.Generator | None = None,
    ) -> LengthBatches:
        """Batches by length to learn from, the end of each target included."""
        columns = {
            "input_ids": [self.words.encode(source) for source in sources],
            "labels": [[*self.words.encode(target), EOS] for target in targets],
        }
        return LengthBatches(columns, batch_size, rng=rng)

    def write(
        self,
        sources: Sequence[Words],
        *,
        most: int,
        num_beams: int = 1,
        batch_size: int = 128,
    ) -> list[list[str]]:
        """What the model writes for each source, in the order of the sources.

        most        words at most
        num_beams   1 takes the most probable word each time, more search for a probable whole
        """
        ids = [self.words.encode(source) for source in sources]
        batches = LengthBatches({"input_ids": ids}, batch_size, shuffle=False)
        written: list[list[str]] = [[] for _ in ids]
        for i in range(len(batches)):
            batch = batches.batch(i)
            out = self.model.generate(
                batch["input_ids"],
                max_new_tokens=most,
                num_beams=num_beams,
                attention_mask=batch["attention_mask"],
            )
            for row, target in zip(batches.rows(i).tolist(), out[:, 1:], strict=True):
                written[row] = self.words.decode(target)
        return written


def same_share(said: Sequence[Words], right: Sequence[Words]) -> float:
    """The share of texts that are right word for word.

    >>> same_share([["a", "b"], ["c"]], [["a", "b"], ["d"]])
    0.5
    """
    pairs = list(zip(said, right, strict=True))
    return sum(list(a) == list(b) for a, b in pairs) / len(pairs)


def require_metric(metric: Callable[..., object], text: str = "one two three four") -> None:
    """Try a metric before any training, because it may need a package that is not installed.

    Raises   RuntimeError with the line that installs the package

    >>> from minillm.training import exact_match
    >>> require_metric(exact_match)
    """
    try:
        metric([text], [text])
    except ImportError as error:
        raise RuntimeError(str(error)) from None
