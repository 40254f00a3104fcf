"""The graph of calls, and the chain rule over it.

Reverse accumulation (Griewank & Walther 2008, Evaluating Derivatives, section 3.2): with the
gradient of the loss w.r.t. every output of a call known,

    grad_input = sum over all uses of (d output / d input)^T grad_output                  (1)

Each call is visited once, after all calls that used its outputs: a topological order.  Without
that order, a value used twice would send on a half-finished sum, and the rest again later.  Finding one
is easy here: a call is always younger than the calls whose outputs it used, so youngest first will do.
"""

import contextlib
import itertools
import operator
import sys
import threading
import weakref

import numpy as np

from . import debugging
from .backend import array_module


class _Mode(threading.local):
    """Each thread records, or not, for itself."""

    recording = True


mode = _Mode()


@contextlib.contextmanager
def no_grad():
    """Within this block nothing is recorded: results need no gradient and keep nothing alive.

    >>> from minillm import Tensor
    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """
    previous, mode.recording = mode.recording, False
    try:
        yield
    finally:
        mode.recording = previous


_births = itertools.count()
_birth = operator.attrgetter("birth")


class Node:
    """One call of one operation, or a leaf.  An array stays alive only if forward saved it."""

    __slots__ = ("__weakref__", "birth", "edges", "leaf", "op", "outputs", "path", "prints",
                 "saved")  # fmt: skip

    def __init__(self, op, saved=None, edges=(), outputs=()):
        self.op, self.saved, self.edges = op, saved, edges  # edge: (node, output number) or None
        self.outputs = outputs  # (shape, dtype) of each output: what its gradient must look like
        self.birth = next(_births)  # the younger, the larger
        self.path, self.prints, self.leaf = "", None, None  # the first two under debug() only

    def __repr__(self):
        return f"{self.op.name if self.op else 'leaf'}{f' in {self.path}' if self.path else ''}"


def leaf_node(tensor, outputs):
    """The node of a tensor that no operation made.  It does not keep the tensor alive."""
    node = Node(None, outputs=outputs)
    node.leaf = weakref.ref(tensor)
    return node


def backpropagate(root, number, grad):
    """Formula (1), from one output of one node back to all leaves, whose `.grad` grows.

    A gradient that arrives alone is borrowed from the backward that made it and never written to;
    the second one to arrive allocates their sum, later ones are added to it in place.
    """
    if root.op is None:
        _add_to_leaf(root.leaf(), grad, False)
    grads = {(root, number): grad}
    owned = set()  # edges whose sum was allocated here
    for node in _consumers_first(root):
        if node.op.outputs == 1:
            grad_out = grads.pop((node, 0))
        else:
            grad_out = _all_outputs(node, grads)
        for edge, grad_in in zip(node.edges, _run_backward(node, grad_out)):  # noqa: B905 (checked)
            if edge is None:
                continue
            if edge[0].op is None:
                alone = sys.getrefcount(grad_in) == _HELD_HERE
                _add_to_leaf(edge[0].leaf(), grad_in, alone)
                continue
            before = grads.get(edge)
            if before is None:
                grads[edge] = grad_in
            elif edge in owned:
                before += grad_in
            else:
                grads[edge] = before + grad_in
                owned.add(edge)


def _references(edges, grads):
    """How many references Python counts to an array that nothing holds but a loop such as the above."""
    for _edge, grad_in in zip(edges, grads):  # noqa: B905 (the same loop)
        return sys.getrefcount(grad_in)


_HELD_HERE = _references((None,), (np.empty(1),))


def _consumers_first(root):
    """All calls that lead to root, the youngest first: each comes after every one that uses it."""
    seen, found = {root}, [root] if root.op else []
    for node in found:  # which grows meanwhile
        for edge in node.edges:
            if edge is not None and edge[0] not in seen and edge[0].op is not None:
                seen.add(edge[0])
                found.append(edge[0])
    found.sort(key=_birth, reverse=True)
    return found


def _all_outputs(node, grads):
    """The gradients of several outputs; one that nobody used has gradient 0."""
    found = [grads.pop((node, i), None) for i in range(len(node.outputs))]
    xp = array_module(*found)
    pairs = zip(found, node.outputs, strict=True)
    return tuple([xp.zeros(s, dtype=d) if g is None else g for g, (s, d) in pairs])


def _run_backward(node, grad_out):
    """One application of (1): what one call sends back to each of its inputs."""
    if node.saved is None:
        raise RuntimeError(
            f"{node}: this graph was differentiated before and its saved arrays are freed: "
            "add the losses first and call backward() once, or compute the loss again"
        )
    if node.prints is not None:
        debugging.compare_prints(node)
    grads = node.op.pull_back(grad_out, node.saved, node.edges, node)
    if debugging.debugging:
        debugging.watch_backward(node, grads, grad_out if node.op.outputs != 1 else (grad_out,))
    node.saved = None  # free the activations
    return grads


def _add_to_leaf(leaf, grad, alone):
    """A leaf owns its .grad: a first gradient is copied, unless nobody else holds its array."""
    if leaf is None:  # dropped by its owner, so nobody can ask for this gradient
        return
    if leaf.grad is not None:
        leaf.grad += grad
    elif alone and getattr(grad, "base", grad) is None and grad.flags.c_contiguous:
        leaf.grad = grad
    else:
        leaf.grad = grad.copy()
