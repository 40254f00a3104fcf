"""What the checker must not miss, must not raise for, and must not call wrong."""

import warnings

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minillm.gradcheck import GradientSettings, check_gradients
from minillm.gradcheck.inputs import cotangents


def square(x):
    return x * x, (x,)


def square_backward(g, saved):
    return (2 * g * saved[0],)


def table(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


X = table(5, 7)


def kinds(report):
    return [(finding.input, finding.kind) for finding in report.findings]


def notes(report):
    return " / ".join(report.all_notes())


def skipped(report, number=0):
    return [place for place, _ in report.inputs[number].skipped]


# ------------------------------------------------------------------ functions that are none


def test_a_forward_that_draws_random_numbers_of_its_own_is_named():
    hidden = np.random.default_rng(0)
    forward = lambda x: (x * hidden.random(x.shape), ())  # noqa: E731
    report = check_gradients(forward, lambda g, saved: (g,), X)
    assert kinds(report) == [("forward", "unknown")]
    assert "random" in report.findings[0].message


def test_a_forward_that_counts_its_calls_is_named():
    calls = []

    def forward(x):
        calls.append(0)
        return x * len(calls), ()

    assert kinds(check_gradients(forward, lambda g, saved: (g,), X)) == [("forward", "unknown")]


def test_a_backward_that_keeps_state_is_named():
    kept = np.zeros_like(X)

    def backward(g, saved):
        kept[...] += 2 * g * saved[0]  # as if the gradients were set to zero by somebody else
        return (kept,)

    report = check_gradients(square, backward, X)
    assert ("backward", "unknown") in kinds(report)
    assert any("call to call" in finding.message for finding in report.findings)


def test_a_right_backward_that_returns_the_same_buffer_every_time_passes():
    buffer = np.zeros_like(X)

    def backward(g, saved):
        buffer[...] = 2 * g * saved[0]
        return (buffer,)

    assert check_gradients(square, backward, X).passed


# ------------------------------------------------------------------ linear in grad_out

NOT_LINEAR = {
    "squared": lambda g, s: g * g * s[0],
    "clipped": lambda g, s: np.clip(2 * g * s[0], -1, 1),
    "clipped where nothing reaches": lambda g, s: np.clip(2 * g * s[0], -50, 50),
    "its sign": lambda g, s: np.sign(g) * 2 * s[0],
    "its size": lambda g, s: abs(g) * 2 * s[0],
    "a constant": lambda g, s: 2 * g * s[0] + 0.5,
    "a small constant": lambda g, s: 2 * g * s[0] + 1e-4,
    "only the local derivative": lambda g, s: 2 * s[0],
    "normalised": lambda g, s: 2 * g / np.sqrt((g * g).sum() + 1e-12) * s[0],
    "only positive": lambda g, s: 2 * np.maximum(g, 0) * s[0],
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_a_backward_that_is_not_linear_in_grad_out_is_named(name):
    report = check_gradients(square, lambda g, s: (NOT_LINEAR[name](g, s),), X)
    assert kinds(report) == [("x", "ignores_upstream")]
    assert "grad_out" in report.findings[0].message


@pytest.mark.parametrize("scale", [0.3, 1.0, 1e6])
def test_nothing_but_rounding_is_no_gradient_that_ignores_grad_out(scale):
    """Rows of one entry, divided by their length, are 1 or -1: the terms of the gradient cancel."""

    def forward(x):
        length = np.sqrt((x * x).sum(axis=1, keepdims=True))
        return x / length, (x / length, length)

    def backward(g, saved):
        y, length = saved
        return ((g - y * (g * y).sum(axis=1, keepdims=True)) / length,)

    for seed in range(10):
        report = check_gradients(forward, backward, scale * table(5, 1, seed=seed))
        assert report.passed, str(report)


def test_two_terms_that_cancel_leave_rounding_which_is_no_gradient():
    forward = lambda x: (np.sin(x) ** 2 + np.cos(x) ** 2, (x,))  # noqa: E731
    backward = lambda g, s: (g * np.sin(2 * s[0]) - 2 * g * np.sin(s[0]) * np.cos(s[0]),)  # noqa: E731
    report = check_gradients(forward, backward, X)
    assert report.inputs[0].analytic_values.any()
    assert report.passed, str(report)


@pytest.mark.parametrize("seed", range(4))
def test_grad_out_is_none_of_the_arrays_that_a_student_would_draw(seed):
    """Along x itself the gradient of |x| is all there is, and much of a mistake is not seen."""
    drawn = cotangents((X,), GradientSettings(seed=seed))
    for other in range(10):
        assert not np.isin(np.random.default_rng(other).standard_normal(35), drawn).any()


# ------------------------------------------------------------------ overwritten arrays


def scales_grad_out(g, saved):
    g *= 2
    return (g * saved[0],)


def scales_saved(g, saved):
    saved[0][...] *= 2
    return (g * saved[0],)


@pytest.mark.parametrize(
    ("backward", "what"), [(scales_grad_out, "grad_out"), (scales_saved, "saved")]
)
def test_right_numbers_do_not_excuse_an_overwritten_array(backward, what):
    """Both return the right gradient, once."""
    report = check_gradients(square, backward, X)
    assert (what, "mutated_input") in kinds(report)


def test_an_input_that_backward_overwrites_is_named_and_put_back():
    x = X.copy()
    seen = []

    def forward(x):
        seen[:] = [x]
        return 3 * x, ()

    def backward(g, saved):
        seen[0][0, 0] = 17.0
        return (3 * g,)

    assert ("x", "mutated_input") in kinds(check_gradients(forward, backward, x))
    np.testing.assert_array_equal(x, X)


# ------------------------------------------------------------------ kinks and edges

WITH_ZERO, WITH_TIE = X.copy(), X.copy()
WITH_ZERO[1, 2] = 0.0
WITH_TIE[2, 1] = WITH_TIE[2].max()
TIE = np.argwhere(WITH_TIE[2] == WITH_TIE[2].max()).ravel().tolist()
KINKS = {
    "relu at 0": (
        lambda x: (np.maximum(x, 0), (x,)), lambda g, s: (g * (s[0] > 0),), WITH_ZERO, [(1, 2)]
    ),
    "abs at 0": (
        lambda x: (abs(x), (x,)), lambda g, s: (g * np.sign(s[0]),), WITH_ZERO, [(1, 2)]
    ),
    "a tie of max": (
        lambda x: (x.max(axis=1), (x,)),
        lambda g, s: (g[:, None] * (s[0] == s[0].max(axis=1, keepdims=True)),),
        WITH_TIE, [(2, i) for i in TIE],
    ),
    "a threshold on the input": (
        lambda x: (np.where(x > WITH_ZERO[3, 4], 5 * x, x), (x,)),
        lambda g, s: (g * np.where(s[0] > WITH_ZERO[3, 4], 5, 1),), WITH_ZERO, [(3, 4)]
    ),
    "a jump": (
        lambda x: (x + (x >= 0), ()), lambda g, s: (g,), WITH_ZERO, [(1, 2)]
    ),
    "a clip": (
        lambda x: (np.clip(x, WITH_ZERO[0, 0], 3), (x,)),
        lambda g, s: (g * (s[0] > WITH_ZERO[0, 0]),), WITH_ZERO, [(0, 0)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_is_skipped_and_named_and_all_other_entries_are_checked(name):
    forward, backward, x, places = KINKS[name]
    report = check_gradients(forward, backward, x)
    assert report.passed, str(report)
    assert sorted(skipped(report)) == sorted(places)
    assert report.inputs[0].checked == x.size - len(places)
    for place in places:
        assert str(list(place)) in notes(report)
    for wrong in range(3):  # one entry after the other, each of them compared

        def off_by_one(g, saved, wrong=wrong):
            [grad] = backward(g, saved)
            grad[4, wrong] += g.ravel()[0]
            return (grad,)

        assert not check_gradients(forward, off_by_one, x).passed


@pytest.mark.parametrize("distance", [1e-9, 1e-6, 1e-4, 1e-3, 5e-3])
def test_near_a_kink_an_entry_is_checked_or_skipped_but_never_called_wrong(distance):
    x = X.copy()
    x[1, 2], x[3, 3] = distance, -distance
    forward, backward, *_ = KINKS["relu at 0"]
    assert check_gradients(forward, backward, x).passed


def test_strongly_bent_functions_are_not_taken_for_kinks():
    forward = lambda x: (np.tanh(30 * x), (x,))  # noqa: E731
    backward = lambda g, s: (30 * g / np.cosh(30 * s[0]) ** 2,)  # noqa: E731
    report = check_gradients(forward, backward, np.linspace(-0.2, 0.2, 21), settings=SMALL_STEP)
    assert report.passed, str(report)
    assert skipped(report) == []


SMALL_STEP = GradientSettings(step=1e-4)
EDGE = np.array([1e-8, 1e-5, 0.1, 1.0, 4.0])
EDGES = {
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "log": (np.log, lambda x: 1 / x),
}


@pytest.mark.parametrize("name", EDGES)
def test_next_to_the_edge_of_the_domain_every_entry_is_checked(name):
    function, derivative = EDGES[name]
    forward = lambda x: (function(x), (x,))  # noqa: E731
    right = check_gradients(forward, lambda g, s: (g * derivative(s[0]),), EDGE)
    assert right.passed, str(right)
    assert skipped(right) == []
    wrong = check_gradients(forward, lambda g, s: (1.01 * g * derivative(s[0]),), EDGE)
    assert kinds(wrong) == [("x", "scaled")]


def test_what_lies_next_to_a_pole_is_skipped_and_named():
    report = check_gradients(lambda x: (1 / x, (x,)), lambda g, s: (-g / s[0] ** 2,), EDGE)
    assert report.passed
    assert skipped(report) == [(0,), (1,)]
    assert "[0], [1]" in notes(report)


def test_on_the_edge_itself_there_is_nothing_to_compare_and_the_report_says_so():
    x = np.array([0.0, 0.5, 2.0])
    forward = lambda x: (np.sqrt(x), (x,))  # noqa: E731
    backward = lambda g, s: (g / (2 * np.sqrt(np.maximum(s[0], 1e-30))),)  # noqa: E731
    report = check_gradients(forward, backward, x)
    assert report.passed
    assert skipped(report) == [(0,)]
    assert "[0]" in notes(report)
    assert "not finite" in notes(report)


def test_if_no_entry_can_be_compared_the_check_has_failed():
    forward, _, *_ = KINKS["relu at 0"]
    report = check_gradients(forward, lambda g, s: (17 * g,), np.zeros((2, 3)))
    assert kinds(report) == [("x", "not_finite")]
    assert "kink" in report.findings[0].message


# ------------------------------------------------------------------ large inputs

LARGE = table(250, 200)


def one_wrong(place, change):
    def backward(g, saved):
        grad = 2 * g * saved[0]
        grad[place] = change(grad[place])
        return (grad,)

    return backward


@pytest.mark.parametrize("place", [(123, 45), (0, 0), (249, 199)])
@pytest.mark.parametrize(
    "change", [lambda x: 1.5 * x, lambda x: 0 * x, lambda x: -x], ids=["scaled", "zero", "sign"]
)
def test_one_wrong_entry_among_fifty_thousand_is_found_and_named(place, change):
    report = check_gradients(square, one_wrong(place, change), LARGE)
    assert kinds(report) == [("x", "wrong_entries")]
    [finding] = report.findings
    assert finding.worst_index == place
    assert str(list(place)) in finding.message


def test_a_large_input_is_judged_by_directions_and_a_sample():
    report = check_gradients(square, square_backward, LARGE)
    assert report.passed
    assert 0 < report.inputs[0].checked < 0.05 * LARGE.size
    assert "50000 entries" in notes(report)
    [finding] = check_gradients(square, lambda g, s: (g * s[0],), LARGE).findings
    assert (finding.kind, finding.factor) == ("scaled", pytest.approx(0.5))


def test_a_large_input_takes_seconds_not_minutes():
    """Entry by entry it would be 50,000 times four forwards."""
    calls = []

    def forward(x, w):
        calls.append(0)
        return x @ w, (x, w)

    backward = lambda g, s: (g @ s[1].T, s[0].T @ g)  # noqa: E731
    report = check_gradients(forward, backward, LARGE, table(200, 5))
    assert report.passed
    assert report.inputs[1].checked == 1000
    assert len(calls) < 8 * (report.inputs[0].checked + 1000)


# ------------------------------------------------------------------ what backward returns


def test_a_vacuous_check_is_noted():
    report = check_gradients(lambda x: (0 * x, ()), lambda g, saved: (0 * g,), X)
    assert report.passed
    assert "vacuous" in notes(report)
    assert "vacuous" not in notes(check_gradients(square, square_backward, X))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, bool, np.complex128])
def test_another_dtype_is_named(dtype):
    backward = lambda g, s: ((2 * g * s[0]).astype(dtype),)  # noqa: E731
    report = check_gradients(square, backward, X)
    assert kinds(report) == [("x", "wrong_dtype")]
    assert np.dtype(dtype).name in report.findings[0].message


def test_float32_inputs_are_checked_in_float64_so_small_errors_show():
    report = check_gradients(square, square_backward, X.astype(np.float32))
    assert report.passed
    assert report.inputs[0].relative_error < 1e-9
    wrong = lambda g, s: (2 * g * s[0] * (1 + 1e-5),)  # noqa: E731
    assert kinds(check_gradients(square, wrong, X.astype(np.float32))) == [("x", "scaled")]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_entry_that_is_not_finite_is_counted(bad):
    def backward(g, saved):
        grad = 2 * g * saved[0]
        grad[2, 3] = bad
        return (grad,)

    report = check_gradients(square, backward, X)
    assert kinds(report) == [("x", "not_finite")]
    assert "1 of 35" in report.findings[0].message


@pytest.mark.parametrize("grads", [(), (X, X), [X], X, None, {"x": X}, "x"], ids=repr)
def test_a_wrong_number_or_container_of_gradients_is_named(grads):
    report = check_gradients(square, lambda g, s: grads, X)
    assert kinds(report) == [("backward", "wrong_shape")]
    assert "1 gradient" in report.findings[0].message


def only_for(condition, odd):
    """A backward, 3/2 of the right one, that does something odd for some grad_out."""

    def backward(g, saved):
        return odd(g) if condition(g) else (3 * g * saved[0],)

    return backward


def fail(g):
    raise ValueError("not this one")


ODD = {
    "raises": fail,
    "None": lambda g: None,
    "no gradient": lambda g: (),
    "None inside": lambda g: (None,),
    "two": lambda g: (g, g),
    "another shape": lambda g: (np.ones(3),),
    "a string": lambda g: ("x",),
    "complex": lambda g: (g * 1j,),
    "NaN": lambda g: (g * np.nan,),
    "float32": lambda g: (g.astype(np.float32),),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "condition",
    [lambda g: np.count_nonzero(g) == 1, lambda g: not g.any()],
    ids=["one-hot", "zero"],
)
def test_what_a_backward_does_only_for_some_grad_out_gives_a_report(condition, odd):
    report = check_gradients(square, only_for(condition, ODD[odd]), X)
    assert not report.passed
    assert str(report)


def test_numbers_that_are_not_finite_for_one_output_are_no_evidence():
    """The gradient itself is finite; what backward makes of one output at a time is not."""
    nan = lambda g: (g * np.nan,)  # noqa: E731
    other = lambda g, s: nan(g) if np.count_nonzero(g) == 1 else (g * np.sinh(s[0]),)  # noqa: E731
    [finding] = check_gradients(square, other, X).findings
    assert (finding.input, finding.kind) == ("x", "unknown")


# ------------------------------------------------------------------ shapes


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0, 2), (1,), (1, 1), (1, 7), (5, 1, 3)])
def test_arrays_of_any_shape(shape):
    x = table(*shape) + 3
    assert check_gradients(square, square_backward, x).passed
    wrong = check_gradients(square, lambda g, s: (g * s[0],), x)
    assert wrong.passed == (x.size == 0)
    assert check_gradients(square, lambda g, s: (g * s[0],), x).inputs[0].shape == shape
    if x.size:
        [finding] = wrong.findings
        assert (finding.kind, finding.factor) == ("scaled", pytest.approx(0.5))


def test_a_numpy_scalar_is_an_array_without_axes():
    assert check_gradients(square, square_backward, np.float64(1.5)).passed
    assert not check_gradients(square, lambda g, s: (g * s[0],), np.float32(1.5)).passed


def test_the_gradient_of_an_empty_input_must_still_have_its_shape():
    report = check_gradients(square, lambda g, s: (g.T,), np.ones((0, 3)))
    assert kinds(report) == [("x", "wrong_shape")]


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return p, (p,)


def softmax_backward(g, saved):
    [p] = saved
    return (p * (g - (g * p).sum(axis=-1, keepdims=True)),)


@pytest.mark.parametrize("shape", [(5, 1), (1, 5), (1, 1), (3, 1, 1)])
def test_a_sum_over_an_axis_of_size_one(shape):
    assert check_gradients(softmax, softmax_backward, table(*shape)).passed
    wrong = check_gradients(softmax, lambda g, s: (s[0] * g,), table(*shape))
    assert not wrong.passed


def test_an_output_that_depends_on_nothing_changes_nothing():
    forward = lambda x: ((x * x, np.arange(3.0)), (x,))  # noqa: E731
    assert check_gradients(forward, lambda g, s: (2 * g[0] * s[0],), X).passed
    wrong = lambda g, s: (2 * g[0] * s[0] + g[1].sum(),)  # noqa: E731
    assert not check_gradients(forward, wrong, X).passed


def test_an_input_that_nothing_depends_on_may_get_zeros_but_not_more():
    forward = lambda x, y: (x * x, (x,))  # noqa: E731
    right = check_gradients(forward, lambda g, s: (2 * g * s[0], 0 * g), X, X + 1)
    assert right.passed
    assert "y: every gradient is zero" in notes(right)
    wrong = check_gradients(forward, lambda g, s: (2 * g * s[0], g), X, X + 1)
    assert [name for name, _ in kinds(wrong)] == ["y"]


def test_integers_and_none_get_no_gradient_and_one_that_gets_is_noted():
    ids = np.array([1, 1, 2])

    def forward(x, ids, bias=None):
        return x[ids], (x.shape, ids)

    def backward(g, saved):
        shape, ids = saved
        grad = np.zeros(shape)
        np.add.at(grad, ids, g)
        return grad, None, None

    report = check_gradients(forward, backward, X, ids, None)
    assert report.passed
    assert [row.name for row in report.inputs] == ["x"]
    noisy = lambda g, s: (backward(g, s)[0], np.zeros(3), None)  # noqa: E731
    assert "ids" in notes(check_gradients(forward, noisy, X, ids, None))


@pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[::2, ::-1], np.asfortranarray])
def test_views_and_column_order(view):
    assert check_gradients(square, square_backward, view(X)).passed
    wrong = check_gradients(square, one_wrong((1, 2), lambda x: 2 * x), view(X))
    assert wrong.findings[0].worst_index == (1, 2)


@pytest.mark.parametrize("error", [1e-4, 1e-5])
def test_a_tiny_error_in_one_entry_is_found_and_named(error):
    report = check_gradients(square, one_wrong((3, 4), lambda x: x * (1 + error)), X)
    assert kinds(report) == [("x", "wrong_entries")]
    assert report.findings[0].worst_index == (3, 4)
    assert "[3, 4]" in report.findings[0].message


def test_forward_that_is_not_finite_is_named_with_the_place():
    x = X.copy()
    x[4, 6] = 2000.0
    with np.errstate(over="ignore"):
        report = check_gradients(lambda x: (np.exp(x), ()), square_backward, x)
    assert kinds(report) == [("forward", "not_finite")]
    assert "[4, 6]" in report.findings[0].message


# ------------------------------------------------------------------ whatever a backward may do


def affine(x, w):
    y = np.tanh(x @ w)
    return y, (x, w, y)


def affine_backward(g, saved):
    x, w, y = saved
    d = g * (1 - y * y)
    return d @ w.T, x.T @ d


CHANGES = {
    "scale": lambda grad, rng: grad * rng.choice([-1.0, 0.5, 2.0, 3.7]),
    "permute": lambda grad, rng: rng.permuted(grad.ravel()).reshape(grad.shape),
    "roll": lambda grad, rng: np.roll(grad, 1, axis=-1) if grad.ndim else grad * 2,
    "mask": lambda grad, rng: np.where(rng.random(grad.shape) < 0.5, grad, 0.0),
    "noise": lambda grad, rng: grad + rng.standard_normal(grad.shape),
    "noise in one": lambda grad, rng: grad + 0.1 * (np.arange(grad.size).reshape(grad.shape) == 0),
    "multiply": lambda grad, rng: grad * rng.uniform(1.5, 3, grad.shape),
    "transpose": lambda grad, rng: grad.T,
    "sum an axis": lambda grad, rng: grad.sum(axis=0) if grad.ndim else grad[None],
    "add an axis": lambda grad, rng: np.stack([grad, grad]),
    "float32": lambda grad, rng: grad.astype(np.float32),
    "integers": lambda grad, rng: np.nan_to_num(grad * 10, posinf=9, neginf=9).astype(int),
    "complex": lambda grad, rng: grad * 1j,
    "zero": lambda grad, rng: 0 * grad,
    "first row zero": lambda grad, rng: np.concatenate([0 * grad[:1], grad[1:]])
    if grad.ndim else 0 * grad,
    "NaN": lambda grad, rng: np.where(rng.random(grad.shape) < 0.3, np.nan, grad),
    "infinite": lambda grad, rng: grad / 0.0,
    "huge": lambda grad, rng: grad * 1e200,
    "square": lambda grad, rng: grad * grad,
    "constant": lambda grad, rng: grad * 0 + 1.5,
    "list": lambda grad, rng: grad.tolist(),
    "number": lambda grad, rng: float(np.real(grad).sum()),
    "None": lambda grad, rng: None,
    "string": lambda grad, rng: "a gradient",
    "objects": lambda grad, rng: grad.astype(object),
    "empty": lambda grad, rng: grad[:0] if grad.ndim else grad[None][:0],
}  # fmt: skip
NOTHING = 1e-7  # a composition may change no more than this: a scale of 2 after one of 0.5


def changed_backward(changes, index, seed):
    def backward(g, saved):
        grads, rng = list(affine_backward(g, saved)), np.random.default_rng(seed)
        for name in changes:
            if isinstance(grads[index], np.ndarray) and grads[index].dtype != object:
                grads[index] = CHANGES[name](grads[index], rng)
        return tuple(grads)

    return backward


def agrees(found, right):
    try:
        found = np.asarray(found)
        same = found.dtype == right.dtype and found.shape == right.shape
        return bool(same and np.allclose(found, right, rtol=NOTHING, atol=0.01 * NOTHING))
    except (ValueError, TypeError):
        return False


@example(["add an axis", "add an axis", "infinite"], 0, 0, (2, 2, 2))
@example(["add an axis", "complex"], 0, 0, (1, 1, 1))
@example(["huge", "square"], 1, 0, (2, 3, 4))
@given(
    changes=st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=3),
    index=st.integers(0, 1),
    seed=st.integers(0, 5),
    sizes=st.tuples(*[st.integers(1, 4)] * 3),
)
def test_whatever_backward_does_there_is_a_report(changes, index, seed, sizes):
    n, p, q = sizes
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((n, p)), rng.standard_normal((p, q))
    backward = changed_backward(changes, index, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check_gradients(affine, backward, x, w)
        assert str(report)
        assert report._repr_html_()
    out, saved = affine(x, w)
    g = np.random.default_rng(99).standard_normal(out.shape)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # complex numbers made real, which the report has named
        found = backward(g, saved)[index]
    assert report.passed == agrees(found, affine_backward(g, saved)[index])


def test_each_change_alone_is_found():
    for index in range(2):
        for name in set(CHANGES) - {"list"}:  # a list of the right numbers is accepted
            report = check_gradients(
                affine, changed_backward([name], index, 1), table(5, 7), table(7, 3)
            )
            assert not report.passed, name
            assert report.findings, name
