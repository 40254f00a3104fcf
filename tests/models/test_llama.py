"""Llama: agreement with Transformers, cache, positions, gradients."""

import numpy as np
import pytest

from minillm import no_grad
from minillm.debugging import recording
from minillm.finetuning import LoraConfig, add_adapters, add_lora
from minillm.generation import KVCache
from minillm.gradcheck import check_model
from minillm.models import LlamaConfig, LlamaForCausalLM
from minillm.models.llama import LlamaModel
from minillm.nn import WeightNorm
from minillm.optim import AdamW

from .golden import assert_gradients, load, with_weights

SIZES = {
    "vocab_size": 23, "hidden_size": 18, "intermediate_size": 11, "num_hidden_layers": 2,
    "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 10,
    "max_position_embeddings": 17, "rms_norm_eps": 0.01, "rope_theta": 50.0, "pad_token_id": 2,
}  # fmt: skip
VARIANTS = {
    "untied": {"attention_bias": True, "mlp_bias": True},
    "tied": {"tie_word_embeddings": True, "num_key_value_heads": 6},
}


def config(**changes):
    return LlamaConfig(**{**SIZES, **changes})


def model(dtype=np.float64, **changes):
    changes = {"initializer_range": 0.5, **changes}
    return LlamaForCausalLM(config(**changes), dtype=dtype, rng=np.random.default_rng(3)).eval()


@pytest.fixture
def ids(rng):
    return rng.integers(3, 23, (2, 11))


# ------------------------------------------------------------------ agreement with Transformers


@pytest.fixture(params=VARIANTS)
def tiny(request):
    golden = load(f"llama_{request.param}")
    return with_weights(
        LlamaForCausalLM, config(**VARIANTS[request.param]), golden["weight"]
    ), golden


def test_logits_and_loss_agree_with_transformers(tiny):
    llama, golden = tiny
    output = llama(golden["ids"], labels=golden["labels"])
    assert output.logits.dtype == np.float32
    np.testing.assert_allclose(output.logits.data, golden["logits"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(output.loss.item(), golden["loss"], rtol=1e-5)


@pytest.mark.parametrize(("beams", "penalty"), [(1, 1.0), (3, 1.0), (4, -1.0)])
@pytest.mark.parametrize("use_cache", [True, False])
def test_generated_tokens_are_those_of_transformers(tiny, beams, penalty, use_cache):
    llama, golden = tiny
    mask = np.ones((2, 7), dtype=int)
    mask[1, :3] = 0  # padded on the left
    text = llama.generate(
        golden["ids"][:, :7], attention_mask=mask, max_new_tokens=9, num_beams=beams,
        length_penalty=penalty, eos_token_id=5, pad_token_id=2, use_cache=use_cache,
    )  # fmt: skip
    np.testing.assert_array_equal(text, golden["text"][str(beams)])


def test_every_gradient_agrees_with_transformers(tiny):
    llama, golden = tiny
    llama(golden["ids"], labels=golden["labels"]).loss.backward()
    assert_gradients(llama, golden["grad"], rtol=1e-5)


def test_a_left_padded_batch_agrees_with_transformers(tiny):
    llama, golden = tiny
    output = llama(golden["ids"], attention_mask=golden["mask"])
    seen = golden["mask"] == 1
    assert not seen.all()
    np.testing.assert_allclose(
        output.logits.data[seen], golden["masked_logits"][seen], rtol=1e-5, atol=1e-5
    )


# ---------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("changes", [*VARIANTS.values(), {"rope_interleaved": True}])
def test_the_gradient_check_passes(ids, changes):
    report = check_model(model(**changes), ids, labels=ids)
    assert report.passed, report


def test_attention_dropout_acts_in_training_only(ids):
    llama = model(attention_dropout=0.4)
    with no_grad():
        np.testing.assert_array_equal(llama(ids).logits.data, llama(ids).logits.data)
        llama.train()
        assert (llama(ids).logits.data != llama(ids).logits.data).any()


# ------------------------------------------------------------------------------------- cache


@pytest.mark.parametrize("steps", [[11], [1] * 11, [4, 1, 3, 1, 2]])
def test_a_cache_changes_nothing(ids, steps):
    llama = model(np.float32)
    expected = llama(ids).logits.data
    with no_grad():
        cache, found, start = llama.new_cache(2, 11), [], 0
        for n in steps:
            found.append(llama(ids[:, start : start + n], cache=cache).logits.data)
            start += n
    assert cache.length == 11
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def steps(monkeypatch):
    """How many tokens went the way of arrays."""
    calls, step = [], LlamaModel.step

    def counted(self, x, *arguments):
        calls.append(len(x))
        return step(self, x, *arguments)

    monkeypatch.setattr(LlamaModel, "step", counted)
    return calls


def token_by_token(llama, ids, start=4):
    """Logits (B, T - start, V) after a prompt of `start` tokens."""
    with no_grad():
        cache, found = llama.new_cache(len(ids), ids.shape[1]), []
        llama(ids[:, :start], cache=cache)
        for t in range(start, ids.shape[1]):
            found.append(llama(ids[:, t : t + 1], cache=cache).logits.data)
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("changes", [*VARIANTS.values(), {"rope_interleaved": True}])
@pytest.mark.parametrize("rows", [1, 2])
def test_a_step_on_arrays_is_the_formula_on_tensors(ids, tmp_path, steps, changes, loaded, rows):
    llama, ids, error = model(**changes), ids[:rows], 1e-12
    if loaded:  # query, key and value lie in one array then, and gate and up; in float32
        llama.save_pretrained(tmp_path)
        llama, error = LlamaForCausalLM.from_pretrained(tmp_path), 5e-5
        assert all(joint.matrix(*layers) is not None for joint, layers in llama.read_together())
    found = token_by_token(llama, ids)
    assert steps == [rows] * 7
    np.testing.assert_allclose(found, llama(ids).logits.data[:, 4:], rtol=error, atol=error)


def test_steps_on_arrays_write_the_tokens_of_transformers(tiny, steps):
    llama, golden = tiny
    text = llama.generate(golden["ids"][:1, :7], max_new_tokens=9, eos_token_id=5, pad_token_id=2)
    expected = golden["text"]["1"][:1]  # a row without padding, so it is independent of the others
    np.testing.assert_array_equal(text, expected[:, : text.shape[1]])
    assert len(steps) == text.shape[1] - 8 > 0


def adapt_by_lora(llama):
    add_lora(llama, LoraConfig(r=2, alpha=6, target_modules=["down_proj", "k_proj"]))
    for name, p in llama.named_parameters():
        if name.endswith("lora_B"):
            p.data[...] = 0.3


def adapt_by_bottlenecks(llama):
    for name, p in add_adapters(llama, 3).named_parameters():
        if name.endswith("up.weight"):
            p.data[...] = 0.3


def normalize_weights(llama):
    layer = llama.model.layers[1].mlp
    layer.up_proj = WeightNorm(layer.up_proj)


@pytest.mark.parametrize("change", [adapt_by_lora, adapt_by_bottlenecks, normalize_weights])
def test_parts_of_other_kinds_are_computed_by_their_forward(ids, tmp_path, steps, change):
    model(np.float32).save_pretrained(tmp_path)
    llama = LlamaForCausalLM.from_pretrained(tmp_path)
    plain = token_by_token(llama, ids)
    assert steps
    steps.clear()
    change(llama.train().eval())
    found = token_by_token(llama, ids)
    assert not steps
    with no_grad():
        expected = llama(ids).logits.data[:, 4:]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert change is normalize_weights or np.abs(found - plain).max() > 0.01


def test_a_loaded_model_can_be_trained_on_and_generate_again(ids, tmp_path, steps):
    model(np.float32).save_pretrained(tmp_path)
    llama = LlamaForCausalLM.from_pretrained(tmp_path)
    before = token_by_token(llama, ids)
    optimizer = AdamW(llama.named_parameters(), lr=0.1)
    llama(ids, labels=ids).loss.backward()
    optimizer.step()
    found = token_by_token(llama, ids)
    np.testing.assert_allclose(found, llama(ids).logits.data[:, 4:], rtol=1e-4, atol=1e-4)
    assert len(steps) == 14
    assert np.abs(found - before).max() > 0.1


def test_a_step_where_gradients_are_recorded_is_refused(ids, steps):
    llama = model()
    with no_grad():
        cache = llama.new_cache(2, 11)
        llama(ids[:, :4], cache=cache)
    with pytest.raises(RuntimeError, match="no_grad"):
        llama(ids[:, 4:5], cache=cache)
    assert not steps


@pytest.mark.parametrize(
    ("other", "error", "message"),
    [
        ({"batch": 1}, ValueError, "batch 1"),
        ({"heads": 1}, ValueError, "heads 1"),
        ({"width": 1}, ValueError, "width 1"),
        ({"dtype": np.float32}, TypeError, "float32"),
    ],
)
def test_a_cache_of_another_model_is_refused(ids, other, error, message):
    sizes = {"layers": 2, "batch": 2, "heads": 3, "width": 10, "capacity": 5, "dtype": np.float64}
    with no_grad(), pytest.raises(error, match=message):
        model()(ids[:, :1], cache=KVCache(**{**sizes, **other}))


def test_every_operation_of_a_token_can_be_watched(ids, steps):
    llama, names = model(), []
    with no_grad():
        cache = llama.new_cache(2, 11)
        llama(ids[:, :4], cache=cache)
        with recording(lambda node, *call: names.append(node.op.name)):
            llama(ids[:, 4:5], cache=cache)
    assert names.count("scaled_dot_product_attention") == names.count("silu") == 2
    assert not steps


def test_a_cache_of_a_padded_batch_changes_nothing(ids):
    llama, mask = model(), np.ones_like(ids)
    mask[1, :4] = 0
    expected = llama(ids, attention_mask=mask).logits.data[:, -1]
    with no_grad():
        cache = llama.new_cache(2, 11)
        llama(ids[:, :8], attention_mask=mask[:, :8], cache=cache)
        for t in range(8, 11):
            last = llama(ids[:, t : t + 1], attention_mask=mask[:, : t + 1], cache=cache).logits
    np.testing.assert_allclose(last.data[:, 0], expected, rtol=1e-9, atol=1e-11)


def test_the_cache_holds_only_the_heads_of_keys():
    cache = model().new_cache(5, 7)
    assert (cache.layers, cache.batch, cache.heads, cache.width) == (2, 5, 3, 10)
    assert cache.dtype == np.float64


def test_only_the_last_logits_where_no_more_are_wanted(ids):
    llama = model()
    np.testing.assert_allclose(
        llama(ids, logits_to_keep=2).logits.data, llama(ids).logits.data[:, -2:], rtol=1e-12
    )


def test_generation_with_and_without_a_cache_is_the_same(ids):
    llama = model()
    texts = [llama.generate(ids[:, :4], max_new_tokens=9, use_cache=c) for c in (True, False)]
    assert texts[0].shape == (2, 13)
    np.testing.assert_array_equal(*texts)


# -------------------------------------------------------------------------------- positions


def test_a_left_padded_prompt_gives_the_logits_of_the_unpadded_one(ids):
    llama = model()
    alone = llama(ids[:, 3:]).logits.data
    mask = np.ones_like(ids)
    mask[:, :3] = 0
    padded = llama(ids, attention_mask=mask).logits.data[:, 3:]
    np.testing.assert_allclose(padded, alone, rtol=1e-9, atol=1e-11)


def test_no_token_sees_a_later_one(ids):
    llama, other = model(), ids.copy()
    other[:, 6] = ids[:, 6] % 20 + 3
    assert (other[:, 6] != ids[:, 6]).all()
    first, second = (llama(i).logits.data for i in (ids, other))
    np.testing.assert_array_equal(first[:, :6], second[:, :6])
    assert (first[:, 6:] != second[:, 6:]).any(axis=-1).all()


def test_both_layouts_of_the_rotation_are_the_same_model_with_rows_in_another_order(ids):
    halves, pairs = model(), model(rope_interleaved=True)
    weights = halves.state_dict()
    D = 10
    order = np.stack([np.arange(D // 2), np.arange(D // 2) + D // 2], axis=1).reshape(-1)
    moved = {}
    for name, array in weights.items():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = array.shape[1] // D
            columns = np.concatenate([order + D * h for h in range(heads)])
            array = array[:, columns]
        moved[name] = array
    pairs.load_state_dict(moved)
    expected = halves(ids).logits.data
    np.testing.assert_allclose(pairs(ids).logits.data, expected, rtol=1e-9, atol=1e-11)
    pairs.load_state_dict(weights)
    assert np.abs(pairs(ids).logits.data - expected).max() > 0.01


def test_the_table_of_angles_grows_with_the_text(rng):
    llama = model(max_position_embeddings=200)
    long = rng.integers(3, 23, (1, 150))
    first = llama(long[:, :5]).logits.data
    np.testing.assert_allclose(llama(long).logits.data[:, :5], first, rtol=1e-9, atol=1e-11)


# -------------------------------------------------------------------------------- wrong input


def test_wrong_calls_are_refused(ids):
    llama = model()
    with pytest.raises(ValueError, match=r"\(1, 18\) are longer than the 17 positions"):
        llama(np.ones((1, 18), int))
    with pytest.raises(ValueError, match=r"labels \(2, 3\) must have the shape"):
        llama(ids, labels=ids[:, :3])
    with pytest.raises(ValueError, match="logits_to_keep must be 0"):
        llama(ids, labels=ids, logits_to_keep=1)
    cache = llama.new_cache(2, 17)
    with no_grad():
        llama(ids, cache=cache)
        with pytest.raises(ValueError, match="after 11 tokens in the cache are longer than the 17"):
            llama(ids, cache=cache)
        with pytest.raises(ValueError, match="call without a cache"):
            llama(ids[:, :1], cache=cache, output_attentions=True)


CONFIGS = {
    "odd head": ({"head_dim": 7}, "head_dim 7 must be even"),
    "groups": ({"num_key_value_heads": 4}, "6 must be a multiple of num_key_value_heads 4"),
    "width": ({"head_dim": None, "hidden_size": 20}, "hidden_size 20 must be a multiple"),
    "activation": ({"hidden_act": "gelu"}, "hidden_act 'gelu' must be one of 'silu'"),
    "scaled": ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "of type 'linear'"),
    "size": (
        {"num_hidden_layers": "2"},
        "num_hidden_layers must be an integer of at least 1, got '2'",
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_without_meaning_is_refused(case):
    changes, message = CONFIGS[case]
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_states_and_attentions_are_given_on_request(ids):
    output = model()(ids, output_hidden_states=True, output_attentions=True)
    assert [x.shape for x in output.hidden_states] == [(2, 11, 18)] * 3
    assert [x.shape for x in output.attentions] == [(2, 6, 11, 11)] * 2
    np.testing.assert_allclose(output.attentions[0].sum(-1), 1)
    assert (np.triu(output.attentions[1][0, 0], 1) == 0).all()


def test_the_initial_weights_are_as_published():
    llama = LlamaForCausalLM(
        config(hidden_size=60, vocab_size=300, attention_bias=True), rng=np.random.default_rng(0)
    )
    for name, p in llama.named_parameters():
        if p.ndim == 2:
            assert abs(p.data.std() / 0.02 - 1) < 0.1, name
        else:
            assert (p.data == (0 if name.endswith("bias") else 1)).all(), name
