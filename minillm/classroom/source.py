"""Running a student's file or notebook, and finding its `*_forward`/`*_backward` pairs.

This runs foreign code: only worker.py calls it, in a process of its own.
"""

import json
import linecache
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODULE = "submission"  # the __name__ under which the file runs, so that no __main__ part runs
TIMED = ("%%time", "%%timeit", "%%capture")  # cell magics whose cells are still Python
SKIPPED_TAG = "self-check"  # cells of an assignment that the grader runs by itself


@dataclass
class Loaded:
    """What is left after running a file.

    problems     (status, sentence) of everything that went wrong
    assignment   the metadata of an assignment notebook, or an empty dict
    """

    namespace: dict[str, Any]
    problems: list[tuple[str, str]] = field(default_factory=list)
    assignment: dict[str, Any] = field(default_factory=dict)


def load(path: Path) -> Loaded:
    """Run a .py file, or all code cells of an .ipynb, in one fresh namespace.

    A cell that raises does not stop the cells after it; a file that raises keeps what it defined.
    """
    module = types.ModuleType(MODULE)
    module.__file__ = str(path)
    module.__dict__["display"] = lambda *things: None  # what a notebook has without an import
    sys.modules[MODULE] = module
    loaded = Loaded(module.__dict__)
    if path.suffix == ".ipynb":
        try:
            cells = list(_code_cells(path, loaded))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            loaded.problems.append(("syntax error", f"it is no Jupyter notebook: {error}"))
            return loaded
        for number, code in cells:
            _run(code, f"cell {number} of {path.name}", loaded)
    else:
        _run(path.read_bytes(), path.name, loaded)
    return loaded


def _code_cells(path: Path, loaded: Loaded) -> Iterator[tuple[int, str]]:
    """(number, code) of each cell to run; the number counts all cells from 1."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assignment = notebook.get("metadata", {}).get("minillm", {})
    loaded.assignment = assignment if isinstance(assignment, dict) else {}
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "code" or SKIPPED_TAG in cell.get("metadata", {}).get("tags", ()):
            continue
        source = cell["source"]
        code = without_magics(source if isinstance(source, str) else "".join(source))
        if code.strip():
            yield number, code


def without_magics(source: str) -> str:
    r"""The Python of a cell: lines that begin with % or ! or end with ? are left out.

    >>> print(without_magics("%matplotlib inline\nx = 1"))
    pass
    x = 1
    """
    lines = source.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and not first.startswith(TIMED):
        return ""
    kept = []
    for line in lines:
        code = line.strip()
        magic = code.startswith(("%", "!", "?")) or (code.endswith("?") and "#" not in code)
        indent = line[: len(line) - len(line.lstrip())]
        kept.append(f"{indent}pass" if magic else line)  # as many lines as before
    return "\n".join(kept)


def _run(code: "str | bytes", name: str, loaded: Loaded) -> None:
    """Compile and run one piece of code; what it raises becomes a problem with its line."""
    where = f"in {name}, " if name.startswith("cell") else ""
    text = code.decode("utf-8", "replace") if isinstance(code, bytes) else code
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    try:
        compiled = compile(code, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        place = f"line {line}: " if line else ""
        loaded.problems.append(("syntax error", f"{where}{place}{message}"))
        return
    try:
        exec(compiled, loaded.namespace)
    except (SystemExit, KeyboardInterrupt) as error:
        loaded.problems.append(("exited", f"{where}{_line(error, name)}{_name(error)} was raised"))
    except MemoryError as error:
        sentence = f"{where}{_line(error, name)}more memory than allowed was asked for"
        loaded.problems.append(("memory limit", sentence))
    except BaseException as error:  # foreign code may raise anything
        sentence = f"{where}{_line(error, name)}{_name(error)}: {error}"
        loaded.problems.append(("import error", sentence[:500]))


def _name(error: BaseException) -> str:
    return type(error).__name__


def _line(error: BaseException, name: str) -> str:
    """line N: of the last place in the student's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == name]
    return f"line {lines[-1]}: " if lines else ""


def find_pairs(namespace: dict[str, Any]) -> dict[str, tuple[Callable | None, Callable | None]]:
    """(forward, backward) by name, in the order of definition; None where a half is missing.

    Functions that were imported from minillm are not the student's and do not count.
    """
    halves: dict[str, dict[str, Callable]] = {}
    for key, value in list(namespace.items()):
        for half in ("forward", "backward"):
            name = key.removesuffix(f"_{half}")
            if name == key or not name or key.startswith("_") or not callable(value):
                continue
            if not str(getattr(value, "__module__", "")).startswith("minillm"):
                halves.setdefault(name, {})[half] = value
    return {name: (h.get("forward"), h.get("backward")) for name, h in halves.items()}
