"""What a model returns: named values that can also be indexed and unpacked."""

from dataclasses import dataclass, fields
from typing import Any

from ..autograd import Tensor


@dataclass
class ModelOutput:
    """The result of calling a model; values that were not asked for are None.

    output.logits and output[0] both work: indexing and unpacking go through the values that are
    not None, in the order below, so that the loss comes first where labels were given.

    num_targets   how many labels the loss is the mean over, so that losses of batches of different
                  size can be averaged rightly; not part of the tuple

    >>> output = ModelOutput(logits=Tensor([[0.1, 0.9]]))
    >>> output[0] is output.logits
    True
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Any, ...] | None = None
    num_targets: int | None = None

    def to_tuple(self) -> tuple[Any, ...]:
        """The values that are not None."""
        names = (field.name for field in fields(self) if field.name != "num_targets")
        values = (getattr(self, name) for name in names)
        return tuple(value for value in values if value is not None)

    def __getitem__(self, index: Any) -> Any:
        return getattr(self, index) if isinstance(index, str) else self.to_tuple()[index]

    def __iter__(self) -> Any:
        return iter(self.to_tuple())
