"""The checker: it finds what is wrong, never raises for it, and leaves everything as it was."""

import types

import numpy as np
import pytest

import minillm
import minillm.functional as F
from minillm import Tensor, differentiable, nn, ops
from minillm.gradcheck import GradientSettings, check_function, check_gradients, check_model


def product_forward(x, y):
    return x * y, (x, y)


def product_backward(grad_out, saved):
    x, y = saved
    return grad_out * y, grad_out * x


def overwrites_grad_out(grad_out, saved):
    grads = product_backward(grad_out, saved)
    grad_out *= 2
    return grads


def overwrites_saved(grad_out, saved):
    grads = product_backward(grad_out, saved)
    saved[0][...] = 0
    return grads


def with_nan(grad_out, saved):
    grad_x, grad_y = product_backward(grad_out, saved)
    grad_x[0, 0] = np.nan
    return grad_x, grad_y


def raising(grad_out, saved):
    raise RuntimeError("a student's mistake")


def of_ragged_lists(grad_out, saved):
    return [[1.0], [1.0, 2.0]], grad_out


def of_strings(grad_out, saved):
    return "x", "y"


def of_two_shapes(calls=iter(range(1000))):  # noqa: B008
    return lambda g, saved: (np.zeros(2 + next(calls) % 2), g * saved[0])


right = product_backward
BROKEN = {
    "raises": (raising, "backward", "unknown"),
    "returns None": (lambda g, s: None, "backward", "wrong_shape"),
    "returns an array": (lambda g, s: right(g, s)[0], "backward", "wrong_shape"),
    "returns a list": (lambda g, s: list(right(g, s)), "backward", "wrong_shape"),
    "returns too few": (lambda g, s: right(g, s)[:1], "backward", "wrong_shape"),
    "returns too many": (lambda g, s: (*right(g, s), None), "backward", "wrong_shape"),
    "returns nothing for y": (lambda g, s: (right(g, s)[0], None), "y", "zero_gradient"),
    "wrong shape": (lambda g, s: (right(g, s)[0].sum(0), right(g, s)[1]), "x", "wrong_shape"),
    "transposed": (lambda g, s: (right(g, s)[0].T, right(g, s)[1]), "x", "transposed"),
    "wrong dtype": (
        lambda g, s: (right(g, s)[0].astype(np.float32), right(g, s)[1]), "x", "wrong_dtype"
    ),
    "complex": (lambda g, s: (right(g, s)[0] * 1j, right(g, s)[1]), "x", "wrong_dtype"),
    "a number": (lambda g, s: (3.0, right(g, s)[1]), "x", "wrong_shape"),
    "NaN": (with_nan, "x", "not_finite"),
    "infinite": (lambda g, s: (right(g, s)[0] / 0, right(g, s)[1]), "x", "not_finite"),
    "zero": (lambda g, s: (0 * g, right(g, s)[1]), "x", "zero_gradient"),
    "sign": (lambda g, s: (right(g, s)[0], -right(g, s)[1]), "y", "sign_flipped"),
    "overwrites grad_out": (overwrites_grad_out, "grad_out", "mutated_input"),
    "overwrites saved": (overwrites_saved, "saved", "mutated_input"),
}  # fmt: skip
INPUTS = np.arange(1.0, 7.0).reshape(2, 3) / 7, np.arange(6.0, 0.0, -1.0).reshape(2, 3) / 5


def kinds(report):
    return {(finding.input, finding.kind) for finding in report.findings}


def test_the_right_backward_of_these_tests_passes():
    assert check_gradients(product_forward, product_backward, *INPUTS).passed


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_backward_gives_a_finding_and_never_an_exception(name):
    backward, argument, kind = BROKEN[name]
    report = check_gradients(product_forward, backward, *INPUTS)
    assert not report.passed
    assert (argument, kind) in kinds(report)
    assert str(report)
    assert report._repr_html_()


@pytest.mark.parametrize(
    "backward",
    [of_ragged_lists, of_strings, of_two_shapes()],
    ids=["ragged", "strings", "two shapes"],
)
def test_even_nonsense_gives_a_report(backward):
    report = check_gradients(product_forward, backward, *INPUTS)
    assert not report.passed
    assert str(report)


def test_what_backward_raised_is_in_the_message():
    [finding] = check_gradients(product_forward, raising, *INPUTS).findings
    assert "RuntimeError: a student's mistake" in finding.message


def test_only_the_wrong_input_is_found():
    backward = lambda g, s: (right(g, s)[0], -right(g, s)[1])  # noqa: E731
    assert kinds(check_gradients(product_forward, backward, *INPUTS)) == {("y", "sign_flipped")}


CONTAINERS = {
    "tuple": lambda x, y: (x, y),
    "list": lambda x, y: [x, y],
    "dict": lambda x, y: {"x": x, "y": y},
    "nested": lambda x, y: (x, {"y": [y]}),
    "namespace": lambda x, y: types.SimpleNamespace(x=x, y=y),
    "array": lambda x, y: np.stack([x, y]),
}


def unpacked(saved):
    if isinstance(saved, dict):
        return saved["x"], saved["y"]
    if isinstance(saved, types.SimpleNamespace):
        return saved.x, saved.y
    x, y = saved
    return x, y["y"][0] if isinstance(y, dict) else y


@pytest.mark.parametrize("container", CONTAINERS)
def test_saved_values_may_be_anything(container):
    forward = lambda x, y: (x * y, CONTAINERS[container](x, y))  # noqa: E731
    backward = lambda g, saved: right(g, unpacked(saved))  # noqa: E731
    wrong = lambda g, saved: right(-g, unpacked(saved))  # noqa: E731
    assert check_gradients(forward, backward, *INPUTS).passed
    assert not check_gradients(forward, wrong, *INPUTS).passed


@pytest.mark.parametrize("container", CONTAINERS)
def test_overwriting_saved_values_is_found_in_any_container(container):
    def backward(grad_out, saved):
        x, y = unpacked(saved)
        grads = grad_out * y, grad_out * x
        y *= 2
        return grads

    forward = lambda x, y: (x * y, CONTAINERS[container](x, y.copy()))  # noqa: E731
    assert ("saved", "mutated_input") in kinds(check_gradients(forward, backward, *INPUTS))


def test_emptying_the_list_of_saved_values_is_found():
    forward = lambda x, y: (x * y, [x, y])  # noqa: E731

    def backward(grad_out, saved):
        y = saved.pop()
        return grad_out * y, grad_out * saved[0]

    assert ("saved", "mutated_input") in kinds(check_gradients(forward, backward, *INPUTS))


def test_a_forward_that_overwrites_its_input_is_found():
    def forward(x):
        x *= 2
        return x + 0.0, ()

    report = check_gradients(forward, lambda g, saved: (2 * g,), np.ones(3))
    assert ("x", "mutated_input") in kinds(report)


def test_a_backward_that_overwrites_an_input_is_found():
    x = INPUTS[0].copy()
    kept = []

    def forward(x):
        kept[:] = [x]
        return 2 * x, ()

    def backward(grad_out, saved):
        kept[0] += 1.0
        return (2 * grad_out,)

    report = check_gradients(forward, backward, x)
    assert "mutated_input" in {kind for _, kind in kinds(report)}
    np.testing.assert_array_equal(x, INPUTS[0])


def test_the_callers_arrays_stay_as_they_are():
    x, y = INPUTS[0].astype(np.float32), INPUTS[1].astype(np.float32)
    before = x.copy(), y.copy()
    for backward in (product_backward, overwrites_saved):
        check_gradients(product_forward, backward, x, y)
        np.testing.assert_array_equal(x, before[0])
        np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("view", ["transposed", "strided", "read-only"])
def test_the_memory_layout_of_an_input_does_not_matter(rng, view):
    x = {"transposed": rng.random((5, 3)).T, "strided": rng.random((6, 10))[::2, ::2]}.get(
        view, rng.random((3, 5))
    )
    x.flags.writeable = view != "read-only"
    assert check_gradients(ops.exp_forward, ops.exp_backward, x).passed
    wrong = lambda g, saved: (g * 0,)  # noqa: E731
    assert not check_gradients(ops.exp_forward, wrong, x).passed


def test_float32_inputs_are_checked_in_float64():
    seen = []

    def forward(x):
        seen.append(x.dtype)
        return x * x, (x,)

    report = check_gradients(forward, lambda g, s: (2 * g * s[0],), np.ones(3, dtype=np.float32))
    assert report.passed
    assert set(seen) == {np.dtype(np.float64)}


def test_options_go_to_forward_untouched_even_if_they_sound_like_settings():
    def forward(x, *, step, tolerance, seed):
        return x * step * tolerance * seed, (step * tolerance * seed,)

    backward = lambda g, saved: (g * saved[0],)  # noqa: E731
    assert check_gradients(forward, backward, np.ones(3), step=2, tolerance=3, seed=5).passed


def test_settings_are_obeyed():
    slightly_wrong = lambda g, s: tuple(1.001 * x for x in right(g, s))  # noqa: E731
    assert not check_gradients(product_forward, slightly_wrong, *INPUTS).passed
    loose = GradientSettings(tolerance=1e-2)
    assert check_gradients(product_forward, slightly_wrong, *INPUTS, settings=loose).passed


def test_an_error_of_three_millionths_in_one_entry_is_found():
    def backward(grad_out, saved):
        grad_x, grad_y = right(grad_out, saved)
        grad_x[1, 1] *= 1 + 3e-6
        return grad_x, grad_y

    report = check_gradients(product_forward, backward, *INPUTS)
    assert kinds(report) == {("x", "wrong_entries")}
    assert report.findings[0].worst_index == (1, 1)


def test_a_generator_among_the_options_is_copied_before_every_call():
    generator = np.random.default_rng(5)
    state = generator.bit_generator.state
    x = np.ones((5, 7))
    assert check_gradients(
        ops.dropout_forward, ops.dropout_backward, x, p=0.3, rng=generator
    ).passed
    assert generator.bit_generator.state == state


def test_the_librarys_generator_is_put_back():
    minillm.manual_seed(5)
    expected = ops.dropout_forward(np.ones(50), p=0.3)[0]
    minillm.manual_seed(5)
    assert check_gradients(ops.dropout_forward, ops.dropout_backward, np.ones((5, 7)), p=0.3).passed
    np.testing.assert_array_equal(ops.dropout_forward(np.ones(50), p=0.3)[0], expected)


def test_several_outputs_are_all_differentiated():
    forward = lambda x: ((x * 2, x * x), (x,))  # noqa: E731
    backward = lambda g, s: (2 * g[0] + 2 * g[1] * s[0],)  # noqa: E731
    assert check_gradients(forward, backward, INPUTS[0]).passed
    forgets_one = lambda g, s: (2 * g[0],)  # noqa: E731
    assert not check_gradients(forward, forgets_one, INPUTS[0]).passed


def test_numbers_none_and_integers_are_passed_on():
    forward = lambda x, number, nothing, ids: (x[ids] * number, (x.shape, ids, number))  # noqa: E731

    def backward(grad_out, saved):
        shape, ids, number = saved
        grad = np.zeros(shape)
        np.add.at(grad, ids, grad_out * number)
        return grad, None, None, None

    report = check_gradients(forward, backward, np.ones((3, 2)), 2.5, None, np.array([0, 2, 0]))
    assert report.passed, str(report)


def test_an_empty_input_is_no_obstacle():
    assert check_gradients(
        product_forward, product_backward, np.ones((0, 3)), np.ones((0, 3))
    ).passed


def test_a_check_that_could_compare_nothing_has_not_passed():
    forward = lambda x: (np.log(x), (x,))  # noqa: E731
    wrong = lambda g, saved: (17 * g,)  # noqa: E731
    with np.errstate(invalid="ignore"):
        report = check_gradients(forward, wrong, np.array([1.0, -1.0, 2.0]))
    assert not report.passed


def test_arguments_are_named_as_in_the_signature():
    wrong = lambda g, saved: tuple(-x for x in ops.concatenate_backward(g, saved))  # noqa: E731
    report = check_gradients(ops.concatenate_forward, wrong, np.ones(2), np.ones(3), axis=0)
    assert [finding.input for finding in report.findings] == ["arrays[0]", "arrays[1]"]


# ------------------------------------------------------------------------- check_function


def wrong_tanh():
    def tanh_forward(x):
        return np.tanh(x), (x,)

    def tanh_backward(grad_out, saved):
        return (grad_out * (1 - np.tanh(saved[0])),)  # the square is forgotten

    return differentiable(tanh_forward, tanh_backward)


def test_a_function_of_tensors_passes(rng):
    x, w = Tensor(rng.standard_normal((3, 5))), rng.standard_normal((5, 2)).astype(np.float32)
    report = check_function(lambda x, w: F.softmax(F.tanh(x @ w), 0), x, w)
    assert report.passed, str(report)
    assert [row.name for row in report.inputs] == ["x", "w"]
    assert [row.checked for row in report.inputs] == [15, 10]


def test_a_wrong_operation_inside_a_function_is_rejected(rng):
    tanh = wrong_tanh()
    report = check_function(lambda x: F.exp(tanh(x)), Tensor(rng.uniform(0.5, 2, (3, 5))))
    assert not report.passed
    assert report.findings[0].input == "x"


def test_a_branch_that_was_cut_off_is_rejected(rng):
    cut = lambda x: F.exp(x) + F.tanh(x).detach()  # noqa: E731
    assert not check_function(cut, Tensor(rng.standard_normal(5))).passed
    whole = lambda x: F.exp(x) + F.tanh(x)  # noqa: E731
    assert check_function(whole, Tensor(rng.standard_normal(5))).passed


def test_several_outputs_and_integer_arguments_of_a_function(rng):
    weight, ids = Tensor(rng.standard_normal((7, 3))), np.array([1, 1, 4])
    report = check_function(lambda w, i: (F.embedding(i, w), w * 2), weight, ids)
    assert report.passed
    assert [row.name for row in report.inputs] == ["w"]


def test_dropout_inside_a_function_is_the_same_in_every_call(rng):
    assert check_function(
        lambda x: F.dropout(x * x, p=0.3), Tensor(rng.standard_normal((5, 7)))
    ).passed


def test_the_callers_tensors_stay_as_they_are():
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.grad = np.array([7.0, 8.0], dtype=np.float32)
    check_function(lambda x: x * x, x)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x.data, [1.0, 2.0])
    np.testing.assert_array_equal(x.grad, [7.0, 8.0])


def test_the_array_of_a_tensor_is_checked():
    x = Tensor([1.0, 2.0], requires_grad=True)
    report = check_gradients(product_forward, right, x, Tensor([3.0, 4.0]))
    assert report.passed, str(report)
    assert [row.checked for row in report.inputs] == [2, 2]
    np.testing.assert_array_equal(x.numpy(), np.float32([1.0, 2.0]))


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ((np.array([1, 2]), np.array([3, 4])), "got x int64, y int64"),
        ((2.0, None), "got x float, y NoneType"),
        ((), "got none at all"),
    ],
)
def test_a_check_without_anything_to_compare_is_refused(inputs, found):
    floats = r"must be an array of floats, such as np.array\(\[1.0, 2.0\]\)"
    with pytest.raises(
        ValueError, match=f"check_gradients: product has no input.*{found}.*{floats}"
    ):
        check_gradients(product_forward, right, *inputs)
    with pytest.raises(ValueError, match=f"check_function: times has no input.*{found}.*{floats}"):
        check_function(times, *inputs)


def times(x, y):
    return x * y


def test_data_alone_is_nothing_to_compare():
    logits, targets = np.array([1, 2]), np.array([0.5, 0.5])
    loss = "binary_cross_entropy_with_logits"
    with pytest.raises(
        ValueError, match=f"check_gradients: {loss} has no input.*got logits int64:"
    ):
        check_gradients(
            ops.binary_cross_entropy_with_logits_forward,
            ops.binary_cross_entropy_with_logits_backward, logits, targets,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        (lambda x: x, "got ndarray"),
        (lambda x: (x, (), 3), "got tuple of 3"),
        (print, "got NoneType"),
    ],
)
def test_a_forward_that_does_not_return_out_and_saved_is_told_so(returned, found):
    """An array of two rows could be unpacked, so its type counts, not only its length."""
    forward = lambda x: returned(x)  # noqa: E731
    with pytest.raises(TypeError, match=rf"must return \(out, saved\), {found}"):
        check_gradients(forward, right, np.ones((2, 3)))


@pytest.mark.parametrize("out", [3.0, None, [Tensor([1.0])], (Tensor([1.0]), 3.0)])
def test_a_function_that_returns_no_tensors_is_told_so(out):
    with pytest.raises(TypeError, match="must return a Tensor or a tuple of Tensors, got "):
        check_function(lambda x: out, Tensor([1.0]))


def test_settings_of_another_kind_are_refused():
    message = r"settings must be a GradientSettings, got {}: write settings=GradientSettings\("
    with pytest.raises(TypeError, match="check_gradients: " + message.format("int")):
        check_gradients(product_forward, right, *INPUTS, settings=3)
    with pytest.raises(TypeError, match="check_function: " + message.format("dict")):
        check_function(times, *INPUTS, settings={})
    with pytest.raises(TypeError, match="check_model: " + message.format("float")):
        check_model(nn.Linear(3, 2), np.ones((2, 3)), settings=1e-6)
