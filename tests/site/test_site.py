"""The site in a real browser: it opens, it is complete, it asks nobody else for anything."""

import json
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from .conftest import HTML, PHONE, ROOT, SHOTS

pytestmark = pytest.mark.site
CATALOGUES = ROOT / "build" / "docs" / "gettext"


def chapters():
    """Names of the chapters, and their cells."""
    for path in sorted((ROOT / "notebooks").glob("[0-9A-Z]*_*.ipynb")):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))["cells"]


def collect(visits, what):
    """What is wrong, by page; pages with nothing wrong are left out."""
    return {name: wrong for name, visit in visits.items() if (wrong := what(visit))}


def test_every_file_of_the_library_and_every_chapter_has_a_page(pages):
    for path in (ROOT / "minillm").rglob("*.py"):
        name = path.relative_to(ROOT).with_suffix(".html").as_posix()
        assert f"source/{name.replace('__init__', 'index')}" in pages
    for name, _ in chapters():
        assert f"notebooks/{name}.html" in pages
    for path in (ROOT / "docs").glob("*.md"):
        assert f"{path.stem}.html" in pages


def test_pages_open_without_errors(visits):
    assert collect(visits, lambda visit: visit.errors) == {}
    assert all(visit.seen["title"] for visit in visits.values())


def test_nothing_is_asked_of_another_machine(visits, site):
    own = (site, "data:", "blob:")
    assert collect(visits, lambda v: [r for r in v.requests if not r.startswith(own)]) == {}
    assert (
        collect(visits, lambda v: [r for r in v.seen["resources"] if not r.startswith(own)]) == {}
    )
    for path in [*HTML.rglob("*.css"), *HTML.rglob("*.html")]:
        text = path.read_text(encoding="utf-8")
        outside = re.findall(r"""url\(['"]?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*""", text)
        assert outside == [], path


def test_pictures_are_there_and_say_what_they_show(visits):
    assert collect(visits, lambda visit: visit.seen["broken"]) == {}
    assert collect(visits, lambda visit: visit.seen["nameless"]) == {}


def test_formulas_are_rendered(visits):
    assert collect(visits, lambda visit: visit.seen["unrendered"]) == {}
    assert collect(visits, lambda visit: visit.seen["katexErrors"]) == {}
    for name, cells in chapters():
        texts = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
        displayed = sum(text.count("$$") // 2 for text in texts)
        assert visits[f"notebooks/{name}.html"].seen["formulas"] >= displayed


def test_links_inside_the_site_lead_somewhere(visits, site):
    missing = {}
    for name, visit in visits.items():
        for link in {link for link in visit.seen["links"] if link.startswith(site)}:
            address, anchor = urldefrag(link)
            target = unquote(urlsplit(address).path).lstrip("/") or "index.html"
            if target in visits:
                found = not anchor or unquote(anchor) in visits[target].seen["ids"]
            else:
                found = (HTML / target).is_file()
            if not found:
                missing.setdefault(name, []).append(link)
    assert missing == {}


def test_links_to_elsewhere_have_the_form_of_an_address(visits, site):
    form = re.compile(r"https?://[\w.-]+\.[a-z]{2,}(:\d+)?(/[^\s<>\"]*)?(#\S*)?|mailto:\S+@\S+")

    def wrong(visit):
        return [
            link
            for link in visit.seen["links"]
            if not link.startswith((site, "data:", "javascript:")) and not form.fullmatch(link)
        ]

    assert collect(visits, wrong) == {}


def test_pages_fit_on_a_phone(visits):
    assert collect(visits, lambda visit: visit.overflow[0] and visit.overflow) == {}
    assert (
        collect(visits, lambda visit: visit.clipped) == {}
    )  # wide formulas scroll from their start


def test_from_the_reference_to_the_source_and_back(page):
    page.goto("api/minillm.ops.html#minillm.ops.layer_norm_forward")
    entry = page.locator("dl.py", has=page.locator('dt[id="minillm.ops.layer_norm_forward"]'))
    entry.get_by_role("link", name="source", exact=True).click()
    page.wait_for_url("**/source/minillm/ops/layer_norm.html#layer_norm_forward")
    section = page.locator('section[id="layer_norm_forward"]')
    assert "x_hat = x - row_mean(x)" in section.inner_text()
    section.get_by_role("link", name="minillm.ops.layer_norm_forward").click()
    page.wait_for_url("**/api/minillm.ops.html#minillm.ops.layer_norm_forward")


def test_results_that_the_code_cites_are_linked(page):
    page.goto("source/minillm/ops/layer_norm.html")
    backward = page.locator('section[id="layer_norm_backward"]')
    backward.get_by_role("link", name="(1)").last.click()
    page.wait_for_url("**#result-1")
    assert page.locator("#result-1").inner_text() == "(1)"


def test_prose_and_code_stand_side_by_side_and_on_a_phone_above_each_other(page):
    page.goto("source/minillm/ops/layer_norm.html")
    row = page.locator('section[id="layer_norm_forward"] .an-row').first

    def corners():
        prose = row.locator(".an-prose").bounding_box()
        code = row.locator(".an-code").bounding_box()
        return prose, code

    prose, code = corners()
    assert code["x"] >= prose["x"] + prose["width"]
    assert abs(code["y"] - prose["y"]) < 2
    page.set_viewport_size(PHONE)
    prose, code = corners()
    assert code["y"] >= prose["y"] + prose["height"]


def test_formulas_of_chapters_stand_beside_the_code(page, visits):
    ids = [
        match
        for _, cells in chapters()
        for cell in cells
        for match in re.findall(r'<a id="(formula-layer-norm[\w-]*)"', "".join(cell["source"]))
    ]
    assert ids
    page.goto("source/minillm/ops/layer_norm.html")
    assert page.locator(".an-formula .katex").count() >= 1
    page.locator(".an-formula a").first.click()
    page.wait_for_url("**/notebooks/*.html#formula-layer-norm*")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("layer norm", "source/minillm/ops/layer_norm.html"),
        ("scaled_dot_product_attention", "source/minillm/ops/attention.html"),
        ("check_gradients", "api/minillm.gradcheck.html"),
        ("困惑度", "glossary.html"),
    ],
)
@pytest.mark.parametrize("opened", ["from a server", "as a file"])
def test_search_finds_without_a_network(page, words, found, opened):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: said.type == "error" and errors.append(said.text))
    start = "search.html" if opened == "from a server" else (HTML / "search.html").as_uri()
    page.goto(f"{start}?q={words}")
    page.wait_for_selector("#search-results .search-summary, #search-results p")
    page.wait_for_function("() => /finished|did not match/.test(document.body.innerText)")
    hrefs = [link.get_attribute("href") for link in page.locator("#search-results li a").all()]
    assert any(found in urldefrag(href)[0] for href in hrefs), hrefs[:10]
    assert errors == []


def test_a_translation_can_begin(pages):
    assert CATALOGUES.exists(), "run: make docs-gettext"
    catalogue = (CATALOGUES / "notation.pot").read_text(encoding="utf-8")
    assert 'msgid "Notation"' in catalogue
    for name, _ in chapters():
        assert (CATALOGUES / "notebooks" / f"{name}.pot").exists()


def wanted_shots():
    names = ["index", "glossary", "notebooks/00_tour", "notebooks/12_block", "api/minillm.ops"]
    names += ["source/minillm/index", "source/minillm/ops/layer_norm", "search"]
    return [name for name in names if (HTML / f"{name}.html").exists()]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_screenshots(browser, site, device, colours):
    sizes = {"desktop": (1440, 1400), "phone": (390, 1400)}
    width, height = sizes[device]
    context = browser.new_context(
        viewport={"width": width, "height": height}, base_url=site, color_scheme=colours
    )
    tab = context.new_page()
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name in wanted_shots():
        tab.goto(f"{name}.html" + ("?q=layer+norm" if name == "search" else ""))
        tab.wait_for_load_state("networkidle")
        shot = tab.screenshot(path=SHOTS / f"{name.replace('/', '-')}-{device}-{colours}.png")
        assert shot.startswith(b"\x89PNG")
        background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", background)[:3]))
        assert brightness > 600 if colours == "light" else brightness < 200
    context.close()
    assert len(list(Path(SHOTS).glob(f"*-{device}-{colours}.png"))) >= len(wanted_shots()) > 0
