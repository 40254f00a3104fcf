"""docs/coverage.md and docs/tasks.md name only what there is."""

import re
from pathlib import Path

import pytest

from minillm.tasks import TASKS

ROOT = Path(__file__).parent.parent
PAGES = {n: (ROOT / "docs" / n).read_text(encoding="utf-8") for n in ("coverage.md", "tasks.md")}
PATHS = sorted({
    path for text in PAGES.values() for path in re.findall(r"`((?:minillm|tests|docs)/[\w./]*)`", text)
})  # fmt: skip
NAMED = sorted({
    name for text in PAGES.values() for name in re.findall(r"task ([a-z][a-z-]+)`", text)
})


@pytest.mark.parametrize("path", PATHS)
def test_every_module_and_test_that_is_named_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", NAMED)
def test_every_task_that_is_named_exists(name):
    assert name in TASKS


def test_every_task_is_named_and_every_article_has_rows():
    assert len(PATHS) > 30
    for name in TASKS:
        assert f"task {name}" in PAGES["coverage.md"], f"coverage.md does not name {name}"
        assert f"task {name}" in PAGES["tasks.md"], f"tasks.md does not name {name}"
    for article in ("000", "001", "002", "003", "004"):
        rows = [
            line for line in PAGES["coverage.md"].splitlines() if line.startswith(f"| {article}")
        ]
        assert len(rows) >= 2, article


def test_no_place_is_left_to_fill():
    assert not [name for name, text in PAGES.items() if "@@" in text]
