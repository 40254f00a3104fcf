"""What has been learned as a file, for the ways of tuning without a format that others read."""

import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minillm.finetuning import (
    PromptTuning,
    add_adapters,
    bitfit,
    freeze,
    load_trainable,
    save_trainable,
)

from .tiny import batch, bert, learning, shake

MAKE = {
    "bitfit": lambda model: bitfit(model, "classifier") and model,
    "prompt": lambda model: PromptTuning(model, 2, "classifier", token_ids=[3, 4]),
    "adapters": lambda model: add_adapters(model, 3, "classifier", rng=np.random.default_rng(1)),
}


@pytest.mark.parametrize("kind", MAKE)
def test_base_and_file_together_are_the_tuned_model(kind, tmp_path):
    tuned, other = MAKE[kind](bert()), MAKE[kind](bert())
    shake(tuned)
    ids, _ = batch("bert")
    expected = tuned(ids).logits.data
    assert not np.allclose(other(ids).logits.data, expected)
    save_trainable(tuned, tmp_path / "learned.safetensors")
    assert load_trainable(other, tmp_path / "learned.safetensors") is other
    np.testing.assert_array_equal(other(ids).logits.data, expected)


@pytest.mark.parametrize("kind", MAKE)
def test_the_file_holds_what_learns_and_nothing_else(kind, tmp_path):
    model = MAKE[kind](bert())
    save_trainable(model, tmp_path / "learned.safetensors")
    found = load_file(str(tmp_path / "learned.safetensors"))
    assert sorted(found) == sorted(learning(model))
    for name, p in model.named_parameters():
        if name in found:
            np.testing.assert_array_equal(found[name], p.data, err_msg=name)


def test_a_wider_dtype_is_cast_to_that_of_the_model(tmp_path):
    model, narrow = MAKE["bitfit"](bert(np.float64)), MAKE["bitfit"](bert())
    shake(model)
    save_trainable(model, tmp_path / "a.safetensors")
    load_trainable(narrow, tmp_path / "a.safetensors")
    for (name, p), (_, q) in zip(model.named_parameters(), narrow.named_parameters(), strict=True):
        assert q.dtype == np.float32
        if p.requires_grad:
            np.testing.assert_array_equal(q.data, p.data.astype(np.float32), err_msg=name)


def test_a_file_that_does_not_fit_leaves_the_model_as_it_was(tmp_path):
    path = tmp_path / "adapters.safetensors"
    save_trainable(MAKE["adapters"](bert()), path)
    model = MAKE["bitfit"](bert())
    shake(model)
    before = {name: a.copy() for name, a in model.state_dict().items()}
    # unexpected: 16 arrays of adapters and 5 scales of norms; missing: 12 biases of layers, 1 of the
    # pooler; five of them are named
    message = r"does not fit what learns in this Bert\w+: unexpected: .*\.adapter\..*and 29 more"
    with pytest.raises(ValueError, match=message):
        load_trainable(model, path)
    arrays = {n: before[n] + 1 for n in learning(model)}
    arrays["classifier.bias"] = np.zeros(3, np.float32)
    save_file(arrays, str(path))
    with pytest.raises(ValueError, match=re.escape("classifier.bias: expected (4,), found (3,)")):
        load_trainable(model, path)
    del arrays["classifier.bias"]
    save_file(arrays, str(path))
    with pytest.raises(ValueError, match=r"Classification: missing: classifier\.bias: freeze"):
        load_trainable(model, path)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_without_anything_that_learns_or_without_a_file_there_is_one_clear_line(tmp_path):
    model = bert()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing\.safetensors"):
        load_trainable(model, tmp_path / "nothing.safetensors")
    freeze(model)
    for call in (save_trainable, load_trainable):
        with pytest.raises(
            ValueError, match=f"{call.__name__}: no parameter of this Bert.* learns"
        ):
            call(model, tmp_path / "nothing.safetensors")
    assert not list(tmp_path.iterdir())
