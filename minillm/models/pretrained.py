"""Saving and loading models as folders in the layout of Hugging Face.

folder/config.json          the fields of the config dataclass
folder/model.safetensors    every parameter by name
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

from ..backend import to_numpy
from ..files import read_arrays, read_json, write_arrays, write_json


class PretrainedMixin:
    """Gives a model with a `config` the methods save_pretrained and from_pretrained."""

    config: Any
    config_class: Any
    state_dict: Any
    load_state_dict: Any

    def save_pretrained(self, folder: "str | Path") -> None:
        """Write config.json and model.safetensors into a folder, which is made if needed.

        Raises   OSError if the disk is full or not writable; files that were there are untouched
        """
        folder = Path(folder)
        arrays = {name: to_numpy(a) for name, a in self.state_dict().items()}
        write_arrays(folder / "model.safetensors", arrays)
        write_json(folder / "config.json", self.config.to_dict())

    @classmethod
    def from_pretrained(cls, folder: "str | Path") -> Any:
        """Build the model of a folder that save_pretrained wrote, in float32 whatever the file holds.

        Raises   FileNotFoundError without config.json or model.safetensors; ValueError for an
                 unknown architecture, a cut-off file, or weights that do not fit, by name
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}: give one with a config.json")
        values = read_json(folder / "config.json")
        if not isinstance(values, dict):
            raise ValueError(f"{folder / 'config.json'} must hold an object with the model's sizes")
        known = {f.name for f in fields(cls.config_class)}
        kind = values.get("model_type")
        if kind != cls.config_class.model_type:
            raise ValueError(
                f"{folder / 'config.json'} describes a model of type {kind!r}, "
                f"{cls.__name__} reads {cls.config_class.model_type!r}"
            )
        try:
            config = cls.config_class(**{k: v for k, v in values.items() if k in known})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{folder / 'config.json'}: {error}") from None
        arrays = read_arrays(folder / "model.safetensors")
        build: Any = cls  # the model that mixes this in is built from its config
        model = build(config)
        try:
            model.load_state_dict(arrays)
        except ValueError as error:
            raise ValueError(f"{folder / 'model.safetensors'}: {error}") from None
        return model
