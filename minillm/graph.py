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
from .operation import refuse_gradients_of


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
    """One call of one operation, or a leaf.  An array stays alive only if forward saved it.

    An edge leads from a call to the node of each of its inputs, where the gradient of that input goes.
    """

    __slots__ = ("__weakref__", "birth", "dtype", "edges", "leaf", "op", "path", "prints", "saved",
                 "shape")  # fmt: skip

    def __init__(self, op, saved=None, edges=(), shape=None, dtype=None):
        self.op, self.saved, self.edges = op, saved, edges  # None among edges: no gradient wanted
        self.shape, self.dtype = shape, dtype  # of the output: what its gradient must look like
        self.birth = next(_births)  # the younger, the larger
        self.path, self.prints, self.leaf = "", None, None  # the first two under debug() only

    def fits(self, array):
        """Could this array be the gradient?"""
        return array.shape == self.shape and array.dtype == self.dtype

    def __repr__(self):
        return f"{self.op.name if self.op else 'leaf'}{f' in {self.path}' if self.path else ''}"


class Output(Node):
    """One of several outputs of a call.  Its only edge leads to the call."""

    __slots__ = ("number",)

    def __init__(self, call, number, array):
        super().__init__(call.op, None, (call,), array.shape, array.dtype)
        self.number = number


def call_node(op, saved, edges, outs):
    """The node of a call; of several outputs, it knows all shapes and dtypes."""
    if op.outputs == 1:
        return Node(op, saved, edges, outs[0].shape, outs[0].dtype)
    return Node(op, saved, edges, [out.shape for out in outs], [out.dtype for out in outs])


def output_nodes(call, outs):
    """The node of each output: of a single one, that of the call itself."""
    return [call] if call.op.outputs == 1 else [Output(call, i, out) for i, out in enumerate(outs)]


def leaf_node(tensor):
    """The node of a tensor that no operation made.  It does not keep the tensor alive."""
    node = Node(None, None, (), tensor.data.shape, tensor.data.dtype)
    node.leaf = weakref.ref(tensor)
    return node


def backpropagate(root, grad):
    """Formula (1), from one node back to all leaves, whose `.grad` grows.

    A gradient that arrives alone is borrowed from the backward that made it and never written to;
    the second one to arrive allocates their sum, later ones are added to it in place.
    """
    if root.op is None:
        _add_to_leaf(root.leaf(), grad, False)
    grads = {root: grad}
    owned = set()  # nodes whose sum was allocated here
    for node in _consumers_first(root):
        grad_out = grads.pop(node)
        if type(node) is Output:
            _give_to_call(node, grad_out, grads)
            continue
        grads_in = _run_backward(node, grad_out)
        for source, grad_in in zip(node.edges, grads_in):  # noqa: B905 (pull_back has counted)
            if source is None:
                continue
            if getattr(grad_in, "shape", None) != source.shape or grad_in.dtype != source.dtype:
                refuse_gradients_of(node, grads_in)
            if source.op is None:
                alone = sys.getrefcount(grad_in) == _HELD_HERE
                _add_to_leaf(source.leaf(), grad_in, alone)
                continue
            before = grads.get(source)
            if before is None:
                grads[source] = grad_in
            elif source in owned:
                before += (
                    grad_in  # another object where there are no axes: NumPy's numbers are fixed
                )
                grads[source] = before
            else:
                grads[source] = before + grad_in
                owned.add(source)
        del grads_in  # until the next backward has run it would keep these arrays alive


def _references(edges, grads):
    """How many references Python counts to an array that nothing holds but a loop such as the above."""
    for _edge, grad_in in zip(edges, grads):  # noqa: B905 (the same loop)
        return sys.getrefcount(grad_in)


_HELD_HERE = _references((None,), (np.empty(1),))


def _consumers_first(root):
    """All calls that lead to root, the youngest first: each comes after every one that uses it."""
    seen, found = {root}, [root] if root.op else []
    for node in found:  # which grows meanwhile
        for source in node.edges:
            if source is not None and source not in seen and source.op is not None:
                seen.add(source)
                found.append(source)
    found.sort(key=_birth, reverse=True)
    return found


def _give_to_call(output, grad, grads):
    """Put the gradient of one of several outputs where the call will look for all of them."""
    (call,) = output.edges
    grads.setdefault(call, [None] * len(call.shape))[output.number] = grad


def _all_outputs(node, found):
    """The gradients of several outputs; one that nobody used has gradient 0."""
    xp = array_module(*found)
    pairs = zip(found, node.shape, node.dtype, strict=True)
    return tuple([xp.zeros(s, dtype=d) if g is None else g for g, s, d in pairs])


def _run_backward(node, grad_out):
    """One application of (1): what one call sends back to each of its inputs."""
    if node.saved is None:
        raise RuntimeError(
            f"{node}: this graph was differentiated before and its saved arrays are freed: "
            "add the losses first and call backward() once, or compute the loss again"
        )
    if node.prints is not None:
        debugging.compare_prints(node)
    if node.op.outputs != 1:
        grad_out = _all_outputs(node, grad_out)
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
    elif alone and grad.ndim and getattr(grad, "base", grad) is None and grad.flags.c_contiguous:
        leaf.grad = grad
    else:  # an array also where NumPy has made a number of it: optimisers write into it
        leaf.grad = array_module(leaf.data).array(grad, order="C")
