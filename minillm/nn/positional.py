"""Positions: what tells a model where each vector stands (ops/positional_encoding.py)."""

from typing import Any

import numpy as np

from .. import functional as F
from .. import ops
from ..autograd import Tensor
from ..backend import array_module, default_generator
from .arguments import as_sequences, require_sizes
from .layers import Dropout
from .module import Module, Parameter


class PositionalEncoding(Module):
    """Add to each vector one that depends on its position only; then dropout.

    The fixed table of sines (Vaswani et al. 2017, section 3.5) is not a parameter.  It is computed
    as far as it is needed, in the dtype and on the device of the input.

    d_model      C
    max_len      the longest sequence
    learned      a table of parameters instead, normal with standard deviation 0.02 (as GPT-2's)
    Parameters   weight (max_len, C) if learned, else none
    Shapes       x (B, T, C) -> the same

    >>> PositionalEncoding(4, dropout=0.0)(np.zeros((1, 2, 4))).data[0, 0]
    array([0., 1., 0., 1.])
    """

    def __init__(
        self,
        d_model: int,
        dropout: float = 0.1,
        max_len: int = 5000,
        *,
        learned: bool = False,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        require_sizes("PositionalEncoding", d_model=d_model, max_len=max_len)
        self.d_model, self.max_len = d_model, max_len
        self.weight = None
        if learned:
            table = default_generator(rng).normal(0.0, 0.02, (max_len, d_model))
            self.weight = Parameter(table.astype(dtype))
        self.dropout = Dropout(dropout)
        self._fixed: Any = None  # the first rows of the table of sines, as last used

    def forward(self, x: Any, *, start: int = 0) -> Tensor:
        """Shapes   x (B, T, C) at the positions start … start + T - 1 -> the same."""
        x = as_sequences("PositionalEncoding", "x", x, self.d_model)
        end = start + x.shape[1]
        if start < 0 or end > self.max_len:
            raise ValueError(
                f"PositionalEncoding: x {x.shape} from position {start} on must lie within the "
                f"max_len = {self.max_len} positions: shorten it, or build with a larger max_len"
            )
        table = self._sines(end, x.data) if self.weight is None else self.weight
        return self.dropout(F.positional_encoding(x, table[start:] if start else table))

    def _sines(self, length: int, like: Any) -> Any:
        """At least `length` rows of the fixed table, on the device and in the dtype of `like`."""
        kept = self._fixed
        if (
            kept is None
            or len(kept) < length
            or kept.dtype != like.dtype
            or type(kept) is not type(like)
            or getattr(kept, "device", None) != getattr(like, "device", None)
        ):
            rows = min(self.max_len, 1 << max(length - 1, 1).bit_length())  # a power of 2
            table = ops.sinusoidal_table(rows, self.d_model, dtype=like.dtype)
            self._fixed = array_module(like).asarray(table)
        return self._fixed

    def extra_repr(self) -> str:
        """The longest sequence."""
        return f"max_len={self.max_len}"
