"""BERT's tokenizer: a normalised text, cut into words, cut into word pieces.

normalization.py tells how a text becomes words, wordpiece.py how a word becomes pieces.  A row for the
model is  [CLS] text [SEP]  with type ids 0, or  [CLS] text [SEP] pair [SEP]  with type ids 1 from the
pair on.  What is lost on the way (capitals, accents, white space, unknown words) does not come back:
decode gives a text to read, not the text there was.

Check: tests/tokenizers/test_bert.py, against the tokenizers library in tests/golden/
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import regex

from ..arguments import require_whole
from . import files
from .base import (
    AddedToken,
    SubwordTokenizer,
    checked_special_tokens,
    checked_text,
    checked_training,
)
from .batch import Row
from .explanation import Explanation, Section, visible
from .normalization import BertNormalizer, is_chinese, split_words
from .progress import progress_bar
from .wordpiece import PREFIX, learn_pieces, longest_pieces

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
CACHED_WORDS = 1 << 17  # a bound on memory: some 30 MB
NO_SPACE_BEFORE = frozenset(".,?!")


class BertTokenizer(SubwordTokenizer):
    """WordPiece on words that were normalised as BERT's were.

    vocab                    token -> id, or the tokens in the order of their ids
    special_tokens           more tokens that are found literally, beside the five with a role
    do_lower_case            small letters, and no accents unless strip_accents says otherwise
    tokenize_chinese_chars   each Chinese character is a word
    max_input_chars_per_word a longer word is unknown

    >>> tokenizer = BertTokenizer([
    ...     "[PAD]",
    ...     "[UNK]",
    ...     "[CLS]",
    ...     "[SEP]",
    ...     "[MASK]",
    ...     "un",
    ...     "##aff",
    ...     "##able",
    ...     "was",
    ...     "he",
    ...     ".",
    ... ])
    >>> tokenizer.tokenize("He was UNAFFABLE.")
    ['he', 'was', 'un', '##aff', '##able', '.']
    >>> tokenizer.encode("He was [MASK].")
    [2, 9, 8, 4, 10, 3]
    >>> tokenizer("He was", "unaffable").token_type_ids
    array([0, 0, 0, 0, 1, 1, 1, 1])
    """

    returns_type_ids = True

    def __init__(
        self,
        vocab: "Mapping[str, int] | Sequence[str]",
        *,
        special_tokens: "Mapping[str, int] | Iterable[str | AddedToken]" = (),
        do_lower_case: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        pad_token: str = "[PAD]",
        unk_token: str = "[UNK]",
        cls_token: str = "[CLS]",
        sep_token: str = "[SEP]",
        mask_token: str = "[MASK]",
        max_input_chars_per_word: int = 100,
        model_max_length: int | None = None,
    ) -> None:
        if not isinstance(vocab, Mapping):
            vocab = _numbered(vocab)
        roles: dict[str, str | None] = {
            "pad": pad_token, "unk": unk_token, "cls": cls_token, "sep": sep_token,
            "mask": mask_token,
        }  # fmt: skip
        if not isinstance(special_tokens, Mapping):
            special_tokens = checked_special_tokens(special_tokens)
        extra = [t if isinstance(t, str) else t.content for t in special_tokens]
        for role, token in roles.items():
            if token not in vocab and token not in extra:
                raise ValueError(
                    f"the {role}_token {token!r} is not in the vocabulary: a vocabulary for BERT has "
                    f"{', '.join(SPECIAL.values())}; add it, or name the one that plays its role"
                )
        self.do_lower_case = bool(do_lower_case)
        self.strip_accents = strip_accents
        self.tokenize_chinese_chars = bool(tokenize_chinese_chars)
        longest = max_input_chars_per_word
        require_whole(type(self).__name__, "max_input_chars_per_word", longest)
        self.max_input_chars_per_word = longest
        self._normalizer = BertNormalizer(
            lowercase=self.do_lower_case,
            strip_accents=strip_accents,
            tokenize_chinese_chars=self.tokenize_chinese_chars,
        )
        super().__init__(vocab, special_tokens, roles, model_max_length=model_max_length)
        self._pieces = {t: number for t, number in self._ids.items() if t in vocab}
        self._cache: dict[str, list[int]] = {}

    # --------------------------------------------------------------------------- training

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        *,
        min_frequency: int = 2,
        special_tokens: Iterable[str] = (),
        do_lower_case: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        limit_alphabet: int | None = None,
        progress: bool = True,
    ) -> "BertTokenizer":
        """Learn word pieces by likelihood (wordpiece.py), until there are vocab_size of them.

        Ids: [PAD] [UNK] [CLS] [SEP] [MASK] and further special tokens, the characters in the order
        of their code points, the same with ## (but for those that are always a word alone), then
        the learned pieces.

        min_frequency    a pair of pieces that occurs less often is not joined
        limit_alphabet   keep only so many characters, the most frequent; words with another one are
                         unknown.  Without it all are kept, or if vocab_size has no room for all,
                         the most frequent in half of the room, the others behind the pieces

        Raises   ValueError if the texts are empty or vocab_size is too small
        Warns    if vocab_size has no room for all characters

        Byte pair encoding would learn "at", the most frequent pair, first.  By likelihood "v" and "e"
        belong together, for none of them is ever seen without the other:

        >>> tokenizer = BertTokenizer.train(["hat that " * 9 + "vex vex"], 20)
        >>> tokenizer.convert_ids_to_tokens([17, 18, 19])
        ['ve', 'vex', 'th']
        """
        more = checked_special_tokens(special_tokens, (str,))
        special = list(dict.fromkeys([*SPECIAL.values(), *more]))
        what, smallest = "special tokens", len(special) + 1
        checked_training(texts, vocab_size, min_frequency, smallest, cls.__name__, what)
        if limit_alphabet is not None:
            require_whole(f"{cls.__name__}.train", "limit_alphabet", limit_alphabet)
        options: dict[str, Any] = {
            "do_lower_case": do_lower_case,
            "strip_accents": strip_accents,
            "tokenize_chinese_chars": tokenize_chinese_chars,
            "special_tokens": special,
        }
        counts = cls(special, **options)._count_words(texts, progress)
        alphabet, others = _alphabet(counts, vocab_size - len(special), limit_alphabet)
        names = special + alphabet
        ids = {name: number for number, name in enumerate(names)}
        words = {}
        for word, count in counts.items():
            pieces = [ids.get(PREFIX + c if i else c) for i, c in enumerate(word)]
            if None not in pieces:
                words[tuple(pieces)] = count
        bar = progress_bar(vocab_size - len(names), "word pieces", progress)
        with bar:
            names = learn_pieces(words, names, vocab_size, min_frequency, bar)  # type: ignore[arg-type]
        for c in others:  # where learning left room
            forms = _forms([c])
            names += forms if len(names) + len(forms) <= vocab_size else []
        return cls(names, **options)

    def _count_words(self, texts: Iterable[str], progress: bool) -> Counter[str]:
        counts: Counter[str] = Counter()
        bar = progress_bar(None, "texts", progress)
        with bar:
            for text in texts:
                for piece, number in self._parts(checked_text(text)):
                    if number is None:
                        counts.update(split_words(piece))
                bar.update()
        if not counts:
            raise ValueError(f"{type(self).__name__}.train: the texts are empty")
        return counts

    # --------------------------------------------------------------------------- encoding

    def encode(
        self, text: str, text_pair: str | None = None, *, add_special_tokens: bool = True
    ) -> list[int]:
        """The ids of a text, or of two, with [CLS] and [SEP] unless add_special_tokens is False."""
        first = self._plain_ids(text)
        second = None if text_pair is None else self._plain_ids(text_pair)
        if not add_special_tokens:
            return first + (second or [])
        return self._frame(first, second).ids

    def _frame(self, first: list[int], second: list[int] | None) -> Row:
        start, end = self._ids[self._roles["cls"]], self._ids[self._roles["sep"]]
        ids = [start, *first, end]
        types = [0] * len(ids)
        if second is not None:
            ids += [*second, end]
            types += [1] * (len(second) + 1)
        return Row(ids, types)

    def _normalized(self, text: str) -> str:
        return self._normalizer(text)

    def _plain_ids(self, text: str) -> list[int]:
        cache = self._cache
        ids: list[int] = []
        for piece, number in self._parts(checked_text(text)):
            if number is not None:
                ids.append(number)
                continue
            for word in split_words(piece):
                known = cache.get(word)
                if known is None:
                    known = self._word(word)
                    if len(word) <= self.max_input_chars_per_word:
                        if len(cache) >= CACHED_WORDS:
                            cache.clear()
                        cache[word] = known
                ids += known
        return ids

    def _word(self, word: str) -> list[int]:
        ids = longest_pieces(word, self._pieces, self.max_input_chars_per_word)
        return [self._ids[self._roles["unk"]]] if ids is None else ids

    # --------------------------------------------------------------------------- decoding

    def decode(self, ids: Any, *, skip_special_tokens: bool = False) -> str:
        """A text to read: pieces are joined, words get spaces between them, but not before . , ? !"""
        parts: list[str] = []
        for number in self._checked_ids(ids):
            token = self._tokens[number]
            if skip_special_tokens and token in self._added and self._added[token].special:
                continue
            if parts and token.startswith(PREFIX):
                parts.append(token.removeprefix(PREFIX))
            elif parts and token not in NO_SPACE_BEFORE:
                parts.append(" " + token)
            else:
                parts.append(token)
        return "".join(parts)

    # ------------------------------------------------------------------------ explanation

    def explain(self, text: str) -> Explanation:
        """Each word of a text with the pieces that were found in it, longest first.

        >>> tokenizer = BertTokenizer([*SPECIAL.values(), "un", "##aff", "##able"])
        >>> print(tokenizer.explain("Unaffable"))
        1 word -> 3 tokens
        <BLANKLINE>
        word 1: "unaffable"
          longest piece  rest
          un             affable
          ##aff          able
          ##able
          ids: 5 un, 6 ##aff, 7 ##able
        """
        sections, words, count = [], 0, 0
        for piece, special in self._parts(checked_text(text)):
            for word in [""] if special is not None else split_words(piece):
                if special is not None:
                    tokens = [(special, self._tokens[special])]
                    section = Section(f"special token {visible(tokens[0][1])}", (), [], tokens)
                else:
                    words += 1
                    section = self._explain_word(word, words)
                sections.append(section)
                count += len(section.tokens)
        nouns = "word" if words == 1 else "words", "token" if count == 1 else "tokens"
        return Explanation(f"{words} {nouns[0]} -> {count} {nouns[1]}", sections)

    def _explain_word(self, word: str, number: int) -> Section:
        tokens = [(i, self._tokens[i]) for i in self._word(word)]
        heading = f"word {number}: {visible(word, quotes=True)}"
        if longest_pieces(word, self._pieces, self.max_input_chars_per_word) is None:
            why = "no piece fits at some place"
            if len(word) > self.max_input_chars_per_word:
                why = f"more than {self.max_input_chars_per_word} characters"
            return Section(f"{heading}, unknown: {why}", (), [], tokens)
        rows: list[tuple[str, ...]] = []
        rest = word
        for i, (_, token) in enumerate(tokens):
            rest = rest[len(token.removeprefix(PREFIX) if i else token) :]
            rows.append((visible(token), visible(rest)))
        return Section(heading, ("longest piece", "rest"), rows, tokens)

    def __repr__(self) -> str:
        return f"BertTokenizer({len(self)} tokens)"

    # ------------------------------------------------------------------------------ files

    def save_pretrained(self, folder: "str | Path") -> None:
        """Write vocab.txt, tokenizer_config.json and special_tokens_map.json."""
        files.write_vocab_txt(Path(folder), self._tokens, self._size)
        options = {
            "do_lower_case": self.do_lower_case,
            "strip_accents": self.strip_accents,
            "tokenize_chinese_chars": self.tokenize_chinese_chars,
        }
        files.write_settings(Path(folder), self, options)

    @classmethod
    def from_pretrained(cls, folder: "str | Path") -> "BertTokenizer":
        """Read the tokenizer of a folder: vocab.txt, or tokenizer.json if there is none.

        Raises   FileNotFoundError or ValueError that names the file and what to do
        """
        folder = Path(folder)
        settings = files.read_settings(folder)
        stored = files.read_wordpiece(folder)
        # what tokenizer_config.json says counts more than what tokenizer.json says
        options: dict[str, Any] = {**stored.options, **settings.bert_options}
        for role in SPECIAL:
            if settings.roles.get(role):
                options[f"{role}_token"] = settings.roles[role]
        try:
            tokenizer = cls(
                stored.vocab,
                special_tokens=files.joined(stored.added, settings),
                model_max_length=settings.model_max_length,
                **options,
            )
        except ValueError as error:
            raise ValueError(f"{stored.path}: {error}") from None
        files.apply_sides(tokenizer, settings)
        return tokenizer


def _numbered(tokens: Sequence[str]) -> dict[str, int]:
    if isinstance(tokens, str):
        raise TypeError("vocab must be a dict token -> id or a list of tokens, got a string")
    vocab: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if token in vocab:
            raise ValueError(f"the token {token!r} has two ids, {vocab[token]} and {number}")
        vocab[token] = number
    return vocab


def _alphabet(counts: Counter[str], room: int, limit: int | None) -> tuple[list[str], list[str]]:
    """(the tokens of the characters to learn with, the characters left over, frequent ones first)."""
    frequency: Counter[str] = Counter()
    for word, count in counts.items():
        for c in word:
            frequency[c] += count
    ranked = sorted(frequency, key=lambda c: (-frequency[c], c))[:limit]
    costs = [len(_forms([c])) for c in ranked]
    kept = len(ranked)
    if sum(costs) > room:
        kept = sum(used <= room // 2 for used in accumulate(costs))
        warnings.warn(
            f"the {len(ranked)} different characters of the texts take {sum(costs)} ids, but "
            f"vocab_size leaves {room}: the {kept} most frequent get half of that, and further ones "
            "what learning leaves over; words with a character left out are unknown: use a larger "
            "vocab_size, or limit_alphabet=",
            stacklevel=3,
        )
    return _forms(sorted(ranked[:kept])), ranked[kept:]


def _forms(characters: list[str]) -> list[str]:
    """The tokens of characters: as they are, and with ## those that can go on a word."""
    return characters + [PREFIX + c for c in characters if not stands_alone(c)]


def stands_alone(c: str) -> bool:
    """Whether a character is always a word of its own: Chinese, or punctuation.

    >>> stands_alone("世"), stands_alone("$"), stands_alone("a")
    (True, True, False)
    """
    return is_chinese(ord(c)) or regex.fullmatch(r"[\p{P}$+<=>^`|~]", c) is not None
