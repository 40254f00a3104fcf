"""Which command reads which model: a --model that another one reads is refused with that one's name."""

from pathlib import Path

from ..files import read_json

READERS = {  # type in config.json -> what reads such a model
    "gpt2": "python -m minillm generate",
    "llama": "python -m minillm chat",
    "bert": "python -m minillm embed or finetune",
}
ADVICE = {  # command -> what it takes
    "generate": "the folder of a model that demo or train has saved, or of a textgenrnn",
    "chat": "a .gguf file, or the folder of a Llama",
    "embed": "the folder of a BERT",
    "finetune": "the folder of a BERT",
}


def check(command: str, path: Path, kind: str) -> None:
    """Refuse a file, or a folder whose config.json names another type, before anything is read.

    A path that is not there is left to what reads it: it may be a name on a hub.

    Raises   ValueError that names --model, what it is, what the command takes, and who reads it

    >>> try:
    ...     check("chat", Path(__file__), "llama")
    ... except ValueError as error:
    ...     print(str(error).partition(" is a ")[2])
    file: chat takes a .gguf file, or the folder of a Llama
    """
    takes = f"{command} takes {ADVICE[command]}"
    if path.is_file():
        if path.suffix != ".gguf":
            raise ValueError(f"--model {path} is a file: {takes}")
        if command != "chat":
            raise ValueError(
                f"--model {path} is a .gguf file: {takes}; python -m minillm chat reads this one"
            )
    if not (path / "config.json").is_file():
        return
    values = read_json(path / "config.json")
    found = str(values.get("model_type")) if isinstance(values, dict) else ""
    if found != kind:
        # a GPT-2 that somebody else has trained has another tokenizer
        known = found in READERS and (found != "gpt2" or (path / "char_tokenizer.json").is_file())
        reader = f"; {READERS[found]} reads this one" if known else ""
        raise ValueError(f"--model {path} holds a model of type {found!r}: {takes}{reader}")
    if command == "generate" and not (path / "char_tokenizer.json").is_file():
        raise ValueError(
            f"--model {path} has no char_tokenizer.json: {takes}; in Python "
            "GPT2LMHeadModel.from_pretrained and GPT2Tokenizer.from_pretrained read a GPT-2"
        )
