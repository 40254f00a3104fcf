"""Adapters alone as files, in the format of Hugging Face's library PEFT, in both directions.

folder/adapter_config.json           rank, alpha, which modules
folder/adapter_model.safetensors     the matrices, and the modules_to_save

    ours                 in the file                                          there
    <module>.lora_A      base_model.model.<module>.lora_A.weight              (r, in), ours (in, r)
    <module>.lora_B      base_model.model.<module>.lora_B.weight              (out, r), ours (r, out)
    <head>               base_model.model.<head>                              as in the model's file

An adapter of a model of 500 MB is a file of about 1 MB.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..files import FLOATS, open_arrays, read_arrays, read_json, write_arrays, write_json
from .lora import (
    LoraConfig,
    add_lora,
    as_like,
    heads_of,
    is_head,
    lora_state_dict,
    state_of,
    targets_of,
)

PREFIX = "base_model.model."
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# entries of PEFT's config that would change the mathematics, and the values that do not
PLAIN: dict[str, tuple] = {
    "peft_type": ("LORA",), "use_rslora": (False, None), "use_dora": (False, None),
    "use_qalora": (False, None), "use_bdlora": (False, None), "lora_bias": (False, None),
    "bias": ("none", None), "rank_pattern": ({}, None), "alpha_pattern": ({}, None),
    "layers_to_transform": (None,), "layer_replication": (None,), "exclude_modules": (None,),
    "target_parameters": (None,), "trainable_token_indices": (None,),
    "alora_invocation_tokens": (None,),
}  # fmt: skip


def save_lora(
    model: Any, folder: "str | Path", name: str | None = None, *, base_model: str | None = None
) -> None:
    """Write one adapter, the active one by default, as PEFT reads it.

    base_model   what to write down as the name or folder of the base
    Raises       ValueError if there is no adapter (of that name); OSError if the disk is full

    >>> import tempfile
    >>> from minillm.nn import Linear, Sequential
    >>> model = add_lora(Sequential(Linear(3, 4)), LoraConfig(r=2, target_modules=["0"]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_lora(model, folder)
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['adapter_config.json', 'adapter_model.safetensors']
    """
    state = state_of("save_lora", model, name)
    name = state.active if name is None else name
    config = state.configs[name or ""]
    arrays = {
        _file_name(own): np.ascontiguousarray(_turned(model, own, to_numpy(array)))
        for own, array in lora_state_dict(model, name).items()
    }
    values = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base_model,
        "r": config.r,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": list(config.target_modules),
        "modules_to_save": list(config.modules_to_save) or None,
        # does the base keep its weights as (in, out), as the Conv1D of GPT-2 does?
        "fan_in_fan_out": not all(
            _is_turned(model, f"{path}.weight") for path in _adapted(model, name)
        ),
        "bias": "none",
        "inference_mode": True,
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
    }
    write_arrays(Path(folder) / WEIGHTS, arrays, {"format": "pt"})
    write_json(Path(folder) / CONFIG, values)


def load_lora(model: Any, folder: "str | Path", name: str = "default") -> Any:
    """Add the adapter of a folder that PEFT or save_lora wrote; it is active afterwards.

    Returns   the model itself
    Raises    FileNotFoundError if a file is missing; ValueError, before the model is changed, for an
              adapter of another base (with what does not fit) or of a kind that is not known here

    >>> import tempfile
    >>> from minillm.nn import Linear, Sequential
    >>> model = add_lora(Sequential(Linear(3, 4)), LoraConfig(r=2, target_modules=["0"]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_lora(model, folder)
    ...     load_lora(Sequential(Linear(3, 4)), folder).lora.configs["default"].r
    2
    """
    folder = Path(folder)
    config = read_lora_config(folder / CONFIG)
    path = folder / WEIGHTS
    arrays = _read(path)
    config = _without_strangers(config, model, arrays)
    try:
        targets = targets_of("load_lora", model, config)
        heads = heads_of("load_lora", model, config, targets)
    except ValueError as error:
        raise ValueError(f"{path} is an adapter of another base: {error}") from None
    parameters = dict(model.named_parameters())
    expected = {f"{n}.lora_A": (m.weight.shape[0], config.r) for n, m in targets.items()}
    expected |= {f"{n}.lora_B": (config.r, m.weight.shape[1]) for n, m in targets.items()}
    expected |= {head: parameters[head].shape for head in heads}
    found = {}
    problems = [f"unexpected: {n}" for n in arrays if n not in map(_file_name, expected)]
    for own, shape in expected.items():
        if _file_name(own) not in arrays:
            problems.append(f"missing: {_file_name(own)}")
            continue
        found[own] = _turned(model, own, arrays[_file_name(own)])
        if found[own].shape != shape:
            problems.append(f"{own}: expected {shape}, found {found[own].shape}")
    if problems:
        more = f", and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"{path} is an adapter of another base than this {type(model).__name__}: "
            f"{'; '.join(problems[:5])}{more}"
        )
    add_lora(model, config, name)
    for own, target in lora_state_dict(model, name).items():
        target[...] = as_like(found[own], target)
    return model


def read_lora_config(path: "str | Path") -> LoraConfig:
    """The LoraConfig in a file of PEFT.

    Raises   FileNotFoundError; ValueError for an adapter of a kind that is not known here
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold an object with the settings of an adapter")
    for entry, plain in PLAIN.items():
        found = values.get(entry, plain[0])
        if found not in plain:
            raise ValueError(
                f"{path} describes an adapter with {entry} = {found!r}, which is not known here, only "
                f"{' or '.join(map(repr, plain))}"
            )
    targets = values.get("target_modules")
    if not isinstance(targets, list):
        raise ValueError(
            f"{path}: target_modules must be a list of names of modules, got {targets!r}"
        )
    try:
        return LoraConfig(
            r=values.get("r", 8),
            alpha=values.get("lora_alpha", 8),
            dropout=values.get("lora_dropout", 0.0),
            target_modules=tuple(targets),
            modules_to_save=tuple(values.get("modules_to_save") or ()),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _without_strangers(config: LoraConfig, model: Any, arrays: Any) -> LoraConfig:
    """The config without modules_to_save that neither the model nor the file has.

    For a task PEFT writes down whatever the heads of its models may be called: ["classifier", "score"].
    """
    names = [*dict(model.named_parameters()), *(name.removeprefix(PREFIX) for name in arrays)]
    known = tuple(p for p in config.modules_to_save if any(is_head(name, p) for name in names))
    return replace(config, modules_to_save=known)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file.  NumPy knows no bfloat16: those come as float32."""
    stored = open_arrays(path)
    for name, array in stored.items():
        if array.dtype not in FLOATS:
            raise ValueError(
                f"{path}: {name} must be one of {', '.join(FLOATS)}, got {array.dtype}"
            )
    if any(array.dtype == "BF16" for array in stored.values()):
        return {name: array.rows(0, array.shape[0]) for name, array in stored.items()}
    return read_arrays(path)


def _file_name(own: str) -> str:
    """What PEFT's files call an array."""
    return PREFIX + own + (".weight" if own.endswith((".lora_A", ".lora_B")) else "")


def _turned(model: Any, own: str, array: Any) -> Any:
    """An array as it lies in the file; and back again, which is the same step."""
    return array.T if own.endswith((".lora_A", ".lora_B")) or _is_turned(model, own) else array


def _is_turned(model: Any, name: str) -> bool:
    """Does the file of the base keep this parameter the other way round, as (out, in)?"""
    array = dict(model.named_parameters())[name]
    return hasattr(model, "is_transposed") and model.is_transposed(name, array)


def _adapted(model: Any, name: str | None) -> list[str]:
    ends = [n for n in lora_state_dict(model, name) if n.endswith(".lora_A")]
    return [n.removesuffix(".lora_A") for n in ends]
