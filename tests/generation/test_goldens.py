"""Texts that Transformers generated with the same weights: tests/golden/make_generation.py."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from minillm.autograd import no_grad
from minillm.generation import ModelSteps, beam_search, process_logits
from minillm.generation.sampling import softmax
from minillm.models import GPT2Config, GPT2LMHeadModel

GOLDEN = Path(__file__).parent.parent / "golden"
LIST = json.loads((GOLDEN / "generation.json").read_text(encoding="utf-8"))
ARRAYS = load_file(GOLDEN / "generation.safetensors")
CASES = {case["name"]: case["options"] for case in LIST["cases"]}
DRAWN = [name for name, options in CASES.items() if options.get("do_sample")]
SEARCHED = [name for name in CASES if name not in DRAWN]
BEAMS = [name for name in SEARCHED if "num_beams" in CASES[name]]


@pytest.fixture(scope="module")
def models():
    """The model in both precisions, by dtype."""
    weights = {k.removeprefix("weight."): v for k, v in ARRAYS.items() if k.startswith("weight.")}
    result = {}
    for dtype in ("float32", "float64"):
        model = GPT2LMHeadModel(GPT2Config(**LIST["size"]), dtype=dtype)
        model.load_state_dict({k: v.astype(dtype) for k, v in weights.items()})
        result[dtype] = model.eval()
    return result


def ask(name, models):
    """(model, prompt, mask, the other options) of a case."""
    options = dict(CASES[name])
    model = models[options.pop("dtype", "float64")]
    which = options.pop("prompt", "plain")
    mask = ARRAYS["prompt.mask"] if which == "padded" else None
    return model, ARRAYS[f"prompt.{which}"], mask, options


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("name", SEARCHED)
def test_the_text_is_that_of_transformers(name, use_cache, models):
    model, prompt, mask, options = ask(name, models)
    found = model.generate(prompt, attention_mask=mask, use_cache=use_cache, **options)
    np.testing.assert_array_equal(found, ARRAYS[f"{name}.sequences"])


@pytest.mark.parametrize("name", BEAMS)
def test_the_scores_of_beams_are_those_of_transformers(name, models):
    model, prompt, mask, options = ask(name, models)
    seen = prompt if mask is None else np.where(mask, prompt, -1)
    total = prompt.shape[1] + options["max_new_tokens"]
    penalty = options.get("repetition_penalty", 1.0)
    found = beam_search(
        ModelSteps(model, prompt, None if mask is None else mask.astype(bool), total=total),
        seen,
        num_beams=options["num_beams"],
        max_length=total,
        eos_token_ids=np.atleast_1d(options.get("eos_token_id", [])).astype(int),
        length_penalty=options.get("length_penalty", 1.0),
        early_stopping=options.get("early_stopping", False),
        process=lambda z, ids: process_logits(z, ids, repetition_penalty=penalty),
    )
    best = found.scores[:, : options.get("num_return_sequences", 1)].reshape(-1)
    # Transformers adds up in float32, whatever the model's dtype
    precision = 1e-5 if CASES[name].get("dtype") == "float32" else 1e-6
    np.testing.assert_allclose(best, ARRAYS[f"{name}.scores"], rtol=precision)


@pytest.mark.parametrize("name", DRAWN)
def test_the_distribution_to_draw_from_is_that_of_transformers(name, models):
    model, prompt, mask, options = ask(name, models)
    text = ARRAYS[f"{name}.sequences"]
    T, number = prompt.shape[1], options["max_new_tokens"]
    choices = ("temperature", "top_k", "top_p", "repetition_penalty")
    for i in range(number):
        ids = text[:, : T + i]
        visible = np.ones_like(ids)
        if mask is not None:
            visible[:, :T] = mask
        with no_grad():
            logits = model(ids, attention_mask=visible).logits.data[:, -1]
        seen = np.where(visible, ids, -1)
        found = process_logits(logits, seen, **{key: options[key] for key in choices})
        expected = ARRAYS[f"{name}.processed"][i]
        np.testing.assert_array_equal(np.isneginf(found), np.isneginf(expected))
        np.testing.assert_allclose(softmax(found), softmax(expected), rtol=1e-5, atol=1e-6)


def test_there_are_enough_cases():
    assert len(SEARCHED) >= 50
    assert len(DRAWN) == 24
    sequences = {tuple(row) for name in SEARCHED for row in ARRAYS[f"{name}.sequences"]}
    assert len(sequences) >= 50
