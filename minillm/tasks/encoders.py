"""The BERT that the tasks share, and what a classifier says about many texts."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..data import LengthBatches
from ..models import BertConfig
from ..nn import evaluating
from .settings import Recipe
from .words import PAD


def bert_config(recipe: Recipe, vocab_size: int, positions: int, **options: Any) -> BertConfig:
    """A BERT of the recipe's size.

    >>> bert_config(Recipe(width=64, heads=2), 100, 40, num_labels=3).intermediate_size
    256
    """
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=4 * recipe.width,
        max_position_embeddings=positions,
        hidden_dropout_prob=recipe.dropout,
        attention_probs_dropout_prob=recipe.dropout,
        pad_token_id=PAD,
        **options,
    )


def predict(
    model: Any,
    columns: dict[str, Any],
    read: Callable[[Any], Any] = lambda output: output.logits.numpy(),
    batch_size: int = 64,
) -> list[np.ndarray]:
    """What the model says about each example, in the order of the examples.

    columns   name -> a sequence of ids for each example, as for LengthBatches
    read      what to take from the output: an array with one row per example, or a tuple of them

    >>> from minillm.models import LSTMClassifier
    >>> said = predict(LSTMClassifier(num_labels=3), {"input_ids": [[1, 2, 3], [4]]})
    >>> len(said), said[0].shape
    (2, (3,))
    """
    batches = LengthBatches(columns, batch_size, shuffle=False)
    result: list[Any] = [None] * len(batches.lengths)
    with no_grad(), evaluating(model):
        for i in range(len(batches)):
            parts = read(model(**batches.batch(i)))
            many = isinstance(parts, tuple)
            for j, row in enumerate(batches.rows(i).tolist()):
                result[row] = tuple(part[j] for part in parts) if many else parts[j]
    return result
