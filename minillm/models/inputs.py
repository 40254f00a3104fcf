"""Token ids and masks, as users pass them, turned into what a model needs."""

from typing import Any

from ..autograd import Tensor, unwrap
from ..backend import array_module


def as_ids(model: str, name: str, ids: Any, like: Any) -> Any:
    """Token ids as an integer array (B, T) on the device of the array `like`.

    One sequence (T,) becomes a batch of one.

    Raises   TypeError if they are not integers; ValueError for another number of axes or no tokens
    """
    ids = array_module(like).asarray(Tensor(ids).data)
    if ids.ndim == 1:
        ids = ids[None]
    if ids.ndim != 2:
        raise ValueError(f"{model}: {name} must be (batch, tokens), got shape {ids.shape}")
    if ids.size == 0:
        raise ValueError(f"{model}: {name} {ids.shape} holds no tokens")
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{model}: {name} must be integers, got {ids.dtype}")
    return ids


def key_mask(model: str, attention_mask: Any, ids: Any) -> tuple[Any, Any]:
    """(visible (B, 1, 1, T), positions (B, T)) for a 1/0 attention mask of the shape of ids.

    Masked tokens do not count as positions, so a prompt padded on the left gets the positions of
    the unpadded one.
    """
    mask = unwrap(attention_mask)
    mask = array_module(ids).asarray(mask) if hasattr(mask, "shape") else mask
    if getattr(mask, "shape", None) != ids.shape:
        raise ValueError(
            f"{model}: attention_mask must have the shape of input_ids {ids.shape}, "
            f"got {getattr(mask, 'shape', type(mask).__name__)}"
        )
    xp = array_module(ids, mask)
    visible = mask.astype(bool)
    if not (visible == mask).all():
        raise ValueError(f"{model}: attention_mask must hold 1 (visible) and 0 (padding) only")
    positions = xp.maximum(xp.cumsum(visible, axis=-1) - 1, 0)
    return visible[:, None, None, :], positions
