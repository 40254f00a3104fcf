"""The folder that Sphinx reads: the repository's pages, chapters and sources under one roof.

Pages are written for readers of the repository: `[softmax](../minillm/ops/softmax.py)` works there.
On the site the same link must lead to the annotated source, so everything is copied into
build/docs/source with its links turned, files that have not changed keep their time stamps, and a page
that exists joins the table of contents.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

PARTS = [  # headings of the table of contents, each with the numbers of its chapters
    ("Start", ["00"]),
    ("Arrays and gradients", ["01", "02", "03"]),
    ("First language models", ["04", "05", "06", "07", "08"]),
    ("Sequences and attention", ["09", "10", "11", "12"]),
    ("Language models", ["13", "14", "15", "16", "17", "18", "19", "20"]),
    ("Fine-tuning", ["21", "22", "23", "24"]),
    ("Appendices", ["A", "B"]),
]
PAGES = [  # headings, each with pages of docs/ in this order; what is not named here goes last
    ("Beside the book", ["notation", "glossary", "rosetta", "articles", "coverage", "cuda"]),
    ("Figures", ["tasks", "benchmarks", "speed", "memory", "cluster", "gradient-checkers"]),
    ("Teaching and taking part", ["for-instructors", "contributing", "readme.zh-CN"]),
]
TITLES = {"readme.zh-CN": "中文 <readme.zh-CN>"}  # where the page's own does not say enough
MOVED = {"CONTRIBUTING.md": "contributing.md", "README.zh-CN.md": "readme.zh-CN.md"}
ANCHOR = re.compile(r'^(?P<margin>[ >]*)<a id="(?P<id>[\w.-]+)"></a>[ \t]*$', re.MULTILINE)
FORMULA = re.compile(r'<a id="(?P<id>formula-[\w-]+)"></a>[\s>]*\$\$(?P<latex>.*?)\$\$', re.DOTALL)
PIECE = re.compile(  # what is code stays as it is, unless it is the text of a link
    r"^ *(?P<fence>```+|~~~+)[^\n]*\n.*?^ *(?P=fence) *$"
    r"|(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<to>[^()\s]+)\)"
    r"|(?P<ticks>`+)[^`].*?(?P=ticks)",
    re.MULTILINE | re.DOTALL,
)
PLANNED = re.compile(r"notebooks/(?:solutions/)?(?:[0-9]{2}|[A-Z])_\w+\.ipynb")
IMAGES = {".png", ".svg", ".jpg", ".jpeg", ".gif"}


@dataclass
class Formula:
    """A displayed formula of a chapter that the code implements."""

    id: str
    latex: str
    chapter: str  # the title of its page


class Staging:
    """Copies the repository at `root` into `target`, ready for Sphinx."""

    def __init__(self, root: Path, target: Path) -> None:
        self.root, self.target = root, target
        self.written: set[Path] = set()
        self.chapters = sorted((root / "notebooks").glob("[0-9A-Z]*_*.ipynb"))
        self.answers = sorted((root / "notebooks" / "solutions").glob("[0-9A-Z]*_*.ipynb"))
        self.moved = self._moved_files()

    def _moved_files(self) -> dict[str, str]:
        """Each file of the repository that has a page -> where its page is written."""
        moved = {old: new for old, new in MOVED.items() if (self.root / old).exists()}
        moved["README.md"] = moved["notebooks/README.md"] = "index.md"
        for path in (self.root / "docs").glob("*.md"):
            moved[f"docs/{path.name}"] = path.name
        for path in [*self.chapters, *self.answers]:
            moved[path.relative_to(self.root).as_posix()] = f"notebooks/{self._under(path)}"
            moved[f"notebooks/source/{path.stem}.py"] = f"notebooks/{path.name}"
        for path in (self.root / "minillm").rglob("*.py"):
            name = path.relative_to(self.root).as_posix()
            moved[name] = "source/" + name.replace("__init__.py", "index.py")
            if path.name == "__init__.py":
                moved[str(PurePosixPath(name).parent)] = moved[name]
        return moved

    def _under(self, notebook: Path) -> str:
        return notebook.relative_to(self.root / "notebooks").as_posix()

    def run(self) -> None:
        """Write everything, and remove what an earlier run left behind."""
        for old, new in self.moved.items():
            path = self.root / old
            if new.endswith(".md") and path.name != "README.md":
                text = self.turn_links(path.read_text(encoding="utf-8"), old, new)
                end = "\n" + "\n".join(self.contents()) if new == "index.md" else ""
                self.write(new, text + end)
            elif new.endswith(".ipynb") and path.suffix == ".ipynb":
                self.write(new, self.notebook(path, new))
            elif new.startswith("source/") and path.is_file():
                self.write(new, path.read_text(encoding="utf-8"))

        if self.answers:
            entries = [path.stem for path in self.answers]
            text = "# Answers\n\nTo the exercises of each chapter. Try them first.\n\n"
            self.write("notebooks/solutions/index.md", text + "\n".join(toctree("", entries)))

    def clean(self) -> None:
        """Remove pages that are no longer written."""
        for path in self.target.rglob("*"):
            if path.is_file() and path not in self.written:
                path.unlink()

    def write(self, name: str, text: str) -> None:
        """Write a page, unless it stands there already."""
        path = self.target / name
        self.written.add(path)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    # ---- the table of contents -------------------------------------------------------------------

    def contents(self) -> list[str]:
        """The toctrees of the first page, one for each part that has a page."""
        chapters = {path.name.split("_")[0]: path.stem for path in self.chapters}
        pages = {Path(new).stem for new in self.moved.values() if re.fullmatch(r"[\w.-]+\.md", new)}
        pages -= {"index"}
        lines: list[str] = []
        for heading, numbers in PARTS:
            here = [chapters.pop(number) for number in numbers if number in chapters]
            lines += toctree(heading, [f"notebooks/{name}" for name in here])
        lines += toctree("More chapters", [f"notebooks/{name}" for name in chapters.values()])
        answers = ["notebooks/solutions/index"] if self.answers else []
        lines += toctree("Look up", ["source/minillm/index", "api/index", *answers])
        named = {name for _, names in PAGES for name in names}
        for heading, names in PAGES:
            lines += toctree(heading, [TITLES.get(name, name) for name in names if name in pages])
        return lines + toctree("More pages", sorted(pages - named))

    def formulas(self) -> list[Formula]:
        """The formulas of all chapters that carry an id."""
        found = []
        for path in self.chapters:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            texts = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
            title = texts[0].strip().splitlines()[0].lstrip("# ") if texts else path.stem
            for match in FORMULA.finditer("\n".join(texts)):
                latex = re.sub(r"^[ >]+", "", match["latex"], flags=re.MULTILINE).strip()
                found.append(Formula(match["id"], latex, title))
        return found

    # ---- links -----------------------------------------------------------------------------------

    def turn_links(self, text: str, old: str, new: str, anchors: Iterable[str] = ()) -> str:
        """Markdown with its links as they must be on the site; code is left alone.

        anchors   ids of `<a id="...">` elsewhere on the same page
        """
        own = {*anchors, *(match["id"] for match in ANCHOR.finditer(text))}

        def turned(match: re.Match[str]) -> str:
            return self._turned(match, old, new, own) if match["to"] else match[0]

        return ANCHOR.sub(_label, PIECE.sub(turned, text))

    def _turned(self, match: re.Match[str], old: str, new: str, own: set[str]) -> str:
        to, words = match["to"], match["text"]
        if re.match(r"\w+:|//", to):
            return match[0]
        path, _, anchor = to.partition("#")
        if not path:
            inside = anchor in own and not anchor.startswith("formula-")
            return f'<a href="#{anchor}">{words}</a>' if inside else match[0]
        goal = os.path.normpath(PurePosixPath(old).parent / path).replace(os.sep, "/")
        if goal in self.moved:
            if anchor.startswith("formula-"):
                return f"[{words}](#{anchor})"
            keep = f"#{anchor}" if anchor and not re.fullmatch(r"L\d+.*", anchor) else ""
            return f"[{words}]({_relative(self.moved[goal], new)}{keep})"
        if match["image"] and (self.root / goal).suffix in IMAGES and (self.root / goal).exists():
            return f"![{words}]({self._copy_image(goal, new)})"
        planned = PLANNED.fullmatch(goal) or goal in {f"docs/{n}.md" for _, ns in PAGES for n in ns}
        if (self.root / goal).exists() or planned:
            return words  # a file without a page, or a page that is not there yet
        return match[0]  # Sphinx will say that it leads nowhere

    def _copy_image(self, goal: str, new: str) -> str:
        path = self.target / "images" / goal
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.root / goal, path)
        self.written.add(path)
        return _relative(f"images/{goal}", new)

    # ---- chapters --------------------------------------------------------------------------------

    def notebook(self, path: Path, new: str) -> str:
        """A chapter as JSON: its links turned, the cell that looks for the kernel left out."""
        old = path.relative_to(self.root).as_posix()
        notebook = json.loads(path.read_text(encoding="utf-8"))
        text = "\n".join("".join(c["source"]) for c in notebook["cells"])
        anchors = [match["id"] for match in ANCHOR.finditer(text)]
        cells = []
        for cell in notebook["cells"]:
            tags = cell["metadata"].get("tags", [])
            if "first-cell" in tags:
                continue
            if cell["cell_type"] == "markdown":
                cell["source"] = self.turn_links("".join(cell["source"]), old, new, anchors)
                if path in self.answers:  # its exercises stand right below the title here
                    cell["source"] = re.sub(
                        r"^###(?=#* )", "##", cell["source"], flags=re.MULTILINE
                    )
            elif spec := cell["metadata"].get("minillm", {}).get("library"):
                cells.append(self._origin(spec, new))
            if "exercise" in tags:
                cell["metadata"]["tags"] = [*tags, "answer" if _is_stub(cell) else "self-check"]
            cells.append(cell)
        notebook["cells"] = cells
        return json.dumps(notebook, ensure_ascii=False, indent=1)

    def _origin(self, spec: str, new: str) -> dict[str, Any]:
        """A line above a cell that the library lent: where its code stands."""
        module, _, names = spec.partition(":")
        path = module.replace(".", "/") + ".py"
        text = f"The library's own code, from [{path}]({_relative(f'source/{path}', new)}):"
        return {"cell_type": "markdown", "metadata": {}, "source": text, "id": f"of-{names[:40]}"}


def _relative(path: str, page: str) -> str:
    """The link from one page to another."""
    return os.path.relpath(path, PurePosixPath(page).parent).replace(os.sep, "/")


def _is_stub(cell: dict[str, Any]) -> bool:
    return not cell["metadata"].get("nbgrader", {}).get("grade", False)


def _label(match: re.Match[str]) -> str:
    """A formula's anchor as a label that the whole site knows; other anchors stay HTML.

    The blank line lets a displayed formula begin: without one it would belong to the paragraph.
    """
    if match["id"].startswith("formula-"):
        return f"{match['margin']}({match['id']})=\n{match['margin'].rstrip()}"
    return f"{match[0]}\n{match['margin'].rstrip()}"


def toctree(heading: str, entries: list[str]) -> list[str]:
    """A table of contents for the margin, or without a heading for the page itself."""
    if not entries:
        return []
    options = [":hidden:", f":caption: {heading}"] if heading else [":maxdepth: 1"]
    return ["```{toctree}", *options, "", *entries, "```", ""]
