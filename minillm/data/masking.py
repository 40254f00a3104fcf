"""Masked language modelling: hide some of the tokens, and ask for them (Devlin et al. 2019, §3.1).

Of each sequence 15 % of the tokens are chosen; special tokens and padding never are.  A chosen token
becomes

    [MASK]               with probability 0.8
    a random token       with probability 0.1, special tokens excluded
    itself, unchanged    with probability 0.1

and is to be predicted in all three cases: the model never sees [MASK] in later use, so it must not
learn that only a [MASK] needs an answer.  All other positions get the label -100, which the loss leaves
out.  How many are chosen is not left to chance: max(1, round(0.15 n)) of the n tokens that may be, as
in the published code (which counts the special tokens among the n).  With whole words the pieces of a
word are chosen together: words are gone through in random order, and one that would exceed the number
is passed over, again as published; where every word is too long by itself, the first one is taken, so
that no sequence is without a question.
"""

from typing import Any, NamedTuple

import numpy as np

from ..backend import default_generator
from ..tokenizers.wordpiece import PREFIX

IGNORED = -100  # the label of a position that is not predicted


class MaskedTokens(NamedTuple):
    """What a masked language model reads, and what it should have read at the chosen places.

    >>> MaskedTokens(np.array([[2, 4]]), np.array([[-100, 7]])).labels
    array([[-100,    7]])
    """

    input_ids: np.ndarray  # (B, T)
    labels: np.ndarray  # (B, T), -100 where nothing is to be predicted


class TokenMasker:
    """Hides tokens of a batch for masked language modelling.

    tokenizer     gives the mask token, the special ids and, for whole words, the ## of the pieces
    probability   the share of the tokens of each sequence that is to be predicted
    whole_words   True chooses all pieces of a word, or none

    Call it with ids (B, T) and a generator; the ids stay as they are, the result holds copies.

    Raises   ValueError for a tokenizer without a mask token, for ids that it does not know, and for
             a sequence in which there is nothing to choose

    >>> from minillm.tokenizers import BertTokenizer
    >>> special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    >>> tokenizer = BertTokenizer([*special, "a", "cat", "sat", "##s"])
    >>> masker = TokenMasker(tokenizer)
    >>> ids = np.array([[2, 5, 6, 7, 3, 0, 0]])  # [CLS] a cat sat [SEP] and padding
    >>> masked = masker(ids, np.random.default_rng(1))
    >>> masked.input_ids
    array([[2, 5, 4, 7, 3, 0, 0]])
    >>> masked.labels
    array([[-100, -100,    6, -100, -100, -100, -100]])
    """

    def __init__(
        self, tokenizer: Any, *, probability: float = 0.15, whole_words: bool = False
    ) -> None:
        if not 0 < probability <= 1:
            raise ValueError(f"TokenMasker: probability must be within 0 … 1, got {probability}")
        if getattr(tokenizer, "mask_token_id", None) is None:
            raise ValueError(
                f"TokenMasker: {type(tokenizer).__name__} has no mask token: use a BertTokenizer"
            )
        self.probability, self.whole_words = float(probability), bool(whole_words)
        self.mask_id = int(tokenizer.mask_token_id)
        # three tables with one entry per id: a lookup for a whole batch costs nothing
        self._known = np.zeros(len(tokenizer), dtype=bool)
        self._continues = np.zeros(len(tokenizer), dtype=bool)
        for token, number in tokenizer.get_vocab().items():
            self._known[number] = True
            self._continues[number] = token.startswith(PREFIX) and token != PREFIX
        self._ordinary = self._known.copy()
        self._ordinary[list(tokenizer.all_special_ids)] = False
        self._replacements = np.flatnonzero(self._ordinary)
        if not self._replacements.size:
            raise ValueError("TokenMasker: the vocabulary holds nothing but special tokens")

    def __call__(self, input_ids: Any, rng: np.random.Generator | None = None) -> MaskedTokens:
        """Choose and replace; the generator decides both."""
        rng, ids = default_generator(rng), self._checked(input_ids)
        chosen = self._choose(ids, rng)
        draw = rng.random(ids.shape)  # one number decides between the three cases of a token
        random_ids = self._replacements[rng.integers(len(self._replacements), size=ids.shape)]
        out = np.where(chosen & (draw < 0.8), self.mask_id, ids)
        out = np.where(chosen & (draw >= 0.8) & (draw < 0.9), random_ids, out)
        return MaskedTokens(out, np.where(chosen, ids, IGNORED))

    def _checked(self, input_ids: Any) -> np.ndarray:
        ids = np.asarray(input_ids)
        if ids.ndim != 2 or ids.dtype.kind not in "iu":
            raise ValueError(
                f"TokenMasker: input_ids must be integers of shape (B, T), got {ids.shape} {ids.dtype}"
            )
        ids = ids.astype(np.int64)
        wrong = (ids < 0) | (ids >= len(self._known))
        wrong |= ~self._known[np.where(wrong, 0, ids)]
        if wrong.any():
            raise ValueError(
                f"TokenMasker: id {ids[wrong][0]} is not in the vocabulary of {len(self._known)} "
                "tokens: encode with the tokenizer that the masker was made with"
            )
        return ids

    def _choose(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Which tokens are to be predicted, (B, T)."""
        allowed = self._ordinary[ids]
        n = allowed.sum(axis=1)
        if not n.all():
            row = int(np.flatnonzero(n == 0)[0])
            raise ValueError(
                f"TokenMasker: row {row} has only special tokens, so that none can be hidden: leave "
                "out empty texts and those with nothing but unknown words"
            )
        wanted = np.maximum(1, np.rint(n * self.probability)).astype(np.int64)
        word = self._words(ids)
        order = rng.random(ids.shape)  # of the words; the smallest is taken first
        size = np.zeros(ids.shape, dtype=np.int64)  # pieces of word w of row b, at [b, w]
        rows = np.broadcast_to(np.arange(len(ids))[:, None], ids.shape)
        np.add.at(size, (rows[allowed], word[allowed]), 1)
        ranked = np.argsort(np.where(size > 0, order, 2.0), axis=1)
        taken = np.zeros(ids.shape, dtype=bool)
        left, line = wanted.copy(), np.arange(len(ids))
        for k in range(int((size > 0).sum(axis=1).max())):  # all rows at once, word by word
            w = ranked[:, k]
            pieces = size[line, w]
            fits = (pieces > 0) & (pieces <= left)
            taken[line, w] |= fits
            left -= np.where(fits, pieces, 0)
        empty = left == wanted
        taken[line[empty], ranked[empty, 0]] = True
        return allowed & np.take_along_axis(taken, word, axis=1)

    def _words(self, ids: np.ndarray) -> np.ndarray:
        """The number of the word that each token belongs to, within its row; (B, T)."""
        if not self.whole_words:
            return np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        # a ## behind a special token shares its number, but only the ## may be chosen
        starts = ~self._continues[ids]
        starts[:, :1] = True
        return np.cumsum(starts, axis=1) - 1
