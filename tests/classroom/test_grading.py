"""One pair: what is run, what is found, what it earns."""

import numpy as np
import pytest

from minillm import ops
from minillm.classroom.grading import grade
from minillm.classroom.library import is_operation, library_task
from minillm.classroom.own import own_task
from minillm.classroom.tasks import NotCheckable
from minillm.gradcheck.cases import operation_names

from . import students as s


def of_library(name, forward, backward):
    return grade(library_task(name, forward), forward, backward)


def own(name, forward, backward, **namespace):
    return grade(own_task(name, forward, namespace), forward, backward)


def kinds(result):
    return [(remark.input, remark.kind) for remark in result.remarks]


@pytest.mark.parametrize("name", operation_names())
def test_the_library_itself_gets_full_points(name):
    forward, backward = (getattr(ops, f"{name}_{half}") for half in ("forward", "backward"))
    result = of_library(name, forward, backward)
    assert result.remarks == []
    assert (result.verdict, result.points) == ("right", 1.0)
    assert set(result.parts.values()) == {1.0}


# ---------------------------------------------------------------------------------- signatures


def test_a_right_softmax_without_an_axis_passes_and_the_case_with_one_is_named():
    result = of_library("softmax", s.softmax_forward, s.softmax_backward)
    assert (result.verdict, result.points) == ("right", 1.0)
    assert result.parts == {"forward": 1.0, "x": 1.0}
    assert result.notes == ["case not run: x (2, 3, 5), axis=1: yours has no axis=1"]


def test_an_option_without_a_default_gets_the_librarys():
    task = library_task("softmax", s.softmax_with_axis)
    assert [example.options for example in task.examples] == [{"axis": -1}, {"axis": 1}]
    result = of_library("softmax", s.softmax_with_axis, s.softmax_with_axis_backward)
    assert (result.verdict, result.notes) == ("right", [])


def test_options_are_passed_by_name_wherever_they_stand():
    result = of_library("layer_norm", s.layer_norm_forward, s.layer_norm_backward)
    assert result.verdict == "right"
    assert result.notes == ["case not run: x (2, 3, 7), gamma (7,), eps=0.1: yours needs beta"]


def test_without_the_option_that_all_cases_have_the_default_is_used():
    result = of_library("layer_norm", s.layer_norm_fixed, s.layer_norm_backward)
    assert result.verdict == "right"
    assert result.notes == ["checked with the usual eps: yours has no such option"]


def test_other_names_for_the_arrays_do_not_matter():
    result = of_library(
        "matmul", lambda left, right: ops.matmul_forward(left, right), ops.matmul_backward
    )
    assert set(result.parts) == {"forward", "left", "right"}
    assert result.points == 1.0


def test_plain_attention_is_checked_without_grouped_heads():
    name = "scaled_dot_product_attention"
    result = of_library(name, s.attention_forward, s.attention_backward)
    assert (result.verdict, result.points) == ("right", 1.0)
    assert "as many heads in k and v as in q" in result.notes[0]
    assert len([note for note in result.notes if note.startswith("case not run")]) == 3


def test_plain_cross_entropy_is_checked_without_ignored_targets():
    result = of_library("cross_entropy", s.cross_entropy_forward, s.cross_entropy_backward)
    assert (result.verdict, result.points) == ("right", 1.0)
    assert "checked without ignored targets: yours has no ignore_index" in result.notes


def test_targets_need_no_gradient():
    def backward(grad_out, saved):
        return ops.mean_squared_error_backward(grad_out, saved)[0], None

    def forward(p, y, reduction):
        return ops.mean_squared_error_forward(p, y, reduction=reduction)

    result = of_library("mean_squared_error", forward, backward)
    assert (result.verdict, set(result.parts)) == ("right", {"forward", "p"})


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda: None, "yours"),
        (lambda x, temperature: None, "softmax_forward(x, temperature)"),
        (lambda x, *, temperature: None, "softmax_forward(x, temperature)"),
    ],
)
def test_a_signature_that_fits_no_case_is_told_the_one_that_does(forward, words):
    with pytest.raises(NotCheckable, match="write it as softmax_forward") as caught:
        library_task("softmax", forward)
    assert words in str(caught.value) or words == "yours"


# ------------------------------------------------------------------------------------- forward


def test_an_overflowing_softmax_is_unstable_and_loses_half_of_its_forward():
    result = of_library("softmax", s.overflowing_softmax, s.softmax_backward)
    [remark] = result.remarks
    assert (remark.input, remark.kind) == ("forward", "unstable")
    assert "x = [[10000, 0, -10000], " in remark.message
    assert "in float32 out[0, 0] is nan, but should be 1" in remark.message
    assert result.parts == {"forward": 0.5, "x": 1.0}
    assert result.points == 0.75


def test_clipped_logits_are_not_a_cure():
    result = of_library("softmax", s.clipped_softmax, s.softmax_backward)
    assert kinds(result) == [("forward", "wrong_forward")]
    assert "10000" in result.remarks[0].message


def test_a_variance_from_squares_is_found_by_rows_far_from_zero():
    result = of_library("layer_norm", s.layer_norm_cancelling, s.layer_norm_backward)
    assert [remark.input for remark in result.remarks] == ["forward"]
    assert result.parts["forward"] == 0.5


def test_float32_stays_float32():
    result = of_library("softmax", s.double_softmax, s.softmax_backward)
    assert kinds(result) == [("forward", "wrong_dtype")]
    assert "float64" in result.remarks[0].message


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda x: (np.tanh(x) * 1.01, x), "should be"),
        (lambda x: (np.tanh(x)[0], x), "has shape (5,), but should have (3, 5)"),
        (lambda x: ((np.tanh(x), x), x), "gives 2 outputs, but should give 1"),
        (lambda x: np.tanh(x), "must return (out, saved), a tuple of two; got ndarray"),
        (lambda x: ("tanh", x), "returned str where an array"),
        (lambda x: 1 / 0, "raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_wrong_forward_is_described_and_its_gradient_earns_nothing(forward, words):
    result = of_library("tanh", forward, s.tanh_recomputing)
    assert kinds(result)[0] == ("forward", "wrong_forward")
    assert words in result.remarks[0].message
    assert (result.verdict, result.points) == ("wrong", 0.0)


def test_two_trivial_functions_that_fit_each_other_earn_nothing():
    result = of_library("softmax", lambda x: (x, None), lambda grad_out, saved: (grad_out,))
    assert result.points == 0.0


# ------------------------------------------------------------------------------------ backward


def test_each_input_earns_its_own_part():
    result = of_library("layer_norm", s.layer_norm_forward, s.layer_norm_half)
    assert result.parts == {"forward": 1.0, "x": 0.0, "gamma": 1.0, "beta": 1.0}
    assert result.points == 0.75
    assert kinds(result)[0] == ("x", "scaled")
    assert "x" in result.report


def test_a_backward_that_raises_keeps_the_points_of_its_forward():
    result = of_library("softmax", s.softmax_forward, lambda grad_out, p: 1 / 0)
    assert result.parts == {"forward": 1.0, "x": 0.0}
    assert "ZeroDivisionError" in result.remarks[0].message


def test_overwriting_what_was_saved_costs_half_of_the_gradients():
    def backward(grad_out, p):
        (grad,) = s.softmax_backward(grad_out, p)
        p[...] = 0
        return (grad,)

    result = of_library("softmax", s.softmax_forward, backward)
    assert ("saved", "mutated_input") in kinds(result)
    assert result.parts == {"forward": 1.0, "x": 0.5}


def test_a_stub_is_unanswered():
    def stub(x):
        raise NotImplementedError("write me")

    result = of_library("softmax", stub, s.softmax_backward)
    assert (result.verdict, result.detail, result.points) == ("unanswered", "write me", 0.0)


def test_too_much_memory_is_not_mistaken_for_an_error_of_the_formula():
    def backward(grad_out, p):
        raise MemoryError

    result = of_library("softmax", s.softmax_forward, backward)
    assert result.verdict == "memory limit"


def test_calls_of_the_library_are_mentioned():
    def backward(grad_out, p):
        return ops.softmax_backward(grad_out, (p, -1))

    result = of_library("softmax", s.softmax_forward, backward)
    assert "calls minillm's own softmax_backward" in result.notes


# ---------------------------------------------------------------------- numerical derivatives


@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (s.tanh_numeric, "backward ran tanh_forward 30 times for inputs of 15 entries"),
        (s.tanh_numeric_in_one_go, "backward ran tanh_forward 4 times"),
        (s.tanh_numeric_by_a_copy, "backward ran copied 30 times"),
        (s.tanh_numeric_by_a_loss, "backward ran <lambda> 30 times"),
    ],
)
def test_a_numerical_derivative_is_found_and_earns_nothing(backward, words):
    result = of_library("tanh", s.tanh_forward, backward)
    [message] = [r.message for r in result.remarks if r.kind == "numeric_backward"]
    assert words in message
    assert result.parts == {"forward": 1.0, "x": 0.0}


@pytest.mark.parametrize("backward", [s.tanh_recomputing, s.tanh_entry_by_entry])
def test_a_formula_is_not_mistaken_for_a_numerical_derivative(backward):
    result = of_library("tanh", s.tanh_forward, backward)
    assert (result.verdict, result.remarks) == ("right", [])


def test_a_jacobian_that_forward_has_prepared_is_found():
    result = of_library("tanh", s.tanh_jacobian_in_forward, s.tanh_from_jacobian)
    [message] = [r.message for r in result.remarks if r.kind == "numeric_backward"]
    assert message.startswith("forward ran copied 3")


# ---------------------------------------------------------------------------- functions of their own


def cube_forward(x, weight):
    return x**3 @ weight, (x, weight)


def cube_backward(grad_out, saved):
    x, weight = saved
    return 3 * x**2 * (grad_out @ weight.T), (x**3).T @ grad_out


def test_inputs_are_guessed_and_the_guess_is_told():
    result = own("cube", cube_forward, cube_backward)
    assert result.verdict == "right"
    assert result.parts == {"x": 1.0, "weight": 1.0}
    assert result.notes[0].startswith("the inputs are a guess: x (3, 5), weight (5, 7)")


@pytest.mark.parametrize("as_function", [False, True])
def test_inputs_of_the_file_are_used(as_function):
    inputs = (np.ones((1, 2)) * 0.5, np.ones((2, 1)))
    given = (lambda: inputs) if as_function else inputs
    task = own_task("cube", cube_forward, {"cube_inputs": given})
    assert task.examples[0].inputs[0] is inputs[0]
    assert grade(task, cube_forward, cube_backward).verdict == "right"


def test_a_table_gives_inputs_and_options():
    def forward(x, *, power):
        return x**power, (x, power)

    def backward(grad_out, saved):
        x, power = saved
        return (grad_out * power * x ** (power - 1),)

    table = {"raised": ((np.arange(1.0, 4.0),), {"power": 3})}
    assert own("raised", forward, backward, CHECK=table).verdict == "right"


@pytest.mark.parametrize(
    ("namespace", "words"),
    [
        ({"CHECK": {"cube": np.ones(3)}}, "must be (inputs, options)"),
        ({"cube_inputs": (1, 2)}, "at least one floating array"),
        ({"cube_inputs": lambda: 1 / 0}, "raised ZeroDivisionError"),
        ({"cube_inputs": (np.ones((3, 5)), np.ones((3, 5)))}, "for its own inputs"),
    ],
)
def test_inputs_that_do_not_work_are_explained(namespace, words):
    with pytest.raises(NotCheckable) as caught:
        own_task("cube", cube_forward, namespace)
    assert words in str(caught.value)


def test_what_to_add_is_said_if_no_guess_works():
    def picky_forward(x):
        raise ValueError("no")

    with pytest.raises(NotCheckable, match="add picky_inputs = "):
        own_task("picky", picky_forward, {})


def test_names_of_operations_are_known():
    assert is_operation("softmax")
    assert not is_operation("sofmax")
