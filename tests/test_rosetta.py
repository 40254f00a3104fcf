"""docs/rosetta.md: every name of its tables exists, with the arguments that are written out.

The columns of other libraries are checked where these are installed, each in a test of its own.
"""

import ast
import importlib
import inspect
import re
import warnings
from pathlib import Path

import pytest

from minillm import finetuning, functional, models, nn, optim, tokenizers

PAGE = Path(__file__).parent.parent / "docs" / "rosetta.md"
# for each column: where its short names begin, tried in order
STARTS = {
    "minillm": {
        "F": "minillm.functional",
        "Module": "minillm.nn.Module",
        "": "minillm",
    },
    "PyTorch": {
        "F": "torch.nn.functional",
        "Tensor": "torch.Tensor",
        "Module": "torch.nn.Module",
        "torch": "torch",
        "": "torch",
    },
    "Hugging Face": {
        "peft": "peft",
        "tokenizers": "tokenizers",
        "utils": "transformers.utils",
        "": "transformers",
    },
    "Keras": {"": "keras"},
}


def table_rows(text):
    """(line, {column: cell}) for each row of the page's tables that has a column minillm."""
    header = None
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = cells
        elif not set(line) <= set("|- "):
            assert len(cells) == len(header), f"line {number}: {len(cells)} cells"
            yield number, dict(zip(header, cells, strict=True))


def entries(column):
    """(line, code) of everything in backticks in one column."""
    for number, row in table_rows(PAGE.read_text(encoding="utf-8")):
        for code in re.findall(r"`([^`]+)`", row.get(column, "")):
            yield number, code


def dotted(node):
    """a.b.c of an expression."""
    if isinstance(node, ast.Attribute):
        return [*dotted(node.value), node.attr]
    assert isinstance(node, ast.Name), ast.dump(node)
    return [node.id]


def resolve(path):
    """(object, is it a method that gets self) of a dotted path: modules first, then attributes."""
    parts = path.split(".")
    owner, found = None, importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], 1):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[: i + 1]))
        owner, found = found, getattr(found, part)
    method = inspect.isclass(owner) and inspect.isfunction(inspect.getattr_static(owner, part))
    return found, method


def check_entry(code, starts):
    """The name exists, and has the arguments that are written out."""
    node = ast.parse(code, mode="eval").body
    call = node if isinstance(node, ast.Call) else None
    first, *rest = dotted(call.func if call else node)
    start = starts.get(first)
    path = ".".join([start, *rest] if start else [starts[""], first, *rest])
    found, method = resolve(path)
    if call and (call.args or call.keywords):
        check_arguments(code, call, found, method)


def check_arguments(code, call, found, method):
    """Names by position are the parameters' own, keywords exist; nothing where nobody can know."""
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except ValueError:  # a builtin function of another library
        return
    parameters = parameters[1:] if method else parameters
    names = [p.name for p in parameters]
    given = [a.value.id if isinstance(a, ast.Starred) else a.id for a in call.args]
    given += [keyword.arg for keyword in call.keywords]
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        given = given[: len(call.args)]
    for place, name in enumerate(given):
        assert name in names, f"{code}: there is no {name} among {names}"
        if place < len(call.args):
            assert names[place] == name, f"{code}: argument {place} is {names[place]}"


def check_column(column):
    count = 0
    for number, code in entries(column):
        try:
            check_entry(code, STARTS[column])
        except (AttributeError, ImportError, SyntaxError) as error:
            pytest.fail(f"rosetta.md, line {number}, {column}: {code}: {error}")
        count += 1
    return count


def test_every_name_of_minillm_exists():
    assert check_column("minillm") > 150


OTHERS = {"PyTorch": ("torch",), "Hugging Face": ("transformers", "peft"), "Keras": ("keras",)}


@pytest.mark.parametrize("column", OTHERS)
def test_every_name_of_another_library_exists(column):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others deprecate at import is not our affair
        for package in OTHERS[column]:
            pytest.importorskip(package, reason=f"{column}: needs {package}", exc_type=ImportError)
        assert check_column(column) > 30


@pytest.mark.parametrize("package", [finetuning, functional, models, nn, optim, tokenizers])
def test_every_public_name_stands_in_a_table(package):
    named = {code.split("(")[0].split(".")[-1] for _, code in entries("minillm")}
    missing = [name for name in package.__all__ if name not in named and name != "schedule"]
    assert not missing, f"{package.__name__}: {missing} missing in rosetta.md"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("F.soft_max", ModuleNotFoundError),
        ("nn.Linear(in_features, outputs)", AssertionError),
        ("nn.Linear(out_features, in_features)", AssertionError),
        ("F.cross_entropy(logits, targets, smoothing=0.1)", AssertionError),
        ("Module.parameter", (AttributeError, ModuleNotFoundError)),
    ],
)
def test_wrong_entries_are_found(code, error):
    with pytest.raises(error):
        check_entry(code, STARTS["minillm"])
