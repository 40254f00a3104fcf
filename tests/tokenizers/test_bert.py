"""WordPiece and BERT's normalisation: worked examples, training, files, and every error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.tokenizers import BertTokenizer, GPT2Tokenizer, load_tokenizer
from minillm.tokenizers.base import AddedToken
from minillm.tokenizers.bert import SPECIAL
from minillm.tokenizers.normalization import BertNormalizer, split_words
from minillm.tokenizers.wordpiece import longest_pieces

FIVE = list(SPECIAL.values())
LETTERS = [prefix + c for prefix in ("", "##") for c in "abc"]
TOKENIZER = BertTokenizer([*FIVE, *LETTERS, "ab", "##bc", "世", "界", "."])


@given(st.text())
def test_ids_spell_the_normalised_words_or_are_unknown(text):
    words = split_words(BertNormalizer()(text))
    tokens = TOKENIZER.tokenize(text)
    if not any(special in text for special in FIVE):
        joined = []
        for token in tokens:
            if token.startswith("##"):
                joined[-1] += token[2:]
            else:
                joined.append(token)
        assert len(joined) == len(words)
        assert all(j in (w, "[UNK]") for j, w in zip(joined, words, strict=True))


@given(st.text("abc", min_size=1, max_size=30))
def test_greedy_pieces_are_the_longest_at_each_place(word):
    ids = TOKENIZER.encode(word, add_special_tokens=False)
    pieces = TOKENIZER.convert_ids_to_tokens(ids)
    vocab, start = TOKENIZER.get_vocab(), 0
    for piece in pieces:
        length = len(piece.removeprefix("##"))
        prefix = "##" if start else ""
        longer = range(start + length + 1, len(word) + 1)
        assert not any(prefix + word[start:end] in vocab for end in longer)
        start += length
    assert start == len(word)


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({}, "a\u200bb\x00c\x7f\u00ad\ufeff", "abc"),  # format and control characters join words
        ({}, "a\tb\nc\u00a0d\u3000e", "a b c d e"),
        ({}, "世界a", " 世  界 a"),
        ({"tokenize_chinese_chars": False}, "世界a", "世界a"),
        ({}, "ÀÉ e\u0301 ΣΑΣ", "ae e σασ"),
        ({"strip_accents": False}, "ÀÉ", "àé"),
        ({"lowercase": False}, "ÀÉ", "ÀÉ"),
        ({"lowercase": False, "strip_accents": True}, "ÀÉ", "AE"),
        ({}, "\ufffd\ue000\ud800x", "x"),
        ({}, "カタ 한", "カタ 한".replace("한", "\u1112\u1161\u11ab")),  # NFD takes Hangul apart
    ],
)
def test_normalisation_by_hand(options, text, expected):
    assert BertNormalizer(**options)(text) == expected


def test_words_and_punctuation():
    assert split_words("a,b¿c» $5+^`|~ x_y") == [
        "a", ",", "b", "¿", "c", "»", "$", "5", "+", "^", "`", "|", "~", "x", "_", "y",
    ]  # fmt: skip


def test_a_word_with_one_unknown_piece_or_too_long_is_one_unknown():
    unk = TOKENIZER.unk_token_id
    assert TOKENIZER.encode("abd abc", add_special_tokens=False) == [
        unk,
        *TOKENIZER._plain_ids("abc"),
    ]
    assert TOKENIZER.tokenize("a" * 100) == ["a"] + ["##a"] * 99
    assert TOKENIZER.tokenize("a" * 101) == ["[UNK]"]
    assert (
        BertTokenizer([*FIVE, *LETTERS], max_input_chars_per_word=3).tokenize("abc abca")[-1]
        == "[UNK]"
    )
    assert longest_pieces("", {}) == []


def test_rows_are_framed_and_pairs_have_types():
    assert TOKENIZER.encode("a", "b") == [2, 5, 3, 6, 3]
    assert TOKENIZER.encode("a", "b", add_special_tokens=False) == [5, 6]
    out = TOKENIZER("a", "b c")
    assert out.token_type_ids.tolist() == [0, 0, 0, 1, 1, 1]
    assert out["attention_mask"].tolist() == [1] * 6


def test_special_tokens_are_found_before_small_letters_are_made():
    assert TOKENIZER.tokenize("a[MASK]b [mask]") == ["a", "[MASK]", "b", "[UNK]", "[UNK]", "[UNK]"]
    extra = BertTokenizer(
        [*FIVE, *LETTERS],
        special_tokens=["[X]", AddedToken("Ab-C", normalized=True, special=False)],
    )
    assert extra.tokenize("[X] AB-c[x]")[:2] == ["[X]", "Ab-C"]
    assert extra.decode(extra.encode("[X] ab-c"), skip_special_tokens=True) == "Ab-C"


def test_an_added_token_is_no_piece_of_other_words():
    tokenizer = BertTokenizer(
        [*FIVE, *LETTERS], special_tokens=[AddedToken("ab", single_word=True)]
    )
    assert tokenizer.tokenize("ab abc") == ["ab", "a", "##b", "##c"]


def test_decode_reads_well():
    assert TOKENIZER.decode(TOKENIZER.encode("Abc a. 世界")) == "[CLS] abc a. 世 界 [SEP]"
    assert TOKENIZER.decode(TOKENIZER.encode("Abc a."), skip_special_tokens=True) == "abc a."
    assert TOKENIZER.batch_decode([[5], [6, 9]]) == ["a", "bb"]
    assert TOKENIZER.decode([9]) == "##b"


def test_likelihood_and_counts_learn_different_pieces():
    text = "hat that " * 9 + "vex vex"
    bert = BertTokenizer.train([text], 18)
    assert bert.convert_ids_to_tokens(17) == "ve"
    assert GPT2Tokenizer.train([text], 258).merges == [("a", "t")]


def test_ids_of_a_training_are_special_tokens_characters_continuations_pieces():
    tokenizer = BertTokenizer.train(["ba ba, 世 [MASK]"], 13, special_tokens=["[X]"])
    assert tokenizer.convert_ids_to_tokens(range(13)) == [
        *FIVE, "[X]", ",", "a", "b", "世", "##a", "##b", "ba",
    ]  # fmt: skip
    assert tokenizer.tokenize("ab [X]") == ["a", "##b", "[X]"]


def test_an_alphabet_may_be_limited_and_one_too_large_is_said():
    tokenizer = BertTokenizer.train(["aa bb bb cc cc cc abc"] * 3, 30, limit_alphabet=2)
    assert tokenizer.tokenize("a b c") == ["[UNK]", "b", "c"]
    with pytest.warns(UserWarning, match=r"the 6 different .* take 12 ids.* leaves 10: the 2 most"):
        tokenizer = BertTokenizer.train(["ab ab cd efab"], 15)
    # a and b with ## in half of the room, what they were merged to, then the others as far as they fit
    assert tokenizer.convert_ids_to_tokens(range(5, len(tokenizer))) == [
        "a", "b", "##a", "##b", "ab", "c", "##c", "d", "##d",
    ]  # fmt: skip
    assert tokenizer.tokenize("ab cd ef") == ["ab", "c", "##d", "[UNK]"]


def test_explain_tells_why_a_word_is_unknown():
    out = str(TOKENIZER.explain("abc[MASK] xyz " + "a" * 101))
    assert "ab             c" in out
    assert "special token [MASK]" in out
    assert '"xyz", unknown: no piece fits' in out
    assert "more than 100 characters" in out
    assert max(map(len, out.splitlines())) <= 88
    tokens = [n for section in TOKENIZER.explain("abc[MASK] x").sections for n, _ in section.tokens]
    assert tokens == TOKENIZER._plain_ids("abc[MASK] x")


# ------------------------------------------------------------------------------------ files


def test_a_saved_tokenizer_is_the_same_when_loaded(tmp_path):
    tokenizer = BertTokenizer(
        [*FIVE, "A", "É", "##\x85", "\u2028", "[X]"],
        special_tokens=["[X]"],
        do_lower_case=False,
        tokenize_chinese_chars=False,
        model_max_length=9,
    )
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "vocab.txt").read_bytes().decode().split("\n")[5:8] == ["A", "É", "##\x85"]
    loaded = load_tokenizer(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    for name in (
        "do_lower_case", "strip_accents", "tokenize_chinese_chars", "model_max_length",
        "all_special_tokens", "mask_token_id", "_added",
    ):  # fmt: skip
        assert getattr(loaded, name) == getattr(tokenizer, name), name
    assert loaded.encode("A É [X]") == tokenizer.encode("A É [X]") == [2, 5, 6, 9, 3]


def test_lower_case_is_read_from_the_settings_and_is_the_default(tmp_path):
    (tmp_path / "vocab.txt").write_text("\r\n".join([*FIVE, "a", "A"]) + "\r\n", encoding="utf-8")
    assert BertTokenizer.from_pretrained(tmp_path).tokenize("A") == ["a"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}', encoding="utf-8")
    assert BertTokenizer.from_pretrained(tmp_path).tokenize("A") == ["A"]


def one_file(**changes):
    return {
        "normalizer": {"type": "BertNormalizer", "lowercase": False},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "vocab": {t: i for i, t in enumerate([*FIVE, "A", "a"])}},
        **changes,
    }


def test_the_settings_count_more_than_tokenizer_json(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(one_file()), encoding="utf-8")
    assert BertTokenizer.from_pretrained(tmp_path).tokenize("A") == ["A"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}', encoding="utf-8")
    assert BertTokenizer.from_pretrained(tmp_path).tokenize("A") == ["a"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"type": "BPE"}}, "of type BPE; BertTokenizer reads WordPiece"),
        ({"model": {"type": "WordPiece", "vocab": 3}}, "must hold a vocabulary"),
        (
            {"model": {"type": "WordPiece", "continuing_subword_prefix": "@"}},
            "continuing_subword_prefix='@' is not supported",
        ),
        ({"normalizer": {"type": "NFC"}}, "not NFC with BertPreTokenizer"),
        ({"normalizer": {"type": "BertNormalizer", "clean_text": False}}, "clean_text=False"),
        ({"post_processor": {"type": "RobertaProcessing"}}, "post_processor RobertaProcessing"),
    ],
)
def test_what_a_tokenizer_json_asks_for_in_vain_is_named(tmp_path, changes, message):
    (tmp_path / "tokenizer.json").write_text(json.dumps(one_file(**changes)), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        BertTokenizer.from_pretrained(tmp_path)
    assert "tokenizer.json" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", r"vocab\.txt: the mask_token '\[MASK\]' is not in"),
        (b"a\nb\na\n", r"vocab\.txt: the token 'a' stands in line 1 and in line 3"),
        (b"\xff", r"vocab\.txt is not in UTF-8 \(byte 0\)"),
    ],
)
def test_a_damaged_vocabulary_is_named(tmp_path, content, message):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        BertTokenizer.from_pretrained(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no vocab\.txt and no tokenizer\.json"):
        BertTokenizer.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer: expected tokenizer\.json"):
        load_tokenizer(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_tokenizer(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BertTokenizer("abc"), TypeError, "got a string"),
        (lambda: BertTokenizer([*FIVE, "a", "a"]), ValueError, "'a' has two ids, 5 and 6"),
        (lambda: BertTokenizer(["a"]), ValueError, r"pad_token '\[PAD\]' is not in the vocabulary"),
        (lambda: BertTokenizer.train("abc", 30), TypeError, r"train\(\[text\]"),
        (lambda: BertTokenizer.train(["  "], 30), ValueError, "the texts are empty"),
        (
            lambda: BertTokenizer.train(["a"], 5),
            ValueError,
            "5 is too small: special tokens need 6",
        ),
        (lambda: TOKENIZER.encode(3), TypeError, "a text must be a string, got int"),
        (lambda: TOKENIZER.decode([99]), ValueError, "id 99 is not in the vocabulary of 16"),
    ],
)
def test_bad_input_gets_one_sentence(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("token", ["a\nb", "a\r"])
def test_a_token_that_does_not_fit_a_line_is_refused(tmp_path, token):
    with pytest.raises(ValueError, match=r"a line for each token: 'a"):
        BertTokenizer([*FIVE, token]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no token has the id 5"):
        BertTokenizer({**TOKENIZER.get_vocab(), "a": 40}).save_pretrained(tmp_path)
