"""The built site on a server of this machine, and one visit of every page in a real browser."""

import functools
import http.server
import shutil
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HTML = ROOT / "build" / "docs" / "html"
SHOTS = ROOT / "build" / "docs" / "screenshots"
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

LOOK = """async () => {
  await Promise.all([...document.images].map(
    i => i.complete || new Promise(done => { i.onload = i.onerror = done; })));
  const article = document.querySelector("article") || document.body;
  const text = article.cloneNode(true);
  text.querySelectorAll("pre, code, .katex, script, style").forEach(e => e.remove());
  const all = (selector, key) => [...document.querySelectorAll(selector)].map(e => e[key]);
  return {
    title: document.title,
    ids: all("[id]", "id"),
    links: all("a[href]", "href"),
    resources: [...all("[src]", "src"), ...all("link[href]", "href")],
    broken: [...document.images].filter(i => !i.naturalWidth).map(i => i.src.slice(0, 80)),
    nameless: [...article.querySelectorAll("img")].filter(i => !i.alt.trim()).map(i => i.src),
    unrendered: text.textContent.match(
      /\\$\\$|\\\\(frac|sum|sqrt|begin|partial|hat|text)\\b|^\\$\\S.*\\$$/gm),
    katexErrors: all(".katex-error", "textContent"),
    formulas: document.querySelectorAll(".katex").length,
  };
}"""
WIDTH = """() => {
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  if (wide <= 1) return [0, ""];
  const culprit = [...document.querySelectorAll("article *")].filter(e => {
    if (e.getBoundingClientRect().right <= window.innerWidth + 1) return false;
    for (let p = e.parentElement; p && p.tagName !== "ARTICLE"; p = p.parentElement)
      if (getComputedStyle(p).overflowX !== "visible") return false;
    return true;
  });
  return [wide, culprit.length ? culprit.at(-1).outerHTML.slice(0, 120) : ""];
}"""


CLIPPED = """() => [...document.querySelectorAll("div.math")].filter(box => {
  const formula = box.querySelector(".katex-html");
  return formula && formula.getBoundingClientRect().left < box.getBoundingClientRect().left - 1;
}).map(box => box.textContent.slice(0, 60))"""


@dataclass
class Visit:
    """What the browser saw of a page."""

    seen: dict
    overflow: tuple = (0, "")
    clipped: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    requests: list = field(default_factory=list)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing; styles and scripts are asked for once, not by every page."""

    protocol_version = "HTTP/1.1"

    def end_headers(self):
        """Let the browser keep what it has."""
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def log_message(self, *arguments):
        """Leave the terminal to pytest."""


@pytest.fixture(scope="session")
def site():
    """The address of the site."""
    assert (HTML / "index.html").exists(), "the site is not built: make docs"
    handler = functools.partial(QuietHandler, directory=str(HTML))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, the one that is installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    program = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None:
        pytest.skip("no Chromium here: sudo apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, site):
    """A fresh tab of desktop size."""
    context = browser.new_context(viewport=DESKTOP, base_url=site)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def pages():
    """Every page of the site, as paths relative to its root."""
    names = (path.relative_to(HTML).as_posix() for path in HTML.rglob("*.html"))
    return sorted(
        name for name in names if not name.startswith("_static/")
    )  # the theme's templates


@pytest.fixture(scope="session")
def visits(browser, site, pages):
    """Every page, opened once: at desktop width, then narrowed to a phone's."""
    context = browser.new_context(viewport=DESKTOP, base_url=site)
    tab = context.new_page()
    now = Visit({})
    tab.on("console", lambda said: said.type == "error" and now.errors.append(said.text))
    tab.on("pageerror", lambda error: now.errors.append(str(error)))
    tab.on("request", lambda request: now.requests.append(request.url))
    tab.on("requestfailed", lambda request: now.errors.append(f"not loaded: {request.url}"))
    found = {}
    for name in pages:
        now = Visit({})
        tab.set_viewport_size(DESKTOP)
        tab.goto(name, wait_until="load")
        now.seen = tab.evaluate(LOOK)
        tab.set_viewport_size(PHONE)
        now.overflow = tuple(tab.evaluate(WIDTH))
        now.clipped = tab.evaluate(CLIPPED)
        found[name] = now
    context.close()
    return found
