r"""GPT-2's tokenizer: byte pair encoding of the bytes of words.

Radford et al. 2019, section 2.2, and the encoder.py published with it.  Three steps:

1. The text is cut into words by a pattern; a word takes the space before it along:
   "they're 2 of us" -> they | 're | Ġ2 | Ġof | Ġus, where Ġ is the space.
2. Each word becomes its bytes in UTF-8: 256 symbols are enough for any language.
3. Of all neighbours that the list of merges knows, the pair that comes first in the list is merged (of
   equal ones the leftmost), until none is left.  `explain` shows every step.

Nothing is unknown and nothing is lost: decode(encode(text)) == text.

Step 3 keeps the candidates in a heap, so that a word of n bytes costs n log n and not n^2, and
remembers the words it has seen: in 2 MB of prose nearly every word is an old one.

Check: tests/tokenizers/test_gpt2.py, against the tokenizers library in tests/golden/
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import regex

from . import files
from .base import (
    AddedToken,
    SubwordTokenizer,
    checked_special_tokens,
    checked_text,
    checked_training,
)
from .byte_pairs import Pair, learn_merges
from .byte_symbols import BYTES, SYMBOLS, to_bytes
from .explanation import Explanation, Section, visible
from .progress import progress_bar

# short English endings | letters | numbers | signs | white space before white space | white space:
# "\s+(?!\S)" leaves the last space to the word that follows
WORDS = regex.compile(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
DIGITS = regex.compile(r"\p{N}|\P{N}+")
END_OF_TEXT = "<|endoftext|>"
CACHED_WORDS = 1 << 17  # a bound on memory: some 30 MB
CACHED_LENGTH = 256  # characters; longer words hardly ever come again

Ranks = dict[
    Pair, tuple[int, int]
]  # (left id, right id) -> (place in the list of merges, merged id)


class GPT2Tokenizer(SubwordTokenizer):
    """Byte-level byte pair encoding.

    vocab           token -> id; tokens are written in byte symbols (see byte_symbols.py)
    merges          "left right" or (left, right), first learned first
    special_tokens  names, or name -> id; a name without an id gets the next free one
    ..._token       special tokens in a role; Transformers' names
    split_digits    each digit is a word of its own, as SmolLM2 wants it
    chat_template   kept for who writes prompts for a chat model; not used here

    A byte that has no symbol in the vocabulary becomes unk_token, and is an error if there is none.

    >>> tokenizer = GPT2Tokenizer.train(
    ...     ["low lower low low"], 260
    ... )  # <|endoftext|>, bytes, 3 merges
    >>> tokenizer.merges
    [('l', 'o'), ('lo', 'w'), ('Ġ', 'low')]
    >>> tokenizer.encode("low lower")
    [258, 259, 69, 82]
    >>> tokenizer.tokenize("low lower")
    ['low', 'Ġlow', 'e', 'r']
    >>> tokenizer.decode([258, 259, 69, 82])
    'low lower'
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: "Iterable[str | Sequence[str]]",
        *,
        special_tokens: "Mapping[str, int] | Iterable[str | AddedToken]" = (),
        bos_token: str | None = None,
        eos_token: str | None = None,
        unk_token: str | None = None,
        pad_token: str | None = None,
        split_digits: bool = False,
        chat_template: str | None = None,
        model_max_length: int | None = None,
    ) -> None:
        roles = {"bos": bos_token, "eos": eos_token, "unk": unk_token, "pad": pad_token}
        super().__init__(vocab, special_tokens, roles, model_max_length=model_max_length)
        self.split_digits = bool(split_digits)
        self.chat_template = chat_template
        self.merges = [_parts(merge, number) for number, merge in enumerate(merges)]
        self._ranks = self._ranked()
        self._byte_ids = [self._ids.get(symbol) for symbol in SYMBOLS]
        self._cache: dict[str, list[int]] = {}

    def _ranked(self) -> Ranks:
        ranks: Ranks = {}
        for rank, (left, right) in enumerate(self.merges):
            for part in (left, right, left + right):
                if part not in self._ids:
                    raise ValueError(
                        f"merge {rank + 1}, {left!r} {right!r}, needs the token {part!r}, which is "
                        "not in the vocabulary: vocabulary and merges must come from one tokenizer"
                    )
            pair = self._ids[left], self._ids[right]
            ranks.setdefault(pair, (rank, self._ids[left + right]))
        return ranks

    # --------------------------------------------------------------------------- training

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        *,
        min_frequency: int = 2,
        special_tokens: Iterable[str] = (END_OF_TEXT,),
        split_digits: bool = False,
        progress: bool = True,
    ) -> "GPT2Tokenizer":
        """Learn merges from texts, until there are vocab_size ids or no pair occurs often enough.

        Ids: the special tokens, then the 256 byte symbols in the order of their code points, then
        the merges in the order in which they were learned; nothing is left to chance.  A special
        token that stands in the texts is no material for merges.

        min_frequency   a pair that occurs less often is not merged

        Raises   ValueError if the texts are empty or vocab_size cannot hold symbols and special tokens

        >>> GPT2Tokenizer.train(["banana banana"], 260).merges
        [('a', 'n'), ('b', 'an'), ('an', 'a')]
        """
        special = list(dict.fromkeys(checked_special_tokens(special_tokens, (str,))))
        alphabet = sorted(SYMBOLS)
        smallest = len(special) + len(alphabet)
        what = "256 bytes and special tokens"
        checked_training(texts, vocab_size, min_frequency, smallest, cls.__name__, what)
        for token in special:
            if all(symbol in BYTES for symbol in token) and to_bytes(token) != token.encode():
                raise ValueError(
                    f"the special token {token!r} is also how the bytes {to_bytes(token)!r} are "
                    "written in the vocabulary: choose another name, such as <|name|>"
                )
        names = special + alphabet
        untrained = cls(
            {n: i for i, n in enumerate(names)},
            [],
            special_tokens=special,
            split_digits=split_digits,
        )
        words = untrained._count_words(texts, progress)
        bar = progress_bar(vocab_size - smallest, "merges", progress)
        with bar:
            names, pairs = learn_merges(words, names, vocab_size, min_frequency, bar)
        role = END_OF_TEXT if END_OF_TEXT in special else None
        return cls(
            {name: number for number, name in enumerate(names)},
            [(names[left], names[right]) for left, right in pairs],
            special_tokens=special,
            bos_token=role,
            eos_token=role,
            unk_token=role,
            split_digits=split_digits,
        )

    def _count_words(self, texts: Iterable[str], progress: bool) -> dict[Sequence[int], int]:
        """How often each word occurs, as the ids of its bytes."""
        counts: Counter[str] = Counter()
        bar = progress_bar(None, "texts", progress)
        with bar:
            for text in texts:
                for piece, number in self._parts(_well_formed(text)):
                    if number is None:
                        counts.update(self._words(piece))
                bar.update()
        if not counts:
            raise ValueError(f"{type(self).__name__}.train: the texts are empty")
        ids = self._byte_ids
        return {tuple(ids[b] for b in word.encode()): n for word, n in counts.items()}  # type: ignore[misc]

    # --------------------------------------------------------------------------- encoding

    def encode(self, text: str, *, split_special_tokens: bool = False) -> list[int]:
        """The ids of a text; nothing is added to it.

        split_special_tokens   cut special tokens that are written in the text like any other text:
                               for words of strangers, who should not be able to end a text

        Raises   ValueError if the text has half of a surrogate pair, which is no character
        """
        return self._encode(_well_formed(text), split_special_tokens)

    def encode_bytes(self, data: bytes, *, split_special_tokens: bool = False) -> list[int]:
        """The ids of any bytes; for UTF-8 the same as of the text."""
        # bytes that are not UTF-8 become lone surrogates here, and the same bytes again in _merged
        return self._encode(data.decode("utf-8", "surrogateescape"), split_special_tokens)

    def _plain_ids(self, text: str) -> list[int]:
        return self.encode(text)

    def _encode(self, text: str, split_special_tokens: bool) -> list[int]:
        cache = self._cache
        ids: list[int] = []
        pieces = [(text, None)] if split_special_tokens else self._parts(text)
        for piece, number in pieces:
            if number is not None:
                ids.append(number)
                continue
            for word in self._words(piece):
                known = cache.get(word)
                if known is None:
                    known = merge_word(self._symbols(word), self._ranks)
                    if len(word) <= CACHED_LENGTH:
                        if len(cache) >= CACHED_WORDS:
                            cache.clear()
                        cache[word] = known
                ids += known
        return ids

    def _words(self, piece: str) -> list[str]:
        if not self.split_digits:
            return WORDS.findall(piece)
        return [word for part in DIGITS.findall(piece) for word in WORDS.findall(part)]

    def _symbols(self, word: str) -> list[int]:
        """The ids of a word's bytes."""
        ids = []
        for byte in word.encode("utf-8", "surrogateescape"):
            number = self._byte_ids[byte]
            if number is None:
                number = self.unk_token_id
            if number is None:
                raise ValueError(
                    f"the byte 0x{byte:02X} of {word!r} has no token in this vocabulary, and there "
                    "is no unk_token to stand for it"
                )
            ids.append(number)
        return ids

    # --------------------------------------------------------------------------- decoding

    def decode_bytes(self, ids: Any, *, skip_special_tokens: bool = False) -> bytes:
        """The bytes of ids.

        Raises   ValueError that names the first id outside the vocabulary
        """
        data = bytearray()
        for number in self._checked_ids(ids):
            token = self._tokens[number]
            added = self._added.get(token)
            if added is None:
                data += to_bytes(token)
            elif not (skip_special_tokens and added.special):
                data += token.encode()
        return bytes(data)

    def decode(self, ids: Any, *, skip_special_tokens: bool = False) -> str:
        """The text of ids; bytes that are not UTF-8, as of half a character, become U+FFFD."""
        data = self.decode_bytes(ids, skip_special_tokens=skip_special_tokens)
        return data.decode("utf-8", "replace")

    # ------------------------------------------------------------------------ explanation

    def explain(self, text: str) -> Explanation:
        """Every merge of every word of a text, as a table to print or to show in a notebook.

        >>> tokenizer = GPT2Tokenizer.train(["banana banana"], 260)
        >>> print(tokenizer.explain("banana"))
        1 word, 6 bytes -> 2 tokens
        <BLANKLINE>
        word 1: "banana"
          rank  merge   pieces
                        b a n a n a
             1  a + n   b an a n a
                        b an an a
             2  b + an  ban an a
             3  an + a  ban ana
          ids: 258 ban, 259 ana
        """
        sections, count = [], 0
        words: dict[str, int] = {}
        for piece, number in self._parts(_well_formed(text)):
            if number is not None:
                token = self._tokens[number]
                sections.append(
                    Section(f"special token {visible(token)}", (), [], [(number, token)])
                )
                count += 1
                continue
            for word in self._words(piece):
                section = self._explain_word(word, words)
                count += len(section.tokens)
                sections.append(section)
        size = len(text.encode())
        found = f"{_many(sum(words.values()), 'word')}, {_many(size, 'byte')}"
        return Explanation(f"{found} -> {_many(count, 'token')}", sections)

    def _explain_word(self, word: str, words: dict[str, int]) -> Section:
        """The steps of one word; of a word that has been explained before only the result."""
        steps: list[tuple[Pair, list[int]]] = []
        start = self._symbols(word)
        ids = merge_word(start, self._ranks, steps)
        words[word] = words.get(word, 0) + 1
        rows: list[tuple[str, ...]] = [("", "", self._spell(start))] if steps else []
        before = None
        for pair, state in steps:
            same = pair == before  # the next place of the same pair
            rank = "" if same else str(self._ranks[pair][0] + 1)
            rows.append((rank, "" if same else " + ".join(self._names(pair)), self._spell(state)))
            before = pair
        heading = f"word {sum(words.values())}: {visible(word, quotes=True)}"
        if words[word] > 1:
            heading, rows = f"{heading}, as before", []
        columns = ("rank", "merge", "pieces")
        return Section(heading, columns, rows, [(i, self._tokens[i]) for i in ids])

    def _names(self, ids: Iterable[int]) -> list[str]:
        return [self._tokens[number] for number in ids]

    def _spell(self, ids: Iterable[int]) -> str:
        return " ".join(self._names(ids))

    def __repr__(self) -> str:
        return f"GPT2Tokenizer({len(self)} tokens, {len(self.merges)} merges)"

    # ------------------------------------------------------------------------------ files

    def save_pretrained(self, folder: "str | Path") -> None:
        """Write vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json.

        Raises   FileExistsError if the folder has a tokenizer.json, which would be read instead
        """
        extra = {"split_digits": self.split_digits} if self.split_digits else {}
        files.write_bpe(Path(folder), self._ids, self.merges)
        files.write_settings(Path(folder), self, {"add_prefix_space": False, **extra})

    @classmethod
    def from_pretrained(cls, folder: "str | Path") -> "GPT2Tokenizer":
        """Read the tokenizer of a folder: tokenizer.json, or vocab.json with merges.txt.

        Raises   FileNotFoundError or ValueError that names the file and what to do
        """
        folder = Path(folder)
        settings = files.read_settings(folder)
        stored = files.read_bpe(folder)
        known = {**stored.vocab, **{t.content: t.id for t in stored.added}, **settings.added}
        roles = {name: settings.roles.get(name) for name in ("bos", "eos", "unk", "pad")}
        if END_OF_TEXT in known:  # what GPT-2 means where the files say nothing
            for name in ("bos", "eos", "unk"):
                if name not in settings.roles:
                    roles[name] = END_OF_TEXT
        try:
            tokenizer = cls(
                stored.vocab,
                stored.merges,
                special_tokens=files.joined(stored.added, settings),
                split_digits=stored.split_digits or settings.split_digits,
                chat_template=settings.chat_template,
                model_max_length=settings.model_max_length,
                **{f"{name}_token": token for name, token in roles.items()},
            )
        except ValueError as error:
            raise ValueError(f"{stored.path}: {error}") from None
        files.apply_sides(tokenizer, settings)
        return tokenizer


def merge_word(
    ids: Sequence[int], ranks: Ranks, steps: "list[tuple[Pair, list[int]]] | None" = None
) -> list[int]:
    """Apply merges to one word, the lowest rank first, of equal ranks the leftmost.

    steps   where it is given, each merge is added to it: (the pair, the ids after it)

    >>> merge_word([1, 2, 1, 2, 3], {(1, 2): (0, 4), (4, 3): (1, 5)})
    [4, 5]
    """
    symbols: list[int | None] = list(ids)  # None: merged into the one on the left
    after = list(range(1, len(ids) + 1))
    before = list(range(-1, len(ids) - 1))
    queue = []
    for i, pair in enumerate(pairwise(ids)):
        if pair in ranks:
            queue.append((*ranks[pair], i))
    heapq.heapify(queue)
    # an entry is (rank, merged id, place), so that equal ranks come from left to right
    while queue:
        _, new, i = heapq.heappop(queue)
        j = after[i]
        if symbols[i] is None or j == len(symbols):
            continue  # merged meanwhile
        pair = (symbols[i], symbols[j])  # type: ignore[assignment]
        if ranks.get(pair, (0, None))[1] != new:
            continue  # another pair stands here now
        symbols[i], symbols[j] = new, None
        after[i] = after[j]
        if after[i] < len(symbols):
            before[after[i]] = i
        for left, right in ((before[i], i), (i, after[i])):
            if left >= 0 and right < len(symbols):
                found = ranks.get((symbols[left], symbols[right]))  # type: ignore[arg-type]
                if found is not None:
                    heapq.heappush(queue, (*found, left))
        if steps is not None:
            steps.append((pair, [s for s in symbols if s is not None]))
    return [s for s in symbols if s is not None]


def _parts(merge: "str | Sequence[str]", number: int) -> tuple[str, str]:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if len(parts) != 2 or not all(isinstance(part, str) and part for part in parts):
        raise ValueError(
            f'merge {number + 1} must be two tokens, "left right" or (left, right); got {merge!r}'
        )
    return parts[0], parts[1]


def _well_formed(text: str) -> str:
    try:
        checked_text(text).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text is not Unicode: position {error.start} has half of a surrogate pair, "
            f"U+{ord(text[error.start]):04X}; read the file as UTF-8, or give its bytes to "
            "encode_bytes"
        ) from None
    return text


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
