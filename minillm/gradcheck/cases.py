"""One set of inputs for each operation, on which its gradient check can see everything.

Sizes are distinct primes, so that a wrong axis or a lost factor cannot hide behind an equal one;
constants that are usually tiny or 1 are large (eps = 0.5, smoothing = 0.3); ids repeat; masks hide
whole rows; every optional array is present in one case and absent in another.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import ops


@dataclass(frozen=True)
class Case:
    """Inputs and options of one call of an operation."""

    operation: str
    inputs: tuple
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def forward(self) -> Callable:
        """The operation's forward."""
        return getattr(ops, f"{self.operation}_forward")

    @property
    def backward(self) -> Callable:
        """The operation's backward."""
        return getattr(ops, f"{self.operation}_backward")


def operation_names() -> list[str]:
    """Every operation of the library: each name in minillm.ops with _forward and _backward."""
    names = [name.removesuffix("_forward") for name in ops.__all__ if name.endswith("_forward")]
    return [name for name in names if f"{name}_backward" in ops.__all__]


def cases(operation: str, seed: int = 0) -> list[Case]:
    """The check inputs of one operation.

    Raises   ValueError that lists the operations if there is none of that name
    """
    if operation not in _MAKERS:
        known = ", ".join(sorted(_MAKERS))
        raise ValueError(f"there is no operation {operation!r}; there are: {known}")
    rng = np.random.default_rng(seed)
    return [Case(operation, inputs, options) for inputs, options in _MAKERS[operation](rng)]


_MAKERS: dict[str, Callable[[np.random.Generator], Iterator[tuple[tuple, dict]]]] = {}


def _case(*operations: str) -> Callable:
    def register(make: Callable) -> Callable:
        for operation in operations:
            _MAKERS[operation] = make
        return make

    return register


@_case("add", "subtract", "multiply")
def _binary(rng):
    yield (rng.standard_normal((2, 3, 5)), rng.standard_normal((2, 3, 5))), {}
    yield (rng.standard_normal((2, 1, 5)), rng.standard_normal((3, 1))), {}
    yield (rng.standard_normal((7,)), 3.0), {}


@_case("divide")
def _divide(rng):
    away_from_0 = rng.uniform(0.5, 2.0, (3, 1)) * rng.choice([-1, 1], (3, 1))
    yield (rng.standard_normal((2, 1, 5)), away_from_0), {}
    yield (2.0, rng.uniform(0.5, 2.0, (7,))), {}


@_case("power")
def _power(rng):
    yield (rng.uniform(0.5, 2.0, (2, 1, 5)), rng.standard_normal((3, 1))), {}
    yield (rng.standard_normal((7,)), 2), {}
    yield (1.7, rng.standard_normal((5,))), {}


@_case("negative", "exp", "tanh", "erf")
def _anywhere(rng):
    yield (rng.standard_normal((3, 5)) * 1.5,), {}


@_case("log", "sqrt")
def _positive(rng):
    yield (rng.uniform(0.3, 3.0, (3, 5)),), {}


@_case("gelu")
def _gelu(rng):
    x = rng.standard_normal((3, 7)) * 1.5
    yield (x,), {"approximate": "none"}
    yield (x,), {"approximate": "tanh"}


@_case("matmul")
def _matmul(rng):
    yield (rng.standard_normal((2, 3, 5)), rng.standard_normal((2, 5, 7))), {}
    yield (rng.standard_normal((2, 1, 3, 5)), rng.standard_normal((3, 5, 2))), {}
    yield (rng.standard_normal((2, 3, 5)), rng.standard_normal((5, 7))), {}
    yield (rng.standard_normal((3, 3)), rng.standard_normal((3, 3))), {}  # squares hide a transpose
    yield (rng.standard_normal((5,)), rng.standard_normal((2, 5, 3))), {}
    yield (rng.standard_normal((2, 3, 5)), rng.standard_normal((5,))), {}
    yield (rng.standard_normal((5,)), rng.standard_normal((5,))), {}


@_case("sum", "mean", "max")
def _reductions(rng):
    x = rng.permutation(30).reshape(2, 3, 5) / 7.0  # distinct, so that max has no ties
    yield (x,), {}
    yield (x,), {"axis": 1}
    yield (x,), {"axis": (0, -1), "keepdims": True}


@_case("reshape")
def _reshape(rng):
    yield (rng.standard_normal((2, 3, 5)),), {"shape": (5, -1)}


@_case("transpose")
def _transpose(rng):
    yield (rng.standard_normal((3, 5)),), {}
    yield (rng.standard_normal((3, 3)),), {}
    yield (rng.standard_normal((2, 3, 5)),), {"axes": (1, 2, 0)}


@_case("getitem")
def _getitem(rng):
    x = rng.standard_normal((5, 3))
    yield (x,), {"index": (slice(1, 4), 2)}
    yield (x,), {"index": np.array([1, 3, 1, 1])}
    yield (x,), {"index": (None, slice(None, None, -2))}
    yield (x,), {"index": x > 0}


@_case("split")
def _split(rng):
    yield (rng.standard_normal((2, 6, 3)),), {"sections": 3, "axis": 1}
    yield (rng.standard_normal((2, 7)),), {"sections": [1, 4], "axis": -1}


@_case("concatenate")
def _concatenate(rng):
    yield tuple(rng.standard_normal((2, n, 5)) for n in (1, 3, 7)), {"axis": 1}


@_case("linear")
def _linear(rng):
    x, weight = rng.standard_normal((2, 3, 5)), rng.standard_normal((5, 7))
    yield (x, weight, rng.standard_normal(7)), {}
    yield (x, weight, None), {}
    yield (x, rng.standard_normal((5, 5)), None), {}  # a square weight hides a transpose


@_case("embedding")
def _embedding(rng):
    weight = rng.standard_normal((7, 3))
    yield (np.array([[1, 4, 1], [6, 1, 0]]), weight), {}
    # padding_idx is not checked here: its row is frozen on purpose, whatever the derivative is


@_case("positional_encoding")
def _positional_encoding(rng):
    yield (rng.standard_normal((2, 3, 5)), rng.standard_normal((7, 5))), {}


@_case("softmax", "log_softmax")
def _softmax(rng):
    yield (rng.standard_normal((3, 5)) * 2,), {}
    yield (rng.standard_normal((2, 3, 5)) * 2,), {"axis": 1}


@_case("cross_entropy")
def _cross_entropy(rng):
    logits = rng.standard_normal((2, 5, 7)) * 2
    targets = rng.integers(0, 7, (2, 5))
    targets[0, 1] = -100
    weight = rng.uniform(0.5, 2.0, 7)
    yield (logits, targets), {}
    yield (logits, targets), {"reduction": "sum", "weight": weight}
    yield (logits, targets), {"reduction": "none", "label_smoothing": 0.3}
    yield (logits, targets), {"weight": weight, "label_smoothing": 0.3}


@_case("dropout")
def _dropout(rng):
    x = rng.standard_normal((5, 7))
    yield (x,), {"p": 0.3, "rng": np.random.default_rng(3)}
    yield (x,), {"p": 0.3, "training": False}


@_case("layer_norm")
def _layer_norm(rng):
    x, gamma = rng.standard_normal((2, 3, 7)), rng.uniform(0.5, 2.0, 7)
    yield (x, gamma, rng.standard_normal(7)), {"eps": 0.5}
    yield (x, gamma, None), {"eps": 0.1}


@_case("scaled_dot_product_attention")
def _attention(rng):
    q = rng.standard_normal((2, 6, 5, 3))
    k, v = rng.standard_normal((2, 2, 7, 3)), rng.standard_normal((2, 2, 7, 4))  # grouped heads
    visible = rng.random((2, 1, 5, 7)) < 0.6
    visible[0, 0, 2] = False  # a query that sees nothing
    yield (q, k, v), {}
    yield (q, k, v), {"is_causal": True, "visible": visible}
    square = tuple(rng.standard_normal((2, 2, 3, 3)) for _ in range(3))
    yield square, {"is_causal": True, "scale": 0.7}
    yield square, {"dropout_p": 0.3, "rng": np.random.default_rng(3)}


@_case("relu", "sigmoid", "silu")
def _activations(rng):
    away_from_the_kink = rng.uniform(0.1, 2.0, (3, 7)) * rng.choice([-1, 1], (3, 7))
    yield (away_from_the_kink,), {}


@_case("maximum")
def _maximum(rng):
    a = rng.permutation(30).reshape(2, 3, 5) / 7.0  # distinct and apart, so that nothing ties
    yield (a, rng.permutation(30).reshape(2, 3, 5) / 7.0 + 0.07), {}
    yield (a, rng.permutation(3).reshape(3, 1) + 1.5), {}
    yield (a, 2.03), {}


@_case("where")
def _where(rng):
    condition = rng.random((2, 3, 5)) < 0.6
    yield (rng.standard_normal((2, 3, 5)), rng.standard_normal((3, 1))), {"condition": condition}
    yield (rng.standard_normal(5), 0.7), {"condition": condition}


@_case("binary_cross_entropy_with_logits")
def _binary_cross_entropy(rng):
    logits, targets = rng.standard_normal((3, 7)) * 2, rng.random((3, 7))
    for reduction in ("mean", "sum", "none"):
        yield (logits, targets), {"reduction": reduction}


@_case("mean_squared_error")
def _mean_squared_error(rng):
    x, target = rng.standard_normal((2, 3, 7))
    for reduction in ("mean", "sum", "none"):
        yield (x, target), {"reduction": reduction}


@_case("rms_norm")
def _rms_norm(rng):
    yield (rng.standard_normal((2, 3, 7)), rng.uniform(0.5, 2.0, 7)), {"eps": 0.5}


@_case("rotary_embedding")
def _rotary_embedding(rng):
    cos, sin = ops.rotary_tables(5, 6, base=7.0, dtype=np.float64)
    x = rng.standard_normal((2, 3, 5, 6))
    yield (x,), {"cos": cos, "sin": sin}
    yield (x,), {"cos": cos, "sin": sin, "interleaved": True}


def _recurrent(rng, states, gates, biases):
    """x, states, weights and biases of a small recurrent layer: B, T, C, H = 2, 5, 3, 7."""
    B, T, C, H = 2, 5, 3, 7
    yield rng.standard_normal((B, T, C))
    for _ in range(states):
        yield rng.standard_normal((B, H))
    yield rng.standard_normal((C, gates * H)) * 0.5
    yield rng.standard_normal((H, gates * H)) * 0.5
    for _ in range(biases):
        yield rng.standard_normal(gates * H)


def _recurrent_cases(rng, states, gates, biases):
    inputs = tuple(_recurrent(rng, states, gates, biases))
    yield inputs, {}
    yield inputs, {"lengths": np.array([5, 3])}
    yield (*inputs[:-biases], *(None,) * biases), {"lengths": np.array([0, 4])}


@_case("rnn")
def _rnn(rng):
    yield from _recurrent_cases(rng, states=1, gates=1, biases=1)


@_case("gru")
def _gru(rng):
    yield from _recurrent_cases(rng, states=1, gates=3, biases=2)


@_case("lstm")
def _lstm(rng):
    yield from _recurrent_cases(rng, states=2, gates=4, biases=1)
