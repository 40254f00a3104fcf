"""The matrix products of one step: which they are, and how long they take alone.

NumPy's arrays cannot be made to tell who multiplies them.  So, in a process that only records,
minillm's sources are read with `a @ b` replaced by a call that notes both shapes and then multiplies.
`np.matmul` is replaced while recording.  Sums that ops/rows.py writes as products with ones do not
count: the model has no such product.
"""

import ast
import builtins
import contextlib
import importlib.machinery
import json
import operator
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from timing import median_ms

NOT_PRODUCTS = ("rows.py",)  # files whose products are sums
_heard = []  # the lists that record now


def _layout(array):
    """(shape, order of the axes in memory, slowest first): enough to make one that lies the same."""
    order = sorted(range(array.ndim), key=lambda axis: (-abs(array.strides[axis]), axis))
    return tuple(array.shape), tuple(order)


def _note(a, b):
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        for heard in _heard:
            heard[(_layout(a), _layout(b))] += 1


def product(a, b):
    """Multiply as a @ b, and note it where that is asked for."""
    _note(a, b)
    return operator.matmul(a, b)


class _Rewriter(ast.NodeTransformer):
    """Writes product(a, b) where a source says a @ b."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if not isinstance(node.op, ast.MatMult):
            return node
        call = ast.Call(ast.Name("_noted_product", ast.Load()), [node.left, node.right], [])
        return ast.copy_location(call, node)


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the rewritten source, and leaves compiled files on the disk alone."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path))
        if Path(path).name not in NOT_PRODUCTS:
            tree = ast.fix_missing_locations(_Rewriter().visit(tree))
        return compile(tree, path, "exec", dont_inherit=True)


class _Finder:
    """Finds the modules of minillm, for the loader above."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] != "minillm":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def watch_imports():
    """Read minillm's sources so that its products can be noted; call it before minillm is imported."""
    if "minillm" in sys.modules:
        raise RuntimeError("watch_imports: minillm is imported already: call it earlier")
    builtins._noted_product = product
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.meta_path.insert(0, _Finder)


@contextlib.contextmanager
def recording():
    """The products within the block, as a Counter of ((shape, order), (shape, order))."""
    heard, matmul = Counter(), np.matmul

    def noted(a, b, *arguments, **options):
        _note(a, b)
        return matmul(a, b, *arguments, **options)

    _heard.append(heard)
    np.matmul = noted
    try:
        yield heard
    finally:
        np.matmul = matmul
        _heard.remove(heard)


def save(heard, path):
    """Write a recording as JSON: one [count, left, right] for each kind of product."""
    rows = [[count, *pair] for pair, count in heard.items()]
    path.write_text(json.dumps(rows), encoding="utf-8")


def flop(heard):
    """Two for each multiplication of numbers and its addition."""
    total = 0
    for (left, right), count in heard.items():
        (*_, rows, inner), (*_, columns) = left[0], right[0]
        lead = np.broadcast_shapes(left[0][:-2], right[0][:-2])
        total += count * 2 * int(np.prod(lead, dtype=np.int64)) * rows * inner * columns
    return total


def alone_ms(path, repeats=15):
    """Milliseconds of all products in a file, each timed by itself on arrays that lie the same."""
    total = 0.0
    for count, left, right in json.loads(path.read_text(encoding="utf-8")):
        a, b = _array(*left), _array(*right)
        a @ b
        total += count * median_ms(lambda a=a, b=b: a @ b, repeats, enough=0.5, fewest=3)
    return total


def _array(shape, order):
    """Ones of this shape, whose axes lie in memory in this order."""
    stored = np.ones([shape[axis] for axis in order], np.float32)
    return stored.transpose(np.argsort(order)) if order else stored
