"""Sets of inputs for each operation, on which its gradient check can see everything.

Sizes are distinct primes, so that a wrong axis or a lost factor cannot hide behind an equal one;
constants that are usually tiny or 1 are large (eps = 0.5, smoothing = 0.3); ids repeat; masks hide
whole rows; every optional array is present in one case and absent in another.  Seed 0 has the sizes
that stand in the text; every other seed draws its own, as it draws its own numbers.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .. import ops
from .inputs import fresh


@dataclass(frozen=True)
class Case:
    """Inputs and options of one call of an operation.

    estimates   options that turn the call into the one whose derivative backward is, where backward is
                not the derivative of the call itself but an estimate (straight-through); {} elsewhere
    """

    operation: str
    inputs: tuple
    options: dict[str, Any] = field(default_factory=dict)
    estimates: dict[str, Any] = field(default_factory=dict)

    @property
    def forward(self) -> Callable:
        """The operation's forward."""
        return getattr(ops, f"{self.operation}_forward")

    @property
    def checked_forward(self) -> Callable:
        """The forward that a gradient check may hold backward against.

        It is the operation's own, except for an estimate: then it returns the output of the call with
        the options `estimates`, and what the call itself saved, so that backward is run on the latter.
        """
        forward = self.forward
        if not self.estimates:
            return forward

        @functools.wraps(forward)
        def estimated(*inputs: Any, **options: Any) -> tuple:
            out, _ = forward(*inputs, **{**fresh(options), **self.estimates})
            return out, forward(*inputs, **options)[1]

        vars(estimated).pop("straight_through", None)  # its output is what backward belongs to
        return estimated

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
    made = _MAKERS[operation](rng, _sizes_of(seed))
    return [Case(operation, *parts) for parts in made]


class _Sizes(Protocol):
    def __call__(self, *usual: int, least: tuple[int, ...] = ..., most: int = ...) -> list[int]: ...


def _sizes_of(seed: int) -> _Sizes:
    """A function that answers sizes with other sizes: with themselves for seed 0.

    sizes(2, 3, 5)               three other distinct primes, or other places; none above `most`
    sizes(5, 7, least=(3, 2))    each at least as large as its entry of `least`
    """
    rng = np.random.default_rng([seed, 1])  # apart from the numbers, which stay as they were

    def sizes(*usual: int, least: tuple[int, ...] = (), most: int = 7) -> list[int]:
        drawn = list(usual)
        while seed and (drawn == list(usual) or any(map(int.__lt__, drawn, least))):
            primes = [prime for prime in (2, 3, 5, 7, 11) if prime <= most]
            drawn = rng.choice(primes, len(usual), replace=False).tolist()
        return drawn

    return sizes


# (inputs, options) or (inputs, options, estimates)
_MAKERS: dict[str, Callable[[np.random.Generator, _Sizes], Iterator[tuple]]] = {}


def _case(*operations: str) -> Callable:
    def register(make: Callable) -> Callable:
        for operation in operations:
            _MAKERS[operation] = make
        return make

    return register


@_case("add", "subtract", "multiply")
def _binary(rng, sizes):
    a, b, c, d = sizes(2, 3, 5, 7, most=11)
    yield (rng.standard_normal((a, b, c)), rng.standard_normal((a, b, c))), {}
    yield (rng.standard_normal((a, 1, c)), rng.standard_normal((b, 1))), {}
    yield (rng.standard_normal((d,)), 3.0), {}


@_case("divide")
def _divide(rng, sizes):
    a, b, c, d = sizes(2, 3, 5, 7, most=11)
    away_from_0 = rng.uniform(0.5, 2.0, (b, 1)) * rng.choice([-1, 1], (b, 1))
    yield (rng.standard_normal((a, 1, c)), away_from_0), {}
    yield (2.0, rng.uniform(0.5, 2.0, (d,))), {}


@_case("power")
def _power(rng, sizes):
    a, b, c, d = sizes(2, 3, 5, 7, most=11)
    yield (rng.uniform(0.5, 2.0, (a, 1, c)), rng.standard_normal((b, 1))), {}
    yield (rng.standard_normal((d,)), 2), {}
    yield (1.7, rng.standard_normal((c,))), {}


@_case("negative", "exp", "tanh", "erf")
def _anywhere(rng, sizes):
    yield (rng.standard_normal(sizes(3, 5, most=11)) * 1.5,), {}


@_case("log", "sqrt")
def _positive(rng, sizes):
    yield (rng.uniform(0.3, 3.0, sizes(3, 5, most=11)),), {}


@_case("gelu")
def _gelu(rng, sizes):
    x = rng.standard_normal(sizes(3, 7, most=11)) * 1.5
    yield (x,), {"approximate": "none"}
    yield (x,), {"approximate": "tanh"}


@_case("matmul")
def _matmul(rng, sizes):
    a, b, c, d = sizes(2, 3, 5, 7)
    yield (rng.standard_normal((a, b, c)), rng.standard_normal((a, c, d))), {}
    yield (rng.standard_normal((a, 1, b, c)), rng.standard_normal((b, c, a))), {}
    yield (rng.standard_normal((a, b, c)), rng.standard_normal((c, d))), {}
    yield (rng.standard_normal((b, b)), rng.standard_normal((b, b))), {}  # squares hide a transpose
    yield (rng.standard_normal((c,)), rng.standard_normal((a, c, b))), {}
    yield (rng.standard_normal((a, b, c)), rng.standard_normal((c,))), {}
    yield (rng.standard_normal((c,)), rng.standard_normal((c,))), {}


@_case("sum", "mean", "max")
def _reductions(rng, sizes):
    a, b, c = sizes(2, 3, 5)
    x = rng.permutation(a * b * c).reshape(a, b, c) / 7.0  # distinct, so that max has no ties
    yield (x,), {}
    yield (x,), {"axis": 1}
    yield (x,), {"axis": (0, -1), "keepdims": True}


@_case("reshape")
def _reshape(rng, sizes):
    a, b, c = sizes(2, 3, 5, most=11)
    yield (rng.standard_normal((a, b, c)),), {"shape": (c, -1)}


@_case("transpose")
def _transpose(rng, sizes):
    a, b, c = sizes(2, 3, 5, most=11)
    yield (rng.standard_normal((b, c)),), {}
    yield (rng.standard_normal((b, b)),), {}
    yield (rng.standard_normal((a, b, c)),), {"axes": (1, 2, 0)}


@_case("getitem")
def _getitem(rng, sizes):
    rows, columns = sizes(5, 3, least=(5, 2), most=11)
    x = rng.standard_normal((rows, columns))
    yield (x,), {"index": (slice(1, rows - 1), columns - 1)}
    yield (x,), {"index": np.array([1, rows - 2, 1, 1])}
    yield (x,), {"index": (None, slice(None, None, -2))}
    yield (x,), {"index": x > 0}


@_case("split")
def _split(rng, sizes):
    a, b, n = sizes(2, 3, 7, least=(2, 2, 5))
    yield (rng.standard_normal((a, 2 * b, b)),), {"sections": b, "axis": 1}
    yield (rng.standard_normal((a, n)),), {"sections": [1, n - 3], "axis": -1}


@_case("concatenate")
def _concatenate(rng, sizes):
    a, b, c, d = sizes(2, 3, 5, 7, most=11)
    yield tuple(rng.standard_normal((a, n, c)) for n in (1, b, d)), {"axis": 1}


@_case("linear")
def _linear(rng, sizes):
    a, b, I, O = sizes(2, 3, 5, 7, most=11)
    x, weight = rng.standard_normal((a, b, I)), rng.standard_normal((I, O))
    yield (x, weight, rng.standard_normal(O)), {}
    yield (x, weight, None), {}
    yield (x, rng.standard_normal((I, I)), None), {}  # a square weight hides a transpose


@_case("lora_linear")
def _lora_linear(rng, sizes):
    a, b, I, O, R = sizes(3, 2, 7, 11, 5, most=11)
    x, weight = rng.standard_normal((a, b, I)), rng.standard_normal((I, O))
    lora_A, lora_B = rng.standard_normal((I, R)), rng.standard_normal((R, O))
    yield (x, weight, lora_A, lora_B, rng.standard_normal(O)), {"scale": 0.6}
    yield (x, weight, lora_A, lora_B, None), {"scale": -1.7}
    square = tuple(rng.standard_normal((3, R, R)))  # square matrices hide a transpose
    yield (rng.standard_normal((a, R)), *square, None), {"scale": 0.6}
    dropped = {"scale": 0.6, "dropout_p": 0.3, "rng": np.random.default_rng(3)}
    yield (x, weight, lora_A, lora_B, rng.standard_normal(O)), dropped


@_case("embedding")
def _embedding(rng, sizes):
    V, C, B = sizes(7, 3, 2, least=(5, 2, 2), most=11)
    weight = rng.standard_normal((V, C))
    ids = np.array([[1, 4, 1], [6, 1, 0]])
    if (V, C, B) != (7, 3, 2):
        ids = rng.integers(0, V - 1, (B, 3))  # no id names the last row
        ids[0, 0] = ids[0, 2] = ids[-1, 1] = 1
        ids[-1, 2] = 0
    yield (ids, weight), {}
    # padding_idx is not checked here: its row is frozen on purpose, whatever the derivative is


@_case("positional_encoding")
def _positional_encoding(rng, sizes):
    a, T, C, P = sizes(2, 3, 5, 7, most=11)
    T, P = sorted((T, P))  # the table is longer than the sequence
    yield (rng.standard_normal((a, T, C)), rng.standard_normal((P, C))), {}


@_case("softmax", "log_softmax")
def _softmax(rng, sizes):
    a, b, c = sizes(2, 3, 5, most=11)
    yield (rng.standard_normal((b, c)) * 2,), {}
    yield (rng.standard_normal((a, b, c)) * 2,), {"axis": 1}


@_case("cross_entropy")
def _cross_entropy(rng, sizes):
    a, b, V = sizes(2, 5, 7)
    logits = rng.standard_normal((a, b, V)) * 2
    targets = rng.integers(0, V, (a, b))
    targets[0, 1] = -100
    weight = rng.uniform(0.5, 2.0, V)
    yield (logits, targets), {}
    yield (logits, targets), {"reduction": "sum", "weight": weight}
    yield (logits, targets), {"reduction": "none", "label_smoothing": 0.3}
    yield (logits, targets), {"weight": weight, "label_smoothing": 0.3}


@_case("dropout")
def _dropout(rng, sizes):
    x = rng.standard_normal(sizes(5, 7, least=(5, 5), most=11))
    yield (x,), {"p": 0.3, "rng": np.random.default_rng(3)}
    yield (x,), {"p": 0.3, "training": False}


@_case("layer_norm")
def _layer_norm(rng, sizes):
    a, b, C = sizes(2, 3, 7, least=(2, 2, 3), most=11)
    x, gamma = rng.standard_normal((a, b, C)), rng.uniform(0.5, 2.0, C)
    yield (x, gamma, rng.standard_normal(C)), {"eps": 0.5}
    yield (x, gamma, None), {"eps": 0.1}


@_case("scaled_dot_product_attention")
def _attention(rng, sizes):
    (group,) = sizes(3, most=3)
    T, D, S, E = sizes(5, 3, 7, 4, least=(3, 3, 3, 2))
    T, S = sorted((T, S))  # more keys than queries
    q = rng.standard_normal((2, 2 * group, T, D))
    k, v = rng.standard_normal((2, 2, S, D)), rng.standard_normal((2, 2, S, E))  # grouped heads
    visible = rng.random((2, 1, T, S)) < 0.6
    visible[0, 0, 2] = False  # a query that sees nothing
    yield (q, k, v), {}
    yield (q, k, v), {"is_causal": True, "visible": visible}
    (n,) = sizes(3, most=5)
    square = tuple(rng.standard_normal((2, 2, n, n)) for _ in range(3))
    yield square, {"is_causal": True, "scale": 0.7}
    yield square, {"dropout_p": 0.3, "rng": np.random.default_rng(3)}


@_case("relu", "sigmoid", "silu")
def _activations(rng, sizes):
    shape = sizes(3, 7, most=11)
    yield (rng.uniform(0.1, 2.0, shape) * rng.choice([-1, 1], shape),), {}  # away from the kink


@_case("maximum")
def _maximum(rng, sizes):
    a, b, c = sizes(2, 3, 5)
    n, shape = a * b * c, (a, b, c)
    x = rng.permutation(n).reshape(shape) / 7.0  # distinct and apart, so that nothing ties
    yield (x, rng.permutation(n).reshape(shape) / 7.0 + 0.07), {}
    yield (x, rng.permutation(b).reshape(b, 1) + 1.5), {}
    yield (x, 2.03), {}


@_case("where")
def _where(rng, sizes):
    a, b, c = sizes(2, 3, 5, most=11)
    condition = rng.random((a, b, c)) < 0.6
    yield (rng.standard_normal((a, b, c)), rng.standard_normal((b, 1))), {"condition": condition}
    yield (rng.standard_normal(c), 0.7), {"condition": condition}


@_case("binary_cross_entropy_with_logits")
def _binary_cross_entropy(rng, sizes):
    shape = sizes(3, 7, most=11)
    logits, targets = rng.standard_normal(shape) * 2, rng.random(shape)
    for reduction in ("mean", "sum", "none"):
        yield (logits, targets), {"reduction": reduction}


@_case("mean_squared_error")
def _mean_squared_error(rng, sizes):
    x, target = rng.standard_normal((2, *sizes(3, 7, most=11)))
    for reduction in ("mean", "sum", "none"):
        yield (x, target), {"reduction": reduction}


@_case("rms_norm")
def _rms_norm(rng, sizes):
    a, b, C = sizes(2, 3, 7, least=(2, 2, 3), most=11)
    yield (rng.standard_normal((a, b, C)), rng.uniform(0.5, 2.0, C)), {"eps": 0.5}


@_case("rotary_embedding")
def _rotary_embedding(rng, sizes):
    a, b, T, pairs = sizes(2, 3, 5, 3)
    cos, sin = ops.rotary_tables(T, 2 * pairs, base=7.0, dtype=np.float64)
    x = rng.standard_normal((a, b, T, 2 * pairs))
    yield (x,), {"cos": cos, "sin": sin}
    yield (x,), {"cos": cos, "sin": sin, "interleaved": True}


def _recurrent(rng, shape, states, gates, biases):
    """x, states, weights and biases of a small recurrent layer."""
    B, T, C, H = shape
    yield rng.standard_normal((B, T, C))
    for _ in range(states):
        yield rng.standard_normal((B, H))
    yield rng.standard_normal((C, gates * H)) * 0.5
    yield rng.standard_normal((H, gates * H)) * 0.5
    for _ in range(biases):
        yield rng.standard_normal(gates * H)


def _recurrent_cases(rng, sizes, states, gates, biases):
    B, T, C, H = sizes(2, 5, 3, 7, least=(2, 3, 2, 2))
    inputs = tuple(_recurrent(rng, (B, T, C, H), states, gates, biases))
    others = rng.integers(0, T + 1, B - 2)  # lengths beyond the first two
    yield inputs, {}
    yield inputs, {"lengths": np.array([T, T - 2, *others])}
    yield (*inputs[:-biases], *(None,) * biases), {"lengths": np.array([0, T - 1, *others])}


@_case("rnn")
def _rnn(rng, sizes):
    yield from _recurrent_cases(rng, sizes, states=1, gates=1, biases=1)


@_case("gru")
def _gru(rng, sizes):
    yield from _recurrent_cases(rng, sizes, states=1, gates=3, biases=2)


@_case("lstm")
def _lstm(rng, sizes):
    yield from _recurrent_cases(rng, sizes, states=2, gates=4, biases=1)


@_case("gaussian_sample")
def _gaussian_sample(rng, sizes):
    a, b, C = sizes(2, 3, 5, most=11)
    mu, log_variance, noise = rng.standard_normal((3, a, b, C))
    yield (mu, log_variance), {"noise": noise}
    yield (mu, log_variance), {"rng": np.random.default_rng(3)}


@_case("gaussian_kl")
def _gaussian_kl(rng, sizes):
    a, b, C = sizes(2, 3, 5, most=11)
    mu, log_variance = rng.standard_normal((2, a, b, C))
    yield (mu, log_variance), {}
    yield (mu[0, 0], log_variance[0, 0]), {}


@_case("gumbel_softmax")
def _gumbel_softmax(rng, sizes):
    a, b, V = sizes(2, 3, 5, most=11)
    logits, noise = rng.standard_normal((a, b, V)), rng.gumbel(size=(a, b, V))
    yield (logits,), {"temperature": 0.7, "noise": noise}
    yield (logits,), {"temperature": 1.7, "rng": np.random.default_rng(3), "axis": 1}
    straight_through = {"temperature": 0.7, "noise": noise, "hard": True}
    yield (logits,), straight_through, {"hard": False}


@_case("weight_norm")
def _weight_norm(rng, sizes):
    a, I, O = sizes(2, 3, 5, most=11)
    yield (rng.standard_normal((I, O)), rng.uniform(0.5, 2.0, (1, O))), {}
    yield (rng.standard_normal((a, I, O)), rng.standard_normal((a, 1, 1))), {"axis": (1, 2)}
    yield (rng.standard_normal((I, O)), rng.uniform(0.5, 2.0, (1, 1))), {"axis": None}
