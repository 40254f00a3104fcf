"""docs/glossary.md is complete and sorted, and every "term（中文）" of the book agrees with it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = ROOT / "docs" / "glossary.md"
HEAD = "| English | 中文 | meaning | chapter |"
CHAPTERS = {f"{n:02}" for n in range(25)} - {"16", "20"} | {"A", "B"}
PAGES = sorted([
    *ROOT.glob("notebooks/source/*.py"), *ROOT.glob("docs/*.md"), *ROOT.glob("README*.md"),
])  # fmt: skip
CHINESE = "[\u4e00-\u9fff]"
ENGLISH_FIRST = re.compile(r"([A-Za-z0-9ᵀ)\]*`\"”])[ \n]*（([^（）]+)）")
CHINESE_FIRST = re.compile(f"({CHINESE}+)（([A-Za-z][A-Za-z0-9 \\n-]*)）")


def tables():
    """The rows of each table of the glossary: [[(english, chinese, meaning, chapter), ...], ...]."""
    found = []
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        if line == HEAD:
            found.append([])
        elif line.startswith("#"):
            current = line
        elif line.startswith("| ") and found and "One word for several" not in current:
            found[-1].append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return found


TABLES = tables()
ROWS = [row for table in TABLES for row in table]


def names_of(english):
    """'byte-pair encoding (BPE)' has two names."""
    name, _, short = english.partition(" (")
    return [name, short.rstrip(")")] if short else [name]


def plain(text):
    """One spelling: small letters, no hyphens and no marks, -ize for -ise, one space."""
    text = re.sub(r"\]\([^)]*\)|\s\([^()]*\)\W*$", "", text)  # links, an abbreviation at the end
    text = re.sub(r"[*_`$()\"“”\[\]\\]", "", text).replace("-", " ").replace("–", " ").lower()
    text = re.sub(r"is(e|ed|es|er|ers|ing|ation|ations)\b", r"iz\1", text)
    return " ".join(text.split())


def singular(text):
    """The text without the ending of a plural."""
    for ending, new in (("ies", "y"), ("xes", "x"), ("sses", "ss"), ("s", "")):
        if text.endswith(ending) and not text.endswith("ss"):
            return text.removesuffix(ending) + new
    return text


TERMS = {plain(name): row for row in ROWS for name in names_of(row[0])}


def complaint(before, chinese):
    """What is wrong with a pair; "" if the glossary has it.  before: the text up to its bracket."""
    words = plain(before).split()
    for count in range(min(len(words), 6), 0, -1):
        term = " ".join(words[-count:])
        row = TERMS.get(term) or TERMS.get(singular(term))
        if row:
            right = row[1].split(" / ")[0]
            return "" if chinese == right else f"{row[0]} is {right} in the glossary, not {chinese}"
    return f"{' '.join(words[-3:])}（{chinese}） is not in the glossary: add it, or use its term"


def pairs(text):
    """(line, complaint) for every pair of a page."""
    text = re.sub(r"(?m)^# ?", "", text)  # the markdown of percent scripts stands in comments
    text = re.sub(r"(?s)<!--.*?-->|```.*?```", lambda m: "\n" * m.group().count("\n"), text)
    for match in ENGLISH_FIRST.finditer(text):
        if re.search(CHINESE, match.group(2)):
            before = text[max(match.start() - 80, 0) : match.end(1)]
            line = text.count("\n", 0, match.end(1)) + 1
            yield line, complaint(before, match.group(2))
    for match in CHINESE_FIRST.finditer(text):
        row = TERMS.get(plain(match.group(2)))
        quoted = text[match.start() - 1 : match.start()] in ('"', "“")  # what others wrote
        if row and not quoted:
            right = match.group(1).endswith(row[1].split(" / ")[0])
            line = text.count("\n", 0, match.start()) + 1
            what = f"{row[0]} is {row[1]} in the glossary, not {match.group(1)}"
            yield line, "" if right else what


def test_the_tables_are_complete():
    assert len(ROWS) > 250
    for row in ROWS:
        assert len(row) == 4, row
        assert all(row), f"an empty cell: {row}"
        english, chinese, meaning, chapter = row
        assert re.search(CHINESE, chinese) or english == "Gumbel-softmax", row
        assert meaning.endswith("."), row
        assert chapter in CHAPTERS, row


def test_no_term_stands_twice():
    names = [plain(name) for row in ROWS for name in names_of(row[0])]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("number", range(len(TABLES)))
def test_each_table_is_sorted(number):
    english = [row[0].casefold() for row in TABLES[number]]
    assert english == sorted(english)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_pair_of_a_page_agrees_with_the_glossary(path):
    found = [(line, what) for line, what in pairs(path.read_text(encoding="utf-8")) if what]
    assert not found, "\n" + "\n".join(f"{path.name}:{line}: {what}" for line, what in found)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("the *perplexity*（困惑度） of", ""),
        ("# a **byte-pair\n# encoding**（字节对编码）", ""),
        ("[optimizers](x.md)（优化器）, BPE（字节对编码）, Entropies（熵）", ""),
        ("perplexity（迷惑度）", "perplexity is 困惑度 in the glossary, not 迷惑度"),
        ("a quokka（短尾矮袋鼠）", "a quokka（短尾矮袋鼠） is not in the glossary"),
        ("cross-entropy（熵）", "cross-entropy is 交叉熵 in the glossary, not 熵"),
        ("(**$L_2$ regularization（L2 正则化）**)", ""),
        ("low-rank adaptation (LoRA)（低秩适配）", ""),
        ("早停（early stopping）", ""),
        ("停早（early stopping）", "early stopping is 早停 / 提前停止 in the glossary, not 停早"),
    ],
)
def test_pairs_are_read_as_they_are_written(text, wrong):
    found = [what for _, what in pairs(text)]
    assert found
    assert all(what.startswith(wrong) if wrong else not what for what in found), found


def test_a_wrong_pair_is_reported_with_its_line():
    assert [line for line, what in pairs("one\n# two\n# three perplexity（惑）\n") if what] == [3]
