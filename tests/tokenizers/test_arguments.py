"""What all tokenizers ask of their arguments, and the one sentence for each that is wrong."""

import re

import numpy as np
import pytest

from minillm import Tensor
from minillm.tokenizers import BertTokenizer, CharTokenizer, GPT2Tokenizer
from minillm.tokenizers.bert import SPECIAL

FIVE = list(SPECIAL.values())
SUBWORDS = [GPT2Tokenizer, BertTokenizer]
ALL = [
    CharTokenizer.train(["abc"]),
    GPT2Tokenizer.train(["abc"], 300, progress=False),
    BertTokenizer([*FIVE, "a", "b"]),
]


def refused(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", SUBWORDS)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[X]", re.escape('special_tokens must be a list: ["[X]"], not "[X]"')),
        (None, "must be a list of strings, got None"),
        (["[X]", 5], "number 1 is 5"),
    ],
)
def test_special_tokens_are_a_list_of_strings(kind, given, message):
    refused(lambda: kind.train(["abc"], 300, special_tokens=given), TypeError, message)
    vocab = [{"a": 0}, []] if kind is GPT2Tokenizer else [FIVE]
    refused(lambda: kind(*vocab, special_tokens=given), TypeError, message)


def test_a_padding_token_is_asked_for_in_words_that_work():
    """GPT-2 pads with <|endoftext|>; a tokenizer without an end of a text needs a new token."""
    tokenizer = GPT2Tokenizer.train(["abc"], 300)
    refused(lambda: tokenizer(["a", "bc"], padding=True), ValueError, "= tokenizer.eos_token")
    tokenizer.pad_token = tokenizer.eos_token
    assert tokenizer(["a", "bc"], padding=True).input_ids.shape == (2, 2)
    tokenizer = GPT2Tokenizer.train(["abc"], 300, special_tokens=[])
    refused(lambda: tokenizer(["a", "bc"], padding=True), ValueError, r'special_tokens=\["<|pad|>"')
    refused(lambda: setattr(tokenizer, "pad_token", "<|pad|>"), ValueError, "a token that is, or")
    refused(lambda: setattr(tokenizer, "pad_token", ["a"]), ValueError, "'a'")
    tokenizer = GPT2Tokenizer.train(["abc"], 300, special_tokens=["<|pad|>"])
    tokenizer.pad_token = "<|pad|>"
    assert tokenizer(["a", "bc"], padding=True).input_ids.tolist()[0][1] == 0


# ---------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("tokenizer", ALL, ids=repr)
@pytest.mark.parametrize("number", ["2", 2.5, True, -1])
def test_max_length_is_a_whole_number(tokenizer, number):
    message = (
        f"{type(tokenizer).__name__}: max_length must be an integer of at least 0, got {number!r}"
    )
    for options in ({}, {"truncation": True}, {"padding": "max_length"}):
        refused(lambda o=options: tokenizer("abc", max_length=number, **o), ValueError, message)
    assert len(tokenizer("ab", max_length=np.int64(2)).input_ids) == 2


@pytest.mark.parametrize("kind", SUBWORDS)
@pytest.mark.parametrize("number", ["2", 2.0, 0, -1, None])
def test_counts_in_training_are_whole_numbers_above_0(kind, number):
    message = (
        f"{kind.__name__}.train: min_frequency must be an integer of at least 1, got {number!r}"
    )
    refused(lambda: kind.train(["abc"], 300, min_frequency=number), ValueError, message)
    if kind is BertTokenizer and number is not None:
        message = message.replace("min_frequency", "limit_alphabet")
        refused(lambda: kind.train(["abc"], 300, limit_alphabet=number), ValueError, message)


def test_lengths_that_a_tokenizer_keeps_are_whole_numbers():
    for name in ("model_max_length", "max_input_chars_per_word"):
        message = f"BertTokenizer: {name} must be an integer of at least 1, got '9'"
        refused(lambda n=name: BertTokenizer(FIVE, **{n: "9"}), ValueError, message)


# --------------------------------------------------------------------------- texts and ids


@pytest.mark.parametrize("tokenizer", ALL, ids=repr)
def test_what_is_no_text_is_refused(tokenizer):
    refused(lambda: tokenizer.encode(None), TypeError, "a text must be a string, got NoneType")
    kind = type(tokenizer)
    refused(lambda: kind.train([None], vocab_size=300), TypeError, "must be a string, got NoneType")
    refused(lambda: kind.train(None, vocab_size=300), TypeError, "a list of texts, got NoneType")


def test_what_are_no_characters_is_refused():
    for characters in (None, 5, [1], [None]):
        refused(lambda c=characters: CharTokenizer(c), ValueError, "each a string of length 1")


@pytest.mark.parametrize("tokenizer", ALL, ids=repr)
def test_ids_may_come_as_anything_that_holds_integers(tokenizer):
    ids = [1, 0, 2]
    text = tokenizer.decode(ids)
    forms = [tuple(ids), np.array(ids), np.array(ids, dtype=np.uint8), Tensor(np.array(ids))]
    for given in [
        *forms,
        iter(ids),
        [np.int64(i) for i in ids],
        [Tensor(np.array(i)) for i in ids],
    ]:
        assert tokenizer.decode(given) == text
    for one in (1, np.int64(1), np.array(1), Tensor(np.array(1))):
        assert tokenizer.decode(one) == tokenizer.decode([1])
    for nothing in ([], (), np.zeros(0)):
        assert tokenizer.decode(nothing) == ""
    assert tokenizer.batch_decode(Tensor(np.array([ids, ids]))) == [text, text]


@pytest.mark.parametrize("tokenizer", ALL[1:], ids=repr)
def test_tokens_of_ids_may_be_asked_for_in_the_same_forms(tokenizer):
    names = tokenizer.convert_ids_to_tokens([1, 0])
    assert tokenizer.convert_ids_to_tokens(Tensor(np.array([1, 0]))) == names
    assert tokenizer.convert_ids_to_tokens(iter([1, 0])) == names
    assert tokenizer.convert_ids_to_tokens(Tensor(np.array(1))) == names[0]


@pytest.mark.parametrize("tokenizer", ALL, ids=repr)
@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (None, TypeError, "ids must be an integer or a list of integers, got NoneType"),
        (2.5, TypeError, "got float"),
        (True, TypeError, "got bool"),
        ("ab", TypeError, "got str"),
        ({"input_ids": [1]}, TypeError, "got dict"),
        ([None], TypeError, "ids must be integers, got object"),
        (Tensor(np.array([1.0])), TypeError, "ids must be integers, got float64"),
        ([[1], [1, 2]], ValueError, "rows of different lengths: use batch_decode"),
    ],
)
def test_ids_that_are_none_get_one_sentence(tokenizer, ids, error, message):
    refused(lambda: tokenizer.decode(ids), error, message)


@pytest.mark.parametrize("rows", [None, 5, "ab"])
def test_rows_that_are_none_get_one_sentence(rows):
    message = f"batch_decode takes rows of ids, got {type(rows).__name__}"
    refused(lambda: ALL[0].batch_decode(rows), TypeError, message)
