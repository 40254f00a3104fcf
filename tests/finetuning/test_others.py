"""BitFit, prompt tuning and bottleneck adapters."""

import re

import numpy as np
import pytest

import minillm
import minillm.functional as F
from minillm import Device, Tensor
from minillm.backend import to_numpy
from minillm.finetuning import PromptTuning, add_adapters, bitfit, trainable_parameters
from minillm.models import BertConfig, BertForQuestionAnswering, BertForTokenClassification
from minillm.nn import Linear, Sequential
from minillm.optim import AdamW

from ..device.conftest import open_device
from .tiny import V, batch, bert, gpt2, learning, llama, lstm, shake

BUILD = {"gpt2": gpt2, "bert": bert, "llama": llama}


def losses_of(model, name, steps=30, lr=0.05):
    """The losses of a short training on one batch."""
    ids, labels = batch(name, (8, 5))
    optimizer, losses = AdamW(model.named_parameters(), lr=lr, weight_decay=0.0), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def steps_on(device, make, name):
    """Everything that two training steps leave behind, on the host."""
    minillm.manual_seed(7)
    model = make(BUILD[name]().to(device))
    losses_of(model, name, steps=2)
    return {n: to_numpy(a).copy() for n, a in model.state_dict().items()}


MAKE = {
    "bitfit": lambda model: bitfit(model) and model,
    "prompt": lambda model: PromptTuning(model, 2, token_ids=[3, 4]),
    "adapters": lambda model: add_adapters(model, 3, rng=np.random.default_rng(1)),
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_training_steps_on_the_stand_in_have_the_bits_of_the_host(kind, name):
    found = steps_on(open_device("strict"), MAKE[kind], name)
    expected = steps_on(Device("cpu"), MAKE[kind], name)
    assert found.keys() == expected.keys()
    for own, array in expected.items():
        np.testing.assert_array_equal(found[own], array, err_msg=own)


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("name", BUILD)
def test_only_what_is_to_learn_learns(kind, name):
    if (kind, name) == ("bitfit", "llama"):
        return
    model = MAKE[kind](BUILD[name]())
    before = {n: a.copy() for n, a in model.state_dict().items()}
    names = learning(model)
    losses = losses_of(model, name)
    assert losses[-1] < losses[0] - 0.05
    for own, array in before.items():
        if own not in names:
            np.testing.assert_array_equal(model.state_dict()[own], array, err_msg=own)
    assert any(not np.array_equal(model.state_dict()[n], before[n]) for n in names)


# ------------------------------------------------------------------------------------ BitFit


def test_bitfit_leaves_the_biases_and_the_head():
    model = bert()
    found = bitfit(model, "classifier")
    assert found == learning(model)
    assert set(found) == {n for n in model.state_dict() if n.endswith("bias") or "classifier" in n}
    per_layer = 6 * 4 + 7 + 6 + 2 * 6  # query, key, value, dense; up; down; two norms
    assert trainable_parameters(model).trainable == 6 + 2 * per_layer + 6 + (6 * 4 + 4)


def test_bitfit_finds_the_biases_of_other_models():
    assert bitfit(lstm()) == ["stack.layers.0.left_to_right.bias", "output.bias"]
    with pytest.raises(ValueError, match="bitfit: this LlamaForCausalLM has no biases to learn"):
        bitfit(llama())
    model = bert()
    with pytest.raises(ValueError, match="'head' fits no parameter"):
        bitfit(model, "head")
    assert len(learning(model)) == len(model.state_dict())


# ----------------------------------------------------------------------------- prompt tuning


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_prompt_of_word_embeddings_is_a_prompt_of_words(name):
    """The prompt begins as the embeddings of tokens, so at the start it is those tokens."""
    ids, _ = batch(name)
    tokens = [4, 7, 2]
    longer = np.concatenate([np.tile(tokens, (2, 1)), ids], axis=1)
    expected = BUILD[name]()(longer, output_hidden_states=True)
    tuned = PromptTuning(BUILD[name](), 3, token_ids=tokens)
    output = tuned(ids, output_hidden_states=True)
    np.testing.assert_array_equal(output.logits.data, expected.logits.data[:, 3:])
    assert len(output.hidden_states) == len(expected.hidden_states)
    np.testing.assert_array_equal(
        output.hidden_states[1].data, expected.hidden_states[1].data[:, 3:]
    )
    np.testing.assert_array_equal(tuned.model(ids).logits.data, BUILD[name]()(ids).logits.data)


def test_berts_prompt_comes_after_its_first_token():
    ids, labels = batch("bert")
    mask, types = np.ones_like(ids), np.zeros_like(ids)
    mask[1, 3:], types[:, 2:] = 0, 1

    def insert(x, values):
        return np.concatenate([x[:, :1], np.tile(values, (2, 1)), x[:, 1:]], axis=1)

    expected = bert()(insert(ids, [4, 7]), insert(mask, [1, 1]), insert(types, [0, 0]), labels)
    tuned = PromptTuning(bert(), 2, token_ids=[4, 7])
    found = tuned(ids, labels, attention_mask=mask, token_type_ids=types)
    np.testing.assert_array_equal(found.logits.data, expected.logits.data)
    assert found.loss.item() == expected.loss.item()


SIZES = {"vocab_size": V, "hidden_size": 6, "num_attention_heads": 3, "num_hidden_layers": 1,
         "intermediate_size": 7, "hidden_dropout_prob": 0.0, "initializer_range": 0.3,
         "attention_probs_dropout_prob": 0.0}  # fmt: skip


def test_outputs_and_labels_for_each_token_are_those_of_the_text():
    ids, _ = batch("bert")
    labels = np.random.default_rng(0).integers(0, 4, ids.shape)
    build = lambda kind: kind(BertConfig(**SIZES, num_labels=4), rng=np.random.default_rng(1))  # noqa: E731
    longer = np.concatenate([ids[:, :1], np.tile([4, 7], (2, 1)), ids[:, 1:]], axis=1)
    logits = build(BertForTokenClassification)(longer).logits.data[:, [0, 3, 4, 5, 6]]
    found = PromptTuning(build(BertForTokenClassification), 2, token_ids=[4, 7])(ids, labels)
    np.testing.assert_array_equal(found.logits.data, logits)
    expected = F.cross_entropy(Tensor(logits), labels).item()
    assert found.loss.item() == pytest.approx(expected, rel=1e-6)
    whole = build(BertForQuestionAnswering)(
        longer, start_positions=np.array([0, 3]), end_positions=np.array([4, 6])
    )
    places = {"start_positions": np.array([0, 1]), "end_positions": np.array([2, 4])}
    tuned = PromptTuning(build(BertForQuestionAnswering), 2, token_ids=[4, 7])(ids, **places)
    assert tuned.loss.item() == whole.loss.item()
    np.testing.assert_array_equal(
        tuned.start_logits.data, whole.start_logits.data[:, [0, 3, 4, 5, 6]]
    )


def test_a_padded_prompt_gives_what_the_unpadded_one_gives():
    tuned = PromptTuning(gpt2(), 2, token_ids=[4, 7])
    shake(tuned)
    ids, _ = batch("gpt2")
    padded, mask = np.pad(ids, ((0, 0), (2, 0))), np.pad(np.ones_like(ids), ((0, 0), (2, 0)))
    np.testing.assert_allclose(
        tuned(padded, attention_mask=mask).logits.data[:, 2:], tuned(ids).logits.data, atol=1e-5
    )


def test_the_gradient_of_the_prompt_is_the_slope_of_the_loss():
    tuned = PromptTuning(gpt2(np.float64), 2, token_ids=[4, 7])
    ids, labels = batch("gpt2")
    tuned(ids, labels=labels).loss.backward()
    assert [n for n, p in tuned.named_parameters() if p.grad is not None] == ["prompt"]
    for place in ((0, 0), (1, 3)):
        values = []
        for step in (1e-6, -1e-6):
            tuned.prompt.data[place] += step
            values.append(tuned(ids, labels=labels).loss.item())
            tuned.prompt.data[place] -= step
        slope = (values[0] - values[1]) / 2e-6
        assert tuned.prompt.grad[place] == pytest.approx(slope, rel=1e-5)


def test_a_tuned_model_generates():
    tuned = PromptTuning(gpt2(), 2, token_ids=[4, 7])
    ids, _ = batch("gpt2", (2, 3))
    longer = np.concatenate([np.tile([4, 7], (2, 1)), ids], axis=1)
    expected = gpt2().generate(longer, max_new_tokens=3)[:, 2:]
    np.testing.assert_array_equal(tuned.generate(ids, max_new_tokens=3), expected)
    assert tuned.generate(ids, max_length=7).shape == (2, 7)  # 9 positions, 2 of them the prompt's
    assert tuned.generate(ids, max_length=12, sliding_window=True).shape == (2, 12)


def test_the_prompt_starts_as_rows_of_the_embedding():
    table = gpt2().transformer.wte.weight.data
    np.testing.assert_array_equal(
        PromptTuning(gpt2(), 3, token_ids=[5, 1]).prompt.data, table[[5, 1, 5]]
    )
    drawn = PromptTuning(gpt2(), 4, rng=np.random.default_rng(2)).prompt.data
    assert all((row == table).all(axis=1).any() for row in drawn)
    model = PromptTuning(bert(), 2, "classifier")
    assert learning(model) == ["prompt", "model.classifier.weight", "model.classifier.bias"]


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda: PromptTuning(gpt2(), 0), "length must be an integer of at least 1, got 0"),
     (lambda: PromptTuning(gpt2(), 2, token_ids=[]), "token_ids is empty"),
     (lambda: PromptTuning(gpt2(), 2, token_ids=[V]), f"= {V} is outside 0 … {V - 1}"),
     (lambda: PromptTuning(gpt2(), 2, "head"), "'head' fits no parameter"),
     (lambda: PromptTuning(lstm(), 2), "LSTMLanguageModel has 0"),
     (lambda: PromptTuning(gpt2(), 9), "length 9 must be less than the 9 positions"),
     (lambda: PromptTuning(gpt2(), 5)(np.ones((1, 5), int)), "longer than the 9 positions"),
     (lambda: PromptTuning(gpt2(), 5).generate([[1, 2]], max_length=5),
      "5 tokens are more than the 4 positions of the model"),
     (lambda: PromptTuning(gpt2(), 1)(np.ones((1, 5), int), output_attentions=True),
      "output_attentions is not supported")],
)  # fmt: skip
def test_prompts_without_meaning_are_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# ---------------------------------------------------------------------------------- adapters


@pytest.mark.parametrize("name", BUILD)
def test_adapters_start_as_the_identity_and_stand_behind_both_sublayers(name):
    ids, _ = batch(name)
    expected = BUILD[name]()(ids).logits.data
    model = add_adapters(BUILD[name](), 3)
    np.testing.assert_array_equal(model(ids).logits.data, expected)
    C = 8 if name == "llama" else 6
    found = [n for n in model.state_dict() if ".adapter." in n]
    assert len(found) == 2 * 2 * 4  # blocks, sublayers, weight and bias of down and up
    assert sum(model.state_dict()[n].size for n in found) == 4 * (2 * C * 3 + C + 3)
    norms = [n for n in learning(model) if ".adapter." not in n]
    assert len(norms) == {"gpt2": 2 * 5, "bert": 2 * 5, "llama": 5}[name]
    assert all("ln_" in n or "norm" in n.lower() for n in norms)


def test_an_adapter_is_the_formula():
    model = add_adapters(Sequential(Linear(3, 5)), 2, target_modules=("0",))
    shake(model)
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    layer, net = model[0], model[0].adapter
    h = x @ layer.weight.data + layer.bias.data
    inner = F.gelu(Tensor(h @ net.down.weight.data + net.down.bias.data)).data
    expected = h + inner @ net.up.weight.data + net.up.bias.data
    np.testing.assert_allclose(model(x).data, expected, rtol=1e-5, atol=1e-6)


def test_adapters_keep_the_dtype_and_the_heads_that_are_named():
    model = add_adapters(bert(np.float64), 2, "classifier", train_norms=False)
    assert {a.dtype for a in model.state_dict().values()} == {np.dtype(np.float64)}
    assert all(".adapter." in n or "classifier" in n for n in learning(model))


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda model: add_adapters(model, 0), "size must be an integer from 1 to the width 6 of "
                                            "transformer.h.0.attn.c_proj, got 0"),
     (lambda model: add_adapters(model, 7), "got 7"),
     (lambda model: add_adapters(model, 2, "head"), "'head' fits no parameter"),
     (lambda model: add_adapters(model, 2, target_modules=("dense",)), "there are: c_attn, c_fc"),
     (lambda model: add_adapters(add_adapters(model, 2), 2), "c_proj has an adapter already"),
     (lambda model: add_adapters(lstm(), 2), "LSTMLanguageModel has no sublayers that are known")],
)  # fmt: skip
def test_adapters_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(gpt2())
