"""Right backward passes pass, wrong ones are rejected."""

import collections
import copy
import hashlib

import numpy as np
import pytest

from minillm import ops
from minillm.gradcheck import check_gradients
from minillm.gradcheck.cases import cases, operation_names
from minillm.gradcheck.kinds import KINDS
from minillm.gradcheck.mutants import MUTANTS, Mutant, altered, held_out, mutants
from minillm.gradcheck.suite import check_case, check_operations, reject
from minillm.ops.checks import is_floating


def numbers(*choices):
    """Numbers of mutants as test parameters: the stories of held-out ones are not to be printed."""
    chosen = []
    for i, mutant in enumerate(MUTANTS):
        if all(choose(mutant) for choose in choices):
            name = f"held out, number {i}" if held_out(mutant) else mutant.story
            chosen.append(pytest.param(i, id=f"{mutant.operation}: {name}"))
    return chosen


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
@pytest.mark.parametrize("name", operation_names())
def test_the_right_backward_passes(name, seed):
    for case in cases(name, seed):
        report = check_case(case)
        assert report.passed, str(report)
        assert report.relative_error < 1e-7


@pytest.mark.parametrize("number", numbers())
def test_the_wrong_backward_is_rejected(number):
    """More seeds, with the rates: python -m minillm gradcheck --mutants."""
    report = reject(MUTANTS[number])
    assert report is not None
    assert not report.passed
    assert {finding.kind for finding in report.findings} <= set(KINDS)
    if not held_out(MUTANTS[number]):
        assert report.findings[0].kind == MUTANTS[number].kind, str(report)


@pytest.mark.parametrize("number", numbers(lambda mutant: mutant.forward))
def test_a_forward_that_a_mutant_brings_along_is_right(number):
    mutant = MUTANTS[number]
    for case in cases(mutant.operation):
        right, found = (  # each with a copy of the options, for generators move on
            forward(*case.inputs, **copy.deepcopy(case.options))[0]
            for forward in (case.forward, mutant.forward)
        )
        np.testing.assert_allclose(found, right, rtol=1e-12)


def floats_of(x):
    """Every floating array in nested tuples and lists, flattened into one."""
    if isinstance(x, (tuple, list)):
        return np.concatenate([np.zeros(0), *map(floats_of, x)])
    return np.ravel(x) if is_floating(x) else np.zeros(0)


@pytest.mark.parametrize("number", numbers())
def test_a_wrong_backward_says_the_same_twice(number):
    """A mutant that remembers something would be wrong in a way that depends on who asks."""
    mutant = MUTANTS[number]
    case = cases(mutant.operation)[0]
    out, saved = (mutant.forward or case.forward)(*case.inputs, **case.options)
    with np.errstate(all="ignore"):
        first, second = (
            mutant.backward(*copy.deepcopy((floats_like(out), saved))) for _ in range(2)
        )
    np.testing.assert_array_equal(floats_of(first), floats_of(second))


def floats_like(out):
    """Some numbers in the shape of the output, or of each output."""
    if isinstance(out, tuple):
        return tuple(map(floats_like, out))
    return np.asarray(np.random.default_rng(7).standard_normal(np.shape(out)))


# ---------------------------------------------------------------------------------- the suite


def test_the_suite_is_large_and_covers_every_operation_and_kind():
    assert len(MUTANTS) >= 334
    kinds = collections.Counter(mutant.kind for mutant in MUTANTS)
    assert set(kinds) == set(KINDS) - {"unknown"}
    assert min(kinds.values()) >= 5
    for name in operation_names():
        assert len(mutants(name)) >= 6, name
        assert sum(not mutant.seen for mutant in mutants(name)) >= 3, name


def test_no_two_mutants_of_an_operation_tell_the_same_story():
    stories = collections.Counter((mutant.operation, mutant.story) for mutant in MUTANTS)
    assert [story for story, count in stories.items() if count > 1] == []


def test_a_third_of_the_suite_is_held_out():
    assert sum(mutant.seen for mutant in MUTANTS) == 144
    assert not any(mutant.seen and held_out(mutant) for mutant in MUTANTS)
    assert 0.28 <= sum(map(held_out, MUTANTS)) / len(MUTANTS) <= 0.40


def test_what_is_held_out_depends_on_operation_and_story_alone():
    for mutant in MUTANTS:
        digest = hashlib.sha256(f"2026:{mutant.operation}:{mutant.story}".encode()).digest()
        assert held_out(mutant) == (not mutant.seen and digest[0] < 128)
    one, other = (Mutant("exp", kind, "a story", print) for kind in ("scaled", "wrong_shape"))
    assert held_out(one) == held_out(other)


# ------------------------------------------------------------------------------- their inputs


def shapes_of(name, seed):
    return [np.shape(x) for case in cases(name, seed) for x in case.inputs]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", operation_names())
def test_the_cases_have_distinct_sizes(name, seed):
    """At least one input of each operation has no two equal sizes, which could be mixed up."""
    assert any(shape and len(set(shape)) == len(shape) and 1 not in shape
               for shape in shapes_of(name, seed))  # fmt: skip


@pytest.mark.parametrize("name", operation_names())
def test_another_seed_gives_other_numbers_and_sizes(name):
    first, again, second = (cases(name, seed)[0].inputs for seed in (0, 0, 1))
    np.testing.assert_array_equal(floats_of(first), floats_of(again))
    assert not np.array_equal(floats_of(first), floats_of(second))
    assert len({str(shapes_of(name, seed)) for seed in range(10)}) >= 4


def test_seed_0_has_the_sizes_that_the_text_shows():
    assert shapes_of("multiply", 0)[:4] == [(2, 3, 5), (2, 3, 5), (2, 1, 5), (3, 1)]
    assert shapes_of("scaled_dot_product_attention", 0)[:3] == [
        (2, 6, 5, 3),
        (2, 2, 7, 3),
        (2, 2, 7, 4),
    ]
    assert shapes_of("lstm", 0)[:6] == [(2, 5, 3), (2, 7), (2, 7), (3, 28), (7, 28), (28,)]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_sizes_nothing_can_hide(seed):
    ids = cases("embedding", seed)[0].inputs[0]
    weight = cases("embedding", seed)[0].inputs[1]
    assert len(np.unique(ids)) < ids.size
    assert (np.diff(ids.reshape(-1)) < 0).any()
    assert len(np.unique(ids)) < len(weight)
    assert len({row[0] for row in np.argwhere(ids == 1)}) >= 2  # in several sequences
    attention = cases("scaled_dot_product_attention", seed)
    visible = attention[1].options["visible"]
    assert (~visible).all(axis=-1).any()
    assert (visible.any(axis=-1)).any()
    q, k, _v = attention[0].inputs
    assert q.shape[1] > k.shape[1] > 1
    for name in ("matmul", "transpose", "linear"):
        assert any(len(shape) == 2 and shape[0] == shape[1] for shape in shapes_of(name, seed))
    for name in ("rnn", "gru", "lstm"):
        whole, ended, empty = cases(name, seed)
        T = whole.inputs[0].shape[1]
        assert sorted({T, T - 2} - set(ended.options["lengths"])) == []
        assert 0 in empty.options["lengths"]
    targets = cases("cross_entropy", seed)[0].inputs[1]
    assert (targets == -100).any()
    scale = cases("dropout", seed)[0].forward(*cases("dropout", seed)[0].inputs, p=0.3)[1][0]
    assert 0 < (scale == 0).mean() < 1


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
