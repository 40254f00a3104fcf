r"""The files of a tokenizer, in the layout of Hugging Face.

vocab.json                GPT-2: {token: id}
merges.txt                GPT-2: a line "left right" for each merge, first learned first
vocab.txt                 BERT: a token in each line; the id is the number of the line, from 0
tokenizer.json            either of them with everything else in one file (read, not written)
tokenizer_config.json     settings: lower case, roles of special tokens, largest length, ...
special_tokens_map.json   roles of special tokens, once more
added_tokens.json         {token: id} of tokens added later (read, not written)

Lines end at \n only: a token may contain what str.splitlines() also takes for the end of a line.
Padding and truncation that are baked into a tokenizer.json are ignored: they are said in the call.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..files import atomic_write, read_json, write_json
from .base import ROLES, AddedToken

CONFIG = "tokenizer_config.json"
MAP = "special_tokens_map.json"
ONE_FILE = "tokenizer.json"
BERT_OPTIONS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
NO_LIMIT = 10**9  # Transformers writes 10**30 where it knows no largest length


@dataclass
class StoredBpe:
    """What the files say about a byte-level BPE."""

    path: Path
    vocab: dict[str, int]
    merges: list[Any]
    added: list[AddedToken] = field(default_factory=list)
    split_digits: bool = False


@dataclass
class StoredWordPiece:
    """What the files say about a WordPiece."""

    path: Path
    vocab: dict[str, int]
    added: list[AddedToken] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Settings:
    """What tokenizer_config.json and the smaller files say."""

    roles: dict[str, str | None] = field(default_factory=dict)
    tokens: list[AddedToken] = field(default_factory=list)
    model_max_length: int | None = None
    padding_side: str | None = None
    truncation_side: str | None = None
    chat_template: str | None = None
    split_digits: bool = False
    bert_options: dict[str, Any] = field(default_factory=dict)

    @property
    def added(self) -> dict[str, int | None]:
        """Name -> id of the added tokens."""
        return {token.content: token.id for token in self.tokens}


# --------------------------------------------------------------------------------- settings


def read_settings(folder: Path) -> Settings:
    """Read the settings of a folder; a file that is not there says nothing.

    Raises   FileNotFoundError if there is no folder; ValueError that names the file
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}: give the one that holds the tokenizer's files"
        )
    config, roles = _optional_object(folder / CONFIG), _optional_object(folder / MAP)
    settings = Settings(
        model_max_length=_length(config, folder / CONFIG),
        padding_side=_side(config, "padding_side", folder / CONFIG),
        truncation_side=_side(config, "truncation_side", folder / CONFIG),
        chat_template=_chat_template(config, folder),
        split_digits=config.get("split_digits") is True,
        bert_options={name: config[name] for name in BERT_OPTIONS if name in config},
    )
    for name in ("add_prefix_space", "add_bos_token", "add_eos_token"):
        if config.get(name):
            raise ValueError(f"{folder / CONFIG}: {name}=true is not supported: set it to false")
    for number, token in _object(config.get("added_tokens_decoder", {}), folder / CONFIG).items():
        if not str(number).isdigit():
            raise ValueError(f"{folder / CONFIG}: added_tokens_decoder has {number!r} as an id")
        settings.tokens.append(replace(_token(token, folder / CONFIG), id=int(number)))
    for name, number in _optional_object(folder / "added_tokens.json").items():
        if name not in settings.added:
            settings.tokens.append(AddedToken(name, number, normalized=True, special=False))
    for path, values in (
        (folder / MAP, roles),
        (folder / CONFIG, config),
    ):  # the second counts more
        _read_roles(settings, values, path)
    return settings


def _read_roles(settings: Settings, values: Mapping[str, Any], path: Path) -> None:
    for role in ROLES:
        value = values.get(f"{role}_token")
        if value is not None:
            settings.roles[role] = _token(value, path).content
        elif f"{role}_token" in values:
            settings.roles.setdefault(role, None)
    for key in ("additional_special_tokens", "extra_special_tokens"):
        more = values.get(key) or []
        for value in more.values() if isinstance(more, dict) else more:
            token = _token(value, path)
            if token.content not in settings.added:
                settings.tokens.append(token)


def _token(value: Any, path: Path) -> AddedToken:
    """A token that is written as a string or as an object with flags."""
    if isinstance(value, str):
        return AddedToken(value)
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        raise ValueError(
            f"{path}: {value!r:.60} is not a token: a string or an object with content"
        )
    flags = ("lstrip", "rstrip", "single_word", "normalized", "special")
    known = {name: bool(value[name]) for name in flags if name in value}
    return AddedToken(value["content"], value.get("id"), **known)


def _length(config: Mapping[str, Any], path: Path) -> int | None:
    length = config.get("model_max_length")
    if length is None or (isinstance(length, (int, float)) and length > NO_LIMIT):
        return None
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise ValueError(f"{path}: model_max_length must be a number of ids, got {length!r}")
    return length


def _side(config: Mapping[str, Any], name: str, path: Path) -> str | None:
    side = config.get(name)
    if side not in (None, "left", "right"):
        raise ValueError(f'{path}: {name} must be "left" or "right", got {side!r}')
    return side


def _chat_template(config: Mapping[str, Any], folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return _read_text(path)
    template = config.get("chat_template")
    if isinstance(template, list):  # several, each with a name
        named = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def joined(added: Iterable[AddedToken], settings: Settings) -> list[AddedToken]:
    """The tokens of a tokenizer.json and of the smaller files, each once."""
    tokens = {token.content: token for token in settings.tokens}
    tokens |= {token.content: token for token in added}
    return sorted(tokens.values(), key=lambda t: (t.id is None, t.id or 0))


def apply_sides(tokenizer: Any, settings: Settings) -> None:
    """Set the sides of padding and truncation that the settings name."""
    tokenizer.padding_side = settings.padding_side or tokenizer.padding_side
    tokenizer.truncation_side = settings.truncation_side or tokenizer.truncation_side


def write_settings(folder: Path, tokenizer: Any, options: Mapping[str, Any]) -> None:
    """Write tokenizer_config.json and special_tokens_map.json."""
    roles = {f"{role}_token": token for role, token in sorted(tokenizer._roles.items())}
    added = {
        str(token.id): {
            "content": token.content,
            "lstrip": token.lstrip,
            "normalized": token.normalized,
            "rstrip": token.rstrip,
            "single_word": token.single_word,
            "special": token.special,
        }
        for token in sorted(tokenizer._added.values(), key=lambda t: t.id)
    }
    values = {
        "tokenizer_class": type(tokenizer).__name__,
        "added_tokens_decoder": added,
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        **roles,
        **options,
    }
    if tokenizer.model_max_length is not None:
        values["model_max_length"] = tokenizer.model_max_length
    if getattr(tokenizer, "chat_template", None) is not None:
        values["chat_template"] = tokenizer.chat_template
    write_json(folder / CONFIG, values)
    write_json(folder / MAP, roles)


# ------------------------------------------------------------------------------------ GPT-2


def write_bpe(folder: Path, vocab: Mapping[str, int], merges: Iterable[tuple[str, str]]) -> None:
    """Write vocab.json and merges.txt.

    Raises   FileExistsError if there is a tokenizer.json, which would be read instead of them
    """
    if (folder / ONE_FILE).exists():
        raise FileExistsError(
            f"{folder / ONE_FILE} is the file of a tokenizer and would be read instead of the new "
            "vocab.json: save into another folder, or remove it first"
        )
    write_json(folder / "vocab.json", dict(sorted(vocab.items(), key=lambda item: item[1])))
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    with atomic_write(folder / "merges.txt") as temporary:
        temporary.write_bytes(("\n".join(lines) + "\n").encode())


def read_bpe(folder: Path) -> StoredBpe:
    """Read tokenizer.json, or vocab.json with merges.txt.

    Raises   FileNotFoundError or ValueError that names the file
    """
    if (folder / ONE_FILE).is_file():
        return _read_bpe_json(folder / ONE_FILE)
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    missing = [path.name for path in (vocab, merges) if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} has no {' and no '.join(missing)}: a GPT-2 tokenizer is stored as vocab.json "
            "with merges.txt, or as tokenizer.json; is this the right folder?"
        )
    return StoredBpe(merges, _vocabulary(read_json(vocab), vocab), _read_merges(merges))


def _read_merges(path: Path) -> list[tuple[str, str]]:
    lines = _read_text(path).split("\n")
    first = 1 if lines[0].startswith("#version") else 0
    merges = []
    for number, line in enumerate(lines[first:], first + 1):
        line = line.removesuffix("\r")
        parts = line.split(" ")
        if len(parts) == 2 and all(parts):
            merges.append((parts[0], parts[1]))
        elif line:
            raise ValueError(
                f"{path}, line {number}: a merge is two tokens with a space between them, got "
                f"{line!r:.60}; the file is damaged or of another kind"
            )
    return merges


def _read_bpe_json(path: Path) -> StoredBpe:
    values, model = _one_file(path, "BPE", "GPT2Tokenizer")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        _refuse(path, f"model.{name}", model.get(name), allowed=(None, ""))
    for name in ("byte_fallback", "ignore_merges"):
        _refuse(path, f"model.{name}", model.get(name), allowed=(None, False))
    _refuse(path, "normalizer", values.get("normalizer"), allowed=(None,))
    _check_adds_nothing(path, values.get("post_processor"))
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise ValueError(f"{path}: model.merges must be a list of pairs of tokens")
    return StoredBpe(
        path,
        _vocabulary(model.get("vocab"), path),
        merges,
        _added_tokens(values, path),
        _splits_digits(path, values.get("pre_tokenizer")),
    )


def _splits_digits(path: Path, step: Any) -> bool:
    """Whether a byte-level pre-tokenizer has a splitter of digits before it."""
    steps: list[Any] = step.get("pretokenizers", []) if _kind(step) == "Sequence" else [step]
    kinds = [_kind(each) for each in steps]
    digits = kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") is True
    plain = kinds in (["ByteLevel"], ["Digits", "ByteLevel"])
    if not plain or (len(kinds) == 2 and not digits):
        raise ValueError(
            f"{path}: the pre-tokenizer {kinds} is not supported: GPT2Tokenizer has GPT-2's "
            "(ByteLevel), and the same with single digits before it (Digits, ByteLevel)"
        )
    _refuse(
        path, "pre_tokenizer.add_prefix_space", steps[-1].get("add_prefix_space"), (None, False)
    )
    _refuse(path, "pre_tokenizer.use_regex", steps[-1].get("use_regex"), (None, True))
    return digits


def _check_adds_nothing(path: Path, step: Any) -> None:
    adds = _kind(step) == "TemplateProcessing" and step.get("special_tokens")
    if adds or _kind(step) not in (None, "ByteLevel", "TemplateProcessing"):
        raise ValueError(
            f"{path}: post_processor {_kind(step)} adds special tokens to each text; GPT2Tokenizer "
            "adds none: set post_processor to null and add them to the ids yourself"
        )


# ------------------------------------------------------------------------------------- BERT


def write_vocab_txt(folder: Path, tokens: Mapping[int, str], size: int) -> None:
    """Write vocab.txt.

    Raises   ValueError for a token that does not fit into one line, or if ids are missing
    """
    for number in range(size):
        if number not in tokens:
            raise ValueError(f"vocab.txt has a line for each id, but no token has the id {number}")
        if "\n" in tokens[number] or tokens[number].endswith("\r"):
            raise ValueError(f"vocab.txt has a line for each token: {tokens[number]!r} has its end")
    with atomic_write(folder / "vocab.txt") as temporary:
        temporary.write_bytes("".join(tokens[number] + "\n" for number in range(size)).encode())


def read_wordpiece(folder: Path) -> StoredWordPiece:
    """Read vocab.txt, or tokenizer.json if there is none.

    Raises   FileNotFoundError or ValueError that names the file
    """
    path = folder / "vocab.txt"
    if path.is_file():
        return StoredWordPiece(path, _read_vocab_txt(path))
    if (folder / ONE_FILE).is_file():
        return _read_wordpiece_json(folder / ONE_FILE)
    raise FileNotFoundError(
        f"{folder} has no vocab.txt and no tokenizer.json, in which a BERT tokenizer is stored; is "
        "this the right folder?"
    )


def _read_vocab_txt(path: Path) -> dict[str, int]:
    lines = _read_text(path).split("\n")
    if lines[-1] == "":
        lines.pop()
    vocab: dict[str, int] = {}
    for number, line in enumerate(lines):
        token = line.removesuffix("\r")
        if token in vocab:
            raise ValueError(
                f"{path}: the token {token!r} stands in line {vocab[token] + 1} and in line "
                f"{number + 1}; a token has one id, the number of its line"
            )
        vocab[token] = number
    return vocab


def _read_wordpiece_json(path: Path) -> StoredWordPiece:
    values, model = _one_file(path, "WordPiece", "BertTokenizer")
    normalizer: Any = values.get("normalizer")
    steps = (_kind(normalizer), _kind(values.get("pre_tokenizer")))
    if steps != ("BertNormalizer", "BertPreTokenizer"):
        raise ValueError(
            f"{path}: BertTokenizer reads BertNormalizer with BertPreTokenizer, not "
            f"{steps[0]} with {steps[1]}"
        )
    template: Any = values.get("post_processor")
    if _kind(template) not in (None, "BertProcessing", "TemplateProcessing"):
        raise ValueError(
            f"{path}: post_processor {_kind(template)} is not BERT's [CLS] text [SEP] pair [SEP]"
        )
    _refuse(path, "normalizer.clean_text", normalizer.get("clean_text"), allowed=(None, True))
    prefix = model.get("continuing_subword_prefix")
    _refuse(path, "model.continuing_subword_prefix", prefix, allowed=(None, "##"))
    options = {
        "do_lower_case": normalizer.get("lowercase", True),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
        "max_input_chars_per_word": model.get("max_input_chars_per_word", 100),
        "unk_token": model.get("unk_token", "[UNK]"),
    }
    vocab = _vocabulary(model.get("vocab"), path)
    return StoredWordPiece(path, vocab, _added_tokens(values, path), options)


# ------------------------------------------------------------------------------- small parts


def _one_file(path: Path, kind: str, reader: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(everything, its model) of a tokenizer.json of one kind."""
    values = _object(read_json(path), path)
    model = values.get("model")
    found = _kind(model)
    if found is None and isinstance(model, dict) and "merges" in model:
        found = "BPE"  # old files do not say so
    if found != kind:
        raise ValueError(f"{path} holds a tokenizer of type {found}; {reader} reads {kind}")
    return values, _object(model, path)


def _added_tokens(values: Mapping[str, Any], path: Path) -> list[AddedToken]:
    entries = values.get("added_tokens") or []
    if not isinstance(entries, list):
        raise ValueError(f"{path}: added_tokens must be a list")
    return [_token(entry, path) for entry in entries]


def _kind(step: Any) -> str | None:
    return step.get("type") if isinstance(step, dict) else None


def _refuse(path: Path, name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{path}: {name}={value!r:.60} is not supported by this tokenizer")


def _vocabulary(values: Any, path: Path) -> dict[str, int]:
    vocab = _object(values, path, "a vocabulary, {token: id}")
    for token, number in vocab.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise ValueError(f"{path}: the id of {token!r} must be an integer, got {number!r:.60}")
    return vocab


def _object(value: Any, path: Path, what: str = "an object with settings") -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold {what}, not {type(value).__name__}")
    return value


def _optional_object(path: Path) -> dict[str, Any]:
    return _object(read_json(path), path) if path.is_file() else {}


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not in UTF-8 (byte {error.start}): it is damaged or of another kind"
        ) from None
