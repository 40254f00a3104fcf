"""Right backward passes pass, wrong ones are rejected."""

import numpy as np
import pytest

from minillm import ops
from minillm.gradcheck import check_gradients
from minillm.gradcheck.cases import cases, operation_names
from minillm.gradcheck.kinds import KINDS
from minillm.gradcheck.mutants import MUTANTS, Mutant, altered, mutants
from minillm.gradcheck.suite import check_case, check_operations, reject


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", operation_names())
def test_the_right_backward_passes(name, seed):
    for case in cases(name, seed):
        report = check_case(case)
        assert report.passed, str(report)
        assert report.relative_error < 1e-7


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.operation}: {m.story}")
def test_the_wrong_backward_is_rejected(mutant, seed):
    report = reject(mutant, seed)
    assert report is not None
    assert not report.passed
    assert {finding.kind for finding in report.findings} <= set(KINDS)


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.forward], ids=lambda m: m.story)
def test_a_forward_that_a_mutant_brings_along_is_right(mutant):
    for case in cases(mutant.operation):
        right, _ = case.forward(*case.inputs, **case.options)
        np.testing.assert_allclose(
            mutant.forward(*case.inputs, **case.options)[0], right, rtol=1e-12
        )


@pytest.mark.parametrize("name", operation_names())
def test_the_cases_have_distinct_sizes(name):
    """At least one input of each operation has no two equal sizes, which could be mixed up."""
    shapes = [np.shape(x) for case in cases(name) for x in case.inputs if np.ndim(x)]
    assert any(len(set(shape)) == len(shape) and 1 not in shape for shape in shapes)


@pytest.mark.parametrize("name", operation_names())
def test_another_seed_gives_other_numbers(name):
    if name in ("sum", "mean", "max"):
        pytest.skip("a permutation of the same numbers")
    first, second = (
        np.concatenate([np.ravel(x) for x in cases(name, seed)[0].inputs if np.size(x) > 1])
        for seed in (0, 1)
    )
    assert (first != second).any()


def test_an_operation_that_does_not_exist_is_answered_with_the_list():
    with pytest.raises(ValueError, match=r"no operation 'sotfmax'.*softmax"):
        cases("sotfmax")


def test_a_mutant_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="one of sign_flipped"):
        Mutant("softmax", "oops", "a story", ops.softmax_backward)


def test_reject_answers_none_if_a_backward_is_right():
    assert reject(Mutant("softmax", "scaled", "not wrong at all", ops.softmax_backward)) is None


def test_altered_registers_a_changed_backward():
    altered("exp", "scaled", "seventeen times", lambda grads, g, saved: [17 * grads[0]])
    try:
        assert mutants("exp")[-1] is MUTANTS[-1]
        report = reject(MUTANTS[-1])
        assert report.findings[0].kind == "scaled"
        assert abs(report.findings[0].factor - 17) < 1e-6
    finally:
        MUTANTS.pop()


def test_the_suite_checks_all_cases_of_the_named_operations():
    results = list(check_operations(["softmax", "gelu"]))
    assert [result.operation for result in results] == ["softmax", "gelu"]
    assert [len(result.reports) for result in results] == [2, 2]
    assert all(result.passed and 0 < result.relative_error < 1e-7 for result in results)


@pytest.mark.parametrize(
    ("factor", "kind"), [(0.0, "zero_gradient"), (-1.0, "sign_flipped"), (17.0, "scaled")]
)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "layer_norm"])
def test_what_a_sum_of_outputs_would_hide_is_rejected(name, factor, kind):
    """The rows of a softmax sum to 1: with a cotangent of ones, any multiple of grad_x passes."""
    right = getattr(ops, f"{name}_backward")

    def backward(grad_out, saved):
        return tuple(None if g is None else factor * g for g in right(grad_out, saved))

    [case, *_] = cases(name)
    report = check_gradients(case.forward, backward, *case.inputs, **case.options)
    assert {finding.kind for finding in report.findings} == {kind}
    assert len(report.findings) == len(case.inputs)
    expected = {0.0: None, -1.0: -1.0, 17.0: pytest.approx(17, rel=1e-6)}[factor]
    assert report.findings[0].factor == expected
