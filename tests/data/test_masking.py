"""Masking: what may be hidden, how much of it, and what stands in its place."""

import math

import numpy as np
import pytest

from minillm.data import TokenMasker
from minillm.tokenizers import BertTokenizer, CharTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{i}" for i in range(40)]
PIECES = [f"##p{i}" for i in range(20)]
TOKENIZER = BertTokenizer([*SPECIAL, *WORDS, *PIECES])
FIRST_WORD, FIRST_PIECE, V = 5, 45, 65


def tail(n, p, k):
    """Probability of at least k, and of at most k, successes in n trials: (upper, lower)."""
    log = [
        math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1)
        + j * math.log(p) + (n - j) * math.log1p(-p)
        for j in range(n + 1)
    ]  # fmt: skip
    weights = [math.exp(x) for x in log]
    return sum(weights[k:]), sum(weights[: k + 1])


def assert_binomial(count, n, p):
    """The count is nothing that happens less than once in a million times."""
    assert min(tail(n, p, count)) > 1e-6, f"{count} of {n} is no draw with p = {p}"


def batch(rows=200, words=40, padding=7):
    """[CLS] words [SEP] [PAD] ..."""
    rng = np.random.default_rng(3)
    ids = np.zeros((rows, words + 2 + padding), dtype=np.int64)
    ids[:, 0], ids[:, words + 1] = 2, 3
    ids[:, 1 : words + 1] = rng.integers(FIRST_WORD, FIRST_PIECE, (rows, words))
    return ids


def test_as_many_as_published_and_never_a_special_token():
    ids = batch()
    chosen = TokenMasker(TOKENIZER)(ids, np.random.default_rng(1)).labels != -100
    assert (chosen.sum(axis=1) == 6).all()  # 15 % of 40
    assert not chosen[ids < FIRST_WORD].any()


@pytest.mark.parametrize(("n", "wanted"), [(1, 1), (3, 1), (9, 1), (11, 2), (24, 4), (37, 6)])
def test_the_number_is_rounded_and_at_least_one(n, wanted):
    ids = np.concatenate([[2], np.arange(n) % 40 + FIRST_WORD, [3, 0, 0]])[None]
    masked = TokenMasker(TOKENIZER)(ids, np.random.default_rng(n))
    assert (masked.labels != -100).sum() == wanted == max(1, round(0.15 * n))


def test_every_position_is_equally_likely():
    chosen = TokenMasker(TOKENIZER)(batch(4000), np.random.default_rng(2)).labels != -100
    for position in range(1, 41):
        assert_binomial(int(chosen[:, position].sum()), 4000, 6 / 40)


def test_eighty_ten_ten():
    ids = batch(1000)
    out, labels = TokenMasker(TOKENIZER)(ids, np.random.default_rng(4))
    chosen = labels != -100
    n = int(chosen.sum())
    same = int((out == ids)[chosen].sum())
    masked = int((out == 4)[chosen].sum())
    assert n == 6000
    assert_binomial(masked, n, 0.8)
    # a random token is the old one by chance once in 60 times
    assert_binomial(same, n, 0.1 + 0.1 / 60)
    assert_binomial(n - same - masked, n, 0.1 * 59 / 60)


def test_random_tokens_come_from_all_ordinary_ids():
    ids = batch(6000)
    out, labels = TokenMasker(TOKENIZER)(ids, np.random.default_rng(5))
    strange = (labels != -100) & (out != ids) & (out != 4)
    found = np.bincount(out[strange], minlength=V)
    assert not found[:FIRST_WORD].any()
    assert (found[FIRST_WORD:] > 0).all()
    pieces = int(found[FIRST_PIECE:].sum())
    assert_binomial(pieces, int(found.sum()), 20 / 59.5)  # an old token is a word, never itself


def test_labels_are_the_old_tokens_and_the_rest_is_untouched():
    ids = batch(50)
    before = ids.copy()
    out, labels = TokenMasker(TOKENIZER)(ids, np.random.default_rng(6))
    chosen = labels != -100
    np.testing.assert_array_equal(ids, before)
    np.testing.assert_array_equal(labels[chosen], ids[chosen])
    np.testing.assert_array_equal(out[~chosen], ids[~chosen])


def words_of(row):
    """Positions of the pieces of each word of a row, by hand."""
    groups = []
    for position, number in enumerate(row):
        if number >= FIRST_PIECE and groups and groups[-1][-1] == position - 1:
            groups[-1].append(position)
        elif number >= FIRST_WORD:
            groups.append([position])
    return groups


def ragged(rows=300):
    rng = np.random.default_rng(7)
    ids = np.zeros((rows, 34), dtype=np.int64)
    for row in ids:
        n = int(rng.integers(1, 32))
        body = np.where(
            rng.random(n) < 0.6, rng.integers(FIRST_WORD, FIRST_PIECE, n),
            rng.integers(FIRST_PIECE, V, n),
        )  # fmt: skip
        row[: n + 2] = [2, *body, 3]
    return ids


def test_whole_words_are_hidden_together_and_not_more_than_wanted():
    ids = ragged()
    chosen = TokenMasker(TOKENIZER, whole_words=True)(ids, np.random.default_rng(8)).labels != -100
    exact = 0
    for row, picked in zip(ids, chosen, strict=True):
        groups = words_of(row)
        for group in groups:
            assert picked[group].all() or not picked[group].any()
        wanted = max(1, round(0.15 * sum(map(len, groups))))
        taken = [len(group) for group in groups if picked[group].all()]
        left = [len(group) for group in groups if not picked[group].any()]
        assert taken
        # greedy: what was passed over did not fit; one word alone may be too long
        assert sum(taken) <= wanted or len(taken) == 1
        if sum(taken) < wanted:
            assert all(size > wanted - sum(taken) for size in left)
        exact += sum(taken) == wanted
    assert exact > 200


def test_a_word_longer_than_the_share_is_still_a_question():
    ids = np.array([[2, 5, 45, 46, 47, 3]])  # one word of four pieces; 15 % would be one
    labels = TokenMasker(TOKENIZER, whole_words=True)(ids, np.random.default_rng(0)).labels
    assert labels.tolist() == [[-100, 5, 45, 46, 47, -100]]


def test_a_single_token_goes_before_a_word_that_is_too_long():
    ids = np.array([[2, 5, 45, 6, 3]] * 40)  # 15 % of three is rounded to none, so one is hidden
    labels = TokenMasker(TOKENIZER, whole_words=True)(ids, np.random.default_rng(0)).labels
    assert (labels == [-100, -100, -100, 6, -100]).all()


def test_a_row_may_begin_with_a_piece():
    ids = np.array([[45, 46, 5, 6]])
    masker = TokenMasker(TOKENIZER, whole_words=True, probability=0.5)
    picked = {tuple(np.flatnonzero(masker(ids, np.random.default_rng(s)).labels[0] != -100))
              for s in range(40)}  # fmt: skip
    assert picked == {(0, 1), (2, 3)}


def test_without_whole_words_pieces_are_separated():
    ids = np.array([[2, *[5, 45, 46, 47] * 8, 3]])
    chosen = (TokenMasker(TOKENIZER)(ids, np.random.default_rng(0)).labels != -100)[0]
    assert any(chosen[group].any() and not chosen[group].all() for group in words_of(ids[0]))


def test_a_piece_behind_a_special_token_is_a_word():
    ids = np.array([[2, 45, 3, 46, 3]])
    masker = TokenMasker(TOKENIZER, whole_words=True)
    picked = {tuple(np.flatnonzero(masker(ids, np.random.default_rng(s)).labels[0] != -100))
              for s in range(20)}  # fmt: skip
    assert picked == {(1,), (3,)}


def test_same_seed_same_bits_and_other_seeds_differ():
    ids, masker = batch(5), TokenMasker(TOKENIZER)
    first, again, other = (masker(ids, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.input_ids, again.input_ids)
    assert (first.labels != other.labels).any()


def test_probability_one_asks_for_everything():
    ids = batch(3)
    labels = TokenMasker(TOKENIZER, probability=1.0)(ids, np.random.default_rng(1)).labels
    assert ((labels != -100) == (ids >= FIRST_WORD)).all()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[2, 3, 0]], "row 0 has only special tokens"),
        ([2, 5, 3], r"shape \(B, T\), got \(3,\)"),
        ([[2.0, 5.0]], "must be integers"),
        ([[2, 65, 3]], "id 65 is not in the vocabulary of 65"),
        ([[2, -1, 3]], "id -1 is not in the vocabulary"),
    ],
)
def test_bad_ids(ids, message):
    with pytest.raises(ValueError, match=message):
        TokenMasker(TOKENIZER)(ids, np.random.default_rng(0))


@pytest.mark.parametrize("probability", [0, -0.1, 1.5, math.nan])
def test_bad_probability(probability):
    with pytest.raises(ValueError, match="probability must be within"):
        TokenMasker(TOKENIZER, probability=probability)


def test_a_tokenizer_without_a_mask():
    with pytest.raises(ValueError, match="CharTokenizer has no mask token"):
        TokenMasker(CharTokenizer.train(["abc"]))
    with pytest.raises(ValueError, match="nothing but special tokens"):
        TokenMasker(BertTokenizer(SPECIAL))
