"""The layers of the library: a folder may import only what stands above it in this list."""

import ast
from pathlib import Path

import pytest

import minillm

ROOT = Path(minillm.__file__).parent
LAYERS = [
    "version", "allocator", "backend", "files", "terminal", "arguments", "kernels", "ops",
    "operation", "debugging", "graph", "autograd", "recompute", "functional", "viz", "gradcheck",
    "classroom", "nn", "optim", "tokenizers", "data", "generation", "models", "cluster", "training",
    "finetuning", "tasks", "cli",
]  # fmt: skip
FILES = sorted(ROOT.rglob("*.py"))


def module_name(path):
    """minillm.ops.softmax for its file; a package for its __init__.py."""
    parts = ["minillm", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imports_of(path):
    """Every module of minillm that a file imports, at the top or inside a function."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("minillm"))
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            for alias in node.names:
                yield ".".join([*base, *(node.module or alias.name).split(".")])
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minillm"):
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_up_the_list(path):
    own = layer_of(module_name(path))
    if own in (None, "__main__"):
        return
    for target in imports_of(path):
        layer = layer_of(target)
        assert layer is not None, f"{path} imports the whole package"
        assert LAYERS.index(layer) <= LAYERS.index(own), f"{path} imports {target}, a later layer"


def test_every_file_belongs_to_a_layer():
    names = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES}
    assert names - {"__init__", "__main__"} <= set(LAYERS)


def top_level_names(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_backend_may_import_cupy_and_nothing_unpickles(path):
    text = path.read_text(encoding="utf-8")
    names = set(top_level_names(path))
    assert not names & {"pickle", "dill", "shelve", "torch", "tensorflow"}
    if path.name != "backend.py":
        assert "cupy" not in names
        assert 'import_module("cupy")' not in text
    assert "allow_pickle" not in text


@pytest.mark.parametrize("path", sorted((ROOT / "ops").glob("*.py")), ids=lambda p: p.name)
def test_operations_take_the_array_library_from_their_arguments(path):
    if path.name in ("positional_encoding.py", "rotary_embedding.py"):  # they build host tables
        return
    assert "numpy" not in set(top_level_names(path))


def test_importing_minillm_is_light():
    import subprocess
    import sys

    code = "import sys, minillm; print(sorted({'matplotlib', 'tqdm', 'cupy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
