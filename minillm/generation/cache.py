"""The keys and values of the tokens that a model has seen already, kept for the next step.

Token t + 1 attends to the keys and values of tokens 1 … t, and in a causal model those never change:
no earlier token sees a later one.  So each layer keeps them (Pope et al. 2022, arXiv:2211.05102,
section 2.1), and a step of generation computes one new token instead of the whole prefix:

    k_all = [k_1 … k_S, k_new]       v_all likewise          one row more per step
    out   = attention(q_new, k_all, v_all)

The rows live in arrays of `capacity` positions that are allocated once.  A step writes its rows at
the end and attends to a view of what is filled: nothing is concatenated, nothing is copied.
"""

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import array_module, beside


class KVCache:
    """Keys and values of all layers of one model, for a batch of sequences.

    KVCache(layers, batch, heads, width, capacity): heads G and width D are those of the keys, which
    with grouped attention are fewer than those of the queries.  `like` is an array on the device
    where the cache shall live.  A cache that is full grows to twice its capacity; with fixed=True
    it raises instead.

    length     positions filled so far; during a step, still those before the step
    batch      rows;  capacity: positions there is room for;  nbytes: what the arrays take

    A cache is for writing, not for learning: it keeps no history, so call the model within no_grad().

    >>> cache = KVCache(layers=1, batch=1, heads=1, width=2, capacity=8)
    >>> k, v = cache.append(0, np.ones((1, 1, 3, 2), "f"), np.ones((1, 1, 3, 2), "f"))
    >>> k, v = cache.append(0, np.zeros((1, 1, 1, 2), "f"), np.zeros((1, 1, 1, 2), "f"))
    >>> k.shape, cache.length
    ((1, 1, 4, 2), 4)
    """

    def __init__(
        self,
        layers: int,
        batch: int,
        heads: int,
        width: int,
        capacity: int,
        *,
        dtype: Any = np.float32,
        like: Any = None,
        fixed: bool = False,
    ) -> None:
        sizes = {"layers": layers, "batch": batch, "heads": heads, "width": width}
        for name, size in {**sizes, "capacity": capacity}.items():
            if size < 1:
                raise ValueError(f"KVCache: {name} must be at least 1, got {size}")
        self.fixed = fixed
        xp, shape = array_module(like), (batch, heads, capacity, width)
        # one array for each layer: memory is taken only as far as it is written to
        self._keys = [xp.empty(shape, dtype=dtype) for _ in range(layers)]
        self._values = [xp.empty(shape, dtype=dtype) for _ in range(layers)]
        self._filled = [0] * layers

    layers = property(lambda self: len(self._keys))
    batch = property(lambda self: self._keys[0].shape[0])
    heads = property(lambda self: self._keys[0].shape[1])
    width = property(lambda self: self._keys[0].shape[3])
    dtype = property(lambda self: self._keys[0].dtype)

    @property
    def capacity(self) -> int:
        """Positions there is room for."""
        return min(keys.shape[2] for keys in self._keys)

    @property
    def length(self) -> int:
        """Positions that every layer has filled."""
        return min(self._filled)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, filled or not."""
        return sum(array.nbytes for array in (*self._keys, *self._values))

    def append(self, layer: int, k: Any, v: Any) -> tuple[Tensor, Tensor]:
        """Write the new positions of one layer, and give back all that it has.

        Shapes   k, v (B, G, T, D), arrays or Tensors -> k_all, v_all (B, G, S, D) with S = length + T
        Raises   ValueError if a shape does not fit or a fixed cache is full; TypeError for another
                 dtype; RuntimeError if gradients are recorded

        The results are views: the next step does not change them, reorder and crop may.
        """
        k, v = (_array_of(name, x) for name, x in (("k", k), ("v", v)))
        keys = self._keys[layer]
        B, G, _, D = keys.shape
        if k.ndim != 4 or k.shape != v.shape or (*k.shape[:2], k.shape[3]) != (B, G, D):
            raise ValueError(
                f"KVCache: k {k.shape} and v {v.shape} must both be (batch {B}, heads {G}, new "
                f"tokens, width {D}), as the cache was made"
            )
        if k.dtype != keys.dtype or v.dtype != keys.dtype:
            raise TypeError(
                f"KVCache: k is {k.dtype} and v is {v.dtype}, but the cache holds {keys.dtype}: "
                "make it with the dtype of the model"
            )
        k, v = self.write(layer, k, v)
        return Tensor(k), Tensor(v)

    def write(self, layer: int, k: Any, v: Any) -> tuple[Any, Any]:
        """What append does, for arrays whose shapes and dtype are known to fit; gives arrays."""
        start = self._filled[layer]
        end = start + k.shape[2]
        if end > self._keys[layer].shape[2]:
            self._grow(layer, end)
        keys, values = self._keys[layer], self._values[layer]
        keys[:, :, start:end] = k
        values[:, :, start:end] = v
        self._filled[layer] = end
        return keys[:, :, :end], values[:, :, :end]

    def _grow(self, layer: int, needed: int) -> None:
        """Room for at least `needed` positions in one layer."""
        capacity = self._keys[layer].shape[2]
        if self.fixed:
            raise ValueError(
                f"KVCache: {needed} positions do not fit into a fixed cache of {capacity}: make it "
                "larger, or leave fixed=False"
            )
        filled = self._filled[layer]
        for arrays in (self._keys, self._values):
            old = arrays[layer]
            B, G, _, D = old.shape
            room = (B, G, max(2 * capacity, needed), D)
            arrays[layer] = array_module(old).empty(room, dtype=old.dtype)
            arrays[layer][:, :, :filled] = old[:, :, :filled]

    def reorder(self, rows: Any, *, start: int = 0) -> None:
        """Row i becomes a copy of what row rows[i] was: beam search goes on from some rows.

        Rows may repeat and others be left out, so that the batch may change its size.
        start says that all rows named agree before this position, so that only the rest is copied.

        Shapes   rows (any number,) integers on the host
        Raises   ValueError if a row does not exist

        >>> cache = KVCache(layers=1, batch=3, heads=1, width=1, capacity=4)
        >>> x = np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1)
        >>> _ = cache.append(0, x, x)
        >>> cache.reorder([2, 2, 0])
        >>> cache.append(0, x, x)[0].data[:, 0, 0, 0]
        array([2., 2., 0.], dtype=float32)
        """
        rows = np.asarray(rows)
        B = self.batch
        if rows.ndim != 1 or rows.size == 0 or rows.dtype.kind not in "iu":
            raise ValueError(f"KVCache: rows must be row numbers in one list, got {rows!r}")
        if rows.min() < 0 or rows.max() >= B:
            raise ValueError(f"KVCache: rows {rows.tolist()} must be within 0 … {B - 1}")
        if len(rows) != B:
            self._take(rows)
            return
        moved = np.flatnonzero(rows != np.arange(B))
        if moved.size == 0:
            return
        to, source = (beside(index, self._keys[0]) for index in (moved, rows[moved]))
        for arrays in (self._keys, self._values):
            for layer, filled in enumerate(self._filled):
                part = arrays[layer][:, :, start:filled]
                part[to] = part[source]  # the right side is a copy, so repeated rows are safe

    def repeat(self, n: int) -> None:
        """Each row n times, one after the other: the beams or samples of one prompt.

        Raises   ValueError if n is below 1
        """
        if n < 1:
            raise ValueError(f"KVCache: repeat needs n of at least 1, got {n}")
        if n > 1:
            self._take(np.repeat(np.arange(self.batch), n))

    def _take(self, rows: np.ndarray) -> None:
        """New arrays with these rows."""
        index = beside(rows, self._keys[0])
        for arrays in (self._keys, self._values):
            for layer, filled in enumerate(self._filled):
                old = arrays[layer]
                arrays[layer] = array_module(old).empty(
                    (len(rows), *old.shape[1:]), dtype=old.dtype
                )
                arrays[layer][:, :, :filled] = old[:, :, :filled][index]

    def reset(self) -> None:
        """Forget everything; the memory stays."""
        self._filled = [0] * self.layers

    def crop(self, length: int) -> None:
        """Keep the first `length` positions only.

        Raises   ValueError if that is negative or more than there are
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"KVCache: crop to 0 … {self.length} positions, got {length}")
        self._filled = [length] * self.layers

    def __repr__(self) -> str:
        return (
            f"KVCache({self.layers} layers, batch {self.batch}, {self.heads} heads of {self.width}, "
            f"{self.length} of {self.capacity} positions, {self.nbytes / 1e6:.1f} MB)"
        )


def _array_of(name: str, x: Any) -> Any:
    """The array in x, which must not be part of a graph that gradients will flow through."""
    if isinstance(x, Tensor):
        if x.requires_grad:
            raise RuntimeError(
                f"KVCache: {name} requires a gradient, and none can flow through a cache: call the "
                "model within minillm.no_grad()"
            )
        return x.data
    return x
