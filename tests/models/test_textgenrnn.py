"""textgenrnn: both layouts of Keras as PyTorch computes them, and files that are not what they say."""

import importlib
import json

import h5py
import numpy as np
import pytest

from minillm.cli import main
from minillm.models import TextGenRNN, TextGenRNNConfig, TextGenRNNTokenizer
from minillm.models.textgenrnn import HDF5_LINE, VOCABULARY_FILE, WEIGHTS_FILE, keras_lstm

from ..device.conftest import open_device
from .golden import load

WINDOW = 6
GOLDEN = load("textgenrnn")
SIZES = {"vocab_size": 7, "embedding_dim": 3, "hidden_size": 2, "context_length": 4}


def arrays_of(layout):
    return {k.removeprefix("file."): a for k, a in GOLDEN[layout].items() if k.startswith("file.")}


def write_hdf5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def small(**options):
    return TextGenRNN(**{**SIZES, **options}, rng=np.random.default_rng(0))


@pytest.mark.parametrize("layout", ["cudnn", "keras"])
def test_logits_at_every_position_agree_with_pytorch(layout, tmp_path):
    path = write_hdf5(tmp_path / "w.hdf5", arrays_of(layout))
    model = TextGenRNN.from_hdf5(path, context_length=WINDOW)
    logits = model(GOLDEN[layout]["ids"]).logits.data[0]
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, GOLDEN[layout]["logits"], rtol=0, atol=1e-5)


def test_the_sizes_are_those_of_the_file(tmp_path):
    path = write_hdf5(tmp_path / "w.hdf5", arrays_of("cudnn"))
    config = TextGenRNN.from_hdf5(path, start_token_id=4).config
    assert config == TextGenRNNConfig(11, 3, 5, 2, 40, bos_token_id=4, eos_token_id=4)


def test_the_default_sizes_have_the_published_number_of_weights():
    lstm = 4 * 128 * (100 + 128 + 1) + 4 * 128 * (128 + 128 + 1)
    assert TextGenRNN().num_parameters() == 465 * 100 + lstm + 356 + 356 * 465 + 465


def test_logits_to_keep_are_the_last_ones():
    ids = np.array([[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]])
    whole = small()(ids).logits.data
    assert whole.shape == (2, 6, 7)
    np.testing.assert_allclose(small()(ids, logits_to_keep=2).logits.data, whole[:, -2:], atol=1e-6)


def test_only_the_window_is_seen_and_padding_counts_as_a_character():
    model = small()
    last = model([[5, 1, 2, 3, 4]]).logits.data[0, -1]
    np.testing.assert_array_equal(model([[6, 1, 2, 3, 4]]).logits.data[0, -1], last)
    alone = model([[3]]).logits.data[0, -1]
    np.testing.assert_allclose(model([[0, 0, 0, 3]]).logits.data[0, -1], alone, atol=1e-6)


def test_every_gradient_is_right():
    model = TextGenRNN(**SIZES, dtype=np.float64, rng=np.random.default_rng(0))
    ids = np.array([[1, 2, 3, 2, 5]])

    def loss():
        return model(ids, labels=ids).loss

    loss().backward()
    rng = np.random.default_rng(1)
    for name, p in model.named_parameters():
        direction, start, h = rng.standard_normal(p.shape), p.data.copy(), 1e-6
        values = []
        for sign in (1, -1):
            p.data[...] = start + sign * h * direction
            values.append(loss().item())
        p.data[...] = start
        slope = (values[0] - values[1]) / (2 * h)
        assert (p.grad * direction).sum() == pytest.approx(slope, rel=1e-6, abs=1e-9), name


def test_the_loss_is_the_mean_cross_entropy_of_what_follows():
    ids = np.array([[1, 2, 3]])
    output = small()(ids, labels=ids)
    z = output.logits.data[0].astype(np.float64)
    surprise = np.log(np.exp(z).sum(axis=1)) - [z[0, 2], z[1, 3], np.inf]
    assert output.loss.item() == pytest.approx(surprise[:2].mean(), rel=1e-6)
    assert output.num_targets == 2


def test_writing_ends_with_the_end_token_and_is_filled_with_padding():
    model = small(eos_token_id=5)
    model.output.weight.data[...] = 0
    model.output.bias.data[...] = [0, 0, 0, 0, 0, 9, 0]
    assert model.generate([[1, 2]], max_new_tokens=4).tolist() == [[1, 2, 5]]


def test_on_the_stand_in_for_a_gpu_the_bits_are_those_of_the_host():
    ids = np.array([[1, 2, 3, 6]])
    results = []
    for device in ("cpu", open_device("strict")):
        output = small().to(device)(ids, labels=ids)
        results += [output.loss.item(), output.logits.numpy()]
    assert results[0] == results[2]
    np.testing.assert_array_equal(results[1], results[3])


def test_saved_and_read_again_it_needs_no_hdf5(tmp_path):
    model = small()
    model.save_pretrained(tmp_path)
    again = TextGenRNN.from_pretrained(tmp_path)
    assert again.config == model.config
    ids = [[1, 2, 3]]
    np.testing.assert_array_equal(again(ids).logits.data, model(ids).logits.data)


@pytest.fixture
def folder(tmp_path):
    """A folder as the package has it, with ten characters."""
    write_hdf5(tmp_path / WEIGHTS_FILE, arrays_of("cudnn"))
    vocabulary = {c: i for i, c in enumerate(["<s>", *"abcdefghi"], 1)}
    (tmp_path / VOCABULARY_FILE).write_text(json.dumps(vocabulary), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--prompt", "fade"], ["--num-beams", "2"]])
def test_the_command_generate_reads_the_folder(folder, capsys, more):
    assert main(["generate", "--model", str(folder), "--tokens", "5", *more]) == 0
    out = capsys.readouterr().out.removesuffix("\n")
    assert out.startswith("fade" if "fade" in more else "")
    assert len(out) <= 5 + 4
    assert set(out) <= set("abcdefghi")


def test_attention_of_heads_is_refused_in_one_line(folder, capsys):
    command = ["generate", "--model", str(folder), "--attention", str(folder / "a.png")]
    assert main(command) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "a TextGenRNN has none" in line


# ---------------------------------------------------------------------------------- bad input


def test_without_h5py_there_is_the_line_that_installs_it(tmp_path, monkeypatch):
    path = write_hdf5(tmp_path / "w.hdf5", {})
    real = importlib.import_module

    def without(name, *rest):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(RuntimeError, match="needs one more library") as caught:
        TextGenRNN.from_hdf5(path)
    assert HDF5_LINE in str(caught.value)


def test_a_missing_file_and_a_file_of_another_kind_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.hdf5"):
        TextGenRNN.from_hdf5(tmp_path / "nowhere.hdf5")
    (tmp_path / "text.hdf5").write_text("not a container", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.hdf5 is not a complete HDF5 file"):
        TextGenRNN.from_hdf5(tmp_path / "text.hdf5")


BROKEN = {
    "no layer": ("rnn_1/", None, "lacks the array rnn_1.kernel"),
    "no output": ("output/", None, "lacks the array output.kernel"),
    "bias": ("rnn_2/rnn_2/bias:0", np.zeros(3), r"bias \(4H,\) or \(8H,\), found .* and \(3,\)"),
    "recurrent": ("rnn_1/rnn_1/recurrent_kernel:0", np.zeros((4, 20)), r"found .*\(4, 20\)"),
    "embedding": ("embedding/embedding/embeddings:0", np.zeros(5), r"\(5,\) must be \(V, C\)"),
    "attention": ("attention/attention/attention_W:0", np.zeros((9, 1)), "attention.weight"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_does_not_fit_is_refused_by_name(case, tmp_path):
    begin, other, message = BROKEN[case]
    arrays = arrays_of("cudnn")
    arrays = {
        name: other if name.startswith(begin) else a
        for name, a in arrays.items()
        if other is not None or not name.startswith(begin)
    }
    with pytest.raises(ValueError, match=message) as caught:
        TextGenRNN.from_hdf5(write_hdf5(tmp_path / "w.hdf5", arrays))
    assert "w.hdf5" in str(caught.value)


def test_two_directions_are_refused(tmp_path):
    arrays = arrays_of("keras")
    for way in ("forward", "backward"):
        arrays[f"rnn_1/rnn_1/{way}_lstm/kernel:0"] = np.zeros((3, 20), dtype=np.float32)
    with pytest.raises(ValueError, match="two directions is not supported"):
        TextGenRNN.from_hdf5(write_hdf5(tmp_path / "w.hdf5", arrays))


def test_the_layout_of_keras_stays_as_it_is():
    kernel, recurrent, bias = np.ones((3, 8)), np.ones((2, 8)), np.ones(8)
    found = keras_lstm(kernel, recurrent, bias)
    assert [id(array) for array in found] == [id(kernel), id(recurrent), id(bias)]


# --------------------------------------------------------------------------------- vocabulary


def test_characters_become_ids_and_ids_characters():
    tokenizer = TextGenRNNTokenizer({"b": 2, "<s>": 3, "字": 1})
    assert tokenizer.encode("b字b") == [3, 2, 1, 2]
    assert tokenizer.decode(np.array([0, 0, 3, 2, 1, 3])) == "b字"
    assert len(tokenizer) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"<s>": 1, "a": 3}', "1, 2, 3 …"),
        ('{"<s>": 1, "a": 1}', "1, 2, 3 …"),
        ('{"a": 1}', "lacks '<s>'"),
        ('["a"]', "must hold an object"),
        ('{"a": "b"}', "must hold an object"),
        ("{", "not a JSON file"),
    ],
)
def test_a_broken_vocabulary_is_named(text, message, tmp_path):
    path = tmp_path / "vocab.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        TextGenRNNTokenizer.from_file(path)
    assert "vocab.json" in str(caught.value)


def test_unknown_characters_and_ids_are_named():
    tokenizer = TextGenRNNTokenizer({"<s>": 1, "a": 2})
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\) at position 2 .* 1 characters"):
        tokenizer.encode("aaé")
    with pytest.raises(ValueError, match="id 7 is outside the vocabulary 0 … 2"):
        tokenizer.decode([2, 7])
