"""Encoder-decoder: PyTorch's results, masks, cache, greedy and beam search, errors."""

import itertools

import numpy as np
import pytest

from minillm import no_grad
from minillm.gradcheck import check_model
from minillm.models import Seq2SeqConfig, Seq2SeqTransformer
from minillm.models.seq2seq import DecoderCache
from minillm.optim import Adam

from ..device.conftest import open_device
from .seq_golden import (
    assert_agrees,
    assert_saved_and_loaded,
    assert_step_is_that_of_the_host,
    cases,
)

SIZES = {
    "vocab_size": 13, "d_model": 6, "nhead": 3, "num_encoder_layers": 2, "num_decoder_layers": 2,
    "dim_feedforward": 4, "dropout": 0.0, "max_position_embeddings": 20,
}  # fmt: skip
VARIANTS = {
    "post": {"label_smoothing": 0.1},
    "pre": {"norm_first": True, "activation": "gelu", "share_embeddings": False,
            "target_vocab_size": 11, "tie_word_embeddings": False},
}  # fmt: skip
MASK = np.array([[1] * 7, [0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0]])


def model(variant="post", dtype=np.float64, **changes):
    options = {**SIZES, **VARIANTS[variant], **changes}
    return Seq2SeqTransformer(**options, dtype=dtype, rng=np.random.default_rng(3))


def spread(seq2seq, size=0.6):
    """Weights large enough for targets to differ from source to source."""
    rng = np.random.default_rng(5)
    for p in seq2seq.parameters():
        p.data[...] += rng.normal(0, size, p.shape)
    return seq2seq


@pytest.fixture
def ids(rng):
    return rng.integers(3, 13, (3, 7))


@pytest.fixture
def words(rng):
    return rng.integers(3, 11, (3, 5))


# ------------------------------------------------------------------------ agreement with PyTorch


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_loss_and_every_gradient_agree_with_pytorch(variant):
    assert_agrees(model(variant), cases()[f"seq2seq_{variant}"])


def test_every_golden_case_is_compared():
    assert {name for name in cases() if "seq2" in name} == {f"seq2seq_{v}" for v in VARIANTS}


# -------------------------------------------------------------------------------------- the model


def test_which_tables_and_norms_there_are():
    names = {kind: dict(model(kind).named_parameters()) for kind in VARIANTS}
    assert "target_embedding.weight" not in names["post"]
    assert "output.weight" not in names["post"]
    assert names["pre"]["target_embedding.weight"].shape == (11, 6)
    assert names["pre"]["output.weight"].shape == (6, 11)
    assert not any(name.startswith("transformer.encoder.norm") for name in names["post"])
    assert "transformer.decoder.norm.weight" in names["pre"]
    wide = Seq2SeqTransformer(**{**SIZES, "vocab_size": 500, "d_model": 90})
    assert abs(wide.embedding.weight.data.std() * 90**0.5 - 1) < 0.02


def test_labels_are_shifted_behind_the_start_token():
    shifted = model().shift_right([[5, 6, 2], [7, 2, -100]])
    np.testing.assert_array_equal(shifted, [[1, 5, 6], [1, 7, 2]])
    shifted = model(pad_token_id=4, decoder_start_token_id=9).shift_right([[5, -100, 2]])
    np.testing.assert_array_equal(shifted, [[9, 5, 4]])


def test_labels_alone_and_the_shifted_input_give_the_same(ids, words):
    seq2seq = model()
    first = seq2seq(ids, labels=words)
    second = seq2seq(ids, seq2seq.shift_right(words), labels=words)
    np.testing.assert_array_equal(first.logits.data, second.logits.data)
    assert first.loss.item() == second.loss.item()
    assert seq2seq(ids, words).loss is None
    assert first.num_targets == 15


def test_label_smoothing_is_that_of_the_call_or_the_config(ids, words):
    seq2seq = model()
    log_p = np.log(np.exp(seq2seq(ids, labels=words).logits.data))
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    nll = -np.take_along_axis(log_p, words[:, :, None], axis=2).mean()
    spread_out = -log_p.mean()
    for given, smoothing in ((None, 0.1), (0.0, 0.0), (0.5, 0.5)):
        loss = seq2seq(ids, labels=words, label_smoothing=given).loss.item()
        np.testing.assert_allclose(loss, (1 - smoothing) * nll + smoothing * spread_out)


def test_dropout_acts_in_training_only(ids, words):
    seq2seq = model(dropout=0.4).eval()
    with no_grad():
        first = seq2seq(ids, words).logits.data
        np.testing.assert_array_equal(seq2seq(ids, words).logits.data, first)
        seq2seq.train()
        assert (seq2seq(ids, words).logits.data != seq2seq(ids, words).logits.data).any()
        text = seq2seq.generate(ids, max_new_tokens=6)
        assert seq2seq.training
        np.testing.assert_array_equal(seq2seq.generate(ids, max_new_tokens=6), text)


# ------------------------------------------------------------------------------------------ masks


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_padded_source_gives_the_logits_of_the_unpadded_one(ids, words, variant):
    seq2seq = model(variant)
    found = seq2seq(ids, words, MASK).logits.data
    for row, real in enumerate(MASK == 1):
        alone = seq2seq(ids[row, real], words[row]).logits.data[0]
        np.testing.assert_allclose(found[row], alone)
    assert (np.abs(seq2seq(ids, words).logits.data - found)[1:] > 1e-9).any()


def test_a_target_padded_on_the_left_gives_the_logits_of_the_unpadded_one(ids, words):
    seq2seq, mask = model(), np.array([[1] * 5, [0, 0, 1, 1, 1], [0, 1, 1, 1, 1]])
    found = seq2seq(ids, words, decoder_attention_mask=mask).logits.data
    for row, real in enumerate(mask == 1):
        alone = seq2seq(ids[row], words[row, real]).logits.data[0]
        np.testing.assert_allclose(found[row, real], alone)


def test_no_target_token_sees_a_later_one_and_all_see_the_source(ids, words):
    seq2seq, other, source = model(), words.copy(), ids.copy()
    other[:, 3], source[:, 6] = 1, 1
    first = seq2seq(ids, words).logits.data
    second = seq2seq(ids, other).logits.data
    np.testing.assert_array_equal(first[:, :3], second[:, :3])
    assert (first[:, 3:] != second[:, 3:]).any(axis=-1).all()
    assert (seq2seq(source, words).logits.data != first).any(axis=-1).all()


# -------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gradient_check_passes(ids, words, variant):
    report = check_model(model(variant), ids, labels=words, attention_mask=MASK)
    assert report.passed, report


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_step_on_a_device_is_that_of_the_host(ids, words, variant):
    for more in ({}, {"attention_mask": MASK}):
        assert_step_is_that_of_the_host(
            lambda: model(variant, np.float32, dropout=0.3),
            {"input_ids": ids, "labels": words, **more}, open_device("strict"),
        )  # fmt: skip


def test_it_learns_to_turn_a_text_around(rng):
    sizes = {"d_model": 32, "nhead": 4, "dim_feedforward": 64, "num_encoder_layers": 1}
    seq2seq = Seq2SeqTransformer(
        **{**SIZES, **sizes, "num_decoder_layers": 1}, rng=np.random.default_rng(0)
    )
    optimizer = Adam(seq2seq.named_parameters(), lr=0.01)

    def sample(count):
        source = rng.integers(3, 13, (count, 3))
        return source, np.concatenate([source[:, ::-1], np.full((count, 1), 2)], axis=1)

    for _ in range(200):
        source, target = sample(32)
        seq2seq.zero_grad()
        seq2seq(source, labels=target).loss.backward()
        optimizer.step()
    source, target = sample(100)
    for beams in (1, 3):
        text = seq2seq.generate(source, max_new_tokens=7, num_beams=beams)
        assert (text[:, 1:5] == target[:, : text.shape[1] - 1]).all(
            axis=1
        ).mean() > 0.5  # by chance 0.001


# ------------------------------------------------------------------------------------------ cache


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("steps", [[5], [1] * 5, [2, 1, 2]])
def test_a_cache_changes_nothing(ids, words, variant, steps):
    seq2seq = model(variant, np.float32)
    expected = seq2seq(ids, words, MASK).logits.data
    with no_grad():
        memory, visible = seq2seq.encode(ids, MASK)
        cache, found, start = DecoderCache(memory, visible), [], 0
        for n in steps:
            part = words[:, start : start + n]
            found.append(seq2seq.decode(part, memory, visible, cache=cache).data)
            start += n
    assert cache.length == 5
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, rtol=1e-5, atol=1e-5)


def test_the_source_is_read_once_and_projected_once(ids, monkeypatch):
    seq2seq, projected, read, written = model(), [], [], []
    encode, decode = Seq2SeqTransformer.encode, Seq2SeqTransformer.decode
    monkeypatch.setattr(
        Seq2SeqTransformer, "encode", lambda *a, **o: (read.append(1), encode(*a, **o))[1]
    )
    monkeypatch.setattr(
        Seq2SeqTransformer, "decode",
        lambda self, ids, *a, **o: (written.append(ids.shape[1]), decode(self, ids, *a, **o))[1],
    )  # fmt: skip
    for layer in seq2seq.transformer.decoder.layers:
        attention = layer.cross_attention
        project = attention.project_keys_values
        attention.project_keys_values = lambda m, p=project: (projected.append(1), p(m))[1]
    seq2seq.generate(ids, max_new_tokens=4, num_beams=2, eos_token_id=[])
    assert (len(read), len(projected), written) == (1, 2, [1, 1, 1, 1])
    seq2seq.generate(ids, max_new_tokens=4, num_beams=2, eos_token_id=[], use_cache=False)
    assert (len(read), len(projected), written[4:]) == (2, 2 + 8, [1, 2, 3, 4])


@pytest.mark.parametrize("keep", [True, False])
def test_rows_of_the_cache_can_be_exchanged(ids, words, keep):
    seq2seq, mask, written = model(), MASK, words
    with no_grad():
        memory, visible = seq2seq.encode(ids, MASK)
        cache = DecoderCache(memory, visible, keep=keep)
        seq2seq.decode(words, memory, visible, cache=cache)
        for order in ([2, 0, 2, 1], [2, 1, 0, 3], [1, 1, 1, 3]):
            cache.reorder(order)
            written = np.concatenate([written[order], np.full((4, 1), 7)], axis=1)
            ids, mask = ids[order], mask[order]
            new = written[:, -1:] if keep else written
            found = seq2seq.decode(new, cache.memory, cache.visible, cache=cache).data[:, -1]
            expected = seq2seq(ids, written, mask).logits.data[:, -1]
            np.testing.assert_allclose(found, expected)


def test_memory_is_not_copied_while_rows_stay_with_their_source(ids, words):
    seq2seq = model()
    with no_grad():
        memory, visible = seq2seq.encode(ids, MASK)
        cache = DecoderCache(memory, visible)
        seq2seq.decode(words, memory, visible, cache=cache)
        cache.reorder([0, 0, 1, 1, 2, 2])
        before, k = cache.memory, cache.past[0][1][0]
        cache.reorder([1, 0, 2, 2, 4, 5])
        assert cache.memory is before
        assert cache.past[0][1][0] is k


# ---------------------------------------------------------------------------------------- writing


def log_probabilities(seq2seq, source, mask, text):
    """log p of each token of a text after its first."""
    z = seq2seq(source, text[:-1], mask).logits.data[0]
    z = z - z.max(-1, keepdims=True)
    z -= np.log(np.exp(z).sum(-1, keepdims=True))
    return z[np.arange(len(z)), text[1:]]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("options", [
    {}, {"num_beams": 3}, {"num_beams": 4, "length_penalty": -1.0, "early_stopping": True},
    {"num_beams": 3, "num_return_sequences": 2}, {"repetition_penalty": 1.7},
    {"do_sample": True, "top_k": 4, "num_return_sequences": 2},
])  # fmt: skip
def test_writing_with_and_without_a_cache_is_the_same(ids, variant, options):
    seq2seq, texts = spread(model(variant)), []
    for use_cache in (True, False):
        drawn = {"rng": np.random.default_rng(0)} if "do_sample" in options else {}
        texts.append(
            seq2seq.generate(
                ids, attention_mask=MASK, max_new_tokens=9, use_cache=use_cache, **options, **drawn
            )
        )
    assert len(texts[0]) == 3 * options.get("num_return_sequences", 1)
    np.testing.assert_array_equal(*texts)
    assert (texts[0][:, 0] == 1).all()


@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_of_padded_sources_is_written_as_each_alone(ids, beams):
    seq2seq = spread(model())
    together = seq2seq.generate(ids, attention_mask=MASK, max_new_tokens=8, num_beams=beams)
    for row, real in enumerate(MASK == 1):
        alone = seq2seq.generate(ids[row : row + 1, real], max_new_tokens=8, num_beams=beams)[0]
        np.testing.assert_array_equal(together[row, : len(alone)], alone)
        assert (together[row, len(alone) :] == 0).all()


def test_greedy_text_is_the_most_probable_token_each_time(ids):
    seq2seq = spread(model())
    text = seq2seq.generate(ids, attention_mask=MASK, max_new_tokens=6, eos_token_id=[])
    best = seq2seq(ids, text[:, :-1], MASK).logits.data.argmax(axis=-1)
    np.testing.assert_array_equal(text[:, 1:], best)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_wide_beams_find_the_best_of_all_texts(ids, length_penalty):
    small = {"share_embeddings": False, "target_vocab_size": 4}
    seq2seq = spread(model("pre", **small))
    found = seq2seq.generate(
        ids[:1], max_new_tokens=3, num_beams=40, length_penalty=length_penalty,
        early_stopping="never",
    )[0]  # fmt: skip
    texts = {}
    for tail in itertools.product(range(4), repeat=3):
        text = [1, *tail]
        if 2 in tail:
            text = text[: text.index(2) + 1]
        texts[tuple(text)] = None
    scores = {
        text: log_probabilities(seq2seq, ids[:1], None, np.array(text)).sum()
        / (len(text) - 1) ** length_penalty
        for text in texts
    }
    best = max(scores, key=scores.get)
    assert tuple(found[: len(best)]) == best


def test_the_beginning_of_the_target_may_be_given(ids):
    seq2seq = spread(model())
    whole = seq2seq.generate(ids, max_length=9, eos_token_id=[])
    found = seq2seq.generate(
        ids, max_length=9, decoder_input_ids=whole[:, :4], eos_token_id=[]
    )  # fmt: skip
    np.testing.assert_array_equal(found, whole)


def test_writing_ends_with_the_end_token_and_padding(ids):
    seq2seq = spread(model())
    free = seq2seq.generate(ids, max_new_tokens=9, eos_token_id=[])
    end = int(free[0, 3])
    text = seq2seq.generate(ids, max_new_tokens=9, eos_token_id=end, pad_token_id=11)
    first = [list(row).index(end) if end in row else 10 for row in free]
    assert first[0] <= 3
    for row, place in enumerate(first):
        np.testing.assert_array_equal(text[row, : place + 1], free[row, : place + 1])
        assert (text[row, place + 1 :] == 11).all()


def test_new_tokens_are_shown_as_they_come(ids):
    seq2seq, seen = spread(model()), []
    text = seq2seq.generate(ids, max_new_tokens=4, eos_token_id=[], streamer=seen.append)
    np.testing.assert_array_equal(np.stack(seen, axis=1), text[:, 1:])


def test_writing_on_a_device_is_that_of_the_host(ids):
    for beams in (1, 3):
        texts = []
        for place in ("cpu", open_device("strict")):
            seq2seq = spread(model(dtype=np.float32)).to(place)
            texts.append(
                seq2seq.generate(ids, attention_mask=MASK, max_new_tokens=6, num_beams=beams)
            )
        np.testing.assert_array_equal(*texts)


# ------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_model_is_the_same_model(ids, words, variant, tmp_path):
    assert_saved_and_loaded(model(variant, np.float32), tmp_path, ids, words)


# ------------------------------------------------------------------------------------ wrong input


def test_wrong_calls_are_refused(ids, words):
    seq2seq = model()
    with pytest.raises(ValueError, match="give labels to learn from, or decoder_input_ids"):
        seq2seq(ids)
    with pytest.raises(ValueError, match=r"input_ids \(1, 21\) are longer than the 20 positions"):
        seq2seq(np.ones((1, 21), int), words[:1])
    with pytest.raises(ValueError, match=r"decoder_input_ids \(3, 21\) are longer than the 20 pos"):
        seq2seq(ids, np.ones((3, 21), int))
    with pytest.raises(ValueError, match="21 tokens are more than the 20 positions"):
        seq2seq.generate(ids, max_new_tokens=20)
    with pytest.raises(ValueError, match=r"labels\[0, 0\] = 13 is outside 0 … 12"):
        seq2seq(ids, words, labels=words * 0 + 13)
    with pytest.raises(ValueError, match=r"labels \(3, 4\) must have the shape of decoder_input"):
        seq2seq(ids, words, labels=words[:, 1:])
    with pytest.raises(ValueError, match=r"\(2, 5\) must have one row for each of the 3 sources"):
        seq2seq(ids, words[:2])
    with pytest.raises(ValueError, match="row 1 of attention_mask shows no tokens"):
        seq2seq(ids, words, MASK * [[1], [0], [1]])
    with pytest.raises(ValueError, match="holds no tokens"):
        seq2seq.generate(np.zeros((1, 0), int), max_new_tokens=3)
    with pytest.raises(ValueError, match="attention_mask must have the shape"):
        seq2seq(ids, words, MASK[:, 1:])
    with pytest.raises(ValueError, match=r"label_smoothing 1\.5 must be within 0 … 1"):
        seq2seq(ids, labels=words, label_smoothing=1.5)
    with pytest.raises(ValueError, match="give either max_length or max_new_tokens"):
        seq2seq.generate(ids)
    with pytest.raises(TypeError, match="num_beam"):
        seq2seq.generate(ids, max_new_tokens=2, num_beam=3)


CONFIGS = {
    "heads": ({"d_model": 7, "nhead": 2}, "d_model 7 must be a multiple of nhead 2"),
    "activation": ({"activation": "tanh"}, "activation 'tanh' must be one of 'relu'"),
    "shared": (
        {"target_vocab_size": 5},
        "share_embeddings needs one vocabulary, but vocab_size is",
    ),
    "target": ({"target_vocab_size": 0}, "target_vocab_size must be an integer of at least 1"),
    "start": ({"decoder_start_token_id": None}, "decoder_start_token_id must be an id: it comes"),
    "end": ({"vocab_size": 2}, "eos_token_id must be an id within 0 … 1, got 2"),
    "smoothing": ({"label_smoothing": -0.1}, "label_smoothing must be a number within 0 … 1"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_without_meaning_is_refused(case):
    changes, message = CONFIGS[case]
    with pytest.raises(ValueError, match=f"Seq2SeqConfig: {message}"):
        Seq2SeqConfig(**changes)


def test_unknown_arguments_are_named():
    with pytest.raises(TypeError, match="there is no argument 'heads'; it takes vocab_size, targ"):
        Seq2SeqTransformer(heads=2)
    with pytest.raises(TypeError, match="config must be a Seq2SeqConfig, got dict"):
        Seq2SeqTransformer(SIZES)
