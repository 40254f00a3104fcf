"""Batches by length: every example once, padded rightly, with less padding than in random order."""

import numpy as np
import pytest

from minillm.data import LengthBatches, PaddingReport, align_labels, pad
from minillm.models import BertConfig, BertForSequenceClassification, BertForTokenClassification
from minillm.optim import AdamW
from minillm.tokenizers import BertTokenizer
from minillm.training import evaluate, fit

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def sequences(count=230, longest=37, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(5, 60, int(n)).tolist() for n in rng.integers(1, longest, count)]


def make(count=230, **options):
    rows = sequences(count)
    columns = {"input_ids": rows, "labels": list(range(count))}
    return rows, LengthBatches(columns, 16, rng=np.random.default_rng(1), **options)


def strip(row, visible):
    return row[visible == 1].tolist()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("pool", [1, 4, 50])
def test_an_epoch_has_every_example_once(shuffle, pool):
    rows, batches = make(shuffle=shuffle, pool=pool)
    seen = {}
    for batch in batches:
        for ids, visible, label in zip(*(batch[n] for n in ("input_ids", "attention_mask", "labels")),
                                       strict=True):  # fmt: skip
            assert label not in seen
            seen[int(label)] = strip(ids, visible)
    assert [seen[i] for i in range(len(rows))] == rows
    assert len(batches) == 15


def test_a_batch_is_as_long_as_its_longest_and_zero_beyond():
    rows, batches = make()
    for i in range(len(batches)):
        batch = batches.batch(i)
        lengths = [len(rows[row]) for row in batches.rows(i)]
        assert batch["input_ids"].shape == (len(lengths), max(lengths))
        assert batch["attention_mask"].sum(axis=1).tolist() == lengths
        assert not batch["input_ids"][batch["attention_mask"] == 0].any()
        assert batch["input_ids"].dtype == batch["attention_mask"].dtype == np.int64


def test_drop_last_leaves_out_the_short_batch_only():
    rows, batches = make(drop_last=True)
    sizes = [len(batch["labels"]) for batch in batches]
    assert sizes == [16] * (230 // 16) == [16] * len(batches)
    left_out = set()
    for _ in range(40):  # another one each time, of any length
        seen = {int(label) for batch in batches for label in batch["labels"]}
        left_out |= {len(rows[i]) for i in set(range(230)) - seen}
    assert min(left_out) < 8
    assert max(left_out) > 28


def test_epochs_differ_and_depend_on_the_generator_alone():
    _, one = make()
    _, other = make()
    first = [batch["labels"].tolist() for batch in one]
    second = [batch["labels"].tolist() for batch in one]
    assert first != second
    assert [sorted(b) for b in first] != [sorted(b) for b in second]
    assert [other.batch(i)["labels"].tolist() for i in range(15, 30)] == second
    assert [other.batch(i)["labels"].tolist() for i in range(15)] == first  # back again


def test_batches_do_not_come_in_order_of_length():
    _, batches = make(224)  # no short batch
    longest = [batch["input_ids"].shape[1] for batch in batches]
    assert longest != sorted(longest)


def test_without_shuffling_all_is_sorted_and_predictions_find_their_way_back():
    rows, batches = make(shuffle=False)
    longest = [batch["input_ids"].shape[1] for batch in batches]
    assert longest == sorted(longest)
    back = np.zeros(len(rows), dtype=int)
    for i, batch in enumerate(batches):
        back[batches.rows(i)] = batch["labels"]
    assert back.tolist() == list(range(len(rows)))


def test_the_report_counts_what_the_batches_hold():
    rows, batches = make()
    report = batches.padding_report()
    places = sum(batch["input_ids"].size for batch in batches)
    tokens = sum(map(len, rows))
    assert report.tokens == tokens
    assert report.by_length == pytest.approx(1 - tokens / places)
    assert report.to_longest == pytest.approx(1 - tokens / (230 * 36))
    assert report.by_length < 0.15 < 0.4 < report.shuffled < report.to_longest
    assert report.saved == pytest.approx(1 - places * (1 - report.shuffled) / tokens)


def test_rows_of_equal_length_save_nothing():
    batches = LengthBatches({"input_ids": [[5, 6]] * 8}, 4, rng=np.random.default_rng(0))
    assert batches.padding_report() == PaddingReport(16, 0.0, 0.0, 0.0)
    assert batches.padding_report().saved == 0


def test_translations_have_lengths_of_their_own():
    columns = {"input_ids": [[5, 6, 7], [8]], "labels": [[9], [7, 6, 5, 4]]}
    [batch] = LengthBatches(columns, 2, shuffle=False)
    assert batch["input_ids"].tolist() == [[8, 0, 0], [5, 6, 7]]
    assert batch["labels"].tolist() == [[7, 6, 5, 4], [9, -100, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]


def test_ties_go_by_the_second_column():
    columns = {"input_ids": [[5]] * 4, "labels": [[1] * n for n in (4, 1, 3, 2)]}
    batches = LengthBatches(columns, 2, shuffle=False)
    assert [batch["labels"].shape for batch in batches] == [(2, 2), (2, 4)]


def test_padding_and_mask_by_name():
    columns = {"source": [[1], [2, 3]], "target": [[4], [5, 6]]}
    [batch] = LengthBatches(
        columns, 2, padding={"source": 9, "target": -1}, shuffle=False, mask="seen"
    )
    assert batch["source"].tolist() == [[1, 9], [2, 3]]
    assert batch["target"].tolist() == [[4, -1], [5, 6]]
    assert batch["seen"].tolist() == [[1, 0], [1, 1]]
    [plain] = LengthBatches(columns, 2, shuffle=False, mask=None)
    assert set(plain) == {"source", "target"}


def tiny(**changes):
    return BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=40, hidden_dropout_prob=0.0, **changes,
    )  # fmt: skip


def test_fit_learns_from_them_and_resumes_at_any_batch():
    rows = sequences(96, 12)
    labels = [int(7 in row) for row in rows]
    for row, label in zip(rows, labels, strict=True):
        row[0] = 7 if label else 8  # easy to see
    model = BertForSequenceClassification(tiny(), rng=np.random.default_rng(0))
    batches = LengthBatches({"input_ids": rows, "labels": labels}, 16, rng=np.random.default_rng(1))
    optimizer = AdamW(model.named_parameters(), lr=3e-3)
    history = fit(model, optimizer, batches, batches, epochs=12, progress=False)
    assert len(history.losses) == 72
    assert history.history["val_loss"][-1] < 0.5 * history.history["val_loss"][0]


def test_padding_does_not_change_the_loss_of_token_labels():
    rows = sequences(20, 9)
    labels = [[i % 3 if i % 2 else -100 for i in range(len(row) + 1)][1:] for row in rows]
    rows, labels = zip(
        *[(r, t) for r, t in zip(rows, labels, strict=True) if 0 < max(t)], strict=True
    )
    model = BertForTokenClassification(tiny(num_labels=3), rng=np.random.default_rng(0))
    columns = {"input_ids": rows, "labels": labels}
    together = evaluate(model, LengthBatches(columns, 6, rng=np.random.default_rng(2)))["loss"]
    alone = evaluate(model, LengthBatches(columns, 1, shuffle=False))["loss"]
    assert together == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"input_ids": [[1], [2]], "labels": [1]}, {}, "equally many examples"),
        ({"input_ids": []}, {}, "at least one"),
        ({"input_ids": [[1], []]}, {}, "'input_ids', example 1 is empty"),
        ({"input_ids": [[1.5]]}, {}, "sequences of ints or ints, got 1 axes of float64"),
        ({"input_ids": [[1], 2]}, {}, "sequences of ints or ints"),
        (
            {"labels": [1], "input_ids": [[1]]},
            {},
            "the first column, 'labels', must hold sequences",
        ),
        ({"input_ids": [[1]]}, {"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"input_ids": [[1]]}, {"drop_last": True}, "fewer than batch_size=32"),
    ],
)
def test_bad_columns(columns, options, message):
    with pytest.raises(ValueError, match=message):
        LengthBatches(columns, **options)


def test_pad_of_nothing():
    assert pad([]).shape == (0, 0)


# ------------------------------------------------------------------------------- token labels

TOKENIZER = BertTokenizer([*SPECIAL, "un", "##aff", "##able", "cat", "sat"])
TAGS = {"O": 0, "B-A0": 1, "I-A0": 2}


def test_the_first_piece_of_a_word_has_its_label():
    aligned = align_labels(TOKENIZER, ["Unaffable", "cat", "sat"], ["B-A0", "I-A0", "O"], TAGS)
    assert TOKENIZER.convert_ids_to_tokens(aligned.input_ids) == [
        "[CLS]", "un", "##aff", "##able", "cat", "sat", "[SEP]",
    ]  # fmt: skip
    assert aligned.labels == [-100, 1, -100, -100, 2, 0, -100]


def test_every_word_keeps_one_label_even_an_unknown_or_invisible_one():
    aligned = align_labels(TOKENIZER, ["zebra", "\u0001", "cat"], [3, 4, 5])
    assert aligned.input_ids == [2, 1, 1, 8, 3]
    assert aligned.labels == [-100, 3, 4, 5, -100]


def test_cut_to_a_length():
    aligned = align_labels(TOKENIZER, ["cat", "unaffable", "sat"], [1, 2, 0], max_length=4)
    assert aligned.input_ids == [2, 8, 5, 3]
    assert aligned.labels == [-100, 1, 2, -100]


@pytest.mark.parametrize(
    ("words", "labels", "options", "message"),
    [
        (["cat"], [1, 2], {}, "got 1 words and 2 labels"),
        ([], [], {}, "at least one"),
        (["cat"], ["B-A1"], {"label_ids": TAGS}, "the label 'B-A1' has no number in 'O', 'B-A0'"),
        (["cat"], ["O"], {}, "label_ids=None"),
        (["cat"], [1], {"max_length": 2}, "max_length must be at least 3"),
    ],
)
def test_bad_labels(words, labels, options, message):
    with pytest.raises(ValueError, match=message):
        align_labels(TOKENIZER, words, labels, **options)
