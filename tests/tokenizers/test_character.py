"""The character tokenizer."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.tokenizers import CharTokenizer


@given(st.text(min_size=1))
def test_any_text_comes_back(text):
    tokenizer = CharTokenizer.train([text])
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(np.array(ids)) == text


@given(st.lists(st.text(), min_size=1).filter(any))
def test_ids_are_the_characters_in_code_point_order(texts):
    tokenizer = CharTokenizer.train(texts)
    assert tokenizer.characters == sorted(set("".join(texts)))
    assert len(tokenizer) == tokenizer.vocab_size == len(set("".join(texts)))
    assert tokenizer.encode("".join(tokenizer.characters)) == list(range(len(tokenizer)))


@given(st.text(min_size=1))
def test_a_saved_vocabulary_is_the_same_when_loaded(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("vocabulary")
    tokenizer = CharTokenizer.train([text])
    tokenizer.save_pretrained(folder / "new")
    loaded = CharTokenizer.from_pretrained(folder / "new")
    assert loaded.characters == tokenizer.characters
    assert loaded.encode(text) == tokenizer.encode(text)


def test_a_known_character_fills_up_and_is_saved(tmp_path):
    tokenizer = CharTokenizer.train(["abc\n"])  # \n a b c
    assert tokenizer.pad_token is tokenizer.pad_token_id is None
    tokenizer.pad_token = "c"
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("c", 3)
    out = tokenizer(["ab", "b"], padding=True)
    assert out.input_ids.tolist() == [[1, 2], [2, 3]]
    assert out.attention_mask.tolist() == [[1, 1], [1, 0]]
    assert tokenizer.encode("abc") == [1, 2, 3]  # a character like any other all the same
    tokenizer.save_pretrained(tmp_path)
    assert CharTokenizer.from_pretrained(tmp_path).pad_token_id == 3
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "char_tokenizer.json").read_text(encoding="utf-8"))
    assert set(values) == {"type", "characters"}  # as before there was padding
    assert CharTokenizer.from_pretrained(tmp_path).pad_token is None


@pytest.mark.parametrize("text", ["ab\nc d", "ab c", "abc"])
def test_what_to_do_without_a_padding_character_is_true(text):
    tokenizer = CharTokenizer.train([text])
    with pytest.raises(ValueError, match="CharTokenizer has no padding token") as caught:
        tokenizer(["a", "ab"], padding=True)
    code = str(caught.value).partition("for example ")[2]
    exec(code, {"tokenizer": tokenizer})
    assert tokenizer(["a", "ab"], padding=True).input_ids.shape == (2, 2)


@pytest.mark.parametrize("token", ["é", "ab", "", 5, ["a"]])
def test_a_padding_character_must_be_known(token):
    tokenizer = CharTokenizer.train(["abc d"])
    with pytest.raises(ValueError, match=r"pad_token: .* is not among the 5 char.* such as ' '"):
        tokenizer.pad_token = token
    with pytest.raises(ValueError, match="pad_token: "):
        CharTokenizer("abc d", pad_token=token)
    with pytest.raises(AttributeError, match=r"tokenizer\.pad_token = "):
        tokenizer.pad_token_id = 0


def test_ids_by_hand():
    tokenizer = CharTokenizer.train(["banana"])
    assert tokenizer.encode("nab") == [2, 0, 1]
    assert tokenizer.decode([1, 0, 2, 0]) == "bana"
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


def test_a_smaller_vocabulary_keeps_the_most_frequent():
    tokenizer = CharTokenizer.train(["aab", "bbc", "zzzz"], vocab_size=3)  # z 4, b 3, a 2, c 1
    assert tokenizer.characters == ["a", "b", "z"]


def test_an_unknown_character_is_named_with_its_position():
    tokenizer = CharTokenizer.train(["hello"])
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\) at position 2.* 4 characters"):
        tokenizer.encode("heéélé")


@pytest.mark.parametrize(("ids", "bad"), [([0, 4], 4), ([-1], -1), (np.array([[1, 9]]), 9)])
def test_an_unknown_id_is_named(ids, bad):
    tokenizer = CharTokenizer.train(["hello"])  # e h l o
    with pytest.raises(ValueError, match=rf"id {bad} is outside the vocabulary 0 … 3"):
        tokenizer.decode(ids)


def test_ids_that_are_not_integers_are_refused():
    with pytest.raises((TypeError, ValueError), match="integer"):
        CharTokenizer.train(["hello"]).decode([0.7, 1.2])


def test_a_string_instead_of_a_list_of_texts_is_explained():
    with pytest.raises(TypeError, match="list of texts"):
        CharTokenizer.train("hello")


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_training_on_nothing_is_refused(texts):
    with pytest.raises(ValueError, match="empty"):
        CharTokenizer.train(texts)


@pytest.mark.parametrize("size", [0, -1])
def test_a_vocabulary_size_below_one_is_refused(size):
    with pytest.raises(ValueError, match=r"at least one|vocab_size"):
        CharTokenizer.train(["hello"], vocab_size=size)


@pytest.mark.parametrize("characters", [[], ["ab"], [""]])
def test_characters_must_be_single(characters):
    with pytest.raises(ValueError, match="length 1"):
        CharTokenizer(characters)


def test_a_character_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        CharTokenizer("aba")


def write(folder, content):
    (folder / "char_tokenizer.json").write_text(content, encoding="utf-8")


def test_a_missing_vocabulary_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"char_tokenizer\.json"):
        CharTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"type": "char',
        '["a", "b"]',
        '{"type": "bpe", "characters": ["a"]}',
        '{"type": "character"}',
        json.dumps({"type": "character", "characters": ["ab"]}),
        json.dumps({"type": "character", "characters": 5}),
        json.dumps({"type": "character", "characters": ["a"], "pad_token": "b"}),
    ],
)
def test_a_broken_vocabulary_names_the_file(tmp_path, content):
    write(tmp_path, content)
    with pytest.raises(ValueError, match=r"char_tokenizer\.json"):
        CharTokenizer.from_pretrained(tmp_path)
