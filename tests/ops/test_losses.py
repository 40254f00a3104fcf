"""Binary cross-entropy and mean squared error."""

import numpy as np
import pytest

from minillm import Tensor, ops
from minillm import functional as F
from tests import reference


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_follow_their_formulas(reduction, rng):
    z, t = rng.standard_normal((3, 7)) * 3, rng.random((3, 7))
    reduce = {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction]
    found, _ = ops.binary_cross_entropy_with_logits_forward(z, t, reduction=reduction)
    np.testing.assert_allclose(found, reduce(reference.binary_cross_entropy(z, t)), rtol=1e-12)
    found, _ = ops.mean_squared_error_forward(z, t, reduction=reduction)
    np.testing.assert_allclose(found, reduce((z - t) ** 2), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_ten_thousand_are_finite_and_right(dtype):
    z, t = np.array([1e4, -1e4, 1e4, -1e4], dtype), np.array([1.0, 0.0, 0.0, 1.0], dtype)
    loss, saved = ops.binary_cross_entropy_with_logits_forward(z, t, reduction="none")
    assert loss.tolist() == [0.0, 0.0, 1e4, 1e4]
    grad, _ = ops.binary_cross_entropy_with_logits_backward(np.ones(4, dtype), saved)
    assert grad.tolist() == [0.0, 0.0, 1.0, -1.0]


def test_targets_get_no_gradient_and_a_wish_for_one_is_refused():
    x, t = Tensor([1.0, 2.0], True), Tensor([0.0, 1.0])
    F.mean_squared_error(x, t).backward()
    assert x.grad.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"target gets no gradient: pass target\.detach\(\)"):
        F.mean_squared_error(x, Tensor([0.0, 1.0], True))


@pytest.mark.parametrize("name", ["binary_cross_entropy_with_logits", "mean_squared_error"])
def test_wrong_inputs_are_named(name):
    forward = getattr(ops, f"{name}_forward")
    with pytest.raises(ValueError, match=rf"{name}: .*\(2,\) and target \(3,\)"):
        forward(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="reduction must be"):
        forward(np.zeros(2), np.zeros(2), reduction="average")
    with pytest.raises(ValueError, match="nothing to average"):
        forward(np.zeros(0), np.zeros(0))
    with pytest.raises(TypeError, match="never mixed"):
        forward(np.zeros(2), np.zeros(2, np.float32))
