"""Embedding: a table of vectors, looked up by id.

Formula (Bengio et al. 2003, JMLR 3, section 2, the matrix C):

    out[n] = weight[ids[n]]          weight (V, C), ids (N,) -> out (N, C)

which is the product of a one-hot row with the table, out = onehot(ids) @ weight, without ever
building the N x V matrix of zeros.

Backward.  A row of the table is used once for every n whose id names it, so it collects

    grad_weight[v] = sum of grad_out[n] over all n with ids[n] = v                        (1)

= onehot(ids)^T @ grad_out.  Ids that repeat add up.  `grad_weight[ids] += grad_out` would keep
only the last of them: NumPy reads all old values before it writes any new one.
Check: tests/ops/test_embedding.py    Notebook: notebooks/06_embedding.ipynb
"""

from ..arguments import is_whole
from ..backend import array_module, beside, scatter_add
from .checks import require_floating, require_ids
from .rows import as_rows


def embedding_forward(ids, weight, *, padding_idx=None):
    """The row of weight that each id names.

    Shapes   ids: any shape (...); weight (V, C) -> out (..., C)
    Dtype    ids integer; weight floating, kept
    Saves    ids, and the shape and dtype of weight
    Raises   IdError (an IndexError and a ValueError) naming the first id outside 0 … V - 1;
             TypeError if ids or padding_idx are not integers; ValueError if weight is not (V, C)

    padding_idx names a row that gets no gradient; None for no such row.
    ids may stay on the host while weight is on a device: there they are checked without waiting.

    >>> import numpy as np
    >>> embedding_forward(np.array([1, 1, 0]), np.array([[0.0, 1.0], [2.0, 3.0]]))[0]
    array([[2., 3.],
           [2., 3.],
           [0., 1.]])
    """
    xp = array_module(weight)
    require_floating("embedding", weight=weight)
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight must be (V, C), got shape {weight.shape}")
    V = weight.shape[0]
    require_ids("embedding", "ids", ids, V)
    if padding_idx is not None:
        if not is_whole(padding_idx):
            raise TypeError(
                f"embedding: padding_idx must be an integer or None, got {padding_idx!r}"
            )
        if not -V <= padding_idx < V:
            raise ValueError(f"embedding: padding_idx {padding_idx} is outside 0 … {V - 1}")
        padding_idx %= V
    out = xp.take(weight, beside(ids, weight), axis=0)  # (..., C)
    return out, (ids, weight.shape, weight.dtype, padding_idx)


def embedding_backward(grad_out, saved, *, needs=None):
    """Gradients w.r.t. (ids, weight): none for integers, and (1)."""
    ids, shape, dtype, padding_idx = saved
    if needs is not None and not needs[1]:
        return None, None
    xp = array_module(grad_out)
    grad_weight = xp.zeros(shape, dtype=dtype)
    # forward:  out = weight[ids]
    scatter_add(grad_weight, ids.reshape(-1), as_rows(grad_out))
    if padding_idx is not None:
        grad_weight[padding_idx] = 0
    return None, grad_weight
