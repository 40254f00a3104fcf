"""Every operation, forward and backward, on every device: the bits of the host, or close on a GPU."""

import numpy as np
import pytest

from minillm.backend import array_module, scatter_add, to_numpy
from minillm.gradcheck.cases import cases, operation_names
from minillm.gradcheck.parity import as_arrays, flat, run_case
from minillm.ops import (
    attention,
    attention_blocks,
    cross_entropy_backward,
    cross_entropy_forward,
    embedding_backward,
    embedding_forward,
)
from minillm.ops.checks import IdError

CASES = [
    pytest.param(name, i, id=f"{name}-{i}")
    for name in operation_names()
    for i in range(len(cases(name)))
]
DTYPES = {"float32": np.float32, "float64": np.float64}


def assert_agree(dev, found, expected):
    """The same bits on the stand-in; on a GPU within a few hundred units of the last place."""
    for a, b in zip(flat(found), flat(expected), strict=True):
        assert (a is None) == (b is None)
        if b is None:
            continue
        assert array_module(a) is dev.xp
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if dev.kind == "cuda" and b.dtype.kind == "f":
            tolerance = 300 * np.finfo(b.dtype).eps
            np.testing.assert_allclose(to_numpy(a), b, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(to_numpy(a), b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "i"), CASES)
def test_forward_and_backward_agree_with_the_host(dev, name, i, dtype):
    case = cases(name)[i]
    host = run_case(case, DTYPES[dtype], np.asarray)
    device = run_case(case, DTYPES[dtype], dev.put)
    assert_agree(dev, device, host)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "i"), [case for case in CASES if case.values[0] == "scaled_dot_product_attention"]
)
def test_attention_in_blocks_agrees_with_the_host(dev, name, i, dtype, monkeypatch):
    monkeypatch.setattr(attention, "LONG", 0)
    monkeypatch.setattr(attention_blocks, "BLOCK", 2)
    test_forward_and_backward_agree_with_the_host(dev, name, i, dtype)


@pytest.mark.parametrize("padding_idx", [None, 1])
def test_embedding_takes_ids_from_the_host_without_waiting(dev, counters, rng, padding_idx):
    ids = np.array([[1, 4, 1], [6, 1, 0]])
    weight = rng.standard_normal((7, 3)).astype(np.float32)
    grad_out = rng.standard_normal((2, 3, 3)).astype(np.float32)

    def both(ids, put):
        out, saved = embedding_forward(ids, put(weight), padding_idx=padding_idx)
        return out, embedding_backward(put(grad_out), saved)[1]

    device = both(ids, dev.put)
    assert counters.synchronisations == 0
    assert_agree(dev, device, both(ids, np.asarray))
    assert_agree(dev, both(dev.put(ids), dev.put), both(ids, np.asarray))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_takes_targets_from_the_host_without_waiting(dev, counters, rng, reduction):
    logits = rng.standard_normal((5, 7)).astype(np.float32)
    targets = np.array([3, -100, 0, 6, 3])
    grad_out = np.asarray(rng.standard_normal(5 if reduction == "none" else ()), np.float32)

    def both(targets, put):
        loss, saved = cross_entropy_forward(put(logits), targets, reduction=reduction)
        return loss, cross_entropy_backward(put(grad_out), saved)[0]

    device = both(targets, dev.put)
    assert counters.synchronisations == 0
    assert_agree(dev, device, as_arrays(both(targets, np.asarray)))
    assert_agree(dev, both(dev.put(targets), dev.put), as_arrays(both(targets, np.asarray)))


@pytest.mark.parametrize("on_host", [True, False])
def test_wrong_ids_are_named_wherever_they_are(dev, on_host):
    ids = np.array([[0, 1], [2, 7]])
    ids = ids if on_host else dev.put(ids)
    with pytest.raises(IdError, match=r"ids\[1, 1\] = 7 is outside 0 … 2"):
        embedding_forward(ids, dev.put(np.zeros((3, 2), np.float32)))
    with pytest.raises(IdError, match=r"targets\[1, 1\] = 7 is outside 0 … 2"):
        cross_entropy_forward(dev.put(np.zeros((2, 2, 3), np.float32)), ids)


@pytest.mark.parametrize("on_host", [True, False])
def test_a_loss_without_targets_warns_wherever_they_are(dev, on_host):
    targets = np.full(2, -100)
    with pytest.warns(UserWarning, match="every target is ignored"):
        loss, _ = cross_entropy_forward(
            dev.put(np.ones((2, 3), np.float32)), targets if on_host else dev.put(targets)
        )
    assert float(loss) == 0


def test_device_ids_with_host_weights_are_refused(strict_xp):
    with pytest.raises(TypeError, match="mixed: move all of them to one device"):
        embedding_forward(strict_xp.asarray([0, 1]), np.zeros((3, 2), np.float32))


@pytest.mark.parametrize("on_host", [True, False])
def test_scatter_add_collects_repeated_indices(dev, counters, on_host):
    index = np.array([3, 0, 3, 3, 1])
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    target, device_values = dev.put(np.zeros((4, 2), np.float32)), dev.put(values)
    scatter_add(target, index if on_host else dev.put(index), device_values)
    assert counters.synchronisations == (dev.kind == "strict" and not on_host)
    expected = [[2, 3], [8, 9], [0, 0], [0 + 4 + 6, 1 + 5 + 7]]
    assert to_numpy(target).tolist() == expected
