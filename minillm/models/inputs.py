"""Token ids and masks, as users pass them, turned into what a model needs."""

from typing import Any

from ..autograd import Tensor, unwrap
from ..backend import array_module, beside, is_array


def as_ids(model: str, name: str, ids: Any) -> Any:
    """Token ids as an integer array (B, T), left where they are.

    One sequence (T,) becomes a batch of one.  Ids on the host are best also for a model on a device:
    there they are checked without waiting, and the operation that reads them carries them over.

    Raises   TypeError if they are not integers; ValueError for another number of axes or no tokens
    """
    ids = ids if is_array(ids) else Tensor(ids).data
    if ids.ndim == 1:
        ids = ids[None]
    if ids.ndim != 2:
        raise ValueError(f"{model}: {name} must be (batch, tokens), got shape {ids.shape}")
    if ids.size == 0:
        raise ValueError(f"{model}: {name} {ids.shape} holds no tokens")
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{model}: {name} must be integers, got {ids.dtype}")
    return ids


def key_mask(
    model: str, attention_mask: Any, ids: Any, like: Any, cached: int = 0
) -> tuple[Any, Any]:
    """(visible (B, 1, 1, S), positions (B, T)) for a 1/0 attention mask (B, S) and ids (B, T).

    cached is the number of earlier tokens that a cache holds: the mask covers them as well, so
    S = cached + T, and the positions are those of the new tokens only.

    visible is carried to the device of the array `like`, positions stay where the mask is.

    Masked tokens do not count as positions, so a prompt padded on the left gets the positions of
    the unpadded one.
    """
    mask = unwrap(attention_mask)
    B, T = ids.shape
    if getattr(mask, "shape", None) != (B, cached + T):
        after = f" after {cached} cached tokens must be {(B, cached + T)}" if cached else ""
        raise ValueError(
            f"{model}: attention_mask must have the shape of input_ids {ids.shape}{after}, "
            f"got {getattr(mask, 'shape', type(mask).__name__)}"
        )
    xp = array_module(mask)
    visible = mask.astype(bool)
    if mask.dtype.kind != "b" and not (visible == mask).all():
        raise ValueError(f"{model}: attention_mask must hold 1 (visible) and 0 (padding) only")
    positions = xp.maximum(xp.cumsum(visible, axis=-1) - 1, 0)[:, cached:]
    return beside(visible[:, None, None, :], like), positions
