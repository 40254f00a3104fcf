"""Prompt tuning: the model is frozen, and a few vectors before its input learn.

Formula (Lester, Al-Rfou & Constant 2021, arXiv:2104.08691, section 2): with the embedded input X_e
(T, C) and a prompt P_e (P, C) of vectors that are the embeddings of no words,

    the model reads [P_e; X_e]  (P + T, C)              and P_e alone learns: P C numbers

The prompt starts as embeddings of tokens (section 3.2, where that does better than random numbers).
BERT's classifiers read the first position, [CLS], so there the prompt comes right after it.

How it is done here: the ids get P placeholders, and the embedding layer puts the prompt where they
stand.  Masks, positions and labels are then those of a longer text, and the models know nothing of it.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import functional as F
from ..arguments import require_whole
from ..autograd import Tensor, unwrap
from ..backend import array_module, default_generator, to_numpy
from ..generation import GenerationMixin
from ..models.inputs import as_ids
from ..nn import Embedding, Module, Parameter
from .freezing import freeze, unfreeze
from .modules import ends_with, replace_module

# the word embeddings of GPT-2, Llama and BERT -> where a prompt begins
STARTS = {"wte": 0, "embed_tokens": 0, "word_embeddings": 1}
PER_TOKEN = ("last_hidden_state", "start_logits", "end_logits")


class PromptEmbedding(Embedding):
    """An embedding that can put given vectors in place of the rows of some positions."""

    def __init__(self, base: Embedding) -> None:
        self.padding_idx, self.weight = base.padding_idx, base.weight
        self.inserted: tuple[Tensor, int] | None = None

    @contextlib.contextmanager
    def inserting(self, prompt: Tensor, start: int) -> Iterator[None]:
        """Within this block prompt (P, C) stands at the positions start … start + P - 1."""
        self.inserted = prompt, start
        try:
            yield
        finally:
            self.inserted = None

    def forward(self, ids: Any) -> Tensor:
        """Shapes   ids (B, T) -> (B, T, C)."""
        words = super().forward(ids)
        if self.inserted is None:
            return words
        prompt, start = self.inserted
        P = prompt.shape[0]
        everywhere = np.broadcast_to(np.arange(P), (ids.shape[0], P))
        vectors = F.embedding(everywhere, prompt)  # (B, P, C)
        return F.concatenate(words[:, :start], vectors, words[:, start + P :], axis=1)


class PromptTuning(GenerationMixin, Module):
    """A frozen GPT-2, Llama or BERT with a prompt that learns; called as the model itself.

    model        freezes; its word embedding is replaced by one with the same table
    length       P, how many vectors; they take places of the model's longest sequence
    heads        patterns of what else learns, such as "classifier"
    token_ids    the tokens whose embeddings the prompt starts with, again from the first one if there
                 are fewer than P; drawn at random from the vocabulary if left out

    Parameters   prompt (P, C); save it by state_dict()["prompt"]
    Outputs      those of the model at the T positions of the text, the prompt cut off; attentions and
                 the cache are not supported, so that generate computes every step anew
    Raises       ValueError for a model without word embeddings of these three, a length below 1

    >>> from minillm.models import GPT2Config, GPT2LMHeadModel
    >>> from minillm.finetuning import trainable_parameters
    >>> sizes = {"vocab_size": 11, "n_positions": 8, "n_embd": 6, "n_layer": 2, "n_head": 3}
    >>> model = PromptTuning(GPT2LMHeadModel(GPT2Config(**sizes)), length=2)
    >>> model(np.array([[1, 2, 3]])).logits.shape
    (1, 3, 11)
    >>> trainable_parameters(model).trainable
    12
    """

    def __init__(
        self,
        model: Any,
        length: int,
        *heads: str,
        token_ids: Sequence[int] | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        require_whole("PromptTuning", "length", length)
        name, start = _word_embedding(model)
        base: Any = dict(model.named_modules())[name]
        if token_ids is None:
            token_ids = default_generator(rng).integers(0, base.weight.shape[0], length).tolist()
        elif not len(token_ids):
            raise ValueError("PromptTuning: token_ids is empty: leave it out for random tokens")
        rows = F.embedding(np.resize(np.asarray(token_ids), length), base.weight).data
        if heads:
            unfreeze(model, *heads)  # which refuses what it does not know
        freeze(model)
        if heads:
            unfreeze(model, *heads)
        self.prompt = Parameter(rows)
        self.start, self.config = start, _shorter(model.config, length)
        self.embedding_name = name
        replace_module(model, name, PromptEmbedding(base))
        self.model = model

    def forward(
        self,
        input_ids: Any,
        labels: Any = None,
        attention_mask: Any = None,
        *,
        token_type_ids: Any = None,
        **options: Any,
    ) -> Any:
        """The model's output; arguments are the model's, for the text without the prompt."""
        for refused in ("cache", "output_attentions"):
            if options.get(refused):
                raise ValueError(f"PromptTuning: {refused} is not supported: leave it out")
        ids = as_ids("PromptTuning", "input_ids", input_ids)
        given = {"attention_mask": (attention_mask, 1), "token_type_ids": (token_type_ids, 0)}
        for name, (value, filler) in given.items():
            if value is not None:
                options[name] = self._longer(value, filler)
        if labels is not None:
            labels = Tensor(labels).data
            options["labels"] = self._longer(labels, -100) if labels.shape == ids.shape else labels
        for name in ("start_positions", "end_positions"):
            if options.get(name) is not None:
                places = to_numpy(unwrap(options[name]))
                options[name] = np.where(places >= self.start, places + len(self.prompt), places)
        embedding: Any = dict(self.model.named_modules())[self.embedding_name]
        with embedding.inserting(self.prompt, self.start):
            output = self.model(self._longer(ids, 0), **options)
        return self._without_prompt(output)

    def _longer(self, values: Any, filler: int) -> Any:
        """Shapes   values (B, T) -> (B, P + T), with the filler where the prompt stands."""
        values = unwrap(values)
        xp = array_module(values)
        fillers = xp.full((values.shape[0], len(self.prompt)), filler, dtype=values.dtype)
        return xp.concatenate([values[:, : self.start], fillers, values[:, self.start :]], axis=1)

    def _without_prompt(self, output: Any) -> Any:
        """The output with the positions of the prompt cut out of everything that has positions."""
        for name in PER_TOKEN:
            if getattr(output, name) is not None:
                setattr(output, name, self._cut(getattr(output, name)))
        if output.logits is not None and output.logits.ndim == 3:
            output.logits = self._cut(output.logits)
        if output.hidden_states is not None:
            output.hidden_states = tuple(map(self._cut, output.hidden_states))
        return output

    def _cut(self, x: Tensor) -> Tensor:
        after = x[:, self.start + len(self.prompt) :]
        return F.concatenate(x[:, : self.start], after, axis=1) if self.start else after

    def extra_repr(self) -> str:
        """Where the prompt stands."""
        return f"start={self.start}"


def _shorter(config: Any, length: int) -> Any:
    """The config with so many positions fewer: they are the prompt's, and no text has them.

    Raises   ValueError if none is left
    """
    names = ("n_positions", "max_position_embeddings")
    name = next(name for name in names if hasattr(config, name))
    positions = getattr(config, name)
    if length >= positions:
        raise ValueError(
            f"PromptTuning: length {length} must be less than the {positions} positions of the model, "
            "so that some are left for the text"
        )
    return dataclasses.replace(config, **{name: positions - length})


def _word_embedding(model: Module) -> tuple[str, int]:
    """(name of the layer, where a prompt begins).

    Raises   ValueError if there is none, or two
    """
    found = [
        (name, start)
        for name, module in model.named_modules()
        for ending, start in STARTS.items()
        if ends_with(name, ending) and isinstance(module, Embedding)
    ]
    if len(found) != 1 or not hasattr(model, "config"):
        raise ValueError(
            f"PromptTuning: it takes a GPT-2, Llama or BERT, with one word embedding named "
            f"{', '.join(STARTS)}; {type(model).__name__} has {len(found)}"
        )
    return found[0]
