"""Weight normalization of layers: the same functions, another way to them."""

import copy

import numpy as np
import pytest

from minillm import no_grad
from minillm.gradcheck import check_model
from minillm.nn import (
    GRU,
    Embedding,
    Linear,
    Sequential,
    WeightNorm,
    remove_weight_norm,
    weight_norm,
)
from minillm.optim import SGD
from minillm.training import compare_weight_norm


@pytest.fixture
def x(rng):
    return rng.standard_normal((7, 3)).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_the_outputs_stay_the_same(x, axis):
    layer = Linear(3, 5)
    before = layer(x).data
    normed = weight_norm(layer, axis=axis)
    np.testing.assert_allclose(normed(x).data, before, atol=1e-6)
    np.testing.assert_allclose(remove_weight_norm(normed)(x).data, before, atol=1e-6)


def test_the_parameters_are_the_two_parts_and_what_else_there_was():
    layer = Linear(3, 5)
    weight = layer.weight.data.copy()
    shapes = {name: p.shape for name, p in weight_norm(layer).named_parameters()}
    assert shapes == {"weight_v": (3, 5), "weight_g": (1, 5), "module.bias": (5,)}
    back = remove_weight_norm(weight_norm(Linear(3, 5)))
    assert [name for name, _ in back.named_parameters()] == ["weight", "bias"]
    np.testing.assert_allclose(layer.weight.data, weight, rtol=1e-6)


def test_the_gradients_are_those_of_the_function(x):
    net = Sequential(weight_norm(Linear(3, 5)), weight_norm(Linear(5, 2), axis=None))
    report = check_model(net, x)
    assert report.passed, str(report)


def test_a_step_lengthens_v_and_the_removed_layer_computes_the_same(x):
    normed = weight_norm(Linear(3, 5))
    before = np.linalg.norm(normed.weight_v.data, axis=0)
    optimizer = SGD(normed.parameters(), lr=0.5)
    for _ in range(3):
        (normed(x) ** 2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert (np.linalg.norm(normed.weight_v.data, axis=0) > before).all()
    with no_grad():
        trained = normed(x).data
    np.testing.assert_allclose(
        np.linalg.norm(normed.module.weight.data, axis=0),
        np.abs(normed.weight_g.data[0]),
        rtol=1e-5,
    )
    np.testing.assert_allclose(remove_weight_norm(normed)(x).data, trained, atol=1e-6)


def test_the_graph_does_not_outlive_the_call(x):
    normed = weight_norm(Linear(3, 5))
    normed(x)
    assert not normed.module.weight.requires_grad
    with pytest.raises(ValueError, match="linear"):
        normed(x[:, :2])
    assert not normed.module.weight.requires_grad


def test_copies_states_and_tables_of_zeros(x):
    normed = weight_norm(Linear(3, 5))
    other = weight_norm(Linear(3, 5))
    other.load_state_dict(normed.state_dict())
    np.testing.assert_array_equal(other(x).data, normed(x).data)
    np.testing.assert_array_equal(copy.deepcopy(normed)(x).data, normed(x).data)
    table = weight_norm(Embedding(4, 3, padding_idx=2), axis=1)
    out = table(np.array([2, 1]))
    out.sum().backward()
    assert (out.data[0] == 0).all()
    assert (table.weight_v.grad[2] == 0).all()
    assert np.isfinite(table.weight_v.grad).all()


def test_frozen_parameters_stay_frozen():
    layer = Linear(3, 5)
    layer.weight.requires_grad = False
    normed = weight_norm(layer)
    assert not normed.weight_v.requires_grad
    assert not remove_weight_norm(normed).weight.requires_grad


def test_training_differs_though_the_functions_are_the_same():
    curves = compare_weight_norm(steps=40)
    assert curves.start_difference < 1e-6
    assert curves.end_difference < 1e-6
    assert curves.plain[0] == pytest.approx(curves.normalised[0], rel=1e-5)
    assert np.abs(np.subtract(curves.plain, curves.normalised)).max() > 0.02
    with pytest.raises(ValueError, match=r"learning_rate = 8\.0 the loss rose"):
        compare_weight_norm(steps=40, learning_rate=8.0)
    with pytest.raises(ValueError, match="steps must be an integer of at least 1, got 0"):
        compare_weight_norm(steps=0)


def test_the_picture_shows_both_trainings():
    pytest.importorskip("matplotlib")
    curves = compare_weight_norm(steps=3, learning_rate=0.1)
    lines = {line.get_label(): line for line in curves.plot().axes[0].get_lines()}
    assert lines["weights"].get_ydata().tolist() == curves.plain
    assert lines["length and direction"].get_ydata().tolist() == curves.normalised


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Linear has no parameter 'wieght'; it has weight, bias"):
        weight_norm(Linear(3, 5), "wieght")
    with pytest.raises(ValueError, match="GRU has no parameter 'weight'; it has none of its own"):
        weight_norm(GRU(3, 5))
    with pytest.raises(ValueError, match="Linear has no parameter 'weight'; it has bias"):
        weight_norm(weight_norm(Linear(3, 5)).module)
    with pytest.raises(TypeError, match="module must be a Module, got int"):
        WeightNorm(3)
    with pytest.raises(TypeError, match="must be a WeightNorm, got Linear"):
        remove_weight_norm(Linear(3, 5))
