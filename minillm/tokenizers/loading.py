"""Reading a tokenizer whose kind only its folder knows."""

from pathlib import Path

from ..files import read_json
from .bert import BertTokenizer
from .character import FILE_NAME, CharTokenizer
from .gpt2 import GPT2Tokenizer

Tokenizer = CharTokenizer | GPT2Tokenizer | BertTokenizer


def load_tokenizer(folder: "str | Path") -> Tokenizer:
    """The tokenizer of a folder, of whichever kind its files are.

    Raises   FileNotFoundError or ValueError that names the folder or the file

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     GPT2Tokenizer.train(["to be or not to be"], 258).save_pretrained(folder)
    ...     load_tokenizer(folder)
    GPT2Tokenizer(258 tokens, 1 merges)
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}: give the one that holds the tokenizer's files"
        )
    if (folder / FILE_NAME).is_file():
        return CharTokenizer.from_pretrained(folder)
    if (folder / "vocab.txt").is_file():
        return BertTokenizer.from_pretrained(folder)
    if (folder / "vocab.json").is_file() or (folder / "merges.txt").is_file():
        return GPT2Tokenizer.from_pretrained(folder)
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} has no tokenizer: expected tokenizer.json, vocab.json with merges.txt, "
            f"vocab.txt or {FILE_NAME}; is this the right folder?"
        )
    values = read_json(path)
    model = values.get("model") if isinstance(values, dict) else None
    wordpiece = isinstance(model, dict) and model.get("type") == "WordPiece"
    return (BertTokenizer if wordpiece else GPT2Tokenizer).from_pretrained(folder)
