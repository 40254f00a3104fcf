"""Word vectors: one vector per word, whoever learned them; and the corpus that they are learned from.

Two words that are used alike get vectors that point the same way.  The measure is the cosine,

    cos(a, b) = (a . b) / (|a| |b|)

and an analogy "a is to b as c is to ?" is answered by the word whose vector is nearest to b - a + c
(Mikolov, Yih & Zweig 2013, Linguistic Regularities in Continuous Space Word Representations, NAACL,
section 4), all vectors having length 1 and the three words themselves being left out.
Check: tests/models/test_word_vectors.py
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import is_number, is_whole
from ..files import atomic_write, read_arrays, write_arrays
from ..nn import Embedding
from ..tokenizers import CharTokenizer

# ------------------------------------------------------------------------------ the corpus


@dataclass(frozen=True)
class Corpus:
    """Sentences as one row of ids; the words are ordered from the most frequent to the rarest.

    words       word of each id
    counts      occurrences of each word, (V,)
    ids         all words of all sentences, one after the other, (N,); words that are too rare left out
    sentences   number of the sentence of each word, (N,)
    """

    words: list[str]
    counts: np.ndarray
    ids: np.ndarray
    sentences: np.ndarray


def read_corpus(name: str, sentences: Any, min_count: int = 1) -> Corpus:
    """Count the words of sentences, and turn them into ids.

    name        who asks, for the messages
    sentences   each a list of words, or a string that is cut at white space; read once
    min_count   words that occur less often are left out
    Raises      TypeError for one string instead of sentences; ValueError if there are no two words

    >>> corpus = read_corpus("example", ["a rose is a rose", ["is", "a"]])
    >>> corpus.words, corpus.counts.tolist(), corpus.ids.tolist()
    (['a', 'rose', 'is'], [3, 2, 2], [0, 1, 2, 0, 1, 2, 0])
    """
    if isinstance(sentences, str):
        raise TypeError(f"{name}: sentences is one string: give a list of sentences, [text]")
    first_ids: dict[str, int] = {}
    ids, numbers = [], []
    for number, sentence in enumerate(sentences):
        words = sentence.split() if isinstance(sentence, str) else sentence
        for word in words:
            if not isinstance(word, str):
                raise TypeError(
                    f"{name}: sentence {number} holds {word!r}, a {type(word).__name__}: a sentence "
                    "is a string, or a list of words"
                )
            ids.append(first_ids.setdefault(word, len(first_ids)))
            numbers.append(number)
    flat = np.array(ids, dtype=np.int64)
    counts = np.bincount(flat, minlength=len(first_ids))
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= min_count]
    if len(order) < 2:
        raise ValueError(
            f"{name}: the sentences hold {len(first_ids)} different words, of which {len(order)} "
            f"occur at least min_count={min_count} times: at least 2 are needed, give more text"
        )
    new_id = np.full(len(first_ids), -1, dtype=np.int64)
    new_id[order] = np.arange(len(order))
    flat = new_id[flat]
    kept, all_words = flat >= 0, list(first_ids)
    where = np.array(numbers, dtype=np.int64)[kept]
    return Corpus([all_words[i] for i in order], counts[order], flat[kept], where)


def require_settings(name: str, **settings: tuple[Any, float, str]) -> None:
    """Each setting is (value, smallest, "integer" or "number"); zero is refused where smallest is 0.0.

    Raises   ValueError that names the setting, what was found and what is expected
    """
    for setting, (value, smallest, kind) in settings.items():
        if kind == "integer":
            right = is_whole(value) and value >= smallest
            expected = f"an integer of at least {smallest}"
        else:
            right = is_number(value) and smallest < value < np.inf
            expected = f"a number above {smallest:g}"
        if not right:
            raise ValueError(f"{name}: {setting} must be {expected}, got {value!r}")


def require_finite(name: str, loss: float, rate: float) -> None:
    """The loss of an epoch is a number.

    Raises   FloatingPointError that says what to do
    """
    if not np.isfinite(loss):
        raise FloatingPointError(
            f"{name}: the loss is {loss}: the steps overshoot, choose a learning_rate below {rate:g}"
        )


# ------------------------------------------------------------------------------ the vectors


class WordVectors:
    """One vector per word.

    words     the words, each once
    vectors   a row for each of them, (V, C)
    counts    how often each occurred in training, (V,); None where that is not known

    >>> king = WordVectors(["king", "queen", "man"], np.array([[3, 1.0], [3, -1], [0, 1]]))
    >>> king["queen"]
    array([ 3., -1.])
    >>> [(word, round(cosine, 3)) for word, cosine in king.most_similar("king", n=2)]
    [('queen', 0.8), ('man', 0.316)]
    >>> "bishop" in king, len(king)
    (False, 3)
    """

    def __init__(
        self, words: Sequence[str], vectors: np.ndarray, counts: np.ndarray | None = None
    ) -> None:
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or len(vectors) != len(words):
            raise ValueError(
                f"WordVectors: {len(words)} words need vectors of shape ({len(words)}, C), got "
                f"{vectors.shape}"
            )
        if vectors.dtype.kind != "f":
            raise TypeError(f"WordVectors: vectors must be floating, got {vectors.dtype}")
        self._set(list(words), vectors, counts)

    def _set(self, words: list[str], vectors: np.ndarray, counts: np.ndarray | None) -> None:
        self.words, self.vectors, self.counts = words, vectors, counts
        self._ids = {word: i for i, word in enumerate(words)}
        if len(self._ids) != len(words):
            twice = next(word for i, word in enumerate(words) if self._ids[word] != i)
            raise ValueError(f"{type(self).__name__}: the word {twice!r} is there twice")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def __getitem__(self, word: str) -> np.ndarray:
        """The vector of a word.

        Raises   KeyError for a word that has none
        """
        return self.vectors[self.id_of(word)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} words, vectors {self.vectors.shape})"

    def id_of(self, word: str) -> int:
        """The row of a word.

        Raises   KeyError for a word that has no vector
        """
        if not len(self):
            raise ValueError(
                f"{type(self).__name__} has no vectors yet: call .fit(sentences) first"
            )
        if word not in self._ids:
            raise KeyError(
                f"the word {word!r} is not among the {len(self)} words, which begin with "
                f"{', '.join(self.words[:3])}: it did not occur in training, or too rarely"
            )
        return self._ids[word]

    # -------------------------------------------------------------------------- neighbours

    def _unit_vectors(self) -> np.ndarray:
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        return self.vectors / np.where(lengths > 0, lengths, 1)

    def similarity(self, a: str, b: str) -> float:
        """The cosine of the angle between the vectors of two words, within -1 … 1."""
        i, j = self.id_of(a), self.id_of(b)
        unit = self._unit_vectors()
        return float(unit[i] @ unit[j])

    def most_similar(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """The n words with the largest cosine to a word, itself left out: [(word, cosine), ...].

        Raises   KeyError for a word that has no vector; ValueError if n is below 1
        """
        row = self.id_of(word)
        unit = self._unit_vectors()
        return self._nearest(unit, unit[row], [row], n)

    def analogy(self, a: str, b: str, c: str, n: int = 1) -> list[tuple[str, float]]:
        """The n best answers to "a is to b as c is to ?": [(word, cosine), ...].

        Raises   KeyError for a word that has no vector; ValueError if n is below 1

        >>> at = np.array([[1, 1.0], [1, 3], [3, 1], [3, 3], [-9, 1]])
        >>> places = WordVectors(["man", "king", "woman", "queen", "pot"], at)
        >>> places.analogy("man", "king", "woman")[0][0]
        'queen'
        """
        rows = [self.id_of(word) for word in (a, b, c)]
        unit = self._unit_vectors()
        wanted = unit[rows[1]] - unit[rows[0]] + unit[rows[2]]
        length = np.linalg.norm(wanted)
        return self._nearest(unit, wanted / length if length > 0 else wanted, rows, n)

    def _nearest(
        self, unit: np.ndarray, wanted: np.ndarray, left_out: list[int], n: int
    ) -> list[tuple[str, float]]:
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        cosines = unit @ wanted  # (V,)
        cosines[left_out] = -np.inf
        best = np.argsort(-cosines, kind="stable")[:n]
        return [(self.words[i], float(cosines[i])) for i in best if cosines[i] > -np.inf]

    # ----------------------------------------------------------------------------- layers

    def to_embedding(
        self, vocabulary: Any = None, padding_idx: int | None = None, seed: int = 0
    ) -> Embedding:
        """An nn.Embedding that starts with these vectors.

        vocabulary    the ids that it will be given: a dict token -> id, a list of tokens, or a
                      tokenizer with get_vocab(); by default the rows of these vectors
        padding_idx   this row is 0 and stays 0
        seed          of the rows of tokens that have no vector: normal, as spread out as the vectors

        Raises        ValueError if the vocabulary has no word in common with the vectors

        >>> vectors = WordVectors(["a", "b"], np.array([[1.0, 2], [3, 4]]))
        >>> vectors.to_embedding({"[PAD]": 0, "b": 1}, padding_idx=0).weight.data
        array([[0., 0.],
               [3., 4.]])
        """
        ids = self._ids if vocabulary is None else _as_ids(vocabulary)
        common = [token for token in ids if token in self._ids]
        if not common:
            raise ValueError(
                f"to_embedding: none of the {len(ids)} tokens of the vocabulary is among the "
                f"{len(self)} words: are they words, written alike (lower case)?"
            )
        rows = max(ids.values()) + 1
        embedding = Embedding(
            rows, self.vectors.shape[1], padding_idx, dtype=self.vectors.dtype,
            rng=np.random.default_rng(seed),
        )  # fmt: skip
        table = embedding.weight.data
        table *= self.vectors.std()
        table[[ids[token] for token in common]] = self.vectors[[self._ids[t] for t in common]]
        if padding_idx is not None:
            table[padding_idx] = 0
        return embedding

    # ------------------------------------------------------------------------------ files

    def save(self, path: "str | Path") -> None:
        """Write a safetensors file, exact and small; WordVectors.load reads it."""
        self._require_writable("\n")
        text = "\n".join(self.words).encode("utf-8")
        arrays = {"vectors": self.vectors, "words": np.frombuffer(text, dtype=np.uint8)}
        if self.counts is not None:
            arrays["counts"] = self.counts
        write_arrays(path, arrays)

    @staticmethod
    def load(path: "str | Path") -> "WordVectors":
        """Read what save wrote.

        Raises   FileNotFoundError, or ValueError that names the file and what is wrong with it
        """
        arrays = read_arrays(path)
        if not {"vectors", "words"} <= set(arrays):
            raise ValueError(
                f"{path} holds no word vectors: expected the arrays vectors and words, found "
                f"{', '.join(sorted(arrays)) or 'none'}"
            )
        words = arrays["words"].tobytes().decode("utf-8").split("\n")
        return WordVectors(words, arrays["vectors"], arrays.get("counts"))

    def save_text(self, path: "str | Path") -> None:
        """Write the text format of word2vec: "V C", then a line "word number number ..." for each word.

        Nine digits, which is what a float32 needs to be read back unchanged.
        """
        self._require_writable(" \t\n")
        with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(f"{len(self)} {self.vectors.shape[1]}\n")
            for word, row in zip(self.words, self.vectors, strict=True):
                file.write(f"{word} {' '.join(f'{number:.9g}' for number in row)}\n")

    @staticmethod
    def load_text(path: "str | Path", limit: int | None = None) -> "WordVectors":
        """Read the text format of word2vec, or of published GloVe vectors, which has no first line.

        limit    read only that many words: published files begin with the most frequent ones
        Raises   FileNotFoundError, or ValueError that names the file, the line and what is wrong
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no file {path}")
        words, rows, width = [], [], None
        with open(path, encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                parts = line.rstrip("\r\n ").split(" ")
                if number == 1 and len(parts) == 2 and all(p.isdigit() for p in parts):
                    width = int(parts[1])
                    continue
                width = width or len(parts) - 1
                word, row = _word_and_row(path, number, parts, width)
                words.append(word)
                rows.append(row)
                if len(words) == limit:
                    break
        if not words:
            raise ValueError(f"{path} holds no word vectors: no line has a word and its numbers")
        return WordVectors(words, np.stack(rows))

    def _require_writable(self, separators: str) -> None:
        if not len(self):
            raise ValueError(
                f"{type(self).__name__} has no vectors yet: call .fit(sentences) first"
            )
        for word in self.words:
            if not word or any(character in separators for character in word):
                raise ValueError(
                    f"the word {word!r} cannot be written: in this format a word is not empty and has "
                    f"none of the characters {separators!r}"
                )


def _word_and_row(
    path: "str | Path", number: int, parts: list[str], width: int
) -> tuple[str, np.ndarray]:
    """One line: the last `width` parts are the numbers, what stands before is the word."""
    try:
        row = np.array(parts[-width:], dtype=np.float32)
    except ValueError:
        row = np.empty(0, dtype=np.float32)
    if width < 1 or len(row) != width or len(parts) <= width:
        raise ValueError(
            f"{path}, line {number}: expected a word and {width} numbers, got {' '.join(parts)[:60]!r}"
        )
    return " ".join(parts[:-width]), row


def _as_ids(vocabulary: Any) -> Mapping[str, int]:
    """Token -> id of a dict, a list of tokens or a tokenizer."""
    if hasattr(vocabulary, "get_vocab"):
        vocabulary = vocabulary.get_vocab()
    elif isinstance(vocabulary, CharTokenizer):
        vocabulary = vocabulary.characters
    if isinstance(vocabulary, Mapping):
        return vocabulary
    if isinstance(vocabulary, Iterable) and not isinstance(vocabulary, str):
        return {token: i for i, token in enumerate(vocabulary)}
    raise TypeError(
        "to_embedding: vocabulary must be a dict token -> id, a list of tokens or a tokenizer with "
        f"get_vocab(), got {type(vocabulary).__name__}"
    )
