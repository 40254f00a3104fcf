"""GGUF, the format of llama.cpp: a whole model in one file, its weights rounded to a few bits.

The library `gguf` (an extra) takes the container apart; what the bytes mean stands here.

Quantised weights come in blocks of 32 neighbours of one row.  A block keeps one or two numbers in
float16 and one small integer q for each weight:

    Q8_0   34 bytes: scale d, then 32 signed bytes                         w = d q
    Q4_1   20 bytes: scale d, minimum m, then 16 bytes of two q each       w = d q + m
           the lower four bits are the first 16 weights, the upper ones the last 16

Rows of queries and keys are in another order than in Hugging Face's files.  A rotary embedding turns
pairs of entries; llama.cpp has them side by side, (2i, 2i + 1), Hugging Face half a head apart,
(i, i + D/2), and the rows of the matrices that make them were moved accordingly.  They are moved
back here, so that one model reads both.
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..tokenizers import GPT2Tokenizer

GGUF_LINE = "python -m pip install gguf"
BLOCK = 32  # weights that share a scale
CONTROL = 3  # the type of a token that stands for no text, such as <|im_end|>
# the rule that cuts a text before byte pairs are merged -> is every digit a piece of its own?
SPLITS = {"smollm": True, "gpt-2": False, "default": False}
NAMES = {
    r"token_embd\.": "model.embed_tokens.",
    r"output_norm\.": "model.norm.",
    r"output\.": "lm_head.",
    r"blk\.(\d+)\.attn_norm\.": r"model.layers.\1.input_layernorm.",
    r"blk\.(\d+)\.attn_output\.": r"model.layers.\1.self_attn.o_proj.",
    r"blk\.(\d+)\.attn_([qkv])\.": r"model.layers.\1.self_attn.\2_proj.",
    r"blk\.(\d+)\.ffn_norm\.": r"model.layers.\1.post_attention_layernorm.",
    r"blk\.(\d+)\.ffn_(gate|up|down)\.": r"model.layers.\1.mlp.\2_proj.",
}


def dequantise_q8_0(data: np.ndarray) -> np.ndarray:
    """Shapes   data (N, bytes) uint8 -> (N, weights) float32.

    >>> block = np.concatenate([np.array([0.5], "<f2").view("u1"), np.full(32, 254, "u1")])
    >>> dequantise_q8_0(block[None])[0, :3]  # 254 is -2 as a signed byte
    array([-1., -1., -1.], dtype=float32)
    """
    blocks = data.reshape(-1, 2 + BLOCK)
    d = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    return (d * blocks[:, 2:].view(np.int8)).reshape(len(data), -1)


def dequantise_q4_1(data: np.ndarray) -> np.ndarray:
    """Shapes   data (N, bytes) uint8 -> (N, weights) float32.

    >>> block = np.concatenate([np.array([0.5, 1.0], "<f2").view("u1"), np.full(16, 0x72, "u1")])
    >>> dequantise_q4_1(block[None])[0, [0, 15, 16, 31]]  # 2 below, 7 above
    array([2. , 2. , 4.5, 4.5], dtype=float32)
    """
    blocks = data.reshape(-1, 4 + BLOCK // 2)
    d, m = np.ascontiguousarray(blocks[:, :4]).view("<f2").astype(np.float32).T[:, :, None]
    q = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (d * q + m).reshape(len(data), -1)


def as_float32(data: np.ndarray) -> np.ndarray:
    """F16 and F32, which are not quantised."""
    return data.astype(np.float32)


DEQUANTISE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "F32": as_float32,
    "F16": as_float32,
    "Q8_0": dequantise_q8_0,
    "Q4_1": dequantise_q4_1,
}


@dataclass(frozen=True)
class QuantisedArray:
    """One tensor of a file, of which rows are dequantised when they are wanted."""

    data: np.ndarray  # as it lies in the file, (rows, bytes) or (rows, columns)
    shape: tuple[int, ...]
    kind: str
    order: np.ndarray | None = None  # which row of the file comes where
    dtype: str = "F32"  # what rows gives

    def rows(self, first: int, last: int) -> np.ndarray:
        """Entries first to last - 1 of the first axis."""
        part = self.data[first:last] if self.order is None else self.data[self.order[first:last]]
        return DEQUANTISE[self.kind](part)


def halves_from_pairs(heads: int, rows: int) -> np.ndarray:
    """The order of rows in which the two of each pair stand half a head apart.

    >>> halves_from_pairs(2, 8)
    array([0, 2, 1, 3, 4, 6, 5, 7])
    """
    return np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).reshape(-1)


class GGUFFile:
    """A Llama in a .gguf file: its config, weights and tokenizer under Hugging Face's names.

    Raises   FileNotFoundError; RuntimeError with the line that installs the library; ValueError that
             names the file if it is cut off, of another format, or of an unknown architecture
    """

    def __init__(self, path: "str | Path") -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"there is no file {self.path}")
        try:
            library = importlib.import_module("gguf")
        except ImportError:
            raise RuntimeError(
                f"reading {self.path} needs the library gguf, which is not installed: {GGUF_LINE}"
            ) from None
        try:
            self.reader: Any = library.GGUFReader(str(self.path))
            self.values = {name: f.contents() for name, f in self.reader.fields.items()}
            self.reader.fields.clear()  # an object for each of 100,000 strings
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
            raise ValueError(
                f"{self.path} is not a complete GGUF file ({error}): it was cut off or is of "
                "another format; download it again"
            ) from None
        kind = self.values.get("general.architecture")
        if kind != "llama":
            raise ValueError(f"{self.path} holds a model of type {kind!r}, known here is 'llama'")

    def value(self, name: str, default: Any = None) -> Any:
        """An entry of the file's description.

        Raises   ValueError that names the file if it is not there and there is no default
        """
        found = self.values.get(name, default)
        if found is None:
            raise ValueError(f"{self.path} does not say {name}: it is not a complete model")
        return found

    def config(self) -> dict[str, Any]:
        """The entries of a config.json."""
        tensors = {tensor.name: tensor for tensor in self.reader.tensors}
        if "token_embd.weight" not in tensors:
            raise ValueError(f"{self.path} has no token_embd.weight: it is not a complete model")
        heads = self.value("llama.attention.head_count")
        width = self.value("llama.embedding_length")
        head_dim = self.value("llama.attention.key_length", width // heads)
        scaling = self.value("llama.rope.scaling.type", "none")
        if scaling != "none" or "rope_freqs.weight" in tensors:
            raise ValueError(f"{self.path} has scaled rotary positions, which are not known here")
        if self.value("llama.rope.dimension_count", head_dim) != head_dim:
            raise ValueError(f"{self.path} turns only a part of each head, which is not known here")
        return {
            "model_type": "llama",
            "vocab_size": int(tensors["token_embd.weight"].shape[1]),
            "hidden_size": width,
            "intermediate_size": self.value("llama.feed_forward_length"),
            "num_hidden_layers": self.value("llama.block_count"),
            "num_attention_heads": heads,
            "num_key_value_heads": self.value("llama.attention.head_count_kv", heads),
            "head_dim": head_dim,
            "max_position_embeddings": self.value("llama.context_length"),
            "rms_norm_eps": self.value("llama.attention.layer_norm_rms_epsilon"),
            "rope_theta": self.value("llama.rope.freq_base", 10000.0),
            "attention_bias": "blk.0.attn_q.bias" in tensors,
            "mlp_bias": "blk.0.ffn_up.bias" in tensors,
            "tie_word_embeddings": "output.weight" not in tensors,
            "bos_token_id": self.values.get("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self.values.get("tokenizer.ggml.eos_token_id"),
            "pad_token_id": self.values.get("tokenizer.ggml.padding_token_id"),
        }

    def arrays(self) -> dict[str, QuantisedArray]:
        """The tensors by Hugging Face's names; an unknown name stays as it is.

        Raises   ValueError that lists the tensors whose quantisation is not known here
        """
        heads = self.value("llama.attention.head_count")
        of_kind = {"q": heads, "k": self.value("llama.attention.head_count_kv", heads)}
        found, unknown = {}, []
        for tensor in self.reader.tensors:
            kind = tensor.tensor_type.name
            if kind not in DEQUANTISE:
                unknown.append(f"{tensor.name} {kind}")
                continue
            shape = tuple(int(n) for n in tensor.shape[::-1])  # the format counts axes backwards
            turned = re.match(r"blk\.\d+\.attn_([qk])\.", tensor.name)
            order = halves_from_pairs(of_kind[turned[1]], shape[0]) if turned else None
            found[_name(tensor.name)] = QuantisedArray(tensor.data, shape, kind, order)
        if unknown:
            known = ", ".join(DEQUANTISE)
            raise ValueError(
                f"{self.path} has tensors that are quantised in another way than {known}: take a file "
                f"in one of these.  They are: {', '.join(unknown)}"
            )
        return found

    def tokenizer(self) -> GPT2Tokenizer:
        """The tokenizer in the file.

        Raises   ValueError that names the file if it is of a kind that is not known here
        """
        kind = self.value("tokenizer.ggml.model")
        split = self.value("tokenizer.ggml.pre", "default")
        if kind != "gpt2" or split not in SPLITS:
            raise ValueError(
                f"{self.path} has a tokenizer of kind {kind!r} with the split {split!r}; known are "
                f"'gpt2' (byte-level BPE) with one of {', '.join(map(repr, SPLITS))}"
            )
        tokens = self.value("tokenizer.ggml.tokens")
        types = self.value("tokenizer.ggml.token_type", [])
        ids = {role: self.values.get(f"tokenizer.ggml.{role}_token_id")
               for role in ("bos", "eos", "unknown", "padding")}  # fmt: skip
        named = {role: None if i is None else tokens[i] for role, i in ids.items()}
        return GPT2Tokenizer(
            {token: i for i, token in enumerate(tokens)},
            self.value("tokenizer.ggml.merges"),
            special_tokens={tokens[i]: i for i, kind in enumerate(types) if kind == CONTROL},
            bos_token=named["bos"],
            eos_token=named["eos"],
            unk_token=named["unknown"],
            pad_token=named["padding"],
            split_digits=SPLITS[split],
            chat_template=self.values.get("tokenizer.chat_template"),
        )


def _name(name: str) -> str:
    """Hugging Face's name of a tensor.

    >>> _name("blk.7.ffn_up.weight")
    'model.layers.7.mlp.up_proj.weight'
    """
    for pattern, new in NAMES.items():
        if re.match(pattern, name):
            return re.sub(pattern, new, name, count=1)
    return name
