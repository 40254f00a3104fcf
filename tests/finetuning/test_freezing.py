"""Freezing, layer-wise rates and gradual unfreezing."""

import re

import numpy as np
import pytest

from minillm.finetuning import (
    GradualUnfreezing,
    freeze,
    layerwise_groups,
    trainable_parameters,
    unfreeze,
)
from minillm.nn import Linear, Module, ModuleList
from minillm.optim import SGD, AdamW
from minillm.training import fit

from .tiny import batch, bert, gpt2, learning, llama, lstm


def test_a_module_stands_for_all_that_is_in_it_and_not_for_its_namesakes():
    model = gpt2(n_layer=11)
    names = [name for name, _ in model.named_parameters()]
    found = freeze(model, "transformer.h.1", "*.ln_2.bias")
    expected = [n for n in names if n.startswith("transformer.h.1.") or n.endswith("ln_2.bias")]
    assert found == expected
    assert learning(model) == [n for n in names if n not in expected]
    assert unfreeze(model, "transformer.h.1.attn.c_attn") == [
        "transformer.h.1.attn.c_attn.weight",
        "transformer.h.1.attn.c_attn.bias",
    ]
    assert len(freeze(model)) == len(names)
    assert learning(model) == []
    assert len(unfreeze(model)) == len(names)


@pytest.mark.parametrize("function", [freeze, unfreeze])
def test_a_pattern_that_fits_nothing_is_answered_with_the_names(function):
    model = gpt2()
    with pytest.raises(ValueError, match=rf"^{function.__name__}: 'h.0' fits no parameter of") as e:
        function(model, "h.0")
    assert "transformer.h.*.attn.c_attn.weight" in str(e.value)
    assert learning(model) == [name for name, _ in model.named_parameters()]
    freeze(model)
    with pytest.raises(ValueError, match="'wtf'"):
        function(model, "transformer.wte", "wtf")
    assert learning(model) == []


def test_what_is_frozen_gets_no_gradient_and_keeps_its_bits():
    model = gpt2()
    ids, labels = batch("gpt2")
    model(ids, labels=labels).loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    freeze(model, "transformer.h.0", "transformer.wte")
    before = {name: a.copy() for name, a in model.state_dict().items()}
    optimizer = AdamW(model.named_parameters(), lr=0.1, weight_decay=0.5)
    optimizer.zero_grad()
    model(ids, labels=labels).loss.backward()
    optimizer.step()
    for name, p in model.named_parameters():
        frozen = name.startswith(("transformer.h.0", "transformer.wte"))
        assert (p.grad is None) == frozen
        assert np.array_equal(before[name], p.data) == frozen
    assert not any(name.startswith("transformer.h.0") for name in optimizer.state)


def test_trainable_parameters_counts_entries_once():
    model = gpt2()
    total = sum(a.size for a in model.state_dict().values())
    assert trainable_parameters(model) == (total, total)
    freeze(model, "transformer.wte")
    assert trainable_parameters(model).trainable == total - 13 * 6
    assert trainable_parameters(model).share == pytest.approx(1 - 78 / total)
    assert str(trainable_parameters(model)).startswith(f"{total - 78:,} of {total:,} parameters")
    assert trainable_parameters(Module()).share == 0


# ------------------------------------------------------------------------------ rates by layer


def rates(groups):
    return {name: group["lr"] for group in groups for name, _ in group["params"]}


def test_the_rate_falls_by_a_factor_from_layer_to_layer_down_to_the_embedding():
    found = rates(layerwise_groups(bert(), lr=0.8, decay=0.5))
    expected = {"bert.embeddings": 0.1, "bert.encoder.layer.0": 0.2, "bert.encoder.layer.1": 0.4,
                "bert.pooler": 0.8, "classifier": 0.8}  # fmt: skip
    assert set(found) == set(bert().state_dict())
    for name, rate in found.items():
        [part] = [part for part in expected if name.startswith(part)]
        assert rate == pytest.approx(expected[part]), name


def test_a_list_in_the_place_of_patterns_and_a_rate_that_is_none():
    with pytest.raises(
        TypeError, match=r'must be a text, got list: write several as freeze\(model, "'
    ):
        freeze(gpt2(), ["transformer.wte", "transformer.wpe"])
    with pytest.raises(ValueError, match="layerwise_groups: lr must be above 0, got 'a'"):
        layerwise_groups(gpt2(), "a")


@pytest.mark.parametrize(
    ("model", "bottom", "middle", "top"),
    [
        (gpt2, "transformer.wpe.weight", "transformer.h.1.ln_1.bias", "transformer.ln_f.weight"),
        (llama, "model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight", "lm_head.weight"),
        (lstm, "embedding.weight", "stack.layers.0.left_to_right.bias", "output.weight"),
    ],
)
def test_every_model_has_its_embedding_below_and_its_head_on_top(model, bottom, middle, top):
    found = rates(layerwise_groups(model(), lr=1.0, decay=0.1))
    assert found[top] == 1.0
    assert found[middle] == pytest.approx(0.1)
    assert found[bottom] == min(found.values()) < 0.1


def test_decay_spares_biases_and_norms():
    groups = layerwise_groups(bert(), lr=0.8, weight_decay=0.3)
    for group in groups:
        for name, p in group["params"]:
            spared = name.endswith("bias") or "LayerNorm" in name
            assert group["weight_decay"] == (0.0 if spared else 0.3)
            assert spared == (p.ndim == 1)
    assert groups[0]["lr"] == 0.8
    AdamW(groups)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"lr": 0.0}, "lr must be above 0"), ({"lr": float("nan")}, "lr must be above 0"),
     ({"lr": 1, "decay": 0}, "decay must be within"), ({"lr": 1, "decay": 1.1}, "decay must be"),
     ({"lr": 1, "weight_decay": -1}, "weight_decay must be at least 0")],
)  # fmt: skip
def test_rates_without_meaning_are_refused(options, message):
    with pytest.raises(ValueError, match=f"layerwise_groups: {message}"):
        layerwise_groups(bert(), **options)


# ------------------------------------------------------------------------- gradual unfreezing


class Tower(Module):
    def __init__(self):
        self.layers = ModuleList([Linear(2, 2, bias=False) for _ in range(3)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def test_layers_join_from_the_top_as_the_training_goes_on():
    model = Tower()
    seen, unfreezing = [learning(model)], GradualUnfreezing(model, every=2)
    assert learning(model) == ["layers.2.weight"]
    first = model.state_dict()["layers.0.weight"].copy()

    def on_step(step, history):
        if step == 3:
            assert np.array_equal(model.layers[0].weight.data, first)
        unfreezing(step, history)
        seen.append(learning(model))

    x = np.ones((2, 2), np.float32)
    options = {"loss": lambda out, y: (out * out).mean(), "progress": False}
    fit(model, SGD(model.parameters(), lr=0.1), [(x, x)], steps=5, on_step=on_step, **options)
    assert [len(names) for names in seen] == [3, 1, 2, 2, 3, 3]
    assert seen[1:3] == [["layers.2.weight"], ["layers.1.weight", "layers.2.weight"]]
    assert not np.array_equal(model.layers[0].weight.data, first)


def test_what_is_to_be_kept_is_left_alone_and_a_step_can_be_set():
    model = bert()
    freeze(model, "classifier.bias")
    unfreezing = GradualUnfreezing(model, every=3, keep=("classifier", "bert.embeddings"))
    assert "classifier.bias" not in learning(model)
    assert "bert.embeddings.LayerNorm.bias" in learning(model)
    unfreezing.apply(6)
    assert any("layer.0" in name for name in learning(model))
    unfreezing.apply(0)
    assert not any("layer" in name for name in learning(model))
    for every in (0, 1.5, True):
        with pytest.raises(ValueError, match=re.escape(f"an integer of at least 1, got {every!r}")):
            GradualUnfreezing(model, every=every)
