"""Weight normalization: lengths and directions."""

import numpy as np
import pytest

from minillm import ops
from tests import reference


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None])
def test_it_follows_the_paper(axis, rng):
    v = rng.standard_normal((2, 3, 5))
    axes = range(3) if axis is None else [axis % 3] if isinstance(axis, int) else axis
    g = rng.standard_normal([1 if i in axes else n for i, n in enumerate(v.shape)])
    w, _ = ops.weight_norm_forward(v, g, axis=axis)
    np.testing.assert_allclose(w, reference.weight_norm(v, g, axes), rtol=1e-12)


def test_the_scale_of_v_changes_nothing_and_halves_its_gradient(rng):
    v, g, grad_out = rng.standard_normal((3, 5)), rng.uniform(0.5, 2, (1, 5)), np.ones((3, 5))
    w, saved = ops.weight_norm_forward(v, g)
    w2, saved2 = ops.weight_norm_forward(2 * v, g)
    np.testing.assert_array_equal(w, w2)
    once, twice = (ops.weight_norm_backward(grad_out, s)[0] for s in (saved, saved2))
    np.testing.assert_allclose(once, 2 * twice, rtol=1e-13)


def test_the_gradient_is_at_right_angles_to_v(rng):
    v, g = rng.standard_normal((3, 5)), rng.uniform(0.5, 2, (1, 5))
    _, saved = ops.weight_norm_forward(v, g)
    grad_v, _ = ops.weight_norm_backward(rng.standard_normal((3, 5)), saved)
    np.testing.assert_allclose((grad_v * v).sum(axis=0), np.zeros(5), atol=1e-14)
    assert np.abs(grad_v).max() > 0.1


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e30])
def test_no_square_overflows_or_vanishes(scale, rng):
    v = np.array([[3.0], [4.0]], np.float32) * np.float32(scale)
    w, _ = ops.weight_norm_forward(v, np.full((1, 1), 10, np.float32))
    np.testing.assert_allclose(w, [[6.0], [8.0]], rtol=1e-4)


def test_a_vector_of_zeros_gives_zeros_and_finite_gradients():
    v, g = np.array([[0.0, 3.0], [0.0, 4.0]]), np.array([[7.0, 10.0]])
    w, saved = ops.weight_norm_forward(v, g)
    assert w.tolist() == [[0.0, 6.0], [0.0, 8.0]]
    grad_v, grad_g = ops.weight_norm_backward(np.ones((2, 2)), saved)
    assert grad_v[:, 0].tolist() == [7.0, 7.0]  # g times grad_out
    assert grad_g[0, 0] == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"g \(3,\) must be \(1, 3\)"):
        ops.weight_norm_forward(np.ones((2, 3)), np.ones(3))
    with pytest.raises(ValueError, match=r"v \(0, 3\) has no entries along the axes \(0,\)"):
        ops.weight_norm_forward(np.ones((0, 3)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="axis 2 does not exist"):
        ops.weight_norm_forward(np.ones((2, 3)), np.ones((1, 3)), axis=2)
