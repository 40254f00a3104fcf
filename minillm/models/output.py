"""What a model returns: named values that can also be indexed and unpacked."""

from dataclasses import dataclass
from typing import Any

from ..autograd import Tensor

# the order in which Hugging Face's models return these
ORDER = (
    "loss",
    "logits",
    "seq_relationship_logits",
    "start_logits",
    "end_logits",
    "last_hidden_state",
    "pooler_output",
    "hidden_states",
    "attentions",
)


@dataclass
class ModelOutput:
    """The result of calling a model; values that were not asked for are None.

    output.logits and output[0] both work: indexing and unpacking go through the values that are
    not None, in the order of ORDER, so that the loss comes first where labels were given.

    seq_relationship_logits     of BERT's next-sentence head
    start_logits, end_logits    of the first and last token of an answer
    last_hidden_state, pooler_output    of a model without a head
    num_targets   how many labels the loss is the mean over, so that losses of batches of different
                  size can be averaged rightly; not part of the tuple
    terms         of a loss that is a sum of such means: each of them, and how many labels it has

    >>> output = ModelOutput(logits=Tensor([[0.1, 0.9]]))
    >>> output[0] is output.logits
    True
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Any, ...] | None = None
    num_targets: int | None = None
    terms: tuple[tuple[Tensor, int], ...] = ()
    seq_relationship_logits: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None

    def to_tuple(self) -> tuple[Any, ...]:
        """The values that are not None."""
        values = (getattr(self, name) for name in ORDER)
        return tuple(value for value in values if value is not None)

    def __getitem__(self, index: Any) -> Any:
        return getattr(self, index) if isinstance(index, str) else self.to_tuple()[index]

    def __iter__(self) -> Any:
        return iter(self.to_tuple())
