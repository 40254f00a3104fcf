"""Folders in the layout of Hugging Face: written by Transformers or by us, whole or damaged."""

import json
import shutil
import sys
import types
import warnings

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from minillm.files import StoredArray, open_arrays
from minillm.models import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from .golden import GOLDEN, load

FOLDERS = GOLDEN / "folders"
WRITTEN = {
    "bert": BertForPreTraining,
    "gpt2": GPT2LMHeadModel,
    "gpt2_untied": GPT2LMHeadModel,
    "llama_sharded": LlamaForCausalLM,
}
BERTS = [
    BertModel, BertForPreTraining, BertForMaskedLM, BertForSequenceClassification,
    BertForTokenClassification, BertForQuestionAnswering,
]  # fmt: skip


@pytest.fixture
def copy(tmp_path):
    """A folder of Transformers that may be damaged."""

    def make(name):
        return shutil.copytree(FOLDERS / name, tmp_path / name)

    return make


def edit_weights(folder, change):
    arrays = load_file(folder / "model.safetensors")
    change(arrays)
    save_file(arrays, folder / "model.safetensors")


def edit_config(folder, **changes):
    path = folder / "config.json"
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps(values), encoding="utf-8")


def assert_same_weights(one, other):
    first, second = one.state_dict(), other.state_dict()
    assert set(first) == set(second)
    for name, array in first.items():
        assert array.dtype == second[name].dtype
        np.testing.assert_array_equal(array, second[name], err_msg=name)


# ---------------------------------------------------------------------- written by Transformers


@pytest.mark.parametrize("name", WRITTEN)
def test_a_folder_of_transformers_gives_its_logits(name):
    golden = load("folders")
    model = WRITTEN[name].from_pretrained(FOLDERS / name)
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    logits = model(golden["ids"]).logits.data
    np.testing.assert_allclose(logits, golden[name], rtol=1e-5, atol=1e-5)


def test_an_encoder_in_float16_without_prefix_gives_its_states():
    golden = load("folders")
    model = BertModel.from_pretrained(FOLDERS / "bert_encoder")
    found = model(golden["ids"]).last_hidden_state.data
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, golden["bert_encoder"], rtol=1e-5, atol=1e-5)


def test_a_loaded_model_is_in_evaluation_mode():
    model = BertForPreTraining.from_pretrained(FOLDERS / "bert")
    assert not any(module.training for module in model.modules())


# ---------------------------------------------------------------------------- written by us


@pytest.mark.parametrize("kind", BERTS)
def test_every_bert_comes_back_bit_for_bit(kind, tmp_path):
    config = BertConfig(
        vocab_size=23, hidden_size=10, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=7, max_position_embeddings=13, num_labels=3,
    )  # fmt: skip
    model = kind(config, rng=np.random.default_rng(1))
    model.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = kind.from_pretrained(tmp_path)
    assert loaded.config.num_labels == 3
    assert loaded.config.architectures == [kind.__name__]
    assert_same_weights(model, loaded)


@pytest.mark.parametrize("tied", [True, False])
def test_a_llama_comes_back_bit_for_bit(tied, tmp_path):
    config = LlamaConfig(
        vocab_size=23, hidden_size=12, intermediate_size=7, num_hidden_layers=2, rope_theta=50.0,
        num_attention_heads=6, num_key_value_heads=3, tie_word_embeddings=tied, mlp_bias=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config, rng=np.random.default_rng(1))
    model.save_pretrained(tmp_path)
    loaded = LlamaForCausalLM.from_pretrained(tmp_path)
    assert loaded.config == config
    assert_same_weights(model, loaded)


@pytest.mark.parametrize("name", ["bert", "gpt2", "gpt2_untied"])
def test_what_we_write_has_the_names_and_shapes_of_transformers(name, tmp_path):
    kind = WRITTEN[name]
    kind.from_pretrained(FOLDERS / name).save_pretrained(tmp_path)
    ours = load_file(tmp_path / "model.safetensors")
    theirs = load_file(FOLDERS / name / "model.safetensors")
    assert set(ours) == set(theirs)
    for key, array in theirs.items():
        np.testing.assert_array_equal(ours[key], array, err_msg=key)
    with safe_open(tmp_path / "model.safetensors", framework="np") as file:
        assert file.metadata()["format"] == "pt"  # Transformers refuses a file without it


@pytest.mark.parametrize(
    ("kind", "error"), [("F64", 1e-7), ("F32", 0), ("F16", 1e-3), ("BF16", 1e-2)]
)
def test_rows_of_every_floating_dtype_are_float32(kind, error, tmp_path, rng):
    x = rng.standard_normal((7, 3))
    bits = {
        "F64": x, "F32": x.astype(np.float32), "F16": x.astype(np.float16),
        "BF16": (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16),
    }[kind]  # fmt: skip
    save_file({"before": np.zeros(5, np.int8), "x": bits}, tmp_path / "a.safetensors")
    stored = open_arrays(tmp_path / "a.safetensors")["x"]
    stored = StoredArray(stored.path, kind, stored.shape, stored.start)  # U16 holds bfloat16
    found = np.concatenate([stored.rows(0, 2), stored.rows(2, 5), stored.rows(5, 99)])
    assert found.dtype == np.float32
    expected = x.astype(np.float32)
    assert np.abs(found / expected - 1).max() <= error


# --------------------------------------------------------------------- one folder, any head


@pytest.mark.parametrize("kind", BERTS)
@pytest.mark.parametrize("name", ["bert", "bert_encoder"])
def test_a_folder_loads_into_every_head(name, kind):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = kind.from_pretrained(FOLDERS / name, rng=np.random.default_rng(5))
    stored = {k.removeprefix("bert.") for k in load_file(FOLDERS / name / "model.safetensors")}
    new = [n for n, _ in model.named_parameters() if n.removeprefix("bert.") not in stored]
    assert len(caught) == (1 if new else 0)
    for parameter in new:
        assert parameter in str(caught[0].message)
        array = dict(model.named_parameters())[parameter].data
        assert array.std() > 0 if array.ndim == 2 else (array == array[0]).all()
    word = "embeddings.word_embeddings.weight"
    own = next(p for n, p in model.named_parameters() if n.endswith(word))
    theirs = load_file(FOLDERS / name / "model.safetensors")
    expected = theirs[word if name == "bert_encoder" else f"bert.{word}"]
    np.testing.assert_array_equal(own.data, expected.astype(np.float32))


def test_entries_of_the_config_may_be_changed():
    with pytest.warns(UserWarning, match=r"classifier\.weight, classifier\.bias"):
        model = BertForSequenceClassification.from_pretrained(FOLDERS / "bert", num_labels=7)
    assert model.classifier.weight.shape == (10, 7)
    assert len(model.config.id2label) == 7
    with pytest.raises(TypeError, match="no entry 'num_label'"):
        BertForSequenceClassification.from_pretrained(FOLDERS / "bert", num_label=7)


def test_another_number_of_labels_wins_over_the_names_of_the_old_ones(tmp_path):
    config = BertConfig(
        vocab_size=23, hidden_size=10, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=7, id2label={0: "bad", 1: "so so", 2: "good"},
    )  # fmt: skip
    BertForPreTraining(config).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="classifier"):
        model = BertForSequenceClassification.from_pretrained(tmp_path)
    assert model.config.id2label[2] == "good"
    with pytest.warns(UserWarning, match="classifier"):
        model = BertForSequenceClassification.from_pretrained(tmp_path, num_labels=7)
    assert model.classifier.weight.shape == (10, 7)


def test_a_new_head_is_reproducible():
    heads = []
    for _ in range(2):
        with pytest.warns(UserWarning, match="classifier"):
            model = BertForTokenClassification.from_pretrained(
                FOLDERS / "bert", rng=np.random.default_rng(5)
            )
        heads.append(model.classifier.weight.data)
    np.testing.assert_array_equal(*heads)


# ----------------------------------------------------------------------- what older files hold


def test_buffers_and_copies_of_tied_weights_are_skipped(copy):
    folder = copy("bert")
    expected = BertForPreTraining.from_pretrained(folder)

    def add(arrays):
        arrays["bert.embeddings.position_ids"] = np.arange(13)[None]
        arrays["cls.predictions.decoder.weight"] = np.zeros((23, 10), np.float32)
        arrays["cls.predictions.decoder.bias"] = np.zeros(23, np.float32)

    edit_weights(folder, add)
    assert_same_weights(BertForPreTraining.from_pretrained(folder), expected)
    folder = copy("gpt2")
    expected = GPT2LMHeadModel.from_pretrained(folder)

    def publish(arrays):
        for name in list(arrays):
            arrays[name.removeprefix("transformer.")] = arrays.pop(name)
        arrays["h.0.attn.bias"] = np.ones((1, 1, 13, 13), np.float32)
        arrays["h.1.attn.masked_bias"] = np.float32([-1e4])

    edit_weights(folder, publish)
    assert_same_weights(GPT2LMHeadModel.from_pretrained(folder), expected)


def test_norms_under_their_older_names_are_read(copy):
    folder = copy("bert")
    expected = BertForPreTraining.from_pretrained(folder)

    def rename(arrays):
        for name in list(arrays):
            older = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            arrays[older.replace("LayerNorm.bias", "LayerNorm.beta")] = arrays.pop(name)

    edit_weights(folder, rename)
    assert_same_weights(BertForPreTraining.from_pretrained(folder), expected)


# ------------------------------------------------------------------------------------- damage

QUERY = "bert.encoder.layer.1.attention.self.query.weight"


def cut(folder, name="model.safetensors"):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-7])


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def as_integers(arrays):
    arrays[QUERY] = arrays[QUERY].astype(np.int64)


def outside(folder):
    shutil.copy(folder / SHARD, folder.parent / "x")
    (folder / INDEX).write_text('{"weight_map": {"a": "../x"}}')


SHARD = "model-00002-of-00004.safetensors"
INDEX = "model.safetensors.index.json"
DAMAGES = {
    "cut off": ("bert", cut, ["model.safetensors", "cut off", "download it again"]),
    "pickled": ("bert", pickled, ["pytorch_model.bin", "pickle", "run any program"]),
    "another model": ("gpt2", lambda f: None, ["config.json", "'gpt2'", "reads 'bert'"]),
    "integers": ("bert", lambda f: edit_weights(f, as_integers), [QUERY, "F32", "found I64"]),
    "another width": (
        "bert", lambda f: edit_config(f, intermediate_size=5),
        ["intermediate.dense.weight: expected (5, 10), found (7, 10)", "layer.1.output.dense.weight"],
    ),
    "size as text": ("bert", lambda f: edit_config(f, hidden_size="10"), ["config.json", "'10'"]),
    "shard cut off": ("llama_sharded", lambda f: cut(f, SHARD), [SHARD, "cut off"]),
    "shard gone": ("llama_sharded", lambda f: (f / SHARD).unlink(), [SHARD, INDEX]),
    "index without a map": (
        "llama_sharded", lambda f: (f / INDEX).write_text("{}"), [INDEX, "weight_map"],
    ),
    "index that leaves the folder": (
        "llama_sharded", outside, ["there is no file", "../x"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_sentence(copy, damage):
    name, change, words = DAMAGES[damage]
    folder = copy(name)
    change(folder)
    kind = LlamaForCausalLM if name == "llama_sharded" else BertForPreTraining
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        kind.from_pretrained(folder)
    for word in [*words, str(folder)]:
        assert word in str(caught.value)


def test_everything_that_does_not_fit_is_listed_at_once(copy):
    folder = copy("bert")
    norm = "bert.encoder.layer.0.output.LayerNorm.bias"

    def damage(arrays):
        del arrays[QUERY], arrays[norm], arrays["cls.predictions.bias"]
        arrays["bert.pooler.dense.weight"] = np.zeros((10, 9), np.float32)
        arrays["surprise"] = np.zeros(3, np.float32)

    edit_weights(folder, damage)
    with pytest.raises(ValueError, match="do not fit BertForPreTraining") as caught:
        BertForPreTraining.from_pretrained(folder)
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert sorted(lines) == [
        "bert.pooler.dense.weight: expected (10, 10), found (10, 9)",
        f"missing: {norm} (10,)",
        f"missing: {QUERY} (10, 10)",
        "unexpected: surprise (3,)",
    ]


def test_what_is_no_folder_of_a_model_is_refused_with_a_remedy(copy):
    folder = copy("bert")
    with pytest.raises(FileNotFoundError, match=r"config\.json is a file: give the folder"):
        BertModel.from_pretrained(folder / "config.json")
    (folder / "config.json").rename(folder / "small.gguf")
    with pytest.raises(FileNotFoundError, match=r"config\.json: a model is a folder.*small\.gguf"):
        BertModel.from_pretrained(folder)


# ----------------------------------------------------------------------------------- the hub


def test_a_name_on_the_hub_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FileNotFoundError, match=r"pip install huggingface_hub$"):
        BertModel.from_pretrained("someone/tiny-bert")


def fake_hub(monkeypatch, answer):
    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = answer
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)


def test_a_name_on_the_hub_is_downloaded(monkeypatch):
    asked = []

    def download(name, allow_patterns):
        asked.append((name, allow_patterns))
        return str(FOLDERS / "bert")

    fake_hub(monkeypatch, download)
    model = BertForPreTraining.from_pretrained("someone/tiny-bert")
    assert_same_weights(model, BertForPreTraining.from_pretrained(FOLDERS / "bert"))
    [(name, patterns)] = asked
    assert name == "someone/tiny-bert"
    assert "*.safetensors" in patterns
    assert not any(pattern.endswith((".bin", ".pt", "*")) for pattern in patterns)


def test_a_failed_download_says_what_happened(monkeypatch):
    def download(name, allow_patterns):
        raise OSError("no route to host\nand a long trace")

    fake_hub(monkeypatch, download)
    with pytest.raises(
        OSError, match=r"someone/tiny-bert.*could not be downloaded.*no route to host$"
    ):
        BertModel.from_pretrained("someone/tiny-bert")
