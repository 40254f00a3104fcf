"""Recomputation: forget what a part of a model saved, and run that part again in backward.

Backward needs what forward saved: for a stack of L blocks, the activations of all of them at once.
Chen et al. 2016 (arXiv:1604.06174, section 4.1) keep only what each part reads.  When the gradient
arrives at the end of a part, the part runs a second time, saves everything, and is differentiated at
once, so the activations of one part are alive at a time.

Memory.  Let a block read an array of size x and save arrays of size a in all.  With the L blocks cut
into parts of k blocks each,

    memory(k) = (L / k) x  +  k a             what all parts read, and one part in full
    0 = d memory / d k = a - L x / k^2   =>   k = sqrt(L x / a),   memory = 2 sqrt(L x a)      (1)

With a = x, a chain of single layers, these are the sqrt(L) layers of the paper.  A Transformer block
saves far more than it reads, a / x is about 20, so up to L = 20 or so the best part is one block.

Time.  Each part runs forward twice.  A backward pass costs about two forward passes, so a step costs
(1 + 1 + 2) / (1 + 2) = 4/3 of what it did.                                                    (2)

The second run must do what the first did.  So the library's generator and those of the modules and
arguments of the part go back to where they were (dropout draws the same masks), modules return to
their mode (training or evaluation), and then everything becomes as it was before backward.

Check: tests/test_recompute.py
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from . import debugging
from .autograd import Tensor
from .backend import default_generator, generator_of_this_thread, to_numpy
from .graph import Node, backpropagate, call_node, mode, output_nodes

SAME = 1e-3  # of the largest entry: two runs of one function may differ by rounding only


def recompute(function: Callable, *inputs: Any, **options: Any) -> Any:
    """function(*inputs, **options), whose activations are not kept but computed again in backward.

    function   returns a Tensor or a tuple of Tensors: a Module, a method, any function
    inputs, options
               what it reads.  Tensors that are computed elsewhere must be among them, not hidden in
               lists or taken from outside; parameters need not be named

    The result and all gradients are those of the plain call, bit for bit; only what one call uses
    several times, and others use as well, has its gradients added up in another order.

    Generators are put back for the second run if they are the library's, an argument, or an attribute
    of a module that is function, an argument, or what function encloses.  Under `debug()` the two runs
    are compared.

    Raises   ValueError if function takes a computed Tensor from outside; TypeError for another kind
             of result; RuntimeError, in backward, if the second run does something else

    >>> x = Tensor([0.5], requires_grad=True)
    >>> recompute(lambda x: x.exp().exp(), x).backward()
    >>> x.grad.round(2)  # exp(x) exp(exp(x))
    array([8.57], dtype=float32)
    """
    if not mode.recording or debugging.recorder is not None:
        # nothing will be differentiated; or every call is written down with its place in the graph
        return function(*inputs, **options)
    call = _Call(function, inputs, options)
    leaves, outs, is_single = call.run()
    edges = [out._edge() for out in outs]
    if any(edges):
        call.looks = _looks(outs)
        outs = tuple(Tensor(out.data) for out in outs)
        saved, sources = (call, call.arrays()), call.sources(leaves, edges)
        node = call_node(_Recomputation(len(outs)), saved, sources, outs)
        if debugging.debugging:
            call.results = [out.data for out in outs]
            debugging.watch_forward(node, call.arrays(), tuple(call.results), {})
        for out, edge, made_by in zip(outs, edges, output_nodes(node, outs), strict=True):
            if edge is not None:
                out._made_by, out.requires_grad = made_by, True
    return outs[0] if is_single else outs


class RecomputeMixin:
    """Gives a model, or a stack of blocks, the switch recompute_activations.

    A stack calls its blocks through `self.run_block(block, ...)`.  What writes to a cache must not
    run twice: such calls go to the block directly.

    >>> from minillm.nn import TransformerEncoder, TransformerEncoderLayer
    >>> encoder = TransformerEncoder(TransformerEncoderLayer(6, 3, 12), num_layers=2)
    >>> encoder.recompute_activations().recomputing
    True
    """

    recomputing: bool = False
    modules: Any  # of the Module that mixes this in

    def recompute_activations(self, on: bool = True) -> Any:
        """Train in less memory: each block keeps only its input, and runs again in backward.

        Same losses, same gradients, about a third more time.  Returns the model.
        """
        for module in self.modules():
            if isinstance(module, RecomputeMixin):
                module.recomputing = on
        return self

    def gradient_checkpointing_enable(self) -> None:
        """The name of recompute_activations(True) in Hugging Face's library."""
        self.recompute_activations(True)

    def gradient_checkpointing_disable(self) -> None:
        """The name of recompute_activations(False) in Hugging Face's library."""
        self.recompute_activations(False)

    def run_block(self, block: Callable, *inputs: Any, **options: Any) -> Any:
        """block(*inputs, **options), recomputed in backward if that is switched on."""
        if self.recomputing:
            return recompute(block, *inputs, **options)
        return block(*inputs, **options)


# ------------------------------------------------------------------------------ the node


class _Step:
    """What the engine wants to know of an operation."""

    name = "recompute"

    def __init__(self, outputs: int = 1) -> None:
        self.outputs = outputs

    @staticmethod
    def argument(i: int) -> str:
        """Input number i in words."""
        return f"input {i}"


class _Recomputation(_Step):
    """The operation of a node whose backward runs a function again and differentiates it."""

    def pull_back(self, grad_out: Any, saved: Any, edges: Any, who: Node) -> tuple:
        """Run again with recording, send the gradients through, and collect them at the sources."""
        call = saved[0]
        grads = (grad_out,) if self.outputs == 1 else grad_out
        with call.scene.restored():
            leaves, outs, _ = call.run()
        call.compare(outs)
        # The new graph ends at leaves, whose .grad would grow.  Baskets take their place, so that the
        # gradients travel on along the edges of this node, and are added where all others are.
        baskets = call.baskets(leaves, [out._edge() for out in outs])
        start = Node(_Start(), tuple(grads), [baskets.get(e, e) for e in map(Tensor._edge, outs)])
        for node in _nodes(start.edges):
            node.edges = [baskets.get(edge, edge) for edge in node.edges]
        del leaves, outs  # so that each array is freed after its last use
        backpropagate(start, None)
        return tuple([basket.op.grad for basket in baskets.values()])


class _Start(_Step):
    """Hands the gradients of all outputs to the graph of the second run at once."""

    @staticmethod
    def pull_back(grad_out: Any, saved: tuple, edges: Any, who: Node) -> tuple:
        """The gradients that were put into `saved`."""
        return saved


class _Basket(_Step):
    """Stands where a gradient should arrive, and keeps it."""

    grad: Any = None

    def pull_back(self, grad_out: Any, saved: Any, edges: Any, who: Node) -> tuple:
        """Nothing goes on from here."""
        self.grad = grad_out
        return ()


def _new_basket(leaf: Node) -> Node:
    """A basket in place of a leaf: as old, so that it comes after all that send something there."""
    node = Node(_Basket(), (), (), leaf.shape, leaf.dtype)
    node.birth = leaf.birth
    return node


def _nodes(edges: Iterable[Any]) -> list[Node]:
    """All nodes that lead to these edges, each once."""
    stack = [edge for edge in edges if edge is not None]
    seen = dict.fromkeys(stack)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge not in seen:
                seen[edge] = None
                stack.append(edge)
    return list(seen)


# ------------------------------------------------------------------------------ the call


class _Call:
    """A function with its inputs and surroundings, ready to run again."""

    results: "list[Any] | None" = None  # under debug(): what the first run gave
    looks: tuple = ()  # the shapes and dtypes that it gave

    def __init__(self, function: Callable, inputs: tuple, options: dict[str, Any]) -> None:
        values = [*inputs, *options.values()]
        self.function, self.count, self.names = function, len(inputs), list(options)
        self.tensors = [isinstance(x, Tensor) for x in values]
        self.values = [x.data if isinstance(x, Tensor) else x for x in values]
        self.edges = [x._edge() if isinstance(x, Tensor) else None for x in values]
        self.scene = _Scene(function, *values)
        self.keys: list[Any] = []  # the sources: the number of an input, or the node of a parameter
        self.birth = 0  # nodes of the last run are younger than this

    def arrays(self) -> list[Any]:
        """The inputs that are Tensors, as arrays."""
        return [x for x, is_tensor in zip(self.values, self.tensors, strict=True) if is_tensor]

    def run(self) -> tuple[list[Any], tuple[Tensor, ...], bool]:
        """(the inputs as leaves of a graph of their own, outputs, is there just one)."""
        leaves = [
            Tensor(x, edge is not None) if is_tensor else x
            for x, is_tensor, edge in zip(self.values, self.tensors, self.edges, strict=True)
        ]
        options = dict(zip(self.names, leaves[self.count :], strict=True))
        self.birth = Node(None).birth
        outs = self.function(*leaves[: self.count], **options)
        is_single = isinstance(outs, Tensor)
        outs = (outs,) if is_single else outs
        if not isinstance(outs, tuple) or not all(isinstance(out, Tensor) for out in outs):
            kinds = [type(out).__name__ for out in outs] if isinstance(outs, tuple) else []
            found = f"a tuple of {', '.join(kinds)}" if kinds else type(outs).__name__
            raise TypeError(
                f"recompute: {_name(self.function)} must return a Tensor or a tuple of Tensors, "
                f"got {found}"
            )
        return leaves, outs, is_single

    def sources(self, leaves: list, edges: list) -> list[Any]:
        """After the first run: where the gradients go that arrive at the leaves of its graph."""
        nodes = _nodes(edges)
        found = self._leaf_nodes(leaves, nodes)
        self.keys = list(found.values())
        return [self.edges[key] if isinstance(key, int) else key for key in self.keys]

    def baskets(self, leaves: list, edges: list) -> dict[Node, Node]:
        """After the second run: a basket for each leaf of its graph, in the order of the sources."""
        nodes = _nodes(edges)
        found = {key: node for node, key in self._leaf_nodes(leaves, nodes).items()}
        if found.keys() != set(self.keys):
            raise RuntimeError(
                f"recompute: {_name(self.function)} used other parameters or inputs when it ran "
                "again in backward: it must do the same in both runs"
            )
        nodes = [found[key] for key in self.keys]
        return {node: _new_basket(node) for node in nodes}

    def _leaf_nodes(self, leaves: list, nodes: list) -> dict[Node, Any]:
        """Leaf nodes among these -> the number of the input, or for a parameter the node itself."""
        if any(node.op is not None and node.birth < self.birth for node in nodes):
            raise ValueError(
                f"recompute: {_name(self.function)} used a Tensor that was computed outside of it, "
                "which it cannot compute again: pass it as an argument, recompute(function, x, it)"
            )
        own = {
            leaves[i]._edge(): i for i, edge in enumerate(self.edges) if edge is not None
        }  # a leaf whose Tensor is gone was made inside, and nobody can ask for its gradient
        alive = [node for node in nodes if node.op is None and node.leaf() is not None]
        return {node: own.get(node, node) for node in alive}

    def compare(self, outs: tuple) -> None:
        """Raise if the second run gave something else than the first."""
        looks = _looks(outs)
        if looks != self.looks:
            raise RuntimeError(
                f"recompute: {_name(self.function)} returned {_words(self.looks)}, and "
                f"{_words(looks)} when it ran again in backward: it must do the same in both runs"
            )
        for i, (first, out) in enumerate(zip(self.results or (), outs, strict=False)):
            a, b = to_numpy(first), to_numpy(out.data)
            if not np.allclose(a, b, rtol=0, atol=SAME * np.abs(a).max(initial=0), equal_nan=True):
                raise RuntimeError(
                    f"recompute: output {i} of {_name(self.function)} has other values when it runs "
                    "again in backward: it draws from a generator that recompute cannot see (give "
                    "it as an argument), or what it reads was changed in between"
                )


class _Scene:
    """What decides about a run besides its inputs: generators, modes of modules, who is calling."""

    def __init__(self, *things: Any) -> None:
        found = list(_within(things))
        self.default = default_generator().bit_generator
        self.state = self.default.state
        self.generators = [x for x in found if isinstance(x, np.random.Generator)]
        self.modules = [x for x in found if not isinstance(x, np.random.Generator)]
        self.then = self._look()

    def _look(self) -> tuple:
        states = [generator.bit_generator.state for generator in self.generators]
        modes = [module.training for module in self.modules]
        return states, modes, mode.recording, list(debugging.module_stack)

    def _set(self, looks: tuple) -> None:
        states, modes, mode.recording, debugging.module_stack[:] = looks
        for generator, state in zip(self.generators, states, strict=True):
            generator.bit_generator.state = state
        for module, training in zip(self.modules, modes, strict=True):
            if module.training != training:
                module.training = training

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Within this block everything is as it was when the scene was made.

        Backward may run in several threads, so the library's generator is not touched: this thread
        gets one of its own that starts where the other stood.
        """
        again = np.random.Generator(type(self.default)())
        again.bit_generator.state = self.state
        now = self._look()
        self._set(self.then)
        try:
            with generator_of_this_thread(again):
                yield
        finally:
            self._set(now)


def _within(things: Iterable[Any]) -> Iterator[Any]:
    """Modules and generators among things: in modules, lists, and what functions enclose."""
    waiting, seen = list(things), set()
    while waiting:
        x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, np.random.Generator):
            yield x
        elif hasattr(x, "named_children") and not isinstance(x, type):  # a module
            yield x
            waiting += [child for _, child in x.named_children()]
            waiting += [v for v in vars(x).values() if isinstance(v, np.random.Generator)]
        elif isinstance(x, functools.partial):
            waiting += [x.func, *x.args, *x.keywords.values()]
        elif isinstance(x, (list, tuple)):
            waiting += x
        else:
            waiting += [x.__self__] if hasattr(x, "__self__") else []
            waiting += _contents(getattr(x, "__closure__", None) or ())


def _contents(cells: Iterable[Any]) -> Iterator[Any]:
    """What a function encloses; a name that is not bound yet has nothing in it."""
    for cell in cells:
        with contextlib.suppress(ValueError):
            yield cell.cell_contents


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or type(function).__name__


def _looks(outs: Iterable[Any]) -> tuple:
    return tuple((out.shape, out.dtype) for out in outs)


def _words(looks: tuple) -> str:
    return ", ".join(f"{shape} {dtype}" for shape, dtype in looks)
