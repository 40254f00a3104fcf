"""Published weights run here as they do in Transformers: make test-weights."""

import argparse
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from minillm import no_grad
from minillm.cli.chat import Chat
from minillm.cli.weights import FOLDER, PUBLISHED
from minillm.models import BertModel, LlamaForCausalLM
from minillm.tokenizers import BertTokenizer

from ..models.golden import GOLDEN, load

ROOT = GOLDEN.parents[1]
pytestmark = pytest.mark.weights
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


def location(name):
    path = PUBLISHED[name].location(ROOT / FOLDER)
    if not path.exists():
        pytest.skip(f"needs {PUBLISHED[name].megabytes} MB of published weights: make test-weights")
    return path


def python(*arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ------------------------------------------------------------------------ MiniLM, a BERT encoder


@pytest.fixture(scope="module")
def minilm():
    folder = location("minilm")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is missing
        return BertModel.from_pretrained(folder), BertTokenizer.from_pretrained(folder)


def test_sentence_embeddings_agree_with_transformers(minilm):
    model, tokenizer = minilm
    golden = load("published")["minilm"]
    batch = tokenizer(SENTENCES, padding=True)
    np.testing.assert_array_equal(batch["input_ids"], golden["input_ids"])
    np.testing.assert_array_equal(batch["attention_mask"], golden["attention_mask"])
    with no_grad():
        found = model.sentence_embeddings(**batch).data
    np.testing.assert_allclose(found, golden["embeddings"], rtol=0, atol=1e-5)


def test_a_paraphrase_is_nearer_than_another_subject(minilm):
    model, tokenizer = minilm
    with no_grad():
        vectors = model.sentence_embeddings(**tokenizer(SENTENCES[:3], padding=True)).data
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.4
    assert cosines[0, 2] < 0.2


def test_the_command_embed_compares_sentences():
    location("minilm")
    header, first, second = python("-m", "minillm", "embed", *SENTENCES[:2]).splitlines()
    assert header.split() == ["1", "2"]
    assert first.split()[:2] == ["1", "1.000"]
    assert first.split()[2] == second.split()[1]
    assert 0.4 < float(first.split()[2]) < 0.6


# ---------------------------------------------------------------------------- SmolLM2, a Llama


@pytest.fixture(scope="module")
def smollm2():
    pytest.importorskip("gguf", reason="needs the library gguf: make test-weights")
    from minillm.models.gguf import GGUFFile

    file = GGUFFile(location("smollm2"))
    return LlamaForCausalLM.from_pretrained(file), file.tokenizer()


@pytest.mark.parametrize("number", range(len(PROMPTS)))
def test_logits_agree_with_transformers(smollm2, number):
    model, tokenizer = smollm2
    golden = load("published")["smollm2"]
    ids = golden[f"{number}.ids"]
    assert tokenizer.encode(PROMPTS[number]) == ids[0].tolist()
    with no_grad():
        logits = model(ids).logits.data[0]
    np.testing.assert_allclose(
        logits[-3:, golden["places"]], golden[f"{number}.logits"], rtol=0, atol=1e-4
    )
    np.testing.assert_array_equal(logits.argmax(axis=-1), golden[f"{number}.best"])


def test_the_capital_of_france_is_paris(smollm2):
    model, tokenizer = smollm2
    with no_grad():
        logits = model([tokenizer.encode(PROMPTS[0])]).logits.data[0, -1]
    assert tokenizer.decode([logits.argmax()]) == " Paris"
    assert logits.max() == pytest.approx(17.37, abs=0.01)


def test_a_cache_changes_nothing(smollm2):
    model, tokenizer = smollm2
    ids = np.array([tokenizer.encode(PROMPTS[3])])
    with no_grad():
        whole = model(ids).logits.data
        cache = model.new_cache(1, ids.shape[1])
        steps = [model(ids[:, t : t + 1], cache=cache).logits.data for t in range(ids.shape[1])]
    np.testing.assert_allclose(np.concatenate(steps, axis=1), whole, rtol=0, atol=1e-4)


def test_every_digit_is_a_token_of_its_own(smollm2):
    _, tokenizer = smollm2
    assert tokenizer.tokenize("x  2025") == ["x", "ĠĠ", "2", "0", "2", "5"]


def test_the_command_chat_writes_the_prompt_of_the_chat_template(smollm2, monkeypatch):
    """As apply_chat_template writes it in Transformers."""
    model, tokenizer = smollm2
    seen = []
    monkeypatch.setattr(LlamaForCausalLM, "generate", lambda self, ids, **_: seen.append(ids[0]))
    given = argparse.Namespace(system=None, seed=0, tokens=400, greedy=True)
    Chat(model, tokenizer, given).answer("Who are you?")
    assert tokenizer.decode(seen[0]) == (
        "<|im_start|>system\n"
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_command_chat_answers():
    location("smollm2")
    question = "What is the capital of France?"
    out = python("-m", "minillm", "chat", "--greedy", "--prompt", question)
    assert out.strip() == "The capital of France is Paris."


MEASURE = r"""
import re, sys, time
from minillm.models import LlamaForCausalLM
start = time.perf_counter()
model = LlamaForCausalLM.from_pretrained(sys.argv[1])
seconds = time.perf_counter() - start
status = open("/proc/self/status").read()
peak = 1024 * int(re.search("VmHWM: *([0-9]+)", status.replace("\t", " "))[1])
print(seconds, peak / (4 * model.num_parameters()))
"""


def test_loading_is_quick_and_needs_little_more_than_the_weights():
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc, which is Linux")
    seconds, ratio = map(float, python("-c", MEASURE, location("smollm2")).split())
    assert seconds < 10
    assert 1 < ratio <= 1.6
