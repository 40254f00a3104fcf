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
