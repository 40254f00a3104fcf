"""Saving and loading models as folders in the layout of Hugging Face.

folder/config.json          the fields of the config dataclass
folder/generation_config.json   if there is one: the ids that end a text and that fill it up
folder/model.safetensors    every parameter by name; or several files and, in
folder/model.safetensors.index.json, which parameter is in which

Names are those of our modules.  Only some matrices lie the other way round: a linear layer of PyTorch
keeps its weight as (out, in), ours is (in, out), so each model lists the ends of the names that are
stored transposed.  A file is read in blocks of rows straight into the parameters, so that loading
needs hardly more memory than the model itself.
"""

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..allocator import return_freed_memory
from ..backend import default_generator, to_numpy
from ..files import (
    FLOATS,
    folder_or_download,
    open_arrays,
    read_json,
    write_arrays,
    write_json,
)
from ..generation.request import token_ids
from .gguf import GGUFFile

# what the files of some models put before all names, and those of others leave out
PREFIXES = ("bert.", "transformer.", "model.")
# masks, positions and angles that older files hold though nobody learns them, and second copies of
# an output matrix that is the embedding
NOT_PARAMETERS = re.compile(
    r"(^|\.)(position_ids|attn\.(masked_)?bias|rotary_emb\.inv_freq"
    r"|predictions\.decoder\.(weight|bias)|lm_head\.weight)$"
)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
WANTED = ["*.json", "*.safetensors", "*.txt", "tokenizer.model"]
BLOCK = 1 << 18  # entries that are read at a time


class PretrainedMixin:
    """Gives a model with a `config` the methods save_pretrained and from_pretrained."""

    config: Any
    config_class: Any
    # what generation_config.json says; of it generate takes eos_token_id and pad_token_id
    generation_config: dict[str, Any] | None = None
    state_dict: Any
    named_parameters: Any
    named_modules: Any
    initialize: Any
    # ends of the names of matrices that the files keep as (out, in)
    stored_transposed: tuple[str, ...] = ("lm_head.weight",)
    # beginnings of names that belong to a head: a file may lack them, or have those of another head
    heads: str = r"(?!)"  # none
    # older names of parameters -> newer ones
    renamed: tuple[tuple[str, str], ...] = ()

    def save_pretrained(self, folder: "str | Path") -> None:
        """Write config.json and model.safetensors into a folder, which is made if needed.

        generation_config.json too, if the model has one; another model's is removed.

        Raises   OSError if the disk is full or not writable; files that were there are untouched.
                 ValueError for a model with a LoRA adapter, which from_pretrained could not read
        """
        for name, module in self.named_modules():
            if why := getattr(module, "not_for_files", ""):
                raise ValueError(f"save_pretrained: {name} {why}")
        folder = Path(folder)
        arrays = {
            name: to_numpy(a).T if self.is_transposed(name, a) else to_numpy(a)
            for name, a in self.state_dict().items()
        }
        write_arrays(folder / "model.safetensors", arrays, {"format": "pt"})
        values = {**self.config.to_dict(), "architectures": [type(self).__name__]}
        write_json(folder / "config.json", values)
        if self.generation_config is None:
            (folder / "generation_config.json").unlink(missing_ok=True)
        else:
            write_json(folder / "generation_config.json", self.generation_config)

    @classmethod
    def from_pretrained(
        cls,
        folder: "str | Path | GGUFFile",
        *,
        rng: np.random.Generator | None = None,
        **changes: Any,
    ) -> Any:
        """Build the model of a folder, in float32 whatever the file holds, and in evaluation mode.

        folder    in the layout of Hugging Face; a .gguf file of a Llama; with the extra `hub` also a
                  name there.  A head that it lacks is drawn anew, by rng, and named in a warning
        changes   entries of the config to replace, such as num_labels=3

        Raises    FileNotFoundError without config.json or model.safetensors; ValueError for an
                  unknown architecture, a cut-off file, or weights that do not fit, by name
        """
        if isinstance(folder, GGUFFile) or Path(folder).suffix == ".gguf":
            file = folder if isinstance(folder, GGUFFile) else GGUFFile(folder)
            config = cls._config_of(file.config(), file.path, changes)
            source, arrays, generation = file.path, file.arrays(), None
        else:
            path = folder_or_download(folder, WANTED)
            config = cls._config_of(read_config(path), path / "config.json", changes)
            generation = read_generation_config(path)
            source, arrays = open_weights(path)
        build: Any = cls  # the model that mixes this in is built from its config
        try:
            model = build(config, rng=_WithoutDrawing())
        except MemoryError as error:
            raise ValueError(f"{source}: the model of its config is too large: {error}") from None
        try:
            new = fill(model, arrays)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None
        if new:
            model.initialize(default_generator(rng), new)
            warnings.warn(
                f"{source} lacks weights of {cls.__name__}, which were drawn anew and must be "
                f"trained: {', '.join(new)}",
                stacklevel=2,
            )
        model.generation_config = generation
        return model.eval()

    @classmethod
    def _config_of(cls, values: Any, path: Path, changes: dict[str, Any]) -> Any:
        """The config in a file, with some entries changed."""
        if not isinstance(values, dict):
            raise ValueError(f"{path} must hold an object with the model's sizes")
        known = {f.name for f in fields(cls.config_class)}
        kind = values.get("model_type")
        if kind != cls.config_class.model_type:
            raise ValueError(
                f"{path} describes a model of type {kind!r}, "
                f"{cls.__name__} reads {cls.config_class.model_type!r}"
            )
        for name in changes:
            if name not in known:
                raise TypeError(f"{cls.__name__}.from_pretrained: the config has no entry {name!r}")
        if "num_labels" in changes:  # names of other labels would win over their number
            values = {k: v for k, v in values.items() if k not in ("id2label", "label2id")}
        values = {k: v for k, v in values.items() if k in known}
        try:
            return cls.config_class(**{**values, **changes})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None

    def read_together(self) -> Iterable[tuple[Any, Any]]:
        """(a nn.side_by_side.SideBySide, the Linear layers whose matrices shall lie in one array)."""
        return ()

    @classmethod
    def is_transposed(cls, name: str, array: Any) -> bool:
        """Does the parameter of this name lie in the file as (out, in)?"""
        return len(array.shape) == 2 and name.endswith(cls.stored_transposed)


def read_config(folder: Path) -> Any:
    """What config.json says.

    Raises   FileNotFoundError that says what a folder must hold; ValueError if it is not JSON
    """
    path = folder / "config.json"
    if not path.is_file():
        others = sorted(folder.glob("*.gguf"))
        hint = f"; to read {others[0].name}, give that file itself" if others else ""
        raise FileNotFoundError(
            f"there is no file {path}: a model is a folder with config.json and model.safetensors"
            f"{hint}"
        )
    return read_json(path)


def read_generation_config(folder: Path) -> dict[str, Any] | None:
    """What generation_config.json says, None without it.

    Files of chat models list several ids there that end a text, where config.json has one.

    Raises   ValueError if it is not an object, or its ids are none
    """
    path = folder / "generation_config.json"
    if not path.is_file():
        return None
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f'{path} must hold an object, such as {{"eos_token_id": 2}}')
    try:
        token_ids(values.get("eos_token_id"))
        token_ids(values.get("pad_token_id"), "pad_token_id")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return values


def open_weights(folder: Path) -> tuple[Path, dict[str, Any]]:
    """(the file that says what there is, the stored arrays of a folder by name), nothing read yet.

    Raises   FileNotFoundError if there are none; ValueError if there are pickled ones only, or a file
             is cut off
    """
    index = folder / "model.safetensors.index.json"
    whole = folder / "model.safetensors"
    if whole.is_file() or not index.is_file():
        pickles = [p.name for pattern in PICKLES for p in sorted(folder.glob(pattern))]
        if pickles and not whole.is_file():
            raise ValueError(
                f"{folder} holds its weights as {pickles[0]}, a pickle, which can run any program "
                "when it is opened: minillm reads model.safetensors only; look for that file where "
                "this one came from, or convert it where you trust it, with Transformers: "
                f"AutoModel.from_pretrained({str(folder)!r}).save_pretrained(…)"
            )
        return whole, dict(open_arrays(whole))
    places = read_json(index)
    places = places.get("weight_map") if isinstance(places, dict) else None
    if not isinstance(places, dict) or not all(isinstance(f, str) for f in places.values()):
        raise ValueError(f"{index} must hold an object weight_map: name of a tensor -> its file")
    files = {}
    for file in sorted(set(places.values())):
        if Path(file).name != file or not (folder / file).is_file():
            raise FileNotFoundError(f"there is no file {folder / file}, which {index} names")
        files[file] = open_arrays(folder / file)
    lost = [name for name, file in places.items() if name not in files[file]]
    if lost:
        raise ValueError(f"{folder / places[lost[0]]} lacks {', '.join(lost)}, which {index} names")
    return index, {name: files[file][name] for name, file in places.items()}


def fill(model: Any, stored: Mapping[str, Any]) -> list[str]:
    """Copy stored arrays into the parameters of a model; returns the names of heads they lack.

    stored   name -> something with .shape, .dtype and .rows(first, last)
    Raises   ValueError that lists every tensor that is missing, unexpected or of another shape
    """
    own = dict(model.named_parameters())
    found, problems = {}, []
    for name, array in stored.items():
        target = _own_name(name, own, model.renamed)
        if target is not None:
            found[target] = array
        elif not NOT_PARAMETERS.search(name) and not re.match(model.heads, name):
            problems.append(f"unexpected: {name} {tuple(array.shape)}")
    missing = [name for name in own if name not in found]
    new = [name for name in missing if re.match(model.heads, name)]
    for name in missing:
        if name not in new:
            problems.append(f"missing: {name} {_stored_shape(model, name, own[name])}")
    for name, array in found.items():
        expected = _stored_shape(model, name, own[name])
        if tuple(array.shape) != expected:
            problems.append(f"{name}: expected {expected}, found {tuple(array.shape)}")
        elif array.dtype not in FLOATS:
            problems.append(f"{name}: expected one of {', '.join(FLOATS)}, found {array.dtype}")
    if problems:
        lines = "\n  ".join(problems)
        raise ValueError(f"the weights do not fit {type(model).__name__}:\n  {lines}")
    for joint, layers in model.read_together():
        joint.join(*layers)
        return_freed_memory()  # the matrices that lay apart
    for name, array in found.items():
        p = own[name]
        if model.is_transposed(name, p) and not p.data.T.flags.c_contiguous:
            # The file's order stays in memory.  It costs no turning round, and the product of one
            # row with such a matrix, which is what decoding consists of, reads it in long runs.
            p.data = p.data.reshape(p.shape[::-1]).T
        target = p.data.T if model.is_transposed(name, p) else p.data
        step = max(1, BLOCK // max(1, p.size // len(target)))
        for first in range(0, len(target), step):
            block = array.rows(first, first + step)
            if not np.isfinite(block).all():
                raise ValueError(f"{name} holds NaN or Inf: the file is damaged, or was saved so")
            target[first : first + step] = block
    return new


def _own_name(name: str, own: Iterable[str], renamed: Iterable[tuple[str, str]]) -> str | None:
    """What a model calls the tensor of a file: the same, or with or without a prefix."""
    for old, new in renamed:
        name = name.replace(old, new)
    bare = next((name.removeprefix(p) for p in PREFIXES if name.startswith(p)), name)
    candidates = (name, bare, *(prefix + name for prefix in PREFIXES))
    return next((candidate for candidate in candidates if candidate in own), None)


def _stored_shape(model: Any, name: str, p: Any) -> tuple[int, ...]:
    """The shape of a parameter as it lies in the file."""
    return tuple(p.shape[::-1] if model.is_transposed(name, p) else p.shape)


class _WithoutDrawing(np.random.Generator):
    """A generator that gives zeros, for weights that are about to be read from a file."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return np.zeros(size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return np.zeros(size)

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        return np.zeros(size)
