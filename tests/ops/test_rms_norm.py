"""RMS normalization."""

import numpy as np
import pytest

from minillm import ops
from tests import reference


@pytest.mark.parametrize("eps", [0.5, 1e-5])
def test_it_follows_the_paper(eps, rng):
    x, gamma = rng.standard_normal((2, 3, 7)), rng.uniform(0.5, 2, 7)
    out, _ = ops.rms_norm_forward(x, gamma, eps=eps)
    np.testing.assert_allclose(out, reference.rms_norm(x, gamma, eps), rtol=1e-13)


def test_a_shift_is_not_ignored_but_a_scale_is(rng):
    x, ones = rng.standard_normal((3, 7)), np.ones(7)
    plain, _ = ops.rms_norm_forward(x, ones, eps=0.0)
    scaled, _ = ops.rms_norm_forward(x * 13.0, ones, eps=0.0)
    shifted, _ = ops.rms_norm_forward(x + 1.0, ones, eps=0.0)
    np.testing.assert_allclose(scaled, plain, rtol=1e-13)
    assert np.abs(shifted - plain).max() > 0.1


def test_what_is_not_needed_is_not_computed(rng):
    x, gamma = rng.standard_normal((2, 3)), np.ones(3)
    out, saved = ops.rms_norm_forward(x, gamma)
    assert ops.rms_norm_backward(out, saved, needs=(True, False))[1] is None
    assert ops.rms_norm_backward(out, saved, needs=(False, True))[0] is None


def test_an_eps_of_numpys_keeps_the_dtype():
    x = np.ones((2, 3), dtype=np.float32)
    assert ops.rms_norm_forward(x, x[0], eps=np.float64(1e-5))[0].dtype == np.float32


def test_a_row_of_zeros_stays_finite():
    out, saved = ops.rms_norm_forward(np.zeros((1, 3), np.float32), np.ones(3, np.float32))
    assert (out == 0).all()
    assert np.isfinite(ops.rms_norm_backward(np.ones_like(out), saved)[0]).all()


@pytest.mark.parametrize("shapes", [((2, 3), (4,)), ((2, 0), (0,)), ((), (1,))])
def test_wrong_shapes_are_named(shapes):
    with pytest.raises(ValueError, match="rms_norm: x"):
        ops.rms_norm_forward(np.zeros(shapes[0]), np.zeros(shapes[1]))
