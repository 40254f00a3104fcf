"""GGUF files: dequantisation, rows of queries and keys, damage."""

import sys

import numpy as np
import pytest

from minillm.models import LlamaConfig, LlamaForCausalLM
from minillm.models.gguf import DEQUANTISE, GGUFFile, halves_from_pairs

gguf = pytest.importorskip(
    "gguf", reason="needs the library gguf: python -m pip install -e '.[gguf]'"
)
LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
H, G, D = 4, 2, 16


def llama(tied=True, seed=0):
    config = LlamaConfig(
        vocab_size=23, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=H, num_key_value_heads=G, max_position_embeddings=17,
        rms_norm_eps=0.01, rope_theta=50.0, tie_word_embeddings=tied, initializer_range=0.3,
    )  # fmt: skip
    model = LlamaForCausalLM(config, rng=np.random.default_rng(seed)).eval()
    for name, p in model.named_parameters():
        if "norm" in name:
            p.data[...] = np.random.default_rng(seed).uniform(0.5, 1.5, p.shape)
    return model


def permuted(rows, heads):
    """The rows as llama.cpp's converter moves them: from halves to pairs."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def write(path, model, kind="F32", **changes):
    """A GGUF file of a model, by the library's own writer."""
    config, weights = model.config, model.state_dict()
    writer = gguf.GGUFWriter(str(path), changes.get("architecture", "llama"))
    writer.add_block_count(2)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(H)
    writer.add_head_count_kv(G)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    if "scaling" in changes:
        writer.add_rope_scaling_type(changes["scaling"])

    def add(name, array, kind=kind):
        quantised = gguf.GGMLQuantizationType[kind]
        data = gguf.quants.quantize(np.ascontiguousarray(array), quantised)
        writer.add_tensor(name, data, raw_dtype=quantised)

    add("token_embd.weight", weights["model.embed_tokens.weight"])
    add("output_norm.weight", weights["model.norm.weight"], "F32")
    if not config.tie_word_embeddings:
        add("output.weight", weights["lm_head.weight"].T)
    for i in range(2):
        for theirs, ours in LAYER.items():
            array = weights[f"model.layers.{i}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):
                array = permuted(array.T, H if theirs == "attn_q" else G)
            elif array.ndim == 2:
                array = array.T
            add(f"blk.{i}.{theirs}.weight", array, "F32" if array.ndim == 1 else kind)
    for name, array in changes.get("more", {}).items():
        add(name, array, "F32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "F16", "F32"])
def test_dequantising_has_the_bits_of_the_library(kind, rng):
    quantised = gguf.GGMLQuantizationType[kind]
    data = gguf.quants.quantize(rng.standard_normal((7, 96)).astype(np.float32), quantised)
    expected = gguf.quants.dequantize(data, quantised)
    found = DEQUANTISE[kind](data)
    assert found.dtype == np.float32
    assert found.shape == (7, 96)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("tied", [True, False])
def test_a_file_in_float32_is_the_model_it_was_made_from(tmp_path, tied):
    model = llama(tied)
    loaded = LlamaForCausalLM.from_pretrained(write(tmp_path / "m.gguf", model))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[name], array, err_msg=name)
    ids = np.array([[1, 5, 3, 22, 7]])
    np.testing.assert_array_equal(loaded(ids).logits.data, model(ids).logits.data)
    assert loaded.config.tie_word_embeddings == tied


@pytest.mark.parametrize(("kind", "error"), [("F16", 1e-3), ("Q8_0", 0.01), ("Q4_1", 0.08)])
def test_a_quantised_file_is_the_model_up_to_its_rounding(tmp_path, kind, error):
    model = llama()
    loaded = LlamaForCausalLM.from_pretrained(write(tmp_path / "m.gguf", model, kind))
    for name, array in model.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == np.float32
        difference = np.abs(found - array).max()
        assert difference <= error * np.abs(array).max(), name
        assert difference > 0 or "norm" in name


def test_the_order_of_rows_undoes_that_of_the_converter():
    rows = np.arange(H * D)[:, None] * np.ones((1, 3))
    order = halves_from_pairs(H, H * D)
    np.testing.assert_array_equal(permuted(rows, H)[order], rows)
    assert (permuted(rows, H) != rows).any()


def test_an_opened_file_may_be_given_too(tmp_path):
    file = GGUFFile(write(tmp_path / "m.gguf", llama()))
    assert LlamaForCausalLM.from_pretrained(file).num_parameters() == llama().num_parameters()


def damaged(path, change):
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize("kept", [0, 3, 10, 500, -100])
def test_a_file_that_is_cut_off_is_refused(tmp_path, kept):
    path = damaged(write(tmp_path / "m.gguf", llama()), lambda data: data[:kept])
    with pytest.raises(ValueError, match=r"m\.gguf is not a complete GGUF file.*download it again"):
        LlamaForCausalLM.from_pretrained(path)


def test_another_format_is_refused(tmp_path):
    path = damaged(write(tmp_path / "m.gguf", llama()), lambda data: b"PK\x03\x04" + data[4:])
    with pytest.raises(ValueError, match=r"m\.gguf is not a complete GGUF file"):
        LlamaForCausalLM.from_pretrained(path)


def test_what_is_not_known_is_refused_by_name(tmp_path):
    path = tmp_path / "m.gguf"
    with pytest.raises(ValueError, match=r"'qwen2', known here is 'llama'"):
        GGUFFile(write(path, llama(), architecture="qwen2"))
    write(path, llama(), scaling=gguf.RopeScalingType.LINEAR)
    with pytest.raises(ValueError, match=r"m\.gguf has scaled rotary positions"):
        LlamaForCausalLM.from_pretrained(path)
    with pytest.raises(
        ValueError, match=r"another way than F32.*output_norm|token_embd\.weight Q5_1"
    ):
        LlamaForCausalLM.from_pretrained(write(path, llama(), "Q5_1"))
    write(path, llama(), more={"extra.weight": np.ones(3, np.float32)})
    with pytest.raises(ValueError, match=r"m\.gguf: .*\n  unexpected: extra\.weight \(3,\)"):
        LlamaForCausalLM.from_pretrained(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.gguf"):
        LlamaForCausalLM.from_pretrained(tmp_path / "none.gguf")


def test_without_the_library_there_is_one_line_to_install_it(tmp_path, monkeypatch):
    path = write(tmp_path / "m.gguf", llama())
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(RuntimeError, match=r"pip install gguf$"):
        LlamaForCausalLM.from_pretrained(path)
