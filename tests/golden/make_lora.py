"""Write the golden files of LoRA: what PEFT computes with the same weights and the same adapter.

    python -m pip install torch transformers peft
    python tests/golden/make_lora.py                  from the root of the repository

Writes tests/golden/lora/<model>/ as PEFT writes an adapter, and tests/golden/lora.safetensors with the
base weights, logits, loss and gradients.  It also holds the other direction to account: adapters that
minillm saves are loaded by PEFT and must give the same logits.  The tests read the files and need
neither library.
"""

import shutil
import sys
import tempfile
import warnings

import numpy as np
import peft
import torch
import torch.nn.functional as F
from make_models import BERT, FOLDER, GPT2, LLAMA, SEED, arrays, random_model
from safetensors.numpy import save_file

sys.path.insert(0, str(FOLDER.parents[1]))
from minillm import models
from minillm.finetuning import LoraConfig, add_lora, save_lora

CASES = {
    "gpt2": ("GPT2LMHeadModel", GPT2, torch.float64, {},
             {"r": 2, "lora_alpha": 3, "target_modules": ["c_attn", "mlp.c_proj"],
              "fan_in_fan_out": True}),
    "bert": ("BertForSequenceClassification", BERT, torch.float64, {"num_labels": 5},
             {"r": 3, "lora_alpha": 5, "target_modules": ["query", "value", "dense"],
              "modules_to_save": ["classifier"]}),
    "llama": ("LlamaForCausalLM", LLAMA, torch.float32, {},
              {"r": 3, "lora_alpha": 2, "target_modules": ["q_proj", "v_proj", "down_proj"]}),
}  # fmt: skip
CONFIGS = {"gpt2": models.GPT2Config, "bert": models.BertConfig, "llama": models.LlamaConfig}


def with_adapter(model, settings):
    """The model with an adapter of random numbers, B included."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        adapted = peft.get_peft_model(model, peft.LoraConfig(**settings))
    rng = np.random.default_rng(SEED + 3)
    with torch.no_grad():
        for p in adapted.parameters():
            if p.requires_grad:
                p.copy_(torch.tensor(rng.normal(0, 0.4, tuple(p.shape)), dtype=p.dtype))
    return adapted


def learned(adapted):
    """Gradients by the names of PEFT's files."""
    for name, p in adapted.named_parameters():
        if p.requires_grad:
            yield name.replace(".default", "").replace(".modules_to_save", ""), p.grad


def other_direction(name, kind, sizes, changes, base, ids):
    """The largest difference between our logits and PEFT's after it has loaded our adapter."""
    dtype = next(iter(base.values())).dtype
    config = CONFIGS[name](**sizes, **changes)
    ours = getattr(models, kind)(config, dtype=dtype, rng=np.random.default_rng(0))
    ours.load_state_dict({n: a.T if ours.is_transposed(n, a) else a for n, a in base.items()})
    settings = CASES[name][4]
    heads = settings.get("modules_to_save", ())
    add_lora(ours, LoraConfig(settings["r"] + 1, 7.0, 0.1, settings["target_modules"], heads))
    rng = np.random.default_rng(SEED + 4)
    for p in ours.parameters():
        if p.requires_grad:
            p.data[...] = rng.normal(0, 0.4, p.shape)
    ours.eval()
    with tempfile.TemporaryDirectory() as folder:
        save_lora(ours, folder)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            theirs = peft.PeftModel.from_pretrained(
                random_model(kind, sizes, CASES[name][2], **changes), folder
            )
    with torch.no_grad():
        logits = theirs.eval()(input_ids=ids).logits.numpy()
    return float(np.abs(logits - ours(ids.numpy()).logits.numpy()).max())


def main():
    out = {}
    for name, (kind, sizes, dtype, changes, settings) in CASES.items():
        model = random_model(kind, sizes, dtype, **changes)
        base = arrays(dict(model.named_parameters()))
        adapted = with_adapter(model, settings).eval()
        rng = np.random.default_rng(SEED)
        ids = torch.tensor(rng.integers(3, 23, (2, 7)))
        labels = torch.tensor([4, 1]) if name == "bert" else ids
        logits = adapted(input_ids=ids).logits
        pairs = (logits, labels) if name == "bert" else (logits[:, :-1].flatten(0, 1), ids[:, 1:])
        loss = F.cross_entropy(pairs[0], pairs[1].flatten())  # the models' own is in float32
        loss.backward()
        values = {"ids": ids, "labels": labels, "logits": logits, "loss": loss}
        values |= {f"grad.{key}": grad for key, grad in learned(adapted)}
        folder = FOLDER / "lora" / name
        shutil.rmtree(folder, ignore_errors=True)
        adapted.save_pretrained(folder)
        (folder / "README.md").unlink()
        out |= {f"{name}.{k}": v for k, v in arrays(values).items()}
        out |= {f"{name}.weight.{k}": v for k, v in base.items()}
        difference = other_direction(name, kind, sizes, changes, base, ids)
        print(f"{name}: PEFT with our adapter differs by {difference:.1e}")
        assert difference < (1e-9 if dtype is torch.float64 else 1e-5)
    save_file(out, FOLDER / "lora.safetensors")
    for path in (*(FOLDER / "lora").rglob("*"), FOLDER / "lora.safetensors"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    print(f"written with torch {torch.__version__}, peft {peft.__version__}")


if __name__ == "__main__":
    main()
