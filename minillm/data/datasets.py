"""Public data sets on request: read from a file of yours, or downloaded and checked.

minillm contains none of them and needs none.  Each loader takes `path=`, a file that you have; without
it the file is downloaded once, from a fixed commit of a public repository, and kept in a folder of the
user (the environment variable MINILLM_DATA names another one).  A file counts only if its SHA-256 is
the pinned one.  The licence of what was fetched is printed once.
"""

import contextlib
import hashlib
import logging
import os
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .corpora import read_text

GITHUB = "https://raw.githubusercontent.com"
SENTENCES = f"{GITHUB}/k3v1n-KI/semtement_analyzer/1929db1dad0a9230ce23520d09f6dec675504415"
UCI_SENTENCES = "Sentiment Labelled Sentences (Kotzias et al., KDD 2015), UCI: CC BY 4.0"


@dataclass(frozen=True)
class Source:
    """Where a file comes from, and how to know that it is the right one.

    header_lines   lines at the top that the publisher added; they are cut off before the check

    >>> Source("a.txt", "https://example.org/a.txt", "0" * 64, "public domain").header_lines
    0
    """

    file: str
    url: str
    sha256: str
    licence: str
    header_lines: int = 0


SOURCES = {
    "tiny_shakespeare": Source(
        "tinyshakespeare.txt",
        f"{GITHUB}/karpathy/char-rnn/d1d7aa34fdb3626174bce1d753e6cc6845ce7087"
        "/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        "Shakespeare, collected by A. Karpathy: the text is in the public domain",
    ),
    "names": Source(
        "names.txt",
        f"{GITHUB}/karpathy/makemore/988aa59e4d8fefa526d06f3b453ad116258398d4/names.txt",
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        "first names of ssa.gov (US government), collected by A. Karpathy: MIT",
    ),
    "amazon": Source(
        "amazon_cells_labelled.txt",
        f"{SENTENCES}/amazon_cells_labelled.txt",
        "47003fc0a0d4840b00e96e715b6189bad09e7443a3da41c4cbe12ffc79f86ae3",
        UCI_SENTENCES,
        header_lines=1,
    ),
    "imdb": Source(
        "imdb_labelled.txt",
        f"{SENTENCES}/imdb_labelled.txt",
        "aef2e49e3da25714d61175e3a6e68eeef74a20a2f914318dc3be9947ea86512d",
        UCI_SENTENCES,
        header_lines=1,
    ),
    "yelp": Source(
        "yelp_labelled.txt",
        f"{SENTENCES}/yelp_labelled.txt",
        "c76468b7b5c6e56a0804d728345c5f84aa2142ddb214420f61cc9cfd4c00d2ea",
        UCI_SENTENCES,
        header_lines=1,
    ),
    "sms_spam": Source(
        "SMSSpamCollection",
        f"{GITHUB}/hamzaaacodes/sms-spam-collection/f3e73e1e74e6330b62d1ee1983bba2a063184c26"
        "/SMSSpamCollection",
        "7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
        "SMS Spam Collection v.1 (Almeida, Hidalgo), UCI: CC BY 4.0",
        header_lines=1,
    ),
    "tatoeba": Source(
        "cmn.txt",
        f"{GITHUB}/vivounicorn/attention-seq2seq/4baca98af513f1b01f65898eb62bcd411fc19be3"
        "/cmn-eng/cmn.txt",
        "af1099fbf65a5c7041ff4e960306b13138793887335b53b4d9f698faefa6593a",
        "tatoeba.org by way of manythings.org/anki: CC BY 2.0 France, each pair with its authors",
    ),
}
PARTS = ("amazon", "imdb", "yelp")
_licences_shown: set[str] = set()


class DownloadError(OSError):
    """A data set could not be downloaded, or what came is not the known file."""


# ------------------------------------------------------------------------------ downloading


def data_folder() -> Path:
    """Where downloads are kept: MINILLM_DATA if it is set, else the user's cache folder.

    >>> str(data_folder()) == os.environ.get("MINILLM_DATA") or data_folder().is_absolute()
    True
    """
    if os.environ.get("MINILLM_DATA"):
        return Path(os.environ["MINILLM_DATA"]).expanduser()
    import pooch

    return Path(pooch.os_cache("minillm"))


def fetch(
    source: "str | Source", folder: "str | Path | None" = None, *, progress: bool = True
) -> Path:
    """The file of a data set; downloaded if it is not in the folder yet.

    source   a key of SOURCES, or a Source of your own
    folder   where it is kept; data_folder() by default

    Raises   DownloadError in one sentence if there is no connection, if the server has no such file, or
             if what came has another SHA-256; ValueError for an unknown name

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:  # a file that is there is only checked
    ...     _ = (Path(folder) / "abc.txt").write_text("abc")
    ...     sha256 = hashlib.sha256(b"abc").hexdigest()
    ...     source = Source("abc.txt", "https://example.org/abc.txt", sha256, "public domain")
    ...     fetch(source, folder).name
    abc.txt: public domain
    'abc.txt'
    """
    if isinstance(source, str):
        if source not in SOURCES:
            raise ValueError(f"{source!r} is no known data set: {', '.join(SOURCES)}")
        source = SOURCES[source]
    folder = data_folder() if folder is None else Path(folder)
    path = folder / source.file
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        _download(source, folder, progress)
    if source.licence not in _licences_shown:
        _licences_shown.add(source.licence)
        print(f"{source.file}: {source.licence}", flush=True)
    return path


def _download(source: Source, folder: Path, progress: bool) -> None:
    import pooch
    from requests import RequestException

    web = pooch.HTTPDownloader(progressbar=progress and sys.stderr.isatty(), timeout=30)

    def without_header(url: str, output: Any, mover: Any) -> None:
        web(url, output, mover)
        if source.header_lines:
            lines = Path(output).read_bytes().split(b"\n")
            Path(output).write_bytes(b"\n".join(lines[source.header_lines :]))

    instead = f"get it in another way and pass path={source.file}"
    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(
                source.url, f"sha256:{source.sha256}", fname=source.file, path=folder,
                downloader=without_header,
            )  # fmt: skip
    except RequestException as error:
        reply = getattr(error, "response", None)
        reason = "no connection" if reply is None else f"the server answers {reply.status_code}"
        raise DownloadError(
            f"{source.file} cannot be downloaded from {source.url} ({reason}): {instead}"
        ) from None
    except ValueError:
        raise DownloadError(
            f"what was downloaded from {source.url} is not the known {source.file} (its SHA-256 "
            f"is not {source.sha256[:16]}…) and was not kept: {instead}"
        ) from None
    except OSError as error:
        raise DownloadError(
            f"{source.file} cannot be written to {folder} ({error.strerror or error}): choose "
            "another folder with the environment variable MINILLM_DATA"
        ) from None


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Within this block the logger keeps to warnings."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


# ------------------------------------------------------------------------------------ loaders


class LabelledTexts(NamedTuple):
    """Texts with a class for each: 1 is positive, or spam.

    >>> data = LabelledTexts(["good", "bad"], np.array([1, 0]))
    >>> data.texts[0], int(data.labels[0])
    ('good', 1)
    """

    texts: list[str]
    labels: np.ndarray


class Translation(NamedTuple):
    """A sentence in two languages, and who wrote it; the licence asks to keep the attribution.

    >>> Translation("Hi.", "你好。", "CC-BY 2.0 (France) Attribution: tatoeba.org #1 & #2").chinese
    '你好。'
    """

    english: str
    chinese: str
    attribution: str


def load_tiny_shakespeare(path: "str | Path | None" = None) -> str:
    r"""40,000 lines of Shakespeare's plays, 1.1 MB.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "play.txt").write_text("All:\nSpeak, speak.\n")
    ...     load_tiny_shakespeare(Path(folder) / "play.txt")
    'All:\nSpeak, speak.\n'
    """
    return read_text(fetch("tiny_shakespeare") if path is None else path)


def load_names(path: "str | Path | None" = None) -> list[str]:
    r"""32,033 first names in small letters, one a line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "names.txt").write_text("emma\nolivia\n")
    ...     load_names(Path(folder) / "names.txt")
    ['emma', 'olivia']
    """
    return [name for _, name in _lines(fetch("names") if path is None else path)]


def load_labelled_sentences(
    part: str | None = None, path: "str | Path | None" = None
) -> LabelledTexts:
    r"""Sentences of reviews with 1 for a positive and 0 for a negative one, 1000 in each part.

    part   "amazon", "imdb" or "yelp"; None for all three, one after the other
    path   a file; or the folder that holds the files of those names

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "reviews.txt").write_text("Great.\t1\nA waste of time.\t0\n")
    ...     load_labelled_sentences(path=Path(folder) / "reviews.txt")
    LabelledTexts(texts=['Great.', 'A waste of time.'], labels=array([1, 0]))
    """
    if part is not None and part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, or None for all; got {part!r}")
    names = PARTS if part is None else (part,)
    if path is None:
        files = [fetch(name) for name in names]
    elif Path(path).is_dir():
        files = [Path(path) / SOURCES[name].file for name in names]
    else:
        files = [Path(path)]
    texts, labels = [], []
    for file in files:
        for number, line in _lines(file):
            text, tab, label = line.rpartition("\t")
            if not tab or label not in ("0", "1") or not text.strip():
                raise _bad_line(file, number, line, "sentence TAB 0 or 1")
            texts.append(text.strip())
            labels.append(int(label))
    return LabelledTexts(texts, np.array(labels, dtype=np.int64))


def load_sms_spam(path: "str | Path | None" = None) -> LabelledTexts:
    r"""5574 short messages; label 1 is spam, 747 of them: measure F1 rather than accuracy.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "sms.txt").write_text("ham\tSee you\nspam\tYou have won\n")
    ...     load_sms_spam(Path(folder) / "sms.txt")
    LabelledTexts(texts=['See you', 'You have won'], labels=array([0, 1]))
    """
    file = fetch("sms_spam") if path is None else Path(path)
    texts, labels = [], []
    for number, line in _lines(file):
        label, tab, text = line.partition("\t")
        if not tab or label not in ("ham", "spam") or not text.strip():
            raise _bad_line(file, number, line, "ham or spam, TAB, message")
        texts.append(text)
        labels.append(int(label == "spam"))
    return LabelledTexts(texts, np.array(labels, dtype=np.int64))


def load_tatoeba(
    path: "str | Path | None" = None, *, max_words: int | None = None
) -> list[Translation]:
    r"""26,388 English sentences with a Chinese translation, short ones first.

    max_words   leave out pairs whose English sentence has more words

    An English sentence may come several times: split with key=lambda pair: pair.english.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "cmn.txt"
    ...     _ = file.write_text("Hi.\t你好。\tCC-BY 2.0\n", encoding="utf-8")
    ...     load_tatoeba(file)
    [Translation(english='Hi.', chinese='你好。', attribution='CC-BY 2.0')]
    """
    file = fetch("tatoeba") if path is None else Path(path)
    pairs = []
    for number, line in _lines(file):
        columns = line.split("\t")
        if len(columns) != 3 or not all(column.strip() for column in columns):
            raise _bad_line(file, number, line, "English TAB Chinese TAB attribution")
        if max_words is None or len(columns[0].split()) <= max_words:
            pairs.append(Translation(*columns))
    return pairs


def _lines(path: "str | Path") -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers.

    Only a newline ends a line: str.splitlines() would cut sentences at U+0085, which imdb contains.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line


def _bad_line(path: "str | Path", number: int, line: str, expected: str) -> ValueError:
    return ValueError(f"{path}, line {number}: expected {expected}, found {line!r:.60}")


# ---------------------------------------------------------------------------------- splitting

T = TypeVar("T")


def split_examples(
    examples: Sequence[T],
    test: float = 0.2,
    *,
    seed: int = 0,
    key: Callable[[T], Hashable] | None = None,
    label: Callable[[T], Hashable] | None = None,
) -> tuple[list[T], list[T]]:
    """Examples for training and for testing, both shuffled by the seed.

    test    the share that is for testing, as near as the groups allow
    key     examples with the same key stay together, so that no test sentence was trained on
    label   the class of an example: every class must be in both parts

    Raises   ValueError if a part would be empty, or lack a class

    >>> pairs = [("Hi.", "嗨。"), ("Hi.", "你好。"), ("Run.", "跑！"), ("Wait!", "等等！")]
    >>> train, test = split_examples(pairs, test=0.5, seed=1, key=lambda pair: pair[0])
    >>> {english for english, _ in train} & {english for english, _ in test}
    set()
    """
    if not 0 < test < 1:
        raise ValueError(f"split_examples: test must be within 0 … 1, got {test}")
    rng = np.random.default_rng(seed)
    groups: dict[Hashable, list[T]] = {}
    for number, example in enumerate(examples):
        groups.setdefault(number if key is None else key(example), []).append(example)
    members = list(groups.values())
    wanted = round(len(examples) * test)
    parts: tuple[list[T], list[T]] = ([], [])
    for number in rng.permutation(len(members)).tolist():
        group = members[number]
        # a group goes to the test part if that brings it nearer to its size
        nearer = 2 * (wanted - len(parts[1])) >= len(group) and len(parts[1]) < wanted
        parts[nearer].extend(group)
    if not all(parts):
        raise ValueError(
            f"split_examples: {len(examples)} examples in {len(members)} groups cannot be split with "
            f"test={test}: one part would be empty"
        )
    if label is not None:
        classes = [{str(label(example)) for example in part} for part in parts]
        for name, lacking in (
            ("training", classes[1] - classes[0]),
            ("test", classes[0] - classes[1]),
        ):
            if lacking:
                raise ValueError(
                    f"split_examples: no example of {', '.join(sorted(lacking))} is in the {name} "
                    "part: choose another seed or share, or get more examples"
                )
    for part in parts:
        part[:] = [part[i] for i in rng.permutation(len(part))]
    return parts
