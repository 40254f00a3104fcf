"""maximum and where: who gets the gradient."""

import numpy as np
import pytest

from minillm import ops


def test_maximum_and_its_gradient(rng):
    a, b, g = rng.standard_normal((3, 2, 5))
    out, saved = ops.maximum_forward(a, b)
    np.testing.assert_array_equal(out, np.where(a > b, a, b))
    grad_a, grad_b = ops.maximum_backward(g, saved)
    np.testing.assert_array_equal(grad_a, np.where(a > b, g, 0))
    np.testing.assert_array_equal(grad_b, np.where(a > b, 0, g))


def test_ties_share_equally():
    _, saved = ops.maximum_forward(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    grad_a, grad_b = ops.maximum_backward(np.array([6.0, 6.0]), saved)
    assert grad_a.tolist() == [3.0, 6.0]
    assert grad_b.tolist() == [3.0, 0.0]


def test_a_number_gets_no_gradient_and_keeps_the_dtype():
    out, saved = ops.maximum_forward(np.float32([1.0, -1.0]), 0.0)
    assert out.dtype == np.float32
    grad_a, grad_b = ops.maximum_backward(np.float32([5.0, 5.0]), saved)
    assert grad_a.dtype == np.float32
    assert grad_b is None


def test_where_and_its_gradient(rng):
    x, g = rng.standard_normal((2, 3, 5))
    y = rng.standard_normal((3, 1))
    condition = rng.random((3, 5)) < 0.5
    out, saved = ops.where_forward(x, y, condition=condition)
    grad_x, grad_y = ops.where_backward(g, saved)
    for i in range(3):
        assert grad_y[i, 0] == pytest.approx(sum(g[i, j] for j in range(5) if not condition[i, j]))
        for j in range(5):
            assert out[i, j] == (x[i, j] if condition[i, j] else y[i, 0])
            assert grad_x[i, j] == (g[i, j] if condition[i, j] else 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.maximum_forward(np.zeros(2), np.zeros(3)), ValueError, r"maximum: a \(2,\)"),
        (
            lambda: ops.where_forward(np.zeros(2), np.zeros(3), condition=np.ones(2, bool)),
            ValueError,
            r"condition \(2,\) and y \(3,\)",
        ),
        (
            lambda: ops.where_forward(np.zeros(2), 0.0, condition=np.ones(2)),
            TypeError,
            "condition must be a boolean",
        ),
        (
            lambda: ops.maximum_forward(np.zeros(2), np.zeros(2, np.float32)),
            TypeError,
            "never mixed",
        ),
    ],
)
def test_wrong_inputs_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("condition", [np.ones(3), np.array([0, 1, 1]), True, None])
def test_a_condition_that_is_not_boolean_is_told_what_to_write(condition):
    with pytest.raises(TypeError, match=r"must be a boolean array .*write a comparison") as error:
        ops.where_forward(np.ones(3), 0.0, condition=condition)
    assert "True = x, False = y" in str(error.value)
    assert "attend" not in str(error.value)
