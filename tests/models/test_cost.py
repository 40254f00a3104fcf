"""The formulas of cost.py against what models do, against published numbers, and bad input."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest

from minillm.models import (
    BertConfig,
    GPT2Config,
    LlamaConfig,
    LSTMClassifierConfig,
    LSTMLanguageModelConfig,
    Seq2SeqConfig,
    TransformerLMConfig,
    model_cost,
)
from minillm.models.cost import BERT_KINDS
from minillm.models.counting import build_model, count_step, random_batch, training_loss
from minillm.optim import Adam

from ..device import strict

B, T, TARGETS = 3, 7, 5
P = 0.3


def gpt2(**changes):
    sizes = {"vocab_size": 23, "n_positions": 11, "n_embd": 15, "n_layer": 3, "n_head": 5}
    return GPT2Config(**{**sizes, "n_inner": 17, **changes})


def llama(**changes):
    return LlamaConfig(
        **{
            "vocab_size": 23, "hidden_size": 13, "intermediate_size": 17, "num_hidden_layers": 3,
            "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 10,
            "max_position_embeddings": 11, **changes,
        }
    )  # fmt: skip


def bert(kind, p=P, **changes):
    return BertConfig(
        **{
            "vocab_size": 23, "hidden_size": 15, "num_hidden_layers": 3, "num_attention_heads": 5,
            "intermediate_size": 17, "max_position_embeddings": 11, "hidden_dropout_prob": p,
            "attention_probs_dropout_prob": p, "num_labels": 4, "architectures": [kind], **changes,
        }
    )  # fmt: skip


def seq2seq(**changes):
    sizes = {"vocab_size": 23, "d_model": 15, "nhead": 5, "num_encoder_layers": 2}
    sizes |= {"num_decoder_layers": 3, "dim_feedforward": 17, "max_position_embeddings": 11}
    return Seq2SeqConfig(**{**sizes, **changes})


def classifier(cell="lstm", **changes):
    return LSTMClassifierConfig(23, 7, 13, **{"cell": cell, **changes})


def language_model(cell="lstm", **changes):
    return LSTMLanguageModelConfig(23, 7, 13, **{"cell": cell, **changes})


NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
OWN = {"share_embeddings": False, "target_vocab_size": 19}
CONFIGS = {
    "gpt2": gpt2(),
    "gpt2, three dropouts apart": gpt2(resid_pdrop=0.0),
    "gpt2 of nanoGPT": gpt2(bias=False, n_inner=None, **NO_DROPOUT),
    "gpt2 untied": gpt2(tie_word_embeddings=False, embd_pdrop=0.0),
    "llama": llama(),
    "llama with biases": llama(attention_bias=True, attention_dropout=P),
    "llama tied": llama(tie_word_embeddings=True, mlp_bias=True, num_key_value_heads=6),
    **{kind: bert(kind) for kind in BERT_KINDS},
    **{f"{kind}, no dropout": bert(kind, 0.0) for kind in BERT_KINDS},
    "bert relu": bert("BertForMaskedLM", hidden_act="relu"),
    "bert regression": bert("BertForSequenceClassification", num_labels=1),
    "bert classifier dropout": bert("BertForSequenceClassification", 0.0, classifier_dropout=P),
    "transformer lm": TransformerLMConfig(23, 15, 5, 17, 3, P, 11),
    "transformer lm, no dropout": TransformerLMConfig(23, 15, 5, 17, 3, 0.0, 11),
    "seq2seq": seq2seq(),
    "seq2seq pre-norm": seq2seq(norm_first=True, dropout=0.0, activation="gelu"),
    "seq2seq silu": seq2seq(activation="silu", label_smoothing=0.1, **OWN),
    "seq2seq untied": seq2seq(tie_word_embeddings=False, dropout=0.0, **OWN),
    "lstm classifier": classifier(),
    "lstm classifier, 3 layers": classifier(num_layers=3, num_labels=3),
    "lstm classifier, both ways": classifier(num_layers=2, bidirectional=True),
    "lstm classifier, dropout": classifier(num_layers=3, dropout=P, num_labels=3),
    "gru classifier, both ways": classifier("gru", num_layers=3, bidirectional=True, dropout=P),
    "rnn classifier": classifier("rnn", num_layers=3),
    "lstm lm": language_model(),
    "lstm lm tied": LSTMLanguageModelConfig(23, 13, 13, 2, tie_word_embeddings=True, dropout=P),
    "gru lm": language_model("gru", num_layers=3),
    "rnn lm": language_model("rnn", num_layers=2, dropout=P),
}  # fmt: skip


def prepared(config):
    """(model, batch, cost) with sizes that are all different."""
    rng = np.random.default_rng(0)
    model = build_model(config, rng)
    targets = TARGETS if isinstance(config, Seq2SeqConfig) else None
    cost = model_cost(config, B, T, target_length=targets)
    return model, random_batch(config, B, T, targets, rng), cost


# ---------------------------------------------------------------------- formulas and counts


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_flop_and_kept_bytes_are_what_is_counted(name):
    model, batch, cost = prepared(CONFIGS[name])
    count = count_step(lambda: training_loss(model, batch), model)
    assert cost.parameters == model.num_parameters()
    assert cost.forward_flop == count.forward_flop
    assert cost.training_flop == count.forward_flop + count.backward_flop
    assert cost.activation_bytes == count.saved_bytes


@pytest.mark.parametrize(
    "name",
    ["gpt2", "llama", "BertForPreTraining", "transformer lm", "seq2seq", "lstm classifier",
     "gru classifier, both ways", "rnn lm"],
)  # fmt: skip
def test_flop_are_those_of_all_products_that_run(name, monkeypatch):
    """The stand-in for CuPy sees every product of a step, whoever calls it, backward too."""
    model, batch, cost = prepared(CONFIGS[name])
    products, run = Counter(), strict.run

    def counting(called, function, args, options, **more):
        result = run(called, function, args, options, **more)
        if called == "matmul":
            a, b = (array._a for array in args[:2])
            if not (b.shape[-1] == 1 and (b == 1).all()):  # a sum over rows, written as a product
                products[phase[0]] += 2 * a.shape[-1] * result.size
        return result

    monkeypatch.setattr(strict, "run", counting)
    model.to("strict")
    phase = ["forward"]
    loss = training_loss(model, batch)
    phase[0] = "backward"
    loss.backward()
    assert products["forward"] == cost.forward_flop
    assert products["backward"] == 2 * cost.forward_flop


def test_frozen_weights_save_a_third_of_a_linear_layer():
    """Counting follows the graph: a product whose gradient nobody wants does not count."""
    model, batch, cost = prepared(CONFIGS["gpt2"])
    for name, p in model.named_parameters():
        p.requires_grad = "mlp" not in name
    count = count_step(lambda: training_loss(model, batch), model)
    mlp = cost.part("MLP").flop
    assert mlp > 0
    assert count.backward_flop == 2 * cost.forward_flop - mlp


@pytest.mark.parametrize("name", ["gpt2 of nanoGPT", "llama", "seq2seq", "lstm lm"])
def test_peak_is_what_tracemalloc_sees(name):
    """A model of middle size, so that Python's own objects do not count."""
    config = {
        "gpt2 of nanoGPT": gpt2(n_positions=64, n_embd=60, n_inner=None, bias=False, **NO_DROPOUT),
        "llama": llama(hidden_size=60, intermediate_size=150, max_position_embeddings=64),
        "seq2seq": seq2seq(d_model=60, dim_feedforward=240, max_position_embeddings=64),
        "lstm lm": LSTMLanguageModelConfig(101, 60, 60, 2),
    }[name]
    rng = np.random.default_rng(0)
    cost = model_cost(config, 6, 40)
    tracemalloc.start()
    model = build_model(config, rng)
    optimizer = Adam(model.parameters())
    batch = random_batch(config, 6, 40, cost.target_length, rng)
    for _ in range(2):
        tracemalloc.reset_peak()
        optimizer.zero_grad()
        training_loss(model, batch).backward()
        optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak == pytest.approx(cost.peak_bytes, rel=0.15)


# --------------------------------------------------------------- formulas and published numbers


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (GPT2Config(), 124_439_808),
        (GPT2Config(n_embd=1600, n_layer=48, n_head=25), 1_557_611_200),  # GPT-2 XL
        (BertConfig(), 109_482_240),
        (LlamaConfig(), 6_738_415_616),
        (LSTMClassifierConfig(), 1000 * 50 + 4 * 128 * (50 + 128 + 1) + 128 + 1),
    ],
)
def test_published_models_have_the_parameters_they_are_known_for(config, parameters):
    assert model_cost(config, 1, 2).parameters == parameters


def test_a_gpt_agrees_with_the_formula_of_narayanan():
    """Narayanan et al. 2021 (arXiv:2104.04473, appendix), without recomputing: layers 3 times."""
    b, s, l, h, V = 5, 64, 3, 60, 101
    layers = 3 * (24 * b * s * l * h**2 + 4 * b * s**2 * l * h)
    cost = model_cost(gpt2(vocab_size=V, n_positions=s, n_embd=h, n_inner=None), b, s)
    assert cost.training_flop == layers + 6 * b * s * h * V


def test_gpt3_costs_what_its_paper_says():
    """Brown et al. 2020 (arXiv:2005.14165), table D.1: 3.14e23 FLOP for 300 billion tokens."""
    cost = model_cost(GPT2Config(50257, 2048, 12288, 96, 96), 1, 2048)
    assert cost.rule_flop / 2048 * 300e9 == pytest.approx(3.14e23, rel=0.002)
    assert cost.training_flop == pytest.approx(cost.rule_flop, rel=0.03)
    # table 2.1 of the same paper, and 12 L C^2 (Kaplan et al. 2020, eq. 2.1)
    assert cost.parameters == pytest.approx(175e9, rel=0.005)
    per_token = 2 * 12 * 96 * 12288**2 + 2 * 96 * 2048 * 12288
    assert cost.kaplan_flop == pytest.approx(2048 * per_token, rel=0.001)


def test_models_that_are_no_decoder_have_no_kaplan_formula():
    assert model_cost(seq2seq(), B, T).kaplan_flop is None
    assert model_cost(classifier(), B, T).kaplan_flop is None


# ----------------------------------------------------------------------------------- memory


def test_adam_keeps_two_numbers_for_each_parameter():
    model, batch, cost = prepared(gpt2())
    optimizer = Adam(model.parameters())
    training_loss(model, batch).backward()
    optimizer.step()
    moments = [state[name] for state in optimizer.state.values() for name in ("m", "v")]
    assert cost.adam_bytes == sum(array.nbytes for array in moments)
    assert cost.parameter_bytes == sum(p.grad.nbytes for p in model.parameters())


@pytest.mark.parametrize("config", [gpt2(), llama()], ids=["gpt2", "llama"])
def test_the_cache_is_as_large_as_the_one_that_is_made(config):
    model = build_model(config, np.random.default_rng(0))
    cost = model_cost(config, B, T)
    assert B * T * cost.cache_per_token == model.new_cache(B, T).nbytes
    assert cost.inference_bytes == cost.parameter_bytes + model.new_cache(B, T).nbytes


def test_a_recurrent_state_does_not_grow():
    cost = model_cost(language_model(num_layers=3), B, T)
    assert (cost.cache_per_token, cost.cache_fixed) == (0, 4 * 2 * 3 * 13)
    assert model_cost(language_model("gru"), B, T).cache_fixed == 4 * 13
    pairs = model_cost(seq2seq(), B, T, target_length=TARGETS)
    assert (pairs.cache_per_token, pairs.cache_fixed) == (4 * 2 * 3 * 15, 4 * 2 * 3 * 15 * T)
    assert model_cost(bert("BertModel"), B, T).cache_per_token == 0


def test_dtype_scales_the_bytes_and_the_peak_is_the_larger_part():
    single, double = (model_cost(gpt2(**NO_DROPOUT), B, T, dtype=d) for d in ("f4", "f8"))
    assert double.parameter_bytes == 2 * single.parameter_bytes
    assert double.part("norms").saved == 2 * single.part("norms").saved
    # a large model on two tokens: gradients outweigh what is kept
    large = model_cost(GPT2Config(), 1, 2)
    assert large.peak_bytes == 16 * 124_439_808
    held = 12 * single.parameters
    assert single.peak_bytes == held + single.activation_bytes + single.workspace


def test_attention_grows_with_the_square_of_the_length():
    short, long = (model_cost(gpt2(n_positions=1000, **NO_DROPOUT), B, n) for n in (100, 1000))
    assert long.part("attention scores").flop == 100 * short.part("attention scores").flop
    assert long.part("MLP").flop == 10 * short.part("MLP").flop
    assert long.part("attention scores").saved == 4 * B * 5 * 3 * 1000 * (1000 + 3)


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: model_cost(object(), 1, 2), TypeError, ("GPT2Config", "got object")),
        (lambda: model_cost(gpt2(), 0, 2), ValueError, ("batch_size", "at least 1", "got 0")),
        (lambda: model_cost(gpt2(), 2.0, 2), ValueError, ("batch_size", "2.0")),
        (lambda: model_cost(classifier(), True, 2), ValueError, ("batch_size", "True")),
        (lambda: model_cost(gpt2(), 2, 12), ValueError, ("length 12", "11 positions")),
        (lambda: model_cost(bert("BertModel"), 2, 12), ValueError, ("length 12", "11 positions")),
        (lambda: model_cost(gpt2(), 2, 1), ValueError, ("at least 2", "GPT2Config", "got 1")),
        (lambda: model_cost(gpt2(), 2, 2, target_length=2), ValueError, ("encoder-decoder",)),
        (lambda: model_cost(seq2seq(), 2, 2, target_length=0), ValueError, ("target_length",)),
        (lambda: model_cost(seq2seq(), 2, 2, target_length=12), ValueError, ("11 positions",)),
        (lambda: model_cost(bert("GPT"), 2, 2), ValueError, ("'GPT'", "BertForMaskedLM")),
        (lambda: build_model(bert("GPT"), None), ValueError, ("'GPT'", "BertForMaskedLM")),
        (lambda: model_cost(gpt2(), 2, 2).part("legs"), KeyError, ("'legs'", "attention scores")),
    ],
)  # fmt: skip
def test_bad_input_is_explained(call, error, words):
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_a_recurrent_model_has_no_longest_sequence():
    assert model_cost(classifier(), 1, 100_000).forward_flop > 0
