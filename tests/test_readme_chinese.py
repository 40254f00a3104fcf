"""README.zh-CN.md says what README.md says: the same code and commands, and it runs as shown."""

import re
from pathlib import Path

import pytest

from tests.pages import blocks, python_blocks, run_page

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")
)


def commands(code):
    """The lines of a console without what stands beside them in words."""
    return [re.split(r" {2,}", line)[0] for line in code.splitlines()]


def headings(text):
    """The levels of the headings, outside of code."""
    text = re.sub(r"(?s)^```.*?^```", "", text, flags=re.MULTILINE)
    return [len(level) for level in re.findall(r"^(#+) ", text, re.MULTILINE)]


def test_the_pages_link_to_each_other_in_their_first_lines():
    assert "](README.zh-CN.md)" in "".join(ENGLISH.splitlines()[:4])
    assert "](README.md)" in "".join(CHINESE.splitlines()[:4])


def test_both_pages_have_the_same_headings():
    assert headings(CHINESE) == headings(ENGLISH)


def test_both_pages_have_the_same_blocks_of_code():
    one, two = blocks(ENGLISH), blocks(CHINESE)
    assert [block.language for block in one] == [block.language for block in two]
    for english, chinese in zip(one, two, strict=True):
        if english.language == "console":
            assert commands(english.code) == commands(chinese.code)
        elif english.language != "text":  # what is printed may be Chinese
            assert english.code == chinese.code


def test_both_pages_link_to_the_same_pages():
    links = [set(re.findall(r"\]\(([^)#]+)", text)) for text in (ENGLISH, CHINESE)]
    other = {"README.md", "README.zh-CN.md", "docs/glossary.md"}
    assert links[0] - other == links[1] - other
    for link in links[1]:
        assert (ROOT / link).exists(), link


def test_both_pages_name_the_same_places():
    tables = [re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for text in (ENGLISH, CHINESE)]
    places = [[re.findall("`([^`]+)`", cell) for cell in table] for table in tables]
    assert places[0] == places[1]


def test_the_code_runs_and_prints_what_the_chinese_page_shows(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINILLM_LANG", "zh")
    text = re.search(r"```text\n(.*?)```", CHINESE, re.DOTALL).group(1)
    exec(python_blocks(CHINESE)[0].code, {})
    assert capsys.readouterr().out.strip() == text.strip()
    assert "未通过" in text
    run_page(ROOT / "README.zh-CN.md", capsys)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)", CHINESE))))
def test_make_targets_of_the_page_exist(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
