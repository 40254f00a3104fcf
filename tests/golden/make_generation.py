"""Write generation.safetensors and generation.json: texts that Transformers generates.

    python -m pip install torch transformers
    python tests/golden/make_generation.py

generation.json      the size of a small random GPT-2, and a list of cases: the options of generate
generation.safetensors
    weight.<name>            the weights, in float32 (float64 cases use the same numbers)
    prompt.ids, prompt.mask  three prompts, padded on the left; `plain` has no padding
    <case>.sequences         what generate returned
    <case>.scores            beam search: the score of each sequence
    <case>.processed         drawing: the logits (steps, B, V) after all processors, at each step

The weights are drawn so large that the model is far from uniform, and the end token is one that it
likes, so that some texts end early and others do not.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import GPT2Config, GPT2LMHeadModel

FOLDER = Path(__file__).parent
SEED = 20240613
SIZE = {
    "vocab_size": 31, "n_positions": 24, "n_embd": 16, "n_layer": 2, "n_head": 2,
    "layer_norm_epsilon": 0.01, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
PAD, LENGTH, PADDED = 30, 6, (0, 2, 5)  # padding, prompt length, pads of each padded prompt
END, OFTEN = 12, 18  # the model likes 18 so much that most texts end early with it


def cases():
    """(name, options) of every case; `prompt` says which prompts, `dtype` the model's."""
    beams = {"max_new_tokens": 12, "eos_token_id": END, "pad_token_id": PAD}
    for k, penalty, early in itertools.product(
        (2, 3, 4, 5), (0.0, 1.0, 2.0, -1.0), (False, True, "never")
    ):
        options = {"num_beams": k, "length_penalty": penalty, "early_stopping": early}
        more = {"num_return_sequences": k, "eos_token_id": END if k % 2 else OFTEN}
        yield f"beams{k}_{penalty:g}_{early}", {**beams, **options, **more}
    padded = {**beams, "prompt": "padded"}
    yield "beams_padded", {**padded, "num_beams": 3, "num_return_sequences": 2}
    yield "beams_padded_penalty", {**padded, "num_beams": 3, "repetition_penalty": 1.5}
    yield "beams_two_ends", {**beams, "num_beams": 3, "eos_token_id": [END, 28],
                             "num_return_sequences": 3}  # fmt: skip
    yield "beams_no_end", {"max_new_tokens": 6, "num_beams": 4, "pad_token_id": PAD}
    yield "beams_one_token", {**beams, "max_new_tokens": 1, "num_beams": 3}
    yield "beams_float32", {**beams, "num_beams": 3, "num_return_sequences": 3, "dtype": "float32"}
    for name, more in {
        "greedy": {},
        "greedy_float32": {"dtype": "float32"},
        "greedy_end": {"eos_token_id": END},
        "greedy_two_ends": {"eos_token_id": [END, 28]},
        "greedy_penalty": {"repetition_penalty": 1.4},
        "greedy_reward": {"repetition_penalty": 0.6},
        "greedy_padded": {"prompt": "padded"},
        "greedy_padded_penalty": {"prompt": "padded", "repetition_penalty": 1.4},
    }.items():
        yield name, {"max_new_tokens": 12, "pad_token_id": PAD, **more}
    for number, (temperature, k, p, penalty) in enumerate(
        itertools.product((0.7, 1.6), (None, 5), (None, 0.35, 0.8), (1.0, 1.7))
    ):
        yield f"draw{number}", {
            "do_sample": True, "max_new_tokens": 4, "pad_token_id": PAD, "temperature": temperature,
            "top_k": k, "top_p": p, "repetition_penalty": penalty,
            "prompt": "padded" if number % 2 else "plain",
        }  # fmt: skip


def build():
    """The model in float32, with eager attention."""
    torch.manual_seed(SEED)
    config = GPT2Config(**SIZE, attn_implementation="eager", bos_token_id=None, eos_token_id=None)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            # the positions and the blocks must count more than the last token, which the tied
            # output matrix would only repeat
            p += torch.randn_like(p) * (0.1 if p.ndim == 1 else 0.3 if "wte" in name else 0.9)
    return model


def run(model, ids, mask, options):
    """What generate gives for one case, as arrays."""
    options = dict(options)
    model = model.to(getattr(torch, options.pop("dtype", "float64")))
    if options.pop("prompt", "plain") == "plain":
        mask = torch.ones_like(mask)
    if options.get("do_sample"):
        options |= {name: 0 if name == "top_k" else 1.0  # Transformers' words for "off"
                    for name in ("top_k", "top_p") if options[name] is None}  # fmt: skip
        torch.manual_seed(SEED)
    with torch.no_grad():
        out = model.generate(
            ids, attention_mask=mask, return_dict_in_generate=True, output_scores=True, **options
        )
    result = {"sequences": out.sequences}
    if options.get("do_sample"):
        result["processed"] = torch.stack(out.scores)
    elif options.get("num_beams", 1) > 1:
        result["scores"] = out.sequences_scores
    return {name: value.numpy().copy(order="C") for name, value in result.items()}


def main():
    model = build()
    arrays = {f"weight.{n}": p.detach().numpy().copy() for n, p in model.named_parameters()}
    ids = np.random.default_rng(SEED).integers(0, SIZE["vocab_size"] - 1, (3, LENGTH))
    mask = np.arange(LENGTH) >= np.array(PADDED)[:, None]
    arrays |= {"prompt.plain": ids, "prompt.padded": np.where(mask, ids, PAD)}
    arrays["prompt.mask"] = mask.astype(np.int64)
    listed, results = [], {}
    for name, options in cases():
        prompt = torch.tensor(arrays[f"prompt.{options.get('prompt', 'plain')}"])
        results[name] = run(model, prompt, torch.tensor(arrays["prompt.mask"]), options)
        listed.append({"name": name, "options": options})
        arrays |= {f"{name}.{key}": value for key, value in results[name].items()}
    ended = {n: (r["sequences"][:, LENGTH:] == END).any(axis=1).mean() for n, r in results.items()}
    assert sum(0 < share < 1 for n, share in ended.items() if n.startswith("beams")) > 10
    assert 0 < ended["greedy_end"] < 1
    different = {  # the three ways to stop must not all give the same
        tuple(results[f"beams{k}_{p}_{e}"]["scores"].sum().round(4) for e in (False, True, "never"))
        for k, p in itertools.product((2, 3, 4, 5), ("0", "1", "2", "-1"))
    }
    assert {len(set(scores)) for scores in different} == {1, 2, 3}
    save_file(arrays, str(FOLDER / "generation.safetensors"))
    text = json.dumps({"size": SIZE, "cases": listed}, indent=1)
    (FOLDER / "generation.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
