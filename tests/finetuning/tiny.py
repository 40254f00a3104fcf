"""Tiny models for the tests of fine-tuning."""

import numpy as np

from minillm.models import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LSTMLanguageModel,
    LSTMLanguageModelConfig,
)

V = 13
NO_DROPOUT = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)


def gpt2(dtype=np.float32, **changes):
    config = GPT2Config(
        **{"vocab_size": V, "n_positions": 9, "n_embd": 6, "n_layer": 2, "n_head": 3,
           "initializer_range": 0.3, **NO_DROPOUT, **changes}
    )  # fmt: skip
    return GPT2LMHeadModel(config, dtype=dtype, rng=np.random.default_rng(5))


def bert(dtype=np.float32, **changes):
    config = BertConfig(
        **{"vocab_size": V, "hidden_size": 6, "num_attention_heads": 3, "num_hidden_layers": 2,
           "intermediate_size": 7, "max_position_embeddings": 9, "num_labels": 4,
           "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
           "initializer_range": 0.3, **changes}
    )  # fmt: skip
    return BertForSequenceClassification(config, dtype=dtype, rng=np.random.default_rng(5))


def llama(dtype=np.float32):
    config = LlamaConfig(
        vocab_size=V, hidden_size=8, intermediate_size=7, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=9,
        initializer_range=0.3,
    )  # fmt: skip
    return LlamaForCausalLM(config, dtype=dtype, rng=np.random.default_rng(5))


def lstm(dtype=np.float32):
    config = LSTMLanguageModelConfig(vocab_size=V, embedding_dim=5, hidden_size=6)
    return LSTMLanguageModel(config, dtype=dtype, rng=np.random.default_rng(5))


# name -> (how to build it, Linear layers to adapt)
MODELS = {
    "gpt2": (gpt2, ("c_attn", "mlp.c_proj")),
    "bert": (bert, ("query", "value", "dense")),
    "llama": (llama, ("q_proj", "down_proj")),
    "lstm": (lstm, ("output",)),
}


def batch(name, shape=(2, 5)):
    """(ids, labels) that a model of this name takes."""
    rng = np.random.default_rng(3)
    ids = rng.integers(1, V, shape)
    return ids, (rng.integers(0, 4, shape[0]) if name == "bert" else ids)


def shake(model, scale=0.4, seed=8):
    """Random numbers in everything that learns."""
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        if p.requires_grad:
            p.data[...] = rng.normal(0, scale, p.shape)


def learning(model):
    return [name for name, p in model.named_parameters() if p.requires_grad]
