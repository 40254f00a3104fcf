"""What all tokenizers ask of their arguments, and the one sentence for each that is wrong."""

import re

import pytest

from minillm.tokenizers import BertTokenizer, GPT2Tokenizer
from minillm.tokenizers.bert import SPECIAL

FIVE = list(SPECIAL.values())
SUBWORDS = [GPT2Tokenizer, BertTokenizer]


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
