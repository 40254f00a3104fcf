"""Write textgenrnn.safetensors and textgenrnn_published.safetensors: the network by PyTorch.

    python -m pip install torch h5py
    python tests/golden/make_textgenrnn.py                  tiny networks in both layouts of Keras
    python tests/golden/make_textgenrnn.py build/weights    and the published weights

The forward pass follows the package's model.py and AttentionWeightedAverage.py line by line, with its
epsilon, in float64.  A CuDNN layer's file holds what torch.nn.LSTM is given, byte for byte: for each
gate the matrix (H, C), row by row, then the matrices (H, H), then both biases.  (So Keras turns them
in _convert_rnn_weights of keras/engine/saving.py.)  Texts are written with a loop of our own: the
largest logit, or the first character whose cumulative probability exceeds a number that is stored.
"""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

FOLDER = Path(__file__).parent
SEED = 20241101
V, C, H, WINDOW = 11, 3, 5, 6
PROMPTS = ["", "The ", "Breaking News: 7 people", "x" * 45, "I am a big fan, it’s called"]
EPSILON = 1e-7  # K.epsilon()


def torch_lstm(kernel, recurrent, bias):
    """torch.nn.LSTM with the weights of a Keras layer; three arrays of its file."""
    hidden, inputs = len(recurrent), len(kernel)
    layer = nn.LSTM(inputs, hidden, batch_first=True).double()
    if bias.size == 8 * hidden:
        gates = [np.hsplit(a, 4) for a in (kernel, recurrent)]
        w_ih, w_hh = (
            np.concatenate([gate.ravel() for gate in parts]).reshape(4 * hidden, -1)
            for parts in gates
        )
        b_ih, b_hh = bias[: 4 * hidden], bias[4 * hidden :]
    else:
        w_ih, w_hh, b_ih, b_hh = kernel.T, recurrent.T, bias, np.zeros_like(bias)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    for name, array in zip(names, (w_ih, w_hh, b_ih, b_hh), strict=True):
        getattr(layer, name).data = torch.tensor(np.ascontiguousarray(array)).double()
    return layer


class Network:
    """Logits of the next character for windows (N, W) of ids."""

    def __init__(self, arrays):
        number = {name: torch.tensor(np.asarray(a)).double() for name, a in arrays.items()}
        self.embedding = number["embedding/embedding/embeddings:0"]
        self.W = number["attention/attention/attention_W:0"]
        self.kernel, self.bias = number["output/output/kernel:0"], number["output/output/bias:0"]
        self.layers = []
        while f"rnn_{len(self.layers) + 1}" in {name.split("/")[0] for name in arrays}:
            group = f"rnn_{len(self.layers) + 1}"
            parts = [
                arrays[f"{group}/{group}/{n}:0"] for n in ("kernel", "recurrent_kernel", "bias")
            ]
            self.layers.append(torch_lstm(*map(np.asarray, parts)))

    @torch.no_grad()
    def __call__(self, windows):
        x = self.embedding[torch.tensor(windows)]
        outputs = [x]
        for layer in self.layers:
            outputs.append(layer(outputs[-1])[0])
        x = torch.cat(outputs, dim=-1)
        logits = (x @ self.W)[..., 0]
        weights = torch.exp(logits - logits.max(dim=-1, keepdim=True).values)
        weights = weights / (weights.sum(dim=1, keepdim=True) + EPSILON)
        return ((x * weights[..., None]).sum(dim=1) @ self.kernel + self.bias).numpy()


def windows_of(ids, width):
    """The last ids at each position of one text, with zeros in front: (T, width)."""
    rows = []
    for t in range(1, len(ids) + 1):
        seen = ids[max(t - width, 0) : t]
        rows.append([0] * (width - len(seen)) + list(seen))
    return np.array(rows)


def tiny_arrays(rng, cudnn):
    shapes = {"embedding/embedding/embeddings:0": (V, C)}
    for layer, width in (("rnn_1", C), ("rnn_2", H)):
        shapes[f"{layer}/{layer}/kernel:0"] = (width, 4 * H)
        shapes[f"{layer}/{layer}/recurrent_kernel:0"] = (H, 4 * H)
        shapes[f"{layer}/{layer}/bias:0"] = ((8 if cudnn else 4) * H,)
    shapes["attention/attention/attention_W:0"] = (C + 2 * H, 1)
    shapes["output/output/kernel:0"] = (C + 2 * H, V)
    shapes["output/output/bias:0"] = (V,)
    return {name: rng.normal(0, 0.7, shape).astype(np.float32) for name, shape in shapes.items()}


def tiny():
    rng, out = np.random.default_rng(SEED), {}
    for layout in ("cudnn", "keras"):
        arrays = tiny_arrays(rng, layout == "cudnn")
        ids = rng.integers(1, V, 9)
        out |= {f"{layout}.file.{name}": array for name, array in arrays.items()}
        out[f"{layout}.ids"] = ids
        out[f"{layout}.logits"] = Network(arrays)(windows_of(ids, WINDOW)).astype(np.float32)
    save_file(out, FOLDER / "textgenrnn.safetensors")


def write(network, ids, numbers=None, temperature=1.0, steps=60):
    """Continue a text; numbers within 0 … 1 decide, or else the largest logit."""
    ids = list(ids)
    for step in range(steps):
        logits = network(windows_of(ids, 40)[-1:])[0]
        if numbers is None:
            ids.append(int(logits.argmax()))
        else:
            p = torch.softmax(torch.tensor(logits) / temperature, dim=-1)
            ids.append(int((torch.cumsum(p, dim=0) <= numbers[step]).sum()))
    return np.array(ids)


def published(weights):
    folder = weights / "textgenrnn-2.0.0" / "textgenrnn"
    vocabulary = json.loads((folder / "textgenrnn_vocab.json").read_text(encoding="utf-8"))
    arrays = {}
    with h5py.File(folder / "textgenrnn_weights.hdf5") as file:
        file.visititems(
            lambda name, item: arrays.update({name: item[...]} if hasattr(item, "shape") else {})
        )
    network, out = Network(arrays), {}
    for i, prompt in enumerate(PROMPTS):
        ids = [vocabulary["<s>"], *(vocabulary[c] for c in prompt)]
        out[f"prompt_{i}.ids"] = np.array(ids)
        out[f"prompt_{i}.logits"] = network(windows_of(ids, 40))[-3:].astype(np.float32)
    start = [vocabulary["<s>"]]
    out["greedy.ids"] = write(network, start)
    numbers = np.random.default_rng(SEED).random(60)  # as our rng gives them, one for each token
    for temperature in (0.2, 0.5):
        name = f"temperature_{temperature}".replace(".", "_")
        out[f"{name}.ids"] = write(network, start, numbers, temperature)
    shown = {i: c for c, i in vocabulary.items()}
    for name, ids in out.items():
        if name.endswith("ids"):
            print(name, "".join(shown[i] for i in ids.tolist()))
    save_file(out, FOLDER / "textgenrnn_published.safetensors")


if __name__ == "__main__":
    tiny()
    if len(sys.argv) > 1:
        published(Path(sys.argv[1]))
    print(f"written with torch {torch.__version__}, h5py {h5py.__version__}")
