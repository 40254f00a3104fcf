"""Checks of what layers are given, and the one sentence each failure gives."""

import inspect
from typing import Any

from ..arguments import is_number, is_whole, require_whole
from ..autograd import Tensor, unwrap
from ..backend import array_module
from ..ops.checks import HIDDEN_MASK_NAMES, require_boolean


def require_sizes(layer: str, **sizes: Any) -> None:
    """Sizes are integers of at least 1."""
    for name, size in sizes.items():
        require_whole(layer, name, size)


def is_row(index: Any, rows: int) -> bool:
    """An integer that names one of the rows; a negative one counts from the end."""
    return is_whole(index) and -rows <= index < rows


def require_multiple(layer: str, name: str, size: int, of_name: str, of: int) -> None:
    """One size is a multiple of another."""
    if size % of:
        raise ValueError(f"{layer}: {name} {size} must be a multiple of {of_name} {of}")


def require_known(config: Any, **known: tuple[Any, ...]) -> None:
    """Entries of a config have one of the values that the model here is built for."""
    for name, choices in known.items():
        value = getattr(config, name)
        if value not in choices:
            right = ", ".join(map(repr, choices))
            raise ValueError(f"{type(config).__name__}: {name} {value!r} must be one of {right}")


def require_probability(layer: str, name: str, p: Any) -> None:
    """A number within 0 … 1."""
    if not is_number(p) or not 0.0 <= p <= 1.0:
        raise ValueError(f"{layer}: {name} = {p!r} must be a probability, within 0 … 1")


def as_sequences(layer: str, name: str, x: Any, width: int) -> Tensor:
    """A batch of sequences (B, T, width) as a Tensor."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    if x.ndim != 3 or x.shape[2] != width:
        raise ValueError(f"{layer}: {name} {x.shape} must be (B, T, {width}), batch first")
    return x


def joint_mask(
    layer: str, visible: Any, key_visible: Any, shape: tuple[int, ...], like: Any
) -> Any:
    """One mask that broadcasts to (B, H, T, S) and shows what both masks show; None for neither.

    visible       boolean, broadcasts to shape = (B, H, T, S); not with three axes, because (B, T, S)
                  would be taken for (H, T, S)
    key_visible   boolean (B, S)
    like          an array on the device where the mask is needed
    """
    xp = array_module(like)
    B, _, T, S = shape
    if visible is not None:
        visible = _boolean(layer, "visible", visible, xp)
        given = (1,) * (4 - visible.ndim) + visible.shape
        fits = all(m in (1, n) for m, n in zip(given, shape, strict=False))
        if visible.ndim == 3 or visible.ndim > 4 or not fits:
            raise ValueError(
                f"{layer}: visible {visible.shape} must be ({T}, {S}) or broadcast from four axes to "
                f"(B, H, T, S) = {shape}; write visible[:, None] for a mask (B, T, S)"
            )
    if key_visible is not None:
        key_visible = _boolean(layer, "key_visible", key_visible, xp)
        if key_visible.shape != (B, S):
            raise ValueError(
                f"{layer}: key_visible {key_visible.shape} must be (B, S) = {(B, S)}: one entry for "
                "each key, those of the cache included"
            )
        key_visible = key_visible[:, None, None, :]  # (B, 1, 1, S)
        return key_visible if visible is None else visible & key_visible
    return visible


def _boolean(layer: str, name: str, mask: Any, xp: Any) -> Any:
    mask = unwrap(mask)
    require_boolean(layer, name, mask)
    return xp.asarray(mask)


def hidden_mask_error(module: Any, options: dict[str, Any]) -> TypeError | None:
    """The TypeError for a mask keyword of PyTorch that the module does not take, None if there is none.

    There True means hidden, here it means visible: the message spells out the inverted call.
    """
    parameters = inspect.signature(module.forward).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return None
    for name in options:
        if name not in HIDDEN_MASK_NAMES or name in parameters:
            continue
        # memory_key_padding_mask is memory_key_visible, or key_visible where there is no memory
        right = name.replace("key_padding_mask", "key_visible").replace("mask", "visible")
        short = "key_visible" if "key_padding" in name else "visible"
        right = next((n for n in (right, short, f"tgt_{short}") if n in parameters), "")
        if right:
            return TypeError(
                f"{type(module).__name__}: there is no {name}: masks here are boolean and called "
                f"{right}, True = may attend. Where True means hidden, write {right}=~{name}; where "
                f"1 means visible, write {right}={name} == 1"
            )
    return None
