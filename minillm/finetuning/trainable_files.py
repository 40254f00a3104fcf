"""What has been learned as a file: the trainable parameters of a model, and nothing that is frozen.

For BitFit, prompt tuning and bottleneck adapters, which have no file format of their own that others
read (LoRA has one: peft_files.py).  The file is a safetensors file with our names and our shapes.  To
load it, build the base, change it as before, and read the file into it:

    model = add_adapters(BertForSequenceClassification.from_pretrained(folder), 8, "classifier")
    load_trainable(model, "adapters.safetensors")
"""

from pathlib import Path
from typing import Any

from ..backend import to_numpy
from ..files import read_arrays, write_arrays
from .lora import as_like


def save_trainable(model: Any, path: "str | Path") -> None:
    """Write the parameters that learn, by name; the frozen ones are those of the base.

    Raises   ValueError if all are frozen; OSError if the disk is full

    >>> import tempfile
    >>> from minillm.finetuning import bitfit
    >>> from minillm.nn import Linear, Sequential
    >>> model = Sequential(Linear(2, 3), Linear(3, 1))
    >>> names = bitfit(model)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_trainable(model, Path(folder) / "biases.safetensors")
    ...     sorted(read_arrays(Path(folder) / "biases.safetensors"))
    ['0.bias', '1.bias']
    """
    arrays = {name: to_numpy(p.data) for name, p in _learning("save_trainable", model).items()}
    write_arrays(path, arrays)


def load_trainable(model: Any, path: "str | Path") -> Any:
    """Read what save_trainable wrote into a model that was changed in the same way.

    Returns   the model itself
    Raises    FileNotFoundError; ValueError, before the model is changed, that lists what is missing,
              unexpected or of another shape, or if the file is cut off

    >>> import tempfile
    >>> from minillm.finetuning import bitfit
    >>> from minillm.nn import Linear, Sequential
    >>> first, second = (Sequential(Linear(2, 3)) for _ in range(2))
    >>> names = bitfit(first), bitfit(second)
    >>> first[0].bias.data[...] = 7
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_trainable(first, Path(folder) / "biases.safetensors")
    ...     load_trainable(second, Path(folder) / "biases.safetensors")[0].bias.numpy()
    array([7., 7., 7.], dtype=float32)
    """
    own = _learning("load_trainable", model)
    arrays = read_arrays(path)
    problems = [f"unexpected: {name}" for name in arrays if name not in own]
    for name, p in own.items():
        if name not in arrays:
            problems.append(f"missing: {name}")
        elif arrays[name].shape != p.shape:
            problems.append(f"{name}: expected {p.shape}, found {arrays[name].shape}")
    if problems:
        more = f", and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"{path} does not fit what learns in this {type(model).__name__}: "
            f"{'; '.join(problems[:5])}{more}: freeze, unfreeze and extend it as when it was saved"
        )
    for name, p in own.items():
        p.data[...] = as_like(arrays[name], p.data)
    return model


def _learning(who: str, model: Any) -> dict[str, Any]:
    """The parameters that learn, by name.

    Raises   ValueError if there is none
    """
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise ValueError(
            f"{who}: no parameter of this {type(model).__name__} learns: unfreeze what the file is "
            "to hold"
        )
    return found
