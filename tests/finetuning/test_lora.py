"""LoRA: adapters on models, against PEFT, and what they cost."""

import copy
import gc
import re
import weakref

import numpy as np
import pytest
from safetensors.numpy import load_file

import minillm
from minillm import Device, no_grad
from minillm.backend import to_numpy
from minillm.finetuning import (
    LoraConfig,
    add_adapters,
    add_lora,
    load_lora,
    lora_state_dict,
    merge_lora,
    remove_lora,
    set_adapter,
    trainable_parameters,
    unfreeze,
    unmerge_lora,
)
from minillm.models import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from minillm.nn import Linear, Sequential, weight_norm
from minillm.optim import AdamW
from tests.models.golden import GOLDEN, turned

from ..device.conftest import open_device
from .tiny import MODELS, batch, bert, gpt2, learning, llama, lstm, shake

GOLDENS = load_file(GOLDEN / "lora.safetensors")
SIZES = {
    "gpt2": (GPT2LMHeadModel, GPT2Config, {
        "vocab_size": 23, "n_positions": 13, "n_embd": 6, "n_layer": 2, "n_head": 3, "n_inner": 7,
        "layer_norm_epsilon": 0.01, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}),
    "bert": (BertForSequenceClassification, BertConfig, {
        "vocab_size": 23, "hidden_size": 10, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 7, "max_position_embeddings": 13, "type_vocab_size": 3,
        "layer_norm_eps": 0.01, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 1, "num_labels": 5}),
    "llama": (LlamaForCausalLM, LlamaConfig, {
        "vocab_size": 23, "hidden_size": 18, "intermediate_size": 11, "num_hidden_layers": 2,
        "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 10,
        "max_position_embeddings": 17, "rms_norm_eps": 0.01, "rope_theta": 50.0,
        "pad_token_id": 2}),
}  # fmt: skip


def golden(name):
    """(the base model, the values that PEFT computed)."""
    values = {k.removeprefix(f"{name}."): v for k, v in GOLDENS.items() if k.startswith(name + ".")}
    weights = {k.removeprefix("weight."): v for k, v in values.items() if k.startswith("weight.")}
    kind, config, sizes = SIZES[name]
    dtype = next(iter(weights.values())).dtype
    model = kind(config(**sizes), dtype=dtype, rng=np.random.default_rng(0))
    linear = weights if name == "gpt2" else turned(model, weights)  # Conv1D is (in, out) already
    model.load_state_dict(linear)
    return model.eval(), values


def config_of(name, r=2, alpha=3.0, **options):
    return LoraConfig(r=r, alpha=alpha, target_modules=MODELS[name][1], **options)


# ----------------------------------------------------------------------------- against PEFT


@pytest.mark.parametrize(("name", "tolerance"), [("gpt2", 1e-9), ("bert", 1e-9), ("llama", 1e-5)])
def test_an_adapter_of_peft_gives_its_logits_loss_and_gradients(name, tolerance):
    model, values = golden(name)
    load_lora(model, GOLDEN / "lora" / name)
    config = model.lora.configs["default"]
    assert config.scale != 1
    output = model(values["ids"], labels=values["labels"])
    np.testing.assert_allclose(output.logits.data, values["logits"], rtol=tolerance, atol=tolerance)
    assert output.loss.item() == pytest.approx(float(values["loss"]), rel=tolerance)
    output.loss.backward()
    wanted = {k.removeprefix("grad.base_model.model."): v for k, v in values.items() if "grad" in k}
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert len(found) == len(wanted) >= 8
    for own, grad in found.items():
        lora = own.endswith(("lora_A", "lora_B"))
        want = wanted[own + ".weight" if lora else own]
        want = want.T if lora or own == "classifier.weight" else want
        atol = 10 * tolerance * np.abs(want).max()
        np.testing.assert_allclose(grad, want, rtol=100 * tolerance, atol=atol, err_msg=own)


# -------------------------------------------------------------------- adapters on every model


@pytest.mark.parametrize("name", MODELS)
def test_a_new_adapter_changes_nothing_and_only_it_learns(name):
    build, _ = MODELS[name]
    ids, labels = batch(name)
    expected = build()(ids).logits.data
    model = add_lora(build(), config_of(name), rng=np.random.default_rng(1))
    np.testing.assert_array_equal(model(ids).logits.data, expected)
    assert learning(model)
    assert all(n.endswith((".lora_A", ".lora_B")) for n in learning(model))
    model(ids, labels=labels).loss.backward()
    for own, p in model.named_parameters():
        assert (p.grad is not None) == own.endswith(("lora_A", "lora_B")), own
        if own.endswith("lora_B"):
            assert np.abs(p.grad).max() > 0  # A moves as soon as B is not zero


def test_shapes_and_names_of_the_parameters():
    model = add_lora(gpt2(), LoraConfig(r=2, alpha=3, target_modules=("c_attn", "mlp.c_proj")))
    found = {n: a.shape for n, a in lora_state_dict(model).items()}
    assert {n: s for n, s in found.items() if ".h.1." in n} == {
        "transformer.h.1.attn.c_attn.lora_A": (6, 2), "transformer.h.1.attn.c_attn.lora_B": (2, 18),
        "transformer.h.1.mlp.c_proj.lora_A": (24, 2), "transformer.h.1.mlp.c_proj.lora_B": (2, 6),
    }  # fmt: skip
    assert trainable_parameters(model).trainable == 2 * 2 * ((6 + 18) + (24 + 6))


def test_a_is_uniform_within_one_over_the_root_of_its_rows():
    model = add_lora(gpt2(n_embd=60), config_of("gpt2", r=20), rng=np.random.default_rng(1))
    for name, array in lora_state_dict(model).items():
        if name.endswith("lora_B"):
            assert (array == 0).all()
        else:
            bound = 1 / np.sqrt(len(array))
            assert 0.98 * bound < np.abs(array).max() <= bound
            assert np.std(array) == pytest.approx(bound / np.sqrt(3), rel=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_merged_and_unmerged_logits_agree_and_the_names_are_those_of_the_base(name):
    build, _ = MODELS[name]
    ids, _ = batch(name)
    model = add_lora(build(), config_of(name))
    shake(model)
    model.eval()
    before = {n: a.copy() for n, a in model.state_dict().items()}
    apart = model(ids).logits.data
    base = build().eval()(ids).logits.data
    assert np.abs(apart - base).max() > 0.01
    assert list(merge_lora(model).state_dict()) == list(build().state_dict())
    np.testing.assert_allclose(model(ids).logits.data, apart, rtol=0, atol=1e-5)
    unmerge_lora(model)
    assert sorted(model.state_dict()) == sorted(before)
    for own, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[own])


def test_a_merged_model_is_saved_as_the_base_and_loads_as_one(tmp_path):
    model = add_lora(gpt2(), config_of("gpt2"))
    shake(model)
    ids, _ = batch("gpt2")
    apart = model.eval()(ids).logits.data
    merge_lora(model).save_pretrained(tmp_path)
    assert set(load_file(tmp_path / "model.safetensors")) == set(gpt2().state_dict())
    loaded = GPT2LMHeadModel.from_pretrained(tmp_path)
    np.testing.assert_allclose(loaded(ids).logits.data, apart, atol=1e-5)


def test_the_update_is_alpha_over_r_times_the_product():
    model = add_lora(lstm(np.float64), LoraConfig(r=2, alpha=3, target_modules="output"))
    shake(model)
    weight = model.output.weight.data.copy()
    A, B = (model.output.lora_A.data, model.output.lora_B.data)
    expected = weight + sum(1.5 * np.outer(A[:, k], B[k]) for k in range(2))
    np.testing.assert_allclose(merge_lora(model).output.weight.data, expected, rtol=1e-12)


@pytest.mark.parametrize("merged", [False, True])
def test_removing_gives_the_plain_model_back(merged):
    model = bert()
    minillm.finetuning.freeze(model, "bert.pooler")
    learned, repr_before = learning(model), repr(model)
    ids, _ = batch("bert")
    base = model.eval()(ids).logits.data
    add_lora(model, config_of("bert"))
    shake(model)
    apart = model.eval()(ids).logits.data
    if merged:
        merge_lora(model)
    remove_lora(model)
    assert (repr(model), learning(model)) == (repr_before, learned)
    np.testing.assert_allclose(model(ids).logits.data, apart if merged else base, atol=1e-5)
    add_lora(model, config_of("bert"))  # and it can begin again


def test_dropout_acts_in_training_alone_and_on_the_update_alone():
    ids, _ = batch("gpt2")
    model = add_lora(gpt2(), config_of("gpt2", dropout=0.3))
    minillm.manual_seed(1)
    np.testing.assert_array_equal(  # B is zero
        model.train()(ids).logits.data, gpt2()(ids).logits.data
    )
    shake(model)
    calm = model.eval()(ids).logits.data
    np.testing.assert_array_equal(model(ids).logits.data, calm)
    assert np.abs(model.train()(ids).logits.data - calm).max() > 1e-3


def test_the_adapted_model_generates_with_its_cache():
    model = add_lora(gpt2(), config_of("gpt2"))
    shake(model)
    ids = batch("gpt2", (2, 3))[0]
    slow = model.generate(ids, max_new_tokens=4, use_cache=False)
    np.testing.assert_array_equal(model.generate(ids, max_new_tokens=4), slow)
    assert not np.array_equal(gpt2().generate(ids, max_new_tokens=4), slow)


def test_training_learns_with_the_base_untouched():
    model = bert()
    before = {n: a.copy() for n, a in model.state_dict().items()}
    config = LoraConfig(4, 6, 0.1, ("query", "value", "dense"), ("classifier",))
    add_lora(model, config, rng=np.random.default_rng(0))
    ids, labels = batch("bert", (8, 5))
    optimizer = AdamW(model.named_parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = model.train()(ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    for name, array in before.items():
        same = np.array_equal(model.state_dict()[name], array)
        assert same != name.startswith("classifier"), name


# --------------------------------------------------------------------------- several adapters


def test_several_adapters_on_one_base():
    model = bert()
    ids, _ = batch("bert")
    logits, heads = {}, {}
    adapters = {"first": ("query",), "second": ("value", "dense")}
    for i, (name, targets) in enumerate(adapters.items()):
        add_lora(model, LoraConfig(2, 3, 0.0, targets, ("classifier",)), name)
        np.testing.assert_array_equal(model(ids).logits.data, bert()(ids).logits.data)
        shake(model, seed=i)
        logits[name] = model(ids).logits.data
        heads[name] = model.classifier.weight.data.copy()
        assert all(any(f".{t}.lora" in n for t in targets) or "classifier" in n
                   for n in learning(model))  # fmt: skip
    for name in ("first", "second", "first"):
        set_adapter(model, name)
        np.testing.assert_array_equal(model(ids).logits.data, logits[name])
        np.testing.assert_array_equal(model.classifier.weight.data, heads[name])
        assert {n.split(".")[-2] for n in learning(model) if "lora" in n} == set(adapters[name])
    other = lora_state_dict(model, "second")
    np.testing.assert_array_equal(other["classifier.weight"], heads["second"])
    np.testing.assert_array_equal(lora_state_dict(model)["classifier.weight"], heads["first"])
    assert not any("query" in n for n in other)


def test_an_adapter_without_a_head_has_that_of_the_base():
    model = add_lora(bert(), LoraConfig(2, 3, 0.0, ("query",), ("classifier",)), "first")
    shake(model)
    add_lora(model, LoraConfig(2, 3, 0.0, ("query",)), "second")
    base = bert().classifier.weight.data
    np.testing.assert_array_equal(model.classifier.weight.data, base)
    assert not model.classifier.weight.requires_grad
    set_adapter(model, "first")
    assert not np.array_equal(model.classifier.weight.data, base)


def test_adapters_that_wait_follow_the_model_to_another_dtype():
    model = add_lora(add_lora(gpt2(), config_of("gpt2"), "a"), config_of("gpt2"), "b")
    model.to(np.float64)
    set_adapter(model, "a")
    assert {a.dtype for a in model.state_dict().values()} == {np.dtype(np.float64)}
    assert model(batch("gpt2")[0]).logits.dtype == np.float64


def test_a_copy_has_adapters_of_its_own():
    model = add_lora(gpt2(), config_of("gpt2"))
    twin = copy.deepcopy(model)
    shake(twin)
    assert all((a == 0).all() for n, a in lora_state_dict(model).items() if n.endswith("B"))
    for name, array in lora_state_dict(twin).items():
        assert array is dict(twin.named_parameters())[name].data


# -------------------------------------------------------------------------------------- cost


def test_the_gradient_of_a_frozen_weight_is_never_asked_for(monkeypatch):
    asked = []
    for lifted in (minillm.functional.lora_linear, minillm.functional.linear):
        right = lifted.op.backward

        def spy(grad_out, saved, *, needs=None, right=right, name=lifted.op.name):
            asked.append((name, needs))
            return right(grad_out, saved, needs=needs)

        monkeypatch.setattr(lifted.op, "backward", spy)
    model = add_lora(gpt2(), config_of("gpt2"))
    ids, labels = batch("gpt2")
    model(ids, labels=labels).loss.backward()
    assert {name for name, _ in asked} == {"lora_linear", "linear"}
    for name, needs in asked:
        assert not needs[1], f"{name} forms the gradient of a frozen weight"
        assert needs[-1] is False  # nor that of a frozen bias
    assert asked[-1] == ("lora_linear", (False, False, True, True, False))  # nothing below learns


def activations(model, ids, labels):
    """The shapes of the arrays that the graph of a loss keeps alive."""
    loss = model(ids, labels=labels).loss
    stack, seen, kept = [loss._made_by], set(), {}
    while stack:
        node = stack.pop()
        if id(node) in seen or node is None:
            continue
        seen.add(id(node))
        for part in node.saved or ():
            if isinstance(part, np.ndarray):
                kept[id(part)] = part
        stack += node.edges
    return [array.shape for array in kept.values()]


def test_what_only_the_gradient_of_a_frozen_weight_would_read_is_not_kept():
    ids, labels = batch("gpt2")
    hidden = (2, 5, 24)  # what the second layer of the MLP reads
    full = activations(gpt2(activation_function="gelu"), ids, labels).count(hidden)
    lean_model = add_lora(
        gpt2(activation_function="gelu"), LoraConfig(2, 3, target_modules="c_attn")
    )
    lean = activations(lean_model, ids, labels).count(hidden)
    assert full - lean == 2  # one in each block


@pytest.mark.parametrize("adapter", [False, True])
def test_an_input_of_a_frozen_layer_is_freed_at_once(adapter):
    """With an adapter its dropped copy stays, for the gradient of A, but not the input itself."""
    layer = minillm.nn.Sequential(minillm.nn.Linear(3, 4))
    minillm.finetuning.freeze(layer)
    if adapter:
        add_lora(layer, LoraConfig(2, 3, 0.25, "0"))
    x = minillm.Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    scaled = x * 2.0
    freed = weakref.ref(scaled.data)
    out = layer(scaled)
    del scaled
    gc.collect()
    assert freed() is None
    out.sum().backward()
    expected = 2 * layer[0].weight.data.sum(1) * np.ones((2, 1))  # B is zero
    np.testing.assert_allclose(x.grad, expected, rtol=1e-6)


def optimizer_bytes(model):
    """Gradients and optimiser state after a step, in bytes."""
    optimizer = AdamW(model.named_parameters(), lr=0.01)
    ids, labels = batch("bert")
    model(ids, labels=labels).loss.backward()
    optimizer.step()
    state = sum(a.nbytes for entry in optimizer.state.values() for a in entry.values()
                if isinstance(a, np.ndarray))  # fmt: skip
    return state + sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)


def test_gradients_and_optimiser_state_shrink_with_the_number_that_learns():
    sizes = {"hidden_size": 48, "intermediate_size": 96}
    full = bert(**sizes)
    lean = add_lora(bert(**sizes), LoraConfig(1, 2, target_modules=("query", "value")))
    count = trainable_parameters(lean).trainable
    assert optimizer_bytes(full) == 3 * 4 * full.num_parameters()
    assert optimizer_bytes(lean) == 3 * 4 * count
    assert count < 0.02 * full.num_parameters()


# ------------------------------------------------------------------------------------ devices


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_on_the_stand_in_has_the_bits_of_the_host(name):
    def step(device):
        minillm.manual_seed(7)
        build, _ = MODELS[name]
        model = build().to(device)
        add_lora(model, config_of(name, dropout=0.3), rng=np.random.default_rng(2))
        optimizer = AdamW(model.named_parameters(), lr=0.01)
        ids, labels = batch(name)
        for _ in range(2):
            optimizer.zero_grad()
            model.train()(ids, labels=labels).loss.backward()
            optimizer.step()
        arrays = {n: to_numpy(a).copy() for n, a in model.state_dict().items()}
        with no_grad():
            arrays["merged"] = merge_lora(model).eval()(ids).logits.numpy()
            set_adapter(add_lora(unmerge_lora(model), config_of(name), "other"), "default")
            arrays["apart"] = model(ids).logits.numpy()
        return arrays

    found, expected = step(open_device("strict")), step(Device("cpu"))
    assert found.keys() == expected.keys()
    for own, array in expected.items():
        np.testing.assert_array_equal(found[own], array, err_msg=own)
    np.testing.assert_allclose(expected["merged"], expected["apart"], atol=1e-5)


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r": 0}, "r must be an integer of at least 1, got 0"),
        ({"r": 2.5}, "r must be an integer of at least 1, got 2.5"),
        ({"alpha": 0}, "alpha must be a number above 0, got 0: the update is multiplied by"),
        ({"alpha": -1}, "alpha must be a number above 0, got -1"),
        ({"alpha": float("nan")}, "alpha must be a number above 0, got nan"),
        ({"dropout": 1.0}, "dropout must be within 0 <= dropout < 1, got 1.0"),
        ({"target_modules": (3,)}, "target_modules must be names of modules, got (3,)"),
    ],
)
def test_a_config_without_meaning_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(f"LoraConfig: {message}")):
        LoraConfig(**options)


def test_numbers_of_numpy_do_not_decide_about_the_dtype():
    config = LoraConfig(np.int64(2), np.float64(3.0), target_modules="c_attn")
    model = add_lora(gpt2(), config)
    shake(model)
    assert model(batch("gpt2")[0]).logits.dtype == np.float32


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (gpt2, {"target_modules": "query"},
         "'query' names no module of GPT2LMHeadModel, but must end the name of Linear layers; there "
         "are: c_attn, c_fc, c_proj"),
        (gpt2, {"target_modules": "attn_c"}, "there are: c_attn, c_fc, c_proj"),
        (gpt2, {"target_modules": "wte"}, "'wte' names modules of type Embedding of GPT2"),
        (bert, {"target_modules": ("query", "output")},
         "'output' names modules of type BertAddAndNorm of Bert"),
        (lstm, {"target_modules": "left_to_right"}, "type LSTMDirection of LSTMLanguageModel"),
        (llama, {"target_modules": ()}, "target_modules is empty: name Linear layers of Llama"),
        (gpt2, {"target_modules": "c_attn", "r": 7},
         "r = 7 is larger than the matrix transformer.h.0.attn.c_attn.weight (6, 18): choose r of "
         "at most 6"),
        (bert, {"target_modules": "query", "modules_to_save": ("head",)},
         "modules_to_save 'head' fits no parameter"),
        (bert, {"target_modules": "classifier", "modules_to_save": ("classifier",), "r": 2},
         "'classifier' is among both target_modules and modules_to_save"),
    ],
)  # fmt: skip
def test_an_adapter_that_does_not_fit_is_refused_and_nothing_is_changed(build, options, message):
    model = build()
    before, learned = repr(model), learning(model)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        add_lora(model, LoraConfig(**{"r": 3, **options}))
    assert str(error.value).startswith("add_lora: ")
    assert "\n" not in str(error.value)
    assert (repr(model), learning(model)) == (before, learned)


def test_layers_that_do_more_than_a_linear_one_are_refused():
    """Putting LoRALinear in their place would drop what they do besides."""
    with pytest.raises(
        ValueError, match=r"add_lora: transformer.h.0.attn.c_proj is a AdaptedLinear"
    ):
        add_lora(add_adapters(gpt2(), 2), LoraConfig(2, target_modules="c_proj"))
    with pytest.raises(
        ValueError, match=r"add_adapters: transformer.h.0.attn.c_proj is a LoRALinear"
    ):
        add_adapters(add_lora(gpt2(), LoraConfig(2, target_modules="c_proj")), 2)
    model = Sequential(weight_norm(Linear(3, 4)))
    with pytest.raises(ValueError, match=r"the weight of 0.module is computed anew at each call"):
        add_lora(model, LoraConfig(2, target_modules="module"))
    with pytest.raises(ValueError, match=r"the weight of 0.module is computed anew at each call"):
        add_adapters(model, 2, target_modules=("module",))


def test_an_adapter_that_is_not_merged_is_not_saved_as_a_model(tmp_path):
    model = add_lora(gpt2(), LoraConfig(2, target_modules="c_attn"))
    with pytest.raises(
        ValueError, match=r"h.0.attn.c_attn has a LoRA adapter: write it with save_l"
    ):
        model.save_pretrained(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
    merge_lora(model)
    model.save_pretrained(tmp_path / "folder")
    GPT2LMHeadModel.from_pretrained(tmp_path / "folder")


def test_merging_twice_and_other_things_at_the_wrong_time():
    model = gpt2()
    for function in (merge_lora, unmerge_lora, remove_lora, lora_state_dict):
        with pytest.raises(
            ValueError, match=f"{function.__name__}: this GPT2LMHeadModel has no ada"
        ):
            function(model)
    add_lora(model, config_of("gpt2"))
    with pytest.raises(ValueError, match="unmerge_lora: no adapter is merged"):
        unmerge_lora(model)
    with pytest.raises(ValueError, match="there is an adapter 'default' already"):
        add_lora(model, config_of("gpt2"))
    with pytest.raises(ValueError, match="no adapter 'defualt'; there are: 'default'"):
        set_adapter(model, "defualt")
    with pytest.raises(ValueError, match="name must be a text that is not empty"):
        add_lora(model, config_of("gpt2"), "")
    merge_lora(model)
    weight = model.transformer.h[0].attn.c_attn.weight.data.copy()
    with pytest.raises(
        ValueError, match="merged already: merging twice would add its update twice"
    ):
        merge_lora(model)
    np.testing.assert_array_equal(model.transformer.h[0].attn.c_attn.weight.data, weight)
    for call in (lambda: set_adapter(model, "default"),
                 lambda: add_lora(model, config_of("gpt2"), "second")):  # fmt: skip
        with pytest.raises(ValueError, match="'default' is merged: call unmerge_lora"):
            call()


def test_a_head_can_be_unfrozen_beside_an_adapter():
    model = add_lora(bert(), config_of("bert"))
    unfreeze(model, "classifier")
    assert learning(model)[-2:] == ["classifier.weight", "classifier.bias"]
