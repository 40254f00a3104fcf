"""Rotary position embedding: rotations of pairs."""

import numpy as np
import pytest

from minillm import ops
from tests import reference


@pytest.mark.parametrize("interleaved", [False, True])
def test_pairs_are_turned_like_complex_numbers(interleaved, rng):
    x, angles = rng.standard_normal((2, 3, 5, 6)), rng.uniform(0, 6, (5, 3))
    out, _ = ops.rotary_embedding_forward(
        x, cos=np.cos(angles), sin=np.sin(angles), interleaved=interleaved
    )
    np.testing.assert_allclose(
        out, reference.rotary(x, angles, interleaved), rtol=1e-12, atol=1e-14
    )


def test_the_tables_hold_the_angles_of_the_paper():
    cos, sin = ops.rotary_tables(5, 6, base=100.0, dtype=np.float64)
    for t in range(5):
        for i in range(3):
            angle = t * 100.0 ** (-2 * i / 6)
            assert cos[t, i] == pytest.approx(np.cos(angle), abs=1e-15)
            assert sin[t, i] == pytest.approx(np.sin(angle), abs=1e-15)


@pytest.mark.parametrize("interleaved", [False, True])
def test_inner_products_depend_on_the_distance_alone(interleaved, rng):
    q, k = rng.standard_normal((2, 1, 8))
    cos, sin = ops.rotary_tables(30, 8, dtype=np.float64)

    def turned(x, t):
        options = {"cos": cos[t : t + 1], "sin": sin[t : t + 1], "interleaved": interleaved}
        return ops.rotary_embedding_forward(x, **options)[0]

    near = (turned(q, 7) * turned(k, 3)).sum()
    far = (turned(q, 27) * turned(k, 23)).sum()
    assert near == pytest.approx(far, rel=1e-12)
    assert abs(near - (turned(q, 7) * turned(k, 4)).sum()) > 1e-3


def test_the_backward_turns_back(rng):
    x = rng.standard_normal((2, 5, 6))
    cos, sin = ops.rotary_tables(5, 6, dtype=np.float64)
    out, saved = ops.rotary_embedding_forward(x, cos=cos, sin=sin)
    np.testing.assert_allclose(ops.rotary_embedding_backward(out, saved)[0], x, rtol=1e-13)


def test_wrong_shapes_are_named():
    cos = np.ones((5, 3))
    with pytest.raises(ValueError, match=r"rotary_embedding: x \(5, 7\) must have an even last"):
        ops.rotary_embedding_forward(np.zeros((5, 7)), cos=cos, sin=cos)
    with pytest.raises(ValueError, match=r"broadcast to \(4, 3\)"):
        ops.rotary_embedding_forward(np.zeros((4, 6)), cos=cos, sin=cos)
    with pytest.raises(ValueError, match="width 5 even"):
        ops.rotary_tables(3, 5)
