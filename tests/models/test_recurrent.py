"""Recurrent classifier and language model: PyTorch's results, padding, carried state, errors."""

import numpy as np
import pytest

from minillm import no_grad
from minillm.generation import ModelSteps
from minillm.gradcheck import check_model
from minillm.models import (
    LSTMClassifier,
    LSTMClassifierConfig,
    LSTMLanguageModel,
    LSTMLanguageModelConfig,
)
from minillm.optim import Adam

from ..device.conftest import open_device
from .seq_golden import (
    assert_agrees,
    assert_saved_and_loaded,
    assert_step_is_that_of_the_host,
    cases,
)

GOLDEN = {name: case for name, case in cases().items() if not name.startswith(("seq2", "trans"))}
SIZES = {"vocab_size": 13, "embedding_dim": 6, "hidden_size": 5}
FLOAT64 = {"dtype": np.float64}
CELLS = ("lstm", "gru", "rnn")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])


def seeded(kind, **changes):
    return kind(**{**SIZES, **changes}, rng=np.random.default_rng(3))


def spread(model, seed=5):
    """Weights large enough for the logits to differ."""
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.data[...] = rng.normal(0, 0.8, p.shape)
    return model


@pytest.fixture
def ids(rng):
    return rng.integers(1, 13, (3, 5))


# ------------------------------------------------------------------------ agreement with PyTorch


def test_every_golden_case_is_compared():
    classifiers = {f"classifier_{cell}_{d}" for cell in CELLS for d in (1, 2)}
    assert set(GOLDEN) == classifiers | {f"language_model_{cell}" for cell in CELLS}


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_a_classifier_with_padding_agrees_with_packed_sequences(cell, directions):
    both = {"bidirectional": True, "num_layers": 2, "num_labels": 4} if directions == 2 else {}
    model = LSTMClassifier(**SIZES, cell=cell, **both, **FLOAT64)
    assert_agrees(model, GOLDEN[f"classifier_{cell}_{directions}"])


@pytest.mark.parametrize("cell", CELLS)
def test_a_language_model_with_padding_agrees_with_packed_sequences(cell):
    tied = {"tie_word_embeddings": True, "hidden_size": 6} if cell == "gru" else {}
    model = LSTMLanguageModel(**{**SIZES, **tied}, cell=cell, num_layers=2, **FLOAT64)
    assert_agrees(model, GOLDEN[f"language_model_{cell}"])


# ------------------------------------------------------------------------------------ the network


def test_the_default_classifier_is_that_of_the_tutorials():
    model = LSTMClassifier()
    shapes = {name: p.shape for name, p in model.named_parameters()}
    assert shapes == {
        "embedding.weight": (1000, 50),
        "stack.layers.0.left_to_right.weight_x": (50, 512),
        "stack.layers.0.left_to_right.weight_h": (128, 512),
        "stack.layers.0.left_to_right.bias": (512,),
        "output.weight": (128, 1),
        "output.bias": (1,),
    }
    bias = model.stack.layers[0].left_to_right.bias.data
    assert (bias[128:256] == 1).all()
    assert (np.abs(bias[:128]) < 0.1).all()
    table = model.embedding.weight.data
    assert 0.099 < table.max() <= 0.1
    assert -0.1 <= table.min() < -0.099


@pytest.mark.parametrize("labels", [1, 3])
def test_probabilities_are_those_of_the_loss(ids, labels):
    model = spread(seeded(LSTMClassifier, num_labels=labels, dropout=0.5, **FLOAT64))
    p = model.probabilities(ids, MASK)
    assert model.training
    assert p.shape == (3, labels)
    model.eval()
    if labels == 1:
        truth = np.array([1, 0, 1])
        expected = -np.log(np.where(truth == 1, p[:, 0], 1 - p[:, 0])).mean()
    else:
        truth = np.array([2, 0, 1])
        np.testing.assert_allclose(p.sum(axis=1), 1)
        expected = -np.log(p[np.arange(3), truth]).mean()
    output = model(ids, truth, MASK)
    np.testing.assert_allclose(output.loss.item(), expected)
    assert output.num_targets == 3


def test_several_labels_at_once_are_as_many_questions(ids):
    model = spread(seeded(LSTMClassifier, num_labels=2, **FLOAT64))
    truth = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    p = 1 / (1 + np.exp(-model(ids).logits.data))
    expected = -np.log(np.where(truth == 1, p, 1 - p)).mean()
    np.testing.assert_allclose(model(ids, truth).loss.item(), expected)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_on_either_side_is_not_read(ids, cell):
    options = {"cell": cell, "bidirectional": True, "num_layers": 2}
    model = spread(seeded(LSTMClassifier, **options, **FLOAT64))
    right = model(ids, attention_mask=MASK).logits.data
    left = np.stack([np.roll(row, 5 - n) for row, n in zip(ids, MASK.sum(1), strict=True)])
    np.testing.assert_allclose(model(left, attention_mask=MASK[:, ::-1]).logits.data, right)
    for row, n in enumerate(MASK.sum(1)):
        alone = model(ids[row, :n]).logits.data[0]
        np.testing.assert_allclose(right[row], alone)
    assert (np.abs(model(ids).logits.data - right)[1:] > 1e-6).all()


def test_dropout_acts_in_training_only(ids):
    for kind in (LSTMClassifier, LSTMLanguageModel):
        model = spread(seeded(kind, dropout=0.4)).eval()
        with no_grad():
            np.testing.assert_array_equal(model(ids).logits.data, model(ids).logits.data)
            model.train()
            assert (model(ids).logits.data != model(ids).logits.data).any()


def test_dropout_acts_on_what_goes_in_and_on_what_comes_out(ids):
    for kind, out in ((LSTMClassifier, (3, 5)), (LSTMLanguageModel, (3, 5, 5))):
        model, seen = seeded(kind, dropout=0.3, num_layers=2), []
        assert model.dropout.p == model.stack.dropout.p == 0.3
        model.dropout.forward = lambda x, seen=seen: (seen.append(x.shape), x * 0.0)[1]
        logits = model(ids).logits.data
        assert seen == [(3, 5, 6), out]
        np.testing.assert_array_equal(logits, np.broadcast_to(model.output.bias.data, logits.shape))


def test_ignored_labels_do_not_count(ids):
    model = seeded(LSTMLanguageModel)
    labels = np.where(MASK == 1, ids, -100)
    labels[0, :3] = -100
    assert model(ids, labels).num_targets == 2 + 2 + 0  # the first label of a row is no target


def test_a_classifier_learns_which_token_came_first(rng):
    ids = rng.integers(1, 13, (64, 6))
    labels = (ids[:, 0] > 6).astype(int)
    model = seeded(LSTMClassifier, hidden_size=16)
    optimizer = Adam(model.named_parameters(), lr=0.02)
    for _ in range(60):
        model.zero_grad()
        model(ids, labels).loss.backward()
        optimizer.step()
    fresh = rng.integers(1, 13, (64, 6))
    right = (model.probabilities(fresh)[:, 0] > 0.5) == (fresh[:, 0] > 6)
    assert right.mean() > 0.95


# -------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("cell", CELLS)
def test_the_gradient_check_passes(ids, cell):
    classifier = seeded(LSTMClassifier, cell=cell, num_labels=3, bidirectional=True)
    report = check_model(classifier, ids, labels=[2, 0, 1], attention_mask=MASK)
    assert report.passed, report
    language_model = seeded(LSTMLanguageModel, cell=cell, num_layers=2)
    report = check_model(language_model, ids, labels=ids, attention_mask=MASK[:, ::-1])
    assert report.passed, report


@pytest.mark.parametrize("cell", CELLS)
def test_a_training_step_on_a_device_is_that_of_the_host(ids, cell):
    device = open_device("strict")
    common = {"input_ids": ids, "attention_mask": MASK[:, ::-1]}
    options = {"cell": cell, "dropout": 0.3, "num_layers": 2}
    for kind, changes, labels in (
        (LSTMClassifier, {"bidirectional": True}, np.array([1, 0, 1])),
        (LSTMClassifier, {"num_labels": 3}, np.array([1, 0, 2])),
        (LSTMLanguageModel, {}, ids),
        (LSTMLanguageModel, {"tie_word_embeddings": True, "hidden_size": 6}, ids),
    ):
        assert_step_is_that_of_the_host(
            lambda k=kind, c=changes: seeded(k, **options, **c),
            {**common, "labels": labels}, device,
        )  # fmt: skip


# ---------------------------------------------------------------------------------- carried state


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("steps", [[5], [1] * 5, [2, 1, 2]])
def test_carried_state_changes_nothing(ids, cell, steps):
    model = spread(seeded(LSTMLanguageModel, cell=cell, num_layers=2, **FLOAT64))
    mask = MASK[[0, 0, 0]].copy()
    mask[1, :1] = 0
    expected = model(ids, attention_mask=mask if steps[0] > 1 else None).logits.data
    cache, found, start = model.new_cache(3), [], 0
    for n in steps:
        end = start + n
        options = {"attention_mask": mask[:, :end]} if steps[0] > 1 else {}
        found.append(model(ids[:, start:end], cache=cache, **options).logits.data)
        start = end
    assert cache.length == 5
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("beams", [1, 3])
def test_generation_with_and_without_carried_state_is_the_same(ids, cell, beams):
    model = spread(seeded(LSTMLanguageModel, cell=cell))
    mask = MASK[[0, 0, 0]].copy()
    mask[1, :2] = 0
    texts = [
        model.generate(ids, attention_mask=mask, max_new_tokens=8, num_beams=beams, use_cache=c)
        for c in (True, False)
    ]
    assert texts[0].shape == (3, 13)
    np.testing.assert_array_equal(*texts)
    alone = model.generate(ids[1:2, 2:], max_new_tokens=8, num_beams=beams)
    np.testing.assert_array_equal(texts[0][1, 5:], alone[0, 3:])


def test_each_step_of_writing_reads_one_token(ids, monkeypatch):
    model, lengths = spread(seeded(LSTMLanguageModel)), []
    forward = LSTMLanguageModel.forward

    def watched(self, input_ids, *args, **options):
        lengths.append(input_ids.shape[1])
        return forward(self, input_ids, *args, **options)

    monkeypatch.setattr(LSTMLanguageModel, "forward", watched)
    model.generate(ids, max_new_tokens=4)
    assert lengths == [5, 1, 1, 1]


def test_rows_of_the_state_can_be_exchanged(ids):
    model = spread(seeded(LSTMLanguageModel, **FLOAT64))
    step = ModelSteps(model, ids, total=8)
    step()
    found = step(np.array([4, 4, 7, 9]), rows=np.array([2, 0, 2, 1]))
    whole = np.concatenate([ids[[2, 0, 2, 1]], [[4], [4], [7], [9]]], axis=1)
    np.testing.assert_allclose(found, model(whole).logits.data[:, -1])


def test_a_long_text_is_learned_piece_by_piece(ids):
    model = spread(seeded(LSTMLanguageModel, **FLOAT64))
    cache = model.new_cache(3)
    model(ids, cache=cache)
    loss = model(ids[:, :3], ids[:, :3], cache=cache).loss
    loss.backward()  # through the second piece only
    whole = model(np.concatenate([ids, ids[:, :3]], axis=1)).logits[:, 5:7]
    p = np.exp(whole.data) / np.exp(whole.data).sum(-1, keepdims=True)
    nll = -np.log(np.take_along_axis(p, ids[:, 1:3, None], axis=2)).mean()
    np.testing.assert_allclose(loss.item(), nll)
    gradient = model.embedding.weight.grad
    untouched = np.setdiff1d(np.arange(13), ids[:, :2])
    assert (gradient[untouched] == 0).all()
    assert np.abs(gradient).max() > 0


def test_only_the_last_logits_where_no_more_are_wanted(ids):
    model = seeded(LSTMLanguageModel)
    found = model(ids, logits_to_keep=2).logits.data
    np.testing.assert_allclose(found, model(ids).logits.data[:, -2:], rtol=1e-6)


def test_generation_on_a_device_is_that_of_the_host(ids):
    texts = []
    for place in ("cpu", open_device("strict")):
        model = spread(seeded(LSTMLanguageModel, num_layers=2)).to(place)
        texts.append(model.generate(ids, max_new_tokens=6, num_beams=2))
    np.testing.assert_array_equal(*texts)


# ------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("cell", CELLS)
def test_a_saved_model_is_the_same_model(ids, cell, tmp_path):
    classifier = seeded(LSTMClassifier, cell=cell, num_labels=3, bidirectional=True, num_layers=2)
    assert_saved_and_loaded(classifier, tmp_path / "classifier", ids)
    tied = seeded(LSTMLanguageModel, cell=cell, tie_word_embeddings=True, hidden_size=6)
    assert_saved_and_loaded(tied, tmp_path / "tied", ids)
    again = assert_saved_and_loaded(seeded(LSTMLanguageModel, cell=cell), tmp_path / "lm", ids)
    assert again.config.cell == cell
    with pytest.raises(ValueError, match=r"type 'lstm_language_model'.* reads 'lstm_classifier'"):
        LSTMClassifier.from_pretrained(tmp_path / "lm")


# ------------------------------------------------------------------------------------ wrong input


def test_wrong_labels_are_refused(ids):
    binary, classes = seeded(LSTMClassifier), seeded(LSTMClassifier, num_labels=3)
    with pytest.raises(ValueError, match=r"labels must be within 0 … 1, found 0 … 2: for more"):
        binary(ids, [0, 1, 2])
    with pytest.raises(ValueError, match=r"labels\[1\] = 3 is outside 0 … 2"):
        classes(ids, [0, 3, 1])
    with pytest.raises(ValueError, match=r"labels \(2,\) must be \(3,\), for 3 texts"):
        classes(ids, [0, 1])
    with pytest.raises(ValueError, match=r"labels \(3, 2\) must be \(3, 3\), for 3 texts"):
        classes(ids, np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"must be within 0 … 1, found -1.0 … 1.0$"):
        classes.loss(classes(ids).logits, np.array([[0.0, 1.0, -1.0]] * 3))
    model = seeded(LSTMLanguageModel)
    with pytest.raises(ValueError, match=r"= 13 is outside 0 … 12"):
        model(ids[:1, :2], [[1, 13]])
    with pytest.raises(ValueError, match=r"labels \(1, 2\) must have the shape of input_ids"):
        model(ids, [[1, 2]])
    with pytest.raises(ValueError, match="at least 2 tokens"):
        model(ids[:, :1], ids[:, :1])


def test_wrong_texts_are_refused(ids):
    for model in (seeded(LSTMClassifier), seeded(LSTMLanguageModel)):
        name = type(model).__name__
        empty = MASK.copy()
        empty[1] = 0
        with pytest.raises(ValueError, match=f"{name}: row 1 of attention_mask shows no tokens"):
            model(ids, attention_mask=empty)
        with pytest.raises(ValueError, match=r"\(1, 0\) holds no tokens"):
            model(np.zeros((1, 0), int))
        with pytest.raises(ValueError, match="attention_mask must have the shape"):
            model(ids, attention_mask=MASK[:2])
        with pytest.raises(ValueError, match=r"= 13 is outside 0 … 12"):
            model([[1, 13]])
        with pytest.raises(TypeError, match="must be integers"):
            model(ids * 1.0)
        with pytest.raises(TypeError, match="token_type_ids"):
            model(ids, token_type_ids=ids)
    model = seeded(LSTMLanguageModel)
    with pytest.raises(ValueError, match="logits_to_keep must be 0"):
        model(ids, ids, logits_to_keep=1)
    with pytest.raises(ValueError, match=r"have 3 rows, but the cache was made for 2"):
        model(ids, cache=model.new_cache(2))
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        model.new_cache(0)


CONFIGS = {
    "size": ({"hidden_size": 0}, "hidden_size must be an integer of at least 1, got 0"),
    "cell": ({"cell": "mlp"}, "cell 'mlp' must be one of 'lstm', 'gru', 'rnn'"),
    "dropout": ({"dropout": 1.5}, "dropout must be a number within 0 … 1, got 1.5"),
    "flag": ({"bidirectional": 2}, "bidirectional must be True or False, got 2"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_without_meaning_is_refused(case):
    changes, message = CONFIGS[case]
    for kind in (LSTMClassifierConfig, LSTMLanguageModelConfig):
        with pytest.raises(ValueError, match=f"{kind.__name__}: {message}"):
            kind(**changes)


def test_what_only_one_of_the_models_refuses():
    with pytest.raises(ValueError, match="num_labels must be an integer of at least 1, got 0"):
        LSTMClassifierConfig(num_labels=0)
    with pytest.raises(ValueError, match="bidirectional must be False: reading from right to left"):
        LSTMLanguageModelConfig(bidirectional=True)
    with pytest.raises(ValueError, match="embedding_dim 50 equal to hidden_size 128"):
        LSTMLanguageModelConfig(tie_word_embeddings=True)
    with pytest.raises(ValueError, match="eos_token_id must be an id within 0 … 9, got 10"):
        LSTMLanguageModelConfig(vocab_size=10, eos_token_id=10)


def test_unknown_arguments_are_named():
    with pytest.raises(TypeError, match="there is no argument 'hidden'; it takes vocab_size, emb"):
        LSTMClassifier(hidden=3)
    with pytest.raises(TypeError, match=r"config must be a LSTMClassifierConfig, got int: write"):
        LSTMClassifier(1000)
    with pytest.raises(TypeError, match="num_labels given beside a config"):
        LSTMClassifier(LSTMClassifierConfig(), num_labels=3)
