"""Recurrent layers: RNN, GRU and LSTM stacks, in one or both directions, for sequences of any length.

The formulas stand in ops/rnn.py, ops/gru.py and ops/lstm.py.  Layer l reads what layer l - 1 wrote;
with two directions, the outputs of both stand side by side (Schuster & Paliwal 1997):

    h       = left_to_right(x)
    h_back  = reversed(right_to_left(reversed(x)))
    out     = [h | h_back]

Rows of a batch may end early.  Then `reversed` turns around the real tokens of each row and leaves
the padding behind them, so that the way back starts at the last real token.
"""

import math
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from ..autograd import Tensor, unwrap
from ..backend import array_module, default_generator, to_numpy
from .arguments import as_sequences, require_sizes
from .containers import ModuleList
from .layers import Dropout
from .module import Module, Parameter


class _Direction(Module):
    """One layer in one direction: the parameters of one operation."""

    operation: ClassVar[Any]
    gates: ClassVar[int] = 1
    biases: ClassVar[tuple[str, ...]] = ("bias",)

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, *, dtype: Any, rng: np.random.Generator
    ) -> None:
        columns, bound = self.gates * hidden_size, 1 / math.sqrt(hidden_size)

        def draw(*shape: int) -> Parameter:
            return Parameter(rng.uniform(-bound, bound, shape).astype(dtype))

        self.weight_x = draw(input_size, columns)
        self.weight_h = draw(hidden_size, columns)
        for name in self.biases:
            setattr(self, name, draw(columns) if bias else None)

    def forward(self, x: Tensor, states: tuple, lengths: Any) -> tuple[Tensor, tuple]:
        """Shapes   x (B, T, C), each state (B, H) -> h (B, T, H) and each last state (B, H)."""
        biases = [getattr(self, name) for name in self.biases]
        h, *last = type(self).operation(
            x, *states, self.weight_x, self.weight_h, *biases, lengths=lengths
        )
        return h, tuple(last)


class RNNDirection(_Direction):
    """One RNN layer in one direction."""

    operation = staticmethod(F.rnn)


class GRUDirection(_Direction):
    """One GRU layer in one direction."""

    operation = staticmethod(F.gru)
    gates = 3  # r | z | n
    biases = ("bias_x", "bias_h")


class LSTMDirection(_Direction):
    """One LSTM layer in one direction."""

    operation = staticmethod(F.lstm)
    gates = 4  # i | f | g | o


class RecurrentLayer(Module):
    """One layer in one direction or both."""

    def __init__(self, left_to_right: Module, right_to_left: Module | None) -> None:
        self.left_to_right, self.right_to_left = left_to_right, right_to_left

    def forward(
        self, x: Tensor, states: list[tuple], lengths: Any, order: Any
    ) -> tuple[Tensor, list[tuple]]:
        """Shapes   x (B, T, C), states of each direction -> h (B, T, H or 2H), their last states."""
        h, last = self.left_to_right(x, states[0], lengths)
        if self.right_to_left is None:
            return h, [last]
        back, last_back = self.right_to_left(_reversed(x, order), states[1], lengths)
        return F.concatenate(h, _reversed(back, order), axis=-1), [last, last_back]


class _Stack(Module):
    """What RNN, GRU and LSTM share: layers one after the other."""

    direction: ClassVar[type[_Direction]]
    states: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        require_sizes(
            type(self).__name__,
            input_size=input_size, hidden_size=hidden_size, num_layers=num_layers,
        )  # fmt: skip
        rng = default_generator(rng)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional = bidirectional
        self.directions = 2 if bidirectional else 1

        def make(number: int) -> _Direction:
            width = input_size if number == 0 else hidden_size * self.directions
            return self.direction(width, hidden_size, bias, dtype=dtype, rng=rng)

        self.layers = ModuleList(
            RecurrentLayer(make(number), make(number) if bidirectional else None)
            for number in range(num_layers)
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Tensor, Any]:
        """Outputs of the last layer at every position, and the final state of every layer.

        state     the initial state, as this method returns it; zeros by default
        lengths   (B,) integers within 1 … T: how many tokens of each row are real.  Beyond them the
                  output is 0, and the final state is the one at the last real token
        Shapes    x (B, T, input_size) -> outputs (B, T, H) or (B, T, 2H), [left to right | right to
                  left]; state (layers * directions, B, H), in the order layer 0 left to right,
                  layer 0 right to left, layer 1 …
        """
        name = type(self).__name__
        x = as_sequences(name, "x", x, self.input_size)
        if x.shape[1] == 0:
            raise ValueError(f"{name}: x {x.shape} holds no tokens")
        lengths = _checked_lengths(name, lengths, x)
        starts = self._starts(state, x)
        order = _reading_order(x, lengths) if self.bidirectional else None
        ends: list[tuple] = []
        for number, layer in enumerate(self.layers):
            first = number * self.directions
            x = x if number == 0 else self.dropout(x)
            x, last = layer(x, starts[first : first + self.directions], lengths, order)
            ends += last
        final = tuple(_stacked(parts) for parts in zip(*ends, strict=True))
        return x, final if len(self.states) > 1 else final[0]

    def _starts(self, state: Any, x: Tensor) -> list[tuple]:
        """The initial states (B, H) of each layer and direction, a tuple for each."""
        name, count = type(self).__name__, self.num_layers * self.directions
        wanted = (count, x.shape[0], self.hidden_size)
        if state is None:
            zeros = array_module(x.data).zeros(wanted[1:], dtype=x.dtype)
            return [(zeros,) * len(self.states)] * count
        parts = (state,) if len(self.states) == 1 else state
        if not isinstance(parts, (tuple, list)) or len(parts) != len(self.states):
            raise ValueError(f"{name}: state must be the pair ({', '.join(self.states)})")
        for part_name, part in zip(self.states, parts, strict=True):
            shape = getattr(part, "shape", type(part).__name__)
            if shape != wanted:
                raise ValueError(
                    f"{name}: state {part_name} must be (layers * directions, B, H) = {wanted}, "
                    f"got {shape}"
                )
        return [tuple(part[i] for part in parts) for i in range(count)]

    def extra_repr(self) -> str:
        """Sizes and directions."""
        sizes = f"input_size={self.input_size}, hidden_size={self.hidden_size}"
        return f"{sizes}, bidirectional={self.bidirectional}"


class RNN(_Stack):
    """Elman's recurrent network: h_t = tanh(x_t W_x + h_{t-1} W_h + b), for one or more layers.

    Arguments    those of PyTorch, batch first; dropout acts between layers, in training
    Parameters   layers.0.left_to_right.weight_x (C, H), .weight_h (H, H), .bias (H,), the same for
                 right_to_left if bidirectional, and for layers.1 …: all uniform within 1/sqrt(H).
                 bias is the sum of PyTorch's bias_ih and bias_hh
    Shapes       x (B, T, C) -> outputs (B, T, H · directions), final h (layers · directions, B, H)

    >>> outputs, h = RNN(3, 5)(np.zeros((2, 7, 3), dtype=np.float32))
    >>> outputs.shape, h.shape
    ((2, 7, 5), (1, 2, 5))
    """

    direction = RNNDirection


class GRU(_Stack):
    """Gated recurrent units, for one or more layers.

    Arguments    those of PyTorch, batch first; dropout acts between layers, in training
    Parameters   layers.0.left_to_right.weight_x (C, 3H), .weight_h (H, 3H), .bias_x and .bias_h
                 (3H,), the same for right_to_left if bidirectional, and for layers.1 …: all uniform
                 within 1/sqrt(H), columns reset | update | new
    Shapes       x (B, T, C) -> outputs (B, T, H · directions), final h (layers · directions, B, H)

    >>> gru = GRU(3, 5, num_layers=2, bidirectional=True)
    >>> outputs, h = gru(np.zeros((2, 7, 3), dtype=np.float32), lengths=[7, 4])
    >>> outputs.shape, h.shape
    ((2, 7, 10), (4, 2, 5))
    """

    direction = GRUDirection


class LSTM(_Stack):
    """Long short-term memory, for one or more layers.

    Arguments    those of PyTorch, batch first; dropout acts between layers, in training
    Parameters   layers.0.left_to_right.weight_x (C, 4H), .weight_h (H, 4H), .bias (4H,), the same
                 for right_to_left if bidirectional, and for layers.1 …: all uniform within
                 1/sqrt(H), columns input | forget | new | output gate.  bias is the sum of PyTorch's
                 bias_ih and bias_hh; its entries H … 2H - 1 are the forget gate's, which some set to
                 1 at the start so that the cell remembers from the first step (Jozefowicz et al. 2015)
    Shapes       x (B, T, C) -> outputs (B, T, H · directions), final (h, c), each
                 (layers · directions, B, H)

    >>> lstm = LSTM(3, 5, num_layers=2)
    >>> outputs, (h, c) = lstm(np.zeros((2, 7, 3), dtype=np.float32), lengths=[7, 4])
    >>> outputs.shape, h.shape, c.shape
    ((2, 7, 5), (2, 2, 5), (2, 2, 5))
    >>> lstm.layers[0].left_to_right.bias.data[5:10] = 1.0  # remember from the first step
    """

    direction = LSTMDirection
    states = ("h", "c")


def _checked_lengths(layer: str, lengths: Any, x: Tensor) -> Any:
    """Lengths as an integer array on the host, or None."""
    if lengths is None:
        return None
    lengths = to_numpy(unwrap(lengths))
    B, T, _ = x.shape
    if lengths.dtype.kind not in "iu":
        raise ValueError(f"{layer}: lengths must be integers, got {lengths.dtype}")
    if lengths.shape != (B,) or (lengths < 1).any() or (lengths > T).any():
        raise ValueError(
            f"{layer}: lengths must be ({B},) integers within 1 … {T} for x {x.shape}, "
            f"got shape {lengths.shape} with values {lengths.tolist()}"
        )
    return lengths


def _reading_order(x: Tensor, lengths: Any) -> Any:
    """For each position of the flat batch (B T,), the number of the one that takes its place.

    None without lengths, where plain slices do.  On the host, like all ids.
    """
    if lengths is None:
        return None
    B, T, _ = x.shape
    t, ends = np.arange(T), lengths.astype(np.int64)[:, None]  # (T,), (B, 1)
    source = np.where(t < ends, ends - 1 - t, t)  # (B, T)
    return source + T * np.arange(B)[:, None]  # (B, T)


def _reversed(x: Tensor, order: Any) -> Tensor:
    """The real tokens of each row from last to first; doing it twice gives x back."""
    if order is None:
        return x[:, ::-1]
    B, T, C = x.shape
    return F.embedding(order, x.reshape(B * T, C))  # rows looked up by number: (B, T, C)


def _stacked(states: tuple) -> Tensor:
    """Shapes   count times (B, H) -> (count, B, H)."""
    return F.concatenate(*[state.reshape(1, *state.shape) for state in states], axis=0)
