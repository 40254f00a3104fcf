"""The README is true: its code runs and prints what it says."""

import re
from pathlib import Path

import pytest

from tests.pages import python_blocks, run_page

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = python_blocks(README)


def test_python_in_the_readme_runs_and_prints_what_it_shows(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert BLOCKS[0].expected, "the first block shows what the checker says"
    run_page(ROOT / "README.md", capsys)


def test_the_model_of_the_readme_learns_its_line(capsys):
    exec(BLOCKS[1].code, {})
    assert capsys.readouterr().out.strip() in "to be or not to be, that is the question. " * 2


def test_the_map_of_the_folders_is_complete():
    for path in sorted((ROOT / "minillm").iterdir()):
        hidden = path.name.startswith((".", "_")) or path.name in (
            "py.typed",
            "version.py",
            "files.py",
            "terminal.py",
        )
        if not hidden:
            assert path.name in README, f"{path.name} is not in the README's map"


@pytest.mark.parametrize("target", re.findall(r"make ([a-z]+)", README))
def test_make_targets_of_the_readme_exist(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
