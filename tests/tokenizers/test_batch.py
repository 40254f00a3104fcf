"""Calling a tokenizer: shapes, types and errors; the values stand in test_goldens.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.tokenizers import BertTokenizer, CharTokenizer, GPT2Tokenizer
from minillm.tokenizers.batch import Encoding, truncate

BERT = BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
GPT2 = GPT2Tokenizer.train(["a b"], 257)
CHARACTERS = CharTokenizer.train(["ab "])


@given(
    st.integers(0, 12), st.integers(0, 12), st.integers(0, 25), st.sampled_from(["right", "left"])
)
def test_longest_first_cuts_as_little_as_possible_and_evenly(n1, n2, room, side):
    first, second = list(range(n1)), list(range(100, 100 + n2))
    a, b = truncate(first, second, room, "longest_first", side)
    assert len(a) + len(b) == min(n1 + n2, room)
    assert a == (first[: len(a)] if side == "right" else first[n1 - len(a) :])
    assert b == (second[: len(b)] if side == "right" else second[n2 - len(b) :])
    if len(a) < n1 and len(b) < n2:
        assert abs(len(a) - len(b)) <= 1
    elif len(a) < n1:  # the shorter one is whole; an odd room may be short of one id for the longer
        assert len(a) >= len(b) - 1
    elif len(b) < n2:
        assert len(b) >= len(a) - 1


def test_one_text_has_one_axis_and_several_have_two():
    assert GPT2("a b").input_ids.shape == (3,)
    assert GPT2("a b", return_tensors="np").input_ids.shape == (1, 3)
    out = BERT(["a b", "a"], padding=True)
    assert {name: (rows.shape, rows.dtype) for name, rows in out.items()} == {
        name: ((2, 4), np.dtype("int64"))
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    assert out.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert [row.shape for row in BERT(["a b", "a"]).input_ids] == [(4,), (3,)]
    assert BERT([], return_tensors="np").input_ids.shape == (0, 0)
    assert BERT([]).input_ids == []


def test_only_models_with_types_get_them_unless_asked_for():
    assert set(GPT2("a")) == set(CHARACTERS("a")) == {"input_ids", "attention_mask"}
    assert GPT2("a", "b", return_token_type_ids=True).token_type_ids.tolist() == [0, 1]
    assert set(BERT("a", return_token_type_ids=False)) == {"input_ids", "attention_mask"}


def test_pairs_may_be_two_lists_or_a_list_of_two():
    one = BERT(["a", "b"], ["b b", "a"], padding=True)
    two = BERT([("a", "b b"), ["b", "a"]], padding=True)
    assert one.input_ids.tolist() == two.input_ids.tolist()
    assert one.token_type_ids.tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0]]


def test_sides_may_be_given_in_the_call():
    assert (
        BERT(["a b", "a"], padding=True, padding_side="left").input_ids[1, 0] == BERT.pad_token_id
    )
    assert BERT.padding_side == "right"


def test_the_largest_length_of_the_model_is_the_default():
    tokenizer = BertTokenizer([*BERT.get_vocab()], model_max_length=4)
    assert tokenizer("a b a b", truncation=True).input_ids.tolist() == [2, 5, 6, 3]
    assert tokenizer("a", padding="max_length").input_ids.tolist() == [2, 5, 3, 0]
    with pytest.warns(UserWarning, match="no model_max_length: nothing is cut"):
        assert len(BERT("a b a b", truncation=True).input_ids) == 6


def test_a_batch_reads_like_its_rows():
    texts = ["a b", "", "ab ba"]
    out = GPT2(texts)
    assert [row.tolist() for row in out.input_ids] == [GPT2.encode(text) for text in texts]
    assert GPT2.batch_decode(out.input_ids) == texts
    assert CHARACTERS.batch_decode(CHARACTERS(texts).input_ids) == texts


def test_an_encoding_names_what_it_has():
    assert Encoding(a=1).a == 1
    with pytest.raises(AttributeError, match="has a, and no 'b'"):
        _ = Encoding(a=1).b


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BERT("a", return_tensors="pt"), ValueError, "must be \"np\" or None, got 'pt'"),
        (lambda: BERT("a", padding="long"), ValueError, "padding must be one of False, True"),
        (lambda: BERT("a", padding=None), ValueError, "padding must be one of"),
        (lambda: BERT("a", padding=2), ValueError, "padding must be one of .* got 2"),
        (lambda: BERT("a", truncation="x"), ValueError, "truncation must be one of None, False"),
        (
            lambda: BERT("a", max_length=-1),
            ValueError,
            "BertTokenizer: max_length must be an integer",
        ),
        (lambda: BERT("a", padding="max_length"), ValueError, "needs max_length="),
        (lambda: BERT("a", truncation=True, max_length=1), ValueError, "the 2 special tokens"),
        (
            lambda: BERT("a b", padding="max_length", max_length=3),
            ValueError,
            "a row has 4 ids, more than max_length=3; add truncation=True",
        ),
        (
            lambda: BERT("a", "a b a b", truncation="only_first", max_length=6),
            ValueError,
            "'only_first' cannot take 2 ids away",
        ),
        (
            lambda: BERT("a b a", "a", truncation="only_second", max_length=6),
            ValueError,
            "'only_second' cannot take 1 ids away",
        ),
        (
            lambda: BERT("a a", truncation="only_second", max_length=3),
            ValueError,
            "needs a text_pair",
        ),
        (lambda: BERT(["a", "a b"], return_tensors="np"), ValueError, "add padding=True"),
        (lambda: GPT2(["a", "b"], padding=True), ValueError, "GPT2Tokenizer has no padding token"),
        (lambda: CHARACTERS(["a"], padding=True), ValueError, "CharTokenizer has no padding token"),
        (lambda: BERT(3), TypeError, "must be a string or a list of strings, got int"),
        (lambda: BERT(b"a"), TypeError, "got bytes"),
        (lambda: BERT(["a", 3]), TypeError, "number 1 is 3"),
        (lambda: BERT([("a", "b", "c")]), TypeError, "number 0 is"),
        (lambda: BERT("a", ["b"]), TypeError, "text_pair must be a string like text, got list"),
        (lambda: BERT(["a", "b"], "b"), ValueError, "each of the 2: a string"),
        (lambda: BERT(["a", "b"], ["b"]), ValueError, "each of the 2: 1 texts"),
        (lambda: BERT(["a"], padding=True, padding_side="up"), ValueError, "padding_side must be"),
        (lambda: truncate([1, 2], None, 1, "longest_first", "up"), ValueError, "truncation_side"),
    ],
)
def test_bad_input_gets_one_sentence(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
