"""The annotated source: one page per file of minillm, prose on the left, code on the right.

sphinx.ext.viewcode shows a file as one highlighted block, docstrings and all: its formulas and
comments stay grey monospace text inside the code, there are no links from "by (1)" to result (1), its
pages are not searched, and no formula can be rendered beside the line that computes it.

A file is turned into reStructuredText (`Page`), which Sphinx reads like any other page.  Prose is what
docstrings and comments of whole lines say; a new row begins where a comment follows code.  Every
function and class is a section whose id is its name, `#layer_norm_forward`, every method
`#Adam.step`, every numbered result `#result-1`.
"""

import ast
import io
import re
import tokenize
from pathlib import PurePosixPath
from typing import Any

from catalogue import ORDER, Catalogue, object_label, page_label, result_label, words_of
from docstrings import RESULT, paragraph, to_rest
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.parsers import RSTParser
from sphinx.util.docutils import SphinxDirective

FORWARD = re.compile(r"forward: +(?P<formula>.*?\S)(?: {2,}(?P<source>\S.*))?")
LAID_OUT = re.compile(r"[^\s.:;?!] {2,}\S")  # columns, not the two spaces after a sentence
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Row:
    """Prose and the code that it is about."""

    def __init__(self) -> None:
        self.prose: list[str] = []
        self.code: list[str] = []

    def rest(self, *classes: str) -> list[str]:
        """The row as nested containers; nothing if it is empty."""
        code = "\n".join(self.code).strip("\n")
        columns = [("an-prose", self.prose)] if self.prose else []
        if code.strip():
            margin = len(code) - len(code.lstrip(" "))
            block = [".. source-code::", f"   :margin: {margin}", ""]
            block += ["   " + line for line in code.split("\n")]
            columns += [("an-code", block)]
        out = [f".. container:: {' '.join(['an-row', *classes])}", ""] if columns else []
        for name, lines in columns:
            out += [f"   .. container:: {name}", "", *("      " + line for line in lines), ""]
        return out


class Page:
    """One file of the library as reStructuredText."""

    def __init__(self, file: str, source: str, catalogue: Catalogue) -> None:
        self.file, self.catalogue = file, catalogue
        self.names = catalogue.names(file)
        self.lines = source.splitlines()
        self.tree = ast.parse(source)
        self.starts: dict[int, tuple[str, int]] = {}  # line -> name and depth of a section
        self.docstrings: dict[int, tuple[int, str, str]] = {}  # first line -> last, text, of what
        self._find(self.tree, "", 1)
        self.comments = comment_blocks(source)
        self.sections: list[str] = []
        self.out: list[str] = []
        self.row = Row()

    def _find(self, parent: Any, prefix: str, depth: int) -> None:
        """Note where definitions begin and where docstrings stand."""
        if isinstance(parent, (ast.Module, *DEFINITIONS)) and (text := ast.get_docstring(parent)):
            first = parent.body[0]
            self.docstrings[first.lineno] = (first.end_lineno or 0, text, prefix.rstrip("."))
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, DEFINITIONS):
                name = f"{prefix}{node.name}"
                if depth == 1 or (depth == 2 and isinstance(parent, ast.ClassDef)):
                    first_line = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                    self.starts[first_line] = (name, depth)
                self._find(node, f"{name}.", depth + 1)
            elif isinstance(node, ast.stmt):
                self._find(node, prefix, depth)

    def rest(self) -> str:
        """The whole page."""
        self._head()
        number = 1
        after_imports = max(
            [node.end_lineno or 0 for node in self.tree.body if is_import(node)], default=0
        )
        while number <= len(self.lines):
            if number == after_imports + 1:
                self._flush("an-module")
            if number in self.starts:
                self._section(*self.starts[number])
            if number in self.docstrings:
                number = self._docstring(number)
            elif number in self.comments:
                number = self._comment(number)
            else:
                self.row.code.append(self.lines[number - 1])
                number += 1
        self._flush()
        return "\n".join(self.out)

    def _head(self) -> None:
        path = PurePosixPath(self.file)
        package = path.name == "__init__.py"
        title = f"{path.parent.name}/" if package else path.name
        title = "Annotated source: minillm/" if self.file == "minillm/__init__.py" else title
        functions = self.catalogue.functions[self.file]
        self.out += [
            ".. meta::",
            f"   :keywords: {' '.join(words_of([path.stem, *functions]))}",
            "",
        ]
        self.out += [title, "=" * len(title), "", ".. rst-class:: an-path", ""]
        folders = [*reversed(path.parents)][1:-1] if package else [*reversed(path.parents)][1:]
        crumbs = [f":ref:`{f.name} <{page_label(f'{f}/__init__.py')}>`" for f in folders]
        self.out += [" / ".join([*crumbs, f"**{path.parent.name if package else path.name}**"]), ""]
        if package:
            self._folder()

    def _folder(self) -> None:
        """What is in the folder of an __init__.py: a line for each file and folder."""
        folder = PurePosixPath(self.file).parent
        entries = self._neighbours()
        self.out += [".. toctree::", "   :hidden:", "", *(f"   {e}" for e in entries), ""]
        self.out += [".. rst-class:: an-folder", ""]
        for entry in entries:
            file = f"{folder}/{entry.replace('/index', '/__init__')}.py"
            name = entry.replace("/index", "/") if "/" in entry else f"{entry}.py"
            summary = paragraph(self.catalogue.summaries[file], self.names)
            self.out += [f":ref:`{name} <{page_label(file)}>`", f"   {summary}"]
        self.out += [""]

    def _neighbours(self) -> list[str]:
        """Files and folders beside an __init__.py, in reading order."""
        folder = PurePosixPath(self.file).parent
        paths = [PurePosixPath(file) for file in self.catalogue.files]
        inside = [path.relative_to(folder) for path in paths if folder in path.parents]
        names = {p.parts[0].removesuffix(".py"): len(p.parts) > 1 for p in inside}
        del names["__init__"]
        place = {name: i for i, name in enumerate(ORDER)} if str(folder) == "minillm" else {}
        ordered = sorted(names, key=lambda name: (place.get(name, len(ORDER)), name))
        return [f"{name}/index" if names[name] else name for name in ordered]

    def _section(self, name: str, depth: int) -> None:
        self._flush()
        self.sections.append(name)
        title = f"``{name}``"
        self.out += [title, ("-" if depth == 1 else "~") * len(title), ""]
        public = self.catalogue.public.get((self.file, name), [])
        links = [f":py:obj:`{full} <{full}>`" for full in public]
        if links:
            self.row.prose += [".. rst-class:: an-links", "", "API: " + ", ".join(links), ""]

    def _docstring(self, number: int) -> int:
        last, text, owner = self.docstrings[number]
        if owner and owner != self.sections[-1]:  # of a function inside a function
            self._flush()
        self.row.prose += to_rest(text, self.names, anchors=not owner)
        self._formulas(owner)
        while last < len(self.lines) and not self.lines[last].strip():
            last += 1
        return last + 1

    def _formulas(self, owner: str) -> None:
        """The same formulas as the book renders them."""
        for formula in self.catalogue.formulas.get((self.file, owner), []):
            self.row.prose += [".. container:: an-formula", "", "   .. math::", ""]
            self.row.prose += [
                "      " + line for line in formula.latex.splitlines() if line.strip()
            ]
            self.row.prose += ["", f"   :ref:`{formula.chapter} <{formula.id}>`", ""]

    def _comment(self, number: int) -> int:
        last = self.comments[number]
        if last + 1 in self.starts:  # it introduces the definition below
            self._section(*self.starts.pop(last + 1))
        elif any(line.strip() for line in self.row.code):
            self._flush()
        texts = [line.strip()[1:].removeprefix(" ") for line in self.lines[number - 1 : last]]
        self.row.prose += [*self._comment_prose(texts), ""]
        return last + 1

    def _comment_prose(self, texts: list[str]) -> list[str]:
        quoted = FORWARD.fullmatch(texts[0])
        if quoted and len(texts) == 1:
            formula = paragraph(f"forward: `{quoted['formula']}`", self.names)
            return [formula + paragraph(f" {quoted['source'] or ''}", self.names)]
        if any(LAID_OUT.search(text) for text in texts):
            return [".. plain-math::", "", *("   " + text for text in texts)]
        return [paragraph(" ".join(texts), self.names)]

    def _flush(self, *classes: str) -> None:
        self.out += self.row.rest(*classes)
        self.row = Row()


def is_import(node: ast.stmt) -> bool:
    """Does a statement only bring names in?"""
    return isinstance(node, (ast.Import, ast.ImportFrom))


def comment_blocks(source: str) -> dict[int, int]:
    """First line -> last line of the comments that fill their lines, outside of brackets."""
    found: dict[int, int] = {}
    depth, start, last = 0, 0, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        line = token.start[0]
        if token.type == tokenize.COMMENT and not depth and token.line.lstrip().startswith("#"):
            start = start if line == last + 1 else line
            found[start], last = line, line
    return found


class PlainMath(SphinxDirective):
    """Formulas in plain text; the numbers of results are links, or their targets."""

    has_content = True
    option_spec = {"anchors": directives.flag}  # noqa: RUF012 - docutils wants a plain dict

    def run(self) -> list[nodes.Node]:
        """One preformatted block."""
        # A raw source that differs from the text: Sphinx then highlights nothing and keeps the ids.
        block = nodes.literal_block("plain text", classes=["plain-math"])
        for line in self.content:
            match = RESULT.fullmatch(line)
            if match and "anchors" in self.options:
                block += nodes.Text(line[: match.end("formula")])
                gap = line[match.end("formula") : match.start("number") - 1]
                block += nodes.inline("", gap)
                target = f"result-{match['number']}"
                block += nodes.inline("", f"({match['number']})", ids=[target], classes=["result"])
                block += nodes.Text("\n")
            else:
                block += nodes.Text(line + "\n")
        return [block]


class SourceCode(SphinxDirective):
    """Lines of code that keep their place in the function: code-block would move them to the left."""

    has_content = True
    option_spec = {"margin": directives.nonnegative_int}  # noqa: RUF012 - docutils wants a plain dict

    def run(self) -> list[nodes.Node]:
        """One highlighted block."""
        lines = list(self.content)
        shift = self.options["margin"] - (len(lines[0]) - len(lines[0].lstrip()))
        text = "\n".join(" " * shift + line if line.strip() else "" for line in lines)
        return [nodes.literal_block(text, text, language="python")]


class SourceParser(RSTParser):
    """Reads a file of the library: Python in, a page out."""

    supported = ("annotated",)

    def parse(self, inputstring: Any, document: nodes.document) -> None:
        """Parse as reStructuredText, then give sections and results the ids that links expect."""
        env = document.settings.env
        file = env.docname.removeprefix("source/") + ".py"
        file = file if file in env.app.catalogue.files else file.replace("index.py", "__init__.py")
        page = Page(file, str(inputstring), env.app.catalogue)
        super().parse(page.rest(), document)
        std = env.get_domain("std")

        def note(label: str, anchor: str, title: str) -> None:
            std.note_hyperlink_target(label, env.docname, anchor, title)

        title, *sections = document.findall(nodes.section)
        note(page_label(file), "", title.astext())
        for section, name in zip(sections, page.sections, strict=True):
            section["ids"] = [name]
            note(object_label(file, name), name, name)
        for number in env.app.catalogue.results[file]:
            note(result_label(file, number), f"result-{number}", f"({number})")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the parser for files that end in .py."""
    app.add_directive("plain-math", PlainMath)
    app.add_directive("source-code", SourceCode)
    app.add_source_suffix(".py", "annotated")
    app.add_source_parser(SourceParser)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
