"""Our tokenizers against the libraries of Hugging Face (tests/golden/make_tokenizers.py)."""

import json
from pathlib import Path

import pytest

from minillm.tokenizers import BertTokenizer, GPT2Tokenizer, load_tokenizer

GOLDEN = Path(__file__).parent.parent / "golden"


def golden(name):
    return json.loads((GOLDEN / name).read_text(encoding="ascii"))


BPE = golden("bpe.json")
WORDPIECE = golden("wordpiece.json")
BATCHES = golden("batches.json")
VARIANTS = ("uncased", "cased", "accents", "stripped", "no_chinese")


@pytest.fixture(scope="module")
def gpt2():
    return GPT2Tokenizer.train([BPE["text"]], BPE["vocab_size"], progress=False)


@pytest.fixture(scope="module")
def gpt2_file(tmp_path_factory):
    """The library's own tokenizer.json: single digits, and two added tokens with flags."""
    folder = tmp_path_factory.mktemp("bpe")
    (folder / "tokenizer.json").write_text(json.dumps(BPE["tokenizer_json"]), encoding="utf-8")
    return GPT2Tokenizer.from_pretrained(folder)


def test_there_are_enough_hard_strings():
    assert len(set(BPE["strings"])) >= 40
    assert BPE["strings"] == WORDPIECE["strings"]


def test_training_learns_the_same_merges_in_the_same_order(gpt2):
    assert len(BPE["merges"]) > 100
    assert [list(merge) for merge in gpt2.merges] == BPE["merges"]
    digits = GPT2Tokenizer.train([BPE["text"]], BPE["vocab_size"], split_digits=True)
    assert [list(merge) for merge in digits.merges] == BPE["digit_merges"]
    assert BPE["digit_merges"] != BPE["merges"]


def test_the_ids_of_a_training_are_the_same(gpt2_file):
    trained = GPT2Tokenizer.train([BPE["text"]], BPE["vocab_size"], split_digits=True)
    assert trained.get_vocab() == BPE["tokenizer_json"]["model"]["vocab"]


@pytest.mark.parametrize(
    ("text", "ids", "digit_ids"),
    list(zip(BPE["strings"], BPE["ids"], BPE["digit_ids"], strict=True)),
    ids=range(len(BPE["strings"])),
)
def test_bpe_encodes_hard_strings_as_the_library(gpt2, gpt2_file, text, ids, digit_ids):
    assert gpt2.encode(text) == ids
    assert gpt2.decode(ids) == text
    if "ship" not in text and "<mask>" not in text:
        assert gpt2_file.encode(text) == digit_ids


@pytest.mark.parametrize(("text", "ids"), BPE["added"])
def test_added_tokens_of_a_tokenizer_json_keep_their_flags(gpt2_file, text, ids):
    assert gpt2_file.encode(text) == ids


@pytest.mark.parametrize(("ids", "text"), BPE["decoded"])
def test_bytes_that_are_not_utf8_decode_as_in_the_library(gpt2, ids, text):
    assert gpt2.decode(ids) == text


@pytest.mark.parametrize("variant", VARIANTS)
def test_wordpiece_encodes_and_decodes_hard_strings_as_the_library(variant):
    expected = WORDPIECE[variant]
    tokenizer = BertTokenizer(WORDPIECE["vocab"], **expected["options"])
    for text, ids, decoded in zip(
        WORDPIECE["strings"], expected["ids"], expected["decoded"], strict=True
    ):
        assert (text, tokenizer.encode(text)) == (text, ids)
        assert tokenizer.decode(ids) == decoded


def test_the_variants_differ():
    assert len({json.dumps(WORDPIECE[variant]["ids"]) for variant in VARIANTS}) == len(VARIANTS)


def test_bert_reads_a_tokenizer_json_with_an_added_token(tmp_path):
    text = json.dumps(WORDPIECE["tokenizer_json"])
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    tokenizer = load_tokenizer(tmp_path)
    assert isinstance(tokenizer, BertTokenizer)
    text, ids = WORDPIECE["added"]
    assert tokenizer.encode(text) == ids
    assert "Ship-Wreck" in tokenizer.tokenize(text)
    assert tokenizer.decode(ids, skip_special_tokens=True).count("Ship-Wreck") == 2


@pytest.mark.parametrize("number", range(len(BATCHES["calls"])))
def test_batches_of_bert_are_padded_and_cut_as_in_the_library(number):
    call = BATCHES["calls"][number]
    tokenizer = BertTokenizer(WORDPIECE["vocab"])
    tokenizer.padding_side, tokenizer.truncation_side = (
        call["padding_side"],
        call["truncation_side"],
    )
    for pairs, expected in ((None, call["single"]), (BATCHES["pairs"], call["pair"])):
        out = tokenizer(BATCHES["texts"], pairs, **call["options"])
        assert {name: [row.tolist() for row in rows] for name, rows in out.items()} == expected


@pytest.mark.parametrize(("options", "expected"), BATCHES["one"])
def test_one_pair_of_texts_is_cut_as_in_the_library(options, expected):
    out = BertTokenizer(WORDPIECE["vocab"])(*BATCHES["one_texts"], **options)
    assert {name: row.tolist() for name, row in out.items()} == expected


@pytest.mark.parametrize(("options", "expected", "both"), BATCHES["gpt2"])
def test_batches_of_gpt2_are_padded_on_the_left_as_in_the_library(gpt2, options, expected, both):
    gpt2.pad_token, gpt2.padding_side = gpt2.eos_token, "left"
    out = gpt2(BATCHES["texts"], BATCHES["pairs"] if both else None, **options)
    assert {name: rows.tolist() for name, rows in out.items()} == expected
