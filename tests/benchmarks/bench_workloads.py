"""What `run.py` measures: the sizes every peer builds from, the peers, and what is to be reached.

Standard library only, so that a peer in another Python needs nothing of minillm.
"""

from dataclasses import dataclass

NANOGPT = {  # the recipe for a laptop in the README of nanoGPT
    "vocab": 65, "context": 64, "batch": 12, "layers": 4, "heads": 4, "width": 128,
    "lr": 1e-3, "betas": (0.9, 0.99), "decay": 0.1, "decay_vectors": False, "clip": 1.0,
}  # fmt: skip
LSTM = {
    "vocab": 1000, "context": 50, "batch": 32, "width": 50, "hidden": 128,
    "lr": 1e-3, "betas": (0.9, 0.999), "decay": 0.0, "decay_vectors": False, "clip": None,
}  # fmt: skip
ENCODER = {
    "vocab": 10_000, "context": 64, "batch": 4, "layers": 6, "heads": 8, "width": 512,
    "inner": 2048, "eps": 1e-5,
    "lr": 1e-4, "betas": (0.9, 0.999), "decay": 0.0, "decay_vectors": False, "clip": None,
}  # fmt: skip
BERT = {  # the shape of all-MiniLM-L6-v2, with two classes on top
    "vocab": 30_522, "positions": 512, "context": 64, "batch": 8, "layers": 6, "heads": 12,
    "width": 384, "inner": 1536, "eps": 1e-12, "classes": 2,
    "lr": 1e-4, "betas": (0.9, 0.999), "decay": 0.01, "decay_vectors": True, "clip": None,
}  # fmt: skip
SMOLLM2 = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192,
    "tie_word_embeddings": True, "rope_theta": 100000.0, "rms_norm_eps": 1e-5,
}  # fmt: skip
DECODING = {"prompt": 64, "steps": 40, "warm_up": 8}
BPE = {"vocab": 1000, "train_bytes": 200_000, "encode_bytes": 2_000_000}

EAGER = ("torch",)
ALL = ("torch", "jax", "autograd", "mygrad", "tinygrad")
TIMES_FASTER = 3.0  # than each of these, wherever they do the same work
SLOW_PEERS = ("autograd", "mygrad", "tinygrad")


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    target      largest ratio to PyTorch's time; None where there is none
    speed       smallest share of the machine's limit; None where there is none
    at_most_ms  largest time; None where there is none
    products    whether the matrix products of one step are timed alone, as the machine's limit
    needs       what run.py prepares: a "text", a "model"
    check       what all peers must agree on
    repeats     timed calls within a process
    """

    title: str
    sizes: dict
    peers: tuple = ALL
    target: float | None = None
    speed: float | None = None
    products: bool = False
    needs: tuple = ()
    check: str = "losses of the first steps"
    repeats: int = 20
    at_most_ms: float | None = None


WORKLOADS = {
    "gpt": Workload(
        "GPT: context 64, batch 12, 4 layers, 4 heads, width 128, no biases, training step",
        NANOGPT, target=1.00, products=True, repeats=40,
    ),
    "gpt6": Workload(
        "GPT: context 128, batch 4, 6 layers, 6 heads, width 384, no biases, training step",
        {**NANOGPT, "context": 128, "batch": 4, "layers": 6, "heads": 6, "width": 384},
        target=1.10, products=True, repeats=12,
    ),
    "lstm": Workload(
        "LSTM classifier: 1,000 words, width 50, hidden 128, batch 32 × 50, training step",
        LSTM, target=1.20, products=True, repeats=60,
    ),
    "encoder": Workload(
        "Encoder LM: 10,000 words, width 512, 8 heads, 2,048, 6 layers, batch 4 × 64, training step",
        ENCODER, target=1.10, products=True, repeats=10,
    ),
    "bert": Workload(
        "BERT as large as MiniLM: 6 layers, width 384, 12 heads, batch 8 × 64, training step",
        BERT, target=1.10, products=True, repeats=10,
    ),
    "bert-forward": Workload(
        "The same BERT, forward only",
        BERT, target=1.10, products=True, repeats=30, check="logits",
    ),
    "decode": Workload(
        "Decoding with the cache: SmolLM2's shape, 135 M weights, one token",
        {**DECODING, "model": SMOLLM2}, peers=EAGER, target=1.00, speed=0.75, needs=("model",),
        check="largest logits",
    ),
    "bpe-train": Workload(
        "BPE: learn a vocabulary of 1,000 from 200 kB of text",
        BPE, peers=("tokenizers",), needs=("text",), check="sizes", repeats=3,
    ),
    "bpe-encode": Workload(
        "BPE: encode 2 MB of text",
        BPE, peers=("tokenizers",), needs=("text",), check="numbers of tokens",
        repeats=3,
    ),
    "engine": Workload(
        "Engine: one node forward and backward, of a chain of 2,000 additions", {}, peers=EAGER,
        at_most_ms=0.003, check="the gradient", repeats=15,
    ),
    "gradcheck": Workload(
        "Gradient check of every operation of minillm",
        {"seed": 0}, peers=("torch", "jax", "autograd"), check="numbers of accepted operations",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Peer:
    """A library that does the same work in a process of its own: `with_<name>.py`.

    module   what must be importable (and calculate, if there is a probe)
    probe    code that fails where the library is installed but cannot work
    hint     what to say then
    """

    name: str
    module: str
    probe: str = ""
    hint: str = ""


PEERS = {
    "torch": Peer("PyTorch eager", "torch"),
    "jax": Peer("JAX, jitted", "jax"),
    "autograd": Peer("HIPS autograd", "autograd", "import autograd.scipy.special"),
    "mygrad": Peer("MyGrad", "mygrad"),
    "tinygrad": Peer(
        "tinygrad, jitted", "tinygrad",
        "from tinygrad import Tensor; (Tensor([1.0]) + 1).numpy()",
        "tinygrad compiles with clang, which must be on the PATH (or name one in CC)",
    ),
    "tokenizers": Peer("tokenizers (Rust)", "tokenizers"),
}  # fmt: skip
