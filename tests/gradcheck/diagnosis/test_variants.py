"""The library's own backward with one saved value changed, held against the one that is checked."""

import numpy as np
import pytest

from minillm import ops
from minillm.gradcheck import check_gradients
from minillm.gradcheck.diagnosis import variants
from minillm.gradcheck.inputs import library_operation

from .finding import first, table


def attention_inputs(T=5, D=7, S=3):
    return table(1, 2, T, D), table(1, 2, S, D, seed=4), table(1, 2, S, D, seed=5)


def norm_inputs():
    return table(3, 5, 7), table(7, seed=4), table(7, seed=5)


def test_a_student_copy_of_a_library_operation_is_recognised_by_its_numbers():
    def tanh_forward(x):
        return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), (x,)

    x = table(5, 7)
    out, _ = tanh_forward(x)
    assert library_operation(tanh_forward, [x], {}, (out,)) == "tanh"
    assert library_operation(tanh_forward, [x], {}, (out + 1e-3,)) == ""
    assert library_operation(tanh_forward, [x, x], {}, (out,)) == ""
    assert library_operation(tanh_forward, [x], {}, (out, out)) == ""


VALUES = {
    "factor": (np.array([[1.5, -2.0], [0.5, 3.0]]), {"wrong_operand", "dropped_branch"}),
    "mask": (np.array([[True, False], [True, True]]), {"wrong_entries"}),
    "dropout mask": (
        np.array([[0.0, 2.0, 2.0], [2.0, 2.0, 0.0]]),
        {"wrong_entries", "wrong_operand", "dropped_branch"},
    ),
    "ids": (np.array([1, 2]), set()),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_what_is_tried_in_the_place_of_a_saved_value(name):
    value, kinds = VALUES[name]
    changes = list(variants._changes((value,), ["kept"]))
    alone = [change for change in changes if "kept were" in change[1]]
    assert {kind for kind, *_ in alone} <= kinds | {"wrong_operand"}
    assert {kind for kind, *_ in alone} >= kinds
    for _, words, (new,) in alone:
        assert "kept" in words
        assert new is None or not np.array_equal(new, value)


def test_what_is_tried_with_several_saved_values():
    a, b, inner = table(3, 3), table(3, 3, seed=4), table(4, seed=5)
    changes = list(
        variants._changes((a, (inner,), True, b, None), ["a", "more", "flag", "b", "no"])
    )
    assert any(w == "b stood in the place of a" and new[0] is b for _, w, new in changes)
    assert any("more[0] were 1" in w and (new[1][0] == 1).all() for _, w, new in changes)
    assert any("flag were False" in w and new[2] is False for _, w, new in changes)
    assert any("a were transposed" in w and (new[0] == a.T).all() for _, w, new in changes)
    together = [new for _, w, new in changes if "a and b" in w]
    assert any((new[0] == a[::-1]).all() and (new[3] == b[::-1]).all() for new in together)
    for _, _, new in changes:
        assert len(new) == 5
        assert new[4] is None


@pytest.mark.parametrize("heads", [(5, 7, 3), (4, 4, 4)])
def test_a_forgotten_scale_in_attention(heads):
    forward, right = (
        getattr(ops, f"scaled_dot_product_attention_{p}") for p in ("forward", "backward")
    )
    inputs = attention_inputs(*heads)
    root = heads[1] ** 0.5
    found = first(forward, lambda g, s: (right(g, s)[0] * root, *right(g, s)[1:]), *inputs)
    assert (found.input, found.kind) == ("q", "scaled")
    assert found.factor == pytest.approx(root)


def test_saved_values_that_were_changed_are_named():
    """Each finding is what the library's backward gives with that value changed, and says so."""

    def swapped(g, saved):
        x_hat, rstd, gamma, rest = saved
        return ops.layer_norm_backward(g, (x_hat, np.ones_like(rstd), gamma, rest))[0], *(
            ops.layer_norm_backward(g, saved)[1:]
        )

    found = first(ops.layer_norm_forward, swapped, *norm_inputs(), eps=0.5)
    assert (found.input, found.kind) == ("x", "wrong_operand")
    assert "rstd" in found.message


def test_only_the_last_index_of_grad_out():
    def backward(g, saved):
        kept = np.zeros_like(g)
        kept[:, -1] = g[:, -1]
        return ops.layer_norm_backward(g, saved)[0], *ops.layer_norm_backward(kept, saved)[1:]

    report = check_gradients(ops.layer_norm_forward, backward, *norm_inputs(), eps=0.5)
    assert [finding.input for finding in report.findings] == ["gamma", "beta"]
    assert {finding.kind for finding in report.findings} == {"missing_broadcast_sum"}
    assert "index 4" in report.findings[0].message


# ------------------------------------------------------------------ where nothing fits


def test_no_variant_fits_a_gradient_that_is_none():
    noise = table(3, 5, 7, seed=9)

    def backward(g, saved):
        return noise * g.sum(), *ops.layer_norm_backward(g, saved)[1:]

    found = first(ops.layer_norm_forward, backward, *norm_inputs(), eps=0.5)
    assert "as if" not in found.message


def test_a_large_operation_is_not_tried(monkeypatch):
    tried = []
    monkeypatch.setattr(variants, "_changes", lambda *args: tried.append(args) or iter(()))
    wrong = lambda g, s: (table(*s[0].shape, seed=9) * g,)  # noqa: E731
    for shape, count in (((5, 7), 1), ((150, 140), 0)):
        tried.clear()
        first(ops.exp_forward, wrong, table(*shape))
        assert len(tried) <= count
