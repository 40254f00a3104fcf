"""Rotary position embedding: positions as rotations.

Formula (Su et al. 2021, arXiv:2104.09864, eq. 34).  The width D is cut into D/2 pairs (a, b); at
position t pair i is turned by the angle t * w_i, w_i = base^(-2i/D):

    a' = a cos - b sin          b' = b cos + a sin                                        (1)

The product of a query at position t with a key at position s then depends on t - s only, because
turning both by the same angle changes no inner product.  Two layouts of the pairs are in use:

    interleaved        (x_0, x_1), (x_2, x_3), ...            the paper's
    halves (default)   (x_0, x_{D/2}), (x_1, x_{D/2+1}), ...  Llama's in Hugging Face files

Backward.  (1) is a rotation, an orthogonal map; its transpose is the rotation by the opposite angle:

    grad_a = grad_a' cos + grad_b' sin       grad_b = grad_b' cos - grad_a' sin           (2)

Check: tests/ops/test_rotary_embedding.py    Notebook: notebooks/10_positions.ipynb
"""

import numpy as np

from ..backend import array_module
from .checks import require_floating


def rotary_tables(length, width, *, base=10000.0, dtype=np.float32):
    """(cos, sin) of the angles t * base^(-2i/width), on the host: what rotary_embedding takes.

    Shapes   -> cos, sin (length, width / 2)
    Dtype    computed in float64, then rounded once to dtype
    Units    angles in radians
    Raises   ValueError if width is odd or a size is negative

    >>> cos, sin = rotary_tables(3, 4)
    >>> cos.shape
    (3, 2)
    """
    if length < 0 or width < 0 or width % 2:
        raise ValueError(
            f"rotary_tables: length {length} must be >= 0 and width {width} even and >= 0"
        )
    angle = np.arange(length)[:, None] * base ** (-np.arange(0, width, 2) / max(width, 1))
    return np.cos(angle).astype(dtype), np.sin(angle).astype(dtype)


def rotary_embedding_forward(x, *, cos, sin, interleaved=False):
    """Turn the pairs of the last axis by the angles of their positions.

    Shapes   x (..., T, D); cos, sin broadcasting to (..., T, D/2) -> out (..., T, D)
    Dtype    all floating and equal
    Saves    nothing of x: cos and sin
    Raises   ValueError if D is odd or cos and sin do not fit; TypeError if dtypes differ

    >>> cos, sin = np.array([[0.0]]), np.array([[1.0]])  # a quarter of a turn
    >>> rotary_embedding_forward(np.array([[3.0, 4.0]]), cos=cos, sin=sin)[0]
    array([[-4.,  3.]])
    """
    array_module(x, cos, sin)
    require_floating("rotary_embedding", x=x, cos=cos, sin=sin)
    wanted = (*x.shape[:-1], x.shape[-1] // 2) if x.ndim else ()
    fits = (
        cos.shape == sin.shape
        and cos.ndim <= len(wanted)
        and all(m in (1, n) for m, n in zip(cos.shape[::-1], wanted[::-1], strict=False))
    )
    if x.ndim == 0 or x.shape[-1] % 2 or not fits:
        raise ValueError(
            f"rotary_embedding: x {x.shape} must have an even last axis, and cos {cos.shape} and "
            f"sin {sin.shape} broadcast to {wanted}"
        )
    return _rotate(x, cos, sin, interleaved), (cos, sin, interleaved)


def rotary_embedding_backward(grad_out, saved):
    """Gradient w.r.t. x, by (2): turned back by the same angles."""
    cos, sin, interleaved = saved
    # forward:  out = rotation by the angle
    return (_rotate(grad_out, cos, -sin, interleaved),)


def _rotate(x, cos, sin, interleaved):
    """(1) for every pair, into a new array."""
    xp = array_module(x)
    half = x.shape[-1] // 2
    first, second = (slice(0, None, 2), slice(1, None, 2)) if interleaved else (
        slice(0, half), slice(half, None))  # fmt: skip
    a, b = x[..., first], x[..., second]
    out = xp.empty(x.shape, dtype=x.dtype)
    out[..., first] = a * cos - b * sin
    out[..., second] = b * cos + a * sin
    return out
