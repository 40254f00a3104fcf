"""Numbers where a student gives something else: one sentence that names the argument."""

import json
import os

import numpy as np
import pytest

import minillm.functional as F
from minillm import Tensor, nn
from minillm.arguments import is_number, is_whole
from minillm.data import DataLoader, LengthBatches, TextBatches, TextWindows
from minillm.files import write_json
from minillm.models import BertConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig
from minillm.optim import clip_grad_norm_
from minillm.tokenizers import BertTokenizer, CharTokenizer, GPT2Tokenizer
from minillm.training import EarlyStopping

WHOLE = [3, -3, np.int64(3), np.uint8(3)]
NUMBERS = [*WHOLE, 0.5, float("nan"), np.float32(0.5), np.float64(0.5)]
NEITHER = [True, np.bool_(True), "3", None, [3], np.ones(1), 1j]


def test_what_is_a_number_and_what_is_none():
    assert [is_whole(x) for x in WHOLE] == [True] * len(WHOLE)
    assert [is_number(x) for x in NUMBERS] == [True] * len(NUMBERS)
    assert [is_whole(x) for x in (0.5, 3.0, np.float64(3.0))] == [False] * 3
    assert [(is_whole(x), is_number(x)) for x in NEITHER] == [(False, False)] * len(NEITHER)


IDS, ROWS = np.arange(20), (np.ones((4, 2)), np.ones(4))
LOGITS = Tensor(np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.Linear("3", 2),
            "Linear: in_features must be an integer of at least 1, got '3'",
        ),
        (lambda: nn.Dropout("x"), "Dropout: p = 'x' must be a probability"),
        (lambda: nn.Dropout(None), "Dropout: p = None must be a probability"),
        (lambda: F.dropout(LOGITS, p="a"), "dropout: p = 'a' must be a probability"),
        (
            lambda: F.cross_entropy(LOGITS, np.array([0, 1]), label_smoothing="a"),
            "label_smoothing 'a' must be within 0 … 1",
        ),
        (lambda: DataLoader(ROWS, 2.5), "batch_size must be an integer of at least 1, got 2.5"),
        (lambda: LengthBatches({"x": [[1]]}, "2"), "LengthBatches: batch_size .* got '2'"),
        (lambda: TextWindows(IDS, 4.5), "TextWindows: block_size .* got 4.5"),
        (lambda: TextBatches(IDS, 4, "2"), "TextBatches: batch_size .* got '2'"),
        (lambda: EarlyStopping(patience="a"), "EarlyStopping: patience .* got 'a'"),
        (lambda: EarlyStopping(min_delta="a"), "min_delta must be a finite number, got 'a'"),
        (lambda: CharTokenizer.train(["ab"], 1.5), "vocab_size must be an integer .* got 1.5"),
        (
            lambda: GPT2Tokenizer.train(["ab"], "300"),
            "GPT2Tokenizer.train: vocab_size .* got '300'",
        ),
        (lambda: BertTokenizer.train(["ab"], 30.5), "BertTokenizer.train: vocab_size .* got 30.5"),
        (
            lambda: GPT2Config(resid_pdrop="a"),
            "GPT2Config: resid_pdrop = 'a' must be a probability",
        ),
        (
            lambda: BertConfig(hidden_dropout_prob=2),
            "hidden_dropout_prob = 2 must be a probability",
        ),
        (
            lambda: GPT2Config(layer_norm_epsilon="x"),
            "layer_norm_epsilon must be a finite number, got 'x'",
        ),
        (lambda: GPT2Config(n_inner=-4), "GPT2Config: n_inner must be an integer of at least 1"),
        (
            lambda: BertConfig(layer_norm_eps=-1),
            "layer_norm_eps must be at least 0, got -1",
        ),
        (lambda: BertConfig(num_labels=0), "num_labels must be an integer of at least 1, got 0"),
        (lambda: BertConfig(classifier_dropout=2.0), "classifier_dropout = 2.0 must be a prob"),
        (lambda: BertConfig(id2label={"a": "b"}), "id2label must be numbers of classes and their"),
        (
            lambda: LlamaConfig(rms_norm_eps=float("nan")),
            "rms_norm_eps must be a finite number, got nan",
        ),
        (lambda: LlamaConfig(rope_theta=0), "rope_theta must be above 0, got 0"),
        (lambda: LlamaConfig(rope_theta="x"), "rope_theta must be a finite number, got 'x'"),
        (lambda: F.gumbel_softmax(LOGITS, temperature="a"), "temperature = 'a' must be positive"),
        (lambda: F.gumbel_softmax(LOGITS, temperature=1e-310), "1e-310 must be positive"),
        (lambda: LlamaConfig(attention_dropout=-1), "attention_dropout = -1 must be a probability"),
    ],
)
def test_something_else_than_the_number_that_is_wanted(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("gpu", "'gpu' is neither a device, such"),
        (3, "3 is neither"),
        ("int64", "floating, not int64"),
    ],
)
def test_a_model_moves_to_devices_and_floating_dtypes_only(target, message):
    model = nn.Linear(2, 3)
    with pytest.raises(TypeError, match=message):
        model.to(target)
    assert model.weight.dtype == np.float32


def test_a_model_in_the_place_of_its_parameters_is_clipped():
    model = nn.Linear(1, 2, bias=False)
    model.weight.grad = np.array([[3.0, 4.0]], np.float32)
    assert clip_grad_norm_(model, 1.0) == 5.0
    np.testing.assert_allclose(model.weight.grad, [[0.6, 0.8]], rtol=1e-6)


def test_numbers_of_numpy_in_a_config_are_saved_as_numbers(tmp_path):
    sizes = {"vocab_size": np.int64(7), "n_positions": 4, "n_embd": 2, "n_layer": 1, "n_head": 1}
    config = GPT2Config(**sizes, resid_pdrop=np.float32(0.5))
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (saved["vocab_size"], saved["resid_pdrop"]) == (7, 0.5)
    with pytest.raises(TypeError, match=r"JSON cannot hold .* a set"):
        write_json(tmp_path / "config.json", {1, 2})
    assert GPT2LMHeadModel.from_pretrained(tmp_path).config.vocab_size == 7


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no such rights")
def test_others_may_read_what_is_saved_if_the_umask_says_so(tmp_path):
    before = os.umask(0o027)
    try:
        GPT2LMHeadModel(GPT2Config(7, 4, 2, 1, 1)).save_pretrained(tmp_path)
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o640"}


def test_an_epsilon_of_numpy_leaves_float32_what_it_is():
    x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3), requires_grad=True)
    gamma = Tensor(np.ones(3, np.float32), requires_grad=True)
    for out in (
        F.layer_norm(x, gamma, gamma, eps=np.float64(1e-5)),
        F.rms_norm(x, gamma, eps=np.float64(1e-5)),
    ):
        saved = out._made_by.saved
        assert {a.dtype for a in saved if isinstance(a, np.ndarray)} == {np.dtype(np.float32)}
