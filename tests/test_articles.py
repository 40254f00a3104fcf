"""docs/articles.md: what it says about listings and libraries, and that it names only what there is.

Its code runs in tests/test_docs_code.py.
"""

import re
from pathlib import Path

import pytest

from minillm.tasks import TASKS
from tests.pages import python_blocks

ROOT = Path(__file__).parent.parent
PAGES = ("articles.md", "rosetta.md", "notation.md", "for-instructors.md", "coverage.md")
TEXTS = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in PAGES}
ARTICLES = TEXTS["articles.md"]
LINKS = [(name, link) for name in PAGES for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name])]


def anchors(text):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    cleaned = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in cleaned}


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_links_between_pages_and_to_files_lead_somewhere(page, link):
    if "://" in link:
        return
    target, _, anchor = link.partition("#")
    path = (ROOT / "docs" / target) if target else ROOT / "docs" / page
    assert path.exists(), f"{page} links to {link}"
    if anchor:
        assert anchor in anchors(path.read_text(encoding="utf-8")), f"{page} links to {link}"


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_tasks_that_are_named_exist(page):
    for path in re.findall(r"`((?:minillm|tests|docs|notebooks)/[\w./]*)`", TEXTS[page]):
        assert (ROOT / path).exists(), path
    for task in re.findall(r"\btask ([a-z]+(?:-[a-z]+)*)`", TEXTS[page]):
        assert task in TASKS, task


@pytest.mark.parametrize("article", ["000", "001", "002", "003", "004"])
def test_every_article_has_claims_its_listings_and_a_version_that_runs(article):
    section = re.search(rf"^## {article}: .*?(?=^## )", ARTICLES, re.DOTALL | re.MULTILINE)[0]
    assert "### Claims" in section
    assert re.search(r"### The listings?, and ", section)
    working = section[re.search(r"### The working versions?", section).start() :]
    assert python_blocks(working)
    assert all(block.expected for block in python_blocks(section)), "each block shows its output"


def test_figures_that_are_taken_from_the_tasks_are_those_of_the_table():
    row = re.search(r"From (\d+) stories naive Bayes reaches ([\d.]+), a BERT ([\d.]+)", ARTICLES)
    tasks = TEXTS["coverage.md"]
    sizes = "5, 20, 80, 320, 1,280 and 5,120"
    assert " ".join(sizes.split()) in " ".join(tasks.split())
    column = ["5", "20", "80", "320"].index(row[1])
    bert = re.search(r"accuracy of ([\d., ]+[\d])", tasks.replace("\n", " "))[1].split(", ")
    bayes = re.search(r"by itself, has\s+([\d.,\s]+[\d])", tasks.replace("\n", " "))[1]
    bayes = re.split(r",\s+", bayes)
    assert (bayes[column], bert[column]) == (row[2], row[3])


def test_the_parameters_of_the_first_listing():
    V, C, F, L = 10_000, 512, 2048, 6
    attention = 3 * (C * C + C) + C * C + C  # query, key, value, output
    layer = attention + (C * F + F) + (F * C + C) + 2 * (2 * C)  # feed-forward, two norms
    assert f"({V * C + L * layer:,} parameters)" in ARTICLES


def test_torch_encoder_layers_attend_over_the_first_axis():
    torch = pytest.importorskip("torch", reason="the claim about PyTorch needs PyTorch")
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
    x = torch.randn(4, 7, 8)  # sentences, words, as in the listing
    with torch.no_grad():
        before = layer(x)[0, 0]
        own, another = x.clone(), x.clone()
        own[0, 6] += 1
        another[1, 0] += 1
        assert (layer(own)[0, 0] - before).abs().max() == 0
        assert (layer(another)[0, 0] - before).abs().max() > 1e-3


def syllabus():
    """(chapters, exercises) of each week of the long syllabus."""
    table = re.search(
        r"^## Twelve weeks.*?(?=^## )", TEXTS["for-instructors.md"], re.DOTALL | re.MULTILINE
    )
    for row in re.findall(r"^\| \d+ \|.*$", table[0], re.MULTILINE):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 6, row
        names = [name for name in cells[3].replace("**", "").split(", ") if name]
        yield cells[1].split(", "), [] if names[0].startswith("of ") else names


@pytest.mark.parametrize(("chapters", "exercises"), list(syllabus()))
def test_exercises_of_the_syllabus_are_those_of_its_chapters(chapters, exercises):
    paths = [path for n in chapters for path in (ROOT / "notebooks" / "source").glob(f"{n}_*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    known = set(re.findall(r'^# %% \[markdown\] exercise="([^"]+)"', text, re.MULTILINE))
    assert set(exercises) <= known, f"chapters {chapters} have {sorted(known)}"


def test_the_syllabus_has_twelve_weeks_and_all_chapters():
    weeks = list(syllabus())
    chapters = [chapter for week, _ in weeks for chapter in week]
    assert len(weeks) == 12
    assert sorted(chapters) == [f"{n:02}" for n in range(25) if n not in {16, 20}]
