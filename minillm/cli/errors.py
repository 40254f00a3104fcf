"""What the command line says when something is wrong: one sentence, in the words that were typed."""

import argparse
import errno
import re

# what a wrong argument, a wrong file, or too little room raises: one line for the user; anything else
# is a bug and shows where
USER_ERRORS = (
    ValueError, TypeError, LookupError, OSError, RuntimeError, FloatingPointError, MemoryError,
)  # fmt: skip
# options that decide how much memory a command needs
SIZES = (
    "batch_size", "block_size", "length", "max_length", "width", "layers", "num_beams",
    "num_return_sequences", "tokens", "vocab_size", "train", "test",
)  # fmt: skip
ADVICE = {
    errno.EACCES: "choose another place, or change the rights to this one",
    errno.EPERM: "choose another place, or change the rights to this one",
    errno.EROFS: "choose a place that can be written to",
    errno.EISDIR: "give the name of a file",
    errno.ENOTDIR: "a folder is needed there, and it is a file",
    errno.EEXIST: "a folder is needed there, and it is a file",
    errno.ENOSPC: "make room, or choose another disk",
    errno.EDQUOT: "make room, or choose another disk",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def sentence(error: BaseException, parser: argparse.ArgumentParser) -> str:
    """The error in one sentence, with the names of the command's options.

    >>> sentence(ValueError("fit: workers must be at least 1, got 0"), _example())
    '--workers must be at least 1, got 0'
    >>> sentence(MemoryError(), _example())
    'there is not enough memory: lower --batch-size'
    >>> sentence(PermissionError(13, "Permission denied", "x"), _example())
    'x: Permission denied: choose another place, or change the rights to this one'
    """
    if isinstance(error, MemoryError):
        return _not_enough_memory(error, parser)
    if isinstance(error, OSError) and error.strerror is not None:
        if error.filename is None:  # it is ours, and says everything
            return error.strerror
        advice = ADVICE.get(error.errno or 0, "")
        return ": ".join(filter(None, (str(error.filename), error.strerror, advice)))
    return as_typed(str(error), parser)


def as_typed(message: str, parser: argparse.ArgumentParser) -> str:
    """A message about arguments of the library, about the options that they came from.

    >>> as_typed("generate: batch_size=3 or workers; mind the workers", _example())
    '--batch-size 3 or workers; mind the workers'
    """
    flags = options_of(parser)
    function = re.match(r"[A-Za-z_.]+: (?=([a-z_]+)\b)", message)  # "fit: workers must ..."
    if function and function[1] in flags:
        message = message[function.end() :]

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        is_name = "_" in name or match["is"] or match.start() == 0  # and no word of the sentence
        if name not in flags or not is_name:
            return match[0]
        return flags[name] + (" " if match["is"] else "")

    return re.sub(r"(?<![-\w./'\"])(?P<name>[a-z_]+)\b(?P<is>=(?=\S))?(?![./])", replace, message)


def options_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """How each option is typed, by the name that the program has for it.

    >>> options_of(_example())["batch_size"]
    '--batch-size'
    """
    return {a.dest: a.option_strings[-1] for a in parser._actions if a.option_strings}


def _not_enough_memory(error: MemoryError, parser: argparse.ArgumentParser) -> str:
    flags = options_of(parser)
    sizes = [flags[name] for name in SIZES if name in flags]
    wanted = f" ({str(error)[:1].lower()}{str(error)[1:]})" if str(error) else ""
    advice = "lower " + ", ".join(sizes) if sizes else "give it less, or end other programs"
    return f"there is not enough memory{wanted}: {advice}"


def _example() -> argparse.ArgumentParser:
    """A parser for the examples above."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--batch-size")
    parser.add_argument("--workers")
    return parser
