"""What GPT-2 and Llama share as models that predict the next token: logits, loss, and the cache."""

from typing import Any

from .. import functional as F
from ..autograd import Tensor
from ..generation import KVCache
from .inputs import as_ids
from .output import ModelOutput
from .sequences import next_token_loss, require_logits_to_keep


class CausalLM:
    """Gives a model the forward of a causal language model.

    It needs `display_name` for messages, `backbone`, called as backbone(ids, attention_mask,
    want_states, want_attentions, cache), its `embedding_weight`, and lm_head, None if it is tied.
    """

    display_name: str
    lm_head: Any

    @property
    def backbone(self) -> Any:
        """The model below the output layer."""
        raise TypeError(f"{type(self).__name__} must say what its backbone is")

    @property
    def embedding_weight(self) -> Tensor:
        """(V, C): the output layer, too, where it is tied."""
        raise TypeError(f"{type(self).__name__} must say what its embedding is")

    def forward(
        self,
        input_ids: Any,
        labels: Any = None,
        attention_mask: Any = None,
        *,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        cache: KVCache | None = None,
        logits_to_keep: int = 0,
    ) -> ModelOutput:
        """Logits for the next token at each position, and the loss if labels are given.

        input_ids        (B, T) integers
        labels           (B, T) integers, usually input_ids itself: they are shifted here, so that
                         position t predicts label t + 1; -100 is ignored
        attention_mask   (B, T) 1 for tokens, 0 for padding
        cache            from new_cache: input_ids are then only the tokens that follow those in it,
                         while attention_mask covers both; they are added to it
        logits_to_keep   compute the logits of so many last positions only; 0 for all

        Shapes   input_ids (B, T) -> logits (B, T, V)
        Raises   ValueError for ids, masks or labels that do not fit, or too long a sequence
        """
        name = self.display_name
        ids = as_ids(name, "input_ids", input_ids)
        if output_attentions and cache is not None:
            raise ValueError(
                f"{name}: output_attentions shows whole sequences: call without a cache"
            )
        require_logits_to_keep(name, logits_to_keep, labels)
        x, states, attentions = self.backbone(
            ids, attention_mask, output_hidden_states, output_attentions, cache
        )
        logits = self.next_token_logits(x[:, -logits_to_keep:] if logits_to_keep else x)
        loss = num_targets = None
        if labels is not None:
            loss, num_targets = next_token_loss(name, logits, ids, labels)
        return ModelOutput(
            loss,
            logits,
            tuple(states) if output_hidden_states else None,
            tuple(attentions) if output_attentions else None,
            num_targets,
        )

    def next_token_logits(self, x: Tensor) -> Tensor:
        """Shapes   x (B, T, C) -> (B, T, V)."""
        if self.lm_head is None:
            return F.linear(x, self.embedding_weight.T)
        return self.lm_head(x)
