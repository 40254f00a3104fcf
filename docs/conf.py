"""Sphinx configuration; `python docs/build.py` stages what it reads and calls it."""

import sys
import zlib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = ROOT / "build" / "docs"
sys.path[:0] = [str(DOCS / "_ext"), str(ROOT)]

from catalogue import Catalogue  # noqa: E402
from staging import Staging  # noqa: E402

import minillm  # noqa: E402

project = "minillm"
author = copyright = "the minillm authors, MIT licence"
release = version = minillm.__version__
extensions = ["myst_nb", "sphinxcontrib.katex", "sphinx_copybutton", "annotated", "reference"]
html_theme = "sphinx_book_theme"
html_title = "minillm"
html_static_path = [str(DOCS / "_static"), str(BUILD / "static")]
html_favicon = str(DOCS / "_static" / "nabla.svg")
html_css_files = ["minillm.css"]
html_js_files = ["minillm.js"]
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_sidebars = {"**": ["navbar-logo.html", "search-button-field.html", "sbt-sidebar-nav.html"]}
html_theme_options = {
    "collapse_navbar": True,  # only the open branch: there are hundreds of pages
    "navigation_depth": 4,
    "navbar_persistent": [],
    "footer_content_items": ["copyright.html"],
    "use_download_button": False,
    "use_fullscreen_button": False,
    "search_bar_text": "Search the book",
    "secondary_sidebar_items": {
        **{pages: ["page-toc.html"] for pages in ("*", "notebooks/**", "api/*")},
        **{pages: [] for pages in ("source/**", "rosetta", "for-instructors")},  # wide
    },
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
suppress_warnings = ["mystnb.unknown_mime_type"]

# Chapters come executed, and need nothing from the network to be shown.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "html_image"]
myst_dmath_double_inline = True
myst_heading_anchors = 3

# Formulas are rendered while building: pages need KaTeX's style and fonts, but no JavaScript.
katex_prerender = True
katex_css_path = "katex/katex.min.css"

copybutton_selector = "div:not(.an-code) > div > div.highlight > pre"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
smartquotes = False  # "(..., C)" means three dots
gettext_compact = False


formulas = Staging(ROOT, BUILD / "source").formulas()
made_by = [path.read_bytes() for path in sorted((DOCS / "_ext").glob("*.py"))]
site_state = zlib.crc32(
    b"".join(made_by) + repr(formulas).encode()
)  # when it changes, all pages do


def setup(app):
    """Hand the names of the library to the extensions."""
    app.add_config_value("site_state", 0, "env")
    app.catalogue = Catalogue(ROOT, formulas)
