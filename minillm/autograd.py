"""Tensor: an array that remembers the call that made it.

    loss = F.sum(F.tanh(x @ w))           x ──┐
                                              matmul ── tanh ── sum ── loss
                                          w ──┘

Forward runs operation after operation; each leaves a Node of the graph behind (graph.py).
`loss.backward()` walks the graph from the loss back to x and w, and their `.grad` grows.

    differentiable    lifts a pure pair of functions on arrays to one function on Tensors
    no_grad           a block in which nothing is remembered (of graph.py)
    Tensor            the array, its gradient, and the operators
"""

import functools

import numpy as np

from . import debugging, ops
from .backend import array_module, converted, from_python, is_array, number_of_rows, to_numpy
from .graph import Node, backpropagate, call_node, leaf_node, mode, output_nodes
from .graph import no_grad as no_grad
from .operation import Operation
from .ops.checks import is_floating


@functools.cache
def differentiable(forward, backward, *, outputs=1):
    """Lift a pure pair of functions on arrays to one function on Tensors.

    The parameters of `forward` before `*` are arrays: Tensors among them are unwrapped and get
    gradients.  Those after `*` are options and never do.  With `outputs` other than 1 (None: it
    varies) forward returns a tuple of outputs, and backward gets a tuple of gradients.
    The result has forward's docstring and signature.

    >>> exponential = differentiable(ops.exp_forward, ops.exp_backward)
    >>> exponential(Tensor([0.0]))
    Tensor([1.], dtype=float32)
    """
    op = Operation(forward, backward, outputs)
    plain = None if op.variadic else len(op.arrays)
    # of one input a number makes an array; beside others it is a constant, as the 2 of x * 2
    constant, python = (None, (list, tuple, int, float)) if plain == 1 else (float, (list, tuple))

    def operation(*inputs, **options):
        if options or len(inputs) != plain:
            inputs, options = op.bind(inputs, options)
        recording, watching = mode.recording, debugging.debugging
        watched = recording or watching or op.no_gradient
        edges, values = [], []
        for x in inputs:
            is_tensor = isinstance(x, Tensor)
            edges.append(x._made_by or x._edge() if is_tensor and watched else None)
            values.append(x.data if is_tensor else x if type(x) is constant else unwrap(x, python))
        if op.no_gradient:
            op.refuse_gradients(edges)
        recording = recording and any(edges)
        if not recording and not watching:
            out, _ = op.short(*values, **options)
            return Tensor(out) if outputs == 1 else tuple(map(Tensor, out))
        out, saved = forward(*values, **options) if options else forward(*values)
        saved = op.kept(saved, edges) if op.reads else saved
        if outputs == 1 and not watching:  # the usual call
            tensor = Tensor(out)
            tensor._made_by = Node(op, saved, edges, out.shape, out.dtype)
            tensor.requires_grad = True
            return tensor
        outs = (out,) if outputs == 1 else out
        node = call_node(op, saved, edges, outs)
        if watching:
            debugging.watch_forward(node, values, outs, options)
        tensors = tuple(map(Tensor, outs))
        if recording:
            for tensor, made_by in zip(tensors, output_nodes(node, outs), strict=True):
                tensor._made_by, tensor.requires_grad = made_by, True
        return tensors[0] if outputs == 1 else tensors

    functools.update_wrapper(operation, forward)
    operation.__name__ = operation.__qualname__ = op.name
    vars(operation).update(__signature__=op.signature, op=op)
    return operation


# The operations behind the operators and methods of Tensor.
add = differentiable(ops.add_forward, ops.add_backward)
subtract = differentiable(ops.subtract_forward, ops.subtract_backward)
multiply = differentiable(ops.multiply_forward, ops.multiply_backward)
divide = differentiable(ops.divide_forward, ops.divide_backward)
negative = differentiable(ops.negative_forward, ops.negative_backward)
power = differentiable(ops.power_forward, ops.power_backward)
matmul = differentiable(ops.matmul_forward, ops.matmul_backward)
getitem = differentiable(ops.getitem_forward, ops.getitem_backward)
reshape = differentiable(ops.reshape_forward, ops.reshape_backward)
transpose = differentiable(ops.transpose_forward, ops.transpose_backward)


def unwrap(x, python=(list, tuple)):
    """The array in a Tensor; lists (what is of these Python types) become arrays, the rest stays."""
    if isinstance(x, Tensor):
        return x.data
    return from_python(x) if isinstance(x, python) else x


class Tensor:
    """An array that can be differentiated.

    Tensor(data, requires_grad=False): arrays keep their dtype and are not copied; lists of ints
    become int64, other numbers float32.  `.grad` is an array of the same shape and dtype, or None.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_leaf", "_made_by", "data", "grad", "requires_grad")
    __array_ufunc__ = None  # numpy_array + tensor is then our addition, not NumPy's

    def __init__(self, data, requires_grad=False):
        if type(data) is not np.ndarray and not is_array(data):
            data = unwrap(data) if isinstance(data, Tensor) else from_python(data)
        if requires_grad and not is_floating(data):
            raise TypeError(f"only a floating tensor can require a gradient, this is {data.dtype}")
        self.data, self.requires_grad, self.grad = data, requires_grad, None
        self._made_by = self._leaf = None

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    T = property(lambda self: self.transpose())

    def _edge(self):
        """The node that a gradient of this tensor goes to; None if it needs none."""
        if self._made_by is not None or not self.requires_grad:
            return self._made_by
        if self._leaf is None or not self._leaf.fits(self.data):
            self._leaf = leaf_node(self)
        return self._leaf

    def backward(self, grad=None):
        """Add d self / d leaf to the `.grad` of every leaf that this tensor was computed from.

        grad     the gradient of the loss w.r.t. this tensor, of its shape; 1 for a single number
        Raises   ValueError if grad is missing or has another shape; RuntimeError if there is
                 nothing to differentiate, or the graph was differentiated before
        """
        node = self._edge()
        if node is None:
            raise RuntimeError("backward: nothing that this was computed from has requires_grad")
        xp = array_module(self.data)
        if grad is None:
            if self.size != 1:
                raise ValueError(
                    f"backward: a tensor of shape {self.shape} needs grad, the gradient of the loss"
                    " w.r.t. each of its entries: reduce it to one number, as in "
                    f"x.sum().backward(), or pass an array of shape {self.shape}"
                )
            grad = xp.ones_like(self.data)
        grad = xp.asarray(unwrap(grad), dtype=self.dtype)
        if grad.shape != self.shape:
            raise ValueError(f"backward: grad must be of shape {self.shape}, got {grad.shape}")
        backpropagate(node, grad)

    def item(self):
        """The one number in this tensor, as a Python number."""
        if self.size != 1:
            raise ValueError(f"item: a tensor of shape {self.shape} is not a single number")
        return self.data.item()

    def numpy(self):
        """The array on the host; on the CPU it is not a copy, so do not write to it."""
        return to_numpy(self.data)

    def detach(self):
        """The same array without its history."""
        return Tensor(self.data)

    def to(self, target):
        """A copy on a device or in a dtype, x.to("cuda") or x.to("float64"): a new leaf."""
        if self._made_by is not None:
            raise RuntimeError("to: gradients do not flow through a move: call detach() first")
        return Tensor(converted(self.data, target), self.requires_grad)

    def __repr__(self):
        grad = ", requires_grad=True)" if self.requires_grad else ")"
        return "Tensor" + repr(to_numpy(self.data)).removeprefix("array")[:-1] + grad

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise TypeError("a Tensor that requires a gradient is not an array: use x.numpy()")
        return to_numpy(self.data).astype(dtype or self.dtype, copy=bool(copy))

    def __setitem__(self, index, value):
        raise TypeError(
            "a Tensor cannot be changed in place, because backward may need its old value: build "
            "a new one with F.concatenate or arithmetic, or write to x.data[...] between steps"
        )

    def reshape(self, *shape):
        """x.reshape(2, -1) or x.reshape((2, -1))."""
        return reshape(self, shape=shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes):
        """x.transpose(), x.transpose(0, 2, 1) or x.transpose((0, 2, 1))."""
        return transpose(self, axes=(axes[0] if len(axes) == 1 else axes) or None)

    __add__, __sub__, __mul__, __truediv__ = add, subtract, multiply, divide
    __pow__, __matmul__, __neg__, __getitem__ = power, matmul, negative, getitem
    __radd__ = lambda self, other: add(other, self)
    __rsub__ = lambda self, other: subtract(other, self)
    __rmul__ = lambda self, other: multiply(other, self)
    __rtruediv__ = lambda self, other: divide(other, self)
    __rpow__ = lambda self, other: power(other, self)
    __rmatmul__ = lambda self, other: matmul(other, self)
    __len__ = lambda self: number_of_rows(self.data)
    __iter__ = lambda self: map(self.__getitem__, range(len(self)))
    __getstate__ = lambda self: (self.data, self.requires_grad)  # type: ignore  # copies are leaves
    __setstate__ = lambda self, state: Tensor.__init__(self, *state)
    __float__ = lambda self: float(self.item())
    exp = differentiable(ops.exp_forward, ops.exp_backward)
    log = differentiable(ops.log_forward, ops.log_backward)
    sqrt = differentiable(ops.sqrt_forward, ops.sqrt_backward)
    tanh = differentiable(ops.tanh_forward, ops.tanh_backward)
    sum = differentiable(ops.sum_forward, ops.sum_backward)
    mean = differentiable(ops.mean_forward, ops.mean_backward)
    max = differentiable(ops.max_forward, ops.max_backward)
