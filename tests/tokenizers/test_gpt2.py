"""Byte-level BPE: round trips, worked examples, special tokens, files, and every error."""

import json
import re
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.tokenizers import GPT2Tokenizer
from minillm.tokenizers.base import AddedToken
from minillm.tokenizers.byte_symbols import BYTES, SYMBOLS, to_bytes, to_symbols
from minillm.tokenizers.gpt2 import CACHED_LENGTH, merge_word

END = "<|endoftext|>"
TEXT = "the keeper keeps the keys; the keys are the keeper's 1 11 111 灯塔 灯塔\n\n  the end"
TOKENIZER = GPT2Tokenizer.train([TEXT], 300)


def naive_merge(ids, ranks):
    """One merge at a time, always looking at all pairs."""
    ids = list(ids)
    while True:
        found = [(ranks[p], i) for i, p in enumerate(pairwise(ids)) if p in ranks]
        if not found:
            return ids
        (_, new), i = min(found, key=lambda item: (item[0][0], item[1]))
        ids[i : i + 2] = [new]


@given(st.text())
def test_any_text_comes_back(text):
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.decode(np.array(ids, dtype=np.int32)) == text
    assert TOKENIZER.encode_bytes(text.encode()) == ids


@given(st.text(alphabet=f"{TEXT}{END} \t\r\n'", max_size=60))
def test_any_text_in_the_alphabet_of_the_training_comes_back(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert TOKENIZER.decode(TOKENIZER.encode(text, split_special_tokens=True)) == text


@given(st.binary())
def test_any_bytes_come_back(data):
    assert TOKENIZER.decode_bytes(TOKENIZER.encode_bytes(data)) == data


@given(
    st.lists(st.integers(0, 5), max_size=30),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), unique=True, max_size=12),
)
def test_the_heap_merges_like_looking_at_all_pairs(ids, pairs):
    ranks = {pair: (rank, 6 + rank) for rank, pair in enumerate(pairs)}
    steps = []
    assert merge_word(ids, ranks, steps) == naive_merge(ids, ranks)
    assert len(steps) == len(ids) - len(naive_merge(ids, ranks))


def test_symbols_are_those_of_gpt2():
    assert len(set(SYMBOLS)) == len(BYTES) == 256
    assert to_symbols(b" \n\x00\x7f\xa0\xad\xff") == "ĠĊĀġłŃÿ"
    assert to_bytes("Ġ世") == "Ġ世".encode()  # not made of symbols: literally itself


def test_ids_are_special_tokens_then_bytes_then_merges():
    tokenizer = GPT2Tokenizer.train(["aaab"] * 2, 260, special_tokens=["<s>", "</s>"])
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 257]) == [
        "<s>",
        "</s>",
        "!",
        sorted(SYMBOLS)[-1],
    ]
    # a a occurs twice in aaab, then aa a and a b once each; the words are one word, twice
    assert tokenizer.merges == [("a", "a"), ("a", "b")]
    assert tokenizer.encode("aaab</s>") == [258, 259, 1]
    assert tokenizer.eos_token is None


def test_words_take_their_space_along():
    tokenizer = GPT2Tokenizer.train(["ab ab  ab"], 259)
    assert tokenizer.tokenize(" ab  ab") == ["Ġab", "Ġ", "Ġab"]


def test_special_tokens_are_found_literally_unless_told_otherwise():
    ids = TOKENIZER.encode(f"a{END}b")
    assert ids.count(TOKENIZER.eos_token_id) == 1
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "ab"
    plain = TOKENIZER.encode(f"a{END}b", split_special_tokens=True)
    assert TOKENIZER.eos_token_id not in plain
    assert TOKENIZER.decode(plain, skip_special_tokens=True) == f"a{END}b"


def test_special_tokens_are_no_material_for_training():
    tokenizer = GPT2Tokenizer.train([f"ab{END}cd" * 9], 400)
    assert all("<" not in "".join(merge) for merge in tokenizer.merges)


def test_of_two_special_tokens_the_longer_is_found():
    tokenizer = GPT2Tokenizer.train(["x"], 258, special_tokens=["<a>", "<a><b>"])
    assert tokenizer.encode("<a><b><a>") == [1, 0]


def test_digits_are_split_if_asked_for():
    vocab = {**TOKENIZER.get_vocab(), "12": 300}
    merges = [*TOKENIZER.merges, ("1", "2")]
    assert GPT2Tokenizer(vocab, merges).tokenize("12") == ["12"]
    split = GPT2Tokenizer(vocab, merges, split_digits=True)
    assert split.tokenize("x  12½") == ["x", *split.tokenize("  "), "1", "2", *split.tokenize("½")]


def test_merges_may_be_strings_or_pairs_and_special_tokens_have_ids():
    vocab = {"a": 0, "b": 1, "ab": 2}
    one = GPT2Tokenizer(vocab, ["a b"], special_tokens={"<s>": 7})
    two = GPT2Tokenizer(vocab, [("a", "b")], special_tokens=["<s>"], bos_token="<s>")
    assert one.encode("<s>ab") == [7, 2]
    assert two.encode("<s>ab") == [3, 2]
    assert (len(one), len(two), one.bos_token_id, two.bos_token_id) == (8, 4, None, 3)


def test_a_byte_without_token_is_unknown():
    known = GPT2Tokenizer({"a": 0, "<unk>": 1}, [], unk_token="<unk>")
    assert known.encode("ab") == [0, 1]
    with pytest.raises(ValueError, match=r"the byte 0x62 of 'b' has no token .* no unk_token"):
        GPT2Tokenizer({"a": 0}, []).encode("b")


def test_bytes_that_are_half_a_character_become_the_replacement_sign():
    ids = TOKENIZER.encode_bytes("é".encode()[:1])
    assert TOKENIZER.decode(ids) == "\ufffd"
    assert TOKENIZER.decode_bytes(ids) == b"\xc3"


def test_very_long_words_are_not_slow_and_not_remembered():
    start = time.perf_counter()
    ids = TOKENIZER.encode(
        "keep" * 50_000
    )  # one word; trying every pair for each merge takes hours
    assert time.perf_counter() - start < 20
    assert TOKENIZER.decode(ids) == "keep" * 50_000
    assert max(map(len, TOKENIZER._cache)) <= CACHED_LENGTH


def test_explain_ends_in_the_ids_of_encode_and_fits_the_width():
    text = f"the keeper{END} 灯塔\x01 " + "keys" * 40 + " the"
    explanation = TOKENIZER.explain(text)
    tokens = [number for section in explanation.sections for number, _ in section.tokens]
    assert tokens == TOKENIZER.encode(text)
    out = str(explanation)
    assert max(map(len, out.splitlines())) <= 88
    assert '"\\x01"' in out
    assert all(c.isprintable() or c == "\n" for c in out)
    assert f"{len(tokens)} tokens" in out
    page = explanation._repr_html_()
    assert page.count("<table>") == page.count("</table>") > 1
    assert "&lt;|endoftext|&gt;" in page
    assert END not in page


def test_explain_shows_each_merge_with_its_rank():
    tokenizer = GPT2Tokenizer({"a": 0, "b": 1, "ab": 2, "aba": 3}, ["a b", "ab a"])
    lines = str(tokenizer.explain("abab")).splitlines()
    assert lines[0] == "1 word, 4 bytes -> 2 tokens"
    assert [line.split() for line in lines[4:]] == [
        ["a", "b", "a", "b"],
        ["1", "a", "+", "b", "ab", "a", "b"],
        ["ab", "ab"],
        ["ids:", "2", "ab,", "2", "ab"],
    ]


# ------------------------------------------------------------------------------------ files


def test_a_saved_tokenizer_is_the_same_when_loaded(tmp_path):
    tokenizer = GPT2Tokenizer(
        TOKENIZER.get_vocab(),
        TOKENIZER.merges,
        special_tokens=[END, AddedToken("<m>", lstrip=True, special=False)],
        eos_token=END,
        pad_token=END,
        split_digits=True,
        chat_template="{{ messages }}",
        model_max_length=77,
    )
    tokenizer.padding_side = tokenizer.truncation_side = "left"
    tokenizer.save_pretrained(tmp_path / "new")
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {
        "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
    }  # fmt: skip
    loaded = GPT2Tokenizer.from_pretrained(tmp_path / "new")
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.merges == tokenizer.merges
    for name in (
        "eos_token", "pad_token", "pad_token_id", "split_digits", "chat_template", "model_max_length",
        "padding_side", "truncation_side", "all_special_ids", "vocab_size", "_added",
    ):  # fmt: skip
        assert getattr(loaded, name) == getattr(tokenizer, name), name
    text = f"{TEXT} 123  <m> a{END}"
    assert loaded.encode(text) == tokenizer.encode(text)


def test_merges_that_begin_with_a_hash_are_no_comments(tmp_path):
    GPT2Tokenizer.train(["## ## ##"], 258).save_pretrained(tmp_path)
    assert GPT2Tokenizer.from_pretrained(tmp_path).merges == [("#", "#")]
    path = tmp_path / "merges.txt"
    path.write_bytes(b"# #\r\n")  # without the version, with the line ends of Windows
    assert GPT2Tokenizer.from_pretrained(tmp_path).merges == [("#", "#")]


def test_plain_files_of_gpt2_get_its_roles(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, END: 1}), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer = GPT2Tokenizer.from_pretrained(tmp_path)
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == tokenizer.unk_token_id == 1
    assert tokenizer.pad_token is None
    assert tokenizer.encode(f"a{END}") == [0, 1]


def test_settings_may_be_strings_or_objects_and_a_template_a_file(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    config = {
        "pad_token": {"content": "<pad>", "lstrip": False},
        "added_tokens_decoder": {"310": {"content": "<pad>", "special": True}},
        "additional_special_tokens": ["<more>"],
        "model_max_length": 10**30,
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": "<more>"}', encoding="utf-8")
    (tmp_path / "added_tokens.json").write_text('{"<old>": 305}', encoding="utf-8")
    (tmp_path / "chat_template.jinja").write_text("{{ x }}", encoding="utf-8")
    tokenizer = GPT2Tokenizer.from_pretrained(tmp_path)
    assert (tokenizer.pad_token_id, tokenizer.eos_token) == (310, "<more>")
    assert tokenizer.encode("<old><pad><more>") == [305, 310, 311]
    assert tokenizer.model_max_length is None
    assert tokenizer.chat_template == "{{ x }}"
    assert tokenizer.decode([305, 310], skip_special_tokens=True) == "<old>"


# ----------------------------------------------------------------------------------- errors


def saved(folder):
    TOKENIZER.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("merges.txt", "#version: 0.2\nq z\n", r"merges\.txt: merge 1, 'q' 'z', needs .*'qz'"),
        ("merges.txt", "#version: 0.2\na b c\n", r"merges\.txt, line 2: a merge is two .*'a b c'"),
        ("merges.txt", b"\xff\xfe", r"merges\.txt is not in UTF-8 \(byte 0\)"),
        ("vocab.json", "{", r"vocab\.json is not a JSON file"),
        ("vocab.json", "[1]", r"vocab\.json must hold a vocabulary.*not list"),
        ("vocab.json", '{"a": "x"}', r"vocab\.json: the id of 'a' must be an integer, got 'x'"),
        ("vocab.json", '{"a": 1, "b": 1}', r"id 1 is given to 'a' and to 'b'"),
        ("vocab.json", '{"a": -1}', r"the id of 'a' is -1, which is negative"),
        ("tokenizer_config.json", "[]", r"tokenizer_config\.json must hold an object"),
        ("tokenizer_config.json", '{"add_prefix_space": true}', "add_prefix_space=true is not"),
        ("tokenizer_config.json", '{"padding_side": "up"}', 'padding_side must be "left" or'),
        ("tokenizer_config.json", '{"model_max_length": 0}', "model_max_length must be a number"),
        ("tokenizer_config.json", '{"eos_token": 3}', r"tokenizer_config\.json: 3 is not a token"),
        (
            "tokenizer_config.json",
            '{"added_tokens_decoder": {"x": "a"}}',
            "added_tokens_decoder has 'x'",
        ),
        (
            "tokenizer_config.json",
            '{"added_tokens_decoder": {"0": "a"}}',
            r"the special token 'a' asks for id 0, .*'<\|endoftext\|>' there",
        ),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    data = content if isinstance(content, bytes) else content.encode()
    (saved(tmp_path) / name).write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        GPT2Tokenizer.from_pretrained(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def changed(*keys, value):
    tree = json.loads(json.dumps(SMALL))
    place = tree
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return tree


SMALL = {
    "added_tokens": [{"id": 2, "content": "<s>"}],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
    "post_processor": None,
    "model": {"type": "BPE", "vocab": {"a": 0, "aa": 1}, "merges": ["a a"]},
}
DIGITS = {"type": "Digits", "individual_digits": False}


def test_a_small_tokenizer_json_is_read(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(SMALL), encoding="utf-8")
    assert GPT2Tokenizer.from_pretrained(tmp_path).encode("aaa<s>") == [1, 0, 2]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (changed("model", "type", value="Unigram"), "of type Unigram; GPT2Tokenizer reads BPE"),
        (changed("model", "dropout", value=0.1), r"model\.dropout=0\.1 is not supported"),
        (changed("model", "byte_fallback", value=True), r"model\.byte_fallback=True"),
        (changed("model", "ignore_merges", value=True), r"model\.ignore_merges=True"),
        (changed("model", "end_of_word_suffix", value="</w>"), "end_of_word_suffix='</w>'"),
        (changed("model", "merges", value=None), "merges must be a list"),
        (changed("model", "merges", value=["aa"]), r"merge 1 must be two tokens.*'aa'"),
        (changed("model", "vocab", value=[]), "must hold a vocabulary"),
        (changed("normalizer", value={"type": "NFC"}), "normalizer="),
        (changed("pre_tokenizer", value={"type": "Split"}), r"pre-tokenizer \['Split'\]"),
        (changed("pre_tokenizer", value=None), r"pre-tokenizer \[None\]"),
        (changed("pre_tokenizer", "add_prefix_space", value=True), "add_prefix_space=True"),
        (
            changed(
                "pre_tokenizer",
                value={"type": "Sequence", "pretokenizers": [DIGITS, {"type": "ByteLevel"}]},
            ),
            "single digits",
        ),
        (
            changed(
                "post_processor", value={"type": "TemplateProcessing", "special_tokens": {"x": 1}}
            ),
            "adds special tokens",
        ),
        (changed("added_tokens", value={"x": 1}), "added_tokens must be a list"),
        ([], "must hold an object"),
    ],
)
def test_what_a_tokenizer_json_asks_for_in_vain_is_named(tmp_path, tree, message):
    (tmp_path / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        GPT2Tokenizer.from_pretrained(tmp_path)
    assert "tokenizer.json" in str(caught.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        GPT2Tokenizer.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no vocab\.json and no merges\.txt"):
        GPT2Tokenizer.from_pretrained(tmp_path)
    (saved(tmp_path) / "merges.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no merges\.txt: .*tokenizer\.json"):
        GPT2Tokenizer.from_pretrained(tmp_path)


def test_a_tokenizer_json_that_would_be_read_instead_is_not_overlooked(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileExistsError, match="would be read instead"):
        TOKENIZER.save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.json").exists()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: TOKENIZER.encode("a\ud800"), ValueError, r"position 1 .*U\+D800.*encode_bytes"),
        (lambda: TOKENIZER.encode(b"a"), TypeError, "must be a string, got bytes"),
        (lambda: TOKENIZER.decode([0, 300]), ValueError, "id 300 is not in the vocabulary of 276"),
        (lambda: TOKENIZER.decode([-1]), ValueError, "id -1 is not"),
        (lambda: TOKENIZER.decode([0.5]), TypeError, "ids must be integers, got float64"),
        (lambda: TOKENIZER.decode([[1], [2]]), ValueError, r"got \(2, 1\): use batch_decode"),
        (lambda: TOKENIZER.convert_tokens_to_ids(["Ġnot here"]), None, None),
        (lambda: GPT2Tokenizer.train("abc", 300), TypeError, r"train\(\[text\]"),
        (lambda: GPT2Tokenizer.train([], 300), ValueError, "the texts are empty"),
        (lambda: GPT2Tokenizer.train([""], 300), ValueError, "the texts are empty"),
        (lambda: GPT2Tokenizer.train(["a"], 256), ValueError, "256 is too small: .* need 257"),
        (lambda: GPT2Tokenizer.train(["a"], 300, special_tokens=["Ġa"]), ValueError, "b' a'"),
        (lambda: GPT2Tokenizer({"a": 0}, ["a b"]), ValueError, "merge 1, 'a' 'b', needs .*'b'"),
        (lambda: GPT2Tokenizer({"a": 0}, ["a"]), ValueError, "merge 1 must be two tokens"),
        (lambda: GPT2Tokenizer({"a": 0}, [], special_tokens="a"), TypeError, r'\["a"\]'),
        (lambda: GPT2Tokenizer({"a": 0}, [], special_tokens=[""]), ValueError, "not be empty"),
        (lambda: GPT2Tokenizer(["a"], []), TypeError, "must be a dict token -> id, got list"),
        (lambda: GPT2Tokenizer({"a": "0"}, []), ValueError, "strings to integers"),
        (lambda: setattr(TOKENIZER, "pad_token", "<x>"), ValueError, "'<x>' is not in the voc"),
        (lambda: setattr(TOKENIZER, "pad_token_id", 3), AttributeError, "tokenizer.pad_token ="),
    ],
)
def test_bad_input_gets_one_sentence(call, error, message):
    if error is None:
        assert call() == [TOKENIZER.unk_token_id]
        return
    with pytest.raises(error, match=message) as caught:
        call()
    assert not re.search(r"\n", str(caught.value))
