"""Weights in a package of sources: its SHA-256 reaches pip, and only the known files are kept."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from minillm.cli import main, weights

CONTENT = {"textgenrnn_weights.hdf5": b"content", "textgenrnn_vocab.json": b"{}"}
DIGESTS = {  # by sha256sum
    "textgenrnn_weights.hdf5": "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73",
    "textgenrnn_vocab.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
}
INSIDE = "textgenrnn-2.0.0/textgenrnn"


@pytest.fixture
def known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digests = {f"{INSIDE}/{name}": digest for name, digest in DIGESTS.items()}
    changed = weights.Published(**{**vars(weights.PUBLISHED["textgenrnn"]), "known": digests})
    monkeypatch.setitem(weights.PUBLISHED, "textgenrnn", changed)
    return changed


def fake_pip(monkeypatch, content, status=0):
    """A pip whose package holds these files, and a program; returns the requirements it was given."""
    given = []

    def run(command, check):
        scratch = Path(command[command.index("--dest") + 1])
        pinned = Path(command[command.index("--requirement") + 1])
        given.append((command, pinned.read_text(encoding="utf-8")))
        if not status:
            with tarfile.open(scratch / "textgenrnn-2.0.0.tar.gz", "w:gz") as archive:
                for name, data in {**content, "__init__.py": b"never run"}.items():
                    entry = tarfile.TarInfo(f"{INSIDE}/{name}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(subprocess, "run", run)
    return given


def kept(folder):
    return {p.name: p.read_bytes() for p in (folder / weights.FOLDER).rglob("*") if p.is_file()}


def test_the_known_files_are_kept_and_nothing_else(known, tmp_path, monkeypatch, capsys):
    given = fake_pip(monkeypatch, CONTENT)
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    for _ in range(2):  # the second time they are there
        assert main(["weights", "textgenrnn"]) == 0
        out = capsys.readouterr().out
        assert str(known.location()) in out
        assert "python -m pip install h5py" in out
    assert kept(tmp_path) == CONTENT
    [(command, pinned)] = given
    assert pinned == f"textgenrnn==2.0.0 --hash=sha256:{known.source}\n"
    assert command[command.index("--no-binary") + 1] == "textgenrnn"
    assert "--no-deps" in command


@pytest.mark.parametrize("name", DIGESTS)
def test_a_file_with_other_content_is_not_kept(known, tmp_path, monkeypatch, capsys, name):
    fake_pip(monkeypatch, {**CONTENT, name: b"something else"})
    assert main(["weights", "textgenrnn"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert name in line
    assert "SHA-256" in line
    assert kept(tmp_path) == {}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_file_that_is_not_there_is_one_line(known, tmp_path, monkeypatch, capsys, name):
    fake_pip(monkeypatch, {n: data for n, data in CONTENT.items() if n != name})
    assert main(["weights", "textgenrnn"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"holds no file {INSIDE}/{name}" in line
    assert kept(tmp_path) == {}


def test_a_refused_package_is_one_line(known, tmp_path, monkeypatch, capsys):
    fake_pip(monkeypatch, CONTENT, status=1)
    assert main(["weights", "textgenrnn"]) == 1
    assert "pip could not download textgenrnn==2.0.0" in capsys.readouterr().err
    assert kept(tmp_path) == {}
