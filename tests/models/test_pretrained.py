"""GPT-2 as users call it: files, masks, labels, outputs, causality."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minillm import Tensor
from minillm.models import GPT2Config, GPT2LMHeadModel


def small_gpt(seed=5, **changes):
    sizes = {"vocab_size": 11, "n_positions": 9, "n_embd": 6, "n_layer": 2, "n_head": 3}
    config = GPT2Config(**{**sizes, "initializer_range": 0.5, **changes})
    return GPT2LMHeadModel(config, rng=np.random.default_rng(seed)).eval()


def bits(model):
    return {name: (p.dtype, p.data.tobytes()) for name, p in model.named_parameters()}


def log_softmax(z):
    z = z.astype(np.float64)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


@pytest.fixture
def ids(rng):
    return rng.integers(0, 11, (2, 7))


# -------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bias": False, "activation_function": "gelu"},
        {"tie_word_embeddings": False, "n_inner": 5},
        {"layer_norm_epsilon": 0.5, "eos_token_id": 3},
    ],
)
def test_a_model_comes_back_from_its_folder_bit_for_bit(tmp_path, ids, changes):
    model = small_gpt(**changes)
    model.save_pretrained(tmp_path / "deep" / "folder")
    loaded = GPT2LMHeadModel.from_pretrained(tmp_path / "deep" / "folder").eval()
    assert loaded.config == model.config
    assert bits(loaded) == bits(model)
    assert loaded(ids).logits.numpy().tobytes() == model(ids).logits.numpy().tobytes()


def test_the_folder_has_the_layout_of_hugging_face(tmp_path):
    small_gpt().save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "gpt2"
    assert (config["n_embd"], config["n_layer"], config["n_head"]) == (6, 2, 3)
    arrays = load_file(tmp_path / "model.safetensors")
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes["transformer.wte.weight"] == (11, 6)
    assert shapes["transformer.h.1.attn.c_attn.weight"] == (6, 18)  # (in, out), as in that file
    assert shapes["transformer.h.0.mlp.c_proj.weight"] == (24, 6)
    assert "lm_head.weight" not in shapes  # tied


def test_unknown_entries_of_the_config_are_left_alone(tmp_path):
    model = small_gpt()
    model.save_pretrained(tmp_path)
    edit_config(tmp_path, transformers_version="4.40", task_specific_params={"a": 1})
    assert bits(GPT2LMHeadModel.from_pretrained(tmp_path)) == bits(model)


def edit_config(folder, **changes):
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, **changes}), encoding="utf-8")


def edit_weights(folder, change):
    arrays = load_file(folder / "model.safetensors")
    change(arrays)
    save_file(arrays, folder / "model.safetensors")


def cut_off(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def write_config(content):
    return lambda folder: (folder / "config.json").write_bytes(content)


NORM = "transformer.ln_f.weight"
DAMAGES = {
    "no config": (lambda f: (f / "config.json").unlink(), ["config.json"]),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ["model.safetensors"]),
    "weights cut off": (cut_off, ["model.safetensors"]),
    "weights empty": (lambda f: (f / "model.safetensors").write_bytes(b""), ["model.safetensors"]),
    "config empty": (write_config(b""), ["config.json"]),
    "config cut off": (write_config(b'{"model_type": "gpt'), ["config.json"]),
    "config a list": (write_config(b'["gpt2"]'), ["config.json"]),
    "another model": (write_config(b'{"model_type": "bert"}'), ["config.json", "bert", "gpt2"]),
    "no model type": (write_config(b'{"n_embd": 6}'), ["config.json", "gpt2"]),
    "width as text": (lambda f: edit_config(f, n_embd="6"), ["n_embd", "config.json"]),
    "mis-shaped": (
        lambda f: edit_weights(f, lambda a: a.update({NORM: np.zeros(5, np.float32)})),
        [NORM, "(5,)", "(6,)"],
    ),
    "one missing": (lambda f: edit_weights(f, lambda a: a.pop(NORM)), [NORM, "missing"]),
    "one too many": (
        lambda f: edit_weights(f, lambda a: a.update(surprise=np.zeros(2, np.float32))),
        ["surprise", "unexpected"],
    ),
    "another width": (lambda f: edit_config(f, n_embd=9), ["c_attn.bias", "(27,)", "(18,)"]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_folder_that_does_not_fit_is_refused_by_name(tmp_path, damage):
    small_gpt().save_pretrained(tmp_path)
    change, words = DAMAGES[damage]
    change(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        GPT2LMHeadModel.from_pretrained(tmp_path)
    for word in words:
        assert word in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        GPT2LMHeadModel.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_head": 4}, "n_embd 6 must be a multiple of n_head 4"),
        ({"n_layer": 0}, "n_layer must be an integer of at least 1, got 0"),
        ({"activation_function": "relu6"}, "'relu6' must be one of 'gelu_new'"),
        ({"scale_attn_weights": False}, "scale_attn_weights False must be one of True"),
        ({"scale_attn_by_inverse_layer_idx": True}, "inverse_layer_idx True must be one of False"),
        ({"add_cross_attention": True}, "add_cross_attention True must be one of False"),
    ],
)
def test_a_config_without_meaning_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small_gpt(**changes)


def test_attention_that_is_scaled_otherwise_is_refused_when_a_folder_is_read(tmp_path):
    small_gpt().save_pretrained(tmp_path)
    edit_config(tmp_path, scale_attn_by_inverse_layer_idx=True)
    with pytest.raises(
        ValueError, match=r"config\.json: GPT2Config: scale_attn_by_inverse_layer_idx"
    ):
        GPT2LMHeadModel.from_pretrained(tmp_path)


# ---------------------------------------------------------------------- generation_config.json


def write_generation_config(folder, values):
    (folder / "generation_config.json").write_text(json.dumps(values), encoding="utf-8")


def test_texts_end_where_generation_config_says(tmp_path):
    small_gpt(eos_token_id=3).save_pretrained(tmp_path)
    prompt = [[1, 2]]
    free = small_gpt().generate(prompt, max_new_tokens=6)[0]
    end, last = int(free[4]), free.tolist().index(free[4], 2)
    write_generation_config(tmp_path, {"eos_token_id": [end, 3], "pad_token_id": 5, "top_k": 50})
    model = GPT2LMHeadModel.from_pretrained(tmp_path)
    batch = [*prompt, [0, 0]]  # of which only the first meets `end`
    found = model.generate(batch, max_new_tokens=6)[0]
    assert found.tolist() == [*free[: last + 1], *[5] * (len(free) - last - 1)]
    assert model.generate(prompt, max_new_tokens=6).tolist() == [free[: last + 1].tolist()]
    (tmp_path / "generation_config.json").unlink()
    edit_config(tmp_path, eos_token_id=end, pad_token_id=7)  # older folders have both in the config
    older = GPT2LMHeadModel.from_pretrained(tmp_path)
    found = older.generate(batch, max_new_tokens=6)[0]
    assert found.tolist() == [*free[: last + 1], *[7] * (len(free) - last - 1)]
    assert older.config.to_dict()["pad_token_id"] == 7
    assert model.config.eos_token_id == 3  # the config stays what it is

    model.save_pretrained(tmp_path / "again")
    again = GPT2LMHeadModel.from_pretrained(tmp_path / "again")
    assert again.generation_config == {"eos_token_id": [end, 3], "pad_token_id": 5, "top_k": 50}
    small_gpt().save_pretrained(tmp_path / "again")  # another model must not end where this one did
    assert GPT2LMHeadModel.from_pretrained(tmp_path / "again").generation_config is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([2], "must hold an object"),
        ({"eos_token_id": "</s>"}, "eos_token_id must be an id or a list of ids, got '</s>'"),
        ({"pad_token_id": [1, 2]}, r"pad_token_id must be an id, got \[1, 2\]"),
    ],
)
def test_a_generation_config_without_meaning_is_named(tmp_path, values, message):
    small_gpt().save_pretrained(tmp_path)
    write_generation_config(tmp_path, values)
    with pytest.raises(ValueError, match=rf"generation_config\.json.*{message}"):
        GPT2LMHeadModel.from_pretrained(tmp_path)


# ------------------------------------------------------------------------------ damaged weights


def test_a_byte_that_has_changed_is_noticed(tmp_path):
    small_gpt().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    for place in np.random.default_rng(0).integers(begin, len(whole), 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(
            ValueError, match=r"model.safetensors is damaged: the numbers of \S+ are"
        ):
            GPT2LMHeadModel.from_pretrained(tmp_path)
    path.write_bytes(whole)
    assert bits(GPT2LMHeadModel.from_pretrained(tmp_path)) == bits(small_gpt())


def test_a_file_of_another_program_has_no_checksums_but_must_hold_numbers(tmp_path):
    model = small_gpt()
    model.save_pretrained(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    save_file(arrays, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert bits(GPT2LMHeadModel.from_pretrained(tmp_path)) == bits(model)
    arrays["transformer.wpe.weight"][1, 2] = np.nan
    save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"model.safetensors: transformer.wpe.weight holds NaN or Inf"
    ):
        GPT2LMHeadModel.from_pretrained(tmp_path)


# -------------------------------------------------------------------------------- the weights


def test_the_initial_weights_are_as_published():
    config = GPT2Config(vocab_size=500, n_positions=100, n_embd=64, n_layer=8, n_head=2)
    model = GPT2LMHeadModel(config, rng=np.random.default_rng(0))
    for name, p in model.named_parameters():
        if p.ndim == 2:
            expected = 0.02 / 4 if name.endswith("c_proj.weight") else 0.02  # sqrt(2 * 8) = 4
            assert abs(p.data.std() / expected - 1) < 0.05, name
        else:
            assert (p.data == (1 if name.endswith("weight") else 0)).all(), name


def test_the_published_small_model_has_124_million_parameters():
    # 50257 * 768 + 1024 * 768 + 12 * (12 * 768^2 + 13 * 768) + 2 * 768, counted for a tenth of
    # the width and 2 layers: 76 = 4 * 19
    C, L, V, P = 76, 2, 503, 31
    model = small_gpt(vocab_size=V, n_positions=P, n_embd=C, n_layer=L, n_head=4)
    assert model.num_parameters() == V * C + P * C + L * (12 * C * C + 13 * C) + 2 * C


def test_the_tied_output_matrix_is_the_embedding(ids):
    model = small_gpt()
    output = model(ids, output_hidden_states=True)
    last = output.hidden_states[-1].numpy().astype(np.float64)
    expected = last @ model.transformer.wte.weight.numpy().astype(np.float64).T
    np.testing.assert_allclose(output.logits.numpy(), expected, rtol=1e-4, atol=1e-5)


# -------------------------------------------------------------------------- labels and outputs


def test_labels_are_shifted_inside_the_model(ids):
    output = small_gpt()(ids, labels=ids)
    log_p = log_softmax(output.logits.numpy())
    expected = [-log_p[b, t, ids[b, t + 1]] for b in range(2) for t in range(6)]
    np.testing.assert_allclose(output.loss.item(), np.mean(expected), rtol=1e-5)


def test_ignored_labels_do_not_count(ids):
    labels = ids.copy()
    labels[0, :4] = labels[1, 2] = -100
    output = small_gpt()(ids, labels=labels)
    log_p = log_softmax(output.logits.numpy())
    kept = [(b, t) for b in range(2) for t in range(6) if labels[b, t + 1] != -100]
    assert len(kept) == 12 - 3 - 1
    expected = np.mean([-log_p[b, t, labels[b, t + 1]] for b, t in kept])
    np.testing.assert_allclose(output.loss.item(), expected, rtol=1e-5)


def test_outputs_can_be_indexed_named_and_unpacked(ids):
    model = small_gpt()
    plain, with_loss = model(ids), model(ids, labels=ids)
    assert plain.loss is None
    assert plain[0] is plain.logits is plain["logits"]
    assert with_loss[0] is with_loss.loss
    assert with_loss[1] is with_loss.logits
    loss, logits = with_loss
    assert (loss, logits) == (with_loss.loss, with_loss.logits)
    assert plain.hidden_states is plain.attentions is None


def test_ids_may_be_arrays_tensors_lists_or_one_sequence(ids):
    model = small_gpt()
    expected = model(ids).logits.numpy().tobytes()
    for same in (Tensor(ids), ids.tolist(), ids.astype(np.int32)):
        assert model(same).logits.numpy().tobytes() == expected
    assert model(ids[0]).logits.shape == (1, 7, 11)


def test_hidden_states_and_attentions_have_one_entry_per_layer(ids):
    output = small_gpt()(ids, output_hidden_states=True, output_attentions=True)
    assert [h.shape for h in output.hidden_states] == [(2, 7, 6)] * 3  # L + 1
    assert [np.shape(a) for a in output.attentions] == [(2, 3, 7, 7)] * 2
    for attention in output.attentions:
        np.testing.assert_allclose(np.sum(attention, axis=-1), 1, rtol=1e-5)
        assert (np.triu(attention, 1) == 0).all()  # nothing from the future
        assert (np.asarray(attention) >= 0).all()


def test_the_first_hidden_state_is_the_embedding_plus_positions(ids):
    model = small_gpt()
    first = model(ids, output_hidden_states=True).hidden_states[0].numpy()
    table, positions = (e.weight.numpy() for e in (model.transformer.wte, model.transformer.wpe))
    for b, t in np.ndindex(ids.shape):
        np.testing.assert_allclose(first[b, t], table[ids[b, t]] + positions[t], rtol=1e-6)


def test_asking_for_states_does_not_change_the_logits(ids):
    model = small_gpt()
    asked = model(ids, output_hidden_states=True, output_attentions=True)
    assert asked.logits.numpy().tobytes() == model(ids).logits.numpy().tobytes()


# --------------------------------------------------------------------------- who sees whom


@pytest.mark.parametrize("position", range(7))
def test_changing_a_token_never_changes_earlier_logits(ids, position):
    model = small_gpt()
    changed = ids.copy()
    changed[:, position] = (changed[:, position] + 1) % 11
    before, after = model(ids).logits.numpy(), model(changed).logits.numpy()
    assert (before[:, :position] == after[:, :position]).all()
    assert (before[:, position:] != after[:, position:]).any(axis=-1).all()


def test_the_rows_of_a_batch_do_not_see_each_other(ids, rng):
    model = small_gpt()
    other = ids.copy()
    other[1] = rng.integers(0, 11, 7)
    together, changed = model(ids).logits.numpy(), model(other).logits.numpy()
    np.testing.assert_array_equal(together[0], changed[0])
    alone = model(ids[:1]).logits.numpy()
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", [1, 2, 3])
def test_a_left_padded_prompt_gives_the_logits_of_the_unpadded_one(ids, padding):
    model = small_gpt()
    prompt = ids[:, : 7 - padding]
    padded = np.concatenate([np.full((2, padding), 10), prompt], axis=1)
    mask = np.ones((2, 7), dtype=np.int64)
    mask[:, :padding] = 0
    expected = model(prompt).logits.numpy()
    result = model(padded, attention_mask=mask).logits.numpy()[:, padding:]
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_what_stands_in_the_padding_makes_no_difference(ids):
    model = small_gpt()
    mask = np.array([[0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]])
    other = np.where(mask == 1, ids, (ids + 3) % 11)
    results = [model(i, attention_mask=mask).logits.numpy() for i in (ids, other)]
    assert (results[0][mask == 1] == results[1][mask == 1]).all()


def test_a_mask_that_hides_nothing_changes_nothing(ids):
    model = small_gpt()
    masked = model(ids, attention_mask=np.ones_like(ids)).logits.numpy()
    np.testing.assert_allclose(masked, model(ids).logits.numpy(), rtol=1e-5, atol=1e-6)


def test_dropout_acts_in_training_only(ids):
    model = small_gpt(embd_pdrop=0.3)
    first, second = model(ids).logits.numpy(), model(ids).logits.numpy()
    np.testing.assert_array_equal(first, second)
    model.train()
    assert (model(ids).logits.numpy() != model(ids).logits.numpy()).any()


# --------------------------------------------------------------------------------- wrong input


def call(**arguments):
    return small_gpt()(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_ids": np.array([[1, 11]])}, (ValueError, IndexError), "11"),
        ({"input_ids": np.array([[-1, 1]])}, (ValueError, IndexError), "-1"),
        ({"input_ids": np.zeros((1, 10), int)}, ValueError, r"\(1, 10\).*longer than the 9"),
        ({"input_ids": np.zeros((1, 0), int)}, ValueError, "no tokens"),
        ({"input_ids": np.zeros((0, 3), int)}, ValueError, "no tokens"),
        ({"input_ids": np.zeros((1, 2, 3), int)}, ValueError, r"\(1, 2, 3\)"),
        ({"input_ids": np.array([[0.5, 1.0]])}, TypeError, "integers, got float64"),
        ({"input_ids": [[0.5, 1.0]]}, TypeError, "integers"),
    ],
)
def test_ids_without_meaning_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        call(**arguments)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.zeros((2, 6), int), ValueError, r"labels \(2, 6\).*\(2, 7\)"),
        (np.zeros((2, 7)), TypeError, "labels must be integers"),
        (np.full((2, 7), 11), (ValueError, IndexError), "11"),
        (np.full((2, 7), -1), (ValueError, IndexError), "-1"),
    ],
)
def test_labels_without_meaning_are_refused(ids, labels, error, message):
    with pytest.raises(error, match=message):
        call(input_ids=ids, labels=labels)


def test_a_single_token_has_nothing_to_predict():
    with pytest.raises(ValueError, match="at least 2 tokens"):
        call(input_ids=np.array([[1]]), labels=np.array([[1]]))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((2, 6), int), r"\(2, 7\).*\(2, 6\)"),
        (np.ones(7, int), r"\(2, 7\)"),
        (np.full((2, 7), 2), "1 .*and 0"),
        (np.full((2, 7), 0.5), "1 .*and 0"),
        (np.zeros((2, 7)) - 1e4, "1 .*and 0"),  # an additive mask
    ],
)
def test_masks_without_meaning_are_refused(ids, mask, message):
    with pytest.raises(ValueError, match=message):
        call(input_ids=ids, attention_mask=mask)
