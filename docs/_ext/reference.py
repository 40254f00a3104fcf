"""The API reference: a page per package, written by autodoc from our docstrings.

Names stand under the file that defines them, with links to the annotated source and to the chapters
that derive an operation.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from catalogue import PACKAGES, Catalogue, file_of, object_label, origin, page_label
from docstrings import to_rest
from sphinx.application import Sphinx


def write_pages(staging: Any, catalogue: Catalogue) -> None:
    """Write api/index.rst and a page for each package."""
    title = "API reference"
    index = [title, "=" * len(title), "", "Every public name, by package.", ""]
    index += [".. toctree::", "   :maxdepth: 1", ""]
    staging.write("api/index.rst", "\n".join([*index, *(f"   {p}" for p in PACKAGES), ""]))
    for package in PACKAGES:
        staging.write(f"api/{package}.rst", "\n".join(package_page(package, catalogue)))


def package_page(package: str, catalogue: Catalogue) -> list[str]:
    """A package: what it says of itself, then its names, file by file."""
    module = importlib.import_module(package)
    groups: dict[str, list[str]] = {}
    for name in sorted(module.__all__, key=lambda name: (name.casefold(), name)):
        thing = getattr(module, name)
        place = origin(thing)
        groups.setdefault(place[0] if place else file_of(package), []).append(name)
    out = [package, "=" * len(package), "", f".. automodule:: {package}", "   :no-members:", ""]
    for file in sorted(groups, key=lambda file: (file != file_of(package), file)):
        heading = file.removeprefix("minillm/").replace("/__init__.py", "")
        out += [heading, "-" * len(heading), "", ".. rst-class:: an-links", ""]
        links = [
            f"Annotated source: :ref:`{file} <{page_label(file)}>`",
            *_chapters(file, catalogue),
        ]
        out += [" · ".join(links), ""]
        for name in sorted(groups[file], key=_place_in(file, module, catalogue)):
            out += _entry(module, package, name)
    return out


def _chapters(file: str, catalogue: Catalogue) -> list[str]:
    """Where the book derives what the file computes."""
    found = {}
    for (place, _), formulas in catalogue.formulas.items():
        if place == file:
            for formula in formulas:
                found.setdefault(formula.chapter, f":ref:`{formula.chapter} <{formula.id}>`")
    return ["Derived in: " + ", ".join(found.values())] if found else []


def _place_in(
    file: str, module: ModuleType, catalogue: Catalogue
) -> Callable[[str], tuple[int, str]]:
    """Names in the order in which their file defines them."""
    order = {name: i for i, name in enumerate(catalogue.functions[file])}

    def place(name: str) -> tuple[int, str]:
        found = origin(getattr(module, name))
        return order.get(found[1] if found else "", len(order)), name

    return place


def _entry(module: ModuleType, package: str, name: str) -> list[str]:
    thing = getattr(module, name)
    if isinstance(thing, ModuleType):
        inner = [n for n, f in vars(thing).items() if origin(f) == (file_of(thing.__name__), n)]
        functions = [n for n in inner if not n.startswith("_")]
        lines = [f".. automodule:: {thing.__name__}", "   :no-members:", ""]
        for inside in functions:
            lines += [f".. autofunction:: {thing.__name__}.{inside}", ""]
        return lines
    kind = "class" if inspect.isclass(thing) else "function" if callable(thing) else "data"
    options = ["   :members:", "   :member-order: bysource"] if kind == "class" else []
    return [f".. auto{kind}:: {package}.{name}", *options, ""]


def render_docstring(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Put reStructuredText where autodoc has our docstring, and a link to the annotated source."""
    place = origin(thing)
    file = place[0] if place else file_of(_module_of(name))
    lines[:] = to_rest("\n".join(lines).strip(), app.catalogue.names(file))
    if place and what in ("class", "function"):
        label = object_label(*place)
        extra = [f":ref:`source <{label}>`"]
        for formula in app.catalogue.formulas.get(place, [])[:1]:
            extra += [f"derived in :ref:`{formula.chapter} <{formula.id}>`"]
        lines[:0] = [".. rst-class:: an-source", "", " · ".join(extra), ""]


def _module_of(name: str) -> str:
    """The module in which a dotted name stands."""
    while name not in sys.modules:
        name = name.rpartition(".")[0]
    return name


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the docstrings of our format with autodoc."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", render_docstring)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
