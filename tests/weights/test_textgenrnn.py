"""The published textgenrnn writes here what it writes in PyTorch: make test-weights."""

import numpy as np
import pytest

from minillm import no_grad
from minillm.cli import main
from minillm.models import TextGenRNN, TextGenRNNTokenizer
from minillm.models.textgenrnn import VOCABULARY_FILE, WEIGHTS_FILE

from ..models.golden import load
from .test_published import location

pytestmark = pytest.mark.weights
GOLDEN = load("textgenrnn_published")
PROMPTS = ["", "The ", "Breaking News: 7 people", "x" * 45, "I am a big fan, it’s called"]


@pytest.fixture(scope="module")
def textgenrnn():
    pytest.importorskip("h5py", reason="needs the library h5py: make test-weights")
    folder = location("textgenrnn")
    tokenizer = TextGenRNNTokenizer.from_file(folder / VOCABULARY_FILE)
    start = tokenizer.start_token_id
    return TextGenRNN.from_hdf5(folder / WEIGHTS_FILE, start_token_id=start), tokenizer


@pytest.mark.parametrize("number", range(len(PROMPTS)))
def test_logits_agree_with_pytorch(textgenrnn, number):
    model, tokenizer = textgenrnn
    golden = GOLDEN[f"prompt_{number}"]
    ids = tokenizer.encode(PROMPTS[number])
    assert ids == golden["ids"].tolist()
    exact = TextGenRNN(model.config, dtype=np.float64)
    exact.load_state_dict({k: v.astype(np.float64) for k, v in model.state_dict().items()})
    with no_grad():
        logits = model([ids], logits_to_keep=3).logits.data[0]
        double = exact([ids], logits_to_keep=3).logits.data[0]
    # the package adds 1e-7 to the sum of the attention weights, which moves all logits by that share
    np.testing.assert_allclose(double, golden["logits"], rtol=3e-7, atol=1e-5)
    assert logits.dtype == np.float32  # whose numbers are 8e-6 apart where logits are -70
    np.testing.assert_allclose(logits, golden["logits"], rtol=0, atol=1e-4)


def test_the_most_probable_text_is_that_of_pytorch(textgenrnn):
    model, tokenizer = textgenrnn
    ids = model.generate([tokenizer.encode("")], max_new_tokens=60)[0]
    assert ids.tolist() == GOLDEN["greedy"]["ids"].tolist()
    text = "[Specific] Can someone please remove the state of the state "
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize(
    ("temperature", "text"),
    [
        (0.2, "The state of the same story of the same things and a bad sta"),
        (0.5, "The written and flying the car in my upcoming challenge with"),
    ],
)
def test_texts_drawn_with_the_same_random_numbers_are_those_of_pytorch(
    textgenrnn, temperature, text
):
    model, tokenizer = textgenrnn
    ids = model.generate(
        [tokenizer.encode("")], max_new_tokens=60, do_sample=True, temperature=temperature,
        rng=np.random.default_rng(20241101),
    )[0]  # fmt: skip
    golden = GOLDEN[f"temperature_{temperature}".replace(".", "_")]["ids"]
    assert ids.tolist() == golden.tolist()
    assert tokenizer.decode(ids) == text


def test_the_command_generate_needs_no_prompt(textgenrnn, capsys):
    command = ["generate", "--model", str(location("textgenrnn")), "--greedy", "--tokens", "60"]
    assert main(command) == 0
    text = "[Specific] Can someone please remove the state of the state \n"
    assert capsys.readouterr().out == text


def test_the_command_generate_writes_with_it(textgenrnn, capsys):
    command = ["generate", "--model", str(location("textgenrnn")), "--greedy", "--prompt", "The "]
    assert main([*command, "--tokens", "20"]) == 0
    assert capsys.readouterr().out == "The state of the state o\n"
