"""The language models that the tasks compare, and what they say about whole sequences.

All of them read [BOS] w1 w2 ... wn [EOS] and predict every token but the first, so that the sum of the
nats of a story is -log p(story), the end included.
"""

from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import no_grad
from ..data import LengthBatches, Story
from ..models import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LSTMLanguageModel,
    TransformerLanguageModel,
)
from ..nn import evaluating
from .settings import Recipe, Training
from .toy_data import ToyData
from .words import BOS, EOS

# standard deviation of initial weights for a width of about 100; the usual 0.02 is for hundreds
SPREAD = 0.05
POSITIONS = 100  # more than the longest story of either world has tokens


class StoryText:
    """Stories of one language as ids, and back.

    >>> from minillm.tasks import TaskSettings
    >>> data = ToyData.of(Recipe(train=9, test=3), TaskSettings())
    >>> text = StoryText(data, "english")
    >>> ids = text.encode(data.test)[0]
    >>> ids[0], ids[-1], text.words.decode(ids) == data.test[0].english_tokens
    (1, 2, True)
    """

    def __init__(self, data: ToyData, language: str) -> None:
        self.language, self.words = language, data.vocabulary(language)

    def encode(self, stories: list[Story]) -> list[list[int]]:
        """[BOS], the words, [EOS]."""
        return [[BOS, *self.words.encode(s.tokens[self.language]), EOS] for s in stories]

    def batches(
        self, stories: list[Story], batch_size: int, rng: "np.random.Generator | None" = None
    ) -> LengthBatches:
        """Batches for the models here, in random order if there is a generator."""
        rows = self.encode(stories)
        columns = {"input_ids": rows, "labels": rows}
        return LengthBatches(columns, batch_size, shuffle=rng is not None, rng=rng)

    @property
    def outcomes(self) -> int:
        """How many different tokens may come next: the words, and the end."""
        return len(self.words.words) - len(self.words.all_special_ids) + 1


def build_model(
    name: str, recipe: Recipe, vocab_size: int, positions: int, rng: np.random.Generator
) -> Any:
    """A fresh language model of the recipe's size.

    name   "LSTM", and "RNN" with a state twice as wide, which makes about as many parameters, both of
           one layer; "GPT" (learned positions), "Llama" (rotated ones), "Transformer" (sines, norms
           behind each part as published)

    >>> size = Recipe(width=8, heads=2, layers=1)
    >>> build_model("LSTM", size, 20, 10, np.random.default_rng(0)).config.hidden_size
    8
    """
    C, L, H, p = recipe.width, recipe.layers, recipe.heads, recipe.dropout
    if name in ("RNN", "LSTM"):
        return LSTMLanguageModel(
            vocab_size=vocab_size, embedding_dim=C, hidden_size=C if name == "LSTM" else 2 * C,
            cell=name.lower(), dropout=p, rng=rng,
        )  # fmt: skip
    if name == "GPT":
        gpt = GPT2Config(
            vocab_size=vocab_size, n_positions=positions, n_embd=C, n_layer=L, n_head=H,
            activation_function="gelu", resid_pdrop=p, embd_pdrop=p, attn_pdrop=p, bias=False,
            initializer_range=SPREAD,
        )  # fmt: skip
        return GPT2LMHeadModel(gpt, rng=rng)
    if name == "Llama":
        llama = LlamaConfig(
            vocab_size=vocab_size, hidden_size=C, intermediate_size=8 * C // 3,
            num_hidden_layers=L, num_attention_heads=H, max_position_embeddings=positions,
            tie_word_embeddings=True, initializer_range=SPREAD,
        )  # fmt: skip
        return LlamaForCausalLM(llama, rng=rng)
    if name == "Transformer":
        return TransformerLanguageModel(
            vocab_size, C, H, 4 * C, L, p, max_position_embeddings=positions, rng=rng
        )
    raise ValueError(f"build_model: name {name!r} must be RNN, LSTM, GPT, Llama or Transformer")


def recipe_for(name: str, recipe: Recipe) -> Recipe:
    """The recipe with the learning rate that suits the model: an LSTM likes three times as much.

    >>> recipe_for("LSTM", Recipe(lr=0.002)).lr, recipe_for("GPT", Recipe(lr=0.002)).lr
    (0.006, 0.002)
    """
    return recipe.replaced(lr=3 * recipe.lr if name == "LSTM" else None)


def token_nats(model: Any, rows: list[list[int]], batch_size: int = 64) -> list[np.ndarray]:
    """-log p of every token but the first, for each sequence, in the order given.

    Units   nats

    >>> model = build_model("RNN", Recipe(width=8, heads=2), 20, 10, np.random.default_rng(0))
    >>> [nats.shape for nats in token_nats(model, [[1, 7, 8, 2], [1, 2]])]
    [(3,), (1,)]
    """
    batches = LengthBatches({"input_ids": rows}, batch_size, shuffle=False)
    found: list[Any] = [None] * len(rows)
    with no_grad(), evaluating(model):
        for i in range(len(batches)):
            batch = batches.batch(i)
            logits = model(**batch).logits[:, :-1]
            nats = F.cross_entropy(logits, batch["input_ids"][:, 1:], reduction="none").numpy()
            for row, values in zip(batches.rows(i).tolist(), nats, strict=True):
                found[row] = values[: len(rows[row]) - 1].astype(np.float64)
    return found


def per_token(nats: list[np.ndarray]) -> float:
    """The mean over all tokens of all sequences.

    >>> per_token([np.array([1.0, 1.0, 4.0]), np.array([2.0])])
    2.0
    """
    return float(np.concatenate(nats).mean())


def truth_per_token(stories: list[Story], language: str) -> float:
    """-log p of these very stories in the world that told them, per token, the ends counted.

    What a model's loss on them exceeds this by is the model's fault, not that of the draw.

    >>> from minillm.data import ToyWorld
    >>> round(truth_per_token(ToyWorld().stories(2000, seed=1), "english"), 2)
    0.76
    """
    tokens = sum(len(story.tokens[language]) + 1 for story in stories)
    return -sum(story.log_probability for story in stories) / tokens


def loss_curve(trained: Training) -> tuple[list[float], list[float]]:
    """(steps, losses on the validation data) of a training, for a picture.

    >>> from minillm.training import History
    >>> history = History()
    >>> history.add(step=5, val_loss=1.5)
    >>> loss_curve(Training(history, seconds=1.0, parameters=1))
    ([5], [1.5])
    """
    return trained.history.history["step"], trained.history.history["val_loss"]
