"""The loss of a classifier, with everything that PyTorch's can do."""

import itertools
import math
import re

import numpy as np
import pytest

from minillm import ops
from minillm.ops.checks import IdError
from tests import reference

OPTIONS = [
    {"reduction": reduction, "label_smoothing": smoothing, "weight": weight}
    for reduction, smoothing, weight in itertools.product(
        ("mean", "sum", "none"),
        (0.0, 0.3, 1.0),
        (None, np.array([0.5, 2.0, 1.3, 0.7, 0.0, 3.0, 0.9])),
    )
]


def inputs(rng):
    logits = 2 * rng.standard_normal((2, 5, 7))
    targets = rng.integers(0, 7, (2, 5))
    targets[0, 1] = targets[1, 4] = -100
    return logits, targets


def both(logits, targets, g=None, **options):
    loss, saved = ops.cross_entropy_forward(logits, targets, **options)
    g = np.ones_like(loss) if g is None else g
    grad, none = ops.cross_entropy_backward(np.asarray(g), saved)
    assert none is None
    return loss, grad


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values()))[:20])
def test_loss_and_gradient_are_the_definition_and_its_slope(rng, options):
    logits, targets = inputs(rng)
    g = rng.standard_normal((2, 5) if options["reduction"] == "none" else ())
    loss, grad = both(logits, targets, g, **options)
    expected = reference.cross_entropy(logits, targets, **options)
    assert np.shape(loss) == np.shape(expected)
    np.testing.assert_allclose(loss, expected, rtol=1e-13, atol=1e-13)
    literal = lambda z, y: reference.cross_entropy(z, y, **options)  # noqa: E731
    want, _ = reference.slopes(literal, [logits, targets], g)
    np.testing.assert_allclose(grad, want, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values()))[:20])
def test_float32_is_right_within_its_rounding(rng, options):
    logits, targets = inputs(rng)
    logits = logits.astype(np.float32)
    weight = options["weight"]
    as_float32 = {**options, "weight": None if weight is None else weight.astype(np.float32)}
    loss, grad = both(logits, targets, **as_float32)
    assert loss.dtype == grad.dtype == np.float32
    np.testing.assert_allclose(loss, reference.cross_entropy(logits, targets, **options), rtol=2e-6)


def test_equal_logits_cost_log_of_the_number_of_classes():
    loss, grad = both(np.zeros((3, 5)), np.array([0, 1, 4]))
    np.testing.assert_allclose(loss, math.log(5), rtol=1e-15)
    expected = np.full((3, 5), 0.2) - np.eye(5)[[0, 1, 4]]
    np.testing.assert_allclose(grad, expected / 3, rtol=1e-14)


def test_a_loss_worked_out_by_hand():
    logits = np.log([[1.0, 3.0], [1.0, 1.0]])  # p = (1/4, 3/4) and (1/2, 1/2)
    weight = np.array([2.0, 6.0])
    loss, grad = both(logits, np.array([1, 0]), weight=weight)
    np.testing.assert_allclose(loss, (6 * math.log(4 / 3) + 2 * math.log(2)) / 8, rtol=1e-14)
    np.testing.assert_allclose(grad, [[6 / 32, -6 / 32], [-1 / 8, 1 / 8]], rtol=1e-14)


def test_a_smoothed_loss_worked_out_by_hand():
    # the target is (1 - 0.4) [c = 1] + 0.2, that is (0.2, 0.8), and p = (1/4, 3/4)
    loss, grad = both(np.log([[1.0, 3.0]]), np.array([1]), label_smoothing=0.4)
    np.testing.assert_allclose(loss, 0.2 * math.log(4) + 0.8 * math.log(4 / 3), rtol=1e-14)
    np.testing.assert_allclose(grad, [[0.05, -0.05]], rtol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignore_index", [-100, 3, -1])
def test_ignored_rows_count_neither_above_nor_below(rng, reduction, ignore_index):
    logits = rng.standard_normal((4, 7))
    targets = np.array([2, ignore_index, 0, ignore_index])
    loss, grad = both(logits, targets, ignore_index=ignore_index, reduction=reduction)
    kept = reference.cross_entropy(logits[[0, 2]], targets[[0, 2]], reduction=reduction)
    if reduction == "none":
        kept = [kept[0], 0, kept[1], 0]
    np.testing.assert_allclose(loss, kept, rtol=1e-13)
    np.testing.assert_array_equal(grad[[1, 3]], np.zeros((2, 7)))
    assert np.abs(grad[[0, 2]]).min() > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("with_weight", [False, True])
def test_if_every_target_is_ignored_the_loss_is_zero_with_a_warning(
    rng, dtype, label_smoothing, with_weight
):
    logits = rng.standard_normal((2, 3, 5)).astype(dtype)
    targets = np.full((2, 3), -100)
    weight = np.full(5, 2, dtype=dtype) if with_weight else None
    with pytest.warns(UserWarning, match="cross_entropy: every target is ignored: the loss is 0"):
        loss, grad = both(logits, targets, weight=weight, label_smoothing=label_smoothing)
    assert loss == 0
    assert loss.dtype == grad.dtype == dtype
    np.testing.assert_array_equal(grad, np.zeros((2, 3, 5)))


def test_a_batch_without_rows_is_an_ignored_one():
    with pytest.warns(UserWarning, match="every target is ignored"):
        loss, grad = both(np.zeros((0, 5)), np.zeros(0, dtype=int))
    assert loss == 0
    assert grad.shape == (0, 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_huge_logits_neither_overflow_nor_warn(dtype, label_smoothing):
    logits = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0]], dtype=dtype)
    options = {"label_smoothing": label_smoothing, "reduction": "none"}
    loss, grad = both(logits, np.array([0, 1]), **options)
    # log p is (0, -2e4, -1e4); smoothing spreads 0.3 over three classes
    expected = [0, 2e4] if not label_smoothing else [0.1 * 3e4, 0.7 * 2e4 + 0.1 * 3e4]
    np.testing.assert_allclose(loss, expected, rtol=1e-6, atol=1e-12)
    off = label_smoothing / 3
    np.testing.assert_allclose(
        grad,
        [[1 - (1 - 2 * off), -off, -off], [1 - off, -(1 - 2 * off), -off]],
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_forbidden_class_in_a_row_costs_nothing():
    logits = np.array([[-np.inf, 0.0, 0.0], [0.0, -np.inf, 0.0]])
    loss, grad = both(logits, np.array([1, 2]))
    np.testing.assert_allclose(loss, math.log(2), rtol=1e-15)
    np.testing.assert_allclose(grad, [[0, -0.25, 0.25], [0.25, 0, -0.25]], rtol=1e-14)


def test_a_forbidden_class_in_an_ignored_row_costs_nothing():
    logits = np.array([[-np.inf, 0.0, 0.0], [0.0, 0.0, -np.inf]])
    loss, grad = both(logits, np.array([-100, 0]))
    np.testing.assert_allclose(loss, math.log(2), rtol=1e-15)
    np.testing.assert_allclose(grad, [[0, 0, 0], [-0.5, 0.5, 0]], atol=1e-15)


def test_an_ignored_row_may_forbid_every_class():
    logits = np.zeros((2, 3))
    logits[1] = -np.inf
    with np.errstate(invalid="ignore"):
        loss, _ = ops.cross_entropy_forward(logits, np.array([0, -100]))
    np.testing.assert_allclose(loss, np.log(3.0))


@pytest.mark.parametrize("number", [np.float64, np.float32, float])
def test_a_smoothing_of_numpys_keeps_the_dtype(number):
    logits = np.zeros((2, 3), dtype=np.float32)
    loss, saved = ops.cross_entropy_forward(logits, np.array([0, 1]), label_smoothing=number(0.1))
    assert loss.dtype == ops.cross_entropy_backward(loss, saved)[0].dtype == np.float32


def test_one_class_is_never_a_surprise():
    loss, grad = both(np.array([[3.0], [-2.0]]), np.array([0, 0]))
    assert loss == 0
    np.testing.assert_array_equal(grad, np.zeros((2, 1)))


def test_a_single_row_has_a_target_without_axes():
    loss, grad = both(np.array([0.0, math.log(3)]), np.array(1))
    np.testing.assert_allclose(loss, math.log(4 / 3), rtol=1e-14)
    np.testing.assert_allclose(grad, [0.25, -0.25], rtol=1e-14)


def test_a_view_with_strides_is_read_right(rng):
    logits, targets = rng.standard_normal((14, 10)).T[::2, ::-2], np.arange(10)[::2] % 7
    loss, _ = both(logits, targets)
    np.testing.assert_allclose(loss, reference.cross_entropy(logits, targets), rtol=1e-13)


@pytest.mark.parametrize("wrong", [7, -1, 10**6])
def test_a_target_outside_the_classes_is_named_with_its_place(wrong):
    message = f"cross_entropy: targets[1, 2] = {wrong} is outside 0 … 6"
    targets = np.array([[0, -100, 6], [1, 2, wrong]])
    for kind in (IdError, IndexError, ValueError):
        with pytest.raises(kind, match=re.escape(message)):
            ops.cross_entropy_forward(np.zeros((2, 3, 7)), targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "average"}, "reduction must be 'mean', 'sum' or 'none', got 'average'"),
        ({"label_smoothing": 1.5}, "label_smoothing 1.5"),
        ({"label_smoothing": -0.1}, "label_smoothing -0.1"),
        ({"weight": np.ones(5)}, "weight must be of shape (7,), got (5,)"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        ops.cross_entropy_forward(np.zeros((3, 7)), np.zeros(3, dtype=int), **options)
    assert str(error.value).startswith("cross_entropy: ")


@pytest.mark.parametrize("shape", [(2,), (3, 1), (3, 7), ()])
def test_targets_of_another_shape_are_refused_with_both_shapes(shape):
    message = f"cross_entropy: logits (3, 7) need targets of shape (3,), got {shape}"
    with pytest.raises(ValueError, match=re.escape(message)):
        ops.cross_entropy_forward(np.zeros((3, 7)), np.zeros(shape, dtype=int))


def test_wrong_dtypes_are_refused_with_the_cast():
    with pytest.raises(TypeError, match=re.escape("write targets.astype('int64')")):
        ops.cross_entropy_forward(np.zeros((3, 7)), np.zeros(3))
    with pytest.raises(TypeError, match="cross_entropy: logits must be floating"):
        ops.cross_entropy_forward(np.zeros((3, 7), dtype=int), np.zeros(3, dtype=int))
    with pytest.raises(TypeError, match=re.escape("write weight.astype('float64')")):
        ops.cross_entropy_forward(
            np.zeros((3, 7)), np.zeros(3, dtype=int), weight=np.ones(7, dtype=np.float32)
        )
    with pytest.raises(ValueError, match=re.escape("cross_entropy: logits (3, 0)")):
        ops.cross_entropy_forward(np.zeros((3, 0)), np.zeros(3, dtype=int))
