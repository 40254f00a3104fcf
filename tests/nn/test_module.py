"""Modules: finding parameters, state, modes, repr."""

import subprocess
import sys

import numpy as np
import pytest

from minillm import nn
from minillm.autograd import Tensor


class Pair(nn.Module):
    def __init__(self):
        self.second = nn.Linear(3, 2, bias=False)
        self.first = nn.LayerNorm(3)
        self.scale = nn.Parameter(np.ones(2, np.float32))

    def forward(self, x):
        return self.second(self.first(x)) * self.scale


def test_parameters_come_in_the_order_of_the_source():
    names = [name for name, _ in Pair().named_parameters()]
    assert names == ["scale", "second.weight", "first.weight", "first.bias"]


def test_the_order_does_not_depend_on_the_hash_seed():
    code = (
        "from minillm.models import *; m = GPT2LMHeadModel(GPT2Config(vocab_size=5, n_positions=4,"
        "n_embd=4, n_layer=2, n_head=1)); print([n for n, _ in m.named_parameters()])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True,
            text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1


def test_a_shared_parameter_is_listed_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert [n for n, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert model.num_parameters() == 8


def test_state_round_trip():
    a, b = Pair(), Pair()
    b.load_state_dict({name: array.copy() for name, array in a.state_dict().items()})
    x = Tensor(np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32))
    np.testing.assert_array_equal(a(x).data, b(x).data)


def test_loading_lists_every_problem_and_changes_nothing():
    model = Pair()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    state = dict(before)
    del state["scale"]
    state["surplus"] = np.zeros(1)
    state["first.bias"] = np.zeros(7)
    with pytest.raises(ValueError) as caught:
        model.load_state_dict(state)
    message = str(caught.value)
    assert "missing: scale (2,)" in message
    assert "unexpected: surplus" in message
    assert "first.bias: expected (3,), found (7,)" in message
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_loading_keeps_the_dtype_of_the_model():
    model = nn.Linear(2, 2)
    model.load_state_dict({"weight": np.ones((2, 2)), "bias": np.ones(2)})
    assert model.weight.dtype == np.float32


def test_train_and_eval_reach_every_module():
    model = nn.Sequential(nn.Dropout(0.9), nn.Sequential(nn.Dropout(0.9)))
    x = Tensor(np.ones((50,), np.float32))
    assert (model(x).data == 0).any()
    model.eval()
    np.testing.assert_array_equal(model(x).data, x.data)
    assert [m.training for m in model.train().modules()] == [True] * 4


def test_to_casts_all_parameters():
    model = Pair().to("float64")
    assert {p.dtype for p in model.parameters()} == {np.dtype("float64")}


def test_repr_shows_shapes_and_counts():
    text = repr(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.1)))
    assert text == (
        "Sequential(\n  0: Linear(weight (2, 3), bias (3,))\n  1: Dropout(p=0.1)\n)  9 parameters"
    )


def test_repr_folds_equal_children():
    model = nn.ModuleList(nn.Linear(2, 2) for _ in range(12))
    assert "0 … 11: Linear" in repr(model)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(0, 3), "Linear: in_features must be an integer of at least 1, got 0"),
        (lambda: nn.Embedding(3, 2.5), "Embedding: embedding_dim .* got 2.5"),
        (lambda: nn.LayerNorm(-1), "LayerNorm: normalized_shape"),
        (lambda: nn.Dropout(1.5), "Dropout: p = 1.5"),
    ],
)
def test_impossible_sizes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_module_that_holds_its_parent_is_named():
    parent = nn.Linear(2, 3)
    parent.part = nn.Linear(3, 3)
    parent.part.owner = parent
    with pytest.raises(ValueError, match=r"part\.owner is a Linear that holds this part of itself"):
        repr(parent)
    parent.part.owner = [parent]  # a list is not searched
    assert len(list(parent.parameters())) == 4


def test_containers_hold_modules_only():
    with pytest.raises(TypeError, match="holds modules, got int"):
        nn.Sequential(3)


def test_initial_values_have_the_documented_distribution():
    weight = nn.Linear(400, 300).weight.data
    assert np.abs(weight).max() <= 1 / 20
    assert abs(weight.std() - 1 / 20 / np.sqrt(3)) < 5e-4
    table = nn.Embedding(300, 200, padding_idx=4).weight.data
    assert abs(table.std() - 1) < 0.02
    assert (table[4] == 0).all()


@pytest.mark.parametrize("row", [5, -6, 2.0, True, "0", [1]])
def test_an_embedding_without_such_a_padding_row_is_refused(row):
    with pytest.raises(
        ValueError, match=r"padding_idx must be an integer within 0 … 4, or None, got"
    ):
        nn.Embedding(5, 3, padding_idx=row)


@pytest.mark.parametrize("layer", [nn.LayerNorm, nn.RMSNorm])
def test_a_norm_refuses_an_eps_without_a_root(layer):
    for eps in (-1, "a", None, float("nan"), float("inf")):
        message = f"{layer.__name__}: eps must be (a finite number|at least 0), got {eps!r}"
        with pytest.raises(ValueError, match=message):
            layer(4, eps=eps)
    assert layer(4, eps=0).eps == 0


@pytest.mark.parametrize("layer", [nn.LayerNorm, nn.RMSNorm])
def test_the_shape_of_a_norm_may_be_a_tuple_of_one_size(layer):
    for shape in (3, (3,), [3]):
        assert layer(shape).weight.shape == (3,)
    for shape in ((3, 4), (), (0,), ("3",)):
        with pytest.raises(ValueError, match="normalized_shape must be an integer of at least 1"):
            layer(shape)
