"""From a chapter's script to its cells: what `build.py` executes and what the tests compare.

A chapter is written once, in `source/NN_topic.py`, in jupytext's percent format.  Its cells carry:

    tags=["setup"]          imports and data; the notebook of answers gets them too
    tags=["check"]          asserts behind the sentences of the page: run, then left out of it
    library="module:names"  the body is inserted here, as it stands in the library
    alt="…"                 what the picture of this cell shows, for readers who do not see it
    picture="name"          and it is also written to docs/images/name.png, for the README
    exercise="name"         a text (with minutes=, teaches=, catches=), or the code with the answer
                            between "# BEGIN SOLUTION" and "# END SOLUTION"
    self_check="name"       what the answer must pass
    wrong="name"            a wrong answer that must not pass: run by the tests only

A line that ends in "# fast: VALUE" takes that value when the tests run the chapter.
"""

import ast
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jupytext
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

TOOLS = Path(__file__).resolve().parent
HERE = TOOLS.parent  # the folder of the notebooks
ROOT = HERE.parent
SOURCES = HERE / "source"
FAST = re.compile(r"^(?P<start>\s*\w+ = ).*?  # fast: (?P<value>.+)$", re.MULTILINE)
FAST_COMMENT = re.compile(r"  # fast: .+$", re.MULTILINE)
SOLUTION = re.compile(
    r"^(?P<indent> *)# BEGIN SOLUTION\n(?P<answer>.*?)^ *# END SOLUTION\n?",
    re.DOTALL | re.MULTILINE,
)
STUB = 'raise NotImplementedError("your code here: write it instead of this line")'
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py"},
}
FIRST_CELL = (TOOLS / "first_cell.py").read_text(encoding="utf-8").strip()


@dataclass
class Exercise:
    """One question: its text, where to write, what is right, what is not, and how to tell."""

    name: str
    text: str = ""
    code: str = ""
    self_check: str = ""
    wrong: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)  # minutes, teaches, catches

    @property
    def stub(self) -> str:
        """The code with a line that raises where the answer was."""
        return SOLUTION.sub(lambda found: f"{found['indent']}{STUB}\n", self.code + "\n").rstrip()

    @property
    def answer(self) -> str:
        """The code as it should be, without the markers."""
        return SOLUTION.sub(lambda found: found["answer"], self.code + "\n").rstrip()


@dataclass
class Chapter:
    """One script, read."""

    path: Path
    cells: list[Any]
    exercises: dict[str, Exercise]

    @property
    def name(self) -> str:
        """Number and topic, as in the file's name."""
        return self.path.stem

    @property
    def title(self) -> str:
        """The heading."""
        return self.cells[0].source.splitlines()[0].removeprefix("# ")

    @property
    def setup(self) -> str:
        """All setup cells, one after the other."""
        return "\n\n".join(cell.source for cell in self.cells if has_tag(cell, "setup"))


def chapter_paths() -> list[Path]:
    """All scripts, in the order of the book: numbers, then letters."""
    return sorted(SOURCES.glob("[0-9A-Z]*.py"))


def read_chapter(path: Path) -> Chapter:
    """Parse a script and collect its exercises.

    Raises   ValueError where an exercise lacks its text, code or check
    """
    cells = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent").cells
    exercises: dict[str, Exercise] = {}
    for cell in cells:
        cell.metadata.pop("lines_to_next_cell", None)
        for key in ("exercise", "self_check", "wrong"):
            if name := cell.metadata.get(key):
                _add(exercises.setdefault(name, Exercise(name)), key, cell)
    for exercise in exercises.values():
        for part in ("text", "code", "self_check"):
            if not getattr(exercise, part):
                raise ValueError(f"{path.name}: the exercise {exercise.name!r} has no {part}")
    return Chapter(path, cells, exercises)


def _add(exercise: Exercise, key: str, cell: Any) -> None:
    if key == "wrong":
        exercise.wrong.append(cell.source)
    elif key == "self_check":
        exercise.self_check = cell.source
    elif cell.cell_type == "markdown":
        exercise.text = cell.source
        exercise.details = {k: v for k, v in cell.metadata.items() if k != "exercise"}
    else:
        exercise.code = cell.source


def has_tag(cell: Any, tag: str) -> bool:
    """Does a cell carry this tag?"""
    return tag in cell.metadata.get("tags", [])


def chapter_notebook(chapter: Chapter, *, checks: bool, fast: bool = False) -> Any:
    """The notebook that readers open, not executed yet.

    checks   with the cells that assert what the page says
    fast     with the short values of "# fast:"
    """
    cells = [_markdown(chapter.cells[0]), _first_cell()]
    for cell in chapter.cells[1:]:
        meta = cell.metadata
        if meta.get("wrong") or (has_tag(cell, "check") and not checks):
            continue
        if cell.cell_type == "markdown":
            cells.append(_markdown(cell))
        elif spec := meta.get("library"):
            cells.append(_code(library_source(spec), library=spec))
        elif name := meta.get("exercise"):
            cells.append(_exercise_cell(chapter.exercises[name].stub, chapter, name, grade=False))
        elif name := meta.get("self_check"):
            cells.append(_exercise_cell(cell.source, chapter, name, grade=True))
        else:
            source = _speed(cell.source, fast)
            options = {"alt": meta.get("alt"), "picture": meta.get("picture")}
            cells.append(_code(source, tags=meta.get("tags", []), **options))
    return _notebook(cells)


def solutions_notebook(chapter: Chapter) -> Any:
    """The answers, with everything that is needed to run them, not executed yet."""
    intro = (
        f"# Answers to “{chapter.title}”\n\nTry each exercise of "
        f"[the chapter](../{chapter.name}.ipynb) first: its check tells you what is wrong, and its "
        "hints come one at a time."
    )
    cells = [new_markdown_cell(intro), _first_cell()]
    cells += [_code(cell.source) for cell in chapter.cells if has_tag(cell, "setup")]
    for exercise in chapter.exercises.values():
        cells.append(new_markdown_cell(exercise.text))
        cells += [_code(exercise.answer), _code(exercise.self_check)]
    return _notebook(cells)


def library_source(spec: str) -> str:
    """Functions, classes or constants of the library as a cell that runs by itself.

    spec   "minillm.ops.softmax:softmax_forward,softmax_backward"
    """
    module, _, names = spec.partition(":")
    wanted = [name.strip() for name in names.split(",")]
    path = ROOT / (module.replace(".", "/") + ".py")
    text = path.read_text(encoding="utf-8")
    defined: dict[str, ast.stmt] = {}
    imports: dict[str, tuple[str, str]] = {}
    for node in ast.parse(text).body:
        for name in _defined_names(node):
            defined[name] = node
        imports |= _import_lines(node, module)
    if unknown := [name for name in wanted if name not in defined]:
        raise ValueError(f"library={spec!r}: {path.name} does not define {', '.join(unknown)}")
    nodes = sorted({id(defined[n]): defined[n] for n in wanted}.values(), key=lambda n: n.lineno)
    used = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}
    origins = {imports[name] for name in used if name in imports}
    origins |= {(f"from {module} import ", name) for name in used & set(defined) - set(wanted)}
    heads = sorted({start for start, _ in origins})
    head = [_import_line(h, sorted(name for start, name in origins if start == h)) for h in heads]
    lines = text.splitlines()
    bodies = ["\n".join(lines[_start(node) - 1 : node.end_lineno]) for node in nodes]
    comment = f"# {path.relative_to(ROOT).as_posix()}: change it, and see below what breaks"
    return "\n".join([comment, *head, "", "\n\n\n".join(bodies)])


def _import_line(start: str, names: list[str]) -> str:
    """One line, or several within parentheses where it would be wide."""
    line = start + ", ".join(names)
    if len(line) <= 88:
        return line
    inside = textwrap.fill(", ".join(names) + ",", 84)
    return f"{start}(\n{textwrap.indent(inside, '    ')}\n)"


def _start(node: Any) -> int:
    """The first line of a definition, its decorators included."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def _defined_names(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and _is_stored(n)]
    return []


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _import_lines(node: ast.stmt, module: str) -> dict[str, tuple[str, str]]:
    """The absolute import of each name that a statement imports: ("from … import ", what)."""
    if isinstance(node, ast.Import):
        return {a.asname or a.name: ("import ", a.name + _as(a)) for a in node.names}
    if not isinstance(node, ast.ImportFrom):
        return {}
    package = module.split(".")[: -node.level] if node.level else []
    origin = ".".join([*package, *([node.module] if node.module else [])])
    return {a.asname or a.name: (f"from {origin} import ", a.name + _as(a)) for a in node.names}


def _as(alias: ast.alias) -> str:
    return f" as {alias.asname}" if alias.asname else ""


def _speed(source: str, fast: bool) -> str:
    if fast:
        source = FAST.sub(lambda found: found["start"] + found["value"], source)
    return FAST_COMMENT.sub("", source)


def _markdown(cell: Any) -> Any:
    return new_markdown_cell(cell.source)


def _first_cell() -> Any:
    """Folded up: its output is what matters."""
    folded = {"tags": ["first-cell", "hide-input"], "jupyter": {"source_hidden": True}}
    return new_code_cell(FIRST_CELL, metadata=folded)


def _code(source: str, *, tags: Any = (), alt: str | None = None, **ours: str | None) -> Any:
    """A code cell; `ours` are library and picture, for the tools of this folder."""
    metadata: dict[str, Any] = {"tags": list(tags)} if tags else {}
    if alt:
        metadata["mystnb"] = {"image": {"alt": alt}}
    if given := {key: value for key, value in ours.items() if value}:
        metadata["minillm"] = given
    return new_code_cell(source, metadata=metadata)


def _exercise_cell(source: str, chapter: Chapter, name: str, *, grade: bool) -> Any:
    """A cell that is left to the reader: "Run all" goes on past it, and nbgrader knows it."""
    part = "check" if grade else "answer"
    return new_code_cell(
        source,
        metadata={
            "tags": ["exercise", "skip-execution", "raises-exception"],
            "nbgrader": {
                "grade": grade,
                "grade_id": f"{chapter.name}-{name}-{part}",
                "locked": grade,
                "points": 1,
                "schema_version": 3,
                "solution": not grade,
                "task": False,
            }
            | ({} if grade else {"points": 0}),
        },
    )


def _notebook(cells: list[Any]) -> Any:
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:03d}"
    return new_notebook(cells=cells, metadata=METADATA)
