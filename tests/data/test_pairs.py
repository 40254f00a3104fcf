"""Next-sentence pairs, and the pre-training of a very small BERT on them."""

import math
from itertools import pairwise

import numpy as np
import pytest

from minillm.data import PretrainingBatches, next_sentence_pairs, pretraining_losses
from minillm.models import BertConfig, BertForPreTraining
from minillm.optim import AdamW
from minillm.tokenizers import BertTokenizer
from minillm.training import fit

from .test_masking import assert_binomial

# a document is about one animal: what follows keeps to it
ANIMALS = ["cat", "dog", "hen", "pig", "cow", "fox", "owl", "bee"]
DOCUMENTS = [
    [f"the {a} wakes up .", f"the {a} eats some {f} .", f"then the {a} goes to sleep ."]
    for a in ANIMALS for f in ("grass", "bread", "corn")
]  # fmt: skip
WORDS = sorted({w for d in DOCUMENTS for s in d for w in s.split()})
TOKENIZER = BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])


def numbered(documents=50, sentences=9):
    return [[f"d{d} s{s}" for s in range(sentences)] for d in range(documents)]


def test_every_sentence_with_a_successor_comes_first_once():
    documents = numbered()
    pairs = next_sentence_pairs(documents, np.random.default_rng(0))
    assert [pair.first for pair in pairs] == [s for d in documents for s in d[:-1]]


def test_half_is_next_and_the_rest_is_from_another_document():
    documents = numbered(2000)
    pairs = next_sentence_pairs(documents, np.random.default_rng(1))
    following = {a: b for d in documents for a, b in pairwise(d)}
    assert_binomial(sum(pair.label == 0 for pair in pairs), len(pairs), 0.5)
    for pair in pairs:
        if pair.label == 0:
            assert pair.second == following[pair.first]
        else:
            assert pair.second.split()[0] != pair.first.split()[0]


def test_wrong_successors_are_drawn_evenly_from_all_other_sentences():
    documents = [["a0", "a1"], ["b0"], ["c0", "c1", "c2"]]
    counts = dict.fromkeys(["b0", "c0", "c1", "c2"], 0)
    rng = np.random.default_rng(2)
    wrong = [
        p.second for _ in range(4000) for p in next_sentence_pairs(documents, rng)[:1] if p.label
    ]
    for sentence in wrong:
        counts[sentence] += 1
    for count in counts.values():
        assert_binomial(count, len(wrong), 0.25)


def test_a_wrong_successor_never_reads_like_the_true_one():
    documents = [["how are you", "fine"], ["hello", "fine", "fine", "bye"], ["fine"]]
    for seed in range(200):
        for pair in next_sentence_pairs(documents, np.random.default_rng(seed))[:1]:
            assert (pair.second == "fine") == (pair.label == 0)


@pytest.mark.parametrize(
    ("documents", "error", "message"),
    [
        ([["a", "b"]], ValueError, "at least two documents"),
        ([["a"], ["b"]], ValueError, "at least two documents, one of them with two sentences"),
        ([["a", "b"], ["b"]], ValueError, "differs from 'b'"),
        ([["a", "b"], ["c", " "]], ValueError, "document 1: sentence 1 is empty"),
        (["ab", "cd"], TypeError, "document 0 must be a list of sentences"),
    ],
)
def test_bad_documents(documents, error, message):
    with pytest.raises(error, match=message):
        next_sentence_pairs(documents, np.random.default_rng(0))


def make_batches(seed=0, batch_size=10, max_length=20, **options):
    rng = np.random.default_rng(seed)
    return PretrainingBatches(TOKENIZER, DOCUMENTS, batch_size, max_length, rng, **options)


def test_a_batch_reads_as_cls_a_sep_b_sep():
    batch = make_batches(batch_size=48).batch(0)
    whole = np.where(batch["labels"] == -100, batch["input_ids"], batch["labels"])
    neighbours = {pair for d in DOCUMENTS for pair in pairwise([s.replace(" .", ".") for s in d])}
    columns = (
        whole,
        batch["token_type_ids"],
        batch["attention_mask"],
        batch["next_sentence_label"],
    )
    for ids, types, visible, label in zip(*columns, strict=True):
        n = int(visible.sum())
        assert not ids[n:].any()
        end = int(np.flatnonzero(ids == 3)[0])  # the first [SEP]
        assert ids[0] == 2
        assert np.flatnonzero(ids == 3).tolist() == [end, n - 1]
        assert types.tolist() == [0] * (end + 1) + [1] * (n - end - 1) + [0] * (len(ids) - n)
        pair = TOKENIZER.decode(ids[1:end]), TOKENIZER.decode(ids[end + 1 : n - 1])
        if label == 0:
            assert pair in neighbours
    assert set(batch["next_sentence_label"].tolist()) == {0, 1}


def test_long_pairs_are_cut_as_bert_cuts_them():
    documents = [["cat " * 30, "dog " * 30], ["pig " * 30, "cow " * 30], ["hen", "fox"]]
    batches = PretrainingBatches(TOKENIZER, documents, 3, 12, np.random.default_rng(0))
    for i in range(4):
        batch = batches.batch(i)
        assert batch["input_ids"].shape[1] <= 12
        for types, visible in zip(batch["token_type_ids"], batch["attention_mask"], strict=True):
            second = int(types.sum()) - 1  # without its [SEP]
            first = int(visible.sum()) - second - 3
            if visible.sum() == 12:  # 9 places for both: half each, or all of the short one
                assert sorted((first, second)) in ([4, 5], [1, 8])


def test_an_epoch_has_every_pair_and_the_next_one_another_order():
    batches = make_batches(batch_size=7)
    assert len(batches) == math.ceil(48 / 7)
    first, second = list(batches), list(batches)
    assert sum(len(b["input_ids"]) for b in first) == 48
    assert len(first[-1]["input_ids"]) == 48 % 7
    assert any((a["labels"].shape != b["labels"].shape) or (a["labels"] != b["labels"]).any()
               for a, b in zip(first, second, strict=True))  # fmt: skip


def test_batch_i_depends_on_the_generator_and_i_alone():
    one, other = make_batches(5), make_batches(5)
    list(one)
    for name, array in one.batch(9).items():
        np.testing.assert_array_equal(array, other.batch(9)[name])
    assert (
        make_batches(6).batch(9)["next_sentence_label"] != one.batch(9)["next_sentence_label"]
    ).any()


def test_bad_sizes():
    with pytest.raises(ValueError, match="max_length must be an integer of at least 5"):
        make_batches(max_length=4)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1"):
        make_batches(batch_size=0)


def test_losses_need_a_batch():
    with pytest.raises(ValueError, match="no batch"):
        pretraining_losses(object(), [])


def test_a_tiny_bert_learns_both_tasks():
    drops = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(
        vocab_size=len(TOKENIZER), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=20, **drops,
    )  # fmt: skip
    model = BertForPreTraining(config, rng=np.random.default_rng(1))
    held_out = list(make_batches(99, 8))
    before = pretraining_losses(model, held_out)
    assert before.chance_masked_words == pytest.approx(math.log(len(TOKENIZER)))
    assert before.chance_next_sentence == pytest.approx(math.log(2))
    assert before.masked_words == pytest.approx(before.chance_masked_words, rel=0.05)
    assert before.next_sentence == pytest.approx(before.chance_next_sentence, rel=0.05)
    train = make_batches(1, 8, whole_words=True)  # products too small for threads, which may fight
    optimizer = AdamW(model.named_parameters(), lr=3e-3)
    fit(model, optimizer, train, steps=300, clip=1.0, progress=False)
    after = pretraining_losses(model, held_out)
    assert after.masked_words < 0.5 * after.chance_masked_words
    assert after.next_sentence < 0.7 * after.chance_next_sentence
    assert "chance ln V" in str(after)
