"""What there is to link: files, functions, numbered results, public names, formulas of chapters."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from docstrings import Names, numbered_results
from staging import Formula

PACKAGES = [
    "minillm", "minillm.kernels", "minillm.ops", "minillm.functional", "minillm.gradcheck",
    "minillm.nn", "minillm.optim", "minillm.tokenizers", "minillm.data", "minillm.generation",
    "minillm.models", "minillm.cluster", "minillm.training", "minillm.finetuning", "minillm.viz",
    "minillm.classroom", "minillm.tasks",
]  # fmt: skip

ORDER = [  # of the first level: what stands below may import what stands above
    "version", "allocator", "backend", "files", "terminal", "arguments", "kernels", "ops",
    "operation", "debugging", "graph", "autograd", "recompute", "functional", "viz", "gradcheck",
    "classroom", "nn", "optim", "tokenizers", "data", "generation", "models", "cluster", "training",
    "finetuning", "tasks", "cli",
]  # fmt: skip

DERIVED = [  # folders whose files chapters derive; of two files with one name the first is meant
    "ops", "nn", "optim", "models", "generation", "training", "finetuning", "tokenizers", "data",
]  # fmt: skip


class Catalogue:
    """The names of the library in `root`/minillm, and the labels of their places on the site."""

    def __init__(self, root: Path, formulas: Iterable[Formula] = ()) -> None:
        paths = sorted((root / "minillm").rglob("*.py"))
        self.files = [path.relative_to(root).as_posix() for path in paths]
        self.results: dict[str, list[str]] = {}
        self.summaries: dict[str, str] = {}  # the first sentence of each file
        self.functions: dict[str, list[str]] = {}  # file -> functions and classes at its top
        for path, name in zip(paths, self.files, strict=True):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            text = ast.get_docstring(tree) or ""
            self.results[name] = numbered_results(text)
            self.summaries[name] = re.split(r"(?<=\.)\s|\n\n", text)[0].replace("\n", " ")
            kinds = (ast.FunctionDef, ast.ClassDef)
            self.functions[name] = [node.name for node in tree.body if isinstance(node, kinds)]
        self.public = self._public_names()
        self.formulas: dict[tuple[str, str], list[Formula]] = {}
        for formula in formulas:
            if place := self.place_of(formula.id):
                self.formulas.setdefault(place, []).append(formula)

    def _public_names(self) -> dict[tuple[str, str], list[str]]:
        """(file, name in it) -> the names under which readers import it."""
        found: dict[tuple[str, str], list[str]] = {}
        for package in PACKAGES:
            module = importlib.import_module(package)
            for name in module.__all__:
                if place := origin(getattr(module, name)):
                    found.setdefault(place, []).append(f"{package}.{name}")
        return found

    def place_of(self, formula: str) -> tuple[str, str] | None:
        """The file and function that a formula's id belongs to: the longest name that it begins with.

        formula-layer-norm-backward is layer_norm_backward in minillm/ops/layer_norm.py.
        """
        name = formula.removeprefix("formula-").replace("-", "_") + "_"
        found = [
            (len(stem), bool(function), -DERIVED.index(file.split("/")[1]), file, function)
            for file, functions in self.functions.items()
            if file.split("/")[1] in DERIVED
            for stem, function in [*_operations(file, functions), (PurePosixPath(file).stem, "")]
            if name.startswith(stem + "_")
        ]
        if not found:
            return None
        *_, file, function = max(found)
        if "_backward_" in name:
            function = function.replace("_forward", "_backward")
        return file, function

    def names(self, file: str) -> Names:
        """What the docstrings and comments of a file may refer to."""

        def find(name: str) -> str | None:
            folder = PurePosixPath(file).parent
            for path in (folder / name, PurePosixPath("minillm") / name, PurePosixPath(name)):
                if path.as_posix() in self.files:
                    return path.as_posix()
            return None

        def result(number: str, other: str | None) -> str | None:
            target = find(f"{other}.py") if other else file
            return (
                result_label(target, number)
                if number in self.results.get(target or "", [])
                else None
            )

        def page(name: str) -> str | None:
            target = find(name)
            return page_label(target) if target else None

        return Names(result, page)


def _operations(file: str, functions: list[str]) -> list[tuple[str, str]]:
    """The operations of a file: name and forward."""
    inside = file.startswith("minillm/ops/")
    return [(f.removesuffix("_forward"), f) for f in functions if inside and f.endswith("_forward")]


def origin(thing: object) -> tuple[str, str] | None:
    """The file and the name in it that define a function or class of the library."""
    plain = inspect.unwrap(thing) if callable(thing) else thing
    module = getattr(plain, "__module__", None) or ""
    if not module.startswith("minillm") or not hasattr(plain, "__qualname__"):
        return None
    return file_of(module), plain.__qualname__


def file_of(module: str) -> str:
    """minillm/ops/softmax.py for minillm.ops.softmax."""
    path = Path(importlib.import_module(module).__file__ or "")
    parts = path.parts[len(path.parts) - path.parts[::-1].index("minillm") - 1 :]
    return "/".join(parts)


def page_label(file: str) -> str:
    """The label of an annotated page."""
    return f"source-{file}".lower()


def object_label(file: str, name: str) -> str:
    """The label of a function or class on its annotated page."""
    return f"source-{file}-{name}".lower()


def result_label(file: str, number: str) -> str:
    """The label of a numbered result."""
    return f"result-{file}-{number}".lower()


def words_of(names: Iterable[str]) -> list[str]:
    """The single words of names like layer_norm_forward, for the search."""
    words = [word for name in names for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)]
    return sorted({word.lower() for word in words})
