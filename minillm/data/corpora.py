"""Text to learn from, without a download.

Every CPython carries half a megabyte of careful English prose: the topics of its `help()` function.
They differ a little from version to version, so no number that depends on them is printed in the
book.
"""

from pathlib import Path


def python_topics() -> str:
    """The help texts of the running Python, joined in the order of their names.

    Raises   RuntimeError if this Python comes without them

    >>> "function" in python_topics()
    True
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise RuntimeError(
            "this Python comes without pydoc_data, the text of help(): choose a text with --text FILE"
        ) from None
    return "\n".join(topics[name].strip() + "\n" for name in sorted(topics))


def read_text(path: "str | Path", *, at_least: int = 1) -> str:
    """The contents of a text file in UTF-8; Windows line ends become newlines, a leading BOM goes.

    Raises   FileNotFoundError; ValueError in one line for a bad byte (with its position), an empty
             file, or one with fewer than `at_least` characters

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "poem.txt"
    ...     _ = file.write_text("床前明月光", encoding="utf-8")
    ...     read_text(file)
    '床前明月光'
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give a text file in UTF-8")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path} is not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start} "
            f"(line {line}); convert the file to UTF-8 first"
        ) from None
    text = text.replace("\r\n", "\n")
    if not text.strip():
        raise ValueError(f"{path} is empty: there is nothing to learn from")
    if len(text) < at_least:
        raise ValueError(f"{path} has {len(text)} characters, at least {at_least} are needed")
    return text


def split_text(text: str, validation: float = 0.1) -> tuple[str, str]:
    """The first part for training, the last part for validation.

    >>> split_text("abcdefghij")
    ('abcdefghi', 'j')
    """
    if not 0 < validation < 1:
        raise ValueError(f"split_text: validation must be within 0 … 1, got {validation}")
    cut = int(len(text) * (1 - validation) + 1e-9)  # 10 * (1 - 0.8) is 1.9999999999999996
    return text[:cut], text[cut:]
