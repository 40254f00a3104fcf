"""textgenrnn (Max Woolf 2018, MIT): an LSTM that writes character by character, trained by others.

Its network, for a window of the last W = 40 characters, with 0 in front of shorter texts:

    x_t   = embedding[id_t]                                                (C,)
    h_t   = LSTM 1 (x),   k_t = LSTM 2 (h)                                 (H,) each
    u_t   = [x_t | h_t | k_t]              every layer is read             (C + 2H,)
    p     = softmax over t of u_t @ attention                              (W,)
    out   = (sum over t of p_t u_t) @ weight + bias                        logits of the next character

The weighted mean is attention without a query: one vector, learned once, says which positions matter
(in the package's words AttentionWeightedAverage).  Padding is read like a character of its own, and
it is attended to, as it was in training.

The weights lie in an HDF5 file of Keras, in one of two layouts that the length of the bias tells
apart.  In both the gates are i | f | c | o, and c is our g.

    Keras    bias (4H,)      kernel (C, 4H), recurrent kernel (H, 4H): as ours
    CuDNN    bias (8H,)      two biases, which are added.  A gate's block of C H numbers is the matrix
                             (H, C), row by row, in an array that only claims to be (C, H)

All gates use the logistic sigmoid (CuDNN knows no other; the package asks Keras for the same), not
the piecewise linear hard_sigmoid that older Keras layers have by default.
"""

import importlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import Tensor, unwrap
from ..backend import default_generator, to_numpy
from ..files import read_json
from ..generation import GenerationMixin
from ..nn import LSTM, Embedding, Linear, Module, ModuleList
from .inputs import as_ids
from .output import ModelOutput
from .pretrained import PretrainedMixin
from .sequences import (
    config_of,
    next_token_loss,
    require_fields,
    require_logits_to_keep,
    require_tokens,
)

HDF5_LINE = "python -m pip install h5py"
WEIGHTS_FILE, VOCABULARY_FILE = "textgenrnn_weights.hdf5", "textgenrnn_vocab.json"
START = "<s>"  # stands before every text, and behind it
PADDING = 0  # the id in front of short texts; no character has it


@dataclass
class TextGenRNNConfig:
    """The shape of the network; the defaults are those of the published weights.

    >>> TextGenRNNConfig(num_layers=1).hidden_size
    128
    """

    vocab_size: int = 465  # V, padding included
    embedding_dim: int = 100  # C
    hidden_size: int = 128  # H, of each layer
    num_layers: int = 2
    context_length: int = 40  # W, how many characters are looked at
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = PADDING
    model_type: str = "textgenrnn"

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "embedding_dim", "hidden_size", "num_layers", "context_length")
        require_fields(self, sizes, ())
        require_tokens(self, self.vocab_size, "bos_token_id", "eos_token_id", "pad_token_id")

    def to_dict(self) -> dict[str, Any]:
        """All fields, for config.json."""
        return asdict(self)


class TextGenRNN(GenerationMixin, PretrainedMixin, Module):
    """Predicts the next character from the last context_length ones.

    TextGenRNN(), TextGenRNN(config) or fields of TextGenRNNConfig by name; with published weights
    TextGenRNN.from_hdf5(file).

    Parameters   embedding (V, C), layers.0 … as in nn.LSTM, attention (C + L·H, 1) without a bias,
                 output (C + L·H, V) with one

    >>> sizes = {"vocab_size": 11, "embedding_dim": 4, "hidden_size": 5, "context_length": 6}
    >>> model = TextGenRNN(**sizes, rng=np.random.default_rng(0))
    >>> ids = np.array([[1, 2, 3]])
    >>> model(ids, labels=ids).logits.shape, model.generate(ids, max_new_tokens=4).shape
    ((1, 3, 11), (1, 7))
    """

    config_class = TextGenRNNConfig
    stored_transposed = ()  # save_pretrained writes the arrays as they are here

    def __init__(
        self,
        config: TextGenRNNConfig | None = None,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
        **options: Any,
    ) -> None:
        self.config = config = config_of("TextGenRNN", TextGenRNNConfig, config, options)
        rng = default_generator(rng)
        C, H = config.embedding_dim, config.hidden_size
        width = C + config.num_layers * H
        self.embedding = Embedding(config.vocab_size, C, dtype=dtype, rng=rng)
        self.layers = ModuleList(
            LSTM(C if number == 0 else H, H, dtype=dtype, rng=rng)
            for number in range(config.num_layers)
        )
        self.attention = Linear(width, 1, bias=False, dtype=dtype, rng=rng)
        self.output = Linear(width, config.vocab_size, dtype=dtype, rng=rng)

    def forward(
        self, input_ids: Any, labels: Any = None, *, logits_to_keep: int = 0
    ) -> ModelOutput:
        """Logits for the next character at each position, and the loss if labels are given.

        Each position has a window of its own, read from its first character to its last: the logits
        of one position cost as much as those of context_length positions of another LSTM.

        input_ids        (B, T) integers
        labels           (B, T) integers, usually input_ids itself: they are shifted here, so that
                         position t predicts label t + 1; -100 is ignored
        logits_to_keep   compute the logits of so many last positions only; 0 for all

        Shapes   input_ids (B, T) -> logits (B, T, V)
        Raises   ValueError for ids or labels that do not fit
        """
        ids = as_ids("TextGenRNN", "input_ids", input_ids)
        require_logits_to_keep("TextGenRNN", logits_to_keep, labels)
        windows = self.windows(to_numpy(unwrap(ids)))[:, -logits_to_keep:]  # (B, T, W)
        B, T, W = windows.shape
        logits = self.read(windows.reshape(B * T, W)).reshape(B, T, self.config.vocab_size)
        loss = num_targets = None
        if labels is not None:
            loss, num_targets = next_token_loss("TextGenRNN", logits, ids, labels)
        return ModelOutput(loss, logits, num_targets=num_targets)

    def windows(self, ids: np.ndarray) -> np.ndarray:
        """What is seen at each position: the last W ids, with padding in front.

        Shapes   ids (B, T) -> (B, T, W)

        >>> TextGenRNN(vocab_size=9, context_length=3).windows(np.array([[5, 6, 7, 8]]))[0].tolist()
        [[0, 0, 5], [0, 5, 6], [5, 6, 7], [6, 7, 8]]
        """
        W = self.config.context_length
        padded = np.pad(ids, ((0, 0), (W - 1, 0)), constant_values=PADDING)
        return np.lib.stride_tricks.sliding_window_view(padded, W, axis=1)

    def read(self, windows: np.ndarray) -> Tensor:
        """Logits of the character that follows each window.

        Shapes   windows (N, W) -> (N, V)
        """
        x = self.embedding(windows)  # (N, W, C)
        read = [x]
        for layer in self.layers:
            x, _ = layer(x)  # (N, W, H)
            read.append(x)
        u = F.concatenate(*read, axis=-1)  # (N, W, C + L H)
        p = F.softmax(self.attention(u), axis=1)  # (N, W, 1)
        return self.output((u * p).sum(axis=1))  # (N, V)

    @classmethod
    def from_hdf5(
        cls, path: "str | Path", *, context_length: int = 40, start_token_id: int | None = None
    ) -> "TextGenRNN":
        """The model whose weights Keras wrote; all sizes are those of its arrays.

        context_length   the package's max_length, which the file does not tell
        start_token_id   the id of <s>, where writing ends: TextGenRNNTokenizer has it

        Raises   FileNotFoundError; RuntimeError with the line to install if h5py is missing;
                 ValueError if the file is not HDF5, or its arrays are not those of this network
        """
        arrays = read_keras(path)
        layers = 0
        while f"rnn_{layers + 1}.kernel" in arrays:
            layers += 1
        try:
            state = _state(arrays, layers)
        except KeyError as error:
            raise ValueError(
                f"{path} lacks the array {error.args[0]} of a textgenrnn; it has "
                f"{', '.join(arrays) or 'none'}"
            ) from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        V, C = state["embedding.weight"].shape
        model = cls(
            vocab_size=V, embedding_dim=C, num_layers=layers, context_length=context_length,
            hidden_size=len(arrays["rnn_1.recurrent_kernel"]), bos_token_id=start_token_id,
            eos_token_id=start_token_id,
        )  # fmt: skip
        try:
            model.load_state_dict(state)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None
        model.eval()
        return model


def read_keras(path: "str | Path") -> dict[str, np.ndarray]:
    """The arrays of an HDF5 file of Keras as layer.weight: "rnn_1.kernel", "output.bias".

    Raises   FileNotFoundError; RuntimeError with the line to install if h5py is missing; ValueError
             if the file is not HDF5, or two arrays of a layer have one name
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise RuntimeError(f"reading {path} needs one more library: {HDF5_LINE}") from None
    found: dict[str, np.ndarray] = {}

    def keep(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        parts = name.removesuffix(":0").split("/")
        short = f"{parts[0]}.{parts[-1]}"
        if short in found:
            raise ValueError(
                f"{path} holds two arrays {short}: an LSTM with two directions is not supported"
            )
        found[short] = np.asarray(item, dtype=np.float32)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(keep)
    except OSError as error:
        raise ValueError(f"{path} is not a complete HDF5 file: {error}") from None
    return found


def _state(arrays: dict[str, np.ndarray], layers: int) -> dict[str, np.ndarray]:
    """The same arrays under the names of our modules."""
    state = {
        "embedding.weight": arrays["embedding.embeddings"],
        "attention.weight": arrays["attention.attention_W"],
        "output.weight": arrays["output.kernel"],
        "output.bias": arrays["output.bias"],
    }
    for number in range(max(layers, 1)):
        parts = [
            arrays[f"rnn_{number + 1}.{name}"] for name in ("kernel", "recurrent_kernel", "bias")
        ]
        for name, array in zip(("weight_x", "weight_h", "bias"), keras_lstm(*parts), strict=True):
            state[f"layers.{number}.layers.0.left_to_right.{name}"] = array
    if state["embedding.weight"].ndim != 2:
        raise ValueError(f"embedding {state['embedding.weight'].shape} must be (V, C)")
    return state


def keras_lstm(
    kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(weight_x, weight_h, bias) of our LSTM from either layout of Keras.

    Shapes   kernel (C, 4H); recurrent (H, 4H); bias (4H,), or (8H,) for the layout of CuDNN
             -> (C, 4H), (H, 4H), (4H,)
    Raises   ValueError that names the shapes if they do not fit

    >>> kernel, recurrent = np.arange(8.0).reshape(2, 4), np.zeros((1, 4))
    >>> keras_lstm(kernel, recurrent, np.ones(8))[2]  # two biases: the layout of CuDNN
    array([2., 2., 2., 2.])
    """
    H = len(recurrent)
    fits = kernel.ndim == 2 and kernel.shape[1:] == (4 * H,) and recurrent.shape == (H, 4 * H)
    if not fits or bias.shape not in ((4 * H,), (8 * H,)):
        raise ValueError(
            f"an LSTM needs kernel (C, 4H), recurrent kernel (H, 4H) and bias (4H,) or (8H,), found "
            f"{kernel.shape}, {recurrent.shape} and {bias.shape}"
        )
    if bias.shape == (4 * H,):
        return kernel, recurrent, bias
    return _from_cudnn(kernel), _from_cudnn(recurrent), bias.reshape(2, 4 * H).sum(axis=0)


def _from_cudnn(weight: np.ndarray) -> np.ndarray:
    """Shapes   (C, 4H) in name, each gate's numbers those of (H, C) -> (C, 4H)."""
    gates = np.split(weight, 4, axis=1)
    return np.hstack([gate.reshape(gate.shape[::-1]).T for gate in gates])


class TextGenRNNTokenizer:
    """One id for each character of the package's vocabulary; every text begins with <s>.

    >>> tokenizer = TextGenRNNTokenizer({"<s>": 1, "a": 2, "b": 3})
    >>> tokenizer.encode("ab"), tokenizer.decode([1, 2, 3, 1])
    ([1, 2, 3], 'ab')
    """

    def __init__(self, vocabulary: dict[str, int]) -> None:
        if sorted(vocabulary.values()) != list(range(1, len(vocabulary) + 1)):
            raise ValueError(
                "TextGenRNNTokenizer: the ids must be 1, 2, 3 …, each of them once; 0 is padding"
            )
        if START not in vocabulary:
            raise ValueError(f"TextGenRNNTokenizer: the vocabulary lacks {START!r}, the start")
        self.vocabulary = vocabulary
        self.start_token_id = vocabulary[START]
        self._texts = {i: "" if c == START else c for c, i in vocabulary.items()} | {PADDING: ""}

    @classmethod
    def from_file(cls, path: "str | Path") -> "TextGenRNNTokenizer":
        """Read a vocabulary: a JSON object, character -> id.

        Raises   FileNotFoundError, or ValueError that names the file
        """
        values = read_json(path)
        if not isinstance(values, dict) or not all(isinstance(i, int) for i in values.values()):
            raise ValueError(f"{path} must hold an object: character -> id")
        try:
            return cls(values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def __len__(self) -> int:
        return len(self._texts)

    def encode(self, text: str) -> list[int]:
        """<s>, then the id of each character.

        Raises   ValueError that names the first character that is not in the vocabulary, and where
        """
        for place, c in enumerate(text):
            if c not in self.vocabulary:
                raise ValueError(
                    f"the character {c!r} (U+{ord(c):04X}) at position {place} is not among the "
                    f"{len(self) - 2} characters of this vocabulary"
                )
        return [self.start_token_id, *(self.vocabulary[c] for c in text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without padding and <s>.

        Raises   ValueError that names the first id outside the vocabulary
        """
        numbers = [int(i) for i in ids]
        for i in numbers:
            if i not in self._texts:
                raise ValueError(f"id {i} is outside the vocabulary 0 … {len(self) - 1}")
        return "".join(self._texts[i] for i in numbers)
