"""Kernels on the stand-in: their C, compiled for the processor, against the operations in NumPy.

Tolerance.  A kernel computes the same formula with other roundings (and gelu with the processor's erfc
instead of a polynomial), so not the same bits: 1e-6 in float32 and 1e-12 in float64, relative to the
larger of 1 and the number.  NaN and Inf stand at the same places.
"""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from minillm import kernels, ops
from minillm.backend import is_array, to_numpy
from minillm.gradcheck import check_gradients
from minillm.gradcheck.cases import cases
from minillm.gradcheck.parity import each_array, flat, run_case
from minillm.nn import Parameter
from minillm.optim import Adam, AdamW

from . import strict

TOLERANCE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-12}
DTYPES = [np.float32, np.float64]
WITH_KERNELS = {  # operation -> the kernels that its forward and backward pass run
    "gelu": {"gelu", "gelu_tanh"},
    "silu": {"silu", "silu_backward"},
    "dropout": {"dropout"},
    "softmax": {"sum_exp", "softmax", "sum_product", "softmax_backward"},
    "log_softmax": {"sum_exp", "log_softmax", "log_softmax_backward"},
    "layer_norm": {"mean", "layer_norm_rstd", "layer_norm", "mean_product", "mean_product_3",
                   "layer_norm_backward"},
    "rms_norm": {"rms_norm_r", "rms_norm", "mean_product_3", "rms_norm_backward"},
    "cross_entropy": {"cross_entropy_backward"},
}  # fmt: skip
CASES = [
    pytest.param(name, i, id=f"{name}-{i}")
    for name in WITH_KERNELS
    for i in range(len(cases(name)))
]


def assert_close(found, expected, tolerance=None):
    """Arrays within the tolerance, of the same dtype and shape; anything else is left out."""
    compared = 0
    for a, b in zip(flat(found), flat(expected), strict=True):
        assert is_array(a) == is_array(b)
        if not is_array(b):
            continue
        a, compared = to_numpy(a), compared + 1
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        near = tolerance or TOLERANCE.get(b.dtype, 0)
        np.testing.assert_allclose(a, b, rtol=near, atol=near, equal_nan=True)
    assert compared


# -------------------------------------------------------------------- the operations' own cases


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "i"), CASES)
def test_an_operation_with_kernels_agrees_with_the_host(fused, name, i, dtype):
    case = cases(name)[i]
    assert_close(run_case(case, dtype, fused.put), run_case(case, dtype, np.asarray))
    assert set(fused.launched) <= WITH_KERNELS[name]


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_every_kernel_of_an_operation_is_run(fused, name):
    for case in cases(name):
        run_case(case, np.float32, fused.put)
    assert set(fused.launched) == WITH_KERNELS[name]


def test_the_page_names_every_kernel_in_the_row_of_its_operation():
    page = Path(__file__).parents[2] / "docs" / "cuda.md"
    rows = [
        line.split("|")[1:3]
        for line in page.read_text(encoding="utf-8").splitlines()
        if "|" in line
    ]
    listed, operation = {}, None
    for first, second in rows:
        operation = first.strip().split("`")[1] if "`" in first else operation
        listed.setdefault(operation, set()).update(re.findall(r"`(\w+)`", second))
    assert {name: listed[name] for name in WITH_KERNELS} == WITH_KERNELS
    assert listed["Adam"] == {"adam", "amsgrad"}


def test_the_table_above_names_every_kernel():
    named = set().union(*WITH_KERNELS.values()) | {"adam", "amsgrad"}
    assert [kernel.name for kernel in kernels.KERNELS if kernel.name not in named] == []
    assert len({kernel.name for kernel in kernels.KERNELS}) == len(kernels.KERNELS) == len(named)


@pytest.mark.parametrize(("name", "i"), CASES)
def test_gradients_through_kernels_are_those_of_finite_differences(fused, name, i):
    case = cases(name)[i]

    # the checker looks at everything on the host, also at what is saved
    def forward(*inputs, **options):
        inputs, options = each_array((inputs, options), fused.put)
        return each_array(case.forward(*inputs, **options), to_numpy)

    def backward(grad_out, saved):
        return each_array(case.backward(*each_array((grad_out, saved), fused.put)), to_numpy)

    report = check_gradients(forward, backward, *case.inputs, **case.options)
    assert report.passed, str(report)
    assert fused.launched or case.options.get("training") is False


def test_without_kernels_the_stand_in_takes_the_plain_path(strict_xp):
    x = strict_xp.asarray(np.ones(3, np.float32))
    assert not kernels.usable(x)
    strict.counters.reset()
    ops.gelu_forward(x)
    assert strict.counters.launches > 10


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_kernels_are_for_float32_and_float64_on_a_device(fused, dtype):
    assert kernels.usable(fused.put(np.ones(3, dtype))) == (dtype != np.float16)
    assert not kernels.usable(np.ones(3, dtype))


LAUNCHES = {  # (forward, backward): each is at least one trip over the array
    "gelu": (1, 1),
    "silu": (1, 1),
    "dropout": (1, 1),
    "softmax": (3, 2),
    "layer_norm": (3, 6),
    "rms_norm": (2, 4),
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_how_many_launches_an_operation_takes(fused, counters, rng, name):
    x, gamma = (fused.put(rng.standard_normal(s).astype(np.float32)) for s in ((4, 7), (7,)))
    forward, backward = (getattr(ops, f"{name}_{way}") for way in ("forward", "backward"))
    options = {"p": 0.3} if name == "dropout" else {}
    weights = {"layer_norm": (gamma, gamma), "rms_norm": (gamma,)}.get(name, ())
    counters.reset()
    _, saved = forward(x, *weights, **options)
    launched = counters.launches
    backward(x, saved)
    assert (launched, counters.launches - launched) == LAUNCHES[name]
    assert counters.synchronisations == 0


# ------------------------------------------------------------- edge values, in entries and in rows

EDGES = [0.0, -0.0, 1e-45, -1e-30, 1e-8, 0.5, -0.7, 1.0, 5.5, -5.5, 11.99, 12.01, -13.0, 39.9, -41.0,
         88.0, -90.0, 1e4, -1e4, 1e30, -1e30, 3e38, np.inf, -np.inf, np.nan]  # fmt: skip
FINITE = [x for x in EDGES if abs(x) < 1e4]


def both_ways(name, put, x, *weights, **options):
    """(out, gradients) of an operation with a random cotangent, wherever `put` puts the arrays."""
    forward, backward = (getattr(ops, f"{name}_{way}") for way in ("forward", "backward"))
    options = {**options, "rng": np.random.default_rng(1)} if name == "dropout" else options
    arrays = [None if a is None else put(np.asarray(a, x.dtype)) for a in weights]
    out, saved = forward(put(x), *arrays, **options)
    cotangent = np.random.default_rng(2).standard_normal(out.shape).astype(x.dtype)
    return out, backward(put(cotangent), saved)


ENTRYWISE = [
    ("gelu", {}), ("gelu", {"approximate": "tanh"}), ("silu", {}), ("dropout", {"p": 0.3}),
    ("dropout", {"p": 1.0}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "options"), ENTRYWISE)
def test_extreme_entries_agree_with_the_host(fused, name, options, dtype):
    x = np.array(EDGES, dtype)
    found, expected = (both_ways(name, put, x, **options) for put in (fused.put, np.asarray))
    assert_close(found, expected)


ROWS = {
    "finite": FINITE,
    "huge": [1e4, -1e4, 9999.0, 0.0, 1e4],
    "constant": [3.0] * 5,
    "tiny": [1e-30, -1e-30, 2e-30, 0.0],
    "one NaN": [1.0, np.nan, 2.0],
    "infinite": [np.inf, 1.0, 2.0],
    "minus infinity": [-np.inf, 1.0, 2.0],
    "only minus infinity": [-np.inf, -np.inf],
    "one entry": [7.0],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "layer_norm", "rms_norm"])
def test_extreme_rows_agree_with_the_host(fused, name, row, dtype):
    x = np.array([ROWS[row], ROWS[row][::-1]], dtype)
    gamma = np.linspace(0.5, 1.5, x.shape[1])
    weights = {"layer_norm": (gamma, None), "rms_norm": (gamma,)}.get(name, ())
    found, expected = (both_ways(name, put, x, *weights) for put in (fused.put, np.asarray))
    # a row of 1e4 has gradients of rounding errors: 1e-6 of the largest number, not of each
    assert_close(found, expected, 1e-2 if row == "huge" and dtype == np.float32 else None)


SHAPES = [(0,), (1,), (7,), (0, 5), (3, 1), (2, 3, 5), (5, 513), (3, 1031)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", sorted(set(WITH_KERNELS) - {"cross_entropy"}))
def test_empty_odd_and_long_rows_agree_with_the_host(fused, rng, name, shape, dtype):
    if shape == (0,) and name in ("softmax", "log_softmax", "layer_norm", "rms_norm"):
        shape = (0, 3, 2)  # a row without entries is refused; no rows are not
    x = rng.standard_normal(shape).astype(dtype)
    gamma = np.linspace(0.5, 1.5, shape[-1])
    weights = {"layer_norm": (gamma, -gamma), "rms_norm": (gamma,)}.get(name, ())
    options = {"p": 0.3} if name == "dropout" else {}
    found, expected = (
        both_ways(name, put, x, *weights, **options) for put in (fused.put, np.asarray)
    )
    # grad_gamma and the sums of long rows are added in another order
    assert_close(found, expected, 4e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_any_axis_of_any_view(fused, rng, name, axis):
    x = rng.standard_normal((4, 6, 5)).astype(np.float32).transpose(2, 0, 1)[::2]
    assert not x.flags.c_contiguous
    found, expected = (both_ways(name, put, x, axis=axis) for put in (fused.put, np.asarray))
    assert_close(found, expected)


@pytest.mark.parametrize("id_dtype", [np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_agrees_with_the_host(fused, rng, smoothing, weighted, id_dtype):
    V = 300  # more classes than uint8 can count
    logits = rng.standard_normal((5, V)).astype(np.float32)
    targets = np.array([3, 7, 255, 7, 0], id_dtype)
    weight = rng.uniform(0.5, 2, V).astype(np.float32) if weighted else None

    def loss_and_gradient(put):
        options = {"weight": None if weight is None else put(weight), "ignore_index": 7}
        loss, saved = ops.cross_entropy_forward(
            put(logits), put(targets), label_smoothing=smoothing, **options
        )
        return ops.cross_entropy_backward(put(np.float32(1.7)), saved)[0], loss

    found, expected = loss_and_gradient(fused.put), loss_and_gradient(np.asarray)
    assert_close(found[:1], expected[:1])
    assert float(found[1]) == pytest.approx(float(expected[1]), rel=1e-6)
    assert fused.launched == ["cross_entropy_backward"]


# ----------------------------------------------------------------------------------------- Adam

ADAM_OPTIONS = [
    {}, {"weight_decay": 0.1}, {"amsgrad": True}, {"amsgrad": True, "weight_decay": 0.2},
    {"maximize": True}, {"betas": (0.5, 0.0), "eps": 0.5},
]  # fmt: skip


def after_steps(kind, device, dtype, options, gradients):
    """Parameters and state by name on the host, after a step with each of the gradients."""
    start = np.random.default_rng(4).standard_normal((3, 7)).astype(dtype)
    p = Parameter(start).to(device)
    optimizer = kind([("p", p)], lr=0.1, **options)
    for gradient in gradients:
        p.grad = device.put(np.asarray(gradient, dtype))
        optimizer.step()
    entries = {**optimizer.state["p"], "p": p.data}
    return {name: to_numpy(x) for name, x in entries.items() if is_array(x)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", ADAM_OPTIONS, ids=str)
@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam_in_one_pass_agrees_with_the_host(fused, rng, kind, options, dtype):
    gradients = [scale * rng.standard_normal((3, 7)) for scale in (1.0, 1e-3, 30.0, 0.0, 1.0)]
    host = type(fused)("cpu")
    expected = after_steps(kind, host, dtype, options, gradients)
    found = after_steps(kind, fused, dtype, options, gradients)
    assert found.keys() == expected.keys()
    for name, b in expected.items():
        assert_close([found[name]], [b], 4e-6 if dtype == np.float32 else None)
    assert fused.launched == ["amsgrad" if options.get("amsgrad") else "adam"] * len(gradients)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_carries_nan_and_infinity_where_the_host_has_them(fused, amsgrad):
    gradients = np.zeros((4, 3, 7))
    gradients[1].flat[: len(EDGES)] = EDGES[-21:]
    options = {"amsgrad": amsgrad, "weight_decay": 0.1}
    host = type(fused)("cpu")
    expected = after_steps(AdamW, host, np.float64, options, gradients)
    found = after_steps(AdamW, fused, np.float64, options, gradients)
    for name, b in expected.items():
        assert_close([found[name]], [b])


def test_adam_changes_a_transposed_parameter_in_place(fused, rng):
    start = fused.put(rng.standard_normal((4, 3)).astype(np.float32))
    p = Parameter(start.T)
    p.grad = fused.put(np.ones((3, 4), np.float32))
    before = p.data.get()
    Adam([p], lr=0.5).step()
    np.testing.assert_allclose(p.data.get(), before - 0.5, rtol=1e-6)
    np.testing.assert_allclose(start.get(), (before - 0.5).T, rtol=1e-6)


# ----------------------------------------------------------------- wrong kernels must be rejected

WRONG = {  # name -> a text in its C, and what it is changed into
    "gelu": ("T(-0.5)", "T(-0.501)"),
    "gelu_tanh": ("T(0.044715)", "T(0.0447)"),
    "silu": ("tanh(T(0.5)", "tanh(T(0.499)"),
    "silu_backward": ("(T(1) - s)", "(T(1) + s)"),
    "dropout": ("keep ?", "!keep ?"),
    "sum_exp": ("exp(x - m)", "exp(m - x)"),
    "softmax": ("x - m", "x + m"),
    "log_softmax": ("- log", "+ log"),
    "sum_product": ("x * y", "x + y"),
    "softmax_backward": ("- mean", "+ mean"),
    "log_softmax_backward": ("exp(log_p)", "log_p"),
    "mean": ("a / n", "a / (n - T(1))"),
    "mean_product": ("a / n", "a"),
    "mean_product_3": ("* z", ""),
    "layer_norm_rstd": ("a / n + eps", "a / n - eps"),
    "layer_norm": ("+ beta", "- beta"),
    "layer_norm_backward": ("- mean_g", ""),
    "rms_norm_r": ("+ eps", "+ T(2) * eps"),
    "rms_norm": ("x * r", "x / r"),
    "rms_norm_backward": ("- x_hat", "+ x_hat"),
    "cross_entropy_backward": ("c == y", "c != y"),
    "adam": ("rest2 * grad * grad", "rest2 * grad"),
    "amsgrad": ("!(v <= v_max)", "(v <= v_max)"),
}


def wrong(kernel):
    """The kernel with one text changed."""
    before, after = WRONG[kernel.name]
    fields = [f for f in ("body", "term", "result") if before in getattr(kernel, f, "")]
    assert fields, f"{kernel.name} has no {before!r}"
    changed = getattr(kernel, fields[0]).replace(before, after, 1)
    return dataclasses.replace(kernel, _built={}, **{fields[0]: changed})


@pytest.fixture
def wrong_kernels(fused):
    """Every kernel with its mistake, compiled together."""
    made = {kernel.name: wrong(kernel) for kernel in kernels.KERNELS}
    fused.library.add([kernel.recipe for kernel in made.values()])
    return made


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kernel", kernels.KERNELS, ids=lambda kernel: kernel.name)
def test_a_kernel_with_a_mistake_is_rejected(fused, rng, monkeypatch, wrong_kernels, kernel):
    for module in (kernels.activations, kernels.rows, kernels.adam):
        for attribute, value in list(vars(module).items()):
            if value is kernel:
                monkeypatch.setattr(module, attribute, wrong_kernels[kernel.name])
    users = [name for name, used in WITH_KERNELS.items() if kernel.name in used]

    def check():
        for name in users:
            for i in range(len(cases(name))):
                test_an_operation_with_kernels_agrees_with_the_host(fused, name, i, np.float32)
        if not users:
            options = {"amsgrad": kernel.name == "amsgrad"}
            test_adam_in_one_pass_agrees_with_the_host(fused, rng, Adam, options, np.float32)

    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check()
    assert kernel.name in fused.launched


# ----------------------------------------------------------------- the stand-in's rules are CuPy's


def misuse(xp):
    """Calls that CuPy refuses, each with the beginning of what it says."""
    twice = xp.ElementwiseKernel("T x, T y", "T out", "out = x + y;", "twice")
    total = xp.ReductionKernel("T x", "T out", "x", "a + b", "out = a", "0", "total")
    x, wide = (xp.asarray(np.ones((2, 3), dtype)) for dtype in DTYPES)
    return {
        "count": ("Wrong number of arguments", lambda: twice(x)),
        "host": ("Unsupported type", lambda: twice(x, np.ones((2, 3), np.float32))),
        "dtypes": ("Type is mismatched", lambda: twice(x, wide)),
        "dtype of the output": ("Type is mismatched", lambda: twice(x, x, wide)),
        "shape": ("Out shape is mismatched", lambda: twice(x, x, x[0])),
        "broadcast": ("broadcast", lambda: twice(x, x[:, :2])),
        "reduction count": ("Wrong number of arguments", lambda: total(x, x, x, axis=0)),
        "argument i": (
            "Can not use 'i'",
            lambda: xp.ElementwiseKernel("T i", "T y", "y = i;", "k"),
        ),
        "too few parts": (
            "missing a required argument",
            lambda: xp.ReductionKernel("T x", "T y", "x", "a + b", "y = a"),
        ),
    }


MISUSES = ["count", "host", "dtypes", "dtype of the output", "shape", "broadcast",
           "reduction count", "argument i", "too few parts"]  # fmt: skip


@pytest.mark.parametrize("case", MISUSES)
def test_the_stand_in_refuses_what_cupy_refuses(fused, case):
    message, call = misuse(fused.xp)[case]
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_numbers_and_views_go_into_kernels(fused):
    xp = fused.xp
    add = xp.ElementwiseKernel("T x, T y", "T out", "out = x + y;", "add")
    total = xp.ReductionKernel("T x", "T out", "x", "a + b", "out = a", "0", "total")
    x = xp.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert add(x.T, 1).get().tolist() == [[1, 4], [2, 5], [3, 6]]
    assert total(x, axis=0, keepdims=True).get().tolist() == [[3, 5, 7]]
    assert total(x.T, axis=0).get().tolist() == [3, 12]
    out = x[:, 1:]
    add(x[:, :2], x[:, :1], out)
    assert x.get().tolist() == [[0, 0, 1], [3, 6, 7]]
