"""Adapters as files, in PEFT's format.

That PEFT reads what is written here, with the same logits, is asserted by tests/golden/make_lora.py,
where PEFT is installed.
"""

import json
import re
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minillm.finetuning import (
    LoraConfig,
    add_lora,
    load_lora,
    lora_state_dict,
    merge_lora,
    save_lora,
    set_adapter,
)
from minillm.nn import Linear, Sequential
from tests.models.golden import GOLDEN

from .test_lora import golden
from .tiny import MODELS, batch, bert, gpt2, learning, llama, shake

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def adapted(name, seed=8, **options):
    build, targets = MODELS[name]
    model = add_lora(build(), LoraConfig(2, 3.0, 0.25, targets, **options))
    shake(model, seed=seed)
    return model.eval()


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_an_adapter_of_peft_is_written_as_it_was(tmp_path, name):
    """Names, shapes, bits and the entries of the config that both sides know."""
    model, _ = golden(name)
    save_lora(load_lora(model, GOLDEN / "lora" / name), tmp_path)
    found, expected = (load_file(folder / WEIGHTS) for folder in (tmp_path, GOLDEN / "lora" / name))
    assert sorted(found) == sorted(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)
    ours, theirs = (
        json.loads((folder / CONFIG).read_text()) for folder in (tmp_path, GOLDEN / "lora" / name)
    )
    for values in (ours, theirs):
        for entry in ("target_modules", "modules_to_save"):
            values[entry] = sorted(values[entry] or ())
    assert {entry: theirs[entry] for entry in ours} == ours
    assert ours["fan_in_fan_out"] == (name == "gpt2")


@pytest.mark.parametrize("name", MODELS)
def test_what_is_saved_loads_into_a_fresh_base(tmp_path, name):
    heads = ("classifier",) if name == "bert" else ()
    model = adapted(name, modules_to_save=heads)
    ids, _ = batch(name)
    save_lora(model, tmp_path, base_model="tiny")
    other = load_lora(MODELS[name][0](), tmp_path, "loaded").eval()
    np.testing.assert_array_equal(other(ids).logits.data, model(ids).logits.data)
    assert learning(other) == learning(model)
    assert other.lora.configs["loaded"] == model.lora.configs["default"]
    assert json.loads((tmp_path / CONFIG).read_text())["base_model_name_or_path"] == "tiny"
    size = (tmp_path / WEIGHTS).stat().st_size
    assert size < 4 * sum(a.size for a in lora_state_dict(model).values()) + 300 * 20


def test_one_of_several_adapters_and_a_merged_one_can_be_saved(tmp_path):
    model = adapted("gpt2")
    add_lora(model, LoraConfig(1, 3.0, target_modules="c_fc"), "second")
    save_lora(model, tmp_path / "second")
    save_lora(model, tmp_path / "first", "default")
    assert all("c_fc.lora" in key for key in load_file(tmp_path / "second" / WEIGHTS))
    set_adapter(model, "default")
    save_lora(merge_lora(model), tmp_path / "merged")
    for file in (CONFIG, WEIGHTS):
        merged, first = ((tmp_path / f / file).read_bytes() for f in ("merged", "first"))
        assert merged == first
    other = load_lora(load_lora(gpt2(), tmp_path / "first", "a"), tmp_path / "second", "b")
    assert list(other.lora.configs) == ["a", "b"]


def test_a_file_in_bfloat16_is_read(tmp_path):
    torch_like = {
        "base_model.model.0.lora_A.weight": (2, 3),
        "base_model.model.0.lora_B.weight": (4, 2),
    }
    header, data = {}, b""
    for key, shape in torch_like.items():
        numbers = np.arange(np.prod(shape), dtype=np.float32)  # small integers: exact in bfloat16
        part = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
        header[key] = {
            "dtype": "BF16",
            "shape": shape,
            "data_offsets": [len(data), len(data + part)],
        }
        data += part
    text = json.dumps(header).encode()
    (tmp_path / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data)
    (tmp_path / CONFIG).write_text(json.dumps({"r": 2, "lora_alpha": 1, "target_modules": ["0"]}))
    model = load_lora(Sequential(Linear(3, 4)), tmp_path)
    np.testing.assert_array_equal(model[0].lora_A.data, np.arange(6.0).reshape(2, 3).T)
    np.testing.assert_array_equal(model[0].lora_B.data, np.arange(8.0).reshape(4, 2).T)


# --------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("build", "message"),
    [(llama, "'c_attn' names no module of LlamaForCausalLM, but must end the name of Linear layers; "
             "there are: down_proj, gate_proj"),
     (lambda: gpt2(n_layer=1), "than this GPT2LMHeadModel: unexpected: base_model.model.transformer."
                               "h.1.attn.c_attn.lora_A.weight"),
     (lambda: gpt2(n_layer=3), "missing: base_model.model.transformer.h.2.attn.c_attn.lora_A.weight"),
     (lambda: gpt2(n_embd=9), "transformer.h.0.attn.c_attn.lora_A: expected (9, 2), found (6, 2)")],
    ids=["other model", "fewer layers", "more layers", "other width"],
)  # fmt: skip
def test_an_adapter_of_another_base_is_refused_and_nothing_is_changed(tmp_path, build, message):
    save_lora(adapted("gpt2"), tmp_path)
    model = build()
    before, learned = repr(model), learning(model)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        load_lora(model, tmp_path)
    assert str(error.value).startswith(f"{tmp_path / WEIGHTS} is an adapter of another base")
    assert "\n" not in str(error.value)
    assert (repr(model), learning(model)) == (before, learned)


def test_heads_that_only_other_models_of_peft_have_are_passed_over(tmp_path):
    """For a task PEFT writes down all names that heads may have: ["classifier", "score"]."""
    save_lora(adapted("bert", modules_to_save=("classifier",)), tmp_path)
    values = json.loads((tmp_path / CONFIG).read_text())
    values["modules_to_save"] = ["classifier", "score"]
    (tmp_path / CONFIG).write_text(json.dumps(values))
    model = load_lora(bert(), tmp_path)
    assert model.lora.configs["default"].modules_to_save == ("classifier",)
    weight = load_file(tmp_path / WEIGHTS)["base_model.model.classifier.weight"]
    np.testing.assert_array_equal(model.classifier.weight.data, weight.T)

    values["modules_to_save"] = ["classifier", "LayerNorm"]  # which is here, but not in the file
    (tmp_path / CONFIG).write_text(json.dumps(values))
    with pytest.raises(ValueError, match="missing: base_model"):
        load_lora(bert(), tmp_path)


def test_a_head_of_another_size_is_refused(tmp_path):
    save_lora(adapted("bert", modules_to_save=("classifier",)), tmp_path)
    with pytest.raises(ValueError, match=r"classifier\.weight: expected \(6, 3\), found \(6, 4\)"):
        load_lora(bert(num_labels=3), tmp_path)


@pytest.mark.parametrize(
    ("entry", "value"),
    [("use_dora", True), ("use_rslora", True), ("peft_type", "IA3"), ("bias", "all"),
     ("rank_pattern", {"c_attn": 4}), ("layers_to_transform", [0]), ("lora_bias", True)],
)  # fmt: skip
def test_an_adapter_of_another_kind_is_refused(tmp_path, entry, value):
    shutil.copytree(GOLDEN / "lora" / "gpt2", tmp_path, dirs_exist_ok=True)
    values = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**values, entry: value}))
    with pytest.raises(
        ValueError, match=re.escape(f"with {entry} = {value!r}, which is not known")
    ):
        load_lora(golden("gpt2")[0], tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"lora_alpha": 0}, "alpha must be a number above 0"), ({"r": "8"}, "r must be an integer"),
     ({"target_modules": ".*attn"}, "must be a list of names of modules, got '.*attn'")],
)  # fmt: skip
def test_a_config_without_meaning_names_its_file(tmp_path, changes, message):
    save_lora(adapted("gpt2"), tmp_path)
    values = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**values, **changes}))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        load_lora(gpt2(), tmp_path)
    assert str(error.value).startswith(str(tmp_path / CONFIG))


def test_files_that_are_missing_or_hold_something_else(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"there is no file .*{CONFIG}"):
        load_lora(gpt2(), tmp_path)
    save_lora(adapted("gpt2"), tmp_path)
    arrays = load_file(tmp_path / WEIGHTS)
    save_file({k: a.astype(np.int32) for k, a in arrays.items()}, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match="must be one of F64, F32, F16, BF16, got I32"):
        load_lora(gpt2(), tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=f"there is no file .*{WEIGHTS}"):
        load_lora(gpt2(), tmp_path)
    with pytest.raises(ValueError, match="save_lora: this GPT2LMHeadModel has no adapter"):
        save_lora(gpt2(), tmp_path)
    (tmp_path / CONFIG).write_text("[1]")
    with pytest.raises(ValueError, match="must hold an object with the settings of an adapter"):
        load_lora(gpt2(), tmp_path)
