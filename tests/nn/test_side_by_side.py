"""Linear layers whose matrices lie in one array: the same numbers, and no surprise when one changes."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

from minillm import Tensor
from minillm.nn import Linear
from minillm.nn.side_by_side import SideBySide
from minillm.optim import AdamW

from ..device.conftest import open_device


@pytest.fixture
def layers(rng):
    return [Linear(5, width, bias=False, dtype=np.float64, rng=rng) for width in (7, 2, 3)]


@pytest.fixture
def joint(layers):
    joint = SideBySide()
    joint.join(*layers)
    return joint


def separately(x, layers):
    return np.concatenate([layer(Tensor(x)).data for layer in layers], axis=1)


def test_joining_moves_the_weights_and_keeps_their_values(layers):
    before = [layer.weight.data.copy() for layer in layers]
    joint = SideBySide()
    joint.join(*layers)
    matrix = joint.matrix(*layers)
    np.testing.assert_array_equal(matrix, np.concatenate(before, axis=1))
    for layer, old in zip(layers, before, strict=True):
        np.testing.assert_array_equal(layer.weight.data, old)
        assert np.shares_memory(layer.weight.data, matrix)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("joined", [False, True])
def test_the_product_is_that_of_each_layer(rng, bias, joined):
    layers = [Linear(5, width, bias, dtype=np.float64, rng=rng) for width in (7, 2, 3)]
    x, joint = rng.standard_normal((4, 5)), SideBySide()
    if joined:
        joint.join(*layers)
    np.testing.assert_allclose(joint.forward(x, *layers), separately(x, layers), rtol=1e-13)


def test_a_change_in_place_counts(rng, layers, joint):
    x = rng.standard_normal((4, 5))
    layers[1].weight.data[...] = 0
    assert joint.matrix(*layers) is not None
    assert not joint.forward(x, *layers)[:, 7:9].any()
    layers[2].load_state_dict({"weight": np.ones((5, 3))})
    np.testing.assert_allclose(joint.forward(x, *layers), separately(x, layers), rtol=1e-13)


def replace(layers):
    layers[1].weight.data = layers[1].weight.data * 2


def exchange(layers):
    first, second = layers[1].weight, layers[2].weight
    first.data, second.data = second.data, first.data


def train(layers):
    optimizer = AdamW([layer.weight for layer in layers], lr=0.1)
    for layer in layers:
        layer.weight.grad = np.ones(layer.weight.shape)
    optimizer.step()


def cast(layers):
    for layer in layers:
        layer.to("float64")


@pytest.mark.parametrize("change", [replace, exchange, train, cast])
def test_a_weight_with_another_array_has_left(rng, layers, joint, change):
    x = rng.standard_normal((4, 5))
    before = joint.forward(x, *layers)
    change(layers)
    assert joint.matrix(*layers) is None
    expected = np.concatenate([x @ layer.weight.data for layer in layers], axis=1)
    np.testing.assert_allclose(joint.forward(x, *layers), expected, rtol=1e-13)
    if change is not cast:
        assert (joint.forward(x, *layers) != before).any()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_starts_without_weights(layers, joint, duplicate):
    assert duplicate(joint).matrix(*layers) is None
    assert joint.matrix(*layers) is not None


def test_nothing_is_kept_alive(layers, joint):
    array = weakref.ref(layers[0].weight.data.base)
    for layer in layers:
        layer.weight.data = layer.weight.data.copy()
    gc.collect()
    assert array() is None
    assert joint.matrix(*layers) is None


def test_arrays_on_a_device_stay_where_they_are(rng, layers):
    device, joint = open_device("strict"), SideBySide()
    for layer in layers:
        layer.to(device)
    arrays = [layer.weight.data for layer in layers]
    joint.join(*layers)
    assert all(layer.weight.data is a for layer, a in zip(layers, arrays, strict=True))
    assert joint.matrix(*layers) is None
