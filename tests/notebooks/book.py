"""The tools of notebooks/, for the tests."""

import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
sys.path.insert(0, str(NOTEBOOKS / "tools"))

import build  # noqa: E402
import chapters  # noqa: E402
import maps  # noqa: E402

sys.path.remove(str(NOTEBOOKS / "tools"))

CHAPTERS = [chapters.read_chapter(path) for path in chapters.chapter_paths()]
NAMES = [chapter.name for chapter in CHAPTERS]

__all__ = ["CHAPTERS", "NAMES", "NOTEBOOKS", "build", "chapters", "maps"]
