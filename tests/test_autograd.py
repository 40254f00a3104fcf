"""The engine: recording, the chain rule, ownership of gradients, and what its errors say."""

import copy
import gc
import pickle
import tracemalloc

import numpy as np
import pytest

import minillm
import minillm.functional as F
from minillm import Tensor, debug, differentiable, no_grad
from minillm.nn import Linear, Module, Parameter, Sequential


def leaf(*shape, seed=0, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), True)


# ------------------------------------------------------------------------------- chain rule


def test_a_value_used_twice_is_finished_before_it_is_passed_on():
    # a = 1, b = a + a, c = b + b: the smallest case that a naive recursion gets wrong
    a = Tensor([1.0], requires_grad=True)
    b = a + a
    (b + b).sum().backward()
    assert a.grad.tolist() == [4.0]


def test_a_chain_of_a_hundred_thousand_operations():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_gradients_of_different_graphs_accumulate():
    x = Tensor([3.0], requires_grad=True)
    (x * x).sum().backward()
    (x * 2.0).sum().backward()
    assert x.grad.tolist() == [8.0]


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("uses", [1, 2, 3, 4, 5])
def test_every_use_of_a_value_counts(shape, uses):
    x = leaf(*shape)
    y = x * 2.0  # NumPy makes numbers, not arrays, of sums without axes
    sum((y * float(i + 1) for i in range(1, uses)), y).sum().backward()
    assert isinstance(x.grad, np.ndarray)
    np.testing.assert_allclose(x.grad, np.full(shape, 2.0 * sum(range(1, uses + 1))), rtol=1e-12)


def grow(rng, pool):
    """One more value from those in the pool: (a Tensor, its derivative along a direction)."""
    (a, da), (b, db) = (pool[i] for i in rng.integers(len(pool), size=2))
    return [
        lambda: (a + b, da + db),
        lambda: (a * b, da * b.data + a.data * db),
        lambda: (F.tanh(a), da * (1 - np.tanh(a.data) ** 2)),
        lambda: (a.sum(), da.sum()),
        lambda: (a - 2.0 * b, da - 2.0 * db),
    ][rng.integers(5)]()


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs_agree_with_differentiating_forward(seed):
    # forward: every value carries its derivative along one direction, by the rules of calculus
    rng = np.random.default_rng(seed)
    leaves = [leaf(*shape, seed=seed + i) for i, shape in enumerate([(), (1,), (3,), (2, 3)])]
    ways = [rng.standard_normal(x.shape) for x in leaves]
    pool = list(zip(leaves, ways, strict=True))
    for _ in range(25):
        value, way = grow(rng, pool)
        pool.append((F.tanh(value), way * (1 - np.tanh(value.data) ** 2)))
    root, slope = F.sum(pool[0][0]), pool[0][1]
    for value, way in pool[1:]:
        root, slope = root + F.sum(value), slope + way.sum()
    root.backward()
    found = sum((x.grad * way).sum() for x, way in zip(leaves, ways, strict=True))
    np.testing.assert_allclose(found, slope, rtol=1e-10, atol=1e-12)


def test_two_leaves_never_share_a_gradient():
    a, b = leaf(3), leaf(3, seed=1)
    (a + b).sum().backward()
    a.grad *= 100
    assert b.grad.tolist() == [1.0, 1.0, 1.0]


def test_a_gradient_passed_in_is_not_changed_or_kept():
    x, g = leaf(3), np.ones(3)
    y = x + 0.0
    (y + y).backward(g)
    assert g.tolist() == [1.0, 1.0, 1.0]
    x.grad *= 5
    assert g.tolist() == [1.0, 1.0, 1.0]


def test_unused_outputs_have_zero_gradient():
    x = leaf(6)
    first, _, third = F.split(x, sections=3, axis=0)
    (first * 2.0 + third).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 0.0, 0.0, 1.0, 1.0]


def test_two_outputs_of_one_call_may_be_differentiated_one_after_the_other_only_once():
    x = leaf(6)
    first, second = F.split(x, sections=2, axis=0)
    first.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    with pytest.raises(RuntimeError, match="split: this graph was differentiated before"):
        second.sum().backward()


@pytest.mark.parametrize("data", [np.ones((2, 5)), np.ones(3, np.float32)])
def test_a_leaf_may_get_another_array(data):
    x = leaf(3)
    (x * 2.0).sum().backward()
    x.data, x.grad = data, None
    (x * 2.0).sum().backward()
    assert (x.grad.shape, x.grad.dtype) == (data.shape, data.dtype)


def test_shared_weights_collect_both_gradients():
    w, x = leaf(3, 3), leaf(2, 3, seed=1)
    ((x @ w) @ w).sum().backward()
    ones = np.ones((2, 3))
    expected = x.data.T @ (ones @ w.data.T) + (x.data @ w.data).T @ ones
    np.testing.assert_allclose(w.grad, expected, rtol=1e-12)


def test_a_deep_copy_is_a_leaf_of_its_own():
    x = leaf(3)
    (x * 2.0).sum().backward()
    twin = copy.deepcopy(x)
    (twin * 3.0).sum().backward()
    assert x.grad.tolist() == [2.0] * 3
    assert twin.grad.tolist() == [3.0] * 3
    twin.data[:] = 0.0
    assert x.data.all()


@pytest.mark.parametrize("make", [copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("kind", [Tensor, Parameter])
def test_copies_and_pickles_are_leaves_of_their_own(make, kind):
    x = kind(np.ones(3), True)
    (x * 2.0).sum().backward()  # x has a node in the graph now
    twin = make(x)
    assert type(twin) is kind
    assert twin.requires_grad
    assert twin.grad is None
    (twin * 3.0).sum().backward()
    assert x.grad.tolist() == [2.0] * 3
    assert twin.grad.tolist() == [3.0] * 3


def test_no_grad_records_nothing():
    x = leaf(3)
    with no_grad():
        y = x * 2.0
    assert not y.requires_grad
    assert (x * 2.0).requires_grad


def test_detached_tensors_stop_the_gradient():
    x = leaf(3)
    (x * x.detach()).sum().backward()
    np.testing.assert_array_equal(x.grad, x.data)


# ------------------------------------------------------------------------- types and dtypes


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1, 2], np.int64),
        ([1.0, 2.0], np.float32),
        ([[1.0], [2.0]], np.float32),
        (3, np.int64),
        (3.0, np.float32),
        ([True, False], np.bool_),
        (np.float64([1.0]), np.float64),
        (np.zeros(2, np.float16), np.float16),
    ],
)
def test_lists_get_the_library_dtype_and_arrays_keep_theirs(data, dtype):
    assert Tensor(data).dtype == dtype


def test_arrays_are_not_copied():
    data = np.zeros(3)
    assert Tensor(data).data is data


def test_scalars_do_not_change_the_dtype():
    x = leaf(3, dtype=np.float32)
    y = (2.0 * x + 1) / 3 - 0.5
    y = (1 - y) ** 2
    (y * 1.5).sum().backward()
    assert y.dtype == np.float32
    assert x.grad.dtype == np.float32


def test_an_integer_operand_takes_the_floating_dtype():
    x = leaf(3, dtype=np.float32)
    assert (x * np.arange(3)).dtype == np.float32
    assert (np.arange(3) + x).dtype == np.float32


def test_mixed_float_dtypes_name_the_cast_to_write():
    with pytest.raises(TypeError, match=r"multiply: a is float32 but b is float64.*'float32'"):
        leaf(3, dtype=np.float32) * leaf(3)


def test_operators_and_methods_agree_with_numpy():
    a, b = np.random.default_rng(0).uniform(0.5, 2.0, (2, 3, 4))
    x, y = Tensor(a), Tensor(b)
    for mine, theirs in [
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (-x, -a), (x**2, a**2),
        (2.0**x, 2.0**a), (1.0 / x, 1.0 / a), (1.0 - x, 1.0 - a), (x @ y.T, a @ b.T),
        (x.sum(0), a.sum(0)), (x.mean(axis=1, keepdims=True), a.mean(1, keepdims=True)),
        (x.max(-1), a.max(-1)), (x.exp(), np.exp(a)), (x.log(), np.log(a)),
        (x.sqrt(), np.sqrt(a)), (x.tanh(), np.tanh(a)), (x.reshape(2, -1), a.reshape(2, -1)),
        (x.reshape((4, 3)), a.reshape(4, 3)), (x.transpose(1, 0), a.T), (x[1:, ::2], a[1:, ::2]),
        (a + y, a + b), (a @ y.T, a @ b.T),
    ]:  # fmt: skip
        np.testing.assert_allclose(mine.data, theirs, rtol=1e-15)


def test_conversions():
    x = Tensor([1.5])
    assert x.item() == 1.5
    assert float(x) == 1.5
    assert x.numpy() is x.data
    assert np.asarray(x).tolist() == [1.5]
    assert x.to("float64").dtype == np.float64
    assert x.to("cpu").data.tolist() == [1.5]
    assert len(Tensor([1, 2, 3])) == 3
    assert repr(Tensor([1.0], True)) == "Tensor([1.], dtype=float32, requires_grad=True)"


# -------------------------------------------------------------------------------- functions


def test_lifted_operations_look_like_their_forward():
    assert F.softmax.__name__ == "softmax"
    assert "Shapes" in F.softmax.__doc__
    assert "axis" in str(F.softmax.__signature__)


def test_options_may_follow_by_position_and_arrays_by_name():
    x = leaf(2, 3)
    np.testing.assert_array_equal(F.softmax(x, 0).data, F.softmax(x=x, axis=0).data)
    weight, bias = leaf(3, 5), leaf(5)
    by_name = F.linear(weight=weight, x=x, bias=bias)
    np.testing.assert_array_equal(by_name.data, F.linear(x, weight, bias).data)
    by_name.sum().backward()
    np.testing.assert_allclose(bias.grad, [2.0] * 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.softmax(x, axes=0), "unknown option 'axes'"),
        (lambda x: F.softmax(x, 0, axis=0), "'axis' is given twice"),
        (lambda x: F.softmax(x, 0, 1), "got 3 arguments"),
        (lambda x: F.linear(x), "'weight' is missing"),
        (lambda x: F.linear(x, x, x=x), "'x' is given twice"),
        (lambda x: F.dropout(x, p=x), "p is an option"),
        (lambda x: x[Tensor([0])], "index is an option"),
        (lambda x: F.concatenate(x, axes=0), "unknown option 'axes'"),
    ],
)
def test_wrong_calls_are_explained(call, message):
    with pytest.raises(TypeError, match=message):
        call(leaf(2, 2))


@pytest.mark.parametrize("name", ["attn_mask", "mask", "src_mask", "src_key_padding_mask"])
def test_hidden_masks_spell_out_the_inverted_call(name):
    q = leaf(1, 1, 2, 2)
    with pytest.raises(TypeError, match=f"visible=~{name}"):
        F.scaled_dot_product_attention(q, q, q, **{name: np.ones((2, 2), bool)})


def test_an_operation_of_ones_own():
    cube = differentiable(lambda x: (x * x * x, x), lambda g, x: (3 * g * x * x,))
    x = Tensor([2.0], requires_grad=True)
    cube(x).sum().backward()
    assert x.grad.tolist() == [12.0]


# ----------------------------------------------------------------------------------- errors


def test_a_second_backward_says_what_to_do():
    loss = (leaf(3) * 2.0).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="add the losses first"):
        loss.backward()


def test_backward_of_many_numbers_explains_what_is_missing():
    with pytest.raises(ValueError, match=r"shape \(3,\) needs grad"):
        (leaf(3) * 2.0).backward()
    with pytest.raises(ValueError, match=r"grad must be of shape \(3,\), got \(2,\)"):
        (leaf(3) * 2.0).backward(np.ones(2))


def test_backward_without_anything_to_differentiate():
    with pytest.raises(RuntimeError, match="requires_grad"):
        (Tensor([1.0]) * 2.0).backward()


def test_assignment_teaches():
    with pytest.raises(TypeError, match="cannot be changed in place"):
        leaf(3)[0] = 1.0


def test_integers_cannot_require_a_gradient():
    with pytest.raises(TypeError, match="int64"):
        Tensor([1, 2], requires_grad=True)


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda g, s: g, "must return 1 gradients, got ndarray"),
        (lambda g, s: (g, g), "got 2 gradients"),
        (lambda g, s: (g[:1],), r"gradient of x must be \(3,\) float64, got \(1,\) float64"),
        (lambda g, s: (g.astype(np.float32),), r"got \(3,\) float32"),
        (lambda g, s: (None,), "got None"),
    ],
)
def test_wrong_gradients_are_refused(backward, message):
    def same_forward(x):
        return x + 0.0, ()

    same = differentiable(same_forward, backward)
    with pytest.raises(ValueError, match="same: .*" + message):
        same(leaf(3)).sum().backward()


@pytest.mark.parametrize("grad", [2.0, 2, [2.0]])
def test_a_gradient_that_is_no_array_is_refused(grad):
    """A Python number is what comes to mind for an input without axes."""

    def double_forward(x):
        return x * 2, ()

    double = differentiable(double_forward, lambda g, s: (grad,))
    kind = type(grad).__name__
    message = rf"double: the gradient of x must be \(\) float64, got {kind}, which is not an array"
    with pytest.raises(ValueError, match=message):
        (double(Tensor(np.array(3.0), True)) * 1.0).backward()


class Inner(Module):
    def __init__(self):
        self.projection = Linear(4, 5)

    def forward(self, x):
        return self.projection(x)


def test_a_shape_error_three_layers_deep_says_where():
    model = Sequential(Linear(3, 3), Inner())
    with pytest.raises(ValueError) as caught:
        model(Tensor(np.zeros((2, 3), np.float32)))
    message = str(caught.value)
    assert "linear: x (2, 3) and weight (4, 5) do not fit" in message
    assert message.endswith("in Sequential.1.projection")


# ------------------------------------------------------------------------------------ debug


def test_debug_names_the_array_that_was_edited():
    x, w = leaf(2, 3), leaf(3, 5)
    with debug():
        loss = F.linear(x, w).sum()
        w.data[0, 0] += 1
        with pytest.raises(RuntimeError, match=r"linear: weight of shape \(3, 5\) was changed"):
            loss.backward()


def test_debug_sees_an_edit_through_a_view_and_of_an_output():
    x = leaf(4)
    with debug():
        y = F.exp(x)
        y.data[:2][0] = 7.0
        with pytest.raises(RuntimeError, match=r"exp: its output of shape \(4,\) was changed"):
            y.sum().backward()


def test_without_an_edit_debug_changes_nothing():
    x = leaf(2, 3)
    with debug():
        (F.softmax(x) * x).sum().backward()
    watched = x.grad.copy()
    x.grad = None
    (F.softmax(x) * x).sum().backward()
    np.testing.assert_array_equal(x.grad, watched)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_debug_stops_at_the_first_nan_and_names_operation_and_module():
    class Root(Module):
        def forward(self, x):
            return x.sqrt()

    with (
        debug(),
        pytest.raises(FloatingPointError, match=r"sqrt in Sequential\.0: .* nan at \[1\]"),
    ):
        Sequential(Root())(Tensor([1.0, -1.0]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_debug_stops_at_a_backward_that_is_not_finite():
    x = Tensor([0.0], requires_grad=True)
    with debug():
        y = x.sqrt().sum()
        with pytest.raises(FloatingPointError, match="sqrt: the gradient of x"):
            y.backward()


# ----------------------------------------------------------------------------------- memory


def test_arrays_that_no_operation_saved_are_freed():
    x = Tensor(np.zeros(1_000_000), requires_grad=True)
    gc.collect()
    tracemalloc.start()
    y = x
    for _ in range(10):
        y = y + 1.0
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * x.data.nbytes  # the last result alone, not all ten
    y.sum().backward()


def test_saved_arrays_are_freed_by_backward():
    x = Tensor(np.zeros(100_000), requires_grad=True)
    loss = x.exp().exp().sum()
    gc.collect()
    tracemalloc.start()
    loss.backward()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after <= 1.2 * x.data.nbytes  # the gradient of x


def test_a_leaf_that_nobody_holds_does_not_survive_in_the_graph():
    w = leaf(3)
    y = w * Tensor(np.ones(3), requires_grad=True)
    y.sum().backward()
    np.testing.assert_array_equal(w.grad, np.ones(3))


# ------------------------------------------------------------------------------- randomness


def test_manual_seed_decides_everything_that_has_no_generator_of_its_own():
    def draw():
        minillm.manual_seed(7)
        return Linear(3, 4).weight.data, F.dropout(Tensor(np.ones(20)), p=0.5).data

    for first, second in zip(draw(), draw(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_int_is_not_a_generator():
    with pytest.raises(TypeError, match="default_rng"):
        F.dropout(Tensor(np.ones(3)), p=0.5, rng=3)


# --------------------------------------------------------------- whose array a gradient is


def test_a_leaf_keeps_a_gradient_that_nobody_else_holds_and_copies_any_other():
    made = []

    def backward(grad_out, saved):
        made.append(grad_out * 2)  # held by the list: somebody else's
        return made[-1], grad_out * 3

    pair = differentiable(lambda a, b: (a + b, ()), backward)
    a, b = (Tensor(np.ones(4), requires_grad=True) for _ in range(2))
    pair(a, b).backward(np.ones(4))
    assert a.grad is not made[0]
    made[0][...] = 77.0
    np.testing.assert_array_equal(a.grad, np.full(4, 2.0))
    np.testing.assert_array_equal(b.grad, np.full(4, 3.0))


def test_two_leaves_never_share_one_array():
    a, b = (Tensor(np.ones(4), requires_grad=True) for _ in range(2))
    (a + b).backward(np.ones(4))
    a.grad += 1
    np.testing.assert_array_equal(b.grad, np.ones(4))


def test_the_gradient_given_to_backward_stays_the_callers():
    a, given = Tensor(np.ones(4), requires_grad=True), np.ones(4)
    a.backward(given)
    a.grad += 1
    (a * 1.0).backward(given)
    np.testing.assert_array_equal(given, np.ones(4))
    np.testing.assert_array_equal(a.grad, np.full(4, 3.0))


def test_the_gradient_of_a_large_weight_is_not_copied():
    """Backward makes one array of its size, and where .grad exists, one at a time beside it."""
    weight = Tensor(np.zeros((1000, 1000)), requires_grad=True)  # 8 MB
    x = np.ones((1, 1000))

    def peak():
        out = F.linear(Tensor(x), weight)
        tracemalloc.start()
        out.backward(np.ones((1, 1000)))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held / 8e6

    assert peak() < 1.1
    weights = [Tensor(np.zeros((1000, 1000)), requires_grad=True) for _ in range(3)]

    def chain():
        y = Tensor(x)
        for w in weights:
            y = F.linear(y, w)
        return y

    chain().backward(np.ones((1, 1000)))
    out = chain()
    tracemalloc.start()
    out.backward(np.ones((1, 1000)))  # adds to the three gradients, one after another
    held = tracemalloc.get_traced_memory()[1] / 8e6
    tracemalloc.stop()
    assert held < 1.1


ONE_INPUT = ["dropout", "erf", "exp", "gelu", "log", "max", "mean", "negative", "relu", "sigmoid",
             "silu", "sqrt", "sum", "tanh", "transpose"]  # fmt: skip


@pytest.mark.parametrize("name", ONE_INPUT)
def test_an_operation_of_one_input_takes_a_number_as_tensor_does(name):
    options = {"p": 0.0} if name == "dropout" else {}
    out, expected = (getattr(F, name)(x, **options) for x in (0.5, Tensor(0.5)))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out.numpy(), expected.numpy())


def test_numbers_alone_are_float32_everywhere():
    assert F.maximum(2.0, 1.0).dtype == F.add(2.0, 1.0).dtype == np.float32
    assert F.where(2.0, 1.0, condition=np.array([True, False])).dtype == np.float32
    assert F.where(2, 1, condition=np.array([True, False])).dtype == np.int64
    x = np.array([2.0])
    assert F.maximum(x, 1.0).dtype == F.where(x, 1.0, condition=x > 0).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.softmax(2.0), ValueError, "softmax: axis -1 does not exist: the array has no"),
        (lambda x: F.sum(2.0, axis=0), ValueError, "sum: axis 0 does not exist"),
        (lambda x: F.tanh(1), TypeError, "tanh: x must be floating, got int64"),
        (lambda x: F.exp(None), TypeError, "exp: x must be an array, got NoneType$"),
        (lambda x: x @ 2, ValueError, r"matmul: a \(2, 3\) and b \(\) must have at least one axis; us"),
        (lambda x: 2.0 @ x, ValueError, r"matmul: a \(\) and b \(2, 3\) must have at least one axis"),
        (lambda x: x @ None, TypeError, "matmul: b must be an array, got NoneType$"),
        (lambda x: F.layer_norm(x, None), TypeError, "layer_norm: gamma must be an array, got None"),
        (lambda x: F.rms_norm(x, None), TypeError, "rms_norm: gamma must be an array, got None"),
        (lambda x: F.linear(x, None), TypeError, "linear: weight must be an array, got None"),
        (lambda x: F.mean_squared_error(x, None), TypeError, "target must be an array, got None"),
        (lambda x: F.embedding([0], 2.0), TypeError, "weight must be an array, got float: write"),
        (lambda x: x + None, TypeError, "add: b must be an array of real numbers, or a number, got No"),
        (lambda x: "a" + x, TypeError, "add: a must be an array of real numbers, or a number, got str"),
        (lambda x: x / "a", TypeError, "divide: b must be an array of real numbers.*got str"),
        (lambda x: x * 1j, TypeError, "multiply: b must be an array of real numbers.*got complex$"),
        (lambda x: np.ones(3, complex) - x, TypeError, "subtract: a must be .*got complex128$"),
        (lambda x: F.where(x, 1j, condition=x.data > 0), TypeError, "where: y must be .*got complex$"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_real_numbers_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf(2, 3))


def test_arrays_that_may_be_absent_still_may():
    x = leaf(2, 3)
    assert F.linear(x, leaf(3, 5), None).shape == (2, 5)
    assert F.layer_norm(x, leaf(3), None).shape == (2, 3)
    assert F.cross_entropy(x, np.array([0, 2]), weight=None).shape == ()


@pytest.mark.parametrize("target", [None, "bananas", "", complex, object])
def test_to_refuses_what_is_neither_a_dtype_nor_a_device(target):
    """NumPy takes None for float64."""
    for thing in (Tensor([1.0]), Tensor([1.0], requires_grad=True), Linear(2, 3)):
        with pytest.raises(TypeError, match=f"to: {target!r} is neither a device, such as 'cpu'"):
            thing.to(target)


def test_iteration_gives_rows_and_a_number_has_none():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    (first * second).sum().backward()
    np.testing.assert_array_equal(x.grad, [[3.0, 4.0], [1.0, 2.0]])
    for walk in (list, iter, len):
        with pytest.raises(
            TypeError, match=r"without axes is a single number.*read it with .item\(\)"
        ):
            walk(Tensor(1.0))
