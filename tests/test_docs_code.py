"""The code on the pages of docs/ and in CONTRIBUTING.md runs, and prints what the page shows."""

from pathlib import Path

import pytest

import minillm
from tests.pages import blocks, python_blocks, run_page

ROOT = Path(__file__).parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
LANGUAGES = {"python", "text", "console"}  # of Sphinx's own ones, such as {toctree}, any
RUN = [page for page in PAGES if python_blocks(TEXTS[page.name])]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_code_of_the_page_runs_and_prints_what_it_shows(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page, capsys)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is_and_why_if_it_does_not_run(page):
    for block in blocks(TEXTS[page.name]):
        named = block.language in LANGUAGES or block.language.startswith("{")
        assert named, f"{page.name}, line {block.line}: ```{block.language}"
        if block.reason is not None:
            assert block.language == "python", f"line {block.line}: only python runs at all"
            assert len(block.reason) > 10, f"line {block.line}: say why it does not run"
    assert TEXTS[page.name].count("```") == 2 * len(blocks(TEXTS[page.name])), "an open fence"


def test_the_pages_that_have_code_are_among_those_that_run():
    names = {page.name for page in RUN}
    assert {"articles.md", "for-instructors.md", "rosetta.md"} <= names


PAGE = """
```python
x = 2
```

Text in between.

```python
print(x + 1)
```

```text
3
```

<!-- not run: it needs names that the reader fills in -->
```python
from nowhere import nothing
```
"""


def page_of(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_blocks_share_a_namespace_and_a_reason_keeps_one_from_running(tmp_path, capsys):
    assert [(b.line, b.expected, b.reason) for b in blocks(PAGE)] == [
        (2, None, None),
        (8, "3\n", None),
        (12, None, None),
        (17, None, "it needs names that the reader fills in"),
    ]
    run_page(page_of(tmp_path, PAGE), capsys)


def test_another_output_than_shown_is_found_with_its_line(tmp_path, capsys):
    with pytest.raises(AssertionError, match=r"page\.md, line 8"):
        run_page(page_of(tmp_path, PAGE.replace("\n3\n", "\n4\n")), capsys)


def test_a_block_that_raises_is_found(tmp_path, capsys):
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        run_page(page_of(tmp_path, PAGE.replace("<!-- not run: ", "<!-- ")), capsys)


def test_a_text_that_is_not_next_to_the_block_is_not_its_output(tmp_path, capsys):
    apart = PAGE.replace("```\n\n```text", "```\n\nFor example:\n\n```text").replace(
        "\n3\n", "\n9\n"
    )
    assert python_blocks(apart)[1].expected is None
    run_page(page_of(tmp_path, apart), capsys)


def test_random_numbers_need_a_seed_on_the_page(tmp_path, capsys):
    draw = "from minillm.nn import Linear\nprint(Linear(1, 1).weight.data.item())\n"
    seeded = "import minillm\nminillm.manual_seed(0)\n" + draw
    namespace = {}
    exec(seeded, namespace)
    value = capsys.readouterr().out
    text = "```python\n{}```\n\n```text\n{}```\n"
    run_page(page_of(tmp_path, text.format(seeded, value)), capsys)
    minillm.manual_seed(0)  # whoever runs the page may have done that: it must not help
    with pytest.raises(AssertionError, match="line 1"):
        run_page(page_of(tmp_path, text.format(draw, value)), capsys)
