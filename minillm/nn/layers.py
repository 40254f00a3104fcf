"""The layers that everything is built from.  Arguments in PyTorch's order; weight is (in, out)."""

import math
from typing import Any

import numpy as np

from .. import functional as F
from ..arguments import require_number
from ..autograd import Tensor
from ..backend import default_generator
from .arguments import is_row, require_probability, require_sizes
from .module import Module, Parameter


class Linear(Module):
    """y = x @ weight + bias on the last axis.

    Parameters   weight (in_features, out_features), bias (out_features,): both uniform within
                 1/sqrt(in_features), which keeps the variance of the output below that of the input
    Shapes       x (..., in_features) -> (..., out_features)

    >>> Linear(3, 4)
    Linear(weight (3, 4), bias (4,))  16 parameters
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        require_sizes("Linear", in_features=in_features, out_features=out_features)
        rng = default_generator(rng)
        bound = 1 / math.sqrt(in_features)
        weight = rng.uniform(-bound, bound, (in_features, out_features))
        self.weight = Parameter(weight.astype(dtype))
        self.bias = None
        if bias:
            self.bias = Parameter(rng.uniform(-bound, bound, (out_features,)).astype(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (..., in_features) -> (..., out_features)."""
        return F.linear(x, self.weight, self.bias)


class Embedding(Module):
    """A table of vectors, looked up by id.

    Parameters   weight (num_embeddings, embedding_dim), standard normal; the row padding_idx is 0
                 and stays 0; a negative padding_idx counts from the end
    Shapes       ids (...) -> (..., embedding_dim)

    >>> Embedding(10, 4)(np.array([[1, 9]])).shape
    (1, 2, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        require_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not is_row(padding_idx, num_embeddings):
            raise ValueError(
                f"Embedding: padding_idx must be an integer within 0 … {num_embeddings - 1}, or None, "
                f"got {padding_idx!r}"
            )
        table = default_generator(rng).standard_normal((num_embeddings, embedding_dim))
        if padding_idx is not None:
            table[padding_idx] = 0
        self.padding_idx = padding_idx
        self.weight = Parameter(table.astype(dtype))

    def forward(self, ids: Any) -> Tensor:
        """Shapes   ids (...) integers -> (..., embedding_dim)."""
        return F.embedding(ids, self.weight, padding_idx=self.padding_idx)


def _width(layer: str, normalized_shape: Any) -> int:
    """The size of the axis that is normalized: an integer, or as in PyTorch a tuple of a single one."""
    if isinstance(normalized_shape, (tuple, list)) and len(normalized_shape) == 1:
        (normalized_shape,) = normalized_shape
    require_sizes(layer, normalized_shape=normalized_shape)
    return normalized_shape


class LayerNorm(Module):
    """Layer normalization of the last axis.

    Parameters   weight (the gamma of the formula), ones, and bias (beta), zeros: (normalized_shape,)
    Shapes       x (..., normalized_shape) -> the same

    >>> LayerNorm(2)(np.array([[1.0, 3.0]], dtype=np.float32)).data.round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int],
        eps: float = 1e-5,
        *,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        normalized_shape = _width("LayerNorm", normalized_shape)
        require_number("LayerNorm", "eps", eps, least=0)  # it stands under a root
        self.eps = eps
        self.weight = Parameter(np.ones(normalized_shape, dtype=dtype))
        self.bias = Parameter(np.zeros(normalized_shape, dtype=dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (..., normalized_shape) -> the same."""
        return F.layer_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """The eps."""
        return f"eps={self.eps:g}"


class RMSNorm(Module):
    """Root-mean-square normalization of the last axis: LayerNorm without mean and bias.

    Parameters   weight (the gamma of the formula), ones: (normalized_shape,)
    Shapes       x (..., normalized_shape) -> the same

    >>> RMSNorm(2)(np.array([[3.0, 3.0]], dtype=np.float32)).data.round(3)
    array([[1., 1.]], dtype=float32)
    """

    def __init__(
        self, normalized_shape: int | tuple[int], eps: float = 1e-5, *, dtype: Any = np.float32
    ) -> None:
        normalized_shape = _width("RMSNorm", normalized_shape)
        require_number("RMSNorm", "eps", eps, least=0)  # it stands under a root
        self.eps = eps
        self.weight = Parameter(np.ones(normalized_shape, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (..., normalized_shape) -> the same."""
        return F.rms_norm(x, self.weight, eps=self.eps)

    def extra_repr(self) -> str:
        """The eps."""
        return f"eps={self.eps:g}"


class Dropout(Module):
    """Dropout in training, nothing in evaluation.

    Shapes   x: any -> the same

    >>> Dropout(0.1).eval()(np.ones(3)).data
    array([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        require_probability("Dropout", "p", p)
        self.p, self.rng = p, rng

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x: any -> the same."""
        return F.dropout(x, p=self.p, training=self.training, rng=self.rng)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p:g}"
