"""The file that tests/golden/make_seq_models.py wrote, and what the tests of its models share."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import minillm
from minillm.backend import to_numpy

FILE = Path(__file__).parents[1] / "golden" / "seq_models.safetensors"


def cases():
    """{case: {kind: {name: array}}}."""
    result = {}
    for key, array in load_file(FILE).items():
        case, kind, name = key.split(".", 2)
        result.setdefault(case, {}).setdefault(kind, {})[name] = array
    return result


def assert_agrees(model, golden, seen=None):
    """Logits (where `seen`), loss and every gradient at 1e-9; the names of both must be the same."""
    model.load_state_dict(golden["weight"])  # strict
    output = model(**golden["input"])
    assert output.logits.dtype == np.float64
    where = slice(None) if seen is None else seen
    expected = golden["output"]["logits"][where]
    np.testing.assert_allclose(output.logits.data[where], expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(output.loss.item(), golden["output"]["loss"], rtol=1e-9)
    output.loss.backward()
    found = {name: p.grad for name, p in model.named_parameters()}
    assert set(found) == set(golden["grad"])
    for name, value in golden["grad"].items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-11, err_msg=name)


def loss_and_gradients(make, inputs, device):
    """What a training step on a device computes, with dropout drawn from one seed."""
    minillm.manual_seed(7)
    model = make().to(device)
    loss = model(**inputs).loss
    loss.backward()
    return {"loss": loss.data, **{name: p.grad for name, p in model.named_parameters()}}


def assert_step_is_that_of_the_host(make, inputs, device):
    """The same bits on the stand-in for a device as on the host."""
    expected = loss_and_gradients(make, inputs, "cpu")
    found = loss_and_gradients(make, inputs, device)
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert type(found[name]) is not np.ndarray, name
        np.testing.assert_array_equal(to_numpy(found[name]), array, err_msg=name)


def assert_saved_and_loaded(model, tmp_path, *inputs, **options):
    """A model read from the folder that it was saved to gives the same logits."""
    model.eval().save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert again.config == model.config
    assert not again.training
    found, expected = again(*inputs, **options).logits, model(*inputs, **options).logits
    np.testing.assert_array_equal(found.data, expected.data)
    return again
