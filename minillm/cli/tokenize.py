"""python -m minillm tokenize: see how a text becomes tokens, and train tokenizers."""

import argparse
import sys
import warnings
from typing import Any

from ..data import python_topics, read_text
from ..terminal import pad, shorten
from ..tokenizers import BertTokenizer, CharTokenizer, GPT2Tokenizer, load_tokenizer
from ..tokenizers.explanation import visible
from . import options

SUMMARY = "Show the tokens of a text: ids, tokens, bytes; or train a tokenizer."
EXAMPLE = "python -m minillm tokenize --explain 'a text of yours'"

KINDS: dict[str, Any] = {"gpt2": GPT2Tokenizer, "bert": BertTokenizer}
TOKEN, HEX = 30, 36  # columns; with the others a line has at most 88


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "text", metavar="TEXT", nargs="?", type=options.text, help="the text to cut into tokens"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--tokenizer",
        metavar="FOLDER",
        help="a saved one; without it and --train, one is learned from your Python's help texts",
    )
    source.add_argument("--train", metavar="FILE", help="learn one from a text in UTF-8")
    parser.add_argument("--kind", choices=[*KINDS], default="gpt2", help="what to learn")
    parser.add_argument("--vocab-size", type=int, default=1000, help="how many tokens to learn")
    parser.add_argument("--out", metavar="FOLDER", help="save the tokenizer here")
    parser.add_argument("--explain", action="store_true", help="show every step of every word")


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    if arguments.tokenizer is not None:
        options.without_effect(arguments, ("kind", "vocab_size"), "with --tokenizer")
    if arguments.text is None and arguments.out is not None:
        options.need(arguments, ("explain",), "a TEXT")
    if arguments.text is None and arguments.out is None:
        raise ValueError("give a TEXT to cut into tokens, or --out FOLDER to save a tokenizer")
    tokenizer = _tokenizer(arguments)
    if arguments.out is not None:
        tokenizer.save_pretrained(arguments.out)
        print(f"{tokenizer!r} saved in {arguments.out}")
    elif arguments.tokenizer is None:
        print(f"{tokenizer!r} learned from {arguments.train or 'the help texts of your Python'}\n")
    if arguments.text is None:
        return 0
    if arguments.explain:
        if isinstance(tokenizer, CharTokenizer):
            raise ValueError(
                "--explain: a character tokenizer has no steps, each character is one id"
            )
        print(f"{tokenizer.explain(arguments.text)}\n")
    for line in table(tokenizer, arguments.text):
        print(line)
    return 0


def _tokenizer(arguments: argparse.Namespace) -> Any:
    if arguments.tokenizer is not None:
        return load_tokenizer(arguments.tokenizer)
    text = python_topics() if arguments.train is None else read_text(arguments.train)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        tokenizer = KINDS[arguments.kind].train([text], arguments.vocab_size)
    for note in notes:
        print(f"note: {note.message}", file=sys.stderr)
    return tokenizer


def table(tokenizer: Any, text: str) -> list[str]:
    """The tokens of a text, one in a line, and how many there are."""
    ids = tokenizer.encode(text)
    lines = [f"{'':>5}  {'id':>6}  {pad('token', TOKEN)}  bytes"]
    for place, number in enumerate(ids):
        token, data = _token(tokenizer, number)
        cell = pad(shorten(token, TOKEN), TOKEN)
        lines.append(f"{place:>5}  {number:>6}  {cell}  {_hex(data)}".rstrip())
    size = len(text.encode())
    ratio = f": {size / len(ids):.1f} bytes per token" if ids else ""
    lines.append(f"{len(text)} characters, {size} bytes, {len(ids)} tokens{ratio}")
    return lines


def _token(tokenizer: Any, number: int) -> tuple[str, bytes]:
    """How a token looks, and the bytes it stands for."""
    if isinstance(tokenizer, CharTokenizer):
        character = tokenizer.characters[number]
        return visible(character), character.encode()
    token = tokenizer.convert_ids_to_tokens(number)
    if isinstance(tokenizer, BertTokenizer):
        special = token in tokenizer.all_special_tokens
        return visible(token), b"" if special else token.removeprefix("##").encode()
    data = tokenizer.decode_bytes([number])
    try:
        meaning = visible(data.decode(), quotes=True)
    except UnicodeDecodeError:
        return f"{token}  a part of a character", data
    return (token if token == meaning[1:-1] else f"{token}  {meaning}"), data


def _hex(data: bytes) -> str:
    """Bytes in hexadecimal, at most as many as a line has room for."""
    fitting = HEX // 3
    if len(data) <= fitting:
        return data.hex(" ")
    return f"{data[: fitting - 4].hex(' ')} … {len(data)} in all"
