"""BERT and Llama on every device: loss and gradients of the host, bit for bit on the stand-in."""

import numpy as np
import pytest

import minillm
from minillm import no_grad
from minillm.backend import to_numpy

from ..device.conftest import CUDA, open_device
from . import test_bert, test_llama
from .golden import load


def bert(task):
    kind, changes = test_bert.TASKS[task]
    drops = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3}
    golden = load(f"bert_{task}")
    labels = {
        name: a.astype(np.float32) if a.dtype.kind == "f" else a
        for name, a in golden["label"].items()
    }
    config = test_bert.config(**{**changes, **drops})
    return kind(config, rng=np.random.default_rng(3)), {**golden["input"], **labels}


def llama(**changes):
    golden = load("llama_tied")
    model = test_llama.model(np.float32, attention_dropout=0.3, **changes).train()
    return model, {"input_ids": golden["ids"], "labels": golden["labels"],
                   "attention_mask": golden["mask"]}  # fmt: skip


CASES = {
    **{f"bert {task}": lambda task=task: bert(task) for task in test_bert.TASKS},
    "llama": llama,
    "llama with biases": lambda: llama(attention_bias=True, mlp_bias=True, rope_interleaved=True),
}


def loss_and_gradients(case, device):
    minillm.manual_seed(7)
    model, inputs = CASES[case]()
    model.to(device)
    loss = model(**inputs).loss
    loss.backward()
    return {"loss": loss.data, **{name: p.grad for name, p in model.named_parameters()}}


@pytest.mark.parametrize("device", ["strict", CUDA])
@pytest.mark.parametrize("case", CASES)
def test_a_training_step_is_that_of_the_host(case, device):
    expected = loss_and_gradients(case, "cpu")
    found = loss_and_gradients(case, open_device(device))
    assert set(found) == set(expected)
    for name, array in expected.items():
        other = to_numpy(found[name])
        if device == "strict":
            assert type(found[name]) is not np.ndarray, name
            np.testing.assert_array_equal(other, array, err_msg=name)
        else:
            np.testing.assert_allclose(other, array, rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("device", ["strict", CUDA])
def test_generation_with_a_cache_is_that_of_the_host(device):
    texts = []
    for place in ("cpu", open_device(device)):
        model = test_llama.model(np.float32).to(place)
        texts.append(model.generate([[3, 5, 4], [7, 9, 3]], max_new_tokens=6))
    np.testing.assert_array_equal(*texts)


@pytest.mark.parametrize("device", ["strict", CUDA])
def test_sentence_embeddings_are_those_of_the_host(device):
    results = []
    inputs = load("bert_sequence")["input"]
    for place in ("cpu", open_device(device)):
        model = test_bert.BertModel(test_bert.config(), rng=np.random.default_rng(3)).to(place)
        with no_grad():
            results.append(to_numpy(model.sentence_embeddings(**inputs).data))
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)
